"""Properties as a network predicts them that learned them from large computed tables.

What first principles say of a composition (formation energy, band gap, modulus), as far as a
pre-trained encoder knows it, is a descriptor for those who learn a small measured table: stacked
learning by properties, as in Jha et al. 2019, doi:10.1038/s41467-019-13297-w.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from matdisc.composition.compositions import Compositions
from matdisc.errors import ArtifactError
from matdisc.features.types import Features, finite_rows

if TYPE_CHECKING:
    import torch

__all__ = ["ComputedProperties"]

Tables = Mapping[str, npt.NDArray[Any]]

_BLOCK = 2048
"""Compositions at once; the last block is filled up, so that a row's numbers hardly depend on how
many come with it."""


@dataclass(frozen=True, eq=False)
class ComputedProperties:
    """A featurizer of compositions: one descriptor for each property that an encoder learned."""

    tables: Tables
    """Everything that the numbers depend on, by name."""

    @classmethod
    def read(cls, folder: str) -> ComputedProperties:
        """That of a pre-trained encoder.

        Raises:
            ArtifactError: If it is missing, damaged, or was written before it said anything.
        """
        from matdisc.features.encoder_artifact import read_encoder
        from matdisc.features.set_encoder import fold_elements

        encoder = read_encoder(Path(folder))
        outputs = encoder.outputs
        if outputs is None:
            raise ArtifactError(
                f"the encoder in {folder} predicts no properties, it was written by an older "
                "matdisc; pre-train it again"
            )
        names = json.dumps(outputs.names).encode()
        folded = fold_elements(encoder.parameters)
        return cls(
            {f"encoder/{name}": p.numpy() for name, p in folded.items()}
            | {f"head/{name}": p.numpy() for name, p in outputs.head.items()}
            | {
                "names": np.frombuffer(names, np.uint8).copy(),
                "is_class": outputs.is_class,
                "mean": outputs.mean,
                "std": outputs.std,
            }
        )

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """``(p,)`` ``computed <dataset>: <property>``; of a class its probability."""
        names = json.loads(self.tables["names"].tobytes())
        return tuple(f"computed {name}" for name in names)

    def transform(self, materials: Compositions, /) -> Features:
        """The properties of ``n`` compositions [units of the tables that were learned]."""
        import torch

        n = len(materials)
        values = np.empty((n, len(self.labels)), np.float32)
        with torch.no_grad():
            for start in range(0, n, _BLOCK):
                rows = slice(start, min(start + _BLOCK, n))
                values[rows] = self._block(materials.z[rows], materials.x[rows])
        ok = finite_rows(values)
        reasons = {int(row): "the encoder gives no number" for row in np.flatnonzero(~ok)}
        values[~ok] = np.nan
        return Features(values, self.labels, ok, np.zeros(n, np.bool_), reasons)

    def _block(
        self, z: npt.NDArray[np.uint8], x: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """``(b, p)`` of at most :data:`_BLOCK` compositions."""
        import torch

        from matdisc.features.batched_head import run_head
        from matdisc.features.set_encoder import encode

        encoder, head = self._parameters
        fill = ((0, _BLOCK - len(z)), (0, 0))
        numbers = torch.from_numpy(np.pad(z.astype(np.int64), fill, mode="edge"))
        fractions = torch.from_numpy(np.pad(x.astype(np.float32), fill, mode="edge"))
        found = run_head(head, encode(encoder, numbers[None], fractions[None]))[0, : len(z)]
        said = found.double()
        given = torch.where(torch.from_numpy(self.tables["is_class"]), said.sigmoid(), said)
        return np.asarray(given.numpy() * self.tables["std"] + self.tables["mean"])

    @cached_property
    def _parameters(self) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        import torch

        encoder, head = (
            {
                name.removeprefix(start): torch.from_numpy(np.ascontiguousarray(array))
                for name, array in self.tables.items()
                if name.startswith(start)
            }
            for start in ("encoder/", "head/")
        )
        return encoder, head
