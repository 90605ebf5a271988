import pytest

from matdisc.data.headers import element_in, read_header, slug


@pytest.mark.parametrize(
    ("text", "element", "percent"),
    [
        ("Ti", "Ti", None),
        ("Ti (wt%)", "Ti", "weight"),
        ("Al wt.%", "Al", "weight"),
        ("wt% Nb", "Nb", "weight"),
        ("Mo [at%]", "Mo", "atomic"),
        ("Carbon, %", "C", "plain"),
        ("Aluminum (weight %)", "Al", "weight"),
        ("Ti_wt%", "Ti", "weight"),
        ("AL", "Al", None),
        ("x_Ti", "Ti", None),
        ("C", "C", None),
        ("Re (MPa)", None, None),
        ("No", None, None),
        ("TS", None, None),
        ("RA", None, None),
        ("UTS (MPa)", None, None),
        ("Elongation (%)", None, "plain"),
        ("T (°C)", None, None),
    ],
)
def test_elements_are_told_from_quantities(text, element, percent):
    header = read_header(text)
    assert element_in(header) == element
    assert header.percent == percent


@pytest.mark.parametrize(
    ("text", "unit", "name"),
    [
        ("UTS (MPa)", "MPa", "uts_mpa"),
        ("uts_mpa", "MPa", "uts_mpa"),
        ("Test temperature [°C]", "degC", "test_temperature_c"),
        ("test_temperature_c", "degC", "test_temperature_c"),
        ("Strain rate [s⁻¹]", "1/s", "strain_rate_per_s"),
        ("strain rate (s^-1)", "1/s", "strain_rate_per_s"),
        ("Young's modulus / GPa", "GPa", "young_s_modulus_gpa"),
        ("Density g/cm³", "g/cm3", "density_g_per_cm3"),
        ("E_f (eV/atom)", "eV/atom", "e_f_ev_per_atom"),
        ("Elongation (%)", "%", "elongation_percent"),
        ("Temperature, K", "K", "temperature_k"),
        ("Phase C", None, "phase_c"),
        ("2nd step", None, "x_2nd_step"),
    ],
)
def test_units_and_names(text, unit, name):
    header = read_header(text)
    assert header.unit == unit
    assert slug(header) == name
