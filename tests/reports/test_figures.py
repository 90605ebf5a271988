from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matdisc.reports import figures, model_figures
from matdisc.reports.evidence import TARGETS
from matdisc.reports.gather import gather
from matdisc.reports.html import round_points
from matdisc.reports.labels import place_labels
from tests.reports.conftest import EXPLODED, ROUNDS


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for part in value.values():
            yield from leaves(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from leaves(part)
    else:
        yield value


def check(figure: dict[str, Any]) -> None:
    """Plotly accepts it, JSON holds it, every number is finite."""
    import plotly.graph_objects as go

    go.Figure(figure)
    json.dumps(figure, allow_nan=False)
    assert all(math.isfinite(v) for v in leaves(figure) if isinstance(v, float))


def trace(figure: dict[str, Any], name: str) -> dict[str, Any]:
    return next(t for t in figure["data"] if t.get("name") == name)


def price(results: dict[str, Any]) -> dict[str, Any] | None:
    return figures.price_against_stiffness(
        results["best"],
        results["verified"],
        results["incumbents"],
        "Ti",
        refused=results["not_born_stable"],
    )


def test_price_against_stiffness(campaign):
    results = campaign.results
    figure = price(results)
    check(figure)
    stable = results["best"]
    assert trace(figure, "winner")["y"] == [r["specific_stiffness"] for r in stable]
    assert len(trace(figure, "refused: not Born-stable")["x"]) == 1
    literature = trace(figure, "incumbent, literature")
    assert literature["text"] == ["γ-TiAl", "α₂-Ti<sub>3</sub>Al", "Ti-6Al-4V"]
    assert len(trace(figure, "incumbent, computed here")["x"]) == 2
    assert figure["layout"]["xaxis"]["type"] == "linear"


def test_price_axis_turns_logarithmic(campaign):
    campaign.results["best"][0]["price_usd_per_kg"] = 400.0
    figure = price(campaign.results)
    check(figure)
    low, high = figure["layout"]["xaxis"]["range"]
    assert figure["layout"]["xaxis"]["type"] == "log"
    assert low < math.log10(5.2) < math.log10(400) < high


def test_materials_without_price_or_modulus_are_left_out(campaign):
    campaign.results["best"][0]["price_usd_per_kg"] = None
    campaign.results["best"][1]["specific_stiffness"] = None
    n_stable = len(campaign.results["best"])
    figure = price(campaign.results)
    check(figure)
    assert len(trace(figure, "winner")["x"]) == n_stable - 2
    assert figures.price_against_stiffness([], [], []) is None


def test_hull(campaign):
    named = ("D0_22:Ti,Al,Al",)
    figure = figures.hull("Ti-Al", campaign.results["hull_of_anchor_systems"]["Ti-Al"], named, "Ti")
    check(figure)
    line, above = figure["data"]
    assert line["x"] == sorted(line["x"])
    assert line["text"] == [
        "",
        "Ti<sub>3</sub>Al<br>D0<sub>19</sub>, O",  # within a trifle
        "TiAl<br>L1<sub>0</sub>",
        "TiAl<sub>3</sub><br>D0<sub>23</sub>",
        "",
    ]
    assert [t for t in above["text"] if t] == ["TiAl<sub>3</sub><br>D0<sub>22</sub>"]
    low, high = figure["layout"]["yaxis"]["range"]
    assert low < -0.448
    assert high > 0


def test_the_name_people_know_leads_where_structures_tie():
    def point(key: str, energy: float, on_hull: bool) -> dict[str, Any]:
        return {
            "key": key,
            "share": 0.5,
            "formation_energy_ev_per_atom": energy,
            "on_hull": on_hull,
        }

    points = [point("B11:Ti,Al", -0.4484, True), point("L1_0:Ti,Al", -0.448, False)]
    figure = figures.hull("Ti-Al", points, ("L1_0:Ti,Al",), "Ti")
    assert figure["data"][0]["text"] == ["TiAl<br>L1<sub>0</sub>, B11"]
    assert figure["data"][1]["text"] == [""]
    points[1]["formation_energy_ev_per_atom"] = -0.446
    apart = figures.hull("Ti-Al", points, ("L1_0:Ti,Al",), "Ti")
    assert apart["data"][0]["text"] == ["TiAl<br>B11"]
    assert apart["data"][1]["text"] == ["TiAl<br>L1<sub>0</sub>"]


def test_hull_says_what_lies_above_its_range(campaign):
    points = campaign.results["hull_of_anchor_systems"]["Ti-Si"]
    figure = figures.hull("Ti-Si", points)
    assert figure["layout"]["meta"] == {"hidden": 1}
    shown = [y for t in figure["data"] for y in t["y"]]
    assert max(shown) <= figures.HULL_TOP_EV
    assert len(shown) == len(points) - 1


def test_hull_of_a_system_without_compounds(campaign):
    check(figures.hull("Ti-Nb", campaign.results["hull_of_anchor_systems"]["Ti-Nb"]))
    check(figures.hull("Ti-Mo", []))


def test_parity(campaign):
    acquired = campaign.results["quality"]["acquired"]
    figure = model_figures.parity(acquired, TARGETS)
    check(figure)
    shown = [t for t in figure["data"] if t["mode"] == "markers"]
    assert len(shown) == len(TARGETS) * len(ROUNDS)
    assert sum(len(t["x"]) for t in shown) == sum(len(a["points"]) for a in acquired.values())
    point = acquired["bulk_modulus_gpa"]["points"][0]
    mine = next(t for t in shown if point["predicted"] in t["y"])
    i = mine["y"].index(point["predicted"])
    assert mine["x"][i] == point["computed"]
    assert mine["y"][i] + mine["error_y"]["array"][i] == pytest.approx(point["upper"])
    assert mine["y"][i] - mine["error_y"]["arrayminus"][i] == pytest.approx(point["lower"])
    del acquired["volume_a3_per_atom"]
    check(model_figures.parity(acquired, TARGETS))
    assert model_figures.parity({}, TARGETS) is None


def test_rounds(campaign, tmp_path):
    _, gathered = gather(campaign.write(tmp_path))
    points = round_points(gathered)
    figure = model_figures.rounds(points, 30.0, "Ti")
    check(figure)
    by_key = {p["key"]: p for p in points}
    assert len(by_key) == sum(len(keys) for keys in ROUNDS.values())
    assert by_key[EXPLODED]["distance"] is None
    row = next(r for r in campaign.results["verified"] if r["key"] == "B2:Ti,Fe")
    assert by_key["B2:Ti,Fe"]["distance"] == 1000 * row["above_others_ev_per_atom"]
    assert model_figures.rounds([], 30.0) is None


def test_predicted_merit_is_bulk_modulus_over_density(campaign, tmp_path):
    first = campaign.evaluations[0]
    first |= {
        "key": "L1_0:Ti,Al",
        "formula": "AlTi",
        "bulk_modulus_gpa_mean": 110.0,
        "volume_a3_per_atom_mean": 16.26,
    }
    _, gathered = gather(campaign.write(tmp_path))
    # (47.867 + 26.982) / 2 g/mol over 16.26 A^3: 3.822 g/cm^3
    assert round_points(gathered)[0]["predicted_merit"] == pytest.approx(110.0 / 3.822, rel=1e-3)


def test_regret(campaign):
    figure = model_figures.regret(campaign.results["replay"])
    check(figure)
    mean = trace(figure, "matdisc, mean")
    assert mean["x"] == [0, 14, 28, 42, 56]
    assert mean["y"] == campaign.results["replay"]["loop"]["mean"]


@settings(max_examples=25)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=12))
def test_every_label_gets_a_place(points):
    x, y = [p[0] for p in points], [p[1] for p in points]
    sides = place_labels(
        x, y, ["TiAl"] * len(x), x_range=(0, 1), y_range=(0, 1), size=(900.0, 300.0)
    )
    assert len(sides) == len(points)


def test_labels_of_neighbours_part():
    sides = place_labels(
        [0.5, 0.52], [0.5, 0.5], ["TiAl<sub>3</sub>"] * 2,
        x_range=(0, 1), y_range=(0, 1), size=(900.0, 300.0),
    )  # fmt: skip
    assert sides[0] != sides[1]
