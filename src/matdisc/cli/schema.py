"""``matdisc schema``: the JSON Schema of a verb's config, for editors and for reading."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated

import typer
from pydantic import BaseModel

from matdisc.config import did_you_mean, json_schema
from matdisc.errors import ConfigError
from matdisc.runs.files import canonical_json

__all__ = ["CONFIG_MODELS", "config_model", "schema"]

CONFIG_MODELS = {
    "discover": "matdisc.discovery.specs:CampaignSpec",
    "evaluate": "matdisc.predictors.evaluate_specs:EvaluateSpec",
    "screen": "matdisc.screening.screen_specs:ScreenSpec",
    "train": "matdisc.predictors.train_specs:TrainSpec",
    "verify": "matdisc.firstprinciples.verify_specs:VerifySpec",
}
"""The config of every verb that takes one; ``configs/<verb>/*.yaml`` are examples."""


def config_model(verb: str) -> type[BaseModel]:
    """The config class of a verb.

    Raises:
        ConfigError: If the verb takes no config.
    """
    if verb not in CONFIG_MODELS:
        known = sorted(CONFIG_MODELS)
        raise ConfigError(
            f"no config is known for {verb!r}; known: {known}{did_you_mean(verb, known)}"
        )
    module, _, name = CONFIG_MODELS[verb].partition(":")
    model: type[BaseModel] = getattr(import_module(module), name)
    return model


def schema(
    verb: Annotated[str | None, typer.Argument(help="A verb that takes a config; all if none.")] = (
        None
    ),
) -> None:
    """Print the JSON Schema of a verb's config."""
    if verb is None:
        every = {name: json_schema(config_model(name)) for name in CONFIG_MODELS}
        typer.echo(canonical_json(every, indent=2))
    else:
        typer.echo(canonical_json(json_schema(config_model(verb)), indent=2))
