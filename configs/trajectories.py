"""The typed form of `trajectories.yaml`.

Belongs here: fields and what must hold among them; units and sources stand beside the values in the YAML.
Does not belong here: how a value is used (`pipeline.trajectories`).
"""

from itertools import pairwise

from pydantic import Field, model_validator

from configs.base import Config, load


class Size(Config):
    """How large a transformer is."""

    width: int = Field(gt=0)
    layers: int = Field(gt=0)
    heads: int = Field(gt=0)
    patch: int = Field(gt=0)

    @model_validator(mode="after")
    def _divides(self) -> "Size":
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of {self.heads} heads")
        return self


class NetworkConfig(Config):
    """What all sizes share."""

    feed_forward: int = Field(gt=0)
    dropout: float = Field(ge=0, lt=1)
    grain: int = Field(gt=0)
    reader: int = Field(gt=0)
    figure: int = Field(gt=0)
    step_mps: float = Field(gt=0)
    damping_s: float = Field(gt=0)


class Known(Config):
    """What is shown of the time before a forecast."""

    seconds: float = Field(gt=0)
    most_s: float = Field(gt=0)
    share: float = Field(ge=0, le=1)
    pose_share: float = Field(ge=0, le=1)
    text_share: float = Field(ge=0, le=1)
    velocity_s: float = Field(gt=0)
    stride_s: float = Field(gt=0)
    going_mps: float = Field(gt=0)


class RecallConfig(Config):
    """What came of moments that were alike."""

    moments: int = Field(gt=0)
    instants_s: tuple[float, ...] = Field(min_length=1)
    every: int = Field(gt=0)
    block_s: float = Field(gt=0)
    velocity_s: float = Field(gt=0)
    apart_m: float = Field(gt=0)
    apart_up_m: float = Field(gt=0)
    apart_mps: float = Field(gt=0)
    least: float = Field(gt=0)

    @model_validator(mode="after")
    def _rises(self) -> "RecallConfig":
        if self.instants_s[0] <= 0 or any(b <= a for a, b in pairwise(self.instants_s)):
            raise ValueError("instants_s have to rise from above 0")
        return self


class Losses(Config):
    """Weights of the losses."""

    position: float = Field(ge=0)
    told: float = Field(ge=0)
    speed: float = Field(ge=0)
    direction: float = Field(ge=0)
    action: float = Field(ge=0)
    pose: float = Field(ge=0)
    foot: float = Field(ge=0)
    horizon_s: float = Field(gt=0)


class Mixture(Config):
    """Shares of the kinds of samples in a batch."""

    story: float = Field(ge=0)
    match: float = Field(ge=0)
    recorded: float = Field(ge=0)


class TrainingConfig(Config):
    """How the model learns."""

    batch: int = Field(gt=0)
    steps: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    warmup: int = Field(ge=0)
    final_share: float = Field(ge=0, le=1)
    weight_decay: float = Field(ge=0)
    clip: float = Field(gt=0)
    ema: float = Field(ge=0, lt=1)
    validate_every: int = Field(gt=0)
    checkpoint_every: int = Field(gt=0)
    log_every: int = Field(gt=0)
    validation: int = Field(gt=0)
    speed: float = Field(ge=0, lt=0.5)
    mirror: float = Field(ge=0, le=1)
    scale: float = Field(ge=0, lt=0.5)
    seed: int = Field(ge=0)


class SplitConfig(Config):
    """What is held out besides the splits of the table."""

    held_out_themes: tuple[str, ...]
    match_test_share: float = Field(ge=0, lt=1)
    match_validation_share: float = Field(ge=0, lt=1)


class EvaluationConfig(Config):
    """How the model is judged."""

    horizons_s: tuple[float, ...] = Field(min_length=1)
    damping_s: float = Field(gt=0)
    samples: int = Field(gt=0)
    windows: int = Field(gt=0)
    classifier_rows: int = Field(gt=0)
    draws: int = Field(gt=0)
    block_s: float = Field(gt=0)
    confidence: float = Field(gt=0, lt=1)


class Goals(Config):
    """What the model is held to, as shares."""

    forecast_1s: float
    forecast_4s: float
    speed_share: float
    bone_share: float


class GenerationConfig(Config):
    """Films from text."""

    seconds: float = Field(gt=0, le=10)
    apart_m: float = Field(ge=0)
    vary: float = Field(ge=0, lt=0.5)
    most_actors: int = Field(gt=0)
    action_s: float = Field(gt=0)
    goes_mps: float = Field(gt=0)
    course_m: float = Field(gt=0)
    beside_m: float = Field(ge=0)
    sample_ms: int = Field(gt=0)
    far: tuple[str, ...] = Field(min_length=1)
    sides: tuple[str, ...] = Field(min_length=1)
    prompts: tuple[str, ...] = Field(min_length=1)


class TrajectoriesConfig(Config):
    """Everything in `trajectories.yaml`."""

    sizes: dict[str, Size]
    network: NetworkConfig
    known: Known
    recall: RecallConfig
    losses: Losses
    mixture: Mixture
    training: TrainingConfig
    split: SplitConfig
    evaluation: EvaluationConfig
    goals: Goals
    generation: GenerationConfig


def load_trajectories() -> TrajectoriesConfig:
    """The configuration in `trajectories.yaml`.

    Raises:
        ConfigError: if it is missing or a value is refused.
    """
    return load("trajectories", TrajectoriesConfig)
