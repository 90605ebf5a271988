"""How rows are split into folds for an evaluation (light to import)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from matdisc.config import Spec

__all__ = [
    "MATBENCH_FOLDS",
    "ChemicalSystemSplit",
    "ClusterSplit",
    "CompositionSplit",
    "FoldSpec",
    "LeaveOneClusterOutSplit",
    "MatbenchSplit",
    "RandomSplit",
    "ReferenceSplit",
]

MATBENCH_FOLDS = 5
"""Of every task of Matbench v0.1."""


class CompositionSplit(Spec):
    """The rows of a composition, rounded as the card says, stay together.

    Of data without compositions: the rows of one name or, without names, under equal conditions.
    """

    kind: Literal["composition"] = "composition"


class ClusterSplit(Spec):
    """Compositions near each other stay together, and so do those that a chain of near ones links.

    Single linkage: no composition of one group is within ``distance`` of one of another group.
    """

    kind: Literal["cluster"] = "cluster"
    distance: float = Field(0.02, gt=0, lt=2)
    """Sum over elements of the absolute differences of the atomic fractions [1], 0 to 2; moving
    1 at% from one element to another is 0.02."""


class ChemicalSystemSplit(Spec):
    """Alloys of the same elements stay together; an element that rounds to 0 does not count."""

    kind: Literal["chemical-system"] = "chemical-system"


class LeaveOneClusterOutSplit(Spec):
    """Each of ``n_folds`` k-means clusters of compositions is held out once.

    How well a predictor extrapolates to another family of alloys: B. Meredig et al., Molecular
    Systems Design & Engineering 3, 819 (2018), doi:10.1039/C8ME00012C. The clusters see
    compositions only, no target.
    """

    kind: Literal["leave-one-cluster-out"] = "leave-one-cluster-out"
    on: Literal["fractions", "magpie"] = "fractions"
    """What the clusters are made of: atomic fractions, or the mean and average deviation of the
    22 Magpie element properties, standardised."""
    n_inner: int = Field(10, ge=2, le=100)
    """Parts of each cluster that stay together in the folds inside a training fold."""


class ReferenceSplit(Spec):
    """The rows of a paper stay together, and so do papers that share a composition.

    Needs a card with ``split.reference_column``. Rows that name no paper stay together too.
    """

    kind: Literal["reference"] = "reference"
    allow_repeats: bool = False
    """Whether papers that share a composition may be on both sides of a split."""


class RandomSplit(Spec):
    """Rows at random, whatever their composition."""

    kind: Literal["random"] = "random"
    allow_repeats: bool = False
    """Whether one composition may be on both sides of a split; if not, data that repeat
    compositions are refused."""


class MatbenchSplit(Spec):
    """The five official folds of a Matbench v0.1 task, on its rows in their official order."""

    kind: Literal["matbench"] = "matbench"
    task: str | None = None
    """Such as ``matbench_steels``; the name of the card if not given."""
    allow_repeats: bool = False
    """Whether one composition may be on both sides of a split, as in the official folds of some
    tasks whose formulas are one composition written in two ways, or are equal after rounding."""


FoldSpec = Annotated[
    CompositionSplit
    | ClusterSplit
    | ChemicalSystemSplit
    | LeaveOneClusterOutSplit
    | ReferenceSplit
    | RandomSplit
    | MatbenchSplit,
    Field(discriminator="kind"),
]
"""Any of the ways to split."""
