"""Processes that work off tasks: one that dies takes one task with it."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from resources.workers import Workers, WorkersUnusable, cores


def _doubler(offset: int) -> Callable[[int], int]:
    return lambda task: 2 * task + offset


def _moody() -> Callable[[str], str]:
    def work(task: str) -> str:
        if task == "raise":
            raise ValueError("this one is bad")
        if task == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        return task

    return work


def _waiting() -> Callable[[str], int]:
    def work(task: str) -> int:
        ends, _, gate = task.partition(" ")
        while gate and not Path(gate).exists():
            time.sleep(0.02)
        time.sleep(0.2 if gate else 0)  # the death before is heard of in the meantime
        if ends == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        return os.getpid()

    return work


def _doomed() -> Callable[[int], int]:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def _unprepared() -> Callable[[int], int]:
    raise OSError("the disk is gone")


def _threads() -> Callable[[str], str | None]:
    return os.environ.get


def _dozing() -> Callable[[int], int]:
    def work(task: int) -> int:
        time.sleep(30 if task else 0)
        return os.getpid()

    return work


def test_each_task_is_done_once_by_processes_that_were_prepared() -> None:
    done = list(Workers(2, _doubler, 1).run(range(20)))
    assert sorted((each.task, each.result) for each in done) == [(task, 2 * task + 1) for task in range(20)]
    assert all(each.failure is None for each in done)


def test_a_task_that_raises_or_kills_its_process_fails_alone() -> None:
    tasks = ["a", "raise", "b", "die", "c", "die", "d"]
    done: list[Any] = list(Workers(2, _moody).run(tasks))
    assert sorted(each.task for each in done) == sorted(tasks)
    failures = {each.task: each.failure for each in done if each.failure}
    assert "this one is bad" in failures["raise"]
    assert "SIGKILL" in failures["die"]
    assert sorted(each.result for each in done if not each.failure) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("ends", ["die", "live"])
def test_a_process_that_dies_while_it_has_nothing_to_do_costs_no_task(tmp_path: Path, ends: str) -> None:
    gate, workers = tmp_path / "gate", Workers(2, _waiting)
    running = workers.run(["", "", f"{ends} {gate}", "last"])
    idle, same = next(running), next(running)
    assert idle.result == same.result
    os.kill(int(idle.result or 0), signal.SIGKILL)
    next(worker for worker in workers._workers if worker.process.pid == idle.result).process.join()
    gate.touch()
    done = {each.task: each for each in running}
    assert done.keys() == {f"{ends} {gate}", "last"} and done["last"].failure is None
    assert (done[f"{ends} {gate}"].failure is None) == (ends == "live")


def test_a_process_that_dies_while_it_prepares_itself_ends_it_all() -> None:
    with pytest.raises(WorkersUnusable, match="SIGKILL"):
        list(Workers(2, _doomed).run([1, 2, 3]))


def test_processes_that_cannot_prepare_themselves_end_it_all_at_once() -> None:
    with pytest.raises(WorkersUnusable, match="the disk is gone"):
        list(Workers(2, _unprepared).run([1, 2, 3]))


def test_a_process_runs_its_libraries_in_one_thread_and_leaves_the_environment_alone() -> None:
    before = os.environ.get("POLARS_MAX_THREADS")
    (done,) = Workers(1, _threads).run(["POLARS_MAX_THREADS"])
    assert done.result == "1"
    assert os.environ.get("POLARS_MAX_THREADS") == before


def test_whoever_stops_listening_leaves_no_process_behind() -> None:
    running = Workers(1, _dozing).run([0, 1, 2])
    process = next(running).result
    running.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_there_is_at_least_one_core() -> None:
    assert 1 <= cores() <= (os.cpu_count() or 1)
