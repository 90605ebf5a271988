"""``matdisc discover run|status``: closed-loop campaigns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from rich.console import RenderableType
from rich.text import Text

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
    RunPath,
    Seed,
    find_config,
    output,
    rows_table,
    with_seed,
)
from matdisc.cli.progress import ProgressBar
from matdisc.cli.tables import show_campaign

app = typer.Typer(no_args_is_help=True, help="Closed-loop campaigns: learn, choose, verify.")


_MATERIAL = {
    "key": "material",
    "specific_stiffness": "E/density [GPa cm3/g]",
    "young_modulus_gpa": "E [GPa]",
    "density_g_per_cm3": "density [g/cm3]",
    "e_hull_ev_per_atom": "above hull [eV/atom]",
    "probability_feasible": "P(near hull)",
    "pugh_ratio": "B/G",
    "born_stable": "Born-stable",
    "price_usd_per_kg": "price [USD/kg]",
}
_CHECK = {"expected": "expected", "found": "found", "agrees": "agrees"}


@app.command("run")
def run(
    config: ConfigPath,
    overrides: Overrides = None,
    out: Out = Path("runs"),
    seed: Seed = None,
    device: Device = DeviceName.auto,
    fresh: Fresh = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    log_level: LogLevel = LevelName.warning,
) -> None:
    """Run a campaign from its brief to checked candidates and a report."""
    with output(as_json, log_level) as terminal:
        from matdisc.config import load_config
        from matdisc.discovery.campaign import plan_campaign, run_campaign
        from matdisc.discovery.specs import CampaignSpec

        path = find_config(config)
        spec = load_config(path, CampaignSpec, with_seed(overrides, seed))
        if dry_run:
            terminal.show(plan_campaign(spec))
            return
        with ProgressBar(terminal.console) as bar:
            result = run_campaign(
                spec,
                out=out,
                fresh=fresh,
                device=device.value,
                progress=bar.update,
                source_config=path,
            )
        summary = result.summary()
        terminal.show(summary, *_tables(summary))


@app.command("status")
def status(run: RunPath, as_json: AsJson = False, log_level: LogLevel = LevelName.warning) -> None:
    """Say how far a campaign got, also while it is running."""
    with output(as_json, log_level) as terminal:
        from matdisc.runs import read_run

        terminal.show(read_run(run, allow_unfinished=True).status())


def _tables(summary: dict[str, Any]) -> list[RenderableType]:
    """The end of a campaign for people: candidates, incumbents, sanity, where to read on."""
    incumbents = [{**row, "key": row["name"]} for row in summary["incumbents"]]
    done = "already done, here (--fresh to do it anew)" if summary["already_done"] else "run"
    return [
        rows_table("Best candidates, verified (0 K)", summary["best"], _MATERIAL),
        rows_table("Incumbents (literature)", incumbents, _MATERIAL),
        rows_table("Sanity checks", summary["sanity"], _CHECK),
        Text(f"{done}: {summary['run']}\nreport: {summary['report']}"),
    ]
