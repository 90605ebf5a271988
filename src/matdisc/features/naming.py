"""Featurizers by short names, as a command line has them: ``magpie``, ``wen``, ``matminer:X``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from matdisc.config import Spec, did_you_mean, plugin_spec, plugins, validate
from matdisc.errors import ConfigError

__all__ = ["SHORT_NAMES", "featurizer_specs"]

SHORT_NAMES = {
    "ape": "atomic-packing-efficiency",
    "deml": "element-property:deml",
    "matscholar": "element-property:matscholar_el",
    "megnet": "element-property:megnet_el",
    "tmetal-fraction": "transition-metal-fraction",
    "wen": "wen-alloys",
    "yang": "yang-solid-solution",
}
"""What a short name stands for: a kind, or a kind and its preset."""

_GROUP = "matdisc.featurizers"


def featurizer_specs(
    names: Sequence[str | Spec | Mapping[str, Any]],
    *,
    settings: Mapping[str, Any],
    backend: str = "auto",
) -> list[Spec]:
    """The specs that names stand for.

    Args:
        names: Kinds (``magpie``), short names (``wen``), kinds with a preset
            (``element-property:deml``), classes of matminer with or without a preset
            (``matminer:IonProperty``, ``matminer:ElementProperty:deml``); or specs, or mappings
            with a ``kind``, which stay as they are.
        settings: Fields for every spec that has them, such as ``precision``.
        backend: For every spec that has a choice.

    Raises:
        ConfigError: If a name is unknown, or a featurizer lacks this backend.
    """
    if not names:
        raise ConfigError(f"name at least one featurizer; known: {_known()}")
    found = []
    for name in names:
        if isinstance(name, Spec):
            found.append(name)
            continue
        if isinstance(name, Mapping):
            kind = str(name.get("kind"))
            spec = plugin_spec(_GROUP, kind)
            found.append(validate(name, spec, f"featurizer {kind}"))
            continue
        found.append(_named(name.strip(), settings, backend))
    return found


def _named(name: str, settings: Mapping[str, Any], backend: str) -> Spec:
    kind, _, choice = SHORT_NAMES.get(name, name).partition(":")
    if kind not in plugins(_GROUP):
        raise ConfigError(
            f"unknown featurizer {name!r}; known: {_known()}{did_you_mean(kind, _known())}"
        )
    cls = plugin_spec(_GROUP, kind)
    raw: dict[str, Any] = {key: value for key, value in settings.items() if key in cls.model_fields}
    if choice and kind == "matminer":
        class_name, _, preset = choice.partition(":")
        raw["featurizers"] = [{"name": class_name, "preset": preset or None}]
    elif choice:
        if "preset" not in cls.model_fields:
            raise ConfigError(f"featurizer {kind!r} has no presets (got {choice!r})")
        raw["preset"] = choice
    if "backend" in cls.model_fields:
        raw["backend"] = backend
    elif backend not in ("auto", "matminer" if kind == "matminer" else "auto"):
        raise ConfigError(f"featurizer {name!r} has no backend {backend!r}; leave out --backend")
    spec = validate(raw, cls, f"featurizer {name!r}")
    _refuse_other_materials(spec, name)
    return spec


def _known() -> list[str]:
    return sorted({*plugins(_GROUP), *SHORT_NAMES, "matminer:<class>"})


def _refuse_other_materials(spec: Any, name: str) -> None:
    """Refuse what does not take plain compositions, by the annotation of its ``transform``."""
    featurizer = spec.build()
    first = next(iter(inspect.signature(featurizer.transform).parameters.values()))
    takes = getattr(first.annotation, "__name__", str(first.annotation)).rsplit(".", 1)[-1]
    if takes != "Compositions":
        raise ConfigError(
            f"featurizer {name!r} takes {takes}, a table gives compositions only; use it from "
            "Python"
        )
