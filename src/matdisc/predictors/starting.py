"""Encoders that predictors start from: pre-trained on auxiliary tables, checked for leaks."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from matdisc.composition.compositions import Compositions
from matdisc.data.grouping import composition_keys, first_seen_numbers
from matdisc.errors import ArtifactError
from matdisc.executors import ProgressCallback, no_progress, resolve_device
from matdisc.predictors.auxiliary import AuxiliaryTable, tables_without
from matdisc.predictors.specs import PredictorSpec

if TYPE_CHECKING:
    from matdisc.data.table import Measurements
    from matdisc.features.specs import EncoderSpec
    from matdisc.predictors.attention_specs import PretrainingSpec
    from matdisc.predictors.pretraining import PretrainingData
    from matdisc.predictors.protocol import EvaluationProtocol
    from matdisc.predictors.train_specs import AuxiliarySpec, DescriptorsSpec, TrainSpec
    from matdisc.runs import Run

__all__ = [
    "computed_cards",
    "computed_sources",
    "learned_descriptors",
    "pretrain_encoder",
    "pretraining_data",
    "refuse_learned_rows",
    "starting_encoders",
    "with_recorded_encoder",
]

logger = logging.getLogger(__name__)

FloatArray = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]


def pretraining_data(tables: list[AuxiliaryTable]) -> PretrainingData:
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


def pretrain_encoder(
    auxiliary: Sequence[AuxiliarySpec],
    exclude: Sequence[str],
    folder: Path,
    *,
    encoder: EncoderSpec,
    settings: PretrainingSpec,
    device: str = "auto",
    progress: ProgressCallback = no_progress,
) -> dict[str, Any]:
    """Pre-train one encoder for trainings on several datasets, into a folder.

    Args:
        auxiliary: What to learn from.
        exclude: Datasets whose compositions are refused or left out, as ``on_leak`` says: those
            that predictors with ``pretrained: FOLDER`` will learn.
        folder: Where to; a finished encoder is found done, an unfinished one is gone on with.
        encoder: Its shape.
        settings: How it learns.
        device: ``auto``, ``cpu`` or ``cuda``.
        progress: Called with the stage ``pretrain``.

    Returns:
        What ``encoder.json`` says about it.

    Raises:
        ArtifactError: If another encoder is in the folder.
        DataError: If a file cannot be had, or it would leak and ``on_leak`` is ``refuse``.
        DeviceError: If CUDA is asked for and absent.
    """
    device = resolve_device(device)
    tables = tables_without(auxiliary, exclude, progress=progress)
    return _encoder_in(folder, encoder, settings, tables, device, progress)


def computed_sources(
    wanted: DescriptorsSpec, *, progress: ProgressCallback = no_progress
) -> dict[str, Path]:
    """Files that the statistics ``computed`` are learned from: inputs of a run, by name.

    Raises:
        ConfigError: If a card is not valid.
        DataError: If a file cannot be had or is not what its card says.
    """
    from matdisc.data import find_card, read_card
    from matdisc.data.fetch import fetch

    found = {}
    for table in () if wanted.computed is None else wanted.computed.data:
        path = find_card(table.data)
        card = read_card(path)
        found[f"computed from {card.name}"] = fetch(card, path.parent, progress=progress)
    return found


def computed_cards(wanted: DescriptorsSpec) -> dict[str, dict[str, Any]]:
    """Cards of the same data by name, without what is expected of their files.

    Raises:
        ConfigError: If a card is not valid.
    """
    from matdisc.data import find_card, read_card

    tables = () if wanted.computed is None else wanted.computed.data
    cards = [read_card(find_card(table.data)) for table in tables]
    return {card.name: card.model_dump(mode="json", exclude={"expected"}) for card in cards}


def learned_descriptors(
    wanted: DescriptorsSpec,
    data: str,
    folder: Path,
    *,
    device: str = "auto",
    progress: ProgressCallback = no_progress,
) -> tuple[DescriptorsSpec, dict[str, Any]]:
    """Learn what the statistics ``computed`` come from, without the compositions of a dataset.

    Args:
        wanted: Descriptors; nothing is learned where they do without, or name an encoder.
        data: The dataset that they will describe.
        folder: Where to; what is there is found done or gone on with.
        device: ``auto``, ``cpu`` or ``cuda``.
        progress: Called with the stage ``pretrain``.

    Returns:
        The descriptors with the folder in place of the data to learn from, and what the results
        say.

    Raises:
        DataError: If a file cannot be had, or it would leak and ``on_leak`` is ``refuse``.
    """
    computed = wanted.computed
    if computed is None or not computed.data:
        return wanted, {}
    facts = pretrain_encoder(
        computed.data,
        [data],
        folder,
        encoder=computed.encoder,
        settings=computed.pretraining,
        device=device,
        progress=progress,
    )
    return wanted.computed_from(str(folder)), {"computed": facts}


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
            settings: Any = predictor
            about[predictor.kind] = _encoder_in(
                folder, settings.encoder, settings.pretraining, tables, device, progress
            )
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
    encoder: EncoderSpec,
    settings: PretrainingSpec,
    tables: list[AuxiliaryTable],
    device: str,
    progress: ProgressCallback,
) -> dict[str, Any]:
    """Facts of the encoder in a folder, which is pre-trained if it is not there."""
    from matdisc.features.encoder_artifact import (
        JSON_FILE,
        PretrainedEncoder,
        hashes_of_learned,
        read_encoder,
        save_encoder,
    )
    from matdisc.predictors.pretraining import pretrain

    data = pretraining_data(tables)
    if (folder / JSON_FILE).is_file():
        there = read_encoder(folder)
        plain = settings.model_dump(mode="json")
        same = (there.spec, there.facts["pretraining"], there.facts["data_sha256"])
        if same != (encoder, plain, data.sha256()):
            raise ArtifactError(
                f"{folder} holds an encoder of other data or settings; give a "
                "new folder, or delete it"
            )
        return dict(there.facts)
    checkpoint = folder / "checkpoint.safetensors"
    parameters, outputs, found = pretrain(
        encoder, settings, data, checkpoint=checkpoint, device=device, progress=progress
    )
    facts = {
        "pretraining": settings.model_dump(mode="json"),
        "compositions": len(data.compositions),
        **found,
        "data": [table.facts for table in tables],
        "data_sha256": data.sha256(),
        "excluded": _excluded(tables),
    }
    # of every row, not of one row a composition: a finer rounding tells more of them apart
    hashed = [hashes_of_learned(t.compositions.z, t.compositions.x) for t in tables]
    learned = {at: np.unique(np.concatenate([h[at] for h in hashed])) for at in hashed[0]}
    save_encoder(PretrainedEncoder(encoder, parameters, learned, outputs, facts), folder)
    checkpoint.unlink(missing_ok=True)
    return facts


def _excluded(tables: list[AuxiliaryTable]) -> dict[str, Any]:
    """Number and hash of the compositions that were left out, without naming them."""
    from matdisc.features.encoder_artifact import HASHED_DECIMALS, composition_hashes

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
    folders = {
        f"pretrained {part.kind}": getattr(part, "pretrained", None)
        for predictor in (spec.predictor, *spec.baselines)
        for part in _with_parts(predictor)
        if part.learns_from_auxiliary
    } | {"computed descriptors": spec.descriptors.computed_by}
    files = {}
    for name, folder in folders.items():
        if folder is not None:
            from matdisc.features.encoder_artifact import JSON_FILE, read_encoder

            own = measured.compositions[protocol.table.rows]
            encoder = read_encoder(Path(folder))
            encoder.refuse_learned(own.z, own.x, measured.card.split.group_decimals)
            files[name] = Path(folder) / JSON_FILE
    return files


def _with_parts(predictor: PredictorSpec) -> Iterator[PredictorSpec]:
    """A predictor and, of a stack or a hurdle, all that it is made of."""
    yield predictor
    for part in predictor.parts():
        yield from _with_parts(part)


def with_recorded_encoder(settings: Mapping[str, Any], name: str = "pretrained") -> dict[str, Any]:
    """Settings as they are kept: an encoder by its hash, since its folder may move."""
    folder = settings.get(name)
    if not isinstance(folder, str):
        return dict(settings)
    from matdisc.features.encoder_artifact import encoder_sha256

    return {**settings, name: f"sha256:{encoder_sha256(Path(folder))}"}
