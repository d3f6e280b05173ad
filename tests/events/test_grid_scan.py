"""The quick reading of GRID lines gives what the careful one gives, whatever the lines are."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from configs.events import load_events
from pipeline.events.lines import lines_of
from pipeline.events.reader import UnusableLog
from pipeline.events.sources import grid, grid_scan_kernel
from pipeline.events.sources.fields import instant_us
from pipeline.events.sources.simulator import simulate

SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SPAWN = {"11": (0.0, 0.0), "12": (10.0, 0.0), "21": (1000.0, 500.0)}


class _Careful(grid.Scanner):
    """Leaves every line to the careful reader."""

    def read(self, block):
        for line in lines_of(block):
            self._careful(line)


@pytest.fixture
def both(read, monkeypatch):
    """Reads lines both ways, holds the tables against each other, and tells how many the quick way left."""

    def read_both(lines, **options):
        left = []
        take = grid._take_carefully
        monkeypatch.setattr(grid, "_take_carefully", lambda line, *rest: (left.append(line), take(line, *rest)))
        quick = _tables(read, lines, **options)
        count = len(left)
        monkeypatch.setattr(grid, "Scanner", _Careful)
        careful = _tables(read, lines, **options)
        monkeypatch.undo()
        assert quick.keys() == careful.keys()
        for name, table in quick.items():
            same = table.equals(careful[name]) if isinstance(table, pl.DataFrame) else table == careful[name]
            assert same, name
        return count, quick

    return read_both


def _tables(read, lines, **options):
    try:
        reading = read(lines, **options)
    except UnusableLog as error:
        return {"refused": str(error)}
    tables = {"log": reading.log, "quarantine": reading.quarantine.read()}
    for match_id, match in reading.matches.items():
        tables |= {f"{match_id} rounds": match.rounds, f"{match_id} match": match.match.drop("log_blake3")}
        tables |= {f"{match_id} events": match.events.read(), f"{match_id} tracks": match.tracks.read()}
    return tables


@pytest.fixture(scope="session")
def simulated():
    """The lines of short logs in the three forms, from where positions are told."""
    match = simulate(rounds=2, seed=6)
    return [list(match.grid_lines(full_every=n))[:90] for n in (1, 0, 4)]


def test_a_usual_log_is_read_the_quick_way_throughout(both, simulated):
    for lines in simulated:
        left, tables = both(lines)
        assert left == 0 and tables["log"]["quarantined"].item() == 0
    assert tables[next(name for name in tables if "tracks" in name)].height > 100


VALUES = (
    "null", "true", "0", "-0.0", "1e2", "1E400", '""', '"x"', "[]", "{}", "[null]", '[{"id":"bomb"}]',
    "9007199254740993", '{"x":1.5,"y":2}', '{"x":1.5,"y":null,"z":3}', "0.1234567890123456", "01", "1.", "-", "NaN",
    '"\\ud83d"', '"é"',
)  # fmt: skip
NAMES = ("position", "alive", "currentHealth", "items", "id", "x", "games", "teams", "players", "segments", "valid",
         "title", "score", "won", "seriesState", "events", "stateDelta", "sequenceNumber", "occurredAt")  # fmt: skip
PLACE = st.floats(0, 0.999)
CHANGES = st.one_of(
    st.tuples(st.just("set"), PLACE, st.sampled_from(NAMES), st.sampled_from(VALUES)),
    st.tuples(st.just("again"), PLACE, st.sampled_from(NAMES), st.sampled_from(VALUES)),
    st.tuples(st.just("byte"), PLACE, st.integers(0, 255), st.none()),
    st.tuples(st.just("cut"), PLACE, st.integers(1, 30), st.none()),
    st.tuples(st.just("repeat"), PLACE, st.integers(1, 300), st.none()),
)


def _changed(line, change):
    kind, place, what, value = change
    at = int(place * len(line))
    if kind in ("set", "again"):
        key = f'"{what}":'.encode()
        at = line.find(key, at)
        if at < 0:
            return line
        if kind == "again":
            return line[:at] + key + value.encode() + b"," + line[at:]
        end = next((n for n in range(at + len(key), len(line)) if line[n : n + 1] in b",}]"), len(line))
        return line[: at + len(key)] + value.encode() + line[end:]
    if kind == "byte":
        return line[:at] + bytes([what]) + line[at + 1 :]
    if kind == "cut":
        return line[:at] + line[at + what :]
    return line[: at + what] + line[at:]


@SETTINGS
@given(
    form=st.integers(0, 2), first=st.integers(0, 80), count=st.integers(2, 8),
    changes=st.lists(st.tuples(st.integers(0, 7), CHANGES), min_size=1, max_size=4),
)  # fmt: skip
@example(form=0, first=60, count=4, changes=[(1, ("set", 0.5, "x", "1e2"))])
@example(form=0, first=60, count=4, changes=[(1, ("byte", 0.5, 0, None))])
def test_damaged_lines_are_read_alike_both_ways(both, simulated, form, first, count, changes):
    lines = [line.encode() for line in simulated[form][first : first + count]]
    for number, change in changes:
        place = number % len(lines)
        lines[place] = _changed(lines[place], change).replace(b"\n", b" ")
    both(lines)


def _sampled(feed, second, **state):
    feed.add(second, feed.event("grid-sampled-series", "grid", "77", state=feed.state(**state)))


def test_whatever_changes_from_state_to_state_is_read(both, feed):
    feed.start(at=SPAWN)
    for second, state in enumerate(
        (
            {"at": {"11": (1.5, -2.25)}},
            {"at": {"11": (-1234.56789, 7.0)}, "bomb": "12"},
            {"at": {"11": None, "12": (0.0, 0.0)}, "bomb": "11"},
            {"at": SPAWN, "dead": ["21"], "generation": "val"},
            {"at": SPAWN, "scores": (1, 10), "rounds": [{"id": "round-1", "sequenceNumber": 1, "teams": []}]},
            {"at": SPAWN, "title": "val"},
            {"at": SPAWN, "valid": False},
            {"at": {"11": (5.0, 5.0)}},
        ),
        20,
    ):
        _sampled(feed, second, **state)
    left, tables = both([json.dumps(line, separators=(",", ":")) for line in feed.lines])
    assert left == 0
    assert {20_000, 21_000, 27_000} <= set(tables["77-1 tracks"]["t_ms"].to_list())
    assert 26_000 not in tables["77-1 tracks"]["t_ms"].to_list()


def test_states_of_several_games_are_told_apart(both, feed):
    feed.start(0, at=SPAWN)
    feed.start(100, game="g2", number=2, at=SPAWN)
    for second in range(120, 124):
        shown = feed.state({"11": (float(second), 1.0)}, game="g2", number=2)
        over = feed.state({"11": (9e3, 9e3)})["games"][0] | {"finished": True}
        shown["games"] = [over, *shown["games"]]
        feed.add(second, feed.event("grid-sampled-series", "grid", "77", state=shown, game="g2"))
    left, tables = both(feed.lines)
    assert left == 0 and tables["77-2 tracks"]["x_mm"].max() < 20_000


@pytest.mark.parametrize(
    "old, new",
    [
        ('"alive": true', '"alive": true, "alive": false'),
        ('"alive": true', '"\\u0061live": true'),
        ('"alive": true', '"alive": 1'),
        ('"position": {"x": 0.0', '"position": {"x": 1.234567890123456789'),
        ('"position": {"x": 0.0', '"position": {"x": 12e-1'),
        ('"currentHealth": 87', '"currentHealth": 087'),
        ('"name": "P11"', '"name": "P\\ud800"'),
        ('"id": "11"', '"id": null'),
        ('"id": "knife"', '"id": 5.5'),
        ('"seriesId"', '"seriesId": "78", "seriesId"'),
        ('"events"', '"\\u0065vents": [], "events"'),
        ('"seriesState"', '"seriesState": null, "seriesState"'),
        ('"sequenceNumber": 5', '"sequenceNumber": 5.0'),
        ('"occurredAt": "2026-01-01T12:00:20.000Z"', '"occurredAt": "2026-01-01T12:00:20+00:00"'),
        ('"occurredAt": "2026-01-01T12:00:20.000Z"', '"occurredAt": "2026-02-30T12:00:20.000Z"'),
    ],
)
def test_an_unusual_line_is_read_alike_both_ways(both, feed, old, new):
    feed.start(at=SPAWN)
    _sampled(feed, 20, at=SPAWN)
    _sampled(feed, 21, at=SPAWN)
    lines = [json.dumps(line) for line in feed.lines]
    assert old in lines[4]
    lines[4] = lines[4].replace(old, new, 1)
    both(lines)


@SETTINGS
@given(st.integers(-(10**18) + 1, 10**18 - 1), st.integers(0, 18))
@example(9_007_199_254_740_993, 1)
@example(-5_000_000_000_000_000_05, 2)
def test_a_decimal_becomes_the_double_nearest_to_it(digits, behind):
    text = f"{abs(digits):0{behind + 1}d}"
    text = ("-" if digits < 0 else "") + (f"{text[:-behind]}.{text[-behind:]}" if behind else text)
    value, known = grid_scan_kernel.number(np.frombuffer(text.encode(), np.uint8), 0, len(text))
    assert not known or value == float(text)
    assert known or abs(digits) >= 10**17 or (behind == 0 and abs(digits) >= 2**53)


@SETTINGS
@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31)))
@example(datetime(2000, 2, 29))
@example(datetime(1900, 3, 1))
def test_an_instant_is_the_same_as_the_careful_reader_s(at):
    text = at.replace(tzinfo=UTC, microsecond=0).isoformat(timespec="milliseconds").replace("+00:00", "Z").zfill(24)
    assert grid_scan_kernel.instant_us(np.frombuffer(text.encode(), np.uint8), 0, 24) == instant_us(text, "")


@pytest.mark.parametrize(
    "text",
    ["2026-02-29T00:00:00.000Z", "2026-13-01T00:00:00.000Z", "2026-01-01T24:00:00.000Z", "2026-01-01T00:00:60.000Z",
     "0001-12-31T23:59:59.999Z", "9999-01-01T00:00:00.000Z", "2026-01-01T00:00:00.00xZ", "2026-01-01 00:00:00.000Z",
     "2026-01-01T00:00:00Z"],
)  # fmt: skip
def test_an_instant_that_is_none_or_unusual_is_left(text):
    found = grid_scan_kernel.instant_us(np.frombuffer(text.encode(), np.uint8), 0, len(text))
    assert found == grid_scan_kernel.NO_CLOCK


@pytest.mark.slow
def test_no_index_leaves_its_array(tmp_path):
    """The same damage again, in a process that checks every index."""
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    test = f"{Path(__file__)}::test_damaged_lines_are_read_alike_both_ways"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert run.returncode == 0, run.stdout


def test_clocks_of_a_feed_survive_a_new_year(both, feed):
    feed.start(at=SPAWN)
    start = datetime(2027, 12, 31, 23, 59, 50, tzinfo=UTC)
    for second, line in enumerate(feed.lines):
        at = start + timedelta(seconds=10 * second)
        line["occurredAt"] = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    left, tables = both(feed.lines)
    assert left == 0 and tables["77-1 rounds"]["live_ms"].item() == 30_000


DRIFT = {
    "currentHealth": (100, 9, 10, None, 0, 87.5, 1e3, -3), "currentArmor": (50, None, 7, 100, 0),
    "alive": (True, False, None, True),
    "position": ({"x": 1.5, "y": -2}, {"x": 10, "y": 20.25}, None, {"x": None, "y": 3.0}),
    "money": (150, 16_000, 0), "items": ([{"id": "bomb"}], [], [{"id": "knife"}, {"id": "bomb"}]),
}  # fmt: skip


@SETTINGS
@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(DRIFT)), st.integers(0, 3), st.integers(0, 7), st.booleans()), max_size=40
    )
)
def test_a_state_may_differ_more_and_more_from_the_one_that_it_is_held_against(both, feed, steps):
    feed = type(feed)()
    feed.start(at=SPAWN)
    shown = feed.state(at=SPAWN)
    for second, (name, player, choice, scores) in enumerate(steps, 20):
        team = shown["games"][0]["teams"][player // 2]
        team["players"][player % 2][name] = DRIFT[name][choice % len(DRIFT[name])]
        team["score"] += scores
        feed.add(second, feed.event("grid-sampled-series", "grid", "77", state=json.loads(json.dumps(shown))))
    left, _ = both(feed.lines)
    assert left == 0


def test_what_comes_again_in_another_block_is_a_duplicate(both, feed):
    feed.start(at=SPAWN)
    for second in range(20, 60):
        _sampled(feed, second, at={"11": (float(second), 0.0)})
    small = load_events().lines.model_copy(update={"chunk_bytes": 4096})
    again = {**feed.lines[30], "sequenceNumber": 1000}  # its events under another number
    lines = [*feed.lines, *feed.lines[10:14], again, {**again, "sequenceNumber": "1001", "events": []}]
    left, tables = both(lines, config=load_events().model_copy(update={"lines": small}))
    assert left == 0 and tables["log"]["duplicate"].item() == 5
    assert tables["77-1 tracks"].height == tables["77-1 tracks"].unique("seq").height > 40


def test_what_is_left_to_the_careful_reader_takes_its_place_among_the_rest(both, feed):
    feed.start(at=SPAWN)
    for second in range(20, 40):
        _sampled(feed, second, at={"11": (float(second), 0.0)})
    lines = [json.dumps(line) for line in feed.lines]
    lines[8] = lines[8].replace('"alive": true', '"\\u0061live": false', 1)  # an escaped name is unusual
    lines.insert(12, lines[11])
    left, tables = both(lines)
    assert left == 1 and tables["log"]["duplicate"].item() == 1 and tables["log"]["quarantined"].item() == 0


OWN = {"id": "11", "teamId": "1", "game": {"id": "11", "name": "P11", "position": {"x": 3.5, "y": 4.5}, "alive": True}}


def _hit(feed, *, told, state=None):
    """A hit of which both players tell their own states."""
    hit = feed.event("player-damaged-player", "11", "21", state=state, actor_delta={"damageDealt": 5})
    for side in ("actor", "target"):
        hit[side]["state"] = told
    return hit


@pytest.mark.parametrize(
    "old, new, left",
    [
        ('"x": 3.5', '"x": 4.5', 0),
        ('"alive": true}}', '"alive": trve}}', 1),
        ('"alive": true}}', '"alive": true, "more": ' + "[" * 50 + "]" * 50 + "}}", 1),
        ('{"type": "player", "id": "11", ', '{"id": "11", ', 0),
        ('{"type": "player", "id": "11", ', '{"type": "game", "id": "11", ', 0),
        ('{"type": "player", "id": "11", ', '{"type": "player", "type": "game", "id": "11", ', 1),
        ('"state": {"id": "11"', '"state": 1, "state": {"id": "11"', 1),
        ('"state": {"id": "11"', '"state": {}, "rest": {"id": "11"', 0),
        ('"state": {"id": "11"', '"\\u0073tate": {"id": "11"', 1),
    ],
)
def test_what_players_tell_of_themselves_counts_only_without_a_state(both, feed, old, new, left):
    feed.start(at=SPAWN)
    shown = feed.state(at=SPAWN)
    feed.add(20, _hit(feed, told=OWN, state=shown))
    feed.add(21, _hit(feed, told=OWN, state=shown), _hit(feed, told=OWN))
    feed.add(22, _hit(feed, told=OWN), _hit(feed, told=OWN, state=shown))
    feed.add(23, _hit(feed, told=OWN))
    feed.add(24, _hit(feed, told={}, state=shown))
    feed.add(25, feed.event("game-set-clock", "g1", "clock", state=shown))
    usual = [json.dumps(line) for line in feed.lines]
    found, tables = both(usual)
    assert found == 0 and (tables["77-1 events"]["x_mm"] == 67).any()  # 3.5 units, told by hits without a state
    for place in range(4, 8):
        lines = list(usual)
        assert old in lines[place]
        lines[place] = lines[place].replace(old, new, 1)
        assert both(lines)[0] == left
