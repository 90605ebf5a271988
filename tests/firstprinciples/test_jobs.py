"""Jobs with the real default engine; the only fast tests that load it."""

import pytest

from matdisc.firstprinciples import jobs
from matdisc.firstprinciples.jobs import Job, run_jobs, settings_hash
from matdisc.firstprinciples.records import ElasticRecord, Record
from matdisc.firstprinciples.specs import RecipeSpec, RelaxationSpec
from matdisc.firstprinciples.store import JobStore

RECIPE = RecipeSpec()
KEYS = ["fcc:Al", "hcp:Ti", "L1_0:Ti,Al"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def records(folder):
    with JobStore(folder / "jobs.sqlite") as store:
        results = run_jobs([Job("relax", key) for key in KEYS], RECIPE, store, n_workers=2)
    return {r["key"]: Record(**r) for r in results}


def test_relaxations_reproduce_the_reference_values_of_the_engine(records):
    titanium, aluminium, gamma = records["hcp:Ti"], records["fcc:Al"], records["L1_0:Ti,Al"]
    assert all(r.converged and r.engine == "sevenn/7net-l3i5" for r in records.values())
    assert titanium.cell_a[0] == pytest.approx(2.941, abs=0.01)
    assert titanium.bulk_modulus_gpa == pytest.approx(118, abs=4)
    assert (4 * aluminium.volume_a3_per_atom) ** (1 / 3) == pytest.approx(4.037, abs=0.01)
    assert aluminium.bulk_modulus_gpa == pytest.approx(76, abs=3)
    mixed = (titanium.energy_ev_per_atom + aluminium.energy_ev_per_atom) / 2
    assert gamma.energy_ev_per_atom - mixed == pytest.approx(-0.448, abs=0.005)
    assert gamma.space_group == gamma.space_group_start == 123
    assert gamma.density_g_per_cm3 == pytest.approx(3.82, abs=0.05)


def test_nothing_is_computed_twice(records, folder, monkeypatch):
    def never(*_):
        raise AssertionError("a finished job was computed again")

    monkeypatch.setattr(jobs, "map_processes", never)
    seen = []
    with JobStore(folder / "jobs.sqlite") as store:
        results = run_jobs(
            [Job("relax", key) for key in KEYS],
            RECIPE,
            store,
            n_workers=2,
            on_result=lambda i, job, result, live: seen.append((job.key, live)),
        )
    assert [r["energy_ev_per_atom"] for r in results] == [
        records[key].energy_ev_per_atom for key in KEYS
    ]
    assert seen == [(key, False) for key in KEYS]


def test_an_elastic_tensor_comes_with_its_averages(records, folder):
    r = records["fcc:Al"]
    structure = (tuple(r.numbers), tuple(r.cell_a), tuple(r.scaled_positions))
    with JobStore(folder / "jobs.sqlite") as store:
        (result,) = run_jobs([Job("elastic", r.key, structure)], RECIPE, store, n_workers=1)
    elastic = ElasticRecord(**result)
    assert elastic.converged
    assert elastic.born_stable
    assert elastic.bulk_modulus_gpa == pytest.approx(r.bulk_modulus_gpa, rel=0.05)
    assert len(elastic.tensor_gpa) == 36


def test_other_settings_are_another_job():
    sharper = RecipeSpec(relaxation=RelaxationSpec(fmax_ev_per_a=0.001))
    assert settings_hash(RECIPE, "relax") != settings_hash(sharper, "relax")
    assert settings_hash(RECIPE, "relax") != settings_hash(RECIPE, "elastic")
