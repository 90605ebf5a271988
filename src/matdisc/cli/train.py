"""``matdisc train`` and ``matdisc predict``: surrogates of measured quantities."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from matdisc.cli.common import (
    AsJson,
    Device,
    DeviceName,
    DryRun,
    Fresh,
    LevelName,
    LogLevel,
    Out,
    Overrides,
    Seed,
    output,
    with_seed,
)
from matdisc.cli.tables import prediction_table, training_tables
from matdisc.errors import ConfigError, DataError


def train(
    config: Annotated[
        Path | None,
        typer.Argument(help="Config file (YAML), or the name of one that comes with matdisc."),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="A table of your own instead of a config.")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option("--target", help='Column of the table to predict, such as "UTS (MPa)".'),
    ] = None,
    overrides: Overrides = None,
    out: Out = Path("runs"),
    seed: Seed = None,
    device: Device = DeviceName.auto,
    fresh: Fresh = False,
    promote: Annotated[
        Path | None,
        typer.Option("--promote", help="Keep the surrogate with a card here: models/NAME."),
    ] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    log_level: LogLevel = LevelName.warning,
) -> None:
    """Learn a quantity or a class from measurements, judge it on unseen alloys, write a report."""
    with output(as_json, log_level) as terminal:
        from matdisc import api

        changes = with_seed(overrides, seed)
        if (config is None) == (csv is None):
            raise ConfigError(
                "give either a config (configs/train/superalloy_uts.yaml) or a table of your own "
                '(--csv my.csv --target "UTS (MPa)")'
            )
        if target is not None and csv is None:
            raise ConfigError("--target goes with --csv; in a config set target (--set target=...)")
        if csv is not None:
            spec, card, notes = api.csv_spec(csv, target, changes)
            terminal.console.print(f"card: {card} (edit it and run the same command again)")
            for note in notes:
                terminal.console.print(f"  {note}")
        else:
            assert config is not None
            spec = api.train_spec(config, changes)
        if promote is not None and not (spec.intended_use.strip() and spec.limits):
            raise ConfigError(
                "--promote writes a card, which says what the surrogate is for and what not: give "
                "intended_use and limits in the config"
            )
        if dry_run:
            terminal.show(api.plan_train(spec))
            return
        with terminal.progress() as bar:
            result = api.train(
                spec,
                source_config=None if config is None else api.find_config(config),
                out=out,
                fresh=fresh,
                device=device.value,
                progress=bar.update,
            )
        summary = result.summary()
        if promote is not None:
            promoted = api.promote(
                result.path, promote, intended_use=spec.intended_use, limits=spec.limits
            )
            summary |= {"promoted": str(promote), "card": promoted}
            terminal.console.print(f"promoted to {promote}")
        terminal.show(summary, *training_tables(summary))


def predict(
    model: Annotated[Path, typer.Argument(help="A run of matdisc train, or its surrogate folder.")],
    alloys: Annotated[
        list[str] | None,
        typer.Argument(help="Designations in wt% (Ni-20Cr-2.5Ti) or formulas (Ni3Al)."),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="A table of alloys, with or without conditions.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the predictions to this CSV file.")
    ] = None,
    condition: Annotated[
        list[str] | None,
        typer.Option(
            "--condition",
            help="Condition of all alloys that --csv gives none for: test_temperature_c=650.",
        ),
    ] = None,
    neighbours: Annotated[
        int, typer.Option("--neighbours", min=0, help="Show so many nearest known alloys of each.")
    ] = 0,
    line: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--line",
            help="Instead: from one alloy to another, or to Co=20, percent instead of the balance.",
        ),
    ] = None,
    points: Annotated[int, typer.Option("--points", min=2, help="Alloys along the line.")] = 21,
    device: Device = DeviceName.cpu,
    as_json: AsJson = False,
    log_level: LogLevel = LevelName.warning,
) -> None:
    """Predict alloys with a trained surrogate: 90 % intervals or probabilities, and the domain."""
    with output(as_json, log_level) as terminal:
        from matdisc import api

        conditions = dict(_pair(text) for text in condition or ())
        if line is not None:
            if alloys or csv is not None or neighbours:
                raise ConfigError("--line stands alone: no alloys, --csv or --neighbours with it")
            rows = api.predict_line(
                model, *line, conditions, points=points, out=out, device=device.value
            )
        else:
            rows = api.predict(
                model,
                alloys or (),
                conditions,
                csv=csv,
                out=out,
                neighbours=neighbours,
                device=device.value,
            )
        n_said = sum(row["in_domain"] is not None for row in rows)
        if out is not None:
            left = f", {len(rows) - n_said} rows without one" if n_said < len(rows) else ""
            terminal.console.print(f"{n_said} predictions{left} written to {out}")
        terminal.show({"predictions": rows}, prediction_table(rows))
        if rows and not n_said:
            raise DataError(f"nothing could be predicted; {rows[0]['asked']}: {rows[0]['problem']}")


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigError(f"--condition needs name=value, got {text!r}")
    return name.strip(), value.strip()
