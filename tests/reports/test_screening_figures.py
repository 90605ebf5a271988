"""Figures of a screening: what is drawn are the numbers of the results, with their units."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matdisc.errors import ConfigError
from matdisc.reports import screening_figures as figures
from matdisc.reports.screening_quantities import quantities, shares_of, variances

STAGES = [
    {
        "stage": "criteria",
        "entered": 1_000_000_000,
        "survived": 250,
        "rejected": {"price above 60": 999_000_000, "no price for Tc": 999_750},
        "flagged": {"density outside its stated range": 20},
    },
    {"stage": "score", "entered": 250, "survived": 0, "rejected": {"bad": 250}, "flagged": {}},
    {"stage": "selection", "entered": 0, "survived": 0, "rejected": {}, "flagged": {}},
]
DEMANDS = [
    {"target": "strength", "unit": "MPa", "at_least": 900.0, "at_most": None, "transform": "none"},
    {"target": "life", "unit": "h", "at_least": 100.0, "at_most": None, "transform": "log10"},
]
CRITERIA = [
    {"name": "price_usd_per_kg", "label": "price", "unit": "USD/kg"},
    {"name": "supply_risk", "label": "supply risk", "unit": "1"},
]


def row(alloy, strength=900.0, price=20.0, probability=0.5, **more):
    found = {
        "alloy": alloy,
        "ageing_temperature_c": 600.0,
        "route": "forged",
        "price_usd_per_kg": price,
        "supply_risk": 5.0,
        "strength_mean": strength,
        "life_mean": 2.0,
        "probability": probability,
        "log_probability": math.log(probability),
        "in_domain": True,
    }
    return {**found, **more}


BEST = [
    row("Ti-20Nb-5Ta-5Zr", 950.0, 30.0, 0.9),
    row("Ti-30Nb-5Ta-5Zr", 900.0, None, 0.7, route="cast", life_mean=3.0),
    row("Ti-25Nb-10Ta-5Zr", 850.0, 50.0, 0.4, ageing_temperature_c=700.0),
    row("Ti-25Nb-5Zr", 800.0, 60.0, 0.2),
]
KNOWN = [
    row("Ti-6Al-4V", 1000.0, 15.0, 1e-9, name="Ti-64", formula="Ti0.8620Al0.1020V0.0360"),
    {"name": "foreign", "alloy": "Fe-20Cr", "formula": "Fe79Cr21", "probability": None},
]


def results(best=BEST, incumbents=KNOWN, **more):
    found = {
        "stages": STAGES,
        "best": best,
        "incumbents": incumbents,
        "named_by": ["alloy"],
        "conditions": ["ageing_temperature_c", "route"],
        "criteria": CRITERIA,
        "demands": DEMANDS,
    }
    return {**found, **more}


def plotly_accepts(figure):
    import plotly.graph_objects as go

    json.dumps(figure, allow_nan=False)
    go.Figure(figure)


def test_the_funnel_has_a_bar_per_stage_and_one_for_what_is_kept():
    figure = figures.funnel_figure(results())
    plotly_accepts(figure)
    (bars,) = figure["data"]
    assert bars["y"] == ["criteria", "score", "selection", "kept"]
    assert bars["x"] == [1_000_000_000, 250, None, None]  # no zero on a logarithmic axis
    assert bars["text"][2] == "0"
    assert figure["layout"]["xaxis"]["type"] == "log"
    assert figure["layout"]["xaxis"]["range"][1] > 9
    assert figure["layout"]["yaxis"]["categoryarray"][0] == "kept"  # drawn from below
    first = bars["hovertext"][0].split("<br>")
    assert "250 left it" in first[0]
    assert first[1].startswith("out: price above 60")
    assert first[2].startswith("out: no price for Tc")
    assert first[3].startswith("marked: density outside its stated range: 20")


def test_many_reasons_are_summed_up():
    counts = {f"reason {i}": i + 1 for i in range(40)}
    total = sum(counts.values())
    stage = {"stage": "a", "entered": total, "survived": 0, "rejected": counts, "flagged": {}}
    (bars,) = figures.funnel_figure(results(stages=[stage]))["data"]
    lines = bars["hovertext"][0].split("<br>")
    assert len(lines) == 1 + 12 + 1
    assert lines[1] == "out: reason 39: 40"
    rest = sum(sorted(counts.values())[:28])
    assert lines[-1] == f"out: 28 more reasons: {rest}"
    assert figures.funnel_figure(results(stages=[])) is None


def test_the_triangle_has_the_two_elements_that_vary_most_and_all_others():
    figure = figures.ternary_figure(results())
    plotly_accepts(figure)
    candidates, incumbents = figure["data"]
    # niobium varies by 5, tantalum and titanium by less; titanium: 70, 60, 60, 70
    assert "Ti [wt%]" in figure["layout"]["ternary"]["aaxis"]["title"]["text"]
    assert "Nb [wt%]" in figure["layout"]["ternary"]["baxis"]["title"]["text"]
    assert figure["layout"]["ternary"]["caxis"]["title"]["text"] == "Ta + Zr [wt%]"
    np.testing.assert_allclose(candidates["a"], [70, 60, 60, 70])
    np.testing.assert_allclose(candidates["b"], [20, 30, 25, 25])
    np.testing.assert_allclose(candidates["c"], [10, 10, 15, 5])
    assert candidates["marker"]["color"] == [0.9, 0.7, 0.4, 0.2]
    assert incumbents["text"] == ["Ti-64"]
    # aluminium and vanadium are in no group: of the sum of the three, all is titanium
    assert incumbents["a"] == [100.0]
    sums = np.sum([candidates[k] for k in "abc"], axis=0)
    np.testing.assert_allclose(sums, 100)
    least = [figure["layout"]["ternary"][f"{k}axis"]["min"] for k in "abc"]
    assert least == [55.0, 0.0, 0.0]


def test_corners_may_be_chosen():
    groups = [["Ti", "Zr"], ["Nb", "Ta"], ["Al", "V"]]
    figure = figures.ternary_figure(results(), groups)
    plotly_accepts(figure)
    candidates, incumbents = figure["data"]
    np.testing.assert_allclose(candidates["a"], [75, 65, 65, 75])
    assert candidates["c"] == [0, 0, 0, 0]
    assert incumbents["a"][0] == pytest.approx(90, abs=1)
    title = figure["layout"]["ternary"]["baxis"]["title"]["text"]
    assert title == "Nb + Ta [wt%]"
    for bad in ([["Ti"], ["Nb"]], [["Ti"], ["Nb"], ["Ti"]], [["Ti"], ["Nb"], []]):
        with pytest.raises(ConfigError, match="three groups of elements"):
            figures.ternary_figure(results(), bad)


def test_compounds_are_shown_by_atoms_and_two_elements_give_no_triangle():
    names = ["AlTi3", "Al2NbTi", "AlNb3"]
    best = [row("", formula=name) for name in names]
    figure = figures.ternary_figure(results(best, [], named_by=["formula"]))
    plotly_accepts(figure)
    (candidates,) = figure["data"]
    shares = {figure["layout"]["ternary"][f"{k}axis"]["title"]["text"]: k for k in "abc"}
    np.testing.assert_allclose(candidates[shares["Ti [at%]"]], [75, 25, 0])
    np.testing.assert_allclose(candidates[shares["Nb [at%]"]], [0, 25, 75])
    two = [row("Ti-20Nb"), row("Ti-30Nb")]
    assert figures.ternary_figure(results(two, [])) is None
    alike = [row("Ti-20Nb-5Zr")] * 2
    assert figures.ternary_figure(results(alike, [])) is None
    assert figures.ternary_figure(results([], KNOWN)) is None


def titles_of(figure):
    return [text.replace("<br>", " ") for text in figure["layout"]["xaxis"]["ticktext"]]


def test_parallel_axes_are_what_varies_with_units():
    figure = figures.parallel_figure(results())
    plotly_accepts(figure)
    assert titles_of(figure) == [
        *[f"{name} [wt%]" for name in ("Al", "Nb", "Ta", "Ti", "V", "Zr")],
        "ageing temperature [°C]",
        "route",
        "price [USD/kg]",
        "strength [MPa]",
        "life [h]",
        "P(all demands met)",
    ]  # supply risk is the same for all


def test_lines_run_at_the_height_of_their_values():
    figure = figures.parallel_figure(results())
    candidates, incumbent = figure["data"]
    n = len(titles_of(figure))
    assert len(candidates["x"]) == len(candidates["y"]) == 4 * (n + 1)
    at = titles_of(figure).index
    lines = [candidates["y"][i * (n + 1) : (i + 1) * (n + 1)] for i in range(4)]
    assert all(line[-1] is None for line in lines)
    assert [line[at("strength [MPa]")] for line in lines] == [0.75, 0.5, 0.25, 0.0]
    assert [line[at("price [USD/kg]")] for line in lines] == pytest.approx(
        [15 / 45, None, 35 / 45, 1.0]
    )  # the price of one is not known: a gap
    assert [line[at("route")] for line in lines] == [1.0, 0.0, 1.0, 1.0]  # cast, forged
    assert [line[at("life [h]")] for line in lines] == [0.0, 1.0, 0.0, 0.0]
    assert incumbent["name"] == "Ti-64"
    assert incumbent["y"][at("strength [MPa]")] == 1.0
    assert incumbent["y"][at("Nb [wt%]")] == 0.0
    assert incumbent["line"]["width"] > candidates["line"]["width"]
    word = incumbent["hovertext"][at("strength [MPa]")]
    assert word == "Ti-64<br>strength [MPa]: 1000"
    assert candidates["hovertext"][at("life [h]")].endswith("life [h]: 100")


def test_the_ends_of_each_axis_are_written():
    figure = figures.parallel_figure(results())
    ends = {}
    for note in figure["layout"]["annotations"]:
        ends.setdefault(titles_of(figure)[note["x"]], {})[note["y"]] = note["text"]
    assert ends["strength [MPa]"] == {0: "800", 1: "1000"}
    assert ends["life [h]"] == {0: "100", 1: "1000"}
    assert ends["route"] == {0: "cast", 1: "forged"}
    assert ends["price [USD/kg]"] == {0: "15", 1: "60"}
    assert len(figure["layout"]["shapes"]) == len(ends)


def test_nothing_that_varies_gives_no_lines():
    assert figures.parallel_figure(results([], [])) is None
    assert figures.parallel_figure(results([BEST[0]], [])) is None


def test_a_long_shortlist_is_cut():
    best = [row(f"Ti-{10 + i / 100:.2f}Nb-5Zr", strength=float(i)) for i in range(300)]
    (trace,) = figures.parallel_figure(results(best, []))["data"]
    assert sum(x == 0 for x in trace["x"]) == 200


def test_the_front_of_two_objectives_with_its_staircase():
    figure = figures.pareto_figure(results(), ("price_usd_per_kg", False), ("strength_mean", True))
    plotly_accepts(figure)
    behind, front, known = figure["data"]
    assert (front["x"], front["y"]) == ([30.0], [950.0])
    assert front["hovertext"] == ["Ti-20Nb-5Ta-5Zr"]
    assert sorted(behind["x"]) == [50.0, 60.0]  # one has no price
    assert front["line"]["shape"] == "hv"
    assert known["text"] == ["Ti-64"]
    assert figure["layout"]["xaxis"]["title"]["text"] == "price [USD/kg], less is better"
    assert figure["layout"]["yaxis"]["title"]["text"] == "strength [MPa], more is better"


def test_logarithms_are_drawn_in_physical_units():
    figure = figures.pareto_figure(results(), ("life_mean", True), ("strength_mean", True))
    plotly_accepts(figure)
    front = next(trace for trace in figure["data"] if trace["name"] == "on the front")
    assert (front["x"], front["y"]) == ([100.0, 1000.0], [950.0, 900.0])
    assert front["line"]["shape"] == "vh"
    assert "life [h]" in front["hovertemplate"]
    beyond = [row("Ti-20Nb", life_mean=400.0)]
    assert figures.pareto_figure(results(beyond), ("life_mean", True), ("strength_mean", True)) is (
        None
    )


few = st.integers(0, 4).map(float)


@given(st.lists(st.tuples(few, few), min_size=1, max_size=25), st.booleans(), st.booleans())
def test_the_drawn_front_is_what_no_candidate_beats(points, more_x, more_y):
    best = [row("Ti-20Nb", strength=y, price=x) for x, y in points]
    axes = ("price_usd_per_kg", more_x), ("strength_mean", more_y)
    figure = figures.pareto_figure(results(best, []), *axes)
    gains = [(x if more_x else -x, y if more_y else -y) for x, y in points]

    def is_beaten(gain):
        return any(o != gain and o[0] >= gain[0] and o[1] >= gain[1] for o in gains)

    expected = sorted(p for p, gain in zip(points, gains, strict=True) if not is_beaten(gain))
    front = next(trace for trace in figure["data"] if trace["name"] == "on the front")
    assert list(zip(front["x"], front["y"], strict=True)) == expected
    assert sum(len(trace["x"]) for trace in figure["data"]) == len(points)


def test_logarithms_tell_certain_candidates_apart():
    best = [
        row("Ti-20Nb", price=20.0, probability=1.0, log_probability=-1e-30),
        row("Ti-30Nb", price=10.0, probability=1.0, log_probability=-1e-20),
    ]
    axes = ("price_usd_per_kg", False), ("log_probability", True)
    front = figures.pareto_figure(results(best, []), *axes)["data"][0]
    assert (front["name"], front["x"]) == ("on the front", [10.0, 20.0])
    blurred = figures.pareto_figure(results(best, []), axes[0], ("probability", True))
    assert [trace["x"] for trace in blurred["data"]] == [[20.0], [10.0]]


def test_unknown_columns_are_refused():
    with pytest.raises(ConfigError, match=r"no column 'prise' to draw; there are \['ageing"):
        figures.pareto_figure(results(), ("prise", False), ("strength_mean", True))
    assert "route" in quantities(results())


def test_shares_are_read_from_names():
    shares, unit = shares_of([BEST[0], KNOWN[0]], results())
    assert unit == "wt%"
    assert shares[0] == pytest.approx({"Ti": 70, "Nb": 20, "Ta": 5, "Zr": 5})
    assert shares[1]["Al"] == pytest.approx(6, abs=0.1)
    assert list(variances([{"A": 1.0, "B": 5.0}, {"A": 3.0, "B": 5.001}])) == ["A"]
