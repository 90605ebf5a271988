"""Files that come with matdisc: configs, dataset cards, computed data, promoted surrogates."""

from __future__ import annotations

from matdisc.data.assets import asset_folder, find_asset

__all__ = ["asset_folder", "find_asset"]
