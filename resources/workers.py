"""Processes of one thread each that work off tasks, so that every core is busy and none is fought over.

Belongs here: starting, feeding and replacing them. Does not belong here: what a task is (`assets/many.py`).

Two threads of numeric libraries on one core run several times slower than one, so each process is told to use one
thread before it imports any of them. A process that dies takes with it the one task that it was at, if it was at any;
one that dies before it is prepared ends it all, as the next would die too.
"""

import gc
import multiprocessing
import os
import queue
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

from resources.errors import ResourceError

SINGLE_THREADED: Mapping[str, str] = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "POLARS_MAX_THREADS"), "1"
)
"""What numeric libraries read when they are imported."""

_AHEAD = 2  # tasks given to a process at once: it has its next one while its last result is being looked at

T = TypeVar("T")
R = TypeVar("R")


class WorkersUnusable(ResourceError):
    """A process could not even prepare itself; so none can."""


@dataclass(frozen=True)
class Done(Generic[T, R]):
    """A task that ended.

    Attributes:
        task: the task.
        result: what it gave; None if it failed.
        failure: why it failed; None if it did not.
    """

    task: T
    result: R | None
    failure: str | None = None


@dataclass(eq=False)
class _Worker(Generic[T]):
    process: Any
    pipe: Connection
    tasks: deque[T] = field(default_factory=deque)
    is_ready: bool = False


class Workers(Generic[T, R]):
    """Processes that each prepare themselves once, then work off tasks.

    Args:
        count: how many.
        prepare: called once in each process with the arguments; returns the function that does a task. Of a module,
            as the processes find it by name.
        arguments: for `prepare`; picklable, as are tasks and results.
    """

    def __init__(self, count: int, prepare: Callable[..., Callable[[T], R]], *arguments: Any) -> None:
        self._count, self._prepare, self._arguments = count, prepare, arguments
        self._context = multiprocessing.get_context("spawn")
        self._heard: queue.SimpleQueue[tuple[_Worker[T], tuple[str, Any] | None]] = queue.SimpleQueue()
        self._workers: list[_Worker[T]] = []

    def run(self, tasks: Iterable[T]) -> Iterator[Done[T, R]]:
        """Does the tasks, and tells of each as it ends; closing the iterator ends the processes.

        Raises:
            WorkersUnusable: if a process cannot prepare itself.
        """
        left = deque(tasks)
        open_tasks = len(left)
        try:
            for _ in range(min(self._count, len(left))):
                self._start()
            while open_tasks:
                for worker in self._workers:
                    self._feed(worker, left)
                worker, message = self._heard.get()
                if message is None:
                    for done in self._buried(worker, left):
                        open_tasks -= 1
                        yield done
                    if left:
                        self._start()
                    continue
                kind, value = message
                if kind == "unusable":
                    raise WorkersUnusable(value)
                if kind == "ready":
                    worker.is_ready = True
                    continue
                task = worker.tasks.popleft()
                self._feed(worker, left)
                open_tasks -= 1
                yield Done(task, value) if kind == "result" else Done(task, None, value)
        finally:
            for worker in self._workers:
                worker.process.kill()  # SIGTERM may be ignored: a process inherits that from whoever began it all
                worker.process.join()
            self._workers.clear()

    def _start(self) -> None:
        mine, theirs = self._context.Pipe()
        with _environment(SINGLE_THREADED):
            process = self._context.Process(
                target=_serve, args=(theirs, self._prepare, self._arguments), name="worker", daemon=True
            )
            process.start()
        theirs.close()
        worker: _Worker[T] = _Worker(process, mine)
        self._workers.append(worker)
        # Listening in a thread, a process never waits until the result of another has been looked at.
        threading.Thread(target=self._listen, args=(worker,), daemon=True).start()

    def _feed(self, worker: _Worker[T], left: deque[T]) -> None:
        while left and len(worker.tasks) < _AHEAD:
            task = left.popleft()
            worker.tasks.append(task)
            try:
                worker.pipe.send(task)
            except OSError:  # it died; its listener tells
                left.appendleft(worker.tasks.pop())
                return

    def _listen(self, worker: _Worker[T]) -> None:
        try:
            while True:
                self._heard.put((worker, worker.pipe.recv()))
        except (EOFError, OSError):
            self._heard.put((worker, None))

    def _buried(self, worker: _Worker[T], left: deque[T]) -> Iterator[Done[T, R]]:
        """The task that a dead process was at, if any; the ones it had not begun are put back."""
        worker.process.join()
        self._workers.remove(worker)
        ending = _ending(worker.process.exitcode)
        if not worker.is_ready:
            raise WorkersUnusable(f"a process died while it prepared itself ({ending})")
        if worker.tasks:
            begun = worker.tasks.popleft()
            left.extendleft(reversed(worker.tasks))
            yield Done(begun, None, f"its process died ({ending})")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _serve(pipe: Connection, prepare: Callable[..., Callable[[Any], Any]], arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal; the first one decides
    try:
        work = prepare(*arguments)
    except Exception as error:
        pipe.send(("unusable", f"{type(error).__name__}: {error}"))
        return
    gc.freeze()  # what was imported stays; looking through it for garbage takes 100 ms, several times a minute
    message: tuple[str, Any] = ("ready", None)
    while True:
        try:
            pipe.send(message)
            task = pipe.recv()
        except (EOFError, OSError):  # whoever gave the tasks is gone
            return
        try:
            message = ("result", work(task))
        except Exception:
            message = ("failure", traceback.format_exc())


def _ending(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
