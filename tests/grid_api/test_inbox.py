"""One series: from GRID into the store, each file once, whatever happens in between."""

import contextlib
import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from pydantic import SecretStr

from resources.grid_api import (
    BadDownload,
    GridApi,
    GridBusy,
    Inbox,
    NotFound,
    SeriesReport,
    TooManyRequests,
    UnexpectedAnswer,
)
from resources.store import Store

KEY = "k3y-that-nobody-may-see"
EVENTS = "/file-download/events/grid/series/77"
STATE = "/file-download/end-state/grid/series/77"
LANDED = "landing/events_77_grid.jsonl.zip"
END = b'{"seriesState": {"id": "77"}}'
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["assets.definitions"])


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store"))


@pytest.fixture
def scanned():
    """Hashes of logs that have been scanned."""
    return set()


@pytest.fixture
def inbox(api, store, spool, scanned):
    with Inbox(api, store, spool, landing="landing", scanned=scanned.__contains__).opened() as opened:
        yield opened


@pytest.fixture
def events(zip_of):
    return zip_of(b'{"events": []}\n')


def _files(store):
    return [path for path, _, _ in store.files() if not path.startswith(".tmp")]


def _left(spool):
    return sorted(path.name for path in spool.iterdir() if path.name != "lock")


def test_a_series_comes_whole_is_recorded_and_not_asked_for_again(grid, inbox, store, spool, events):
    grid.put("77", events, END)
    assert inbox.fetch("77") == SeriesReport("77", "fetched", "fetched", len(events) + len(END))
    assert store.read(LANDED) == events and store.read("end_states/series=77.json") == END
    assert _files(store) == ["end_states/series=77.json", "grid_series/series=77.json", LANDED]
    assert _left(spool) == []
    record = json.loads(store.read("grid_series/series=77.json"))
    assert record["series"] == "77"
    assert record["events"].keys() == {"bytes", "blake3", "etag", "modified"}
    assert (record["events"]["bytes"], record["events"]["etag"]) == (len(events), '"v1"')
    asked = len(grid.seen)
    store.delete(LANDED)
    assert inbox.fetch("77") == SeriesReport("77", "known", "known", 0)
    assert len(grid.seen) == asked and not store.exists(LANDED)


def test_the_end_state_lies_there_before_the_events_land(grid, inbox, events):
    grid.put("77", events, END)
    inbox.fetch("77")
    assert [seen.path for seen in grid.seen] == ["/file-download/list/77", STATE, EVENTS]


def test_what_is_still_processing_is_fetched_by_a_later_look(grid, inbox, store, events):
    grid.put("77")
    report = inbox.fetch("77")
    assert (report.events, report.end_state, report.waits) == ("processing", "processing", True)
    assert _files(store) == []
    grid.put("77", events)
    assert inbox.fetch("77").events == "fetched" and inbox.fetch("77").waits
    grid.put("77", events, END)
    report = inbox.fetch("77")
    assert (report.events, report.end_state, report.waits) == ("known", "fetched", False)
    assert len(grid.asked(EVENTS)) == 1


def test_a_match_still_played_waits_and_a_file_that_never_comes_does_not(grid, inbox, store):
    grid.statuses["77"] = {"events-grid": "match-in-progress", "state-grid": "file-not-available"}
    report = inbox.fetch("77")
    assert (report.events, report.end_state, report.waits) == ("match-in-progress", "not available", True)
    grid.statuses["77"] = {"events-grid": "file-not-available", "state-grid": "file-not-available"}
    assert not inbox.fetch("77").waits
    assert _files(store) == []


def test_a_bad_end_state_does_not_keep_the_events_back(grid, inbox, store, events):
    grid.put("77", events, b"no json")
    report = inbox.fetch("77")
    assert (report.events, report.end_state, report.waits) == ("fetched", "failed", False)
    assert isinstance(report.error, BadDownload) and "end state of series 77" in str(report.error)
    assert store.read(LANDED) == events
    grid.put("77", events, END)
    assert inbox.fetch("77") == SeriesReport("77", "known", "fetched", len(END))


def test_who_is_told_to_wait_asks_for_nothing_else(grid, inbox, faults, events):
    grid.put("77", events, END)
    grid.fail(STATE, faults["answers"](429, Retry_After="3600"))
    with pytest.raises(TooManyRequests):
        inbox.fetch("77")
    assert not grid.asked(EVENTS)


def test_unknown_and_impossible_series_are_refused(inbox):
    with pytest.raises(NotFound, match="series 78"):
        inbox.fetch("78")
    with pytest.raises(UnexpectedAnswer, match="no id of a series"):
        inbox.fetch("../landing/x")


def test_a_damaged_record_counts_as_none(grid, inbox, store, events):
    grid.put("77", events, END)
    store.write("grid_series/series=77.json", b"{")
    assert inbox.fetch("77").events == "fetched"
    assert json.loads(store.read("grid_series/series=77.json"))["events"]["bytes"] == len(events)


def test_only_one_process_fetches_at_a_time(inbox, api, store, spool):
    other = Inbox(api, store, spool, landing="landing", scanned=lambda _: False)
    with pytest.raises(GridBusy), other.opened():
        pass


def test_parts_that_nobody_came_back_for_are_removed(api, store, spool):
    for name, age_days in (("old.part", 8), ("old.part.json", 8), ("new.part", 6)):
        (spool / name).write_bytes(b"x")
        then = time.time() - age_days * 86_400
        os.utime(spool / name, (then, then))
    with Inbox(api, store, spool, landing="landing", scanned=lambda _: False).opened():
        assert _left(spool) == ["new.part"]


# -- crashes ---------------------------------------------------------------------------------------------------------


class _Died(BaseException):
    pass


def _dies_before_the_record(store, monkeypatch, inbox):
    """Events are put where they belong, and then nothing more happens."""

    def dies(path, data):
        raise _Died

    with monkeypatch.context() as patch:
        patch.setattr(store, "write", dies)
        with pytest.raises(_Died):
            inbox.fetch("77")


def test_events_that_landed_before_a_crash_do_not_land_twice(grid, inbox, store, events, monkeypatch):
    grid.put("77", events)
    _dies_before_the_record(store, monkeypatch, inbox)
    (landed,) = store.files("landing")
    assert inbox.fetch("77").events == "fetched"
    assert store.files("landing") == [landed]  # not even written anew, so the sensor sees the same file
    assert len(grid.asked(EVENTS)) == 1


def test_events_that_were_scanned_before_the_next_run_do_not_land_again(
    grid, inbox, store, events, scanned, monkeypatch
):
    grid.put("77", events)
    _dies_before_the_record(store, monkeypatch, inbox)
    scanned.add(blake3(events).hexdigest())
    store.delete(LANDED)
    assert inbox.fetch("77").events == "fetched"
    assert not store.exists(LANDED)
    assert inbox.fetch("77").events == "known"


def _fetch_in_a_process(url: str, folder: str, die_at: int | None, steps: Any) -> None:
    """Fetches the series; kills itself around its `die_at`-th change of spool or store."""
    from resources import files
    from resources.grid_api import download, inbox

    counted = iter(range(1_000))

    def passed() -> None:
        steps.value = number = next(counted)
        if number == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    replacing, replace, forget = files.Folder.writing, Path.replace, inbox.forget
    begin = download._Part.begin

    @contextlib.contextmanager
    def dying_writing(self: Any, path: str) -> Any:
        with replacing(self, path) as file:
            yield file
            passed()  # written, not yet under its name
        passed()

    def dying_replace(self: Path, target: Path) -> Path:
        passed()
        return replace(self, target)

    def dying_forget(target: Path) -> None:
        passed()
        forget(target)
        passed()

    def dying_begin(self: Any, response: Any) -> None:
        begin(self, response)
        passed()  # a file begins to come

    files.Folder.writing, Path.replace, inbox.forget = dying_writing, dying_replace, dying_forget
    download._Part.begin = dying_begin
    os.environ["NO_PROXY"] = "*"
    api = GridApi(SecretStr(KEY), url, sleep=lambda _: None)
    store = Store(f"{folder}/store")
    with Inbox(api, store, Path(folder, "spool"), landing="landing", scanned=lambda _: False).opened() as opened:
        opened.fetch("77")


def _run(url: str, folder: Path, die_at: int | None = None) -> tuple[int, int]:
    steps = _processes.Value("i", 0)
    process = _processes.Process(target=_fetch_in_a_process, args=(url, str(folder), die_at, steps))
    process.start()
    process.join(60)
    return process.exitcode, steps.value


def _tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "lock"
    }


@pytest.fixture
def killed_and_run_again(grid, events, tmp_path):
    """Returns how many steps there are, and a function that kills a fetch at one of them and runs it again."""
    grid.put("77", events, END)
    code, last = _run(grid.url, tmp_path / "undisturbed")
    whole = _tree(tmp_path / "undisturbed")
    assert code == 0 and last >= 12
    names = ("end_states/series=77.json", "grid_series/series=77.json", LANDED)
    assert set(whole) == {f"store/{name}" for name in names}

    def check(die_at):
        folder = tmp_path / str(die_at)
        assert _run(grid.url, folder, die_at)[0] == -signal.SIGKILL, die_at
        landed = folder / "store" / LANDED
        assert not landed.exists() or landed.read_bytes() == events, die_at
        assert _run(grid.url, folder)[0] == 0
        assert _tree(folder) == whole, die_at

    return last + 1, check


def test_killed_at_some_steps_and_run_again_leaves_the_same_files(killed_and_run_again):
    steps, check = killed_and_run_again
    for die_at in random.Random(3).sample(range(steps), 4):
        check(die_at)


@pytest.mark.slow
def test_killed_at_every_step_and_run_again_leaves_the_same_files(killed_and_run_again):
    steps, check = killed_and_run_again
    for die_at in range(steps):
        check(die_at)
