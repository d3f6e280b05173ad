"""Measures of probabilities against labels.

Belongs here: confusion, F1, log-loss, Brier, calibration error, precision and recall, the plain ones and the same as
sums over rounds that can be weighted anew. Does not belong here: which rows are judged (`protocol`).

Labels are our own rules in hindsight. Agreement with them is not truth, so every measure says `_vs_labels`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from configs.evaluation import EvaluationConfig
from pipeline.intents.calibration import LEAST_CHOSEN, log_loss
from pipeline.intents.evaluation.resampling import Bools, Floats, Ints, summed
from pipeline.intents.vocabulary import INTENTS

CLASSES = len(INTENTS)


@dataclass(frozen=True)
class Scores:
    """Agreement of one way to predict with the labels.

    Attributes:
        confusion: rows by label (first axis) and prediction, int64 (9, 9).
        log_loss: mean over rows, natural logarithm; NaN without rows.
    """

    confusion: Ints
    log_loss: float

    @property
    def f1(self) -> Floats:
        """F1 of each intent, float64 (9,); NaN where it is neither labelled nor predicted."""
        return f1(self.confusion)

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the intents that are labelled; NaN without rows."""
        return float(macro_f1(self.confusion))

    @property
    def accuracy(self) -> float:
        """Share of rows predicted as labelled; NaN without rows."""
        rows = int(self.confusion.sum())
        return float(self.confusion.trace() / rows) if rows else float("nan")

    def metrics(self, who: str) -> dict[str, float]:
        """The measures by name, `<who>_<measure>_vs_labels`; those that are not defined are left out."""
        found = {
            f"{who}_macro_f1_vs_labels": self.macro_f1,
            f"{who}_accuracy_vs_labels": self.accuracy,
            f"{who}_log_loss_vs_labels": self.log_loss,
        } | {f"{who}_f1_{intent}_vs_labels": float(value) for intent, value in zip(INTENTS, self.f1, strict=True)}
        return {name: value for name, value in found.items() if np.isfinite(value)}


def score(probabilities: Floats, truth: Ints) -> Scores:
    """Agreement of the most probable intents with the labels.

    Args:
        probabilities: float64 (n, 9).
        truth: labelled class, int64 (n,).
    """
    confusion = np.zeros((CLASSES, CLASSES), dtype=np.int64)
    np.add.at(confusion, (truth, probabilities.argmax(axis=1)), 1)
    return Scores(confusion, log_loss(probabilities, truth) if len(truth) else float("nan"))


def f1(confusion: NDArray[np.generic]) -> Floats:
    """F1 of each class, (…, 9) of confusions (…, 9, 9); NaN where it is neither labelled nor predicted."""
    counts = np.asarray(confusion, dtype=np.float64)
    hit = np.diagonal(counts, axis1=-2, axis2=-1)
    both = counts.sum(axis=-1) + counts.sum(axis=-2)
    return np.where(both > 0, 2 * hit / np.maximum(both, 1e-12), np.nan)


def macro_f1(confusion: NDArray[np.generic]) -> Floats:
    """Mean F1 of the classes that are labelled, (…,) of confusions (…, 9, 9); NaN without rows."""
    counts = np.asarray(confusion, dtype=np.float64)
    labelled = counts.sum(axis=-1) > 0
    total = np.where(labelled, np.nan_to_num(f1(counts)), 0.0).sum(axis=-1)
    return np.where(labelled.any(axis=-1), total / np.maximum(labelled.sum(axis=-1), 1), np.nan)


@dataclass(frozen=True)
class Agreement:
    """Agreement with the labels as sums over units.

    Attributes:
        confusion: float64 (units, 9, 9), by label and prediction.
        log_loss: float64 (units,), sum over rows.
        brier: float64 (units,), sum over rows of the squared distance from the label's corner, 0 to 2.
        rows: float64 (units,).
    """

    confusion: Floats
    log_loss: Floats
    brier: Floats
    rows: Floats

    @classmethod
    def of(cls, probabilities: Floats, truth: Ints, unit: Ints, units: int, *, said: Ints | None = None) -> "Agreement":
        """The sums.

        Args:
            probabilities: float64 (n, 9).
            truth: labelled class, int64 (n,); -1 where the labels abstain, and the row is left out.
            unit: of each row, int64 (n,).
            units: how many there are.
            said: the class that is answered, int64 (n,); the most probable one by default.
        """
        known = truth >= 0
        said = (probabilities.argmax(axis=1) if said is None else said)[known]
        probabilities, truth, unit = probabilities[known], truth[known], unit[known]
        cell = (unit * CLASSES + truth) * CLASSES + said
        confusion = np.bincount(cell, minlength=units * CLASSES * CLASSES).astype(np.float64)
        chosen = probabilities[np.arange(len(truth)), truth]
        brier = (probabilities**2).sum(axis=1) - 2 * chosen + 1
        return cls(
            confusion.reshape(units, CLASSES, CLASSES),
            summed(unit, units, -np.log(np.maximum(chosen, LEAST_CHOSEN))),
            summed(unit, units, brier),
            np.bincount(unit, minlength=units).astype(np.float64),
        )

    def weighted(self, weights: Floats) -> Floats:
        """The confusion of each replicate, float64 (replicates, 9, 9)."""
        flat = weights @ self.confusion.reshape(len(self.rows), -1)
        return np.asarray(flat.reshape(-1, CLASSES, CLASSES))

    def measures(self, weights: Floats) -> dict[str, Floats]:
        """Macro-F1, F1 by intent, accuracy, log-loss and Brier of each replicate, float64 (replicates,) each."""
        confusion = self.weighted(weights)
        rows = weights @ self.rows
        rows = np.where(rows > 0, rows, np.nan)
        each = f1(confusion)
        return {
            "macro_f1": macro_f1(confusion),
            "accuracy": np.trace(confusion, axis1=1, axis2=2) / rows,
            "log_loss": weights @ self.log_loss / rows,
            "brier": weights @ self.brier / rows,
            **{f"f1_{intent}": each[:, place] for place, intent in enumerate(INTENTS)},
        }


@dataclass(frozen=True)
class Reliability:
    """What a class's probability promised and what came, in bins of equal mass.

    Attributes:
        promised: float64 (units, bins), sum of the probabilities.
        came: float64 (units, bins), rows of the class.
        rows: float64 (units, bins).
        floor: the error that would be measured if every probability were right and every row independent.
    """

    promised: Floats
    came: Floats
    rows: Floats
    floor: float

    @classmethod
    def of(
        cls, probability: Floats, is_class: Bools, unit: Ints, units: int, *, bins: int, least: float, seed: int
    ) -> "Reliability":
        """The sums of one class.

        Args:
            probability: of the class, float64 (n,).
            is_class: whether the row is of it, bool (n,).
            unit: of each row, int64 (n,).
            units: how many there are.
            bins: of equal mass; equal probabilities stay together, so there may be fewer.
            least: rows with less are left out.
            seed: of the floor.
        """
        shown = probability >= least
        probability, is_class, unit = probability[shown], is_class[shown], unit[shown]
        edges = np.unique(np.quantile(probability, np.arange(1, bins) / bins)) if len(probability) else np.zeros(0)
        place = np.searchsorted(edges, probability, side="right")
        size = len(edges) + 1
        cell = unit * size + place

        def by_cell(values: NDArray[np.generic]) -> Floats:
            return summed(cell, units * size, values).reshape(units, size)

        # A perfectly calibrated class: the mean over draws of what would be measured.
        random = np.random.default_rng(seed)
        drawn = [random.random(len(probability)) < probability for _ in range(20)]
        mean = [np.abs(np.bincount(place, each - probability, minlength=size)).sum() for each in drawn]
        floor = float(np.mean(mean) / len(probability)) if len(probability) else float("nan")
        return cls(by_cell(probability), by_cell(is_class), by_cell(np.ones(len(place))), floor)

    def error(self, weights: Floats) -> Floats:
        """Expected calibration error of each replicate, float64 (replicates,); NaN without rows."""
        apart = np.abs(weights @ (self.promised - self.came)).sum(axis=1)
        rows = (weights @ self.rows).sum(axis=1)
        return np.where(rows > 0, apart / np.maximum(rows, 1e-12), np.nan)

    @property
    def floor_by_unit(self) -> float:
        """The error that would be measured if every probability were right, but rows of a unit went together.

        What a unit adds to a bin, less the unit's share of what the bin is off, has the variance that is there; sums of
        many are normal, and the mean size of a normal number is its deviation times the root of 2 over pi.
        """
        apart, rows = self.came - self.promised, self.rows.sum(axis=0)
        off = apart.sum(axis=0) / np.maximum(rows, 1e-12)
        deviation = np.sqrt(((apart - self.rows * off) ** 2).sum(axis=0))
        return float(np.sqrt(2 / np.pi) * deviation.sum() / rows.sum()) if rows.sum() else float("nan")

    @property
    def overall(self) -> float:
        """Expected calibration error of all rows as they are; NaN without rows."""
        return float(self.error(np.ones((1, len(self.rows))))[0])

    @property
    def curve(self) -> list[tuple[float, float, int]]:
        """Mean probability, share that came and rows of each bin that has any."""
        promised, came, rows = (each.sum(axis=0) for each in (self.promised, self.came, self.rows))
        filled = np.flatnonzero(rows)
        return [(float(promised[b] / rows[b]), float(came[b] / rows[b]), int(rows[b])) for b in filled]


def reliabilities(
    probabilities: Floats, truth: Ints, unit: Ints, units: int, config: EvaluationConfig
) -> dict[str, Reliability]:
    """What the probability of each intent promised and what came.

    Args:
        probabilities: float64 (n, 9).
        truth: labelled class, int64 (n,); no row whose label abstains.
        unit: of each row, int64 (n,).
        units: how many there are.
        config: bins, least probability, seed.
    """
    return {
        intent: Reliability.of(
            probabilities[:, place],
            truth == place,
            unit,
            units,
            bins=config.calibration.bins,
            least=config.calibration.least_probability,
            seed=config.seed + place,
        )
        for place, intent in enumerate(INTENTS)
    }


def average_precision(probability: Floats, is_class: Bools, unit: Ints, weights: Floats) -> Floats:
    """Area under the precision-recall curve of each replicate, as scikit-learn's `average_precision_score`.

    Args:
        probability: float64 (n,).
        is_class: bool (n,).
        unit: of each row, int64 (n,).
        weights: float64 (replicates, units).

    Returns:
        float64 (replicates,); NaN where no row is of the class.
    """
    order = np.argsort(-probability, kind="stable")
    sorted_probability, unit, right = probability[order], unit[order], np.flatnonzero(is_class[order])
    last = np.searchsorted(-sorted_probability, -sorted_probability[right], side="right") - 1  # of equal ones
    found = np.full(len(weights), np.nan)
    for place, weight in enumerate(weights):
        mine = weight[unit[right]]
        total = mine.sum()
        if total > 0:
            every = np.cumsum(weight[unit])[last]
            hits = np.cumsum(mine)[np.searchsorted(right, last, side="right") - 1]
            found[place] = float((mine * hits / np.maximum(every, 1e-12)).sum() / total)
    return found
