"""Which series there are: queries, pages, refusals."""

from datetime import UTC, datetime

import pytest

from resources.grid_api import KeyRefused, NotEntitled, NotFound, Series, TooManyRequests, UnexpectedAnswer
from resources.grid_api.client import SERIES_OF_TEAM, SERIES_OF_TOURNAMENT

QUERY = "/central-data/graphql"
WINDOW = datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 6, 15, 12, 30, tzinfo=UTC)


def _page(*ids, more=None, begins="2026-06-02T10:00:00Z"):
    nodes = [
        {
            "id": name,
            "startTimeScheduled": begins,
            "tournament": {"id": "9", "name": "Cup"},
            "teams": [{"baseInfo": {"id": "1", "name": "A"}}, {"baseInfo": {"id": "2", "name": None}}, {}],
        }
        for name in ids
    ]
    info = {"hasNextPage": more is not None, "endCursor": more}
    return {"data": {"allSeries": {"totalCount": 3, "pageInfo": info, "edges": [{"node": node} for node in nodes]}}}


def _refused(message, kind=None, detail=None):
    extensions = {"errorType": kind, "errorDetail": detail}
    return {"data": None, "errors": [{"message": message, "extensions": extensions, "path": ["allSeries"]}]}


def test_all_pages_are_read_and_each_series_comes_once(grid, api):
    grid.pages = [_page("3", "1", more="c1"), _page("1", "2", more="c2"), _page(7)]
    series = api.series_of_tournament("9", *WINDOW)
    assert [one.id for one in series] == ["1", "2", "3", "7"]
    assert series[0] == Series("1", "2026-06-02T10:00:00Z", "Cup", ("A", ""))
    assert [seen.body["variables"]["after"] for seen in grid.seen] == [None, "c1", "c2"]
    assert all(seen.headers["x-api-key"] and seen.path == QUERY for seen in grid.seen)


def test_series_come_in_the_order_they_were_played(grid, api):
    grid.pages = [_page("9", more="c1"), _page("8", begins="2026-06-01T10:00:00Z")]
    assert [one.id for one in api.series_of_team("1", *WINDOW)] == ["8", "9"]


@pytest.mark.parametrize(
    ("ask", "query"), [("series_of_tournament", SERIES_OF_TOURNAMENT), ("series_of_team", SERIES_OF_TEAM)]
)
def test_what_is_asked_for_travels_in_variables_and_the_query_is_always_the_same(grid, api, ask, query):
    grid.pages = [_page()]
    nasty = '1") { id } #'
    assert getattr(api, ask)(nasty, *WINDOW) == []
    (seen,) = grid.seen
    assert seen.body["query"] == query
    assert seen.body["variables"] == {
        "id": nasty, "from": "2026-06-01T00:00:00Z", "to": "2026-06-15T12:30:00Z", "first": 50, "after": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (_refused("Requester not authenticated", "UNAUTHENTICATED"), KeyRefused),
        (_refused("Requester forbidden to make query", "PERMISSION_DENIED"), NotEntitled),
        (_refused("no such tournament", "NOT_FOUND"), NotFound),
        (_refused("Validation error", "BAD_REQUEST"), UnexpectedAnswer),
        ({"errors": [{"message": "unknown"}]}, UnexpectedAnswer),
        ({"errors": [{}]}, UnexpectedAnswer),
        ({"data": None}, UnexpectedAnswer),
        ({"data": {"allSeries": {"edges": [{"node": {}}]}}}, UnexpectedAnswer),
        ("<html>", UnexpectedAnswer),
    ],
)
def test_a_refused_query_is_the_same_error_as_a_refused_request(grid, api, waits, answer, error):
    grid.pages = [answer]
    with pytest.raises(error, match="series of team 1") as caught:
        api.series_of_team("1", *WINDOW)
    assert type(caught.value) is error
    assert len(grid.seen) == 1 and waits == []


@pytest.mark.parametrize(("status", "error"), [(401, KeyRefused), (403, NotEntitled), (404, NotFound)])
def test_central_data_refuses_by_status_too(grid, api, faults, status, error):
    grid.fail(QUERY, faults["answers"](status))
    with pytest.raises(error):
        api.count()


def test_a_busy_server_is_asked_again(grid, api, faults, waits):
    grid.pages = [_refused("slow down", "UNAVAILABLE", "ENHANCE_YOUR_CALM"), _page("1")]
    grid.fail(QUERY, faults["answers"](429, Retry_After="3"))
    assert len(api.series_of_team("1", *WINDOW)) == 1
    assert waits == [3.0, 4.0]
    grid.pages = [_refused("slow down", "UNAVAILABLE")]
    with pytest.raises(TooManyRequests, match="slow down"):
        api.count()


def test_pages_that_do_not_end_are_refused(grid, api, config):
    grid.pages = [_page("1", more="c1"), _page("2", more="c1")]
    with pytest.raises(UnexpectedAnswer, match="and not where"):
        api.series_of_team("1", *WINDOW)
    grid.pages = [_page(str(n), more=f"c{n}") for n in range(config.limits.pages + 1)]
    with pytest.raises(UnexpectedAnswer, match=r"more than 40 pages"):
        api.series_of_team("1", *WINDOW)


def test_central_data_may_have_an_address_of_its_own_and_gets_the_key_there(grid, open_api):
    grid.pages = [_page()]
    api = open_api(url="http://127.0.0.1:1", central_data_url=grid.url)
    assert api.count() == 3
    assert grid.seen[0].headers["x-api-key"]


def test_a_redirected_query_is_refused(grid, storage, api, faults):
    grid.fail(QUERY, faults["answers"](307, Location=f"{storage.url}/elsewhere"))
    with pytest.raises(UnexpectedAnswer, match="redirects a query"):
        api.count()
    assert storage.seen == []
