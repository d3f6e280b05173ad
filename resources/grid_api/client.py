"""GRID's File Download and Central Data APIs as functions.

Belongs here: what is asked, and what an answer means. Does not belong here: how a request is made (`transport`), what
is fetched (`inbox`).

References: https://docs.grid.gg (File Download, Central Data),
https://grid.helpjuice.com/en_US/client-help/rate-limits-for-products (limits).
"""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from pydantic import SecretStr

from configs.events import load_events
from configs.grid import SERIES_ID, GridConfig, load_grid
from resources.grid_api import wire
from resources.grid_api.download import download, examine_json, examine_zip
from resources.grid_api.errors import KeyRefused, NotEntitled, NotFound, TooManyRequests, UnexpectedAnswer
from resources.grid_api.patience import Pace, Passing, Sleep
from resources.grid_api.transport import Transport
from resources.grid_api.wire import Fetched, Listed, NotYet, Series

OPEN_ACCESS_HOST = "api-op.grid.gg"

_PAGE = """
    totalCount
    pageInfo { hasNextPage endCursor }
    edges { node { id startTimeScheduled tournament { id name } teams { baseInfo { id name } } } }
"""
SERIES_OF_TOURNAMENT = f"""
query SeriesOfTournament($id: ID!, $from: String!, $to: String!, $first: Int!, $after: Cursor) {{
  allSeries(
    filter: {{
      tournament: {{ id: {{ in: [$id] }}, includeChildren: {{ equals: true }} }}
      startTimeScheduled: {{ gte: $from, lte: $to }}
    }}
    orderBy: StartTimeScheduled
    first: $first
    after: $after
  ) {{{_PAGE}  }}
}}
"""
SERIES_OF_TEAM = f"""
query SeriesOfTeam($id: ID!, $from: String!, $to: String!, $first: Int!, $after: Cursor) {{
  allSeries(
    filter: {{ teamIds: {{ in: [$id] }}, startTimeScheduled: {{ gte: $from, lte: $to }} }}
    orderBy: StartTimeScheduled
    first: $first
    after: $after
  ) {{{_PAGE}  }}
}}
"""
SERIES_COUNT = """
query SeriesCount { allSeries(first: 1) { totalCount } }
"""

_TOO_MANY = frozenset(("UNAVAILABLE", "ENHANCE_YOUR_CALM"))
_SERIES_ID = re.compile(SERIES_ID)
T = TypeVar("T")


class GridApi:
    """The two APIs. Nothing is asked before the first call, so it can be made without a key.

    Args:
        key: of the account.
        url: base address.
        central_data_url: base address of Central Data where it is another one.
        config: limits, pacing, timeouts, retries; `grid.yaml` by default.
        sleep: waits for seconds.
    """

    def __init__(
        self,
        key: SecretStr | None,
        url: str,
        central_data_url: str | None = None,
        config: GridConfig | None = None,
        sleep: Sleep = time.sleep,
    ) -> None:
        self.config = config or load_grid()
        self._files_url = f"{url.rstrip('/')}/file-download"
        self._query_url = f"{(central_data_url or url).rstrip('/')}/central-data/graphql"
        self._transport = Transport(key, (self._files_url, self._query_url), self.config, sleep)
        pacing = self.config.pacing
        open_access = urlsplit(self._query_url).hostname == OPEN_ACCESS_HOST
        self._downloads = Pace(pacing.downloads, sleep)
        self._queries = Pace(pacing.open_access_queries if open_access else pacing.queries, sleep)

    @contextmanager
    def connected(self) -> Iterator["GridApi"]:
        """Itself, with its connections ended afterwards."""
        try:
            yield self
        finally:
            self._transport.close()

    # -- files -------------------------------------------------------------------------------------------------------

    def listed(self, series: str) -> dict[str, Listed]:
        """What GRID says of a series' events file and end-state file, by `events-grid` and `state-grid`.

        Raises:
            NotFound: if GRID knows no such series.
            GridError: the other leaves.
        """
        about = f"files of series {checked_id(series)}"
        read = partial(_decoded, wire.Listing, about)
        listing = self._transport.answer("GET", f"{self._files_url}/list/{series}", read, about=about)
        known = {file.id: Listed(file.status, file.file_size) for file in listing.files}
        return {name: known.get(name, Listed("not listed")) for name in (wire.EVENTS_FILE, wire.END_STATE_FILE)}

    def events(self, series: str, target: Path, size: int | None = None) -> Fetched | NotYet:
        """Downloads the zipped events of a series to `target`, or continues to; `size` as the listing tells it.

        Raises:
            GridError: a leaf; what has come so far is kept beside `target` for the next call.
        """
        return download(
            self._transport,
            f"{self._files_url}/events/grid/series/{checked_id(series)}",
            target,
            about=f"events of series {series}",
            pace=self._downloads,
            most_bytes=self.config.limits.events_bytes,
            told_bytes=size,
            test=partial(examine_zip, limits=load_events().lines),
        )

    def end_state(self, series: str, target: Path, size: int | None = None) -> Fetched | NotYet:
        """Downloads the end state of a series to `target`; as `events`."""
        return download(
            self._transport,
            f"{self._files_url}/end-state/grid/series/{checked_id(series)}",
            target,
            about=f"end state of series {series}",
            pace=self._downloads,
            most_bytes=self.config.limits.end_state_bytes,
            told_bytes=size,
            test=examine_json,
        )

    # -- series ------------------------------------------------------------------------------------------------------

    def series_of_tournament(self, tournament: str, since: datetime, until: datetime) -> list[Series]:
        """Series of a tournament and its stages that were scheduled to begin in [since, until], by time."""
        about = f"series of tournament {tournament}"
        return self._series(SERIES_OF_TOURNAMENT, {"id": tournament, **_window(since, until)}, about)

    def series_of_team(self, team: str, since: datetime, until: datetime) -> list[Series]:
        """Series of a team that were scheduled to begin in [since, until], by time."""
        return self._series(SERIES_OF_TEAM, {"id": team, **_window(since, until)}, f"series of team {team}")

    def count(self) -> int | None:
        """How many series the key can see; None where GRID doesn't tell."""
        return self._page(SERIES_COUNT, {}, "number of series").total_count

    def _series(self, query: str, variables: Mapping[str, Any], about: str) -> list[Series]:
        found: dict[str, Series] = {}
        after: str | None = None
        for _ in range(self.config.limits.pages):
            first = self.config.pacing.page_size
            page = self._page(query, {**variables, "first": first, "after": after}, about)
            for edge in page.edges:
                series = _as_series(edge.node)
                found.setdefault(series.id, series)
            if not page.page_info.has_next_page:
                return sorted(found.values(), key=lambda series: (series.begins, series.id))
            if page.page_info.end_cursor in (None, after):
                raise UnexpectedAnswer(f"{about}: GRID says there are more pages, and not where")
            after = page.page_info.end_cursor
        raise UnexpectedAnswer(f"{about}: more than {self.config.limits.pages} pages (limits.pages of grid.yaml)")

    def _page(self, query: str, variables: Mapping[str, Any], about: str) -> wire.Connection:
        body = msgspec.json.encode({"query": query, "variables": variables})
        read = partial(self._read_page, about)
        return self._transport.answer("POST", self._query_url, read, about=about, pace=self._queries, body=body)

    def _read_page(self, about: str, data: bytes) -> wire.Connection:
        answer = _decoded(wire.Answer, about, data)
        for error in answer.errors or ():
            self._refuse(error, about)
        if answer.data is None or answer.data.all_series is None:
            raise UnexpectedAnswer(f"{about}: Central Data answers without any data")
        return answer.data.all_series

    def _refuse(self, error: wire.QueryError, about: str) -> None:
        """Queries are refused with status 200; the kind of error stands where a status would."""
        kinds = error.extensions or wire.ErrorKind()
        said = f"in Central Data's words: {self._transport.quoted(error.message or 'nothing')}"
        if {kinds.error_type, kinds.error_detail} & _TOO_MANY:
            raise Passing(f"Central Data is busy, {said}", last=TooManyRequests)
        if kinds.error_type == "UNAUTHENTICATED":
            raise KeyRefused(f"{about}: Central Data does not accept the key, {said}: check GRID_API_KEY")
        if kinds.error_type == "PERMISSION_DENIED":
            raise NotEntitled(f"{about}: the key may not ask this, {said}: ask GRID whether the contract covers it")
        if kinds.error_type == "NOT_FOUND":
            raise NotFound(f"{about}: Central Data knows no such thing, {said}: check the id")
        raise UnexpectedAnswer(f"{about}: the query is refused, {said}")


def checked_id(series: str) -> str:
    """The id, if it can be one: it becomes part of addresses and paths.

    Raises:
        UnexpectedAnswer: if it can't.
    """
    if _SERIES_ID.fullmatch(series) is None:
        raise UnexpectedAnswer(f"{series[:80]!r} is no id of a series: letters, digits, '_' and '-'")
    return series


def _decoded(kind: type[T], about: str, data: bytes) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UnexpectedAnswer(f"{about}: GRID's answer is not what its description says: {error}") from error


def _window(since: datetime, until: datetime) -> dict[str, str]:
    return {"from": _stamp(since), "to": _stamp(until)}


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _as_series(node: wire.Node) -> Series:
    teams = tuple(team.base_info.name or "" for team in node.teams or () if team.base_info)
    tournament = node.tournament.name if node.tournament else None
    return Series(str(node.id), node.start_time_scheduled or "", tournament or "", teams)
