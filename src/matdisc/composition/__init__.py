"""Compositions, formulas, element tables and crystal prototypes (room 2)."""

from __future__ import annotations

__all__: list[str] = []
