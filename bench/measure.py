"""Two ways to do the same work, timed in turn, so that a noisy machine is equally noisy to both."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

RUNS = 5


@dataclass(frozen=True)
class Figure:
    """One line of RESULTS.md.

    Attributes:
        stage: what was measured.
        ours_s: median seconds of our way.
        other: the alternative, in words.
        other_s: its median seconds; None where only our own figure is shown.
        amount: how much work it was, in `unit`.
        unit: events, MB, clips.
    """

    stage: str
    ours_s: float
    other: str
    other_s: float | None
    amount: float
    unit: str

    @property
    def rate(self) -> str:
        """Work per second."""
        return f"{self.amount / self.ours_s:,.1f} {self.unit}/s"

    @property
    def ratio(self) -> str:
        """How many times as fast as the alternative."""
        return f"{self.other_s / self.ours_s:.1f} x" if self.other_s else ""


def interleaved(
    stage: str, ours: Callable[[], object], other: Callable[[], object] | None, name: str, amount: float, unit: str
) -> Figure:
    """Medians of `RUNS` runs of each, A B A B, after one uncounted run of each."""
    ways = [ours, *([other] if other else [])]
    seconds: list[list[float]] = [[] for _ in ways]
    for run in range(RUNS + 1):
        for way, taken in zip(ways, seconds, strict=True):
            begin = time.perf_counter()
            way()
            if run:
                taken.append(time.perf_counter() - begin)
    medians = [statistics.median(taken) for taken in seconds]
    return Figure(stage, medians[0], name, medians[1] if other else None, amount, unit)
