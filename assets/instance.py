"""Dagster's instance: what it was told before, and who may use the whole machine.

Belongs here: what a run over many matches needs to know of its instance. Does not belong here: which events it is told
(`assets/analysis.py`), who tells them (`assets/many.py`), how they are stored (`assets/event_log.py`).
"""

import fcntl
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

DATA_VERSION_TAG = "dagster/data_version"
HOST_TAG = "gridmotion/host"
"""Of a run that may be at work once on each machine: the name of its own."""
_CORES = "backfill.lock"


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


class AlreadyRunning(Exception):
    """A run of this job is at work on this machine."""


@contextmanager
def the_cores(instance: dg.DagsterInstance, taken: Callable[[str], None]) -> Iterator[None]:
    """Holds every core of this machine for a run with a process on each; two of them would only be in each other's way.

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
    """Holds the cores for a job's only run on this machine; runs of it here whose process died are marked as failed.

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
        instance.add_run_tags(run_id, host)
        for run in instance.get_runs(dg.RunsFilter(job_name=job, statuses=[dg.DagsterRunStatus.STARTED], tags=host)):
            if run.run_id != run_id:
                instance.report_run_failed(run, "its process died; the next run tells of what it made")
        yield
