"""Every published formula at hand, against pymatgen."""

import bz2
import csv
import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest

from matdisc.composition.elements import symbol
from matdisc.composition.reading import read_formulas

MIRROR = os.environ.get("MATDISC_DATA_MIRROR")
COLUMNS = {
    "alloy", "alloy formula", "composition", "composition_formula", "formula", "formula_charge",
    "formula_discharge", "material composition", "name", "reduced composition", "true composition",
}  # fmt: skip
UNREADABLE = {"+", "=", "!", "-"}
"""Signs of charges, variables and typing errors: no formula with one of them is readable."""


def published():
    """Distinct formulas of the Matbench tables and of every CSV file with a formula column."""
    found = set()
    for path in Path(MIRROR, "matbench").glob("matbench_*.json.*"):
        if "validation" in path.name:
            continue
        with (bz2.open if path.suffix == ".bz2" else gzip.open)(path, "rt") as file:
            table = json.load(file)
        if "composition" in table:
            found.update(table["composition"].values())
        elif table["columns"][0] == "composition":
            found.update(row[0] for row in table["data"])
    for path in Path(MIRROR).rglob("*.csv"):
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            rows = csv.reader(file)
            header = next(rows)
            at = [i for i, name in enumerate(header) if name.strip().lower() in COLUMNS]
            if at and "PI1070" not in path.name:
                found.update(row[i] for row in rows for i in at if i < len(row) and row[i])
    return sorted(found)


@pytest.mark.reference
@pytest.mark.skipif(
    not MIRROR or not Path(MIRROR, "matbench").is_dir(),
    reason="MATDISC_DATA_MIRROR is not set or has no matbench",
)
def test_published_formulas_are_read_as_pymatgen_reads_them():
    from pymatgen.core.composition import Composition

    texts = published()
    assert len(texts) > 600_000
    parsed = read_formulas(texts)
    z, x = parsed.compositions.z, parsed.compositions.x
    symbols = np.array(["", *(symbol(number) for number in range(1, 119))])[z].tolist()
    position = np.cumsum(parsed.ok) - 1
    n_unreadable, worst = 0, 0.0
    for row, text in enumerate(texts):
        try:
            amounts = Composition(text).get_el_amt_dict()
        except ValueError:
            n_unreadable += 1
            # pymatgen reads no adducts
            assert not parsed.ok[row] or "*" in text, text
            continue
        assert parsed.ok[row], parsed.reasons[row]
        at = position[row]
        total = sum(amounts.values())
        names = symbols[at][: len(amounts)]
        assert set(names) == set(amounts), text
        assert np.count_nonzero(z[at]) == len(amounts), text
        for name, share in zip(names, x[at].tolist(), strict=False):
            worst = max(worst, abs(share * total / amounts[name] - 1.0))
    assert worst <= 1e-12
    assert 0 < n_unreadable <= 12
    assert all(UNREADABLE & set(texts[row]) for row in parsed.reasons)
