"""Spaces in the funnel, and their settings as a config has them."""

from dataclasses import dataclass

import numpy as np
import pytest
import yaml

from matdisc.config import Spec, json_schema, validate
from matdisc.errors import ConfigError
from matdisc.features.types import Features
from matdisc.screening import blocks, funnel
from matdisc.screening.funnel import Funnel
from matdisc.screening.lattice_tables import _distinct
from matdisc.screening.selection import Selection
from matdisc.screening.space_specs import SpaceSpec
from matdisc.screening.space_summary import build_space
from tests.screening.fakes import Prediction

BRIEF = """
space:
  kind: sample
  n: 1e3
  space:
    kind: product
    conditions:
      ageing_temperature_c: {min: 500, max: 700, step: 50, unit: C}
      route: [forged, cast]
    space:
      kind: lattice
      basis: weight_percent
      balance: {element: Ti, min: 60}
      elements:
        Nb: {min: 10, max: 40}
        Ta: {max: 20}
        Zr: {min: 2, max: 10, step: 0.5}
        Sn: {max: 5}
      fixed: {O: 0.12}
      present: {of: [Ta, Zr, Sn], at_least: 1, at_most: 2}
      constraints:
        - Nb + Ta <= 35
        - 0.3*Nb + Ta + 2 Sn between 5 and 14
"""


class Brief(Spec):
    space: SpaceSpec


@dataclass
class HeatFeaturizer:
    labels: tuple[str, ...] = ("niobium", "temperature")

    def transform(self, materials):
        niobium = np.where(materials.composition.z == 41, materials.composition.x, 0).sum(axis=1)
        values = np.stack([niobium, materials.column("ageing_temperature_c")], axis=1)
        return Features(values.astype(np.float32), self.labels, np.ones(len(materials), bool))


class HeatSurrogate:
    def predict(self, values):
        mean = values[:, 0].astype(np.float64) * 100 + values[:, 1]
        one = np.ones(len(values))
        inside = np.ones(len(values), bool)
        return {"s": Prediction("s", "1", mean, one, mean - 1, mean + 1, inside)}


def screened(space, block_rows, monkeypatch):
    monkeypatch.setattr(funnel, "BLOCK_ROWS", block_rows)
    monkeypatch.setattr(blocks, "BLOCK_ROWS", block_rows)
    return Funnel(
        space,
        HeatFeaturizer(),
        HeatSurrogate(),
        lambda materials, compositions, predictions: predictions["s"].mean,
        selection=Selection(top_k=5),
    ).run()


def test_a_brief_goes_through_the_funnel_in_blocks_of_any_size(monkeypatch):
    space = build_space(validate(yaml.safe_load(BRIEF), Brief, "brief.yaml").space)
    assert space.size == 1000
    whole = screened(space, 4096, monkeypatch)
    small = screened(space, 77, monkeypatch)
    assert whole.columns["index"].tolist() == small.columns["index"].tolist()
    assert set(whole.columns["ageing_temperature_c"]) == {700.0}
    assert set(whole.columns) >= {"alloy", "route", "s_mean"}
    materials = space.decode(0, 1000)
    shares = 100 * materials.composition.weight_fractions()
    percent = {
        z: np.where(materials.composition.z == z, shares, 0).sum(axis=1) for z in (8, 22, 41)
    }
    assert percent[8] == pytest.approx(np.full(1000, 0.12))
    assert percent[22].min() >= 60 - 1e-9
    assert percent[41].min() >= 10 - 1e-9


def test_a_wrong_kind_is_named():
    with pytest.raises(ConfigError, match="did you mean 'lattice'"):
        validate({"space": {"kind": "latice"}}, Brief, "brief.yaml")
    with pytest.raises(ConfigError, match="kind None is no space; known: lattice"):
        validate({"space": {"elements": ["Ti"]}}, Brief, "brief.yaml")


def test_the_schema_lists_every_kind():
    text = str(json_schema(Brief))
    for kind in ("lattice", "ionic", "substitution", "table", "product", "sample", "conditions"):
        assert f"'{kind}'" in text


@pytest.mark.parametrize("spread", [3, 10**6, 2**55])
def test_states_are_told_apart_however_wide_their_sums(spread):
    rng = np.random.default_rng(0)
    rows = rng.integers(-3, 3, (200, 4)) * spread
    found, which = _distinct(rows)
    assert np.array_equal(found[which], rows)
    assert len(found) == len(np.unique(rows, axis=0))
