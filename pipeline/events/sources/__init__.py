"""Where events come from: one module per log format, each turning a stream of lines into drafts.

Belongs here: formats. Does not belong here: what holds for every format (`pipeline.events.reader`).
`docs/adding-a-source.md` names the files that a new one needs.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import polars as pl

from configs.events import EventsConfig
from pipeline.errors import PipelineError
from pipeline.events.conservation import Tally
from pipeline.events.lines import Block, Line
from pipeline.events.quarantine import QuarantineRows

Reopen = Callable[[], Iterator[Block | Line]]
"""Gives the blocks of the log from its start, as `pipeline.events.lines.read_blocks`."""


class TooManyMatches(PipelineError):
    """A log has more matches than are read.

    Args:
        most: how many are.
    """

    def __init__(self, most: int) -> None:
        super().__init__(f"has more than {most} matches, and no more are read")


class Frames(Protocol):
    """Bounded frames, read as often as need be; `pipeline.events.drafts.Drafts` is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, place: int) -> pl.DataFrame: ...


@dataclass(frozen=True)
class SourceReading:
    """What a source makes of a log.

    Attributes:
        drafts: events that stand, in frames like those of `pipeline.events.drafts.Drafts`, every `t_ms` known; no
            `event_id` comes twice in a match.
        told: per match what the log tells of it outside MATCH_STARTED, in the shape of that event's payload, and
            outside ROUND_STARTED: `sides`, the side of each team by the number of the round. It may have been told
            late, so it fills the tables `matches` and `rounds` and nothing else.
        started_us: per match the wall clock at `t_ms` 0, microseconds since 1970 UTC, where known.
    """

    drafts: Frames
    told: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    started_us: Mapping[str, int] = field(default_factory=dict)


Source = Callable[[Reopen, QuarantineRows, Tally, EventsConfig], SourceReading]
"""A source: reads the blocks, counts every source event in the tally once, quarantines what it can't take.

Raises `TooManyMatches` before it does for each of them what takes time.
"""
