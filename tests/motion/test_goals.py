import json

import polars as pl
import pytest

from bench.motion_quality import recorded
from configs.motion_goals import Goal, load_motion_goals
from pipeline.motion.goals import FEASIBLE, judge, met
from pipeline.motion.measures import measure
from pipeline.motion.synthesizer import synthesize
from pipeline.tables import empty

GOOD = {"path_ade_m": 0.004, "skating_ratio": 0.0, "contact_slip_max_mps": 0.01, "speed_mean_mps": 0.1}


def clips(*measured: dict[str, float] | None) -> pl.DataFrame:
    rows = [
        {"segment_id": f"{k:016x}", "feasible": each is not None, "measures": json.dumps(each or {})}
        for k, each in enumerate(measured)
    ]
    return pl.DataFrame(rows, schema={name: empty("clips").schema[name] for name in rows[0]})


def verdict(frame: pl.DataFrame) -> dict[str, dict]:
    return {row["figure"]: row for row in judge(frame).iter_rows(named=True)}


def test_good_clips_meet_every_goal_and_one_bad_foot_is_named():
    assert all(row["is_met"] for row in verdict(clips(GOOD, GOOD)).values())
    found = verdict(clips(GOOD, GOOD | {"contact_slip_max_mps": 0.3}, GOOD))["slip of held feet, greatest"]
    assert not found["is_met"] and found["worst"] == f"{1:016x}" and found["value"] == pytest.approx(30.0)
    assert found["clips"] == 3 and found["goal"] == "≤ 10"


def test_a_figure_that_no_clip_has_is_not_judged_and_no_clips_are_no_fault():
    assert "cadence, times that of people" not in verdict(clips(GOOD))
    assert judge(clips(GOOD).clear()).is_empty()


def test_too_many_clips_that_cannot_be_made_are_a_fault():
    found = verdict(clips(*[GOOD] * 9, None))[FEASIBLE]
    assert (found["value"], found["is_met"], found["worst"]) == (90.0, False, f"{9:016x}")
    assert verdict(clips(*[GOOD] * 19, None))[FEASIBLE]["is_met"]


def test_who_goes_somewhere_is_held_against_people_at_that_speed_and_who_stands_is_not():
    factor, exponent = load_motion_goals().people.jitter_mps3
    running = GOOD | {"speed_mean_mps": 4.0, "jitter_mps3": 2.0 * factor * 4.0**exponent}
    found = verdict(clips(running, GOOD | {"jitter_mps3": 9999.0}))["jitter, times that of people"]
    assert found["value"] == pytest.approx(2.0) and not found["is_met"] and found["clips"] == 1


def test_all_means_the_least_and_the_greatest():
    goal = Goal(name="stride", unit="×", key="stride", over="all", at_least=0.85, at_most=1.15)
    assert met(goal, [0.9, 1.1]) and not met(goal, [0.8, 1.0]) and not met(goal, [1.0, 1.2])


def test_what_people_do_is_what_was_recorded(shared_data):
    control, people = recorded(shared_data / "motion" / "cmu_02"), load_motion_goals().people
    assert people.jitter_mps3 == pytest.approx(control.jitter, rel=1e-3)
    assert people.acceleration_mps2 == pytest.approx(control.acceleration, rel=1e-3)


def test_a_clip_of_ours_has_the_figures_that_are_judged(request_on, straight):
    asked = request_on(straight(2.0))
    frame = clips(measure(synthesize(asked), asked))
    found = verdict(frame)
    assert {"root to smoothed path, mean", "jitter, times that of people", "floating, mean of a clip"} <= set(found)
    assert found["root to smoothed path, mean"]["is_met"]
    assert found["frames in which legs go through each other"]["value"] < 5.0
    assert 0.0 <= found["frames with a joint beyond its limits"]["value"] <= 100.0
