"""GRID's File Download and Central Data APIs: which series there are, and their files, whole or not at all.

Belongs here: addresses, the key, limits, retries, resumed downloads, what was fetched and where it was put.
Does not belong here: what a file means (`pipeline.events`), when and which series are fetched (`assets/grid.py`).

| module | holds |
|---|---|
| `client` | the two APIs as functions |
| `wire` | what they answer |
| `transport` | one request: key, redirects, refusals |
| `patience` | pacing, retries, how long to wait |
| `download` | one file: resumed, checked, renamed |
| `inbox` | one series: from GRID into the store, recorded |
"""

from resources.grid_api.client import GridApi
from resources.grid_api.errors import (
    BadDownload,
    GridBusy,
    GridError,
    GridUnavailable,
    KeyRefused,
    NoKey,
    NotEntitled,
    NotFound,
    TooManyRequests,
    UnexpectedAnswer,
)
from resources.grid_api.inbox import Inbox, SeriesReport
from resources.grid_api.wire import Fetched, Listed, NotYet, Series

__all__ = [
    "BadDownload",
    "Fetched",
    "GridApi",
    "GridBusy",
    "GridError",
    "GridUnavailable",
    "Inbox",
    "KeyRefused",
    "Listed",
    "NoKey",
    "NotEntitled",
    "NotFound",
    "NotYet",
    "Series",
    "SeriesReport",
    "TooManyRequests",
    "UnexpectedAnswer",
]
