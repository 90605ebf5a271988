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
from matdisc.composition.compositions import Compositions
from matdisc.errors import ConfigError, DataError
from matdisc.predictors import inference
from matdisc.runs.files import refuse_unwritable

__all__ = ["predict_alloys", "write_csv"]

logger = logging.getLogger(__name__)


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
    alloys = [alloys] if isinstance(alloys, str) else alloys
    if csv is not None and alloys:
        raise ConfigError("give alloys by name or a table of them (--csv), not both")
    if out is not None:
        refuse_unwritable(out)
        if csv is not None and out.exists() and out.samefile(csv):
            raise ConfigError(f"the predictions would replace their own input {csv}; name another")
    loaded = inference.load_alloy_model(model, device=device)
    if not loaded.has_composition and (alloys or neighbours):
        raise ConfigError(
            f"{loaded.target} was learned from {loaded.data}, which has no compositions: there are "
            "no alloys to name and no nearest ones. Give the conditions (--condition name=value), "
            "or a table of them (--csv)"
        )
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
    if loaded.has_composition:
        compositions = inference.read_alloys(alloys)
    else:  # one material, of the conditions alone
        compositions = Compositions.none(1)
        alloys = [", ".join(f"{name}={value}" for name, value in conditions.items())]
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
    categories = {c.name: c.categories for c in loaded.conditions if c.categories}
    inputs = read_inputs(csv, numbers, categories, loaded.basis, loaded.base)
    if not inputs.conditions and not loaded.has_composition:
        raise DataError(
            f"{csv} has no column of a condition; the model takes {[*numbers, *categories]}"
        )
    for note in inputs.notes:
        logger.warning("%s: %s", csv, note)
    for name, value in conditions.items():
        known = sum(v is not None for v in inputs.conditions.get(name, ()))
        if known:
            logger.warning(
                "%s has its own %s in %d rows; %s is taken for the others", csv, name, known, value
            )
    lines = inputs.source_rows.tolist()
    n = len(lines)
    values = inference.condition_values(loaded.conditions, conditions, n, inputs.conditions)
    materials = Alloys(inputs.compositions, values, loaded.conditions)
    asked = [
        f"line {line}: {name}" if name else f"line {line}"
        for line, name in zip(lines, inputs.names, strict=True)
    ]
    rows = _rows(loaded, asked, materials, neighbours)
    by_line = dict(zip(lines, rows, strict=True))
    for problem in inputs.problems:
        if problem.action == "kept":
            continue
        named = " ".join(part for part in (problem.column, problem.what, problem.detail) if part)
        row = by_line.setdefault(problem.row, {"asked": f"line {problem.row}"} | loaded.nothing)
        row |= loaded.nothing | {"problem": named}
    facts = {"target": loaded.target, "unit": loaded.unit}
    names = list(rows[0])
    return [dict.fromkeys(names) | by_line[line] | facts for line in sorted(by_line)]


def _rows(
    loaded: inference.AlloyModel, asked: Sequence[str], materials: Alloys, neighbours: int
) -> list[dict[str, Any]]:
    for condition in loaded.descriptors.conditions:
        missing = 0 if condition.categories else np.isnan(materials.column(condition.name)).sum()
        if missing and condition.fill is not None:
            logger.warning(
                "%s is not given for %d of %d materials: predicted as training rows that do not "
                "say it, most like %g %s",
                *(condition.name, missing, len(materials), condition.fill, condition.unit),
            )
    rows = [{"asked": a} | row for a, row in zip(asked, loaded.predict(materials), strict=True)]
    if not neighbours:
        return rows
    known, measured = _known_alloys(loaded.data, loaded.target)
    near = inference.nearest_known(materials, known, measured, neighbours)
    return [row | {"nearest": found} for row, found in zip(rows, near, strict=True)]


def _known_alloys(data: str, target: str) -> tuple[Alloys, npt.NDArray[Any]]:
    """Alloys of a dataset in which a target was measured, and the values in physical units.

    Of a class the values are names.
    """
    from matdisc.data import load_measurements
    from matdisc.predictors.tables import learning_table

    measured = load_measurements(data)
    table = learning_table(measured, target)
    values = table.targets.values[:, 0]
    if table.targets.classes:
        return table.alloys, np.array(table.targets.classes)[values.astype(np.int64)]
    spec = next(t for t in measured.card.targets if t.name == target)
    return table.alloys, 10.0**values if spec.transform == "log10" else values


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Predictions as a CSV file, without the nearest alloys."""
    from matdisc.runs.files import write_text

    flat = [_flat(row) for row in rows]
    # a row without a prediction has no probabilities
    names = list(dict.fromkeys(name for row in flat for name in row))
    sink = io.StringIO()
    writer = csv_format.DictWriter(sink, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    write_text(path, sink.getvalue())


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the file: ``probability <class>`` of each class, and no nearest alloys."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            flat |= {f"{name} {part}": number for part, number in value.items()}
        elif name not in ("nearest", "probability"):
            flat[name] = value
    return flat
