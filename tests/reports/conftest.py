"""A campaign's run directory with made-up numbers, written by the real producers' types."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from matdisc.composition.compositions import Compositions
from matdisc.composition.decorations import Decorations
from matdisc.config import load_config
from matdisc.discovery.dataset import RecordCard
from matdisc.discovery.finals import criteria_of, result_row
from matdisc.discovery.specs import CampaignSpec
from matdisc.firstprinciples.records import ElasticRecord, Record, records_table
from matdisc.runs import Run, open_run

ROOT = Path(__file__).parents[2]
TARGETS = {
    "formation_energy_ev_per_atom": ("eV/atom", -0.35, 0.08),
    "volume_a3_per_atom": ("A^3/atom", 15.0, 1.2),
    "bulk_modulus_gpa": ("GPa", 140.0, 25.0),
}
ROUNDS = {
    1: ["D8_8:Ti,Ti,Si", "L2_1:Ti,Al,Nb", "C40:Si,Ti", "B2:Ti,Fe", "L1_2:Ti,Al", "D0_22:Ti,Al,V"],
    2: ["C54:Si,Ti", "D0_19:Ti,Sn", "C15:Cr,Ti", "B33:Ti,Si", "O:Ti,Al,Nb", "C14:Ti,Fe,Fe"],
    3: ["L1_0:Ti,Al", "D0_23:Ti,Al", "B27:Ti,Si", "C11_b:Ti,Cu", "D0_24:Ti,Ni", "C16:Zr,Ti"],
}
EXPLODED = "C16:Zr,Ti"
FINALISTS = ["B27:Ti,Si", "D8_8:Ti,Ti,Si", "C40:Si,Ti", "C54:Si,Ti", "D0_23:Ti,Al", "D0_19:Ti,Sn"]
YOUNG = (262.0, 248.0, 264.0, 255.0, 196.0, 150.0)
HULLS = {
    "Ti-Al": [
        ("hcp:Ti", 0.0, 0.0, True),
        ("bcc:Ti", 0.0, 0.0335, False),
        ("omega:Ti", 0.0, 0.0277, False),
        ("D0_19:Ti,Al", 0.25, -0.326, True),
        ("O:Ti,Ti,Al", 0.25, -0.3255, False),
        ("O:Ti,Al,Ti", 0.25, -0.3256, False),
        ("L1_2:Ti,Al", 0.25, -0.294, False),
        ("L1_0:Ti,Al", 0.5, -0.448, True),
        ("B2:Ti,Al", 0.5, -0.328, False),
        ("D0_22:Ti,Al,Al", 0.75, -0.433, False),
        ("D0_23:Ti,Al", 0.75, -0.435, True),
        ("L1_2:Al,Ti", 0.75, -0.408, False),
        ("fcc:Al", 1.0, 0.0, True),
        ("bcc:Al", 1.0, 0.1, False),
    ],
    "Ti-Si": [
        ("hcp:Ti", 0.0, 0.0, True),
        ("D8_8:Ti,Ti,Si", 0.375, -0.79, True),
        ("B27:Ti,Si", 0.5, -0.81, True),
        ("C54:Si,Ti", 2 / 3, -0.58, True),
        ("C40:Si,Ti", 2 / 3, -0.57, False),
        ("diamond:Si", 1.0, 0.0, True),
        ("fcc:Si", 1.0, 0.49, False),
    ],
    "Ti-Nb": [("hcp:Ti", 0.0, 0.0, True), ("bcc:Nb", 1.0, 0.0, True)],
}
INCUMBENTS = {"L1_0:Ti,Al": 171.0, "D0_19:Ti,Al": 139.0}


@pytest.fixture(scope="session")
def brief() -> CampaignSpec:
    return load_config(ROOT / "configs" / "discover" / "titanium.yaml", CampaignSpec)


def record(key: str, rng: np.random.Generator) -> Record:
    exploded = key == EXPLODED
    rows = Decorations.from_keys([key])
    density = float(criteria_density(rows.compositions()))
    return Record(
        key=key,
        formula=rows.formulas()[0],
        n_atoms=8,
        engine="sevenn/7net-l3i5",
        settings_hash="5e771465aa11",
        status="exploded" if exploded else "converged",
        converged=not exploded,
        error="volume ratio 2.4 after 12 steps" if exploded else "",
        warnings="no spin: Cr, Fe, Co, Ni"
        if {"Fe", "Cr", "Ni"} & set(key.split(":")[1].split(","))
        else "",
        energy_ev_per_atom=-6.0,
        volume_a3_per_atom=15.0,
        density_g_per_cm3=density,
        bulk_modulus_gpa=float(rng.normal(140, 20)),
        space_group_start=123,
        space_group=139 if key.startswith("D0_23") else 123,
        seconds=float("nan") if exploded else 7.25,
    )


def criteria_density(compositions: Compositions) -> float:
    from matdisc.screening.criteria import evaluate_criteria

    return float(evaluate_criteria(compositions).values["density_g_per_cm3"][0])


def elastic(key: str, young: float, *, stable: bool = True) -> ElasticRecord:
    return ElasticRecord(
        key=key,
        engine="sevenn/7net-l3i5",
        settings_hash="e1a571c0bb22",
        status="converged",
        converged=True,
        tensor_gpa=[1.0] * 36,
        shear_modulus_gpa=young / 2.5,
        young_modulus_gpa=young,
        pugh_ratio=1.9,
        born_stable=stable,
        min_eigenvalue_gpa=31.0 if stable else -4.2,
        seconds=21.0,
    )


def row(rec: Record, tensor: ElasticRecord | None, source: str, above: float) -> dict[str, Any]:
    facts = {
        "formation_energy_ev_per_atom": above - 0.3,
        "above_others_ev_per_atom": above,
        "e_hull_ev_per_atom": max(above, 0.0),
        "probability_feasible": 0.72 if above < 0.03 else 0.004,
        "competitors": ["D0_19:Ti,Al", "hcp:Ti"],
    }
    criteria = criteria_of(Compositions.from_formulas([rec.formula]))[0]
    return result_row(rec, tensor, facts, criteria, source)


def evaluations(rng: np.random.Generator, records: dict[str, Record]) -> list[dict[str, Any]]:
    entries = []
    for number, keys in ROUNDS.items():
        for position, key in enumerate(keys):
            entry: dict[str, Any] = {
                "round": number,
                "key": key,
                "formula": records[key].formula,
                "score": 1.5 - 0.1 * position,
                "in_domain": True,
                "hull_energy_ev_per_atom": -0.36,
                "competitors": ["L1_0:Ti,Al", "hcp:Ti"],
            }
            for target, (_, middle, spread) in TARGETS.items():
                mean = float(rng.normal(middle, spread))
                entry |= {
                    f"{target}_mean": mean,
                    f"{target}_std": spread / 2,
                    f"{target}_lower": mean - spread,
                    f"{target}_upper": mean + spread,
                }
            seconds = records[key].seconds
            entry |= {
                "source": "live" if position < 4 else "looked up",
                "status": records[key].status,
                "seconds": seconds if np.isfinite(seconds) else None,
            }
            entries.append(entry)
    return entries


def quality(rng: np.random.Generator, entries: list[dict[str, Any]]) -> dict[str, Any]:
    def scores(unit: str, spread: float, n: int) -> dict[str, Any]:
        return {"unit": unit, "n": n, "mae": spread / 3, "r2": 0.86, "coverage90": 0.893}

    acquired = {}
    for target, (unit, _, spread) in TARGETS.items():
        points = [
            {
                "key": e["key"],
                "round": e["round"],
                "predicted": e[f"{target}_mean"],
                "lower": e[f"{target}_lower"],
                "upper": e[f"{target}_upper"],
                "computed": e[f"{target}_mean"] + float(rng.normal(0, spread / 2)),
            }
            for e in entries
            if e["status"] == "converged"
        ]
        acquired[target] = {"points": points, **scores(unit, spread, len(points))}
    held_out: dict[str, Any] = {"n_training": 266, "n_held_out": 812}
    for name, factor in (("surrogate", 1.0), ("baseline", 1.4)):
        held_out[name] = {t: scores(u, factor * s, 812) for t, (u, _, s) in TARGETS.items()}
    return {"acquired": acquired, "held_out": held_out}


def replay() -> dict[str, Any]:
    loop, random = [9.0, 4.1, 2.2, 1.0, 0.4], [9.0, 7.8, 6.9, 6.0, 5.5]
    curve = lambda mean, w: {  # noqa: E731
        "mean": mean,
        "p05": [max(v - w, 0.0) for v in mean],
        "p95": [v + w for v in mean],
    }
    return {
        "n_seeds": 20,
        "batch_size": 14,
        "n_candidates": 1400,
        "n_feasible": 120,
        "best_merit": 41.0,
        "unit": "GPa cm^3/g",
        "seeds": [],
        "loop": curve(loop, 1.8),
        "random": curve(random, 2.6),
        "loop_feasible_mean": 31.4,
        "random_feasible_mean": 5.1,
        "seeds_won": 17,
        "seeds_lost": 2,
    }


SANITY = [
    ("L1_0:Ti,Al at -0.448 eV/atom", "-0.448 eV/atom", True, ""),
    ("D0_19:Ti,Al below L1_2:Ti,Al", "by +32 meV/atom", True, ""),
    ("TiFe2 in C14 or D0_24", "not computed", None, ""),
    ("no stable compound in Ti-Mo", "1 on the hull, deepest B2:Ti,Mo -120 meV/atom", False, ""),
    ("hcp:Ti below omega:Ti", "by +28 meV/atom", True, "GPAW-PBE gives -3 meV/atom"),
]


def funnel(n_space: int) -> list[dict[str, Any]]:
    def stage(name: str, entered: int, rejected: dict[str, int], **flagged: int) -> dict[str, Any]:
        left = entered - sum(rejected.values())
        return {
            "stage": name,
            "entered": entered,
            "rejected": rejected,
            "flagged": flagged,
            "survived": left,
        }

    over = {"price_usd_per_kg above 60": 212, "supply_risk above 7.5": 96}
    left = n_space - sum(over.values())
    return [
        stage("criteria", n_space, over, **{"supply_risk unknown for Si": 590}),
        stage("features", left, {}),
        stage("predictions", left, {}),
        stage("domain", left, {}, **{"outside the surrogate's domain": 320}),
        stage("score", left, {}),
        stage("selection", left, {}),
    ]


def card() -> dict[str, Any]:
    values = {
        "name": "ti_intermetallics",
        "description": "Elements and intermetallics of titanium, relaxed with a potential.",
        "file": "records.parquet",
        "sha256": "ab" * 32,
        "n_records": 1620,
        "n_converged": 1588,
        "engine": "sevenn/7net-l3i5",
        "settings_hash": "5e771465aa11",
        "versions": {"sevenn": "0.13.0", "torch": "2.13.0", "ase": "3.29.0"},
        "command": "matdisc verify configs/verify/ti_intermetallics.yaml",
        "hardware": "2 cores",
        "started": "2026-11-22T18:00:00+00:00",
        "licence": "Apache-2.0",
    }
    return RecordCard(**values).model_dump(mode="json")


class FakeCampaign:
    """The content of a finished campaign; tests change it before it is written."""

    def __init__(self, spec: CampaignSpec) -> None:
        rng = np.random.default_rng(7)
        self.spec = spec
        keys = [key for keys in ROUNDS.values() for key in keys]
        self.records = {key: record(key, rng) for key in [*keys, *INCUMBENTS]}
        self.elastic = {
            key: elastic(key, young, stable=key != "C40:Si,Ti")
            for key, young in zip(FINALISTS, YOUNG, strict=True)
        } | {key: elastic(key, young) for key, young in INCUMBENTS.items()}
        self.evaluations = evaluations(rng, self.records)
        above = {key: float(rng.normal(0.0, 0.03)) for key in self.records}
        verified = [
            row(self.records[e["key"]], self.elastic.get(e["key"]), e["source"], above[e["key"]])
            for e in self.evaluations
            if e["status"] == "converged"
        ]
        finalists = [r for r in verified if r["key"] in FINALISTS]
        best = [r for r in finalists if r["born_stable"]]
        best.sort(key=lambda r: -r["specific_stiffness"])
        self.funnel = funnel(4188)
        self.results: dict[str, Any] = {
            "name": spec.name,
            "brief": spec.brief,
            "seed": spec.seed,
            "candidates_in_space": 4188,
            "prototypes": 33,
            "start_records": 266,
            "engine": spec.oracle.model_dump(mode="json"),
            "engine_error_ev_per_atom": 0.054,
            "hull_tolerance_ev_per_atom": spec.hull_tolerance_ev_per_atom,
            "data": card(),
            "rounds": [
                {"number": n, "known": 266 + 6 * n, "live": 4, "looked_up": 2, "merit_to_beat": m}
                for n, m in ((1, 31.4), (2, 33.0), (3, 34.2))
            ],
            "evaluations": {
                "live": 12,
                "looked_up": 6,
                "unconverged": 1,
                "elastic_live": len(self.elastic),
                "reproduced": {"n": 9, "max_energy_gap_ev_per_atom": 1.2e-6},
            },
            "best": best,
            "not_born_stable": [r for r in finalists if not r["born_stable"]],
            "verified": verified,
            "incumbents": [self._incumbent(i, above) for i in spec.incumbents],
            "sanity": [
                dict(zip(("expected", "found", "agrees", "note"), line, strict=True))
                for line in SANITY
            ],
            "hull_of_anchor_systems": {
                system: [
                    dict(
                        zip(
                            ("key", "share", "formation_energy_ev_per_atom", "on_hull"),
                            point,
                            strict=True,
                        )
                    )
                    for point in points
                ]
                for system, points in HULLS.items()
            },
            "quality": quality(rng, self.evaluations),
            "replay": replay(),
        }

    def _incumbent(self, incumbent: Any, above: dict[str, float]) -> dict[str, Any]:
        if "-" in incumbent.alloy:
            compositions = Compositions.from_alloy_designations([incumbent.alloy])
        else:
            compositions = Compositions.from_formulas([incumbent.alloy])
        values = {
            name: getattr(incumbent, name)
            for name in ("name", "alloy", "young_modulus_gpa", "density_g_per_cm3", "source")
        }
        key = incumbent.key
        stiffness = incumbent.young_modulus_gpa / incumbent.density_g_per_cm3
        return {
            **values,
            "specific_stiffness": stiffness,
            **criteria_of(compositions)[0],
            "computed": row(self.records[key], self.elastic[key], "data", above[key])
            if key
            else None,
        }

    def write(self, out: Path, *, publish: bool = False) -> Path:
        """Write the run directory as a campaign does, up to the report."""
        with open_run("discover", self.spec.model_dump(mode="json"), out=out) as run:
            self._write(run)
            if publish:
                from matdisc.reports import build_report

                with run.stage("report"):
                    build_report(run.path)
                run.publish()
            return run.path

    def _write(self, run: Run) -> None:
        for number in (r["number"] for r in self.results["rounds"]):
            with run.stage(f"round {number}: screen"):
                run.write_json(f"round-{number}/funnel.json", self.funnel)
            mine = [e for e in self.evaluations if e["round"] == number]
            run.write_json(f"round-{number}/evaluations.json", mine)
            records = [self.records[e["key"]] for e in mine]
            run.write_table(f"round-{number}/records.parquet", records_table(records, Record))
        if self.elastic:
            table = records_table(list(self.elastic.values()), ElasticRecord)
            run.write_table("elastic.parquet", table)
        run.write_json("results.json", self.results)


@pytest.fixture(scope="session")
def template(brief) -> FakeCampaign:
    return FakeCampaign(brief)


@pytest.fixture
def campaign(template) -> FakeCampaign:
    return copy.deepcopy(template)


@pytest.fixture(scope="session")
def whole_page(template, tmp_path_factory) -> str:
    """The report of the unchanged campaign."""
    from matdisc.reports import build_report

    return build_report(template.write(tmp_path_factory.mktemp("runs"))).read_text("utf-8")


@pytest.fixture
def page(tmp_path) -> Callable[[FakeCampaign], str]:
    """Write a campaign, build its report, read it."""

    def build(campaign: FakeCampaign) -> str:
        from matdisc.reports import build_report

        return build_report(campaign.write(tmp_path / "runs")).read_text("utf-8")

    return build
