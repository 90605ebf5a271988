"""``matdisc evaluate``: a predictor on many tasks beside its baselines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from matdisc.cli.common import (
    AsJson,
    ConfigPath,
    Device,
    DeviceName,
    DryRun,
    Fresh,
    LevelName,
    LogLevel,
    Out,
    Overrides,
    output,
)
from matdisc.cli.evaluate_tables import evaluation_tables, plan_table


def evaluate(
    config: ConfigPath,
    overrides: Overrides = None,
    tasks: Annotated[
        str | None, typer.Option("--tasks", metavar="A,B", help="Only these tasks of the config.")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option("--seeds", metavar="0,100", help="These seeds instead.")
    ] = None,
    out: Out = Path("runs"),
    write_result: Annotated[
        Path | None,
        typer.Option(
            "--write-result",
            metavar="FILE.json",
            help="Write what --json prints to this file too, and its tables to FILE.md beside it.",
        ),
    ] = None,
    folds: Annotated[
        Path | None,
        typer.Option(
            "--folds",
            metavar="FOLDER",
            help="Keep the result of every fold here too, and take those of the same work from it: "
            "sessions or machines share an evaluation.",
        ),
    ] = None,
    device: Device = DeviceName.cpu,
    fresh: Fresh = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    log_level: LogLevel = LevelName.warning,
) -> None:
    """Judge a predictor on many tasks, folds and seeds, fold by fold beside tuned baselines."""
    with output(as_json, log_level) as terminal:
        from matdisc import api
        from matdisc.bench.evaluation import write_tables
        from matdisc.errors import ConfigError
        from matdisc.runs import read_run, write_json
        from matdisc.runs.files import refuse_unwritable

        changes = [
            *(overrides or ()),
            *([] if tasks is None else [f"only=[{tasks}]"]),
            *([] if seeds is None else [f"seeds=[{seeds}]"]),
        ]
        if dry_run:
            plan = api.plan_evaluate(config, changes, folds=folds, device=device.value)
            terminal.show(plan, plan_table(plan))
            return
        if write_result is not None:
            if write_result.suffix != ".json":
                raise ConfigError(f"--write-result needs a name that ends in .json: {write_result}")
            write_result.parent.mkdir(parents=True, exist_ok=True)
            for file in (write_result, write_result.with_suffix(".md")):
                refuse_unwritable(file)
        with terminal.progress() as bar:
            done = api.evaluate(
                config,
                changes,
                out=out,
                fresh=fresh,
                folds=folds,
                device=device.value,
                progress=bar.update,
            )
        run = read_run(done.path)
        result = run.read_json("result.json")
        if write_result is not None:
            write_json(write_result, result)
            write_tables(run, write_result.with_suffix(".md"))
        terminal.show(result, *evaluation_tables(done.summary()))
