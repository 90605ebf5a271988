"""``matdisc data``: datasets, measured and computed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from matdisc.cli.common import AsJson, LevelName, LogLevel, RunPath, output
from matdisc.cli.data_tables import check_tables, dataset_table, leak_tables
from matdisc.errors import ConfigError, DataError

app = typer.Typer(no_args_is_help=True, help="Datasets: list, get, check, leaks, make.")

DatasetName = Annotated[
    str, typer.Argument(help="Name such as ni_superalloys, a folder with a card.yaml, or a card.")
]


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


@app.command("list")
def list_datasets(as_json: AsJson = False, log_level: LogLevel = LevelName.warning) -> None:
    """List the datasets that come with matdisc."""
    with output(as_json, log_level) as terminal:
        from matdisc.api import data_list

        datasets = data_list()
        terminal.show(datasets, dataset_table(datasets))


@app.command("get")
def get(
    name: DatasetName, as_json: AsJson = False, log_level: LogLevel = LevelName.warning
) -> None:
    """Fetch the file of a dataset and say where it is."""
    with output(as_json, log_level) as terminal, terminal.progress() as bar:
        from matdisc.api import data_get

        found = data_get(name, progress=bar.update)
    terminal.show(found)


@app.command("check")
def check(
    name: Annotated[
        str | None, typer.Argument(help="Name, folder with a card.yaml, or a card.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Check every dataset that is on this machine.")
    ] = False,
    download: Annotated[
        bool, typer.Option("--download", help="With --all: fetch those that are not.")
    ] = False,
    as_json: AsJson = False,
    log_level: LogLevel = LevelName.warning,
) -> None:
    """Read a dataset: rows, what is dropped and why, ranges; or check a computed table.

    Ends with status 3 if there is a finding that the card does not expect.
    """
    if (name is None) is not every:
        raise ConfigError("give the name of a dataset, or --all")
    with output(as_json, log_level) as terminal, terminal.progress() as bar:
        from matdisc.api import data_check, data_check_all

        if name is None:
            found = data_check_all(download=download, progress=bar.update)
        else:
            found = data_check(name, progress=bar.update)
    terminal.show(found, *check_tables(found))
    if found["unexplained"]:
        raise typer.Exit(DataError.exit_code)


@app.command("leaks")
def leaks(
    a: Annotated[str, typer.Argument(help="Dataset that would be tested: name, folder or card.")],
    b: Annotated[str, typer.Argument(help="Dataset that would be learned from.")],
    decimals: Annotated[
        int | None,
        typer.Option("--decimals", help="Decimals of a percent to compare; by the cards if none."),
    ] = None,
    as_json: AsJson = False,
    log_level: LogLevel = LevelName.warning,
) -> None:
    """Say which compositions of a dataset are in another, and whether the labels agree."""
    with output(as_json, log_level) as terminal, terminal.progress() as bar:
        from matdisc.api import data_leaks

        found = data_leaks(a, b, decimals, progress=bar.update)
    terminal.show(found, *leak_tables(found))
