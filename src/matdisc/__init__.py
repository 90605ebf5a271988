"""matdisc: from a materials brief to verified candidates."""

from __future__ import annotations

__version__ = "0.1.0"
