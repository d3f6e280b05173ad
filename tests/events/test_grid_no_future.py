"""What a GRID series tells of an instant does not depend on what comes after it, unless that takes it back."""

import json
import random
import zipfile

import polars as pl
import pytest

from configs.simulator import load_simulator
from pipeline.events.sources.simulator import simulate

NUMBERS = ("x", "y", "currentHealth", "currentArmor", "score", "damageDealt", "damageTaken")


def changed(value, words, name=""):
    """A line with other words and numbers; what identifies transactions, events and rounds stays."""
    if isinstance(value, dict):
        return {key: changed(inner, words, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [changed(inner, words, name) for inner in value]
    if isinstance(value, str):
        return words.get(value, f"not {value}" if name in ("name", "winType") else value)
    if isinstance(value, bool):
        return not value if name == "won" else value
    return value + 7 if name in NUMBERS and value is not None else value


def swapped(*pairs):
    return {one: other for pair in pairs for one, other in (pair, pair[::-1])}


SIDES = (("terrorists", "counter-terrorists"), ("attacker", "defender"))


def scrambled(lines, count, teams, dice):
    """The first so many transactions, then others: some dropped, teams and sides swapped, all else told otherwise."""
    words = swapped(*SIDES, teams)
    return [*lines[:count], *(changed(line, words) for line in lines[count:] if dice.random() < 0.8)]


def cuts(lines):
    """Where an instant ends, and nothing before is taken back after."""
    found = []
    taken_back = set()
    for place in range(len(lines) - 1, 0, -1):
        taken_back |= {event["revertedEventId"] for event in lines[place]["events"] if event.get("revertedEventId")}
        taken_back -= {event["id"] for event in lines[place]["events"]}
        if lines[place]["occurredAt"] > lines[place - 1]["occurredAt"] and not taken_back:
            found.append(place)
    return found[::-1]


def tables_of(read, lines):
    (match,) = read(lines).matches.values()
    return match.events.read(), match.tracks.read()


def check(read, lines, counts, teams, dice):
    """What the first lines tell is told by all of them, and by any that might have followed."""
    whole = tables_of(read, lines)
    for count in counts:
        until = tables_of(read, lines[:count])
        last = until[0]["t_ms"].max()
        for told in (whole, tables_of(read, scrambled(lines, count, teams, dice))):
            events, tracks = (table.filter(pl.col("t_ms") <= last) for table in told)
            assert events.equals(until[0])
            assert tracks.equals(until[1])


@pytest.mark.parametrize("full_every", [1, 7, 0], ids=["states", "a state now and then", "deltas"])
def test_rows_of_a_simulated_series_do_not_depend_on_later_lines(read, full_every):
    grid = load_simulator().grid
    lines = [json.loads(line) for line in simulate(rounds=3, seed=11).grid_lines(full_every=full_every)]
    teams = str(grid.first_team), str(grid.first_team + 1)
    dice, places = random.Random(full_every), cuts(lines)
    assert len(places) > 100 and any(event.get("revertedEventId") for line in lines for event in line["events"])
    check(read, lines, (places[0], *dice.sample(places, 5)), teams, dice)


def test_rows_of_a_real_series_do_not_depend_on_later_lines(read, shared_data):
    with zipfile.ZipFile(shared_data / "grid" / "events_9100001_grid.jsonl.zip") as archive:
        text = archive.read(archive.namelist()[0]).decode()
    lines = [json.loads(line) for line in text.splitlines()[:400]]
    dice, places = random.Random(1), cuts(lines)
    check(read, lines, (places[0], *dice.sample(places, 3)), ("9000", "9001"), dice)


def test_rows_of_a_real_series_without_positions_do_not_depend_on_later_lines(read, shared_data):
    text = (shared_data / "grid" / "events_2578928_grid.first50.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    check(read, lines, cuts(lines)[1:], ("47336", "3128"), random.Random(1))


def test_a_scrambled_future_is_another_one(read):
    lines = [json.loads(line) for line in simulate(rounds=2, seed=11).grid_lines()]
    count, grid = cuts(lines)[60], load_simulator().grid
    teams = str(grid.first_team), str(grid.first_team + 1)
    ours, theirs = (
        next(iter(read(told).matches.values())).tracks.read().sort("seq")
        for told in (lines, scrambled(lines, count, teams, random.Random(1)))
    )
    seq = lines[count]["sequenceNumber"] * 2**16
    ours, theirs = (
        rows.filter(pl.col("seq") >= seq).select("seq", "player", "team", "side", "x_mm", "hp")
        for rows in (ours, theirs)
    )
    both = ours.join(theirs, on=["seq", "player"])
    assert both.height > 100 and (both["x_mm"] != both["x_mm_right"]).all()
    by_player = ours.join(theirs.unique("player", keep="last"), on="player")
    assert (by_player["team"] != by_player["team_right"]).all()


def test_a_correction_changes_what_stands_and_only_that(read, feed):
    feed.start(at={"11": (0.0, 0.0), "21": (900.0, 0.0)})
    wrong = feed.event("player-killed-player", "11", "21")
    feed.add(20, wrong, feed.event("player-damaged-player", "12", "22"))
    feed.add(21, feed.event("player-damaged-player", "22", "12"))
    before = read(feed.lines).matches["77-1"].events.read()
    feed.add(22, feed.event("player-!killed-player", "11", "21", reverts=wrong["id"]))
    after = read(feed.lines).matches["77-1"].events.read()
    assert wrong["id"] in before["event_id"]
    assert after.equals(before.filter(pl.col("event_id") != wrong["id"]))


def test_a_player_has_no_team_before_a_state_tells_it(read, feed):
    feed.start(at={"11": (0.0, 0.0)})
    feed.add(20, feed.event("player-damaged-player", "13", "21"))
    later = feed.state(at={"13": (5.0, 5.0)})
    later["games"][0]["teams"][0]["players"].append(
        {"id": "13", "name": "P13", "position": {"x": 5.0, "y": 5.0}, "currentHealth": 9, "alive": True}
    )
    feed.add(30, feed.event("grid-sampled-series", "grid", "77", state=later))
    feed.add(40, feed.event("player-damaged-player", "13", "21"))
    tables = read(feed.lines).matches["77-1"]
    his = tables.events.read().filter(pl.col("actor") == "player:13")
    assert his.select("t_ms", "team", "side").rows() == [
        (20_000, None, None),
        (30_000, "team:1", "terrorists"),
        (40_000, "team:1", "terrorists"),
    ]
    start = tables.events.read().filter(pl.col("event_type") == "MATCH_STARTED")["payload"].item()
    assert "player:12" in start and "player:13" not in start
    assert {"player": "player:13", "team": "team:1", "name": "P13"} in tables.match["players"].item().to_list()


def test_a_match_that_starts_without_a_roster_has_no_teams_before_a_state_tells_them(read, feed):
    feed.add(0, feed.event("series-started-game", "77", "g1"))
    feed.start_round(0, 1)
    feed.add(20, feed.event("player-damaged-player", "11", "21"))
    feed.add(30, feed.event("grid-sampled-series", "grid", "77", state=feed.state(at={"11": (1.0, 1.0)})))
    feed.add(40, feed.event("player-damaged-player", "11", "21"))
    tables = read(feed.lines).matches["77-1"]
    his = tables.events.read().filter(pl.col("actor") == "player:11")
    known = "team:1", "terrorists"
    assert his.select("t_ms", "team", "side").rows() == [(20_000, None, None), (30_000, *known), (40_000, *known)]
    assert tables.tracks.read()["side"].to_list() == ["terrorists"]
    assert tables.match["teams"].item().to_list() == ["team:1", "team:2"]


def test_sides_that_a_round_s_start_does_not_tell_count_from_the_state_that_shows_them_to_the_next_round(read, feed):
    shown = feed.state(at={"11": (1.0, 1.0)})
    other = feed.state(at={"11": (2.0, 2.0)})
    for team, side in zip(other["games"][0]["teams"], ("counter-terrorists", "terrorists"), strict=True):
        team["side"] = side
    feed.start(at={"11": (0.0, 0.0)})
    feed.add(90, feed.event("grid-sampled-series", "grid", "77"))
    del feed.lines[-1]["events"]  # so that nothing is known until the next state
    feed.start_round(100, 2)
    feed.add(120, feed.event("player-damaged-player", "11", "21"))
    feed.add(130, feed.event("grid-sampled-series", "grid", "77", state=other))
    feed.add(140, feed.event("player-damaged-player", "11", "21"))
    feed.start_round(200, 3, shown=shown)
    feed.add(220, feed.event("player-damaged-player", "11", "21"))
    events = read(feed.lines).matches["77-1"].events.read()
    his = events.filter((pl.col("actor") == "player:11") & (pl.col("event_type") == "PLAYER_DAMAGED"))
    assert his.select("t_ms", "round", "side").rows() == [
        (120_000, 2, "terrorists"),
        (140_000, 2, "counter-terrorists"),
        (220_000, 3, "terrorists"),
    ]


def test_a_side_switch_that_a_round_s_start_does_not_tell_is_in_the_row_of_the_round(read, feed):
    other = feed.state(at={"11": (2.0, 2.0)})
    for team, side in zip(other["games"][0]["teams"], ("counter-terrorists", "terrorists"), strict=True):
        team["side"] = side
    feed.start(at={"11": (0.0, 0.0)})
    feed.add(90, feed.event("grid-sampled-series", "grid", "77"))
    del feed.lines[-1]["events"]
    feed.start_round(100, 2)
    feed.add(130, feed.event("grid-sampled-series", "grid", "77", state=other))
    feed.end_round(150, 2, "1")
    tables = read(feed.lines).matches["77-1"]
    events = tables.events.read()
    told = events.filter((pl.col("event_type") == "ROUND_STARTED") & (pl.col("round") == 2))["payload"].item()
    assert json.loads(told)["sides"]["team:1"] == "terrorists"  # as far as was known
    second = tables.rounds.row(1, named=True)
    sides = {entry["team"]: entry["side"] for entry in second["sides"]}
    assert sides == {"team:1": "counter-terrorists", "team:2": "terrorists"}
    assert second["winner"] == sides["team:1"]
    assert {"team": "team:1", "score": 1} in tables.match["score"].item().to_list()


def untitled(state):
    return {name: told for name, told in state.items() if name != "title"}


def test_a_title_counts_from_the_state_that_tells_it(read, feed):
    feed.start(at={"11": (100.0, 0.0)})
    for event in (event for line in feed.lines for event in line["events"]):
        event["seriesState"] = untitled(event["seriesState"])
    feed.add(20, feed.event("player-dropped-item", "11", "bomb"))
    feed.add(30, feed.event("player-dropped-item", "11", "bomb", state=feed.state(at={"11": (200.0, 0.0)})))
    feed.add(40, feed.event("player-dropped-item", "11", "bomb"))
    tables = read(feed.lines).matches["77-1"]
    events = tables.events.read()
    drops = events.filter((pl.col("actor") == "player:11") & (pl.col("event_type") != "POSITION_UPDATE"))
    assert drops["event_type"].to_list() == ["OTHER", "BOMB_DROPPED", "BOMB_DROPPED"]
    places = dict(tables.tracks.read().select("t_ms", "x_mm").rows())
    assert (places[0], places[30_000]) == (100_000, 3810)
    assert json.loads(events.filter(pl.col("event_type") == "MATCH_STARTED")["payload"].item())["title"] is None
    assert tables.match["title"].item() == "cs2"
    for count in range(1, len(feed.lines)):
        until = read(feed.lines[:count]).matches["77-1"]
        assert until.events.read().equals(events.head(until.events.read().height))
        cut = until.tracks.read().sort("seq")
        assert cut.equals(tables.tracks.read().sort("seq").head(cut.height))
