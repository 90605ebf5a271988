"""The templates of all reports, and how values get into their scripts."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from markupsafe import Markup

from matdisc.reports.formats import alloy, number, percent
from matdisc.runs.files import canonical_json

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["environment", "script_json"]


@cache
def environment() -> Environment:
    """The templates, compiled once."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader("matdisc.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "number": number,
        "percent": percent,
        "alloy": alloy,
    }
    return templates


def script_json(value: object) -> Markup:
    """JSON that cannot end the script element it stands in."""
    text = canonical_json(value)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
