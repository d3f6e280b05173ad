"""Fewer keys for the same motion: curves through some of its frames, and how far they are off at all of them.

Belongs here: which frames a channel keeps and the tangents there, the loss in object space. Does not belong here: how
much may be lost (configs/motion.yaml), files (gltf).

A channel becomes a chain of cubics (glTF's CUBICSPLINE: Hermite's, a key has a tangent in and another out). Keys are
frames of the motion; each cubic goes on for as many frames as it can. Its tangents are fitted by least squares to the
frames in between. Rotations are normalized after interpolation, so the length of a quaternion is free: the curve is
fitted to `w(u) q`, where `w` is a cubic, 1 at both keys, whose two slopes are fitted as well. So each cubic has two
figures more than its tangents have by themselves, at no cost in the file.

Between frames a curve could go anywhere. So it must be as near to the smooth curve through the frames as a straight
line from frame to frame is, or within a bound of its own.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from configs.motion import Export
from pipeline.motion.clip import Clip
from pipeline.motion.rotations import Array
from pipeline.motion.skeleton import INDEX, JOINTS, OFFSETS, PARENTS, rest

_LEGS = frozenset((INDEX["Pelvis"], *(INDEX[f"{side}_{part}"] for side in "LR" for part in ("Hip", "Knee", "Ankle"))))
_PARENTS: NDArray[np.int64] = np.array(PARENTS)
LONGEST_RUN = 40
"""Frames between two keys of a channel that moves at all: bounds the search."""
_FREE_LENGTH = 12
"""Frames up to which the length of the quaternions is fitted; longer cubics are of what hardly moves."""
_STIFF = 1e-10
"""Keeps the slopes of the length small where many would do."""
_MOST_TURNS = 6
"""How often a clip's tolerances are tightened at most: they are to be right at the first or second time."""
_WIDTH = 4
"""Figures of a channel: of a quaternion, or of a place and a nought."""
VERTEX_M = 0.03
"""A virtual vertex lies this far off its joint along each of its axes: how far the skin lies off the bones."""


def _lever() -> Array:
    """Metres from each joint to the furthest point that it moves: its descendants and 10 cm of flesh beyond."""
    at = rest()
    far = np.full(len(JOINTS), 0.10)
    for joint in range(len(JOINTS) - 1, 0, -1):
        up = joint
        while up >= 0:
            far[up] = max(far[up], float(np.linalg.norm(at[joint] - at[up])) + 0.10)
            up = PARENTS[up]
    return far


LEVER_M = _lever()
_REACH = np.concatenate([2.0 * LEVER_M, [1.0]])
"""Metres by which a channel's figures move what it carries: a quaternion is off by half the angle; last the root."""
_WIDTHS = (*(4 for _ in JOINTS), 3)


def _bases() -> tuple[Array, Array, Array]:
    """What is known of cubics over 0, 1, 2… frames.

    Hermite's four functions at their frames, and in the middles between these; what makes tangents of what the ends
    leave over; orthonormal directions in which no tangents reach.
    """
    at = np.zeros((LONGEST_RUN + 1, 4, 2 * LONGEST_RUN + 1))
    fit = np.zeros((LONGEST_RUN + 1, 2, LONGEST_RUN))
    beyond = np.zeros((LONGEST_RUN + 1, LONGEST_RUN, LONGEST_RUN))
    for n in range(1, LONGEST_RUN + 1):
        u = np.arange(2 * n + 1) / (2 * n)
        at[n, :, : u.size] = 2 * u**3 - 3 * u**2 + 1, u**3 - 2 * u**2 + u, 3 * u**2 - 2 * u**3, u**3 - u**2
        if n > 1:
            slopes = at[n, 1::2, 2 : 2 * n : 2].T
            fit[n, :, : n - 1] = np.linalg.pinv(slopes)
            beyond[n, : max(n - 3, 0), : n - 1] = np.linalg.svd(slopes)[0][:, 2:].T
    return at, fit, beyond


_BASES = _bases()


@dataclass(frozen=True)
class Curve:
    """What a channel keeps.

    Attributes:
        frames: `(n,)` of its keys, rising.
        values: `(n, K)` there: those of the motion.
        tangents_in: `(n, K)` a frame, of the cubic that ends in a key.
        tangents_out: `(n, K)` of the one that begins there.
    """

    frames: NDArray[np.int64]
    values: Array
    tangents_in: Array
    tangents_out: Array

    @property
    def is_still(self) -> bool:
        """Whether it hardly moves: two keys, and a straight line between them."""
        return self.frames.size == 2 and not self.tangents_out.any()


def keep(clip: Clip, config: Export) -> tuple[Curve, list[Curve]]:
    """The curves of the root's translation, and of each joint's rotation.

    A channel differs from the motion by less than its tolerance over the joint's lever. If the whole body then is
    further off than it may be (see `loss`), all tolerances become smaller until it is not.

    Args:
        clip: the motion, of at least two frames.
        config: tolerances in metres, and what may be lost at most.
    """
    each = np.array(
        [config.contact_tolerance_m if j in _LEGS else config.rotation_tolerance_m for j in range(len(JOINTS))]
    )
    way, packed = _packed(clip)
    channels = np.concatenate([packed, np.concatenate([way, np.zeros((clip.frames, 1))], axis=1)[None]])
    was = _forward(packed, way, _PARENTS, OFFSETS)
    share = 1.0
    for turn in range(_MOST_TURNS):
        share *= turn + 1 < _MOST_TURNS  # the last one loses nothing, whatever it costs
        tolerances = np.concatenate([each, [config.contact_tolerance_m]]) * share
        kept, sizes, tin, tout, drawn = _curves(channels, tolerances / _REACH, config.between_m / _REACH, *_BASES)
        away = _apart(*_forward(drawn[:-1], drawn[-1, :, :3], _PARENTS, OFFSETS), *was)
        far = np.partition(away.reshape(-1), most := int(np.ceil(0.99 * away.size)) - 1)[most]
        over = max(far / config.most_99_m, float(away.max()) / config.most_m)
        if over <= 1.0:
            break
        share *= 0.95 / over
    curves = [
        Curve(frames := kept[c, :size], channels[c, frames, :width], tin[c, :size, :width], tout[c, :size, :width])
        for c, (size, width) in enumerate(zip(sizes, _WIDTHS, strict=True))
    ]
    return curves[-1], curves[:-1]


def loss(clip: Clip, root: Curve, joints: list[Curve]) -> Array:
    """What curves lose, in object space: how far each joint's virtual vertices are off, `(T, 22)` metres.

    The measure of ACL (Frechette): a vertex some way off the bone sees errors of the joint's own turn and of all above
    it, as the skin does. Of the three vertices of a joint, one along each axis, the one furthest off counts.

    Args:
        clip: the motion.
        root: of the root's translation.
        joints: of each joint's rotation.
    """
    way, packed = _packed(clip)
    return _lost(_forward(packed, way, _PARENTS, OFFSETS), root, joints).T


def _packed(clip: Clip) -> tuple[Array, Array]:
    """The root `(T, 3)` and the rotations joint by joint, `(22, T, 4)`."""
    return np.ascontiguousarray(clip.root), np.ascontiguousarray(np.moveaxis(clip.rotations, 1, 0))


def _lost(was: tuple[Array, Array], root: Curve, joints: list[Curve]) -> Array:
    drawn = np.stack([_drawn(c.frames, c.values, c.tangents_in, c.tangents_out, True, _BASES[0]) for c in joints])
    values, into, out = map(np.ascontiguousarray, (root.values, root.tangents_in, root.tangents_out))
    way = _drawn(root.frames, values, into, out, False, _BASES[0])
    return _apart(*_forward(drawn, way, _PARENTS, OFFSETS), *was)


@njit(cache=True, error_model="numpy")
def _reaches(
    y: Array,
    middles: Array,
    room: Array,
    first: int,
    n: int,
    most: float,
    between: float,
    turns: bool,
    at: Array,
    tangents: Array,
) -> bool:
    """Whether a cubic is as near as it must be to the frames between its ends, and to the middles between frames."""
    for i in range(1, 2 * n):
        if i % 2 and n == 1:
            continue
        squares, along, away = 0.0, 0.0, 0.0
        for k in range(_WIDTH):
            goal = middles[first + i // 2, k] if i % 2 else y[first + i // 2, k]
            value = at[n, 0, i] * y[first, k] + at[n, 2, i] * y[first + n, k]
            value += at[n, 1, i] * tangents[0, k] + at[n, 3, i] * tangents[1, k]
            squares += value * value
            along += value * goal
            away += (value - goal) ** 2
        if turns:
            away = 1.0 - along * along / squares if along > 0.0 else 1.0
        if away > (max(room[first + i // 2], between) if i % 2 else most):
            return False
    return True


@njit(cache=True, error_model="numpy")
def _fitted(
    y: Array,
    middles: Array,
    room: Array,
    first: int,
    n: int,
    most: float,
    between: float,
    turns: bool,
    at: Array,
    fit: Array,
    beyond: Array,
    rest_of: Array,
    tangents: Array,
) -> bool:
    """Fits the tangents of a cubic over `n` frames; whether it may stand for them."""
    last = first + n
    tangents[:] = 0.0
    if n == 1:
        for k in range(_WIDTH):
            tangents[0, k] = tangents[1, k] = y[last, k] - y[first, k]
        return True
    for i in range(1, n):
        for k in range(_WIDTH):
            rest_of[i - 1, k] = y[first + i, k] - at[n, 0, 2 * i] * y[first, k] - at[n, 2, 2 * i] * y[last, k]
            tangents[0, k] += fit[n, 0, i - 1] * rest_of[i - 1, k]
            tangents[1, k] += fit[n, 1, i - 1] * rest_of[i - 1, k]
    if n == 2:  # one frame for two tangents: the parabola through all three
        for k in range(_WIDTH):
            bend = 4.0 * y[first + 1, k] - 2.0 * (y[first, k] + y[last, k])
            tangents[0, k] = y[last, k] - y[first, k] + bend
            tangents[1, k] = y[last, k] - y[first, k] - bend
    if _reaches(y, middles, room, first, n, most, between, turns, at, tangents):
        return True
    if not turns or n < 4 or n > _FREE_LENGTH:
        return False
    # aa, ab, bb: of the two slopes of the length; ao, bo: with what is to be made good
    aa, ab, bb, ao, bo = _STIFF, 0.0, _STIFF, 0.0, 0.0
    for i in range(n - 3):
        for k in range(_WIDTH):
            over, one, two = 0.0, 0.0, 0.0
            for j in range(n - 1):
                part = beyond[n, i, j]
                over += part * rest_of[j, k]
                one += part * at[n, 1, 2 * j + 2] * y[first + j + 1, k]
                two += part * at[n, 3, 2 * j + 2] * y[first + j + 1, k]
            aa, ab, bb = aa + one * one, ab + one * two, bb + two * two
            ao, bo = ao + one * over, bo + two * over
    whole = aa * bb - ab * ab
    if whole <= 0.0:
        return False
    alpha, beta = (ab * bo - bb * ao) / whole, (ab * ao - aa * bo) / whole
    for i in range(1, n):
        share = alpha * at[n, 1, 2 * i] + beta * at[n, 3, 2 * i]
        for k in range(_WIDTH):
            more = share * y[first + i, k]
            tangents[0, k] += fit[n, 0, i - 1] * more
            tangents[1, k] += fit[n, 1, i - 1] * more
    return _reaches(y, middles, room, first, n, most, between, turns, at, tangents)


@njit(cache=True, error_model="numpy")
def _curve(
    y: Array, most_m: float, between_m: float, turns: bool, at: Array, fit: Array, beyond: Array
) -> tuple[NDArray[np.int64], Array, Array, Array]:
    """A channel's `Curve`, part by part: of each key, it is tried how far its cubic reaches."""
    count = y.shape[0]
    kept = np.empty(count, dtype=np.int64)
    tin, tout = np.zeros((count, _WIDTH)), np.zeros((count, _WIDTH))
    most, between = most_m * most_m, between_m * between_m
    still = True
    for i in range(count):
        away = 0.0
        for k in range(_WIDTH):
            away += (y[i, k] - y[0, k]) ** 2
        if away > 0.25 * most:
            still = False
            break
    if still:
        kept[0], kept[1] = 0, count - 1
        return kept[:2], y[kept[:2]], tin[:2], tout[:2]
    middles, room = np.empty((count - 1, _WIDTH)), np.empty(count - 1)
    for i in range(count - 1):
        squares, along, ends, away = 0.0, 0.0, 0.0, 0.0
        for k in range(_WIDTH):
            line = 0.5 * (y[i, k] + y[i + 1, k])
            smooth = line
            if 0 < i < count - 2:
                smooth = (9.0 * (y[i, k] + y[i + 1, k]) - y[i - 1, k] - y[i + 2, k]) / 16.0
            middles[i, k] = smooth
            squares, along, ends = squares + smooth * smooth, along + smooth * line, ends + line * line
            away += (smooth - line) ** 2
        if turns:
            away = max(0.0, 1.0 - along * along / (squares * ends))
            for k in range(_WIDTH):
                middles[i, k] /= np.sqrt(squares)
        room[i] = away
    tangents, best, rest_of = np.empty((2, _WIDTH)), np.empty((2, _WIDTH)), np.empty((LONGEST_RUN, _WIDTH))
    kept[0], size, first, n, reached = 0, 1, 0, 4, 0
    while first < count - 1:
        n, longer = max(1, min(n, count - 1 - first)), True  # as long as the last one, then longer or shorter
        while True:
            if _fitted(y, middles, room, first, n, most, between, turns, at, fit, beyond, rest_of, tangents):
                best[:] = tangents
                if not longer or n == LONGEST_RUN or first + n + 1 == count:
                    break
                n, reached = n + 1, n
            elif longer and reached:
                n = reached
                break
            else:
                n, longer = n - 1, False
        for k in range(_WIDTH):
            tout[size - 1, k], tin[size, k] = best[0, k] / n, best[1, k] / n
        first, reached = first + n, 0
        kept[size], size = first, size + 1
    return kept[:size], y[kept[:size]], tin[:size], tout[:size]


@njit(cache=True, error_model="numpy")
def _curves(
    channels: Array, most: Array, between: Array, at: Array, fit: Array, beyond: Array
) -> tuple[NDArray[np.int64], NDArray[np.int64], Array, Array, Array]:
    """Of all channels `(C, T, 4)`, the last the root: keys, how many, tangents in and out, curves at every frame."""
    count, frames = channels.shape[0], channels.shape[1]
    kept, sizes = np.empty((count, frames), dtype=np.int64), np.empty(count, dtype=np.int64)
    tin, tout = np.empty((count, frames, _WIDTH)), np.empty((count, frames, _WIDTH))
    drawn = np.empty((count, frames, _WIDTH))
    for c in range(count):
        turns = c < count - 1
        own, values, into, out = _curve(channels[c], most[c], between[c], turns, at, fit, beyond)
        sizes[c] = own.size
        kept[c, : own.size], tin[c, : own.size], tout[c, : own.size] = own, into, out
        drawn[c] = _drawn(own, values, into, out, turns, at)
    return kept, sizes, tin, tout, drawn


@njit(cache=True, error_model="numpy")
def _drawn(kept: NDArray[np.int64], values: Array, tin: Array, tout: Array, turns: bool, at: Array) -> Array:
    """A curve at every frame; of rotations, unit. `values` are those of the keys, tangents are those a frame."""
    count, width = kept[-1] + 1, values.shape[1]
    out = np.empty((count, width))
    for s in range(kept.size - 1):
        n = kept[s + 1] - kept[s]
        for i in range(n + 1):
            if n <= LONGEST_RUN:
                h0, h1, h2, h3 = at[n, 0, 2 * i], at[n, 1, 2 * i], at[n, 2, 2 * i], at[n, 3, 2 * i]
            else:  # of what stands still
                u = i / n
                h0, h1, h2, h3 = 1.0 - u, 0.0, u, 0.0
            squares = 0.0
            for k in range(width):
                value = h0 * values[s, k] + h2 * values[s + 1, k] + n * (h1 * tout[s, k] + h3 * tin[s + 1, k])
                out[kept[s] + i, k] = value
                squares += value * value
            if turns:
                for k in range(width):
                    out[kept[s] + i, k] /= np.sqrt(squares)
    return out


@njit(cache=True, error_model="numpy")
def _forward(rotations: Array, root: Array, parents: NDArray[np.int64], offsets: Array) -> tuple[Array, Array]:
    """Positions `(J, T, 3)` and global quaternions `(J, T, 4)` of local ones `(J, T, 4)`."""
    joints, frames = rotations.shape[0], rotations.shape[1]
    at, turned = np.empty((joints, frames, 3)), np.empty((joints, frames, 4))
    for j in range(joints):
        p = parents[j]
        for t in range(frames):
            bx, by, bz, bw = rotations[j, t, 0], rotations[j, t, 1], rotations[j, t, 2], rotations[j, t, 3]
            if p < 0:
                at[j, t] = root[t]
                turned[j, t, 0], turned[j, t, 1], turned[j, t, 2], turned[j, t, 3] = bx, by, bz, bw
                continue
            ax, ay, az, aw = turned[p, t, 0], turned[p, t, 1], turned[p, t, 2], turned[p, t, 3]
            turned[j, t, 0] = aw * bx + ax * bw + ay * bz - az * by
            turned[j, t, 1] = aw * by - ax * bz + ay * bw + az * bx
            turned[j, t, 2] = aw * bz + ax * by - ay * bx + az * bw
            turned[j, t, 3] = aw * bw - ax * bx - ay * by - az * bz
            ox, oy, oz = offsets[j, 0], offsets[j, 1], offsets[j, 2]
            tx, ty, tz = 2.0 * (ay * oz - az * oy), 2.0 * (az * ox - ax * oz), 2.0 * (ax * oy - ay * ox)
            at[j, t, 0] = at[p, t, 0] + ox + aw * tx + (ay * tz - az * ty)
            at[j, t, 1] = at[p, t, 1] + oy + aw * ty + (az * tx - ax * tz)
            at[j, t, 2] = at[p, t, 2] + oz + aw * tz + (ax * ty - ay * tx)
    return at, turned


@njit(cache=True, error_model="numpy")
def _apart(at: Array, turned: Array, was_at: Array, was_turned: Array) -> Array:
    """How far the furthest of three vertices is off, `(J, T)`."""
    joints, frames = at.shape[0], at.shape[1]
    out = np.empty((joints, frames))
    one, two = np.empty((3, 3)), np.empty((3, 3))
    for j in range(joints):
        for t in range(frames):
            _axes(turned[j, t], one)
            _axes(was_turned[j, t], two)
            most = 0.0
            for axis in range(3):
                away = 0.0
                for k in range(3):
                    away += (at[j, t, k] - was_at[j, t, k] + VERTEX_M * (one[k, axis] - two[k, axis])) ** 2
                most = max(most, away)
            out[j, t] = np.sqrt(most)
    return out


@njit(cache=True, error_model="numpy")
def _axes(q: Array, out: Array) -> None:
    x, y, z, w = q[0], q[1], q[2], q[3]
    out[0, 0], out[0, 1], out[0, 2] = 1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)
    out[1, 0], out[1, 1], out[1, 2] = 2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)
    out[2, 0], out[2, 1], out[2, 2] = 2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)
