"""The measuring program: its reader of motion capture, its measures, and what it finds on our motion."""

import numpy as np
import pytest

from bench import mocap
from bench.gltf_motion import read
from bench.motion_clips import test_paths as paths_to_test
from bench.motion_measures import Motion, bob, gait, measures
from bench.motion_quality import Control, carried, from_file, from_recording, recorded
from pipeline.motion.anatomy import CLEAR_M, joint_angles, leg_distance
from pipeline.motion.gltf import glb
from pipeline.motion.rotations import about, rotate
from pipeline.motion.skeleton import INDEX, forward, rest
from pipeline.motion.synthesizer import synthesize

ASF = """:bonedata
  begin
    id 1
    name thigh
    direction 0 -1 0
    length 10
    axis 0 0 0 XYZ
    dof rx
  end
  begin
    id 2
    name shank
    direction 0 -1 0
    length 5
    axis 0 0 0 XYZ
    dof rx
  end
:hierarchy
  begin
    root thigh
    thigh shank
  end
"""
AMC = "".join(f"{k}\nroot 0 20 {k} 0 0 0\nthigh 90\nshank {-90 if k >= 4 else 0}\n" for k in range(9))


@pytest.fixture
def standing():
    return np.tile(rest(), (60, 1, 1))


def still(positions: np.ndarray, turned: np.ndarray | None = None) -> Motion:
    frames = positions.shape[0]
    return Motion(positions, turned, np.ones((frames, 2), dtype=bool), np.zeros((frames, 2)), np.zeros((frames, 2)), 30)


def read_back(clip):
    return from_file(read(glb(clip, {})), clip)


def test_bones_turn_with_those_above_them_and_four_frames_become_one(tmp_path):
    (tmp_path / "a.asf").write_text(ASF)
    (tmp_path / "a.amc").write_text(AMC)
    at = mocap.ends(tmp_path / "a.asf", tmp_path / "a.amc")
    assert at["root"].shape == (3, 3) and at["root"][:, 2] == pytest.approx(mocap.METRES * np.array([0, 4, 8]))
    knee = (at["thigh"] - at["root"]) / mocap.METRES
    ankle = (at["shank"] - at["thigh"]) / mocap.METRES
    assert knee == pytest.approx(np.tile([0, 0, -10], (3, 1)), abs=1e-6), "90° about x turn down to the front"
    assert ankle == pytest.approx(np.array([[0, 0, -5], [0, -5, 0], [0, -5, 0]]), abs=1e-6)


def test_recorded_people_have_the_gait_that_is_known_of_them(shared_data):
    control = recorded(shared_data / "motion" / "cmu_02")
    for name, speed, stride, period in (
        ("02_01", 1.18, 1.31, 1.11),
        ("02_02", 1.63, 1.58, 0.97),
        ("02_03", 2.59, 1.94, 0.75),
    ):
        row = control.rows[name]
        assert row["speed_mps"] == pytest.approx(speed, abs=0.01)
        assert row["stride_m"] == pytest.approx(stride, rel=0.03) and row["period_s"] == pytest.approx(period, rel=0.03)
        assert row["limit_frames"] == 0.0 and row["crossing_frames"] == 0.0
        assert 0.02 <= row["skating_ratio"] <= 0.036, "what is known of these recordings"
    assert control.at(control.jitter, 2.6) > control.at(control.jitter, 1.2) > 100.0
    assert control.stride(0.6) < control.stride(1.18) < control.stride(2.6) < control.stride(5.0)


def test_a_knee_bent_forwards_breaks_a_limit_and_one_bent_back_does_not():
    for angle, broken in ((np.radians(60.0), False), (np.radians(-20.0), True)):
        rotations = np.zeros((4, 22, 4))
        rotations[..., 3] = 1.0
        rotations[:, INDEX["L_Knee"]] = about(0, np.full(4, angle))
        positions, turned = forward(rotations, np.tile(rest()[0], (4, 1)))
        matrices = np.stack([rotate(turned, np.broadcast_to(axis, positions.shape)) for axis in np.eye(3)], axis=-1)
        found = measures(still(positions, matrices))
        assert (found["limit_frames"] > 0.0) == broken
        assert joint_angles(positions, matrices)["knee flexion"][0, 0] == pytest.approx(np.degrees(angle), abs=1)


def test_legs_that_cross_are_nearer_than_a_leg_is_thick(standing):
    assert leg_distance(standing).min() > CLEAR_M
    standing[:, INDEX["L_Ankle"], 0] = standing[:, INDEX["R_Ankle"], 0]
    assert leg_distance(standing).max() < CLEAR_M


def test_a_stride_is_counted_from_passing_to_passing(standing):
    t = np.arange(60) / 30.0
    standing[..., 2] += 1.5 * t[:, None]
    standing[:, INDEX["L_Ankle"], 2] += 0.3 * np.sin(2 * np.pi * t / 0.8)
    assert gait(still(standing)) == pytest.approx((1.2, 0.8), rel=0.02)
    assert gait(still(standing[:20])) is None


def test_a_pelvis_rises_and_falls_in_a_stride_whatever_a_clip_begins_with(standing):
    t = np.arange(60) / 30.0
    standing[..., 2] += 1.5 * t[:, None]
    standing[:, INDEX["L_Ankle"], 2] += 0.3 * np.sin(2 * np.pi * t / 0.8)
    standing[..., 1] += 0.02 * np.cos(4 * np.pi * t / 0.8)[:, None]
    assert bob(still(standing)) == pytest.approx(0.04, abs=0.004)
    standing[..., 1] += 0.2 * t[:, None]
    assert bob(still(standing)) == pytest.approx(0.04, abs=0.008), "a slope is no bob"
    assert bob(still(standing[:20])) is None


def test_recorded_people_and_ours_bob_alike(shared_data, request_on, straight):
    control = recorded(shared_data / "motion" / "cmu_02")
    assert control.bob(1.63) == pytest.approx(0.044, abs=0.005) and control.bob(4.0) is None
    for speed in (1.2, 2.0, 2.5):
        ours = bob(read_back(synthesize(request_on(straight(speed), intent="rotate"))))
        assert 0.6 < ours / control.bob(speed) < 1.6, speed


def test_people_carried_along_a_path_have_its_acceleration_and_their_own():
    control = Control({}, (1.0, 1.0), (2.0, 1.0))
    t = np.arange(31)[:, None] / 30.0
    assert carried(t * np.array([3.0, 0.0]), 30, control) == pytest.approx(6.0)
    assert carried(0.5 * 8.0 * t**2 * np.array([0.0, 1.0]), 30, control) > 8.0


@pytest.mark.parametrize("speed", [1.2, 2.6, 4.8])
def test_what_is_read_back_from_a_file_is_within_the_goals(request_on, straight, speed):
    found = measures(read_back(synthesize(request_on(straight(speed)))))
    assert found["skating_ratio"] <= 0.02 and found["contact_slip_mps"] < 0.01 and found["floating_mm"] == 0.0
    assert found["limit_frames"] == 0.0 and found["crossing_frames"] == 0.0


def test_who_stops_from_a_run_brakes_upright_with_a_foot_ahead(request_on):
    speed = np.where(np.arange(60) < 30, 4.8, 0.0)
    way = np.stack([np.cumsum(speed) / 8.0, np.zeros(60)], axis=-1)
    clip = synthesize(request_on(way, intent="hold", yaw_deg=0.0))
    assert clip.root[:, 1].min() > 0.82, "no lunge"
    last = clip.footprints[np.argsort(clip.footprints[:, 5])][-3:]
    landing = np.rint(last[:, 5] * clip.fps).astype(int).clip(0, clip.frames - 1)
    assert (last[:, 0] - clip.root[landing, 0]).max() > 0.2
    balls = read_back(clip).positions[:, [INDEX["L_Foot"], INDEX["R_Foot"]], 0]
    assert clip.contacts[-10:].all() and np.abs(balls[-1] - clip.root[-1, 0]).max() < 0.45


def test_feet_that_go_sideways_close_up_and_do_not_cross(request_on, straight):
    clip = synthesize(request_on(straight(1.5), yaw_deg=90.0, intent="engage"))
    motion = read_back(clip)
    assert measures(motion)["crossing_frames"] == 0.0
    angles = joint_angles(motion.positions, motion.turned)
    assert np.abs(angles["trunk rotation"]).max() < 50.0


def test_test_paths_cover_every_speed_and_kind():
    asked = list(paths_to_test())
    assert len({each.source for each in asked}) == 6 and len(asked) == 78
    assert {each.request.intent for each in asked} == {
        "advance",
        "retreat",
        "hold",
        "peek",
        "plant",
        "defuse",
        "rotate",
        "trade",
        "engage",
    }


def test_recordings_go_through_the_same_measures(shared_data):
    folder = shared_data / "motion" / "cmu_02"
    motion = from_recording(mocap.ends(folder / "02.asf", folder / "02_01.amc"))
    assert motion.positions.shape[1:] == (22, 3) and motion.contacts.any(axis=0).all()
    assert 100.0 < measures(motion)["jitter_mps3"] < 300.0
