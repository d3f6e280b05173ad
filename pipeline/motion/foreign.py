"""A motion that somebody else made, on our skeleton but on no path of ours.

Belongs here: the record, what must hold of it, another frame rate. Does not belong here: files (npz), the real path
(warp).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.motion.rotations import Array, continuous, unit
from pipeline.motion.skeleton import JOINTS


class Malformed(PipelineError):
    """What should be a motion is none; the message says why."""


@dataclass(frozen=True, eq=False)
class Motion:
    """Rotations and root of the 22 joints, y up, metres.

    Attributes:
        rotations: local unit quaternions `(T, 22, 4)`, xyzw.
        root: position of the pelvis `(T, 3)`, metres.
        fps: frames a second.
        contacts: `(T, 2)` bool, whether the ball of the left and the right foot is held; None when nobody says.
        trainable: whether it may train other models.
    """

    rotations: Array
    root: Array
    fps: float
    contacts: NDArray[np.bool_] | None = None
    trainable: bool = False

    def __post_init__(self) -> None:
        frames = self.root.shape[0] if self.root.ndim == 2 else 0
        if frames < 2 or self.root.shape != (frames, 3):
            raise Malformed(f"a root of shape {self.root.shape}; (frames, 3) with two frames or more are needed")
        if self.rotations.shape != (frames, len(JOINTS), 4):
            raise Malformed(f"rotations of shape {self.rotations.shape}; ({frames}, {len(JOINTS)}, 4) are needed")
        if self.contacts is not None and self.contacts.shape != (frames, 2):
            raise Malformed(f"contacts of shape {self.contacts.shape}; ({frames}, 2) are needed")
        if not np.isfinite(self.root).all() or not np.isfinite(self.rotations).all():
            raise Malformed("positions or rotations that are no numbers")
        if not np.isfinite(self.fps) or not 1.0 <= self.fps <= 1000.0:
            raise Malformed(f"{self.fps} frames a second")
        if np.abs(np.sum(self.rotations**2, axis=-1) - 1.0).max() > 1e-2:
            raise Malformed("quaternions that are no rotations")

    @property
    def frames(self) -> int:
        """Number of frames."""
        return int(self.root.shape[0])

    @property
    def seconds(self) -> float:
        """Length from the first frame to the last."""
        return (self.frames - 1) / self.fps


def resampled(motion: Motion, frames: int, fps: float) -> Motion:
    """The same motion from its first frame to its last in another number of frames.

    Rotations are interpolated along the chord and normalised, which at the angles between neighbouring frames differs
    from the arc by less than a thousandth of them.

    Args:
        motion: at least two frames.
        frames: at least two.
        fps: of the result; the motion runs faster or slower unless it fits.
    """
    at = np.linspace(0.0, motion.frames - 1.0, frames)
    low = np.minimum(at.astype(np.int64), motion.frames - 2)
    share = at - low
    turned = continuous(motion.rotations)
    rotations = turned[low] + share[:, None, None] * (turned[low + 1] - turned[low])
    root = motion.root[low] + share[:, None] * (motion.root[low + 1] - motion.root[low])
    contacts = None if motion.contacts is None else motion.contacts[np.rint(at).astype(np.int64)]
    return Motion(continuous(unit(rotations)), root, fps, contacts, motion.trainable)
