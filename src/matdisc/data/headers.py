"""What the header of a column says: a quantity, its unit, perhaps a chemical element."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from matdisc.composition.elements import atomic_number
from matdisc.errors import CompositionError

__all__ = ["Header", "element_in", "is_unit", "read_header", "slug", "unit_in"]

Percent = Literal["weight", "atomic", "plain"]

_ELEMENTS = """
H hydrogen He helium Li lithium Be beryllium B boron C carbon N nitrogen O oxygen F fluorine Ne neon
Na sodium Mg magnesium Al aluminium Si silicon P phosphorus S sulfur Cl chlorine Ar argon
K potassium Ca calcium Sc scandium Ti titanium V vanadium Cr chromium Mn manganese Fe iron Co cobalt
Ni nickel Cu copper Zn zinc Ga gallium Ge germanium As arsenic Se selenium Br bromine Kr krypton
Rb rubidium Sr strontium Y yttrium Zr zirconium Nb niobium Mo molybdenum Tc technetium Ru ruthenium
Rh rhodium Pd palladium Ag silver Cd cadmium In indium Sn tin Sb antimony Te tellurium I iodine
Xe xenon Cs caesium Ba barium La lanthanum Ce cerium Pr praseodymium Nd neodymium Pm promethium
Sm samarium Eu europium Gd gadolinium Tb terbium Dy dysprosium Ho holmium Er erbium Tm thulium
Yb ytterbium Lu lutetium Hf hafnium Ta tantalum W tungsten Re rhenium Os osmium Ir iridium
Pt platinum Au gold Hg mercury Tl thallium Pb lead Bi bismuth Th thorium U uranium
"""
_SYMBOLS = _ELEMENTS.split()[::2]
_BY_NAME = {
    **dict(zip(_ELEMENTS.split()[1::2], _SYMBOLS, strict=True)),
    **{
        "aluminum": "Al",
        "sulphur": "S",
        "cesium": "Cs",
        "wolfram": "W",
        "columbium": "Nb",
        "cb": "Nb",
    },
}
# No column of a table of alloys holds these, but "No", "Ra", "Ts" are common headers.
_RARE_BUT_REAL = {"Th", "U", "Pu"}

_WEIGHT = {"wt%", "wt", "wtpct", "weight%", "mass%", "m%", "w%", "weightpercent", "masspercent"}
_WEIGHT |= {"m-%", "ma-%", "gew-%", "wt-%", "mass-%", "weight-%"}
_WEIGHT |= {"%wt", "%weight", "%mass", "wtpercent", "weightfraction", "massfraction", "wtfraction"}
_ATOMIC = {"at%", "at", "atpct", "atomic%", "mol%", "mole%", "a%", "atomicpercent", "molpercent"}
_ATOMIC |= {"at-%", "mol-%", "atom-%"}
_ATOMIC |= {"%at", "%atomic", "%mol", "atpercent", "molefraction", "molfraction", "atomicfraction"}
_PLAIN = {"%", "pct", "percent"}

_UNITS = {
    "degc": "degC", "c": "degC", "celsius": "degC", "k": "K", "kelvin": "K", "f": "degF",
    "degf": "degF", "h": "h", "hr": "h", "hrs": "h", "hour": "h", "hours": "h", "min": "min",
    "mins": "min", "minutes": "min", "s": "s", "sec": "s", "seconds": "s", "d": "d", "days": "d",
    "mpa": "MPa", "gpa": "GPa", "kpa": "kPa", "pa": "Pa", "ksi": "ksi", "psi": "psi",
    "n/mm2": "N/mm2", "hv": "HV", "hrc": "HRC", "hb": "HB", "%": "%", "pct": "%", "percent": "%",
    "1/s": "1/s", "s-1": "1/s", "/s": "1/s", "mm": "mm", "um": "um", "nm": "nm", "cm": "cm",
    "g/cm3": "g/cm3", "gcm-3": "g/cm3", "kg/m3": "kg/m3", "ev": "eV", "mev": "meV",
    "ev/atom": "eV/atom", "mev/atom": "meV/atom", "kj/mol": "kJ/mol", "j": "J", "kj": "kJ",
    "j/cm2": "J/cm2", "mpam0.5": "MPa m0.5", "mpam1/2": "MPa m0.5", "w/mk": "W/m/K",
    "ws/cm": "S/cm", "s/cm": "S/cm", "s/m": "S/m", "ohmcm": "ohm cm", "v": "V", "mv": "mV",
    "a/m": "A/m", "t": "T", "mm/min": "mm/min", "degc/min": "degC/min", "k/min": "K/min",
    "k/s": "K/s", "degc/s": "degC/s", "cycles": "cycles", "mm/s": "mm/s", "j/mm3": "J/mm3",
    "angstrom": "angstrom", "1": "1", "ppm": "ppm", "wppm": "ppm", "wtppm": "ppm", "ppmw": "ppm",
    "appm": "appm", "atppm": "appm", "ppb": "ppb",
}  # fmt: skip

_BRACKETED = re.compile(r"^(?P<stem>.*?)\s*[\[({](?P<unit>[^\[\](){}]*)[\])}]\s*(?P<rest>.*)$")
_AFTER_SEPARATOR = re.compile(r"^(?P<stem>.+?)\s*[,/:;]\s*(?P<unit>[^,:;]+)$")
_LAST_WORD = re.compile(r"^(?P<stem>.+?)[\s_]+(?P<unit>[^\s_]+)$")
_FIRST_WORD = re.compile(r"^(?P<unit>\S+)[\s_]+(?P<stem>.+)$")


@dataclass(frozen=True, slots=True)
class Header:
    """A column name taken apart."""

    text: str
    stem: str
    """What is left without the unit."""
    unit: str | None
    """In the spelling of matdisc, None if there is none that it knows."""
    percent: Percent | None
    """Of a unit that is a percentage: of what."""


def _compact(text: str) -> str:
    text = text.strip().lower().replace("°", "deg").replace("º", "deg").replace("℃", "degc")
    text = text.replace("μ", "u").replace("µ", "u").replace("²", "2").replace("³", "3")
    text = (
        text.replace("⁻¹", "-1")
        .replace("$^{\\circ}$", "deg")
        .replace("$^\\circ$", "deg")
        .replace("å", "angstrom")
    )
    text = re.sub(r"[\s_*·^.](?!\d)|[\s_*·^]", "", text).replace("degreesc", "degc")
    return text.replace("degreec", "degc").strip(".")


def _percent_in(compact: str) -> Percent | None:
    for kind, words in (("weight", _WEIGHT), ("atomic", _ATOMIC), ("plain", _PLAIN)):
        if compact in words:
            return kind  # type: ignore[return-value]
    return None


def unit_in(text: str) -> str | None:
    """The unit that a text stands for, in the spelling of matdisc; None if it is none."""
    compact = _compact(text)
    percent = _percent_in(compact)
    if percent:
        return {"weight": "wt%", "atomic": "at%", "plain": "%"}[percent]
    return _UNITS.get(compact)


def is_unit(text: str) -> bool:
    """Whether a text is nothing but a unit."""
    return unit_in(text) is not None


def read_header(text: str) -> Header:
    """Take a column name such as ``Ti (wt%)``, ``wt% Nb``, ``Carbon, %`` or ``uts_mpa`` apart."""
    clean = " ".join(text.split())
    for pattern in (_BRACKETED, _AFTER_SEPARATOR, _LAST_WORD, _FIRST_WORD):
        match = pattern.match(clean)
        if match is None:
            continue
        compact = _compact(match["unit"])
        unit, percent = unit_in(match["unit"]), _percent_in(compact)
        # A first or last word of one letter is no unit: "Phase C", "Group T", "Ti s".
        short = (
            pattern in (_LAST_WORD, _FIRST_WORD)
            and len(compact) == 1
            and not (
                compact in "%h"
                or (compact in "ckf" and re.search(r"(?i)temp|\bt\b", match["stem"]))
            )
        )
        if unit is None or short or (pattern is _FIRST_WORD and percent is None):
            continue
        rest = match["rest"] if pattern is _BRACKETED else ""
        stem = f"{match['stem']} {rest}".strip(" ,:;/")
        if stem:
            return Header(text, stem, unit, percent)
    return Header(text, clean, None, None)


def element_in(header: Header) -> str | None:
    """Symbol of the element whose amount a column may hold, None if it cannot be one."""
    if header.unit is not None and header.percent is None:
        return None
    word = re.sub(r"(?i)\b(content|concentration|fraction|amount)\b|^[xc]_", "", header.stem)
    word = word.strip(" _-")
    if word.lower() in _BY_NAME:
        return _BY_NAME[word.lower()]
    candidate = word
    if len(word) == 2 and word.isupper() and word.capitalize() in _SYMBOLS:
        candidate = word.capitalize()
    try:
        z = atomic_number(candidate)
    except CompositionError:
        return None
    return candidate if z <= 83 or candidate in _RARE_BUT_REAL else None


_IN_NAMES = {"%": "percent", "degC": "c", "degF": "f", "1/s": "per s", "1": ""}


def slug(header: Header) -> str:
    """A name for cards: lower case, underscores, the unit at the end."""
    unit = _IN_NAMES.get(header.unit or "", header.unit) or ""
    text = f"{header.stem} {unit.replace('/', ' per ')}".lower().replace("%", " percent ")
    name = re.sub(r"[^a-z0-9]+", "_", text).strip("_")
    return name if name[:1].isalpha() else f"x_{name}".rstrip("_")
