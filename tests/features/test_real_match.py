"""One recorded professional match: parity over its first rounds, and the oracle over its first duel."""

import random
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from pipeline.events.reader import read_log
from pipeline.features.carry import Carry
from pipeline.features.match import match_features


@pytest.fixture(scope="module")
def recorded(shared_data):
    reading = read_log(shared_data / "cs2" / "cs2-sf-mirage.jsonl.gz", log_id="cs2-sf-mirage")
    tables = reading.matches["cs2-sf-mirage"]
    return SimpleNamespace(
        match=tables.match, rounds=tables.rounds, events=tables.events.read(), tracks=tables.tracks.read()
    )


@pytest.fixture(scope="module")
def two_rounds(recorded, packed):
    """The first two rounds in the kernel's integers."""
    end = recorded.rounds.filter(round=2)["end_ms"].item()
    match = packed(recorded)
    return type(match)(match.cast, match.batch[: int(np.searchsorted(match.batch.t_ms, end, side="right"))])


def test_a_real_match_cut_into_calls_gives_the_same_bytes(two_rounds, at_once, digest, limits):
    whole, dice = at_once(two_rounds), random.Random(1)
    events = two_rounds.batch
    one_by_one, chunked = Carry(two_rounds.cast, limits), Carry(two_rounds.cast, limits)
    singles = [one_by_one.advance(events[n : n + 1]) for n in range(len(events))]
    assert digest(*singles, one_by_one.advance(events[:0], until_ms=two_rounds.until_ms)) == whole
    parts, done = [], 0
    while done < len(events):
        size = dice.randint(1, 400)
        chunked = Carry.from_bytes(chunked.to_bytes(), limits)
        parts.append(chunked.advance(events[done : done + size]))
        done += size
    assert digest(*parts, chunked.advance(events[:0], until_ms=two_rounds.until_ms)) == whole


def test_a_real_duel_is_what_the_oracle_says(recorded, oracle, limits):
    events, tracks = recorded.events, recorded.tracks
    death = events.filter(pl.col("event_type") == "PLAYER_KILLED")["t_ms"][0]
    near = pl.col("t_ms").is_between(death - 7000, death + 2000)
    told = pl.col("event_type").is_in(["ROUND_STARTED", "ROUND_LIVE"]) & (pl.col("t_ms") < death)
    slices = recorded.match, events.filter(near | told), tracks.filter(near)
    ours, theirs = match_features(*slices, limits), oracle(*slices, limits)
    assert ours.height == len(theirs) > 300
    for name in theirs[0]:
        naive = pl.Series([row[name] for row in theirs], dtype=ours[name].dtype, strict=False)
        assert ours[name].equals(naive), name


def test_every_player_of_a_real_match_moves_like_a_human(recorded):
    rows = match_features(recorded.match, recorded.events, recorded.tracks)
    assert rows["player"].n_unique() == 10
    assert rows["speed_mean_4s_mps"].max() < 7.5
    assert rows["straightness_4s"].max() <= 1.0
    assert rows["objective_m"].null_count() == 0
    live = recorded.rounds.select("round", "live_ms", "end_ms")
    timed = rows.join(live, on="round")
    assert timed.filter((pl.col("t_ms") < pl.col("live_ms")) | (pl.col("t_ms") >= pl.col("end_ms"))).is_empty()
