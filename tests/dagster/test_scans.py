"""Scans that meet: another log of the same match at the same time, a repetition of a scan that was killed."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.definitions import build_defs
from assets.sensors import registered_matches
from pipeline.events.reader import read_log
from resources.parquet import Stamp
from resources.settings import Settings
from resources.store import Store

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


def _files(store: Store) -> dict[str, Any]:
    return {path: store.read(path) for path, _, _ in store.files() if not path.startswith("mlflow")}
