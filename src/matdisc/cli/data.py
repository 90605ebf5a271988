"""``matdisc data``: datasets of computed records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from matdisc.cli.common import AsJson, LevelName, LogLevel, RunPath, output

app = typer.Typer(no_args_is_help=True, help="Datasets: make and check them.")


@app.command("make")
def make(
    run: RunPath,
    folder: Annotated[Path, typer.Argument(help="Where the card and the table go.")],
    description: Annotated[str, typer.Option("--description", help="What it is.")],
    command: Annotated[str, typer.Option("--command", help="How to make it anew.")],
    licence: Annotated[str, typer.Option("--licence", help="SPDX name.")] = "CC-BY-4.0",
    as_json: AsJson = False,
    log_level: LogLevel = LevelName.warning,
) -> None:
    """Make a dataset with a card from the records of a finished verify run."""
    with output(as_json, log_level) as terminal:
        from matdisc.discovery.dataset import write_record_set

        card = write_record_set(
            run, folder, description=description, command=command, licence=licence
        )
        terminal.show(card.model_dump(mode="json"))


@app.command("check")
def check(
    name: Annotated[str, typer.Argument(help="Folder, or name such as datasets/NAME.")],
    as_json: AsJson = False,
    log_level: LogLevel = LevelName.warning,
) -> None:
    """Check that a dataset's table is the one on its card."""
    with output(as_json, log_level) as terminal:
        from matdisc.discovery.dataset import load_record_set

        terminal.show(load_record_set(name).card.model_dump(mode="json"))
