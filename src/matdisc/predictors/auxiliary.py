"""Other tables that a training may learn from first, without the compositions that it tests.

Every composition of the data that are learned is refused or left out, those of the training rows
too: settings are chosen and intervals calibrated on training rows that a member has not seen, and
a label of theirs in the auxiliary data would make these easier than what is tested. So one
pre-trained encoder serves all folds, the search inside them and the calibration.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from matdisc.composition.compositions import Compositions
from matdisc.config import did_you_mean
from matdisc.data.leaks import auxiliary_rows_allowed
from matdisc.errors import DataError
from matdisc.executors import ProgressCallback, no_progress

if TYPE_CHECKING:
    from matdisc.data.specs import MeasuredCard
    from matdisc.data.table import Measurements
    from matdisc.predictors.protocol import EvaluationProtocol
    from matdisc.predictors.train_specs import AuxiliarySpec, TrainSpec

__all__ = ["AuxiliaryTable", "NothingLeftError", "auxiliary_tables", "tables_without"]

logger = logging.getLogger(__name__)

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Int64Array = npt.NDArray[np.int64]


class NothingLeftError(DataError):
    """All rows of a table were left out, because their compositions are tested."""


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
        known = np.isfinite(self.values)
        parts = self.compositions.z, self.compositions.x, np.where(known, self.values, 0.0), known
        digest = hashlib.sha256(repr((self.names, self.decimals)).encode())
        for array in (*parts, self.is_class):
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

    own = _Tested(measured.card, measured.compositions[protocol.table.rows], protocol.fold)
    tables = []
    for wanted in spec.auxiliary:
        found = load_measurements(wanted.data, progress=progress)
        tables.append(_filtered(wanted, found, [own]))
    return tables


def tables_without(
    auxiliary: Sequence[AuxiliarySpec],
    exclude: Sequence[str],
    *,
    progress: ProgressCallback = no_progress,
) -> list[AuxiliaryTable]:
    """Auxiliary data without the compositions of whole datasets.

    Args:
        auxiliary: What to learn from.
        exclude: Datasets whose compositions are refused or left out, as ``on_leak`` says.
        progress: Called while a file is downloaded.

    Returns:
        Those of which something is left.

    Raises:
        DataError: As :func:`auxiliary_tables`, and if nothing is left of any.
    """
    from matdisc.data.table import load_measurements

    tested = []
    for name in exclude:
        measured = load_measurements(name, progress=progress)
        fold = np.zeros(len(measured), np.int64)
        tested.append(_Tested(measured.card, measured.compositions, fold))
    tables, refused = list[AuxiliaryTable](), list[DataError]()
    for wanted in auxiliary:
        found = load_measurements(wanted.data, progress=progress)
        try:
            tables.append(_filtered(wanted, found, tested))
        except NothingLeftError as error:
            # the moduli of one table are of the compositions of another
            logger.warning("%s", error)
            refused.append(error)
    if not tables:
        raise refused[0]
    return tables


@dataclass(frozen=True, slots=True, eq=False)
class _Tested:
    """Compositions that must not be learned from."""

    card: MeasuredCard
    compositions: Compositions
    """``n`` rows."""
    fold: Int64Array
    """``(n,)`` fold of each."""

    def allowed(self, found: Measurements, wanted: AuxiliarySpec) -> BoolArray:
        """``(n_folds, m)`` rows of auxiliary data that a fold's training may learn from."""
        from matdisc.features.encoder_artifact import HASHED_DECIMALS

        cards = (found.card, self.card)
        decimals = min(card.split.group_decimals for card in cards)
        by_weight = all(card.composition.is_by_weight for card in cards)
        # as the cards round, and as the encoder will be asked by those who use it
        ways = {(decimals, by_weight), (max(HASHED_DECIMALS), False)}
        found_so = [
            auxiliary_rows_allowed(
                self.compositions,
                self.fold,
                found.compositions,
                decimals=at,
                by_weight=weight,
                overlap=wanted.on_leak,
                name=f"auxiliary data {found.card.name}",
            )
            for at, weight in sorted(ways)
        ]
        return np.asarray(np.logical_and.reduce(found_so))


def _filtered(
    wanted: AuxiliarySpec, found: Measurements, tested: Sequence[_Tested]
) -> AuxiliaryTable:
    """The rows that no fold of any of the tested data forbids."""
    values, names, is_class = _targets(wanted, found)
    allowed = {one.card.name: one.allowed(found, wanted) for one in tested}
    keep = np.ones(len(found), np.bool_)
    for by_fold in allowed.values():
        keep &= by_fold.all(axis=0)
    rows = np.flatnonzero(keep & np.isfinite(values).any(axis=1))
    n_out = int((~keep).sum())
    facts = {
        "data": found.card.name,
        "targets": list(names),
        "licence": found.card.licence,
        "redistributable": found.card.redistributable,
        "rows": len(rows),
        "on_leak": wanted.on_leak,
        "left_out_rows": n_out,
        "left_out_rows_by_fold": {
            name: (~by_fold).sum(axis=1).tolist() for name, by_fold in allowed.items()
        },
    }
    if n_out:
        logger.warning(
            "auxiliary data %s: %d of %d rows left out, their compositions are tested",
            found.card.name, n_out, len(keep),
        )  # fmt: skip
    if len(rows) < 2:
        raise NothingLeftError(
            f"auxiliary data {found.card.name}: {len(rows)} of {len(keep)} rows are left to learn "
            f"from, {n_out} were left out because they are tested; use other data"
        )
    return AuxiliaryTable(
        found.compositions[rows],
        values[rows],
        names,
        is_class,
        min(card.split.group_decimals for card in (found.card, *(one.card for one in tested))),
        found.compositions[np.flatnonzero(~keep)],
        facts,
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
