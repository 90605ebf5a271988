"""Checks for people who extend or install matdisc."""

from __future__ import annotations
