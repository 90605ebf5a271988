import pytest

from matdisc.config import load_config
from matdisc.data.assets import find_asset
from matdisc.discovery.dataset import load_record_set
from matdisc.discovery.specs import CampaignSpec
from matdisc.errors import DataError
from matdisc.firstprinciples.structures import is_element_key

NAME = "datasets/ti_intermetallics"


@pytest.fixture(scope="module")
def committed():
    return load_record_set(NAME)


def test_the_committed_data_are_what_the_card_says(committed):
    assert committed.card.n_records == len(committed.records) >= 1500
    assert committed.card.n_converged == sum(r.converged for r in committed.records)
    assert len({r.key for r in committed.records}) == len(committed.records)
    for r in committed.records:
        assert r.settings_hash == committed.card.settings_hash
        assert r.status in {"converged", "unconverged", "exploded", "failed"}
        if r.converged:
            assert len(r.numbers) * 3 == len(r.scaled_positions)
            assert 5 < r.volume_a3_per_atom < 40


def test_every_pair_of_elements_is_covered(committed):
    elements = {r.key.partition(":")[2] for r in committed.records if is_element_key(r.key)}
    assert len(elements) == 13
    pairs = {
        frozenset(r.key.partition(":")[2].split(","))
        for r in committed.records
        if not is_element_key(r.key)
    }
    assert {p for p in pairs if len(p) == 2} == {
        frozenset({a, b}) for a in elements for b in elements if a < b
    }
    assert sum(len(p) == 3 for p in pairs) >= 60


def test_every_titanium_binary_of_the_brief_is_there(committed):
    """The same materials in any equivalent labelling: the space lists each once."""
    space = load_config(find_asset("configs/discover/titanium.yaml"), CampaignSpec).space.build()
    all_of_it = space.decode(0, space.size)
    binary = (all_of_it.compositions().z > 0).sum(axis=1) == 2
    wanted = set(all_of_it[binary].keys())
    assert len(wanted) == 876
    assert wanted <= {r.key for r in committed.records}


def test_a_changed_table_and_a_missing_one_are_refused(committed, tmp_path):
    card = (committed.folder / "card.yaml").read_text()
    (tmp_path / "card.yaml").write_text(card)
    with pytest.raises(DataError, match="no table"):
        load_record_set(str(tmp_path))
    (tmp_path / committed.card.file).write_bytes(committed.table.read_bytes() + b"x")
    with pytest.raises(DataError, match="is not the table on its card"):
        load_record_set(str(tmp_path))
    with pytest.raises(DataError, match="did you mean"):
        load_record_set("datasets/ti_intermetalics")
