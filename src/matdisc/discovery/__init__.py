"""Closed-loop campaigns: oracles, acquisition, rounds, finals and replay."""

from __future__ import annotations
