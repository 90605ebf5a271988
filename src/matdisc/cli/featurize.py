"""``matdisc featurize``: descriptors of every row of a table."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from matdisc.cli.common import AsJson, LevelName, LogLevel, output
from matdisc.cli.featurize_tables import featurize_tables


class BackendName(StrEnum):
    """What computes the descriptors."""

    auto = "auto"
    numba = "numba"
    torch = "torch"
    matminer = "matminer"


class ImputeName(StrEnum):
    """What becomes of missing element properties."""

    mean = "mean"
    refuse = "refuse"


class OnErrorName(StrEnum):
    """What becomes of rows that fail."""

    stop = "raise"
    quarantine = "quarantine"


class BasisName(StrEnum):
    """What amounts of elements are."""

    weight_percent = "weight_percent"
    atomic_percent = "atomic_percent"


def featurize(
    csv: Annotated[
        Path, typer.Argument(help="Table with a formula column, or columns in wt% or at%.")
    ],
    features: Annotated[
        str,
        typer.Option(
            "--features",
            help="Comma-separated: magpie, wen, yang, miedema, meredig, deml, ... or "
            "matminer:IonProperty.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="File to write, .parquet or .csv.")],
    backend: Annotated[
        BackendName, typer.Option("--backend", help="What computes.")
    ] = BackendName.auto,
    impute: Annotated[
        ImputeName,
        typer.Option("--impute", help="Replace missing element properties (marked), or refuse."),
    ] = ImputeName.mean,
    on_error: Annotated[
        OnErrorName,
        typer.Option("--on-error", help="Stop at a bad row, or set it aside in failures.parquet."),
    ] = OnErrorName.stop,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the columns of the table.")] = False,
    float32: Annotated[bool, typer.Option("--float32", help="Write float32, not float64.")] = False,
    column: Annotated[
        str | None, typer.Option("--column", help="Column of formulas or designations.")
    ] = None,
    basis: Annotated[
        BasisName | None,
        typer.Option("--basis", help="What amounts are, where the table does not say it."),
    ] = None,
    balance: Annotated[
        str | None, typer.Option("--balance", help="Element that fills up to 100 %.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Processes for what runs in matminer.")
    ] = None,
    timeout_s: Annotated[
        float, typer.Option("--timeout-s", min=0.1, help="Seconds for one row in matminer.")
    ] = 60.0,
    as_json: AsJson = False,
    log_level: LogLevel = LevelName.warning,
) -> None:
    """Compute descriptors of every row of a table; columns are named as in matminer."""
    with output(as_json, log_level) as terminal, terminal.progress() as bar:
        from matdisc import api

        summary = api.featurize(
            csv,
            features,
            out,
            backend=backend.value,
            impute=impute.value,
            on_error=on_error.value,
            keep=keep,
            column=column,
            basis=None if basis is None else basis.value,
            balance=balance,
            precision="float32" if float32 else "float64",
            workers=workers,
            timeout_s=timeout_s,
            progress=bar.update,
        )
    found = asdict(summary)
    terminal.show(found, *featurize_tables(found))
