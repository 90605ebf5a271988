"""``matdisc verify``: materials by a first-principles engine, or a campaign by a second one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from matdisc.cli.common import (
    AsJson,
    DryRun,
    Fresh,
    LevelName,
    LogLevel,
    Output,
    Overrides,
    output,
)
from matdisc.errors import ConfigError


def verify(
    what: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG|RUN",
            help="Config file (YAML), or the name of one that comes with matdisc; or the run "
            "directory of a finished campaign.",
        ),
    ],
    engine: Annotated[
        str | None,
        typer.Option("--engine", help="Second engine for the best of a campaign: gpaw, chgnet."),
    ] = None,
    top: Annotated[
        int | None, typer.Option("--top", min=1, help="So many of a campaign's best (3).")
    ] = None,
    overrides: Overrides = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder that holds the runs: ./runs, or where the campaign lies."
        ),
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option("--store", help="Job store to share between runs (SQLite file)."),
    ] = None,
    fresh: Fresh = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    log_level: LogLevel = LevelName.warning,
) -> None:
    """Relax the materials of a config; or compute a campaign's best with a second engine.

    Failures are kept as records. The second engine also computes the first incumbent and the
    pure elements, so that no formation energy mixes engines.
    """
    with output(as_json, log_level) as terminal:
        if what.is_dir():
            _opinion(terminal, what, engine, top, overrides or [], out, store, fresh, dry_run)
            return
        if engine is not None or top is not None:
            raise ConfigError(
                f"--engine and --top are for the run directory of a campaign, and {what} is none; "
                "a config names its engine itself (--set recipe.engine.kind=...)"
            )
        _materials(terminal, what, overrides or [], out or Path("runs"), store, fresh, dry_run)


def _materials(
    terminal: Output,
    config: Path,
    changes: Sequence[str],
    out: Path,
    store: Path | None,
    fresh: bool,
    dry_run: bool,
) -> None:
    from matdisc import api

    if dry_run:
        from matdisc.firstprinciples.verification import plan_verification

        terminal.show(plan_verification(api.verify_spec(config, changes)))
        return
    with terminal.progress() as bar:
        result = api.verify(config, changes, out=out, fresh=fresh, store=store, progress=bar.update)
    terminal.show(result.summary())


def _opinion(
    terminal: Output,
    campaign: Path,
    engine: str | None,
    top: int | None,
    changes: Sequence[str],
    out: Path | None,
    store: Path | None,
    fresh: bool,
    dry_run: bool,
) -> None:
    from matdisc import api
    from matdisc.cli.tables import opinion_tables
    from matdisc.config import plugins

    if engine is None:
        known = ", ".join(plugins("matdisc.engines"))
        raise ConfigError(f"{campaign} is a run: say with --engine what checks it ({known})")
    if dry_run:
        from matdisc.discovery.opinions import plan_second_opinion

        terminal.show(plan_second_opinion(campaign, api.opinion_spec(engine, changes, top)))
        return
    with terminal.progress() as bar:
        result = api.second_opinion(
            campaign,
            engine,
            changes,
            top=top,
            out=out,
            fresh=fresh,
            store=store,
            progress=bar.update,
        )
    summary = result.summary()
    terminal.show(summary, *opinion_tables(summary))
