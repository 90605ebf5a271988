"""Descriptors, predictions and scores of candidates on a device, stage by stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from matdisc.errors import ConfigError
from matdisc.features.element_tables import hash_tables
from matdisc.screening.alloy_models import ModelSet
from matdisc.screening.blocks import OUTSIDE_DOMAIN
from matdisc.screening.demands import DemandScore
from matdisc.screening.device.counts import DeviceCount
from matdisc.screening.device.demands import log_probability
from matdisc.screening.device.ensemble import DeviceSurrogate
from matdisc.screening.device.features import DeviceFeatures

if TYPE_CHECKING:
    from matdisc.screening.device.spaces import DeviceRows, DeviceSpace

__all__ = ["DeviceModels", "ModelCounts"]


class ModelCounts:
    """The counts of the stages that the models take part in."""

    def __init__(self, models: DeviceModels, *, strict: bool) -> None:
        """Empty counts.

        Args:
            models: The models.
            strict: Whether a candidate outside the domain leaves instead of being marked.
        """
        outside = [OUTSIDE_DOMAIN]
        not_finite = [f"prediction of {target} not finite" for target in models.targets]
        self.features = DeviceCount("features", models.reasons)
        self.predictions = DeviceCount("predictions", not_finite)
        self.domain = DeviceCount("domain", outside * strict, outside * (not strict))
        self.score = DeviceCount("score", ["score not finite"])
        self.strict = strict

    @property
    def stages(self) -> tuple[DeviceCount, ...]:
        """In their order."""
        return self.features, self.predictions, self.domain, self.score


class DeviceModels:
    """Several models of alloys and the demands on them: the twin of a :class:`ModelSet`."""

    def __init__(
        self,
        featurizer: Any,
        surrogate: Any,
        score: Any,
        space: DeviceSpace,
        device: str,
        dtype: torch.dtype,
    ) -> None:
        """Bring the models of a funnel to a device.

        Args:
            featurizer: Of the funnel.
            surrogate: Of the funnel.
            score: Of the funnel.
            space: Where the candidates are from.
            device: Where to compute.
            dtype: Of the factors of products: float32 or bfloat16.

        Raises:
            ConfigError: If there is no twin of one of them, or a target is not predicted.
        """
        if not isinstance(featurizer, ModelSet) or featurizer is not surrogate:
            raise _refusal("descriptors and surrogates that are no set of models of alloys")
        if not isinstance(score, DemandScore):
            raise _refusal("a score that is no probability of meeting demands")
        self._parts: list[tuple[DeviceFeatures, DeviceSurrogate]] = []
        shared: dict[str, DeviceFeatures] = {}
        for model in featurizer.models:
            own = model.featurizer
            key = own.spec.model_dump_json() + hash_tables(own.tables)
            if key not in shared:
                shared[key] = DeviceFeatures(own, space, device)
            features = shared[key]
            twin = DeviceSurrogate(model.surrogate, features.order, device, dtype)
            self._parts.append((features, twin))
        self._demands = {demand.target: demand for demand in score.demands}
        for target in self._demands:
            if target not in self.targets:
                raise ConfigError(f"no model predicts {target}; there are {sorted(self.targets)}")

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of all targets, in the order of the models."""
        return tuple(target for _, twin in self._parts for target in twin.targets)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why a candidate may have no descriptors; the first that applies counts."""
        return tuple(text for features, _ in self._parts for text in features.reasons)

    def __call__(self, rows: DeviceRows, counts: ModelCounts) -> tuple[Tensor, Tensor]:
        """Scores and domain scores; nothing waits for the host.

        Args:
            rows: ``n`` candidates.
            counts: Added to.

        Returns:
            ``(n,)`` float64 scores, -inf of a candidate that left for want of descriptors, a
            prediction or a score, but not for its domain; and ``(n,)`` float64 its largest domain
            score.
        """
        masks = (mask for features, _ in self._parts for mask in features.refused(rows))
        good = counts.features.keep(len(rows), masks, like=rows.x)
        score = rows.x.new_zeros(len(rows))
        domain = rows.x.new_zeros(len(rows))
        not_finite: list[Tensor] = []
        values: dict[int, Tensor] = {}
        for features, twin in self._parts:
            if id(features) not in values:  # models may share their descriptors
                values[id(features)] = features(rows)
            found = twin(values[id(features)])
            domain = torch.maximum(domain, found.domain_score.amax(dim=1))
            for target, mean, std, half in zip(
                twin.targets, found.mean.T, found.std.T, found.half.T, strict=True
            ):
                not_finite.append(~(mean.isfinite() & std.isfinite() & half.isfinite()))
                if target in self._demands:
                    score += log_probability(self._demands[target], mean, std)
        good = counts.predictions.keep(good, not_finite)
        outside = [domain > 1.0]
        if counts.strict:
            inside = counts.domain.keep(good, outside)
        else:
            inside = counts.domain.keep(good, (), outside)
        unscored = ~score.isfinite()
        counts.score.keep(inside, [unscored])
        return torch.where(good & ~unscored, score, -torch.inf), domain


def _refusal(what: str) -> ConfigError:
    return ConfigError(f"{what} cannot be evaluated on a device; use backend: numba")
