"""Simpler ways to predict, which a model must beat.

Belongs here: the commonest intent, and the newest label that could be known.
Does not belong here: rules and models (`pipeline.intents.heuristics`, `pipeline.intents.model`).
"""

import numpy as np
import polars as pl

from pipeline.intents.evaluation.measures import CLASSES
from pipeline.intents.evaluation.resampling import Floats, Ints
from pipeline.intents.vocabulary import INTENTS

_SHARES = np.linspace(0, 0.99, 100)


def shares(training: Ints) -> Floats:
    """How common each intent was in training, one row more each so that none is impossible; float64 (9,)."""
    counts = np.bincount(training, minlength=CLASSES) + 1.0
    found: Floats = counts / counts.sum()
    return found


def majority(training: Ints, rows: int) -> Floats:
    """The baseline that knows only how common each intent was in training, float64 (rows, 9)."""
    return np.tile(shares(training), (rows, 1))


def newest_known(labels: pl.DataFrame, horizon_ms: int) -> Ints:
    """The newest label of the player's round that could be known at each instant.

    A label is known once everything that it looks at has happened: at its instant and the longest horizon.

    Args:
        labels: table `labels` of one match, or more.
        horizon_ms: the longest horizon of the labels.

    Returns:
        int64 (n,) in the order of the rows: place in INTENTS, -1 where none is known yet.
    """
    keys = ["match_id", "player", "round"]
    places = {intent: place for place, intent in enumerate(INTENTS)}
    frame = labels.select(
        *keys[:2], pl.col("round").fill_null(0), "t_ms", pl.col("intent").cast(pl.String).alias("said")
    ).with_row_index("place")
    known = frame.drop_nulls("said").select(*keys, pl.col("t_ms") + horizon_ms, "said").sort("t_ms")
    asked = frame.drop("said").sort("t_ms").join_asof(known, on="t_ms", by=keys, check_sortedness=False)
    return asked.sort("place")["said"].replace_strict(places, default=-1, return_dtype=pl.Int64).to_numpy()


def keeping(known: Ints, truth: Ints, prior: Floats) -> float:
    """How much to trust the newest known label: the share with the least log-loss on training rows.

    Args:
        known: what `newest_known` returns.
        truth: the rows' labels, -1 where they abstain.
        prior: float64 (9,).
    """
    rows = (known >= 0) & (truth >= 0)
    if not rows.any():
        return 0.0
    same, base = (known == truth)[rows], prior[truth[rows]]
    loss = [-np.log(share * same + (1 - share) * base).mean() for share in _SHARES]
    return float(_SHARES[int(np.argmin(loss))])


def persistence(known: Ints, keep: float, prior: Floats) -> Floats:
    """The newest known label with weight `keep`, the rest as common as in training; float64 (n, 9)."""
    found = np.tile(prior, (len(known), 1))
    rows = np.flatnonzero(known >= 0)
    found[rows] *= 1 - keep
    found[rows, known[rows]] += keep
    return found
