"""Scans that meet: another log of the same match at the same time, a repetition of a scan that was killed."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from blake3 import blake3

from assets.definitions import build_defs
from assets.events import recording
from assets.sensors import registered_matches
from assets.stages import MatchTables
from pipeline.events.reader import read_log
from resources.parquet import Stamp
from resources.settings import Settings
from resources.store import Part, Store

LINE = (
    '{"event_id":"evt_%d","match_id":"m1","event_type":"POSITION_UPDATE","actor":"player:p1",'
    '"timestamp":"2026-01-01T12:00:00Z","payload":{"pos":[12.4,0.0,8.9],"ts":100.0}}\n'
)


class _Raced(Store):
    """Between a look for the row of a match and what follows, another scan writes its own."""

    other: Path | None = None

    def exists(self, path: str) -> bool:
        found = super().exists(path)
        if self.other and path == self.part_path("matches", "m1"):
            (match,) = read_log(self.other, log_id="other").matches.values()
            self.write_table("matches", "m1", match.match, Stamp("code", "config", "other"))
            self.other = None
        return found


def _scan(store: Store, instance: dg.DagsterInstance, log: Path, **config: bool) -> dg.ExecuteInProcessResult:
    job = build_defs(Settings(gridmotion_store=store.url), store=store).resolve_job_def("scan_log")
    run_config = {"ops": {"scanned_log": {"config": {"path": f"landing/{log.name}", **config}}}}
    return job.execute_in_process(instance=instance, run_config=run_config, raise_on_error=False)


def _logs(folder: Path) -> list[Path]:
    logs = [folder / "one.jsonl", folder / "two.jsonl"]
    for number, log in enumerate(logs):
        log.write_text(LINE % number)
    return logs


@pytest.mark.parametrize("replace", [False, True])
def test_of_two_scans_at_once_of_different_logs_of_a_match_the_first_one_stands(tmp_path: Path, replace: bool) -> None:
    mine, other = _logs(tmp_path)
    store = _Raced(str(tmp_path / "store"))
    store.put(mine, f"landing/{mine.name}")
    store.other = other
    with dg.DagsterInstance.ephemeral() as instance:
        result = _scan(store, instance, mine, replace=replace)
        taken = registered_matches(instance, result.run_id)
    assert result.success
    (standing,) = store.read_table("matches", "m1")["log_id"]
    assert (standing != "other") is replace
    assert taken == (["m1"] if replace else [])


def test_a_scan_that_was_killed_once_its_file_was_gone_is_repeated_from_the_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, _ = _logs(tmp_path)
    store = Store(str(tmp_path / "store"))
    store.put(log, f"landing/{log.name}")
    with dg.DagsterInstance.ephemeral() as instance:
        killed = _scan(store, instance, log)
        assert not store.exists(f"landing/{log.name}")
        before = _files(store)
        assert not _scan(store, instance, log).success  # by hand: nobody says which run it repeats
        monkeypatch.setattr(dg.DagsterRun, "parent_run_id", killed.run_id)
        again = _scan(store, instance, log)
        assert again.success
        assert registered_matches(instance, again.run_id) == ["m1"]
        assert _files(store) == before


class _Written(Store):
    """Somebody writes to what landed right before a path of the store is written."""

    landed: Path
    more = b""
    before = ""

    def put(self, source: Path, path: str) -> str:
        self._grow(path)
        return super().put(source, path)

    def write_table(self, table: str, *rest: Any, **options: Any) -> Part:
        self._grow(table)
        return super().write_table(table, *rest, **options)

    def _grow(self, path: str) -> None:
        if self.before and path.startswith(self.before):
            self.landed.write_bytes(self.landed.read_bytes() + self.more if self.more else self.more)
            self.before = ""


def _written(folder: Path, before: str, more: bytes) -> tuple[_Written, Path]:
    log, _ = _logs(folder)
    store = _Written(str(folder / "store"))
    store.put(log, f"landing/{log.name}")
    store.landed, store.before, store.more = folder / "store" / "landing" / log.name, before, more
    return store, log


@pytest.mark.parametrize("more", [(LINE % 1).encode(), b""], ids=["grown", "emptied"])
def test_a_log_that_changes_between_its_name_and_its_copy_is_not_taken(tmp_path: Path, more: bytes) -> None:
    store, log = _written(tmp_path, "recordings", more)
    with dg.DagsterInstance.ephemeral() as instance:
        failed = _scan(store, instance, log)
        assert not failed.success and "scan it again" in str(failed.all_events)
        assert [path for path in _files(store) if not path.startswith("landing")] == []
        store.landed.write_text(LINE % 0 + LINE % 1)
        assert _scan(store, instance, log).success
    (name,) = store.keys("logs")
    row = store.read_table("logs", name).row(0, named=True)
    kept = store.read(row["uri"])
    assert (row["converted"], row["blake3"], row["bytes"]) == (2, blake3(kept).hexdigest(), len(kept))
    assert row["blake3"].startswith(name)


def test_what_is_written_to_a_log_after_it_was_read_waits_for_the_next_scan(tmp_path: Path) -> None:
    store, log = _written(tmp_path, "logs", (LINE % 1).encode())
    with dg.DagsterInstance.ephemeral() as instance:
        assert _scan(store, instance, log).success
        (name,) = store.keys("logs")
        assert store.read_table("logs", name)["converted"].item() == 1
        assert store.landed.read_text() == LINE % 0 + LINE % 1
        assert _scan(store, instance, log, replace=True).success
    assert not store.landed.exists() and len(store.keys("logs")) == 2


def test_a_log_that_can_not_be_used_is_not_kept(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    store.write("landing/one.jsonl", b"nothing\n")
    with dg.DagsterInstance.ephemeral() as instance:
        assert not _scan(store, instance, Path("one.jsonl")).success
    assert store.exists("landing/one.jsonl") and not store.files("recordings")
    assert len(store.keys("quarantine")) == 1


def test_a_recording_that_holds_other_bytes_than_were_scanned_gives_no_table(tmp_path: Path) -> None:
    log, _ = _logs(tmp_path)
    store = Store(str(tmp_path / "store"))
    store.put(log, f"landing/{log.name}")
    with dg.DagsterInstance.ephemeral() as instance:
        assert _scan(store, instance, log).success
    store.write(store.read_table("matches", "m1")["log_uri"].item(), (LINE % 1).encode())
    with pytest.raises(dg.Failure, match="other bytes than when it was scanned"):
        next(recording(MatchTables(store, "m1", print)))
    assert not store.keys("events")


def _files(store: Store) -> dict[str, Any]:
    return {path: store.read(path) for path, _, _ in store.files() if not path.startswith("mlflow")}
