"""Cards and tables that no laboratory has measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matdisc.data.readers import read_raw
from matdisc.data.specs import MeasuredCard
from matdisc.data.table import Measurements, clean


def make_card(**changes: Any) -> MeasuredCard:
    raw: dict[str, Any] = {
        "name": "made_up",
        "description": "made up",
        "citation": "none",
        "licence": "CC0-1.0",
        "redistributable": True,
        "sources": [{"kind": "local", "path": "table.csv"}],
        "reader": {"kind": "csv"},
        "composition": {"basis": "weight_percent", "columns": {"Ti": "Ti", "Al": "Al"}},
        "conditions": [
            {"name": "temperature_c", "column": "T (°C)", "unit": "degC"},
            {"name": "route", "column": "route", "kind": "category"},
        ],
        "targets": [
            {"name": "uts_mpa", "column": "UTS (MPa)", "unit": "MPa", "min": 1, "max": 3000}
        ],
    }
    return MeasuredCard.model_validate(raw | changes)


def measure(folder: Path, text: str, **changes: Any) -> Measurements:
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    card = make_card(**changes)
    return clean(card, read_raw(card.reader, path))


def reasons(table: Measurements) -> list[tuple[int, str, str]]:
    return [(p.row, p.what, p.action) for p in table.problems]
