import itertools
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from matdisc.composition.decorations import Decorations
from matdisc.errors import DataError
from matdisc.screening.blocks import (
    BLOCK_ROWS,
    STAGES,
    Block,
    Tally,
    judge,
    merge_results,
    prescreen,
    regrouped,
)
from matdisc.screening.criteria import evaluate_criteria
from matdisc.screening.limits import Bounds, sift
from matdisc.screening.selection import Selection
from tests.screening.fakes import MORE, LinearSurrogate, SiteFeaturizer, mean_score, space

CAPS = {"price_usd_per_kg": 60.0, "supply_risk": 7.0}
STAGES_HERE = [stage for stage in STAGES if stage != "prescreen"]


def block_of(built, start, stop):
    decorations = built.decode(start, stop)
    compositions = decorations.compositions()
    criteria = evaluate_criteria(compositions)
    index = np.arange(start, stop)
    return Block(index, decorations, compositions, criteria.values, criteria.missing)


def run(block, caps=CAPS, selection=None, score=mean_score, featurizer=None, surrogate=None, **how):
    selection, tally = selection or Selection(), Tally()
    limits = {name: Bounds(most=most) for name, most in caps.items()}
    rows = sift(block, limits, tally, **how)
    parts = [tally.result()]
    if rows.size:
        found = judge(
            block.take(rows),
            tally,
            featurize=(featurizer or SiteFeaturizer()).transform,
            predict=(surrogate or LinearSurrogate()).predict,
            score=score,
            selection=selection,
        )
        parts = [found, tally.result()]
    return merge_results(parts, selection)


@pytest.fixture(scope="module")
def built():
    return space(partners=("Al", "Si", "Ge", "Nb", "V", "Re", "Mo"))


def expected_fates(block, caps):
    """The first reason for which each candidate leaves, by plain loops over materials."""
    fates = {}
    for row, key in enumerate(block.materials.keys()):
        elements = set(key.partition(":")[2].split(","))
        for name, limit in caps.items():
            blamed = str(block.missing[name][row])
            if blamed:
                fates[row] = ("criteria", f"no {name} for {blamed}")
            elif block.criteria[name][row] > limit:
                fates[row] = ("criteria", f"{name} above {limit:g}")
            if row in fates:
                break
        else:
            if "Ge" in elements:
                fates[row] = ("features", "no radius for Ge")
            elif "Re" in elements and block.materials.site_z[row, 0] == 75:
                fates[row] = ("predictions", "prediction of modulus_gpa not finite")
    return fates


@pytest.mark.parametrize("caps", [CAPS, {"price_usd_per_kg": 1e4}, {}])
def test_every_candidate_survives_or_has_a_reason(built, caps):
    block = block_of(built, 0, built.size)
    result = run(block, caps)
    fates = expected_fates(block, caps)
    survivors = [row for row in range(len(block)) if row not in fates]
    assert sorted(result.columns["index"].tolist()) == survivors
    for stage in ("criteria", "features", "predictions"):
        counted = next(c for c in result.counts if c.stage == stage)
        assert counted.rejected == Counter(why for s, why in fates.values() if s == stage)
    assert [c.stage for c in result.counts] == STAGES_HERE
    for earlier, later in itertools.pairwise(result.counts):
        assert later.n_entered == earlier.n_survived
    assert result.counts[-1].n_survived == len(survivors)


def test_columns_belong_to_their_candidates(built):
    block = block_of(built, 0, built.size)
    columns = run(block).columns
    index = columns["index"]
    for name, values in block.criteria.items():
        assert np.array_equal(columns[name], values[index], equal_nan=True)
    features = SiteFeaturizer().transform(built.take(index))
    predicted = LinearSurrogate().predict(features.values)["modulus_gpa"]
    assert np.allclose(columns["modulus_gpa_mean"], predicted.mean, rtol=1e-6)
    assert np.allclose(columns["modulus_gpa_upper"], predicted.upper, rtol=1e-6)
    assert np.array_equal(columns["in_domain"], predicted.in_domain)
    assert np.array_equal(columns["score"], np.round(columns["modulus_gpa_mean"], 1))
    assert run(block).units["modulus_gpa_std"] == "GPa"


def test_best_first_and_ties_by_index(built):
    columns = run(block_of(built, 0, built.size)).columns
    pairs = list(zip((-columns["score"]).tolist(), columns["index"].tolist(), strict=True))
    assert pairs == sorted(pairs)
    assert len(set(columns["score"].tolist())) < len(pairs), "no tie was tested"


def test_the_domain_marks_or_rejects(built):
    block = block_of(built, 0, built.size)
    marked, strict = run(block), run(block, selection=Selection(in_domain_only=True))
    n_outside = int((~marked.columns["in_domain"]).sum())
    assert n_outside
    domain = marked.counts[STAGES_HERE.index("domain")]
    assert domain.flagged == {"outside the surrogate's domain": n_outside}
    assert domain.rejected == {}
    assert strict.counts[STAGES_HERE.index("domain")].rejected == domain.flagged
    assert strict.columns["in_domain"].all()


def test_features_and_predictions_always_see_whole_blocks(built):
    for stop in (1, 7, built.size):
        featurizer, surrogate = SiteFeaturizer(), LinearSurrogate()
        run(block_of(built, 0, stop), featurizer=featurizer, surrogate=surrogate)
        assert featurizer.rows_seen == [BLOCK_ROWS]
        assert surrogate.rows_seen == [BLOCK_ROWS]


def test_floats_do_not_depend_on_the_neighbours(built):
    def torch_predict(values):
        import torch

        generator = torch.Generator().manual_seed(0)
        weights = torch.randn(values.shape[1], 33, generator=generator)
        mean = torch.tanh(torch.from_numpy(values) @ weights).sum(dim=1).numpy().astype(float)
        found = LinearSurrogate().predict(values)["modulus_gpa"]
        return {"modulus_gpa": type(found)(**{**vars(found), "mean": mean})}

    def means(start, stop, caps):
        surrogate = LinearSurrogate()
        surrogate.predict = torch_predict
        columns = run(block_of(built, start, stop), caps, surrogate=surrogate).columns
        order = np.argsort(columns["index"])
        return dict(zip(columns["index"][order], columns["modulus_gpa_mean"][order], strict=True))

    def torch_free(start, stop, caps):
        return {k: v.tobytes() for k, v in means(start, stop, caps).items()}

    whole = torch_free(0, built.size, {})
    for start, stop, caps in [(0, 11, {}), (11, built.size, {}), (0, built.size, CAPS)]:
        part = torch_free(start, stop, caps)
        assert part
        assert part == {k: whole[k] for k in part}


@pytest.mark.parametrize("k", [None, 5])
def test_merging_blocks_equals_one_block(built, k):
    selection = Selection(top_k=k, pareto=(("score", True), ("price_usd_per_kg", False)))
    whole = merge_results([run(block_of(built, 0, built.size), selection=selection)], selection)
    cuts = [0, 3, 90, built.size]
    parts = [run(block_of(built, a, b), selection=selection) for a, b in itertools.pairwise(cuts)]
    one_by_one = merge_results([], selection)
    for part in parts:
        one_by_one = merge_results([one_by_one, part], selection)
    for merged in (merge_results(parts[::-1], selection), one_by_one):
        assert merged.counts == whole.counts
        assert merged.units == whole.units
        assert list(merged.columns) == list(whole.columns)
        for name, values in whole.columns.items():
            assert np.array_equal(merged.columns[name], values, equal_nan=True), name


@pytest.mark.parametrize(
    ("caps", "score", "last"),
    [
        ({"price_usd_per_kg": 0.001}, mean_score, "criteria"),
        ({}, lambda d, c, p: np.full(len(d), np.nan), "score"),
    ],
)
def test_nothing_left(built, caps, score, last):
    result = run(block_of(built, 0, built.size), caps, score=score)
    assert len(result.columns["index"]) == 0
    assert [c.stage for c in result.counts] == STAGES_HERE
    reached = [c for c in result.counts if c.n_entered]
    assert reached[-1].stage == last
    assert reached[-1].n_survived == 0
    assert sum(sum(c.rejected.values()) for c in result.counts) == built.size


def test_only_germanium_leaves_no_features():
    built = space(partners=("Ge",))
    result = run(block_of(built, 0, built.size), caps={})
    counts = {c.stage: c for c in result.counts}
    assert counts["features"].rejected == {"no radius for Ge": built.size}
    assert counts["predictions"].n_entered == 0


def test_a_missing_value_without_a_cap_stays_visible():
    built = space(partners=("Al", "Si"))
    block = block_of(built, 0, built.size)
    unknown = block.missing["supply_risk"] != ""
    assert unknown.any()
    columns = run(block, caps={}).columns
    assert np.array_equal(np.isnan(columns["supply_risk"]), unknown[columns["index"]])


def test_a_nan_without_an_element_to_blame_is_still_rejected(built):
    block = block_of(built, 0, 10)
    values = {"price_usd_per_kg": np.full(10, np.nan)}
    blameless = {"price_usd_per_kg": np.full(10, "")}
    broken = Block(block.index, block.materials, block.compositions, values, blameless)
    assert run(broken, caps={"price_usd_per_kg": 5.0}).counts[0].n_survived == 0


def test_wrong_shapes_are_refused(built):
    with pytest.raises(DataError, match=r"score has shape \(1,\)"):
        run(block_of(built, 0, 10), score=lambda d, c, p: np.zeros(1))
    many = space(partners=(*MORE, "Al", "Si", "V"))
    with pytest.raises(DataError, match="at most 4096"):
        run(block_of(many, 0, BLOCK_ROWS + 1), caps={})


BARE = """
import sys
for name in ("numba", "pymatgen", "pyarrow", "pydantic", "yaml", "matminer", "pandas", "sklearn",
             "scipy", "hypothesis"):
    sys.modules[name] = None
from dataclasses import dataclass
from types import SimpleNamespace
import numpy as np
from matdisc.screening.blocks import Block, Tally, judge, merge_results
from matdisc.screening.limits import Bounds, sift
from matdisc.screening.selection import Selection

@dataclass(frozen=True)
class Prediction:
    unit: str
    mean: np.ndarray
    std: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    in_domain: np.ndarray

def predict(values):
    ones = np.ones(len(values))
    return {"t": Prediction("GPa", values[:, 0], ones, ones, ones, ones > 0)}

n = 50
rows = np.arange(n)
price = {"price": np.linspace(0, 10, n)}
block = Block(rows, rows, rows, price, {"price": np.full(n, "")})
selection = Selection(top_k=3, pareto=(("price", False), ("score", True)))
tally = Tally()
kept = sift(block, {"price": Bounds(most=5.0)}, tally)
result = judge(
    block.take(kept),
    tally,
    featurize=lambda d: SimpleNamespace(values=d[:, None].astype("f4"), ok=d >= 0, reasons={}),
    predict=predict,
    score=lambda d, c, p: p["t"].mean.astype(float) % 7,
    selection=selection,
)
print(merge_results([result], selection).columns["index"].tolist())
"""


def test_the_array_level_needs_numpy_alone():
    done = subprocess.run([sys.executable, "-c", BARE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # scores index % 7: three best are 6, 13, 20; the front 6, 5, ... 0 as price rises with index
    assert done.stdout.strip() == "[6, 13, 20, 5, 4, 3, 2, 1, 0]"


def test_decorations_are_cut_with_their_block(built):
    block = block_of(built, 20, 40)
    part = block.take(np.array([3, 0]))
    assert part.index.tolist() == [23, 20]
    assert part.materials.keys() == [block.materials.keys()[row] for row in (3, 0)]
    assert isinstance(part.materials, Decorations)


def test_a_candidate_without_a_value_is_flagged_or_rejected():
    small = space(partners=("Al", "Si"), prototypes=["B2"])
    block = block_of(small, 0, small.size)
    caps = {"supply_risk": 10.0}
    with_silicon = int((block.materials.site_z == 14).any(axis=1).sum())
    strict = run(block, caps)
    assert strict.counts[0].rejected == {"no supply_risk for Si": with_silicon}
    lenient = run(block, caps, flag_unknown=True)
    assert lenient.counts[0].rejected == {}
    assert lenient.counts[0].flagged == {"no supply_risk for Si": with_silicon}
    assert len(lenient.columns["index"]) == small.size


def test_limits_have_two_ends_and_say_which(built):
    block = block_of(built, 0, built.size)
    density = block.criteria["density_g_per_cm3"]
    low, high = np.quantile(density, [0.2, 0.6])
    at = float(np.sort(density)[5])  # a limit itself is within
    for bounds in (Bounds(low, high), Bounds(least=low), Bounds(most=at)):
        tally = Tally()
        rows = sift(block, {"density_g_per_cm3": bounds}, tally)
        inside = (density >= bounds.least) & (density <= bounds.most)
        assert rows.tolist() == np.flatnonzero(inside).tolist()
        expected = {
            f"density_g_per_cm3 below {bounds.least:g}": int((density < bounds.least).sum()),
            f"density_g_per_cm3 above {bounds.most:g}": int((density > bounds.most).sum()),
        }
        assert tally.counts[0].rejected == {why: n for why, n in expected.items() if n}


def test_rows_outside_a_stated_range_are_marked_not_rejected(built):
    block = block_of(built, 0, 40)
    beyond = np.arange(40) % 3 == 0
    block = replace(block, outside={"density_g_per_cm3": beyond})
    tally = Tally()
    rows = sift(block, {"density_g_per_cm3": Bounds(most=1e3)}, tally)
    assert len(rows) == 40
    assert tally.counts[0].flagged == {"density_g_per_cm3 outside its stated range": 14}


def test_the_space_itself_comes_first(built):
    block = block_of(built, 0, 40)
    refused = np.arange(40) < 7
    tally = Tally()
    rows = sift(replace(block, refused={"no": refused}), {"supply_risk": Bounds(most=-1)}, tally)
    assert not rows.size
    assert tally.counts[0].rejected["no"] == 7


@pytest.mark.parametrize("sizes", [[], [0, 0], [5], [4096, 4096], [4000, 200, 0, 9000, 3], [9999]])
def test_regrouping_keeps_every_index_in_order(sizes):
    numbers = np.arange(sum(sizes))
    parts = np.split(numbers, np.cumsum(sizes)[:-1]) if sizes else []
    found = list(regrouped(parts))
    assert all(len(part) == BLOCK_ROWS for part in found[:-1])
    assert all(len(part) for part in found)
    together = np.concatenate(found) if found else np.empty(0, np.int64)
    assert np.array_equal(together, numbers)


def test_the_cheap_surrogate_rules_out_by_its_own_score(built):
    block, tally = block_of(built, 0, built.size), Tally()
    featurizer, surrogate = SiteFeaturizer(), LinearSurrogate()
    rows = prescreen(
        block,
        tally,
        featurize=featurizer.transform,
        predict=surrogate.predict,
        score=mean_score,
        least=3.0,
    )
    everything = run(block, caps={}).columns
    # of the rhenium that breaks the prediction the score is NaN: it leaves
    assert sorted(rows.tolist()) == sorted(everything["index"][everything["score"] >= 3.0].tolist())
    (count,) = tally.counts
    assert count.stage == "prescreen"
    germanium = int((block.materials.site_z == 32).any(axis=1).sum())
    assert count.rejected["no radius for Ge"] == germanium
    below = len(block) - germanium - len(rows)
    assert count.rejected["cheap score below 3"] == below > 0
    assert featurizer.rows_seen == surrogate.rows_seen == [BLOCK_ROWS]


@pytest.mark.parametrize("flag_unknown", [False, True])
def test_limits_in_two_steps_are_the_limits_at_once(built, flag_unknown):
    block = block_of(built, 0, built.size)
    beyond = {"density_g_per_cm3": np.arange(len(block)) % 5 == 0}
    block = replace(block, outside=beyond, refused={"no": np.arange(len(block)) % 11 == 0})
    limits = {
        "price_usd_per_kg": Bounds(5, 60.0),
        "supply_risk": Bounds(most=7.0),
        "density_g_per_cm3": Bounds(4.0, 7.5),
    }
    once = Tally()
    rows = sift(block, limits, once, flag_unknown=flag_unknown)
    for n_first in range(4):
        names = list(limits)
        first = {name: limits[name] for name in names[:n_first]}
        later = {name: limits[name] for name in names[n_first:]}
        twice = Tally()
        left = replace(block, refused={})
        found = sift(block, first, twice, flag_unknown=flag_unknown, then=(left.take, later))
        assert found.tolist() == rows.tolist()
        assert twice.counts == once.counts
