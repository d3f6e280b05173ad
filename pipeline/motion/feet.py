"""How each foot moves: it rolls over the ground from heel to toe where it stands and swings between stances.

Belongs here: the path and pitch of feet between planned stances. Does not belong here: the legs above them (legs).

While a foot stands, the ball (or, in the first moment of a heel strike, the heel) is fixed in the world. A swing is a
minimum-jerk curve (Flash and Hogan 1985) in the ground plane, through via points of recorded swings.
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from configs.motion import Swing
from pipeline.motion.footfalls import Plan
from pipeline.motion.gait import Manner
from pipeline.motion.legs import nearness, pressed
from pipeline.motion.path import Path
from pipeline.motion.rotations import Array, body, rotate
from pipeline.motion.skeleton import ANKLE_M, ANKLE_TO_BALL_M, BALL_M, HEEL_M, SHANK_M, THIGH_M, TOE_M

ANKLE_UP_M = ANKLE_M - BALL_M
ANKLE_FROM_BALL = np.array([0.0, ANKLE_UP_M, -ANKLE_TO_BALL_M])
SOLE_M = ANKLE_TO_BALL_M + HEEL_M
"""From the heel to the ball of the foot."""
SPREAD = (1.0 / 24.0, 3.0 / 24.0, 5.0 / 24.0, 6.0 / 24.0, 5.0 / 24.0, 3.0 / 24.0, 1.0 / 24.0)
"""Weights over seven frames that bring a correction in and out."""
SHAPE_CELLS = 401


@dataclass(frozen=True)
class FootMotion:
    """One foot at every frame.

    Attributes:
        ball: `(N, 3)` metres.
        yaw: `(N,)` radians.
        pitch: `(N,)` radians, positive lifts the heel.
        toe: `(N,)` radians, pitch of the toes in the world.
        contact: `(N,)` the ball is held by the ground.
        floor: `(N,)` metres, the ground under it.
    """

    ball: Array
    yaw: Array
    pitch: Array
    toe: Array
    contact: NDArray[np.bool_]
    floor: Array

    @property
    def turned(self) -> Array:
        """Rotation of the foot at the ankle, `(N, 4)`."""
        return body(self.yaw, self.pitch, np.zeros(self.yaw.size))

    def pitched(self, pitch: Array, ankle: Array, config: Swing) -> "FootMotion":
        """The foot at another pitch, below an ankle that is somewhere; a foot that stands stays.

        Args:
            pitch: `(N,)` radians.
            ankle: `(N, 3)` metres.
            config: how far toes bend.
        """
        turned = body(self.yaw, pitch, np.zeros(self.yaw.size))
        ball = np.where(self.contact[:, None], self.ball, ankle - rotate(turned, ANKLE_FROM_BALL))
        toe = np.where(self.contact, self.toe, toes(ball[:, 1] - self.floor, pitch, config))
        return replace(self, ball=ball, pitch=pitch, toe=toe)

    @property
    def ankle(self) -> Array:
        """Where the ankle is, `(N, 3)`."""
        return self.ball + rotate(self.turned, ANKLE_FROM_BALL)


@cache
def _shapes(config: Swing) -> Array:
    """Curves of a swing over its time, `(4, 3, cells)`: way, lift, pitch, and what is left of the pitch at its start.

    Of each, walking, running and the plain one. The way is a minimum-jerk curve through via points, a quintic spline
    at rest at both ends.
    """
    from scipy.interpolate import PchipInterpolator, make_interp_spline

    at = np.linspace(0.0, 1.0, SHAPE_CELLS)
    rest = [(1, 0.0), (2, 0.0)]
    out = np.empty((4, 3, SHAPE_CELLS))
    for k, kind in enumerate(("walk", "run", "plain")):
        t, w = np.array([(0.0, 0.0), *getattr(config, f"{kind}_way"), (1.0, 1.0)]).T
        out[0, k] = make_interp_spline(t, w, k=5, bc_type=(rest, rest))(at)
        t, w = np.array([(0.0, 0.0), *getattr(config, f"{kind}_lift"), (1.0, 0.0)]).T
        out[1, k] = PchipInterpolator(t, w)(at)
        t, w = np.array([*getattr(config, f"{kind}_pitch"), (1.0, 0.0)]).T
        out[2, k] = PchipInterpolator(t, w)(np.maximum(at, t[0]))
        u = np.minimum(at / t[0], 1.0)
        out[3, k] = 1.0 - u * u * u * (10.0 + u * (6.0 * u - 15.0))
    return out


def move(
    plan: Plan, path: Path, manner: Manner, tucked: Array, swing: Swing, tuck_m: float
) -> tuple[FootMotion, FootMotion]:
    """Both feet at every frame of the path.

    Args:
        plan: their stances.
        path: for time, and height over the ground in flight.
        manner: for clearance and foot pitch in the swing.
        tucked: `(N, 2)` radians of extra pitch of a standing foot, as of the rear foot of someone kneeling.
        swing: shapes of a swing.
        tuck_m: how far feet are drawn up in a jump, metres.
    """
    line = np.stack([path.ground[:, 0], path.floor + path.air, path.ground[:, 1]], axis=-1)
    gait = np.stack([manner.clearance, manner.kick, manner.stride, manner.run, manner.forward], axis=-1)
    tables = _shapes(swing)
    roll = (*swing.lands_s, *swing.leaves_s)
    sizes = (swing.short_step, swing.low_step, *swing.stair_m, swing.stair_rise, swing.curve_m, tuck_m)
    feet = []
    for foot in (0, 1):
        stances = np.array([(s.on, s.off, s.x, s.y, s.z, s.yaw, s.land, s.roll) for s in plan.stances[foot]])
        n = path.time.size
        ball, yaw, pitch = np.zeros((n, 3)), np.zeros(n), np.zeros(n)
        floor, contact = np.zeros(n), np.zeros(n, dtype=np.bool_)
        around = swing.around_m if foot == 0 else -swing.around_m
        _move(
            stances,
            path.time,
            line,
            path.flying,
            gait,
            tucked[:, foot],
            tables,
            around,
            roll,
            sizes,
            ball,
            yaw,
            pitch,
            floor,
            contact,
        )
        feet.append(FootMotion(ball, yaw, pitch, toes(ball[:, 1] - floor, pitch, swing), contact, floor))
    return feet[0], feet[1]


@njit(cache=True)
def _move(
    stances: Array,
    time: Array,
    line: Array,
    flying: NDArray[np.bool_],
    gait: Array,
    tucked: Array,
    tables: Array,
    around: float,
    roll: tuple[float, float, float, float],
    sizes: tuple[float, float, float, float, float, float, float],
    ball: Array,
    yaw: Array,
    pitch: Array,
    floor: Array,
    contact: NDArray[np.bool_],
) -> None:
    """Fills a foot's place, direction, pitch, ground and contact at every frame from its stances."""
    n, i = time.size, 0
    for k in range(stances.shape[0]):
        on, off, x, y, z, heading, land, raised = stances[k]
        while i < n and time[i] < on:
            i += 1
        length = off - on
        arrive, leave = min(roll[0], roll[1] * length), min(roll[2], roll[3] * length)
        while i < n and time[i] < off:
            a = min(max((time[i] - on) / arrive, 0.0), 1.0)
            b = min(max((time[i] - (off - leave)) / leave, 0.0), 1.0)
            landing = land * (1.0 - a) ** 2 * (1.0 + 2.0 * a)
            pitch[i] = landing + max(raised - tucked[i], 0.0) * b * b + tucked[i]
            _on_heel(ball[i], x, y, z, heading, min(pitch[i], 0.0))
            contact[i] = pitch[i] >= -1e-3
            yaw[i], floor[i] = heading, y
            i += 1
        if k + 1 < stances.shape[0]:
            first = i
            while i < n and time[i] < stances[k + 1, 0]:
                i += 1
            if i > first:
                _swing(
                    stances[k],
                    stances[k + 1],
                    first,
                    i,
                    time,
                    line,
                    flying,
                    gait,
                    tucked,
                    tables,
                    around,
                    sizes,
                    ball,
                    yaw,
                    pitch,
                )
                for f in range(first, i):
                    w = _minimum_jerk((time[f] - off) / (stances[k + 1, 0] - off))
                    floor[f] = y + w * (stances[k + 1, 3] - y)


@njit(cache=True)
def _swing(
    s: Array,
    following: Array,
    first: int,
    last: int,
    time: Array,
    line: Array,
    flying: NDArray[np.bool_],
    gait: Array,
    tucked: Array,
    tables: Array,
    around: float,
    sizes: tuple[float, float, float, float, float, float, float],
    ball: Array,
    yaw: Array,
    pitch: Array,
) -> None:
    """A foot between two stances, in the frames `[first, last)`."""
    short, low, stair, highest_stair, stair_rise, curve_m, tuck_m = sizes
    frame = time[1] - time[0]
    seconds = following[0] - s[1]
    leaves, lands = _between(time, frame, s[1]), _between(time, frame, following[0])
    before, after = _lerp(tucked, leaves), _lerp(tucked, lands)
    middle = _between(time, frame, 0.5 * (s[1] + following[0]))
    clearance, most = _lerp(gait[:, 0], middle), _lerp(gait[:, 1], middle)
    stride, run, forward = _lerp(gait[:, 2], middle), _lerp(gait[:, 3], middle), _lerp(gait[:, 4], middle)
    land = following[6] + after
    end = np.empty(3)
    _on_heel(end, following[2], following[3], following[4], following[5], min(land, 0.0))
    begin = np.array([s[2], s[3] + BALL_M, s[4]])
    way = np.hypot(end[0] - begin[0], end[2] - begin[2])
    share = min(max(way / (0.5 * stride), short), 1.0)
    like = forward * share * share
    kinds = (like * (1.0 - run), like * run, 1.0 - like)
    clear = clearance * max(share, low) + min(stair * abs(end[1] - begin[1]), highest_stair)
    off = max(s[7], before)
    kick = max(off + max(most - off, 0.0) * share * share, land + 0.05)
    jumps = 0
    for i in range(first, last):
        jumps += flying[i]
    carried = jumps > 0.3 * (last - first)
    # On a curve a foot swings along the curve: the body's own, as much larger as a step is longer.
    from_x, from_z = _lerp(line[:, 0], leaves), _lerp(line[:, 2], leaves)
    over_x, over_z = _lerp(line[:, 0], lands) - from_x, _lerp(line[:, 2], lands) - from_z
    body = np.hypot(over_x, over_z)
    curved = 0.0
    if body > 0.2:
        over_x, over_z = over_x / body, over_z / body
        curved = min((way / body) ** 2, 2.5)
    for i in range(first, last):
        u = (time[i] - s[1]) / seconds
        w = _minimum_jerk(u)
        yaw[i] = s[5] + w * (following[5] - s[5])
        start = _shape(tables, 3, kinds, u)
        rise = _shape(tables, 2, kinds, u) * (1.0 - start) + (off - land) / (kick - land) * start
        pitch[i] = land + (kick - land) * rise
        if carried:
            for axis in range(3):
                from_body = begin[axis] - _lerp(line[:, axis], leaves)
                to_body = end[axis] - _lerp(line[:, axis], lands)
                ball[i, axis] = line[i, axis] + from_body + w * (to_body - from_body)
            hill = 4.0 * u * (1.0 - u)
            ball[i, 0] += around * hill * np.cos(yaw[i])
            ball[i, 1] += tuck_m * hill
            ball[i, 2] -= around * hill * np.sin(yaw[i])
        else:
            gone = _shape(tables, 0, kinds, u)
            bent = 0.0
            if body > 0.2:
                at = leaves + gone * (lands - leaves)
                bent = (_lerp(line[:, 0], at) - from_x) * over_z - (_lerp(line[:, 2], at) - from_z) * over_x
                bent = min(max(bent * curved, -curve_m), curve_m)
            out = around * share * (4.0 * u * (1.0 - u)) ** 2
            ball[i, 0] = begin[0] + gone * (end[0] - begin[0]) + out * np.cos(yaw[i]) + bent * over_z
            ball[i, 2] = begin[2] + gone * (end[2] - begin[2]) - out * np.sin(yaw[i]) - bent * over_x
            ball[i, 1] = begin[1] + (end[1] - begin[1]) * _minimum_jerk(min(stair_rise * u, 1.0))
            ball[i, 1] += clear * _shape(tables, 1, kinds, u)


@njit(cache=True)
def _minimum_jerk(u: float) -> float:
    """Share of the way at share `u` of the time, at rest at both ends (Flash and Hogan 1985)."""
    return u * u * u * (10.0 + u * (6.0 * u - 15.0))


@njit(cache=True)
def _between(time: Array, frame: float, t: float) -> float:
    """Where among the frames an instant is."""
    at: float = min(max((t - time[0]) / frame, 0.0), time.size - 1.0)
    return at


@njit(cache=True)
def _lerp(values: Array, at: float) -> float:
    """A value between two frames."""
    i = min(int(at), values.size - 2)
    out: float = values[i] + (at - i) * (values[i + 1] - values[i])
    return out


@njit(cache=True)
def _shape(tables: Array, which: int, kinds: tuple[float, float, float], u: float) -> float:
    """A curve of the swing at share `u` of its time, mixed of its three kinds."""
    at = min(max(u, 0.0), 1.0) * (tables.shape[2] - 1)
    i = min(int(at), tables.shape[2] - 2)
    out = 0.0
    for kind in range(3):
        table = tables[which, kind]
        out += kinds[kind] * (table[i] + (at - i) * (table[i + 1] - table[i]))
    return out


@njit(cache=True)
def _on_heel(ball: Array, x: float, y: float, z: float, yaw: float, pitch: float) -> None:
    """The ball of a foot that stands on its heel with a pitch of 0 or less."""
    ahead = SOLE_M * (np.cos(pitch) - 1.0) + BALL_M * np.sin(pitch)
    ball[0] = x + ahead * np.sin(yaw)
    ball[1] = y + BALL_M * np.cos(pitch) - SOLE_M * np.sin(pitch)
    ball[2] = z + ahead * np.cos(yaw)


def passing(
    feet: tuple[FootMotion, FootMotion], plan: Plan, time: Array, heading: Array, swing: Swing
) -> tuple[FootMotion, FootMotion]:
    """Swinging feet that go around the other foot instead of through it.

    Where a swing would pass the other foot (or its heel) too near, or on the wrong side of it, as on a curve or where
    the hips turn, the whole swing bulges out to its own side: nothing at its ends, the most in its middle.

    Args:
        feet: left and right, as planned.
        plan: their stances.
        time: `(N,)` seconds.
        heading: `(N,)` direction of the hips.
        swing: how far apart, and over which distance along the way.
    """
    out = []
    for foot, side in ((0, 1.0), (1, -1.0)):
        own, other = feet[foot], feet[1 - foot]
        stances = np.array([(s.on, s.off) for s in plan.stances[foot]])
        ball = own.ball.copy()
        _passing(stances, time, heading, side, ball, own.yaw, other.ball, other.yaw, (swing.pass_m, *swing.beside_m))
        out.append(replace(own, ball=ball))
    return out[0], out[1]


@njit(cache=True)
def _passing(
    stances: Array,
    time: Array,
    heading: Array,
    side: float,
    ball: Array,
    yaw: Array,
    other: Array,
    other_yaw: Array,
    sizes: tuple[float, float, float, float],
) -> None:
    """Moves the ball of a foot in its swings."""
    apart, near, far, most = sizes
    for k in range(stances.shape[0] - 1):
        begin, end = stances[k, 1], stances[k + 1, 0]
        first, last = np.searchsorted(time, begin), np.searchsorted(time, end)
        bulge = 0.0
        for i in range(first, last):
            u = (time[i] - begin) / (end - begin)
            hill = (4.0 * u * (1.0 - u)) ** 2
            sine, cosine = np.sin(heading[i]), np.cos(heading[i])
            missing = 0.0
            for mine in range(2):
                for theirs in range(2):
                    x = ball[i, 0] - other[i, 0]
                    z = ball[i, 2] - other[i, 2]
                    x += ANKLE_TO_BALL_M * (theirs * np.sin(other_yaw[i]) - mine * np.sin(yaw[i]))
                    z += ANKLE_TO_BALL_M * (theirs * np.cos(other_yaw[i]) - mine * np.cos(yaw[i]))
                    away = min(max((abs(x * sine + z * cosine) - near) / (far - near), 0.0), 1.0)
                    beside = 1.0 - away * away * (3.0 - 2.0 * away)
                    missing = max(missing, beside * (apart - side * (x * cosine - z * sine)))
            bulge = max(bulge, missing / max(hill, 0.3))
        bulge = side * min(bulge, most)
        if bulge != 0.0:
            for i in range(first, last):
                u = (time[i] - begin) / (end - begin)
                hill = (4.0 * u * (1.0 - u)) ** 2
                ball[i, 0] += bulge * hill * np.cos(heading[i])
                ball[i, 2] -= bulge * hill * np.sin(heading[i])


def toes(height: Array, pitch: Array, config: Swing) -> Array:
    """Pitch of the toes in the world: flat on the ground as long as they reach it.

    Args:
        height: of the ball over the ground.
        pitch: of the foot.
        config: how far toes bend.
    """
    toe = np.minimum(pitch, np.arcsin(np.clip((height - BALL_M) / TOE_M, 0.0, 1.0)))
    return np.where(pitch > 0.0, np.maximum(toe, pitch - np.radians(config.toe_bend_deg)), pitch)


def eased(
    foot: FootMotion, hip: Array, heading: Array, config: Swing, longest: float, steepest: float, side: float
) -> FootMotion:
    """A foot as the leg above it can follow.

    A swinging foot stays some way below its hip, as a thigh can't be lifted higher. Where a shank leans so far over its
    foot (or so far back) that the ankle would have to bend beyond its range, the foot is pitched with it: who sinks
    deep into a knee raises the heel. So does who leaves a standing foot further behind than a leg is long.

    Args:
        foot: as planned.
        hip: `(N, 3)` metres.
        heading: `(N,)` direction of the hips.
        config: how far below, how far an ankle bends.
        longest: greatest distance from hip to ankle, metres.
        steepest: pitch to which a heel is raised at most, radians.
        side: 1 left, -1 right.
    """
    low, high = np.radians(config.ankle_deg)
    behind, before = config.hip_below_m
    limits = (
        config.behind_m,
        config.across_m,
        config.aside_m,
        behind,
        before,
        float(low),
        float(high),
        longest,
        steepest,
        config.clear_m,
        float(np.radians(config.toe_bend_deg)),
        config.soft_m,
    )
    yaw = _turned(foot.yaw, heading, foot.contact, *np.radians(config.turned_deg))
    ball, pitch = _eased(foot.ball, yaw, foot.pitch, foot.contact, foot.floor, hip, heading, side, limits)
    return FootMotion(ball, yaw, pitch, toes(ball[:, 1] - foot.floor, pitch, config), foot.contact, foot.floor)


@njit(cache=True)
def _turned(yaw: Array, heading: Array, held: NDArray[np.bool_], most: float, soft: float) -> Array:
    """Directions of a foot: in the air it stays within a range about the hips', held it is where it stands."""
    out = yaw.copy()
    near = nearness(held)
    for i in range(yaw.size):
        if near[i] < 1.0:
            off = (yaw[i] - heading[i] + np.pi) % (2.0 * np.pi) - np.pi
            out[i] += (1.0 - near[i]) * (pressed(off, -most, most, soft) - off)
    return out


@njit(cache=True)
def _eased(
    ball: Array,
    yaw: Array,
    planned: Array,
    contact: NDArray[np.bool_],
    floor: Array,
    hip: Array,
    heading: Array,
    side: float,
    limits: tuple[float, float, float, float, float, float, float, float, float, float, float, float],
) -> tuple[Array, Array]:
    """The ball and the pitch of an eased foot."""
    trails, crosses, parts, behind, before, low, high, longest, steepest, clear, bend, soft = limits
    n = yaw.size
    out, pitch = ball.copy(), planned.copy()
    over = np.zeros(n)
    for i in range(n):
        if contact[i]:
            continue
        sine, cosine = np.sin(heading[i]), np.cos(heading[i])
        ahead = (ball[i, 0] - hip[i, 0]) * sine + (ball[i, 2] - hip[i, 2]) * cosine
        aside = side * ((ball[i, 0] - hip[i, 0]) * cosine - (ball[i, 2] - hip[i, 2]) * sine)
        forth = pressed(ahead, -trails, 10.0, soft) - ahead
        apart = side * (pressed(aside, -crosses, parts, soft) - aside)
        out[i, 0] += forth * sine + apart * cosine
        out[i, 2] += forth * cosine - apart * sine
        share = min(max((ahead + 0.25) / 0.55, 0.0), 1.0)
        ankle = ball[i, 1] + ANKLE_UP_M * np.cos(planned[i]) + ANKLE_TO_BALL_M * np.sin(planned[i])
        over[i] = max(ankle - hip[i, 1] + behind + share * (before - behind), 0.0)
    over = spread(over)
    excess = np.empty(n)
    for i in range(n):
        out[i, 1] = max(out[i, 1] - over[i], min(out[i, 1], floor[i] + BALL_M + clear))
    whole = THIGH_M + SHANK_M
    for _ in range(3):
        for i in range(n):
            sine, cosine = np.sin(pitch[i]), np.cos(pitch[i])
            along = -ANKLE_TO_BALL_M * cosine + ANKLE_UP_M * sine
            up = hip[i, 1] - out[i, 1] - (ANKLE_UP_M * cosine + ANKLE_TO_BALL_M * sine)
            x = hip[i, 0] - out[i, 0] - along * np.sin(yaw[i])
            z = hip[i, 2] - out[i, 2] - along * np.cos(yaw[i])
            true = np.sqrt(x * x + up * up + z * z)
            length = min(max(true, 0.36 * whole), 0.999 * whole)
            lean = np.arctan2(x * np.sin(yaw[i]) + z * np.cos(yaw[i]), up)
            knee = np.arccos((SHANK_M**2 + length**2 - THIGH_M**2) / (2.0 * SHANK_M * length))
            bent = lean + knee - pitch[i]
            excess[i] = max(bent - high, 0.0) if pitch[i] >= 0.0 else 0.0
            if not contact[i]:
                excess[i] += min(bent - low, 0.0)
            elif lean > 0.0 and pitch[i] >= 0.0:
                excess[i] += max(true - longest, 0.0) / ANKLE_TO_BALL_M
        added = spread(excess)
        for i in range(n):
            pitch[i] = min(pitch[i] + added[i], max(pitch[i], steepest))
            if contact[i]:  # a heel on the ground stays on it
                pitch[i] = max(pitch[i], planned[i])
    for i in range(n):
        if not contact[i]:
            toe = np.arcsin(min(max((out[i, 1] - floor[i] - BALL_M) / TOE_M, 0.0), 1.0))
            pitch[i] = min(pitch[i], bend + toe)
    return out, pitch


@njit(cache=True)
def spread(excess: Array) -> Array:
    """A correction spread over its neighbours in time, so that it comes and goes smoothly.

    The greatest of three frames (or the least, where that is further from 0), then a mean over seven.
    """
    n = excess.size
    outer, out = np.empty(n), np.zeros(n)
    for i in range(n):
        a, b, c = excess[max(i - 1, 0)], excess[i], excess[min(i + 1, n - 1)]
        most, least = max(a, b, c), min(a, b, c)
        outer[i] = max(most, 0.0) if most > -least else min(least, 0.0)
    for i in range(n):
        for k in range(-3, 4):
            out[i] += SPREAD[k + 3] * outer[min(max(i + k, 0), n - 1)]
    return out
