"""Data (room 3): assets that come with matdisc, cards, fetching, cleaning, guessing a card."""

from __future__ import annotations

from matdisc.data.assets import asset_folder, find_asset
from matdisc.data.cards import dataset_cards, find_card, read_card, write_card
from matdisc.data.guess import guess_card
from matdisc.data.parse import parse_compositions
from matdisc.data.readers.raw import Problem
from matdisc.data.table import Measurements, load_measurements

__all__ = [
    "Measurements",
    "Problem",
    "asset_folder",
    "dataset_cards",
    "find_asset",
    "find_card",
    "guess_card",
    "load_measurements",
    "parse_compositions",
    "read_card",
    "write_card",
]
