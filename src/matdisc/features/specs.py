"""Settings of the built-in featurizers (light to import; ``build`` loads the code)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator, model_validator
from typing_extensions import override

from matdisc.composition.elements import atomic_number
from matdisc.config import Spec
from matdisc.errors import CompositionError

if TYPE_CHECKING:
    from typing import Self

    from matdisc.features.alloys import AlloyFeaturizer
    from matdisc.features.cohesive import CohesiveEnergyFeaturizer
    from matdisc.features.compiled import CompositionFeaturizer, Kernel
    from matdisc.features.site_resolved import SiteResolvedFeaturizer

__all__ = [
    "AlloySpec",
    "AtomicOrbitalsSpec",
    "AtomicPackingEfficiencySpec",
    "Backend",
    "BandCenterSpec",
    "CohesiveEnergySpec",
    "CompositionSpec",
    "ConditionSpec",
    "ElementFractionSpec",
    "ElementPropertySpec",
    "EncoderSpec",
    "ImputePolicy",
    "MagpieSpec",
    "MeredigSpec",
    "MiedemaSpec",
    "Precision",
    "SiteResolvedSpec",
    "Statistic",
    "StatisticsName",
    "StoichiometrySpec",
    "TMetalFractionSpec",
    "ValenceOrbitalSpec",
    "WenAlloysSpec",
    "YangSolidSolutionSpec",
    "distinct_statistics",
    "statistics_spec",
    "with_statistics",
]

Backend = Literal["auto", "numba", "torch", "matminer"]
ImputePolicy = Literal["mean", "refuse"]
Precision = Literal["float32", "float64"]
Statistic = Literal["minimum", "maximum", "range", "mean", "avg_dev", "std_dev", "mode"]
StatisticsName = Literal[
    "magpie",
    "deml",
    "megnet_el",
    "matscholar_el",
    "meredig",
    "valence-orbital",
    "stoichiometry",
    "yang-solid-solution",
    "wen-alloys",
    "computed",
]
"""Families of statistics that a featurizer of alloys can add; see ``statistics_spec``.
``computed``: properties as a network predicts them that learned them from computed tables."""


class CompositionSpec(Spec, ABC):
    """What the featurizers of compositions that exist compiled have in common."""

    backend: Backend = "auto"
    """``numba``: the compiled kernel, which is what ``auto`` takes. ``torch``: its twin on
    ``device``, where there is one. ``matminer``: matminer itself, row by row, the reference."""
    impute: ImputePolicy = "mean"
    """``mean``: a missing element property becomes what matminer puts in its place (mostly the
    mean over elements), and the row is marked ``imputed``. ``refuse``: where matminer then gives
    no number the row is not ``ok``."""
    precision: Precision = "float32"
    """Of the values. Sums are float64 inside, except with ``torch``, which computes in this."""
    threads: int = Field(1, ge=0, le=1024)
    """Threads of the compiled kernel; 0 for one per core. The numbers do not depend on it."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where ``torch`` computes."""

    @abstractmethod
    def kernel(self) -> Kernel:
        """The compiled code with these settings."""

    def build(self) -> CompositionFeaturizer:
        """The featurizer of compositions.

        Raises:
            ConfigError: If there is no such backend.
        """
        from matdisc.features.compiled import CompositionFeaturizer

        return CompositionFeaturizer(self)


class MagpieSpec(CompositionSpec):
    """Magpie statistics of a composition, 132 descriptors (compiled; equal to matminer).

    An element of which nothing is known (Z > 112) is refused by both ways to impute; the kind
    ``element-property`` imputes it as matminer does.
    """

    kind: Literal["magpie"] = "magpie"

    @override
    def kernel(self) -> Kernel:
        from matdisc.features.magpie import magpie_kernel

        return magpie_kernel()


class ElementPropertySpec(CompositionSpec):
    """Statistics of element properties of one of matminer's sources (compiled; equal to it)."""

    kind: Literal["element-property"] = "element-property"
    preset: Literal["magpie", "deml", "matminer", "matscholar_el", "megnet_el"] = "magpie"
    """Source, properties and statistics, as in matminer."""
    statistics: tuple[Statistic, ...] | None = Field(None, min_length=1)
    """Other statistics than those of the preset."""
    features: tuple[str, ...] | None = Field(None, min_length=1)
    """Other properties of the same source than those of the preset, such as ``AtomicRadius``."""

    @field_validator("statistics", "features")
    @classmethod
    def _are_distinct(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if names is not None and len(set(names)) < len(names):
            raise ValueError("a name is given twice")
        return names

    @override
    def kernel(self) -> Kernel:
        from matdisc.features.element_property import element_property_kernel

        return element_property_kernel(self.preset, self.statistics, self.features)


class StoichiometrySpec(CompositionSpec):
    """Norms of the element fractions, 6 descriptors (compiled; equal to matminer)."""

    kind: Literal["stoichiometry"] = "stoichiometry"

    @override
    def kernel(self) -> Kernel:
        from matdisc.features.element_fractions import stoichiometry_kernel

        return stoichiometry_kernel()


class ElementFractionSpec(CompositionSpec):
    """Molar fraction of each of the 118 elements (compiled; equal to matminer)."""

    kind: Literal["element-fraction"] = "element-fraction"

    @override
    def kernel(self) -> Kernel:
        from matdisc.features.element_fractions import element_fraction_kernel

        return element_fraction_kernel()


class TMetalFractionSpec(CompositionSpec):
    """Molar fraction of the transition metals that can be magnetic, 1 descriptor (compiled)."""

    kind: Literal["transition-metal-fraction"] = "transition-metal-fraction"

    @override
    def kernel(self) -> Kernel:
        from matdisc.features.element_fractions import transition_metal_kernel

        return transition_metal_kernel()


class MeredigSpec(CompositionSpec):
    """Fractions, means, ranges and valence electrons, 135 descriptors (equal to matminer)."""

    kind: Literal["meredig"] = "meredig"

    @override
    def kernel(self) -> Kernel:
        from matdisc.features.meredig import meredig_kernel

        return meredig_kernel()


class BandCenterSpec(CompositionSpec):
    """Band centre from ionization energies and electron affinities, 1 descriptor [eV]."""

    kind: Literal["band-center"] = "band-center"

    @override
    def kernel(self) -> Kernel:
        from matdisc.features.band_center import band_center_kernel

        return band_center_kernel()


class ValenceOrbitalSpec(CompositionSpec):
    """Valence electrons by orbital, 8 descriptors (compiled; equal to matminer)."""

    kind: Literal["valence-orbital"] = "valence-orbital"

    @override
    def kernel(self) -> Kernel:
        from matdisc.features.orbitals import valence_orbital_kernel

        return valence_orbital_kernel()


class AtomicOrbitalsSpec(CompositionSpec):
    """Band edges from the orbitals of free atoms, 7 descriptors (compiled; equal to matminer).

    A character is given as 0 s, 1 p, 2 d, 3 f, an element as its atomic number.
    """

    kind: Literal["atomic-orbitals"] = "atomic-orbitals"

    @override
    def kernel(self) -> Kernel:
        from matdisc.features.orbitals import atomic_orbital_kernel

        return atomic_orbital_kernel()


class YangSolidSolutionSpec(CompositionSpec):
    """Omega and delta of a solid solution by Yang and Zhang (compiled; equal to matminer)."""

    kind: Literal["yang-solid-solution"] = "yang-solid-solution"

    @override
    def kernel(self) -> Kernel:
        from matdisc.features.solid_solution import yang_kernel

        return yang_kernel()


class WenAlloysSpec(CompositionSpec):
    """Descriptors of alloys by Wen et al., 23 numbers (compiled; equal to matminer).

    matminer's two columns of text, the fractions by weight and by atom, are no descriptors.
    """

    kind: Literal["wen-alloys"] = "wen-alloys"

    @override
    def kernel(self) -> Kernel:
        from matdisc.features.solid_solution import wen_kernel

        return wen_kernel()


class MiedemaSpec(CompositionSpec):
    """Formation enthalpies by Miedema's model (compiled; equal to matminer)."""

    kind: Literal["miedema"] = "miedema"
    structures: tuple[Literal["inter", "amor", "ss"], ...] = Field(
        ("inter", "amor", "ss"), min_length=1
    )
    """Intermetallic compound, amorphous phase, solid solution."""
    solid_solutions: tuple[Literal["fcc", "bcc", "hcp", "no_latt", "min"], ...] = Field(
        ("min",), min_length=1
    )
    """Lattices of the solid solution; ``no_latt`` for none, ``min`` for the lowest of the four."""

    @field_validator("structures", "solid_solutions")
    @classmethod
    def _are_distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError("a name is given twice")
        return names

    @override
    def kernel(self) -> Kernel:
        from matdisc.features.miedema import miedema_kernel

        return miedema_kernel(self.structures, self.solid_solutions)


class AtomicPackingEfficiencySpec(CompositionSpec):
    """Packing of amorphous alloys by Laws, Miracle and Ferry (compiled; equal to matminer)."""

    kind: Literal["atomic-packing-efficiency"] = "atomic-packing-efficiency"
    threshold: float = Field(0.01, gt=0, le=0.1)
    """Largest absolute packing efficiency of a cluster that counts as well packed."""
    n_nearest: tuple[Annotated[int, Field(ge=1, le=1000)], ...] = Field((1, 3, 5), min_length=1)
    """Numbers of nearest clusters, each a descriptor: the mean distance to them."""
    max_types: int = Field(6, ge=1, le=8)
    """Clusters are made of the so many most abundant elements; time and memory grow steeply."""

    @field_validator("n_nearest")
    @classmethod
    def _are_distinct(cls, numbers: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(numbers)) < len(numbers):
            raise ValueError("a number is given twice")
        return numbers

    @override
    def kernel(self) -> Kernel:
        from matdisc.features.packing import packing_kernel

        return packing_kernel(self.threshold, self.n_nearest, self.max_types)


class CohesiveEnergySpec(Spec):
    """Cohesive energy from the formation energy and the elements (compiled; equal to matminer)."""

    kind: Literal["cohesive-energy"] = "cohesive-energy"
    formation_energy: str = "formation_energy_ev_per_atom"
    """Condition of the alloys that holds their formation energy [eV/atom]."""
    backend: Literal["auto", "numba", "matminer"] = "auto"
    """``numba``: the compiled kernel, which is what ``auto`` takes. ``matminer``: matminer itself,
    row by row, the reference."""
    impute: ImputePolicy = "mean"
    """``mean``: an element without a cohesive energy gets the mean over the others, as in
    matminer, and the row is marked ``imputed``. ``refuse``: such a row is not ``ok``."""
    precision: Precision = "float32"
    """Of the values. Sums are float64 inside."""

    def build(self) -> CohesiveEnergyFeaturizer:
        """The featurizer of alloys."""
        from matdisc.features.cohesive import CohesiveEnergyFeaturizer

        return CohesiveEnergyFeaturizer(self)


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


class EncoderSpec(Spec):
    """Shape of the part that turns a set of elements and their fractions into numbers."""

    dim: int = Field(64, ge=4, le=1024)
    """Numbers that stand for an element, a multiple of ``n_heads``."""
    n_heads: int = Field(4, ge=1, le=16)
    """Attention heads of a layer."""
    n_layers: int = Field(2, ge=0, le=8)
    """Attention layers; with none, elements are summed without looking at each other."""
    width: int = Field(128, ge=4, le=4096)
    """Hidden width of a layer's feed-forward part."""

    @model_validator(mode="after")
    def _heads_share_the_dimension(self) -> Self:
        if self.dim % self.n_heads:
            raise ValueError(f"dim = {self.dim} must be a multiple of n_heads = {self.n_heads}")
        return self


class ConditionSpec(Spec):
    """A condition as a descriptor."""

    name: str
    unit: str = "1"
    categories: tuple[str, ...] = ()
    """Allowed values of a category, each a descriptor of its own; empty for a number."""
    fill: float | None = None
    """Stands for a number that is not given, beside a mark that says so; None: such a row is not
    ``ok``."""
    required: bool = False
    """Whether a row without its category is not ``ok``, because none was without it; otherwise it
    has none of the categories."""


class AlloySpec(Spec):
    """Shares of the elements, statistics of their properties and conditions of alloys."""

    kind: Literal["alloy"] = "alloy"
    elements: tuple[str, ...] = ("Ni", "Cr", "Co", "Al", "Ti")
    """Elements whose share is a descriptor; an alloy with another element is not ``ok``. None:
    materials without a composition, seen by their conditions."""
    basis: Literal["weight", "atomic"] = "weight"
    """Whether shares are weight or atomic percent."""
    statistics: tuple[StatisticsName, ...] = ()
    """Families of statistics of the composition that are descriptors too. Missing properties of
    an element are imputed as matminer does, and the row is marked ``imputed``."""
    computed: str | None = None
    """Folder of the pre-trained encoder behind the family ``computed``; of a surrogate that has its
    own copy only the hash."""
    conditions: tuple[ConditionSpec, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _magpie_is_one_of_the_statistics(cls, raw: object) -> object:
        return with_statistics(raw)

    @field_validator("statistics")
    @classmethod
    def _are_distinct_statistics(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return distinct_statistics(names)

    @field_validator("elements")
    @classmethod
    def _are_distinct_elements(cls, symbols: tuple[str, ...]) -> tuple[str, ...]:
        return _distinct_elements(symbols)

    def build(self) -> AlloyFeaturizer:
        """The featurizer of alloys."""
        from matdisc.features.alloys import AlloyFeaturizer

        return AlloyFeaturizer(self)


def statistics_spec(name: StatisticsName) -> CompositionSpec:
    """Settings of a family of statistics.

    Of the 200 dimensions of ``matscholar_el`` only the mean is taken; the others are as matminer's
    class or preset of the same name has them.
    """
    if name == "deml" or name == "megnet_el":
        return ElementPropertySpec(preset=name)
    if name == "matscholar_el":
        return ElementPropertySpec(preset="matscholar_el", statistics=("mean",))
    plain: dict[str, CompositionSpec] = {
        "magpie": MagpieSpec(),
        "meredig": MeredigSpec(),
        "valence-orbital": ValenceOrbitalSpec(),
        "stoichiometry": StoichiometrySpec(),
        "yang-solid-solution": YangSolidSolutionSpec(),
        "wen-alloys": WenAlloysSpec(),
    }
    return plain[name]


_INCLUDED = {"valence-orbital": "meredig", "yang-solid-solution": "wen-alloys"}
"""Families whose descriptors are part of another one."""


def distinct_statistics(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names, if no descriptor would occur twice.

    Raises:
        ValueError: If it would.
    """
    if len(set(names)) < len(names):
        raise ValueError("a name is given twice")
    for part, whole in _INCLUDED.items():
        if part in names and whole in names:
            raise ValueError(f"{whole!r} includes {part!r}; leave out {part!r}")
    return names


def with_statistics(raw: object) -> object:
    """Raw settings in which ``magpie: true`` of older configs and artefacts is a statistic."""
    if not isinstance(raw, Mapping) or "magpie" not in raw:
        return raw
    rest = {name: value for name, value in raw.items() if name != "magpie"}
    if raw["magpie"] not in (True, False):
        raise ValueError(f"magpie must be true or false, got {raw['magpie']!r}")
    names = tuple(rest.get("statistics", ()))
    if raw["magpie"] and "magpie" not in names:
        rest["statistics"] = ("magpie", *names)
    return rest


def _distinct_elements(symbols: tuple[str, ...]) -> tuple[str, ...]:
    try:
        numbers = [atomic_number(s) for s in symbols]
    except CompositionError as error:
        raise ValueError(str(error)) from error
    if len(set(numbers)) < len(numbers):
        raise ValueError("an element is named twice")
    return symbols
