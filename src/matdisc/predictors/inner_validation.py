"""Grouped cross-validation inside the training rows, fold by fold: what every choice is made by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from matdisc.executors import no_progress, resolve_device
from matdisc.predictors.bags import grouped_folds
from matdisc.predictors.class_calibration import best_log_loss
from matdisc.predictors.specs import PredictorSpec
from matdisc.predictors.surrogate import train_surrogate
from matdisc.predictors.types import Columns, Targets

__all__ = ["InnerValidation", "KeptResults", "data_digest"]

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
Int64Array = npt.NDArray[np.int64]

_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, eq=False)
class InnerValidation:
    """The training rows and their folds, the same for everything that is compared."""

    targets: Targets
    """``n`` rows."""
    groups: Int64Array
    """``(n,)`` group of each row."""
    fold: Int64Array
    """``(n,)`` fold of each row."""
    seed: int

    @classmethod
    def of(cls, targets: Targets, groups: Int64Array, n_folds: int, seed: int) -> InnerValidation:
        """Folds that keep the rows of a group together.

        Raises:
            DataError: If there are fewer groups than folds.
        """
        groups = np.asarray(groups)
        fold = grouped_folds(groups, n_folds, np.random.default_rng(seed))
        return cls(targets, groups, fold, seed)

    @property
    def n_folds(self) -> int:
        """Number of folds."""
        return int(self.fold.max()) + 1

    def running_errors(
        self, spec: PredictorSpec, values: Float32Array, columns: Columns, *, device: str = "cpu"
    ) -> Iterator[float]:
        """Error over the folds so far, after every fold.

        Args:
            spec: Settings of the predictor.
            values: ``(n, p)`` finite features.
            columns: What they are.
            device: ``auto``, ``cpu`` or ``cuda``.

        Yields:
            Mean over targets of the mean absolute error, as a share of the target's standard
            deviation over all rows [1]; for a class the logarithmic loss [nat] at the temperature
            that makes it smallest, since probabilities are calibrated later. Infinite as long as a
            target has no known value in the folds.

        Raises:
            DataError: If the inputs do not fit together or are too few.
        """
        targets = self.targets
        names = range(len(targets.names))
        known = [targets.values[targets.mask[:, i], i] for i in names]
        tiny = np.finfo(np.float64).tiny
        scale = np.array([max(v.std(), tiny) for v in known])
        said = np.zeros((len(targets), targets.n_outputs))
        for k in range(self.n_folds):
            out = self.fold == k
            said[out] = self._said(spec, values, columns, k, device)
            rows = np.flatnonzero(self.fold <= k)
            yield _error(targets[rows], said[rows], scale)

    def _said(
        self, spec: PredictorSpec, values: Float32Array, columns: Columns, k: int, device: str
    ) -> FloatArray:
        """What is said of the rows of fold ``k`` by one that learned from all others.

        One member says almost what many say, for a fraction of the time; predictors that weigh
        others need rows out of bag inside, and thus several.
        """
        out = self.fold == k
        if spec.parts():
            return self._said_by_surrogate(spec, values, columns, k, device)
        seed = np.random.default_rng(self.seed + k).integers(2**32, size=1, dtype=np.uint32)
        model = spec.build().fit(
            values,
            self.targets,
            ~out[None],
            seed,
            columns=columns,
            device=resolve_device(device),
            progress=no_progress,
        )
        return np.asarray(model.members(values[out])[0][0])

    def _said_by_surrogate(
        self, spec: PredictorSpec, values: Float32Array, columns: Columns, k: int, device: str
    ) -> FloatArray:
        out = self.fold == k
        surrogate = train_surrogate(
            spec,
            values[~out],
            columns,
            self.targets[~out],
            self.groups[~out],
            self.seed + k,
            device=device,
        )
        if surrogate.classes:
            return surrogate.predict_classes(values[out]).probability
        found = surrogate.predict(values[out])
        return np.stack([found[name].mean for name in self.targets.names], axis=1)


def _error(targets: Targets, said: FloatArray, scale: FloatArray) -> float:
    """Mean error of what was said; infinite if a target has no known value."""
    mask = targets.mask
    if not mask.any(axis=0).all():
        return float("inf")
    if targets.classes:
        rows = mask[:, 0]
        return best_log_loss(said[rows], targets.values[rows, 0].astype(np.int64))
    error = np.where(mask, np.abs(said - np.where(mask, targets.values, 0.0)), 0.0)
    return float((error.sum(axis=0) / mask.sum(axis=0) / scale).mean())


class KeptResults:
    """Results in the order in which they were found, in a JSON file that a kill leaves whole.

    What another question left in the file is not used: the question is part of it.
    """

    def __init__(self, path: Path | None, question: Mapping[str, Any]) -> None:
        """Read what is there.

        Args:
            path: The file; None to keep nothing.
            question: Plain values on which the results depend.
        """
        self._path = path
        text = json.dumps(question, sort_keys=True, separators=(",", ":"))
        self._key = hashlib.sha256(text.encode()).hexdigest()
        self.results: list[dict[str, Any]] = self._read()

    def _read(self) -> list[dict[str, Any]]:
        if self._path is None or not self._path.is_file():
            return []
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8"))
        except ValueError:  # damaged: found again, like the answer to another question
            return []
        of_this = {"schema_version": _SCHEMA_VERSION, "question": self._key}
        same = isinstance(kept, dict) and of_this.items() <= kept.items()
        return list(kept["results"]) if same else []

    def keep(self, number: int, result: dict[str, Any]) -> None:
        """Put a result in its place; those after it are forgotten."""
        self.results = [*self.results[:number], result]
        if self._path is None:
            return
        from matdisc.runs.files import write_json

        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_json(
            self._path,
            {
                "schema_version": _SCHEMA_VERSION,
                "question": self._key,
                "results": self.results,
            },
        )


def data_digest(*arrays: npt.NDArray[Any]) -> str:
    """SHA-256 of the arrays that a question is about."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
