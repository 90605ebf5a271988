"""How a candidate fares where the melt misses its composition: the worst case within tolerances.

Every element that is present, the balance aside, may be off by its tolerance; the balance takes
the rest. The worst case is sought where a smooth property that is nearly linear over so small a box
has it: at the corners, and at single deviations. Of up to eight elements all corners are seen,
of more a fixed set of 256 that is an orthogonal array of strength three: any three elements
take all eight combinations of low and high equally often (C. R. Rao 1947, doi:10.2307/2983576;
A. S. Hedayat, N. J. A. Sloane, J. Stufken, Orthogonal Arrays, 1999,
doi:10.1007/978-1-4612-1478-6).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from matdisc.composition.alloys import Alloys
from matdisc.composition.compositions import Compositions
from matdisc.composition.elements import atomic_number, element_property, symbol
from matdisc.errors import CompositionError, ConfigError, DataError
from matdisc.screening.blocks import BLOCK_ROWS, cut_predictions

if TYPE_CHECKING:
    from matdisc.features.types import Features
    from matdisc.predictors.types import Prediction
    from matdisc.screening.blocks import ScoreFunction

__all__ = [
    "Evaluate",
    "MeltTolerance",
    "Robustness",
    "Tolerance",
    "deviation_signs",
    "evaluation",
    "melt_robustness",
]

FloatArray = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
Int8Array = npt.NDArray[np.int8]

Evaluate: TypeAlias = "Callable[[Alloys], tuple[FloatArray, Mapping[str, Prediction]]]"
"""From ``n`` alloys to ``(n,)`` logarithms of the probability that all demands are met, NaN where
nothing can be predicted, and the predictions by target."""

ALL_CORNERS = 8
"""Most elements of which all corners are seen."""
_ZERO = 1e-9
"""Weight percent that are nothing: rounding of a difference, below any melt's."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """By how much the amount of an element may be off, either way."""

    absolute: float = 0.0
    """Weight percent of the alloy."""
    relative: float = 0.0
    """Percent of the nominal amount; taken where ``absolute`` is 0."""

    def __post_init__(self) -> None:
        for name, value in (("absolute", self.absolute), ("relative", self.relative)):
            if not 0 <= value <= 100:
                raise ConfigError(f"a tolerance is 0 to 100 %, not {name} {value}")
        if self.absolute and self.relative:
            raise ConfigError("a tolerance is absolute or relative, not both")

    @classmethod
    def read(cls, given: object) -> Tolerance:
        """A number of weight percent, ``{absolute: 0.2}`` or ``{relative: 10}``.

        Raises:
            ConfigError: If it is none of these.
        """
        parts: Mapping[str, Any] = given if isinstance(given, Mapping) else {"absolute": given}
        is_number = [isinstance(v, int | float) and not isinstance(v, bool) for v in parts.values()]
        if len(parts) != 1 or not set(parts) <= {"absolute", "relative"} or not all(is_number):
            raise ConfigError(
                f"a tolerance is a number of weight percent or {{relative: percent}}, not {given!r}"
            )
        return cls(**{name: float(value) for name, value in parts.items()})


@dataclass(frozen=True, slots=True)
class MeltTolerance:
    """Tolerances of all elements."""

    by_element: Mapping[str, Tolerance]
    default: Tolerance = Tolerance(0.2)
    """Of every element that is not named."""

    @classmethod
    def read(cls, by_element: Mapping[str, Any], default: object = 0.2) -> MeltTolerance:
        """From plain values, each as :meth:`Tolerance.read` takes it.

        Raises:
            ConfigError: If an element is unknown or a tolerance makes no sense.
        """
        found = {}
        for name, given in by_element.items():
            try:
                atomic_number(name)
                found[name] = Tolerance.read(given)
            except (CompositionError, ConfigError) as error:
                raise ConfigError(f"tolerance of {name}: {error}") from error
        return cls(found, Tolerance.read(default))

    def widths(self, z: Int64Array, percent: FloatArray) -> FloatArray:
        """``(k,)`` tolerances of elements ``z (k,)`` at these amounts ``(k,)`` [wt%]."""
        own = [self.by_element.get(symbol(int(number)), self.default) for number in z]
        absolute = np.array([tolerance.absolute for tolerance in own], np.float64)
        relative = np.array([tolerance.relative for tolerance in own], np.float64)
        return np.where(absolute > 0, absolute, relative / 100 * percent)


@dataclass(frozen=True, slots=True, eq=False)
class Robustness:
    """``n`` candidates at their nominal composition and at the worst within tolerances."""

    nominal: FloatArray
    """``(n,)`` logarithm of the probability that all demands are met, as composed."""
    worst: FloatArray
    """``(n,)`` the lowest one; NaN if nothing could be predicted."""
    deviation: npt.NDArray[np.str_]
    """``(n,)`` what gives it: ``Al -0.2, Ti +0.2 wt%``; ``none`` if the nominal one does."""
    lowest: dict[str, FloatArray]
    """``(n,)`` lowest predicted mean by target [its unit]; it may have another deviation."""
    highest: dict[str, FloatArray]
    """``(n,)`` highest predicted mean by target [its unit]."""
    n_seen: Int64Array
    """``(n,)`` compositions that were predicted, the nominal one included."""
    n_unknown: Int64Array
    """``(n,)`` compositions for which there was no prediction; they take no part."""

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Columns ``(n,)`` for a table of candidates."""
        found: dict[str, npt.NDArray[Any]] = {
            "worst_log_probability": self.worst,
            "worst_probability": np.exp(self.worst),
            "worst_deviation": self.deviation,
        }
        for target in self.lowest:
            found[f"{target}_mean_lowest"] = self.lowest[target]
            found[f"{target}_mean_highest"] = self.highest[target]
        return found


def melt_robustness(
    alloys: Alloys,
    evaluate: Evaluate,
    tolerance: MeltTolerance,
    *,
    balance: str | None = None,
    seed: int = 0,
) -> Robustness:
    """The worst case of each candidate within the tolerances of its melt.

    An element that is absent stays so; amounts stop at zero. Where the balance is used up, what
    was to be added is cut down by one factor, so that the sum is 100 %.

    Args:
        alloys: ``n`` candidates, conditions included.
        evaluate: What the models say; each row must not depend on the others.
        tolerance: By how much the amounts may be off.
        balance: Element that takes the rest; of each candidate its largest share if not given.
        seed: Of the choice of corners of candidates with more than eight elements to vary.

    Raises:
        ConfigError: If there are no compositions.
        DataError: If ``evaluate`` returns the wrong shape.
    """
    if alloys.composition.is_none:
        raise ConfigError("a tolerance of the melt needs candidates with compositions")
    plans = [_deviations(alloys, row, tolerance, balance, seed) for row in range(len(alloys))]
    nominal, means = _evaluated(evaluate, [alloys])
    varied, varied_means = _evaluated(evaluate, _batches(alloys, plans))
    ends = np.cumsum([0, *(len(plan.percent) for plan in plans)]).tolist()
    parts = [slice(start, stop) for start, stop in pairwise(ends)]
    around = [np.append(own, varied[part]) for own, part in zip(nominal, parts, strict=True)]
    worst = [_least(logarithms) for logarithms in around]
    known = [np.isfinite(logarithms) for logarithms in around]
    spans = {
        target: _spans(own, varied_means.get(target, varied), parts, known)
        for target, own in means.items()
    }
    return Robustness(
        nominal,
        np.array([value for _, value in worst]),
        np.array([p.words(at - 1) for p, (at, _) in zip(plans, worst, strict=True)], np.str_),
        {target: span[0] for target, span in spans.items()},
        {target: span[1] for target, span in spans.items()},
        np.array([there.sum() for there in known], np.int64),
        np.array([(~there).sum() for there in known], np.int64),
    )


def _least(logarithms: FloatArray) -> tuple[int, float]:
    """Place and value of the lowest one that is known, the first of equal ones."""
    known = np.isfinite(logarithms)
    if not known.any():
        return 0, np.nan
    at = int(np.argmin(np.where(known, logarithms, np.inf)))
    return at, float(logarithms[at])


def _spans(
    nominal: FloatArray,
    varied: FloatArray,
    parts: list[slice],
    known: list[npt.NDArray[np.bool_]],
) -> FloatArray:
    """``(2, n)`` lowest and highest of the values that are known."""
    ends = np.full((2, len(nominal)), np.nan)
    for row, (own, part, there) in enumerate(zip(nominal, parts, known, strict=True)):
        values = np.append(own, varied[part])[there]
        if values.size:
            ends[:, row] = values.min(), values.max()
    return ends


def evaluation(
    featurize: Callable[[Any], Features],
    predict: Callable[[npt.NDArray[np.float32]], Mapping[str, Prediction]],
    score: ScoreFunction,
) -> Evaluate:
    """What the models say, computed as the funnel does: the same numbers to the last bit.

    Args:
        featurize: From materials to features.
        predict: From features to predictions by target.
        score: From materials, compositions and predictions to logarithms of probabilities.
    """

    def evaluate(alloys: Alloys) -> tuple[FloatArray, Mapping[str, Prediction]]:
        n = len(alloys)
        whole = np.minimum(np.arange(BLOCK_ROWS), n - 1)
        features = featurize(alloys[whole])
        good = np.flatnonzero(features.ok[:n])
        if not good.size:
            return np.full(n, np.nan), {}
        # a row without features borrows those of another, and its logarithm is struck out
        rows = np.where(features.ok, np.arange(BLOCK_ROWS), good[0])
        found = cut_predictions(predict(features.values[rows]), np.arange(n))
        logarithms = score(alloys, alloys.composition, found)
        return np.where(features.ok[:n], logarithms, np.nan), found

    return evaluate


def deviation_signs(k: int, seed: int = 0) -> Int8Array:
    """Which of ``k`` elements are low (-1), as they are (0) or high (+1).

    Args:
        k: Number of elements.
        seed: Of the choice of corners if there are more than :data:`ALL_CORNERS` elements.

    Returns:
        ``(m, k)``: single deviations first, then the corners, all low first; no row twice.
    """
    one = np.eye(k, dtype=np.int8)
    if k == 0:
        return one
    return _corners(k, seed) if k == 1 else np.concatenate([-one, one, _corners(k, seed)])


def _corners(k: int, seed: int) -> Int8Array:
    """Signs from bits: those of the run's number, of later elements the parity of several bits.

    Parities of an odd number of bits make an array of strength three, and hold all low and all
    high. There are 128 of them, more than there are elements.
    """
    n_bits = min(k, ALL_CORNERS)
    masks = [1 << bit for bit in range(n_bits)]
    if k > ALL_CORNERS:
        odd = [m for m in range(1 << n_bits) if m.bit_count() % 2 and m.bit_count() > 1]
        masks += np.random.default_rng(seed).permutation(odd)[: k - n_bits].tolist()
    runs = range(1 << n_bits)
    parity = [[(run & mask).bit_count() % 2 for mask in masks] for run in runs]
    return (2 * np.array(parity, np.int8).reshape(len(runs), k) - 1).astype(np.int8)


@dataclass(frozen=True, slots=True, eq=False)
class _Deviations:
    """Compositions around one candidate."""

    z: Int64Array
    """``(e,)`` its elements."""
    nominal: FloatArray
    """``(e,)`` their amounts [wt%]."""
    percent: FloatArray
    """``(m, e)`` amounts that deviate [wt%], rows sum to 100."""
    balance: int
    """Which element takes the rest."""

    def words(self, row: int) -> str:
        """What deviates, without the balance; of row -1, the nominal one, nothing."""
        change = (self.percent[row] if row >= 0 else self.nominal) - self.nominal
        parts = [
            f"{symbol(int(z))} {amount:+.3g}"
            for i, (z, amount) in enumerate(zip(self.z, change, strict=True))
            if i != self.balance and abs(amount) > _ZERO
        ]
        return f"{', '.join(parts)} wt%" if parts else "none"


def _deviations(
    alloys: Alloys, row: int, tolerance: MeltTolerance, balance: str | None, seed: int
) -> _Deviations:
    composition = alloys.composition[np.array([row])]
    there = composition.z[0] > 0
    z = composition.z[0, there].astype(np.int64)
    nominal = 100 * composition.weight_fractions()[0, there]
    number = int(z[np.argmax(nominal)]) if balance is None else atomic_number(balance)
    if number not in z:
        z, nominal = np.append(z, number), np.append(nominal, 0.0)
    place = int(np.flatnonzero(z == number)[0])
    width = tolerance.widths(z, nominal)
    width[place] = 0.0
    varied = np.flatnonzero(width > 0)
    signs = deviation_signs(len(varied), seed)
    percent = np.tile(nominal, (len(signs), 1))
    percent[:, varied] += _within(signs, nominal[varied], width[varied], nominal[place])
    percent[:, place] = 0.0
    percent[:, place] = np.maximum(100.0 - percent.sum(axis=1), 0.0)
    percent[percent < _ZERO] = 0.0
    return _Deviations(z, nominal, percent, place)


def _within(signs: Int8Array, nominal: FloatArray, width: FloatArray, left: float) -> FloatArray:
    """``(m, k)`` deviations [wt%] that keep amounts above 0 and use up no more than is left."""
    down = np.where(signs < 0, -np.minimum(width, nominal), 0.0)
    up = np.where(signs > 0, width, 0.0)
    room, wanted = left - down.sum(axis=1), up.sum(axis=1)
    scale = np.where(wanted > room, room / np.maximum(wanted, _ZERO), 1.0)
    return np.asarray(down + up * scale[:, None])


def _batches(alloys: Alloys, plans: list[_Deviations]) -> Iterator[Alloys]:
    """All deviating candidates, one after the other."""
    width = max((len(plan.z) for plan in plans), default=0)
    masses = element_property("atomic_mass_g_per_mol")
    for row, plan in enumerate(plans):
        n = len(plan.percent)
        z, amounts = np.zeros((n, width), np.int64), np.zeros((n, width))
        z[:, : len(plan.z)] = np.where(plan.percent > 0, plan.z, 0)
        amounts[:, : len(plan.z)] = plan.percent / masses[plan.z]
        values = np.repeat(alloys.values[[row]], n, axis=0)
        yield Alloys(Compositions.normalized(z, amounts), values, alloys.conditions)


def _evaluated(
    evaluate: Evaluate, batches: Iterator[Alloys] | list[Alloys]
) -> tuple[FloatArray, dict[str, FloatArray]]:
    """Logarithms and means of all rows, evaluated in blocks."""
    logarithms: list[FloatArray] = []
    means: list[dict[str, FloatArray]] = []
    for alloys in _blocks(batches):
        found, predictions = evaluate(alloys)
        if found.shape != (len(alloys),):
            raise DataError(f"{found.shape} logarithms of probabilities for {len(alloys)} alloys")
        logarithms.append(found)
        means.append({target: prediction.mean for target, prediction in predictions.items()})
    # a block of which nothing can be predicted names no targets
    together = {
        target: np.concatenate(
            [
                own.get(target, np.full(len(found), np.nan))
                for own, found in zip(means, logarithms, strict=True)
            ]
        )
        for target in dict.fromkeys(name for own in means for name in own)
    }
    return np.concatenate([np.empty(0), *logarithms]), together


def _blocks(batches: Iterator[Alloys] | list[Alloys]) -> Iterator[Alloys]:
    """The same rows in blocks of at most :data:`BLOCK_ROWS`."""
    waiting: list[Alloys] = []
    for batch in batches:
        for start in range(0, len(batch), BLOCK_ROWS):
            part = batch[start : start + BLOCK_ROWS]
            if sum(map(len, waiting)) + len(part) > BLOCK_ROWS:
                yield _joined(waiting)
                waiting = []
            waiting.append(part)
    if waiting:
        yield _joined(waiting)


def _joined(parts: list[Alloys]) -> Alloys:
    composition = Compositions(
        np.concatenate([part.composition.z for part in parts]),
        np.concatenate([part.composition.x for part in parts]),
    )
    values = np.concatenate([part.values for part in parts])
    return Alloys(composition, values, parts[0].conditions)
