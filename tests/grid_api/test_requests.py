"""One request: what each refusal becomes, how long is waited, where the key goes."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from pydantic import SecretStr

from resources.errors import ResourceError
from resources.grid_api import (
    Fetched,
    GridError,
    GridUnavailable,
    KeyRefused,
    Listed,
    NoKey,
    NotEntitled,
    NotFound,
    TooManyRequests,
    UnexpectedAnswer,
)
from resources.grid_api.patience import Pace, asked_s

LIST = "/file-download/list/77"
KEY = "k3y-that-nobody-may-see"


def test_the_listing_tells_what_is_ready_and_what_is_not(grid, api):
    grid.statuses["77"] = {"events-grid": "ready", "state-grid": "processing", "events-riot-game-1": "ready"}
    listed = api.listed("77")
    assert listed == {"events-grid": Listed("ready"), "state-grid": Listed("processing")}
    assert [listed[name].readiness for name in ("events-grid", "state-grid")] == ["ready", "not yet"]
    assert Listed("file-not-available").readiness == "never"
    assert Listed("a word of tomorrow").readiness == "not yet"
    (request,) = grid.seen
    assert request.headers["x-api-key"] == KEY


def test_a_file_that_is_not_listed_is_not_ready(grid, api):
    grid.statuses["77"] = {}
    assert api.listed("77")["events-grid"] == Listed("not listed")
    assert Listed("not listed").readiness == "not yet"


@pytest.mark.parametrize(
    ("status", "error", "advice"),
    [(401, KeyRefused, "GRID_API_KEY"), (403, NotEntitled, "contract"), (404, NotFound, "check the id")],
)
def test_a_refusal_is_an_error_of_its_own_that_says_what_to_do_and_is_not_asked_again(
    grid, api, faults, waits, status, error, advice
):
    grid.fail(LIST, faults["answers"](status, {"message": f"no: {KEY} is not welcome"}))
    with pytest.raises(error, match=advice) as caught:
        api.listed("77")
    assert type(caught.value) is error and isinstance(caught.value, ResourceError)
    assert KEY not in str(caught.value) and "*** is not welcome" in str(caught.value)
    assert len(grid.seen) == 1 and waits == []


@pytest.mark.parametrize("key", [None, SecretStr(""), SecretStr("  ")])
def test_without_a_key_nothing_is_asked(grid, open_api, key):
    with pytest.raises(NoKey, match="GRID_API_KEY is not set"):
        open_api(key=key).listed("77")
    assert grid.seen == []


@pytest.mark.parametrize("secret", ["two\nlines-of-secret", "umläut-secret", "spa ce-secret"])
def test_what_cannot_be_a_key_is_refused_without_showing_it(grid, open_api, secret):
    with pytest.raises(NoKey) as caught:
        open_api(key=SecretStr(secret)).listed("77")
    assert "secret" not in str(caught.value) + repr(caught.value.__cause__)
    assert grid.seen == []


def test_a_key_copied_with_its_line_end_works(grid, open_api):
    grid.statuses["77"] = {}
    open_api(key=SecretStr(f" {KEY}\n")).listed("77")
    assert grid.seen[0].headers["x-api-key"] == KEY


def test_nothing_that_is_shown_of_the_client_holds_the_key(api):
    assert KEY not in repr(api) + repr(vars(api)) + repr(vars(api._transport))


def test_an_id_that_means_something_in_an_address_is_refused(grid, api):
    for bad in ("../../etc", "1/2", "1?key=2", "", "a" * 65, "1\n"):
        with pytest.raises(UnexpectedAnswer, match="no id of a series"):
            api.listed(bad)
    assert grid.seen == []


# -- later -----------------------------------------------------------------------------------------------------------


def test_too_many_requests_are_waited_for_in_seconds(grid, api, faults, waits):
    grid.statuses["77"] = {}
    grid.fail(LIST, faults["answers"](429, Retry_After="7"))
    assert api.listed("77")
    assert waits == [7.0]


def test_too_many_requests_are_waited_for_until_a_date(grid, api, faults, waits):
    grid.statuses["77"] = {}
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
    grid.fail(LIST, faults["answers"](429, Retry_After=date))
    assert api.listed("77")
    assert len(waits) == 1 and 30 < waits[0] <= 41


def test_the_servers_own_clock_decides_how_far_its_date_is():
    headers = {"date": "Mon, 01 Jun 2020 12:00:00 GMT", "retry-after": "Mon, 01 Jun 2020 12:00:30 GMT"}
    assert asked_s(headers) == 30.0
    assert asked_s({"retry-after": "Mon, 01 Jun 2020 12:00:00 GMT"}) == 0.0
    assert [asked_s({"retry-after": text}) for text in ("", "soon", "-5", "1.5")] == [None] * 4
    assert asked_s({}) is None


def test_whoever_asks_for_too_long_a_wait_is_left_for_the_next_tick(grid, api, faults, waits):
    grid.fail(LIST, *[faults["answers"](429, Retry_After="100")] * 3)
    with pytest.raises(TooManyRequests, match="next tick"):
        api.listed("77")
    assert waits == [100.0] and len(grid.seen) == 2


def test_a_server_that_always_says_now_is_not_asked_for_ever(grid, api, faults, config):
    grid.fail(LIST, *[faults["answers"](429, Retry_After="0")] * 50)
    with pytest.raises(TooManyRequests):
        api.listed("77")
    assert len(grid.seen) == config.retries.attempts


def test_a_server_error_passes(grid, api, faults, waits):
    grid.statuses["77"] = {}
    grid.fail(LIST, faults["answers"](500), faults["answers"](503, Retry_After="9"), faults["answers"](502))
    assert api.listed("77")
    assert waits == [2.0, 9.0, 8.0]


def test_a_server_error_that_does_not_pass_ends_bounded(grid, api, faults, waits, config):
    grid.fail(LIST, *[faults["answers"](500, {"message": f"crash with {KEY}"})] * 50)
    with pytest.raises(GridUnavailable, match="crash with") as caught:
        api.listed("77")
    assert KEY not in str(caught.value)
    assert len(grid.seen) == config.retries.attempts
    assert waits == [2.0, 4.0, 8.0, 16.0, 32.0]


def test_a_silent_server_times_out_and_is_asked_again(grid, open_api, faults, changed):
    grid.statuses["77"] = {}
    grid.fail(LIST, faults["hangs"](1.0))
    api = open_api(config=changed(timeouts={"read": 0.2}))
    assert api.listed("77")
    assert len(grid.seen) == 2


def test_a_server_that_is_not_there_is_unavailable(open_api):
    with pytest.raises(GridUnavailable, match="ConnectError"):
        open_api(url="http://127.0.0.1:1").listed("77")


def test_an_answer_that_is_not_what_it_should_be_is_refused(grid, api, open_api, faults, changed):
    for answer in ([1], {"files": 3}, {"files": [{"id": 4}]}):
        grid.fail(LIST, faults["answers"](200, answer))
        with pytest.raises(UnexpectedAnswer, match="files of series 77"):
            api.listed("77")
    grid.statuses["77"] = {f"file-{number}": "ready" for number in range(100)}
    with pytest.raises(UnexpectedAnswer, match="more than 1000 bytes"):
        open_api(config=changed(limits={"answer_bytes": 1000})).listed("77")
    grid.fail(LIST, faults["answers"](418, {"message": "teapot"}))
    with pytest.raises(UnexpectedAnswer, match="answers 418, in its words: teapot"):
        api.listed("77")


# -- pace ------------------------------------------------------------------------------------------------------------


def test_no_minute_holds_more_starts_than_allowed():
    now, starts = [0.0], []

    def sleep(seconds: float) -> None:
        now[0] += seconds

    pace = Pace(3, sleep, lambda: now[0])
    for step in (0, 1, 1, 1, 1, 70, 0, 0, 0):
        now[0] += step
        pace.wait()
        starts.append(now[0])
    assert starts == [0.0, 1.0, 2.0, 60.0, 61.0, 131.0, 131.0, 131.0, 191.0]
    assert all(later - earlier >= 60 for earlier, later in zip(starts, starts[3:], strict=False))


def test_downloads_and_queries_keep_their_limits_and_listings_have_none(grid, open_api, changed, waits, zip_of, spool):
    api = open_api(config=changed(pacing={"downloads": 2, "queries": 1}))
    for series in ("1", "2", "3"):
        grid.put(series, events=zip_of(b"{}\n"))
        api.listed(series)
    assert waits == []
    for series in ("1", "2", "3"):
        assert isinstance(api.events(series, spool / series), Fetched)
    assert len(waits) == 1 and 55 < waits[0] <= 60
    grid.pages = [{"data": {"allSeries": {"totalCount": 5}}}]
    assert [api.count(), api.count()] == [5, 5]
    assert len(waits) == 2


def test_open_access_has_the_lower_limit_of_queries(open_api, config):
    both = open_api(url="https://api.grid.gg", central_data_url="https://api-op.grid.gg")
    assert both._queries._starts.maxlen == config.pacing.open_access_queries == 20
    assert open_api(url="https://api.grid.gg")._queries._starts.maxlen == config.pacing.queries == 40


# -- redirects -------------------------------------------------------------------------------------------------------


def test_a_redirect_to_another_host_is_followed_without_the_key(grid, storage, api, faults, hosted, zip_of, spool):
    data = zip_of(b"{}\n")
    path = "/file-download/events/grid/series/77"
    storage.hosted["/bucket/file"] = hosted(data)
    grid.fail(path, faults["answers"](302, Location=f"{storage.url}/bucket/file?signature=abc"))
    fetched = api.events("77", spool / "file")
    assert fetched.path.read_bytes() == data
    assert grid.seen[0].headers["x-api-key"] == KEY
    (arrived,) = storage.seen
    assert "x-api-key" not in arrived.headers and KEY not in str(arrived)


def test_a_redirect_within_grid_keeps_the_key(grid, api, faults):
    grid.statuses["78"] = {}
    grid.fail(LIST, faults["answers"](307, Location="/file-download/list/78"))
    assert api.listed("77")
    assert [seen.headers.get("x-api-key") for seen in grid.seen] == [KEY, KEY]


@pytest.mark.parametrize("location", ["ftp://host/x", "file:///etc/passwd", "http://user:pw@127.0.0.1/x"])
def test_an_unsafe_redirect_is_refused(grid, api, faults, location):
    grid.fail(LIST, faults["answers"](302, Location=location))
    with pytest.raises(UnexpectedAnswer, match="redirects to"):
        api.listed("77")
    assert len(grid.seen) == 1


def test_a_redirect_to_what_is_no_address_is_refused(grid, api, faults):
    grid.fail(LIST, faults["answers"](302, Location=f"https://{'a' * 70}.b/"))
    with pytest.raises(UnexpectedAnswer, match="is no address"):
        api.listed("77")


def test_https_is_not_left_for_http(open_api):
    import httpx

    transport = open_api(url="https://api.grid.gg")._transport
    request = httpx.Request("GET", "https://api.grid.gg/x")
    leaving = httpx.Response(302, headers={"location": "http://storage.example/x?signature=abc"}, request=request)
    with pytest.raises(UnexpectedAnswer, match="not safe") as caught:
        transport._next(leaving, "GET", "x")
    assert "signature" not in str(caught.value)
    staying = httpx.Response(302, headers={"location": "https://storage.example/x"}, request=request)
    assert transport._next(staying, "GET", "x").host == "storage.example"


def test_redirects_end(grid, api, faults, config):
    grid.fail(LIST, *[faults["answers"](302, Location=LIST)] * 50)
    with pytest.raises(UnexpectedAnswer, match="redirects more than"):
        api.listed("77")
    assert len(grid.seen) == config.retries.redirects + 1


def test_storage_that_refuses_an_old_signature_is_reached_by_a_new_one(
    grid, storage, api, faults, hosted, zip_of, spool
):
    path = "/file-download/events/grid/series/77"
    storage.hosted["/new"] = hosted(zip_of(b"{}\n"))
    storage.fail("/old", faults["answers"](403, {"message": "expired"}))
    grid.fail(path, *(faults["answers"](302, Location=f"{storage.url}/{name}?s=1") for name in ("old", "new")))
    assert isinstance(api.events("77", spool / "file"), Fetched)


def test_every_error_of_the_package_is_a_leaf_of_one_root():
    from resources.grid_api import errors

    leaves = [kind for kind in vars(errors).values() if isinstance(kind, type) and kind.__module__ == errors.__name__]
    assert len(leaves) >= 9
    assert all(issubclass(kind, GridError) for kind in leaves) and issubclass(GridError, ResourceError)
