"""A surrogate on disk: ``model.safetensors`` (arrays) and ``surrogate.json`` (everything else).

Reading needs numpy, safetensors and, for networks, torch; nothing else is imported for it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from matdisc import __version__
from matdisc.errors import ArtifactError
from matdisc.predictors.calibration import COVERAGE, Calibration
from matdisc.predictors.class_calibration import ClassCalibration
from matdisc.predictors.domain import restore_domain
from matdisc.predictors.surrogate import Surrogate
from matdisc.predictors.types import Arrays, Predictor
from matdisc.predictors.zero_inflated_calibration import ZeroInflatedCalibration

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "ARRAYS_FILE",
    "JSON_FILE",
    "SCHEMA_VERSION",
    "read_surrogate",
    "restore_predictor",
    "save_surrogate",
]

SCHEMA_VERSION = 5
"""5: ranges of conditions in the domain. 4: deviations of amounts by bins. 3: distributions of
values that are often zero. 2: classes, a domain of local centres, an offset of the deviations.
Older files have none of these and are read as they are."""
JSON_FILE = "surrogate.json"
ARRAYS_FILE = "model.safetensors"

_PARTS = ("occurrence", "amount", "base")
"""Settings that are settings of another predictor."""
_PORTABLE = {
    "log-scale": ("matdisc.predictors.log_scale", "LogScalePredictor"),
    "element-attention": ("matdisc.predictors.attention", "ElementAttention"),
    "mlp-ensemble": ("matdisc.predictors.mlp", "MLPEnsemble"),
    "extra-trees": ("matdisc.predictors.trees", "Forests"),
    "gradient-boosting": ("matdisc.predictors.boosting", "BoostedTrees"),
    "gaussian-process": ("matdisc.predictors.gp", "GaussianProcesses"),
    "neighbours": ("matdisc.predictors.neighbours", "Neighbours"),
    "stack": ("matdisc.predictors.stack", "StackedPredictor"),
    "hurdle": ("matdisc.predictors.hurdle", "HurdlePredictor"),
}
"""Predictors that are restored without their spec, which would need pydantic."""
_N_PROBES = 16


def save_surrogate(surrogate: Surrogate, folder: Path) -> None:
    """Write, read back, compare, and only then publish.

    A kill at any moment leaves either no ``surrogate.json`` or a complete surrogate.

    Raises:
        ArtifactError: If what was written does not predict the same.
        ResourceError: If the disk is full.
    """
    from matdisc.runs.files import atomic_write, resource_errors, write_json

    folder = Path(folder)
    staged = folder.with_name(f".{folder.name}.partial")
    with resource_errors(folder):
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir(parents=True)
        try:
            content = _to_bytes(surrogate)
            with atomic_write(staged / ARRAYS_FILE) as sink:
                sink.write(content)
            write_json(staged / JSON_FILE, _to_json(surrogate, content))
            _compare(surrogate, read_surrogate(staged, "cpu"))
            folder.mkdir(exist_ok=True)
            (folder / JSON_FILE).unlink(missing_ok=True)
            for name in (ARRAYS_FILE, JSON_FILE):
                (staged / name).replace(folder / name)
        finally:
            shutil.rmtree(staged, ignore_errors=True)


def read_surrogate(folder: Path, device: str) -> Surrogate:
    """Read and check a surrogate.

    Raises:
        ArtifactError: If it is missing, damaged or written by a newer matdisc.
    """
    meta = _read_json(folder / JSON_FILE)
    arrays = _read_arrays(folder / ARRAYS_FILE, meta)
    try:
        surrogate = _assemble(meta, arrays, device)
        _check_counts(surrogate)
        return surrogate
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"{folder / JSON_FILE} does not describe a surrogate ({type(error).__name__}: "
            f"{error}); train it again"
        ) from error


def _to_bytes(surrogate: Surrogate) -> bytes:
    from safetensors.numpy import save

    calibration = surrogate.calibration
    parts: dict[str, Arrays] = {
        "predictor": surrogate.predictor.arrays(),
        "domain": surrogate.domain.arrays(),
        "calibration": {name: getattr(calibration, name) for name in calibration.__slots__},
        "tables": surrogate.tables,
    }
    if surrogate.zero_inflated is not None:
        parts["zero_inflated"] = surrogate.zero_inflated.arrays()
    flat = {
        f"{part}/{name}": np.ascontiguousarray(array)
        for part, arrays in parts.items()
        for name, array in arrays.items()
    }
    return bytes(save(flat))


def _to_json(surrogate: Surrogate, content: bytes) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "matdisc": __version__,
        "kind": surrogate.kind,
        "spec": dict(surrogate.spec),
        "portable": _is_portable(surrogate.spec),
        # rows of a data set under no licence must not be published by way of a surrogate
        "holds_training_rows": bool(getattr(surrogate.predictor, "holds_training_rows", False)),
        "labels": list(surrogate.labels),
        "targets": [
            {"name": name, "unit": unit}
            for name, unit in zip(surrogate.targets, surrogate.units, strict=True)
        ],
        "classes": list(surrogate.classes),
        "coverage": COVERAGE,
        "quality_out_of_bag": surrogate.quality,
        "provenance": dict(surrogate.provenance),
        "arrays": {"file": ARRAYS_FILE, "sha256": hashlib.sha256(content).hexdigest()},
    }


def _read_json(path: Path) -> dict[str, Any]:
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ArtifactError(f"no surrogate here: {path} does not exist") from error
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} cannot be read ({error}); train it again") from error
    version = meta.get("schema_version") if isinstance(meta, dict) else None
    if not isinstance(version, int) or version < 1:
        raise ArtifactError(f"{path} has no valid schema_version (found {version!r})")
    if version > SCHEMA_VERSION:
        raise ArtifactError(
            f"{path} has schema version {version}, written by matdisc {meta.get('matdisc')}; "
            f"this matdisc {__version__} reads up to {SCHEMA_VERSION}; upgrade matdisc"
        )
    return dict(meta)


def _read_arrays(path: Path, meta: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read ({error}); train it again") from error
    said = meta.get("arrays")
    promised = said.get("sha256") if isinstance(said, dict) else None
    found = hashlib.sha256(content).hexdigest()
    if found != promised:
        raise ArtifactError(
            f"{path} is damaged or belongs to another {JSON_FILE}: its sha256 is {found}, not "
            f"{promised}; copy both files again or train it again"
        )
    try:
        return dict(load(content))
    except (SafetensorError, ValueError) as error:
        raise ArtifactError(f"{path} is not a safetensors file ({error})") from error


def check_files(folder: Path) -> None:
    """Whether the files of a surrogate are there and whole.

    Raises:
        ArtifactError: If not.
    """
    _read_arrays(folder / ARRAYS_FILE, _read_json(folder / JSON_FILE))


def _part(arrays: Arrays, prefix: str) -> dict[str, npt.NDArray[Any]]:
    start = f"{prefix}/"
    return {n.removeprefix(start): a for n, a in arrays.items() if n.startswith(start)}


def _is_portable(spec: Mapping[str, Any]) -> bool:
    """Whether numpy, torch and safetensors suffice to predict."""
    parts = [*spec.get("bases", ()), *(spec[n] for n in _PARTS if n in spec)]
    return spec["kind"] in _PORTABLE and all(_is_portable(part) for part in parts)


def restore_predictor(kind: str, spec: Mapping[str, Any], arrays: Arrays, device: str) -> Predictor:
    """The predictor whose ``arrays()`` these are.

    Args:
        kind: Its kind.
        spec: Its settings, which only predictors of other packages need.
        arrays: Its arrays.
        device: ``cpu`` or ``cuda``.
    """
    if kind in _PORTABLE:
        module, name = _PORTABLE[kind]
        restore: Callable[..., Predictor] = getattr(import_module(module), name).from_arrays
        return restore(arrays, device=device)
    from matdisc.config import plugin_spec, validate

    settings: Any = validate(spec, plugin_spec("matdisc.predictors", kind), JSON_FILE)
    restored: Predictor = settings.build().restore(arrays, device=device)
    return restored


def _assemble(meta: Mapping[str, Any], arrays: Arrays, device: str) -> Surrogate:
    classes = tuple(meta.get("classes", ()))
    kind = ClassCalibration if classes else Calibration
    inflated = _part(arrays, "zero_inflated")
    return Surrogate(
        kind=meta["kind"],
        spec=meta["spec"],
        labels=tuple(meta["labels"]),
        targets=tuple(target["name"] for target in meta["targets"]),
        units=tuple(target["unit"] for target in meta["targets"]),
        predictor=restore_predictor(meta["kind"], meta["spec"], _part(arrays, "predictor"), device),
        calibration=kind(**_part(arrays, "calibration")),
        domain=restore_domain(_part(arrays, "domain")),
        zero_inflated=ZeroInflatedCalibration.from_arrays(inflated) if inflated else None,
        quality=meta["quality_out_of_bag"],
        provenance=meta["provenance"],
        tables=_part(arrays, "tables"),
        classes=classes,
    )


def _check_counts(surrogate: Surrogate) -> None:
    """Whether the parts fit together, as far as counts say so; ValueError if not."""
    n_features, n_targets = len(surrogate.domain.center), len(surrogate.targets)
    if len(surrogate.labels) != n_features:
        raise ValueError(f"{len(surrogate.labels)} labels of {n_features} features")
    calibration = surrogate.calibration
    if isinstance(calibration, Calibration) and len(calibration.std_factor) != n_targets:
        raise ValueError(f"{n_targets} targets for {len(calibration.std_factor)} calibrations")
    if not isinstance(surrogate.spec["n_folds"], int):
        raise TypeError(f"n_folds must be a number, not {surrogate.spec['n_folds']!r}")
    if not isinstance(surrogate.provenance, Mapping):
        raise TypeError(f"provenance must be an object, not {surrogate.provenance!r}")


def _compare(original: Surrogate, stored: Surrogate) -> None:
    """Predictions of both on rows drawn around the training data, which are not kept."""
    domain = original.domain
    noise = np.random.default_rng(0).normal(size=(_N_PROBES, len(domain.center)))
    probes = (domain.center + noise * domain.scale).astype(np.float32)
    if original.classes:
        a, b = (one.predict_classes(probes).probability for one in (original, stored))
        _require_same(a, b, 1e-3, f"probability of {original.targets[0]!r}")
        return
    first, second = original.predict(probes), stored.predict(probes)
    for name, prediction in first.items():
        smallest = 1e-3 * float(prediction.std.min())
        for part in ("mean", "std", "lower", "upper"):
            a, b = getattr(prediction, part), getattr(second[name], part)
            _require_same(a, b, smallest, f"{part} of {name!r}")


def _require_same(
    first: npt.NDArray[np.float64], second: npt.NDArray[np.float64], atol: float, what: str
) -> None:
    # float32 sums on a GPU and on the CPU differ in order, on one device they do not
    if not np.allclose(first, second, rtol=1e-3, atol=atol):
        raise ArtifactError(
            f"the surrogate that was written predicts another {what} than the one in memory; this "
            "is a bug, please report it"
        )
