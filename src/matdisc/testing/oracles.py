"""What every oracle promises."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matdisc.config import Spec
from matdisc.firstprinciples.records import Record
from matdisc.testing.specs import check_spec

__all__ = ["check_oracle"]

_SOURCES = ("live", "looked up")


def check_oracle(spec: Spec, known: Sequence[Record], keys: Sequence[str], folder: Path) -> None:
    """Check an oracle: one answer per key, in order, with a source, the same when asked again.

    Args:
        spec: Settings to check.
        known: Records that the brief's dataset has.
        keys: Candidates to ask for, at least two.
        folder: An empty folder for what the oracle keeps.

    Raises:
        AssertionError: If a promise is broken; says which.
    """
    check_spec(spec)
    by_key = {record.key: record for record in known}
    oracle: Any = spec.build(by_key, folder)  # type: ignore[attr-defined]
    steps: list[tuple[int, int, str, str]] = []
    answers = oracle.evaluate(list(keys), lambda *step: steps.append(step))
    assert [a.record.key for a in answers] == list(keys), "one answer per key, in the order asked"
    for answer in answers:
        record = answer.record
        assert answer.source in _SOURCES, f"the source must be one of {_SOURCES}"
        assert isinstance(record, Record), "an answer holds a matdisc Record"
        assert record.converged == (record.status == "converged"), "status and converged disagree"
        assert record.settings_hash, f"{record.key} does not say with which settings it was made"
        if answer.source == "looked up":
            assert repr(record) == repr(by_key.get(record.key)), (
                "what was looked up must be the known record"
            )
    done = [step[0] for step in steps]
    n_live = sum(answer.source == "live" for answer in answers)
    assert len(steps) >= n_live, "every live answer must be reported as it comes"
    assert done == sorted(done), "progress must not go back"
    assert oracle.evaluate([]) == [], "no keys must give no answers"
    again = spec.build(by_key, folder).evaluate(list(keys))  # type: ignore[attr-defined]
    # by their text: NaN is not equal to itself
    assert repr(again) == repr(answers), "asked again, the same folder must give the same answers"
