"""The surrogate: predictor, calibration and domain, learned together, predicting together."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from matdisc.errors import ArtifactError, DataError
from matdisc.executors import ProgressCallback, no_progress, resolve_device
from matdisc.predictors.bags import grouped_bags
from matdisc.predictors.calibration import (
    Calibration,
    averaging_gain,
    calibrate,
    ensemble_moments,
    mixture_moments,
)
from matdisc.predictors.class_calibration import ClassCalibration, calibrate_classes
from matdisc.predictors.class_metrics import assess_classes
from matdisc.predictors.domain import Domain, fit_domain
from matdisc.predictors.metrics import assess
from matdisc.predictors.plane_domain import PlaneDomain
from matdisc.predictors.types import (
    Amounts,
    ClassPrediction,
    Columns,
    Learner,
    Prediction,
    Predictor,
    ResumableLearner,
    SaysAmounts,
    Targets,
)
from matdisc.predictors.zero_inflated import ZeroInflated
from matdisc.predictors.zero_inflated_calibration import (
    ZeroInflatedCalibration,
    calibrate_zero_inflated,
)

if TYPE_CHECKING:
    from matdisc.predictors.specs import PredictorSpec

__all__ = ["Surrogate", "load_surrogate", "train_surrogate"]

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
Distributions = Sequence[ZeroInflated | None]

_BLOCK_ROWS = 512
"""Rows predicted at once unless the predictor says otherwise (``block_rows``): a quarter of the
memory of 4,096 rows in the same time (10 members of two layers of 128 on one CPU core)."""


@dataclass(frozen=True, slots=True, eq=False)
class Surrogate:
    """Predicts ``t`` targets with intervals, or one class, from ``p`` features."""

    kind: str
    """Kind of the predictor."""
    spec: Mapping[str, Any]
    """Settings of the predictor as JSON values."""
    labels: tuple[str, ...]
    """``(p,)`` names of the features."""
    targets: tuple[str, ...]
    """``(t,)`` names of the targets."""
    units: tuple[str, ...]
    """``(t,)`` their units."""
    predictor: Predictor
    calibration: Calibration | ClassCalibration
    domain: Domain | PlaneDomain
    zero_inflated: ZeroInflatedCalibration | None = field(default=None, kw_only=True)
    """Of predictors that tell whether a value is zero; None of others."""
    quality: Mapping[str, Mapping[str, float | None]]
    """Out-of-bag metrics by target."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """What it was learned from, as JSON values."""
    tables: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    """Copy of the element tables that its features were computed from, by name; empty if none
    were given, as in artefacts of older versions."""
    out_of_bag: Mapping[str, Prediction] | ClassPrediction | None = None
    """Training rows as predicted by the members that did not see them; None once loaded."""
    classes: tuple[str, ...] = ()
    """``(c,)`` names of the classes if the target is a class, else empty."""

    def predict(
        self, values: Float32Array, labels: Sequence[str] | None = None
    ) -> dict[str, Prediction]:
        """Predict every target.

        Args:
            values: ``(n, p)`` finite features in the order of ``self.labels``.
            labels: ``(p,)`` names of the columns, to be compared with ``self.labels``.

        Returns:
            One prediction of ``n`` rows by target. A row's bits depend on nothing but the row,
            its place and the number of rows in its call.

        Raises:
            ArtifactError: If the features are not those that were learned from, or not finite.
        """
        if self.classes:
            raise ArtifactError(
                f"{self.targets[0]} is a class of {list(self.classes)}; use predict_classes"
            )
        values = self._checked(values, labels)
        mean, std, distributions = self._moments(values)
        return self._predictions(mean, std, self.domain.score(values, std), distributions)

    def predict_classes(
        self, values: Float32Array, labels: Sequence[str] | None = None
    ) -> ClassPrediction:
        """Predict the class; arguments and errors as :meth:`predict`.

        Raises:
            ArtifactError: Also if the targets are quantities.
        """
        if not self.classes:
            raise ArtifactError(f"the targets {list(self.targets)} are quantities; use predict")
        values = self._checked(values, labels)
        probability, std, _ = self._moments(values)
        return self._class_prediction(probability, self.domain.score(values, _of_class(std))[:, 0])

    def _moments(self, values: Float32Array) -> tuple[FloatArray, FloatArray, Distributions]:
        """Of the ensemble: uncalibrated mean and standard deviation ``(n, t)`` or ``(n, c)``.

        Then the distributions of values that are zero or above by target, None where they are
        normal.
        """
        n_folds = int(self.spec["n_folds"])
        rows = int(getattr(self.predictor, "block_rows", _BLOCK_ROWS))
        width = len(self.classes) or len(self.targets)
        blocks = [(np.empty((0, width)), np.empty((0, width)))]
        inflated: list[list[ZeroInflated]] = []
        for start in range(0, len(values), rows):
            means, variances, amounts = _members(self.predictor, values[start : start + rows])
            blocks.append(ensemble_moments(means, variances, n_folds))
            if amounts is not None and self.zero_inflated is not None:
                inflated.append(self.zero_inflated.new(amounts, n_folds))
        mean, std = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
        if not inflated:
            return mean, std, [None] * len(self.targets)
        return mean, std, [ZeroInflated.joined(parts) for parts in zip(*inflated, strict=True)]

    def save(self, folder: Path) -> None:
        """Write ``model.safetensors`` and ``surrogate.json``; see the artefact module.

        Args:
            folder: Where to write; made if it is missing, a surrogate in it is replaced.

        Raises:
            ArtifactError: If what was written does not predict the same.
            ResourceError: If the disk is full.
        """
        from matdisc.predictors.artifact import save_surrogate

        save_surrogate(self, folder)

    def _checked(self, values: Float32Array, labels: Sequence[str] | None) -> Float32Array:
        if labels is not None and tuple(labels) != self.labels:
            raise ArtifactError(_label_difference(self.labels, tuple(labels)))
        values = np.asarray(values, np.float32)
        if values.ndim != 2 or values.shape[1] != len(self.labels):
            raise ArtifactError(
                f"features {values.shape} do not fit this surrogate, which needs (n, "
                f"{len(self.labels)}), first {self.labels[0]!r}; use the featurizer it was "
                "trained with"
            )
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if bad.size:
            column = int(np.flatnonzero(~np.isfinite(values[bad[0]]))[0])
            raise ArtifactError(
                f"{bad.size} of {len(values)} rows have features that are not finite; first is "
                f"row {int(bad[0])}, {self.labels[column]!r}; leave out rows that are not ok"
            )
        return values

    def _predictions(
        self,
        mean: FloatArray,
        std: FloatArray,
        domain_score: FloatArray,
        distributions: Distributions,
    ) -> dict[str, Prediction]:
        assert isinstance(self.calibration, Calibration)
        std, half = self.calibration.apply(std)
        found = {}
        for t, (name, unit) in enumerate(zip(self.targets, self.units, strict=True)):
            lower, upper = mean[:, t] - half[:, t], mean[:, t] + half[:, t]
            distribution = distributions[t]
            if distribution is not None and self.zero_inflated is not None:
                lower, upper = self.zero_inflated.interval(distribution, t)
            found[name] = Prediction(
                name,
                unit,
                np.ascontiguousarray(mean[:, t]),
                np.ascontiguousarray(std[:, t]),
                lower,
                upper,
                domain_score[:, t] <= 1.0,
                np.ascontiguousarray(domain_score[:, t]),
                distribution,
            )
        return found

    def _class_prediction(
        self, probability: FloatArray, domain_score: FloatArray
    ) -> ClassPrediction:
        assert isinstance(self.calibration, ClassCalibration)
        calibrated = self.calibration.apply(probability)
        label = self.calibration.labels(calibrated)
        inside = domain_score <= 1.0
        return ClassPrediction(
            self.targets[0], self.classes, calibrated, label, inside, domain_score
        )


def _label_difference(expected: tuple[str, ...], given: tuple[str, ...]) -> str:
    pairs = enumerate(zip_longest(expected, given, fillvalue="nothing"))
    where, want, got = next((i, want, got) for i, (want, got) in pairs if want != got)
    return (
        f"the {len(given)} feature labels are not the {len(expected)} of this surrogate; first "
        f"difference in column {where}: {got!r} instead of {want!r}; use the featurizer it was "
        "trained with"
    )


def load_surrogate(folder: Path, *, device: str = "cpu") -> Surrogate:
    """Read a surrogate that :meth:`Surrogate.save` wrote.

    Args:
        folder: The folder with ``surrogate.json``.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        ArtifactError: If it is missing, damaged or written by a newer matdisc.
        DeviceError: If CUDA is asked for and absent.
    """
    from matdisc.predictors.artifact import read_surrogate

    return read_surrogate(Path(folder), resolve_device(device))


def train_surrogate(
    spec: PredictorSpec,
    values: Float32Array,
    labels: Sequence[str] | Columns,
    targets: Targets,
    groups: npt.NDArray[np.int64],
    seed: int,
    *,
    progress: ProgressCallback | None = None,
    provenance: Mapping[str, Any] | None = None,
    tables: Mapping[str, npt.NDArray[Any]] | None = None,
    device: str = "cpu",
    checkpoint: Path | None = None,
) -> Surrogate:
    """Fit predictor, calibration and domain.

    Args:
        spec: Settings of the predictor.
        values: ``(n, p)`` finite features.
        labels: ``(p,)`` names of the features, or what they are: some predictors use the shares of
            the elements otherwise than the rest.
        targets: ``n`` rows; a missing value is masked.
        groups: ``(n,)`` group of each row, for example its composition. The rows of a group are
            in or out of a member's bag together.
        seed: Seed of everything random.
        progress: Called with the stage ``train``.
        provenance: What the data are, as JSON values, to be kept with the surrogate.
        tables: Element tables that the features were computed from (``featurizer.tables``); a
            copy is kept with the surrogate, their hash in its provenance.
        device: ``auto``, ``cpu`` or ``cuda``.
        checkpoint: File that keeps the state of a long fit while it lasts, for predictors that can
            go on after a kill.

    Raises:
        DataError: If the inputs do not fit together or are too few.
        DeviceError: If CUDA is asked for and absent.
        ArtifactError: If the checkpoint is of another fit.
    """
    device = resolve_device(device)
    columns = labels if isinstance(labels, Columns) else Columns.plain(labels)
    values = np.ascontiguousarray(values, np.float32)
    groups = np.asarray(groups)
    _check_training_data(values, len(columns), targets, groups)
    spec = spec.sized(targets, len(np.unique(groups)))
    rng = np.random.default_rng(seed)
    in_bag = grouped_bags(groups, spec.n_members, spec.n_folds, rng)
    _check_bags(targets, in_bag)
    seeds = rng.integers(2**32, size=spec.n_members, dtype=np.uint32)
    predictor = _learner(spec, checkpoint).fit(
        values,
        targets,
        in_bag,
        seeds,
        columns=columns,
        device=device,
        progress=progress or no_progress,
    )
    means, variances, amounts = _members(predictor, values)
    mean, std = mixture_moments(means, variances, weights=~in_bag)
    spread = _of_class(std) if targets.classes else std
    domain = fit_domain(values, groups, spread, rng, is_condition=columns.is_condition)
    surrogate = Surrogate(
        kind=spec.kind,
        spec=spec.model_dump(mode="json"),
        labels=columns.labels,
        targets=targets.names,
        units=targets.units,
        predictor=predictor,
        calibration=_calibration(means, mean, std, targets, in_bag),
        domain=domain,
        zero_inflated=None
        if amounts is None
        else calibrate_zero_inflated(amounts, targets, in_bag),
        quality={},
        provenance=_provenance(values, targets, groups, seed, tables) | dict(provenance or {}),
        tables=dict(tables or {}),
        classes=targets.classes,
    )
    score = domain.score(values, spread)
    # few members predict these rows: the gain of averaging over all is not theirs
    plain = surrogate
    distributions: Distributions = [None] * len(targets.names)
    if amounts is not None:
        few = calibrate_zero_inflated(amounts, targets, in_bag, averaged=False)
        plain = replace(plain, zero_inflated=few)
        distributions = few.out_of_bag(amounts, in_bag)
    if not targets.classes:
        plain = replace(plain, calibration=calibrate(mean, std, targets.values, targets.mask))
    out_of_bag, quality = _out_of_bag(plain, mean, std, targets, score, distributions)
    return replace(surrogate, out_of_bag=out_of_bag, quality=quality)


def _members(
    predictor: Predictor, values: Float32Array
) -> tuple[FloatArray, FloatArray, Amounts | None]:
    """What the members say, and of values that are often zero what they say of both parts."""
    amounts = predictor.amounts(values) if isinstance(predictor, SaysAmounts) else None
    if amounts is None or not isinstance(predictor, SaysAmounts):
        return (*predictor.members(values), None)
    return (*predictor.estimate(amounts), amounts)


def _of_class(std: FloatArray) -> FloatArray:
    """``(n, 1)`` disagreement of the members about a class, from that about each ``(n, c)``."""
    return np.asarray(np.sqrt((std**2).sum(axis=1, keepdims=True)))


def _learner(spec: PredictorSpec, checkpoint: Path | None) -> Learner:
    learner = spec.build()
    if checkpoint is not None and isinstance(learner, ResumableLearner):
        return learner.resuming(checkpoint)
    return learner


def _calibration(
    means: FloatArray, mean: FloatArray, std: FloatArray, targets: Targets, in_bag: BoolArray
) -> Calibration | ClassCalibration:
    """From out-of-bag ``mean`` and ``std`` of all members' ``means``."""
    if targets.classes:
        known = targets.mask[:, 0]
        return calibrate_classes(mean[known], targets.values[known, 0].astype(np.int64))
    gain = averaging_gain(means, ~in_bag, targets.values, targets.mask)
    return calibrate(mean, std, targets.values, targets.mask, gain)


def _out_of_bag(
    plain: Surrogate,
    mean: FloatArray,
    std: FloatArray,
    targets: Targets,
    domain_score: FloatArray,
    distributions: Distributions,
) -> tuple[dict[str, Prediction] | ClassPrediction, dict[str, Any]]:
    """Predictions of the training rows by the members that did not see them, and their metrics."""
    if targets.classes:
        classes = plain._class_prediction(mean, domain_score[:, 0])
        return classes, {targets.names[0]: assess_classes(targets, classes)}
    found = plain._predictions(mean, std, domain_score, distributions)
    return found, assess(targets, found)


def _check_training_data(
    values: Float32Array,
    p: int,
    targets: Targets,
    groups: npt.NDArray[np.int64],
) -> None:
    n = len(targets)
    if values.shape != (n, p) or groups.shape != (n,):
        raise DataError(
            f"features {values.shape}, groups {groups.shape}, {p} labels and {n} rows of targets "
            "do not fit together"
        )
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if bad.size:
        raise DataError(
            f"{bad.size} of {n} rows have features that are not finite; first is row "
            f"{int(bad[0])}; leave out rows that are not ok"
        )


def _check_bags(targets: Targets, in_bag: BoolArray) -> None:
    """Every member needs two known values of every target."""
    known = in_bag.astype(np.int64) @ targets.mask.astype(np.int64)
    bad = np.flatnonzero(known.min(axis=0) < 2)
    if bad.size:
        t = int(bad[0])
        raise DataError(
            f"target {targets.names[t]!r} has {int(targets.mask[:, t].sum())} known values, too "
            "few to learn from; more data are needed, or leave the target out"
        )


def _provenance(
    values: Float32Array,
    targets: Targets,
    groups: npt.NDArray[np.int64],
    seed: int,
    tables: Mapping[str, npt.NDArray[Any]] | None,
) -> dict[str, Any]:
    from matdisc.features.element_tables import hash_tables
    from matdisc.runs.environment import package_versions

    digest = hashlib.sha256()
    for array in (values, np.where(targets.mask, targets.values, 0.0), targets.mask, groups):
        digest.update(np.ascontiguousarray(array).tobytes())
    return {
        "seed": seed,
        "n_rows": len(targets),
        "n_groups": len(np.unique(groups)),
        "n_known": dict(zip(targets.names, targets.mask.sum(axis=0).tolist(), strict=True)),
        "data_sha256": digest.hexdigest(),
        "versions": package_versions(),
        **({"tables_sha256": hash_tables(tables)} if tables else {}),
    }
