"""Dagster's instance: what it was told before, and who may use the whole machine.

Belongs here: what a run over many matches needs to know of its instance. Does not belong here: which events it is told
(`assets/analysis.py`), who tells them (`assets/many.py`), how they are stored (`assets/event_log.py`).
"""

import fcntl
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

DATA_VERSION_TAG = "dagster/data_version"
HOST_TAG = "gridmotion/host"
"""Of a run that may be at work once on each machine: the name of its own."""
PROCESS_TAG = "gridmotion/process"
"""Of such a run: its process there, as `process_name` names it."""
_CORES = "backfill.lock"


def told_before(
    instance: dg.DagsterInstance,
    specs: Sequence[dg.AssetSpec],
    checks: Sequence[dg.AssetCheckSpec],
    match_ids: Sequence[str],
) -> dict[str, dict[str, str]]:
    """By match and table, the data version of the newest materialization that the instance knows and that may be used.

    Left out is a table of which a blocking check did not pass when it was last to be made, or of which the instance
    doesn't know: a run over one match tells of a table before its checks, whatever these say.
    """
    log = instance.event_log_storage
    known: dict[str, dict[str, str]] = {match_id: {} for match_id in match_ids}
    for spec in specs:
        tags = log.get_latest_tags_by_partition(spec.key, dg.DagsterEventType.ASSET_MATERIALIZATION, [DATA_VERSION_TAG])
        usable = known.keys() & tags.keys()
        for check in checks:
            if check.asset_key == spec.key and check.blocking:
                usable &= {
                    info.partition_key
                    for info in log.get_asset_check_partition_info([check.key])
                    if info.latest_execution_status == AssetCheckExecutionRecordStatus.SUCCEEDED
                }
        for match_id in usable:
            known[match_id][spec.key.to_user_string()] = tags[match_id].get(DATA_VERSION_TAG, "")
    return known


class AlreadyRunning(Exception):
    """A run of this job is at work on this machine."""


@contextmanager
def the_cores(instance: dg.DagsterInstance, taken: Callable[[str], None]) -> Iterator[None]:
    """Holds every core for a run with a process on each; two of them would only be in each other's way.

    Runs of one DAGSTER_HOME see each other. Those of another on the same machine don't: both are slower, none is wrong.

    Args:
        instance: names the place of the lock.
        taken: told who holds them, if another run does; the context waits for its end, unless this raises.
    """
    with Path(instance.root_directory, _CORES).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            taken(f"another backfill is running; it holds {lock.name}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def the_only_run(instance: dg.DagsterInstance, job: str, run_id: str) -> Iterator[None]:
    """Holds the cores for a job's only run on this machine; runs of it here whose process is gone are marked as failed.

    A run that gave the cores back and has not ended yet is about to: its process lives.

    Args:
        instance: keeps the runs.
        job: its name.
        run_id: the run that wants the cores.

    Raises:
        AlreadyRunning: if another run holds them.
    """

    def refuse(why: str) -> None:
        raise AlreadyRunning(why)

    with the_cores(instance, refuse):
        host = {HOST_TAG: socket.gethostname()}
        instance.add_run_tags(run_id, host | {PROCESS_TAG: process_name(os.getpid())})
        for run in instance.get_runs(dg.RunsFilter(job_name=job, statuses=[dg.DagsterRunStatus.STARTED], tags=host)):
            if run.run_id != run_id and not _lives(run.tags.get(PROCESS_TAG, "")):
                instance.report_run_failed(run, "its process died; the next run tells of what it made")
        yield


def process_name(process_id: int) -> str:
    """Of a process of this machine: its number, and the tick at which it began, as numbers are used again.

    Raises:
        ProcessLookupError: if it has ended.
    """
    try:
        state, *fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError as error:
        raise ProcessLookupError from error
    if state == "Z":  # only its parent has not heard of its end
        raise ProcessLookupError
    return f"{process_id} {fields[18]}"


def _lives(name: str) -> bool:
    process_id = name.partition(" ")[0]
    try:
        return bool(name) and process_name(int(process_id)) == name
    except ProcessLookupError:
        return False
