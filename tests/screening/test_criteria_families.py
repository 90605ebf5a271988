"""Every criterion against a published example or an implementation written apart from it."""

import math

import numpy as np
import pytest
from hypothesis import given, settings

from matdisc.composition.compositions import Compositions
from matdisc.composition.elements import element_property, symbol
from matdisc.screening.criteria import CRITERION_UNITS, evaluate_criteria
from matdisc.screening.criteria_families import builtin_criteria
from tests.screening.alloys import alloys, by_atoms, by_weight

SOLID_SOLUTION = (
    "mixing_entropy_j_per_mol_k",
    "mixing_enthalpy_kj_per_mol",
    "atomic_size_mismatch_percent",
    "omega",
    "valence_electron_concentration",
    "electronegativity_mismatch_percent",
    "electronegativity_difference",
)


def value(name, composition):
    return float(evaluate_criteria(composition, [name]).values[name][0])


def test_every_criterion_says_what_it_is():
    for name, criterion in builtin_criteria().items():
        assert criterion.name == name
        assert criterion.unit
        assert criterion.label
        assert criterion.meant_for
        assert str(criterion.source.year) in str(criterion.source)
    assert builtin_criteria()["mo_equivalent_wt_percent"].source.authors == "P. J. Bania"
    assert "multi-principal" in builtin_criteria()["electronegativity_difference"].meant_for
    for name, unit in CRITERION_UNITS.items():
        assert builtin_criteria()[name].unit == unit


# titanium


def test_bo_md_of_the_published_beta_alloys():
    # D. Kuroda et al., Mater. Sci. Eng. A 243, 244 (1998): 2.878 and 2.462 eV
    tntz = Compositions.from_alloy_designations(["Ti-29Nb-13Ta-4.6Zr"])
    assert round(value("mean_bo_bcc_ti", tntz), 3) == 2.878
    assert round(value("mean_md_bcc_ti_ev", tntz), 3) == 2.462
    # T. Saito et al., Science 300, 464 (2003): about 2.87 and 2.45 eV; oxygen is no metal atom
    gum = by_atoms(Ti=73.1, Nb=23, Ta=0.7, Zr=2, O=1.2)
    assert round(value("mean_bo_bcc_ti", gum), 2) == 2.87
    assert round(value("mean_md_bcc_ti_ev", gum), 2) == 2.45


@pytest.mark.parametrize(
    ("alloy", "published"),  # P. J. Bania, JOM 46(7), 16 (1994)
    [
        ("Ti-10V-2Fe-3Al", 9.5),
        ("Ti-15V-3Cr-3Al-3Sn", 11.9),
        ("Ti-3Al-8V-6Cr-4Mo-4Zr", 16.0),
        ("Ti-15Mo-2.7Nb-3Al-0.2Si", 12.8),
    ],
)
def test_mo_equivalent_of_commercial_alloys(alloy, published):
    found = evaluate_criteria(
        Compositions.from_alloy_designations([alloy]), ["mo_equivalent_wt_percent"]
    )
    assert found.values["mo_equivalent_wt_percent"][0] == pytest.approx(published, abs=0.06)
    assert not found.outside["mo_equivalent_wt_percent"][0]


def test_al_equivalent_counts_interstitials():
    assert value("al_equivalent_wt_percent", by_weight(Ti=0, Al=6, Sn=2, Zr=4, Mo=2)) == (
        pytest.approx(6 + 2 / 3 + 4 / 6)
    )
    impure = by_weight(Ti=0, Al=6, V=4, O=0.2, N=0.05, C=0.08)
    assert value("al_equivalent_wt_percent", impure) == pytest.approx(6 + 10 * (0.2 + 0.08 + 0.1))


# nickel

MD = {"Ni": 0.717, "Cr": 1.142, "Co": 0.777, "Mo": 1.55, "W": 1.655, "Re": 1.267, "Ta": 2.224}
MD |= {"Al": 1.9, "Ti": 2.271, "Hf": 3.02, "Nb": 2.117, "Fe": 0.858}


def test_mean_md_and_gamma_prime_formers_of_a_superalloy():
    # CMSX-4, weight per cent (R. C. Reed, The Superalloys, 2006)
    parts = {"Ni": 61.7, "Cr": 6.5, "Co": 9, "Mo": 0.6, "W": 6, "Re": 3, "Ta": 6.5, "Al": 5.6}
    parts |= {"Ti": 1.0, "Hf": 0.1}
    from pymatgen.core import Composition

    atoms = Composition.from_weight_dict(parts).get_el_amt_dict()
    total = sum(atoms.values())
    alloy = by_weight(**parts)
    expected = sum(MD[e] * n for e, n in atoms.items()) / total
    assert value("mean_md_ni3al_ev", alloy) == pytest.approx(expected, rel=1e-6)
    formers = 100 * sum(atoms[e] for e in ("Al", "Ti", "Ta")) / total
    assert value("gamma_prime_formers_at_percent", alloy) == pytest.approx(formers, rel=1e-6)
    assert value("mean_md_ni3al_ev", by_atoms(Ni=3, Al=1)) == pytest.approx((3 * 0.717 + 1.9) / 4)


def test_carbon_and_boron_do_not_count_in_mean_md():
    clean, real = by_atoms(Ni=80, Cr=20), by_atoms(Ni=80, Cr=20, C=0.5, B=0.1)
    assert value("mean_md_ni3al_ev", real) == pytest.approx(
        value("mean_md_ni3al_ev", clean), rel=1e-12
    )


def test_tcp_tendency_is_mean_md_above_the_published_limit():
    # (0.925 - 0.717) / (1.142 - 0.717) = 48.9 at% Cr
    assert value("tcp_tendency", by_atoms(Ni=52, Cr=48)) == 0
    assert value("tcp_tendency", by_atoms(Ni=51, Cr=49)) == 1


# steels


def test_equivalents_of_stainless_steels():
    steel = by_weight(Fe=0, Cr=18, Mo=2, Si=1, Nb=0.5, Ni=10, C=0.05, Mn=1.5, N=0.06)
    assert value("cr_equivalent_wt_percent", steel) == pytest.approx(21.75)
    assert value("ni_equivalent_schaeffler_wt_percent", steel) == pytest.approx(12.25)
    assert value("ni_equivalent_delong_wt_percent", steel) == pytest.approx(14.05)


def test_martensite_start_of_4340_and_of_iron():
    steel = by_weight(Fe=0, C=0.4, Mn=0.7, Ni=1.8, Cr=0.8, Mo=0.25, Si=0.25)
    expected = 539 - 423 * 0.4 - 30.4 * 0.7 - 17.7 * 1.8 - 12.1 * 0.8 - 7.5 * 0.25
    assert value("martensite_start_deg_c", steel) == pytest.approx(expected, abs=1e-9)
    assert value("martensite_start_deg_c", by_weight(Fe=100)) == pytest.approx(539)


# multi-principal alloys


@pytest.mark.parametrize(
    ("formula", "enthalpy", "vec"),  # S. Guo et al., J. Appl. Phys. 109, 103505 (2011)
    [("CoCrFeMnNi", -4.16, 8.0), ("AlCoCrFeNi", -12.32, 7.2), ("CoCrFeNi", -3.75, 8.25)],
)
def test_published_multi_principal_alloys(formula, enthalpy, vec):
    alloy = Compositions.from_formulas([formula])
    n = alloy.z.shape[1]
    assert value("mixing_enthalpy_kj_per_mol", alloy) == pytest.approx(enthalpy, abs=0.006)
    assert value("valence_electron_concentration", alloy) == pytest.approx(vec)
    assert value("mixing_entropy_j_per_mol_k", alloy) == pytest.approx(8.314 * math.log(n))


@pytest.mark.reference
@given(alloys(symbols="Al Co Cr Cu Fe Hf Mg Mn Mo Nb Ni Si Ta Ti V W Y Zr"))
@settings(max_examples=8, deadline=None)
def test_solid_solutions_equal_matminer(compositions):
    from matminer.featurizers.composition.alloy import WenAlloys
    from pymatgen.core import Composition

    wen = WenAlloys(impute_nan=False)
    labels = wen.feature_labels()
    found = evaluate_criteria(compositions, SOLID_SOLUTION).values
    for row, parts in enumerate(compositions.as_dicts()):
        theirs = dict(zip(labels, wen.featurize(Composition(parts)), strict=True))
        ours = {name: found[name][row] for name in SOLID_SOLUTION}
        entropy = -1000 * theirs["Configuration entropy"]
        assert ours["mixing_entropy_j_per_mol_k"] == pytest.approx(entropy, rel=1e-9, abs=1e-9)
        enthalpy = abs(ours["mixing_enthalpy_kj_per_mol"])
        assert max(enthalpy, 1e-6) == pytest.approx(theirs["Mixing enthalpy"], rel=1e-9, abs=1e-9)
        assert ours["omega"] == pytest.approx(theirs["Yang omega"], rel=1e-6)
        delta = 100 * theirs["Yang delta"]
        assert ours["atomic_size_mismatch_percent"] == pytest.approx(delta, rel=1e-9, abs=1e-6)
        assert ours["valence_electron_concentration"] == pytest.approx(theirs["VEC mean"], rel=1e-9)
        mismatch = 100 * theirs["Electronegativity delta"]
        assert ours["electronegativity_mismatch_percent"] == (
            pytest.approx(mismatch, rel=1e-9, abs=1e-6)
        )


@given(alloys())
@settings(max_examples=50, deadline=None)
def test_electronegativity_difference_and_melting_point_in_plain_python(compositions):
    names = ("electronegativity_difference", "melting_point_mean_k")
    found = evaluate_criteria(compositions, names).values
    pauling, melting = element_property("Electronegativity"), element_property("MeltingT")
    for row, (z, x) in enumerate(zip(compositions.z, compositions.x, strict=True)):
        pairs = [(pauling[a], b) for a, b in zip(z, x, strict=True) if a]
        mean = sum(a * b for a, b in pairs)
        spread = math.sqrt(sum(b * (a - mean) ** 2 for a, b in pairs))
        assert found[names[0]][row] == pytest.approx(spread, rel=1e-9, abs=1e-9)
        expected = sum(melting[a] * b for a, b in zip(z, x, strict=True) if a)
        assert found[names[1]][row] == pytest.approx(expected, rel=1e-12)


# resources and lists


@pytest.mark.reference
@given(alloys(symbols="Al Co Cr Cu Fe Mg Mn Mo Nb Ni Sn Ta Ti V W Zr"))
@settings(max_examples=25, deadline=None)
def test_hhi_equals_pymatgen(compositions):
    from pymatgen.analysis.hhi import HHIModel
    from pymatgen.core import Composition

    found = evaluate_criteria(compositions, ["hhi_production", "hhi_reserve"]).values
    for row, parts in enumerate(compositions.as_dicts()):
        production, reserve = HHIModel().get_hhi(Composition(parts))
        assert found["hhi_production"][row] == pytest.approx(production, rel=1e-7)
        assert found["hhi_reserve"][row] == pytest.approx(reserve, rel=1e-7)


@pytest.mark.reference
def test_recycling_substitution_and_radioactivity_are_those_of_mendeleev():
    from mendeleev.fetch import fetch_table

    table = fetch_table("elements").set_index("symbol")
    rates = {"<10": 0.0, "10–30": 10.0, ">30": 30.0}
    levels = {"Low": 1.0, "Medium": 2.0, "High": 3.0}
    for name in ("Ti", "Cr", "Mg", "Zn", "Nb", "Re", "Y", "Co", "V", "Th", "Tc", "Si"):
        theirs = table.loc[name]
        found = evaluate_criteria(
            Compositions.from_formulas([name]),
            [
                "recycling_rate_at_least_percent",
                "substitution_difficulty_highest",
                "contains_radioactive",
            ],
        )
        rate, level, active = (float(v[0]) for v in found.values.values())
        expected = rates.get(theirs.recycling_rate, math.nan)
        assert rate == expected or math.isnan(rate) == math.isnan(expected)
        expected = levels.get(theirs.substitutability, math.nan)
        assert level == expected or math.isnan(level) == math.isnan(expected)
        assert active == float(theirs.is_radioactive)


def test_recycling_is_weighted_by_mass_and_substitution_is_the_worst():
    mixed = by_weight(Ti=0, V=25, Mg=25)  # at least 30, 0 and 10 %; 2, 1 and 3
    assert value("recycling_rate_at_least_percent", mixed) == pytest.approx(15 + 2.5)
    assert value("substitution_difficulty_highest", mixed) == 3
    assert value("substitution_difficulty_highest", by_weight(Ti=0, V=25)) == 2


@pytest.mark.parametrize(
    ("name", "yes", "no"),
    [
        ("contains_radioactive", "TiTh0.001", "TiBi"),
        ("contains_ich_class_1", "CuAs0.001", "CuSn"),
        ("contains_rohs_metal", "SnPb", "SnAs"),
        ("contains_implant_restricted", "TiV0.0001", "TiNb"),
        ("contains_implant_restricted", "CuBe0.01", "CuSn"),
    ],
)
def test_lists_are_one_or_zero(name, yes, no):
    found = evaluate_criteria(Compositions.from_formulas([yes, no]), [name]).values[name]
    assert found.tolist() == [1.0, 0.0]


# missing data and ranges


def test_what_is_missing_is_named_element_or_pair():
    names = ["mean_bo_bcc_ti", "mixing_enthalpy_kj_per_mol", "omega", "tcp_tendency"]
    found = evaluate_criteria(Compositions.from_formulas(["TiAl", "TiY", "TiRe", "TiCl"]), names)
    assert found.missing["mean_bo_bcc_ti"].tolist() == ["", "Y", "Re", "Cl"]
    assert found.missing["tcp_tendency"].tolist() == ["", "Y", "", "Cl"]
    assert found.missing["mixing_enthalpy_kj_per_mol"].tolist() == ["", "", "", "Cl-Ti"]
    assert found.missing["omega"].tolist() == ["", "", "", "Cl-Ti"]
    for name in names:
        assert np.array_equal(np.isnan(found.values[name]), found.missing[name] != "")


def test_unknown_elements_are_what_the_tables_lack():
    names = tuple(builtin_criteria())
    z = np.arange(1, 119, dtype=np.uint8)[:, None]
    found = evaluate_criteria(Compositions(z, np.ones(z.shape)), names)
    for name in ("hhi_production", "melting_point_mean_k", "supply_risk"):
        table = {"melting_point_mean_k": "MeltingT"}.get(name, name)
        unknown = np.isnan(element_property(table)[1:])
        expected = [symbol(i) if unknown[i - 1] else "" for i in range(1, 119)]
        assert found.missing[name].tolist() == expected
    for name in names:
        unset = np.isnan(found.values[name])
        assert not (unset & (found.missing[name] == "") & ~found.outside[name]).any(), name


def outside(name, composition):
    return bool(evaluate_criteria(composition, [name]).outside[name][0])


def test_steels_outside_andrews_range_are_flagged_and_still_computed():
    name = "martensite_start_deg_c"
    assert not outside(name, by_weight(Fe=0, C=0.6, Mn=4.9, Cr=5, Ni=5, Mo=5.4, Si=0.3))
    assert outside(name, by_weight(Fe=0, C=0.61))
    assert outside(name, by_weight(Fe=0, C=0.3, Cr=5.1))
    assert outside(name, by_weight(Fe=0, C=0.3, Co=1))
    assert outside(name, by_weight(Ni=0, Fe=10))
    assert value(name, by_weight(Fe=0, C=0.7)) == pytest.approx(539 - 423 * 0.7)


def test_alloys_of_another_base_or_with_unrated_elements_are_flagged():
    assert outside("mo_equivalent_wt_percent", by_weight(Ti=0, Mn=2))
    assert outside("mo_equivalent_wt_percent", by_weight(Mo=0, Ti=40))
    assert not outside("mo_equivalent_wt_percent", by_weight(Ti=0, Mo=40))
    assert not outside("al_equivalent_wt_percent", by_weight(Ti=50, Al=50))  # a tie is a base
    assert outside("mean_bo_bcc_ti", by_atoms(Ti=40, Nb=60))
    assert outside("mean_md_ni3al_ev", by_atoms(Ni=40, Co=60))
    assert outside("tcp_tendency", by_atoms(Ni=40, Co=60))  # as what it is computed from
    assert outside("cr_equivalent_wt_percent", by_weight(Fe=0, Cr=18, Ni=9, Ti=0.5))


def test_multi_principal_alloys_have_five_elements_of_5_to_35_percent():
    for name in SOLID_SOLUTION:
        assert not outside(name, Compositions.from_formulas(["CoCrFeMnNi"]))
        assert not outside(name, by_atoms(Co=35, Cr=35, Fe=20, Mn=5, Ni=5))
        assert outside(name, by_atoms(Co=36, Cr=34, Fe=20, Mn=5, Ni=5))
        assert outside(name, by_atoms(Co=35, Cr=35, Fe=22, Mn=4, Ni=4))
        assert outside(name, Compositions.from_formulas(["CoCrFeNi"]))
    assert not outside("melting_point_mean_k", Compositions.from_formulas(["CoCrFeNi"]))
