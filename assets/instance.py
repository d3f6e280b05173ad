"""Dagster's instance: what it was told before, and keeping many events from wearing it out.

Belongs here: what a run over many matches needs to know of its instance. Does not belong here: which events it is told
(`assets/analysis.py`), who tells them (`assets/backfill.py`).
"""

import fcntl
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from sqlalchemy import Connection, Engine, StaticPool, create_engine

DATA_VERSION_TAG = "dagster/data_version"
HOST_TAG = "gridmotion/host"
"""Of a run that may be at work once on each machine: the name of its own."""


def told_before(
    instance: dg.DagsterInstance, keys: Sequence[dg.AssetKey], match_ids: Sequence[str]
) -> dict[str, dict[str, str]]:
    """By match and table, the data version of the newest materialization that the instance knows."""
    known: dict[str, dict[str, str]] = {match_id: {} for match_id in match_ids}
    for key in keys:
        tags = instance.event_log_storage.get_latest_tags_by_partition(
            key, dg.DagsterEventType.ASSET_MATERIALIZATION, [DATA_VERSION_TAG]
        )
        for match_id in known.keys() & tags.keys():
            known[match_id][key.to_user_string()] = tags[match_id].get(DATA_VERSION_TAG, "")
    return known


@contextmanager
def many_events(instance: dg.DagsterInstance) -> Iterator[None]:
    """Makes each event of a run that tells of thousands cost a third; changes nothing on other databases than SQLite.

    Dagster's SQLite event log makes an engine and opens and closes a connection several times per event: the statement
    is compiled anew each time, and SQLite folds its write-ahead log back into the database whenever the last connection
    closes. Here each database keeps one of both while the context lasts. Measured per match of 14 events: 50 ms of
    processor instead of 160.
    """
    log = instance.event_log_storage
    if not isinstance(log, SqliteEventLogStorage):
        yield
        return
    engines: dict[str, Engine] = {}

    def engine(shard: str) -> Engine:
        if shard not in engines:
            options = {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False}
            engines[shard] = create_engine(log.conn_string_for_shard(shard), poolclass=StaticPool, connect_args=options)
            if shard not in log._initialized_dbs:
                log._initdb(engines[shard])
                log._initialized_dbs.add(shard)
        return engines[shard]

    @contextmanager
    def connect(shard: str) -> Iterator[Connection]:
        with log._db_lock, engine(shard).connect() as connection, connection.begin():
            yield connection

    vars(log)["_connect"] = connect
    try:
        yield
    finally:
        del vars(log)["_connect"]
        for each in engines.values():
            each.dispose()


class AlreadyRunning(Exception):
    """A run of this job is at work on this machine."""


@contextmanager
def the_only_run(instance: dg.DagsterInstance, job: str, run_id: str) -> Iterator[None]:
    """Holds the place of a job's only run on this machine; runs of it here whose process died are marked as failed.

    Args:
        instance: keeps the runs.
        job: its name.
        run_id: the run that wants the place.

    Raises:
        AlreadyRunning: if another one holds it.
    """
    with Path(instance.root_directory, f"{job}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(f"another {job} is running; it holds {lock.name}") from None
        host = {HOST_TAG: socket.gethostname()}
        instance.add_run_tags(run_id, host)
        for run in instance.get_runs(dg.RunsFilter(job_name=job, statuses=[dg.DagsterRunStatus.STARTED], tags=host)):
            if run.run_id != run_id:
                instance.report_run_failed(run, "its process died; the next run tells of what it made")
        yield
