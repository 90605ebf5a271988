"""The files around the package: the tested set, the Makefile, the build script."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    assert all(len(pin) == 2 for pin in pins), "constraints.txt holds name==version lines only"
    return {canonicalize_name(name): version for name, version in pins}


def test_the_tested_set_is_plain_and_holds_every_dependency():
    pins = pinned()
    for name, version in pins.items():
        assert re.fullmatch(r"[0-9][0-9a-z.]*", version), f"{name}: {version} (local or a URL?)"
    assert "matdisc" not in pins
    extras = PROJECT["optional-dependencies"].values()
    for text in (*PROJECT["dependencies"], *(text for extra in extras for text in extra)):
        requirement = Requirement(text)
        version = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{text} against the tested {version}"


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_lists_its_targets_and_says_what_it_lacks(tmp_path):
    listed = make("help").stdout
    targets = {line.split()[0] for line in listed.splitlines()}
    assert {"discover", "test", "test-all", "lint", "bench", "venv", "clean"} <= targets
    missing = make("venv", f"VENV={tmp_path / 'a'}", "PYTHON=no-such-python")
    assert missing.returncode != 0
    assert "install Python 3.11 or newer" in missing.stderr
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.1" && exit 0\nexit 1\n')
    old.chmod(0o755)
    done = make("venv", f"VENV={tmp_path / 'b'}", f"PYTHON={old}")
    assert done.returncode != 0
    assert "Python 3.9.1 is too old" in done.stderr
    assert not (tmp_path / "b").exists()


def test_the_build_script_is_runnable_and_strict():
    script = ROOT / ".ci" / "run"
    text = script.read_text("utf-8")
    assert os.access(script, os.X_OK)
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in text
    assert "make test" in text


def test_the_licence_is_the_full_text():
    text = (ROOT / "LICENSE").read_text("utf-8")
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert PROJECT["license"] == "Apache-2.0"
