"""Both logs tell the same match, the same way every time; and the truth covers exactly the living."""

import gzip
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from bisect import bisect_right
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pipeline.events.model import EVENT_TYPES, TYPE_RANK
from pipeline.events.sources.simulator import simulate, write
from pipeline.intents.vocabulary import INTENTS

SOURCE_UNIT_M = 0.01905  # three quarters of an inch
REASONS = {
    "t_win": "opponentEliminated",
    "ct_win": "opponentEliminated",
    "bomb_defused": "bombDefused",
    "target_bombed": "bombExploded",
    "time_ran_out": "timeExpired",
}


def standing(transactions):
    """GRID events that stand, each with its time."""
    told = [(t["occurredAt"], event) for t in transactions for event in t["events"]]
    reverted = {event["revertedEventId"] for _, event in told if "revertedEventId" in event}
    return [
        (when, event) for when, event in told if event["id"] not in reverted and not event["action"].startswith("!")
    ]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    first, again = (write(tmp_path / name, simulate(rounds=2, seed=9)) for name in "ab")
    assert [path.name for path in first] == [
        "sim-9-2.jsonl.gz", "events_9290002_grid.jsonl.zip", "sim-9-2.truth.parquet",
    ]  # fmt: skip
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    other = write(tmp_path / "c", simulate(rounds=2, seed=10, match_id="sim-9-2"))
    assert all(one.read_bytes() != two.read_bytes() for one, two in zip(first, other, strict=True))


def test_the_order_of_hashes_changes_nothing():
    code = (
        "import hashlib; from pipeline.events.sources.simulator import simulate; m = simulate(rounds=1, seed=4);"
        "print(hashlib.sha256(chr(10).join([*m.canonical_lines(), *m.grid_lines()]).encode()).hexdigest())"
    )
    here = simulate(rounds=1, seed=4)
    lines = "\n".join([*here.canonical_lines(), *here.grid_lines()])
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(root)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == hashlib.sha256(lines.encode()).hexdigest()


def test_a_longer_match_begins_with_the_same_rounds():
    short, long = simulate(rounds=2, seed=3), simulate(rounds=4, seed=3)
    assert short.recording.rounds[0].samples.place.tobytes() == long.recording.rounds[0].samples.place.tobytes()
    assert short.recording.rounds[1].sides != long.recording.rounds[1].sides


def test_files_hold_the_lines(tmp_path, match):
    canonical, grid, _ = write(tmp_path, match)
    with gzip.open(canonical, "rt", encoding="utf-8") as file:
        assert file.read().splitlines() == list(match.canonical_lines())
    assert canonical.read_bytes()[4:8] == b"\0\0\0\0", "no wall clock in the file"
    with zipfile.ZipFile(grid) as archive:
        (entry,) = archive.infolist()
        assert entry.filename == grid.name.removesuffix(".zip") and entry.date_time == (1980, 1, 1, 0, 0, 0)
        assert archive.read(entry).decode().splitlines() == list(match.grid_lines())


def test_canonical_lines_are_unique_known_and_in_total_order(events, match):
    assert len({event["event_id"] for event in events}) == len(events)
    assert {event["match_id"] for event in events} == {"sim-5-12"} == {match.match_id}
    assert {event["event_type"] for event in events} <= set(EVENT_TYPES) - {"OTHER"}
    order = [(e["payload"]["ts"], TYPE_RANK[e["event_type"]], e["event_id"]) for e in events]
    assert order == sorted(order)
    assert events[0]["event_type"] == "MATCH_STARTED" and events[-1]["event_type"] == "MATCH_ENDED"
    opening = events[0]["payload"]
    assert opening["title"] == "cs2" and [len(team["players"]) for team in opening["teams"]] == [5, 5]
    assert {objective["id"] for objective in opening["objectives"]} == {"bombsite_a", "bombsite_b"}


def test_truth_covers_exactly_the_living_of_live_rounds(match, rounds):
    expected = set()
    for number, entries in rounds.items():
        times = {
            e["event_type"]: round(e["payload"]["ts"] * 1000) for e in entries if e["event_type"].startswith("ROUND")
        }
        deaths = {
            e["payload"]["target"]: round(e["payload"]["ts"] * 1000)
            for e in entries
            if e["event_type"] == "PLAYER_KILLED"
        }
        for player in match.recording.players:
            first = -(-times["ROUND_LIVE"] // 250) * 250
            for t in range(first, min(times["ROUND_ENDED"], deaths.get(player, 10**12)), 250):
                expected.add((number, player, t))
    truth = match.truth
    assert truth.columns == ["round", "player", "t_ms", "intent"]
    assert set(truth.select("round", "player", "t_ms").iter_rows()) == expected
    assert truth.height == len(expected)
    assert truth.equals(truth.sort("player", "t_ms"))


def test_all_nine_intents_occur_with_plausible_shares(match):
    shares = {intent: count / match.truth.height for intent, count in match.truth["intent"].value_counts().iter_rows()}
    assert set(shares) == set(INTENTS)
    assert 0.3 < shares["hold"] < 0.65 and 0.15 < shares["advance"] < 0.45
    assert all(share > 0.0002 for share in shares.values()), "a defuse that is broken off is an instant or two"


def test_truth_says_plant_and_defuse_while_it_is_done(match, rounds):
    said = {(player, t): intent for _, player, t, intent in match.truth.iter_rows()}
    checked = 0
    for entries in rounds.values():
        begun = {}
        for event in entries:
            now = round(event["payload"]["ts"] * 1000)
            if event["event_type"] in ("BOMB_PLANT_STARTED", "BOMB_DEFUSE_STARTED"):
                begun[event["actor"]] = now
            elif event["event_type"] in ("BOMB_PLANTED", "BOMB_DEFUSED"):
                want = "plant" if event["event_type"] == "BOMB_PLANTED" else "defuse"
                for t in range(-(-begun[event["actor"]] // 250) * 250, now, 250):
                    assert said[event["actor"], t] == want
                    checked += 1
    assert checked > 50


def test_whoever_kills_means_to_engage_or_to_trade(match):
    intents = Counter()
    for played in match.recording.rounds:
        for kill in (h for h in played.happenings if h.kind == "PLAYER_KILLED"):
            k = int(np.searchsorted(played.samples.ticks, kill.tick, side="right")) - 1
            intents[INTENTS[played.samples.intent[k, match.recording.players.index(kill.actor)]]] += 1
    assert set(intents) == {"engage", "trade"}


def test_transactions_look_like_grid(transactions, match):
    assert [t["sequenceNumber"] for t in transactions] == list(range(1, len(transactions) + 1))
    keys = [
        "id",
        "correlationId",
        "occurredAt",
        "publishedAt",
        "seriesId",
        "sequenceNumber",
        "sessionSequenceNumber",
        "events",
    ]
    assert all(list(t) == keys and t["publishedAt"].startswith("1970-01-01") for t in transactions)
    assert {t["seriesId"] for t in transactions} == {match.series_id} and match.series_id.isdigit()
    assert [t["occurredAt"] for t in transactions] == sorted(t["occurredAt"] for t in transactions)
    ids = [event["id"] for t in transactions for event in t["events"]]
    assert len(set(ids)) == len(ids)
    for transaction in transactions:
        for event in transaction["events"]:
            assert event["type"] == f"{event['actor']['type']}-{event['action']}-{event['target']['type']}"
    samples = [t["occurredAt"] for t in transactions if t["events"][0]["type"] == "grid-sampled-series"]
    assert samples[0] == "2026-01-01T12:00:01.000Z" and len(samples) > 0.9 * match.recording.end / 64


def test_grid_and_canonical_tell_the_same_match(transactions, rounds, match, config):
    ids = {name: grid.partition(":")[2] for name, grid in match.grid_ids.items()}
    words = {
        "PLAYER_KILLED": "player-killed-player",
        "BOMB_PLANTED": "player-completed-plantBomb",
        "BOMB_DEFUSED": "player-completed-defuseBomb",
        "BOMB_EXPLODED": "player-completed-explodeBomb",
        "ROUND_STARTED": "game-started-round",
        "ROUND_LIVE": "round-ended-freezetime",
        "ROUND_ENDED": "game-ended-round",
    }
    stands = standing(transactions)
    for kind, word in words.items():
        ours = [
            (e["timestamp"], ids.get(e["actor"]), ids.get(e["payload"].get("target", "")))
            for entries in rounds.values() for e in entries if e["event_type"] == kind
        ]  # fmt: skip
        theirs = [
            (when, e["actor"]["id"] if kind[0] in "PB" else None, e["target"]["id"] if kind[0] == "P" else None)
            for when, e in stands if e["type"] == word
        ]  # fmt: skip
        assert ours == theirs, kind
    winners = [e["actor"]["id"] for _, e in stands if e["type"] == "team-won-round"]
    results = [entries[-1]["payload"] for _, entries in sorted(rounds.items())]
    sides = [entries[0]["payload"]["sides"] for _, entries in sorted(rounds.items())]
    assert winners == [
        ids[next(team for team, side in told.items() if side == result["winner"])]
        for told, result in zip(sides, results, strict=True)
    ]
    damage = sum(e["payload"]["damage"] for r in rounds.values() for e in r if e["event_type"] == "PLAYER_DAMAGED")
    taken = [
        e["target"]["stateDelta"]["game"]["currentHealth"]
        for _, e in stands
        if e["type"] in ("player-damaged-player", "player-teamdamaged-player")
    ]
    assert damage == -sum(taken)


def test_one_round_start_is_taken_back_and_told_again(transactions, config):
    told = [event for t in transactions for event in t["events"]]
    number = config.grid.corrected_round
    starts = [e["id"] for e in told if e["type"] == "game-started-round" and e["target"]["id"] == f"round-{number}"]
    back = [e for e in told if "revertedEventId" in e]
    assert len(starts) == 2 and starts[0] in {e["revertedEventId"] for e in back} and starts[1] not in {
        e["revertedEventId"] for e in back
    }  # fmt: skip
    assert [e["type"] for e in back] == ["game-!set-clock", "round-!started-freezetime", "game-!started-round"]
    frame = [e["type"] for e in told if e["type"] in ("grid-invalidated-series", "grid-validated-series")]
    assert frame == ["grid-invalidated-series", "grid-validated-series"]


def test_one_round_has_no_state_and_positions_are_null_at_first(transactions, config):
    number, stateless, positions = 0, set(), []
    for transaction in transactions:
        for event in transaction["events"]:
            if event["type"] == "game-started-round":
                number = int(event["target"]["id"].partition("-")[2])
            assert event["includesFullState"] == ("seriesState" in event) == ("state" in event["actor"])
            if "seriesState" not in event:
                stateless.add(number)
                continue
            assert number not in stateless
            players = [p for team in event["seriesState"]["games"][0]["teams"] for p in team["players"]]
            positions.append((transaction["occurredAt"], [p["position"] for p in players]))
    assert stateless == {config.grid.stateless_round}
    for when, at in positions:
        early = when < "2026-01-01T12:00:30.000Z"
        assert all((position is None) == early for position in at)


def test_deltas_alone_lead_to_the_health_and_life_that_states_show(transactions):
    hp, alive = {}, {}
    checked = 0
    for transaction in transactions:
        for event in transaction["events"]:
            for game in event["seriesStateDelta"].get("games", []):
                for player in (p for team in game.get("teams", []) for p in team.get("players", [])):
                    hp[player["id"]] = hp.get(player["id"], 100) + player.get("currentHealth", 0)
                    alive[player["id"]] = player.get("alive", alive.get(player["id"], True))
        if "seriesState" in transaction["events"][-1] and "!" not in transaction["events"][-1]["action"]:
            for team in transaction["events"][-1]["seriesState"]["games"][0]["teams"]:
                for player in team["players"]:
                    assert hp.get(player["id"], 100) == player["currentHealth"]
                    assert alive.get(player["id"], True) == player["alive"]
                    checked += 1
    assert checked > 1000


def test_grid_positions_are_those_of_the_canonical_log_in_game_units(transactions, rounds, match):
    where = {}
    for entries in rounds.values():
        for event in entries:
            if event["event_type"] == "POSITION_UPDATE":
                grid = match.grid_ids[event["actor"]].partition(":")[2]
                where[grid, event["timestamp"]] = event["payload"]["pos"]
    instants = sorted({when for _, when in where})
    lives = [[e["timestamp"] for e in r if e["event_type"] in ("ROUND_LIVE", "ROUND_ENDED")] for r in rounds.values()]
    compared = 0
    for transaction in transactions:
        event, now = transaction["events"][0], transaction["occurredAt"]
        if "seriesState" not in event or not any(min(span) <= now < max(span) for span in lives):
            continue
        newest = instants[bisect_right(instants, now) - 1]
        for player in (p for team in event["seriesState"]["games"][0]["teams"] for p in team["players"]):
            if player["alive"] and player["position"]:
                x, _, z = where[player["id"], newest]
                assert player["position"]["x"] == pytest.approx(x / SOURCE_UNIT_M, abs=0.001)
                assert player["position"]["y"] == pytest.approx(-z / SOURCE_UNIT_M, abs=0.001)
                compared += 1
    assert compared > 1000


def test_the_reader_agrees_on_both_logs(tmp_path, match):
    from pipeline.events.reader import read_log

    canonical, grid, _ = write(tmp_path, match)
    one, two = (read_log(path, log_id="log") for path in (canonical, grid))
    assert list(one.matches) == [match.match_id] and list(two.matches) == [f"{match.series_id}-1"]
    assert one.quarantine.read().is_empty() and two.quarantine.read().is_empty()
    first, second = one.matches[match.match_id], two.matches[f"{match.series_id}-1"]
    told = first.events.read(), second.events.read()
    for kind in ("PLAYER_KILLED", "BOMB_PLANTED", "BOMB_DEFUSED", "BOMB_EXPLODED", "PLAYER_DAMAGED", "BOMB_DROPPED"):
        ours, theirs = (
            events.filter(events["event_type"] == kind).select("t_ms", "round", "actor", "target") for events in told
        )
        names = match.grid_ids
        assert [(t, r, names.get(a), names.get(b)) for t, r, a, b in ours.iter_rows()] == theirs.rows(), kind
    same = ["round", "start_ms", "live_ms", "end_ms", "winner"]
    assert first.rounds.select(same).equals(second.rounds.select(same))
    assert [REASONS[reason] for reason in first.rounds["reason"]] == second.rounds["reason"].to_list()


def test_lines_are_json_without_breaks(match):
    for line in (next(match.canonical_lines()), next(match.grid_lines())):
        assert "\n" not in line and json.loads(line)


def test_two_matches_never_share_a_series():
    ids = {simulate(rounds=1, seed=seed).series_id for seed in (0, 1)}
    with pytest.raises(ValueError, match="fewer than 10000"):
        simulate(rounds=10_000, seed=0)
    assert len(ids) == 2
    assert int(max(ids)) - int(min(ids)) == 10_000, "so many rounds fit between two seeds"
