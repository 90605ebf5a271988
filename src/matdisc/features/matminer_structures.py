"""matminer's structure featurizers behind the featurizer contract."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from matdisc.errors import DataError
from matdisc.executors import ProgressCallback, no_progress
from matdisc.features.matminer_classes import Twins, build_twins
from matdisc.features.matminer_rows import MatminerRows
from matdisc.features.matminer_specs import MatminerStructureSpec
from matdisc.features.oxidation import GuessedSiteCharges
from matdisc.features.types import Features
from matdisc.runs.files import canonical_json

__all__ = ["MatminerStructureFeaturizer", "Structures"]

Rows = slice | npt.NDArray[np.integer] | npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Structures:
    """``n`` periodic structures."""

    items: tuple[Any, ...]
    """pymatgen ``Structure`` objects."""

    def __post_init__(self) -> None:
        from pymatgen.core.structure import Structure

        for row, item in enumerate(self.items):
            if not isinstance(item, Structure):
                raise DataError(
                    f"row {row} is a {type(item).__name__}, not a pymatgen Structure; "
                    "Structures.from_files reads CIF and POSCAR"
                )

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, rows: Rows) -> Structures:
        if isinstance(rows, slice):
            return Structures(self.items[rows])
        return Structures(tuple(self.items[i] for i in np.arange(len(self))[rows].tolist()))

    @classmethod
    def from_files(cls, paths: Iterable[str | Path]) -> Structures:
        """Read files that pymatgen knows by their name: ``*.cif``, ``POSCAR*``, ...

        Raises:
            DataError: If one cannot be read; names it.
        """
        from pymatgen.core.structure import Structure

        items = []
        for path in paths:
            try:
                items.append(Structure.from_file(str(path)))
            except Exception as error:  # each format has its own way to fail
                raise DataError(f"{path} cannot be read as a structure: {error}") from error
        return cls(tuple(items))

    def keys(self) -> list[bytes]:
        """Equal for structures that are written down alike: cell, sites, species, properties."""
        return [
            hashlib.sha256(canonical_json(item.as_dict()).encode()).digest()[:16]
            for item in self.items
        ]


class MatminerStructureFeaturizer:
    """Structure featurizers of matminer, row by row in worker processes.

    As a context it keeps its workers from one call to the next.
    """

    def __init__(
        self,
        spec: MatminerStructureSpec,
        *,
        progress: ProgressCallback = no_progress,
        fitted: Sequence[Twins] | None = None,
    ) -> None:
        """See the spec for the settings.

        Args:
            spec: Which classes, and how they are run.
            progress: Called as rows are done.
            fitted: The classes as :meth:`fit` leaves them.

        Raises:
            ConfigError: If matminer has no such class, or it does not take these arguments.
        """
        self.spec = spec
        self._progress = progress
        self._twins = fitted or [
            build_twins(entry, "structure", spec.impute) for entry in spec.featurizers
        ]

    @cached_property
    def _rows(self) -> MatminerRows:
        return MatminerRows(self.spec, self._twins, GuessedSiteCharges(), self._progress)

    def __enter__(self) -> MatminerStructureFeaturizer:
        self._rows.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._rows.__exit__(kind, error, traceback)

    def fit(self, structures: Structures) -> MatminerStructureFeaturizer:
        """A featurizer whose columns these structures have decided, for classes that need it.

        Raises:
            ConfigError: If a class cannot make anything of them.
        """
        digest = hashlib.sha256(b"".join(structures.keys())).hexdigest()[:16]
        fitted = [twins.fitted(structures.items, digest) for twins in self._twins]
        return MatminerStructureFeaturizer(self.spec, progress=self._progress, fitted=fitted)

    @property
    def labels(self) -> tuple[str, ...]:
        """``(p,)`` names as matminer gives them.

        Raises:
            ConfigError: If a class has to be fitted first.
        """
        return self._rows.labels

    def transform(self, materials: Structures, /) -> Features:
        """Descriptors of ``n`` structures; equal ones are computed once.

        A row is not ``ok`` if matminer fails on it, gives no number, or takes too long. Texts in
        matminer's output are numbers here, see ``matminer_classes.as_number``.

        Raises:
            ConfigError: If a class has to be fitted first.
        """
        return self._rows.features(materials.keys(), materials.items.__getitem__)
