import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from matdisc.composition.elements import MAX_Z
from matdisc.errors import ArtifactError
from matdisc.features.set_encoder import (
    check_parameters,
    element_features,
    encode,
    fold_elements,
    initial_parameters,
)
from matdisc.features.specs import EncoderSpec

SPEC = EncoderSpec(dim=12, n_heads=3, n_layers=2, width=20)


def parameters(m=2, seed=0, spec=SPEC):
    stream = torch.Generator().manual_seed(seed)
    found = initial_parameters(spec, lambda *shape: torch.randn(m, *shape, generator=stream))
    # away from the start: powers and norms that are all one would hide what they do
    return {
        name: p if name == "element.properties" else p + 0.1 * torch.randn_like(p)
        for name, p in found.items()
    }


def sets(n=6, k=5, seed=0):
    rng = np.random.default_rng(seed)
    z = np.stack([rng.permutation(MAX_Z)[:k] + 1 for _ in range(n)])
    x = rng.dirichlet(np.ones(k), n).astype(np.float32)
    return torch.from_numpy(z), torch.from_numpy(x)


def encoded(found, z, x):
    m = len(found["norm"])
    return encode(found, z.expand(m, -1, -1), x.expand(m, -1, -1))


@settings(deadline=None, max_examples=20)
@given(st.permutations(range(5)), st.integers(0, 5))
def test_the_order_of_the_elements_does_not_matter(order, seed):
    found = parameters(seed=seed)
    z, x = sets(seed=seed)
    there = encoded(found, z, x)
    assert torch.allclose(encoded(found, z[:, order], x[:, order]), there, atol=1e-5)


def test_absent_elements_and_padding_change_nothing():
    found, (z, x) = parameters(), sets()
    there = encoded(found, z, x)
    none = torch.zeros(len(z), 3)
    padded = torch.cat([z, none.long()], dim=1), torch.cat([x, none], dim=1)
    assert torch.allclose(encoded(found, *padded), there, atol=1e-6)
    named = torch.cat([z, none.long() + 26], dim=1), padded[1]
    assert torch.allclose(encoded(found, *named), there, atol=1e-6)


def test_a_vanishing_share_vanishes_from_the_result():
    found, (z, x) = parameters(), sets()
    there = encoded(found, z, x)
    off = []
    for trace in (1e-2, 1e-4, 1e-6):
        more = torch.cat([x * (1 - trace), torch.full((len(x), 1), trace)], dim=1)
        other = encoded(found, torch.cat([z, torch.full((len(z), 1), 26)], dim=1), more)
        off.append(float((other - there).abs().max()))
    assert off[0] > 1e-3
    assert off[2] < 1e-3 < off[0]
    assert off[0] > off[1] > off[2]


def test_every_element_and_every_fraction_count():
    found, (z, x) = parameters(), sets()
    there = encoded(found, z, x)
    other = z.clone()
    other[:, 0] = torch.where(z[:, 0] == 29, 30, 29)
    assert (encoded(found, other, x) - there).abs().amax(dim=2).min() > 1e-3
    assert (encoded(found, z, x.flip(1)) - there).abs().amax(dim=2).min() > 1e-3


def test_members_are_computed_apart():
    found, (z, x) = parameters(m=3), sets()
    together = encoded(found, z, x)
    for j in range(3):
        alone = encoded({name: p[j : j + 1] for name, p in found.items()}, z, x)
        assert torch.allclose(alone[0], together[j], atol=1e-5)


def test_the_attention_is_that_of_torch():
    """Reference: torch's own attention, with the fractions as its additive mask."""
    from torch.nn.functional import scaled_dot_product_attention

    from matdisc.features.set_encoder import _attention

    found, (_, x) = parameters(m=1), sets()
    h = torch.randn(1, 6, 5, 12, generator=torch.Generator().manual_seed(1))
    ours = _attention(found, "layer.0", h, x.log()[None], x[None] <= 0)[0]
    normed = torch.nn.functional.layer_norm(h[0], (12,)) * found["layer.0.norm.attention"][0]
    q, k, v = (
        part.view(6, 5, 3, 4).transpose(1, 2)
        for part in (normed @ found["layer.0.qkv"][0]).split(12, dim=-1)
    )
    mask = (found["layer.0.power"][0][:, None, None] * x.log()[:, None, None, :]).expand(6, 3, 5, 5)
    theirs = scaled_dot_product_attention(q, k, v, attn_mask=mask)
    theirs = theirs.transpose(1, 2).reshape(6, 5, 12) @ found["layer.0.out"][0]
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_the_folded_table_gives_the_same():
    found, (z, x) = parameters(), sets()
    folded = fold_elements(found)
    assert not any(name in folded for name in ("element.properties", "element.own"))
    assert torch.equal(encoded(folded, z, x), encoded(found, z, x))


def test_nothing_at_all_is_encoded_as_zero():
    found = parameters()
    z, x = torch.zeros(2, 4, 3, dtype=torch.long), torch.zeros(2, 4, 3)
    assert torch.equal(encode(found, z, x), torch.zeros(2, 4, 12))


def test_elements_start_from_standardised_properties():
    features = element_features()
    assert features.shape == (119, 22)
    assert not features[0].any()
    assert np.isfinite(features).all()
    assert np.abs(features[1:].mean(axis=0)).max() < 0.2
    # copper is more like silver than like fluorine
    copper, silver, fluorine = features[[29, 47, 9]]
    assert np.linalg.norm(copper - silver) < np.linalg.norm(copper - fluorine)


def test_foreign_parameters_are_refused():
    found = {name: p[:1] for name, p in parameters(m=1).items()}
    check_parameters(found, SPEC)
    with pytest.raises(ArtifactError, match=r"'layer\.1\.down' has shape None"):
        check_parameters({n: p for n, p in found.items() if n != "layer.1.down"}, SPEC)
    with pytest.raises(ArtifactError, match="not finite"):
        check_parameters(found | {"norm": found["norm"] * float("nan")}, SPEC)
