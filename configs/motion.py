"""The typed form of `motion.yaml`.

Belongs here: fields and what must hold among them; units and sources stand beside the values in the YAML.
Does not belong here: how a value is used (`pipeline.motion`).
"""

from typing import Literal

from pydantic import Field, model_validator

from configs.base import Config, load

ArmPose = Literal["ready", "aim", "carry", "low"]


class Durations(Config):
    """Milliseconds of a clip of each intent where there is no segment length."""

    advance: int = Field(gt=0)
    retreat: int = Field(gt=0)
    hold: int = Field(gt=0)
    peek: int = Field(gt=0)
    plant: int = Field(gt=0)
    defuse: int = Field(gt=0)
    rotate: int = Field(gt=0)
    trade: int = Field(gt=0)
    engage: int = Field(gt=0)


class Clips(Config):
    """Length and frame rate of clips."""

    fps: int = Field(gt=0)
    min_ms: int
    max_ms: int
    margin_ms: int = Field(ge=0)
    durations_ms: Durations

    @model_validator(mode="after")
    def _ordered(self) -> "Clips":
        if not 0 < self.min_ms < self.max_ms:
            raise ValueError("clips: 0 < min_ms < max_ms does not hold")
        return self


class PathConfig(Config):
    """How recorded positions become a path, and which of them can't."""

    smoothing_s: float = Field(ge=0)
    smoothing_per_gap: float = Field(ge=0)
    smoothing_max_s: float = Field(ge=0)
    sparse_gap_s: float = Field(gt=0)
    running_mps: float = Field(gt=0)
    sparse_eager: float = Field(ge=1)
    bound_m: float = Field(gt=0)
    aim: float = Field(gt=0, lt=1)
    restless_s: float = Field(gt=0)
    restless: tuple[float, float]
    calm: tuple[float, float]
    mean_m: float = Field(gt=0)
    pace: tuple[float, float]
    view_smoothing_s: float = Field(ge=0)
    max_speed_mps: float = Field(gt=0)
    max_fall_mps: float = Field(gt=0)
    max_gap_ms: int = Field(gt=0)
    max_edge_ms: int = Field(ge=0)
    min_samples: int = Field(ge=2)
    stairs_slope: float = Field(ge=0)
    stairs_rise_mps: float = Field(ge=0)
    flight_gravity_mps2: tuple[float, float]
    flight_min_rise_m: float = Field(ge=0)


LONGEST_SETTING = 3
"""A list of more numbers than this is a table by speed."""


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
    backward_ahead_m: float
    backward_lean: float
    quieter: tuple[float, float]
    toes_first: tuple[float, float]
    sideways_ahead_m: float
    sideways_width_m: float
    steepest: float
    stretch_s: tuple[float, float]
    least_off_deg: float
    fresh_s: tuple[float, float]
    jump_s: tuple[float, float]
    jump_deg: tuple[float, float]
    still_mps: float
    starts: float = Field(gt=1)
    min_step_s: float
    shortest_stance_s: float = Field(gt=0)
    shortest_landing_s: float = Field(gt=0)
    hurried_swing: float = Field(gt=0, le=1)
    braking: float = Field(ge=0, le=1)
    rest_off_deg: float = Field(ge=0)
    first_look_s: float = Field(ge=0)
    hardly_reached: float = Field(gt=0, le=1)
    hip_over_path_m: float = Field(gt=0)
    farthest_aside_m: float = Field(gt=0)
    pass_sine: tuple[float, float]
    apart_m: float
    beside_m: tuple[float, float, float]
    shortest_swing_s: float
    braking_swing_s: float
    longest_swing_s: float
    longest_stance_m: float
    cross_m: float
    max_reach: float
    least_fold: float
    brace_m: tuple[float, float, float]
    tiptoe_m: float

    @model_validator(mode="after")
    def _tabulated(self) -> "Gait":
        for name, value in self:
            tabulated = isinstance(value, tuple) and len(value) > LONGEST_SETTING
            if tabulated and len(value) != len(self.speed_mps):
                raise ValueError(f"gait.{name} has {len(value)} values, gait.speed_mps has {len(self.speed_mps)}")
        if list(self.speed_mps) != sorted(set(self.speed_mps)):
            raise ValueError("gait.speed_mps does not rise")
        return self


Knots = tuple[tuple[float, float], ...]
"""Times and values of a curve between its ends, times rising within 0 and 1."""


class Swing(Config):
    """The shape of a foot's swing: of walking, of running, and of who does not go forwards."""

    lands_s: tuple[float, float]
    leaves_s: tuple[float, float]
    short_step: float
    low_step: float
    stair_m: tuple[float, float]
    stair_rise: float
    clear_m: float
    toe_bend_deg: float
    hip_below_m: tuple[float, float]
    around_m: float
    pass_m: float
    beside_m: tuple[float, float, float]
    behind_m: float
    across_m: float
    aside_m: float
    soft_m: float = Field(gt=0)
    turned_deg: tuple[float, float]
    curve_m: float
    ankle_deg: tuple[float, float]
    walk_way: Knots
    run_way: Knots
    plain_way: Knots
    walk_lift: Knots
    run_lift: Knots
    plain_lift: Knots
    walk_pitch: Knots
    run_pitch: Knots
    plain_pitch: Knots

    @model_validator(mode="after")
    def _rising(self) -> "Swing":
        for name, knots in self:
            if not name.endswith(("_way", "_lift", "_pitch")):
                continue
            times = [0.0, *(t for t, _ in knots), 1.0]
            if times != sorted(set(times)):
                raise ValueError(f"swing.{name}: the times do not rise within 0 and 1")
        return self


class Turning(Config):
    """How hips, chest and head share a difference between view and travel."""

    hip_gain: float
    restless: float = Field(ge=0, le=1)
    hip_limit_deg: float
    backpedal_deg: tuple[float, float]
    rate_dps: float
    eager_hz: float
    lag_s: float = Field(gt=0)
    hips_s: float
    chest_s: float
    head_s: float
    speed_s: float
    going: float = Field(gt=1)
    travelling: float
    travel_s: float
    push_s: float
    settled_deg: float
    dead_zone_deg: float
    chest_limit_deg: float
    head_limit_deg: float
    trunk_limit_deg: float
    neck_limit_deg: float
    nod_limit_deg: float = Field(gt=0)
    step_angle_deg: float
    step_offset_m: float
    step_s: float
    step_look: float
    step_aim_s: float
    step_deg: tuple[float, float]
    step_wait_s: float = Field(ge=0)
    step_pause_s: float


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


Triple = tuple[float, float, float]


class Pose(Config):
    """Hands and elbows of one arm pose, left then right."""

    hands: tuple[Triple, Triple]
    elbows: tuple[Triple, Triple]
    rise: Triple
    follows: float


class Poses(Config):
    """One `Pose` for each arm pose, and what is common to them."""

    ready: Pose
    aim: Pose
    carry: Pose
    low: Pose
    curl_deg: float
    reach_deg: float
    nod_rad: float
    droop_rad: float
    whole_swing_deg: float
    stride_m: Triple
    steadied: float
    carried_m: tuple[float, float]
    breath_m: float
    kick_up: float
    work: tuple[Triple, Triple, Triple]
    free_deg: tuple[float, float]
    free_bend: float
    free_m: tuple[float, float]
    free_elbow: Triple


class Body(Config):
    """How trunk, feet and legs go with the stride and the path."""

    drop_deg: float
    drop_phase_deg: float
    lag_s: float = Field(ge=0)
    lag_m: float = Field(gt=0)
    lag_deg: float = Field(gt=0)
    lag_aim: float = Field(gt=0, lt=1)
    lag_share: float = Field(ge=0, le=1)
    pelvis_lean: tuple[float, float]
    counter_twist: float
    counter_drop: float
    spine: tuple[float, float]
    settling_s: float = Field(ge=0)
    restless: float = Field(ge=0, le=1)
    sink_m: float
    nod_rad: float
    sinking_s: float = Field(gt=0)
    easy_reach: float = Field(gt=0, le=1)
    loading_s: float = Field(ge=0)
    tilted: tuple[float, float]
    bladed: float
    kneel_lean_deg: float
    kneel_nod_rad: float
    lean_nod: float
    head_tilt: float
    cheek: float
    toes_out_deg: float
    kneel_stance: tuple[Triple, Triple]
    kneel_tuck_deg: float
    tuck_m: float
    heel_deg: float
    hurried_deg: float


Range = tuple[float, float]


class Limits(Config):
    """Ranges of joints, degrees."""

    knee_flexion: Range
    hip_flexion: Range
    hip_abduction: Range
    ankle_dorsiflexion: Range
    elbow_flexion: Range
    trunk_flexion: Range
    trunk_side_bend: Range
    trunk_rotation: Range
    neck_rotation: Range
    neck_flexion: Range
    knee_turn: Range
    knee_share: float
    within_deg: float = Field(ge=0)
    soft_deg: float = Field(gt=0)
    free_reach: float = Field(gt=0, lt=1)

    @model_validator(mode="after")
    def _ranges(self) -> "Limits":
        for name, value in self:
            if isinstance(value, tuple) and not value[0] < value[1]:
                raise ValueError(f"limits.{name}: the least is not less than the greatest")
        return self


class Fitting(Config):
    """How feet give way where legs can't follow them."""

    apart_m: float = Field(gt=0)
    spare_m: float = Field(ge=0)
    frames: int = Field(gt=0)
    shortest_s: float = Field(gt=0)
    plans: int = Field(ge=0)
    ways: int = Field(ge=1)


class Actions(Config):
    """Sizes and times of the movements that make up the acts."""

    breath_hz: float
    breath_deg: float
    shift_m: float
    shift_hz: float
    peek_s: float
    peek_deg: float
    peek_shift_m: float
    peek_shares: tuple[float, float]
    peek_pause_s: tuple[float, float]
    peek_least: float = Field(gt=0, le=1)
    peek_mps: float = Field(ge=0)
    peek_steadied: float = Field(ge=0, le=1)
    look_back_s: float
    look_back_deg: float
    look_along_deg: tuple[float, float]
    look_share: float = Field(gt=0, le=1)
    kneel_m: float
    kneel_speed_mps: float
    kneel_s: float = Field(ge=0)
    kneel_blends: float = Field(ge=1)
    kneel_share: float = Field(gt=0, le=0.5)
    crouch_move_m: float
    crouch_s: float = Field(ge=0)
    crouch_share: float = Field(gt=0, le=1)
    crouch_pose: float = Field(ge=0, le=1)
    work_hz: float = Field(gt=0)
    first_shot_s: tuple[float, float]
    burst_hz: float
    burst_shots: tuple[int, int]
    burst_pause_s: tuple[float, float]
    blade_deg: float
    recoil_m: float
    recoil_deg: float
    kick_s: float = Field(ge=0)
    kick_decay: float = Field(gt=0)
    kick_most: float = Field(gt=0)


class LyingLeg(Config):
    """A leg of who lies, degrees: the hip bent forwards, turned out, apart; the knee at least and at most."""

    hip_deg: Triple
    knee_deg: tuple[float, float]


class Lying(Config):
    """How somebody lies, degrees: on the face or on the back."""

    spine_deg: float
    head_deg: tuple[float, float]
    neck_deg: float
    ankle_deg: float
    drawn_up: LyingLeg
    straight: LyingLeg


class Falling(Config):
    """How a body falls and lies."""

    seconds: float = Field(gt=0)
    still_s: float = Field(ge=0)
    slide_s: float = Field(gt=0)
    forward_mps: float = Field(ge=0)
    roll_deg: float = Field(ge=0)
    turn_deg: float = Field(ge=0)
    buckle_forward_deg: tuple[float, float]
    buckle_back_deg: tuple[float, float]
    speed_s: float = Field(gt=0)
    onto_face: float = Field(ge=0, le=1)
    tilts: tuple[float, float]
    tilts_late: float = Field(gt=0)
    bends: tuple[float, float]
    trails: tuple[float, float]
    holds: tuple[float, float]
    buckles: float = Field(gt=0)
    buckle_share: tuple[float, float]
    buckle_ankle: float
    spine_turn_deg: float
    spine_bend_deg: float
    arm_raised: float
    raised_deg: tuple[float, float]
    lowered_deg: tuple[float, float]
    face: Lying
    back: Lying
    touch_m: float = Field(gt=0)
    loose: float = Field(gt=0)
    hand_m: float = Field(ge=0)
    other_flesh_m: float = Field(gt=0)
    flesh_m: dict[str, float]


class Weights(Config):
    """What makes a moment worth seeing."""

    plant: float = Field(gt=0)
    defuse: float = Field(gt=0)
    trade: float = Field(gt=0)
    duel: float = Field(gt=0)
    peek: float = Field(gt=0)
    long_rotation: float = Field(gt=0)
    doubtful: float = Field(gt=0)
    retreat: float = Field(gt=0)
    advance: float = Field(gt=0)
    hold: float = Field(gt=0)
    rotate: float = Field(gt=0)


class Repeats(Config):
    """How much less a moment is worth for each one chosen before of its kind, player and round."""

    kind: float = Field(ge=0)
    player: float = Field(ge=0)
    round: float = Field(ge=0)


class Liveliness(Config):
    """How much more a moment is worth for the way, the time and the certainty in it.

    Its weight is multiplied by `base + gain × liveliness`, and liveliness is the sum of three parts, each at most its
    share: of the way up to `way_m`, of the length up to `length_ms`, of the confidence.
    """

    base: float = Field(gt=0)
    gain: float = Field(ge=0)
    way_m: float = Field(gt=0)
    way_share: float = Field(ge=0)
    length_ms: int = Field(gt=0)
    length_share: float = Field(ge=0)
    confidence_share: float = Field(ge=0)


class Moments(Config):
    """How many moments of a match become clips, and which."""

    budget: int = Field(ge=0)
    share_per_intent: float = Field(gt=0, le=1)
    min_samples: int = Field(ge=1)
    min_ms: int = Field(gt=0)
    death_within_ms: int = Field(ge=0)
    doubtful_below: float = Field(ge=0, le=1)
    long_rotation_m: float = Field(ge=0)
    silent: str
    repeats: Repeats
    liveliness: Liveliness
    weights: Weights


class Export(Config):
    """Smoothing of foreign motion, and what leaving out keys may lose."""

    smoothing: tuple[int, int]
    rotation_tolerance_m: float = Field(gt=0)
    contact_tolerance_m: float = Field(gt=0)
    between_m: float = Field(gt=0)
    most_99_m: float = Field(gt=0)
    most_m: float = Field(gt=0)

    @model_validator(mode="after")
    def _odd(self) -> "Export":
        window, order = self.smoothing
        if window % 2 == 0 or not 0 <= order < window:
            raise ValueError("export.smoothing: an odd window and a lower order are needed")
        return self


class Film(Config):
    """Size and rate of an animated preview."""

    width: int = Field(gt=0)
    height: int = Field(gt=0)
    fps: float = Field(gt=0)
    quality: int = Field(ge=0, le=100)
    follow_s: float = Field(ge=0)
    still_below_m: float = Field(ge=0)
    margin_m: float = Field(ge=0)
    near_m: float
    far_m: float
    side_deg: tuple[float, float]
    flash_s: float = Field(ge=0)


class Preview(Config):
    """Size and layout of a still."""

    width: int = Field(gt=0)
    height: int = Field(gt=0)
    ghosts: int = Field(ge=2)
    strip_below_m: float = Field(ge=0)
    film: Film


class MotionConfig(Config):
    """Everything in `motion.yaml`."""

    clips: Clips
    path: PathConfig
    gait: Gait
    swing: Swing
    turning: Turning
    acting: Acting
    poses: Poses
    body: Body
    limits: Limits
    fitting: Fitting
    actions: Actions
    falling: Falling
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
