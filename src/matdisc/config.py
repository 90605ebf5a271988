"""Specs (small frozen pydantic models), the YAML loader and the entry-point registry."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    SerializeAsAny,
    TypeAdapter,
    ValidationError,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from matdisc.errors import ConfigError

__all__ = [
    "PLUGIN_GROUPS",
    "Spec",
    "apply_overrides",
    "content_hash",
    "did_you_mean",
    "json_schema",
    "load_config",
    "plugin_field",
    "plugin_spec",
    "plugins",
    "read_yaml",
    "validate",
]

PLUGIN_GROUPS = (
    "matdisc.featurizers",
    "matdisc.predictors",
    "matdisc.engines",
    "matdisc.oracles",
)
"""The entry-point groups that other packages may add to."""


class Spec(BaseModel):
    """Frozen, validated settings; an unknown key is an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True
    )


SpecT = TypeVar("SpecT", bound=BaseModel)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` for the closest known word, or an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


@cache
def _entry_points(group: str) -> dict[str, EntryPoint]:
    return {ep.name: ep for ep in entry_points(group=group)}


def plugins(group: str) -> list[str]:
    """Sorted kinds registered under an entry-point group (nothing is imported)."""
    return sorted(_entry_points(group))


def plugin_spec(group: str, kind: str) -> type[Spec]:
    """The spec class registered as ``kind``.

    Raises:
        ConfigError: If no such kind is registered.
    """
    known = _entry_points(group)
    noun = group.rsplit(".", 1)[-1].removesuffix("s")
    if kind not in known:
        raise ConfigError(
            f"unknown {noun} {kind!r}; known: {sorted(known)}{did_you_mean(kind, known)}"
        )
    try:
        loaded = known[kind].load()
    except Exception as error:  # foreign code; named, so that the user knows what to update
        raise ConfigError(
            f"plugin {known[kind].value!r} ({noun} {kind!r}) cannot be imported: {error}"
        ) from error
    if not (isinstance(loaded, type) and issubclass(loaded, Spec)):
        raise ConfigError(f"plugin {known[kind].value!r} is not a matdisc.config.Spec")
    return loaded


class _Plugin:
    """Marks a config field that takes any spec registered under an entry-point group."""

    def __init__(self, group: str, without: Sequence[str] = ()) -> None:
        self.group = group
        self.without = frozenset(without)

    def resolve(self, value: object) -> object:
        """The spec that a kind or a mapping with a kind stands for."""
        if isinstance(value, str):
            value = {"kind": value}
        if isinstance(value, Mapping):
            if not isinstance(value.get("kind"), str):
                raise ValueError(f"needs 'kind'; known: {plugins(self.group)}")
            try:
                spec = plugin_spec(self.group, value["kind"])
            except ConfigError as error:
                raise ValueError(str(error)) from error
            return spec.model_validate(dict(value))
        return value

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_before_validator_function(self.resolve, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        # Assembled at call time: another package may have registered more specs.
        kinds = [kind for kind in plugins(self.group) if kind not in self.without]
        specs = [plugin_spec(self.group, kind) for kind in kinds]
        # A union of one is no union, and pydantic then refuses a discriminator.
        choice: Any = Union[tuple(specs)]  # noqa: UP007
        if len(specs) > 1:
            choice = Annotated[choice, Field(discriminator="kind")]
        full = handler(TypeAdapter(choice).core_schema)
        return {"anyOf": [full, {"enum": kinds}], "description": f"One of {', '.join(kinds)}."}


def plugin_field(group: str, *, without: Sequence[str] = ()) -> Any:
    """Annotation of a config field that takes any spec registered under ``group``.

    Args:
        group: The entry-point group.
        without: Kinds that its JSON Schema leaves out: a spec whose field takes specs of its own
            group would be a part of itself.
    """
    return Annotated[SerializeAsAny[Spec], _Plugin(group, without)]


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """JSON Schema of a config, with every registered plugin where one may be chosen."""
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, **model.model_json_schema()}


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one YAML mapping.

    Raises:
        ConfigError: If the file is missing, is not YAML or is not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        folder = path.parent if path.parent.is_dir() else Path()
        near = did_you_mean(path.name, (p.name for p in folder.glob("*.y*ml")))
        raise ConfigError(f"config file not found: {path}{near}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"config file cannot be read: {path}: {error}") from error
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path} must hold a mapping of settings, not {type(value).__name__}")
    return value


def apply_overrides(raw: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """A copy of ``raw`` with every ``a.b=value`` override (value in YAML syntax) applied.

    Raises:
        ConfigError: If an override has no ``=`` or steps into something that is no mapping.
    """
    result = deepcopy(dict(raw))
    for item in overrides:
        dotted, sep, text = item.partition("=")
        if not sep or not dotted:
            raise ConfigError(f"--set needs name=value, got {item!r}")
        node = result
        *parents, last = dotted.split(".")
        for name in parents:
            node = node.setdefault(name, {})
            if isinstance(node, str):
                raise ConfigError(
                    f"--set {dotted}: {name!r} is {node!r} alone; give it with its settings, such "
                    f"as --set '{name}={{kind: {node}, {last}: {text}}}'"
                )
            if not isinstance(node, dict):
                raise ConfigError(f"--set {dotted}: {name!r} is not a mapping")
        try:
            node[last] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {dotted}: {text!r} is not valid YAML: {error}") from error
    return result


def _chosen(annotation: Any, metadata: Sequence[Any], raw: object) -> Any:
    """The type of a value: that of the chosen kind where a plugin may be chosen."""
    for marker in metadata:
        if isinstance(marker, _Plugin) and isinstance(raw, Mapping) and "kind" in raw:
            return plugin_spec(marker.group, str(raw["kind"]))
    return annotation


def _element(of: Any, raw: object) -> Any:
    """The type of the elements of a list or tuple."""
    (element, *_) = get_args(of) or (None,)
    if get_origin(element) is not Annotated:
        return element
    annotation, *metadata = get_args(element)
    return _chosen(annotation, metadata, raw)


def _known_fields(model: type[BaseModel], raw: object, loc: Sequence[int | str]) -> list[str]:
    """Names of the fields where ``loc`` leads to, through plugins by the kind chosen in ``raw``."""
    current: Any = model
    for name in loc:
        if isinstance(name, int):  # a place in a list
            raw = raw[name] if isinstance(raw, list | tuple) and name < len(raw) else None
            current = _element(current, raw)
            continue
        field = getattr(current, "model_fields", {}).get(name)
        if field is None:
            return []
        raw = raw.get(name) if isinstance(raw, Mapping) else None
        current = _chosen(field.annotation, field.metadata, raw)
    return list(getattr(current, "model_fields", {}))


def _explain(error: ValidationError, model: type[BaseModel], raw: Mapping[str, Any]) -> str:
    lines = []
    items = error.errors(include_url=False)
    for item in items:
        n = len(item["loc"])
        deeper = any(len(o["loc"]) > n and o["loc"][:n] == item["loc"] for o in items)
        if item["type"] == "too_short" and deeper:
            continue  # the elements that are wrong are not counted
        where = ".".join(str(part) for part in item["loc"]) or "(top level)"
        if item["type"] == "extra_forbidden":
            name = str(item["loc"][-1])
            hint = did_you_mean(name, _known_fields(model, raw, item["loc"][:-1]))
            lines.append(f"{where}: unknown key{hint}")
        elif item["type"] == "missing":
            lines.append(f"{where}: required, but missing")
        else:
            text = item["msg"].removeprefix("Value error, ")
            if item["type"] in ("tuple_type", "list_type") and isinstance(item["input"], str):
                text = f"needs a list; write [{item['input']}]"
            shown = "" if isinstance(item["input"], dict | list) else f" (got {item['input']!r})"
            lines.append(f"{where}: {text}{shown}")
    return "\n".join(lines)


def validate(raw: Mapping[str, Any], model: type[SpecT], source: str) -> SpecT:
    """Build ``model`` from plain values.

    Raises:
        ConfigError: With one line per problem, each naming the key and a remedy.
    """
    try:
        return model.model_validate(dict(raw))
    except ValidationError as error:
        raise ConfigError(f"{source}:\n{_explain(error, model, raw)}") from error


_KEY_OF_VERB = {
    "brief": "discover run", "demands": "screen", "tasks": "evaluate", "target": "train",
}  # fmt: skip
"""A key that only configs of one verb have."""


def load_config(path: Path, model: type[SpecT], overrides: Sequence[str] = ()) -> SpecT:
    """Read, override and validate a YAML config.

    Raises:
        ConfigError: If the file, an override or a value is wrong.
    """
    raw = read_yaml(path)
    for key, verb in _KEY_OF_VERB.items():
        if key in raw and key not in model.model_fields:
            raise ConfigError(f"{path} has {key}: it is a config for `matdisc {verb}`")
    return validate(apply_overrides(raw, overrides), model, str(path))


def content_hash(value: object, default: Callable[[Any], Any] | None = None) -> str:
    """Sixteen hex digits of the SHA-256 of ``value`` as canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=default)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
