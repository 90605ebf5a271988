"""Second opinions in reports: a page of their own, and a table in the campaign's."""

from __future__ import annotations

import pytest

from matdisc.reports import build_report
from matdisc.runs import open_run
from tests.reports.test_report import EVIL, Page, visible


def row(key, role, change, status="converged", **fields):
    first = {
        "formation_energy_ev_per_atom": -0.5,
        "volume_a3_per_atom": 16.0,
        "density_g_per_cm3": 4.0,
        "bulk_modulus_gpa": 140.0,
        "status": "converged",
        "converged": True,
        "error": "",
        "warnings": [],
        "seconds": 3.0,
    }
    done = status == "converged"
    names = list(first)[:4]
    shift = {"formation_energy_ev_per_atom": change, "bulk_modulus_gpa": -14.0}
    difference = {name: shift.get(name, 0.0) if done else None for name in names}
    second = {name: first[name] + difference[name] if done else None for name in names}
    second |= {"status": status, "converged": done, "error": "", "warnings": [], "seconds": 9.0}
    return {
        "key": key,
        "formula": "TiSi2",
        "prototype": key.partition(":")[0],
        "role": role,
        "first": first,
        "second": second | fields,
        "difference": difference,
        "deviations": change / 0.054 if done else None,
    }


def opinion(**changes):
    reference = row("hcp:Ti", "", 0.0)["second"] | {"element": "Ti", "key": "hcp:Ti"}
    return {
        "name": "titanium-gpaw",
        "campaign": {
            "name": "titanium",
            "run": "x",
            "hash": "abc",
            "anchor": "Ti",
            "engine": "sevenn/7net-l3i5",
            "engine_error_ev_per_atom": 0.054,
        },
        "engine": "gpaw/PBE",
        "level": "dft",
        "relax": "none",
        "formation_energy_error_ev_per_atom": 0.01,
        "settings_hash": "0123456789abcdef",
        "engine_settings": {"kind": "gpaw", "cutoff_ev": 400.0},
        "engine_versions": {"gpaw": "26.7.0"},
        "rows": [
            row("C49:Ti,Si", "best 1", 0.02),
            row("B2:Ti,Fe", "best 2", 0.17),
            row("L1_0:Ti,Al", "gamma-TiAl", 0.0, status="failed", error="no self-consistency"),
        ],
        "references": [reference],
        "n_records": 4,
        "n_converged": 3,
        "status": {"converged": 3, "failed": 1},
        **changes,
    }


def write(campaign, out, content, seed=1):
    inputs = {"campaign": campaign / "results.json"}
    with open_run("verify", {"seed": seed}, inputs=inputs, out=out) as run:
        run.write_json("results.json", content)
        build_report(run.path)
        run.publish()
        return run.path


@pytest.fixture
def published(campaign, tmp_path):
    return campaign.write(tmp_path, publish=True)


def test_a_page_of_its_own(published, tmp_path):
    html = (write(published, tmp_path, opinion()) / "report.html").read_text("utf-8")
    page = Page(html)
    assert "script" not in {tag for tag, _ in page.elements}
    assert "http:" not in html
    assert "https:" not in html
    rows = page.rows["opinions"]
    assert "sevenn/7net-l3i5, then gpaw/PBE (density functional theory)" in rows[1][0]
    assert rows[2][1:5] == ["−0.500", "−0.480", "+20", "+0.4"]
    assert rows[3][3:5] == ["+170", "+3.1 (engines disagree)"]
    assert rows[2][11:14] == ["126", "−10.0", "✓ yes"]
    assert rows[4][2:5] == ["not computed"] * 3
    assert rows[4][13:] == ["✗ failed", "no self-consistency"]
    assert page.rows["references"][1][0] == "Ti hcp"
    for fact in ("cutoff_ev = 400.0", "gpaw 26.7.0", "No hull", "is that of the first engine"):
        assert fact in html


def test_a_potential_is_never_called_dft(published, tmp_path):
    content = opinion(engine="chgnet/0.3.0", level="potential", relax="full")
    html = (write(published, tmp_path, content) / "report.html").read_text("utf-8")
    assert "density functional" not in html
    assert "potential, not DFT" in html


def test_the_campaigns_report_has_a_table_of_them(published, tmp_path):
    own = published / "report.html"
    before = own.read_bytes()
    assert build_report(published) == own
    write(published, tmp_path, opinion())
    write(
        published,
        tmp_path,
        opinion(engine="chgnet/0.3.0", level="potential", settings_hash="f" * 16),
        2,
    )
    page = build_report(published)
    assert page != own
    assert own.read_bytes() == before
    html = page.read_text("utf-8")
    rows = Page(html).rows["opinions"]
    assert [r[0].split(":")[0] for r in rows if len(r) == 1] == [
        "sevenn/7net-l3i5, then gpaw/PBE (density functional theory)",
        "sevenn/7net-l3i5, then chgnet/0.3.0 (potential, not DFT)",
    ]
    assert "Second opinions" in visible(html)
    assert build_report(published) == page
    assert page.read_text("utf-8") == html


def test_opinions_on_other_campaigns_are_left_out(published, campaign, tmp_path):
    campaign.results["seed"] = 99
    elsewhere = campaign.write(tmp_path / "other", publish=True)
    write(elsewhere, tmp_path, opinion())
    with open_run("verify", {"seed": 5}, out=tmp_path) as run:  # of a config
        run.publish()
    with open_run("verify", {"seed": 6}, out=tmp_path):  # unfinished
        pass
    assert build_report(published) == published / "report.html"
    assert "Second opinions" not in (published / "report.html").read_text("utf-8")


def test_the_newest_of_equal_opinions_counts(published, tmp_path):
    write(published, tmp_path, opinion())
    newer = opinion(rows=[row(r["key"], "best 7", 0.0) for r in opinion()["rows"]])
    write(published, tmp_path, newer, 2)
    text = build_report(published).read_text("utf-8")
    assert "best 7" in text
    assert "best 2" not in Page(text).rows["opinions"][3][0]


def test_text_from_outside_is_escaped(published, tmp_path):
    content = opinion(engine=EVIL, engine_settings={EVIL: EVIL}, engine_versions={EVIL: EVIL})
    content["campaign"] |= {"name": EVIL, "run": EVIL, "engine": EVIL}
    content["rows"][0] |= {
        "formula": EVIL,
        "role": EVIL,
        "second": {**content["rows"][0]["second"], "error": EVIL},
    }
    html = (write(published, tmp_path, content) / "report.html").read_text("utf-8")
    page = Page(html)
    assert page.named("img") == []
    assert page.named("script") == []
