"""How good predictions are, against labels and against simpler ways to predict.

Belongs here: measures and the picture of them. Does not belong here: which rows are judged (`training`).

Labels are our own rules in hindsight. Agreement with them is not truth, so every measure says `_vs_labels`.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.intents.calibration import log_loss
from pipeline.intents.vocabulary import INTENTS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


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
        hit, labelled, predicted = self.confusion.diagonal(), self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        return np.where(labelled + predicted > 0, 2 * hit / np.maximum(labelled + predicted, 1), np.nan)

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the intents that are labelled; NaN without rows."""
        labelled = self.confusion.sum(axis=1) > 0
        return float(self.f1[labelled].mean()) if labelled.any() else float("nan")

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
    confusion = np.zeros((len(INTENTS), len(INTENTS)), dtype=np.int64)
    np.add.at(confusion, (truth, probabilities.argmax(axis=1)), 1)
    return Scores(confusion, log_loss(probabilities, truth) if len(truth) else float("nan"))


def majority(training: Ints, rows: int) -> Floats:
    """The baseline that knows only how common each intent was in training, float64 (rows, 9)."""
    counts = np.bincount(training, minlength=len(INTENTS)) + 1.0  # one more each, so that no intent is impossible
    return np.tile(counts / counts.sum(), (rows, 1))


def confusion_figure(scores: Mapping[str, Scores]) -> bytes:
    """Confusion matrices side by side as PNG; each row shows where one label's rows went, in percent.

    Args:
        scores: by title.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0 * len(scores), 5.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    for axis, (title, found) in zip(figure.subplots(1, len(scores), squeeze=False)[0], scores.items(), strict=True):
        counts = found.confusion
        percent = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axis.imshow(percent, cmap="Blues", vmin=0, vmax=100)
        for row, column in np.ndindex(*percent.shape):
            if counts[row, column]:
                colour = "white" if percent[row, column] > 55 else "black"
                text = f"{percent[row, column]:.0f}"
                axis.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)
        names = [f"{intent} ({rows})" for intent, rows in zip(INTENTS, counts.sum(axis=1), strict=True)]
        axis.set_yticks(range(len(INTENTS)), names, fontsize=8)
        axis.set_xticks(range(len(INTENTS)), INTENTS, rotation=45, ha="right", fontsize=8)
        axis.set(xlabel="predicted", ylabel="label (rows)")
        axis.set_title(f"{title}: macro-F1 {found.macro_f1:.2f} vs labels", fontsize=10)
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()
