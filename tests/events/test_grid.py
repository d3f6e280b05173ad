"""A GRID feed becomes tables: corrections, merging, positions, games."""

import json
import random

import polars as pl
import pytest

from configs.events import load_events
from pipeline.events.reader import UnusableLog
from pipeline.events.sources import grid


def _types(events):
    return dict(events["event_type"].value_counts().iter_rows())


def _of(events, event_type):
    return events.filter(pl.col("event_type") == event_type).to_dicts()


def _counts(reading):
    names = ("source_events", "converted", "merged", "reverted", "duplicate", "quarantined", "derived_positions")
    return reading.log.select(names).to_dicts()[0]


SPAWN = {"11": (0.0, 0.0), "12": (10.0, 0.0), "21": (1000.0, 500.0), "22": (1010.0, 500.0)}


def test_a_round_is_told_once_however_many_events_tell_of_it(read, feed):
    feed.start(at=SPAWN)
    feed.end_round(40, 1, "2")
    reading = read(feed.lines)
    tables = reading.matches["77-1"]
    types = _types(tables.events.read())
    assert {name: types[name] for name in ("MATCH_STARTED", "ROUND_STARTED", "ROUND_LIVE", "ROUND_ENDED")} == {
        "MATCH_STARTED": 1,
        "ROUND_STARTED": 1,
        "ROUND_LIVE": 1,
        "ROUND_ENDED": 1,
    }
    assert "OTHER" not in types
    row = tables.rounds.to_dicts()[0]
    assert (row["start_ms"], row["live_ms"], row["end_ms"], row["winner"]) == (0, 10_000, 40_000, "counter-terrorists")
    assert _counts(reading)["merged"] == 5 and _counts(reading)["converted"] == 4
    match = tables.match.to_dicts()[0]
    assert (match["map"], match["title"], match["winner"]) == ("de_mirage", "cs2", None)
    assert match["teams"] == ["team:1", "team:2"] and len(match["objectives"]) == 2
    assert {"player": "player:21", "team": "team:2", "name": "P21"} in match["players"]


def test_a_reverted_transaction_leaves_no_event_and_no_position_behind(read, feed):
    feed.start(at=SPAWN)
    wrong = feed.event("player-killed-player", "11", "21", state=feed.state({"11": (9_999.0, 9_999.0)}))
    feed.add(20, wrong)
    feed.add(21, feed.event("grid-invalidated-series", "grid", "77", state=feed.state({"11": (8e3, 0)}, valid=False)))
    inverse = feed.event(
        "player-!killed-player", "11", "21", reverts=wrong["id"], state=feed.state({"11": (7e3, 0.0)}, valid=False)
    )
    feed.add(21, inverse)
    feed.add(21, feed.event("grid-validated-series", "grid", "77", state=feed.state({"11": (6e3, 0.0)})))
    again = feed.event("player-killed-player", "11", "22", state=feed.state({"11": (5.0, 0.0)}))
    feed.add(22, again)
    reading = read(feed.lines)
    events = reading.matches["77-1"].events.read()
    assert [(row["event_id"], row["target"]) for row in _of(events, "PLAYER_KILLED")] == [(again["id"], "player:22")]
    assert not {wrong["id"], inverse["id"]} & set(events["event_id"])
    assert reading.matches["77-1"].tracks.read()["x_mm"].max() < 100_000
    assert _counts(reading)["reverted"] == 4


def test_a_correction_that_comes_first_in_the_file_still_takes_back(read, feed):
    feed.start(at=SPAWN)
    wrong = feed.event("player-killed-player", "11", "21")
    feed.add(20, wrong)
    feed.add(21, feed.event("player-!killed-player", "11", "21", reverts=wrong["id"]))
    expected = read(feed.lines)
    for seed in range(3):
        lines = list(feed.lines)
        random.Random(seed).shuffle(lines)
        shuffled = read(lines)
        assert _counts(shuffled) == _counts(expected)
        assert (
            shuffled.matches["77-1"]
            .events.read()
            .drop("source_line")
            .equals(expected.matches["77-1"].events.read().drop("source_line"))
        )
    assert "PLAYER_KILLED" not in _types(expected.matches["77-1"].events.read())


def test_an_inverse_that_is_taken_back_takes_nothing_back(read, feed):
    feed.start(at=SPAWN)
    kill = feed.event("player-killed-player", "11", "21")
    inverse = feed.event("player-!killed-player", "11", "21", reverts=kill["id"])
    feed.add(20, kill)
    feed.add(21, inverse)
    feed.add(22, feed.event("player-!!killed-player", "11", "21", reverts=inverse["id"]))
    reading = read(feed.lines)
    assert _types(reading.matches["77-1"].events.read())["PLAYER_KILLED"] == 1 and _counts(reading)["reverted"] == 2


def test_a_log_of_more_games_or_series_than_are_read_is_unusable(read, feed, monkeypatch):
    config = load_events()
    two = config.model_copy(update={"lines": config.lines.model_copy(update={"max_matches": 2})})
    for game in ("g1", "g2"):
        feed.start(0, game=game, number=None, at=SPAWN)
    assert len(read(feed.lines, config=two).matches) == 2
    series = [{**line, "seriesId": name} for name in ("77", "78", "79") for line in feed.lines]
    feed.start(0, game="g3", number=None, at=SPAWN)
    monkeypatch.setattr(grid, "tell", lambda *_: pytest.fail("they are too many"))
    for lines in (feed.lines, series):
        with pytest.raises(UnusableLog, match="has more than 2 matches") as refused:
            read(lines, config=two)
        assert refused.value.quarantine.read()["reason"].to_list() == [str(refused.value)]


def test_a_replayed_game_under_a_new_id_is_the_same_match(read, feed):
    first = [
        feed.event("series-started-game", "77", "g0", state=feed.state(game="g0"), game="g0"),
        feed.event("game-started-round", "g0", "round-1", state=feed.state(game="g0"), game="g0"),
    ]
    feed.add(0, *first)
    feed.add(1, feed.event("grid-invalidated-series", "grid", "77", game=None))
    for wrong in reversed(first):
        kind = wrong["type"].replace("-", "-!", 1)
        feed.add(1, feed.event(kind, wrong["actor"]["id"], wrong["target"]["id"], reverts=wrong["id"], game="g0"))
    feed.add(1, feed.event("grid-validated-series", "grid", "77", game=None))
    feed.start(5, at=SPAWN)
    reading = read(feed.lines)
    tables = reading.matches["77-1"]
    assert list(reading.matches) == ["77-1"] and tables.rounds.height == 1
    assert tables.rounds.select("start_ms", "live_ms").row(0) == (0, 10_000)
    assert _counts(reading)["reverted"] == 6


def test_a_transaction_that_comes_again_is_a_duplicate(read, feed):
    feed.start(at=SPAWN)
    feed.add(20, feed.event("player-killed-player", "11", "21"), feed.event("player-killed-player", "12", "22"))
    once = read(feed.lines)
    twice = read([*feed.lines, {**feed.lines[-1], "sequenceNumber": str(feed.lines[-1]["sequenceNumber"])}])
    assert _counts(twice)["duplicate"] == 2
    assert twice.matches["77-1"].events.read().equals(once.matches["77-1"].events.read())


def test_positions_become_metres_with_y_up_and_planar(read, feed):
    feed.start(at={"11": (-581.9948, -1980.0)})
    row = read(feed.lines).matches["77-1"].tracks.read().to_dicts()[0]
    assert (row["x_mm"], row["y_mm"], row["z_mm"]) == (-11_087, None, 37_719)
    assert (row["hp"], row["armor"], row["team"], row["yaw_mdeg"]) == (87, 50, "team:1", None)


@pytest.mark.parametrize(
    "seconds, at, samples",
    [(20.4, (5.0, 5.0), 1), (20.5, (5.0, 5.0), 2), (20.1, (5.1, 5.0), 2), (20.1, None, 1)],
    ids=["unchanged too soon", "unchanged long enough", "changed", "null"],
)
def test_a_position_unchanged_for_less_than_half_a_second_is_no_new_sample(read, feed, seconds, at, samples):
    feed.start()
    feed.add(20, feed.event("grid-sampled-series", "grid", "77", state=feed.state({"11": (5.0, 5.0)})))
    feed.add(seconds, feed.event("grid-sampled-series", "grid", "77", state=feed.state({"11": at})))
    reading = read(feed.lines)
    assert reading.matches["77-1"].tracks.read().height == samples == _counts(reading)["derived_positions"]
    assert reading.log["source_events"].item() == sum(len(line["events"]) for line in feed.lines)


def test_a_transaction_gives_a_player_one_position_after_its_events(read, feed):
    feed.start()
    shown = feed.state({"11": (1.0, 1.0), "21": (2.0, 2.0)}, dead=["21"])
    feed.add(20, *(feed.event("player-damaged-player", "11", "21", state=shown) for _ in range(3)))
    events = read(feed.lines).matches["77-1"].events.read().filter(pl.col("t_ms") == 20_000)
    assert events["event_type"].to_list() == ["PLAYER_DAMAGED"] * 3 + ["POSITION_UPDATE"]
    sequence = len(feed.lines) << 16
    assert events["seq"].to_list()[:3] == [sequence, sequence + 1, sequence + 2]


def test_a_position_left_over_from_the_round_before_is_no_sample(read, feed):
    feed.start(at=SPAWN)
    end = {"11": (500.0, 0.0), "21": (700.0, 0.0)}
    feed.add(30, feed.event("grid-sampled-series", "grid", "77", state=feed.state(end)))
    feed.end_round(40, 1, "1", shown=feed.state(end))
    feed.start_round(47, 2, shown=feed.state(end))
    feed.add(
        58, feed.event("grid-sampled-series", "grid", "77", state=feed.state({"11": (1.0, 0.0), "21": (700.0, 0.0)}))
    )
    second = read(feed.lines).matches["77-1"].tracks.read().filter(pl.col("round") == 2)
    assert second.select("player", "t_ms", "x_mm").rows() == [("player:11", 58_000, 19)]


def test_after_a_round_without_state_the_first_shown_position_counts_as_left_over(read, feed):
    feed.start(at=SPAWN)
    feed.start_round(47, 2)
    feed.start_round(100, 3, shown=feed.state({"11": (500.0, 0.0)}))
    feed.add(111, feed.event("grid-sampled-series", "grid", "77", state=feed.state({"11": (1.0, 0.0)})))
    tracks = read(feed.lines).matches["77-1"].tracks.read()
    assert tracks.filter(pl.col("round") == 3).select("t_ms", "x_mm").rows() == [(111_000, 19)]
    assert tracks.filter(pl.col("round") == 1).height > 0


def test_transactions_without_state_are_tolerated(read, feed):
    feed.start()
    feed.add(20, feed.event("player-killed-player", "11", "21", actor_delta={"weaponKills": {"ak47": 1}}))
    feed.end_round(40, 1, "1")
    reading = read(feed.lines)
    kill = _of(reading.matches["77-1"].events.read(), "PLAYER_KILLED")[0]
    assert (kill["actor"], kill["target"], kill["weapon"], kill["x_mm"], kill["side"]) == (
        "player:11",
        "player:21",
        "ak47",
        None,
        "terrorists",
    )
    assert reading.matches["77-1"].tracks.read().is_empty() and reading.quarantine.read().is_empty()


def test_a_feed_without_any_state_still_has_rounds_and_kills(read, feed):
    feed.add(0, feed.event("series-started-game", "77", "g1"))
    feed.start_round(0, 1)
    feed.add(20, feed.event("player-killed-player", "11", "21"))
    feed.end_round(30, 1, "1")
    tables = read(feed.lines).matches["77-1"]
    assert tables.rounds.select("winner", "end_ms").row(0) == ("team:1", 30_000)
    assert tables.match["players"].to_list() == [
        [
            {"player": "player:11", "team": None, "name": None},
            {"player": "player:21", "team": None, "name": None},
        ]
    ]


@pytest.mark.parametrize(
    "kind, actor, told, killer",
    [
        ("player-killed-player", "11", "killed", "player:11"),
        ("player-teamkilled-player", "12", "teamkilled", "player:12"),
        ("player-selfkilled-player", "21", "selfkilled", "player:21"),
        ("game-killed-player", "g1", "game-killed", "game:g1"),
    ],
)
def test_every_kind_of_kill_is_one_kill_that_says_its_kind(read, feed, kind, actor, told, killer):
    feed.start(at=SPAWN)
    state = feed.state(SPAWN)
    feed.add(20, feed.event(kind, actor, "21", state=state, actor_delta={"headshots": 1}))
    kill = _of(read(feed.lines).matches["77-1"].events.read(), "PLAYER_KILLED")
    assert len(kill) == 1 and (kill[0]["actor"], kill[0]["target"]) == (killer, "player:21")
    payload = json.loads(kill[0]["payload"])
    assert payload == {"kind": told, "headshot": True, "target_pos": [19.05, None, -9.525]}


@pytest.mark.parametrize(
    "deltas, amount",
    [
        ({"target_delta": {"damageTaken": 27, "currentHealth": -20}}, 27),
        ({"actor_delta": {"damageDealt": 31}}, 31),
        ({"target_delta": {"currentHealth": -12}}, 12),
        ({}, None),
    ],
)
def test_damage_is_what_the_deltas_say(read, feed, deltas, amount):
    feed.start()
    feed.add(20, feed.event("player-damaged-player", "11", "21", **deltas))
    assert _of(read(feed.lines).matches["77-1"].events.read(), "PLAYER_DAMAGED")[0]["amount"] == amount


@pytest.mark.parametrize(
    "objective, event_type",
    [
        ("plantBomb", "BOMB_PLANTED"),
        ("defuseBomb", "BOMB_DEFUSED"),
        ("explodeBomb", "BOMB_EXPLODED"),
        ("beginDefuseWithKit", "BOMB_DEFUSE_STARTED"),
        ("beginDefuseWithoutKit", "BOMB_DEFUSE_STARTED"),
        ("beginDefuseBomb", "BOMB_DEFUSE_STARTED"),
    ],
)
def test_completed_objectives_are_bomb_events_where_the_player_stands(read, feed, objective, event_type):
    feed.start()
    feed.add(20, feed.event(f"player-completed-{objective}", "11", objective, state=feed.state({"11": (100.0, 0.0)})))
    row = _of(read(feed.lines).matches["77-1"].events.read(), event_type)[0]
    assert (row["actor"], row["target"], row["x_mm"], row["site"], row["team"]) == (
        "player:11",
        None,
        1_905,
        None,
        "team:1",
    )


def test_the_bomb_is_carried_once_an_inventory_has_shown_it(read, feed):
    feed.start()
    for second, bomb in ((20, None), (21, "12"), (22, None)):
        feed.add(
            second,
            feed.event("grid-sampled-series", "grid", "77", state=feed.state({"12": (second, 0.0)}, bomb=bomb)),
        )
    feed.add(23, feed.event("player-dropped-item", "12", "bomb"), feed.event("player-dropped-item", "12", "glock"))
    feed.add(24, feed.event("player-pickedUp-item", "11", "bomb"))
    tables = read(feed.lines).matches["77-1"]
    assert tables.tracks.read()["has_bomb"].to_list() == [None, True, False]
    assert [row["actor"] for row in _of(tables.events.read(), "BOMB_DROPPED")] == ["player:12"]
    assert [row["actor"] for row in _of(tables.events.read(), "BOMB_PICKED_UP")] == ["player:11"]


def test_unknown_types_stand_as_other_with_what_they_changed(read, feed):
    feed.start()
    feed.add(20, feed.event("player-danced-floor", "11", "f1", actor_delta={"style": 3}))
    feed.add(21, feed.event("game-set-clock", "g1", "clock"))
    reading = read(feed.lines)
    other = _of(reading.matches["77-1"].events.read(), "OTHER")
    assert [json.loads(row["payload"])["event_type"] for row in other] == ["player-danced-floor", "game-set-clock"]
    assert json.loads(other[0]["payload"])["actor_delta"]["game"] == {"style": 3}
    assert (other[0]["actor"], other[0]["target"]) == ("player:11", "floor:f1")


def test_both_naming_generations_read_alike(read, feed):
    other = type(feed)("77")
    for one, generation in ((feed, "cs"), (other, "val")):
        one.start(at=SPAWN, generation=generation, bomb="12")
        one.add(
            20, one.event("player-killed-player", "11", "21", state=one.state(SPAWN, generation=generation, bomb="12"))
        )
    for line in other.lines:
        line["sequenceNumber"] = str(line["sequenceNumber"])
    cs, val = (read(one.lines).matches["77-1"] for one in (feed, other))
    assert val.tracks.read().drop("side").equals(cs.tracks.read().drop("side"))
    assert val.events.read().drop("side", "payload").equals(cs.events.read().drop("side", "payload"))
    assert set(val.tracks.read()["side"].drop_nulls()) == {"attacker", "defender"}


def test_a_title_s_own_units_are_used(read, feed):
    feed.start(at={"11": (100.0, 250.0)}, title="val")
    row = read(feed.lines).matches["77-1"].tracks.read().to_dicts()[0]
    assert (row["x_mm"], row["y_mm"], row["z_mm"]) == (1_000, None, 2_500)


@pytest.mark.parametrize("numbers", [(1, 2), (None, None), (2, 3)], ids=["told", "never told", "the first is missing"])
def test_several_games_of_a_series_are_several_matches(read, feed, numbers):
    feed.add(-60, feed.event("tournament-started-series", "9", "77", game=None))
    for start, game, number in ((0, "g1", numbers[0]), (100, "g2", numbers[1])):
        feed.start(start, game=game, number=number, at=SPAWN)
        killer = "11" if game == "g1" else "21"
        feed.add(start + 20, feed.event("player-killed-player", killer, "12", game=game))
        feed.end_round(start + 30, 1, "1", game=game)
        feed.add(start + 31, feed.event("team-won-game", "1", game, game=game))
        feed.add(start + 31, feed.event("series-ended-game", "77", game, game=game))
        feed.add(start + 40, feed.event("grid-sampled-series", "grid", "77", game=None))
    reading = read(feed.lines)
    first, second = (f"77-{number or place}" for place, number in enumerate(numbers, 1))
    assert list(reading.matches) == [first, second]
    one, two = reading.matches[first], reading.matches[second]
    assert _of(one.events.read(), "PLAYER_KILLED")[0]["actor"] == "player:11"
    assert _of(two.events.read(), "PLAYER_KILLED")[0]["actor"] == "player:21"
    assert two.rounds.select("start_ms", "live_ms", "end_ms").row(0) == (0, 10_000, 30_000)
    assert [row["t_ms"] for row in _of(one.events.read(), "OTHER")] == [-60_000, 40_000]
    assert one.match["winner"].item() == two.match["winner"].item() == "team:1"
    assert (
        reading.log["converted"].item()
        == one.events.read().height + two.events.read().height - one.tracks.read().height - two.tracks.read().height
    )


def test_states_of_earlier_games_give_no_positions(read, feed):
    feed.start(0, at=SPAWN)
    feed.start(100, game="g2", number=2)
    shown = feed.state({"11": (1.0, 1.0)}, game="g2", number=2)
    shown["games"] = [feed.state({"11": (9e3, 9e3)})["games"][0], *shown["games"]]
    feed.add(130, feed.event("grid-sampled-series", "grid", "77", state=shown, game="g2"))
    assert read(feed.lines).matches["77-2"].tracks.read()["x_mm"].to_list() == [19]


def test_sides_follow_the_round_s_own_segment(read, feed):
    feed.start(at=SPAWN)
    feed.end_round(40, 1, "1")
    swapped = [
        {"id": "1", "side": "counter-terrorists"},
        {"id": "2", "side": "terrorists", "won": True, "winType": "x"},
    ]
    segment = {"id": "round-2", "type": "round", "sequenceNumber": 2, "teams": swapped}
    shown = feed.state(SPAWN, rounds=[segment])
    for team, told in zip(shown["games"][0]["teams"], swapped, strict=True):
        team["side"] = told["side"]
    feed.start_round(47, 2, shown=shown)
    feed.add(90, feed.event("game-ended-round", "g1", "round-2", state=shown))
    feed.start_round(97, 3)
    rounds = read(feed.lines).matches["77-1"].rounds
    assert [{entry["team"]: entry["side"] for entry in sides}["team:1"] for sides in rounds["sides"]] == [
        "terrorists",
        "counter-terrorists",
        "counter-terrorists",
    ]
    assert rounds.select("winner", "reason").rows() == [("terrorists", None), ("terrorists", "x"), (None, None)]


BAD = {
    "truncated": (lambda line: json.dumps(line)[:-20], 1, "", "truncated"),
    "no number": (lambda line: {**line, "sequenceNumber": None}, 2, "sequenceNumber", "must be a number"),
    "a word as number": (lambda line: {**line, "sequenceNumber": "one"}, 2, "sequenceNumber", "must be a number"),
    "no series": (lambda line: {**line, "seriesId": None}, 2, "seriesId", "is missing"),
    "a series out of the tree": (lambda line: {**line, "seriesId": "../1"}, 2, "seriesId", "part of a match id"),
    "no time": (lambda line: {**line, "occurredAt": None}, 2, "occurredAt", "is missing"),
    "no instant": (lambda line: {**line, "occurredAt": "noon"}, 2, "occurredAt", "ISO 8601"),
    "hours back": (lambda line: {**line, "occurredAt": "2026-01-01T05:00:00Z"}, 2, "occurredAt", "goes back by"),
    "hours ahead": (lambda line: {**line, "occurredAt": "2026-01-01T19:00:00Z"}, 2, "occurredAt", "runs ahead by"),
    "events are text": (lambda line: {**line, "events": "none"}, 1, "events", "Expected `array`"),
    "one event is a number": (lambda line: {**line, "events": [line["events"][0], 7]}, 1, "events[1]", "Expected"),
    "actor is a list": (
        lambda line: {**line, "events": [line["events"][0], {**line["events"][1], "actor": []}]},
        1,
        "events[1].actor",
        "Expected",
    ),
}


@pytest.mark.parametrize("spoil, lost, field, reason", BAD.values(), ids=BAD.keys())
def test_a_bad_transaction_is_quarantined_and_the_rest_goes_on(read, feed, spoil, lost, field, reason):
    feed.start(at=SPAWN)
    spoiled = len(feed.lines)
    feed.add(20, feed.event("player-killed-player", "11", "21"), feed.event("player-killed-player", "12", "22"))
    feed.end_round(30, 1, "1")
    feed.add(31, feed.event("series-ended-game", "77", "g1"))
    expected = read([*feed.lines[:spoiled], *feed.lines[spoiled + 1 :]])
    reading = read([*feed.lines[:spoiled], spoil(feed.lines[spoiled]), *feed.lines[spoiled + 1 :]])
    rows = reading.quarantine.read().to_dicts()
    assert len(rows) == lost == _counts(reading)["quarantined"]
    assert {row["source_line"] for row in rows} == {spoiled + 1}
    assert rows[0]["field"] == field and reason in rows[0]["reason"]
    assert reading.matches["77-1"].rounds.equals(expected.matches["77-1"].rounds)
    kept = _of(reading.matches["77-1"].events.read(), "PLAYER_KILLED")
    assert len(kept) == (1 if field.startswith("events[") else 0)


def test_a_bad_state_costs_the_state_and_not_the_event(read, feed):
    feed.start()
    shown = feed.state(SPAWN)
    shown["games"][0]["teams"][0]["players"][0]["currentHealth"] = "full"
    feed.add(20, feed.event("player-killed-player", "11", "21", state=shown))
    reading = read(feed.lines)
    assert len(_of(reading.matches["77-1"].events.read(), "PLAYER_KILLED")) == 1
    assert _counts(reading)["quarantined"] == 0 and _counts(reading)["derived_positions"] == 0
    row = reading.quarantine.read().to_dicts()[0]
    assert row["field"] == "events[0].seriesState.games[0].teams[0].players[0].currentHealth"
    assert "stands without its state" in row["reason"]


def test_a_score_that_no_match_has_is_not_believed(read, feed):
    feed.start(at=SPAWN)
    feed.end_round(40, 1, "2", shown=feed.state(SPAWN, scores=(3, 10**13)))
    feed.add(41, feed.event("series-ended-game", "77", "g1"))
    match = read(feed.lines).matches["77-1"].match.to_dicts()[0]
    assert match["score"] == [{"team": "team:1", "score": 3}, {"team": "team:2", "score": 0}]


def test_an_absurd_position_is_refused_alone(read, feed):
    feed.start()
    feed.add(
        20, feed.event("grid-sampled-series", "grid", "77", state=feed.state({"11": (1e12, 0.0), "12": (5.0, 0.0)}))
    )
    reading = read(feed.lines)
    assert reading.matches["77-1"].tracks.read()["player"].to_list() == ["player:12"]
    assert "player:11" in reading.quarantine.read()["field"].item() and _counts(reading)["quarantined"] == 0


def test_a_break_of_hours_between_games_is_no_fault(read, feed):
    feed.add(-9_000, feed.event("grid-started-feed", "grid", "f", game=None))
    feed.start(0, at=SPAWN)
    feed.start(20_000, game="g2", number=2, at=SPAWN)
    feed.add(40_000, feed.event("tournament-ended-series", "9", "77", game=None))
    reading = read(feed.lines)
    assert _counts(reading)["quarantined"] == 0 and list(reading.matches) == ["77-1", "77-2"]


def test_rounds_keep_their_numbers_where_ids_say_nothing(read, feed):
    feed.start(at=SPAWN)
    feed.end_round(40, 1, "1")
    feed.start_round(47, 2)
    feed.end_round(90, 2, "2")
    told = json.loads(json.dumps(feed.lines).replace('"round-1"', '"9f-a1"').replace('"round-2"', '"9f-b77"'))
    assert read(told).matches["77-1"].rounds.equals(read(feed.lines).matches["77-1"].rounds)


def test_health_and_armour_far_from_usual_are_told_as_they_are(read, feed):
    shown = feed.state(at={"11": (1.0, 1.0), "12": (2.0, 2.0), "21": (3.0, 3.0), "22": (4.0, 4.0)})
    told = {"11": (99_999, -99_999), "12": (None, 3.0), "21": (0, None), "22": (None, 100_001)}
    for player in (player for team in shown["games"][0]["teams"] for player in team["players"]):
        player["currentHealth"], player["currentArmor"] = told[player["id"]]
    feed.start(at={})
    feed.add(20, feed.event("grid-sampled-series", "grid", "77", state=shown))
    tables = read(feed.lines).matches["77-1"]
    moves = tables.events.read().filter(pl.col("event_type") == "POSITION_UPDATE")
    assert dict(moves.select("actor", "payload").iter_rows()) == {
        "player:11": '{"armor":-99999,"hp":99999}',
        "player:12": '{"armor":3}',
        "player:21": '{"hp":0}',
        "player:22": "{}",
    }
    assert tables.tracks.read().sort("player")["hp"].to_list() == [99_999, None, 0, None]
