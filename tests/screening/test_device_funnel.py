"""The funnel on a device against the one on the CPU: the same bytes and the same counts."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from matdisc.errors import ConfigError
from matdisc.screening.alloy_models import ModelSet
from matdisc.screening.blocks import BLOCK_ROWS, merge_results
from matdisc.screening.demands import Demand, DemandScore
from matdisc.screening.device import cells, fronts
from matdisc.screening.device import funnel as device_funnel
from matdisc.screening.device.cells import DeviceCells
from matdisc.screening.device.finalists import Batch, Pool, loss_of
from matdisc.screening.device.funnel import DeviceFunnel
from matdisc.screening.device.spaces import device_space
from matdisc.screening.funnel import Funnel, Prescreen
from matdisc.screening.limits import Bounds
from matdisc.screening.selection import Selection
from matdisc.screening.selection_diversity import Diversity, cell_keys, scaled_conditions
from tests.screening.device_models import SHARES, TEMPERATURE, teach
from tests.screening.fakes import LinearSurrogate, SiteFeaturizer, mean_score
from tests.screening.fakes import space as compounds
from tests.screening.test_device_spaces import build

LATTICE = {
    "kind": "lattice",
    "basis": "weight_percent",
    "balance": {"element": "Ni", "min": 45},
    "elements": {
        "Cr": {"min": 2, "max": 16, "step": 1},
        "Al": {"min": 0, "max": 8, "step": 0.5},
        "Co": {"min": 1, "max": 16, "step": 1},
        "Nb": {"min": 0, "max": 8, "step": 1},
    },
    "present": {"of": ["Al", "Nb"], "at_least": 1},
    "constraints": ["Al + Nb <= 9"],
}
FOREIGN = {
    "kind": "lattice",
    "elements": {
        "Ni": {"min": 60, "max": 90},
        "Cr": {"max": 20},
        "Al": {"max": 10},
        "Nb": {"max": 5},
        "Fe": {"max": 2, "step": 2},
    },
    "step": 0.5,
}
RANGES = {"density_g_per_cm3": Bounds(7.8, 8.1), "mean_md_ni3al_ev": Bounds(most=0.95)}
SPACES = {
    "lattice": LATTICE,
    "foreign": FOREIGN,
    "product": {"kind": "product", "space": LATTICE, "conditions": {TEMPERATURE: [20, 650]}},
    "sample": {
        "kind": "sample",
        "space": {"kind": "product", "space": LATTICE, "conditions": {TEMPERATURE: [20, 650]}},
        "n": 9000,
    },
}
LIMITS = {
    "density_g_per_cm3": Bounds(least=7.5, most=8.4),
    "price_usd_per_kg": Bounds(most=22.0),
    "mean_md_ni3al_ev": Bounds(most=0.95),
    "valence_electron_concentration": Bounds(least=8.0),
}
FRONT = (("score", True), ("price_usd_per_kg", False))
CONDITIONED = Diversity(
    5, 3.0, "atomic_percent", conditions=((TEMPERATURE, 100.0),), cell_percent=1.5, pool=60
)


@pytest.fixture(scope="module")
def models():
    return ModelSet(
        [
            teach("uts_mpa", [20, 30, 5, 12]),
            teach("yield_mpa", [5, 40, 10, -6], SHARES, n_bins=2, n_members=10),
        ]
    )


def score_of(uts=900.0, yields=600.0):
    return DemandScore((Demand("uts_mpa", uts), Demand("yield_mpa", yields, yields + 400)))


def built(models, kind="lattice", **changes):
    settings = {
        "space": build(SPACES[kind]),
        "featurizer": models,
        "surrogate": models,
        "score": score_of(),
        "limits": LIMITS,
        "selection": Selection(top_k=40),
        "flag_unknown": True,
    }
    return Funnel(**{**settings, **changes})


def same(found, expected):
    assert list(found.columns) == list(expected.columns)
    for name, values in expected.columns.items():
        assert values.dtype == found.columns[name].dtype, name
        assert values.tobytes() == found.columns[name].tobytes(), name
    assert found.units == expected.units
    for one, other in zip(found.counts, expected.counts, strict=True):
        if one.stage not in ("domain", "score"):
            assert one == other
            continue
        # a candidate at the limit of the domain may be counted on the other side
        few = max(2, 0.01 * other.n_entered)
        assert list(one.rejected) == list(other.rejected)
        assert one.n_entered == pytest.approx(other.n_entered, abs=few)
        assert one.n_survived == pytest.approx(other.n_survived, abs=few)
        assert sum(one.flagged.values()) == pytest.approx(sum(other.flagged.values()), abs=few)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_bytes_of_the_cpu(models, space, precision, device):
    funnel = built(models, space)
    size = funnel.space.size
    assert size > 2 * BLOCK_ROWS
    expected = funnel.screen(0, size)
    assert 40 == len(expected.columns["index"]) < expected.counts[-1].n_survived
    twin = DeviceFunnel(funnel, device, precision=precision)
    same(twin.screen(0, size), expected)
    if space == "foreign":
        assert "Fe" in str(expected.counts[1].rejected)
    assert twin.bands.loss < (1e-3 if precision == "float32" else 0.5)


@pytest.mark.parametrize(
    "changes",
    [
        {"limits": {}},
        {"limits": {"density_g_per_cm3": Bounds(most=1.0)}},
        {"limits": RANGES, "kind": "product"},  # the host rules most of the ranges out
        {"selection": Selection(top_k=1)},
        {"selection": Selection(top_k=100_000)},
        {"selection": Selection(top_k=50, in_domain_only=True)},
        {"selection": Selection(top_k=50, max_at_edge=1)},
        {"selection": Selection(top_k=30, pareto=FRONT)},
        {"selection": Selection(top_k=30, pareto=FRONT, in_domain_only=True)},
        {"selection": Selection(top_k=3, pareto=(("omega", True), *FRONT)), "shown": ("omega",)},
        {
            "selection": Selection(
                top_k=3, pareto=(("score", False), ("supply_risk_highest", False))
            )
        },
        {"selection": Selection(top_k=10, diversity=Diversity(5, 4.0, pool=300))},
        {"selection": Selection(top_k=10, diversity=Diversity(5, 4.0, cell_percent=2.5, pool=40))},
        {
            "selection": Selection(
                top_k=10, pareto=FRONT, diversity=CONDITIONED, in_domain_only=True
            ),
            "kind": "product",
        },
        {"flag_unknown": False, "shown": ("omega", "tcp_tendency")},
        {"score": score_of(uts=-5000.0, yields=-1e5)},
        {"score": score_of(uts=5000.0, yields=3000.0)},
    ],
)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_every_setting(models, changes, precision, device):
    funnel = built(models, **changes)
    span = (BLOCK_ROWS, min(funnel.space.size, 4 * BLOCK_ROWS))
    same(DeviceFunnel(funnel, device, precision=precision).screen(*span), funnel.screen(*span))


def test_the_host_rules_ranges_out_where_limits_leave_little(models, device):
    assert DeviceFunnel(built(models, limits=RANGES), device)._sieve is not None
    assert DeviceFunnel(built(models, limits={}), device)._sieve is None
    wide = {"density_g_per_cm3": Bounds(1.0, 20.0)}
    assert DeviceFunnel(built(models, limits=wide), device)._sieve is None


def test_models_that_share_their_descriptors(device):
    pair = ModelSet([teach("uts_mpa", [20, 30, 5, 12]), teach("yield_mpa", [5, 40, 10, -6])])
    funnel = built(pair, featurizer=pair, surrogate=pair)
    twin = DeviceFunnel(funnel, device)
    assert len({id(features) for features, _ in twin._models._parts}) == 1
    same(twin.screen(0, funnel.space.size), funnel.screen(0, funnel.space.size))


def test_ranges_and_batches_do_not_matter(models, device):
    funnel = built(models)
    size = funnel.space.size
    whole = funnel.screen(0, size)
    for rows in (777, 5000, 10**6):
        twin = DeviceFunnel(funnel, device, rows=rows)
        cuts = [0, 2 * BLOCK_ROWS, 3 * BLOCK_ROWS, size]
        parts = [twin.screen(*span) for span in pairwise(cuts)]
        same(merge_results(parts, funnel.selection), whole)


def test_equal_scores_go_by_index(models, device):
    """The second model does not see what the space varies: candidates come in ties."""
    blind = ModelSet([teach("yield_mpa", [0, 0, 0, 0], SHARES, inputs="fractions")])
    grids = {TEMPERATURE: [20], "unseen": [float(i) for i in range(40)]}
    raw = {**LATTICE, "elements": {"Cr": {"max": 30, "step": 1}, "Co": {"max": 16, "step": 2}}}
    raw = {"kind": "product", "space": raw | {"present": [], "constraints": []}}
    space = build(raw | {"conditions": grids})
    score = DemandScore((Demand("yield_mpa", 500.0),))
    funnel = Funnel(space, blind, blind, score, selection=Selection(top_k=70))
    expected = funnel.screen(0, space.size)
    assert len(np.unique(expected.columns["score"])) < 5
    same(DeviceFunnel(funnel, device, precision="bfloat16").screen(0, space.size), expected)


def test_a_hash_and_a_result_are_those_of_the_funnel(models, device):
    funnel = built(models)
    twin = DeviceFunnel(funnel, device)
    assert twin.full_hash("a") == funnel.full_hash("a")
    size = funnel.space.size
    found, expected = (funnel.finish(one.screen(0, size)) for one in (twin, funnel))
    assert found.to_arrow().equals(expected.to_arrow())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_fronts_and_pools_of_merged_ranges(models, precision, device, monkeypatch):
    """Small rooms, so that everything is settled again and again."""
    monkeypatch.setattr(fronts, "_FIRST", 64)
    monkeypatch.setattr(fronts, "_MOST_RIVALS", 7)
    monkeypatch.setattr(cells, "_WAITING", 100)
    selection = Selection(
        top_k=10,
        pareto=(*FRONT, ("density_g_per_cm3", False)),
        diversity=Diversity(6, 4.0, cell_percent=2.0, pool=150),
    )
    funnel = built(models, "product", selection=selection, limits={})
    size = funnel.space.size
    twin = DeviceFunnel(funnel, device, precision=precision, rows=1500)
    cuts = [0, 3 * BLOCK_ROWS, size]
    merged = merge_results([twin.screen(*span) for span in pairwise(cuts)], selection)
    expected = funnel.screen(0, size)
    same(merged, expected)
    ours, theirs = funnel.finish(merged).columns, funnel.finish(expected).columns
    for name in ("on_front", "diverse"):
        assert theirs[name].sum() > 3
        assert np.array_equal(ours[name], theirs[name])


@pytest.mark.parametrize("diversity", [CONDITIONED, Diversity(2, 3.0, cell_percent=0.7)])
def test_the_keys_of_cells(diversity, device):
    space = build(SPACES["product"])
    index = np.arange(0, space.size, 5)
    materials = space.take(index)
    expected = cell_keys(
        materials.compositions(), scaled_conditions(materials, diversity), diversity
    )
    twin = device_space(space, device)
    rows = twin.take(torch.from_numpy(index).to(device))
    found = DeviceCells(diversity, twin, device)(rows).cpu().numpy()
    assert np.array_equal(found.view(np.uint64), expected)


def test_more_room_is_made_where_many_are_near_the_best(models, device, monkeypatch):
    funnel = built(models)
    monkeypatch.setattr(device_funnel, "_ROOM", 2)
    twin = DeviceFunnel(funnel, device, precision="bfloat16")
    twin._room = 41
    same(twin.screen(0, funnel.space.size), funnel.screen(0, funnel.space.size))
    assert twin._room > 41


def test_a_band_that_was_too_narrow_is_widened(models, device, monkeypatch):
    """Errors are planted that grow with the score, where the first band holds none of them."""
    funnel = built(models)
    twin = DeviceFunnel(funnel, device)
    plain = twin._models.__call__

    class Off:
        targets, reasons = twin._models.targets, twin._models.reasons

        def __call__(self, rows, counts):
            score, domain = plain(rows, counts)
            shift = 1.3 ** torch.sin(1e4 * rows.x[1])  # up to 30 % of the score
            return score * shift, domain

    monkeypatch.setattr(twin, "_models", Off())
    before = twin.bands.loss
    same(twin.screen(0, funnel.space.size), funnel.screen(0, funnel.space.size))
    assert twin.bands.loss > 100 * before


def test_the_finalists_against_plain_python():
    rng = np.random.default_rng(5)
    for _ in range(200):
        n, k = int(rng.integers(1, 60)), int(rng.integers(1, 20))
        exact = -(10.0 ** rng.uniform(-9, 3, n))
        band = 10.0 ** rng.uniform(-3, 0)
        loss = loss_of(exact) + rng.uniform(-band, band, n)
        table = -(10.0 ** np.linspace(-12, 5, 200_001))
        said = np.interp(loss, loss_of(table), table)
        ok = np.abs(loss_of(said) - loss_of(exact)) <= band
        pool = Pool(int(rng.integers(k, 80)), "cpu")
        for part in np.array_split(np.arange(n)[ok], 3):
            given = torch.from_numpy(said[part])
            ones = torch.ones_like(given)
            pool.add(Batch(given, ones, torch.from_numpy(part), ones.bool()))
        finalists = pool.fetch()
        count = finalists.within(k, band)
        if count < 0:
            assert finalists.is_full
            continue
        best = np.arange(n)[ok][np.argsort(-exact[ok], kind="stable")][:k]
        assert set(best) <= set(finalists.index[:count])
    assert np.all(np.diff(loss_of(-(10.0 ** np.linspace(-290, 290, 5000)))) > 0)


def test_what_a_device_cannot_do(models, device):
    refused = {
        "keep every candidate": {"selection": Selection()},
        "'uts_mpa_mean' cannot be an objective": {
            "selection": Selection(top_k=5, pareto=(("uts_mpa_mean", True),))
        },
        "a prescreen": {"prescreen": Prescreen(models, models, score_of(), -3.0)},
        "a score that is no probability": {"score": mean_score},
        "no set of models of alloys": {"featurizer": SiteFeaturizer()},
        "surrogates that are no set": {"surrogate": LinearSurrogate()},
        "IntermetallicSpace": {"space": compounds()},
    }
    for message, changes in refused.items():
        with pytest.raises(ConfigError, match=f"{message}.*use backend: numba"):
            DeviceFunnel(built(models, **changes), device)
    unknown = built(models, score=DemandScore((Demand("hardness_hv", 3.0),)))
    with pytest.raises(ConfigError, match="no model predicts hardness_hv"):
        DeviceFunnel(unknown, device)
