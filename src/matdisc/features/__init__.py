"""Featurizers: from compositions and decorations to numeric descriptors (room 4)."""

from __future__ import annotations

__all__: list[str] = []
