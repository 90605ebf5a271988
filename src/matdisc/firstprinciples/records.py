"""Records: one verification result each, as plain values and as Parquet rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matdisc.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SCHEMA_VERSION", "ElasticRecord", "Record", "read_records", "records_table"]

SCHEMA_VERSION = 2
"""2 added the engine's settings and versions; tables of version 1 are read without them."""

NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Record:
    """A relaxed structure with its energy and equation of state."""

    key: str
    """``L1_0:Ti,Al``: prototype and the element on each site."""
    formula: str
    n_atoms: int
    engine: str
    settings_hash: str
    status: str
    """converged, unconverged, exploded or failed."""
    converged: bool
    error: str = ""
    warnings: str = ""
    energy_ev_per_atom: float = NAN
    volume_a3_per_atom: float = NAN
    density_g_per_cm3: float = NAN
    bulk_modulus_gpa: float = NAN
    """From the equation of state; NaN (with a warning) where it has no minimum."""
    eos_residual_mev_per_atom: float = NAN
    max_force_ev_per_a: float = NAN
    max_stress_gpa: float = NAN
    space_group_start: int = 0
    space_group: int = 0
    """Of the relaxed structure, found with a tolerance of 0.01 A."""
    n_steps: int = 0
    seconds: float = NAN
    numbers: list[int] = field(default_factory=list)
    """``(n_atoms,)`` atomic numbers."""
    cell_a: list[float] = field(default_factory=list)
    """``(9,)`` lattice vectors in rows [A]."""
    scaled_positions: list[float] = field(default_factory=list)
    """``(3 n_atoms,)`` fractional coordinates."""
    engine_settings: str = ""
    """JSON of the engine's spec."""
    engine_versions: str = ""
    """JSON of the versions of the packages that decide the numbers."""


@dataclass(frozen=True, slots=True)
class ElasticRecord:
    """The elastic tensor of a relaxed structure and its polycrystal averages."""

    key: str
    engine: str
    settings_hash: str
    status: str
    converged: bool
    error: str = ""
    tensor_gpa: list[float] = field(default_factory=list)
    """``(36,)`` Voigt notation, rows one after the other."""
    bulk_modulus_gpa: float = NAN
    shear_modulus_gpa: float = NAN
    young_modulus_gpa: float = NAN
    poisson_ratio: float = NAN
    pugh_ratio: float = NAN
    born_stable: bool = False
    min_eigenvalue_gpa: float = NAN
    seconds: float = NAN


def _arrow_type(annotation: str) -> Any:
    import pyarrow as pa

    return {
        "str": pa.string(),
        "int": pa.int64(),
        "bool": pa.bool_(),
        "float": pa.float64(),
        "list[int]": pa.list_(pa.int16()),
        "list[float]": pa.list_(pa.float64()),
    }[annotation]


def records_table(
    records: Sequence[Record] | Sequence[ElasticRecord], kind: type[Record] | type[ElasticRecord]
) -> pa.Table:
    """Records as an Arrow table, one column per field, in the order given."""
    import pyarrow as pa

    schema = pa.schema([(f.name, _arrow_type(str(f.type))) for f in fields(kind)])
    schema = schema.with_metadata({"matdisc.schema_version": str(SCHEMA_VERSION)})
    return pa.Table.from_pylist([asdict(r) for r in records], schema=schema)


def read_records(path: Path) -> list[Record]:
    """Read a table written from :func:`records_table`.

    Raises:
        DataError: If the file is missing, is no such table or is from a newer matdisc.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"records cannot be read: {path}: {error}") from error
    schema_version = int((table.schema.metadata or {}).get(b"matdisc.schema_version", b"0"))
    if not 1 <= schema_version <= SCHEMA_VERSION:
        raise DataError(
            f"{path} has schema version {schema_version}, this matdisc reads 1 to "
            f"{SCHEMA_VERSION}; upgrade matdisc or check that it is a table of records"
        )
    return [Record(**row) for row in table.to_pylist()]
