"""``matdisc verify``: relax materials with a first-principles engine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from matdisc.cli.common import (
    AsJson,
    ConfigPath,
    DryRun,
    Fresh,
    LevelName,
    LogLevel,
    Out,
    Overrides,
    find_config,
    output,
)
from matdisc.cli.progress import ProgressBar


def verify(
    config: ConfigPath,
    overrides: Overrides = None,
    out: Out = Path("runs"),
    store: Annotated[
        Path | None,
        typer.Option("--store", help="Job store to share between runs (SQLite file)."),
    ] = None,
    fresh: Fresh = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    log_level: LogLevel = LevelName.warning,
) -> None:
    """Relax materials and fit their equation of state; failures are kept as records."""
    with output(as_json, log_level) as terminal:
        from matdisc.config import load_config
        from matdisc.firstprinciples.verification import plan_verification, run_verification
        from matdisc.firstprinciples.verify_specs import VerifySpec

        path = find_config(config)
        spec = load_config(path, VerifySpec, overrides or [])
        if dry_run:
            terminal.show(plan_verification(spec))
            return
        with ProgressBar(terminal.console) as bar:
            result = run_verification(
                spec,
                out=out,
                fresh=fresh,
                store=store,
                progress=bar.update,
                source_config=path,
            )
        terminal.show(result.summary())
