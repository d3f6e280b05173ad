"""Matches that no game would play: however their events come, the running match gives what the recorded one gives."""

import importlib.util
import random
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from configs.features import load_features
from pipeline.features.definition import FEATURES, NAMES
from pipeline.features.pack import before_opening
from pipeline.live.arrivals import arrivals
from pipeline.live.features import LiveFeatures

pool = st.integers(0, 15)
"""Seeds that the fast tests share, so that each match is read once."""
seeds = st.integers(0, 2**32)
few = settings(max_examples=12, deadline=None, derandomize=True)


@given(seed=pool)
@few
def test_all_in_one_call_gives_the_recorded_rows(strange_match, written, seed):
    match = strange_match(seed)
    assert match.batch.height > 0
    assert written(match.live()) == match.recorded


@given(seed=pool)
@few
def test_one_event_per_call_gives_the_recorded_rows(strange_match, written, seed):
    match = strange_match(seed)
    assert written(match.live(range(1, len(match.arrived)))) == match.recorded


@given(seed=pool)
@few
def test_random_calls_give_the_recorded_rows(strange_match, written, seed):
    match = strange_match(seed)
    steps = sorted(random.Random(seed).choices(range(len(match.arrived)), k=20))
    assert written(match.live(steps)) == match.recorded


@given(seed=pool)
@few
def test_a_match_restored_before_any_event_gives_the_recorded_rows(strange_match, written, seed):
    streamed = strange_match(seed, 150)
    match, parts = LiveFeatures(streamed.match_id), []
    for place in range(len(streamed.arrived)):
        match = LiveFeatures.from_bytes(match.to_bytes())
        parts.append(match.take(streamed.arrived[place : place + 1]).rows)
    assert written(match.table(*parts, LiveFeatures.from_bytes(match.to_bytes()).finish())) == streamed.recorded


@given(seed=pool)
@few
def test_arrival_shuffled_within_the_lateness_bound_gives_the_recorded_rows(strange_match, shuffled, written, seed):
    match = strange_match(seed)
    order = shuffled(match, seed)
    assert order != sorted(order)
    steps = sorted(random.Random(seed).choices(range(len(order)), k=50))
    assert written(match.live(steps, order)) == match.recorded


@given(seed=pool)
@few
def test_every_event_delivered_twice_gives_the_recorded_rows(strange_match, shuffled, written, seed):
    match, dice = strange_match(seed), random.Random(seed)
    order = shuffled(match, seed)
    again = [(place + dice.choice((0, 1, 5, 200)), 1, event) for place, event in enumerate(order)]
    twice = [event for *_, event in sorted([*((place, 0, event) for place, event in enumerate(order)), *again])]
    live = LiveFeatures(match.match_id)
    taken = live.take(arrivals(match.stream[twice]))
    counts = live.counts
    assert (counts.accepted, counts.duplicate + counts.late_or_duplicate) == (len(order), len(order))
    assert written(live.table(taken.rows, live.finish())) == match.recorded


@given(seed=pool)
@few
def test_of_events_that_come_late_the_recorded_rows_of_the_accepted_ones(strange_match, written, seed):
    match, dice = strange_match(seed), random.Random(seed)
    comes = [t + dice.choice((0, 0, 0, 0, 700, 3000, 30_000)) for t in match.stream["t_ms"]]
    stream = match.stream[sorted(range(len(comes)), key=comes.__getitem__)]
    arrived, whole, single = arrivals(stream), LiveFeatures(match.match_id), LiveFeatures(match.match_id)
    at_once = whole.take(arrived)
    one_by_one = [single.take(arrived[place : place + 1]) for place in range(len(arrived))]
    assert np.concatenate([taken.is_accepted for taken in one_by_one]).tolist() == at_once.is_accepted.tolist()
    assert whole.counts == single.counts and whole.counts.late_or_duplicate > 0
    rows = whole.table(at_once.rows, whole.finish())
    assert written(rows) == written(single.table(*(taken.rows for taken in one_by_one), single.finish()))
    accepted = set(stream.filter(at_once.is_accepted)["event_id"])
    kept = type(match)(match.match, match.stream.filter(pl.col("event_id").is_in(list(accepted))))
    opening = match.stream.filter(pl.col("event_type") == "MATCH_STARTED")["event_id"]
    assume(set(opening) <= accepted)  # else the recorded match knows what the running one never heard
    assert written(rows) == kept.recorded


@given(seed=pool)
@few
def test_resting_now_and_then_gives_the_recorded_rows_of_events_in_order(strange_match, written, seed):
    match, dice = strange_match(seed), random.Random(seed)
    live, parts = LiveFeatures(match.match_id), []
    times = match.stream["t_ms"]
    for place in range(len(times)):
        parts.append(live.take(match.arrived[place : place + 1]).rows)
        if dice.random() < 0.05 and place + 1 < len(times) and times[place + 1] > times[place]:
            parts.append(live.rest(10_000))
    assert live.counts.late_or_duplicate == 0
    assert written(live.table(*parts, live.finish())) == match.recorded


@given(seed=pool)
@settings(max_examples=8, deadline=None, derandomize=True)
def test_the_running_match_says_what_the_oracle_says(strange_match, oracle, seed):
    match = strange_match(seed, 250)
    assume(before_opening(*match.tables[1:]) == 0)  # the oracle knows the map from the start
    live = match.live(range(1, len(match.arrived)))
    theirs = oracle(*match.tables, load_features())
    assert live.select("t_ms", "player").rows() == [(row["t_ms"], row["player"]) for row in theirs]
    for feature in FEATURES:
        mine, naive = live[feature.name].to_list(), [row[feature.name] for row in theirs]
        if feature.integer:
            assert mine == naive, feature.name
        else:
            assert [value is None for value in mine] == [value is None for value in naive], feature.name
            rounded = np.array([value for value in naive if value is not None], dtype=np.float32)
            known = np.array([value for value in mine if value is not None], dtype=np.float32)
            assert (np.abs(known - rounded) <= np.spacing(np.abs(rounded))).all(), feature.name


@pytest.mark.parametrize("seed", range(3))
def test_an_event_less_gives_other_rows(strange_match, written, seed):
    match = strange_match(seed)
    instants = set(match.batch.select("player", "t_ms").rows())
    moves = match.stream.filter(pl.col("event_type") == "POSITION_UPDATE").select("event_id", "actor", "t_ms")
    shown = [event_id for event_id, actor, t_ms in moves.rows() if (actor, -(-t_ms // 250) * 250) in instants]
    less = type(match)(match.match, match.stream.filter(pl.col("event_id") != shown[len(shown) // 2]))
    assert written(less.live()) == less.recorded != match.recorded


@pytest.mark.slow
@given(seed=seeds, count=st.sampled_from((60, 250, 800)))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_every_way_of_arrival_gives_the_recorded_rows(strange_match, shuffled, written, seed, count):
    match, dice = strange_match(seed, count), random.Random(seed)
    recorded, events = match.recorded, len(match.arrived)
    order = shuffled(match, seed)
    again = ((place + dice.randrange(events), 1, event) for place, event in enumerate(order))
    twice = [event for *_, event in sorted([*((place, 0, event) for place, event in enumerate(order)), *again])]
    assert written(match.live()) == recorded
    assert written(match.live(range(1, events))) == recorded
    assert written(match.live(sorted(dice.choices(range(events), k=30)), order)) == recorded
    live, parts = LiveFeatures(match.match_id), []
    arrived = arrivals(match.stream[twice])
    while len(arrived):
        step = dice.randint(1, 40)
        live = LiveFeatures.from_bytes(live.to_bytes())
        parts.append(live.take(arrived[:step]).rows)
        arrived = arrived[step:]
    assert live.counts.accepted == events
    assert written(live.table(*parts, live.finish())) == recorded


def test_generated_matches_fill_every_feature_and_are_spoiled_in_every_way(strange_match):
    matches = [strange_match(seed) for seed in range(40)]
    rows = pl.concat([match.batch for match in matches])
    assert [name for name in NAMES if rows[name].null_count() == rows.height] == []
    streams = [match.stream for match in matches]
    assert any(stream["team"].drop_nulls().is_empty() for stream in streams)
    assert any(not stream["event_type"].is_in(["ROUND_STARTED"]).any() for stream in streams)
    assert any(before_opening(*match.tables[1:]) > 0 for match in matches)
    assert any(
        stream.filter(pl.col("event_type") == "POSITION_UPDATE")["y_mm"].null_count() > 100 for stream in streams
    )
    assert any(stream.group_by("t_ms").len()["len"].max() > 50 for stream in streams)


@pytest.fixture(scope="module")
def oracle():
    path = Path(__file__).parents[1] / "features" / "oracle.py"
    spec = importlib.util.spec_from_file_location("features_oracle", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.oracle
