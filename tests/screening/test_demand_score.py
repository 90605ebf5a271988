import numpy as np
import pytest
from scipy.stats import norm

from matdisc.composition.compositions import Compositions
from matdisc.predictors.types import Prediction
from matdisc.predictors.zero_inflated import ZeroInflated
from matdisc.screening.alloy_models import DemandScore

ALLOYS = Compositions.from_formulas(["Ti", "TiAl"])


def prediction(target, mean, std, distribution=None):
    mean, std = np.array(mean), np.array(std)
    inside = np.ones(len(mean), bool)
    return Prediction(target, "1", mean, std, mean, mean, inside, None, distribution)


def test_demands_on_normal_properties_multiply():
    found = {"a": prediction("a", [1.0, 2.0], [1.0, 2.0]), "b": prediction("b", [0, 0], [1.0, 1.0])}
    score = DemandScore((("a", 1.5), ("b", 1.0)))(None, ALLOYS, found)
    expected = norm.sf([0.5, -0.25]) * norm.sf([1.0, 1.0])
    np.testing.assert_allclose(score, expected)


def test_a_value_that_is_often_zero_is_asked_its_own_distribution():
    zero = ZeroInflated(np.array([0.9, 0.1]), np.array([3.0, 3.0]), np.array([0.1, 0.1]))
    found = {"gap": prediction("gap", [0.0, 3.0], [1.0, 1.0], zero)}
    score = DemandScore((("gap", 1.0),))(None, ALLOYS, found)
    assert score == pytest.approx([0.1, 0.9], abs=1e-6)
    assert DemandScore((("gap", 0.0),))(None, ALLOYS, found) == pytest.approx([1.0, 1.0])
