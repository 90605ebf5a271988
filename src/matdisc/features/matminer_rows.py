"""What matminer's featurizers of compositions and of structures have in common: slow rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from itertools import pairwise
from types import TracebackType
from typing import Any, Protocol

import numpy as np

from matdisc.executors import ProgressCallback
from matdisc.features.cache import FeatureCache
from matdisc.features.matminer_classes import Twins
from matdisc.features.matminer_specs import MatminerSpec, MatminerStructureSpec
from matdisc.features.rows import Part, Result, RowSettings, SlowRows
from matdisc.features.types import Features

__all__ = ["ChargeGuess", "MatminerRows"]

MatminerAnySpec = MatminerSpec | MatminerStructureSpec


class ChargeGuess(Part, Protocol):
    """A part that guesses oxidation states, and what puts them on a material."""

    def charged(self, material: Any, flat: list[float]) -> Any:
        """The material with the states that :meth:`row` has written down."""
        ...


class MatminerRows:
    """The classes of one spec; as a context it keeps its workers from one call to the next."""

    def __init__(
        self,
        spec: MatminerAnySpec,
        twins: Sequence[Twins],
        guess: ChargeGuess,
        progress: ProgressCallback,
    ) -> None:
        self._spec = spec
        self._twins = list(twins)
        self._guess = guess
        self._charged = [i for i, each in enumerate(self._twins) if each.needs_charges]
        settings = RowSettings(
            spec.n_workers, spec.timeout_s, FeatureCache.default() if spec.cache else None
        )
        facts = [_facts(each, spec) for each in self._twins]
        about = {"what": type(guess).__name__, **_versions()}
        # one set of workers for both: each spends seconds on loading matminer
        self._rows = SlowRows([*self._twins, guess], [*facts, about], settings, progress)
        self.labels = tuple(label for each in self._twins for label in each.labels)
        """``(p,)`` names as matminer gives them."""

    def __enter__(self) -> MatminerRows:
        self._rows.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._rows.__exit__(kind, error, traceback)

    def features(self, keys: Sequence[bytes], material: Callable[[int], Any]) -> Features:
        """Descriptors of ``n`` materials; those with equal keys are computed once.

        Args:
            keys: ``(n,)`` keys.
            material: The pymatgen object of a row; called only where it must be computed.
        """
        first: dict[bytes, int] = {}
        for row, key in enumerate(keys):
            first.setdefault(key, row)
        rows, distinct = list(first.values()), list(first)
        collected = _Collected(self._twins, len(rows))

        def material_for(part: int, row: int) -> Any:
            found = material(rows[row])
            return self._guess.charged(found, charges[row]) if part in self._charged else found

        with self:
            charges = self._charges(distinct, material_for, collected)
            wanted = {
                part: sorted(charges) if part in self._charged else range(len(rows))
                for part in range(len(self._twins))
            }
            self._rows.run(distinct, material_for, collected.accept, wanted, "matminer")
        where = {key: position for position, key in enumerate(distinct)}
        at = np.array([where[key] for key in keys], np.int64)
        return collected.features(at, self.labels, self._spec.precision)

    def _charges(
        self, keys: Sequence[bytes], material: Callable[[int, int], Any], collected: _Collected
    ) -> dict[int, list[float]]:
        """Oxidation states by row, where there is a guess; the other rows get their reason."""
        guessed: dict[int, list[float]] = {}

        def accept(_: int, row: int, result: Result) -> None:
            flat, _, reason = result
            if not reason:
                guessed[row] = flat
                return
            for part in self._charged:
                collected.accept(part, row, result)

        if self._charged:
            wanted = {len(self._twins): range(len(keys))}
            self._rows.run(keys, material, accept, wanted, "oxidation states")
        return guessed


class _Collected:
    """Results of the parts of ``n`` rows as they come, put together at the end."""

    def __init__(self, parts: Sequence[Twins], n: int) -> None:
        ends = np.cumsum([0, *(len(part.labels) for part in parts)])
        self._columns = [slice(a, b) for a, b in pairwise(ends)]
        self._values = np.full((n, int(ends[-1])), np.nan)
        self._imputed = np.zeros(n, np.bool_)
        self._reasons: dict[int, dict[int, str]] = {}

    def accept(self, part: int, row: int, result: Result) -> None:
        """Take one result."""
        values, imputed, reason = result
        if reason:
            self._reasons.setdefault(row, {})[part] = reason
            return
        self._values[row, self._columns[part]] = values
        self._imputed[row] |= imputed

    def features(
        self, at: np.ndarray[Any, np.dtype[np.int64]], labels: tuple[str, ...], precision: str
    ) -> Features:
        """The rows ``at (n,)``; a row that lacks one value lacks all."""
        with np.errstate(over="ignore"):  # float32 ends at 3e38; such a row gets a reason below
            values = self._values.astype(precision)[at]
        ok = np.isfinite(values).all(axis=1)
        values[~ok] = np.nan
        reasons = {}
        for row in np.flatnonzero(~ok):
            found = self._reasons.get(int(at[row]))
            reasons[int(row)] = found[min(found)] if found else f"a value is beyond {precision}"
        return Features(values, labels, ok, self._imputed[at] & ok, reasons)


def _versions() -> dict[str, str]:
    """Of the packages whose code and tables the numbers come from."""
    return {name: version(name) for name in ("matminer", "pymatgen")}


def _facts(twins: Twins, spec: MatminerAnySpec) -> Mapping[str, Any]:
    """Everything that a row of one featurizer depends on, beside the material."""
    return {
        "what": json.loads(twins.entry.model_dump_json()),
        "impute": spec.impute,
        "labels": list(twins.labels),
        "fitted_on": twins.fitted_on,
        **_versions(),
    }
