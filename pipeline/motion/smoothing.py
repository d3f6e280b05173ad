"""Foreign motion without its tremor: all rotations and the root in one matrix product.

Belongs here: the smoothing matrix and what it is applied to. Does not belong here: our own motion (it is smooth as it
is made), paths (path), how long the window is (configs/motion.yaml).
"""

from functools import cache

import numpy as np

from pipeline.motion.rotations import Array, continuous, unit


@cache
def matrix(frames: int, window: int, order: int) -> Array:
    """The `(frames, frames)` matrix that replaces each value by a polynomial fitted to its neighbours.

    Savitzky and Golay (1964). Near the ends the window stays whole and the polynomial is read off its middle, so
    polynomials up to the order pass through unchanged everywhere. A motion shorter than the window stays as it is.

    Args:
        frames: of the motion.
        window: frames of a fit, odd.
        order: of the polynomial.
    """
    if frames < window:
        return np.eye(frames)
    out = np.zeros((frames, frames))
    for i in range(frames):
        first = min(max(i - window // 2, 0), frames - window)
        powers = (np.arange(first, first + window) - i)[:, None] ** np.arange(order + 1)
        out[i, first : first + window] = np.linalg.pinv(powers.astype(np.float64))[0]
    out.setflags(write=False)
    return out


def smoothed(rotations: Array, root: Array, window: int, order: int) -> tuple[Array, Array]:
    """Rotations `(T, J, 4)` and root `(T, 3)` smoothed over time; rotations come out unit and continuous in sign."""
    frames, joints = rotations.shape[:2]
    columns = np.concatenate([continuous(rotations).reshape(frames, -1), root], axis=1)
    product = matrix(frames, window, order) @ columns
    return unit(product[:, :-3].reshape(frames, joints, 4)), product[:, -3:]
