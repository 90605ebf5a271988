"""Datasets, measured and computed: which there are, where their files are, what is in them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from matdisc.config import load_config
from matdisc.data.cards import dataset_cards, find_card, is_measured, read_card
from matdisc.data.fetch import fetch_files, whereabouts
from matdisc.data.specs import ConditionSpec, MeasuredCard, TargetSpec
from matdisc.discovery.dataset import RecordCard, load_record_set
from matdisc.errors import MatdiscError
from matdisc.executors import ProgressCallback, no_progress
from matdisc.runs.files import file_sha256

__all__ = ["data_check", "data_check_all", "data_get", "data_list"]


def data_list() -> list[dict[str, Any]]:
    """The datasets that come with matdisc, measured and computed: what is in them, and where."""
    datasets: list[dict[str, Any]] = []
    for name, path in dataset_cards().items():
        if is_measured(path):
            datasets.append(_overview(read_card(path), path.parent))
            continue
        card = load_config(path, RecordCard)
        facts = {"n_rows": card.n_records, "composition": "structure", "targets": []}
        facts |= {"conditions": [], "licence": card.licence, "here": True, "where": "matdisc"}
        datasets.append({"name": name, "kind": "computed", **facts})
    return datasets


def _overview(card: MeasuredCard, folder: Path) -> dict[str, Any]:
    """What ``matdisc data list`` says of a card in this folder, without reading the data."""
    here, where = whereabouts(card, folder)
    return {
        "name": card.name,
        "kind": "measured",
        "n_rows": card.n_rows,
        "composition": card.composition.basis,
        "targets": [_labelled(target) for target in card.targets],
        "conditions": [_labelled(condition) for condition in card.conditions],
        "licence": card.licence,
        "here": here,
        "where": where,
    }


def _labelled(spec: ConditionSpec | TargetSpec) -> str:
    if spec.kind == "category":
        return f"{spec.name} [category]"
    unit = spec.unit_after_transform if isinstance(spec, TargetSpec) else spec.unit or "1"
    return f"{spec.name} [{unit}]"


def data_get(name: str | Path, *, progress: ProgressCallback = no_progress) -> dict[str, Any]:
    """Fetch the file of a dataset; its name, path and SHA-256.

    Args:
        name: A name such as ``ni_superalloys``, a folder with a card, or a card.
        progress: Called while a file is downloaded.

    Raises:
        DataError: If the file cannot be had; says what was tried and what to do.
    """
    path = find_card(name)
    if is_measured(path):
        card = read_card(path)
        files = fetch_files(card, path.parent, progress=progress)
        names = [files[0].name, *(part.name for part in card.parts)]
        every = [
            {"part": name, "path": str(file), "sha256": file_sha256(file)}
            for name, file in zip(names, files, strict=True)
        ]
        first = {"path": every[0]["path"], "sha256": every[0]["sha256"]}
        return {"name": card.name, **first, **({"files": every} if card.parts else {})}
    records = load_record_set(str(path.parent))
    return {"name": records.card.name, "path": str(records.table), "sha256": records.card.sha256}


def data_check(name: str | Path, *, progress: ProgressCallback = no_progress) -> dict[str, Any]:
    """Read a dataset and say what is in it: rows, what was dropped and why, ranges.

    Findings that the card does not expect are listed under ``unexplained``.

    Args:
        name: A name such as ``ni_superalloys``, a folder with a card, or a card.
        progress: Called while a file is downloaded.

    Returns:
        For a measured dataset see :func:`matdisc.data.describe.describe`; for computed records
        their card.

    Raises:
        DataError: If the file cannot be had or is not what the card says.
    """
    path = find_card(name)
    if is_measured(path):
        from matdisc.data.describe import describe
        from matdisc.data.table import load_measurements

        return describe(load_measurements(path, progress=progress))
    card = load_record_set(str(path.parent)).card.model_dump(mode="json")
    return {**card, "kind": "computed", "unexplained": []}


def data_check_all(
    *, download: bool = False, progress: ProgressCallback = no_progress
) -> dict[str, Any]:
    """Check every dataset that comes with matdisc and is on this machine.

    Args:
        download: Fetch those that are not.
        progress: Called with stage ``"check"`` before and after each, and while files come.

    Returns:
        ``datasets``, each as :func:`data_check` gives it with its ``seconds``, or with an
        ``error``; ``absent``, those that are not on this machine; ``unexplained``, all findings
        that no card expects.
    """
    listed = data_list()
    absent = [entry for entry in listed if not (entry["here"] or download)]
    names = [entry["name"] for entry in listed if entry not in absent]
    checked: list[dict[str, Any]] = []
    for index, name in enumerate(names):
        progress("check", index, len(names), name)
        started = time.perf_counter()
        try:
            found = data_check(name, progress=progress)
        except MatdiscError as error:
            found = {"name": name, "error": str(error), "unexplained": [str(error)]}
        checked.append({**found, "seconds": time.perf_counter() - started})
    progress("check", len(names), len(names), "")
    unexplained = [f"{found['name']}: {line}" for found in checked for line in found["unexplained"]]
    where = [{"name": entry["name"], "where": entry["where"]} for entry in absent]
    return {"datasets": checked, "absent": where, "unexplained": unexplained}
