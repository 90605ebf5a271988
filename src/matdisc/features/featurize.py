"""Descriptors of every row of a table, block by block, so that memory does not grow with it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from matdisc.composition.amounts import AmountBasis, check_amount_basis
from matdisc.config import Spec
from matdisc.data.composition_rows import CompositionReader
from matdisc.data.readers.blocks import CsvBlocks
from matdisc.data.readers.raw import RawTable
from matdisc.errors import ConfigError, FeaturizationError
from matdisc.executors import ProgressCallback, no_progress
from matdisc.features.naming import featurizer_specs
from matdisc.features.table_files import check_target, table_writer

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FAILURES", "FeaturizeSummary", "OnError", "featurize", "featurize_table"]

OnError = Literal["raise", "quarantine"]

FAILURES = "failures.parquet"
"""File beside the result with the rows that have none: row, text, reason."""

ROW, IMPUTED = "source_row", "imputed"
"""First columns of the result: line in the file, counted from 1; whether a missing element
property was replaced."""

_ROWS_PER_BLOCK = 8192


@dataclass
class FeaturizeSummary:
    """What became of the rows of a table."""

    out: Path
    failures: Path | None
    """File of failed rows; None unless they are put in quarantine."""
    n_rows: int = 0
    n_ok: int = 0
    n_imputed: int = 0
    """Rows in which a missing element property was replaced."""
    n_failed: int = 0
    first_failures: list[dict[str, Any]] = field(default_factory=list)
    """Row, text and reason of the first ten."""
    n_features: int = 0
    featurizers: list[dict[str, Any]] = field(default_factory=list)
    """Settings of each."""
    columns: list[str] = field(default_factory=list)
    """Columns of the table that hold the composition."""
    notes: list[str] = field(default_factory=list)
    """What had to be assumed."""
    seconds: float = 0.0
    rows_per_s: float = 0.0


def featurize(
    csv: str | Path,
    features: str | Sequence[str | Spec | Mapping[str, Any]],
    out: str | Path,
    *,
    backend: str = "auto",
    impute: str = "mean",
    on_error: OnError = "raise",
    keep: bool = False,
    column: str | None = None,
    basis: AmountBasis | None = None,
    balance: str | None = None,
    precision: Literal["float32", "float64"] = "float64",
    workers: int | None = None,
    timeout_s: float = 60.0,
    progress: ProgressCallback = no_progress,
) -> FeaturizeSummary:
    """Compute descriptors of every row of a table of compositions.

    Args:
        csv: Delimited text with a column of formulas or designations, or a column per element.
        features: Names such as ``magpie``, ``wen`` or ``matminer:IonProperty``, comma-separated or
            one by one, see :func:`matdisc.features.naming.featurizer_specs`; or specs.
        out: ``.parquet`` or ``.csv``, written whole or not at all.
        backend: ``auto``, ``numba``, ``torch`` or ``matminer``.
        impute: ``mean`` replaces missing element properties as matminer does and marks the row;
            ``refuse`` takes it for a failure.
        on_error: ``raise`` ends at the first row that fails; ``quarantine`` sets such rows aside
            in ``failures.parquet``.
        keep: Whether the columns of the table are kept, as text.
        column: Column of formulas or designations, if it cannot be found out.
        basis: ``weight_percent`` or ``atomic_percent``, where the table does not say it.
        balance: Element that fills up to 100 %.
        precision: ``float64`` or ``float32``.
        workers: Processes for the featurizers that run in matminer; the available cores if None.
        timeout_s: How long one of those may take for one row [s].
        progress: Called as the work goes on.

    Raises:
        MatdiscError: With what to do about it.
    """
    names = [n for n in features.split(",") if n.strip()] if isinstance(features, str) else features
    settings = {
        "impute": impute,
        "precision": precision,
        "n_workers": workers,
        "timeout_s": timeout_s,
    }
    return featurize_table(
        Path(csv),
        featurizer_specs(names, settings=settings, backend=backend),
        Path(out),
        on_error=on_error,
        keep=keep,
        column=column,
        basis=basis,
        balance=balance,
        precision=precision,
        progress=progress,
    )


def featurize_table(
    csv: Path,
    specs: Sequence[Spec],
    out: Path,
    *,
    on_error: OnError = "raise",
    keep: bool = False,
    column: str | None = None,
    basis: AmountBasis | None = None,
    balance: str | None = None,
    precision: Literal["float32", "float64"] = "float64",
    progress: ProgressCallback = no_progress,
) -> FeaturizeSummary:
    """Compute descriptors of every row of a delimited text file.

    Args:
        csv: Rows with a column of formulas or designations, or a column per element.
        specs: Featurizers of compositions, put side by side.
        out: ``.parquet`` or ``.csv``: the line in ``csv``, whether something was imputed, the
            columns of ``csv`` if they are kept, the descriptors under matminer's labels.
        on_error: ``raise``: the first row without descriptors ends it, and nothing is written.
            ``quarantine``: such rows go to ``failures.parquet`` beside ``out``.
        keep: Whether the columns of ``csv`` are kept, as text.
        column: Column of formulas or designations, if it cannot be found out.
        basis: What amounts are, where the table does not say it.
        balance: Element that fills up to 100 %.
        precision: Of the descriptors in ``out``.
        progress: Called after every block.

    Raises:
        ConfigError: If the settings do not fit the table.
        DataError: If the table cannot be read, or a row has no descriptors under ``raise``.
        ResourceError: If the disk is full.
    """
    if on_error not in ("raise", "quarantine"):
        known = ["raise", "quarantine"]
        raise ConfigError(f"unknown on_error {on_error!r}; known: {known}")
    check_target(out)
    failures = out.with_name(FAILURES) if on_error == "quarantine" else None
    if out.resolve() in (csv.resolve(), failures and failures.resolve()):
        raise ConfigError(f"{out} is the input or the file of failures; choose another name")
    basis = check_amount_basis(basis)
    blocks = CsvBlocks(csv, _ROWS_PER_BLOCK)
    reader = CompositionReader(blocks, column=column, basis=basis, balance=balance)
    built = _Built(specs, progress)
    kept = blocks.names if keep else []
    schema = _schema(kept, built.labels, precision)
    summary = FeaturizeSummary(out, failures)
    summary.columns, summary.notes = list(reader.columns), list(reader.notes)
    summary.n_features = len(built.labels)
    summary.featurizers = [spec.model_dump(mode="json") for spec in specs]
    begin = time.perf_counter()
    with ExitStack() as stack:
        stack.enter_context(built)
        table_out = stack.enter_context(table_writer(out, schema))
        if failures is not None:
            failed_out = stack.enter_context(table_writer(failures, _failure_schema()))
        for raw in blocks:
            values, ok, imputed, reasons = built.rows(reader, raw)
            if reasons:
                bad = _failures(reader, raw, reasons)
                _count(summary, bad)
                if failures is None:
                    raise _refusal(csv, raw, bad)
                failed_out.write_table(_failure_table(bad))
            rows = np.flatnonzero(ok)
            table_out.write_table(_table(schema, raw, kept, rows, imputed, values))
            summary.n_rows += len(ok)
            summary.n_ok += len(rows)
            summary.n_imputed += int(imputed.sum())
            rate = summary.n_rows / max(time.perf_counter() - begin, 1e-9)
            total = max(blocks.n_rows_at_most, summary.n_rows)
            progress("featurize", summary.n_rows, total, f"{rate:.3g} rows/s")
    if summary.n_rows < blocks.n_rows_at_most:  # blank lines, or cells of several lines
        progress("featurize", summary.n_rows, summary.n_rows, "")
    summary.notes += [f"{n:,} rows: {note}" for note, n in reader.row_notes.most_common(10)]
    summary.seconds = round(time.perf_counter() - begin, 3)
    summary.rows_per_s = float(f"{summary.n_rows / max(summary.seconds, 1e-3):.3g}")
    return summary


class _Built:
    """The featurizers; as a context those with workers keep them from block to block."""

    def __init__(self, specs: Sequence[Spec], progress: ProgressCallback) -> None:
        self._featurizers = [_build(spec, progress) for spec in specs]
        labels = [label for each in self._featurizers for label in each.labels]
        twice = next((label for i, label in enumerate(labels) if label in labels[:i]), None)
        if twice is not None:
            raise ConfigError(f"two featurizers have a column {twice!r}; leave out one of them")
        self.labels = tuple(labels)
        self._stack = ExitStack()

    def __enter__(self) -> _Built:
        for each in self._featurizers:
            if isinstance(each, AbstractContextManager):
                self._stack.enter_context(each)
        return self

    def __exit__(self, *details: Any) -> None:
        self._stack.__exit__(*details)

    def rows(
        self, reader: CompositionReader, raw: RawTable
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_], npt.NDArray[np.bool_], dict[int, str]]:
        """Values ``(m, p)`` and ``imputed (m,)`` of the good rows, ``ok (n,)``, and reasons."""
        read = reader.read(raw)
        at = np.flatnonzero(read.ok)
        ok, reasons = read.ok, read.reasons
        imputed = np.zeros(len(at), np.bool_)
        parts = []
        for each in self._featurizers:
            features = each.transform(read.compositions)
            parts.append(features.values)
            for row, reason in features.reasons.items():
                reasons.setdefault(int(at[row]), reason)
            ok[at[~features.ok]] = False
            if features.imputed is not None:
                imputed |= features.imputed
        good = ok[at]
        return np.hstack(parts)[good], ok, imputed[good], dict(sorted(reasons.items()))


def _build(spec: Any, progress: ProgressCallback) -> Any:
    if spec.kind == "matminer":  # the one that is slow enough to report
        from matdisc.features.matminer_adapter import MatminerFeaturizer

        return MatminerFeaturizer(spec, progress=progress)
    return spec.build()


def _schema(kept: Sequence[str], labels: Sequence[str], precision: str) -> pa.Schema:
    """Columns of the result.

    Raises:
        ConfigError: If a column of the table is called like one of the result's own.
    """
    import pyarrow as pa

    number = pa.float32() if precision == "float32" else pa.float64()
    own = {ROW, IMPUTED, *labels}
    clash = next((name for name in kept if name in own), None)
    if clash is not None:
        raise ConfigError(f"the table has a column {clash!r}, as the result has; rename it")
    return pa.schema(
        [(ROW, pa.int64()), (IMPUTED, pa.bool_())]
        + [(name, pa.string()) for name in kept]
        + [(label, number) for label in labels]
    )


def _table(
    schema: pa.Schema,
    raw: RawTable,
    kept: Sequence[str],
    rows: npt.NDArray[np.int64],
    imputed: npt.NDArray[np.bool_],
    values: npt.NDArray[Any],
) -> pa.Table:
    import pyarrow as pa

    dtype = schema.field(len(schema) - 1).type.to_pandas_dtype()
    columns: list[Any] = [pa.array(raw.source_rows[rows]), pa.array(imputed)]
    columns += [raw.table.column(name).take(pa.array(rows)) for name in kept]
    # one copy, by column: each column of Arrow is an array of its own
    by_column = np.ascontiguousarray(values.T, dtype=dtype)
    columns += [pa.array(column) for column in by_column]
    return pa.table(columns, schema=schema)


def _failure_schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema([(ROW, pa.int64()), ("text", pa.string()), ("reason", pa.string())])


def _failure_table(bad: Sequence[Mapping[str, Any]]) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_pylist(list(bad), schema=_failure_schema())


def _failures(
    reader: CompositionReader, raw: RawTable, reasons: Mapping[int, str]
) -> list[dict[str, Any]]:
    return [
        {ROW: int(raw.source_rows[row]), "text": reader.text_of(raw, row), "reason": reason}
        for row, reason in reasons.items()
    ]


def _count(summary: FeaturizeSummary, bad: Sequence[dict[str, Any]]) -> None:
    summary.n_failed += len(bad)
    summary.first_failures += bad[: 10 - len(summary.first_failures)]


def _refusal(csv: Path, raw: RawTable, bad: Sequence[Mapping[str, Any]]) -> FeaturizationError:
    first, last = bad[0], int(raw.source_rows[-1])
    return FeaturizationError(
        f"line {first[ROW]} of {csv}: {first['text']!r} has no descriptors: {first['reason']} "
        f"({len(bad)} such row(s) up to line {last}); correct it, or run with --on-error "
        f"quarantine to set such rows aside in {FAILURES}",
        ids=[row[ROW] for row in bad],
    )
