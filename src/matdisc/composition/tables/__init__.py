"""Element tables as data: two CSV files, their sources and the script that wrote them."""

from __future__ import annotations
