"""The typed form of `features.yaml`: windows and limits of the micro-features.

Belongs here: fields and what must hold among them. Does not belong here: which features exist
(`pipeline.features.definition`) or how one is computed (`pipeline.features.kernel`).
"""

from pydantic import Field, model_validator

from configs.base import Config, load

FINEST_GRID_MS = 250
"""Every instant of every table is a multiple of it, whatever the configured grid."""


class FeaturesConfig(Config):
    """Windows and limits of the micro-features.

    Attributes:
        grid_ms: distance of two instants.
        window_ms: how far a windowed feature looks back; the window at t is `(t - window_ms, t]`.
        max_step_gap_ms: two positions farther apart in time make no step, so no speed and no path.
        max_speed_mm_per_s: a step faster than this (mm/s) is a jump, which is no movement.
        fresh_ms: a position older than this tells nothing about where its player is.
        near_mm: distance within which an enemy counts as near.
        min_path_mm: path length below which straightness is null.
        plant_ms: how long planting the bomb can go on.
        defuse_ms: how long defusing it can go on.
        teammate_death_ms: how long a teammate's death is remembered.
        max_samples_per_s: most positions a second of one player; more raise an error.
        max_combat_events_per_s: most shots and hits, given or taken, a second of one player; more raise an error.
        max_span_ms: longest time from the first to the last event of a match.
    """

    grid_ms: int = Field(gt=0, multiple_of=FINEST_GRID_MS)
    window_ms: int = Field(gt=0)
    max_step_gap_ms: int = Field(gt=0)
    max_speed_mm_per_s: int = Field(gt=0)
    fresh_ms: int = Field(gt=0)
    near_mm: int = Field(gt=0)
    min_path_mm: int = Field(gt=0)
    plant_ms: int = Field(gt=0)
    defuse_ms: int = Field(gt=0)
    teammate_death_ms: int = Field(gt=0)
    max_samples_per_s: int = Field(gt=0)
    max_combat_events_per_s: int = Field(gt=0)
    max_span_ms: int = Field(gt=0)

    @model_validator(mode="after")
    def _steps_fit_the_window(self) -> "FeaturesConfig":
        if self.max_step_gap_ms >= self.window_ms:
            raise ValueError(f"max_step_gap_ms {self.max_step_gap_ms} must be below window_ms {self.window_ms}")
        return self


def load_features() -> FeaturesConfig:
    """The windows and limits of `configs/features.yaml`.

    Raises:
        ConfigError: if the file is missing or a value is refused.
    """
    return load("features", FeaturesConfig)
