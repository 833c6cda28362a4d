"""What a point will cost, guessed from the points that were measured.

The logarithm of the time is the template's own model, scaled and moved to fit, plus a Gaussian
process over the knobs for what that model does not know. With few measurements the model rules,
with many the neighbours do.
"""

from __future__ import annotations

import math

import numpy as np

__all__ = ["Surrogate", "expected_gain"]

REACHES = (
    0.15,
    0.3,
    0.6,
    1.2,
)  # of the process, in the unit of the features; the likeliest is taken
NOISE = 0.01  # of a measurement: standard deviation of its logarithm
LEAST_SPREAD = 0.03  # of what the model does not know, before anything shows how much that is
SLOPE_TRUST = 4.0  # measurements that it takes to leave the slope 1 of the model half behind


class Surrogate:
    """Fitted to measurements.

    Args:
        features: [points, features] of the whole space, each between 0 and 1.
        priors: Logarithms of the modelled costs of all points.
        measured: The points that were measured.
        times: Their times, all finite.
        reach: Of the process, where it is known; None finds the likeliest.

    Attributes:
        reach: What it was fitted with.
    """

    def __init__(
        self,
        features: np.ndarray,
        priors: np.ndarray,
        measured: list[int],
        times: np.ndarray,
        reach: float | None = None,
    ) -> None:
        self._away, self._measured = _squared_distances(features, features[measured]), measured
        logs, own = np.log(times), priors[measured]
        self._slope = _slope(own, logs)
        self._base = float(np.mean(logs - self._slope * own))
        self._mean = self._slope * priors + self._base
        residuals = logs - self._mean[measured]
        self._spread = max(float(np.std(residuals)), LEAST_SPREAD)
        fits = [self._fit(each, residuals) for each in (REACHES if reach is None else (reach,))]
        _, self.reach, self._root, self._weights = max(fits, key=lambda fit: fit[0])

    def _fit(
        self, reach: float, residuals: np.ndarray
    ) -> tuple[float, float, np.ndarray, np.ndarray]:
        """(logarithm of the likelihood, reach, Cholesky root of the covariance, weights)."""
        covariance = self._spread**2 * np.exp(-0.5 / reach**2 * self._away[self._measured])
        covariance[np.diag_indices_from(covariance)] += NOISE**2
        root = np.linalg.cholesky(covariance)
        weights = np.linalg.solve(root.T, np.linalg.solve(root, residuals))
        likelihood = -0.5 * float(residuals @ weights) - float(np.log(np.diag(root)).sum())
        return likelihood, reach, root, weights

    def predict(self) -> tuple[np.ndarray, np.ndarray]:
        """Of all points: expected logarithm of the time, and its standard deviation."""
        cross = self._spread**2 * np.exp(-0.5 / self.reach**2 * self._away)
        solved = np.linalg.solve(self._root, cross.T)
        variance = self._spread**2 - (solved**2).sum(axis=0)
        return self._mean + cross @ self._weights, np.sqrt(np.maximum(variance, 1e-12))


def expected_gain(mean: np.ndarray, deviation: np.ndarray, best: float) -> np.ndarray:
    """By how much each point is expected to beat `best`, all logarithms."""
    z = (best - mean) / deviation
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    below = 0.5 * (1 + np.array([math.erf(each) for each in (z / math.sqrt(2)).tolist()]))
    gain: np.ndarray = deviation * (z * below + density)
    return gain


def _squared_distances(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """[left, right]"""
    squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1)[None, :]
    result: np.ndarray = np.maximum(squares - 2 * left @ right.T, 0.0)
    return result


def _slope(modelled: np.ndarray, logs: np.ndarray) -> float:
    """How much of the modelled differences is real: near 1 until measurements say otherwise."""
    centred = modelled - modelled.mean()
    spread = float(centred @ centred)
    if spread == 0.0:
        return 1.0
    fitted = float(centred @ (logs - logs.mean())) / spread
    trust = len(logs) / (len(logs) + SLOPE_TRUST)
    return max(0.0, trust * fitted + (1 - trust))
