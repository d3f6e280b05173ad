"""Limits of what a recorded log may contain, and how positions are read from snapshots.

Belongs here: the typed form of `events.yaml`. Does not belong here: titles and their units (configs.titles).
"""

from pydantic import Field, model_validator

from configs.base import Config, load


class PiecesConfig(Config):
    """How much of a frame is written to a temporary file, or read from it, at once: that much stands in memory twice.

    Attributes:
        rows: how many rows.
        columns: and of so many columns.
    """

    rows: int = Field(ge=1)
    columns: int = Field(ge=1)


class LinesConfig(Config):
    """How much of a file may stand in memory, and what an archive may unpack to.

    Attributes:
        chunk_bytes: how much is read at once.
        max_line_bytes: a longer line is quarantined without being kept.
        max_members: more `.jsonl` members than this make a zip unusable.
        max_directory_bytes: a zip whose directory is larger is unusable.
        max_unpacked_bytes: reading stops, and says so, where an archive unpacks to more.
        max_ratio: and so where it unpacks to more than this many times its own size.
        ratio_floor_bytes: a file that unpacks to no more than this may do so at any ratio.
        max_matches: a log of more is unusable.
        raw_chars: how much of a bad line, and at most of what is said of it, quarantine keeps.
        batch_rows: how many events become a columnar frame at once.
        frame_rows: how many rows are worked on at once.
        held_rows: how many rows may wait in memory; those of a longer log wait in temporary files.
        pieces: in which rows go to temporary files and come back.
        max_readings: how often matches may read each frame of a log on an average before their events are dealt out.
    """

    chunk_bytes: int = Field(ge=1)
    max_line_bytes: int = Field(ge=1)
    max_members: int = Field(ge=1)
    max_directory_bytes: int = Field(ge=1)
    max_unpacked_bytes: int = Field(ge=1)
    max_ratio: int = Field(ge=1)
    ratio_floor_bytes: int = Field(ge=0)
    max_matches: int = Field(ge=1)
    raw_chars: int = Field(ge=1)
    batch_rows: int = Field(ge=1)
    frame_rows: int = Field(ge=1)
    held_rows: int = Field(ge=0)
    pieces: PiecesConfig
    max_readings: float = Field(ge=1)


class ValidityConfig(Config):
    """What an event may say.

    Attributes:
        max_position_m: largest believable coordinate.
        max_angle_deg: largest believable angle, either sign.
        max_amount: largest believable health, armour or damage.
        max_duration_s: longest believable blindness.
        max_depth: how deep objects and lists of a line may nest.
        max_id_chars: longest identifier or name.
        earliest_ms: earliest match time, before MATCH_STARTED.
        latest_ms: latest match time.
        max_clock_skew_ms: how far an event's two clocks, or a transaction and its neighbours, may stand apart.
        clock_neighbours: how many transactions before and after one are asked for its time.
    """

    max_position_m: float = Field(gt=0, le=2_000_000)
    max_angle_deg: float = Field(gt=0, le=2_000_000)
    max_amount: int = Field(gt=0, le=2_147_483_647)
    max_duration_s: float = Field(gt=0, le=2_000_000)
    max_depth: int = Field(ge=64, le=500)
    max_id_chars: int = Field(ge=1)
    earliest_ms: int = Field(ge=-(2**31) + 1)
    latest_ms: int = Field(lt=2**31)
    max_clock_skew_ms: int = Field(gt=0)
    clock_neighbours: int = Field(ge=1)

    @model_validator(mode="after")
    def _start_lies_inside(self) -> "ValidityConfig":
        if not self.earliest_ms <= 0 < self.latest_ms:
            raise ValueError("earliest_ms must be at most 0, latest_ms above it")
        return self


class SnapshotsConfig(Config):
    """How GRID's state snapshots are read, and what they may show.

    Attributes:
        unchanged_ms: a position that did not change for less than this is no new sample.
        max_games: of a series, and the highest number of one.
        max_round: the highest number of a round.
        max_members: players of a game, and its teams, of a state that is rebuilt from changes.
        max_rounds: rounds of a game in such a state.
        held_rows: players in states that may wait in memory; those of a longer series wait in a temporary file.
    """

    unchanged_ms: int = Field(ge=0)
    max_games: int = Field(ge=1, le=99)
    max_round: int = Field(ge=1, le=9999)
    max_members: int = Field(ge=1)
    max_rounds: int = Field(ge=1)
    held_rows: int = Field(ge=0)


class EventsConfig(Config):
    """All of `events.yaml`."""

    lines: LinesConfig
    validity: ValidityConfig
    snapshots: SnapshotsConfig


def load_events() -> EventsConfig:
    """The limits of `events.yaml`."""
    return load("events", EventsConfig)
