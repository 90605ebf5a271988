"""A built wheel, installed outside the clone, brings everything that its user needs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "MANIFEST.in", "src")
ASSETS = ("configs", "datasets", "models")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder that holds the installed wheel, built from a copy of the clone."""
    copy = tmp_path_factory.mktemp("clone")
    junk = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in (*SOURCES, *ASSETS):
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, copy / name, ignore=junk)
        elif path.exists():
            shutil.copy(path, copy)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    wheels = tmp_path_factory.mktemp("wheels")
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(copy)]
    subprocess.run([*pip, *build], check=True, capture_output=True)
    [wheel] = wheels.glob("matdisc-*.whl")
    target = tmp_path_factory.mktemp("site")
    install = ["install", "--no-deps", "--no-index", "--target", str(target), str(wheel)]
    subprocess.run([*pip, *install], check=True, capture_output=True)
    return target


def outside(site: Path, *arguments: str) -> str:
    """Standard output of Python, run outside the clone with the installed wheel."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=site,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_installed_package_is_the_one_that_runs(site):
    where = outside(site, "-c", "import matdisc; print(matdisc.__file__)")
    assert Path(where.strip()).is_relative_to(site)


def test_every_asset_of_the_clone_is_in_the_wheel(site):
    expected = {
        str(path.relative_to(ROOT))
        for name in ASSETS
        for path in (ROOT / name).rglob("*")
        if path.is_file() and not path.name.startswith(".") and "__pycache__" not in path.parts
    }
    packaged = site / "matdisc" / "_assets"
    found = {str(path.relative_to(packaged)) for path in packaged.rglob("*") if path.is_file()}
    assert found == expected
    assert "configs/discover/titanium.yaml" in found


def test_every_data_file_of_the_package_is_in_the_wheel(site):
    source = ROOT / "src" / "matdisc"
    for path in source.rglob("*"):
        if path.is_file() and path.suffix not in (".pyc", ".nbc", ".nbi"):
            assert (site / "matdisc" / path.relative_to(source)).is_file(), path


def test_the_command_works(site):
    assert "discover" in outside(site, "-m", "matdisc", "--help")
    schema = json.loads(outside(site, "-m", "matdisc", "schema", "discover"))
    assert schema["properties"]
    assert (site / "bin" / "matdisc").is_file()


def test_the_titanium_campaign_can_be_planned(site):
    brief = "configs/discover/titanium.yaml"
    plan = outside(site, "-m", "matdisc", "discover", "run", brief, "--dry-run", "--json")
    assert json.loads(plan)
