"""Whatever happens after an instant changes nothing at or before it: from lines of a log to segments of intents.

The first lines up to the instant stay as they are, everything after it is scrambled: dropped, told in another order,
with other payloads, players and times, with new events. Labels alone may look ahead, so they are not asked.
"""

import copy
import json
import random
import zipfile

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from configs.intents import load_intents
from pipeline.events.sources.simulator import simulate
from pipeline.intents import segmenter
from pipeline.intents.labels import label
from pipeline.intents.prediction import predict
from pipeline.intents.segments import begin, describe, extend, segment
from pipeline.intents.training import fit, samples

KEYS = ["player", "t_ms"]
INVENTED = (
    ("ROUND_STARTED", {"round": 1}),
    ("ROUND_STARTED", {"round": 2}),
    ("ROUND_STARTED", {"round": 7}),
    ("ROUND_LIVE", {"round": 1}),
    ("ROUND_ENDED", {"round": 1, "winner": "terrorists"}),
    ("PLAYER_KILLED", {}),
    ("PLAYER_DAMAGED", {"damage": 99}),
    ("BOMB_PLANTED", {"pos": [0.0, 0.0, 0.0]}),
    ("WEAPON_FIRED", {}),
    ("GRENADE_THROWN", {}),
    ("MATCH_ENDED", {"winner": "team:other"}),
)


def milliseconds(event):
    return round(event["payload"]["ts"] * 1000)


def scrambled(events, t_ms, dice):
    """The same lines up to that time; after it, whatever comes to mind."""
    kept = [event for event in events if milliseconds(event) <= t_ms]
    future = [copy.deepcopy(event) for event in events if milliseconds(event) > t_ms and dice.random() < 0.6]
    last = max(milliseconds(events[-1]), t_ms + 60_000)
    players = sorted({event["actor"] for event in events if event["actor"].startswith("player:")})
    teams = [{"id": f"team:{name}", "players": dice.sample(players, len(players) // 2)} for name in ("x", "y")]
    sides = {team: dice.choice(("terrorists", "counter-terrorists")) for team in _teams(events)}

    def later():
        return round(dice.uniform(t_ms + 1, last)) / 1000

    for event in future:
        payload = event["payload"]
        if dice.random() < 0.5:
            payload["ts"] = later()
        if event["actor"].startswith("player:") and dice.random() < 0.5:
            event["actor"] = dice.choice([*players, "player:new"])
        if "pos" in payload and dice.random() < 0.5:
            payload["pos"] = [dice.uniform(-99, 99), dice.choice((None, 1.0)), dice.uniform(-99, 99)]
        for name in ("hp", "armor", "damage"):
            if name in payload and dice.random() < 0.5:
                payload[name] = dice.randrange(100)
        if dice.random() < 0.3:
            payload["round"] = dice.randrange(1, 9)
        if "sides" in payload:
            payload["sides"] = sides
        if "teams" in payload and dice.random() < 0.7:
            payload["teams"] = teams
    if dice.random() < 0.5:
        opening = {
            "title": "valorant",
            "map": "de_dust2",
            "teams": teams,
            "objectives": [{"id": "o", "pos": [9, 9, 9]}],
        }
        future.append(_event(events, "MATCH_STARTED", None, {**opening, "ts": later()}))
    for _ in range(dice.randrange(60)):
        kind, told = dice.choice(INVENTED)
        payload = {**told, "ts": later()}
        if kind.startswith("PLAYER_"):
            payload["target"] = dice.choice(players)
        if kind == "ROUND_STARTED":
            payload["sides"] = sides
        future.append(_event(events, kind, dice.choice(players), payload))
    future.append(_event(events, "OTHER", None, {"ts": last / 1000}))  # the log goes on, else it would end at t
    for place, event in enumerate(future):
        event["event_id"] = dice.choice((event.get("event_id"), None)) or f"{dice.choice('!~')}{place}"
    places = [(0.5, place, event) for place, event in enumerate(kept)]
    places += [(dice.random(), place, event) for place, event in enumerate(future)]  # before, after: order is no time
    return [event for *_, event in sorted(places, key=lambda entry: entry[:2])]


def _event(events, kind, actor, payload):
    return {"match_id": events[0]["match_id"], "event_type": kind, "actor": actor or "match:m", "payload": payload}


def _teams(events):
    known = {team for event in events for team in (event["payload"].get("sides") or ())}
    return sorted(known | {team["id"] for event in events for team in (event["payload"].get("teams") or ())})


@pytest.fixture(scope="module")
def model(read_events, simulated_lines):
    """Trees trained on the two simulated rounds and two more, a few of them."""
    config = load_intents()
    booster = config.training.booster.model_copy(update={"rounds": 12})
    config = config.model_copy(update={"training": config.training.model_copy(update={"booster": booster})})
    more = [json.loads(line) for line in simulate(rounds=2, seed=4).canonical_lines()]
    labelled = []
    for lines in (simulated_lines, more):
        match = read_events(lines)
        labelled.append(samples(match.batch, label(*match.tables[1:], match.batch)))
    return fit(pl.concat(labelled), config).model


def known_by(intents, t_ms, model):
    """Segments closed by then, and player, start and intent of those open then."""
    state = begin(load_intents())
    past = intents.filter(pl.col("t_ms") <= t_ms).sort("t_ms")
    closed = extend(state, past, model_version=model.version, config=load_intents())
    found = describe(intents["match_id"][0], state, closed, model_version=model.version, config=load_intents())
    is_open = (state.slots[:, segmenter._INTENT] >= 0) & (state.slots[:, segmenter._LAST] >= 0)
    names = np.array(state.players, dtype=object)[is_open]
    return found, list(zip(names, state.slots[is_open, segmenter._FROM].tolist(), strict=True))


def all_segments(features, intents, model):
    return segment(intents, features, model_version=model.version, review_threshold=0.6)


@pytest.mark.parametrize("kind", ["simulated", "strange"])
@given(seed=st.integers(0, 2**32), share=st.floats(0.05, 0.95))
@settings(max_examples=12, deadline=None, derandomize=True)
@example(seed=1, share=0.5)
def test_a_scrambled_future_changes_nothing_before_it(
    kind, simulated_lines, strange_events, read_events, model, seed, share
):
    dice = random.Random(seed)
    events = simulated_lines if kind == "simulated" else strange_events(seed % 32)
    if kind == "simulated":
        events = [event for event in events if event["event_type"] != "POSITION_UPDATE" or dice.random() < 0.15]
    times = [milliseconds(event) for event in events]
    t_ms = dice.choice((sorted(times)[int(share * len(times))], round(times[0] + share * (times[-1] - times[0]))))
    ours, theirs = read_events(events).batch, read_events(scrambled(events, t_ms, dice)).batch
    past = [rows.filter(pl.col("t_ms") <= t_ms).sort(KEYS) for rows in (ours, theirs)]
    assert past[0].equals(past[1])
    if ours.is_empty() or theirs.is_empty():
        return
    intents = [predict(rows, model) for rows in (ours, theirs)]
    known = [rows.filter(pl.col("t_ms") <= t_ms).sort(KEYS) for rows in intents]
    assert known[0].equals(known[1])
    closed, opened = known_by(intents[0], t_ms, model)
    for features, rows in zip((ours, theirs), intents, strict=True):
        whole = all_segments(features, rows, model)
        columns = [name for name in closed.columns if name != "confidence"]
        assert closed.select(columns).join(whole, on=["segment_id", "to_ms", "decided_by"], how="anti").is_empty()
        starts = set(whole.select("player", "from_ms").rows())
        assert set(opened) <= starts


def test_scrambling_does_change_the_future(simulated_lines, read_events, model):
    t_ms = milliseconds(simulated_lines[len(simulated_lines) // 2])
    ours, theirs = (
        read_events(events).batch for events in (simulated_lines, scrambled(simulated_lines, t_ms, random.Random(1)))
    )
    assert not ours.filter(pl.col("t_ms") > t_ms).equals(theirs.filter(pl.col("t_ms") > t_ms))
    assert ours.filter(pl.col("t_ms") <= t_ms).height > 500
    assert predict(ours, model)["decided_by"].n_unique() > 1


def test_hindsight_does_look_ahead(simulated_lines, read_events):
    t_ms = milliseconds(simulated_lines[len(simulated_lines) // 2])
    past = []
    for events in (simulated_lines, scrambled(simulated_lines, t_ms, random.Random(1))):
        match = read_events(events)
        past.append(label(*match.tables[1:], match.batch).filter(pl.col("t_ms") <= t_ms).sort(KEYS))
    assert not past[0].equals(past[1])


def rows_of_grid(read_streamed, folder, lines):
    log = folder / "grid.jsonl"
    log.write_text("".join(line.rstrip("\n") + "\n" for line in lines))
    match = read_streamed(log)
    return match.batch, match.stream["t_ms"].max()


def test_a_grid_series_cut_off_at_any_transaction_tells_the_same_until_then(read_streamed, tmp_path):
    lines, dice = list(simulate(rounds=2, seed=11).grid_lines()), random.Random(1)
    whole, _ = rows_of_grid(read_streamed, tmp_path, lines)
    for count in dice.sample(range(len(lines) // 8, len(lines)), 5):
        start, last = rows_of_grid(read_streamed, tmp_path, lines[:count])
        assert start.height > 0
        assert start.filter(pl.col("t_ms") <= last).equals(whole.filter(pl.col("t_ms") <= last))


def without_map(value):
    if isinstance(value, dict):
        return {name: without_map(inner) for name, inner in value.items() if name != "map"}
    return [without_map(inner) for inner in value] if isinstance(value, list) else value


def test_a_map_told_after_the_start_of_a_grid_game_changes_no_feature(read_streamed, written, tmp_path):
    texts = list(simulate(rounds=1, seed=11).grid_lines())
    lines = [json.loads(text.replace("sim_two_sites", "mirage")) for text in texts]  # a map of known objectives
    late = len(lines) // 2
    told = [json.dumps(line) for line in (*map(without_map, lines[:late]), *lines[late:])]
    never = [json.dumps(without_map(line)) for line in lines]
    whole, _ = rows_of_grid(read_streamed, tmp_path, told)
    match = read_streamed(tmp_path / "grid.jsonl")
    assert match.match["map"].item() is not None and match.match["objectives"].item().len() > 0
    assert written(match.live()) == written(match.live(range(1, len(match.arrived), 50))) == match.recorded
    assert whole.equals(rows_of_grid(read_streamed, tmp_path, never)[0])
    assert not whole.equals(rows_of_grid(read_streamed, tmp_path, map(json.dumps, lines))[0])
    start, last = rows_of_grid(read_streamed, tmp_path, told[:late])
    assert start.height > 500
    assert start.filter(pl.col("t_ms") <= last).equals(whole.filter(pl.col("t_ms") <= last))


def test_a_real_grid_series_cut_off_at_any_transaction_tells_the_same_until_then(read_streamed, shared_data, tmp_path):
    with zipfile.ZipFile(shared_data / "grid" / "events_9100001_grid.jsonl.zip") as archive:
        lines = archive.read(archive.namelist()[0]).decode().splitlines()[:500]
    whole, _ = rows_of_grid(read_streamed, tmp_path, lines)
    assert whole.height > 3000
    for count in (80, 200, 380):
        start, last = rows_of_grid(read_streamed, tmp_path, lines[:count])
        assert start.filter(pl.col("t_ms") <= last).equals(whole.filter(pl.col("t_ms") <= last))


def check_features(strange_events, read_events, seed, share):
    dice, events = random.Random(seed), strange_events(seed, 150)
    t_ms = milliseconds(events[int(share * len(events))])
    ours, theirs = read_events(events).batch, read_events(scrambled(events, t_ms, dice)).batch
    past = [rows.filter(pl.col("t_ms") <= t_ms).sort(KEYS) for rows in (ours, theirs)]
    assert past[0].equals(past[1])


@given(seed=st.integers(0, 2**32), share=st.floats(0.02, 0.6))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_a_scrambled_future_changes_no_feature(strange_events, read_events, seed, share):
    check_features(strange_events, read_events, seed, share)


@pytest.mark.slow
@given(seed=st.integers(0, 2**32), share=st.floats(0.02, 0.98))
@settings(max_examples=500, deadline=None, derandomize=True)
def test_a_scrambled_future_changes_no_feature_of_many_matches(strange_events, read_events, seed, share):
    check_features(strange_events, read_events, seed, share)
