"""Simpler ways to predict, which a model must beat.

Belongs here: the commonest intent, and what the newest known label is worth.
Does not belong here: when a label is known (`newest`), rules and models (`pipeline.intents.heuristics`,
`pipeline.intents.model`).
"""

import numpy as np

from pipeline.intents.evaluation.measures import CLASSES
from pipeline.intents.evaluation.resampling import Floats, Ints

_SHARES = np.linspace(0, 0.99, 100)


def shares(training: Ints) -> Floats:
    """How common each intent was in training, one row more each so that none is impossible; float64 (9,)."""
    counts = np.bincount(training, minlength=CLASSES) + 1.0
    found: Floats = counts / counts.sum()
    return found


def majority(training: Ints, rows: int) -> Floats:
    """The baseline that knows only how common each intent was in training, float64 (rows, 9)."""
    return np.tile(shares(training), (rows, 1))


def keeping(known: Ints, truth: Ints, prior: Floats) -> float:
    """How much to trust the newest known label: the share with the least log-loss on training rows.

    Args:
        known: what `newest.newest_known` returns.
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
