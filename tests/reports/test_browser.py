"""The report in a real browser: it draws, it sorts, it complains about nothing, it stays home."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from matdisc.reports import build_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "/usr/bin/chromium"))), None)

BROWSERS_OWN = re.compile(
    r"https?://(accounts|(android\.)?clients\d*|update|www)\.(google|googleapis)\.com/"
)
"""Chromium looks for its own updates, whatever page is open (in vain here)."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH (Debian package chromium)"),
]


def browse(page: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    assert CHROMIUM is not None
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--enable-logging=stderr",
        "--v=0",
        "--virtual-time-budget=10000",
        f"--user-data-dir={folder / 'profile'}",
        f"--log-net-log={folder / 'net.json'}",
        *arguments,
        page.as_uri(),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)


def requests(folder: Path) -> set[str]:
    """Addresses that the page asked for over a network."""
    text = (folder / "net.json").read_text("utf-8")
    return set(re.findall(r'"url":\s*"((?:https?|wss?):[^"]*)"', text))


def test_the_report_opens_without_a_complaint(campaign, tmp_path):
    page = build_report(campaign.write(tmp_path / "runs"))
    shot = tmp_path / "report.png"
    done = browse(page, tmp_path, f"--screenshot={shot}", "--window-size=1366,3000")
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    assert shot.stat().st_size > 100_000  # an empty page is a tenth of that
    assert [url for url in requests(tmp_path) if not BROWSERS_OWN.match(url)] == []


PROBE = """
<script>
addEventListener("load", () => {
  const first = () => document.querySelector("#verified tbody").rows[0].cells[0].textContent;
  const header = [...document.querySelectorAll("#verified th")].find(
    (th) => th.textContent.startsWith("density"));
  header.firstElementChild.click();
  const lightest = first(), up = header.getAttribute("aria-sort");
  header.firstElementChild.click();
  const chooser = document.getElementById("system");
  chooser.value = "Ti-Si";
  chooser.dispatchEvent(new Event("change"));
  const plots = [...document.querySelectorAll(".plot")].map(
    (box) => box.querySelectorAll(".point").length);
  const bar = [...document.querySelectorAll(".modebar-btn")].map((b) => b.dataset.title);
  document.title = JSON.stringify({ lightest, up, heaviest: first(), plots,
    hidden: document.getElementById("hidden").textContent, bar: [...new Set(bar)] });
});
</script>
"""


def test_tables_sort_and_the_hull_changes(campaign, tmp_path):
    page = build_report(campaign.write(tmp_path / "runs"))
    probe = tmp_path / "probe.html"
    probe.write_text(page.read_text("utf-8") + PROBE, "utf-8")
    dom = browse(probe, tmp_path, "--dump-dom").stdout
    found = re.search(r"<title>(.*?)</title>", dom, re.S)
    assert found
    seen = json.loads(found[1].replace("&lt;", "<").replace("&amp;", "&"))
    density = {r["key"]: r["density_g_per_cm3"] for r in campaign.results["verified"]}
    assert min(density, key=lambda k: density[k]) in seen["lightest"]
    assert max(density, key=lambda k: density[k]) in seen["heaviest"]
    assert seen["up"] == "ascending"
    assert all(n > 0 for n in seen["plots"])
    assert len(seen["plots"]) == 5
    assert "1 structures lie above" in seen["hidden"]
    assert not any("Share" in title for title in seen["bar"])  # nothing that could upload
