import numpy as np
import pytest

from matdisc.errors import FeaturizationError
from matdisc.features.types import Features

VALUES = np.zeros((2, 2), np.float32)
OK = np.array([True, False])


def test_failed_rows_may_hold_nan_and_keep_their_reason():
    values = VALUES.copy()
    values[1] = np.nan
    features = Features(values, ("a", "b"), OK, reasons={1: "no data"})
    assert len(features) == 2
    assert features.imputed is None


def test_a_good_row_must_be_finite():
    values = VALUES.copy()
    values[:, 0] = np.nan
    with pytest.raises(FeaturizationError, match=r"1 of 2 rows .* row 0") as caught:
        Features(values, ("a", "b"), OK)
    assert caught.value.ids == (0,)


@pytest.mark.parametrize(
    ("values", "labels", "imputed", "message"),
    [
        (VALUES.astype(np.float16), ("a", "b"), None, "float32"),
        (VALUES, ("a",), None, "match"),
        (VALUES[:1], ("a", "b"), None, "match"),
        (VALUES, ("a", "a"), None, "repeat"),
        (VALUES, ("a", "b"), np.zeros(3, bool), "imputed"),
    ],
)
def test_shapes_types_and_labels_are_checked(values, labels, imputed, message):
    with pytest.raises(FeaturizationError, match=message):
        Features(values, labels, OK, imputed)
