"""Where an actor is, how fast it goes and where it looks, frame by frame.

Belongs here: from an actor of a scene to its movement. Does not belong here: limbs (figure), geometry (paths), speeds
(the table in the configuration).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from configs.scenes import ScenesConfig
from pipeline.errors import PipelineError
from pipeline.scenes import speeds, stepping
from pipeline.scenes.paths import Curve, curve, direction_of, heading_of, rounded
from pipeline.scenes.schema import Actor

Array = NDArray[np.float64]
Codes = NDArray[np.uint8]


class Immobile(PipelineError):
    """A way cannot be gone: its action stays where it is."""


@dataclass(frozen=True)
class Movement:
    """An actor's movement over `n` frames.

    Attributes:
        position: `(n, 2)` metres.
        heading: `(n,)` radians, unwrapped.
        speed: `(n,)` m/s.
        distance: `(n,)` metres gone since the beginning.
        actions: `(n,)` codes; what it really does, so an action that moves has arrived where it stays.
        since: `(n,)` seconds for which it has done that.
    """

    position: Array
    heading: Array
    speed: Array
    distance: Array
    actions: Codes
    since: Array


def moved(actor: Actor, duration: float, config: ScenesConfig) -> Movement:
    """The movement of an actor: along its path, else by its velocity, else as fast as its action along its heading.

    Args:
        actor: who.
        duration: seconds.
        config: speeds, limits and frame rate.
    """
    n = round(duration * config.fps)
    asked = _asked(actor, n, config)
    if actor.movement_path is not None and actor.timed:
        return recorded(actor, n, asked, config)
    table = speeds.table(config)
    target = table[asked] * actor.pace
    gain = np.array([action.accelerate for action in config.actions.values()])[asked]
    if actor.velocity is not None:
        target = np.full(n, math.hypot(*actor.velocity))
        gain = np.full(n, max(action.accelerate for action in config.actions.values()))
    along = _Along(actor, n, config)
    for begin, leg in _legs(actor, target, config):
        along.go(begin, leg, target, gain)
    return along.movement(asked, table > 0)


def _asked(actor: Actor, n: int, config: ScenesConfig) -> Codes:
    codes = {name: code for code, name in enumerate(speeds.names(config))}
    times = np.array([at for at, _ in actor.actions])
    found = np.array([codes[action] for _, action in actor.actions], np.uint8)
    at = np.searchsorted(times, np.arange(n) / config.fps + 1e-6, side="right") - 1
    return found[np.maximum(at, 0)]


def _legs(actor: Actor, target: Array, config: ScenesConfig) -> list[tuple[float, Curve]]:
    """Ways between two rests, each with the time at which it begins."""
    if actor.movement_path is None:
        way = np.array(actor.velocity) if actor.velocity else direction_of(np.array(actor.heading))
        size = float(np.hypot(*way))
        length = float(target.sum()) / config.fps
        if length < 0.05 or size < 1e-9:
            return []
        start = np.array(actor.initial_position)
        return [
            (
                float(np.argmax(target > 0)) / config.fps,
                rounded(np.stack([start, start + way / size * (length + 1.0)]), config.movement),
            )
        ]
    legs, corners, begin = [], [actor.movement_path[0][1]], actor.movement_path[0][0]
    for (_, here), (time, there) in zip(actor.movement_path, actor.movement_path[1:], strict=False):
        if math.dist(here, there) < 0.02:
            if len(corners) > 1:
                legs.append((begin, rounded(np.array(corners), config.movement)))
            corners, begin = [here], time
        else:
            corners.append(there)
    if len(corners) > 1:
        legs.append((begin, rounded(np.array(corners), config.movement)))
    return legs


class _Along:
    """An actor on its way: what it has gone so far."""

    def __init__(self, actor: Actor, n: int, config: ScenesConfig) -> None:
        self.actor, self.n, self.config = actor, n, config
        self.position = np.tile(np.array(actor.initial_position, float), (n, 1))
        self.speed, self.distance = np.zeros(n), np.zeros(n)
        self.wanted = np.full(n, np.nan)
        self.free, self.heading = 0, actor.heading  # the first frame at which it stays, and where it looks then

    def go(self, begin: float, leg: Curve, target: Array, gain: Array) -> None:
        limits, dt = self.config.movement, 1.0 / self.config.fps
        first = max(math.ceil(begin * self.config.fps - 1e-6), self.free)
        if first >= self.n:
            return
        self._face(self.free, first)
        turn = round(turn_seconds(self.heading, float(leg.heading[0]), self.config) * self.config.fps)
        self.wanted[first : min(first + turn + 1, self.n)] = leg.heading[0]
        first += turn
        if first >= self.n - 1:
            self.free = self.n
            return
        cap = stepping.caps(leg.length, leg.curvature, limits.lateral_mps2, limits.turn_radps, limits.brake_mps2, 0.0)
        way = np.zeros(self.n)
        arrived = stepping.advance(first, way, self.speed, target, gain, cap, leg.length, limits.brake_mps2, dt)
        gone = way[first:]
        self.position[first:, 0] = np.interp(gone, leg.length, leg.points[:, 0])
        self.position[first:, 1] = np.interp(gone, leg.length, leg.points[:, 1])
        self.distance[first:] = self.distance[first] + gone
        last = min(arrived + 1, self.n)
        if arrived == self.n:  # told to stay before it was there, it stays where that was
            gone_last = np.flatnonzero(self.speed[first:])
            last = min(first + (int(gone_last[-1]) + 2 if len(gone_last) else 0), self.n)
        self.wanted[first:last] = np.interp(way[first:last], leg.length, leg.heading)
        self.heading, self.free = float(self.wanted[last - 1]), last

    def _face(self, begin: int, end: int) -> None:
        """Where it looks while it stays: as it did, or where it is told to."""
        self.wanted[begin:end] = self.heading
        for time, heading in self.actor.facings:
            at = max(round(time * self.config.fps), begin)
            if at < end and time * self.config.fps >= begin - self.config.fps:
                self.wanted[at:end] = heading
        if end > begin:
            self.heading = float(self.wanted[end - 1])

    def movement(self, asked: Codes, moves: NDArray[np.bool_]) -> Movement:
        self._face(self.free, self.n)
        dt = 1.0 / self.config.fps
        heading = np.unwrap(stepping.turned(self.wanted, self.actor.heading, self.config.movement.turn_radps, dt))
        actions = effective(asked, self.speed, moves, speeds.names(self.config).index("stand"))
        return Movement(self.position, heading, self.speed, self.distance, actions, _since(actions, self.config.fps))


def effective(asked: Codes, speed: Array, moves: NDArray[np.bool_], stand: int) -> Codes:
    """What is really done: who was told to go but stays stands, and who still goes does what brought it there."""
    going = speed > 0.02
    out = asked.copy()
    out[~going & moves[asked]] = stand
    rolling = going & ~moves[asked]
    if rolling.any():
        last = np.where(moves[asked] & going, np.arange(len(asked)), -1)
        last = np.maximum.accumulate(last)
        known = rolling & (last >= 0)
        out[known] = asked[last[known]]
    return out


def _since(actions: Codes, fps: int) -> Array:
    begins = np.concatenate([[True], actions[1:] != actions[:-1]])
    frames = np.arange(len(actions))
    since: Array = (frames - np.maximum.accumulate(np.where(begins, frames, 0))) / fps
    return since


def recorded(actor: Actor, n: int, asked: Codes, config: ScenesConfig) -> Movement:
    """The movement of an actor whose path has true times.

    Its positions are smoothed a little, as recordings are rounded; its speed names what it does where it goes, and it
    does what it was told where it stays.
    """
    path = actor.movement_path or ()
    times = np.array([at for at, _ in path])
    points = np.array([point for _, point in path])
    frames = np.arange(n) / config.fps
    position = np.stack([np.interp(frames, times, points[:, axis]) for axis in (0, 1)], axis=1)
    return retraced(position, asked, actor.heading, config)


def retraced(position: Array, asked: Codes, heading: float, config: ScenesConfig) -> Movement:
    """The movement that recorded positions `(n, 2)` at the frame rate tell of.

    Args:
        position: metres, a value for each frame.
        asked: `(n,)` codes of what it does where it stays.
        heading: before it first goes, radians.
        config: limits and frame rate.
    """
    smooth, still = settled(smoothed(position, config.dataset.smoothing_s * config.fps), config)
    ways = np.diff(smooth, axis=0, prepend=smooth[:1])
    steps = np.hypot(ways[:, 0], ways[:, 1])
    speed = np.where(still, 0.0, steps * config.fps)
    wanted = np.where(still, np.nan, heading_of(ways))
    known = ~np.isnan(wanted)
    last = np.maximum.accumulate(np.where(known, np.arange(len(wanted)), -1))
    wanted = np.where(last >= 0, wanted[np.maximum(last, 0)], wanted[np.argmax(known)] if known.any() else heading)
    rate, dt = 5.0 * config.movement.turn_radps, 1.0 / config.fps  # a way that turns back at once is recorded as such
    facing = np.unwrap(stepping.turned(wanted, float(wanted[0]), rate, dt))
    moving = speeds.recognised(config, smoothed(speed[:, None], 0.2 * config.fps)[:, 0])
    stays = ~np.isin(moving, np.flatnonzero(speeds.table(config) > 0))
    actions = np.where(stays | still, asked, moving).astype(np.uint8)
    stand = speeds.names(config).index("stand")
    actions[(stays | still) & (speeds.table(config)[actions] > 0)] = stand
    return Movement(smooth, facing, speed, np.cumsum(np.where(still, 0.0, steps)), actions, _since(actions, config.fps))


def settled(position: Array, config: ScenesConfig) -> tuple[Array, NDArray[np.bool_]]:
    """Positions of somebody who really stays where it hardly moves, and when that is.

    A recording creeps while its player stands: it is rounded, and smoothing spreads each start and stop. Where somebody
    stays it is held in the middle of where it crept; what that moves it by goes over into the ways before and after.

    Args:
        position: `(n, 2)` metres, by frame.
        config: frame rate, what counts as staying.

    Returns:
        `(n, 2)` positions, and `(n,)` whether it stays.
    """
    limits = config.dataset
    ways = np.diff(position, axis=0, prepend=position[:1])
    pace = smoothed(np.hypot(ways[:, 0], ways[:, 1])[:, None], 0.08 * config.fps)[:, 0] * config.fps
    still: NDArray[np.bool_] = pace < limits.creep_mps
    run = np.cumsum(np.concatenate([[True], still[1:] != still[:-1]])) - 1
    count = np.bincount(run)
    middle = np.stack([np.bincount(run, position[:, axis]) / count for axis in (0, 1)], axis=1)
    off = middle[run] - position
    far = np.zeros(len(count))
    np.maximum.at(far, run, np.hypot(off[:, 0], off[:, 1]))
    still &= far[run] < limits.creep_m
    frames = np.flatnonzero(still)
    if not len(frames):
        return position, still
    every = np.arange(len(position))
    held = position + np.stack([np.interp(every, frames, off[frames, axis]) for axis in (0, 1)], axis=1)
    return held, still


def smoothed(values: Array, sigma: float) -> Array:
    """Gaussian mean over frames of `(n, k)`, ends held."""
    reach = max(int(3.0 * sigma), 1)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-6)) ** 2)
    weights /= weights.sum()
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, weights, mode="valid") for column in padded.T], axis=1)


def turn_seconds(looks: float, course: float, config: ScenesConfig) -> float:
    """Seconds that somebody who stands turns before it sets out, both headings in radians; whole frames."""
    off = abs(math.remainder(course - looks, 2.0 * math.pi))
    frames = math.ceil(max(off - _TURNED_ON_THE_WAY, 0.0) / config.movement.turn_radps * config.fps)
    return frames / config.fps


_TURNED_ON_THE_WAY = 0.15
"""Radians by which a course may be off when somebody sets out: it turns so far while it goes."""


def travel_seconds(corners: Array, action: str, config: ScenesConfig, *, pace: float = 1.0) -> float:
    """Seconds that a way through these corners takes, from rest to rest.

    Raises:
        Immobile: if the action stays where it is.
    """
    speed = speeds.speed_of(config, action) * pace
    if speed <= 0:
        raise Immobile(f"{action} goes nowhere")
    leg = rounded(corners, config.movement)
    limits = config.movement
    n = int((leg.total / min(speed, 1.0) + 20.0) * config.fps)
    gain = np.full(n, config.actions[action].accelerate)
    cap = stepping.caps(leg.length, leg.curvature, limits.lateral_mps2, limits.turn_radps, limits.brake_mps2, 0.0)
    way, speeds_ = np.zeros(n), np.zeros(n)
    arrived = stepping.advance(
        0, way, speeds_, np.full(n, speed), gain, cap, leg.length, limits.brake_mps2, 1.0 / config.fps
    )
    return arrived / config.fps


__all__ = [
    "Curve",
    "Immobile",
    "Movement",
    "curve",
    "effective",
    "moved",
    "retraced",
    "settled",
    "smoothed",
    "travel_seconds",
    "turn_seconds",
]
