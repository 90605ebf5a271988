"""What every featurizer promises."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from matdisc.composition.alloys import Alloys, Condition
from matdisc.composition.compositions import Compositions
from matdisc.composition.decorations import Decorations
from matdisc.config import Spec
from matdisc.features.types import Features
from matdisc.testing.specs import check_spec

__all__ = ["check_featurizer"]


def check_featurizer(spec: Spec, materials: Any = None) -> None:
    """Check a featurizer: shapes, row independence, repeatability, no change of its input.

    Args:
        spec: Settings to check.
        materials: Three or more materials that the featurizer must be able to compute; ordinary
            titanium intermetallics if None.

    Raises:
        AssertionError: If a promise is broken; says which.
    """
    check_spec(spec)
    featurizer: Any = spec.build()  # type: ignore[attr-defined]
    labels = featurizer.labels
    assert isinstance(labels, tuple), "labels must be a tuple"
    assert labels, "labels must not be empty"
    assert len(set(labels)) == len(labels), "labels must be distinct"
    if materials is None:
        materials = _examples(featurizer)
    before = _arrays(materials)
    batch = featurizer.transform(materials)
    assert isinstance(batch, Features), "transform must return matdisc.features.types.Features"
    assert batch.labels == labels, "the labels of the result must be those of the featurizer"
    assert len(batch) == len(materials), "transform must return a row for every material"
    assert batch.ok.all(), f"ordinary materials must be computable: {dict(batch.reasons)}"
    after = _arrays(materials)
    assert all(np.array_equal(before[name], after[name]) for name in before), (
        "transform must not change its input"
    )
    again = featurizer.transform(materials)
    assert np.array_equal(batch.values, again.values), "the same input must give the same bytes"
    for row in range(len(materials)):
        alone = featurizer.transform(materials[row : row + 1])
        assert np.array_equal(alone.values[0], batch.values[row]), (
            f"row {row} alone differs from the same row in a batch"
        )
    empty = featurizer.transform(materials[:0])
    assert empty.values.shape == (0, len(labels)), "no materials must give no rows"


def _examples(featurizer: Any) -> Any:
    """Materials of the type that the featurizer's ``transform`` is annotated with."""
    first = next(iter(inspect.signature(featurizer.transform).parameters.values()))
    takes = getattr(first.annotation, "__name__", str(first.annotation)).rsplit(".", 1)[-1]
    if takes == "Decorations":
        return Decorations.from_keys(["L1_0:Ti,Al", "D0_19:Ti,Al", "B2:Ti,Fe"])
    if takes == "Alloys":
        return Alloys(
            Compositions.from_alloy_designations(["Ni-20Cr", "Ni-19Cr-12Co-3Al", "Ni-9Al-2Ti"]),
            np.array([[20.0, -0.1], [650.0, -0.2], [900.0, 0.1]]),
            (
                Condition("test_temperature_c", "C"),
                Condition("formation_energy_ev_per_atom", "eV/atom"),
            ),
        )
    if takes == "Structures":
        return _example_structures()
    assert takes == "Compositions", (
        f"no example materials of type {takes!r}; annotate transform, or pass materials"
    )
    return Compositions.from_formulas(["TiAl", "Ti3Al", "Ti2AlNb"])


def _example_structures() -> Any:
    from pymatgen.core.lattice import Lattice
    from pymatgen.core.structure import Structure

    from matdisc.features.matminer_structures import Structures

    sites: Any = [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]
    pairs = ((4.08, ["Ti", "Al"]), (2.98, ["Ti", "Fe"]), (2.99, ["Ti", "Ni"]))
    return Structures(
        tuple(Structure(Lattice.tetragonal(2.9, c), names, sites) for c, names in pairs)
    )


def _arrays(materials: Any) -> dict[str, np.ndarray[Any, Any]]:
    names = ("z", "x", "prototype", "site_z", "values")
    return {name: getattr(materials, name).copy() for name in names if hasattr(materials, name)}
