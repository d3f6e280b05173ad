"""Ways to predict where somebody goes that learn nothing, or next to nothing.

Belongs here: stay-put, constant and damped velocity, what is recalled, the nearest prompt's way. Does not belong here:
measures (evaluation).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.trajectories.batches import Batch
from pipeline.trajectories.corpus import Corpus

Floats = NDArray[np.float32]
PLAIN = ("stay_put", "constant_velocity", "damped_velocity")
"""Those that a forecast has to beat."""


def stay_put(batch: Batch) -> Floats:
    """Nobody goes anywhere: `(b, n, 2)` in the frame of the batch, as of all that follow."""
    return _kept(batch, np.zeros_like(batch.way))


def constant_velocity(batch: Batch) -> Floats:
    """Everybody goes on as at the end of what is known."""
    return _kept(batch, batch.velocity[:, None] * batch.after[..., None])


def damped_velocity(batch: Batch, damping_s: float) -> Floats:
    """As `constant_velocity`, but the velocity dies away with a time constant."""
    gone = damping_s * (1.0 - np.exp(-batch.after / damping_s))
    return _kept(batch, batch.velocity[:, None] * gone[..., None])


def recalled(batch: Batch, damping_s: float, least: float) -> Floats:
    """As the mean of what is recalled; as `damped_velocity` as far as nothing is.

    Args:
        batch: in question.
        damping_s: time constant.
        least: alikeness at which both count the same.
    """
    share = least / (batch.alike.sum(axis=1) + least)
    return _kept(batch, batch.came + share[:, None, None] * damped_velocity(batch, damping_s))


def _kept(batch: Batch, found: NDArray[Any]) -> Floats:
    return np.where(batch.seen[..., None], batch.way, found).astype(np.float32)


class NearestPrompt:
    """The way, and the pose, of the training sample whose text is the most alike.

    Args:
        corpus: with vectors.
        learned: places of its samples that may be drawn on.
        framed: makes a batch of such places, known as the batch in question.
    """

    def __init__(self, corpus: Corpus, learned: NDArray[np.int64], framed: Callable[[NDArray[np.int64], int], Batch]):
        self.corpus, self._framed = corpus, framed
        said, first = np.unique(corpus.told[learned], return_index=True)
        self._places, self._vectors = learned[first], corpus.vectors[said]

    def found(self, batch: Batch, vectors: Floats, known: int) -> tuple[Floats, Floats]:
        """Way `(b, n, 2)` and pose `(b, n, 20)` in the frame of the batch.

        Args:
            batch: in question.
            vectors: `(b, d)` of its texts.
            known: frames that are known of it.
        """
        nearest = np.argmax(vectors @ self._vectors.T, axis=1)
        drawn = self._framed(self._places[nearest], known)
        return _kept(batch, drawn.way), drawn.pose
