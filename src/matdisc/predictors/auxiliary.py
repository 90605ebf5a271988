"""Other tables that a training may learn from first, without the compositions that it tests.

Every composition of the data that are learned is refused or left out, those of the training rows
too: settings are chosen and intervals calibrated on training rows that a member has not seen, and
a label of theirs in the auxiliary data would make these easier than what is tested. So one
pre-trained encoder serves all folds, the search inside them and the calibration.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from matdisc.composition.compositions import Compositions
from matdisc.config import did_you_mean
from matdisc.data.grouping import composition_keys, first_seen_numbers
from matdisc.data.leaks import auxiliary_rows_allowed
from matdisc.errors import DataError
from matdisc.executors import ProgressCallback, no_progress
from matdisc.predictors.specs import PredictorSpec

if TYPE_CHECKING:
    from matdisc.data.table import Measurements
    from matdisc.predictors.pretraining import PretrainingData
    from matdisc.predictors.protocol import EvaluationProtocol
    from matdisc.predictors.train_specs import AuxiliarySpec, TrainSpec
    from matdisc.runs import Run

__all__ = [
    "AuxiliaryTable",
    "auxiliary_tables",
    "refuse_learned_rows",
    "starting_encoders",
    "with_recorded_encoder",
]

logger = logging.getLogger(__name__)

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class AuxiliaryTable:
    """Rows of one dataset that may be learned from."""

    compositions: Compositions
    """``n`` rows."""
    values: FloatArray
    """``(n, t)`` quantities in units of the card, classes as 0 and 1; NaN where unknown."""
    names: tuple[str, ...]
    """``(t,)`` ``dataset: target``, for a class ``dataset: target = name``."""
    is_class: BoolArray
    """``(t,)``."""
    decimals: int
    """Decimals of an atomic percent that tell its compositions apart."""
    excluded: Compositions
    """Rows that were left out."""
    facts: dict[str, Any]
    """What there is to say about it, plain values."""

    def sha256(self) -> str:
        """Hash of what may be learned from."""
        digest = hashlib.sha256(repr(self.names).encode())
        for array in (self.compositions.z, self.compositions.x, np.nan_to_num(self.values)):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def auxiliary_tables(
    spec: TrainSpec,
    measured: Measurements,
    protocol: EvaluationProtocol,
    *,
    progress: ProgressCallback = no_progress,
) -> list[AuxiliaryTable]:
    """The auxiliary data of a config, refused or filtered for leaks.

    Args:
        spec: The config.
        measured: Its own data.
        protocol: The rows and folds of these.
        progress: Called while a file is downloaded.

    Raises:
        DataError: If a file cannot be had, a target does not exist, or it would leak and the
            config does not say ``on_leak: drop``.
    """
    from matdisc.data.table import load_measurements

    tables = []
    for wanted in spec.auxiliary:
        found = load_measurements(wanted.data, progress=progress)
        tables.append(_filtered(wanted, found, measured, protocol))
    return tables


def _filtered(
    wanted: AuxiliarySpec,
    found: Measurements,
    measured: Measurements,
    protocol: EvaluationProtocol,
) -> AuxiliaryTable:
    from matdisc.predictors.encoder_artifact import HASHED_DECIMALS

    values, names, is_class = _targets(wanted, found)
    decimals = min(found.card.split.group_decimals, measured.card.split.group_decimals)
    by_weight = found.card.composition.is_by_weight and measured.card.composition.is_by_weight
    # as the cards round, and as the encoder will be asked by those who use it
    ways = {(decimals, by_weight), (max(HASHED_DECIMALS), False)}
    allowed = np.logical_and.reduce(
        [
            auxiliary_rows_allowed(
                measured.compositions[protocol.table.rows],
                protocol.fold,
                found.compositions,
                decimals=at,
                by_weight=weight,
                overlap=wanted.on_leak,
                name=f"auxiliary data {found.card.name}",
            )
            for at, weight in sorted(ways)
        ]
    )
    keep = allowed.all(axis=0)
    rows = np.flatnonzero(keep & np.isfinite(values).any(axis=1))
    facts = {
        "data": found.card.name,
        "targets": list(names),
        "licence": found.card.licence,
        "redistributable": found.card.redistributable,
        "rows": len(rows),
        "on_leak": wanted.on_leak,
        "left_out_rows": int((~keep).sum()),
        "rows_of_tested_compositions_by_fold": (~allowed).sum(axis=1).tolist(),
    }
    if facts["left_out_rows"]:
        logger.warning(
            "auxiliary data %s: %d of %d rows left out, their compositions are tested",
            found.card.name, facts["left_out_rows"], len(keep),
        )  # fmt: skip
    if len(rows) < 2:
        raise DataError(
            f"auxiliary data {found.card.name}: {len(rows)} of {len(keep)} rows are left to learn "
            f"from, {facts['left_out_rows']} were left out because they are tested; use other data"
        )
    excluded = found.compositions[np.flatnonzero(~keep)]
    return AuxiliaryTable(
        found.compositions[rows], values[rows], names, is_class, decimals, excluded, facts
    )


def _targets(
    wanted: AuxiliarySpec, found: Measurements
) -> tuple[FloatArray, tuple[str, ...], BoolArray]:
    known = found.targets.column_names
    columns, names, is_class = [], [], []
    for name in wanted.targets or known:
        if name not in known:
            raise DataError(
                f"auxiliary data {found.card.name} has no target {name!r}; it has {known}"
                f"{did_you_mean(name, known)}"
            )
        title = f"{found.card.name}: {name}"
        if found.card.target(name).kind == "number":
            columns.append(found.target_values(name))
            names.append(title)
            is_class.append(False)
            continue
        texts = np.array(found.targets.column(name).to_pylist(), object)
        given = sorted({text for text in texts.tolist() if text is not None})
        # of two classes one says it all
        for text in given[1:] if len(given) == 2 else given:
            columns.append(np.where(texts == None, np.nan, texts == text).astype(float))  # noqa: E711
            names.append(f"{title} = {text}")
            is_class.append(True)
    return np.stack(columns, axis=1), tuple(names), np.array(is_class, np.bool_)


def _join(tables: list[AuxiliaryTable]) -> PretrainingData:
    """Distinct compositions of all tables: medians of quantities, shares of classes."""
    from matdisc.predictors.pretraining import PretrainingData

    width = max(table.compositions.z.shape[1] for table in tables)

    def joined(arrays: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        padded = [np.pad(a, ((0, 0), (0, width - a.shape[1]))) for a in arrays]
        return np.concatenate(padded)

    z = joined([table.compositions.z for table in tables])
    x = joined([table.compositions.x for table in tables])
    decimals = min(table.decimals for table in tables)
    group = first_seen_numbers(composition_keys(z, 100.0 * x, decimals))
    first = np.unique(group, return_index=True)[1]
    columns, start = [], 0
    for table in tables:
        mine = group[start : start + len(table.compositions)]
        start += len(mine)
        for t in range(len(table.names)):
            column = np.full(len(first), np.nan)
            known = np.isfinite(table.values[:, t])
            typical = _group_means if table.is_class[t] else _group_medians
            numbers, found = typical(mine[known], table.values[known, t])
            column[numbers] = found
            columns.append(column)
    return PretrainingData(
        Compositions(z[first], x[first]),
        np.stack(columns, axis=1),
        tuple(name for table in tables for name in table.names),
        np.concatenate([table.is_class for table in tables]),
    )


def _group_medians(group: Int64Array, values: FloatArray) -> tuple[Int64Array, FloatArray]:
    """Groups that occur, and the median of each."""
    order = np.lexsort((values, group))
    numbers, start, count = np.unique(group[order], return_index=True, return_counts=True)
    ordered = values[order]
    return numbers, 0.5 * (ordered[start + (count - 1) // 2] + ordered[start + count // 2])


def _group_means(group: Int64Array, values: FloatArray) -> tuple[Int64Array, FloatArray]:
    """Groups that occur, and the mean of each."""
    numbers, inverse, count = np.unique(group, return_inverse=True, return_counts=True)
    return numbers, np.bincount(inverse.reshape(-1), values) / count


def starting_encoders(
    spec: TrainSpec,
    tables: list[AuxiliaryTable],
    run: Run,
    device: str,
    progress: ProgressCallback = no_progress,
) -> tuple[TrainSpec, dict[str, Any]]:
    """Pre-train an encoder for every predictor that can, into ``pretrained/<kind>`` of the run.

    Returns:
        The config with predictors that start from these encoders, and what the results say.
    """
    if not tables:
        return spec, {}
    kinds = [spec.predictor, *spec.baselines]
    learning = [p.kind for p in kinds if p.learns_from_auxiliary]
    ignoring = [p.kind for p in kinds if not p.learns_from_auxiliary]
    if ignoring:
        logger.warning("the auxiliary data are not used by %s", ", ".join(ignoring))
    started: dict[str, PredictorSpec] = {}
    about: dict[str, Any] = {}
    with run.stage("pretrain"):
        for predictor in (p for p in kinds if p.learns_from_auxiliary):
            folder = run.path / "pretrained" / predictor.kind
            about[predictor.kind] = _encoder_in(folder, predictor, tables, device, progress)
            update = {"pretrained": str(folder)}
            started[predictor.kind] = predictor.model_copy(update=update)
    replaced = {
        "predictor": started.get(spec.predictor.kind, spec.predictor),
        "baselines": tuple(started.get(p.kind, p) for p in spec.baselines),
    }
    facts = {
        "data": [table.facts for table in tables],
        "used_by": learning,
        "ignored_by": ignoring,
        "encoders": about,
    }
    return spec.model_copy(update=replaced), {"auxiliary": facts}


def _encoder_in(
    folder: Path,
    predictor: PredictorSpec,
    tables: list[AuxiliaryTable],
    device: str,
    progress: ProgressCallback,
) -> dict[str, Any]:
    """Facts of the encoder in a folder, which is pre-trained if it is not there."""
    from matdisc.predictors.encoder_artifact import (
        JSON_FILE,
        PretrainedEncoder,
        hashes_of_learned,
        read_encoder,
        save_encoder,
    )
    from matdisc.predictors.pretraining import pretrain

    if (folder / JSON_FILE).is_file():
        return dict(read_encoder(folder).facts)
    settings: Any = predictor
    data = _join(tables)
    checkpoint = folder / "checkpoint.safetensors"
    parameters, found = pretrain(
        settings.encoder, settings.pretraining, data,
        checkpoint=checkpoint, device=device, progress=progress,
    )  # fmt: skip
    facts = {
        "pretraining": settings.pretraining.model_dump(mode="json"),
        "compositions": len(data.compositions),
        **found,
        "data": [table.facts for table in tables],
        "data_sha256": data.sha256(),
        "excluded": _excluded(tables),
    }
    learned = hashes_of_learned(data.compositions.z, data.compositions.x)
    save_encoder(PretrainedEncoder(settings.encoder, parameters, learned, facts), folder)
    checkpoint.unlink(missing_ok=True)
    return facts


def _excluded(tables: list[AuxiliaryTable]) -> dict[str, Any]:
    """Number and hash of the compositions that were left out, without naming them."""
    from matdisc.predictors.encoder_artifact import HASHED_DECIMALS, composition_hashes

    at = max(HASHED_DECIMALS)
    hashes = [composition_hashes(t.excluded.z, t.excluded.x, at) for t in tables]
    distinct = np.unique(np.concatenate(hashes))
    return {"compositions": len(distinct), "sha256": hashlib.sha256(distinct.tobytes()).hexdigest()}


def refuse_learned_rows(
    spec: TrainSpec, measured: Measurements, protocol: EvaluationProtocol
) -> dict[str, Path]:
    """Refuse encoders of the config that learned from its own compositions.

    Returns:
        Their files by name: inputs of the run.

    Raises:
        DataError: With the count.
        ArtifactError: If one cannot be read.
    """
    files = {}
    for predictor in (spec.predictor, *spec.baselines):
        folder = getattr(predictor, "pretrained", None)
        if predictor.learns_from_auxiliary and folder is not None:
            from matdisc.predictors.encoder_artifact import JSON_FILE, read_encoder

            own = measured.compositions[protocol.table.rows]
            encoder = read_encoder(Path(folder))
            encoder.refuse_learned(own.z, own.x, measured.card.split.group_decimals)
            files[f"pretrained {predictor.kind}"] = Path(folder) / JSON_FILE
    return files


def with_recorded_encoder(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they are kept: a pre-trained encoder by its hash, since its folder may move."""
    folder = settings.get("pretrained")
    if not isinstance(folder, str):
        return dict(settings)
    from matdisc.predictors.encoder_artifact import encoder_sha256

    return {**settings, "pretrained": f"sha256:{encoder_sha256(Path(folder))}"}
