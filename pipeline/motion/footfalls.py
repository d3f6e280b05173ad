"""Where and when each foot stands, planned on the real path.

Belongs here: stances. Does not belong here: how a foot moves between them (feet), the body above (posture).

Going, steps follow the distance travelled: the phase of the gait is the integral of its frequency at the path's speed,
and a foot lands where the body will be in the middle of its stance. A stretch that begins or ends in standing holds a
whole number of steps. Standing, a foot steps when it is too far from its place or turned too far off: that is how a
body turns on the spot, widens its stance or kneels.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from configs.motion import Gait, Turning
from pipeline.motion.gait import Manner
from pipeline.motion.headings import Headings
from pipeline.motion.path import Path
from pipeline.motion.rotations import Array

LEFT, RIGHT = 0, 1
NEVER = 1e9
HURRIED_ROLL = np.radians(52.0)
"""Pitch of a foot that leaves because the body has run away from it."""
HIP_OVER_PATH_M = 0.80
"""Height over the path from which a leg's reach is judged: a hip that has sunk as far as looks natural."""


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


class _Planner:
    def __init__(
        self, path: Path, headings: Headings, manner: Manner, places: Array, gait: Gait, turning: Turning, seed: float
    ) -> None:
        self.path, self.headings, self.manner, self.places = path, headings, manner, places
        self.gait, self.turning = gait, turning
        self.offset = seed
        self.time = path.time
        self.stride = np.zeros(path.time.size)
        t0 = float(self.time[0])
        self.feet: tuple[list[Stance], list[Stance]] = ([], [])
        for foot in (LEFT, RIGHT):
            x, z, y, yaw = self.place(foot, t0)
            self.feet[foot].append(Stance(t0 - 1.0, NEVER, x, z, y, yaw, 0.0, 0.3))

    def sample(self, values: Array, t: float) -> float:
        return float(np.interp(t, self.time, values))

    def place(self, foot: int, t: float) -> tuple[float, float, float, float]:
        """Where a foot belongs at an instant: x, z, floor, direction."""
        aside, ahead, turn = (self.sample(self.places[:, foot, k], t) for k in range(3))
        h = self.sample(self.headings.hips, t)
        x = self.sample(self.path.ground[:, 0], t) + ahead * np.sin(h) + aside * np.cos(h)
        z = self.sample(self.path.ground[:, 1], t) + ahead * np.cos(h) - aside * np.sin(h)
        return float(x), float(z), self.sample(self.path.floor, t), h + turn

    def step(self, foot: int, off: float, on: float, aim: float, roll: float, land: float) -> None:
        last = self.feet[foot][-1]
        off = max(off, last.on + 0.05)
        if on < off + 0.12:
            off = max(last.on + 0.03, on - 0.12)
        last.off, last.roll = off, roll
        x, z, y, yaw = self.place(foot, aim)
        yaw = last.yaw + float((yaw - last.yaw + np.pi) % (2 * np.pi) - np.pi)
        self.feet[foot].append(Stance(max(on, off + 0.08), NEVER, x, z, y, yaw, land, 0.3))

    def error(self, foot: int, t: float) -> float:
        """How badly a standing foot is placed: 1 is the limit."""
        last = self.feet[foot][-1]
        x, z, _, yaw = self.place(foot, t)
        turn = abs(float((yaw - last.yaw + np.pi) % (2 * np.pi) - np.pi))
        return max(
            float(np.hypot(x - last.x, z - last.z)) / self.turning.step_offset_m,
            turn / float(np.radians(self.turning.step_angle_deg)),
        )

    def stand(self, begin: float, end: float) -> None:
        """Small steps that keep a standing body's feet where they belong."""
        busy = max(begin, *(foot[-1].on for foot in self.feet))
        frame = 2.0 * float(self.time[1] - self.time[0])
        t, took = busy, self.turning.step_s
        while t + 0.6 * took < end:
            errors = [self.error(foot, t + 0.7 * took) for foot in (LEFT, RIGHT)]
            foot = int(np.argmax(errors))
            if errors[foot] < 1.0:
                t += frame
                continue
            on = min(t + took, end - 0.02)
            self.step(foot, t, on, min(on + 0.25, end), 0.35, -0.05)
            t = on + 0.05

    def go(self, first: int, last: int) -> None:
        """Steps of one stretch of going, between two frames."""
        time, n = self.time, self.time.size
        begin, end = float(time[first]), float(time[last])
        frequency = self.manner.frequency[first : last + 1]
        phase = np.concatenate([[0.0], np.cumsum(0.5 * (frequency[1:] + frequency[:-1]))]) * float(time[1] - time[0])
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
        for k in range(1, count + 1):
            on = float(np.interp(k, phase, clock))
            m = self.manner.at(time, on)
            duty = float(m.duty)
            off = float(np.interp(k - 2.0 * (1.0 - duty), phase, clock))
            until = k + 2.0 * duty
            middle = float(np.interp(0.5 * (k + until), phase, clock)) if until <= phase[-1] else end
            if open_end and until > phase[-1]:
                middle = min(on + duty * float(m.stride) / max(float(np.interp(on, time, self.path.speed)), 0.3), end)
            leave = self.manner.at(time, off)
            brisk = float(np.interp(off, time, self.headings.going))
            self.step(foot, off, on, middle, 0.25 + brisk * (float(leave.off) - 0.25), float(m.land) * brisk)
            foot = 1 - foot

    def _first(self, begin: float, end: float) -> int:
        """Which foot leaves first: not the one that has just landed, else the one with the longer way to go."""
        left, right = self.feet[LEFT][-1], self.feet[RIGHT][-1]
        if abs(left.on - right.on) < 0.45 and max(left.on, right.on) > begin - 0.15:
            return LEFT if right.on > left.on else RIGHT
        t = min(begin + 0.4, end)
        return LEFT if self.error(LEFT, t) >= self.error(RIGHT, t) else RIGHT


def plan(
    path: Path, headings: Headings, manner: Manner, places: Array, gait: Gait, turning: Turning, *, phase: float
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
        phase: 0 to 1, where in a step a clip begins that begins in motion.
    """
    planner = _Planner(path, headings, manner, places, gait, turning, phase)
    for first, last, moving in _stretches(path.speed, gait.still_mps, float(path.time[1] - path.time[0])):
        if moving:
            planner.go(first, last)
        else:
            planner.stand(float(path.time[first]), float(path.time[last]))
    for foot in (LEFT, RIGHT):
        _lift_in_flight(planner, foot)
        _lift_out_of_reach(planner, foot, gait.longest_stance_m)
    return Plan(planner.feet, planner.stride)


def _stretches(speed: Array, still: float, frame_s: float) -> list[tuple[int, int, bool]]:
    """First and last frame of each stretch of standing or going, covering all frames."""
    going = np.empty(speed.size, dtype=bool)
    state = bool(speed[0] > 1.5 * still)
    for i, v in enumerate(speed):
        state = bool(v > still) if state else bool(v > 2.0 * still)
        going[i] = state
    for value, shortest in ((False, 0.20), (True, 0.25)):
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
        begin, end = float(time[a]), float(time[min(b, time.size - 1)]) + (0.0 if foot == LEFT else 0.05)
        kept: list[Stance] = []
        for s in planner.feet[foot]:
            if s.off <= begin or s.on >= end:
                kept.append(s)
                continue
            if s.on < begin - 0.06:
                kept.append(Stance(s.on, begin, s.x, s.z, s.y, s.yaw, s.land, 0.7))
            if s.off > end + 0.08:
                x, z, y, yaw = planner.place(foot, min(end + 0.12, s.off))
                kept.append(Stance(end, s.off, x, z, y, yaw, 0.1, s.roll))
        planner.feet[foot][:] = kept


def _lift_out_of_reach(planner: _Planner, foot: int, longest: float) -> None:
    """Ends a stance when the body has left it too far behind, and begins it only when the body is near enough.

    A sudden turn would otherwise leave a foot where no leg reaches, and the body would have to squat down to it.
    """
    path, time = planner.path, planner.time
    frame = float(time[1] - time[0])
    kept: list[Stance] = []
    for s in planner.feet[foot]:
        a, b = np.searchsorted(time, [s.on, s.off])
        below = np.maximum(path.floor[a:b] - s.y, -HIP_OVER_PATH_M)
        away = np.sqrt(
            (path.ground[a:b, 0] - s.x) ** 2 + (path.ground[a:b, 1] - s.z) ** 2 + (HIP_OVER_PATH_M + below) ** 2
        )
        if away.size == 0 or away.max() <= longest:
            kept.append(s)
            continue
        near = int(np.argmin(away))
        if away[near] > 0.95 * longest:
            continue
        late, early = np.flatnonzero(away[near:] > longest), np.flatnonzero(away[:near] > longest)
        if late.size:
            s.off = float(time[a + near + late[0]]) - frame
            s.roll = max(s.roll, HURRIED_ROLL)
        if early.size:
            s.on = float(time[a + early[-1]]) + frame
        if s.off - s.on > 2.0 * frame:
            kept.append(s)
    planner.feet[foot][:] = kept
