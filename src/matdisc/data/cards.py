"""Find, read and write the cards of measured datasets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from matdisc.config import did_you_mean, read_yaml, validate
from matdisc.data.assets import asset_folder
from matdisc.data.specs import LocalSource, MeasuredCard
from matdisc.errors import DataError
from matdisc.runs.files import write_text

_ONLY_IF_SET = {"categories", "column_names", "expected", "needs", "not_reported", "outcomes"}
_ONLY_IF_SET |= {"exclude", "parts"}

__all__ = ["dataset_cards", "find_card", "is_measured", "read_card", "write_card"]


def dataset_cards() -> dict[str, Path]:
    """Cards that come with matdisc, by the name of their folder, measured and computed."""
    return {
        path.parent.name: path for path in sorted((asset_folder() / "datasets").glob("*/card.yaml"))
    }


def find_card(name: str | Path) -> Path:
    """The card of a dataset.

    Args:
        name: A name such as ``ni_superalloys`` (or ``datasets/ni_superalloys``), a folder with a
            ``card.yaml``, or a card. What is on disk comes first.

    Raises:
        DataError: If there is none.
    """
    path = Path(name)
    if path.is_file():
        if path.suffix.lower() in (".yaml", ".yml"):
            return path
        raise DataError(
            f"{path} is no card; write one for it with matdisc.data.guess_card and write_card"
        )
    if (path / "card.yaml").is_file():
        return path / "card.yaml"
    known = dataset_cards()
    text = path.as_posix().removeprefix("datasets/")
    if text in known:
        return known[text]
    raise DataError(f"no dataset {str(name)!r}; known: {sorted(known)}{did_you_mean(text, known)}")


def is_measured(path: Path) -> bool:
    """Whether a card is one of measurements, not of computed records."""
    return "sources" in read_yaml(path)


def read_card(path: Path) -> MeasuredCard:
    """Read the card of a measured dataset.

    Raises:
        ConfigError: With one line per problem.
        DataError: If it is the card of computed records.
    """
    raw = read_yaml(path)
    if "settings_hash" in raw:
        raise DataError(f"{path} is a card of computed records, not of measurements")
    return validate(raw, MeasuredCard, str(path))


def write_card(card: MeasuredCard, path: Path, notes: Sequence[str] = ()) -> Path:
    """Write a card to edit, with notes as comments on top.

    A local source below the folder of the card is written relative to it.
    """
    sources = []
    for source in card.sources:
        if isinstance(source, LocalSource):
            file, folder = Path(source.path), path.parent.resolve()
            if file.is_absolute() and file.is_relative_to(folder):
                source = source.model_copy(update={"path": file.relative_to(folder).as_posix()})
        sources.append(source)
    plain = card.model_copy(update={"sources": tuple(sources)}).model_dump(
        mode="json", exclude_none=True
    )
    for entry in (plain, plain["reader"], *plain["conditions"], *plain["targets"]):
        for name in [name for name, value in entry.items() if name in _ONLY_IF_SET and not value]:
            del entry[name]
    text = yaml.safe_dump(plain, sort_keys=False, width=96, allow_unicode=True)
    comments = "".join(f"# {line}\n" for note in notes for line in note.splitlines())
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, comments + text)
    return path
