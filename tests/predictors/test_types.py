import numpy as np
import pytest

from matdisc.errors import DataError
from matdisc.predictors.types import Prediction, Targets


def test_targets_ignore_what_is_masked():
    targets = Targets(("a",), ("eV",), np.array([[1.0], [np.nan]]), np.array([[True], [False]]))
    assert len(targets) == 2
    assert targets[np.array([1])].values.shape == (1, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": ("a", "a")}, "distinct names"),
        ({"units": ("eV",)}, "a unit each"),
        ({"values": np.zeros((3, 3))}, "shape"),
        ({"mask": np.ones((3, 2))}, "must be bool"),
        ({"values": np.array([[0, 0], [0, np.nan], [0, 0]])}, r"1 known .* row 1 of 'b'"),
    ],
)
def test_targets_that_do_not_fit_are_refused(change, message):
    good = {
        "names": ("a", "b"),
        "units": ("eV", "GPa"),
        "values": np.zeros((3, 2)),
        "mask": np.ones((3, 2), bool),
    }
    with pytest.raises(DataError, match=message):
        Targets(**{**good, **change})


def test_prediction_refuses_arrays_of_other_lengths():
    three, two = np.zeros(3), np.zeros(2)
    with pytest.raises(DataError, match="upper"):
        Prediction("a", "eV", three, three, three, two, np.ones(3, bool))
