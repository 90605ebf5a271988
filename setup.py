"""Puts the folders that users name (configs, datasets, models) into the wheel as package data.

Everything else is in pyproject.toml. An editable install reads the folders of the clone.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ASSETS = ("configs", "datasets", "models")


class BuildWithAssets(build_py):
    """Copies the asset folders to ``matdisc/_assets``."""

    def run(self) -> None:
        """Build the package, then add the assets."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / "matdisc" / "_assets"
        shutil.rmtree(target, ignore_errors=True)  # of an earlier build
        for name in ASSETS:
            if Path(name).is_dir():
                shutil.copytree(name, target / name, ignore=shutil.ignore_patterns(".*", "__*"))


setup(cmdclass={"build_py": BuildWithAssets})
