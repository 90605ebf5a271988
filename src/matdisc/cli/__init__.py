"""The command line: one function per verb, no logic."""

from __future__ import annotations

from matdisc.cli.app import main

__all__ = ["main"]
