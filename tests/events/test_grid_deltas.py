"""States that a GRID feed does not send are rebuilt from its deltas, and nothing is invented."""

import json
from collections import Counter
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from configs.events import load_events
from configs.simulator import load_simulator
from pipeline.events.conservation import Tally
from pipeline.events.sources.grid_deltas import rebuild
from pipeline.events.sources.grid_facts import Scan, scan_line
from pipeline.events.sources.simulator import simulate

SPAWN = {"11": (0.0, 0.0), "12": (10.0, 0.0), "21": (1000.0, 500.0), "22": (1010.0, 500.0)}


@pytest.fixture(scope="module")
def told_whole():
    """A match whose usual form has its state in every round."""
    config = load_simulator()
    grid = config.grid.model_copy(update={"stateless_round": 1000})
    return simulate(rounds=5, seed=3, config=config.model_copy(update={"grid": grid}))


@pytest.mark.parametrize("full_every", [0, 2, 7])
def test_a_log_of_deltas_gives_the_tables_of_the_log_of_states(read, told_whole, full_every):
    states, deltas = (read(told_whole.grid_lines(full_every=n)) for n in (1, full_every))
    (whole,), (rebuilt,) = states.matches.values(), deltas.matches.values()
    assert whole.tracks.read().height > 2000
    assert rebuilt.tracks.read().equals(whole.tracks.read())
    assert rebuilt.events.read().equals(whole.events.read())
    assert rebuilt.rounds.equals(whole.rounds) and whole.rounds["reason"].null_count() == 0
    assert rebuilt.match.drop("log_blake3").equals(whole.match.drop("log_blake3"))
    counts = states.log.drop("blake3", "bytes")
    assert deltas.log.drop("blake3", "bytes").equals(counts) and deltas.quarantine.read().is_empty()


def test_a_log_of_deltas_is_a_tenth_of_the_log_of_states(told_whole):
    states, deltas = (sum(map(len, told_whole.grid_lines(full_every=n))) for n in (1, 0))
    assert deltas < states / 8


def _moved(feed, second, players, **more):
    """A sample without state, whose delta tells what it changed of players."""
    event = feed.event("grid-sampled-series", "grid", "77")
    teams = [
        {"id": team, "players": [{"id": name, **told} for name, told in players.items() if name.startswith(team)]}
        for team in ("1", "2")
    ]
    event["seriesStateDelta"] = {"id": "77", "games": [{"id": "g1", "teams": [t for t in teams if t["players"]]}]}
    event["seriesStateDelta"] |= more
    feed.add(second, event)
    return event


def _rows(read, lines):
    tracks = read(lines).matches["77-1"].tracks.read()
    return tracks.sort("t_ms", "player").select("t_ms", "player", "x_mm", "hp", "armor", "has_bomb").rows()


def _at(rows, player):
    return [(t_ms // 1000, x_mm, hp) for t_ms, name, x_mm, hp, *_ in rows if name == f"player:{player}"]


def test_numbers_are_added_and_a_null_position_is_replaced(read, feed):
    feed.start(at={"11": (100.0, 0.0)})
    _moved(feed, 20, {"11": {"position": {"x": 50.5, "y": 1}, "currentHealth": -20, "currentArmor": -7}})
    _moved(feed, 21, {"21": {"position": {"x": 1000, "y": 0}}, "11": {"position": {"x": -0.5}}})
    _moved(feed, 22, {"11": {"position": None}, "21": {"alive": False}})
    _moved(feed, 23, {"11": {"position": {"x": 1, "y": 1}}, "21": {"alive": True}})
    rows = [row for row in _rows(read, feed.lines) if row[0] >= 20_000]
    assert _at(rows, "11") == [(20, 2_867, 67), (21, 2_858, 67), (23, 19, 67)]
    assert _at(rows, "21") == [(21, 19_050, 87), (23, 19_050, 87)]
    assert {row[4] for row in rows if row[1] == "player:11"} == {43}


def test_a_position_is_carried_on_only_in_a_feed_whose_deltas_tell_positions(read, feed):
    feed.start(at=SPAWN)
    feed.add(20, feed.event("grid-sampled-series", "grid", "77"))
    feed.add(21, feed.event("player-killed-player", "11", "21"))
    assert all(row[0] < 20_000 for row in _rows(read, feed.lines))
    _moved(feed, 22, {"12": {"position": {"x": 1.0}}})
    feed.add(23, feed.event("grid-sampled-series", "grid", "77"))
    rows = [row for row in _rows(read, feed.lines) if row[0] >= 20_000]
    assert sorted({row[0] for row in rows}) == [22_000, 23_000]
    assert _at(rows, "11") == [(22, 0, 87), (23, 0, 87)] and _at(rows, "12") == [(22, 210, 87), (23, 210, 87)]


def test_the_next_whole_state_counts_more_than_what_was_rebuilt(read, feed):
    feed.start(at=SPAWN)
    _moved(feed, 20, {"11": {"position": {"x": 100.0}, "currentHealth": -50}})
    feed.add(21, feed.event("grid-sampled-series", "grid", "77", state=feed.state({"11": (7.0, 0.0)})))
    _moved(feed, 22, {"11": {"position": {"x": 1.0}}})
    rows = [row for row in _rows(read, feed.lines) if row[0] >= 20_000]
    assert _at(rows, "11") == [(20, 1_905, 37), (21, 133, 87), (22, 152, 87)]


def test_what_both_series_and_player_tell_counts_once(read, feed):
    feed.start(at=SPAWN)
    _moved(feed, 19, {"11": {"position": {"x": 1.0}}})
    both = feed.event("player-damaged-player", "11", "21", target_delta={"id": "21", "currentHealth": -30})
    both["seriesStateDelta"] = {
        "id": "77",
        "games": [{"id": "g1", "teams": [{"id": "2", "players": [{"id": "21", "currentHealth": -30}]}]}],
    }
    feed.add(20, both)
    feed.add(21, feed.event("player-damaged-player", "11", "21", target_delta={"id": "21", "currentHealth": -5}))
    rows = [row for row in _rows(read, feed.lines) if row[0] >= 20_000]
    assert [hp for _, _, hp in _at(rows, "21")] == [57, 52]


def test_the_bomb_changes_hands(read, feed):
    feed.start(at=SPAWN, bomb="12")
    gone, come = {"id": "bomb", "statePath": []}, {"id": "bomb", "statePath": [{"id": "bomb"}]}
    _moved(feed, 20, {"11": {"position": {"x": 1.0}}, "12": {"items": [gone]}})
    _moved(feed, 21, {"11": {"items": [{"id": "glock", "statePath": [{"id": "glock"}]}, come]}})
    _moved(feed, 22, {"11": {"inventory": {"items": [gone]}}, "21": {"items": None}})
    carriers = {
        second: {name: bomb for t_ms, name, *_, bomb in _rows(read, feed.lines) if t_ms == 1000 * second}
        for second in (20, 21, 22)
    }
    assert [carriers[20][f"player:{n}"] for n in ("11", "12")] == [False, False]
    assert [carriers[21][f"player:{n}"] for n in ("11", "12")] == [True, False]
    assert [carriers[22][f"player:{n}"] for n in ("11", "12", "21")] == [False, False, None]


def test_an_inverse_event_undoes_what_the_one_before_it_changed(read, feed):
    feed.start(at=SPAWN)
    _moved(feed, 20, {"11": {"position": {"x": 10.0}}})
    wrong = _moved(feed, 21, {"11": {"position": {"x": 500.0}, "currentHealth": -60}})
    _moved(feed, 22, {}, valid=False)
    inverse = _moved(feed, 23, {"11": {"position": {"x": -500.0}, "currentHealth": 60}})
    inverse |= {"type": "grid-!sampled-series", "action": "!sampled", "revertedEventId": wrong["id"]}
    _moved(feed, 24, {"11": {"position": {"x": 1.0}}})
    _moved(feed, 25, {}, valid=True)
    _moved(feed, 26, {"11": {"position": {"x": 1.0}}})
    rows = [row for row in _rows(read, feed.lines) if row[0] >= 20_000]
    assert _at(rows, "11") == [(20, 190, 87), (25, 210, 87), (26, 229, 87)]


def test_a_crowd_that_small_deltas_gather_is_not_believed(read, feed):
    feed.start(at=SPAWN)
    for second in range(20, 320):
        path = [{"id": str(second)}]
        _moved(feed, second, {f"1{second}": {"statePath": path, "position": {"x": second, "y": 0}}})
    gathered = read(feed.lines)
    assert gathered.log["converted"].item() > 300 and gathered.quarantine.read().is_empty()
    latest = gathered.matches["77-1"].tracks.read().group_by("t_ms").len().sort("t_ms")
    assert latest["len"].max() <= 128 and latest["t_ms"].max() < 150_000
    feed.add(330, feed.event("grid-sampled-series", "grid", "77", state=feed.state(SPAWN)))
    assert read(feed.lines).matches["77-1"].tracks.read()["t_ms"].max() == 330_000


def test_what_a_crowd_is_the_limits_say(read, feed):
    feed.start(at=SPAWN)
    _moved(feed, 20, {"13": {"statePath": [{"id": "13"}], "position": {"x": 1.0, "y": 0.0}}})
    config = load_events()
    for most, players in ((5, 5), (4, 0)):
        limits = config.snapshots.model_copy(update={"max_members": most})
        tracks = read(feed.lines, config=config.model_copy(update={"snapshots": limits})).matches["77-1"].tracks.read()
        assert tracks.filter(pl.col("t_ms") == 20_000).height == players


@pytest.mark.parametrize("missing", ["a transaction", "an event"])
def test_after_a_gap_the_state_is_unknown_until_the_next_whole_one(read, feed, missing):
    feed.start(at=SPAWN)
    _moved(feed, 20, {"11": {"position": {"x": 10.0}}})
    _moved(feed, 21, {"11": {"position": {"x": 10.0}}})
    _moved(feed, 22, {"11": {"position": {"x": 10.0}}})
    feed.add(23, feed.event("grid-sampled-series", "grid", "77", state=feed.state({"11": (7.0, 0.0)})))
    _moved(feed, 24, {"11": {"position": {"x": 1.0}}})
    lines = json.loads(json.dumps(feed.lines))
    if missing == "a transaction":
        del lines[5]
    else:
        lines[5]["events"][0]["actor"] = []
    rows = [row for row in _rows(read, lines) if row[0] >= 20_000]
    assert _at(rows, "11") == [(20, 190, 87), (23, 133, 87), (24, 152, 87)]


BAD_DELTAS = {
    "a word for a number": ({"11": {"currentHealth": "less"}}, "teams[0].players[0].currentHealth", "Expected"),
    "a number for a position": ({"11": {"position": 4}}, "teams[0].players[0].position", "Expected"),
    "a member without an id": ({"11": {"items": [{"equipped": True}]}}, "items[0]", "missing required field `id`"),
}


@pytest.mark.parametrize("told, field, reason", BAD_DELTAS.values(), ids=BAD_DELTAS.keys())
def test_a_malformed_delta_costs_its_event_and_the_state_until_the_next_whole_one(read, feed, told, field, reason):
    feed.start(at=SPAWN)
    _moved(feed, 20, {"11": {"position": {"x": 10.0}}})
    _moved(feed, 21, told)
    _moved(feed, 22, {"11": {"position": {"x": 10.0}}})
    feed.add(23, feed.event("grid-sampled-series", "grid", "77", state=feed.state({"11": (7.0, 0.0)})))
    reading = read(feed.lines)
    rows = reading.quarantine.read().to_dicts()
    assert len(rows) == 1 == reading.log["quarantined"].item() and rows[0]["source_line"] == 6
    assert rows[0]["field"].startswith("events[0].seriesStateDelta.games[0]") and field in rows[0]["field"]
    assert reason in rows[0]["reason"]
    tracks = reading.matches["77-1"].tracks.read().filter(pl.col("t_ms") >= 20_000, pl.col("player") == "player:11")
    assert sorted(tracks["t_ms"]) == [20_000, 23_000]


@pytest.mark.parametrize("side", ["actor", "target"])
def test_a_malformed_delta_of_an_actor_or_target_costs_its_event(read, feed, side):
    feed.start()
    feed.add(20, feed.event("player-damaged-player", "11", "21", **{f"{side}_delta": {"damageTaken": "much"}}))
    reading = read(feed.lines)
    (row,) = reading.quarantine.read().to_dicts()
    assert row["field"] == f"events[0].{side}.stateDelta.game.damageTaken" and "Expected" in row["reason"]
    assert reading.log["quarantined"].item() == 1
    assert "PLAYER_DAMAGED" not in reading.matches["77-1"].events.read()["event_type"].to_list()


def test_a_round_that_only_begins_has_the_sides_of_its_teams_and_unknown_health(read, feed):
    feed.start(at=SPAWN, dead=["21"], bomb="12")
    begun = feed.event("game-started-round", "g1", "round-2")
    begun["seriesStateDelta"] = {"id": "77", "games": [{"id": "g1", "segments": [{"id": "round-2", "started": True}]}]}
    feed.add(30, begun)
    _moved(feed, 31, {name: {"position": {"x": 5.0}, "currentHealth": -1} for name in ("11", "21")})
    won = feed.event("team-won-round", "1", "round-2")
    won["target"]["stateDelta"] = {"id": "round-2", "teams": [{"id": "1", "won": True, "winType": "bombExploded"}]}
    feed.add(40, won)
    match = read(feed.lines).matches["77-1"]
    told = match.rounds.filter(pl.col("round") == 2).to_dicts()[0]
    assert {entry["team"]: entry["side"] for entry in told["sides"]} == {
        "team:1": "terrorists",
        "team:2": "counter-terrorists",
    }
    assert (told["winner"], told["reason"]) == ("terrorists", "bombExploded")
    tracks = match.tracks.read().filter(pl.col("t_ms") == 31_000)
    assert {"player:11", "player:21"} <= set(tracks["player"])
    assert tracks.select("hp", "armor", "has_bomb").unique().rows() == [(None, None, None)]


def test_a_player_who_did_not_come_whole_has_no_position(read, feed):
    feed.add(0, feed.event("series-started-game", "77", "g1"))
    path = [{"id": "12"}]
    _moved(
        feed, 10, {"11": {"position": {"x": 5.0, "y": 5.0}}, "12": {"statePath": path, "position": {"x": 9, "y": 9}}}
    )
    _moved(feed, 11, {"11": {"position": {"x": 5.0, "y": 5.0}}, "12": {"position": {"x": 1.0}}})
    rows = _rows(read, feed.lines)
    assert [(row[0], row[1], row[3]) for row in rows] == [(10_000, "player:12", None), (11_000, "player:12", None)]


def test_a_team_or_player_that_left_is_seen_no_more(read, feed):
    feed.start(at=SPAWN)
    _moved(feed, 20, {"11": {"position": {"x": 5.0}}, "12": {"statePath": []}})
    gone = _moved(feed, 21, {"11": {"position": {"x": 5.0}}})
    gone["seriesStateDelta"]["games"][0]["teams"].append({"id": "2", "statePath": []})
    _moved(feed, 22, {"11": {"position": {"x": 5.0}}})
    seen = {}
    for t_ms, player, *_ in _rows(read, feed.lines):
        seen.setdefault(t_ms // 1000, []).append(player)
    assert seen[20] == ["player:11", "player:21", "player:22"]
    assert seen[21] == seen[22] == ["player:11"]


def test_states_rebuilt_from_the_real_sample_s_deltas_never_contradict_its_states(shared_data):
    """Each transaction's state by its deltas on the state before it: equal or unknown in every field that is read."""
    path = shared_data / "grid" / "events_2578928_grid.first50.jsonl"
    lines = [json.loads(line) for line in path.read_bytes().splitlines()][1:]  # the first has no state
    agreed = Counter()
    for before, line in pairwise(lines):
        stripped = {**line, "events": [{**event, "seriesState": None} for event in line["events"]]}
        rebuilt, told = (Scan(load_events().snapshots) for _ in range(2))
        for number, (one, other) in enumerate(((before, before), (stripped, line)), 1):
            scan_line(json.dumps(one).encode(), number, rebuilt, Tally(), load_events().validity)
            scan_line(json.dumps(other).encode(), number, told, Tally(), load_events().validity)
        rebuild("2578928", rebuilt.facts, rebuilt)
        agreed[_agreement(rebuilt.facts[-1], rebuilt, told.facts[-1].snapshot, told)] += 1
    assert agreed == {"whole": 41, "no game": 2, "but for health and the bomb": 3, "a game has begun": 2}


def _agreement(fact, scan, expected, own):
    found = fact.snapshot
    if expected is None:
        assert found is None
        return "no game"
    if not found.cast.players:
        return "a game has begun"
    assert found.cast == expected.cast
    count = len(expected.cast.players)
    rebuilt, told = scan.rows.part(found.first, count), own.rows.part(expected.first, count)
    unknown = np.isnan(rebuilt.values) & ~np.isnan(told.values)
    assert np.array_equal(np.where(unknown, told.values, rebuilt.values), told.values, equal_nan=True)
    assert ((rebuilt.items == told.items) | (rebuilt.items == -1)).all()
    return "but for health and the bomb" if unknown.any() else "whole"
