"""The criteria that come with matdisc, family by family.

Not here, for want of a source that could be checked: a beta-transus formula (copies in circulation
differ in the coefficient of aluminium), import dependence and embodied energy (no table under a
licence that allows to ship it). All three can be had as a user's formula or table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

import numpy as np

from matdisc.composition.elements import MAX_Z, element_property, symbol
from matdisc.screening.criteria_formula import parse_formula
from matdisc.screening.criteria_registry import (
    ANY_ALLOY,
    Criterion,
    CriterionRegistry,
    KernelColumn,
    Range,
    Reduction,
    Weighted,
    element_table,
    presence,
)
from matdisc.screening.criteria_tables import (
    ANDREWS_MS,
    ANDREWS_MS_AT_IRON,
    ANDREWS_MS_MOST,
    BANIA_MO,
    BANIA_NEUTRAL,
    BCC_TI_BO,
    BCC_TI_MD,
    GAMMA_PRIME_FORMERS,
    ICH_CLASS_1,
    IMPLANT_RESTRICTED,
    NI3AL_MD,
    ROHS_METALS,
    ROSENBERG_AL,
    SCHAEFFLER_CR,
    SCHAEFFLER_NI,
    SOURCES,
)

__all__ = ["builtin_criteria"]

_MULTI_PRINCIPAL = "multi-principal alloys"
_TITANIUM = "titanium alloys"
_NICKEL = "nickel superalloys"
_STEEL = "steels"
_MASS = "atomic_mass_g_per_mol"

_STEEL_RESIDUALS = ("P", "S")
_INTERSTITIALS = ("H", "C", "N", "O")
_BORIDE_AND_CARBIDE = ("B", "C")


@cache
def builtin_criteria() -> CriterionRegistry:
    """All criteria that come with matdisc."""
    return CriterionRegistry(
        [
            *_mixtures(),
            *_solid_solutions(),
            *_titanium(),
            *_nickel(),
            *_steels(),
            *_resources(),
            *_lists(),
        ]
    )


def _mixtures() -> Iterable[Criterion]:
    rows = (
        ("density_g_per_cm3", "g/cm^3", "density", SOURCES["vegard"], "molar_volume_cm3_per_mol"),
        ("price_usd_per_kg", "USD/kg", "price", SOURCES["mendeleev"], "price_usd_per_kg"),
        ("supply_risk", "1", "supply risk", SOURCES["rsc"], "supply_risk"),
        ("supply_risk_highest", "1", "highest supply risk", SOURCES["rsc"], "supply_risk"),
    )
    for column, (name, unit, label, source, table) in enumerate(rows):
        tables = (table,) if column == 3 else (_MASS, table)
        yield Criterion(
            name, unit, label, source, ANY_ALLOY, KernelColumn("mixture", column), tables
        )


def _solid_solutions() -> Iterable[Criterion]:
    pairs = "mixing_enthalpy_kj_per_mol"
    rows: tuple[tuple[str, str, str, str, tuple[str, ...]], ...] = (
        ("mixing_entropy_j_per_mol_k", "J/(mol K)", "mixing entropy", "yeh", ()),
        ("mixing_enthalpy_kj_per_mol", "kJ/mol", "mixing enthalpy", "takeuchi", (pairs,)),
        ("atomic_size_mismatch_percent", "%", "delta", "zhang", ("radius_pm",)),
        ("omega", "1", "Omega", "yang", ("melting_k", pairs)),
        ("valence_electron_concentration", "1", "VEC", "guo", ("valence",)),
        (
            "electronegativity_mismatch_percent",
            "%",
            "mismatch of Miedema's electronegativity",
            "wen",
            ("electronegativity",),
        ),
        (
            "electronegativity_difference",
            "1",
            "difference of Pauling's electronegativity",
            "fang",
            ("Electronegativity",),
        ),
    )
    stated = Range(
        "five or more elements between 5 and 35 at% (J.-W. Yeh et al. 2004)",
        basis="at",
        principal=(5, 5.0, 35.0),
    )
    for column, (name, unit, label, source, tables) in enumerate(rows):
        how = KernelColumn("solid_solution", column)
        yield Criterion(name, unit, label, SOURCES[source], _MULTI_PRINCIPAL, how, tables, stated)
    yield _of_table("melting_point_mean_k", "K", "melting point by mixtures", "yang", "MeltingT")


def _titanium() -> Iterable[Criterion]:
    rated = dict.fromkeys([*BANIA_MO, *BANIA_NEUTRAL], 100.0)
    yield _linear(
        "mo_equivalent_wt_percent",
        "wt%",
        "Mo equivalent",
        "bania",
        _TITANIUM,
        BANIA_MO,
        Range(
            "titanium base; no element but those of the formula and Sn, Zr, Si, O, N, C, H",
            base="Ti",
            at_most=rated,
            others_at_most=0.0,
        ),
    )
    yield _linear(
        "al_equivalent_wt_percent",
        "wt%",
        "Al equivalent",
        "rosenberg",
        _TITANIUM,
        ROSENBERG_AL,
        Range("titanium base", base="Ti"),
    )
    stated = Range("titanium base; without H, C, N, O, which are left out", base="Ti", basis="at")
    for name, unit, label, table in (
        ("mean_bo_bcc_ti", "1", "mean Bo in bcc Ti", BCC_TI_BO),
        ("mean_md_bcc_ti_ev", "eV", "mean Md in bcc Ti", BCC_TI_MD),
    ):
        how = Weighted(element_table(table), "mole_mean", _INTERSTITIALS)
        yield Criterion(name, unit, label, SOURCES["kuroda"], _TITANIUM, how, (name,), stated)


def _nickel() -> Iterable[Criterion]:
    stated = Range(
        "nickel base; meant for the composition of the gamma phase; without B and C, which are "
        "left out as bound in borides and carbides",
        base="Ni",
        basis="at",
    )
    how = Weighted(element_table(NI3AL_MD), "mole_mean", _BORIDE_AND_CARBIDE)
    name = "mean_md_ni3al_ev"
    yield Criterion(
        name, "eV", "mean Md in Ni3Al", SOURCES["morinaga"], _NICKEL, how, (name,), stated
    )
    formers = element_table(dict.fromkeys(GAMMA_PRIME_FORMERS, 100.0), 0.0)
    yield Criterion(
        "gamma_prime_formers_at_percent",
        "at%",
        "Al + Ti + Nb + Ta",
        SOURCES["reed"],
        _NICKEL,
        Weighted(formers, "mole_mean"),
        (),
        Range("nickel base", base="Ni", basis="at"),
    )
    # sigma at the highest temperature that the paper gives a limit for (1477 K; at 1073 K: 0.900)
    yield Criterion(
        "tcp_tendency",
        "0 or 1",
        "mean Md above 0.925 eV",
        SOURCES["morinaga"],
        _NICKEL,
        parse_formula("mean_md_ni3al_ev > 0.925"),
    )


def _steels() -> Iterable[Criterion]:
    stainless = dict.fromkeys([*SCHAEFFLER_CR, *SCHAEFFLER_NI, "N", *_STEEL_RESIDUALS], 100.0)
    stated = Range(
        "iron base; no element but Cr, Ni, Mo, Si, Nb, C, N, Mn, P, S",
        base="Fe",
        at_most=stainless,
        others_at_most=0.0,
    )
    for name, label, source, table in (
        ("cr_equivalent_wt_percent", "Cr equivalent (Schaeffler)", "schaeffler", SCHAEFFLER_CR),
        (
            "ni_equivalent_schaeffler_wt_percent",
            "Ni equivalent (Schaeffler)",
            "schaeffler",
            SCHAEFFLER_NI,
        ),
        (
            "ni_equivalent_delong_wt_percent",
            "Ni equivalent (DeLong)",
            "delong",
            {**SCHAEFFLER_NI, "N": 30.0},
        ),
    ):
        yield _linear(name, "wt%", label, source, _STEEL, table, stated)
    yield _linear(
        "martensite_start_deg_c",
        "deg C",
        "Ms (Andrews)",
        "andrews",
        _STEEL,
        ANDREWS_MS,
        Range(
            "iron base; at most 0.6 C, 4.9 Mn, 5.0 Cr, 5.0 Ni, 5.4 Mo (wt%); no other element but "
            "Si, P, S",
            base="Fe",
            at_most={**ANDREWS_MS_MOST, **dict.fromkeys(["Si", *_STEEL_RESIDUALS], 100.0)},
            others_at_most=0.0,
        ),
        constant=ANDREWS_MS_AT_IRON,
    )


def _resources() -> Iterable[Criterion]:
    for name, label in (
        ("hhi_production", "HHI of production"),
        ("hhi_reserve", "HHI of reserves"),
    ):
        yield _of_table(name, "1", label, "gaultois", name, "mass_mean")
    rate = "recycling_rate_at_least_percent"
    yield _of_table(rate, "%", "recycling rate, at least", "rsc", rate, "mass_mean")
    # 1 substitutes at little loss, 2 at a loss, 3 hardly or not possible
    yield _of_table(
        "substitution_difficulty_highest",
        "1",
        "highest difficulty of substitution",
        "rsc",
        "substitution_difficulty",
        "highest",
    )


def _lists() -> Iterable[Criterion]:
    radioactive = [symbol(z) for z in range(1, MAX_Z + 1) if element_property("is_radioactive")[z]]
    for name, label, source, elements in (
        ("contains_radioactive", "radioactive element", "mendeleev", radioactive),
        ("contains_ich_class_1", "As, Cd, Hg or Pb", "ich", ICH_CLASS_1),
        ("contains_rohs_metal", "Cd, Hg or Pb", "rohs", ROHS_METALS),
        ("contains_implant_restricted", "Ni, V, Be or Co", "niinomi", IMPLANT_RESTRICTED),
    ):
        yield Criterion(name, "0 or 1", label, SOURCES[source], ANY_ALLOY, presence(elements))


def _linear(
    name: str,
    unit: str,
    label: str,
    source: str,
    meant_for: str,
    table: Mapping[str, float],
    stated: Range,
    constant: float = 0.0,
) -> Criterion:
    """A constant and a sum of coefficients times weight per cents; 0 for unlisted elements."""
    # mass fractions add up to 1, so that a constant is one that every element brings
    values = constant + 100.0 * element_table(table, 0.0)
    how = Weighted(np.nan_to_num(values, nan=0.0), "mass_mean")
    return Criterion(name, unit, label, SOURCES[source], meant_for, how, (), stated)


def _of_table(
    name: str, unit: str, label: str, source: str, table: str, reduction: Reduction = "mole_mean"
) -> Criterion:
    how = Weighted(element_property(table), reduction)
    return Criterion(name, unit, label, SOURCES[source], ANY_ALLOY, how, (table,))
