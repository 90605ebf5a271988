"""matminer's classes by name: found, checked against their signatures, built, made numeric."""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

from matdisc.composition.elements import atomic_number
from matdisc.config import did_you_mean
from matdisc.errors import CompositionError, ConfigError
from matdisc.features.matminer_specs import MatminerClass
from matdisc.features.oxidation import guessing_once
from matdisc.features.specs import ImputePolicy

__all__ = ["Twins", "as_number", "build_twins", "find_class", "needs_charges"]

Domain = Literal["composition", "structure"]

_DEFAULT_PRESETS = {
    "CationProperty": "deml",
    "ElementProperty": "magpie",
    "PartialsSiteStatsFingerprint": "CrystalNNFingerprint_ops",
    "SiteStatsFingerprint": "CrystalNNFingerprint_ops",
}
"""Where the class cannot be built without one."""

_DEFAULT_ARGUMENTS: dict[str, dict[str, Any]] = {
    # its species are no numbers
    "MinimumRelativeDistances": {"include_species": False},
    "StructureComposition": {"featurizer": "ElementProperty"},
}

_NEED_CHARGES = frozenset(
    {"CationProperty", "ElectronAffinity", "ElectronegativityDiff", "OxidationStates"}
    | {"ElectronicRadialDistributionFunction", "EwaldEnergy", "GlobalInstabilityIndex"}
)

_FROM_THE_NET = frozenset(["CohesiveEnergy", "CohesiveEnergyMP"])
"""Ask the Materials Project: their answers may change and are not kept."""

_TEXT_LABELS = {"WenAlloys": frozenset({"Weight Fraction", "Atomic Fraction"})}
"""Columns that hold a formula: left out."""

_CRYSTAL_SYSTEMS = ("cubic", "hexagonal", "trigonal", "tetragonal", "orthorhombic", "monoclinic")
_CODES = {letter: float(number) for number, letter in enumerate("spdf")} | {
    name: float(number) for number, name in enumerate((*_CRYSTAL_SYSTEMS, "triclinic"), 1)
}
"""Texts in matminer's output that stand for a number: orbitals by angular momentum, crystal systems
as matminer's ``crystal_system_int``; symbols of elements become their atomic number."""


def needs_charges(name: str) -> bool:
    """Whether a class works on oxidation states only."""
    return name in _NEED_CHARGES


def as_number(value: Any) -> float:
    """A value of matminer as a number; NaN for None and for text that stands for none.

    Orbital letters become the angular momentum (s 0 to f 3), crystal systems matminer's own
    ``crystal_system_int``, symbols of elements the atomic number.
    """
    if not isinstance(value, str):
        try:
            return float(value)
        except (TypeError, ValueError):
            return math.nan
    if value in _CODES:
        return _CODES[value]
    try:
        return float(atomic_number(value))
    except CompositionError:
        return math.nan


@cache
def _classes(domain: Domain) -> Mapping[str, Any]:
    """Featurizers of matminer for one kind of material, by class name."""
    from matminer.featurizers.base import BaseFeaturizer

    package = importlib.import_module(f"matminer.featurizers.{domain}")
    found = {}
    for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if info.ispkg:  # its tests
            continue
        for name, value in vars(importlib.import_module(info.name)).items():
            if not name.startswith("_") and inspect.isclass(value):
                is_own = value.__module__ == info.name
                if is_own and issubclass(value, BaseFeaturizer):
                    found[name] = value
    return found


def find_class(name: str, domain: Domain) -> Any:
    """The class of this name.

    Raises:
        ConfigError: If matminer has none for this kind of material.
    """
    known = _classes(domain)
    if name in known:
        return known[name]
    other: Domain = "structure" if domain == "composition" else "composition"
    if name in _classes(other):
        kind = "matminer-structure" if other == "structure" else "matminer"
        raise ConfigError(f"matminer's {name} takes {other}s; use it with kind: {kind}")
    raise ConfigError(
        f"unknown matminer featurizer {name!r} of {domain}s; known: {sorted(known)}"
        f"{did_you_mean(name, known)}"
    )


@dataclass(frozen=True, slots=True)
class Twins:
    """One matminer featurizer, twice: refusing and imputing missing element properties."""

    entry: MatminerClass
    domain: Domain
    strict: Any
    lenient: Any
    """Imputes by matminer's own rule; None where the class cannot, or must not, impute."""
    needs_charges: bool
    """Whether it works on oxidation states only."""
    is_kept: bool
    """Whether its rows may be kept on disk."""
    fitted_on: str = ""
    """Hash of the structures that have decided its columns, where it needs any."""

    def fitted(self, materials: Sequence[Any], digest: str) -> Twins:
        """A copy that has seen these materials; ``digest`` tells one set of them from another.

        Raises:
            ConfigError: If it cannot make anything of them.
        """
        strict, lenient = deepcopy(self.strict), deepcopy(self.lenient)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for featurizer in (strict, lenient):
                    if featurizer is not None:
                        featurizer.fit(list(materials))
        except Exception as error:  # foreign code, before anything is computed
            raise ConfigError(
                f"{self.name} cannot be fitted to {len(materials)} structures: {error}"
            ) from error
        return replace(self, strict=strict, lenient=lenient, fitted_on=digest)

    @property
    def name(self) -> str:
        """For messages."""
        return f"matminer {self.entry.name}"

    @property
    def labels(self) -> tuple[str, ...]:
        """``(p,)`` names as matminer gives them.

        Raises:
            ConfigError: If it has to be fitted first.
        """
        return tuple(label for label in self._all_labels() if label not in self._left_out)

    @property
    def _left_out(self) -> frozenset[str]:
        return _TEXT_LABELS.get(self.entry.name, frozenset())

    def _all_labels(self) -> list[str]:
        try:
            return [str(label) for label in self.strict.feature_labels()]
        except Exception as error:  # each class has its own way of saying so
            raise ConfigError(
                f"{self.name} has to see structures before it knows its columns ({error}); call "
                "fit(structures) first"
            ) from error

    def row(self, material: Any) -> tuple[list[float], bool, str]:
        """Values, whether something was imputed, and a reason (empty if the values are good).

        matminer imputes unannounced, and sometimes replaces a value that is there (0 in
        pymatgen's tables). So what counts is the imputing twin, and the row is imputed if the
        refusing twin gives anything else.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if self.entry.name == "IonProperty":
                material = guessing_once(material)
            values, reason = self._attempt(self.strict, material)
            if self.lenient is None:
                return values, False, reason
            strict_values = values
            values, reason = self._attempt(self.lenient, material)
            return values, not reason and values != strict_values, reason

    def _attempt(self, featurizer: Any, material: Any) -> tuple[list[float], str]:
        """Values of one row and why they are unusable (empty if they are good)."""
        try:
            given = list(featurizer.featurize(material))
        except Exception as error:  # one item of a batch: recorded with its reason
            return [], f"{self.name} failed: {type(error).__name__}: {error}"
        labels = self._all_labels()
        if len(given) != len(labels):
            return [], f"{self.name} gives {len(given)} values for {len(labels)} columns"
        values = []
        for label, raw in zip(labels, given, strict=True):
            if label in self._left_out:
                continue
            value = as_number(raw)
            if not math.isfinite(value):
                shown = f" but {raw!r}" if isinstance(raw, str) else ""
                return [], f"{self.name} gives no number for {label!r}{shown}"
            values.append(value)
        return values, ""

    def prepare(self) -> None:
        """Make it load its tables, which no row shall be charged for."""
        if self.is_kept:  # or it would ask over the net
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.row(_example(self.domain, self.needs_charges))


def _example(domain: Domain, is_charged: bool) -> Any:
    """Rock salt, which most classes can do something with."""
    from pymatgen.core.composition import Composition
    from pymatgen.core.lattice import Lattice
    from pymatgen.core.structure import Structure

    species = ["Na+", "Cl-"] if is_charged else ["Na", "Cl"]
    if domain == "composition":
        return Composition(dict.fromkeys(species, 1))
    sites: Any = [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]
    return Structure(Lattice.cubic(5.64), species, sites)


def build_twins(entry: str | MatminerClass, domain: Domain, impute: ImputePolicy) -> Twins:
    """Find, check and build one featurizer.

    Args:
        entry: Its name, or name, preset and arguments.
        domain: Whether it takes compositions or structures.
        impute: Under ``refuse`` there is no imputing twin.

    Raises:
        ConfigError: If there is no such class, or it does not take these arguments.
    """
    if isinstance(entry, str):
        entry = MatminerClass(name=entry)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # matminer announces its defaults
        strict, can_impute = _build(entry, domain, impute=False)
        lenient = None
        if can_impute and impute == "mean":
            lenient, _ = _build(entry, domain, impute=True)
    name = entry.name
    return Twins(entry, domain, strict, lenient, needs_charges(name), name not in _FROM_THE_NET)


def _build(entry: MatminerClass, domain: Domain, *, impute: bool) -> tuple[Any, bool]:
    """The featurizer, and whether it can impute."""
    cls = find_class(entry.name, domain)
    arguments: dict[str, Any] = _DEFAULT_ARGUMENTS.get(entry.name, {}) | entry.arguments
    preset = entry.preset
    own = inspect.signature(cls.__init__).parameters
    if preset is None and not _can_do_without_preset(own, arguments):
        preset = _DEFAULT_PRESETS.get(entry.name)
    build: Callable[..., Any] = cls
    takes = _names(own)
    if preset is not None:
        if not hasattr(cls, "from_preset"):
            raise ConfigError(f"matminer's {entry.name} has no presets (got {preset!r})")
        given = inspect.signature(cls.from_preset).parameters
        is_open = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in given.values())
        build = cls.from_preset
        takes = _names(given)[1:] + (_names(own) if is_open else [])
    _check_names(entry, arguments, takes)
    can_impute = "impute_nan" in takes
    if can_impute:
        arguments["impute_nan"] = impute
    if "featurizer" in arguments:
        inner = MatminerClass.model_validate(_entry(arguments["featurizer"]))
        arguments["featurizer"], can_impute = _build(inner, "composition", impute=impute)
    try:
        built = build(*([] if preset is None else [preset]), **arguments)
    except Exception as error:  # foreign code, before anything is computed
        what = f"preset {preset!r}" if preset is not None else "its defaults"
        what = f"{what} and {arguments}" if arguments else what
        raise ConfigError(
            f"matminer's {entry.name} cannot be built with {what}: {type(error).__name__}: {error}"
        ) from error
    return built, can_impute


def _entry(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def _can_do_without_preset(
    parameters: Mapping[str, inspect.Parameter], arguments: Mapping[str, Any]
) -> bool:
    """Whether every argument of the constructor that has no default is given."""
    return all(
        name in arguments
        for name, parameter in list(parameters.items())[1:]
        if parameter.default is inspect.Parameter.empty
        and parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    )


def _names(parameters: Mapping[str, inspect.Parameter]) -> list[str]:
    """Named parameters without ``self``; what is collected by ``**kwargs`` does not count."""
    variadic = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return [name for name, p in parameters.items() if p.kind not in variadic and name != "self"]


def _check_names(entry: MatminerClass, arguments: Mapping[str, Any], takes: Sequence[str]) -> None:
    offered = [name for name in takes if name != "impute_nan"]
    for name in arguments:
        if name == "impute_nan":
            raise ConfigError(f"{entry.name}: impute_nan is set by `impute: mean | refuse`")
        if name not in takes:
            raise ConfigError(
                f"matminer's {entry.name} takes no argument {name!r}; it takes {offered}"
                f"{did_you_mean(name, offered)}"
            )
