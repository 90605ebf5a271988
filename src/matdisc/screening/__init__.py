"""Candidate spaces, criteria, the funnel and selection (room 6)."""

from __future__ import annotations

__all__: list[str] = []
