"""Datasets of records on disk: a card, and the table it vouches for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from matdisc.config import Spec, load_config
from matdisc.data.assets import find_asset
from matdisc.errors import ArtifactError, DataError
from matdisc.firstprinciples.records import Record, read_records
from matdisc.runs import atomic_write, file_sha256, read_run, write_text

__all__ = ["RecordCard", "RecordSet", "load_record_set", "write_record_set"]


class RecordCard(Spec):
    """What a computed dataset is and how it was made."""

    name: str
    description: str
    file: str
    """The table, relative to the card."""
    sha256: str
    n_records: int
    n_converged: int
    engine: str
    settings_hash: str
    versions: dict[str, str]
    command: str
    """The command that makes the table anew."""
    hardware: str
    started: str
    licence: str


@dataclass(frozen=True, slots=True)
class RecordSet:
    """A card and its records."""

    card: RecordCard
    folder: Path
    records: tuple[Record, ...]

    @property
    def table(self) -> Path:
        """The file that holds the records."""
        return self.folder / self.card.file


def load_record_set(name: str) -> RecordSet:
    """Read a dataset by folder, or by its name among those that come with matdisc.

    Raises:
        DataError: If it is missing, or the table is not the one on the card.
        ConfigError: If the card is not valid.
    """
    folder = find_asset(name)
    card = load_config(folder / "card.yaml", RecordCard)
    path = folder / card.file
    if not path.is_file():
        raise DataError(f"{folder} has a card but no table {card.file}; make it: {card.command}")
    digest = file_sha256(path)
    if digest != card.sha256:
        raise DataError(
            f"{path} is not the table on its card (sha256 {digest[:12]}..., expected "
            f"{card.sha256[:12]}...); restore the file or make it anew: {card.command}"
        )
    return RecordSet(card, folder, tuple(read_records(path)))


def write_record_set(
    run_dir: Path, folder: Path, *, description: str, command: str, licence: str
) -> RecordCard:
    """Make a dataset with a card from the records of a finished ``matdisc verify`` run.

    Args:
        run_dir: The run.
        folder: Where card and table go; an existing dataset is replaced.
        description: What was computed and why.
        command: The command that makes the table anew.
        licence: SPDX name.

    Raises:
        ArtifactError: If ``run_dir`` is no finished verification.
    """
    run = read_run(run_dir)
    if run.verb != "verify":
        raise ArtifactError(f"{run_dir} was made by matdisc {run.verb}, not by matdisc verify")
    results, table = run.read_json("results.json"), run.file("records.parquet")
    hardware = run.manifest["hardware"]
    card = RecordCard(
        name=results["name"],
        description=description,
        file=table.name,
        sha256=file_sha256(table),
        n_records=results["n_records"],
        n_converged=results["n_converged"],
        engine=results["engine"],
        settings_hash=results["settings_hash"],
        versions={"matdisc": str(run.manifest["matdisc"]), **results["engine_versions"]},
        command=command,
        hardware=f"{hardware['processor']}, {hardware['cores']} cores",
        started=str(run.manifest["started"]),
        licence=licence,
    )
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / table.name) as sink:
        sink.write(table.read_bytes())
    text = yaml.safe_dump(card.model_dump(mode="json"), sort_keys=False, width=96)
    write_text(folder / "card.yaml", text)
    return card
