"""How a backfill is cut into runs."""

from pydantic import Field

from configs.base import Config, load


class BackfillConfig(Config):
    """Settings of backfills.

    Attributes:
        matches_per_run: most matches that one run of Dagster's own backfill analyses, in a process per core.
    """

    matches_per_run: int = Field(ge=1)


def load_backfill() -> BackfillConfig:
    """`configs/backfill.yaml`."""
    return load("backfill", BackfillConfig)
