"""GRID's end state against what we read: what agrees, what differs, what could not be compared."""

import json

import polars as pl
import pytest

from pipeline.errors import PipelineError
from pipeline.events.end_state import UnusableEndState, compare, read_end_state
from pipeline.events.reader import read_log
from pipeline.events.sources.simulator import simulate

A, B = "team:1", "team:2"


def _tables(kills, *, score=(1, 1), winner=None, rounds=2):
    """A match of two a side: players 11 and 12 of team 1, 21 and 22 of team 2; `kills` as (killer, victim)."""
    match = pl.DataFrame(
        {
            "match_id": ["77-1"],
            "winner": [winner],
            "score": [[{"team": A, "score": score[0]}, {"team": B, "score": score[1]}]],
            "players": [[{"player": f"player:{n}", "team": f"team:{n // 10}"} for n in (11, 12, 21, 22)]],
        },
        schema_overrides={"winner": pl.String},
    )
    sides = [{"team": A, "side": "attacker"}, {"team": B, "side": "defender"}]
    table = pl.DataFrame(
        {
            "round": list(range(1, rounds + 1)),
            "sides": [sides] * rounds,
            "winner": (["attacker", "defender"] * rounds)[:rounds],
        }
    )
    events = pl.DataFrame(
        {
            "event_type": ["PLAYER_KILLED"] * len(kills) + ["PLAYER_DAMAGED"],
            "actor": [actor for actor, _ in kills] + ["player:11"],
            "target": [target for _, target in kills] + ["player:21"],
        }
    )
    return match, table, events


def _player(name, kills, deaths, **more):
    return {"id": name, "name": "whoever", "kills": kills, "deaths": deaths, "alive": True, **more}


def _round(number, won=None):
    teams = [{"id": team, "won": team == won} for team in ("1", "2")]
    return {"id": f"round-{number}", "type": "round", "sequenceNumber": number, "teams": teams}


def _end(players, *, score=(1, 1), won=None, segments=None, **game):
    teams = [{"id": str(k), "score": score[k - 1], "won": won == k, "players": players.get(k)} for k in (1, 2)]
    segments = [_round(1, "1"), _round(2, "2")] if segments is None else segments
    return {"id": "77", "games": [{"sequenceNumber": 1, "teams": teams, "segments": segments, **game}]}


KILLS = [("player:11", "player:21"), ("player:21", "player:11"), ("player:11", "player:22")]
PLAYERS = {1: [_player("11", 2, 1), _player("12", 0, 0)], 2: [_player("21", 1, 1), _player("22", 0, 1)]}


def _compared(end, tables):
    return compare(read_end_state(json.dumps(end).encode()), *tables)


def _differences(agreement):
    return [tuple(row) for row in agreement.differences.iter_rows()]


def test_equal_figures_agree_and_each_is_counted():
    agreement = _compared({"seriesState": _end(PLAYERS, won=1)}, _tables(KILLS, winner=A))
    assert agreement.agrees and agreement.left_out == ()
    # Four players' kills and deaths, the rounds and their two winners, two scores, the winner.
    assert agreement.compared == 8 + 3 + 2 + 1


def test_the_state_may_stand_by_itself_with_numbers_as_ids_and_strings_as_numbers():
    players = {k: [{**player, "id": int(player["id"]), "kills": float(player["kills"])} for player in team]
               for k, team in PLAYERS.items()}  # fmt: skip
    segments = [{**_round(n, won), "sequenceNumber": str(n)} for n, won in ((1, "1"), (2, "2"))]
    end = _end(players, segments=segments)
    end["games"][0]["sequenceNumber"] = "1"
    end["games"][0]["teams"] = [{**team, "id": int(team["id"])} for team in end["games"][0]["teams"]]
    agreement = _compared(end, _tables(KILLS))
    assert agreement.agrees and agreement.compared == 8 + 3 + 2


@pytest.mark.parametrize(
    ("end", "difference"),
    [
        ({"players": {**PLAYERS, 2: [_player("21", 2, 1), _player("22", 0, 1)]}}, ("kills", "player:21", "1", "2")),
        ({"players": {**PLAYERS, 2: [_player("21", 1, 3), _player("22", 0, 1)]}}, ("deaths", "player:21", "1", "3")),
        ({"players": {**PLAYERS, 2: [_player("21", 1, 1)]}}, ("player", "player:22", "0 kills, 1 deaths", None)),
        ({"score": (2, 1)}, ("score", A, "1", "2")),
        ({"won": 2}, ("winner", "match", "team:1", "team:2")),
        ({"segments": [_round(1, "1"), _round(2, "1")]}, ("winner", "round 2", "team:2", "team:1")),
        ({"segments": [_round(1, "1"), _round(2, "2"), _round(3)]}, ("rounds", "match", "2", "3")),
    ],
)
def test_each_figure_that_differs_is_told_with_both_values(end, difference):
    agreement = _compared(_end(**{"players": PLAYERS, **end}), _tables(KILLS, winner=A))
    assert not agreement.agrees and _differences(agreement) == [difference]


def test_a_teammate_killed_counts_among_the_kills_wherever_the_feed_counts_it():
    tables = _tables([*KILLS, ("player:11", "player:12")])
    told_apart = {**PLAYERS, 1: [_player("11", 2, 1, teamkills=1), _player("12", 0, 1)]}
    told_together = {**PLAYERS, 1: [_player("11", 3, 1, teamkills=0), _player("12", 0, 1)]}
    assert _compared(_end(told_apart), tables).agrees
    assert _compared(_end(told_together), tables).agrees


def test_who_dies_by_himself_or_by_the_game_has_a_death_and_nobody_a_kill():
    tables = _tables([*KILLS, ("player:12", "player:12"), ("game:x", "player:12")])
    players = {**PLAYERS, 1: [_player("11", 2, 1), _player("12", 0, 2, selfkills=1)]}
    assert _compared(_end(players), tables).agrees


def test_a_team_without_players_is_compared_as_a_team():
    end = _end({1: PLAYERS[1]})
    end["games"][0]["teams"][1] |= {"kills": 1, "deaths": 3}
    assert _differences(_compared(end, _tables(KILLS))) == [("deaths", B, "2", "3")]


def test_what_the_file_does_not_tell_is_said_and_not_compared():
    bare = {"games": [{"sequenceNumber": 1}]}
    agreement = _compared(bare, _tables(KILLS))
    assert agreement.agrees and agreement.compared == 0
    assert [text.partition(":")[0] for text in agreement.left_out] == [
        "kills or deaths of some or all players",
        "rounds",
        "score",
        "winner",
    ]
    silent = _end({1: [{"id": "11"}], 2: [_player("21", 1, 1), _player("22", 0, 1)]}, segments=[_round(2)])
    silent["valid"] = False
    agreement = _compared(silent, _tables(KILLS))
    assert agreement.agrees
    assert "the file calls its own series invalid" in agreement.left_out
    assert any(text.startswith("kills or deaths of some") for text in agreement.left_out)
    assert any(text.startswith("winners of 2 of 2 rounds") for text in agreement.left_out)


def test_the_game_is_found_by_its_number_among_others():
    other = {"sequenceNumber": 2, "teams": [{"id": "1", "score": 99}]}
    end = _end(PLAYERS)
    end["games"].insert(0, other)
    assert _compared(end, _tables(KILLS)).agrees
    end["games"] = [other]
    agreement = _compared(end, _tables(KILLS))
    assert (agreement.compared, agreement.left_out) == (0, ("game 1: the file has none of that number",))
    del other["sequenceNumber"]
    assert _compared(end, _tables(KILLS)).compared == 1
    assert _compared({}, _tables(KILLS)).compared == 0


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{", b"\xff\xfe", b'{"seriesState": {"games": [{"teams": 3}]}}', b"[" * 9999]
)
def test_what_is_no_end_state_is_refused_with_the_field(data):
    with pytest.raises(UnusableEndState, match="end state") as caught:
        read_end_state(data)
    assert isinstance(caught.value, PipelineError)
    if b"teams" in data:
        assert "$.seriesState.games[0].teams" in str(caught.value)


def test_a_simulated_series_agrees_with_the_state_after_its_last_event(tmp_path):
    simulated = simulate(rounds=2, seed=11)
    log = tmp_path / f"events_{simulated.series_id}_grid.jsonl"
    log.write_text("\n".join(simulated.grid_lines()))
    events = [event for line in simulated.grid_lines() for event in json.loads(line)["events"]]
    last = [event["seriesState"] for event in events if "seriesState" in event][-1]
    read = read_log(log, log_id="g").matches[f"{simulated.series_id}-1"]
    tables = read.match, read.rounds, read.events.read()
    agreement = _compared({"seriesState": last}, tables)
    assert agreement.agrees and agreement.compared >= 25
    last["games"][0]["teams"][1]["players"][3]["deaths"] += 1
    assert [row[:2] for row in _differences(_compared(last, tables))] == [
        ("deaths", f"player:{last['games'][0]['teams'][1]['players'][3]['id']}")
    ]
