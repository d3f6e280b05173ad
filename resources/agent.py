"""The agent: a resident process that turns canonical events into signals as they come.

Belongs here: which shards it has, and the life of the process. Does not belong here: what is done with a shard
(`shard_worker`), leases (`ownership`), figures (`live_metrics`).

One task per owned shard. What ends with an error is forgotten, and its shard loaded anew by whoever takes it next.
"""

import asyncio
import gc
import logging
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

import redis.asyncio as redis

from configs.live import AgentConfig, LiveConfig, load_agent, load_live
from pipeline.errors import PipelineError
from pipeline.live.decoding import Decoder
from pipeline.live.match import LiveMatch
from resources.errors import ResourceError
from resources.live_metrics import LiveMetrics, serve
from resources.logs import place_of
from resources.ownership import Ownership
from resources.shard_worker import Models, ShardWorker
from resources.stream import Fenced, Shard, Streams, StreamUnreachable

logger = logging.getLogger(__name__)


class Agent:
    """One process: as many shards as are its part, each read by a task.

    Args:
        client: of the server, answers as bytes.
        models: what answers.
        threshold: a confidence below it is a reason for review.
        agent: how to read; `configs/live.yaml` if None.
        live: bounds of order and time; `configs/live.yaml` if None.
    """

    def __init__(
        self,
        client: "redis.Redis",
        models: Models,
        threshold: float,
        agent: AgentConfig | None = None,
        live: LiveConfig | None = None,
    ) -> None:
        self._agent, self._live = agent or load_agent(), live or load_live()
        self._client, self._models, self._threshold = client, models, threshold
        self._streams = Streams(client, self._agent)
        self._ownership = Ownership(client, self._agent)
        self._workers: dict[int, tuple[ShardWorker, asyncio.Task[None]]] = {}
        self._stop = asyncio.Event()
        self.metrics = LiveMetrics()
        self._renewed_at = 0.0

    @property
    def is_ready(self) -> bool:
        """Whether the server answered within the time of a lease."""
        return time.monotonic() - self._renewed_at < self._agent.lease_ms / 1000 and not self._stop.is_set()

    def stop(self) -> None:
        """Ends `run` once everything is committed."""
        self._stop.set()

    async def run(self, *, host: str = "127.0.0.1", port: int | None = None) -> None:
        """Works until stopped, by `stop` or by SIGTERM or SIGINT.

        Args:
            host: address of `/metrics`, `/healthz` and `/readyz`.
            port: their port; None for none of them.

        Raises:
            NoPages: if that port can't be listened on.
        """
        loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():  # no other thread is told of signals: it has `stop`
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self.stop)
        self.metrics.run_models({self._models.champion().model.version})
        self._warm()
        pages = None
        if port is not None:
            pages = await serve(self.metrics, host, port, is_alive=lambda: True, is_ready=lambda: self.is_ready)
        gc.collect()
        gc.freeze()  # libraries and compiled code stay; looking through them stops all work for tens of ms
        try:
            while not self._stop.is_set():
                try:
                    await self._share()
                except ResourceError as error:
                    logger.warning("the server does not answer: %s", error)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), self._agent.renew_ms / 1000)
        finally:
            gc.unfreeze()
            await self._end()
            if pages is not None:
                pages.close()

    def _warm(self) -> None:
        """Compiles what is compiled on first use, and asks the model once, before any lease runs."""
        match = LiveMatch("warm", self._models.champion, self._threshold, self._live)
        lines = [
            b'{"event_id":"%d","match_id":"warm","event_type":"POSITION_UPDATE","actor":"player:%d",'
            b'"payload":{"pos":[%d,0,0],"ts":%d}}' % (place, place % 2, place, place // 2)
            for place in range(8)
        ]
        for many in (len(lines), len(lines) + 1):  # scanned, and read with care
            decoder = Decoder(max_bytes=self._agent.max_entry_bytes, many=many)
            (part,) = decoder.decode(lines).of_match.values()
            match.take(part.events)
        LiveMatch.from_fields(
            match.to_fields(), self._models.champion, self._models.of_version, self._threshold, self._live
        ).finish()

    async def _share(self) -> None:
        """Renews leases, takes free shards up to the fair share, gives back what is beyond it."""
        share = await self._ownership.fair_share()
        for number, (worker, task) in list(self._workers.items()):
            if task.done():
                await self._ended(number, task)
            elif not await self._ownership.renew(worker.shard):
                self.metrics.leases.labels("lost").inc()
                worker.is_stopping = True  # a wait may swallow the cancellation
                task.cancel()
                await self._ended(number, task, owns=False)
        await self._give_back(sorted(self._workers, reverse=True)[: max(0, len(self._workers) - share)])
        for number in range(self._agent.shards):
            if len(self._workers) >= share:
                break
            shard = Shard(number, self._agent.shards)
            if number not in self._workers and (token := await self._ownership.take(shard)) is not None:
                self._start(shard, token)
        self._renewed_at = time.monotonic()
        self.metrics.owned.set(len(self._workers))
        self.metrics.run_models(self._models.latest.union(*(w.model_versions for w, _ in self._workers.values())))

    def _start(self, shard: Shard, token: int) -> None:
        self.metrics.leases.labels("taken").inc()
        logger.info("taken with token %d", token, extra={"shard": shard.number})
        worker = ShardWorker(
            shard, token, self._streams, self._models, self._threshold, self.metrics, self._agent, self._live
        )
        self._workers[shard.number] = (worker, asyncio.create_task(worker.run()))

    async def _ended(self, number: int, task: "asyncio.Task[None]", *, owns: bool = True) -> None:
        """A worker that failed is forgotten; its shard is loaded anew by whoever takes it next."""
        worker, _ = self._workers.pop(number)
        try:
            await task
        except asyncio.CancelledError:
            pass
        except Fenced as error:
            owns = False
            logger.warning("%s", error, extra={"shard": number})
        except (ResourceError, PipelineError) as error:
            logger.error("%s; the shard is loaded anew", error, extra={"shard": number})
            self.metrics.failures.labels(type(error).__name__).inc()
        except Exception as error:
            logger.error("the shard is loaded anew after an unexpected %s", place_of(error), extra={"shard": number})
            logger.debug("%s", error, extra={"shard": number})
            self.metrics.failures.labels(type(error).__name__).inc()
        self.metrics.forget(str(number))
        if owns:
            with suppress(StreamUnreachable):
                await self._ownership.give_back(worker.shard)

    async def _give_back(self, numbers: Sequence[int]) -> None:
        """Commits everything of shards and frees them, all at once: meanwhile no lease is renewed."""
        chosen = {number: self._workers[number] for number in numbers}
        if not chosen:
            return
        for worker, _ in chosen.values():
            worker.is_stopping = True
        patience_s = (self._agent.lease_ms - self._agent.renew_ms) / 1000
        await asyncio.wait({task for _, task in chosen.values()}, timeout=patience_s)
        for number, (_, task) in chosen.items():
            if not task.done():
                task.cancel()
            self.metrics.leases.labels("given back").inc()
            await self._ended(number, task)

    async def _end(self) -> None:
        await self._give_back(list(self._workers))
        with suppress(ResourceError):
            await self._ownership.leave()
