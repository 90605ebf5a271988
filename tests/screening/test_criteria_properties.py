"""What must hold of every criterion, whatever it is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matdisc.composition.compositions import Compositions
from matdisc.composition.elements import element_property
from matdisc.errors import ConfigError
from matdisc.screening import criteria_kernels as kernels
from matdisc.screening.criteria import CRITERION_UNITS, evaluate_criteria
from matdisc.screening.criteria_families import builtin_criteria
from matdisc.screening.criteria_plan import GAS_CONSTANT, make_plan
from matdisc.screening.criteria_registry import Weighted
from tests.screening.alloys import alloys

ALL = tuple(builtin_criteria())


def same(one, two, rtol=1e-11):
    for name in ALL:
        np.testing.assert_allclose(
            one.values[name], two.values[name], rtol=rtol, atol=1e-6, err_msg=name
        )
        assert np.array_equal(one.outside[name], two.outside[name]), name
        assert np.array_equal(one.missing[name] == "", two.missing[name] == ""), name


@given(alloys(), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_the_order_of_the_elements_does_not_matter(compositions, random):
    k = compositions.z.shape[1]
    order = random.sample(range(k), k)
    shuffled = Compositions.normalized(compositions.z[:, order], compositions.x[:, order])
    same(evaluate_criteria(compositions, ALL), evaluate_criteria(shuffled, ALL))


@given(alloys(), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_padding_does_not_matter(compositions, n):
    z = np.pad(compositions.z, ((0, 0), (0, n)))
    x = np.pad(compositions.x, ((0, 0), (0, n)))
    wide, narrow = evaluate_criteria(Compositions(z, x), ALL), evaluate_criteria(compositions, ALL)
    for name in ALL:
        assert np.array_equal(wide.values[name], narrow.values[name], equal_nan=True)
        assert np.array_equal(wide.missing[name], narrow.missing[name])
        assert np.array_equal(wide.outside[name], narrow.outside[name])


@given(alloys(), st.lists(st.sampled_from(ALL), min_size=1, max_size=6, unique=True))
@settings(max_examples=60, deadline=None)
def test_a_choice_gives_the_values_of_all(compositions, names):
    chosen, full = evaluate_criteria(compositions, names), evaluate_criteria(compositions, ALL)
    assert list(chosen.values) == list(chosen.missing) == list(chosen.outside) == names
    for name in names:
        np.testing.assert_allclose(chosen.values[name], full.values[name], rtol=1e-13)
        assert np.array_equal(chosen.missing[name], full.missing[name])
        assert np.array_equal(chosen.outside[name], full.outside[name])


@given(alloys())
@settings(max_examples=60, deadline=None)
def test_a_value_is_unknown_exactly_where_there_is_a_reason(compositions):
    found = evaluate_criteria(compositions, ALL)
    for name in ALL:
        unknown = np.isnan(found.values[name])
        blamed = found.missing[name] != ""
        assert (unknown >= blamed).all(), name
        assert (found.outside[name] | blamed)[unknown].all(), name
        assert np.isfinite(found.values[name][~unknown]).all(), name


@given(alloys())
@settings(max_examples=60, deadline=None)
def test_tables_reduced_in_plain_python(compositions):
    found = evaluate_criteria(compositions, ALL)
    mass = element_property("atomic_mass_g_per_mol")
    for name, criterion in builtin_criteria().items():
        how = criterion.how
        if not isinstance(how, Weighted):
            continue
        for row, parts in enumerate(zip(compositions.z, compositions.x, strict=True)):
            left_out = {"H": 1, "B": 5, "C": 6, "N": 7, "O": 8}
            skip = {left_out[s] for s in how.excluded}
            pairs = [(int(z), float(x)) for z, x in zip(*parts, strict=True) if z and z not in skip]
            if how.reduction == "highest":
                expected = max((how.values[z] for z, _ in pairs), default=np.nan)
                if any(np.isnan(how.values[z]) for z, _ in pairs):
                    expected = np.nan
            else:
                weights = [x * (mass[z] if how.reduction == "mass_mean" else 1) for z, x in pairs]
                total = sum(w * how.values[z] for w, (z, _) in zip(weights, pairs, strict=True))
                expected = total / sum(weights) if weights else np.nan
            np.testing.assert_allclose(
                found.values[name][row], expected, rtol=1e-11, atol=1e-9, err_msg=name
            )


def test_many_rows_are_computed_in_parts_and_nothing_changes():
    rng = np.random.default_rng(7)
    numbers = np.array([22, 13, 23, 24, 26, 28, 39, 17])
    z = numbers[np.argsort(rng.random((10_000, len(numbers))), axis=1)[:, :4]]
    many = Compositions.normalized(z, rng.dirichlet(np.ones(4), 10_000))
    whole = evaluate_criteria(many, ALL)
    for start in (0, 3000, 9_999):
        rows = slice(start, start + 3000)
        part = evaluate_criteria(many[rows], ALL)
        for name in ALL:
            assert np.array_equal(part.values[name], whole.values[name][rows], equal_nan=True)
            assert np.array_equal(part.missing[name], whole.missing[name][rows])
            assert np.array_equal(part.outside[name], whole.outside[name][rows])


@given(alloys())
@settings(max_examples=15, deadline=None)
def test_compiled_kernels_equal_python(compositions):
    z, x = compositions.z, compositions.x
    n = len(z)
    plan = make_plan(builtin_criteria(), ALL)
    w = np.empty_like(x)
    kernels.weight_fractions(z, x, element_property("atomic_mass_g_per_mol"), w)
    r, lacks = plan.ranges, plan.lacks
    limits = (r.most_mole, r.most_mass, r.base, r.base_by_mass, r.n_principal, r.least, r.most)
    elements, mixing = plan.tables["elements"], plan.tables["mixing"]

    def run(compiled):
        def pick(kernel):
            return kernel if compiled else kernel.py_func

        sums, solid = np.zeros((plan.table.shape[1], n)), np.zeros((7, n))
        outside = np.zeros((len(r.base), n), np.bool_)
        marked, codes = np.zeros((plan.n_rows, n)), np.zeros((plan.n_rows, n), np.uint16)
        seen = np.zeros(plan.n_rows, np.bool_)
        pick(kernels.weighted_criteria)(z, x, w, plan.table, plan.ends, sums)
        pick(kernels.solid_solution_criteria)(z, x, elements, mixing, GAS_CONSTANT, solid)
        pick(kernels.mark_outside)(z, x, w, *limits, outside)
        pick(kernels.mark_missing)(
            z, lacks.elements, lacks.pairs, lacks.needs_pairs, marked, codes, seen
        )
        return sums, solid, outside, marked, codes, seen

    with np.errstate(all="ignore"):
        for one, two in zip(run(True), run(False), strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-12, atol=1e-6)


def test_without_names_the_four_of_before():
    found = evaluate_criteria(Compositions.from_formulas(["TiAl"]))
    assert list(found.values) == list(CRITERION_UNITS)
    assert {values.dtype for values in found.values.values()} == {np.dtype(np.float64)}


def test_materials_without_a_composition_have_no_value_and_no_element_to_blame():
    found = evaluate_criteria(Compositions.none(2), ALL)
    for name in ALL:
        assert np.isnan(found.values[name]).all()
        assert found.outside[name].all()
        assert (found.missing[name] == "").all()


def test_an_unknown_name_gets_a_suggestion():
    with pytest.raises(ConfigError, match="unknown criterion 'omeg'; did you mean 'omega'"):
        evaluate_criteria(Compositions.from_formulas(["Ti"]), ["omeg"])
