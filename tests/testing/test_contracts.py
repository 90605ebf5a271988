from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch

from matdisc.composition.compositions import Compositions
from matdisc.config import Spec, plugin_spec, plugins
from matdisc.discovery.oracles import Evaluation
from matdisc.errors import MissingExtraError
from matdisc.features.types import Features
from matdisc.testing import (
    check_engine,
    check_featurizer,
    check_oracle,
    check_predictor,
    check_spec,
)
from tests.firstprinciples.made_up import record


@pytest.mark.parametrize("kind", plugins("matdisc.featurizers"))
def test_every_registered_featurizer_keeps_its_contract(kind):
    check_featurizer(plugin_spec("matdisc.featurizers", kind)())


COARSE = {"gpaw": {"cutoff_ev": 500, "k_density_per_inverse_a": 1.9}}
"""Fast, not converged: four points along each axis, two in the doubled cell, the same mesh."""

TOLERANCES = {"gpaw": {"energy_tolerance_ev_per_atom": 0.002, "derivative_tolerance": 0.08}}
"""A strained cell has another number of plane waves: at 500 eV the stress is off by 3 % (00) and
5.3 % (01) of its largest component, whatever the convergence of the loop."""

SLOW = {"gpaw"}


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=[pytest.mark.slow] if kind in SLOW else [])
        for kind in plugins("matdisc.engines")
    ],
)
def test_every_registered_engine_keeps_its_contract(kind):
    spec = plugin_spec("matdisc.engines", kind)(**COARSE.get(kind, {}))
    try:
        spec.build().versions()
    except MissingExtraError as error:
        pytest.skip(str(error))
    check_engine(spec, **TOLERANCES.get(kind, {}))


SMALL = {
    "element-attention": {
        "least_rows": 0,
        "encoder": {"dim": 16, "n_heads": 2, "n_layers": 1, "width": 16},
        "hidden": [16],
        "min_steps": 150,
        "lr": 5e-3,
    },
    "mlp-ensemble": {"hidden": [32], "min_steps": 200},
    "extra-trees": {"trees_per_member": 10},
    "gradient-boosting": {"n_trees": 60, "learning_rate": 0.1},
    "gaussian-process": {"max_iterations": 20},
    "neighbours": {"steps": 60},
    "hurdle": {
        "occurrence": {"kind": "gradient-boosting", "n_trees": 30, "learning_rate": 0.2},
        "amount": {"kind": "extra-trees", "trees_per_member": 30, "estimate": "median"},
    },
    "log-scale": {"base": {"kind": "extra-trees", "trees_per_member": 10}},
    "stack": {
        "n_members": 4,
        "n_folds": 4,
        "bases": [
            {"kind": "extra-trees", "trees_per_member": 10, "estimate": "median"},
            {"kind": "gradient-boosting", "n_trees": 30, "learning_rate": 0.2},
        ],
    },
}


@pytest.mark.parametrize("kind", plugins("matdisc.predictors"))
def test_every_registered_predictor_keeps_its_contract(kind):
    check_predictor(plugin_spec("matdisc.predictors", kind)(**SMALL.get(kind, {})))


@pytest.mark.parametrize("kind", plugins("matdisc.predictors"))
def test_every_registered_predictor_keeps_its_contract_on_a_gpu(kind):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    settings = SMALL.get(kind, {})
    if kind == "stack":  # with a network
        settings = {"bases": [*settings["bases"], {"kind": "mlp-ensemble", "hidden": [16]}]}
    spec = plugin_spec("matdisc.predictors", kind)(**settings)
    rounded = kind in ("element-attention", "mlp-ensemble", "stack")
    check_predictor(spec, device="cuda", tolerance=0.2 if rounded else 1e-3)


KNOWN = [record(key, -6.0 - i) for i, key in enumerate(["B2:Ti,Al", "L1_0:Ti,Al", "L1_2:Ti,Al"])]


@pytest.mark.parametrize("kind", plugins("matdisc.oracles"))
def test_every_registered_oracle_keeps_its_contract(kind, tmp_path):
    """The engine relaxes for real: the made-up records have other settings and do not count."""
    keys = [r.key for r in KNOWN][:2]
    check_oracle(plugin_spec("matdisc.oracles", kind)(), KNOWN, keys, tmp_path)


class Oracle:
    """Answers from memory, right or broken in one way."""

    def __init__(self, fault, known):
        self.fault, self.known = fault, known

    def evaluate(self, keys, on_evaluation=None):
        wanted = keys[::-1] if self.fault == "order" else keys
        found = [self.known[key] for key in wanted]
        if self.fault == "other":
            found = [record(r.key, -1.0) for r in found]
        source = {"source": "guessed", "silent": "live"}.get(self.fault, "looked up")
        if self.fault == "eager" and not keys:
            found = KNOWN[:1]
        return [Evaluation(r, source) for r in found]


class OracleSpec(Spec):
    """Settings of an oracle that breaks one promise."""

    kind: Literal["toy"] = "toy"
    fault: str = ""

    def build(self, known, folder):
        return Oracle(self.fault, known)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("order", "in the order asked"),
        ("source", "the source must be one of"),
        ("other", "must be the known record"),
        ("silent", "reported as it comes"),
        ("eager", "no keys must give no answers"),
    ],
)
def test_a_broken_oracle_promise_is_named(fault, message, tmp_path):
    keys = [r.key for r in KNOWN]
    check_oracle(OracleSpec(), KNOWN, keys, tmp_path)
    with pytest.raises(AssertionError, match=message):
        check_oracle(OracleSpec(fault=fault), KNOWN, keys, tmp_path)


class Unruly:
    """A featurizer that breaks one promise."""

    labels = ("a", "b")

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.calls = 0
        if fault == "labels":
            self.labels = ("a", "a")

    def transform(self, materials: Compositions, /) -> Features:
        self.calls += 1
        values = np.stack([materials.x[:, 0], materials.x[:, 1]], axis=1).astype(np.float32)
        ok = np.ones(len(values), np.bool_)
        if self.fault == "batch":
            values -= values.mean() if len(values) else 0
        if self.fault == "input":
            materials.x[0, 0] += 0.1
        if self.fault == "random":
            values += self.calls
        if self.fault == "refuses":
            ok[:1] = False
        if self.fault == "rows":
            values, ok = values[1:], ok[1:]
        return Features(values, self.labels, ok)


class UnrulySpec(Spec):
    """Settings of a featurizer that breaks one promise."""

    kind: Literal["unruly"] = "unruly"
    fault: str = ""

    def build(self) -> Unruly:
        return Unruly(self.fault)


def test_an_orderly_featurizer_passes():
    check_featurizer(UnrulySpec())


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("labels", "distinct"),
        ("batch", "row 0 alone differs"),
        ("input", "must not change its input"),
        ("random", "same input must give the same"),
        ("refuses", "must be computable"),
        ("rows", "a row for every material"),
    ],
)
def test_a_broken_featurizer_promise_is_named(fault, message):
    with pytest.raises(AssertionError, match=message):
        check_featurizer(UnrulySpec(fault=fault))


class PairEngine:
    """A harmonic pair potential, right or broken in one way."""

    name = "pair"
    level = "potential"
    supports_spin = False
    formation_energy_error_ev_per_atom = 0.1

    def __init__(self, fault: str) -> None:
        self.fault = fault
        if fault == "level":
            self.level = "experiment"

    def versions(self) -> dict[str, str]:
        return {} if self.fault == "versions" else {"numpy": np.__version__}

    def calculator(self):
        from ase.calculators.morse import MorsePotential

        fault = self.fault

        class Faulty(MorsePotential):
            def calculate(self, atoms=None, properties=("energy",), system_changes=()):
                super().calculate(atoms, list(properties), list(system_changes))
                if fault == "forces":
                    self.results["forces"] = 1.2 * self.results["forces"]
                if fault == "stress":
                    self.results["stress"] = -self.results["stress"]
                if fault == "energy":
                    self.results["energy"] += 1.0  # not extensive
                if fault == "nan":
                    self.results["energy"] = float("nan")

        return Faulty(epsilon=0.3, r0=2.7, rho0=4.0, rcut1=3.4, rcut2=4.0)


class PairSpec(Spec):
    """Settings of the pair potential."""

    kind: Literal["pair"] = "pair"
    fault: str = ""

    def build(self) -> PairEngine:
        return PairEngine(self.fault)


def test_an_orderly_engine_passes():
    check_engine(PairSpec())


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("level", "level must be"),
        ("versions", "must name the packages"),
        ("forces", "force 0 is not the derivative"),
        ("stress", "stress 00 is not the derivative"),
        ("energy", "changes per cell in a supercell"),
        ("nan", "energy must be finite"),
    ],
)
def test_a_broken_engine_promise_is_named(fault, message):
    with pytest.raises(AssertionError, match=message):
        check_engine(PairSpec(fault=fault))


class NoBuild(Spec):
    """A spec without build."""

    kind: Literal["no-build"] = "no-build"


def test_a_spec_needs_build_and_kind():
    with pytest.raises(AssertionError, match="build"):
        check_spec(NoBuild())
    with pytest.raises(AssertionError, match="kind"):
        check_spec(Spec())


class Lines:
    """Fitted straight lines, one set of coefficients per member."""

    def __init__(self, fault: str, coefficients: np.ndarray) -> None:
        self.fault = fault
        self.coefficients = coefficients

    def arrays(self):
        kept = self.coefficients.astype(np.float32) if self.fault == "storage" else None
        if self.fault == "objects":
            return {"coefficients": self.coefficients.astype(object)}
        return {"coefficients": self.coefficients if kept is None else kept}

    def members(self, values, /):
        x = values.astype(np.float64)
        if self.fault == "rows":
            x = x - x.mean(axis=0)
        # one row at a time: a matrix product rounds differently for another number of rows
        means = np.stack([_line(row, self.coefficients) for row in x], axis=1)
        if self.fault == "shape":
            means = means.transpose(1, 0, 2)
        if self.fault == "units":
            means = means - means.mean(axis=1, keepdims=True)
        variances = np.full(means.shape, -1.0 if self.fault == "variance" else 0.1)
        return means, variances


def _line(row: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    return np.einsum("p,mpt->mt", np.append(row, 1.0), coefficients)


class LineLearner:
    """Least squares with a little noise from the seed, right or broken in one way."""

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def fit(self, values, targets, in_bag, seeds, *, columns, device, progress):
        if self.fault == "input":
            values[0, 0] += 1
        x = np.append(values.astype(np.float64), np.ones((len(values), 1)), axis=1)
        members = []
        for bag, seed in zip(in_bag, seeds, strict=True):
            seed_used = len(in_bag) if self.fault == "members" else seed
            noise = np.random.default_rng(seed_used).normal(scale=0.01, size=(x.shape[1], 1))
            columns = []
            for t in range(len(targets.names)):
                rows = targets.mask[:, t] & (bag | (self.fault == "bag"))
                if self.fault == "missing":
                    rows = bag
                y = np.nan_to_num(targets.values[rows, t])
                columns.append(np.linalg.lstsq(x[rows], y, rcond=None)[0])
            members.append(np.stack(columns, axis=1) + noise)
        return Lines(self.fault, np.stack(members))

    def restore(self, arrays, *, device):
        return Lines(self.fault, arrays["coefficients"].astype(np.float64))


class LineSpec(Spec):
    """Settings of the straight lines."""

    kind: Literal["lines"] = "lines"
    fault: str = ""

    def build(self) -> LineLearner:
        return LineLearner(self.fault)


def test_an_orderly_predictor_passes():
    check_predictor(LineSpec())


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("input", "must not change its input"),
        ("units", "in the units of the targets"),
        ("rows", "depends on the other rows|misses"),
        ("shape", r"must have shape \(m, n, t\)"),
        ("variance", "must not be negative"),
        ("bag", "outside its bag"),
        ("missing", "missing ones"),
        ("members", "depends on the other members"),
        ("storage", "exactly the same"),
        ("objects", "must hold numbers"),
    ],
)
def test_a_broken_predictor_promise_is_named(fault, message):
    with pytest.raises(AssertionError, match=message):
        check_predictor(LineSpec(fault=fault))
