"""What late events would have changed, and when a recorded log is sent."""

import asyncio

import pytest

from pipeline.live.closing import changed_by_late, recorded
from resources import replay as module
from resources.replay import replay, spoiled


@pytest.mark.parametrize(("which", "many"), [("simulated", None), ("real", 3000)])
def test_what_late_events_change_is_counted_row_by_row_and_segment_by_segment(request, leaning, which, many):
    match = request.getfixturevalue(which)
    lines = match.lines[:many]
    places = [place for place, line in enumerate(lines) if b'"POSITION_UPDATE"' in line]
    late = set(places[len(places) // 2 : len(places) // 2 + 60 : 3])
    on_time = [line for place, line in enumerate(lines) if place not in late]
    batch, whole = (recorded(match.match_id, part, leaning(), threshold=0.6) for part in (on_time, lines))

    def rows(found):
        return {(row["player"], row["t_ms"]): repr(row) for row in found.features.iter_rows(named=True)}

    one, other = rows(batch), rows(whole)
    differing = sum(one.get(key) != other.get(key) for key in one.keys() | other.keys())
    ids = set(batch.segments["segment_id"]) ^ set(whole.segments["segment_id"])
    assert changed_by_late(batch, whole) == {"rows": differing, "segments": len(ids)} and differing > 0
    assert changed_by_late(whole, whole) == {"rows": 0, "segments": 0}


class Clock:
    """Time that goes on when somebody sleeps, and a little with each look."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        self.now += 1e-6
        return self.now

    async def sleep(self, seconds):
        self.now += seconds


@pytest.mark.parametrize("speed", [1, 10, 2.5, None])
def test_events_are_sent_in_order_with_the_gaps_between_them(monkeypatch, speed):
    clock, came = Clock(), []
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(module.asyncio, "sleep", clock.sleep)
    times = [5000, 5000, 5010, 5900, 9000, 9000, 65_000]
    sent = spoiled([(t_ms, "m", b"%d" % place) for place, t_ms in enumerate(times)])

    class Streams:
        async def add(self, events, shards):
            came.extend((clock.now - 100, line) for _, line in events)

    assert asyncio.run(replay(Streams(), sent, shards=1, speed=speed)) == len(times)
    assert [line for _, line in came] == [b"%d" % place for place in range(len(times))]
    due = [0.0 if speed is None else (t_ms - times[0]) / 1000 / speed for t_ms in times]
    assert [at for at, _ in came] == pytest.approx(due, abs=1e-3)
    assert all(at >= wanted for (at, _), wanted in zip(came, due, strict=True))
