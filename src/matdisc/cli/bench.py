"""``matdisc bench``: one benchmark case, measured on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from matdisc.cli.common import AsJson, Device, DeviceName, LevelName, LogLevel, SizeName, output
from matdisc.cli.tables import bench_tables


def bench(
    case: Annotated[str, typer.Argument(help="Name of the case, such as features.")],
    size: Annotated[SizeName, typer.Option("--size", help="How much to measure.")] = SizeName.smoke,
    device: Device = DeviceName.cpu,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write <case>-<device>.json into.")
    ] = None,
    as_json: AsJson = False,
    log_level: LogLevel = LevelName.warning,
) -> None:
    """Measure a benchmark case and print its metrics."""
    with output(as_json, log_level) as terminal:
        from matdisc.bench import run_bench
        from matdisc.executors import resolve_device
        from matdisc.runs import write_json

        result = run_bench(case, size.value, resolve_device(device.value))
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            write_json(out / f"{result['case']}-{result['device']}.json", result)
        terminal.show(result, *bench_tables(result))
