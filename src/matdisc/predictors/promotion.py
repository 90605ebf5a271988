"""Promoted surrogates: ``models/<name>/`` with the surrogate of a training and a card.

The card says what the surrogate is for, what it was learned from and how far off it was on alloys
it had not seen. All its numbers come from the run; the command on it trains it again, from the
config beside it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matdisc.config import Spec, plugin_spec, validate
from matdisc.errors import ArtifactError

if TYPE_CHECKING:
    from matdisc.runs import StoredRun

__all__ = ["CARD_FILE", "CONFIG_FILE", "LARGEST_BYTES", "model_card", "promote", "stores_rows"]

CARD_FILE = "card.json"
CONFIG_FILE = "train.yaml"
LARGEST_BYTES = 5_000_000
"""Larger surrogates are trained again by the command on their card instead."""

_SCHEMA_VERSION = 1
_FILES = ("surrogate.json", "model.safetensors")
_NEEDED = (
    "name",
    "description",
    "intended_use",
    "limits",
    "target",
    "data.name",
    "data.licence",
    "data.citation",
    "data.sha256",
    "protocol",
    "metrics",
)


def promote(run: Path, folder: Path, *, intended_use: str, limits: Sequence[str]) -> dict[str, Any]:
    """Copy the surrogate of a finished training to a folder of its own, with a card.

    A kill leaves the folder as it was or complete.

    Args:
        run: A finished run of ``matdisc train``.
        folder: Where to, such as ``models/superalloy_yield``; a promoted surrogate in it is
            replaced, anything else is left alone.
        intended_use: What the surrogate may be used for, in a sentence.
        limits: What it must not be trusted with, beside what every training report says.

    Returns:
        The card.

    Raises:
        ArtifactError: If the run is unfinished or damaged, its card would have gaps, the surrogate
            is larger than ``LARGEST_BYTES``, holds rows of data that may not be passed on, or the
            folder holds something else.
        ResourceError: If the disk is full.
    """
    from matdisc.predictors.surrogate import load_surrogate
    from matdisc.runs import read_run
    from matdisc.runs.files import resource_errors, write_json, write_text

    stored, folder = read_run(run), Path(folder)
    stored.verify()
    if stored.verb != "train":
        raise ArtifactError(f"{run} is a run of {stored.verb}, not of a training")
    surrogate = json.loads(stored.file("surrogate/surrogate.json").read_text(encoding="utf-8"))
    card = model_card(stored, surrogate, folder, intended_use=intended_use, limits=limits)
    _refuse_gaps(card)
    _refuse_rows(stored, surrogate)
    _refuse_foreign(folder)
    staged = folder.with_name(f".{folder.name}.partial")
    with resource_errors(folder):
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir(parents=True)
        try:
            for name in _FILES:
                shutil.copyfile(stored.file(f"surrogate/{name}"), staged / name)
            write_json(staged / CARD_FILE, card)
            write_text(staged / CONFIG_FILE, _config(stored, card))
            size = sum(path.stat().st_size for path in staged.iterdir())
            if size > LARGEST_BYTES:
                raise ArtifactError(
                    f"the surrogate of {run} takes {size / 1e6:.1f} MB, and a promoted one at most "
                    f"{LARGEST_BYTES / 1e6:g} MB; train one with fewer members or trees, or let "
                    f"others train it: {card['command']}"
                )
            load_surrogate(staged)
            if folder.exists():
                shutil.rmtree(folder)
            staged.replace(folder)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    return card


def model_card(
    stored: StoredRun,
    surrogate: Mapping[str, Any],
    folder: Path,
    *,
    intended_use: str,
    limits: Sequence[str],
) -> dict[str, Any]:
    """What a run says about its surrogate, plain values; gaps are empty.

    Args:
        stored: The run.
        surrogate: Content of its ``surrogate.json``.
        folder: Where the surrogate goes.
        intended_use: What for, in a sentence.
        limits: What it must not be trusted with.
    """
    results, manifest = stored.read_json("results.json"), stored.manifest
    config, facts = stored.read_json("config.resolved.json"), surrogate["provenance"]
    data_card = config.get("card", {})
    own = results["scores"][results["predictor"]]
    source = manifest.get("inputs", {}).get("data", {})
    return {
        "schema_version": _SCHEMA_VERSION,
        "name": results["name"],
        "description": results["description"],
        "intended_use": intended_use.strip(),
        "limits": [limit.strip() for limit in limits if limit.strip()],
        "target": {"name": results["target"], "unit": results["unit"]},
        "predictor": {"kind": results["predictor"], "settings": surrogate["spec"]},
        "descriptors": results["surrogate"]["descriptors"]["chosen"],
        "conditions": [c["name"] for c in facts["featurizer"]["conditions"]],
        "data": {
            "name": results["data"],
            "licence": data_card.get("licence", ""),
            "citation": data_card.get("citation", ""),
            "redistributable": data_card.get("redistributable", False),
            "sha256": source.get("sha256", ""),
            "rows_sha256": facts.get("data_sha256", ""),
            "rows": results["rows"],
            "compositions": results["compositions"],
        },
        "protocol": results["split"]["protocol"],
        "protocol_warning": results["split"]["warning"],
        "n_folds": results["n_folds"],
        "seed": results["seed"],
        "metrics": _metrics(own),
        "metrics_of_baselines": {
            kind: _metrics(scores)
            for kind, scores in results["scores"].items()
            if kind != results["predictor"]
        },
        "command": f"matdisc train {(folder / CONFIG_FILE).as_posix()}",
        "run": stored.path.name,
        "matdisc": surrogate["matdisc"],
        "git_commit": manifest.get("git_commit"),
        "trained": manifest.get("finished"),
    }


def _metrics(scores: Mapping[str, Any]) -> dict[str, dict[str, float | None]]:
    """Pooled over all held-out rows, and mean and standard deviation over the folds."""
    folds: Mapping[str, float] = scores["over_folds"]
    names = [name.removesuffix("_mean") for name in folds if name.endswith("_mean")]
    return {
        name: {
            "pooled": scores.get(name),
            "fold_mean": folds[f"{name}_mean"],
            "fold_std": folds.get(f"{name}_std"),
        }
        for name in names
    }


def _config(stored: StoredRun, card: Mapping[str, Any]) -> str:
    """The training's config as YAML: the one command on the card runs it."""
    import yaml

    from matdisc.predictors.train_specs import TrainSpec

    resolved = stored.read_json("config.resolved.json")
    raw = {name: value for name, value in resolved.items() if name in TrainSpec.model_fields}
    raw |= {"intended_use": card["intended_use"], "limits": card["limits"]}
    spec = validate(raw, TrainSpec, "config.resolved.json")
    text: str = yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    return f"# {card['description']}\n#   {card['command']}\n{text}"


def _refuse_gaps(card: Mapping[str, Any]) -> None:
    gaps = []
    for name in _NEEDED:
        value: Any = card
        for part in name.split("."):
            value = value[part]
        if not value:
            gaps.append(name)
    if gaps:
        raise ArtifactError(
            f"the card of {card['name']} would have no {', '.join(gaps)}; add them to the config "
            "(description, intended_use, limits) or to the card of the dataset and train again"
        )


def _refuse_rows(stored: StoredRun, surrogate: Mapping[str, Any]) -> None:
    """Refuse what holds training rows of data that may not be passed on.

    The settings say whether a predictor keeps rows. A plugin may not say so: a table as long as
    the training data counts as one, too.
    """
    if surrogate["provenance"].get("redistributable"):
        return
    kind, data = surrogate["kind"], surrogate["provenance"].get("data")
    spec: Spec = validate(surrogate["spec"], plugin_spec("matdisc.predictors", kind), "spec")
    found = f"{kind} keeps training rows" if stores_rows(spec) else _long_table(stored, surrogate)
    if found:
        raise ArtifactError(
            f"the data {data} may not be passed on, and the surrogate of {stored.path} holds rows "
            f"of it ({found}); promote a predictor that keeps none, such as mlp-ensemble"
        )


def stores_rows(spec: Any) -> bool:
    """Whether a predictor with these settings, or a part of it, keeps training rows."""
    if getattr(spec, "stores_rows", False):
        return True
    return any(stores_rows(part) for part in getattr(spec, "parts", tuple)())


def _long_table(stored: StoredRun, surrogate: Mapping[str, Any]) -> str:
    from safetensors import safe_open

    n = int(surrogate["provenance"]["n_rows"])
    with safe_open(str(stored.file("surrogate/model.safetensors")), framework="np") as arrays:
        for name in arrays.keys():  # noqa: SIM118 (not a mapping)
            shape = arrays.get_slice(name).get_shape()
            if name.startswith("predictor/") and len(shape) > 1 and n in shape:
                return f"array {name.removeprefix('predictor/')} {tuple(shape)}"
    return ""


def _refuse_foreign(folder: Path) -> None:
    if folder.is_dir() and any(folder.iterdir()) and not (folder / CARD_FILE).is_file():
        raise ArtifactError(
            f"{folder} holds something that is no promoted surrogate; name an empty folder"
        )
    if folder.exists() and not folder.is_dir():
        raise ArtifactError(f"{folder} is a file; name a folder, such as models/NAME")
