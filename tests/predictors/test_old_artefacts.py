"""Surrogates that older versions wrote: they load and predict what they did then."""

import json
from pathlib import Path

import numpy as np
import pytest

from matdisc.predictors.surrogate import load_surrogate

FOLDER = Path(__file__).parent / "artefacts"


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.iterdir()))
def test_an_old_artefact_predicts_what_it_did(name):
    meta = json.loads((FOLDER / name / "surrogate.json").read_text())
    assert meta["schema_version"] == int(name.rsplit("-", 1)[1])
    surrogate = load_surrogate(FOLDER / name)
    expected = json.loads((FOLDER / name / "expected.json").read_text())
    found = surrogate.predict(np.array(expected["values"], np.float32))
    assert found.keys() == expected["predictions"].keys()
    for target, parts in expected["predictions"].items():
        for part, values in parts.items():
            np.testing.assert_allclose(getattr(found[target], part), values, rtol=1e-12)


def test_no_committed_artefact_holds_training_rows():
    """Rows of a data set under no licence would be published with it."""
    root = Path(__file__).parents[2]
    found = [
        p for part in ("models", "src", "tests") for p in root.glob(f"{part}/**/surrogate.json")
    ]
    assert found
    for path in found:
        meta = json.loads(path.read_text())
        assert not meta.get("holds_training_rows", False), path
