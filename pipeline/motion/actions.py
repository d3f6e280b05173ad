"""What the body does beyond going somewhere: breathing, leaning out, looking back, kneeling, shooting.

Belongs here: curves over time of each intent's action, deterministic by seed. Does not belong here: the joints that
carry them out (posture, arms), sizes and durations (configs/motion.yaml).
"""

from dataclasses import dataclass

import numpy as np

from configs.motion import Act, Actions, MotionConfig
from pipeline.intents.vocabulary import Intent
from pipeline.motion.headings import Headings, ease
from pipeline.motion.path import Path, smooth
from pipeline.motion.rotations import Array, wrap


@dataclass(frozen=True)
class Action:
    """The intent's action at every frame; shares are 0 to 1, lengths metres, angles radians.

    Attributes:
        pose: `(N,)` how far the intent's pose is taken up.
        kneel: `(N,)` how far down on one knee.
        crouch: `(N,)` pelvis below standing, kneeling apart.
        lean: `(N,)` trunk forward, beyond that of the gait.
        breath: `(N,)` chest pitch.
        shift: `(N,)` pelvis to the left.
        tilt: `(N,)` trunk tilt to the right.
        look: `(N,)` head turn to the left, beyond the view.
        recoil: `(N,)` 0 to about 1, kick of the weapon.
        fiddle: `(N,)` radians, phase of working hands.
        blade: `(N,)` chest turned to the right of the view, left shoulder ahead, as who aims from the right shoulder.
    """

    pose: Array
    kneel: Array
    crouch: Array
    lean: Array
    breath: Array
    shift: Array
    tilt: Array
    look: Array
    recoil: Array
    fiddle: Array
    blade: Array


def act(
    intent: Intent, path: Path, headings: Headings, kneel: Array, config: MotionConfig, rng: np.random.Generator
) -> Action:
    """The action of an intent on a path.

    Args:
        intent: what is acted.
        path: for time, speed and view.
        headings: for how the body already looks.
        kneel: `(N,)` how far down on one knee, from `kneeling`.
        config: sizes and times.
        rng: for phases and pauses; every intent draws the same numbers in the same order.
    """
    how: Act = getattr(config.acting, intent)
    sizes, fps = config.actions, config.clips.fps
    time, clip = path.time, path.clip
    phases = rng.uniform(0.0, 2.0 * np.pi, 4)
    side = 1.0 if rng.random() < 0.5 else -1.0
    end = float(time[clip.stop - 1])
    pose = (
        ease(time, 0.0, how.blend_s) * (1.0 - ease(time, end - how.blend_s, end))
        if intent == "peek"
        else ease(time, -how.blend_s, 0.0)
    )
    zero = np.zeros(time.size)
    standing = 1.0 - headings.going
    crouch = how.crouch_m * pose
    if intent in ("plant", "defuse"):
        near = ease(smooth(kneel, sizes.crouch_s * fps), 0.0, sizes.crouch_share)
        crouch = sizes.crouch_move_m * (1.0 - kneel) * near
        if not kneel.any():
            crouch = np.full(time.size, sizes.crouch_move_m)
        pose = np.maximum(kneel, crouch / max(sizes.crouch_move_m, 1e-6) * sizes.crouch_pose)
    breath = np.radians(sizes.breath_deg) * np.sin(2.0 * np.pi * sizes.breath_hz * time + phases[0])
    shift = sizes.shift_m * standing * (1.0 - kneel) * np.sin(2.0 * np.pi * sizes.shift_hz * time + phases[1])
    tilt, look, recoil = zero, zero, zero
    blade = np.radians(sizes.blade_deg) * (pose if how.arms == "aim" else zero)
    if intent == "peek":
        tilt, shift = _leaning_out(path, headings, config, side, shift)
    if intent == "retreat":
        look = _looking_back(path, headings, config, side, phases[2])
    if intent in ("trade", "engage"):
        recoil = _bursts(time, sizes.first_shot_s[0 if intent == "engage" else 1], end, config, rng)
    return Action(
        pose,
        kneel,
        crouch,
        np.radians(how.lean_deg) * pose,
        breath,
        shift,
        tilt,
        look,
        recoil,
        2.0 * np.pi * sizes.work_hz * time + phases[3],
        blade,
    )


def kneeling(intent: Intent, path: Path, config: MotionConfig) -> Array:
    """How far down on one knee, `(N,)` from 0 to 1.

    Whoever plants or defuses kneels in the longest standing stretch of the clip, if there is time to get down and up.

    Args:
        intent: what is acted.
        path: for time and speed.
        config: how slow is slow enough, and the time it takes.
    """
    if intent not in ("plant", "defuse"):
        return np.zeros(path.time.size)
    blend_s = getattr(config.acting, intent).blend_s
    sizes = config.actions
    slow = smooth(path.speed, sizes.kneel_s * config.clips.fps) < sizes.kneel_speed_mps
    first, last = path.clip.start, path.clip.stop - 1
    slow[:first], slow[last + 1 :] = False, False
    edges = np.flatnonzero(np.diff(np.concatenate([[False], slow, [False]])))
    if edges.size == 0:
        return np.zeros(slow.size)
    lengths = edges[1::2] - edges[::2]
    longest = int(np.argmax(lengths))
    begin, end = float(path.time[edges[2 * longest]]), float(path.time[edges[2 * longest + 1] - 1])
    if end - begin < sizes.kneel_blends * blend_s:
        return np.zeros(slow.size)
    blend = min(blend_s, sizes.kneel_share * (end - begin))
    open_end = last - int(edges[2 * longest + 1] - 1) <= 1
    after = float(path.time[-1]) if open_end else end
    down = ease(path.time, begin, begin + blend)
    return down * (1.0 - ease(path.time, after - blend, after)) if after == end else down


def _leaning_out(
    path: Path, headings: Headings, config: MotionConfig, side: float, shift: Array
) -> tuple[Array, Array]:
    """Out and back once per `peek_s`, to the side of the first sideways movement, else to a drawn one."""
    sizes = config.actions
    across = np.sin(wrap(headings.travel - path.view)) * path.speed
    strongest = float(across[path.clip][int(np.argmax(np.abs(across[path.clip])))])
    to_left = (1.0 if strongest > 0.0 else -1.0) if abs(strongest) > sizes.peek_mps else side
    begin, end = sizes.peek_pause_s[0], float(path.time[path.clip.stop - 1])
    out = np.zeros(path.time.size)
    leaves, returns = sizes.peek_shares
    while begin + sizes.peek_least * sizes.peek_s < end:
        u = np.clip((path.time - begin) / sizes.peek_s, 0.0, 1.0)
        out = np.maximum(out, ease(u, 0.0, leaves) * (1.0 - ease(u, returns, 1.0)))
        begin += sizes.peek_s + sizes.peek_pause_s[1]
    return -to_left * np.radians(sizes.peek_deg) * out, shift + to_left * sizes.peek_shift_m * out * (
        1.0 - sizes.peek_steadied * headings.going
    )


def _looking_back(path: Path, headings: Headings, config: MotionConfig, side: float, phase: float) -> Array:
    """Looks over the shoulder while the view is along the way of retreat; who runs backwards looks there already."""
    sizes = config.actions
    along = headings.going * (1.0 - ease(np.abs(wrap(headings.travel - path.view)), *np.radians(sizes.look_along_deg)))
    wave = np.sin(2.0 * np.pi * path.time / sizes.look_back_s + phase)
    result: Array = side * np.radians(sizes.look_back_deg) * along * ease(wave, 0.0, sizes.look_share)
    return result


def _bursts(time: Array, begin: float, end: float, config: MotionConfig, rng: np.random.Generator) -> Array:
    """Kicks of a weapon fired in short bursts: each shot a jump that dies away within two shots' time."""
    sizes, shots, t = config.actions, [], begin
    while t < end:
        for _ in range(int(rng.integers(sizes.burst_shots[0], sizes.burst_shots[1] + 1))):
            shots.append(t)
            t += 1.0 / sizes.burst_hz
        t += float(rng.uniform(*sizes.burst_pause_s))
    return bursts(time, np.array(shots), sizes)


def bursts(time: Array, shots: Array, sizes: Actions) -> Array:
    """Kicks `(N,)` of a weapon, 0 to `kick_most`, at the times of its shots.

    Args:
        time: `(N,)` seconds.
        shots: `(n,)` seconds.
        sizes: shots a second of a burst, how a kick rises and dies away.
    """
    out = np.zeros(time.size)
    for t in shots:
        since = time - t
        out += np.where(since >= 0.0, np.exp(-np.maximum(since, 0.0) * sizes.kick_decay * sizes.burst_hz), 0.0)
    return np.minimum(smooth(out, sizes.kick_s / (time[1] - time[0])), sizes.kick_most)
