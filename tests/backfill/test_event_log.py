"""The event log of `dagster.yaml`: the same events as Dagster's own class stores, by the page."""

import logging
import shutil
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.events import AssetMaterializationPlannedData, DagsterEvent, DagsterEventBatchMetadata
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.event_log import SqliteEventLogStorage
from sqlalchemy import Connection

from assets.event_log import PagedEventLog, many_events

KEY = dg.AssetKey("rounds")


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE", raising=False)
    shutil.copy(Path(__file__).parents[2] / "dagster.yaml", tmp_path)
    with dg.DagsterInstance.get() as instance:
        yield instance


def _tell(instance: dg.DagsterInstance, *numbers: int) -> None:
    for number in numbers:
        instance.report_runless_asset_event(dg.AssetMaterialization(KEY, partition="m", metadata={"n": number}))


def _told(instance: dg.DagsterInstance) -> list[object]:
    records = instance.fetch_materializations(KEY, limit=100).records
    return [record.asset_materialization.metadata["n"].value for record in reversed(records)]


def test_the_instance_of_a_checkout_has_pages_and_the_files_of_dagsters_own_class(
    log: dg.DagsterInstance, tmp_path: Path
) -> None:
    assert isinstance(log.event_log_storage, PagedEventLog)
    with many_events(log) as page, page():
        _tell(log, 1)
    _tell(log, 2)
    theirs = SqliteEventLogStorage(str(tmp_path / "history" / "runs"))
    theirs.register_instance(log)
    assert len(theirs.fetch_materializations(KEY, limit=10).records) == 2
    assert _told(log) == [1, 2]


def test_a_page_is_seen_by_others_when_it_is_full_and_not_at_all_if_it_fails(log: dg.DagsterInstance) -> None:
    seen: list[list[object]] = []
    with dg.DagsterInstance.get() as other, many_events(log) as page:
        with page():
            _tell(log, 1, 2)
            seen.append(_told(other))
        seen.append(_told(other))
        with pytest.raises(OSError, match="full"), page():
            _tell(log, 3)
            raise OSError("the disk is full")
        _tell(log, 4)
        seen.append(_told(other))
    assert seen == [[], [1, 2], [1, 2, 4]]


@pytest.mark.parametrize("ending", [KeyboardInterrupt, GeneratorExit, DagsterExecutionInterruptedError])
def test_a_run_that_is_interrupted_within_a_page_has_told_nothing_of_it(
    log: dg.DagsterInstance, ending: type[BaseException]
) -> None:
    with many_events(log) as page:
        with pytest.raises(ending), page():
            _tell(log, 1)
            raise ending
        _tell(log, 2)
    assert _told(log) == [2]


def test_a_page_is_not_written_if_one_within_it_failed_whoever_caught_that(log: dg.DagsterInstance) -> None:
    with many_events(log) as page:
        with pytest.raises(OSError, match="inner"), page():
            _tell(log, 1)
            with suppress(OSError), page():
                _tell(log, 2)
                raise OSError("inner")
            _tell(log, 2)  # as Dagster does after a batch that failed
        with page():
            _tell(log, 3)
    assert _told(log) == [3]


def test_if_the_shared_database_cannot_be_committed_its_fault_is_told_and_it_knows_nothing_of_the_page(
    log: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[str] = []

    def commit(connection: Connection) -> None:
        ends.append(Path(str(connection.engine.url.database)).stem)
        if ends[-1] == "index":
            raise OSError("the disk is full")
        committed(connection)

    committed = Connection.commit
    run = log.add_run(dg.DagsterRun("job"))
    with many_events(log) as page:
        with monkeypatch.context() as broken:
            broken.setattr(Connection, "commit", commit)
            with pytest.raises(OSError, match="the disk is full"), page():
                _tell(log, 1)
                log.report_engine_event("told", run)
        _tell(log, 2)
    assert ends[-1] == "index" and run.run_id in ends[:-1]
    assert _told(log) == [2]


def test_another_thread_of_the_process_waits_for_the_end_of_a_page(log: dg.DagsterInstance) -> None:
    other = threading.Thread(target=_tell, args=(log, 9))
    with many_events(log) as page:
        with page():
            _tell(log, 1)
            other.start()
            other.join(0.2)
            assert other.is_alive()
            _tell(log, 2)
        other.join(30)
    assert _told(log) == [1, 2, 9]


def test_what_a_run_plans_is_stored_as_it_is_one_by_one(log: dg.DagsterInstance) -> None:
    run = log.add_run(dg.DagsterRun("job")).run_id
    for number in range(3):
        planned = AssetMaterializationPlannedData(KEY, partition=f"m{number}", partitions_subset=None)
        event = DagsterEvent.build_asset_materialization_planned_event("job", "step", planned)
        batch = DagsterEventBatchMetadata("batch", number == 2)
        log.report_dagster_event(event, run, logging.DEBUG, batch_metadata=batch)
    partitions = [entry.dagster_event.partition for entry in log.all_logs(run) if entry.dagster_event]
    assert partitions == ["m0", "m1", "m2"]
    storage = log.event_log_storage
    assert storage.get_latest_asset_partition_materialization_attempts_without_materializations(KEY).keys() == set(
        partitions
    )


def test_an_instance_with_another_event_log_tells_one_by_one(tmp_path: Path) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance, many_events(instance) as page:
        with page():
            _tell(instance, 1, 2)
        assert _told(instance) == [1, 2]


def test_without_a_home_the_log_lies_in_the_folder_that_dagster_made_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    reference = InstanceRef.from_dir(str(tmp_path), config_dir=str(Path(__file__).parents[2]))
    with dg.DagsterInstance.from_ref(reference) as instance:
        assert isinstance(instance.event_log_storage, PagedEventLog)
        _tell(instance, 1)
    assert (tmp_path / "history" / "runs" / "index.db").exists()


def test_a_storage_that_the_configuration_names_goes_before_ours(tmp_path: Path) -> None:
    own = {"storage": {"sqlite": {"base_dir": str(tmp_path / "own")}}}
    reference = InstanceRef.from_dir(str(tmp_path), config_dir=str(Path(__file__).parents[2]), overrides=own)
    with dg.DagsterInstance.from_ref(reference) as instance:
        assert type(instance.event_log_storage) is SqliteEventLogStorage
