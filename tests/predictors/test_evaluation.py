import numpy as np
import pytest

from matdisc.predictors import evaluation
from matdisc.predictors.evaluation import evaluate_grouped, predict_held_out
from matdisc.predictors.metrics import assess
from tests.predictors.problems import FAST_MLP, FAST_TREES, problem


@pytest.mark.parametrize("spec", [FAST_MLP, FAST_TREES], ids=lambda spec: spec.kind)
def test_held_out_rows_are_predicted_in_order_and_assessed(spec):
    data = problem(n=240, missing=0.1)
    calls = []
    held_out = predict_held_out(spec, *data, 4, 0, progress=lambda *a: calls.append(a))
    assert evaluate_grouped(spec, *data, 4, 0) == assess(data[2], held_out)
    assert [c[1] for c in calls] == [0, 1, 2, 3, 4]
    found = assess(data[2], held_out)["energy"]
    assert found["n"] == data[2].mask[:, 0].sum()
    assert found["spearman"] > 0.2, "rows out of order would not correlate"
    assert found["coverage90"] > 0.75


def test_nothing_of_a_held_out_group_is_seen(monkeypatch):
    values, labels, targets, groups = problem()
    train, seen = evaluation.train_surrogate, []

    def spy(spec, some_values, some_labels, some_targets, some_groups, seed, **kwargs):
        seen.append(some_groups)
        surrogate = train(spec, some_values, some_labels, some_targets, some_groups, seed, **kwargs)
        predict = surrogate.predict

        class Spied:
            def predict(self, rows):
                held_out = {tuple(row) for row in rows.tolist()}
                at_home = groups[[tuple(row) in held_out for row in values.tolist()]]
                assert not set(at_home.tolist()) & set(some_groups.tolist())
                return predict(rows)

        return Spied()

    monkeypatch.setattr(evaluation, "train_surrogate", spy)
    predict_held_out(FAST_TREES, values, labels, targets, groups, 5, 0)
    assert len(seen) == 5
    assert np.isin(groups, np.concatenate(seen)).all()
