"""A set of elements and fractions as numbers: attention layers, a weighted sum at the end.

Sources: attention among the elements of a composition: CrabNet (Wang, Kauwe, Murdock, Sparks 2021,
doi:10.1038/s41524-021-00545-1); attention weighted by fractions with a learned exponent: Roost
(Goodall, Lee 2020, doi:10.1038/s41467-020-19964-7); sums over sets: Deep Sets (Zaheer et al. 2017,
doi:10.48550/arXiv.1703.06114); attention: Vaswani et al. 2017, doi:10.48550/arXiv.1706.03762, here
with the norm before each part (Xiong et al. 2020, doi:10.48550/arXiv.2002.04745).

Parameters have a leading axis over ``m`` members, which are computed as one batched program.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import layer_norm, silu

from matdisc.errors import ArtifactError

if TYPE_CHECKING:
    from matdisc.features.specs import EncoderSpec

__all__ = [
    "Parameters",
    "check_parameters",
    "element_features",
    "encode",
    "fold_elements",
    "initial_parameters",
    "is_decayed",
]

Parameters = dict[str, torch.Tensor]
"""By name, each ``(m, ...)``."""
Normal = Callable[..., torch.Tensor]
"""Gives ``(m, *shape)`` standard normal numbers."""
Keep = Callable[..., torch.Tensor]
"""Gives ``(m, *shape)`` factors of a dropout."""

_N_ELEMENTS = 119
_WAVES = 5
"""Half periods of the encodings of a fraction: 1, 2, 4, 8, 16 over its range."""
_TRACE = 1e-4
"""Fractions below this look alike on the logarithmic scale."""
_N_FRACTION_FEATURES = 2 + 4 * _WAVES
_FAR = -1e9
"""Added to the score of what is not there: its weight after the softmax is exactly zero."""
_CLIP = 3.0
"""Standardised element properties are cut here [standard deviations]."""


def element_features() -> npt.NDArray[np.float32]:
    """``(119, 22)`` Magpie properties of the elements, standardised; row 0 is zero."""
    from matdisc.features.magpie import magpie_table

    filled = magpie_table().filled[1:]
    standard = (filled - filled.mean(axis=0)) / filled.std(axis=0)
    return np.concatenate([np.zeros((1, filled.shape[1])), standard.clip(-_CLIP, _CLIP)]).astype(
        np.float32
    )


def initial_parameters(spec: EncoderSpec, normal: Normal) -> Parameters:
    """A new encoder: elements start as a random projection of their properties.

    Args:
        spec: Its shape.
        normal: Source of the random numbers; it fixes ``m``.
    """

    def matrix(fan_in: int, fan_out: int, gain: float = 1.0) -> torch.Tensor:
        return normal(fan_in, fan_out) * (gain / math.sqrt(fan_in))

    d, properties = spec.dim, torch.from_numpy(element_features())
    projection = matrix(properties.shape[1], d)
    m = len(projection)
    found = {
        "element.properties": properties.expand(m, -1, -1).clone(),
        "element.projection": projection,
        "element.own": torch.zeros(m, _N_ELEMENTS, d),
        "fraction.projection": matrix(_N_FRACTION_FEATURES, d),
        "norm": torch.ones(m, 1, 1, d),
    }
    for i in range(spec.n_layers):
        found |= {
            f"layer.{i}.norm.attention": torch.ones(m, 1, 1, d),
            f"layer.{i}.norm.forward": torch.ones(m, 1, 1, d),
            f"layer.{i}.power": torch.ones(m, spec.n_heads),
            f"layer.{i}.qkv": matrix(d, 3 * d),
            # small at first: a layer starts near the identity
            f"layer.{i}.out": matrix(d, d, 0.5),
            f"layer.{i}.up": matrix(d, spec.width, math.sqrt(2.0)),
            f"layer.{i}.up.bias": torch.zeros(m, 1, spec.width),
            f"layer.{i}.down": matrix(spec.width, d, 0.5),
        }
    return found


def is_decayed(name: str) -> bool:
    """Whether weight decay acts on a parameter: on matrices, not on norms, powers and biases."""
    return not any(part in name for part in ("norm", "power", "bias"))


def check_parameters(parameters: Parameters, spec: EncoderSpec) -> None:
    """Refuse stored parameters that are not those of this shape.

    Raises:
        ArtifactError: Naming the first that differs.
    """
    expected = initial_parameters(spec, lambda *shape: torch.zeros(1, *shape))
    for name in sorted(expected.keys() | parameters.keys()):
        want = tuple(expected[name].shape) if name in expected else None
        got = tuple(parameters[name].shape) if name in parameters else None
        if want != got:
            raise ArtifactError(
                f"the encoder's array {name!r} has shape {got}, expected {want}; it is damaged or "
                "of another version; pre-train it again"
            )
        if not bool(torch.isfinite(parameters[name]).all()):
            raise ArtifactError(f"the encoder's array {name!r} is not finite; pre-train it again")


def fold_elements(parameters: Parameters) -> Parameters:
    """The same encoder with one finished table of elements, as needed for predictions."""
    found = {n: p for n, p in parameters.items() if not n.startswith("element.")}
    return found | {"element.table": _element_table(parameters)}


def _element_table(parameters: Parameters) -> torch.Tensor:
    """``(m, 119, d)`` numbers that stand for the elements."""
    if "element.table" in parameters:
        return parameters["element.table"]
    known = torch.bmm(parameters["element.properties"], parameters["element.projection"])
    return known + parameters["element.own"]


def _fraction_features(x: torch.Tensor) -> torch.Tensor:
    """``(..., f)`` waves of a fraction on a linear and on a logarithmic scale of 0 to 1."""
    log = 1 + torch.log10(x.clamp(min=_TRACE)) / -math.log10(_TRACE)
    both = torch.stack([x, log], dim=-1)
    waves = both[..., None] * (math.pi * 2.0 ** torch.arange(_WAVES, device=x.device))
    return torch.cat([both, waves.sin().flatten(-2), waves.cos().flatten(-2)], dim=-1)


def _linear(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """``(m, b, k, o)`` products of ``(m, b, k, i)`` with each member's ``(m, i, o)``."""
    m, b, k, _ = x.shape
    return torch.bmm(x.reshape(m, b * k, -1), weight).view(m, b, k, -1)


def _norm(x: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
    return layer_norm(x, x.shape[-1:]) * gain


def _attention(
    parameters: Parameters, layer: str, h: torch.Tensor, log_x: torch.Tensor, absent: torch.Tensor
) -> torch.Tensor:
    power = parameters[f"{layer}.power"]
    (m, b, k, d), heads = h.shape, power.shape[1]
    qkv = _linear(_norm(h, parameters[f"{layer}.norm.attention"]), parameters[f"{layer}.qkv"])
    q, key, v = qkv.view(m, b, k, 3, heads, d // heads).permute(3, 0, 1, 4, 2, 5)
    # softmax(score + p log x) = weights proportional to x^p exp(score): traces count as traces
    scores = q @ key.transpose(-1, -2) / math.sqrt(d // heads)
    scores = scores + power[:, None, :, None, None] * log_x[:, :, None, None, :]
    weights = scores.masked_fill(absent[:, :, None, None, :], _FAR).softmax(dim=-1)
    mixed = (weights @ v).transpose(2, 3).reshape(m, b, k, d)
    return _linear(mixed, parameters[f"{layer}.out"])


def encode(
    parameters: Parameters, z: torch.Tensor, x: torch.Tensor, keep: Keep | None = None
) -> torch.Tensor:
    """Encode compositions with every member.

    Args:
        parameters: Of ``m`` members.
        z: ``(m, b, k)`` atomic numbers, 0 where there is no element.
        x: ``(m, b, k)`` fractions, 0 where there is no element.
        keep: Dropout of the hidden units; none for predictions.

    Returns:
        ``(m, b, d)``; the order of the elements and the padding do not matter.
    """
    m = len(z)
    # rows of all members in one table: a plain look-up has a much faster gradient
    table = _element_table(parameters)
    offset = torch.arange(m, device=z.device)[:, None, None] * _N_ELEMENTS
    h = torch.nn.functional.embedding(z + offset, table.reshape(m * _N_ELEMENTS, -1))
    h = h + _linear(_fraction_features(x), parameters["fraction.projection"])
    absent = x <= 0
    log_x = torch.where(absent, 1.0, x).log()
    n_layers = sum(name.endswith(".qkv") for name in parameters)
    for layer in (f"layer.{i}" for i in range(n_layers)):
        h = h + _attention(parameters, layer, h, log_x, absent)
        hidden = _linear(_norm(h, parameters[f"{layer}.norm.forward"]), parameters[f"{layer}.up"])
        hidden = silu(hidden + parameters[f"{layer}.up.bias"][:, None])
        if keep is not None:
            hidden = hidden * keep(*hidden.shape[1:])
        h = h + _linear(hidden, parameters[f"{layer}.down"])
    return (_norm(h, parameters["norm"]) * x[..., None]).sum(dim=2)
