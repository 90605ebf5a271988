from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from matdisc.errors import ArtifactError
from matdisc.reports import build_report
from matdisc.runs import open_run
from tests.reports.conftest import EXPLODED

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Elements, attributes and the text of tables; complains about tags that do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: dict[str, list[list[str]]] = {}
        self._table = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self._table = dict(attrs)["id"]
            self.rows[self._table] = []
        elif tag == "tr":
            self.rows[self._table].append([])
        elif tag in {"td", "th"}:
            self.rows[self._table][-1].append("")

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> without a start"
        assert self.open.pop() == tag
        if tag == "table":
            self._table = ""

    def handle_data(self, data):
        if self._table and {"td", "th"} & set(self.open):
            self.rows[self._table][-1][-1] += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]


def without_plotly(html: str) -> str:
    from plotly.offline import get_plotlyjs

    source = get_plotlyjs()
    assert html.count(source) == 1, "plotly.js is inlined once"
    assert "</script" not in source.lower()
    return html.replace(source, "")


def figures_of(html: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="figures">(.*?)</script>', html, re.S)
    assert found
    return json.loads(found[1], parse_constant=pytest.fail)


def visible(html: str) -> str:
    body = re.sub(r"<(script|style).*?</\1>", "", without_plotly(html), flags=re.S)
    return re.sub(r"<[^>]*>", " ", body)


def test_the_page_is_whole_and_in_order(whole_page):
    html = without_plotly(whole_page)
    parsed = Page(html)
    ids = [attrs["id"] for attrs in parsed.named("section")]
    assert ids == [
        "winners",
        "hull",
        "funnel-section",
        "rounds-section",
        "quality-section",
        "replay-section",
        "sanity-section",
        "verified-section",
        "limits",
        "sources-section",
    ]
    assert set(figures_of(html)) == {"price", "hulls", "rounds", "parity", "regret"}
    every_id = [attrs["id"] for _, attrs in parsed.elements if "id" in attrs]
    assert len(every_id) == len(set(every_id))
    links = {attrs["href"] for attrs in parsed.named("a")}
    assert links == {f"#{name}" for name in ids}
    assert len(parsed.named("caption")) == len(parsed.named("table"))
    plots = [attrs for attrs in parsed.named("div") if attrs.get("class") == "plot"]
    assert len(plots) == 5
    assert all(attrs["aria-label"] for attrs in plots)


def test_nothing_is_loaded_from_anywhere(whole_page):
    html = without_plotly(whole_page)
    for tag, attrs in Page(html).elements:
        assert not {"src", "srcset", "action", "poster", "data", "background"} & set(attrs), tag
        assert (attrs.get("href") or "#").startswith(("#", "data:,")), tag
    assert "http:" not in html
    assert "https:" not in html
    assert "url(" not in html
    assert "@import" not in html
    assert "default-src 'none'" in html


def test_the_first_table_has_winners_and_incumbents(template, whole_page):
    rows = Page(without_plotly(whole_page)).rows["comparison"]
    best = template.results["best"]
    names = [row[1] if len(row) > 1 else row[0] for row in rows[1:]]
    assert names[: len(best)] == [
        "TiSi B27",
        "Ti2Si C54",
        "Ti5Si3 D88",
        "TiAl3 D023",
        "Ti3Sn D019",
    ]
    assert names[len(best) :] == [
        "Refused: not Born-stable",
        "Ti2Si C40",
        "Incumbents, known materials",
        "γ-TiAl literature1",
        "TiAl L10 computed",
        "α₂-Ti3Al literature1",
        "Ti3Al D019 computed",
        "Ti-6Al-4V literature2",
    ]
    gamma = rows[len(best) + 4]
    assert gamma[2:6] == ["45.5", "–", "173", "3.80"]
    first = rows[1]
    assert first[2] == f"{best[0]['specific_stiffness']:.1f}"
    assert first[8] == "✓ stable"
    refused = rows[len(best) + 2]
    assert refused[8] == "✗ unstable"
    assert "lowest eigenvalue of the elastic tensor −4.2 GPa" in refused[13]
    assert first[12] == "not rated"  # silicon


def test_every_verified_candidate_is_listed_and_sortable(template, whole_page):
    html = without_plotly(whole_page)
    parsed = Page(html)
    rows = parsed.rows["verified"]
    assert len(rows) == len(template.results["verified"]) + 1
    distances = [float(row[1].replace("−", "-")) for row in rows[1:]]
    assert distances == sorted(distances)
    assert any("not computed" in row for row in rows)
    assert {row[-1] for row in rows[1:]} == {"live", "looked up"}
    buttons = parsed.named("button")
    assert len(buttons) == len(rows[0])
    table = html[html.index('<table id="verified"') :]
    table = table[: table.index("</table>")]
    assert table.count("data-sort=") == table.count("<td")


def test_failures_funnel_sanity_and_quality_tables(template, whole_page):
    rows = Page(without_plotly(whole_page)).rows
    assert rows["failures"][1] == [
        "TiZr2 C16",
        "3",
        "exploded",
        "looked up",
        "not measured",
        "volume ratio 2.4 after 12 steps",
    ]
    assert template.records[EXPLODED].status == "exploded"
    assert rows["funnel"][1][:5] == [
        "criteria",
        "4\u202f188",
        "price_usd_per_kg above 60: 212supply_risk above 7.5: 96",
        "supply_risk unknown for Si: 590",
        "3\u202f880",
    ]
    assert [row[2] for row in rows["sanity"][1:]] == [
        "✓ agrees",
        "✓ agrees",
        "– not computed",
        "✗ differs",
        "✓ agrees",
    ]
    assert rows["quality"][1] == ["formation energy [eV/atom]"]
    assert rows["quality"][3][1:] == ["surrogate", "812", "0.027", "0.86", "89 %"]
    assert rows["stages"][-1][0].startswith("sum")


def test_provenance_is_named(whole_page):
    text = visible(whole_page)
    for fact in (
        "7net-l3i5",
        "5e771465aa11",
        "e1a571c0bb22",
        "ab" * 32,
        "+109.7",
        "matdisc verify configs/verify/ti_intermetallics.yaml",
        "seed = 1",
        "lower bound",
        "Pugh ratio B/G",
        "γ-TiAl 171 against 173 GPa",
    ):
        assert fact in text, fact


def strip_numbers(campaign) -> None:
    """As after a campaign in which hardly anything could be computed."""
    for row in campaign.results["verified"]:
        row |= dict.fromkeys(
            (
                "young_modulus_gpa",
                "shear_modulus_gpa",
                "pugh_ratio",
                "born_stable",
                "specific_stiffness",
                "bulk_modulus_gpa",
                "supply_risk",
                "supply_risk_highest",
                "price_usd_per_kg",
            )
        )
    campaign.elastic = {}
    results = campaign.results
    results["best"] = []
    results["replay"] = None
    results["quality"] = {
        "acquired": {},
        "held_out": {"n_training": 9, "n_held_out": 0, "surrogate": {}, "baseline": {}},
    }
    results["evaluations"]["reproduced"] = {"n": 0, "max_energy_gap_ev_per_atom": None}
    for incumbent in results["incumbents"]:
        if incumbent["computed"]:
            incumbent["computed"] |= {"young_modulus_gpa": None, "specific_stiffness": None}


def test_missing_numbers_say_so(campaign, page):
    strip_numbers(campaign)
    html = page(campaign)
    Page(without_plotly(html))
    text = visible(html)
    assert "No verified material passed" in text
    assert "not computed" in text
    assert "not rated" in text
    assert not re.search(r"\b(nan|NaN|None|null|undefined|inf)\b", text)
    assert set(figures_of(html)) == {"price", "hulls", "rounds"}


def test_a_full_page_has_no_python_in_it(whole_page):
    text = visible(whole_page)
    assert not re.search(r"\b(nan|NaN|None|null|undefined|inf|True|False|Markup)\b|[{}]", text)


def test_a_campaign_without_incumbents_or_checks(campaign, page):
    campaign.results["incumbents"] = []
    campaign.results["sanity"] = []
    text = visible(page(campaign))
    assert "Incumbents, known" not in text
    assert "the brief names no checks" in text


def test_gamma_found_again_is_said(campaign, page):
    results = campaign.results
    gamma = next(i for i in results["incumbents"] if i["computed"])["computed"]
    results["best"] = [gamma]
    assert "found again" in visible(page(campaign))


EVIL = '"><img src=x onerror=alert(1)></script><script>alert(1)</script>{{ 7 * 7 }}'


def test_text_from_outside_is_escaped(campaign, page):
    results = campaign.results
    results["name"] = results["brief"] = EVIL
    results["data"] |= {"description": EVIL, "hardware": EVIL, "versions": {EVIL: EVIL}}
    for row in [*results["verified"], *results["best"]]:
        row |= {"flags": [EVIL], "competitors": [EVIL], "formula": EVIL, "source": EVIL}
    for incumbent in results["incumbents"]:
        incumbent |= {"name": EVIL, "source": EVIL}
    for check in results["sanity"]:
        check |= {"expected": EVIL, "found": EVIL, "note": EVIL}
    for points in results["hull_of_anchor_systems"].values():
        points[0]["key"] = EVIL
    results["hull_of_anchor_systems"][EVIL] = []
    html = without_plotly(page(campaign))
    parsed = Page(html)
    assert parsed.named("img") == []
    assert len(parsed.named("script")) == 3
    assert not any("onerror" in attrs for _, attrs in parsed.elements)
    assert "49" not in re.findall(r"<h1>(.*?)</h1>", html)[0]
    drawn = json.dumps(figures_of(html))
    assert "<img" not in drawn.replace(json.dumps(EVIL)[1:-1], "")


def test_the_same_run_gives_the_same_bytes(campaign, tmp_path):
    run = campaign.write(tmp_path)
    first = build_report(run).read_bytes()
    assert build_report(run).read_bytes() == first


def test_a_published_run_keeps_its_report(campaign, tmp_path):
    run = campaign.write(tmp_path, publish=True)
    page = run / "report.html"
    before = page.read_bytes()
    assert build_report(run) == page
    assert page.read_bytes() == before
    page.unlink()
    assert build_report(run) == page
    assert page.read_bytes() == before


def test_another_report_of_a_published_run_goes_beside_it(campaign, tmp_path, monkeypatch):
    from matdisc.reports import html

    run = campaign.write(tmp_path, publish=True)
    before = (run / "report.html").read_bytes()
    render = html.render_report
    monkeypatch.setattr(html, "render_report", lambda gathered: render(gathered) + "<!-- new -->")
    other = build_report(run)
    assert other == run.with_name(f"{run.name}-report.html")
    assert other.read_bytes().endswith(b"<!-- new -->")
    assert (run / "report.html").read_bytes() == before


def test_what_is_no_campaign_has_no_report(tmp_path):
    with pytest.raises(ArtifactError, match="no run directory"):
        build_report(tmp_path / "nothing")
    for verb, complaint in (("verify", "matdisc verify"), ("train", "no results.json")):
        with open_run(verb, {"seed": 1}, out=tmp_path) as run:
            pass
        with pytest.raises(ArtifactError, match=re.escape(complaint)):
            build_report(run.path)


def test_the_room_is_light():
    code = (
        "import sys, matdisc.reports, matdisc.reports.html\n"
        "print(*[m for m in ('plotly', 'jinja2', 'torch', 'pymatgen', 'pandas', 'numba', 'scipy')"
        " if m in sys.modules])"
    )
    out = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert out.split() == []


def test_a_campaign_of_an_earlier_matdisc_is_named_with_a_remedy(campaign, tmp_path):
    for row in campaign.results["verified"]:
        row.pop("min_eigenvalue_gpa", None)
    with pytest.raises(ArtifactError, match=r"earlier matdisc.*min_eigenvalue_gpa.*--fresh"):
        build_report(campaign.write(tmp_path))
