"""``matdisc predict``: what a trained surrogate says of alloys, in physical units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from matdisc.composition.alloys import Alloys, Condition
from matdisc.composition.compositions import Compositions
from matdisc.composition.designations import looks_like_trade_name
from matdisc.composition.reading import read_items
from matdisc.config import did_you_mean
from matdisc.data.cells import LARGEST
from matdisc.errors import ArtifactError, CompositionError, ConfigError
from matdisc.features.alloys import COMPUTED, AlloyFeaturizer
from matdisc.features.specs import AlloySpec
from matdisc.predictors.frozen_tables import with_frozen_tables
from matdisc.predictors.surrogate import Surrogate, load_surrogate
from matdisc.predictors.types import ClassPrediction, Prediction

__all__ = ["AlloyModel", "condition_values", "load_alloy_model", "nearest_known", "read_alloys"]

FloatArray = npt.NDArray[np.float64]

_ABSOLUTE_ZERO = {"degC": -273.15, "C": -273.15, "K": 0.0}
"""By unit of a temperature."""
_PHYSICAL = ("mean", "std", "lower", "upper")


@dataclass(frozen=True, slots=True, eq=False)
class AlloyModel:
    """A surrogate of alloys with its descriptors and its target."""

    surrogate: Surrogate
    descriptors: AlloySpec
    featurizer: AlloyFeaturizer
    """Computes the descriptors, from the element tables that the surrogate learned from."""
    target: str
    """Name of the quantity, in physical units, or of the class."""
    unit: str
    transform: str
    """What the surrogate predicts: the quantity itself (``none``) or its ``log10``."""
    data: str
    """Name of the dataset it learned from."""
    basis: str
    """What amounts are in that dataset: ``weight_percent``, ``atomic_percent``, ``formula`` ...;
    ``none`` if it has no compositions."""
    base: str | None = None
    """Element that is the rest to 100 % in that dataset, where its card says so."""

    @property
    def has_composition(self) -> bool:
        """Whether it sees compositions, not conditions alone."""
        return self.basis != "none"

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Conditions that it takes."""
        return tuple(Condition(c.name, c.unit, c.categories) for c in self.descriptors.conditions)

    def predict(self, alloys: Alloys) -> list[dict[str, Any]]:
        """A row per alloy: prediction with its 90 % interval in physical units, domain, reasons.

        ``mean`` is the median for a quantity learned as a logarithm. Of a class a row has the
        label and the probability of each class by name; of a quantity that is often zero the
        probability that it is. An alloy that cannot be predicted has None
        and a reason. Where statistics of the elements are descriptors, ``imputed`` says whether one
        of them lacks a property.
        """
        features = self.featurizer.transform(alloys)
        good = np.flatnonzero(features.ok)
        rows: list[dict[str, Any]] = [
            self.nothing | {"problem": features.reasons.get(row, "")} for row in range(len(alloys))
        ]
        if features.imputed is not None:
            rows = [
                row | {"imputed": bool(flag)}
                for row, flag in zip(rows, features.imputed, strict=True)
            ]
        if good.size:
            seen = features.values[good]
            said = zip(good, self._found(seen), self._beyond(seen), strict=True)
            for row, values, beyond in said:
                rows[int(row)] |= values | {"beyond": beyond}
        names = {name: column.tolist() for name, column in alloys.identity().items()}
        given = [
            {name: _plain(column[row]) for name, column in names.items()}
            for row in range(len(alloys))
        ]
        facts = {"target": self.target, "unit": self.unit}
        return [who | facts | row for who, row in zip(given, rows, strict=True)]

    @property
    def nothing(self) -> dict[str, None]:
        """What a row without a prediction has."""
        said = ("label", "probability") if self.surrogate.classes else _PHYSICAL
        zero = () if self.surrogate.zero_inflated is None else ("zero_probability",)
        return dict.fromkeys((*said, *zero, "in_domain", "domain_score", "beyond"))

    def _beyond(self, values: npt.NDArray[np.float32]) -> list[str]:
        """Which conditions of each row are beyond the range of the domain, in words."""
        domain = self.surrogate.domain
        low, high = (getattr(domain, end, np.empty(0)) for end in ("low", "high"))
        limited = np.flatnonzero(np.isfinite(high))
        labels = self.surrogate.labels
        return [
            ", ".join(
                f"{labels[c]} = {row[c]:g} is beyond {low[c]:.4g} to {high[c]:.4g}"
                for c in limited
                if not low[c] <= row[c] <= high[c]
            )
            for row in values
        ]

    def _found(self, values: npt.NDArray[np.float32]) -> list[dict[str, Any]]:
        labels = self.surrogate.labels
        if self.surrogate.classes:
            return _class_rows(self.surrogate.predict_classes(values, labels))
        return self._physical(self.surrogate.predict(values, labels))

    def _physical(self, found: Mapping[str, Prediction]) -> list[dict[str, Any]]:
        (prediction,) = found.values()
        columns = {name: getattr(prediction, name) for name in _PHYSICAL}
        if self.transform == "log10":
            spread = columns.pop("std")
            columns = {name: 10.0**values for name, values in columns.items()}
            columns["std"] = columns["mean"] * np.log(10.0) * spread
        if prediction.distribution is not None:
            columns["zero_probability"] = prediction.distribution.zero_probability
        return [
            {name: float(values[i]) for name, values in columns.items()} | _where(prediction, i)
            for i in range(len(prediction))
        ]


def _class_rows(found: ClassPrediction) -> list[dict[str, Any]]:
    return [
        {
            "label": found.classes[int(found.label[i])],
            "probability": dict(zip(found.classes, found.probability[i].tolist(), strict=True)),
        }
        | _where(found, i)
        for i in range(len(found))
    ]


def _where(found: Prediction | ClassPrediction, row: int) -> dict[str, Any]:
    """Whether a row is in the domain, and how far out it is."""
    score = found.domain_score
    return {
        "in_domain": bool(found.in_domain[row]),
        "domain_score": None if score is None else float(score[row]),
    }


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value


def load_alloy_model(path: Path, *, device: str = "cpu") -> AlloyModel:
    """Read the surrogate of a training run.

    Args:
        path: A run of ``matdisc train``, its ``surrogate`` folder or a folder under ``models``.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        ArtifactError: If there is none, or it is not a surrogate of alloys.
        DeviceError: If CUDA is asked for and absent.
    """
    folders = (path / "surrogate", path)
    folder = next((p for p in folders if (p / "surrogate.json").is_file()), None)
    if folder is None:
        others = [other.name for other in path.parent.glob("*") if other != path]
        near = "" if path.exists() else did_you_mean(path.name, others)
        partial = "; that run is not finished" if path.suffix == ".partial" else ""
        raise ArtifactError(
            f"no surrogate in {path}: neither surrogate.json nor surrogate/surrogate.json is there"
            f"{partial}{near}. Name a finished run of matdisc train, such as runs/<run>, or a "
            "folder under models"
        )
    surrogate = load_surrogate(folder, device=device)
    facts = surrogate.provenance
    if "featurizer" not in facts or "target" not in facts:
        raise ArtifactError(
            f"{folder} holds a surrogate, but not one of alloys with conditions (matdisc train)"
        )
    target = facts["target"]
    try:
        descriptors = AlloySpec.model_validate(facts["featurizer"])
    except ValueError as error:
        raise ArtifactError(
            f"{folder} has descriptors that this matdisc does not know ({error}); train it again"
        ) from error
    network = {n: a for n, a in surrogate.tables.items() if n.startswith(COMPUTED)}
    return AlloyModel(
        surrogate=surrogate,
        descriptors=descriptors,
        featurizer=with_frozen_tables(
            surrogate, AlloyFeaturizer(descriptors, network=network), f"{folder}"
        ),
        target=str(target["name"]),
        unit=str(target.get("unit") or "1"),
        transform=str(target.get("transform", "none")),
        data=str(facts.get("data", "")),
        basis=str(facts.get("basis", "")),
        base=facts.get("base"),
    )


def read_alloys(texts: Sequence[str]) -> Compositions:
    """Compositions from designations in weight percent (``Ni-20Cr``) or formulas (``Ni3Al``).

    A designation in atomic percent has to say so, as in ``Ti-48Al-2Cr-2Nb (at.%)``.

    Raises:
        CompositionError: If one cannot be read; names it.
    """
    if not texts:
        raise CompositionError(
            "name at least one alloy, such as 'Ni-20Cr-2.5Ti-1.5Al' (weight percent) or 'Ni3Al'"
        )
    for text in texts:
        if looks_like_trade_name(text):
            raise CompositionError(
                f"{text!r} is the name of an alloy and does not say what is in it; give its "
                "composition, such as 'Ni-19Cr-18.5Fe-5.1Nb-3Mo-0.9Ti-0.5Al'"
            )
    return read_items(texts).all_or_error()


def condition_values(
    conditions: Sequence[Condition],
    given: Mapping[str, str | float | None],
    n: int,
    by_row: Mapping[str, Sequence[Any]] | None = None,
) -> FloatArray:
    """``(n, c)`` conditions of every alloy; NaN for those not given.

    Args:
        conditions: What a model takes.
        given: Value by name for all alloys: a number, or a category.
        n: Number of alloys.
        by_row: ``n`` values by name; None in it takes the value of ``given``.

    Raises:
        ConfigError: If a name is unknown or a value is no number or category.
    """
    names = [c.name for c in conditions]
    for name in given:
        if name not in names:
            raise ConfigError(
                f"the model has no condition {name!r}; it takes {names}{did_you_mean(name, names)}"
            )
    columns = []
    for condition in conditions:
        common = _condition_value(condition, given.get(condition.name))
        own = (by_row or {}).get(condition.name) or [None] * n
        values = [common if v is None else _condition_value(condition, v) for v in own]
        columns.append(np.array(values, np.float64))
    return np.stack(columns, axis=1) if columns else np.empty((n, 0))


def _condition_value(condition: Condition, value: str | float | None) -> float:
    if value is None or value == "":
        return np.nan
    if condition.categories:
        known = {category.casefold(): category for category in condition.categories}
        value = known.get(" ".join(str(value).split()).casefold(), value)
        if value not in condition.categories:
            near = did_you_mean(str(value), condition.categories)
            raise ConfigError(
                f"{condition.name} must be one of {list(condition.categories)}, got {value!r}{near}"
            )
        return float(condition.categories.index(value))
    try:
        number = float(value)
    except ValueError:
        number = np.nan
    if not abs(number) <= LARGEST:
        raise ConfigError(
            f"{condition.name} must be a number [{condition.unit}], got {value!r}; give it as "
            f"--condition {condition.name}=20"
        )
    coldest = _ABSOLUTE_ZERO.get(condition.unit)
    if coldest is not None and number < coldest:
        raise ConfigError(
            f"{condition.name} = {value} is below absolute zero, {coldest:g} {condition.unit}"
        )
    return number


def nearest_known(
    alloys: Alloys, known: Alloys, measured: npt.NDArray[Any], count: int
) -> list[list[dict[str, Any]]]:
    """Known alloys that are closest in weight percent, for every alloy.

    Args:
        alloys: ``n`` alloys asked for.
        known: ``m`` measured ones.
        measured: ``(m,)`` what was measured [its unit], or the name of its class. Of the rows of
            a composition the one with the nearest conditions stands for it.
        count: How many.

    Returns:
        For each alloy: designation, conditions, value and half the sum of the absolute
        differences in weight percent (the share that would have to be exchanged).
    """
    table = _dense(known.composition)
    names = known.identity()
    found = []
    for row, material in enumerate(_dense(alloys.composition)):
        distance = 50.0 * np.abs(table - material).sum(axis=1)
        order = np.lexsort((_apart(alloys[np.array([row])], known), distance))
        _, first = np.unique(names["alloy"][order], return_index=True)
        chosen = order[np.sort(first)[:count]]
        found.append(
            [
                {name: _plain(column[i].item()) for name, column in names.items()}
                | {"measured": _plain(measured[i].item())}
                | {"distance_percent": float(distance[i])}
                for i in chosen
            ]
        )
    return found


def _apart(alloy: Alloys, known: Alloys) -> FloatArray:
    """``(m,)`` how far the numbers among the conditions are [their standard deviations]."""
    total = np.zeros(len(known))
    for condition in known.conditions:
        if condition.categories or condition.name not in {c.name for c in alloy.conditions}:
            continue
        (wanted,), given = alloy.column(condition.name), known.column(condition.name)
        spread = float(np.nanstd(given)) if np.isfinite(given).any() else 0.0
        if np.isfinite(wanted) and spread > 0:
            # a row that does not say may have been tested anywhere
            total += np.nan_to_num(np.abs(given - wanted) / spread, nan=1.0)
    return total


def _dense(composition: Compositions) -> FloatArray:
    """``(n, 119)`` weight fractions by atomic number."""
    table = np.zeros((len(composition), 119))
    rows = composition.z.astype(np.int64)
    np.put_along_axis(table, rows, composition.weight_fractions(), axis=1)
    table[:, 0] = 0.0
    return table
