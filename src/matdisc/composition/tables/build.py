"""Write the element tables from the packages they come from.

Run as ``python -m matdisc.composition.tables.build``. The result is committed, so that reading
a table needs none of these packages. Running it again with the versions that ``sources.json``
names changes no byte.
"""

from __future__ import annotations

import csv
import io
import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from matdisc.composition.elements import MAGPIE_PROPERTIES, MAX_Z

__all__ = ["main", "tables"]

_MAGPIE_SOURCE = (
    "Magpie element data as shipped by matminer (utils/data_files/magpie_elementdata); "
    "L. Ward et al., npj Comput. Mater. 2, 16028 (2016), doi:10.1038/npjcompumats.2016.28; "
    "modified BSD licence"
)
_ELEMENTS_SOURCE = (
    "atomic_mass_g_per_mol, molar_volume_cm3_per_mol: pymatgen Element (MIT licence); "
    "S. P. Ong et al., Comput. Mater. Sci. 68, 314 (2013), doi:10.1016/j.commatsci.2012.10.028. "
    "price_usd_per_kg, supply_risk (0 low to 10 high): mendeleev price_per_kg and "
    "relative_supply_risk (MIT licence)"
)
_RESOURCES_SOURCE = (
    "hhi_production, hhi_reserve (Herfindahl-Hirschman index, 0 dispersed to 10000 one source): "
    "pymatgen.analysis.hhi (MIT licence); M. W. Gaultois et al., Chem. Mater. 25, 2911 (2013), "
    "doi:10.1021/cm400893e. recycling_rate_at_least_percent (lower end of the class <10, 10-30 or "
    ">30 %), substitution_difficulty (1 substitutes at little loss, 2 at a loss, 3 hardly or not "
    "possible), is_radioactive (1: no stable isotope, 0): mendeleev recycling_rate, "
    "substitutability (Low, Medium, High; the classes of the Royal Society of Chemistry's periodic "
    "table), is_radioactive (MIT licence)"
)
_RECYCLING = {"<10": 0.0, "10\N{EN DASH}30": 10.0, ">30": 30.0}
_SUBSTITUTION = {"Low": 1.0, "Medium": 2.0, "High": 3.0}
_LICENCES = {
    "matminer": "modified BSD",
    "pymatgen-core": "MIT",
    "mendeleev": "MIT",
}


def _symbols() -> list[str]:
    from pymatgen.core.periodic_table import Element

    return [str(Element.from_Z(z).symbol) for z in range(1, MAX_Z + 1)]


def _magpie_columns() -> dict[str, list[float]]:
    from matminer.utils.data import MagpieData

    raw = MagpieData(impute_nan=False).all_elemental_props
    return {name: [float(raw[name][s]) for s in _symbols()] for name in MAGPIE_PROPERTIES}


def _element_columns() -> dict[str, list[float]]:
    from mendeleev.fetch import fetch_table
    from pymatgen.core.periodic_table import Element

    elements = [Element.from_Z(z) for z in range(1, MAX_Z + 1)]
    economics = fetch_table("elements").set_index("atomic_number").loc[range(1, MAX_Z + 1)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pymatgen warns for every element without a volume
        volumes = [e.molar_volume for e in elements]
    return {
        "atomic_mass_g_per_mol": [float(e.atomic_mass) for e in elements],
        "molar_volume_cm3_per_mol": [float("nan") if v is None else float(v) for v in volumes],
        "price_usd_per_kg": [float(v) for v in economics["price_per_kg"]],
        "supply_risk": [float(v) for v in economics["relative_supply_risk"]],
    }


def _resource_columns() -> dict[str, list[float]]:
    from mendeleev.fetch import fetch_table
    from pymatgen.analysis.hhi import HHIModel

    model: Any = HHIModel  # without annotations
    hhi = model().symbol_hhip_hhir
    elements = fetch_table("elements").set_index("symbol").loc[_symbols()]
    unknown = (float("nan"), float("nan"))
    return {
        "hhi_production": [hhi.get(s, unknown)[0] for s in _symbols()],
        "hhi_reserve": [hhi.get(s, unknown)[1] for s in _symbols()],
        "recycling_rate_at_least_percent": _classes(elements["recycling_rate"], _RECYCLING),
        "substitution_difficulty": _classes(elements["substitutability"], _SUBSTITUTION),
        "is_radioactive": [float(v) for v in elements["is_radioactive"]],
    }


def _classes(texts: Iterable[object], value: Mapping[str, float]) -> list[float]:
    # a class that is new to us is a KeyError, not an unknown value
    return [value[text] if isinstance(text, str) else float("nan") for text in texts]


def _to_csv(source: str, symbols: Sequence[str], columns: Mapping[str, Sequence[float]]) -> str:
    text = io.StringIO()
    text.write(f"# source: {source}\n")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["z", "symbol", *columns])
    for row, name in enumerate(symbols):
        # repr keeps every bit of a float64; an unknown value is an empty cell
        cells = ["" if v[row] != v[row] else repr(v[row]) for v in columns.values()]
        writer.writerow([row + 1, name, *cells])
    return text.getvalue()


def _licence_text(package: str) -> str:
    files = distribution(package).files or []
    path = next(f for f in files if f.name == "LICENSE")
    return Path(str(path.locate())).read_text(encoding="utf-8")


def tables() -> dict[str, str]:
    """Text of every file of this folder that the packages determine, by file name."""
    symbols = _symbols()
    sources = {
        "files": {
            "magpie.csv": _MAGPIE_SOURCE,
            "elements.csv": _ELEMENTS_SOURCE,
            "resources.csv": _RESOURCES_SOURCE,
        },
        "packages": {
            name: {
                "version": distribution(name).version,
                "licence": licence,
                "notice": _licence_text(name),
            }
            for name, licence in _LICENCES.items()
        },
    }
    return {
        "magpie.csv": _to_csv(_MAGPIE_SOURCE, symbols, _magpie_columns()),
        "elements.csv": _to_csv(_ELEMENTS_SOURCE, symbols, _element_columns()),
        "resources.csv": _to_csv(_RESOURCES_SOURCE, symbols, _resource_columns()),
        "sources.json": json.dumps(sources, indent=1, ensure_ascii=False) + "\n",
    }


def main() -> None:
    """Write the tables beside this script."""
    folder = Path(__file__).parent
    for name, text in tables().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
