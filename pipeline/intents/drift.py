"""How unlike the matches are that a model was trained on those that came since.

Belongs here: the population stability index of features and intents. Does not belong here: who is told (`assets`),
whether the model got worse (`promotion`).
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from configs.intents import DriftConfig
from pipeline.features.definition import NAMES
from pipeline.intents.model import classes, vectors
from pipeline.intents.vocabulary import INTENTS

Counts = NDArray[np.float64]

INTENT = "intent: "
"""How the name of a row about an intent begins."""


def stability_index(before: Counts, after: Counts) -> float:
    """Population stability index of two histograms over the same bins; 0 where they are alike, symmetric.

    The sum over bins of (share after - share before) · ln(share after / share before). Half a row more in every bin
    keeps an empty one finite.

    Args:
        before: rows in each bin, float64 (bins,).
        after: the same, of another population.
    """
    first, second = ((counts + 0.5) / (counts + 0.5).sum() for counts in (before, after))
    return float(((second - first) * np.log(second / first)).sum())


def drift(before: pl.DataFrame, after: pl.DataFrame, config: DriftConfig) -> pl.DataFrame:
    """The stability index of each feature and each intent, greatest first.

    Args:
        before: labelled rows that a model was trained on: features and `intent`.
        after: those of other matches.
        config: number of bins.

    Returns:
        `name` (a feature's, or `intent: …`), `index`, and what changed in words a person can check: `before` and
        `after`, the median of a feature (null where it is never known), the share of an intent.
    """
    rows = []
    seen, new = vectors(before), vectors(after)
    for place, name in enumerate(NAMES):
        first, second = seen[place], new[place]
        edges = _edges(first[~np.isnan(first)], config.bins)
        index = stability_index(_histogram(first, edges), _histogram(second, edges))
        rows.append({"name": name, "index": index, "before": _median(first), "after": _median(second)})
    first, second = (
        np.bincount(classes(frame["intent"]), minlength=len(INTENTS)).astype(np.float64) for frame in (before, after)
    )
    for place, intent in enumerate(INTENTS):
        had, has = (np.array([counts[place], counts.sum() - counts[place]]) for counts in (first, second))
        shares = {"before": had[0] / max(1, had.sum()), "after": has[0] / max(1, has.sum())}
        rows.append({"name": f"{INTENT}{intent}", "index": stability_index(had, has), **shares})
    return pl.DataFrame(rows, infer_schema_length=None).sort("index", "name", descending=[True, False])


def _edges(known: NDArray[np.float32], bins: int) -> NDArray[np.float64]:
    """Upper ends of the bins: quantiles, and the least value, so that what is nearly always the greatest has two bins.

    What lies below everything that was known has a bin as well.
    """
    if not len(known):
        return np.zeros(0)
    least = known.min()
    below = np.nextafter(least, np.float32(-np.inf))
    inner = np.quantile(known, np.arange(1, bins) / bins)
    return np.unique(np.concatenate([[below, least], inner]).astype(np.float64))


def _histogram(values: NDArray[np.float32], edges: NDArray[np.float64]) -> Counts:
    """Rows in each bin, the last of which is for what is not known."""
    unknown = np.isnan(values)
    place = np.searchsorted(edges, values[~unknown], side="left")
    counts = np.bincount(place, minlength=len(edges) + 1)
    return np.append(counts, unknown.sum()).astype(np.float64)


def _median(values: NDArray[np.float32]) -> float | None:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else None
