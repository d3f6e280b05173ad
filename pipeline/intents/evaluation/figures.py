"""Pictures of measures.

Belongs here: numbers in, PNG out. Does not belong here: the numbers (`measures`), where a picture is kept.
"""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from pipeline.intents.evaluation.measures import Scores
from pipeline.intents.vocabulary import INTENTS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def confusion_figure(scores: Mapping[str, Scores]) -> bytes:
    """Confusion matrices side by side as PNG; each row shows where one label's rows went, in percent.

    Args:
        scores: by title.
    """
    figure = _sheet(6.0 * len(scores), 5.6)
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
    return _png(figure)


def reliability_figure(found: Mapping[str, Mapping[str, Any]]) -> bytes:
    """What each class's probability promised against what came, one small plot per class, as PNG.

    Args:
        found: by way, what `judgement.calibration` returns.
    """
    figure = _sheet(11.5, 10.5)
    axes = figure.subplots(3, 3).ravel()
    for axis, intent in zip(axes, INTENTS, strict=True):
        axis.plot([0, 1], [0, 1], color="#999999", lw=0.8)
        lines = []
        for (title, by_class), colour in zip(found.items(), _COLOURS, strict=False):
            each = by_class[intent]
            lines.append(f"{title} {each['ece']['value']:.3f}" if each["ece"]["value"] is not None else title)
            if each["curve"]:
                promised, came, _ = np.array(each["curve"]).T
                axis.plot(promised, came, "o-", ms=3.5, lw=1, color=colour, label=lines[-1])
        axis.set(xlim=(0, 1), ylim=(0, 1))
        axis.set_title(intent, fontsize=10)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize=7, loc="upper left", title="ECE", title_fontsize=7)
        axis.tick_params(labelsize=7)
    figure.supxlabel("probability promised", fontsize=9)
    figure.supylabel("share of rows with that label", fontsize=9)
    return _png(figure)


def importance_figure(shares: pl.DataFrame, most: int = 20) -> bytes:
    """The features that the trees gained most by, as PNG.

    Args:
        shares: `feature` and `share`, greatest first.
        most: at most so many.
    """
    shown = shares.head(most).reverse()
    figure = _sheet(7, 0.24 * shown.height + 0.9)
    axis = figure.subplots()
    axis.barh(shown["feature"].to_list(), (100 * shown["share"]).to_list(), color="#9DB7D5", height=0.7)
    axis.set_xlabel("share of what the trees gained by their splits, %", fontsize=9)
    axis.tick_params(labelsize=8)
    return _png(figure)


def ways_figure(
    ways: Mapping[str, Mapping[str, Any]], matches: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> bytes:
    """Macro-F1 of each way with its interval, and of each match as a dot, as PNG."""
    figure = _sheet(8, 3.2)
    axis = figure.subplots()
    for place, name in enumerate(reversed(names)):
        each = ways[name]["macro_f1"]
        axis.barh(place, each["value"], color="#9DB7D5", height=0.6)
        if each["low"] is not None:
            axis.plot([each["low"], each["high"]], [place, place], color="#22262C", lw=2)
        dots = [match[f"{name}_macro_f1"] for match in matches if match[f"{name}_macro_f1"] is not None]
        axis.plot(dots, [place] * len(dots), "o", ms=4, color="#D55E00", alpha=0.8)
        axis.text(0.995, place, f"{each['value']:.3f}", va="center", ha="right", fontsize=9)
    axis.set_yticks(range(len(names)), list(reversed(names)), fontsize=9)
    axis.set_xlim(0, 1)
    axis.set_xlabel("macro-F1 vs labels; line: interval, dots: matches", fontsize=9)
    return _png(figure)


def alarms_figure(warned: Mapping[str, Mapping[str, Any]], budget: float) -> bytes:
    """Recall and median lead against false alarms a round, with a line at the budget of these, as PNG."""
    figure = _sheet(9, 3.6)
    left, right = figure.subplots(1, 2)
    for (intent, each), colour in zip(warned.items(), _COLOURS, strict=False):
        points = [point for point in each.get("curve", []) if point[0] <= _MOST_FALSE]
        if not points:
            continue
        false, recall, lead = np.array(points, dtype=np.float64).T
        left.plot(false, recall, ".-", ms=3, lw=1, color=colour, label=intent)
        right.plot(false, lead, ".-", ms=3, lw=1, color=colour, label=intent)
    for axis, name in ((left, "acts warned of before they were over"), (right, "median lead, s")):
        axis.axvline(budget, color="#999999", lw=0.8)
        axis.set_xlabel("false alarms a round", fontsize=9)
        axis.set_title(name, fontsize=10)
        axis.set_xlim(0, _MOST_FALSE)
    left.set_ylim(0, 1.02)
    if left.get_legend_handles_labels()[0]:
        left.legend(fontsize=8)
    return _png(figure)


_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
_MOST_FALSE = 3.0  # a round; what lies beyond nobody would listen to


def _sheet(width: float, height: float) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _png(figure: "Figure") -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()
