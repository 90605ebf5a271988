"""Small surrogates of alloys, taught on made-up laws, for tests of the funnel on a device."""

from __future__ import annotations

import numpy as np

from matdisc.composition.alloys import Alloys, Condition
from matdisc.composition.compositions import Compositions
from matdisc.composition.elements import atomic_number
from matdisc.features.specs import AlloySpec, ConditionSpec
from matdisc.predictors.inference import AlloyModel
from matdisc.predictors.network_specs import MLPEnsembleSpec
from matdisc.predictors.surrogate import train_surrogate
from matdisc.predictors.types import Targets

ELEMENTS = ("Ni", "Cr", "Al", "Co", "Nb")
TEMPERATURE = "test_temperature_c"
MAGPIE = AlloySpec(elements=ELEMENTS, statistics=("magpie",))
SHARES = AlloySpec(elements=ELEMENTS, conditions=(ConditionSpec(name=TEMPERATURE, fill=20.0),))


def teach(target, weights, descriptors=MAGPIE, unit="MPa", predictor=None, **settings):
    """A model of a law of the shares; a temperature takes 0.4 a degree."""
    rng = np.random.default_rng(len(target))
    n = 150
    percent = rng.uniform(0, 15, (n, len(descriptors.elements) - 1))
    z = np.array([atomic_number(name) for name in descriptors.elements])
    full = np.column_stack([100 - percent.sum(axis=1), percent])
    values = rng.uniform(20, 900, (n, 1))
    alloys = Alloys(
        Compositions.from_weight_percent(z, full), values, (Condition(TEMPERATURE, "C"),)
    )
    featurizer = descriptors.build()
    features = featurizer.transform(alloys)
    y = percent @ np.array(weights, np.float64) + 0.3 * percent[:, 0] * percent[:, 1] + 400
    y += rng.normal(0, 10, n) - 0.4 * values[:, 0] * bool(descriptors.conditions)
    targets = Targets((target,), (unit,), y[:, None], np.ones((n, 1), np.bool_))
    given = {"n_members": 5, "hidden": (24, 16), "n_bins": 0, "min_steps": 150, **settings}
    surrogate = train_surrogate(
        predictor or MLPEnsembleSpec(**given),
        features.values,
        features.labels,
        targets,
        np.arange(n),
        3,
        tables=featurizer.tables,
    )
    return AlloyModel(
        surrogate, descriptors, featurizer, target, unit, "none", "made up", "weight_percent"
    )
