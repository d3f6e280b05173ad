"""The typed form of `scenes.yaml`.

Belongs here: fields and what must hold among them; units and sources stand beside the values in the YAML.
Does not belong here: how a value is used (`pipeline.scenes`).
"""

from pydantic import Field, model_validator

from configs.base import Config, load

Range = tuple[float, float]


class Human(Config):
    """Lengths of a human's parts in metres."""

    height: float = Field(gt=0)
    thigh: float = Field(gt=0)
    shank: float = Field(gt=0)
    shoulder: float = Field(gt=0)
    head: float = Field(gt=0)
    head_radius: float = Field(gt=0)
    upper_arm: float = Field(gt=0)
    forearm: float = Field(gt=0)
    hip_width: float = Field(gt=0)
    shoulder_width: float = Field(gt=0)

    @property
    def leg(self) -> float:
        """A stretched leg."""
        return self.thigh + self.shank


class Action(Config):
    """What an actor does, and how fast that is."""

    posture: str
    speed: float = Field(default=0.0, ge=0)
    range: Range = (0.0, 0.0)
    accelerate: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _within(self) -> "Action":
        if not self.range[0] <= self.speed <= self.range[1]:
            raise ValueError(f"speed {self.speed} is outside its range {self.range}")
        return self

    @property
    def moves(self) -> bool:
        """Whether an actor that does it goes somewhere."""
        return self.speed > 0


class Recognised(Config):
    """The name of movement below a speed."""

    below: float = Field(gt=0)
    action: str


class Wording(Config):
    """How ways are put in words."""

    quick_mps: float = Field(gt=0)
    slow_mps: float = Field(gt=0)
    moved_m: float = Field(ge=0)
    towards_share: float = Field(gt=0, le=1)


class Movement(Config):
    """What bodies can't exceed, and how corners are rounded."""

    brake_mps2: float = Field(gt=0)
    lateral_mps2: float = Field(gt=0)
    turn_radps: float = Field(gt=0)
    roundness: float = Field(gt=0)
    tangent_m: float = Field(gt=0)
    body_radius_m: float = Field(ge=0)
    clearance_m: float = Field(ge=0)


class SceneGait(Config):
    """Gait by speed: lists of equal length over `speed_mps`, and single values."""

    speed_mps: tuple[float, ...]
    stride_m: tuple[float, ...]
    duty: tuple[float, ...]
    hip: tuple[float, ...]
    bob_m: tuple[float, ...]
    lift_m: tuple[float, ...]
    lean_deg: tuple[float, ...]
    arm_deg: tuple[float, ...]
    elbow_deg: tuple[float, ...]
    float_per_gravity: float = Field(ge=0)
    wring_mps: float = Field(gt=0)
    wring_lift_m: float = Field(ge=0)
    sidle_mps: float = Field(gt=0)
    least_move_m: float = Field(gt=0)

    @model_validator(mode="after")
    def _tabulated(self) -> "SceneGait":
        for name, value in self:
            if isinstance(value, tuple) and len(value) != len(self.speed_mps):
                raise ValueError(f"gait.{name} has {len(value)} values, gait.speed_mps has {len(self.speed_mps)}")
        if list(self.speed_mps) != sorted(set(self.speed_mps)):
            raise ValueError("gait.speed_mps does not rise")
        return self


class Posture(Config):
    """The upper body and the hips of an actor that stays; see the YAML."""

    lean: float
    hip: float = Field(gt=0, le=1)
    left: tuple[float, float]
    right: tuple[float, float]
    beat: tuple[float, float, float, float]
    hz: float = Field(ge=0)
    seated: bool = False
    stride: float = Field(default=0.12, ge=0)


class ObjectSize(Config):
    """Height of a kind of object, in units."""

    height: float = Field(gt=0)
    range: Range
    radius: float = Field(ge=0)

    @model_validator(mode="after")
    def _within(self) -> "ObjectSize":
        if not self.range[0] <= self.height <= self.range[1]:
            raise ValueError(f"height {self.height} is outside its range {self.range}")
        return self


class Themes(Config):
    """Measures of the places where stories happen."""

    gravity_mps2: dict[str, float]
    earth_mps2: float = Field(gt=0)
    base_path_m: float = Field(gt=0)
    mound_m: float = Field(gt=0)
    pitch_mps: float = Field(gt=0)
    throw_mps: float = Field(gt=0)
    car_mps: Range
    pace: float = Field(ge=0, le=0.05)


class Render(Config):
    """Pictures of scenes."""

    width: int = Field(gt=0, multiple_of=2)
    height: int = Field(gt=0, multiple_of=2)
    oversample: int = Field(ge=1, le=4)
    pitch_deg: float = Field(gt=0, lt=90)
    margin_m: float = Field(ge=0)
    least_width_m: float = Field(gt=0)
    smoothing_s: float = Field(gt=0)


class Dataset(Config):
    """How stories and matches are cut into samples, and which samples are held out."""

    seconds: float = Field(gt=0)
    stride_s: float = Field(gt=0)
    story_s: Range
    shard: int = Field(gt=0)
    held_out_style: int = Field(ge=0)
    held_out_share: float = Field(ge=0, lt=1)
    story_licence: str
    match_licence: str
    untrainable_matches: dict[str, str]
    validation_share: float = Field(ge=0, lt=0.5)
    test_share: float = Field(ge=0, lt=0.5)
    still_m: float = Field(ge=0)
    stillness: float = Field(ge=0, le=1)
    least_samples: int = Field(ge=2)
    creep_mps: float = Field(ge=0)
    creep_m: float = Field(ge=0)
    max_gap_ms: int = Field(gt=0)
    smoothing_s: float = Field(gt=0)
    caption_s: float = Field(ge=0)
    spoken: int = Field(ge=1)


class Limits(Config):
    """What the blocking checks hold samples to."""

    speed_share: float = Field(gt=0)
    cruise_mps2: float = Field(gt=0)
    cruise_lateral: float = Field(gt=0, le=1)
    cruise_frames: int = Field(ge=1)
    stays_mps: float = Field(gt=0)
    teleport_mps: float = Field(gt=0)
    facing_deg: float = Field(gt=0)
    facing_percentile: float = Field(gt=0, le=100)
    facing_from_mps: float = Field(gt=0)
    bone_share: float = Field(gt=0)
    slide_mps: float = Field(gt=0)
    contact_m: float = Field(gt=0)


class ScenesConfig(Config):
    """Everything in `scenes.yaml`."""

    unit_m: float = Field(gt=0)
    fps: int = Field(gt=0)
    human: Human
    actions: dict[str, Action]
    recognised: tuple[Recognised, ...]
    intents: dict[str, str]
    wording: Wording
    movement: Movement
    gait: SceneGait
    postures: dict[str, Posture]
    posture_blend_s: float = Field(gt=0)
    objects: dict[str, ObjectSize]
    themes: Themes
    render: Render
    dataset: Dataset
    limits: Limits

    @model_validator(mode="after")
    def _named(self) -> "ScenesConfig":
        for name, action in self.actions.items():
            if action.posture not in self.postures and action.posture != "gait":
                raise ValueError(f"actions.{name}: no posture {action.posture!r}")
            if action.moves != (action.posture == "gait"):
                raise ValueError(f"actions.{name}: the posture of what moves is gait, and of nothing else")
        for band in self.recognised:
            if band.action not in self.actions:
                raise ValueError(f"recognised: no action {band.action!r}")
        for intent, doing in self.intents.items():
            if doing not in self.actions or self.actions[doing].moves:
                raise ValueError(f"intents.{intent}: no action {doing!r} that stays")
        if "stand" not in self.actions:
            raise ValueError("actions: stand is missing")
        return self

    @property
    def window(self) -> int:
        """Frames of a sample."""
        return round(self.dataset.seconds * self.fps)

    @property
    def fastest_mps(self) -> float:
        """The highest speed of any action."""
        return max(action.range[1] for action in self.actions.values())


def load_scenes() -> ScenesConfig:
    """The configuration in `scenes.yaml`.

    Raises:
        ConfigError: if it is missing or a value is refused.
    """
    return load("scenes", ScenesConfig)
