"""Settings of matminer's featurizers (light to import; ``build`` loads matminer)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, JsonValue

from matdisc.config import Spec
from matdisc.features.specs import ImputePolicy, Precision

if TYPE_CHECKING:
    from matdisc.features.matminer_adapter import MatminerFeaturizer
    from matdisc.features.matminer_structures import MatminerStructureFeaturizer

__all__ = ["MatminerClass", "MatminerSpec", "MatminerStructureSpec"]


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
