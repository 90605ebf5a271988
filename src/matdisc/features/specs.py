"""Settings of the built-in featurizers (light to import; ``build`` loads the code)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, JsonValue, field_validator

from matdisc.composition.elements import atomic_number
from matdisc.config import Spec
from matdisc.errors import CompositionError

if TYPE_CHECKING:
    from matdisc.features.alloys import AlloyFeaturizer
    from matdisc.features.magpie import MagpieFeaturizer
    from matdisc.features.matminer_adapter import MatminerFeaturizer
    from matdisc.features.matminer_structures import MatminerStructureFeaturizer
    from matdisc.features.site_resolved import SiteResolvedFeaturizer

__all__ = [
    "AlloySpec",
    "ConditionSpec",
    "ImputePolicy",
    "MagpieSpec",
    "MatminerClass",
    "MatminerSpec",
    "MatminerStructureSpec",
    "Precision",
    "SiteResolvedSpec",
]

ImputePolicy = Literal["mean", "refuse"]
Precision = Literal["float32", "float64"]


class MagpieSpec(Spec):
    """Magpie statistics of a composition, 132 descriptors (compiled; equal to matminer)."""

    kind: Literal["magpie"] = "magpie"
    impute: ImputePolicy = "mean"
    """``mean``: a missing element property becomes the mean over elements, as in matminer, and
    the row is marked ``imputed``. ``refuse``: such a row is not ``ok``. An element without any
    data is refused by both."""

    def build(self) -> MagpieFeaturizer:
        """The featurizer of compositions."""
        from matdisc.features.magpie import MagpieFeaturizer

        return MagpieFeaturizer(self)


class MatminerClass(Spec):
    """One featurizer of matminer."""

    name: str
    """Class name, such as ``Meredig``."""
    preset: str | None = None
    """For classes with presets; ``ElementProperty`` has magpie, deml, matminer, matscholar_el and
    megnet_el. None: magpie, or what stands in its place for other classes that need one."""
    arguments: dict[str, JsonValue] = Field(default_factory=dict)
    """Arguments of its constructor (or of ``from_preset``), numbers, texts and lists; checked
    against its signature."""


class _MatminerRows(Spec):
    """What the two kinds of matminer featurizers have in common."""

    impute: ImputePolicy = "mean"
    """``mean``: a missing element property becomes what matminer puts in its place, and the row is
    marked ``imputed``. ``refuse``: such a row is not ``ok``."""
    precision: Precision = "float32"
    """Of the values."""
    n_workers: int | None = Field(None, ge=0, le=1024)
    """Worker processes; the available cores if not given. 0: in this process, where no time-out
    can be held."""
    timeout_s: float = Field(60.0, gt=0)
    """How long one featurizer may take for one row [s]; such a row is not ``ok``."""
    cache: bool = True
    """Whether rows are kept in the feature cache on disk and taken from there."""


class MatminerSpec(_MatminerRows):
    """Composition featurizers of matminer, in worker processes with a time-out and a disk cache.

    The reference, not the fast way: see the compiled kinds. Those that need oxidation states
    (CationProperty, ElectronAffinity, ElectronegativityDiff, OxidationStates) guess them, once per
    composition; no other kind guesses.
    """

    kind: Literal["matminer"] = "matminer"
    featurizers: tuple[str | MatminerClass, ...] = Field(("ElementProperty",), min_length=1)
    """Class names in ``matminer.featurizers.composition``, or name, preset and arguments."""

    def build(self) -> MatminerFeaturizer:
        """The featurizer of compositions.

        Raises:
            ConfigError: If matminer has no such class, or it does not take these arguments.
        """
        from matdisc.features.matminer_adapter import MatminerFeaturizer

        return MatminerFeaturizer(self)


class MatminerStructureSpec(_MatminerRows):
    """Structure featurizers of matminer, in worker processes with a time-out and a disk cache."""

    kind: Literal["matminer-structure"] = "matminer-structure"
    featurizers: tuple[str | MatminerClass, ...] = Field(("DensityFeatures",), min_length=1)
    """Class names in ``matminer.featurizers.structure``, or name, preset and arguments."""

    def build(self) -> MatminerStructureFeaturizer:
        """The featurizer of structures.

        Raises:
            ConfigError: If matminer has no such class, or it does not take these arguments.
        """
        from matdisc.features.matminer_structures import MatminerStructureFeaturizer

        return MatminerStructureFeaturizer(self)


class SiteResolvedSpec(Spec):
    """Descriptors of ordered materials that see which element is on which site (compiled)."""

    kind: Literal["site-resolved"] = "site-resolved"
    elements: tuple[str, ...] = ()
    """Symbols of the elements whose share on every site is a descriptor; a material with
    another element is then not ``ok``. Empty: no such descriptors, any element."""

    @field_validator("elements")
    @classmethod
    def _are_distinct_elements(cls, symbols: tuple[str, ...]) -> tuple[str, ...]:
        return _distinct_elements(symbols)

    def build(self) -> SiteResolvedFeaturizer:
        """The featurizer of decorations."""
        from matdisc.features.site_resolved import SiteResolvedFeaturizer

        return SiteResolvedFeaturizer(self)


class ConditionSpec(Spec):
    """A condition as a descriptor."""

    name: str
    unit: str = "1"
    categories: tuple[str, ...] = ()
    """Allowed values of a category, each a descriptor of its own; empty for a number."""
    fill: float | None = None
    """Stands for a number that is not given, beside a mark that says so; None: such a row is not
    ``ok``."""


class AlloySpec(Spec):
    """Shares of the elements, statistics of their properties and conditions of alloys."""

    kind: Literal["alloy"] = "alloy"
    elements: tuple[str, ...] = ("Ni", "Cr", "Co", "Al", "Ti")
    """Elements whose share is a descriptor; an alloy with another element is not ``ok``."""
    basis: Literal["weight", "atomic"] = "weight"
    """Whether shares are weight or atomic percent."""
    magpie: bool = False
    """Whether Magpie statistics of the composition are descriptors too."""
    conditions: tuple[ConditionSpec, ...] = ()

    @field_validator("elements")
    @classmethod
    def _are_distinct_elements(cls, symbols: tuple[str, ...]) -> tuple[str, ...]:
        return _distinct_elements(symbols)

    def build(self) -> AlloyFeaturizer:
        """The featurizer of alloys."""
        from matdisc.features.alloys import AlloyFeaturizer

        return AlloyFeaturizer(self)


def _distinct_elements(symbols: tuple[str, ...]) -> tuple[str, ...]:
    try:
        numbers = [atomic_number(s) for s in symbols]
    except CompositionError as error:
        raise ValueError(str(error)) from error
    if len(set(numbers)) < len(numbers):
        raise ValueError("an element is named twice")
    return symbols
