"""Predictors, their calibration and domain, and the surrogate artefact (room 5).

Example::

    from matdisc.predictors.network_specs import MLPEnsembleSpec
    from matdisc.predictors.surrogate import load_surrogate, train_surrogate

    surrogate = train_surrogate(MLPEnsembleSpec(), values, labels, targets, groups, seed=0)
    surrogate.save(folder)
    predictions = load_surrogate(folder).predict(values)
"""

from __future__ import annotations

__all__: list[str] = []
