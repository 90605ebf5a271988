"""What the verbs share: option types, logging, and where results and messages are printed."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType
from rich.logging import RichHandler
from rich.table import Table
from rich.text import Text

from matdisc.cli.progress import ProgressBar
from matdisc.runs.files import canonical_json

__all__ = [
    "AsJson",
    "ConfigPath",
    "Device",
    "DeviceName",
    "DryRun",
    "Fresh",
    "LevelName",
    "LogLevel",
    "Out",
    "Output",
    "Overrides",
    "RunPath",
    "Seed",
    "SizeName",
    "output",
    "with_seed",
]


class DeviceName(StrEnum):
    """Compute devices that can be asked for."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class LevelName(StrEnum):
    """Log levels of the console."""

    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


class SizeName(StrEnum):
    """How much a benchmark measures."""

    smoke = "smoke"
    full = "full"


ConfigPath = Annotated[
    Path, typer.Argument(help="Config file (YAML), or the name of one that comes with matdisc.")
]
RunPath = Annotated[Path, typer.Argument(help="Run directory.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="A.B=C", help="Override a config value.")
]
Out = Annotated[Path, typer.Option("--out", help="Folder that holds the runs.")]
Seed = Annotated[
    int | None, typer.Option("--seed", min=0, help="Seed of all randomness; overrides the config.")
]
Device = Annotated[DeviceName, typer.Option("--device", help="Where to compute.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Validate, count and estimate; compute nothing.")
]
AsJson = Annotated[
    bool,
    typer.Option(
        "--json", help="Print the result as JSON; messages and progress events go to stderr."
    ),
]
LogLevel = Annotated[LevelName, typer.Option("--log-level", help="What the console shows.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Start anew, whatever is there already.")]


@dataclass(frozen=True)
class Output:
    """Where a verb prints: results on stdout, with ``--json`` everything else on stderr."""

    console: Console
    """For people: progress, tables, messages."""
    as_json: bool

    def progress(self) -> ProgressBar:
        """What shows the progress of long work; with ``--json`` as events on stderr."""
        return ProgressBar(self.console, as_json=self.as_json)

    def show(self, result: Any, *for_people: RenderableType) -> None:
        """Print a result: the JSON document, or for people what is given, else its fields."""
        if self.as_json:
            typer.echo(canonical_json(result, indent=2))
            return
        for part in for_people or (_fields(json.loads(canonical_json(result))),):
            self.console.print(part)


@contextmanager
def output(as_json: bool, log_level: LevelName) -> Iterator[Output]:
    """Set up the console and the log of a verb, and take the log handlers away afterwards."""
    console = Console(stderr=as_json, markup=False)
    if not console.is_terminal:  # a log file has room for the tables
        console = Console(stderr=as_json, width=160, markup=False)
    handler = RichHandler(console=Console(stderr=True), show_path=False, rich_tracebacks=False)
    level = logging.getLevelName(log_level.value.upper())
    handler.setLevel(level)
    library, warnings = logging.getLogger("matdisc"), logging.getLogger("py.warnings")
    library.addHandler(handler)
    library.setLevel(min(level, logging.INFO))  # a run's log.txt has INFO in any case
    # Warnings of other libraries would drown the progress display.
    logging.captureWarnings(True)
    quiet = handler if level <= logging.INFO else logging.NullHandler()
    warnings.addHandler(quiet)
    warnings.propagate = False
    try:
        yield Output(console, as_json)
    finally:
        logging.captureWarnings(False)
        warnings.removeHandler(quiet)
        library.removeHandler(handler)


def with_seed(overrides: Sequence[str] | None, seed: int | None) -> list[str]:
    """The ``--set`` overrides plus the one that ``--seed`` stands for."""
    return [*(overrides or ()), *([] if seed is None else [f"seed={seed}"])]


def _fields(value: Any) -> RenderableType:
    if not isinstance(value, dict):
        return Text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    table = Table.grid(padding=(0, 2))
    for name, entry in value.items():
        table.add_row(Text(name, style="bold"), _fields(entry))
    return table
