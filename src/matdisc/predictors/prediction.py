"""``matdisc predict``: alloys by name or from a table, with intervals and nearest known alloys."""

from __future__ import annotations

import csv as csv_format
import io
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from matdisc.composition.alloys import Alloys
from matdisc.predictors import inference

__all__ = ["predict_alloys", "write_csv"]

logger = logging.getLogger(__name__)

_NOTHING = {"mean": None, "std": None, "lower": None, "upper": None, "in_domain": None}


def predict_alloys(
    model: Path,
    alloys: Sequence[str],
    conditions: Mapping[str, str | float | None],
    *,
    csv: Path | None = None,
    out: Path | None = None,
    neighbours: int = 0,
    device: str = "cpu",
) -> list[dict[str, Any]]:
    """A row per alloy; arguments and errors as :func:`matdisc.api.predict`."""
    loaded = inference.load_alloy_model(model, device=device)
    rows = _from_names(loaded, alloys, conditions, neighbours) if csv is None else []
    if csv is not None:
        rows = _from_table(loaded, csv, conditions, neighbours)
    if out is not None:
        write_csv(out, rows)
    return rows


def _from_names(
    loaded: inference.AlloyModel,
    alloys: Sequence[str],
    conditions: Mapping[str, str | float | None],
    neighbours: int,
) -> list[dict[str, Any]]:
    compositions = inference.read_alloys(alloys)
    values = inference.condition_values(loaded.conditions, conditions, len(compositions))
    materials = Alloys(compositions, values, loaded.conditions)
    return _rows(loaded, alloys, materials, neighbours)


def _from_table(
    loaded: inference.AlloyModel,
    csv: Path,
    conditions: Mapping[str, str | float | None],
    neighbours: int,
) -> list[dict[str, Any]]:
    """A row per line of the table; one that cannot be read has no prediction but a reason."""
    from matdisc.data.inputs import read_inputs

    numbers = [c.name for c in loaded.conditions if not c.categories]
    categories = [c.name for c in loaded.conditions if c.categories]
    inputs = read_inputs(csv, numbers, categories, loaded.basis)
    for note in inputs.notes:
        logger.warning("%s: %s", csv, note)
    lines = inputs.source_rows.tolist()
    n = len(lines)
    values = inference.condition_values(loaded.conditions, conditions, n, inputs.conditions)
    materials = Alloys(inputs.compositions, values, loaded.conditions)
    asked = [f"line {line}" for line in lines]
    rows = _rows(loaded, asked, materials, neighbours)
    by_line = dict(zip(lines, rows, strict=True))
    for problem in inputs.problems:
        if problem.action == "kept":
            continue
        named = " ".join(part for part in (problem.column, problem.what, problem.detail) if part)
        row = by_line.setdefault(problem.row, {"asked": f"line {problem.row}"} | _NOTHING)
        row |= _NOTHING | {"problem": named}
    facts = {"target": loaded.target, "unit": loaded.unit}
    names = list(rows[0])
    return [dict.fromkeys(names) | by_line[line] | facts for line in sorted(by_line)]


def _rows(
    loaded: inference.AlloyModel, asked: Sequence[str], materials: Alloys, neighbours: int
) -> list[dict[str, Any]]:
    rows = [{"asked": a} | row for a, row in zip(asked, loaded.predict(materials), strict=True)]
    if not neighbours:
        return rows
    known, measured = _known_alloys(loaded.data, loaded.target)
    near = inference.nearest_known(materials, known, measured, neighbours)
    return [row | {"nearest": found} for row, found in zip(rows, near, strict=True)]


def _known_alloys(data: str, target: str) -> tuple[Alloys, npt.NDArray[np.float64]]:
    """Alloys of a dataset in which a target was measured, and the values in physical units."""
    from matdisc.data import load_measurements
    from matdisc.predictors.tables import learning_table

    measured = load_measurements(data)
    table = learning_table(measured, target)
    values = table.targets.values[:, 0]
    spec = next(t for t in measured.card.targets if t.name == target)
    return table.alloys, 10.0**values if spec.transform == "log10" else values


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Predictions as a CSV file, without the nearest alloys."""
    from matdisc.runs.files import write_text

    names = [name for name in rows[0] if name != "nearest"]
    sink = io.StringIO()
    writer = csv_format.DictWriter(sink, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, sink.getvalue())
