"""Recipes without relaxation: what DFT can afford from a potential's structure."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from matdisc.data import find_asset
from matdisc.errors import CompositionError, VerificationError
from matdisc.firstprinciples.eos import fixed_shape_minimum
from matdisc.firstprinciples.jobs import Job, compute, settings_hash
from matdisc.firstprinciples.records import Record, read_records
from matdisc.firstprinciples.specs import EquationOfStateSpec, RecipeSpec
from matdisc.firstprinciples.structures import (
    atoms_of,
    build_atoms,
    geometry_of,
    ground_state_key,
    symmetrised,
)
from matdisc.firstprinciples.verification import plan_verification, run_verification
from matdisc.firstprinciples.verify_specs import VerifySpec
from tests.firstprinciples.made_up import VOLUMES, Balloon, BalloonSpec, balloon

__all__ = ["balloon"]

EOS = EquationOfStateSpec(max_linear_strain=0.0135, n_points=5)


@pytest.mark.parametrize("factor", [0.94, 0.97, 1.0, 1.03, 1.06])
def test_the_minimum_is_found_within_the_points_and_a_little_beyond(factor):
    atoms = build_atoms("hcp:Ti")
    atoms.calc = Balloon(BalloonSpec(volume_factor=factor))
    before = atoms.cell.array.copy()
    fit = fixed_shape_minimum(atoms, EOS)
    assert fit.volume_a3 == pytest.approx(2 * factor * VOLUMES["Ti"], rel=1e-3)
    assert fit.bulk_modulus_gpa == pytest.approx(120, rel=0.03)
    assert fit.energy_ev == pytest.approx(-10.0, abs=1e-3)
    assert fit.n_points == 5 if 0.96 < factor < 1.04 else fit.n_points > 5
    assert np.array_equal(atoms.cell.array, before)


def test_a_minimum_far_away_is_not_guessed():
    atoms = build_atoms("hcp:Ti")
    atoms.calc = Balloon(BalloonSpec(volume_factor=1.4))
    with pytest.raises(VerificationError, match=r"no minimum|cannot be fitted"):
        fixed_shape_minimum(atoms, EOS)


def balloon_record(relax, structure=None, **settings) -> Record:
    spec = {"kind": "balloon", **settings}
    recipe = RecipeSpec(engine=spec, relax=relax, equation_of_state=EOS)
    job = Job("relax", "L1_0:Ti,Al", structure)
    return Record(**compute((job, recipe.model_dump_json())))


@pytest.mark.usefixtures("balloon")
@pytest.mark.parametrize("relax", ["none", "positions"])
def test_a_record_at_fixed_shape_is_that_of_the_minimum(relax):
    record = balloon_record(relax, volume_factor=1.02)
    assert record.converged
    mean = (VOLUMES["Ti"] + VOLUMES["Al"]) / 2
    assert record.volume_a3_per_atom == pytest.approx(1.02 * mean, rel=1e-3)
    assert record.energy_ev_per_atom == pytest.approx(-5.5, abs=1e-3)
    assert record.density_g_per_cm3 == pytest.approx(
        (47.867 + 26.98) / 2 / 0.6022 / 1.02 / mean, rel=1e-3
    )
    cell = np.reshape(record.cell_a, (3, 3))
    assert np.linalg.det(cell) / record.n_atoms == pytest.approx(record.volume_a3_per_atom)
    assert record.warnings.startswith("shape ")
    assert '"kind":"balloon"' in record.engine_settings
    assert '"numpy"' in record.engine_versions


@pytest.mark.usefixtures("balloon")
def test_a_loop_that_does_not_converge_is_a_failed_record():
    record = balloon_record("none", fails_with="Al")
    assert record.status == "failed"
    assert "no self-consistency" in record.error
    assert not record.converged


@pytest.mark.usefixtures("balloon")
def test_a_given_structure_is_the_start_and_its_symmetry_is_made_exact():
    atoms = build_atoms("L1_0:Ti,Al")
    doubled = atoms.repeat((1, 1, 2))
    doubled.positions += np.random.default_rng(0).normal(0, 1e-5, doubled.positions.shape)
    record = balloon_record("none", geometry_of(doubled))
    assert record.n_atoms == len(atoms)
    assert record.space_group_start == 123
    assert symmetrised(atoms_of(geometry_of(doubled)), 1e-9).get_volume() == pytest.approx(
        doubled.get_volume()
    )


def test_a_skew_primitive_cell_is_reduced():
    atoms = build_atoms("C49:Ti,Si")
    skew = atoms.copy()
    skew.set_cell(atoms.cell.array[[0, 1, 2]] + np.outer([0, 2, 0], atoms.cell.array[0]))
    skew.wrap()
    reduced = symmetrised(skew, 1e-3)
    assert len(reduced) == 6
    assert reduced.get_volume() == pytest.approx(atoms.get_volume())
    assert reduced.cell.angles().min() > 60 - 1e-6
    assert reduced.cell.angles().max() < 120 + 1e-6
    near = [np.sort(a.get_all_distances(mic=True).ravel()) for a in (atoms, reduced)]
    assert np.allclose(*near, atol=1e-3)


def test_the_recipe_of_the_committed_data_has_kept_its_hash():
    default = RecipeSpec()
    assert settings_hash(default, "relax") == "5ea9c24d16cdf148"
    assert settings_hash(RecipeSpec(relax="none"), "relax") != settings_hash(default, "relax")
    assert settings_hash(RecipeSpec(relax="none"), "elastic") == settings_hash(default, "elastic")
    [record, *_] = read_records(find_asset("datasets/ti_intermetallics/records.parquet"))
    assert record.engine_settings == ""  # a table of schema version 1


def test_known_ground_states():
    keys = [ground_state_key(e) for e in ("Ti", "Al", "Si", "Fe", "Sn")]
    assert keys == ["hcp:Ti", "fcc:Al", "diamond:Si", "bcc:Fe", "diamond:Sn"]
    with pytest.raises(CompositionError, match="ground state of Mn"):
        ground_state_key("Mn")


@pytest.mark.usefixtures("balloon")
def test_a_verification_may_start_from_relaxed_structures(tmp_path):
    spec = VerifySpec(
        recipe=RecipeSpec(engine={"kind": "balloon"}, relax="none", equation_of_state=EOS),
        structures="datasets/ti_intermetallics/records.parquet",
        materials=({"kind": "keys", "keys": ["hcp:Ti", "L1_0:Ti,Al"]},),
    )
    assert plan_verification(spec)["materials"] == 2
    result = run_verification(spec, out=tmp_path)
    records = read_records(result.path / "records.parquet")
    relaxed = {r.key: r for r in read_records(find_asset(spec.structures))}["hcp:Ti"]
    ratio = records[0].cell_a[8] / records[0].cell_a[0]
    assert ratio == pytest.approx(relaxed.cell_a[8] / relaxed.cell_a[0], rel=1e-3)
    assert ratio < 1.6  # the potential's c/a, not the ideal one of the prototype
    strange = spec.model_copy(update={"structures": str(result.path / "records.parquet")})
    assert run_verification(strange, out=tmp_path).path != result.path


def test_an_element_and_a_compound_by_key():
    names = ["hcp:Ti", "L1_0:Ti,Al", "omega:Ti"]
    spec = VerifySpec(materials=({"kind": "keys", "keys": names},))
    plan = plan_verification(spec)
    assert plan["by_prototype"] == {"hcp": 1, "L1_0": 1, "omega": 1}
    assert plan["minutes_on_one_process"] > 0
    assert bulk("Ti").get_volume() > 0
