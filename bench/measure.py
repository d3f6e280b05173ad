"""Figures: two ways to do the same work, timed in turn, so that a noisy machine is equally noisy to both.

Belongs here: what a figure is, when its goal is met, how it is taken. Does not belong here: what is measured (areas).
"""

import gc
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

RUNS, QUICK_RUNS = 5, 2
QUICK = "GRIDMOTION_BENCH_QUICK"
"""Set in the environment of an area that shall take fewer runs."""


@dataclass(frozen=True)
class Goal:
    """What a figure shall reach: its ratio if it has one, else its value.

    Attributes:
        at_least: lower bound, or None.
        at_most: upper bound, or None.
        stretch: a bound beyond, shown beside it.
    """

    at_least: float | None = None
    at_most: float | None = None
    stretch: float | None = None

    def met_by(self, value: float) -> bool:
        """Whether a value lies within the bounds."""
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    def __str__(self) -> str:
        """The bounds in words."""
        bounds = [f"{sign} {number(b)}" for sign, b in (("≥", self.at_least), ("≤", self.at_most)) if b is not None]
        return " and ".join(bounds) + (f" (stretch {number(self.stretch)})" if self.stretch is not None else "")


@dataclass(frozen=True)
class Figure:
    """One line of RESULTS.md.

    Attributes:
        stage: what was measured, and on what.
        value: our own figure.
        unit: its unit: `MB/s`, `µs`, `bytes/row`, `%`.
        other: the alternative's name; empty where our figure stands alone.
        ratio: how many times as good as the alternative; None where there is none.
        goal: what it shall reach; None where it is only shown.
    """

    stage: str
    value: float
    unit: str
    other: str = ""
    ratio: float | None = None
    goal: Goal | None = None

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        return None if self.goal is None else self.goal.met_by(self.value if self.ratio is None else self.ratio)


def number(value: float) -> str:
    """A figure with as many digits as anyone wants to read."""
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.3g}"


def runs() -> int:
    """How many runs are counted here."""
    return QUICK_RUNS if os.environ.get(QUICK) else RUNS


def interleaved(
    stage: str,
    ours: Callable[[], object],
    other: Callable[[], object] | None,
    other_name: str,
    amount: float,
    unit: str,
    goal: Goal | float | None = None,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> Figure:
    """Our rate and how many times the alternative's it is: medians of runs A B A B after one uncounted run of each.

    Args:
        stage: what is measured.
        ours: our way.
        other: the alternative, on the same input; None where our rate stands alone.
        other_name: the alternative, in words.
        amount: how much work one run is, in `unit`.
        unit: events, rows, MB; the figure's unit is that per second.
        goal: for the ratio, or for the rate where there is no alternative; a number is a lower bound.
        clock: of seconds; `time.process_time` for those of the processor, which other load hardly takes part in.
    """
    seconds = medians(ours, *([other] if other else []), clock=clock)
    ratio = seconds[1] / seconds[0] if other else None
    return Figure(stage, amount / seconds[0], f"{unit}/s", other_name, ratio, as_goal(goal))


def medians(*ways: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> list[float]:
    """Median seconds of each way, taken in turn, after one uncounted run of each."""
    taken: list[list[float]] = [[] for _ in ways]
    for run in range(runs() + 1):
        for way, seconds in zip(ways, taken, strict=True):
            gc.collect()  # what one way leaves behind is not collected in another's time
            begin = clock()
            way()
            if run:
                seconds.append(clock() - begin)
    return [statistics.median(seconds) for seconds in taken]


def percentile(
    stage: str, seconds: Sequence[float], percent: float, unit: str = "µs", goal: Goal | float | None = None
) -> Figure:
    """A percentile of many single timings.

    Args:
        stage: what one timing is of.
        seconds: the timings.
        percent: 50 for the median, 99 for p99.
        unit: `µs` or `ms`.
        goal: for the percentile; a number is an upper bound.
    """
    rank = min(len(seconds) - 1, int(len(seconds) * percent / 100))
    value = sorted(seconds)[rank] * {"µs": 1e6, "ms": 1e3}[unit]
    limit = Goal(at_most=float(goal)) if isinstance(goal, int | float) else goal
    return Figure(f"{stage}, p{percent:g}", value, unit, goal=limit)


def peak_memory(function: Callable[..., object], *arguments: object) -> int:
    """Bytes by which a call raises the peak of resident memory, in a fresh process of its own.

    Args:
        function: of a module, so that the process can find it by name; its module's imports don't count.
        arguments: picklable.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_peak, args=(sender, function, arguments))
    process.start()
    sender.close()
    try:
        taken: int = receiver.recv()
    except EOFError:
        raise RuntimeError(f"{function.__name__} died before its memory could be read") from None
    finally:
        process.join()
    return taken


def as_goal(goal: Goal | float | None) -> Goal | None:
    """A bare number is a lower bound."""
    return Goal(at_least=float(goal)) if isinstance(goal, int | float) else goal


def _peak(sender: Connection, function: Callable[..., object], arguments: tuple[object, ...]) -> None:
    before = _highest()
    function(*arguments)
    sender.send(_highest() - before)


def _highest() -> int:
    # Not getrusage: its peak is handed down from the process that started this one.
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
