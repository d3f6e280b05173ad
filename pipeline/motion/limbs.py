"""Two-bone limbs: where a knee or an elbow is when both ends are given.

Belongs here: inverse kinematics of one leg and one arm, all frames at once. Does not belong here: where hands and feet
go.
"""

import numpy as np
from numba import njit

from pipeline.motion.rotations import Array, cross, from_axes

EXACT = 0.993
"""Up to this share of its reach a limb is solved exactly."""


def bend(
    begin: Array,
    end: Array,
    upper: float,
    lower: float,
    axis: Array,
    reach: float,
    fold: float,
    exact: float | Array = EXACT,
) -> tuple[Array, Array, Array, Array]:
    """A limb of two bones from `begin` to `end`, bent about `axis`.

    An end beyond reach is drawn in along its line, smoothly from a share `exact` of full reach on; one nearer than a
    folded limb allows is pushed out.

    Args:
        begin: `(N, 3)` hip or shoulder.
        end: `(N, 3)` wanted ankle or wrist.
        upper: length of the first bone, metres.
        lower: length of the second.
        axis: `(N, 3)` about which the limb bends, its part along the limb left out; looking along the limb with the
            axis to the left, the middle joint points up.
        reach: greatest share of the straight length.
        fold: least share of the straight length.
        exact: share of the reach up to which an end is reached exactly; one, or one a frame.

    Returns:
        Unit directions `(N, 3)` of both bones, the unit hinge axis `(N, 3)`, and the end that was reached.
    """
    n = begin.shape[0]
    first, second, hinge, reached = np.empty((n, 3)), np.empty((n, 3)), np.empty((n, 3)), np.empty((n, 3))
    shares = np.broadcast_to(np.asarray(exact, dtype=np.float64), (n,))
    begin, end, axis = (np.ascontiguousarray(v, dtype=np.float64) for v in (begin, end, axis))
    _bend(begin, end, axis, shares, (upper, lower, reach, fold), first, second, hinge, reached)
    return first, second, hinge, reached


@njit(cache=True)
def _bend(
    begin: Array,
    end: Array,
    axis: Array,
    exact: Array,
    sizes: tuple[float, float, float, float],
    first: Array,
    second: Array,
    hinge: Array,
    reached: Array,
) -> None:
    upper, lower, reach, fold = sizes
    longest, shortest = reach * (upper + lower), fold * (upper + lower)
    for i in range(begin.shape[0]):
        x, y, z = end[i, 0] - begin[i, 0], end[i, 1] - begin[i, 1], end[i, 2] - begin[i, 2]
        length = np.sqrt(x * x + y * y + z * z)
        apart = max(length, 1e-9)
        x, y, z = x / apart, y / apart, z / apart
        span, soft = length, exact[i] * longest
        if length > soft:
            span = soft + (longest - soft) * (1.0 - np.exp(-(length - soft) / (longest - soft)))
        under = 1.25 * shortest - length
        if under > 0.0:
            span = shortest + 0.25 * shortest * np.exp(-under / (0.25 * shortest))
        along = axis[i, 0] * x + axis[i, 1] * y + axis[i, 2] * z
        hx, hy, hz = axis[i, 0] - along * x, axis[i, 1] - along * y, axis[i, 2] - along * z
        size = max(np.sqrt(hx * hx + hy * hy + hz * hz), 1e-12)
        hx, hy, hz = hx / size, hy / size, hz / size
        forth = (upper * upper - lower * lower + span * span) / (2.0 * span)
        out = np.sqrt(max(upper * upper - forth * forth, 0.0))
        mx, my = forth * x + out * (hy * z - hz * y), forth * y + out * (hz * x - hx * z)
        mz = forth * z + out * (hx * y - hy * x)
        hinge[i] = hx, hy, hz
        first[i] = mx / upper, my / upper, mz / upper
        second[i] = (span * x - mx) / lower, (span * y - my) / lower, (span * z - mz) / lower
        reached[i] = begin[i, 0] + span * x, begin[i, 1] + span * y, begin[i, 2] + span * z


def leg(hip: Array, ankle: Array, thigh: float, shank: float, left: Array, reach: float) -> tuple[Array, Array, Array]:
    """Global rotations of thigh and shank, each `(N, 4)`, and the ankle reached `(N, 3)`.

    The knee is a hinge about the thigh's own x, and can only bend back: both bones share that axis.

    Args:
        hip: `(N, 3)`.
        ankle: `(N, 3)` wanted.
        thigh: length, metres.
        shank: length.
        left: `(N, 3)` direction to the left of the knee.
        reach: greatest share of the straight length.
    """
    first, second, hinge, reached = bend(hip, ankle, thigh, shank, -left, reach, 0.36)
    axis = -hinge
    return from_axes(axis, -first, cross(axis, -first)), from_axes(axis, -second, cross(axis, -second)), reached


def arm(
    shoulder: Array, wrist: Array, upper: float, lower: float, elbow: Array, side: int
) -> tuple[Array, Array, Array]:
    """Global rotations of upper arm and forearm, each `(N, 4)`, and the wrist reached `(N, 3)`.

    Args:
        shoulder: `(N, 3)`.
        wrist: `(N, 3)` wanted.
        upper: length of the upper arm, metres.
        lower: length of the forearm.
        elbow: `(N, 3)` direction to which the elbow points.
        side: +1 left, -1 right.
    """
    first, second, hinge, reached = bend(shoulder, wrist, upper, lower, cross(wrist - shoulder, elbow), 0.985, 0.30)
    up = side * hinge
    return (
        from_axes(side * first, up, cross(side * first, up)),
        from_axes(side * second, up, cross(side * second, up)),
        reached,
    )
