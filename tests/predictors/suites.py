"""A small evaluation that the tests share: two tasks, two seeds, three folds."""

import json

import numpy as np
import yaml

from tests.data.made_up import make_card

TREES = {"kind": "extra-trees", "n_members": 4, "n_folds": 2, "trees_per_member": 4}
BOOSTED = {"kind": "gradient-boosting", "n_members": 2, "n_folds": 2, "n_trees": 8}


def write_dataset(folder, name="made_up", n=72, rows_per_alloy=2, seed=3):
    """A card beside its table: strength rises with Al and falls with temperature."""
    rng = np.random.default_rng(seed)
    lines = ["Ti,Al,T (°C),route,UTS (MPa),YS (MPa),strong"]
    for i in range(n):
        al = round(1 + 20 * (i // rows_per_alloy) * rows_per_alloy / n, 2)
        t = float(rng.choice([20, 300, 600]))
        uts = 400 + 40 * al - 0.3 * t + rng.normal(0, 10)
        ys = max(uts - 400 + rng.normal(0, 15), -5.0)
        lines.append(
            f"{100 - al:.2f},{al},{t:g},{'ac'[i % 2]},{uts:.1f},{ys:.1f},"
            f"{'yes' if uts > 700 else 'no'}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "table.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    card = make_card(
        name=name,
        targets=[
            {"name": "uts_mpa", "column": "UTS (MPa)", "unit": "MPa"},
            {"name": "ys_mpa", "column": "YS (MPa)", "unit": "MPa"},
            {"name": "strong", "column": "strong", "kind": "category"},
        ],
    )
    path = folder / "card.yaml"
    path.write_text(yaml.safe_dump(json.loads(card.model_dump_json())), encoding="utf-8")
    return path


def write_config(folder, **changes):
    """A config of two tasks on the dataset."""
    card = folder / "card.yaml"
    if not card.is_file():
        write_dataset(folder)
    raw = {
        "name": "small",
        "tasks": [
            {"name": "uts", "data": str(card), "target": "uts_mpa", "bars": {"mae": {"must": 1e6}}},
            {
                "name": "log_ys",
                "data": str(card),
                "target": "ys_mpa",
                "above": 0,
                "transform": "log1p",
                "notes": "made up",
            },
        ],
        "predictor": TREES,
        "baselines": [BOOSTED],
        "search": None,
        "seeds": [0, 100],
        "n_folds": 3,
        "least_groups": 20,
        "n_workers": 1,
    }
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump(raw | changes), encoding="utf-8")
    return path
