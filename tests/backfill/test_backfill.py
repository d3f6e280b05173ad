"""`gridmotion backfill` as people call it: a process of its own over a handful of simulated matches."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest

from assets.analysis import CHECKS, TABLES
from assets.backfill import JOB
from assets.instance import HOST_TAG, PROCESS_TAG, process_name, the_only_run


@pytest.fixture(scope="module")
def backfilled(season_in: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A season of which the first match's recording was damaged and all were backfilled (`.done`), for reading."""
    season = season_in(tmp_path_factory.mktemp("backfilled"))
    season.damage(season.matches[0])
    season.done = season.backfill("--all")
    return season


def test_a_damaged_recording_fails_alone_and_the_rest_is_as_a_run_makes_it(
    backfilled: Any, as_run: dict[str, str], told: Any
) -> None:
    bad, *good = backfilled.matches
    done = backfilled.done
    assert done.returncode == 1, done.stderr
    assert f"{len(good)} of {len(good) + 1} matches analysed" in done.stdout
    failed = done.stdout.partition("failed: ")[2]
    assert failed.startswith(f"{bad}: ")
    assert "Traceback" not in done.stdout + done.stderr
    assert backfilled.tables() == {path: digest for path, digest in as_run.items() if f"={bad}/" not in path}
    with backfilled.instance() as instance:
        assert told(instance) == {(table, match_id): 1 for table in TABLES for match_id in good}
        (run,) = instance.get_runs(dg.RunsFilter(job_name=JOB))
        assert run.status == dg.DagsterRunStatus.FAILURE


def test_what_it_makes_is_in_the_instance_with_metadata_versions_and_checks(backfilled: Any) -> None:
    good = backfilled.matches[1:]
    with backfilled.instance() as instance:
        assert set(good) <= set(instance.get_dynamic_partitions("match_id"))
        for table in TABLES:
            records = instance.fetch_materializations(dg.AssetKey(table), limit=10).records
            assert sorted(record.partition_key for record in records) == good
            for record in records:
                part = backfilled.store.part(table, record.partition_key)
                assert record.asset_materialization.metadata["dagster/row_count"].value == part.rows
                assert record.event_log_entry.tags["dagster/data_version"] == part.digest[:16]
                assert record.event_log_entry.tags["dagster/code_version"] == part.stamp.code_version
        pictures = instance.fetch_materializations(dg.AssetKey("segments"), limit=1).records[0].asset_materialization
        assert "data:image/png" in pictures.metadata["timeline"].value
        for spec in CHECKS:
            checks = instance.event_log_storage.get_asset_check_execution_history(spec.key, limit=10)
            assert sorted(check.partition for check in checks) == good
            assert all(check.evaluation.passed for check in checks)


def test_a_second_backfill_finds_everything_done_and_tells_nothing_twice(
    backfilled: Any, scanned: Path, told: Any, tmp_path: Path
) -> None:
    season = backfilled.copy(tmp_path / "again")
    shutil.copytree(scanned / "data" / "recordings", season.folder / "data" / "recordings", dirs_exist_ok=True)
    undone, first, *_ = season.matches
    before = season.tables()
    assert not [path for path in before if f"={undone}/" in path]
    again = season.backfill(first, undone)
    assert "2 of 2 matches analysed" in again.stdout
    assert {path: digest for path, digest in season.tables().items() if f"={undone}/" not in path} == before
    with season.instance() as instance:
        assert told(instance) == {(table, match_id): 1 for table in TABLES for match_id in season.matches}


def test_names_that_nobody_ingested_and_no_names_at_all_are_refused(season: Any) -> None:
    unknown = season.backfill(season.matches[0], "nobody")
    assert unknown.returncode == 1
    assert "nobody: no such match; ingest its log first" in unknown.stdout
    assert season.tables() == {}
    for arguments in ((), ("--all", season.matches[0])):
        assert "name the matches, or take --all" in season.backfill(*arguments).stdout


@pytest.mark.parametrize("ending", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_backfill_that_is_stopped_in_the_middle_is_continued_by_the_next(
    season: Any, as_run: dict[str, str], told: Any, ending: signal.Signals
) -> None:
    started = _start(season)
    _wait_for(lambda: len(season.store.keys("labels")) >= 2)
    workers = psutil.Process(started.pid).children(recursive=True)
    os.kill(started.pid, ending)
    assert started.wait(60) != 0
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive
    assert season.tables() != as_run
    assert season.backfill("--all").returncode == 0
    assert season.tables() == as_run
    assert not list((season.folder / "data" / ".tmp").iterdir())
    with season.instance() as instance:
        assert told(instance) == {(table, match_id): 1 for table in TABLES for match_id in season.matches}
        ended = {run.status for run in instance.get_runs(dg.RunsFilter(job_name=JOB))}
        assert ended <= {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}


def test_two_backfills_do_not_fight_for_the_cores(season: Any, opened: dg.DagsterInstance) -> None:
    with the_only_run(opened, JOB, opened.add_run(dg.DagsterRun(JOB)).run_id):
        second = season.backfill("--all")
    assert second.returncode == 1
    assert "another backfill is running" in second.stdout
    assert season.tables() == {}


def test_only_the_dead_runs_of_this_machine_are_marked_as_failed(tmp_path: Path) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        started = dg.DagsterRunStatus.STARTED
        here, elsewhere, new = (
            instance.add_run(dg.DagsterRun(JOB, status=started, tags=tags)).run_id
            for tags in ({HOST_TAG: socket.gethostname()}, {HOST_TAG: "another machine"}, {})
        )
        with the_only_run(instance, JOB, new):
            pass
        ended = {run.run_id: run.status for run in instance.get_runs()}
    assert ended == {here: dg.DagsterRunStatus.FAILURE, elsewhere: started, new: started}


def test_a_run_that_gave_the_cores_back_is_not_marked_as_failed_while_its_process_lives(tmp_path: Path) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance, subprocess.Popen(["sleep", "60"]) as process:
        started, host = dg.DagsterRunStatus.STARTED, {HOST_TAG: socket.gethostname()}
        lives = process_name(process.pid)
        ending, another = (
            instance.add_run(dg.DagsterRun(JOB, status=started, tags=host | {PROCESS_TAG: name})).run_id
            for name in (lives, f"{process.pid} 1")  # a number that was used before
        )
        found = []
        for _ in range(2):
            new = instance.add_run(dg.DagsterRun(JOB)).run_id
            with the_only_run(instance, JOB, new):
                assert instance.get_run_by_id(new).tags[PROCESS_TAG] == process_name(os.getpid())
            found.append({run.run_id: run.status for run in instance.get_runs()})
            os.kill(process.pid, signal.SIGKILL)  # Popen's own would look, and so take what is left of it away
            while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                time.sleep(0.01)
    assert (found[0][ending], found[0][another]) == (started, dg.DagsterRunStatus.FAILURE)
    assert found[1][ending] == dg.DagsterRunStatus.FAILURE


def _start(season: Any) -> "subprocess.Popen[bytes]":
    command = season.command("backfill", "--all", "--processes", "1")
    with Path(season.folder, "log").open("wb") as log:
        return subprocess.Popen(command, cwd=season.folder, env=season.environment, stdout=log, stderr=log)


def _wait_for(condition: Any, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
