"""Results of folds outside a run: work that several machines or sessions share, and can be checked.

One file a task and seed, ``<task>/seed-<seed>.safetensors`` (of a GPU ``seed-<seed>-cuda``), with
the predictions of every held-out row and, as JSON in its header, what they are of and what made
them. A result is taken only where it is of the same work: data, rows, settings, seed and device.
Machines that share a folder take other tasks or seeds each.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from matdisc import __version__
from matdisc.config import Spec, content_hash
from matdisc.errors import ArtifactError
from matdisc.executors import device_identity
from matdisc.predictors.inner_validation import data_digest
from matdisc.predictors.specs import PredictorSpec
from matdisc.predictors.teaching import FoldResult, FoldTask
from matdisc.runs import atomic_write
from matdisc.runs.environment import git_commit, hardware

__all__ = ["FoldStore", "StoredFold", "fold_identity"]

logger = logging.getLogger(__name__)

_SCHEMA_VERSION = 2
"""Since 2 every result has a checksum."""
_RESULT_VERSION = 1
"""To be raised with every change of code that changes what a task finds by more than rounding."""
_PLAIN = ("settings", "trials", "descriptors", "importance")


@dataclass(frozen=True, slots=True, eq=False)
class StoredFold:
    """A result and what made it."""

    result: FoldResult
    made: Mapping[str, Any]
    """``seconds`` of one core, ``commit``, ``processor``, ``matdisc`` version and ``device`` (a CPU
    where an older file does not say)."""


def fold_identity(task: FoldTask, computed_from: Mapping[str, str]) -> str:
    """SHA-256 of everything that decides what a task finds.

    Args:
        task: With the data that computed properties are learned from, not yet their encoder.
        computed_from: SHA-256 by name of these data, of their cards, and of encoders that the
            config names by their folder.
    """
    alloys, targets = task.table.alloys, task.table.targets
    return content_hash(
        {
            "version": _RESULT_VERSION,
            "predictor": task.taught.model_dump(mode="json"),
            "descriptors": task.spec.descriptors.model_dump(mode="json"),
            "search": _plain(task.spec.search) if _is_searched(task.predictor) else None,
            "computed_from": dict(computed_from),
            "seed": task.seed,
            "explain": task.explain,
            **device_identity(task.device),
            "conditions": [[c.name, c.unit, *c.categories] for c in alloys.conditions],
            "targets": [*targets.names, *targets.units, *targets.classes],
            "data": data_digest(
                alloys.composition.z,
                alloys.composition.x,
                alloys.values,
                np.where(targets.mask, targets.values, 0.0),
                targets.mask,
                task.table.groups,
                task.train,
                task.test,
            ),
        }
    )


def _plain(spec: Spec | None) -> dict[str, Any] | None:
    return None if spec is None else spec.model_dump(mode="json")


def _is_searched(predictor: PredictorSpec) -> bool:
    return bool(predictor.search_space() or predictor.search_parts())


class FoldStore:
    """A folder of results."""

    def __init__(self, folder: Path, computed_from: Mapping[str, str]) -> None:
        """Look at a folder, which need not exist.

        Args:
            folder: Of the files.
            computed_from: See :func:`fold_identity`.
        """
        self._folder = Path(folder)
        self._computed_from = dict(computed_from)

    def read(self, tasks: Mapping[str, FoldTask]) -> dict[str, StoredFold]:
        """Results of those tasks that are there, by name ``<task>/<seed>/<unit>``.

        Raises:
            ArtifactError: If a file is damaged, or of a newer matdisc.
        """
        found, others = {}, 0
        for file in sorted({self._file(name, task) for name, task in tasks.items()}):
            content = _read(file)
            for name, task in tasks.items():
                unit = name.rpartition("/")[2]
                if self._file(name, task) != file or unit not in content:
                    continue
                facts, arrays = content[unit]
                if facts["identity"] != fold_identity(task, self._computed_from):
                    others += 1
                    continue
                plain = {part: facts[part] for part in _PLAIN}
                predicted = {part: arrays[part] for part in facts["parts"]}
                found[name] = StoredFold(FoldResult(predicted, **plain), facts["made"])
        if others:
            logger.warning(
                "%d results in %s are of other data, settings or seeds and not used",
                others,
                self._folder,
            )
        return found

    def core_seconds(self, tasks: Mapping[str, FoldTask]) -> dict[str, float]:
        """Seconds that a core worked on such tasks before, by name; without those never done.

        Means over what is stored of the same task and predictor, of whatever fold, seed or
        settings. Arrays are not read; a file that cannot be read tells nothing.
        """
        seconds: dict[tuple[str, str, str], list[float]] = {}
        for folder in {_parts(name)[0] for name in tasks}:
            for file in sorted((self._folder / folder).glob("seed-*.safetensors")):
                try:
                    content = _read(file, arrays=False)
                except ArtifactError as error:
                    logger.warning("not counted for the time that is left: %s", error)
                    continue
                for unit, (facts, _) in content.items():
                    made = facts["made"]
                    kind = folder, unit.rpartition("-")[0], made.get("device", "cpu")
                    # zero stands for a time that nobody noted
                    if made["seconds"] > 0:
                        seconds.setdefault(kind, []).append(float(made["seconds"]))
        found = {}
        for name, task in tasks.items():
            folder, _, unit = _parts(name)
            known = seconds.get((folder, unit.rpartition("-")[0], task.device))
            if known:
                found[name] = sum(known) / len(known)
        return found

    def write(
        self,
        name: str,
        task: FoldTask,
        result: FoldResult,
        seconds: float,
        commit: str | None = None,
    ) -> None:
        """Put one result into its file.

        Args:
            name: ``<task>/<seed>/<unit>``.
            task: What was done.
            result: What it found.
            seconds: Of one core that it took.
            commit: Of the code that found it; that of now if None.

        Raises:
            ArtifactError: If the file that is there is damaged.
            ResourceError: If the disk is full.
        """
        from safetensors.numpy import save

        file, unit = self._file(name, task), name.rpartition("/")[2]
        content = _read(file)
        made = {
            "seconds": round(seconds, 1),
            "commit": commit or git_commit(),
            "processor": hardware()["processor"],
            "device": task.device,
            "matdisc": __version__,
        }
        facts = {part: getattr(result, part) for part in _PLAIN}
        facts |= {
            "identity": fold_identity(task, self._computed_from),
            "made": made,
            "parts": list(result.predicted),  # the file has them in another order
        }
        content[unit] = (facts, result.predicted)
        for facts, parts in content.values():
            facts["sha256"] = _checksum(facts, parts)
        header = {"schema_version": str(_SCHEMA_VERSION)}
        header |= {unit: json.dumps(facts, sort_keys=True) for unit, (facts, _) in content.items()}
        arrays = {
            f"{unit}/{part}": _stored(values)
            for unit, (_, parts) in sorted(content.items())
            for part, values in parts.items()
        }
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as sink:
            sink.write(save(arrays, metadata=header))

    def _file(self, name: str, task: FoldTask) -> Path:
        folder, seed, _ = _parts(name)
        device = "" if task.device == "cpu" else f"-{task.device}"
        return self._folder / folder / f"seed-{seed}{device}.safetensors"


def _parts(name: str) -> tuple[str, str, str]:
    """Task, seed and unit that ``<task>/<seed>/<unit>`` names."""
    folder, seed, unit = name.rsplit("/", 2)
    return folder, seed, unit


def _checksum(facts: Mapping[str, Any], parts: Mapping[str, npt.NDArray[Any]]) -> str:
    plain = {name: value for name, value in facts.items() if name != "sha256"}
    arrays = data_digest(*(_stored(parts[name]) for name in sorted(parts)))
    return content_hash({"facts": plain, "arrays": arrays})


def _stored(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """As it is written: in single precision, which is what a fold gives."""
    kept = values.astype(np.float32) if values.dtype == np.float64 else values
    return np.ascontiguousarray(kept)


_Content = dict[str, tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]]


def _read(file: Path, *, arrays: bool = True) -> _Content:
    """Facts and arrays by unit, or facts alone, unchecked; nothing if there is no file."""
    if not file.is_file():
        return {}
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "numpy") as source:
            header = dict(source.metadata() or {})
            version = int(header.pop("schema_version"))
            content: _Content = {unit: (json.loads(text), {}) for unit, text in header.items()}
            if arrays and version <= _SCHEMA_VERSION:
                for key in source.keys():  # noqa: SIM118 - not a mapping
                    unit, part = key.split("/")
                    values = source.get_tensor(key)
                    exact = values.astype(np.float64) if values.dtype == np.float32 else values
                    content[unit][1][part] = exact
    except (SafetensorError, KeyError, ValueError) as error:
        raise ArtifactError(f"{file} holds no results of folds ({error}); delete it") from error
    if version > _SCHEMA_VERSION:
        raise ArtifactError(
            f"{file} has schema version {version}, this matdisc reads up to {_SCHEMA_VERSION}; "
            "install a newer one"
        )
    for unit, (facts, parts) in content.items():
        if arrays and version > 1 and facts.get("sha256") != _checksum(facts, parts):
            raise ArtifactError(f"{file}: {unit} does not have its checksum; delete the file")
    return content
