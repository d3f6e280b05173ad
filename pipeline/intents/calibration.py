"""Raw scores to probabilities that mean what they say.

Belongs here: class-weight correction, softmax, the temperature and how it is fitted.
Does not belong here: the model that gives the scores (`model`), how good it is (`evaluation`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST_PROBABILITY = 1e-9
_GOLDEN = (5**0.5 - 1) / 2
_LOG_RANGE = (-2.5, 2.5)
_STEPS = 60


@dataclass(frozen=True)
class Calibration:
    """What turns raw scores into probabilities.

    Attributes:
        temperature: scores are divided by it; above 1 it takes back overconfidence
            (Guo et al. 2017, On Calibration of Modern Neural Networks).
        log_weights: natural logarithm of each class's training weight; subtracted, so that weighting a class
            leaves its probability at its natural rate (Elkan 2001, The Foundations of Cost-Sensitive Learning).
    """

    temperature: float
    log_weights: tuple[float, ...]

    def probabilities(self, scores: Floats) -> Floats:
        """Probabilities of raw scores, both float64 (n, classes); each row's result depends on that row alone."""
        return softmax((scores - np.array(self.log_weights)) / self.temperature)


def softmax(scores: Floats) -> Floats:
    """Softmax over the last axis of (n, classes), in an order of operations that does not depend on n."""
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    total = shifted[:, 0].copy()
    for column in range(1, shifted.shape[1]):
        total += shifted[:, column]
    probabilities: Floats = shifted / total[:, None]
    return probabilities


def log_loss(probabilities: Floats, truth: Ints) -> float:
    """Mean negative natural logarithm of the true class's probability, which counts as at least 1e-9."""
    chosen = probabilities[np.arange(len(truth)), truth]
    return float(-np.log(np.maximum(chosen, LEAST_PROBABILITY)).mean())


def fit(scores: Floats, truth: Ints, log_weights: tuple[float, ...]) -> Calibration:
    """The temperature with the least log-loss on rows that were not trained on; 1 where none is better, or no row.

    Golden-section search over the logarithm of the temperature; the log-loss is convex in its inverse.

    Args:
        scores: raw scores, float64 (n, classes).
        truth: true class of each row, int64 (n,).
        log_weights: see Calibration.
    """
    plain = Calibration(1.0, log_weights)
    if not len(truth):
        return plain

    def loss(log_temperature: float) -> float:
        candidate = Calibration(float(np.exp(log_temperature)), log_weights)
        return log_loss(candidate.probabilities(scores), truth)

    low, high = _LOG_RANGE
    for _ in range(_STEPS):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if loss(left) <= loss(right):
            high = right
        else:
            low = left
    fitted = Calibration(float(np.exp((low + high) / 2)), log_weights)
    better = log_loss(fitted.probabilities(scores), truth) < log_loss(plain.probabilities(scores), truth)
    return fitted if better else plain
