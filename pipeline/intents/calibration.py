"""Raw scores to probabilities that mean what they say.

Belongs here: class-weight correction, softmax, the calibrator and how it is fitted.
Does not belong here: the model that gives the scores (`model`), how good it is (`evaluation`).

The calibrator is the mean of two that err differently. *Dirichlet calibration* maps the nine log-scores linearly and
so moves probability between intents that are mistaken for each other, but is stiff in the tails of rare ones.
*Isotonic regression* bends each intent's own probability at will, but knows nothing of the others. Why the mean of
these two and none of the others that were tried: `docs/decisions/012-two-calibrators-averaged.md`.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# numba infers the types of compiled helpers; annotations would be decoration that nothing checks.

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Curve = tuple[tuple[float, ...], tuple[float, ...]]

LEAST_CHOSEN = 1e-9
_DIGITS = 6  # of what is fitted: more would be noise, and its last bits differ between processors


@dataclass(frozen=True)
class Calibration:
    """What turns raw scores into probabilities.

    Attributes:
        log_weights: natural logarithm of each class's training weight; subtracted, so that weighting a class
            leaves its probability at its natural rate (Elkan 2001, The Foundations of Cost-Sensitive Learning).
        matrix: row c gives class c's calibrated score from all classes' corrected, centred ones.
        shift: is added to it (Kull et al. 2019, Beyond temperature scaling: Dirichlet calibration).
        curves: of each class, its isotonic regression as probability before (ascending) and after, linear between;
            empty where none was fitted, then the linear map answers alone.
    """

    log_weights: tuple[float, ...]
    matrix: tuple[tuple[float, ...], ...]
    shift: tuple[float, ...]
    curves: tuple[Curve, ...] = ()

    @classmethod
    def plain(cls, log_weights: tuple[float, ...]) -> "Calibration":
        """No calibration beyond taking back the class weights."""
        size = len(log_weights)
        unit = tuple(tuple(float(row == column) for column in range(size)) for row in range(size))
        return cls(log_weights, unit, (0.0,) * size)

    def probabilities(self, scores: Floats) -> Floats:
        """Probabilities of raw scores, both float64 (n, classes); each row's result depends on that row alone."""
        return np.asarray(_calibrated(np.ascontiguousarray(scores), *self._arrays))

    @cached_property
    def _arrays(self) -> tuple[Floats, Floats, Floats, Ints, Floats, Floats]:
        before = [knot for curve in self.curves for knot in curve[0]]
        after = [knot for curve in self.curves for knot in curve[1]]
        starts = np.cumsum([0, *(len(curve[0]) for curve in self.curves)], dtype=np.int64)
        told = (self.log_weights, self.matrix, self.shift)
        weights, matrix, shift = (np.array(each, dtype=np.float64) for each in told)
        return weights, matrix, shift, starts, np.array(before, dtype=np.float64), np.array(after, dtype=np.float64)


@njit(cache=True)
def _softmax(scores):
    """In place, over a row, in one order of operations."""
    greatest = scores.max()
    total = 0.0
    for column in range(scores.shape[0]):
        scores[column] = np.exp(scores[column] - greatest)
        total += scores[column]
    for column in range(scores.shape[0]):
        scores[column] /= total


@njit(cache=True)
def _along(value, before, after):
    """The curve at a value, linear between its knots and level beyond them."""
    if value <= before[0]:
        return after[0]
    low, high = 0, before.shape[0] - 1
    if value >= before[high]:
        return after[high]
    while high - low > 1:
        middle = (low + high) // 2
        if before[middle] <= value:
            low = middle
        else:
            high = middle
    return after[low] + (after[high] - after[low]) * (value - before[low]) / (before[high] - before[low])


@njit(cache=True)
def _calibrated(scores, log_weights, matrix, shift, starts, before, after):
    classes = scores.shape[1]
    found = np.empty(scores.shape, np.float64)
    plain, mapped = np.empty(classes, np.float64), np.empty(classes, np.float64)
    for row in range(scores.shape[0]):
        mean = 0.0
        for column in range(classes):
            plain[column] = scores[row, column] - log_weights[column]
            mean += plain[column]
        mean /= classes
        for column in range(classes):
            plain[column] -= mean
        for column in range(classes):
            mapped[column] = shift[column]
            for other in range(classes):
                mapped[column] += matrix[column, other] * plain[other]
        _softmax(mapped)
        if starts.shape[0] == 1:
            found[row] = mapped
            continue
        _softmax(plain)
        total = 0.0
        for column in range(classes):
            begin, end = starts[column], starts[column + 1]
            plain[column] = _along(plain[column], before[begin:end], after[begin:end])
            total += plain[column]
        for column in range(classes):
            found[row, column] = (mapped[column] + plain[column] / total) / 2
    return found


def log_loss(probabilities: Floats, truth: Ints) -> float:
    """Mean negative natural logarithm of the true class's probability, which counts as at least 1e-9."""
    chosen = probabilities[np.arange(len(truth)), truth]
    return float(-np.log(np.maximum(chosen, LEAST_CHOSEN)).mean())


def fit(scores: Floats, truth: Ints, log_weights: tuple[float, ...], *, caution: float, least: float) -> Calibration:
    """The calibration of rows that the scores' model was not trained on; none beyond the class weights without rows.

    Args:
        scores: raw scores, float64 (n, classes).
        truth: true class of each row, int64 (n,).
        log_weights: see Calibration.
        caution: how many rows speak against each squared unit by which the linear map departs from no calibration,
            so that few rows move it little.
        least: no curve says less than this, nor more than one less this.
    """
    plain = Calibration.plain(log_weights)
    if not len(truth):
        return plain
    corrected = scores - np.array(log_weights)
    corrected = corrected - corrected.mean(axis=1, keepdims=True)
    matrix, shift = _linear(corrected, truth, caution)
    curves = _isotonic(plain.probabilities(scores), truth, least)
    return Calibration(log_weights, tuple(map(_plain, matrix)), _plain(shift), curves)


def _plain(values: Floats) -> tuple[float, ...]:
    return tuple(np.round(values, _DIGITS).tolist())


def _linear(scores: Floats, truth: Ints, caution: float) -> tuple[Floats, Floats]:
    """Multinomial regression of the class on the scores, drawn towards the identity; L-BFGS from the identity."""
    from scipy.optimize import minimize

    rows, size = scores.shape
    hit, unit = np.eye(size)[truth], np.eye(size)
    penalty = caution / rows

    def loss(flat: Floats) -> tuple[float, Floats]:
        matrix, shift = flat[: size * size].reshape(size, size), flat[size * size :]
        # einsum runs in one thread in one order; a matrix product of BLAS may do neither
        mapped = np.einsum("nj,ij->ni", scores, matrix) + shift
        mapped -= mapped.max(axis=1, keepdims=True)
        grown = np.exp(mapped)
        total = grown.sum(axis=1, keepdims=True)
        value = float((np.log(total[:, 0]) - mapped[np.arange(rows), truth]).mean())
        apart = (grown / total - hit) / rows
        pull, push = matrix - unit, shift
        value += penalty * float((pull**2).sum() + (push**2).sum())
        down = np.einsum("ni,nj->ij", apart, scores) + 2 * penalty * pull
        return value, np.concatenate([down.ravel(), apart.sum(axis=0) + 2 * penalty * push])

    found = minimize(loss, np.concatenate([unit.ravel(), np.zeros(size)]), jac=True, method="L-BFGS-B").x
    return found[: size * size].reshape(size, size), found[size * size :]


def _isotonic(probabilities: Floats, truth: Ints, least: float) -> tuple[Curve, ...]:
    """Isotonic regression of each class against all others (Zadrozny and Elkan 2002)."""
    from sklearn.isotonic import IsotonicRegression

    curves = []
    for column in range(probabilities.shape[1]):
        regression = IsotonicRegression(y_min=least, y_max=1 - least)
        regression.fit(probabilities[:, column], truth == column)
        before = np.round(regression.X_thresholds_, _DIGITS)
        last = np.append(np.diff(before) > 0, True)  # knots that rounding made one
        curves.append((tuple(before[last].tolist()), _plain(regression.y_thresholds_[last])))
    return tuple(curves)
