"""Ways over the ground: rounded corners, arc length, and around what stands there.

Belongs here: geometry of polylines and curves. Does not belong here: when somebody is where (kinematics).
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from configs.scenes import Movement

Array = NDArray[np.float64]
_STEP_M = 0.12  # between points of a curve


@dataclass(frozen=True)
class Curve:
    """A smooth way.

    Attributes:
        points: `(m, 2)` metres.
        length: `(m,)` arc length from the beginning.
        heading: `(m,)` radians, unwrapped.
        curvature: `(m,)` 1/m, absolute.
    """

    points: Array
    length: Array
    heading: Array
    curvature: Array

    @property
    def total(self) -> float:
        """Its length in metres."""
        return float(self.length[-1])


def heading_of(way: Array) -> Array:
    """Heading in radians of ways `(…, 2)` in (x, z)."""
    angle: Array = np.arctan2(-way[..., 1], way[..., 0])
    return angle


def direction_of(heading: Array) -> Array:
    """Unit vectors `(…, 2)` in (x, z) of headings in radians."""
    return np.stack([np.cos(heading), -np.sin(heading)], axis=-1)


def rounded(corners: Array, config: Movement) -> Curve:
    """A curve through all corners `(k, 2)`, at least two that differ; each is passed in the mean of its directions.

    Cubic Hermite pieces whose tangents are short, so that the way is straight but for the corners.
    """
    ways = np.diff(corners, axis=0)
    lengths = np.hypot(ways[:, 0], ways[:, 1])
    units = ways / lengths[:, None]
    tangents = np.empty_like(corners)
    tangents[0], tangents[-1] = units[0], units[-1]
    if len(corners) > 2:
        mean = units[:-1] + units[1:]
        size = np.hypot(mean[:, 0], mean[:, 1])
        back = size < 0.2  # straight back: to the side
        mean[back] = units[:-1][back][:, ::-1] * np.array([-1.0, 1.0])
        tangents[1:-1] = mean / np.where(back, 1.0, size)[:, None]
    reach = np.minimum(3.0 * config.roundness * lengths, 3.0 * config.tangent_m)
    pieces = [corners[:1]]
    for k, size in enumerate(lengths):
        count = max(int(size / _STEP_M), 4)
        straight = abs(tangents[k] @ units[k]) > 0.9999 and abs(tangents[k + 1] @ units[k]) > 0.9999
        u = (np.arange(1, count + 1) / count)[:, None]
        if straight:
            pieces.append(corners[k] + u * ways[k])
            continue
        pieces.append(_bezier(corners[k], corners[k + 1], tangents[k], tangents[k + 1], reach[k] / 3.0, u))
    return curve(np.concatenate(pieces))


def _bezier(begin: Array, end: Array, leave: Array, arrive: Array, reach: float, u: Array) -> Array:
    first, second = begin + reach * leave, end - reach * arrive
    v = 1.0 - u
    points: Array = v**3 * begin + 3.0 * v * v * u * first + 3.0 * v * u * u * second + u**3 * end
    return points


def curve(points: Array) -> Curve:
    """Arc length, heading and curvature of dense points `(m, 2)`, neighbours of which differ."""
    ways = np.diff(points, axis=0)
    steps = np.hypot(ways[:, 0], ways[:, 1])
    length = np.concatenate([[0.0], np.cumsum(steps)])
    angles = np.unwrap(heading_of(ways))
    middle = 0.5 * (length[1:] + length[:-1])
    heading = np.interp(length, middle, angles)
    turn = np.zeros(len(points))
    if len(angles) > 1:
        turn[1:-1] = np.abs(np.diff(angles)) / np.maximum(np.diff(middle), 1e-9)
    return Curve(points, length, heading, turn)


def around(corners: Array, obstacles: Array, depth: int = 6) -> Array:
    """A way through the same corners that leaves obstacles aside.

    Args:
        corners: `(k, 2)`.
        obstacles: `(m, 3)` x, z and radius of circles that nobody walks through, clearance included. Those in which a
            corner lies are not avoided: who has to be there has to go there.
        depth: how often a way may be split.

    Returns:
        `(k + j, 2)` with corners added beside the obstacles.
    """
    if not len(obstacles):
        return corners
    out = [corners[0]]
    for begin, end in pairwise(corners):
        free = [o for o in obstacles if min(np.hypot(*(begin - o[:2])), np.hypot(*(end - o[:2]))) > o[2]]
        out += _detour(begin, end, np.array(free).reshape(-1, 3), depth)
        out.append(end)
    return np.array(out)


def _detour(begin: Array, end: Array, obstacles: Array, depth: int) -> list[Array]:
    way = end - begin
    length = float(np.hypot(*way))
    if not len(obstacles) or depth == 0 or length < 1e-6:
        return []
    unit = way / length
    along = np.clip((obstacles[:, :2] - begin) @ unit, 0.0, length)
    nearest = begin + along[:, None] * unit
    away = np.hypot(*(obstacles[:, :2] - nearest).T)
    hit = np.flatnonzero(away < obstacles[:, 2])
    if not len(hit):
        return []
    first = obstacles[hit[np.argmin(along[hit])]]
    side = np.array([-unit[1], unit[0]])
    offset = float((first[:2] - begin) @ side)
    corner = first[:2] - (1.0 if offset >= 0 else -1.0) * side * first[2] * 1.25
    return [*_detour(begin, corner, obstacles, depth - 1), corner, *_detour(corner, end, obstacles, depth - 1)]
