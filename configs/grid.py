"""What is fetched from GRID's File Download and Central Data APIs, and how gently.

Belongs here: the typed form of `grid.yaml`. Does not belong here: addresses and the key (resources.settings).
"""

from typing import Annotated

from pydantic import Field

from configs.base import Config, load

# It becomes part of an address and of a file's name, so it may hold nothing that means something there.
SERIES_ID = r"^[A-Za-z0-9_-]{1,64}$"
Id = Annotated[str, Field(pattern=SERIES_ID)]


class FollowConfig(Config):
    """Whose series are fetched.

    Attributes:
        tournaments: ids of tournaments, their stages included.
        teams: ids of teams.
        series: ids of single series.
    """

    tournaments: tuple[Id, ...]
    teams: tuple[Id, ...]
    series: tuple[Id, ...]

    @property
    def anything(self) -> bool:
        """Whether there is anything to fetch."""
        return bool(self.tournaments or self.teams or self.series)


class LimitsConfig(Config):
    """What is more than GRID would send.

    Attributes:
        events_bytes: of a zipped events file.
        end_state_bytes: of an end-state file.
        answer_bytes: of any other answer.
        pages: of one query.
    """

    events_bytes: int = Field(ge=1)
    end_state_bytes: int = Field(ge=1)
    answer_bytes: int = Field(ge=1)
    pages: int = Field(ge=1)


class PacingConfig(Config):
    """Requests a minute that are not exceeded.

    Attributes:
        downloads: of files.
        queries: to Central Data.
        open_access_queries: to Central Data of Open Access.
        page_size: series that one query asks for.
    """

    downloads: int = Field(ge=1)
    queries: int = Field(ge=1)
    open_access_queries: int = Field(ge=1)
    page_size: int = Field(ge=1, le=50)


class TimeoutsConfig(Config):
    """Seconds until something counts as broken.

    Attributes:
        connect: to reach the server.
        read: of silence.
        download: for one file in one run.
    """

    connect: float = Field(gt=0)
    read: float = Field(gt=0)
    download: float = Field(gt=0)


class RetriesConfig(Config):
    """How often and how long something is tried again.

    Attributes:
        attempts: of one request or file.
        backoff_s: seconds before the second attempt, doubled before each further one.
        longest_backoff_s: no pause of our own choice is longer.
        longest_wait_s: seconds that one request or file may wait in all because the server asked for it.
        redirects: of one request.
        unavailable_in_a_row: series that fail for want of a server before the rest is left alone.
    """

    attempts: int = Field(ge=1)
    backoff_s: float = Field(ge=0)
    longest_backoff_s: float = Field(ge=0)
    longest_wait_s: float = Field(ge=0)
    redirects: int = Field(ge=0)
    unavailable_in_a_row: int = Field(ge=1)


class SpoolConfig(Config):
    """What is kept of unfinished downloads.

    Attributes:
        keep_days: a part that did not grow for so long is removed.
    """

    keep_days: float = Field(gt=0)


class GridConfig(Config):
    """All of `grid.yaml`.

    Attributes:
        look_back_days: how many days before now a series of a tournament or team may have been scheduled.
    """

    follow: FollowConfig
    look_back_days: float = Field(gt=0)
    limits: LimitsConfig
    pacing: PacingConfig
    timeouts: TimeoutsConfig
    retries: RetriesConfig
    spool: SpoolConfig


def load_grid() -> GridConfig:
    """What `grid.yaml` says."""
    return load("grid", GridConfig)
