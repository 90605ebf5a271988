import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matdisc.composition.alloys import Alloys, Condition, designations
from matdisc.composition.compositions import Compositions
from matdisc.errors import CompositionError

TEMPERATURE = Condition("test_temperature_c", "C")
ROUTE = Condition("route", "1", ("cast", "wrought"))


def alloys(names=("Ni-20Cr", "Ni-19Cr-12Co-3Al"), values=((20.0, np.nan), (650.0, 1.0))):
    composition = Compositions.from_alloy_designations(list(names))
    return Alloys(composition, np.array(values, np.float64), (TEMPERATURE, ROUTE))


def test_identity_names_the_alloy_and_its_conditions():
    columns = alloys().identity()
    assert columns["alloy"].tolist() == ["Ni-20Cr", "Ni-19Cr-12Co-3Al"]
    assert columns["test_temperature_c"].tolist() == [20.0, 650.0]
    assert columns["route"].tolist() == ["", "wrought"]


def test_rows_are_cut_together():
    part = alloys()[np.array([1])]
    assert part.identity()["alloy"].tolist() == ["Ni-19Cr-12Co-3Al"]
    assert part.column("test_temperature_c").tolist() == [650.0]
    assert len(part) == len(part.compositions()) == 1


def test_names_in_atomic_percent_say_so():
    composition = Compositions.from_formulas(["AlTi3", "Nb3Mo1"])
    named = Alloys(composition, np.empty((2, 0)), (), named_in="atomic_percent")
    assert named.identity()["alloy"].tolist() == ["Ti-25Al (at.%)", "Nb-25Mo (at.%)"]
    assert named[np.array([1])].identity()["alloy"].tolist() == ["Nb-25Mo (at.%)"]
    again = Compositions.from_alloy_designations(["Ti-25Al (at.%)"], "atomic_percent")
    assert again.formulas() == ["AlTi3"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (((20.0,), (650.0,)), "must be"),
        (((np.inf, 0.0), (20.0, 0.0)), "finite"),
        (((20.0, 2.0), (20.0, 0.0)), "position in 0..1"),
        (((20.0, 0.5), (20.0, 0.0)), "position in 0..1"),
    ],
)
def test_conditions_that_mean_nothing_are_refused(values, message):
    with pytest.raises(CompositionError, match=message):
        alloys(values=values)


@given(st.lists(st.integers(1, 2000), min_size=4, max_size=4))
def test_designations_are_read_back(hundredths):
    amounts = np.array(hundredths) / 100
    percent = np.array([[100 - amounts.sum(), *amounts]])
    z = np.array([28, 24, 27, 13, 22])
    first = Compositions.from_weight_percent(z, percent)
    (text,) = designations(first)
    again = Compositions.from_alloy_designations([text])
    table = {int(a): float(w) for a, w in zip(again.z[0], again.weight_fractions()[0], strict=True)}
    for element, weight in zip(first.z[0], first.weight_fractions()[0], strict=True):
        assert table[int(element)] == pytest.approx(weight, abs=1e-4)
