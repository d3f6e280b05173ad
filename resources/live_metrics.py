"""What an agent counts, and the small server that tells it: `/metrics`, `/healthz`, `/readyz`.

Belongs here: names of metrics and the three pages. Does not belong here: when something is counted (`agent`), figures
of Dagster runs. It listens on the loopback address unless told otherwise: none of its pages asks who reads it.
"""

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Protocol

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from resources.errors import ResourceError

_LATENCY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_SIZES = (1, 3, 10, 30, 100, 300, 1000, 3000)
_MOST_REQUEST = 8192  # bytes
_PATIENCE_S = 5.0


class NoPages(ResourceError):
    """The address of the pages can't be listened on, as when another agent has it."""


class Page(Protocol):
    """What `/metrics` tells."""

    def page(self) -> bytes:
        """All figures in the text format of Prometheus."""


class LiveMetrics:
    """The figures of one agent, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        shard = ("shard",)
        self.events = self._counter("live_events_total", "entries read", shard)
        self.late = self._counter("live_late_or_duplicate_events_total", "events that came too late or again", shard)
        self.duplicate = self._counter("live_duplicate_events_total", "events whose id still waited", shard)
        self.ahead = self._counter("live_ahead_events_total", "events ahead of their match beyond any clock", shard)
        self.given_up = self._counter("live_given_up_total", "matches that could not be gone on with", shard)
        self.letters = self._counter("live_dlq_total", "entries put into the dlq", shard)
        self.lost = self._counter("live_lost_entries_total", "entries trimmed before they were read", shard)
        self.signals = self._counter("live_signals_total", "signals sent", ("kind",))
        self.intents = self._counter("intents_predicted_total", "segments that ended", ("intent",))
        self.reviews = self._counter("hitl_reviews_total", "segments that ended with a reason for review", ("reason",))
        self.leases = self._counter("live_lease_changes_total", "leases taken, lost and given back", ("change",))
        for change in ("taken", "lost", "given back"):
            self.leases.labels(change)
        self.commits = self._counter("live_commits_total", "commits", shard)
        self.failures = self._counter("live_failures_total", "times a shard was loaded anew after an error", ("error",))
        self.lag = self._gauge("live_lag_entries", "entries that wait in the stream", shard)
        self.matches = self._gauge("live_matches", "running matches in memory", shard)
        self.held = self._gauge("live_held_events", "events that wait for their turn", shard)
        self.owned = self._gauge("live_shards_owned", "shards that this agent owns", ())
        self.model = self._gauge("live_model_info", "1 for each model that runs", ("version",))
        self._models: set[str] = set()
        self.batch = self._histogram("live_batch_events", "entries of a read", _SIZES)
        self.latency = self._histogram("live_commit_latency_seconds", "from reading to the commit", _LATENCY_S)

    def begin(self, shard: str) -> None:
        """Counters of a shard from 0 on: an increase is only seen of what was there before it."""
        for counter in (self.lost, self.late, self.duplicate, self.ahead, self.given_up, self.letters):
            counter.labels(shard)

    def run_models(self, versions: Collection[str]) -> None:
        """Which models answer now: those that running matches keep, and the one of the next match."""
        for version in self._models - set(versions):
            self.model.remove(version)
        for version in versions:
            self.model.labels(version).set(1)
        self._models = set(versions)

    def forget(self, shard: str) -> None:
        """How a shard stands is told by its next owner."""
        for gauge in (self.lag, self.matches, self.held):
            gauge.remove(shard)

    def page(self) -> bytes:
        """All figures in the text format of Prometheus."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: tuple[str, ...]) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, text, buckets=buckets, registry=self.registry)


async def serve(
    metrics: Page, host: str, port: int, *, is_alive: Callable[[], bool], is_ready: Callable[[], bool]
) -> asyncio.Server:
    """Starts to answer `GET` of the three pages.

    Args:
        metrics: what `/metrics` tells.
        host: address to listen on.
        port: port to listen on; 0 for any that is free.
        is_alive: whether `/healthz` is 200, else 503.
        is_ready: whether `/readyz` is.

    Raises:
        NoPages: if the port can't be listened on.
    """

    def answer(path: str) -> tuple[str, str, bytes]:
        if path == "/metrics":
            return "200 OK", CONTENT_TYPE_LATEST, metrics.page()
        if path in ("/healthz", "/readyz"):
            good = is_alive() if path == "/healthz" else is_ready()
            return ("200 OK", "text/plain", b"ok\n") if good else ("503 Service Unavailable", "text/plain", b"no\n")
        return "404 Not Found", "text/plain", b"not found\n"

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            request = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _PATIENCE_S)
            method, _, rest = request.decode("latin-1").partition(" ")
            path = rest.split(" ", 1)[0].partition("?")[0]
            status, kind, body = answer(path) if method == "GET" else ("405 Method Not Allowed", "text/plain", b"")
            head = (
                f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            writer.write(head.encode() + body)
            await writer.drain()
        writer.close()

    try:
        return await asyncio.start_server(respond, host, port, limit=_MOST_REQUEST)
    except OSError as error:
        raise NoPages(f"port {port} of {host} can't be listened on, --port names another: {error}") from error
