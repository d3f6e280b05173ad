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
        short_window_ms: how far a feature of the short window looks back; the window at t is `(t - w, t]`.
        long_window_ms: the same of the long window.
        radii_mm: three distances, ascending, within which enemies and teammates are counted.
        max_step_gap_ms: two positions farther apart in time make no step, so no speed and no path.
        max_speed_mm_per_s: a step faster than this (mm/s) is a jump, which is no movement.
        fresh_ms: a position older than this tells nothing about where its player is.
        absent_ms: a player whose newest position is older than this has no rows until the next one.
        min_path_mm: path length below which straightness is null.
        min_heading_mm: horizontal length below which a step has no direction.
        site_mm: whoever is within this of an objective is inside its site.
        plant_ms: how long planting the bomb can go on.
        defuse_ms: how long defusing it can go on.
        teammate_death_ms: how long a teammate's death is remembered.
        max_samples_per_s: most positions a second of one player; more raise an error.
        max_combat_events_per_s: most shots, throws and hits given or taken a second of one player; more raise an
            error.
        max_span_ms: longest time from the first to the last event of a match.
    """

    grid_ms: int = Field(gt=0, multiple_of=FINEST_GRID_MS)
    short_window_ms: int = Field(gt=0, multiple_of=1000)
    long_window_ms: int = Field(gt=0, multiple_of=1000)
    radii_mm: tuple[int, int, int]
    max_step_gap_ms: int = Field(gt=0)
    max_speed_mm_per_s: int = Field(gt=0)
    fresh_ms: int = Field(gt=0)
    absent_ms: int = Field(gt=0)
    min_path_mm: int = Field(gt=0)
    min_heading_mm: int = Field(gt=0)
    site_mm: int = Field(gt=0)
    plant_ms: int = Field(gt=0)
    defuse_ms: int = Field(gt=0)
    teammate_death_ms: int = Field(gt=0)
    max_samples_per_s: int = Field(gt=0)
    max_combat_events_per_s: int = Field(gt=0)
    max_span_ms: int = Field(gt=0)

    @model_validator(mode="after")
    def _ascends(self) -> "FeaturesConfig":
        if not self.short_window_ms < self.long_window_ms:
            raise ValueError(f"short_window_ms {self.short_window_ms} must be below {self.long_window_ms}")
        if self.max_step_gap_ms >= self.long_window_ms:
            raise ValueError(f"max_step_gap_ms {self.max_step_gap_ms} must be below {self.long_window_ms}")
        if not 0 < self.radii_mm[0] < self.radii_mm[1] < self.radii_mm[2]:
            raise ValueError(f"radii_mm must be positive and ascend, not {self.radii_mm}")
        if any(radius % 1000 for radius in self.radii_mm):
            raise ValueError(f"radii_mm must be whole metres, as they stand in names, not {self.radii_mm}")
        return self


def load_features() -> FeaturesConfig:
    """The windows and limits of `configs/features.yaml`.

    Raises:
        ConfigError: if the file is missing or a value is refused.
    """
    return load("features", FeaturesConfig)
