from __future__ import annotations

import datetime
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from matdisc import config
from matdisc.config import (
    Spec,
    apply_overrides,
    content_hash,
    json_schema,
    load_config,
    plugin_field,
    plugins,
    read_yaml,
    validate,
)
from matdisc.errors import ConfigError


class Loop(Spec):
    """A loop."""

    rounds: int = Field(3, ge=1)
    """Number of rounds."""


class Brief(Spec):
    """A brief with a plugin."""

    name: str
    featurizer: plugin_field("matdisc.featurizers") = "magpie"
    loop: Loop = Loop()
    loops: tuple[Loop, ...] = Field((Loop(),), min_length=1)
    featurizers: tuple[plugin_field("matdisc.featurizers"), ...] = ()


def problems(raw: dict) -> str:
    with pytest.raises(ConfigError) as caught:
        validate({"name": "x", **raw}, Brief, "brief.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"lop": {}}, "lop: unknown key; did you mean 'loop'?"),
        ({"loop": {"round": 2}}, "loop.round: unknown key; did you mean 'rounds'?"),
        ({"loop": {"rounds": 0}}, "loop.rounds: Input should be greater than or equal to 1 (got 0"),
        ({"featurizer": "magpi"}, "did you mean 'magpie'?"),
        (
            {"featurizer": {"kind": "magpie", "imput": 1}},
            "imput: unknown key; did you mean 'impute'",
        ),
        ({"featurizer": {}}, "featurizer: needs 'kind'; known: ['alloy', 'atomic-orbitals'"),
        ({"featurizer": 3}, "featurizer: "),
        ({1: 2}, "1: Keys should be strings"),
        ({"loops": [{}, {"round": 2}]}, "loops.1.round: unknown key; did you mean 'rounds'?"),
        ({"loops": "quick"}, "loops: needs a list; write [quick]"),
        (
            {"featurizers": [{"kind": "magpie", "imput": 1}]},
            "featurizers.0.imput: unknown key; did you mean 'impute'",
        ),
    ],
)
def test_messages_name_the_key_and_a_remedy(raw, message):
    assert message in problems(raw)


def test_a_wrong_element_is_not_called_a_missing_one():
    said = problems({"loops": [{"rounds": "many"}]})
    assert "loops.0.rounds: " in said
    assert "at least" not in said


def test_all_problems_are_named_at_once():
    with pytest.raises(ConfigError) as caught:
        validate({"lop": 1, "loop": {"rounds": "many"}}, Brief, "brief.yaml")
    text = str(caught.value)
    assert text.startswith("brief.yaml:")
    assert "name: required, but missing" in text
    assert "lop: unknown key" in text
    assert "loop.rounds: " in text
    assert len(text.splitlines()) == 4


def test_a_plugin_keeps_its_own_fields_in_the_resolved_config():
    brief = validate({"name": "x", "featurizer": {"kind": "magpie"}}, Brief, "brief.yaml")
    dumped = brief.model_dump(mode="json")
    assert {"kind": "magpie", "impute": "mean"}.items() <= dumped["featurizer"].items()
    assert validate(dumped, Brief, "again") == brief
    with pytest.raises(ValidationError):
        brief.name = "y"


def test_schema_lists_every_registered_plugin():
    schema = json_schema(Brief)
    json.dumps(schema)
    choice = schema["properties"]["featurizer"]
    refs = {ref["$ref"].rsplit("/", 1)[-1] for ref in choice["anyOf"][0]["oneOf"]}
    kinds = {schema["$defs"][ref]["properties"]["kind"]["const"] for ref in refs}
    assert kinds == set(plugins("matdisc.featurizers")) == set(choice["anyOf"][1]["enum"])
    assert schema["properties"]["name"]["type"] == "string"


def test_schema_with_a_single_plugin(monkeypatch):
    monkeypatch.setattr(config, "plugins", lambda group: ["magpie"])
    choice = json_schema(Brief)["properties"]["featurizer"]
    assert choice["anyOf"][0]["properties"]["kind"]["const"] == "magpie"


def test_a_plugin_that_cannot_be_imported_is_named(monkeypatch):
    class Broken:
        value = "other_package.specs:BrokenSpec"

        def load(self):
            raise ImportError("libfoo.so is missing")

    monkeypatch.setattr(config, "_entry_points", lambda group: {"broken": Broken()})
    assert "'other_package.specs:BrokenSpec'" in problems({"featurizer": "broken"})
    assert "libfoo.so is missing" in problems({"featurizer": "broken"})


def test_overrides():
    raw = {"loop": {"rounds": 3}, "day": datetime.date(2026, 1, 1), "name": "x"}
    assert apply_overrides(raw, ["loop.rounds=5", "name=[a, b]", "new.key=null"]) == {
        "loop": {"rounds": 5},
        "day": datetime.date(2026, 1, 1),
        "name": ["a", "b"],
        "new": {"key": None},
    }
    assert raw["loop"] == {"rounds": 3}
    for bad, message in [
        ("loop", "needs name=value"),
        ("=3", "needs name=value"),
        ("loop.rounds.deep=1", "not a mapping"),
        ("loop=[", "not valid YAML"),
        ("name.first=3", r"'name=\{kind: x, first: 3\}'"),
    ]:
        with pytest.raises(ConfigError, match=message):
            apply_overrides(raw, [bad])


def test_files_that_are_no_config(tmp_path):
    (tmp_path / "titanium.yaml").write_text("name: x")
    assert load_config(tmp_path / "titanium.yaml", Brief).name == "x"
    with pytest.raises(ConfigError, match=r"not found.*did you mean 'titanium.yaml'"):
        read_yaml(tmp_path / "titanum.yaml")
    for content, message in [
        (b"- a\n", "must hold a mapping"),
        (b"a: [", "not valid YAML"),
        (b"\xff\xfe\x00", "cannot be read"),
    ]:
        (tmp_path / "bad.yaml").write_bytes(content)
        with pytest.raises(ConfigError, match=message):
            read_yaml(tmp_path / "bad.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_yaml(tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(value=st.dictionaries(st.text(max_size=3), JSON, max_size=4))
def test_the_hash_sees_content_and_not_order(value):
    assert content_hash(dict(reversed(value.items()))) == content_hash(value)
    assert content_hash({**value, "another key": 1}) != content_hash(value)
    assert len(content_hash(value)) == 16
