"""What GRID answers, and what we make of it.

Belongs here: the declared part of the answers (everything else is skipped), and the typed results of the client.
Does not belong here: how an answer is fetched (`transport`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

EVENTS_FILE = "events-grid"
END_STATE_FILE = "state-grid"
_NEVER = "file-not-available"

Readiness = Literal["ready", "not yet", "never"]


class File(msgspec.Struct, rename="camel"):
    """An entry of a series' listing. GRID tells no size today; where one is told, it is held against the file."""

    id: str = ""
    status: str = ""
    file_size: int | None = None


class Listing(msgspec.Struct):
    """`GET /file-download/list/{seriesId}`."""

    files: list[File] = []


class Named(msgspec.Struct):
    """A tournament or team."""

    id: str | int | None = None
    name: str | None = None


class Participant(msgspec.Struct, rename="camel"):
    """A team of a series."""

    base_info: Named | None = None


class Node(msgspec.Struct, rename="camel"):
    """A series."""

    id: str | int
    start_time_scheduled: str | None = None
    tournament: Named | None = None
    teams: list[Participant] | None = None


class Edge(msgspec.Struct):
    """A place in a connection."""

    node: Node


class PageInfo(msgspec.Struct, rename="camel"):
    """Whether and where a connection goes on."""

    has_next_page: bool = False
    end_cursor: str | None = None


class Connection(msgspec.Struct, rename="camel"):
    """A page of series."""

    edges: list[Edge] = []
    page_info: PageInfo = msgspec.field(default_factory=PageInfo)
    total_count: int | None = None


class Data(msgspec.Struct, rename="camel"):
    """What a query gives."""

    all_series: Connection | None = None


class ErrorKind(msgspec.Struct, rename="camel"):
    """The machine's word for an error of a query."""

    error_type: str | None = None
    error_detail: str | None = None


class QueryError(msgspec.Struct):
    """Why a query gives nothing."""

    message: str | None = None
    extensions: ErrorKind | None = None


class Answer(msgspec.Struct):
    """Of Central Data."""

    data: Data | None = None
    errors: list[QueryError] | None = None


@dataclass(frozen=True)
class Listed:
    """What the listing says of one file.

    Attributes:
        status: GRID's own word, `not listed` where it has none for this file.
        size: in bytes, where GRID tells it.
    """

    status: str
    size: int | None = None

    @property
    def readiness(self) -> Readiness:
        """Whether it can be downloaded; an unknown status is none that lasts."""
        if self.status == "ready":
            return "ready"
        return "never" if self.status == _NEVER else "not yet"


@dataclass(frozen=True)
class NotYet:
    """A file that GRID is still making, in GRID's words."""

    status: str


@dataclass(frozen=True)
class Fetched:
    """A file that came whole.

    Attributes:
        path: where it lies.
        bytes: its size.
        blake3: of its bytes.
        etag: GRID's name of this version of it; empty where none was told.
        modified: when GRID changed it last, in GRID's words; empty where not told.
    """

    path: Path
    bytes: int
    blake3: str
    etag: str
    modified: str


@dataclass(frozen=True)
class Series:
    """A series as Central Data knows it.

    Attributes:
        begins: when it was scheduled to, in GRID's words.
        tournament: its name.
        teams: their names.
    """

    id: str
    begins: str = ""
    tournament: str = ""
    teams: tuple[str, ...] = ()
