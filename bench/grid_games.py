"""A GRID series of several games, each of them the one of a given series once more.

Belongs here: making the longer series whose memory is measured. Does not belong here: how that is measured
(`bench.ingest`).
"""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

_CLOCK = re.compile(rb'"occurredAt":"([^"]+)"')
_SEQUENCE = re.compile(rb'"sequenceNumber":(\d+)')
_EVENT_ID = re.compile(rb'("id":"[^"]+)(?=","includesFullState")')
_REVERTED = re.compile(rb'("revertedEventId":"[^"]+)(?=")')


def games(lines: Sequence[bytes], times: int) -> Iterator[bytes]:
    """The lines of a series of so many games, a day apart. Its states show the games before as finished.

    Args:
        lines: of a series of one game, compact JSON.
        times: how many games.
    """
    name = next(game for game in map(_game, lines) if game is not None).encode()
    finished = b""
    for game in range(times):
        own = b"%s-%d" % (name, game)
        opening = re.compile(rb'(\{"id":"%s"(?:,"statePath":\[[^]]*\])?,"sequenceNumber":)1\b' % own)
        numbered = rb"\g<1>%d" % (game + 1)
        for place, line in enumerate(lines, 1 + game * len(lines)):
            envelope, events, rest = line.partition(b'"events":')
            envelope = _SEQUENCE.sub(b'"sequenceNumber":%d' % place, envelope, count=1)
            if (clock := _CLOCK.search(envelope)) is not None:
                envelope = envelope.replace(clock[1], _later(clock[1], game), 1)
            rest = opening.sub(numbered, rest.replace(name, own))
            for ids in (_EVENT_ID, _REVERTED):
                rest = ids.sub(rb"\g<1>-%d" % game, rest)
            yield (
                envelope
                + events
                + rest.replace(b'"games":[{"id":"%s","s' % own, b'"games":[%s{"id":"%s","s' % (finished, own))
            )
        finished += b'{"id":"%s","sequenceNumber":%d,"started":true,"finished":true},' % (own, game + 1)


def _game(line: bytes) -> str | None:
    """The game that a line shows."""
    states = (event.get("seriesState") or {} for event in json.loads(line)["events"])
    return next((str(game["id"]) for state in states for game in state.get("games", ())), None)


def _later(clock: bytes, days: int) -> bytes:
    at = datetime.fromisoformat(clock.decode()) + timedelta(days=days)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()
