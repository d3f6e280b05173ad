"""The typed form of `motion.yaml`.

Belongs here: fields and what must hold among them; units and sources stand beside the values in the YAML.
Does not belong here: how a value is used (`pipeline.motion`).
"""

from typing import Literal

from pydantic import model_validator

from configs.base import Config, load

ArmPose = Literal["ready", "aim", "carry", "low"]


class Durations(Config):
    """Milliseconds of a clip of each intent where there is no segment length."""

    advance: int
    retreat: int
    hold: int
    peek: int
    plant: int
    defuse: int
    rotate: int
    trade: int
    engage: int


class Clips(Config):
    """Length and frame rate of clips."""

    fps: int
    min_ms: int
    max_ms: int
    margin_ms: int
    durations_ms: Durations

    @model_validator(mode="after")
    def _ordered(self) -> "Clips":
        if not 0 < self.min_ms < self.max_ms:
            raise ValueError("clips: 0 < min_ms < max_ms does not hold")
        return self


class PathConfig(Config):
    """How recorded positions become a path, and which of them can't."""

    smoothing_s: float
    smoothing_per_gap: float
    smoothing_max_s: float
    bound_m: float
    view_smoothing_s: float
    max_speed_mps: float
    max_fall_mps: float
    max_gap_ms: int
    max_edge_ms: int
    min_samples: int
    stairs_slope: float
    stairs_rise_mps: float
    flight_gravity_mps2: tuple[float, float]
    flight_min_rise_m: float


class Gait(Config):
    """Gait by speed: lists of equal length over `speed_mps`, and single limits."""

    speed_mps: tuple[float, ...]
    stride_m: tuple[float, ...]
    duty: tuple[float, ...]
    run: tuple[float, ...]
    step_width_m: tuple[float, ...]
    ahead_m: tuple[float, ...]
    clearance_m: tuple[float, ...]
    land_deg: tuple[float, ...]
    off_deg: tuple[float, ...]
    kick_deg: tuple[float, ...]
    bob_m: tuple[float, ...]
    sink_m: tuple[float, ...]
    sway_m: tuple[float, ...]
    lean_deg: tuple[float, ...]
    twist_deg: tuple[float, ...]
    swing_deg: tuple[float, ...]
    slope_stride: float
    sideways_stride: float
    backward_stride: float
    still_mps: float
    min_step_s: float
    longest_stance_m: float
    max_reach: float

    @model_validator(mode="after")
    def _tabulated(self) -> "Gait":
        for name, value in self:
            if isinstance(value, tuple) and len(value) != len(self.speed_mps):
                raise ValueError(f"gait.{name} has {len(value)} values, gait.speed_mps has {len(self.speed_mps)}")
        if list(self.speed_mps) != sorted(set(self.speed_mps)):
            raise ValueError("gait.speed_mps does not rise")
        return self


class Turning(Config):
    """How hips, chest and head share a difference between view and travel."""

    hip_gain: float
    hip_limit_deg: float
    backpedal_deg: tuple[float, float]
    rate_dps: float
    dead_zone_deg: float
    chest_limit_deg: float
    head_limit_deg: float
    step_angle_deg: float
    step_offset_m: float
    step_s: float


class Act(Config):
    """Stance and upper body of one intent."""

    crouch_m: float
    lean_deg: float
    chest: float
    head: float
    arms: ArmPose
    stance: tuple[float, float, float]
    blend_s: float


class Acting(Config):
    """One `Act` for each intent."""

    advance: Act
    retreat: Act
    hold: Act
    peek: Act
    plant: Act
    defuse: Act
    rotate: Act
    trade: Act
    engage: Act


class Actions(Config):
    """Sizes and times of the movements that make up the acts."""

    breath_hz: float
    breath_deg: float
    shift_m: float
    shift_hz: float
    peek_s: float
    peek_deg: float
    peek_shift_m: float
    look_back_s: float
    look_back_deg: float
    kneel_m: float
    kneel_speed_mps: float
    crouch_move_m: float
    burst_hz: float
    burst_shots: tuple[int, int]
    burst_pause_s: tuple[float, float]
    blade_deg: float
    recoil_m: float
    recoil_deg: float


class Weights(Config):
    """What makes a moment worth seeing."""

    plant: float
    defuse: float
    trade: float
    duel: float
    peek: float
    long_rotation: float
    doubtful: float
    retreat: float
    advance: float
    hold: float
    rotate: float


class Repeats(Config):
    """How much less a moment is worth for each one chosen before of its kind, player and round."""

    kind: float
    player: float
    round: float


class Moments(Config):
    """How many moments of a match become clips, and which."""

    budget: int
    share_per_intent: float
    min_samples: int
    min_ms: int
    doubtful_below: float
    long_rotation_m: float
    repeats: Repeats
    weights: Weights


class Export(Config):
    """Tolerances of the key reduction."""

    rotation_tolerance_m: float
    contact_tolerance_m: float


class Preview(Config):
    """Size and layout of a still."""

    width: int
    height: int
    ghosts: int
    strip_below_m: float


class MotionConfig(Config):
    """Everything in `motion.yaml`."""

    clips: Clips
    path: PathConfig
    gait: Gait
    turning: Turning
    acting: Acting
    actions: Actions
    moments: Moments
    export: Export
    preview: Preview

    @property
    def budget(self) -> int:
        """Clips a match."""
        return self.moments.budget


def load_motion() -> MotionConfig:
    """The configuration in `motion.yaml`.

    Raises:
        ConfigError: if it is missing or a value is refused.
    """
    return load("motion", MotionConfig)
