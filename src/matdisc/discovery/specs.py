"""Settings of a campaign (light to import)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from matdisc.config import Spec, plugin_field
from matdisc.features.specs import SiteResolvedSpec
from matdisc.firstprinciples.specs import RecipeSpec
from matdisc.predictors.network_specs import MLPEnsembleSpec
from matdisc.predictors.tree_specs import ExtraTreesSpec
from matdisc.screening.specs import CapsSpec, IntermetallicSpaceSpec

if TYPE_CHECKING:
    from matdisc.discovery.oracles import Oracle
    from matdisc.firstprinciples.records import Record

__all__ = [
    "AcquisitionSpec",
    "CampaignSpec",
    "DatasetOracleSpec",
    "EngineOracleSpec",
    "FinalsSpec",
    "FormationEnergyCheck",
    "GroundStateCheck",
    "HullCheck",
    "IncumbentSpec",
    "LowerThanCheck",
    "ModulusCheck",
    "NoCompoundCheck",
    "ReplaySpec",
    "SanityCheck",
    "StartSpec",
]


class EngineOracleSpec(Spec):
    """Relaxes what is asked for with a first-principles engine; some may be looked up."""

    kind: Literal["engine"] = "engine"
    recipe: RecipeSpec = RecipeSpec()
    live_per_round: int = Field(10, ge=0)
    """So many of a round, the best first, are computed even where the data has them."""
    n_workers: int | None = Field(None, ge=1)
    """Single-threaded processes; the available cores if not given."""

    def build(self, known: Mapping[str, Record], folder: Path) -> Oracle:
        """The oracle; finished jobs are kept in ``folder``."""
        from matdisc.discovery.oracles import EngineOracle

        return EngineOracle(self, known, folder)


class DatasetOracleSpec(Spec):
    """Answers from the brief's dataset only; nothing is computed."""

    kind: Literal["dataset"] = "dataset"
    formation_energy_error_ev_per_atom: float = Field(0.054, gt=0)
    """One standard deviation of the engine that made the data; 0.054 is 7net-l3i5 against PBE."""

    def build(self, known: Mapping[str, Record], folder: Path) -> Oracle:
        """The oracle."""
        from matdisc.discovery.oracles import DatasetOracle

        return DatasetOracle(known)


class StartSpec(Spec):
    """The part of the data that the campaign may see before its first round."""

    share: float = Field(0.15, gt=0, le=1)
    """Share of the records, drawn at random; the pure elements come on top."""


class AcquisitionSpec(Spec):
    """Constrained expected improvement with limits that keep a batch diverse."""

    batch_size: int = Field(14, ge=1)
    max_per_formula: int = Field(2, ge=1)
    """Most polymorphs of one formula in a batch."""
    max_per_system: int = Field(4, ge=1)
    """Most candidates of one set of elements in a batch."""
    shortlist_size: int = Field(8, ge=1)
    """Improvement counts over the best so many verified feasible materials, not over the best
    one: the campaign is to fill a shortlist."""


class FinalsSpec(Spec):
    """The verified materials whose elastic tensor is computed."""

    n_finalists: int = Field(8, ge=1)
    min_probability: float = Field(0.5, ge=0, le=1)
    """Of lying within the hull tolerance, engine error included."""
    max_atoms: int = Field(16, ge=1)
    """Larger cells are left out (time)."""


class IncumbentSpec(Spec):
    """A known material that stands in every table, with literature values."""

    name: str
    alloy: str
    """Formula (``TiAl``) or wt% designation (``Ti-6Al-4V``)."""
    key: str | None = None
    """Prototype and sites, to compute it with the same engine; None for a disordered alloy."""
    young_modulus_gpa: float = Field(gt=0)
    density_g_per_cm3: float = Field(gt=0)
    source: str


class FormationEnergyCheck(Spec):
    """The formation energy of a structure."""

    kind: Literal["formation_energy"] = "formation_energy"
    key: str
    expected_ev_per_atom: float
    tolerance_ev_per_atom: float = Field(0.02, gt=0)
    note: str = ""


class LowerThanCheck(Spec):
    """One polymorph is more stable than another."""

    kind: Literal["lower_than"] = "lower_than"
    key: str
    than: str
    note: str = ""


class GroundStateCheck(Spec):
    """The prototype of lowest energy at a composition."""

    kind: Literal["ground_state"] = "ground_state"
    formula: str
    prototypes: tuple[str, ...] = Field(min_length=1)
    note: str = ""


class NoCompoundCheck(Spec):
    """A binary system in which no ordered compound is stable."""

    kind: Literal["no_compound"] = "no_compound"
    system: tuple[str, str]
    note: str = ""


class HullCheck(Spec):
    """Compounds that must be on the hull."""

    kind: Literal["on_hull"] = "on_hull"
    keys: tuple[str, ...] = Field(min_length=1)
    tolerance_ev_per_atom: float = Field(0.005, ge=0)
    note: str = ""


class ModulusCheck(Spec):
    """Young's modulus of a structure (Voigt-Reuss-Hill)."""

    kind: Literal["young_modulus"] = "young_modulus"
    key: str
    expected_gpa: float = Field(gt=0)
    tolerance_gpa: float = Field(gt=0)
    note: str = ""


SanityCheck = Annotated[
    FormationEnergyCheck
    | LowerThanCheck
    | GroundStateCheck
    | NoCompoundCheck
    | HullCheck
    | ModulusCheck,
    Field(discriminator="kind"),
]


class ReplaySpec(Spec):
    """The loop against random search, on the committed data only."""

    n_seeds: int = Field(20, ge=1)
    n_rounds: int = Field(4, ge=1)


class CampaignSpec(Spec):
    """A brief: what to look for, where, with which data, predictor and oracle."""

    name: str
    brief: str
    """The goal in a sentence, for the report."""
    seed: int = Field(0, ge=0)
    data: str
    """Folder of a dataset of records: a path, or a name such as ``datasets/ti_intermetallics``."""
    space: IntermetallicSpaceSpec
    caps: CapsSpec = CapsSpec()
    hull_tolerance_ev_per_atom: float = Field(0.030, gt=0)
    """A material this close to the computed hull counts as feasible."""
    start: StartSpec = StartSpec()
    n_rounds: int = Field(3, ge=1)
    featurizer: SiteResolvedSpec = SiteResolvedSpec()
    predictor: plugin_field("matdisc.predictors") = MLPEnsembleSpec()  # type: ignore[valid-type]
    baseline: plugin_field("matdisc.predictors") = ExtraTreesSpec()  # type: ignore[valid-type]
    """Trained on the same rows in every round, for comparison only."""
    oracle: plugin_field("matdisc.oracles") = EngineOracleSpec()  # type: ignore[valid-type]
    acquisition: AcquisitionSpec = AcquisitionSpec()
    finals: FinalsSpec = FinalsSpec()
    incumbents: tuple[IncumbentSpec, ...] = ()
    sanity: tuple[SanityCheck, ...] = ()
    replay: ReplaySpec | None = ReplaySpec()

    @model_validator(mode="after")
    def _check_keys(self) -> CampaignSpec:
        from matdisc.composition.decorations import Decorations
        from matdisc.errors import CompositionError

        keys: list[str | None] = [i.key for i in self.incumbents]
        for check in self.sanity:
            keys += [getattr(check, "key", None), getattr(check, "than", None)]
            keys += list(getattr(check, "keys", ()))
        named = [
            key for key in keys if key and not key.startswith(("hcp:", "bcc:", "fcc:", "omega:"))
        ]
        try:
            Decorations.from_keys(named)
        except CompositionError as error:
            raise ValueError(str(error)) from error
        return self
