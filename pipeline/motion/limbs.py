"""Two-bone limbs: where a knee or an elbow is when both ends are given.

Belongs here: inverse kinematics of one leg and one arm, all frames at once. Does not belong here: where hands and feet
go.
"""

import numpy as np

from pipeline.motion.rotations import Array, cross, from_axes, unit


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

    An end beyond reach is drawn in along its line, smoothly from a share `exact` of full reach on; one nearer than a folded limb
    allows is pushed out.

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
    way = end - begin
    length = np.sqrt(np.sum(way * way, axis=-1))
    toward = way / np.maximum(length, 1e-9)[:, None]
    longest, shortest = reach * (upper + lower), fold * (upper + lower)
    soft = exact * longest
    over = np.maximum(length - soft, 0.0)
    span = np.where(over > 0.0, soft + (longest - soft) * (1.0 - np.exp(-over / (longest - soft))), length)
    under = np.maximum(1.25 * shortest - length, 0.0)
    span = np.where(under > 0.0, shortest + 0.25 * shortest * np.exp(-under / (0.25 * shortest)), span)
    hinge = unit(axis - np.sum(axis * toward, axis=-1, keepdims=True) * toward)
    side = cross(hinge, toward)
    along = (upper**2 - lower**2 + span**2) / (2.0 * span)
    across = np.sqrt(np.maximum(upper**2 - along**2, 0.0))
    middle = along[:, None] * toward + across[:, None] * side
    last = span[:, None] * toward
    return middle / upper, (last - middle) / lower, hinge, begin + last


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
