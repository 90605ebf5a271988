"""A training from a table of one's own: the card that says what its columns are, and settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matdisc.config import apply_overrides, did_you_mean, validate
from matdisc.errors import ConfigError, MatdiscError
from matdisc.predictors.train_specs import TrainSpec

if TYPE_CHECKING:
    from matdisc.data.specs import MeasuredCard

__all__ = ["csv_spec"]


def csv_spec(
    table: Path, target: str | None, overrides: Sequence[str] = ()
) -> tuple[TrainSpec, Path, tuple[str, ...]]:
    """Settings for a table of your own, its card, and what was guessed to write it.

    The card is written beside the table as ``<name>.card.yaml``; one that is there already, edited
    or not, is used as it is.

    Args:
        table: A delimited text file.
        target: Column to predict, by its header or its name on the card; the first that looks
            like a result if None.
        overrides: ``a.b=value`` changes of the training's settings.

    Raises:
        ConfigError: If there is no such column, or a setting is wrong.
        DataError: If the file cannot be read.
    """
    from matdisc.data import guess_card, read_card, write_card
    from matdisc.runs.files import refuse_unwritable

    path = table.with_name(f"{table.stem}.card.yaml")
    if path.is_file():
        card = read_card(path)
        notes = _differences(card, table, target)
    else:
        card, notes = guess_card(table, target)
        refuse_unwritable(path)
        write_card(card, path, notes)
        card = read_card(path)
    known = {text: t.name for t in card.targets for text in (t.name, t.column)}
    wanted = target or card.targets[0].name
    if wanted not in known:
        raise ConfigError(
            f"{path} has no target {target!r}; it has {sorted(known)}"
            f"{did_you_mean(str(target), known)}. Edit the card, or delete it to guess anew"
        )
    raw = {"name": f"{card.name}_{known[wanted]}", "data": str(path), "target": known[wanted]}
    raw["description"] = f"{wanted} of {table.name}"
    return validate(apply_overrides(raw, overrides), TrainSpec, str(path)), path, notes


def _differences(card: MeasuredCard, table: Path, target: str | None) -> tuple[str, ...]:
    """Columns that a card would take now and does not: the table may have grown since."""
    from matdisc.data import guess_card

    try:
        guessed, _ = guess_card(table, target)
    except MatdiscError:
        return ()  # the card may say what cannot be guessed
    known = set(card.composition.columns.values())
    known |= {item.column for item in (*card.conditions, *card.targets)}
    known |= card.outcome_columns().keys()
    offered = {*guessed.composition.columns.values(), *(c.column for c in guessed.conditions)}
    notes = [
        f"{column!r} is not on the card: add it, or delete the card to guess anew"
        for column in sorted(offered - known)
    ]
    categories = {c.column: c.categories for c in guessed.conditions}
    for condition in card.conditions:
        unknown = set(categories.get(condition.column, ())) - set(condition.categories)
        if condition.categories and unknown:
            notes.append(
                f"{condition.column!r}: {sorted(unknown)} are not among the categories on the "
                "card; rows with them have no value there"
            )
    return tuple(notes)
