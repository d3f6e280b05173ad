"""How people walk and run at a given speed: stride, duty factor, clearance and the body's oscillations.

Belongs here: gait as a function of speed and direction. Does not belong here: where feet land (footfalls), the figures
themselves and their sources (configs/motion.yaml).
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from configs.motion import Gait
from pipeline.motion.path import smooth
from pipeline.motion.rotations import Array


@dataclass(frozen=True)
class Manner:
    """Gait at every instant, arrays of one shape; metres, radians, shares.

    Attributes:
        stride: length of two steps.
        duty: share of a stride that a foot stands.
        run: 0 walking to 1 running.
        step_width: distance between the tracks of both feet.
        ahead: ball of the foot before the pelvis at mid-stance.
        clearance: greatest height of the ball of a swinging foot.
        land: pitch of the foot at landing, negative is toes up.
        off: pitch of the foot at toe-off.
        kick: greatest pitch of the foot in early swing.
        bob: half the pelvis's rise and fall.
        sink: pelvis below straight legs.
        sway: half the pelvis's side to side.
        lean: trunk forward.
        twist: half the pelvis's turn in a stride.
        swing: half the swing of a free upper arm.
        frequency: steps a second.
        forward: 1 forwards, 0 sideways or backwards.
    """

    stride: Array
    duty: Array
    run: Array
    step_width: Array
    ahead: Array
    clearance: Array
    land: Array
    off: Array
    kick: Array
    bob: Array
    sink: Array
    sway: Array
    lean: Array
    twist: Array
    swing: Array
    frequency: Array
    forward: Array


_COLUMNS = tuple(
    (name, key, scale)
    for name in Manner.__dataclass_fields__
    for key, scale in ((name, 1.0), (f"{name}_m", 1.0), (f"{name}_deg", np.pi / 180.0))
    if key in Gait.model_fields
)
"""Fields that the configuration tabulates: the name here, the name there, and its unit in ours."""


@cache
def _table(config: Gait) -> tuple[Array, Array]:
    """Speeds, and of each field of a manner its values at them, in our units."""
    columns = [np.array(getattr(config, key)) * scale for _, key, scale in _COLUMNS]
    return np.array(config.speed_mps), np.stack(columns)


def manner(speed: Array, sideways: Array, slope: Array, config: Gait) -> Manner:
    """Gait at given speeds.

    Args:
        speed: m/s, horizontal.
        sideways: radians between the hips' direction and that of travel; 0 forwards, ±π backwards.
        slope: rise over way of the ground, without sign; steps on stairs are shorter.
        config: the table by speed.
    """
    speeds, columns = _table(config)
    row = np.clip(np.searchsorted(speeds, speed, side="right") - 1, 0, speeds.size - 2)
    share = np.clip((speed - speeds[row]) / (speeds[row + 1] - speeds[row]), 0.0, 1.0)
    values = columns[:, row] + share * (columns[:, row + 1] - columns[:, row])
    table = dict(zip((name for name, _, _ in _COLUMNS), values, strict=True))
    ahead = np.cos(sideways)
    across = np.abs(np.sin(sideways))
    whole = table["stride"]
    table["stride"] = (
        whole
        * (1.0 - (1.0 - config.sideways_stride) * across**2)
        * np.where(ahead < 0.0, 1.0 - (1.0 - config.backward_stride) * ahead**2, 1.0)
    )
    table["stride"] = table["stride"] / (1.0 + config.slope_stride * np.minimum(slope, config.steepest))
    # A body thrown up for half as long rises a quarter as far: quicker steps bob less.
    table["bob"] = table["bob"] * (table["stride"] / whole) ** 2
    backwards = np.clip(-ahead, 0.0, 1.0)
    for name in ("kick", "clearance", "off"):
        table[name] = table[name] * (1.0 - config.quieter[0] * np.maximum(backwards, config.quieter[1] * across))
    table["land"] = (
        table["land"] * np.clip(ahead, -config.toes_first[0], 1.0) - config.toes_first[1] * backwards * table["land"]
    )
    table["lean"] = table["lean"] * np.where(ahead < 0.0, -config.backward_lean, 1.0) * ahead
    table["ahead"] = (
        table["ahead"] * np.abs(ahead) + config.sideways_ahead_m * across + config.backward_ahead_m * backwards
    )
    table["step_width"] = table["step_width"] + config.sideways_width_m * across
    table["forward"] = np.clip(ahead, 0.0, 1.0) ** 2
    table["frequency"] = 2.0 * speed / table["stride"]
    return Manner(**table)


_CARRIED = ("duty", "run", "bob", "sink", "sway", "lean", "twist", "swing")
"""What of a gait the trunk and the arms carry out."""


_SWINGING = ("bob", "sway", "twist", "swing")
"""What of it goes to and fro with the stride."""


def settled(manner: Manner, sigma: float, whole: Array) -> Manner:
    """The gait as a trunk follows it: a heavy body takes up and leaves a lean or a swing more slowly than feet stop.

    Args:
        manner: the gait.
        sigma: frames.
        whole: `(N,)` share of its oscillations: who turns back at once takes up none.
    """
    parts = [getattr(manner, name) * (whole if name in _SWINGING else 1.0) for name in _CARRIED]
    columns = smooth(np.stack(parts, axis=-1), sigma)
    return replace(manner, **dict(zip(_CARRIED, columns.T, strict=True)))
