"""Contract checkers for authors of plugins: call them in a test of your own package.

Example::

    from matdisc.testing import check_featurizer

    def test_contract() -> None:
        check_featurizer(MySpec())

A checker raises ``AssertionError`` that says which promise is broken.
"""

from __future__ import annotations

from matdisc.testing.engines import check_engine
from matdisc.testing.featurizers import check_featurizer
from matdisc.testing.oracles import check_oracle
from matdisc.testing.predictors import check_predictor
from matdisc.testing.specs import check_spec

__all__ = ["check_engine", "check_featurizer", "check_oracle", "check_predictor", "check_spec"]
