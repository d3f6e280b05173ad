"""Where legs can't follow, feet give way: no joint is beyond its range and no leg goes through the other."""

import numpy as np
import pytest

from bench.gltf_motion import read
from bench.motion_measures import measures
from bench.motion_quality import from_file
from configs.motion import load_motion
from pipeline.motion.feet import FootMotion
from pipeline.motion.fitting import Faults, faults, given_way, leg, shortened
from pipeline.motion.footfalls import Plan, Stance
from pipeline.motion.gltf import glb
from pipeline.motion.moments import clip_request
from pipeline.motion.skeleton import INDEX, rest
from pipeline.motion.synthesizer import synthesize

FRAMES = 40


def found_in_file(request):
    clip = synthesize(request)
    return measures(from_file(read(glb(clip, {})), clip))


def foot(x, held):
    at = np.tile([x, 0.026, 0.132], (FRAMES, 1))
    zeros = np.zeros(FRAMES)
    return FootMotion(at, zeros, zeros, zeros, held, zeros)


def standing(left_x, right_x, held):
    """Straight legs below a pelvis that does not turn, with their feet at given places to the left."""
    still = np.tile([0.0, 0.0, 0.0, 1.0], (FRAMES, 1))
    at = rest()
    legs = []
    for side, x, own in zip("LR", (left_x, right_x), held.T, strict=True):
        hip, ankle = (np.tile([x, at[INDEX[f"{side}_{part}"]][1], 0.0], (FRAMES, 1)) for part in ("Hip", "Ankle"))
        legs.append(leg(hip, still, still, ankle, foot(x, own)))
    config = load_motion()
    return faults(tuple(legs), still, np.zeros(FRAMES), slice(5, 35), config.limits, config.fitting)


@pytest.fixture
def held():
    on = np.zeros((FRAMES, 2), dtype=bool)
    on[:12, 0] = on[26:, 0] = True
    on[:, 1] = True
    return on


def test_legs_side_by_side_are_right_and_legs_in_each_other_are_not(held):
    assert not standing(0.09, -0.09, held).near.any()
    near = standing(-0.01, -0.02, held).near
    assert (near[5:35] > 0.04).all() and not near[:5].any() and not near[35:].any()
    assert (standing(-0.06, -0.02, held).near > near)[5:35].all(), "on the wrong side, further"


def test_a_foot_in_the_air_goes_aside_and_one_on_the_ground_does_not(held):
    needed = np.zeros(FRAMES)
    needed[18] = 0.05
    wrong = Faults(np.zeros((FRAMES, 2), dtype=bool), np.zeros((FRAMES, 2)), needed)
    feet = foot(0.0, held[:, 0]), foot(0.0, held[:, 1])
    left, right = given_way(feet, wrong, np.zeros(FRAMES), load_motion().fitting)
    assert left.ball[18, 0] == pytest.approx(0.05) and np.array_equal(right.ball, feet[1].ball)
    assert not left.ball[held[:, 0], 0].any()
    assert np.abs(np.diff(left.ball[12:26, 0], 2)).max() < 0.01, "softly"


def test_a_stance_that_no_hip_can_follow_ends_earlier(held):
    time = np.arange(FRAMES) / 30.0
    stance = Stance(0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.3)
    plan = Plan(([stance], [stance]), np.zeros(FRAMES))
    wrong = np.zeros((FRAMES, 2), dtype=bool)
    wrong[25:28, 0] = True
    wrong[:3, 1] = True
    left, right = shortened(plan, time, wrong, load_motion().fitting).stances
    assert left[0].on == 0.0 and left[0].off == pytest.approx(24.5 / 30.0)
    assert right[0].on == pytest.approx(2.5 / 30.0) and right[0].off == 1.0
    wrong[:, 0] = True
    assert shortened(plan, time, wrong, load_motion().fitting).stances[0] == []


@pytest.mark.parametrize(("period", "size"), [(0.5, 0.25), (0.75, 0.6), (1.0, 1.0)])
@pytest.mark.parametrize("yaw", [0.0, 60.0, 90.0])
def test_who_goes_to_and_fro_crosses_no_legs_and_bends_no_joint_too_far(request_on, period, size, yaw):
    t = np.arange(64) / 8.0
    way = np.stack([0.5 * size * np.abs((2.0 * t / period) % 2.0 - 1.0), np.zeros(t.size)], axis=-1)
    found = found_in_file(request_on(way, intent="peek", yaw_deg=yaw))
    assert found["crossing_frames"] == 0.0 and found["limit_frames"] == 0.0
    assert found["contact_slip_max_mps"] < 0.1 and found["penetration_mm"] <= 1.0


def test_who_turns_on_the_spot_crosses_no_legs(request_on):
    still = np.zeros((64, 2))
    for rate in (90.0, 240.0):
        found = found_in_file(request_on(still, intent="hold", yaw_deg=rate * np.arange(64) / 8.0))
        assert found["crossing_frames"] == 0.0 and found["limit_frames"] == 0.0


def test_moments_of_a_real_match_cross_no_legs_and_bend_no_joint_too_far(real_tracks):
    for k, ((player,), rows) in enumerate(real_tracks.group_by("player", maintain_order=True)):
        begin = int(rows["t_ms"][len(rows) // 2])
        intent = ("peek", "engage", "retreat", "hold")[k % 4]
        segment = {
            "match_id": "cs2-sf-mirage",
            "player": player,
            "round": 1,
            "from_ms": begin,
            "to_ms": begin + 3000,
            "intent": intent,
            "segment_id": f"{k:016x}",
            "side": "terrorists",
        }
        found = found_in_file(clip_request(segment, rows))
        assert found["crossing_frames"] == 0.0 and found["limit_frames"] == 0.0, (player, intent)
