"""A judge of motion that the model never met: which action does a second of movement look like?

Belongs here: a classifier of actions, trained on true motion alone. Does not belong here: the model, its measures
(evaluation).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.trajectories.corpus import scale_of
from pipeline.trajectories.samples import Samples

Floats = NDArray[np.float32]
_WINDOW_S, _LOOKS = 1.0, 5


def looks(samples: Samples, head_m: float, stride_s: float = 0.5) -> tuple[Floats, NDArray[np.uint8]]:
    """Seconds of one action as features, and these actions.

    Args:
        samples: motion, and what is (or should be) done in each frame.
        head_m: from hips to head of the usual human.
        stride_s: from one second to the next.

    Returns:
        `(m, 142)` poses at five instants, how they vary, how they change, speed and turning; `(m,)` codes.
    """
    b, n, *_ = samples.joints.shape
    length, stride = round(_WINDOW_S * samples.fps), round(stride_s * samples.fps)
    firsts = np.arange(0, n - length + 1, stride)
    at = firsts[:, None] + np.arange(length)[None]
    scale = scale_of(samples.joints, head_m)
    pose = samples.joints.reshape(b, n, -1) / scale[:, None, None]
    code = samples.actions[:, at]
    same = (code == code[:, :, :1]).all(axis=2)
    windows = pose[:, at]  # (b, windows, length, 20)
    way = np.diff(samples.position, axis=1, prepend=samples.position[:, :1])
    speed = (np.hypot(way[..., 0], way[..., 1]) * samples.fps / scale[:, None])[:, at]
    looked = windows[:, :, np.linspace(0, length - 1, _LOOKS).astype(int)].reshape(b, len(firsts), -1)
    change = np.abs(np.diff(windows, axis=2)).mean(axis=2) * samples.fps
    features = np.concatenate(
        [looked, windows.std(axis=2), change, speed.mean(axis=2)[..., None], speed.std(axis=2)[..., None]], axis=2
    )
    return features[same].astype(np.float32), code[:, :, 0][same]


@dataclass(frozen=True)
class Recogniser:
    """Says what a second of motion looks like."""

    scaler: Any
    classifier: Any

    @classmethod
    def learned(cls, features: Floats, actions: NDArray[np.uint8], *, most: int, seed: int = 0) -> "Recogniser":
        """Learns from true motion; of each action no more than its share of `most` rows."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        rng = np.random.default_rng(seed)
        kinds = np.unique(actions)
        kept = []
        for kind in kinds:
            rows = np.flatnonzero(actions == kind)
            kept.append(rng.permutation(rows)[: max(most // len(kinds), 1)])
        rows = np.sort(np.concatenate(kept))
        scaler = StandardScaler().fit(features[rows])
        classifier = LogisticRegression(max_iter=400, C=0.3, tol=1e-2).fit(
            scaler.transform(features[rows]), actions[rows]
        )
        return cls(scaler, classifier)

    def recognised(self, features: Floats) -> NDArray[np.uint8]:
        """Codes of the actions that these seconds look like."""
        found: NDArray[np.uint8] = self.classifier.predict(self.scaler.transform(features))
        return found
