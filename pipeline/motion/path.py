"""From recorded positions and view angles to a smooth path at the clip's frame rate, or a reason why there is none.

Belongs here: interpolation, smoothing within a stated bound, flights, refusals. Does not belong here: what a body does
on the path (headings, footfalls, posture).

A path is computed on the clip's frames and on a margin before and after, so that whatever follows begins and ends in
mid-stride. Where the samples end, the margin goes on at the last velocity.
"""

from dataclasses import dataclass
from functools import cache
from math import ceil

import numpy as np
from numba import njit
from numpy.typing import NDArray

from configs.motion import Clips, PathConfig
from pipeline.errors import PipelineError
from pipeline.motion.clip import NULL, ClipRequest
from pipeline.motion.rotations import Array
from pipeline.motion.sparse import curve

TRAILING_S = 1.5
"""Beyond the samples a velocity dies away with this time constant."""
SLOW_MPS = 0.05
"""Who is slower on average neither goes anywhere nor to and fro."""
LOW_M = 0.04
"""What is left of a flight below this, after smoothing, comes to nothing."""


class Infeasible(PipelineError):
    """No honest motion exists for this request; the message is the reason."""


@dataclass(frozen=True)
class Path:
    """Where the player is at every frame, margins included; metres relative to `origin`, seconds, radians.

    Attributes:
        time: `(N,)` seconds from the clip's first frame; negative in the margin before it.
        ground: `(N, 2)` x and z.
        floor: `(N,)` height of the ground under the player.
        air: `(N,)` height over that ground while in flight, else 0.
        flying: `(N,)` whether the player jumps or falls.
        velocity: `(N, 2)` m/s.
        view: `(N,)` direction of the view about +y, 0 = +z, unwrapped.
        pitch: `(N,)` of the view, positive downwards.
        clip: the frames that belong to the clip.
        origin: `(3,)` metres in match coordinates.
        slope: `(N,)` rise of the floor over the way, without sign.
        deviation: `(n,)` metres between path and recorded polyline (or curve through seldom samples) at the clip's
            frames.
        gap_s: median time between the samples it was made from, seconds.
        seldom: whether these are so far apart that a curve was laid through them.
        planar: whether the source has no heights.
        pace: `(N,)` m/s, with which somebody goes somewhere: the horizontal speed, less where it is to and fro.
        restless: `(N,)` 0 to 1, how much it is to and fro.
    """

    time: Array
    ground: Array
    floor: Array
    air: Array
    flying: NDArray[np.bool_]
    velocity: Array
    view: Array
    pitch: Array
    clip: slice
    origin: Array
    slope: Array
    deviation: Array
    gap_s: float
    seldom: bool
    planar: bool
    pace: Array
    restless: Array

    @property
    def speed(self) -> Array:
        """Horizontal speed `(N,)` in m/s."""
        return np.hypot(self.velocity[:, 0], self.velocity[:, 1])


def smooth(values: Array, sigma_frames: float) -> Array:
    """Gaussian mean along axis 0, point-mirrored at both ends: end points and straight lines stay."""
    radius = min(ceil(3.0 * sigma_frames), values.shape[0] - 1)
    if radius < 1 or sigma_frames <= 0.0:
        return values.copy()
    flat = np.ascontiguousarray(values, dtype=np.float64).reshape(values.shape[0], -1)
    out = np.empty_like(flat)
    _smooth(flat, _gaussian(sigma_frames, radius), out)
    return out.reshape(values.shape)


@cache
def _gaussian(sigma_frames: float, radius: int) -> Array:
    """Weights of a Gaussian mean from its middle outwards, `(radius + 1,)`; all of them, both sides, sum to 1."""
    weights = np.exp(-0.5 * (np.arange(radius + 1) / sigma_frames) ** 2)
    result: Array = weights / (2.0 * weights.sum() - weights[0])
    return result


@njit(cache=True)
def _smooth(values: Array, weights: Array, out: Array) -> None:
    n, reach = values.shape[0], weights.size - 1
    wide = np.empty(n + 2 * reach)
    total = np.empty(n)
    for column in range(values.shape[1]):
        for i in range(n):
            wide[reach + i] = values[i, column]
            total[i] = weights[0] * values[i, column]
        for k in range(1, reach + 1):
            wide[reach - k] = 2.0 * values[0, column] - values[k, column]
            wide[reach + n - 1 + k] = 2.0 * values[n - 1, column] - values[n - 1 - k, column]
        for k in range(1, reach + 1):
            before, after = wide[reach - k : reach - k + n], wide[reach + k : reach + k + n]
            for i in range(n):
                total[i] += weights[k] * (before[i] + after[i])
        for i in range(n):
            out[i, column] = total[i]


def within(line: Array, sigma: float, bound: float, aim: float) -> Array:
    """A line smoothed, nowhere further than `bound` from itself.

    Where a Gaussian mean of the full width would come near the bound (at a stop or a turn back from a run), it is taken
    over a shorter time, and the width changes smoothly: to pull single points back to the bound would bring the corners
    of the line back with them.

    Args:
        line: `(N, 2)` metres.
        sigma: frames.
        bound: metres.
        aim: share of the bound from which it is taken over a shorter time; what is left is for the change of width.
    """
    ground = smooth(line, sigma)
    away = np.hypot(*(ground - line).T)
    if away.max() > aim * bound:
        width = np.minimum(1.0, aim * bound / np.maximum(away, 1e-9))
        reach = int(np.ceil(2.0 * sigma))
        around = np.lib.stride_tricks.sliding_window_view(np.pad(width, reach, mode="edge"), 2 * reach + 1)
        width = np.clip(smooth(around.min(axis=1), 0.7 * sigma), 0.1, 1.0)
        ground = np.empty_like(line)
        _smooth_varying(np.ascontiguousarray(line), sigma * width, ground)
    away = ground - line
    distance = np.hypot(away[:, 0], away[:, 1]) / bound
    return line + away / ((1.0 + distance**8) ** 0.125)[:, None]


def _restless(ground: Array, fps: int, config: PathConfig) -> Array:
    """How much somebody goes to and fro instead of somewhere, `(N,)` from 0 to 1."""
    velocity = np.gradient(ground, 1.0 / fps, axis=0)
    means = smooth(np.column_stack([velocity, np.hypot(*velocity.T)]), config.restless_s * fps)
    drift, speed = np.hypot(means[:, 0], means[:, 1]), means[:, 2]
    low, high = config.restless
    share = np.clip((1.0 - drift / np.maximum(speed, SLOW_MPS) - low) / (high - low), 0.0, 1.0)
    share[speed < SLOW_MPS] = 0.0
    result: Array = share * share * (3.0 - 2.0 * share)
    return result


def _calmed(line: Array, ground: Array, restless: Array, sigma: float, clip: slice, config: PathConfig) -> Array:
    """A smoothed line, smoothed more where it goes to and fro: there no body follows a player.

    Args:
        line: `(N, 2)` metres, as recorded.
        ground: `(N, 2)` the same smoothed.
        restless: `(N,)` where it goes to and fro.
        sigma: frames over which it was smoothed.
        clip: the frames that count for the mean distance to the line.
        config: how much more, and how far from the line a clip may be on average.
    """
    if not restless[clip].any():
        return ground
    calm = within(line, config.calm[0] * sigma, config.bound_m, config.calm[1])
    change = restless[:, None] * (calm - ground)
    before, after = (float(np.hypot(*(each - line)[clip].T).mean()) for each in (ground, ground + change))
    if after > config.mean_m:
        change *= max(config.mean_m - before, 0.0) / (after - before)
    return ground + change


@njit(cache=True)
def _smooth_varying(values: Array, sigma: Array, out: Array) -> None:
    """A Gaussian mean of a width of its own at every frame, point-mirrored at both ends."""
    n = values.shape[0]
    for i in range(n):
        radius = min(int(np.ceil(3.0 * sigma[i])), n - 1)
        weight = 1.0
        for column in range(values.shape[1]):
            out[i, column] = values[i, column]
        for k in range(1, radius + 1):
            share = np.exp(-0.5 * (k / sigma[i]) ** 2)
            weight += 2.0 * share
            left, right = i - k, i + k
            for column in range(values.shape[1]):
                before = values[left, column] if left >= 0 else 2.0 * values[0, column] - values[-left, column]
                if right < n:
                    after = values[right, column]
                else:
                    after = 2.0 * values[n - 1, column] - values[2 * (n - 1) - right, column]
                out[i, column] += share * (before + after)
        for column in range(values.shape[1]):
            out[i, column] /= weight


def plan(request: ClipRequest, clips: Clips, config: PathConfig) -> Path:
    """The path of a request.

    Samples become a polyline in time, of seldom ones a curve (`pipeline.motion.sparse`), sampled at the frame rate and
    smoothed by a Gaussian that stays within `bound_m` of it. A mean of velocities never exceeds the fastest of them, so
    no speed is invented.

    Args:
        request: the samples.
        clips: frame rate, least and greatest length, margin.
        config: smoothing, and what is impossible.

    Raises:
        Infeasible: too few samples, a gap, a teleport, or a clip of less than two frames; says which and when.
    """
    length_ms = request.to_ms - request.from_ms
    shortest_ms = -(-1000 // clips.fps)
    if not shortest_ms <= length_ms <= clips.max_ms:
        raise Infeasible(f"a clip of {length_ms} ms; possible are {shortest_ms} to {clips.max_ms} ms")
    samples = _usable(request, config)
    t = (request.t_ms[samples] - request.from_ms) / 1000.0
    origin_mm = _origin(request, samples)
    xz = np.stack([request.x_mm[samples] - origin_mm[0], request.z_mm[samples] - origin_mm[2]], axis=-1) / 1000.0
    planar = bool(np.any(request.y_mm[samples] == NULL))
    y = np.zeros(t.size) if planar else (request.y_mm[samples] - origin_mm[1]) / 1000.0

    frames = int(length_ms * clips.fps // 1000) + 1
    margin = round(clips.margin_ms * clips.fps / 1000)
    time = (np.arange(frames + 2 * margin) - margin) / clips.fps
    clip = slice(margin, margin + frames)

    gap_s = float(np.median(np.diff(t))) if t.size > 1 else 0.0
    sigma = clips.fps * min(max(config.smoothing_s, config.smoothing_per_gap * gap_s), config.smoothing_max_s)
    line = np.stack([_extended(time, t, xz[:, axis]) for axis in (0, 1)], axis=-1)
    seldom = gap_s > config.sparse_gap_s and t.size > 2
    if seldom:
        among = (time > t[0]) & (time < t[-1])
        line[among] = curve(time[among], t, xz, fastest=config.running_mps, eager=config.sparse_eager)
    ground = within(line, sigma, config.bound_m, config.aim)
    restless = _restless(ground, clips.fps, config)
    ground = _calmed(line, ground, restless, sigma, clip, config)

    floor_line, air_line, flights = _flights(t, xz, y, config)
    floor = smooth(np.interp(time, t, floor_line), sigma)
    air = np.maximum(smooth(np.interp(time, t, air_line), 0.35 * sigma), 0.0)
    near = np.minimum(air / LOW_M, 1.0)
    air *= near * near * (3.0 - 2.0 * near)
    flying = np.zeros(time.size, dtype=bool)
    for begin, end in flights:
        flying |= (time > begin) & (time < end)

    velocity = np.gradient(ground, 1.0 / clips.fps, axis=0)
    view = _view(request.yaw_mdeg[samples], t, time, velocity, config, clips.fps)
    known = request.pitch_mdeg[samples] != NULL
    pitch = np.zeros(time.size)
    if known.any():
        degrees = np.interp(time, t[known], request.pitch_mdeg[samples][known] / 1000.0)
        pitch = smooth(np.radians(degrees), config.view_smoothing_s * clips.fps)
    pace = np.maximum(smooth(np.hypot(velocity[:, 0], velocity[:, 1]), 0.1 * clips.fps), 0.5)
    slope = smooth(np.abs(np.gradient(floor, 1.0 / clips.fps)) / pace, 0.12 * clips.fps) * ~flying
    deviation = np.hypot(*(ground - line)[clip].T)
    return Path(
        time,
        ground,
        floor,
        air,
        flying,
        velocity,
        view,
        pitch,
        clip,
        origin_mm / 1000.0,
        slope,
        deviation,
        gap_s,
        seldom,
        planar,
        _pace(velocity, config.pace, clips.fps),
        restless,
    )


def _pace(velocity: Array, over: tuple[float, float], fps: int) -> Array:
    """The speed, but at most a multiple of that of the mean velocity: who moves to and fro goes nowhere."""
    drift = smooth(velocity, over[0] * fps)
    result: Array = np.minimum(np.hypot(*velocity.T), over[1] * np.hypot(*drift.T))
    return result


def _usable(request: ClipRequest, config: PathConfig) -> NDArray[np.int64]:
    """Indices of the samples to use: all in the clip, and those of the margins that are connected to it."""
    t = request.t_ms
    if np.any(np.diff(t) <= 0):
        raise Infeasible("the samples are not in order of time")
    inside = (t >= request.from_ms) & (t <= request.to_ms)
    if int(inside.sum()) < config.min_samples:
        raise Infeasible(f"{int(inside.sum())} positions in the clip; {config.min_samples} are needed")
    first, last = int(np.argmax(inside)), int(t.size - 1 - np.argmax(inside[::-1]))
    seconds = np.diff(t) / 1000.0
    step = np.hypot(np.diff(request.x_mm.astype(np.int64)), np.diff(request.z_mm.astype(np.int64))) / 1000.0
    heights = request.y_mm.astype(np.int64)
    known = (heights[1:] != NULL) & (heights[:-1] != NULL)
    rise = np.where(known, np.abs(np.diff(heights)), 0) / 1000.0
    teleport = (step > config.max_speed_mps * seconds) | (rise > config.max_fall_mps * seconds)
    gap = np.diff(t) > config.max_gap_ms
    begin, end = max(first - 1, 0), min(last + 1, t.size - 1)
    for i in range(first, last):
        at = f"{t[i]} ms"
        if gap[i]:
            raise Infeasible(f"no position for {seconds[i]:.1f} s after {at}")
        if teleport[i]:
            raise Infeasible(f"teleport after {at}: {max(step[i], rise[i]):.1f} m in {seconds[i]:.3f} s")
    while begin > 0 and not (gap[begin] or teleport[begin]):
        begin -= 1
    if begin < first and (gap[begin] or teleport[begin]):
        begin += 1
    while end < t.size - 1 and not (gap[end - 1] or teleport[end - 1]):
        end += 1
    if end > last and (gap[end - 1] or teleport[end - 1]):
        end -= 1
    edge_ms = max(
        int(t[first]) - request.from_ms if begin == first else 0, request.to_ms - int(t[last]) if end == last else 0
    )
    if edge_ms > config.max_edge_ms:
        raise Infeasible(f"no position for {edge_ms / 1000:.1f} s at an end of the clip")
    return np.arange(begin, end + 1)


def _origin(request: ClipRequest, samples: NDArray[np.int64]) -> Array:
    """Match coordinates in mm of the clip's origin: the sample nearest its start, on the floor."""
    nearest = samples[int(np.argmin(np.abs(request.t_ms[samples] - request.from_ms)))]
    y = request.y_mm[nearest]
    return np.array([request.x_mm[nearest], 0 if y == NULL else y, request.z_mm[nearest]], dtype=np.float64)


def _extended(time: Array, t: Array, values: Array) -> Array:
    """Linear interpolation; outside the samples the end velocities die away."""
    out = np.interp(time, t, values)
    if t.size > 1:
        for beyond, k, slope in (
            (np.minimum(time - t[0], 0.0), 0, (values[1] - values[0]) / (t[1] - t[0])),
            (np.maximum(time - t[-1], 0.0), -1, (values[-1] - values[-2]) / (t[-1] - t[-2])),
        ):
            outside = beyond != 0.0
            lag = TRAILING_S * (1.0 - np.exp(-np.abs(beyond[outside]) / TRAILING_S))
            out[outside] = values[k] + np.sign(beyond[outside]) * lag * slope
    return out


def _flights(t: Array, xz: Array, y: Array, config: PathConfig) -> tuple[Array, Array, list[tuple[float, float]]]:
    """Floor under each sample, height above it, and when flights begin and end: jumps and falls are told from stairs.

    A step between samples flies when it is steeper than stairs can be, or when a sample at one of its ends is of two or
    more in a row that decelerate vertically as in free fall. A flight is a run of such steps; its floor is the
    straight line from where it begins to where it ends. One that neither rises over that line nor changes the height
    by `flight_min_rise_m` is none.
    """
    floor, air = y.copy(), np.zeros(y.size)
    flights: list[tuple[float, float]] = []
    if y.size < 4 or not np.any(y != y[0]):
        return floor, air, flights
    rise, way, dt = np.diff(y), np.hypot(*np.diff(xz, axis=0).T), np.diff(t)
    steep = np.abs(rise) > config.stairs_slope * way + config.stairs_rise_mps * dt
    fall = -np.diff(rise / dt) / (0.5 * (t[2:] - t[:-2]))
    low, high = config.flight_gravity_mps2
    falls = np.concatenate([[False], (fall >= low) & (fall <= high), [False]])
    falls &= np.concatenate([[False], falls[:-1]]) | np.concatenate([falls[1:], [False]])
    flying = np.concatenate([[False], steep | falls[1:] | falls[:-1], [False]])
    edges = np.flatnonzero(np.diff(flying))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        chord = np.interp(t[begin : end + 1], [t[begin], t[end]], [y[begin], y[end]])
        above = np.maximum(y[begin : end + 1] - chord, 0.0)
        if max(above.max(), abs(y[end] - y[begin])) >= config.flight_min_rise_m:
            floor[begin : end + 1] = chord
            air[begin : end + 1] = above
            flights.append((float(t[begin]), float(t[end])))
    return floor, air, flights


def _view(yaw_mdeg: NDArray[np.int32], t: Array, time: Array, velocity: Array, config: PathConfig, fps: int) -> Array:
    """View direction at every frame; where no view is known, the direction of travel, held while standing."""
    known = yaw_mdeg != NULL
    if known.any():
        turns = np.unwrap(np.radians(yaw_mdeg[known] / 1000.0) + 0.5 * np.pi)
        return smooth(np.interp(time, t[known], turns), config.view_smoothing_s * fps)
    moving = np.flatnonzero(np.hypot(velocity[:, 0], velocity[:, 1]) > 0.4)
    if moving.size == 0:
        return np.full(time.size, 0.5 * np.pi)
    heading = np.unwrap(np.arctan2(velocity[moving, 0], velocity[moving, 1]))
    return smooth(np.interp(time, time[moving], heading), 0.25 * fps)
