"""Small learning problems on compositions, shared by the tests of attention over elements."""

import numpy as np

from matdisc.features.specs import EncoderSpec
from matdisc.predictors.attention_specs import ElementAttentionSpec
from matdisc.predictors.types import Columns, Targets

ELEMENTS = {"Ni": 28, "Al": 13, "Cr": 24, "W": 74, "Re": 75, "Ti": 22}
SMALL_ENCODER = EncoderSpec(dim=16, n_heads=2, n_layers=1, width=16)
FAST = ElementAttentionSpec(
    n_members=4, n_folds=2, encoder=SMALL_ENCODER, hidden=(16,), epochs=8, min_steps=60, lr=5e-3
)


def alloys(n=120, seed=0, missing=0.0, unit="at%"):
    """Shares of six elements [%] and a temperature; two targets that depend on both."""
    rng = np.random.default_rng(seed)
    amount = rng.exponential(size=(n, len(ELEMENTS))) * (rng.random((n, len(ELEMENTS))) < 0.6)
    amount[:, 0] += 0.5
    shares = 100 * amount / amount.sum(axis=1, keepdims=True)
    temperature = rng.choice([20.0, 500.0, 900.0], size=n)
    values = np.column_stack([shares, temperature]).astype(np.float32)
    strength = 5 * shares[:, 3] + 0.1 * shares[:, 1] * shares[:, 2] - 0.1 * temperature
    truth = np.column_stack([strength, 8.0 + 0.01 * shares[:, 4]])
    labels = (*(f"{name} [{unit}]" for name in ELEMENTS), "temperature [C]")
    columns = Columns(
        labels,
        np.array([*ELEMENTS.values(), 0], np.uint8),
        np.arange(len(labels)) == len(ELEMENTS),
        unit == "wt%",
    )
    mask = rng.random(truth.shape) >= missing
    return values, columns, Targets(("uts", "density"), ("MPa", "g/cm3"), truth, mask)


def fit(spec, values, columns, targets, m=2, in_bag=None, device="cpu"):
    """An ensemble whose members leave out every third row."""
    from matdisc.executors import no_progress

    if in_bag is None:
        in_bag = np.arange(len(values)) % 3 != np.arange(m)[:, None] % 3
    seeds = np.arange(len(in_bag), dtype=np.uint32) + 11
    return spec.build().fit(
        values, targets, in_bag, seeds, columns=columns, device=device, progress=no_progress
    )
