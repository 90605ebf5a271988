"""What a report needs from a run directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matdisc.errors import ArtifactError
from matdisc.reports.opinions import find_opinions
from matdisc.runs import StoredRun, read_run
from matdisc.runs.environment import git_commit, hardware, package_versions
from matdisc.runs.stored import stage_seconds

__all__ = ["Gathered", "gather", "provenance_of"]

REPORT_STAGE = "report"
"""Its time is not in the report, which could not be the same twice otherwise."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """The plain content of a campaign's run directory."""

    results: dict[str, Any]
    """results.json."""
    config: dict[str, Any]
    """config.resolved.json."""
    funnels: dict[int, list[dict[str, Any]]]
    """Stages of every round's screening."""
    evaluations: list[dict[str, Any]]
    """Every acquired candidate: its prediction, where the answer came from, its status."""
    records: dict[str, dict[str, Any]]
    """By key: status, error, engine, settings hash and seconds of every evaluation."""
    elastic: list[dict[str, Any]]
    """Status, engine, settings hash and seconds of every elastic tensor."""
    provenance: dict[str, Any]
    """Command, hash, versions, hardware, git commit, seeds, inputs, seconds per stage."""
    opinions: list[dict[str, Any]]
    """Results of the second opinions that lie beside the campaign."""

    @property
    def anchor(self) -> str:
        """The element of all candidates, written first in formulas."""
        return str(self.config["space"]["anchor"])


def gather(run_dir: Path) -> tuple[StoredRun, Gathered]:
    """Read the run directory of a campaign, published or not.

    Raises:
        ArtifactError: If it is no campaign, or has no results yet.
    """
    run = read_run(run_dir, allow_unfinished=True)
    if run.verb != "discover":
        raise ArtifactError(
            f"{run_dir} is a run of `matdisc {run.verb}`; only those of `matdisc discover run`, "
            "`train`, `evaluate`, `screen` and second opinions (`matdisc verify RUN --engine ...`) "
            "have one"
        )
    results = run.read_json("results.json")
    _check_rows(run, results)
    numbers = [row["number"] for row in results["rounds"]]
    return run, Gathered(
        results=results,
        config=run.read_json("config.resolved.json"),
        funnels={n: run.read_json(f"round-{n}/funnel.json") for n in numbers},
        evaluations=[e for n in numbers for e in run.read_json(f"round-{n}/evaluations.json")],
        records={
            row["key"]: row
            for n in numbers
            for row in _rows(run, f"round-{n}/records.parquet", _RECORD)
        },
        elastic=_rows(run, "elastic.parquet", _ELASTIC),
        provenance=provenance_of(run),
        opinions=find_opinions(run) if run.finished else [],
    )


def _check_rows(run: StoredRun, results: dict[str, Any]) -> None:
    """Rows of a campaign by an earlier matdisc lack columns that the tables show."""
    for row in (*results["best"], *results.get(_REFUSED, ()), *results["verified"]):
        missing = [name for name in _ROW if name not in row]
        if missing or _REFUSED not in results:
            raise ArtifactError(
                f"{run.path} was made by an earlier matdisc (no {missing or [_REFUSED]} in "
                "results.json); run its campaign again with --fresh"
            )


_REFUSED = "not_born_stable"
_ROW = ("formation_energy_ev_per_atom", "min_eigenvalue_gpa")
_ELASTIC = ("key", "engine", "settings_hash", "status", "error", "seconds")
_RECORD = (*_ELASTIC, "warnings", "bulk_modulus_gpa", "density_g_per_cm3")


def _rows(run: StoredRun, name: str, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    """Some columns of a table of the run; nothing if the run did without it."""
    if not (run.path / name).is_file():
        return []
    table = run.read_table(name)
    missing = sorted(set(columns) - set(table.column_names))
    if missing:
        raise ArtifactError(f"{run.path / name} has no columns {missing}; run with --fresh")
    return list(table.select(list(columns)).to_pylist())


def provenance_of(run: StoredRun) -> dict[str, Any]:
    """Facts about how the run was made, the same before and after it is published."""
    facts = {
        name: run.manifest.get(name)
        for name in ("argv", "hash", "matdisc", "started", "seeds", "inputs")
    }
    if run.finished:
        facts |= {name: run.manifest[name] for name in ("versions", "hardware", "git_commit")}
    else:
        facts |= {
            "versions": package_versions(),
            "hardware": hardware(),
            "git_commit": git_commit(),
        }
    stages = stage_seconds(run.events())
    stages.pop(REPORT_STAGE, None)
    return facts | {"seconds_per_stage": stages}
