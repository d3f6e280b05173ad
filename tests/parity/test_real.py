"""Six recorded matches: however their events come, the running match gives what the recorded one gives, to the byte."""

import random
from itertools import pairwise

import pytest

from configs.features import load_features
from pipeline.features.carry import Carry, joined
from pipeline.features.match import frame
from pipeline.features.pack import cast_of, pack
from pipeline.live.arrivals import arrivals
from pipeline.live.features import LiveFeatures

MATCHES = ("cs2-am-inferno", "cs2-sf-dust2", "cs2-sf-mirage", "cs2-vf-inferno", "cs2-vf-mirage", "cs2-vf-overpass")
SINGLES = 12_000
"""Events that the fast suite delivers one by one: the first two rounds or so."""


FAST = ("cs2-am-inferno", "cs2-sf-mirage")
"""The longest and the shortest of them; the slow suite takes all six."""


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=[] if name in FAST else [pytest.mark.slow]) for name in MATCHES],
)
def match(request, shared_data, read_streamed):
    return read_streamed(shared_data / "cs2" / f"{request.param}.jsonl.gz")


def test_a_real_match_in_one_call_and_in_random_calls_gives_the_recorded_bytes(match, written):
    assert match.batch.height > 40_000
    dice, events = random.Random(match.match_id), len(match.arrived)
    assert written(match.live()) == match.recorded
    assert written(match.live(sorted(dice.choices(range(events), k=1000)))) == match.recorded


def test_a_real_match_shuffled_and_delivered_twice_gives_the_recorded_bytes(match, shuffled, calls, written):
    dice, order = random.Random(match.match_id), shuffled(match, 1)
    again = ((place + dice.choice((0, 1, 50, 5000)), 1, event) for place, event in enumerate(order))
    both = sorted([*((place, 0, event) for place, event in enumerate(order)), *again])
    arrived, live = arrivals(match.stream[[event for *_, event in both]]), LiveFeatures(match.match_id)
    rows = calls(live, arrived, sorted(dice.choices(range(len(arrived)), k=1000)))
    assert live.counts.accepted == len(order) == live.counts.duplicate + live.counts.late_or_duplicate
    assert written(live.table(*rows, live.finish())) == match.recorded


def test_a_real_match_restored_again_and_again_gives_the_recorded_bytes(match, written):
    dice, live, rows, events = random.Random(match.match_id), LiveFeatures(match.match_id), [], len(match.arrived)
    for begin, end in pairwise((0, *sorted(dice.choices(range(events), k=300)), events)):
        live = LiveFeatures.from_bytes(live.to_bytes())
        rows.append(live.take(match.arrived[begin:end]).rows)
    assert written(live.table(*rows, live.finish())) == match.recorded


def test_the_start_of_a_real_match_event_by_event_gives_the_recorded_bytes(match, written):
    start = match.cut(SINGLES)
    assert start.batch.height > 1000
    assert written(start.live(range(1, SINGLES))) == start.recorded


def test_the_kernel_alone_called_event_by_event_gives_the_recorded_bytes(match, written):
    start = match.cut(SINGLES)
    cast = cast_of(*start.tables)
    batch, carry = pack(cast, *start.tables[1:]), Carry(cast, load_features())
    rows = [carry.advance(batch[place : place + 1]) for place in range(len(batch))]
    rows.append(carry.advance(batch[:0], until_ms=-(-int(batch.t_ms[-1]) // 250) * 250))
    assert written(frame(joined(rows), cast, match.match_id)) == start.recorded


@pytest.mark.slow
def test_a_real_match_event_by_event_gives_the_recorded_bytes(match, written):
    assert written(match.live(range(1, len(match.arrived)))) == match.recorded


@pytest.mark.slow
def test_a_real_match_shuffled_and_event_by_event_gives_the_recorded_bytes(match, shuffled, written):
    order = shuffled(match, 2)
    assert written(match.live(range(1, len(order)), order)) == match.recorded
