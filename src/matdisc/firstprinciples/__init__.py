"""First-principles engines, relaxation, equation of state, elasticity, hulls and the job store."""

from __future__ import annotations
