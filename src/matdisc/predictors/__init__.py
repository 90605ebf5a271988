"""Predictors, their calibration and domain, and the surrogate artefact (room 5).

Example::

    from matdisc.predictors.network_specs import MLPEnsembleSpec
    from matdisc.predictors.surrogate import load_surrogate, train_surrogate

    surrogate = train_surrogate(MLPEnsembleSpec(), values, labels, targets, groups, seed=0)
    surrogate.save(folder)
    predictions = load_surrogate(folder).predict(values)

The estimators for scikit-learn are loaded when they are first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matdisc.predictors.estimators import MatdiscClassifier, MatdiscRegressor

__all__ = ["MatdiscClassifier", "MatdiscRegressor"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from matdisc.predictors import estimators

    return getattr(estimators, name)
