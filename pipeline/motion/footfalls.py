"""Where and when each foot stands, planned on the real path.

Belongs here: stances. Does not belong here: how a foot moves between them (feet), the body above (posture).

Going, steps follow the distance travelled: the phase of the gait is the integral of its frequency at the path's speed,
and a foot lands where the body will be in the middle of its stance. A stretch that begins or ends in standing holds a
whole number of steps. Standing, a foot steps when it is too far from its place or turned too far off: that is how a
body turns on the spot, widens its stance or kneels.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import cos, hypot, pi, radians, sin, sqrt

import numpy as np
from numba import njit
from numpy.typing import NDArray

from configs.motion import Gait, Turning
from pipeline.motion.gait import Manner
from pipeline.motion.headings import Headings
from pipeline.motion.path import Path
from pipeline.motion.rotations import Array
from pipeline.motion.skeleton import ANKLE_TO_BALL_M

LEFT, RIGHT = 0, 1
NEVER = 1e9


@dataclass
class Stance:
    """One foot on the ground.

    Attributes:
        on: seconds from which it stands.
        off: seconds until which.
        x: metres, ball of the foot.
        z: metres.
        y: metres, floor there.
        yaw: radians, direction of the foot.
        land: pitch on arrival, radians.
        roll: pitch on departure, radians.
    """

    on: float
    off: float
    x: float
    z: float
    y: float
    yaw: float
    land: float
    roll: float


@dataclass(frozen=True)
class Plan:
    """All stances of both feet and the phase of the gait.

    Attributes:
        stances: per foot, in order of time, without overlap.
        stride: `(N,)` radians, 0 where the left foot lands, 2π a stride; held while standing.
    """

    stances: tuple[list[Stance], list[Stance]]
    stride: Array


class _Curve:
    """Values at the frames, read between them one at a time: plain numbers are ten times as fast as arrays of one."""

    def __init__(self, values: Array, begin: float, fps: float) -> None:
        self.values: list[float] = values.tolist()
        self.begin, self.fps, self.last = begin, fps, values.size - 1

    def __call__(self, t: float) -> float:
        at = (t - self.begin) * self.fps
        if at <= 0.0:
            return self.values[0]
        i = int(at)
        if i >= self.last:
            return self.values[-1]
        share = at - i
        return self.values[i] * (1.0 - share) + self.values[i + 1] * share


class _Planner:
    def __init__(
        self, path: Path, headings: Headings, manner: Manner, places: Array, gait: Gait, turning: Turning, seed: float
    ) -> None:
        self.path, self.manner, self.heading = path, manner, headings.hips
        self.gait, self.turning = gait, turning
        self.offset, self.resting = seed, radians(gait.rest_off_deg)
        self.time = path.time
        self.frame = float(path.time[1] - path.time[0])
        self.stride = np.zeros(path.time.size)
        t0 = float(self.time[0])

        def curve(values: Array) -> _Curve:
            return _Curve(values, t0, 1.0 / self.frame)

        self.hips, self.going, self.speed = curve(headings.hips), curve(headings.going), curve(path.speed)
        self.forward, self.duty = curve(manner.forward), curve(manner.duty)
        self.stride_m, self.off, self.land = curve(manner.stride), curve(manner.off), curve(manner.land)
        body = np.stack([path.ground[:, 0], path.ground[:, 1], path.floor, headings.hips], axis=-1)
        self.begin = t0
        self.places = [np.concatenate([places[:, foot], body], axis=1) for foot in (LEFT, RIGHT)]
        self.feet: tuple[list[Stance], list[Stance]] = ([], [])
        for foot in (LEFT, RIGHT):
            x, z, y, yaw = self.place(foot, t0)
            self.feet[foot].append(Stance(t0 - 1.0, NEVER, x, z, y, yaw, 0.0, self.resting))

    def place(self, foot: int, t: float) -> tuple[float, float, float, float]:
        """Where a foot belongs at an instant: x, z, floor, direction."""
        return _place(self.places[foot], (t - self.begin) / self.frame)

    def step(self, foot: int, off: float, on: float, aim: float, roll: float, land: float) -> None:
        last = self.feet[foot][-1]
        shortest = self.gait.shortest_swing_s
        off = max(min(off, on - shortest), last.on + self.gait.shortest_stance_s)
        on = max(on, off + self.gait.hurried_swing * shortest)
        braking = self.speed(on) < self.gait.braking * self.speed(off)
        longest = self.gait.braking_swing_s if braking else self.gait.longest_swing_s
        if on - off > longest:
            if self.speed(on) < self.speed(off):
                on = off + longest
            else:
                off = on - longest
        last.off, last.roll = off, roll
        x, z, y, yaw = self.place(foot, aim)
        x, z = self.apart(foot, x, z, yaw, aim)
        yaw = last.yaw + (yaw - last.yaw + pi) % (2 * pi) - pi
        self.feet[foot].append(Stance(on, NEVER, x, z, y, yaw, land, self.resting))

    def apart(
        self, foot: int, x: float, z: float, yaw: float, t: float, other: Stance | None = None
    ) -> tuple[float, float]:
        """A place that doesn't make the legs cross.

        Sideways, backwards and wherever it lands beside the other (its last stance, if none is given), a foot stays on
        its own side of it.
        """
        other = other or self.feet[1 - foot][-1]
        h, side = self.hips(t), 1.0 if foot == LEFT else -1.0
        some, none = self.gait.pass_sine
        share = min(max((sqrt(1.0 - self.forward(t)) - some) / (none - some), 0.0), 1.0)
        places = (x, z, yaw, other.x, other.z, other.yaw)
        missing = side * _missing(
            places, h, side, share * self.gait.apart_m, share, self.gait.beside_m, self.gait.farthest_aside_m
        )
        return x + missing * cos(h), z - missing * sin(h)

    def error(self, foot: int, t: float) -> float:
        """How badly a standing foot is placed: 1 is the limit."""
        last = self.feet[foot][-1]
        x, z, _, yaw = self.place(foot, t)
        turn = abs((yaw - last.yaw + pi) % (2 * pi) - pi)
        away = hypot(x - last.x, z - last.z)
        return max(away / self.turning.step_offset_m, turn / radians(self.turning.step_angle_deg))

    def stand(self, begin: float, end: float) -> None:
        """Small steps that keep a standing body's feet where they belong."""
        busy = max(begin, *(foot[-1].on for foot in self.feet))
        t, took = busy, self.turning.step_s
        turning = self.turning
        leaving, landing = (radians(angle) for angle in turning.step_deg)
        while t + turning.step_look * took < end:
            soon = t + turning.step_look * took
            errors = [self.error(foot, soon) for foot in (LEFT, RIGHT)]
            if max(errors) >= 1.0:  # it stays where it is if the body is back over it soon after
                errors = [min(errors[foot], self.error(foot, soon + turning.step_wait_s)) for foot in (LEFT, RIGHT)]
            foot = LEFT if errors[LEFT] >= errors[RIGHT] else RIGHT
            if errors[foot] < 1.0:
                t += 2.0 * self.frame
                continue
            on = min(t + took, end - 0.5 * self.frame)
            self.step(foot, t, on, min(on + turning.step_aim_s, end), leaving, landing)
            t = on + turning.step_pause_s

    def go(self, first: int, last: int) -> None:
        """Steps of one stretch of going, between two frames."""
        time, n = self.time, self.time.size
        begin, end = float(time[first]), float(time[last])
        frequency = self.manner.frequency[first : last + 1]
        phase = np.concatenate([[0.0], np.cumsum(0.5 * (frequency[1:] + frequency[:-1]))]) * self.frame
        total = float(phase[-1])
        if first == 0:
            phase, total = phase + self.offset, total + self.offset
        open_end = last == n - 1
        count = (
            int(np.floor(total)) if open_end else max(1, min(round(total), int((end - begin) / self.gait.min_step_s)))
        )
        if not open_end and first > 0 and total > 0.0:
            phase = phase * (count / total)
        elif not open_end:
            phase = phase + (count - total) * np.linspace(0.0, 1.0, phase.size)
            phase = np.maximum.accumulate(phase)
        clock = time[first : last + 1]
        foot = self._first(begin, end)
        self.stride[first : last + 1] = np.pi * (phase - (1.0 if foot == LEFT else 0.0))
        self.stride[last + 1 :] = self.stride[last]
        steps = np.arange(1, count + 1, dtype=np.float64)
        landings = np.interp(steps, phase, clock).tolist()
        duties = np.array([self.duty(t) for t in landings])
        before = np.array([self.duty(t) for t in np.interp(steps - 1.0, phase, clock).tolist()])
        leavings = np.interp(steps - 2.0 * (1.0 - before), phase, clock).tolist()
        middles = np.interp(steps + duties, phase, clock).tolist()
        least = radians(self.gait.least_off_deg)
        for k, (on, off, middle, duty) in enumerate(zip(landings, leavings, middles, duties.tolist(), strict=True), 1):
            if k + 2.0 * duty > phase[-1]:
                middle = (
                    min(on + duty * self.stride_m(on) / max(self.speed(on), self.gait.still_mps), end)
                    if open_end
                    else end
                )
            brisk = self.going(off)
            self.step(foot, off, on, middle, least + brisk * (self.off(off) - least), self.land(on) * brisk)
            foot = 1 - foot

    def _first(self, begin: float, end: float) -> int:
        """Which foot leaves first: not the one that has just landed, else the one with the longer way to go."""
        left, right = self.feet[LEFT][-1], self.feet[RIGHT][-1]
        if abs(left.on - right.on) < self.gait.fresh_s[0] and max(left.on, right.on) > begin - self.gait.fresh_s[1]:
            return LEFT if right.on > left.on else RIGHT
        t = min(begin + self.gait.first_look_s, end)
        return LEFT if self.error(LEFT, t) >= self.error(RIGHT, t) else RIGHT


@njit(cache=True)
def _place(table: Array, at: float) -> tuple[float, float, float, float]:
    """Where a foot belongs between two frames: x, z, floor, direction; of aside, ahead, turn, x, z, floor, hips."""
    at = min(max(at, 0.0), table.shape[0] - 1.0)
    i = min(int(at), table.shape[0] - 2)
    share = at - i
    aside = table[i, 0] + share * (table[i + 1, 0] - table[i, 0])
    ahead = table[i, 1] + share * (table[i + 1, 1] - table[i, 1])
    turn = table[i, 2] + share * (table[i + 1, 2] - table[i, 2])
    x = table[i, 3] + share * (table[i + 1, 3] - table[i, 3])
    z = table[i, 4] + share * (table[i + 1, 4] - table[i, 4])
    floor = table[i, 5] + share * (table[i + 1, 5] - table[i, 5])
    hips = table[i, 6] + share * (table[i + 1, 6] - table[i, 6])
    sine, cosine = sin(hips), cos(hips)
    return x + ahead * sine + aside * cosine, z + ahead * cosine - aside * sine, floor, hips + turn


@njit(cache=True)
def _missing(
    places: tuple[float, float, float, float, float, float],
    heading: float,
    side: float,
    apart: float,
    share: float,
    beside: tuple[float, float, float],
    farthest: float,
) -> float:
    """How far a foot must move to its own side, m, so that it and its ankle are on that side of the other foot."""
    x, z, yaw, other_x, other_z, other_yaw = places
    sine, cosine = sin(heading), cos(heading)
    missing = apart - share * side * ((x - other_x) * cosine - (z - other_z) * sine)
    close, near, far = beside
    for own in (0.0, ANKLE_TO_BALL_M):
        for its in (0.0, ANKLE_TO_BALL_M):
            dx = x - own * sin(yaw) - other_x + its * sin(other_yaw)
            dz = z - own * cos(yaw) - other_z + its * cos(other_yaw)
            along = abs(dx * sine + dz * cosine)
            reach = 1.0 - min(max((along - near) / (far - near), 0.0), 1.0)
            missing = max(missing, reach * (close - side * (dx * cosine - dz * sine)))
    return min(max(missing, 0.0), farthest)


def plan(
    path: Path,
    headings: Headings,
    manner: Manner,
    places: Array,
    gait: Gait,
    turning: Turning,
    *,
    hurried: float,
    phase: float,
) -> Plan:
    """Stances of both feet on a path.

    Args:
        path: where the body goes.
        headings: where the hips look.
        manner: the gait at each frame.
        places: `(N, 2, 3)` where each foot (left, right) belongs relative to the body: metres to the left, metres
            ahead, radians of turn.
        gait: what is standing, the quickest step.
        turning: when a standing foot steps.
        hurried: pitch of a foot that leaves because the body has run away from it, radians.
        phase: 0 to 1, where in a step a clip begins that begins in motion.
    """
    planner = _Planner(path, headings, manner, places, gait, turning, phase)
    stretches = _stretches(path.pace, gait.still_mps, gait.starts, planner.frame, gait.stretch_s)
    for first, last, moving in stretches:
        if moving:
            planner.go(first, last)
        else:
            planner.stand(float(path.time[first]), float(path.time[last]))
    for foot in (LEFT, RIGHT):
        _lift_in_flight(planner, foot)
        _lift_out_of_reach(planner, foot, gait.longest_stance_m, hurried)
    return Plan(planner.feet, _joined(planner.stride, stretches))


def _joined(stride: Array, stretches: list[tuple[int, int, bool]]) -> Array:
    """The phase of the gait without jumps: who stands comes smoothly from that of the last step to that of the next."""
    out = stride.copy()
    for first, last, moving in stretches:
        if moving or first == 0 or last == stride.size - 1:
            continue
        missing = out[first] - stride[last]
        offset = 2.0 * np.pi * np.round(missing / (2.0 * np.pi))
        out[last:] = stride[last:] + offset
        u = np.linspace(0.0, 1.0, last - first + 1)
        out[first : last + 1] = out[first] + u * u * (3.0 - 2.0 * u) * (out[last] - out[first])
    return out


@njit(cache=True)
def _going(speed: Array, still: float, starts: float) -> NDArray[np.bool_]:
    """Whether somebody goes: from `starts` times the speed of standing on, until that is reached again."""
    out = np.empty(speed.size, dtype=np.bool_)
    state = speed[0] > 0.5 * (1.0 + starts) * still
    for i in range(speed.size):
        state = speed[i] > still if state else speed[i] > starts * still
        out[i] = state
    return out


def _stretches(
    speed: Array, still: float, starts: float, frame_s: float, least_s: tuple[float, float]
) -> list[tuple[int, int, bool]]:
    """First and last frame of each stretch of standing or going, of at least `least_s`, covering all frames."""
    going = _going(speed, still, starts)
    for value, shortest in zip((False, True), least_s, strict=True):
        edges = np.flatnonzero(np.diff(going)) + 1
        for a, b in zip(np.concatenate([[0], edges]), np.concatenate([edges, [going.size]]), strict=True):
            if going[a] == value and (b - a) * frame_s < shortest and a > 0 and b < going.size:
                going[a:b] = not value
    borders = [0, *(np.flatnonzero(np.diff(going)) + 1).tolist(), going.size]
    return [(a, min(b, going.size - 1), bool(going[a])) for a, b in pairwise(borders)]


def _lift_in_flight(planner: _Planner, foot: int) -> None:
    """Takes a foot off the ground while the body flies, and puts it down where the body lands."""
    path, time = planner.path, planner.time
    flying = np.concatenate([[False], path.flying, [False]])
    edges = np.flatnonzero(np.diff(flying))
    for a, b in zip(edges[::2], edges[1::2], strict=True):
        begin, end = (
            float(time[a]),
            float(time[min(b, time.size - 1)]) + (0.0 if foot == LEFT else planner.gait.jump_s[0]),
        )
        kept: list[Stance] = []
        for s in planner.feet[foot]:
            if s.off <= begin or s.on >= end:
                kept.append(s)
                continue
            if s.on < begin - planner.gait.shortest_stance_s:
                kept.append(Stance(s.on, begin, s.x, s.z, s.y, s.yaw, s.land, radians(planner.gait.jump_deg[0])))
            if s.off > end + planner.gait.shortest_landing_s:
                t = min(end + planner.gait.jump_s[1], s.off)
                x, z, y, yaw = planner.place(foot, t)
                if foot == RIGHT:  # the left one has landed already
                    landed = min(planner.feet[LEFT], key=lambda each: abs(each.on - end))
                    x, z = planner.apart(foot, x, z, yaw, t, landed)
                kept.append(Stance(end, s.off, x, z, y, yaw, radians(planner.gait.jump_deg[1]), s.roll))
        planner.feet[foot][:] = kept


def _lift_out_of_reach(planner: _Planner, foot: int, longest: float, hurried: float) -> None:
    """Ends a stance when the body has left it too far behind, and begins it only when the body is near enough.

    A sudden turn would otherwise leave a foot where no leg reaches, and the body would have to squat down to it.
    """
    path, frame = planner.path, planner.frame
    side = 1.0 if foot == LEFT else -1.0
    kept: list[Stance] = []
    for s in planner.feet[foot]:
        a, b = np.searchsorted(path.time, [s.on, s.off])
        near, nearest, first, last = _reached(
            path.ground,
            path.floor,
            planner.heading,
            int(a),
            int(b),
            (s.x, s.y, s.z),
            (longest, planner.gait.cross_m, planner.gait.hip_over_path_m),
            side,
        )
        if near < 0 or first < 0:
            kept.append(s)
            continue
        if nearest > planner.gait.hardly_reached * longest:
            continue
        if last < b - 1:
            s.off = float(path.time[last + 1]) - frame
            s.roll = max(s.roll, hurried)
        if first > a:
            s.on = float(path.time[first - 1]) + frame
        if s.off - s.on > 2.0 * frame:
            kept.append(s)
    planner.feet[foot][:] = kept


@njit(cache=True)
def _reached(
    ground: Array,
    floor: Array,
    heading: Array,
    a: int,
    b: int,
    at: tuple[float, float, float],
    limits: tuple[float, float, float],
    side: float,
) -> tuple[int, float, int, int]:
    """Of the frames `[a, b)`, the one nearest a foot and its distance, and the first and the last around it in reach.

    `limits`: the longest way, how far across below the body, and the height of a hip over the path. A foot that has
    come to stand across counts as far as that is of the second.

    The first is -1 where all are in reach, all four are where there is no frame.
    """
    (x, y, z), (longest, cross, over) = at, limits
    near, nearest, within = -1, np.inf, True
    away = np.empty(max(b - a, 0))
    for i in range(a, b):
        below = max(floor[i] - y, -over) + over
        away[i - a] = np.sqrt((ground[i, 0] - x) ** 2 + (ground[i, 1] - z) ** 2 + below**2)
        out = side * ((x - ground[i, 0]) * np.cos(heading[i]) - (z - ground[i, 1]) * np.sin(heading[i]))
        away[i - a] = max(away[i - a], -out * longest / cross)
        within = within and away[i - a] <= longest
        if away[i - a] < nearest:
            near, nearest = i, away[i - a]
    if near < 0 or within:
        return near, nearest, -1, -1
    first = last = near
    while first > a and away[first - 1 - a] <= longest:
        first -= 1
    while last < b - 1 and away[last + 1 - a] <= longest:
        last += 1
    return near, nearest, first, last
