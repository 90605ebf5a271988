"""The table of a screening: what all candidates share is said once, what differs in each row."""

from matdisc.reports.screening import best_table, screening_figures

DEMAND = {
    "target": "uts_mpa",
    "unit": "MPa",
    "at_least": 900.0,
    "at_most": None,
    "transform": "none",
}
PRICE = {"name": "price_usd_per_kg", "label": "price", "unit": "USD/kg", "min": None, "max": 60.0}
COMMON = {
    "density_g_per_cm3": 8.0,
    "price_usd_per_kg": None,
    "supply_risk": 6.0,
    "uts_mpa_mean": 1000.0,
    "uts_mpa_lower": 900.0,
    "uts_mpa_upper": 1100.0,
    "in_domain": True,
}


def candidate(rank, ageing, **more):
    named = {"rank": rank, "index": rank, "alloy": "Ni-20Cr", "ageing_temperature_c": ageing}
    named |= {"powder_processed": "No", "test_temperature_c": 650.0}
    return {
        **named,
        **COMMON,
        "probability": 0.987,
        "log_probability": -0.013,
        "edges": "Cr max",
        **more,
    }


def table():
    known = candidate(0, 620.0, name="IN718", powder_processed="Yes", edges=None, problem="")
    results = {
        "best": [candidate(1, 720.0), candidate(2, 760.0)],
        "service": {"test_temperature_c": 650.0},
        "demands": [DEMAND],
        "named_by": ["alloy"],
        "conditions": ["ageing_temperature_c", "powder_processed"],
        "criteria": [PRICE],
        "incumbents": [known, {"name": "X", "problem": "element Re", "probability": None}],
    }
    return best_table(results)


def texts(row):
    return [str(cell.html) for cell in row.cells]


def test_shared_conditions_are_said_once_and_others_in_their_row():
    found = table()
    assert "All of them: powder processed No;" in str(found.caption)
    assert "ageing" not in str(found.caption)
    titles = [str(column.title) for column in found.columns]
    where = titles.index("treatment")
    first, second, headline, known, problem = found.rows
    assert "ageing temperature 720 °C" in texts(first)[where]
    assert "powder" not in texts(first)[where]
    assert "ageing temperature 760 °C" in texts(second)[where]
    assert "powder processed Yes" in texts(known)[where]
    assert texts(headline) == ["Incumbents, judged alike"]
    assert texts(problem) == ["X: element Re"]


def test_every_row_fits_the_columns():
    found = table()
    for row in found.rows:
        assert len(row.cells) in (1, len(found.columns))
    titles = [str(column.title) for column in found.columns]
    assert texts(found.rows[0])[titles.index("P(all demands met)")] == "98.7 %"
    assert texts(found.rows[0])[titles.index("price")] == "not known"


def test_a_front_of_columns_that_have_no_axis_still_has_a_report():
    results = {
        "best": [candidate(1, 720.0, price_usd_per_kg=20.0), candidate(2, 760.0)],
        "service": {},
        "demands": [DEMAND],
        "named_by": ["alloy"],
        "conditions": [],
        "criteria": [PRICE],
        "stages": [],
        "incumbents": [],
    }
    for objectives in ([["uts_mpa_lower", True]], [["probability", True]], []):
        drawn = screening_figures(results | {"objectives": objectives})
        frame = drawn["tradeoff"]["layout"]
        assert "price" in str(frame["xaxis"]["title"])
        assert "P(all demands met)" in str(frame["yaxis"]["title"])
