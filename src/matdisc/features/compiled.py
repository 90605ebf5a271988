"""Compiled composition featurizers: what a kernel gives, and one featurizer around any kernel.

How to add a kernel, for a matminer class ``Thing``:

1. A module ``features/thing.py`` with ``LABELS`` (matminer's labels, in matminer's order) and the
   array function of :class:`Compute`: ``thing(z, x, *, impute, out=None) -> (n, p)`` float64, NaN
   where matminer gives NaN or raises (a row on which it raises is NaN throughout). The loop inside
   is ``@njit(cache=True, nogil=True)``: arrays in, arrays out, tables as arguments.
2. In the same module a :class:`Kernel`::

       def thing_kernel() -> Kernel:
           return Kernel("Thing", LABELS, thing, reference=_matminer, tables=thing_tables)

       def _matminer(impute: bool) -> Any:
           from matminer.featurizers.composition.alloy import Thing
           return Thing(impute_nan=impute)

   ``tables`` returns every array that the numbers depend on, by name; they are hashed. Give
   ``lack`` if the default reason of a row that cannot be computed says too little. Give
   ``is_imputed`` (:func:`nothing_imputed` if nothing ever is) if a second pass without imputing
   is too slow or does not see every replacement: a table in which imputing changes a number.
3. A spec in ``features/specs.py`` and an entry point under ``matdisc.featurizers``::

       class ThingSpec(CompositionSpec):
           \"\"\"Things of a composition, 3 descriptors (compiled; equal to matminer).\"\"\"

           kind: Literal["thing"] = "thing"

           @override
           def kernel(self) -> Kernel:
               from matdisc.features.thing import thing_kernel
               return thing_kernel()

The contract tests run over it as soon as it is registered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from matdisc.composition.compositions import Compositions
from matdisc.composition.elements import symbol
from matdisc.errors import ConfigError, FeaturizationError
from matdisc.executors import available_cores, resolve_device
from matdisc.features.specs import CompositionSpec
from matdisc.features.types import BoolArray, Features, finite_rows

__all__ = ["CompositionFeaturizer", "Compute", "Kernel", "Tables", "nothing_imputed"]

FloatArray = npt.NDArray[np.float64]
UInt8Array = npt.NDArray[np.uint8]
Tables = Mapping[str, npt.NDArray[Any]]

_BLOCK_CELLS = 1 << 19
"""Float64 cells of scratch memory per thread (4 MiB), beside the result."""
_LARGEST_BLOCK = 8192


class Compute(Protocol):
    """The array function of a kernel."""

    def __call__(
        self, z: UInt8Array, x: FloatArray, /, *, impute: bool, out: FloatArray | None = None
    ) -> FloatArray:
        """Descriptors of rows that are known to be valid; each depends on its own row only.

        Args:
            z: ``(n, k)`` atomic numbers, zero-padded on the right.
            x: ``(n, k)`` molar fractions, each row sums to 1.
            impute: Whether missing element properties are replaced as matminer does.
            out: ``(n, p)`` float64 to write to; None for a new array.

        Returns:
            ``(n, p)`` values, NaN where matminer gives none.
        """
        ...


@dataclass(frozen=True)
class Kernel:
    """A compiled twin of one matminer class, with what is needed to make it a featurizer."""

    name: str
    """Name of the class in matminer."""
    labels: tuple[str, ...]
    """``(p,)`` matminer's labels."""
    compute: Compute
    reference: Callable[[bool], Any]
    """matminer's own object, with ``impute_nan`` as given."""
    tables: Callable[[], Tables]
    """Every array that the numbers depend on, by name; empty if there is none."""
    is_imputed: Callable[[UInt8Array], BoolArray] | None = None
    """``(n,)`` rows of ``(n, k)`` atomic numbers in which imputing replaces something. None: the
    rows that cannot be computed without imputing."""
    lack: Callable[[UInt8Array, bool], str] | None = None
    """Why a row of ``(k,)`` atomic numbers, with imputing or without, has no values: names
    element and property."""
    refused: BoolArray | None = None
    """``(119,)`` elements that are refused even with imputing; None for none."""
    twin: Callable[[bool], Callable[[Any, Any], Any]] | None = None
    """With imputing or without: from tensors ``z (n, k)`` uint8 and ``x (n, k)`` to a tensor
    ``(n, p)`` of the dtype and on the device of ``x``. None where there is no torch twin."""
    encode: Callable[[Sequence[Any]], Sequence[float]] | None = None
    """matminer's output of one row as numbers, where it is not numbers already."""
    rebuild: Callable[[Tables], Kernel] | None = None
    """The same kernel with other tables of the same names; raises KeyError if one is missing."""
    any_float: bool = False
    """Whether ``compute`` writes to a float32 ``out`` as well."""


def nothing_imputed(z: UInt8Array) -> BoolArray:
    """``(n,)`` False: for kernels that impute nothing."""
    return np.zeros(len(z), np.bool_)


@dataclass(frozen=True, eq=False)
class CompositionFeaturizer:
    """Any kernel as a featurizer of compositions."""

    spec: CompositionSpec
    frozen: Tables | None = None
    """Tables to use instead of those of this installation, by the names of :attr:`tables`."""

    def __post_init__(self) -> None:
        if self.spec.backend == "torch" and self.kernel.twin is None:
            raise ConfigError(
                f"backend: {self.kernel.name} has no torch twin; known: "
                "['auto', 'numba', 'matminer']"
            )

    @cached_property
    def kernel(self) -> Kernel:
        """The compiled code."""
        kernel = self.spec.kernel()
        if self.frozen is None or kernel.rebuild is None:
            return kernel
        return kernel.rebuild(self.frozen)

    @property
    def labels(self) -> tuple[str, ...]:
        """``(p,)`` names, equal to matminer's."""
        return self.kernel.labels

    @property
    def tables(self) -> Tables:
        """The element tables that the numbers depend on, by name."""
        return self.kernel.tables()

    def with_tables(self, tables: Tables) -> CompositionFeaturizer:
        """The same featurizer with other tables, such as those that came with a surrogate.

        Raises:
            FeaturizationError: If this kernel cannot take any.
            KeyError: If one is missing.
        """
        if self.kernel.rebuild is None:
            raise FeaturizationError(f"{self.kernel.name} takes no tables but the installed ones")
        return replace(self, frozen={name: tables[name] for name in self.tables})

    def transform(self, materials: Compositions, /) -> Features:
        """The descriptors of ``n`` compositions; a row without numbers is not ``ok``."""
        n = len(materials)
        values = np.empty((n, len(self.labels)), self.spec.precision)
        imputed = np.zeros(n, np.bool_)
        reasons: dict[int, str] = {}
        if self.spec.backend == "matminer":
            from matdisc.features.matminer_adapter import reference_rows

            reasons |= reference_rows(self.kernel, materials, self.spec.impute, values, imputed)
        else:
            self._fill(materials, values, imputed)
        ok = finite_rows(values)
        if self.kernel.refused is not None:
            ok &= ~self.kernel.refused[materials.z].any(axis=1)
        if self.spec.impute == "refuse" and self.kernel.is_imputed is not None:
            # matminer counts a pair without data as zero even where it imputes nothing
            ok &= ~self.kernel.is_imputed(materials.z)
        for row in np.flatnonzero(~ok):
            reasons.setdefault(int(row), self._reason(materials.z[row], values[row]))
        values[~ok] = np.nan
        return Features(values, self.labels, ok, imputed & ok, reasons)

    def _fill(self, materials: Compositions, values: npt.NDArray[Any], imputed: BoolArray) -> None:
        """Compute block by block, so that memory beside the result does not grow with ``n``."""
        n, p = values.shape
        step = min(_LARGEST_BLOCK, max(1, _BLOCK_CELLS // p))
        blocks = [slice(start, min(start + step, n)) for start in range(0, n, step)]
        block_of = self._torch_block() if self.spec.backend == "torch" else self._numba_block

        def work(rows: slice) -> None:
            block_of(materials.z[rows], materials.x[rows], values[rows], imputed[rows])

        threads = min(self.spec.threads or available_cores(), len(blocks))
        if threads < 2 or self.spec.backend == "torch":
            for rows in blocks:
                work(rows)
            return
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, blocks))

    def _numba_block(
        self, z: UInt8Array, x: FloatArray, values: npt.NDArray[Any], imputed: BoolArray
    ) -> None:
        impute = self.spec.impute == "mean"
        if values.dtype == np.float64 or self.kernel.any_float:
            self.kernel.compute(z, x, impute=impute, out=values)
        else:
            values[...] = self.kernel.compute(z, x, impute=impute)
        self._mark(z, x, values, imputed)

    def _torch_block(
        self,
    ) -> Callable[[UInt8Array, FloatArray, npt.NDArray[Any], BoolArray], None]:
        import torch

        assert self.kernel.twin is not None  # as checked at construction
        device = resolve_device(self.spec.device)
        twin = self.kernel.twin(self.spec.impute == "mean")
        dtype = getattr(torch, self.spec.precision)

        def fill(
            z: UInt8Array, x: FloatArray, values: npt.NDArray[Any], imputed: BoolArray
        ) -> None:
            given = torch.tensor(z, device=device), torch.tensor(x, device=device, dtype=dtype)
            values[...] = twin(*given).cpu().numpy()
            self._mark(z, x, values, imputed)

        return fill

    def _mark(
        self, z: UInt8Array, x: FloatArray, values: npt.NDArray[Any], imputed: BoolArray
    ) -> None:
        if self.spec.impute == "refuse":
            return
        if self.kernel.is_imputed is not None:
            imputed[...] = self.kernel.is_imputed(z)
        else:
            imputed[...] = ~finite_rows(self.kernel.compute(z, x, impute=False))

    def _reason(self, z: UInt8Array, values: npt.NDArray[Any]) -> str:
        impute = self.spec.impute == "mean"
        reason = self.kernel.lack(z, impute) if self.kernel.lack is not None else ""
        if reason:
            return reason
        elements = ", ".join(symbol(int(number)) for number in z if number)
        if np.isfinite(values).all():
            return f"{self.kernel.name} lacks data of {elements}"
        column = int(np.isfinite(values).argmin())
        return f"{self.kernel.name} has no {self.labels[column]!r} for {elements}"
