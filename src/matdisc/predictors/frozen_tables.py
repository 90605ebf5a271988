"""Element tables that travel with a surrogate, so that it predicts the same elsewhere."""

from __future__ import annotations

import logging
from typing import Any, TypeVar

from matdisc.errors import ArtifactError, FeaturizationError
from matdisc.features.element_tables import hash_tables
from matdisc.features.types import Featurizer
from matdisc.predictors.surrogate import Surrogate

__all__ = ["with_frozen_tables"]

logger = logging.getLogger(__name__)

FeaturizerT = TypeVar("FeaturizerT", bound=Featurizer[Any])


def with_frozen_tables(surrogate: Surrogate, featurizer: FeaturizerT, name: str) -> FeaturizerT:
    """The featurizer with the element tables that the surrogate learned from.

    Where the tables of this installation are others, a warning says so.

    Args:
        surrogate: One that may have tables; with none of them the featurizer comes back as it is.
        featurizer: What computes its features.
        name: What to call the surrogate in a message.

    Raises:
        ArtifactError: If the tables differ and the featurizer cannot take others.
    """
    if not surrogate.tables:
        return featurizer
    there = str(surrogate.provenance.get("tables_sha256") or hash_tables(surrogate.tables))
    here = hash_tables(getattr(featurizer, "tables", {}))
    if here == there:
        return featurizer
    differ = (
        f"the element tables of this installation (sha256 {here[:16]}) are not those that {name} "
        f"learned from (sha256 {there[:16]})"
    )
    adapt: Any = getattr(featurizer, "with_tables", None)
    try:
        adapted: FeaturizerT = adapt(surrogate.tables)
    except (FeaturizationError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"{differ}, and {type(featurizer).__name__} cannot use the copy in it; install the "
            "versions of matminer and pymatgen in its provenance, or train it again"
        ) from error
    logger.warning("%s; predicting with the copy in it. Train it again to use the others", differ)
    return adapted
