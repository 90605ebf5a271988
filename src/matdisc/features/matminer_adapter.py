"""matminer's composition featurizers behind the featurizer contract: the reference."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from matdisc.composition.compositions import Compositions
from matdisc.composition.elements import symbol
from matdisc.executors import ProgressCallback, no_progress
from matdisc.features.cache import row_keys
from matdisc.features.matminer_classes import build_twins
from matdisc.features.matminer_rows import MatminerRows
from matdisc.features.matminer_specs import MatminerSpec
from matdisc.features.oxidation import GuessedCharges
from matdisc.features.specs import ImputePolicy
from matdisc.features.types import BoolArray, Features

if TYPE_CHECKING:
    from matdisc.features.compiled import Kernel

__all__ = ["MatminerFeaturizer", "pymatgen_compositions", "reference_rows"]


class MatminerFeaturizer:
    """Composition featurizers of matminer, row by row in worker processes.

    As a context it keeps its workers from one call to the next.
    """

    def __init__(self, spec: MatminerSpec, *, progress: ProgressCallback = no_progress) -> None:
        """See the spec for the settings.

        Args:
            spec: Which classes, and how they are run.
            progress: Called as rows are done.

        Raises:
            ConfigError: If matminer has no such class, or it does not take these arguments.
        """
        self.spec = spec
        twins = [build_twins(entry, "composition", spec.impute) for entry in spec.featurizers]
        self._rows = MatminerRows(spec, twins, GuessedCharges(), progress)

    def __enter__(self) -> MatminerFeaturizer:
        self._rows.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._rows.__exit__(kind, error, traceback)

    @property
    def labels(self) -> tuple[str, ...]:
        """``(p,)`` names as matminer gives them."""
        return self._rows.labels

    def transform(self, materials: Compositions, /) -> Features:
        """Descriptors of ``n`` compositions; equal ones are computed once.

        A row is not ``ok`` if matminer fails on it, gives no number, or takes too long. Texts in
        matminer's output are numbers here, see ``matminer_classes.as_number``.
        """

        def composition(row: int) -> Any:
            return pymatgen_compositions(materials[row : row + 1])[0]

        return self._rows.features(row_keys(materials.z, materials.x), composition)


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
