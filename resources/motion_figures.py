"""What the runs of Dagster count of running matches, as a page for Prometheus: `gridmotion metrics`.

Belongs here: names of the metrics of motion, and how all of them follow from the hashes that the runs write. Does not
belong here: what is counted when (`motion_queue`, `run_counts`), figures of agents and their names (`live_metrics`).
"""

import asyncio
import logging
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import groupby

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from resources import run_counts
from resources.live_metrics import LiveMetrics, serve
from resources.motion_queue import BUCKETS_S, MotionQueue
from resources.run_counts import Count
from resources.stream import StreamUnreachable

logger = logging.getLogger(__name__)

_EVERY_S = 2.0  # figures are read; Prometheus asks every ten seconds or less often
_OLD_S = 10.0

COUNTERS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "generated": ("motions_generated", "clips made for running matches", ("backend",)),
    "hits": ("motion_cache_hits", "clips of running matches that had been made before", ("backend",)),
    "fallbacks": (
        "motion_fallbacks",
        "times that a backend made no clip, and the next was asked",
        ("backend", "trouble"),
    ),
    "infeasible": ("motions_infeasible", "segments of which no motion can be made", ()),
    "shed": ("motions_shed", "segments that asked for motion and got none", ("reason",)),
}
"""By the first word of the field in which it is counted: name, help, labels."""


class MotionFigures(Collector):
    """The figures as they stood when they were read last."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(self)
        self._told: dict[str, int] = {}
        self._runs: Sequence[Count] = ()
        self._texts = {metric.name: metric.documentation for metric in LiveMetrics().registry.collect()}
        self._read_at = float("-inf")

    def take(self, told: dict[str, int], runs: Sequence[Count] = ()) -> None:
        """The figures of this moment.

        Args:
            told: of motion, as `MotionQueue.figures` gives them.
            runs: of the runs that read events, as `run_counts.read` gives them.
        """
        self._told, self._runs, self._read_at = told, runs, time.monotonic()

    def age_s(self) -> float:
        """How long ago they were read, in seconds."""
        return time.monotonic() - self._read_at

    def page(self) -> bytes:
        """All figures in the text format of Prometheus."""
        return generate_latest(self.registry)

    def collect(self) -> Iterable[Metric]:
        """The metrics, each with the values that there are."""
        for name, (metric, text, labels) in COUNTERS.items():
            family = CounterMetricFamily(metric, text, labels=labels)
            for told, value in self._of(name):
                family.add_metric(told, value)
            if not labels and name not in self._told:
                family.add_metric([], 0)
            yield family
        yield self._latency()
        for name, counts in groupby(self._runs, key=lambda count: count.name):
            first, *others = counts
            family = CounterMetricFamily(name, self._texts.get(name, name), labels=sorted(first.labels))
            for count in (first, *others):
                family.add_metric([value for _, value in sorted(count.labels.items())], count.value)
            yield family

    def _of(self, name: str) -> Iterator[tuple[list[str], int]]:
        for field, value in self._told.items():
            first, *labels = field.split(":")
            if first == name:
                yield labels, value

    def _latency(self) -> Metric:
        counts = {labels[0]: value for labels, value in self._of("latency_bucket")}
        buckets, total = [], 0
        for bound in (*map(str, BUCKETS_S), "+Inf"):
            total += counts.get(bound, 0)
            buckets.append((bound, float(total)))
        text = "from the signal that a segment has ended to the one that its motion can be seen"
        family = HistogramMetricFamily("motion_latency_seconds", text)
        family.add_metric([], buckets, self._told.get("latency_ms", 0) / 1000)
        return family


async def show(queue: MotionQueue, host: str, port: int, stop: asyncio.Event | None = None) -> None:
    """Answers `/metrics`, `/healthz` and `/readyz` until told to stop, by SIGTERM or SIGINT too.

    Args:
        queue: whose figures.
        host: address to listen on.
        port: port to listen on.
        stop: set, it ends.

    Raises:
        NoPages: if that port can't be listened on.
    """
    figures, stop = MotionFigures(), stop or asyncio.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    pages = await serve(
        figures, host, port, is_alive=lambda: True, is_ready=lambda: figures.age_s() < _OLD_S and not stop.is_set()
    )
    try:
        while not stop.is_set():
            try:
                figures.take(await queue.figures(), await run_counts.read(queue.client))
            except StreamUnreachable as error:
                logger.warning("the server of the streams does not answer: %s", error)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _EVERY_S)
    finally:
        pages.close()
