"""``matdisc predict``: alloys by name or from a table, with intervals and nearest known alloys."""

from __future__ import annotations

import csv as csv_format
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from matdisc.composition.alloys import Alloys
from matdisc.predictors import inference

__all__ = ["predict_alloys"]


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
    asked, by_row = list(alloys), None
    if csv is not None:
        from matdisc.data.inputs import read_inputs

        numbers = [c.name for c in loaded.conditions if not c.categories]
        categories = [c.name for c in loaded.conditions if c.categories]
        inputs = read_inputs(csv, numbers, categories)
        compositions, by_row = inputs.compositions, inputs.conditions
        asked = [f"line {line}" for line in inputs.source_rows.tolist()]
    else:
        compositions = inference.read_alloys(asked)
    n = len(compositions)
    values = inference.condition_values(loaded.conditions, conditions, n, by_row)
    materials = Alloys(compositions, values, loaded.conditions)
    rows = [{"asked": a} | row for a, row in zip(asked, loaded.predict(materials), strict=True)]
    if neighbours:
        known, measured = _known_alloys(loaded.data, loaded.target)
        near = inference.nearest_known(materials, known, measured, neighbours)
        rows = [row | {"nearest": found} for row, found in zip(rows, near, strict=True)]
    if out is not None:
        _write_csv(out, rows)
    return rows


def _known_alloys(data: str, target: str) -> tuple[Alloys, npt.NDArray[np.float64]]:
    """Alloys of a dataset in which a target was measured, and the values in physical units."""
    from matdisc.data import load_measurements
    from matdisc.predictors.tables import learning_table

    measured = load_measurements(data)
    table = learning_table(measured, target)
    values = table.targets.values[:, 0]
    spec = next(t for t in measured.card.targets if t.name == target)
    return table.alloys, 10.0**values if spec.transform == "log10" else values


def _write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    from matdisc.runs.files import write_text

    names = [name for name in rows[0] if name != "nearest"]
    sink = io.StringIO()
    writer = csv_format.DictWriter(sink, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, sink.getvalue())
