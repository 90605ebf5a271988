"""Published coefficients of the criteria, by element symbol, with their sources.

All from the publications named, none fitted here. A coefficient of 0 is stated by
the source (a neutral element), not assumed: what a source does not rate is not listed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from matdisc.screening.criteria_registry import Source

__all__ = [
    "ANDREWS_MS",
    "ANDREWS_MS_AT_IRON",
    "ANDREWS_MS_MOST",
    "BANIA_MO",
    "BANIA_NEUTRAL",
    "BCC_TI_BO",
    "BCC_TI_MD",
    "GAMMA_PRIME_FORMERS",
    "ICH_CLASS_1",
    "IMPLANT_RESTRICTED",
    "NI3AL_MD",
    "ROHS_METALS",
    "ROSENBERG_AL",
    "SCHAEFFLER_CR",
    "SCHAEFFLER_NI",
    "SOURCES",
]

Table = Mapping[str, float]

BANIA_MO: Table = MappingProxyType(
    {
        "Mo": 1.0,
        "V": 0.67,
        "W": 0.44,
        "Nb": 0.28,
        "Ta": 0.22,
        "Fe": 2.9,
        "Cr": 1.6,
        "Al": -1.0,
    }
)
"""Molybdenum equivalent of titanium alloys [wt% Mo per wt%]."""
BANIA_NEUTRAL = ("Sn", "Zr", "Si", "O", "N", "C", "H")
"""Elements of Bania's own example alloys that the equivalent does not count."""

ROSENBERG_AL: Table = MappingProxyType(
    {"Al": 1.0, "Sn": 1 / 3, "Zr": 1 / 6, "O": 10.0, "C": 10.0, "N": 20.0}
)
"""Aluminium equivalent of titanium alloys [wt% Al per wt%]."""

BCC_TI_BO: Table = MappingProxyType(
    {
        "Ti": 2.790,
        "V": 2.805,
        "Cr": 2.779,
        "Mn": 2.723,
        "Fe": 2.651,
        "Co": 2.529,
        "Ni": 2.412,
        "Cu": 2.114,
        "Zr": 3.086,
        "Nb": 3.099,
        "Mo": 3.063,
        "Hf": 3.110,
        "Ta": 3.144,
        "W": 3.125,
        "Al": 2.426,
        "Si": 2.561,
        "Sn": 2.283,
    }
)
"""Bond order Bo of an element in bcc titanium [1]."""

BCC_TI_MD: Table = MappingProxyType(
    {
        "Ti": 2.447,
        "V": 1.872,
        "Cr": 1.478,
        "Mn": 1.194,
        "Fe": 0.969,
        "Co": 0.807,
        "Ni": 0.724,
        "Cu": 0.567,
        "Zr": 2.934,
        "Nb": 2.424,
        "Mo": 1.961,
        "Hf": 2.975,
        "Ta": 2.531,
        "W": 2.072,
        "Al": 2.200,
        "Si": 2.200,
        "Sn": 2.100,
    }
)
"""Energy level Md of the d orbitals of an element in bcc titanium [eV]."""

NI3AL_MD: Table = MappingProxyType(
    {
        "Ni": 0.717,
        "Co": 0.777,
        "Fe": 0.858,
        "Mn": 0.957,
        "Cr": 1.142,
        "V": 1.543,
        "Ti": 2.271,
        "Cu": 0.615,
        "Zr": 2.944,
        "Nb": 2.117,
        "Mo": 1.550,
        "Hf": 3.020,
        "Ta": 2.224,
        "W": 1.655,
        "Re": 1.267,
        "Al": 1.900,
        "Si": 1.900,
    }
)
"""Energy level Md of the d orbitals of an element in Ni3Al [eV]."""

GAMMA_PRIME_FORMERS = ("Al", "Ti", "Nb", "Ta")

SCHAEFFLER_CR: Table = MappingProxyType({"Cr": 1.0, "Mo": 1.0, "Si": 1.5, "Nb": 0.5})
"""Chromium equivalent of stainless steels, the same in Schaeffler's and DeLong's diagrams [wt%]."""
SCHAEFFLER_NI: Table = MappingProxyType({"Ni": 1.0, "C": 30.0, "Mn": 0.5})
"""Nickel equivalent of Schaeffler; DeLong's adds 30 N [wt%]."""

ANDREWS_MS_AT_IRON = 539.0
"""Constant of Andrews' linear formula [deg C]."""
ANDREWS_MS: Table = MappingProxyType(
    {"C": -423.0, "Mn": -30.4, "Ni": -17.7, "Cr": -12.1, "Mo": -7.5}
)
"""Coefficients of Andrews' linear formula [deg C per wt%]."""
ANDREWS_MS_MOST: Table = MappingProxyType({"C": 0.6, "Mn": 4.9, "Cr": 5.0, "Ni": 5.0, "Mo": 5.4})
"""Largest contents of the steels that Andrews fitted [wt%]."""

IMPLANT_RESTRICTED = ("Ni", "V", "Be", "Co")
ROHS_METALS = ("Cd", "Hg", "Pb")
ICH_CLASS_1 = ("As", "Cd", "Hg", "Pb")

SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        "andrews": Source("K. W. Andrews", 1965, "J. Iron Steel Inst. 203, 721"),
        "bania": Source("P. J. Bania", 1994, "JOM 46(7), 16", "10.1007/BF03220742"),
        "delong": Source("W. T. DeLong", 1974, "Welding J. 53, 273-s"),
        "fang": Source(
            "S. Fang et al.", 2003, "J. Non-Cryst. Solids 321, 120", "10.1016/S0022-3093(03)00155-8"
        ),
        "gaultois": Source(
            "M. W. Gaultois et al.", 2013, "Chem. Mater. 25, 2911", "10.1021/cm400893e"
        ),
        "guo": Source("S. Guo et al.", 2011, "J. Appl. Phys. 109, 103505", "10.1063/1.3587228"),
        "ich": Source("ICH", 2022, "guideline Q3D(R2) for elemental impurities, class 1"),
        "kuroda": Source(
            "D. Kuroda et al.", 1998, "Mater. Sci. Eng. A 243, 244", "10.1016/S0921-5093(97)00808-3"
        ),
        "mendeleev": Source(
            "L. M. Mentel", 2014, "mendeleev, a Python resource for properties of chemical elements"
        ),
        "morinaga": Source(
            "M. Morinaga et al.",
            1984,
            "Superalloys 1984, TMS, 523",
            "10.7449/1984/Superalloys_1984_523_532",
        ),
        "niinomi": Source(
            "M. Niinomi", 2002, "Metall. Mater. Trans. A 33, 477", "10.1007/s11661-002-0109-2"
        ),
        "reed": Source(
            "R. C. Reed", 2006, "The Superalloys, Cambridge", "10.1017/CBO9780511541285"
        ),
        "rohs": Source("European Union", 2011, "directive 2011/65/EU, annex II"),
        "rosenberg": Source(
            "H. W. Rosenberg",
            1970,
            "The Science, Technology and Application of Titanium, Pergamon, 851",
        ),
        "rsc": Source("Royal Society of Chemistry", 2014, "periodic table, as in mendeleev"),
        "schaeffler": Source("A. L. Schaeffler", 1949, "Metal Progress 56, 680"),
        "takeuchi": Source(
            "A. Takeuchi, A. Inoue", 2005, "Mater. Trans. 46, 2817", "10.2320/matertrans.46.2817"
        ),
        "vegard": Source("L. Vegard", 1921, "Z. Phys. 5, 17", "10.1007/BF01349680"),
        "wen": Source(
            "C. Wen et al.", 2019, "Acta Mater. 170, 109", "10.1016/j.actamat.2019.03.010"
        ),
        "yang": Source(
            "X. Yang, Y. Zhang",
            2012,
            "Mater. Chem. Phys. 132, 233",
            "10.1016/j.matchemphys.2011.11.021",
        ),
        "yeh": Source(
            "J.-W. Yeh et al.", 2004, "Adv. Eng. Mater. 6, 299", "10.1002/adem.200300567"
        ),
        "zhang": Source(
            "Y. Zhang et al.", 2008, "Adv. Eng. Mater. 10, 534", "10.1002/adem.200700240"
        ),
    }
)
"""Publications, by a short name."""
