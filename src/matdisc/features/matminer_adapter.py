"""matminer's composition featurizers behind the featurizer contract: the reference."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from matdisc.composition.compositions import Compositions
from matdisc.composition.elements import symbol
from matdisc.config import did_you_mean
from matdisc.errors import ConfigError
from matdisc.features.specs import ImputePolicy, MatminerSpec
from matdisc.features.types import BoolArray, Features

if TYPE_CHECKING:
    from matdisc.features.compiled import Kernel

__all__ = ["MatminerFeaturizer", "pymatgen_compositions", "reference_rows"]


@dataclass(frozen=True, slots=True)
class _Wrapped:
    """One matminer featurizer, twice: refusing and imputing missing element properties."""

    strict: Any
    lenient: Any
    """Imputes by matminer's own rule; None where the class cannot impute."""
    labels: tuple[str, ...]

    def row(self, composition: Any) -> tuple[list[float], bool, str]:
        """Values, whether something was imputed, and a reason (empty if the values are good).

        matminer imputes unannounced. So the refusing twin goes first, and a row that it cannot
        complete but the imputing twin can is a row with imputed values.
        """
        values, reason = _attempt(self.strict, composition, self.labels)
        if not reason or self.lenient is None:
            return values, False, reason
        values, reason = _attempt(self.lenient, composition, self.labels)
        return values, not reason, reason


class MatminerFeaturizer:
    """Featurizers of matminer, row by row in this process."""

    def __init__(self, spec: MatminerSpec) -> None:
        self.spec = spec
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # matminer announces its defaults
            self._wrapped = [_wrap(name) for name in spec.featurizers]

    @property
    def labels(self) -> tuple[str, ...]:
        """``(p,)`` names as matminer gives them."""
        return tuple(label for part in self._wrapped for label in part.labels)

    def transform(self, materials: Compositions, /) -> Features:
        """Descriptors of ``n`` compositions; a row on which matminer fails is not ``ok``."""
        n = len(materials)
        values = np.full((n, len(self.labels)), np.nan, np.float32)
        imputed = np.zeros(n, np.bool_)
        reasons: dict[int, str] = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for row, composition in enumerate(pymatgen_compositions(materials)):
                parts = [part.row(composition) for part in self._wrapped]
                failed = next((reason for _, _, reason in parts if reason), "")
                if failed:
                    reasons[row] = failed
                    continue
                values[row] = [value for part, _, _ in parts for value in part]
                imputed[row] = any(flag for _, flag, _ in parts)
        ok = np.ones(n, np.bool_)
        ok[list(reasons)] = False
        return Features(values, self.labels, ok, imputed, reasons)


def pymatgen_compositions(materials: Compositions) -> list[Any]:
    """The same compositions as ``pymatgen`` objects, with whole amounts where they are whole."""
    from pymatgen.core.composition import Composition

    result = []
    for zs, xs, cell in zip(materials.z, materials.x, materials.cell_sizes(), strict=True):
        amounts = np.rint(xs * cell) if cell else xs
        result.append(
            Composition({symbol(int(z)): float(a) for z, a in zip(zs, amounts, strict=True) if z})
        )
    return result


def reference_rows(
    kernel: Kernel,
    materials: Compositions,
    impute: ImputePolicy,
    values: npt.NDArray[Any],
    imputed: BoolArray,
) -> dict[int, str]:
    """What matminer itself gives for a compiled featurizer, one row at a time.

    Args:
        kernel: The compiled code whose reference is asked.
        materials: ``n`` compositions.
        impute: What to do about missing element properties.
        values: ``(n, p)`` array to write to; a row on which matminer fails becomes NaN.
        imputed: ``(n,)`` array to write to: rows to which imputing makes a difference.

    Returns:
        Why matminer failed, by row.
    """
    reasons: dict[int, str] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # matminer announces its defaults
        strict = kernel.reference(False)
        lenient = kernel.reference(True) if impute == "mean" else None
        for row, composition in enumerate(pymatgen_compositions(materials)):
            numbers, reason = _numbers(strict, composition, kernel)
            if lenient is not None:
                without = numbers
                numbers, reason = _numbers(lenient, composition, kernel)
                imputed[row] = numbers != without
            if reason:
                reasons[row] = reason
            values[row] = numbers if numbers is not None else np.nan
    return reasons


def _numbers(
    featurizer: Any, composition: Any, kernel: Kernel
) -> tuple[Sequence[float] | None, str]:
    """Numbers of one row as matminer gives them, NaN and all, or why it failed."""
    try:
        row = featurizer.featurize(composition)
        row = kernel.encode(row) if kernel.encode is not None else row
        return [float(value) for value in row], ""
    except Exception as error:  # one item of a batch: recorded with its reason
        return None, f"matminer {kernel.name} failed: {type(error).__name__}: {error}"


def _wrap(name: str) -> _Wrapped:
    import matminer.featurizers.composition as available
    from matminer.featurizers.base import BaseFeaturizer

    known: dict[str, Any] = {
        key: value
        for key, value in vars(available).items()
        if inspect.isclass(value) and issubclass(value, BaseFeaturizer)
    }
    if name not in known:
        raise ConfigError(
            f"unknown matminer featurizer {name!r}; known: {sorted(known)}"
            f"{did_you_mean(name, known)}"
        )
    can_impute = "impute_nan" in inspect.signature(known[name]).parameters
    build: Callable[..., Any] = known[name]
    if name == "ElementProperty":
        build = partial(known[name].from_preset, "magpie")
    try:
        strict = build(impute_nan=False) if can_impute else build()
        lenient = build(impute_nan=True) if can_impute else None
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"matminer's {name} cannot be built with its defaults: {error}"
        ) from error
    return _Wrapped(strict, lenient, tuple(strict.feature_labels()))


def _attempt(featurizer: Any, composition: Any, labels: tuple[str, ...]) -> tuple[list[float], str]:
    """Values of one row and why they are unusable (empty if they are good)."""
    try:
        values = [float(v) for v in featurizer.featurize(composition)]
    except Exception as error:  # one item of a batch: recorded with its reason
        name = type(featurizer).__name__
        return [], f"matminer {name} failed: {type(error).__name__}: {error}"
    for label, value in zip(labels, values, strict=True):
        if not math.isfinite(value):
            return [], f"matminer gives no number for {label!r}"
    return values, ""
