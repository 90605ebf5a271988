"""Tables that no predictor could learn anything from, said before time is spent on them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from matdisc.errors import DataError
from matdisc.predictors.types import Targets

__all__ = ["refuse_unlearnable"]


def refuse_unlearnable(
    values: npt.NDArray[np.float32], targets: Targets, in_bag: npt.NDArray[np.bool_]
) -> None:
    """Refuse features that are not finite, and targets that are missing or constant.

    Args:
        values: ``(n, p)`` features.
        targets: ``n`` rows.
        in_bag: ``(m, n)`` the rows that each member may see.

    Raises:
        DataError: With the first row or target concerned.
    """
    n = len(targets)
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if bad.size:
        raise DataError(
            f"{bad.size} of {n} rows have features that are not finite; first is row "
            f"{int(bad[0])}; leave out rows that are not ok"
        )
    if n < 2:
        raise DataError(f"{n} row is too few to learn from; at least 2 are needed")
    in_bags = in_bag.astype(np.int64) @ targets.mask.astype(np.int64)
    for t, name in enumerate(targets.names):
        known = targets.values[targets.mask[:, t], t]
        if not known.size:
            raise DataError(f"target {name!r} is missing in all {n} rows; leave it out")
        if (known == known[0]).all():
            what = targets.classes[int(known[0])] if targets.classes else f"{known[0]:g}"
            raise DataError(
                f"target {name!r} is {what} in all {known.size} rows where it is known; there is "
                "nothing to learn"
            )
        if not in_bags[:, t].all():
            raise DataError(
                f"target {name!r} is known in {known.size} rows, none of them in the bag of member "
                f"{int(np.flatnonzero(in_bags[:, t] == 0)[0])}; more data are needed, or leave the "
                "target out"
            )
