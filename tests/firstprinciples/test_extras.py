"""The engines of the extras: their settings always, their numbers where they are installed."""

from __future__ import annotations

import pickle
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import pytest

from matdisc.cli import main
from matdisc.config import plugin_spec, plugins
from matdisc.errors import MissingExtraError
from matdisc.firstprinciples import chgnet_engine, gpaw_engine
from matdisc.firstprinciples.engines import TimedEngine
from matdisc.firstprinciples.gpaw_calculator import REFERENCE_CELL, k_points
from matdisc.firstprinciples.gpaw_engine import start_moments
from matdisc.firstprinciples.specs import CHGNetSpec, GPAWSpec
from matdisc.firstprinciples.structures import build_atoms
from matdisc.testing.doctor import examine


def installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def needs(package: str, extra: str):
    reason = f"{package} is not installed: pip install 'matdisc[{extra}]'"
    return [pytest.mark.slow, pytest.mark.skipif(not installed(package), reason=reason)]


@pytest.fixture
def no_extras(monkeypatch):
    def absent(name):
        if name in ("gpaw", "gpaw-data", "chgnet"):
            raise PackageNotFoundError(name)
        return version(name)

    for module in (gpaw_engine, chgnet_engine):
        monkeypatch.setattr(module, "version", absent)


def test_both_are_registered_and_say_what_they_are():
    assert {"gpaw", "chgnet", "sevenn"} <= set(plugins("matdisc.engines"))
    dft, potential = GPAWSpec().build(), CHGNetSpec().build()
    assert (dft.name, dft.level, dft.supports_spin) == ("gpaw/PBE", "dft", True)
    assert (potential.name, potential.level) == ("chgnet/0.3.0", "potential")
    assert potential.formation_energy_error_ev_per_atom == pytest.approx(
        0.061 * np.sqrt(np.pi / 2), rel=1e-3
    )
    for kind in plugins("matdisc.engines"):
        engine = plugin_spec("matdisc.engines", kind)().build()
        assert isinstance(engine, TimedEngine)
        one, two = (engine.seconds_per_energy(["Ti"] * n) for n in (2, 4))
        assert 0 < one < two


@pytest.mark.usefixtures("no_extras")
@pytest.mark.parametrize(("kind", "extra"), [("gpaw", "dft"), ("chgnet", "potentials")])
def test_an_absent_extra_is_named_with_its_remedy(kind, extra):
    engine = plugin_spec("matdisc.engines", kind)().build()
    for ask in (engine.versions, engine.calculator):
        with pytest.raises(MissingExtraError, match=rf"pip install 'matdisc\[{extra}\]'") as caught:
            ask()
        again = pickle.loads(pickle.dumps(caught.value))
        assert str(again) == str(caught.value)
        assert again.exit_code == 4


@pytest.mark.usefixtures("no_extras")
def test_the_doctor_says_missing_and_the_command_line_ends_with_4(tmp_path, capsys):
    engines = examine()["engines"]
    assert engines["gpaw"].startswith("missing extra 'dft': ")
    assert "GPAW_CONFIG" in engines["gpaw"]
    assert engines["chgnet"].startswith("missing extra 'potentials': ")
    assert engines["sevenn"] == "ok"
    out = tmp_path / "runs"
    config = "configs/verify/titanium_phases.yaml"
    assert main(["verify", config, "--dry-run"]) == 0
    assert main(["verify", config, "--out", str(out)]) == 4
    assert "pip install 'matdisc[dft]'" in capsys.readouterr().err
    assert not out.exists()


def test_the_mesh_follows_the_start_cell_not_the_strained_one():
    atoms = build_atoms("fcc:Al")
    mesh = k_points(atoms, 5.0)
    assert mesh == (14, 14, 14)
    strained = atoms.copy()
    strained.set_cell(atoms.cell * 0.9, scale_atoms=True)
    assert k_points(strained, 5.0) > mesh
    strained.info[REFERENCE_CELL] = atoms.cell.array
    assert k_points(strained, 5.0) == mesh
    doubled = strained.repeat((2, 1, 1))
    assert k_points(doubled, 5.0) != mesh
    assert k_points(doubled, 0.01) == (1, 1, 1)


def test_moments_at_the_start():
    assert start_moments(["Ti", "Al"], "auto") is None
    assert start_moments(["Ti", "Fe"], "off") is None
    assert start_moments(["Ti", "Fe", "Fe"], "auto") == [0.0, 2.5, 2.5]
    assert start_moments(["Ti", "Al"], "on") == [1.0, 1.0]


class TestGPAW:
    pytestmark = needs("gpaw", "dft")

    def test_aluminium_by_an_equation_of_state(self, capfd):
        from matdisc.firstprinciples.jobs import Job, compute
        from matdisc.firstprinciples.records import Record
        from matdisc.firstprinciples.specs import EquationOfStateSpec, RecipeSpec

        recipe = RecipeSpec(
            engine=GPAWSpec(k_density_per_inverse_a=4.0),
            relax="none",
            equation_of_state=EquationOfStateSpec(max_linear_strain=0.0135),
        )
        record = Record(**compute((Job("relax", "fcc:Al"), recipe.model_dump_json())))
        assert record.converged, record.error
        assert (4 * record.volume_a3_per_atom) ** (1 / 3) == pytest.approx(4.039, abs=0.015)
        assert record.bulk_modulus_gpa == pytest.approx(77, abs=6)
        assert record.engine == "gpaw/PBE"
        assert '"gpaw-data"' in record.engine_versions
        assert capfd.readouterr().out == ""

    def test_iron_has_a_moment(self):
        atoms = build_atoms("bcc:Fe")
        atoms.calc = GPAWSpec(k_density_per_inverse_a=3.0).build().calculator()
        atoms.get_potential_energy()
        assert 1.8 < atoms.calc.results["magmom"] < 2.8


class TestCHGNet:
    pytestmark = needs("chgnet", "potentials")

    def test_gamma_titanium_aluminide(self, tmp_path, capfd):
        from matdisc.firstprinciples.jobs import Job, run_jobs
        from matdisc.firstprinciples.specs import RecipeSpec
        from matdisc.firstprinciples.store import JobStore

        jobs = [Job("relax", key) for key in ("hcp:Ti", "fcc:Al", "L1_0:Ti,Al")]
        with JobStore(tmp_path / "jobs.sqlite") as store:
            done = run_jobs(jobs, RecipeSpec(engine=CHGNetSpec()), store, n_workers=0)
        assert all(r["converged"] for r in done)
        titanium, aluminium, gamma = (r["energy_ev_per_atom"] for r in done)
        assert gamma - (titanium + aluminium) / 2 == pytest.approx(-0.460, abs=0.005)
        assert capfd.readouterr().out == ""


def test_an_unknown_engine_is_a_usage_error(tmp_path, capsys):
    assert main(["verify", str(tmp_path), "--engine", "gpwa"]) == 2
    assert "did you mean 'gpaw'?" in capsys.readouterr().err
    assert main(["verify", str(tmp_path)]) == 2
    assert "--engine" in capsys.readouterr().err
    config = "configs/verify/titanium_phases.yaml"
    assert main(["verify", config, "--engine", "gpaw"]) == 2
    assert "recipe.engine" in capsys.readouterr().err
    assert main(["verify", str(tmp_path), "--engine", "gpaw"]) == 3
    assert "not a matdisc run" in capsys.readouterr().err
