"""A recorded log fed into the streams of running matches, as if it happened now.

Belongs here: the times at which events are sent, and what is done to them on the way. Does not belong here: reading a
log (`pipeline.events`), the streams (`stream`).
"""

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from configs.events import load_events
from pipeline.events.lines import read_lines
from pipeline.events.reader import detect, read_log
from pipeline.events.rewriting import canonical_lines
from pipeline.live.arrivals import together
from resources.stream import Streams

_AT_ONCE = 1000  # events of one round trip

Sent = tuple[int, str, bytes]
"""Match time in ms, match id, line."""


def recorded(path: Path) -> list[Sent]:
    """The events of a log of any format as lines of the stream, in the order in which they are sent.

    A canonical log is sent line by line as it is, what can't be read included; of any other the events that stand.

    Raises:
        UnusableLog: if not one event of it can be used.
    """
    if detect(path, load_events()) == "canonical":
        return list(_lines(path))
    sent = []
    for match_id, reading in read_log(path, log_id="replay").matches.items():
        events = together(reading.events.read(), reading.tracks.read())
        sent += [(t_ms, match_id, line) for t_ms, line in canonical_lines(events)]
    return sorted(sent, key=lambda event: event[0])


def _lines(path: Path) -> Iterator[Sent]:
    """A line without a time that can be read is sent together with the one before it."""
    t_ms, match_id = 0, "unreadable"
    for line in read_lines(path, load_events().lines):
        try:
            wire = msgspec.json.decode(line.data)
            match_id, t_ms = str(wire["match_id"]), round(wire["payload"]["ts"] * 1000)
        except (msgspec.MsgspecError, ValueError, TypeError, KeyError, RecursionError):
            pass
        yield t_ms, match_id, line.data


def spoiled(
    sent: Sequence[Sent], *, shuffle_ms: int = 0, duplicate: float = 0.0, drop: float = 0.0, seed: int = 0
) -> list[Sent]:
    """The events as a bad network delivers them.

    Args:
        sent: events in order; their times become those of their coming.
        shuffle_ms: each comes up to so much later than its time.
        duplicate: share of events that come once more.
        drop: share of events that never come.
        seed: of all chance.
    """
    dice = random.Random(seed)  # noqa: S311  # a test bench
    comes = []
    for t_ms, match_id, line in sent:
        if dice.random() < drop:
            continue
        for _ in range(1 + (dice.random() < duplicate)):
            comes.append((t_ms + dice.randrange(shuffle_ms + 1), match_id, line))
    return sorted(comes, key=lambda event: event[0])


async def replay(streams: Streams, sent: Sequence[Sent], *, shards: int, speed: float | None) -> int:
    """Sends events with the gaps between them.

    Args:
        streams: where to.
        sent: in the order of their times.
        shards: how many streams there are.
        speed: how many times as fast as it was; None for as fast as possible.

    Returns:
        How many were sent.
    """
    begin, first, place = time.monotonic(), sent[0][0] if sent else 0, 0
    while place < len(sent):
        end = min(len(sent), place + _AT_ONCE)
        if speed is not None:
            due_ms = first + (time.monotonic() - begin) * 1000 * speed
            end = next((n for n in range(place, end) if sent[n][0] > due_ms), end)
            if end == place:
                await asyncio.sleep((sent[place][0] - due_ms) / 1000 / speed)
                continue
        await streams.add(((match_id, line) for _, match_id, line in sent[place:end]), shards)
        place = end
    return len(sent)
