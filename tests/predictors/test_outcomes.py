"""What a training refuses to learn from or to learn."""

import pytest

from matdisc.data.readers import read_raw
from matdisc.data.table import clean
from matdisc.errors import ConfigError
from matdisc.predictors.train_specs import TrainSpec
from matdisc.predictors.training import plan_training, run_training
from tests.data.made_up import make_card

HEAD = "Ti,Al,T (°C),route,UTS (MPa),HV,glass\n"
ROWS = "".join(f"{99 - i},{1 + i},20,cast,{900 + i},{300 + i},{'ny'[i % 2]}\n" for i in range(20))


@pytest.fixture
def measured(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(HEAD + ROWS, encoding="utf-8")
    card = make_card(
        targets=[
            {"name": "uts_mpa", "column": "UTS (MPa)", "unit": "MPa"},
            {"name": "glass", "column": "glass", "kind": "category"},
        ],
        outcomes=[{"columns": ["HV"], "reason": "it was measured on the broken bar"}],
    )
    return clean(card, read_raw(card.reader, path))


def spec(target="uts_mpa", conditions="all"):
    raw = {"name": "a", "data": "b", "target": target, "descriptors": {"conditions": conditions}}
    return TrainSpec.model_validate(raw)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("HV", "measured on the broken bar"), ("glass", "it is the target glass")],
)
def test_an_outcome_as_a_descriptor_is_refused_with_the_reason(measured, tmp_path, name, reason):
    wanted = spec(conditions=["temperature_c", name])
    with pytest.raises(ConfigError, match=f"{name!r} of made_up is an outcome.*{reason}"):
        plan_training(wanted, measured)
    with pytest.raises(ConfigError, match="never an input"):
        run_training(wanted, measured, out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_class_may_be_the_target(measured):
    assert plan_training(spec(target="glass"), measured)["classes"] == {"n": 10, "y": 10}
    assert plan_training(spec(), measured)["classes"] is None
