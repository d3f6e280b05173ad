"""The event streams as Dagster follows them: shards read where no agent reads them, signals kept.

Belongs here: what a run or a tick asks of the streams. Does not belong here: when that is (`assets/live.py`), what is
done with a shard (`shard_worker`), what is kept (`live_parts`), the resident agent (`agent`).
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from configs.live import AgentConfig, LiveConfig
from pipeline.errors import PipelineError
from resources import run_counts
from resources.errors import ResourceError
from resources.live_metrics import LiveMetrics
from resources.live_parts import EndStamps, Kept, LiveParts
from resources.ownership import Ownership
from resources.shard_worker import Drained, Models, ShardWorker
from resources.store import Store
from resources.stream import Checkpoint, Lines, Shard, Standing, Streams, StreamUnreachable, shard_of


class ShardsFailed(ResourceError):
    """Some shards could not be read to the end; the others were."""


class Follower:
    """Streams and store together.

    Args:
        streams: of the server.
        store: where parts go.
        config: how to read.
    """

    def __init__(self, streams: Streams, store: Store, config: AgentConfig) -> None:
        self._streams, self._parts, self._config = streams, LiveParts(store), config

    async def look(self) -> tuple[list[Standing], int]:
        """How every shard stands, and what time it is by the server's clock, ms since 1970 UTC."""
        shards = (Shard(number, self._config.shards) for number in range(self._config.shards))
        return [await self._streams.standing(shard) for shard in shards], await self._streams.server_ms()

    async def drain(
        self, until: Mapping[int, str], models: Models, threshold: float, live: LiveConfig, *, name: str
    ) -> dict[int, Drained | None]:
        """Reads shards up to an entry each; one that somebody else owns is left to them, and one's error is its own.

        Args:
            until: id of the last entry to read, by shard.
            models: what answers.
            threshold: a confidence below it is a reason for review.
            live: bounds of order and time.
            name: of the owner meanwhile.

        Returns:
            What came of each shard; None of one that was left.

        Raises:
            ShardsFailed: if any ended with an error, once all were tried.
        """
        found: dict[int, Drained | None] = {}
        troubles: dict[int, ResourceError | PipelineError] = {}
        for number, entry in sorted(until.items()):
            shard = Shard(number, self._config.shards)
            try:
                found[number] = await self._drained(shard, entry, models, threshold, live, name)
            except (ResourceError, PipelineError) as error:
                troubles[number] = error
        if troubles:
            words = "; ".join(f"shard {number}: {type(error).__name__}: {error}" for number, error in troubles.items())
            raise ShardsFailed(words) from next(iter(troubles.values()))
        return found

    async def _drained(
        self, shard: Shard, entry: str, models: Models, threshold: float, live: LiveConfig, name: str
    ) -> Drained | None:
        ownership = Ownership(self._streams.client, self._config, name)
        token = await ownership.take(shard)
        if token is None:
            return None
        is_done, metrics = asyncio.Event(), LiveMetrics()
        renewing = asyncio.create_task(self._renew(ownership, shard, is_done))
        try:
            worker = ShardWorker(shard, token, self._streams, models, threshold, metrics, self._config, live)
            return await worker.drain(entry)
        finally:
            is_done.set()
            await renewing
            await ownership.give_back(shard)
            await run_counts.add(self._streams.client, metrics)

    async def _renew(self, ownership: Ownership, shard: Shard, is_done: asyncio.Event) -> None:
        """Told of its end, not cancelled: until Python 3.12 a wait may swallow that, and go on for ever.

        A lease that was lost needs no more: the next commit is refused.
        """
        with suppress(StreamUnreachable):  # the worker hears of it too, and says so
            while not is_done.is_set() and await ownership.renew(shard):
                with suppress(TimeoutError):
                    await asyncio.wait_for(is_done.wait(), self._config.renew_ms / 1000)

    async def keep(self, count: int) -> Kept:
        """Keeps the signals that are new.

        Args:
            count: at most so many.
        """
        upto = self._parts.recorded()
        return self._parts.keep(await self._streams.told(Checkpoint(upto.entry, upto.rank), count))

    async def lines(self, match_id: str, stamps: EndStamps) -> Lines:
        """The events of a match that is over, as far as its stream has them."""
        shard = shard_of(match_id, self._config.shards)
        return await self._streams.lines(shard, match_id, stamps.first, stamps.last)
