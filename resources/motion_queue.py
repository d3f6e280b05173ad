"""Motion of running matches on the server of the streams: what asks for it, what is told of it, what is counted.

Belongs here: the ledger by which each segment's clip is told and counted once, and the figures of all runs together.
Does not belong here: what is wished for (`pipeline.live.motion`), how a clip is made (`clips`), the page that shows the
figures (`motion_figures`).

Runs are many and short, and may be done again; so what they count stands on the server, written by the script that
tells of the clip, under the segment's name: a run that does again what another one did tells nothing
and counts nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import redis.asyncio as redis
from redis.exceptions import RedisError

from configs.live import AgentConfig
from pipeline.live.motion import Wish
from pipeline.live.signals import Signal, from_json, to_json
from resources.stream import (
    KEYS,
    SIGNALS,
    START,
    Checkpoint,
    Shard,
    Streams,
    StreamUnreachable,
    Told,
    asked,
    milliseconds,
)

FIGURES = f"{KEYS}:motion"
"""Hash of whole numbers; a field is `name` or `name:label:label`."""
BUCKETS_S = (2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0)
"""Of the time from a segment's end to its clip: a tick, the start of a run, and its turn in the queue."""

_ONCE = """
local is_new = redis.call('SADD', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if is_new == 0 then return 0 end
if ARGV[4] ~= '' then
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', 'signal', ARGV[4], 'stamps', ARGV[5])
end
for place = 6, #ARGV, 2 do redis.call('HINCRBY', KEYS[3], ARGV[place], ARGV[place + 1]) end
return 1
"""


class Final(NamedTuple):
    """A segment that has ended, as its stream tells it.

    Attributes:
        signal: the signal.
        entry: of the stream of signals, where it stands; names when it was added, by the server's clock.
        shard: number of the shard of its match.
    """

    signal: Signal
    entry: str
    shard: int


class MotionQueue:
    """The streams as the runs of the queue use them.

    Args:
        streams: of the server.
        config: sizes of streams.
    """

    def __init__(self, streams: Streams, config: AgentConfig) -> None:
        self._streams, self._config = streams, config
        self._once = streams.client.register_script(_ONCE)

    @property
    def client(self) -> "redis.Redis":
        """Of the server."""
        return self._streams.client

    async def news(self, after: Checkpoint | None, count: int) -> tuple[Told, int]:
        """The signals behind a checkpoint, or all if there is none, at most so many; the server's clock in ms."""
        return await self._streams.told(after, count), await self._streams.server_ms()

    def is_forgotten(self, entry: str, server_ms: int) -> bool:
        """Whether a segment ended so long ago that the ledger may have forgotten what was told of it.

        Args:
            entry: of its `final`.
            server_ms: what time it is, by the server's clock.
        """
        return server_ms - milliseconds(entry) >= self._config.ended_keep_ms

    async def remembered(self, entries: Sequence[str]) -> list[str]:
        """Those of entries that the ledger has not forgotten."""
        server_ms = await self._streams.server_ms()
        return [entry for entry in entries if not self.is_forgotten(entry, server_ms)]

    async def finals(self, entries: Sequence[str]) -> list[Final]:
        """The `final` signals at entries of their stream; those that it has no more are left out."""
        pipe = self._streams.client.pipeline(transaction=False)
        for entry in entries:
            pipe.xrange(SIGNALS, min=entry, max=entry)
        found = []
        for told in await asked(pipe.execute()):
            for name, fields in told:
                signal, stamps = from_json(fields[b"signal"]), msgspec.json.decode(fields[b"stamps"])
                if isinstance(signal, Signal) and signal.kind == "final":
                    found.append(Final(signal, name.decode(), stamps["shard"]))
        return found

    async def lines(self, match_id: str, shard: int) -> list[bytes]:
        """The events of a match that counted, as far as they have come and its stream has them."""
        place = Shard(shard, self._config.shards)
        state = await self._streams.state(place, match_id)
        first = state.get(b"first", START.encode()).decode()
        return (await self._streams.lines(place, match_id, first, "+")).counted

    async def tell(self, final: Final, clip: Signal | None, figures: Mapping[str, int]) -> bool:
        """Tells that the motion of a segment can be seen and counts it; whether nobody had done so before.

        Nothing is told of a segment that ended longer ago than the ledger remembers.

        Args:
            final: the segment.
            clip: the signal; None if there is nothing to see.
            figures: what is counted.
        """
        final_ms, sent_ms = milliseconds(final.entry), await self._streams.server_ms()
        if self.is_forgotten(final.entry, sent_ms):
            return False
        stamps = {"final_ms": final_ms, "sent_ms": sent_ms, "shard": final.shard}
        words = [b"", b""] if clip is None else [to_json(clip), msgspec.json.encode(stamps)]
        counted = {**figures, **({} if clip is None else _latency(max(0, sent_ms - final_ms)))}
        shard = Shard(final.shard, self._config.shards)
        about = self._about(shard, final.signal.match_id, final.signal.segment_id, words, counted)
        return bool(await self._asked(self._once(**about)))

    async def shed(self, segments: Iterable[Wish | Signal], why: str) -> None:
        """Counts segments whose wish nobody fulfils any more, each once.

        Their names in the ledger are not those of clips: what is made after all is told, and counted as made.
        """
        pipe = self._streams.client.pipeline(transaction=False)
        for segment in segments:
            about = self._about(None, segment.match_id, f"{segment.segment_id} shed", [b"", b""], {f"shed:{why}": 1})
            await self._once(**about, client=pipe)
        if len(pipe):
            await self._asked(pipe.execute())

    async def figures(self) -> dict[str, int]:
        """All that was counted so far."""
        found: dict[bytes, bytes] = await asked(self._streams.client.hgetall(FIGURES))
        return {name.decode(): int(value) for name, value in sorted(found.items())}

    def _about(
        self, shard: Shard | None, match_id: str, name: str, words: Sequence[bytes], figures: Mapping[str, int]
    ) -> dict[str, Any]:
        ledger = f"{FIGURES}:{match_id}" if shard is None else shard.key(f"clips:{match_id}")
        args: list[Any] = [name, self._config.ended_keep_ms, self._config.output_entries, *words]
        for field, value in figures.items():
            args += [field, value]
        return {"keys": [ledger, SIGNALS, FIGURES], "args": args}

    @staticmethod
    async def _asked(answer: Any) -> Any:
        try:
            return await answer
        except (RedisError, OSError) as error:
            raise StreamUnreachable(f"{type(error).__name__}: {error}") from error


def _latency(took_ms: int) -> dict[str, int]:
    """One more observation of a histogram; each bucket counts what is at most its bound and above the one before."""
    bucket = next((str(bound) for bound in BUCKETS_S if took_ms <= bound * 1000), "+Inf")
    return {f"latency_bucket:{bucket}": 1, "latency_ms": took_ms}
