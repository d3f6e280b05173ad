"""Whatever is done to a log: it is read or refused with one error, and no event gets lost between the two."""

import json

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.events.reader import UnusableLog

BUCKETS = ("converted", "merged", "reverted", "duplicate", "quarantined")
SETTINGS = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

SPANS = st.tuples(st.floats(0, 1), st.integers(1, 60))
CUT = st.tuples(st.just("cut"), SPANS, st.just(b""))
PUT = st.tuples(st.just("put"), SPANS, st.binary(max_size=12))
COPY = st.tuples(st.just("copy"), SPANS, st.just(b""))
WORDS = st.sampled_from(
    [b"NaN", b"1e999", b"-1", b"null", b"[]", b"{}", b'""', b"\n", b"}\n{", b'"!', b"\xff", b"9" * 25]
)
WRITE = st.tuples(st.just("put"), SPANS, WORDS)
EDITS = st.lists(st.one_of(CUT, PUT, COPY, WRITE), min_size=1, max_size=6)


def _nested(depth):
    return json.loads("[" * depth + "]" * depth)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.sampled_from([10**400, -(10**400)]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
)
VALUES = st.one_of(
    st.recursive(
        SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    st.sampled_from([50, 300]).map(_nested),
)


def _edit(data, edits):
    for action, (where, length), text in edits:
        at = int(where * len(data))
        if action == "cut":
            data = data[:at] + data[at + length :]
        elif action == "put":
            data = data[:at] + text + data[at + len(text) :]
        else:
            line = data.rfind(b"\n", 0, at) + 1
            end = data.find(b"\n", at) + 1 or len(data)
            data = data[:end] + data[line:end] + data[end:]
    return data


def _replace(value, where, new):
    """The value with whatever stands at a place, given as numbers that choose a branch at each level, replaced."""
    if not where or not isinstance(value, dict | list) or not value:
        return new
    keys = sorted(value) if isinstance(value, dict) else range(len(value))
    key = keys[where[0] % len(keys)]
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[key] = _replace(value[key], where[1:], new)
    return changed


def _check(read, lines):
    try:
        reading = read(lines)
    except UnusableLog:
        return
    row = reading.log.to_dicts()[0]
    assert row["source_events"] == sum(row[name] for name in BUCKETS)
    events = pl.concat([tables.events.read() for tables in reading.matches.values()])
    assert events.height == row["converted"] + row["derived_positions"]
    assert reading.quarantine.read().height >= row["quarantined"]
    tracks = sum(tables.tracks.read().height for tables in reading.matches.values())
    assert tracks == (events["event_type"] == "POSITION_UPDATE").sum()


@pytest.fixture
def grid_lines(feed):
    spawn = {"11": (0.0, 0.0), "21": (900.0, 40.0)}
    feed.start(at=spawn)
    wrong = feed.event("player-killed-player", "11", "21", state=feed.state({"11": (5.0, 5.0)}))
    feed.add(20, wrong)
    feed.add(20, feed.event("grid-invalidated-series", "grid", "77"))
    feed.add(20, feed.event("player-!killed-player", "11", "21", reverts=wrong["id"]))
    feed.add(20, feed.event("grid-validated-series", "grid", "77"))
    feed.add(22, feed.event("player-damaged-player", "21", "11", target_delta={"damageTaken": 9}))
    feed.add(23, feed.event("player-completed-plantBomb", "11", "plantBomb", state=feed.state(spawn)))
    feed.end_round(30, 1, "1", shown=feed.state(spawn))
    feed.add(31, feed.event("series-ended-game", "77", "g1"))
    return feed.lines


@SETTINGS
@given(edits=EDITS)
def test_any_damage_to_the_bytes_of_a_canonical_log_conserves(read, match, edits):
    _check(read, [_edit(b"\n".join(json.dumps(wire).encode() for wire in match), edits)])


@SETTINGS
@given(edits=EDITS)
def test_any_damage_to_the_bytes_of_a_grid_log_conserves(read, grid_lines, edits):
    _check(read, [_edit(b"\n".join(json.dumps(line).encode() for line in grid_lines), edits)])


@SETTINGS
@given(line=st.integers(0, 1000), where=st.lists(st.integers(0, 20), min_size=1, max_size=3), value=VALUES)
def test_any_value_anywhere_in_a_canonical_log_conserves(read, match, line, where, value):
    lines = list(match)
    lines[line % len(lines)] = _replace(lines[line % len(lines)], where, value)
    _check(read, lines)


@SETTINGS
@given(line=st.integers(0, 1000), where=st.lists(st.integers(0, 20), min_size=1, max_size=9), value=VALUES)
def test_any_value_anywhere_in_a_grid_log_conserves(read, grid_lines, line, where, value):
    lines = list(grid_lines)
    lines[line % len(lines)] = _replace(lines[line % len(lines)], where, value)
    _check(read, lines)


@SETTINGS
@given(order=st.randoms(use_true_random=False), doubled=st.lists(st.integers(0, 100), max_size=4))
def test_order_and_repetition_of_grid_lines_change_no_event(read, grid_lines, order, doubled):
    expected = read(grid_lines).matches["77-1"]
    lines = [*grid_lines, *(grid_lines[n % len(grid_lines)] for n in doubled)]
    order.shuffle(lines)
    reading = read(lines)
    assert reading.matches["77-1"].events.read().drop("source_line").equals(expected.events.read().drop("source_line"))
    assert reading.matches["77-1"].tracks.read().equals(expected.tracks.read())
    _check(read, lines)
