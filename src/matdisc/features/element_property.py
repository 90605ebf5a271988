"""Statistics of element properties over a composition: the compiled ``ElementProperty``.

Source: L. Ward, A. Agrawal, A. Choudhary, C. Wolverton, npj Comput. Mater. 2, 16028 (2016),
doi:10.1038/npjcompumats.2016.28; statistics as defined by matminer's ``PropertyStats``.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from matdisc.features.amounts import equal_value_noise
from matdisc.features.compiled import Kernel, Tables
from matdisc.features.element_tables import PRESETS, ElementTable, element_table, preset_properties
from matdisc.features.types import BoolArray

__all__ = [
    "STATISTICS",
    "element_property_kernel",
    "element_statistics",
    "preset_table",
    "statistic_labels",
    "table_kernel",
]

FloatArray = npt.NDArray[np.float64]
UInt8Array = npt.NDArray[np.uint8]

STATISTICS = ("minimum", "maximum", "range", "mean", "avg_dev", "std_dev", "mode")
"""Statistics that the kernel knows; ``std_dev`` is the unbiased one, 0 for a pure element."""

# np.isclose(weight, largest) as matminer calls it, with numpy's default tolerances
_MODE_RTOL = 1e-5
_MODE_ATOL = 1e-8
_LARGE = 1e4
"""Rounding of the mean of such values shows: up to it, it stays below 1e-9 in a deviation that
should be 0, for amounts down to 1e-4. Above, matminer's rounding is followed."""


@njit(cache=True, nogil=True)
def _spread_gaps(z, x, table, lightest_mode, low, high, mean, mode):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """NaN where a row lacks the property; z, x (k,) of the row; the last four (q,) to change."""
    for p in range(table.shape[1]):
        if not np.isnan(mean[p]):
            continue
        low[p], high[p] = np.nan, np.nan
        for j in range(len(z)):
            if z[j] > 0 and x[j] >= lightest_mode and np.isnan(table[z[j], p]):
                mode[p] = np.nan


@njit(cache=True, nogil=True)
def _equal_values(x, low, high, above, scale, deviation, square):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Deviations of large values that are all the same; x (k,) > 0; the others (q,)."""
    for p in range(len(low)):
        if low[p] == high[p] and abs(low[p]) > above:
            deviation[p] = equal_value_noise(x, low[p])
            square[p] = deviation[p] * scale


@njit(cache=True, nogil=True)
def _statistics_kernel(z, x, table, fatal, has_gaps, noisy_above, columns, rtol, atol, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, C901, PLR0915
    """Statistics of every property of every row.

    z (n,k) uint8 zero-padded; x (n,k) float64; table (119,q) float64, NaN where unknown; fatal
    (119,) bool, elements that make a row NaN throughout; has_gaps, whether the table has NaN;
    noisy_above, above which equal values have rounding noise, inf if none is; columns (7,) int,
    position of each of STATISTICS among the s that are wanted, -1 if not; rtol, atol of the
    largest weight; out (n,q*s) float64 or float32. All sums are float64, in the order of the
    elements.
    """
    q = table.shape[1]
    s = out.shape[1] // q
    c_low, c_high, c_range, c_mean, c_deviation, c_square, c_mode = columns
    # one array each, so that the compiler knows that they do not overlap
    low, high, mean, mode = np.empty(q), np.empty(q), np.empty(q), np.empty(q)
    deviation, square = np.empty(q), np.empty(q)
    for i in range(len(z)):
        # 2 pairs = 1 - sum of squares, without its cancellation in a dilute alloy
        n, largest, pairs, before, lost = 0, 0.0, 0.0, 0.0, False
        for j in range(z.shape[1]):
            if z[i, j] == 0:
                break
            n += 1
            largest = max(largest, x[i, j])
            pairs += x[i, j] * before
            before += x[i, j]
            lost |= fatal[z[i, j]]
        if lost:
            for c in range(out.shape[1]):
                out[i, c] = np.nan
            continue
        lightest_mode = largest - (atol + rtol * largest)
        low[:], high[:], mean[:], mode[:] = np.inf, -np.inf, 0.0, np.inf
        deviation[:], square[:] = 0.0, 0.0
        for j in range(n):
            e, w = z[i, j], x[i, j]
            # the property is the inner loop, so that the compiler can use vector instructions
            for p in range(q):
                value = table[e, p]
                low[p], high[p] = min(value, low[p]), max(value, high[p])
                mean[p] += w * value
            if w >= lightest_mode:
                for p in range(q):
                    mode[p] = min(table[e, p], mode[p])
        if has_gaps:
            _spread_gaps(z[i], x[i], table, lightest_mode, low, high, mean, mode)
        if c_deviation >= 0:
            for j in range(n):
                e, w = z[i, j], x[i, j]
                for p in range(q):
                    deviation[p] += w * abs(table[e, p] - mean[p])
        if c_square >= 0 and n > 1:  # 0 for a pure element, even where nothing is known of it
            for j in range(n):
                e, w = z[i, j], x[i, j]
                for p in range(q):
                    square[p] += w * (table[e, p] - mean[p]) ** 2
            for p in range(q):
                square[p] = np.sqrt(square[p] * before / (2.0 * pairs))
        if noisy_above < np.inf and n > 1:
            scale = before / np.sqrt(2.0 * pairs)
            _equal_values(x[i, :n], low, high, noisy_above, scale, deviation, square)
        for p in range(q):
            if c_low >= 0:
                out[i, p * s + c_low] = low[p]
            if c_high >= 0:
                out[i, p * s + c_high] = high[p]
            if c_range >= 0:
                out[i, p * s + c_range] = high[p] - low[p]
            if c_mean >= 0:
                out[i, p * s + c_mean] = mean[p]
            if c_deviation >= 0:
                out[i, p * s + c_deviation] = deviation[p]
            if c_square >= 0:
                out[i, p * s + c_square] = square[p]
            if c_mode >= 0:
                out[i, p * s + c_mode] = mode[p]


def element_statistics(
    z: UInt8Array,
    x: FloatArray,
    /,
    *,
    table: ElementTable,
    statistics: tuple[str, ...],
    impute: bool,
    out: npt.NDArray[Any] | None = None,
) -> npt.NDArray[Any]:
    """Statistics of the properties of a table (arrays in, arrays out).

    Args:
        z: ``(n, k)`` atomic numbers, zero-padded on the right.
        x: ``(n, k)`` molar fractions, each row sums to 1.
        table: ``q`` properties.
        statistics: ``s`` of :data:`STATISTICS`.
        impute: Whether missing properties are replaced as matminer does.
        out: ``(n, q s)`` float64 or float32 array to write to; None for a new float64 one.

    Returns:
        ``(n, q s)`` values by property, then statistic; NaN where matminer gives none.
    """
    q = len(table.properties)
    if out is None:
        out = np.empty((len(z), q * len(statistics)))
    columns = tuple(statistics.index(s) if s in statistics else -1 for s in STATISTICS)
    values, fatal = table.as_used(impute)
    has_gaps = not impute and bool(np.isnan(values[1:]).any())
    noisy_above = _LARGE if np.nanmax(np.abs(values)) > _LARGE else np.inf
    _statistics_kernel(
        z, x, values, fatal, has_gaps, noisy_above, columns, _MODE_RTOL, _MODE_ATOL, out
    )
    return out


def statistic_labels(table: ElementTable, statistics: tuple[str, ...]) -> tuple[str, ...]:
    """``(q s,)`` matminer's labels, such as ``MagpieData mean MeltingT``."""
    return tuple(f"{table.source} {s} {p}" for p in table.properties for s in statistics)


def preset_table(preset: str, features: tuple[str, ...] | None = None) -> ElementTable:
    """The table of a preset of matminer, with its properties or with others of its source."""
    return element_table(PRESETS[preset].source, features or preset_properties(preset))


def element_property_kernel(
    preset: str,
    statistics: tuple[str, ...] | None = None,
    features: tuple[str, ...] | None = None,
) -> Kernel:
    """The kernel of matminer's ``ElementProperty``.

    Args:
        preset: One of :data:`PRESETS`.
        statistics: Some of :data:`STATISTICS`; those of the preset if None.
        features: Properties of the preset's source; those of the preset if None.

    Raises:
        ConfigError: If the source has no such property.
    """
    return table_kernel(preset_table(preset, features), statistics or PRESETS[preset].statistics)


def table_kernel(
    table: ElementTable,
    statistics: tuple[str, ...],
    *,
    refused: BoolArray | None = None,
) -> Kernel:
    """The kernel of any table, such as one that came with a surrogate."""
    replaced = table.replaced

    def is_imputed(z: UInt8Array) -> BoolArray:
        return np.asarray(replaced[z].any(axis=1))

    def lack(z: UInt8Array, impute: bool) -> str:
        return table.lack(z, impute and (refused is None or not refused[z].any()))

    def twin(impute: bool) -> Any:
        from matdisc.features.torch_twin import ElementStatistics

        return ElementStatistics(*table.as_used(impute), statistics)

    def rebuild(tables: Tables) -> Kernel:
        return table_kernel(table.with_arrays(tables), statistics, refused=refused)

    return Kernel(
        "ElementProperty",
        statistic_labels(table, statistics),
        partial(element_statistics, table=table, statistics=statistics),
        reference=partial(_reference, table.source, table.properties, statistics),
        tables=table.arrays,
        is_imputed=is_imputed,
        lack=lack,
        refused=refused,
        twin=twin,
        any_float=True,
        rebuild=rebuild,
    )


def _reference(
    source: str, properties: tuple[str, ...], statistics: tuple[str, ...], impute: bool
) -> Any:
    import matminer.utils.data as available
    from matminer.featurizers.composition.composite import ElementProperty

    data = getattr(available, source)(impute_nan=impute)
    return ElementProperty(data, list(properties), list(statistics), impute_nan=impute)
