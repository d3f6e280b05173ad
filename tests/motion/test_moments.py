import numpy as np
import polars as pl
import pytest

from configs.motion import load_motion
from pipeline.intents.vocabulary import INTENTS
from pipeline.motion.clip import NULL
from pipeline.motion.moments import choose, clip_request, deaths_of
from pipeline.tables import empty


@pytest.fixture
def tracks(tracks_of):
    t = np.arange(0, 120_000, 125)
    return pl.concat([tracks_of(f"player:{k}", t, 0.004 * t / 8 * (1 + k % 3), float(k)) for k in range(4)])


def segments(rows):
    base = {
        "match_id": "m",
        "round": 1,
        "side": "terrorists",
        "confidence": 0.9,
        "decided_by": "rule:x",
        "model_version": "v",
    }
    table = [
        {**base, "segment_id": f"{i:016x}", "player": "player:0", "review_reasons": [], **row}
        for i, row in enumerate(rows)
    ]
    return pl.DataFrame(table, schema_overrides=dict(empty("segments").schema), infer_schema_length=None)


def many(per_intent):
    return segments(
        [
            {
                "intent": intent,
                "player": f"player:{k % 4}",
                "from_ms": 1000 + 3000 * (k % 30),
                "to_ms": 3500 + 3000 * (k % 30),
            }
            for intent in INTENTS
            for k in range(per_intent)
        ]
    )


def test_the_budget_is_kept_and_the_choice_is_of_many_kinds(tracks):
    chosen = choose(many(30), tracks, budget=40)
    assert chosen.height == 40 and chosen["segment_id"].n_unique() == 40
    counts = chosen["intent"].value_counts()
    assert counts.height == len(INTENTS) and counts["count"].max() <= 12
    assert chosen["player"].n_unique() == 4
    assert choose(many(30), tracks, budget=5).height == 5 and choose(many(30), tracks, budget=0).height == 0


def test_plants_and_defuses_come_before_holds(tracks):
    first = choose(many(3), tracks, budget=6)["intent"].to_list()
    assert {"plant", "defuse"} <= set(first) and "hold" not in first


def test_the_choice_does_not_depend_on_the_order_of_the_rows(tracks):
    table = many(20)
    shuffled = table.sample(fraction=1.0, shuffle=True, seed=3)
    assert choose(table, tracks, budget=25).equals(choose(shuffled, tracks, budget=25))


def test_one_kind_alone_may_fill_the_budget(tracks):
    alone = many(30).filter(pl.col("intent") == "hold")
    assert choose(alone, tracks, budget=20).height == 20


def test_moments_without_enough_samples_are_not_chosen(tracks):
    table = segments(
        [
            {"intent": "plant", "from_ms": 1000, "to_ms": 1400},
            {"intent": "plant", "from_ms": 500_000, "to_ms": 503_000},
            {"intent": "plant", "from_ms": 1000, "to_ms": 4000, "player": "player:nobody"},
            {"intent": "hold", "from_ms": 1000, "to_ms": 4000},
        ]
    )
    assert choose(table, tracks, budget=10)["intent"].to_list() == ["hold"]
    dead = tracks.with_columns(hp=pl.lit(0, dtype=pl.Int32))
    assert choose(table, dead, budget=10).is_empty()


def test_interest_says_why(tracks):
    table = segments(
        [
            {"intent": "engage", "from_ms": 1000, "to_ms": 4000},
            {"intent": "rotate", "from_ms": 1000, "to_ms": 40_000, "player": "player:1"},
            {"intent": "rotate", "from_ms": 1000, "to_ms": 3000},
            {"intent": "hold", "from_ms": 1000, "to_ms": 4000, "confidence": 0.4},
        ]
    )
    chosen = choose(table, tracks, budget=10)
    words = dict(zip(chosen["segment_id"], chosen["interest"], strict=True))
    assert [words[f"{i:016x}"] for i in range(4)] == ["duel", "long rotation", "rotation", "doubtful"]
    assert set(chosen.columns) == {*table.columns, "interest"}


def test_no_segments_give_no_moments(tracks):
    chosen = choose(empty("segments"), tracks, budget=10)
    assert chosen.is_empty() and "interest" in chosen.columns


def row(**changes):
    return {**segments([{"intent": "advance", "from_ms": 20_000, "to_ms": 24_000}]).to_dicts()[0], **changes}


def test_a_request_takes_the_segment_and_a_margin_of_samples(tracks):
    request = clip_request(row(), tracks)
    assert (request.from_ms, request.to_ms) == (20_000, 24_000) and request.attacker is True
    margin = load_motion().clips.margin_ms
    assert request.t_ms[0] >= 20_000 - margin and request.t_ms[-1] <= 24_000 + margin
    assert request.t_ms[0] < 19_000 and request.t_ms[-1] > 25_000
    assert clip_request(row(segment_id="a" * 16), tracks).seed == request.seed
    assert clip_request(row(to_ms=23_000), tracks).seed != request.seed


def test_a_short_segment_is_widened_and_a_long_one_cut(tracks):
    clips = load_motion().clips
    short = clip_request(row(to_ms=20_250), tracks)
    assert short.to_ms - short.from_ms == clips.min_ms and short.from_ms <= 20_000 and short.to_ms >= 20_250
    plant = clip_request(row(intent="plant", to_ms=60_000), tracks)
    assert (plant.from_ms, plant.to_ms) == (60_000 - clips.max_ms, 60_000)


def test_a_long_rotation_is_cut_to_where_it_goes_furthest(tracks_of):
    t = np.arange(0, 60_000, 125)
    x = np.where((t >= 30_000) & (t <= 42_000), 4.0 * (t - 30_000) / 1000, np.where(t > 42_000, 48.0, 0.0))
    request = clip_request(row(intent="rotate", from_ms=1000, to_ms=58_000), tracks_of("player:0", t, x, 0.0))
    assert abs(request.from_ms - 30_000) <= 125 and request.to_ms - request.from_ms == 12_000


def test_a_segment_without_an_end_takes_its_intents_duration(tracks):
    request = clip_request(row(intent="peek", to_ms=None), tracks)
    assert request.to_ms - request.from_ms == load_motion().clips.durations_ms.peek


def test_samples_of_the_dead_and_of_other_rounds_are_left_out(tracks_of):
    t = np.arange(0, 30_000, 125)
    alive = np.where(t < 22_000, 100, 0)
    rounds = np.where(t < 19_500, 1, 2)
    request = clip_request(row(round=2), tracks_of("player:0", t, 0.0, 0.0, hp=alive, round=rounds))
    assert request.t_ms[0] == 19_500 and request.t_ms[-1] < 22_000 and request.to_ms < 22_000


def test_a_segment_that_ends_in_a_death_becomes_a_clip_that_ends_in_the_fall(tracks_of):
    t = np.arange(0, 30_000, 125)
    own = tracks_of("player:0", t, 0.0, 0.0, hp=np.where(t < 23_900, 100, 0))
    died = {"player:0": [9_000, 23_900], "player:1": [22_000]}
    request = clip_request(row(), own, deaths=died)
    assert request.dies and request.to_ms == 23_900 and request.t_ms[-1] < 23_900
    assert not clip_request(row(), own).dies
    earlier = clip_request(row(to_ms=22_500), own, deaths=died)
    assert not earlier.dies and earlier.to_ms == 22_500


def test_deaths_are_those_of_the_events():
    events = empty("events").select("event_type", "target", "t_ms")
    rows = [
        ("PLAYER_KILLED", "a", 900),
        ("PLAYER_DAMAGED", "a", 1),
        ("PLAYER_KILLED", "a", 300),
        ("PLAYER_KILLED", None, 4),
    ]
    events = pl.DataFrame(rows, schema=events.schema, orient="row")
    assert deaths_of(events) == {"a": [300, 900]}


def test_missing_heights_and_views_are_marked(tracks_of):
    t = np.arange(0, 30_000, 1000)
    planar = tracks_of("player:0", t, 0.0, 0.0, y_mm=None, yaw_mdeg=None, pitch_mdeg=None, side=None)
    request = clip_request(row(side=None), planar)
    assert (request.y_mm == NULL).all() and (request.yaw_mdeg == NULL).all() and request.attacker is None
