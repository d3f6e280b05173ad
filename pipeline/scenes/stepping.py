"""The two loops over frames that movement needs: speed along a way, and turning.

Belongs here: kernels over plain arrays. Does not belong here: which way, which speed (kinematics).
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]


@njit(cache=True)
def caps(length: Array, curvature: Array, lateral: float, turn: float, brake: float, end_speed: float) -> Array:
    """The highest speed at each point of a way, so that every turn can be made and the end is met.

    Args:
        length: `(m,)` arc length.
        curvature: `(m,)` 1/m.
        lateral: acceleration to the side that is not exceeded, m/s².
        turn: rate of turning that is not exceeded, rad/s.
        brake: deceleration, m/s².
        end_speed: at the last point, m/s.
    """
    m = length.shape[0]
    out = np.empty(m)
    for i in range(m):
        bend = max(curvature[i], 1e-6)
        out[i] = min(np.sqrt(lateral / bend), 0.8 * turn / bend)
    out[m - 1] = min(out[m - 1], end_speed)
    for i in range(m - 2, -1, -1):
        out[i] = min(out[i], np.sqrt(out[i + 1] ** 2 + 2.0 * brake * (length[i + 1] - length[i])))
    return out


@njit(cache=True)
def advance(first: int, way: Array, speed: Array, target: Array, gain: Array, cap: Array, length: Array,
            brake: float, dt: float) -> int:  # fmt: skip
    """Goes along a way from frame `first` on, which it begins at rest.

    Args:
        first: frame at which it sets out.
        way: `(n,)` arc length by frame, filled from `first` on.
        speed: `(n,)` likewise.
        target: `(n,)` speed that the action wants.
        gain: `(n,)` acceleration of the action.
        cap: `(m,)` from `caps`.
        length: `(m,)` arc length.
        brake: deceleration.
        dt: seconds of a frame.

    Returns:
        The frame of arrival, or `n` if there is none.
    """
    n, m = way.shape[0], length.shape[0]
    at, v, j = 0.0, 0.0, 0
    total = length[m - 1]
    way[first], speed[first] = 0.0, 0.0
    for i in range(first + 1, n):
        want = target[i]
        v = min(v + gain[i] * dt, want) if want >= v else max(v - brake * dt, want)
        ahead = at + v * dt
        while j < m - 2 and length[j + 1] < ahead:
            j += 1
        share = min(max((ahead - length[j]) / max(length[j + 1] - length[j], 1e-9), 0.0), 1.0)
        low, high = cap[j] * cap[j], cap[j + 1] * cap[j + 1]
        v = min(v, np.sqrt(low + share * (high - low)))
        if want > 0.0:
            v = max(v, min(0.12, want))  # the last centimetres are gone at a creep
        at += v * dt
        if at >= total - 0.004:
            way[i:], speed[i:] = total, 0.0
            speed[i] = v
            return i
        way[i], speed[i] = at, v
    never: int = n
    return never


@njit(cache=True)
def turned(wanted: Array, first: float, rate: float, dt: float) -> Array:
    """Headings that follow the wanted ones no faster than `rate` rad/s; the nearer way round."""
    n = wanted.shape[0]
    out = np.empty(n)
    now = first
    for i in range(n):
        off = (wanted[i] - now + np.pi) % (2.0 * np.pi) - np.pi
        now += min(max(off, -rate * dt), rate * dt)
        out[i] = now
    return out
