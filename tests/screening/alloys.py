"""Compositions for tests of criteria."""

from __future__ import annotations

from hypothesis import strategies as st

from matdisc.composition.compositions import Compositions
from matdisc.composition.elements import atomic_number

METALS = "Al B C Co Cr Cu Fe Hf Mg Mn Mo N Nb Ni O Re Ru Si Sn Ta Ti V W Y Zn Zr"


def by_weight(**percent: float) -> Compositions:
    """One alloy in weight per cent; what is left to 100 is the first element."""
    balance = next(iter(percent))
    percent[balance] = 100.0 - sum(v for name, v in percent.items() if name != balance)
    return Compositions.from_weight_percent(
        [atomic_number(name) for name in percent], [list(percent.values())]
    )


def by_atoms(**percent: float) -> Compositions:
    """One alloy in atomic parts."""
    return Compositions.normalized(
        [[atomic_number(name) for name in percent]], [list(percent.values())]
    )


@st.composite
def alloys(draw, symbols=METALS, max_elements=7):
    """A few alloys of these elements, some with small contents."""
    width = draw(st.integers(1, max_elements))
    rows = draw(st.integers(1, 6))
    numbers = [atomic_number(s) for s in symbols.split()]
    z = draw(
        st.lists(
            st.lists(st.sampled_from(numbers), min_size=width, max_size=width, unique=True),
            min_size=rows,
            max_size=rows,
        )
    )
    amount = st.one_of(st.just(0.0), st.just(1.0), st.floats(1e-3, 10))
    x = [[1.0, *[draw(amount) for _ in range(width - 1)]] for _ in range(rows)]
    return Compositions.normalized(z, x)
