"""Predictors of matdisc as estimators of scikit-learn, for pipelines and its cross-validation.

Example::

    from matdisc.predictors import MatdiscRegressor

    model = MatdiscRegressor("extra-trees", random_state=0).fit(X, y, groups=alloy_number)
    mean, std = model.predict(X_new), model.predict_std(X_new)
    lower, upper = model.predict_interval(X_new)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from matdisc.config import plugin_spec, validate
from matdisc.predictors.surrogate import Surrogate, train_surrogate
from matdisc.predictors.types import Targets

if TYPE_CHECKING:
    from typing import Self

    from matdisc.predictors.specs import PredictorSpec

__all__ = ["MatdiscClassifier", "MatdiscRegressor"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_LARGEST = float(np.finfo(np.float32).max)


class _MatdiscEstimator(BaseEstimator):  # type: ignore[misc]
    """What regressor and classifier share: settings, checks, the surrogate."""

    def __init__(
        self,
        predictor: str | Mapping[str, Any] | PredictorSpec = "extra-trees",
        *,
        random_state: int | np.random.RandomState | None = None,
        device: str = "cpu",
    ) -> None:
        """Keep the settings; nothing is checked before ``fit``.

        Args:
            predictor: A registered kind, a mapping with ``kind`` and settings, or settings.
            random_state: Seed of everything random.
            device: ``auto``, ``cpu`` or ``cuda``.
        """
        self.predictor = predictor
        self.random_state = random_state
        self.device = device

    @property
    def surrogate(self) -> Surrogate:
        """The fitted surrogate, with calibration and domain; ``surrogate.save(folder)`` keeps it.

        Raises:
            sklearn.exceptions.NotFittedError: Before ``fit``.
        """
        check_is_fitted(self, "surrogate_")
        return self.surrogate_

    def in_domain(self, X: npt.ArrayLike) -> BoolArray:
        """``(n,)`` whether each row of ``(n, p)`` features is like those learned from."""
        values = self._features(X)
        if self.surrogate.classes:
            return self.surrogate.predict_classes(values).in_domain
        (prediction,) = self.surrogate.predict(values).values()
        return prediction.in_domain

    def _spec(self) -> PredictorSpec:
        given = self.predictor
        raw: Mapping[str, Any]
        if isinstance(given, str):
            raw = {"kind": given}
        elif isinstance(given, Mapping):
            raw = given
        else:
            return given
        spec_class: Any = plugin_spec("matdisc.predictors", str(raw.get("kind")))
        spec: PredictorSpec = validate(raw, spec_class, "predictor")
        return spec

    def _learn(
        self,
        values: npt.NDArray[np.float32],
        targets: Targets,
        groups: npt.ArrayLike | None,
    ) -> None:
        n = len(values)
        numbers = np.arange(n)
        if groups is not None:
            numbers = np.unique(np.asarray(groups), return_inverse=True)[1].reshape(-1)
            if len(numbers) != n:
                raise ValueError(f"{len(numbers)} groups for {n} rows")
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        names = getattr(self, "feature_names_in_", None)
        labels = [f"x{i}" for i in range(values.shape[1])] if names is None else names.tolist()
        self.surrogate_ = train_surrogate(
            self._spec(), values, labels, targets, numbers, seed, device=self.device
        )

    def _features(self, X: npt.ArrayLike) -> npt.NDArray[np.float32]:
        check_is_fitted(self, "surrogate_")
        return _as_float32(validate_data(self, X, dtype="numeric", reset=False))


def _as_float32(features: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Features as predictors compute with them.

    Raises:
        ValueError: If one is beyond float32.
    """
    values = np.asarray(features, np.float64)
    large = np.abs(values) > _LARGEST
    if large.any():
        row, column = np.argwhere(large)[0].tolist()
        raise ValueError(
            f"{int(large.sum())} features are beyond float32, first in row {row}, column {column}"
        )
    return np.ascontiguousarray(values, np.float32)


class MatdiscRegressor(RegressorMixin, _MatdiscEstimator):  # type: ignore[misc]
    """A calibrated ensemble for one quantity."""

    def fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        groups: npt.ArrayLike | None = None,
    ) -> Self:
        """Fit predictor, calibration and domain.

        Args:
            X: ``(n, p)`` finite features.
            y: ``(n,)`` measured values [unit].
            groups: ``(n,)`` what stays together when members leave rows out for the calibration,
                for example the composition; every row alone if None.

        Raises:
            ValueError: If the inputs do not fit together.
            DataError: If the rows are too few to calibrate.
        """
        X, y = validate_data(self, X, y, dtype="numeric", y_numeric=True, ensure_min_samples=2)
        target = np.asarray(y, np.float64)[:, None]
        targets = Targets(("y",), ("1",), target, np.ones(target.shape, np.bool_))
        self._learn(_as_float32(X), targets, groups)
        return self

    def predict(self, X: npt.ArrayLike) -> FloatArray:
        """``(n,)`` predicted values [unit] of ``(n, p)`` features."""
        return self.surrogate.predict(self._features(X))["y"].mean

    def predict_std(self, X: npt.ArrayLike) -> FloatArray:
        """``(n,)`` calibrated standard deviations [unit]."""
        return self.surrogate.predict(self._features(X))["y"].std

    def predict_interval(self, X: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Lower and upper ends ``(n,)`` of the calibrated 90 % intervals [unit]."""
        found = self.surrogate.predict(self._features(X))["y"]
        return found.lower, found.upper


class MatdiscClassifier(ClassifierMixin, _MatdiscEstimator):  # type: ignore[misc]
    """A calibrated ensemble for one class of two or more."""

    def fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        groups: npt.ArrayLike | None = None,
    ) -> Self:
        """Fit predictor, calibration and domain; arguments as in :meth:`MatdiscRegressor.fit`.

        Args:
            X: ``(n, p)`` finite features.
            y: ``(n,)`` classes.
            groups: ``(n,)`` what stays together; every row alone if None.

        Raises:
            ValueError: If the inputs do not fit together or there is one class only.
            DataError: If the rows are too few to calibrate, or the predictor cannot learn classes.
        """
        X, y = validate_data(self, X, y, dtype="numeric", ensure_min_samples=2)
        check_classification_targets(y)
        self.classes_, number = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"{type(self).__name__} needs two or more classes; the data hold 1 class: "
                f"{self.classes_.tolist()}"
            )
        target = number.reshape(-1, 1).astype(np.float64)
        known = np.ones(target.shape, np.bool_)
        names = tuple(str(c) for c in range(len(self.classes_)))
        targets = Targets(("y",), ("1",), target, known, names)
        self._learn(_as_float32(X), targets, groups)
        return self

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """``(n,)`` predicted classes; chosen so that rare ones count as much as common ones."""
        found = self.surrogate.predict_classes(self._features(X))
        return np.asarray(self.classes_[found.label])

    def predict_proba(self, X: npt.ArrayLike) -> FloatArray:
        """``(n, c)`` calibrated probabilities in the order of ``classes_``; rows sum to 1."""
        return self.surrogate.predict_classes(self._features(X)).probability
