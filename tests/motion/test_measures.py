import numpy as np
import pytest

from pipeline.motion.measures import (
    contact_slip,
    floor_under,
    ground_error,
    path_error,
    skating_ratio,
    smoothness,
    soles,
)
from pipeline.motion.skeleton import INDEX, forward, rest


@pytest.fixture
def standing():
    return np.tile(rest(), (60, 1, 1))


def slid(standing: np.ndarray, joint: str, speed: float) -> np.ndarray:
    out = standing.copy()
    out[:, INDEX[joint], 0] += speed * np.arange(60) / 30.0
    return out


def test_a_sliding_foot_skates_and_slips_and_a_standing_one_does_neither(standing):
    floor, down = np.zeros((60, 2)), np.ones((60, 2), dtype=bool)
    assert skating_ratio(standing, floor, 30) == 0.0
    assert skating_ratio(slid(standing, "L_Foot", 1.0), floor, 30) == 1.0
    assert skating_ratio(slid(standing, "L_Foot", 0.4), floor, 30) == 0.0, "slower than the definition's 0.5 m/s"
    assert contact_slip(standing, down, 30) == {"contact_slip_mps": 0.0, "contact_slip_max_mps": 0.0}
    slip = contact_slip(slid(standing, "L_Foot", 1.0), down, 30)
    assert slip["contact_slip_mps"] == pytest.approx(0.5) and slip["contact_slip_max_mps"] == pytest.approx(1.0)


def test_a_foot_that_claims_no_contact_cannot_slip_and_a_high_one_cannot_skate(standing):
    moved = slid(standing, "L_Foot", 1.0)
    assert contact_slip(moved, np.zeros((60, 2), dtype=bool), 30)["contact_slip_mps"] == 0.0
    moved[:, INDEX["L_Foot"], 1] += 0.2
    assert skating_ratio(moved, np.zeros((60, 2)), 30) == 0.0


def test_the_path_error_is_horizontal():
    root = np.stack([np.arange(10.0), np.full(10, 1.0), np.full(10, 0.03)], axis=-1)
    error = path_error(root, np.stack([np.arange(10.0), np.zeros(10)], axis=-1), "path")
    assert error == pytest.approx({"path_ade_m": 0.03, "path_p95_m": 0.03, "path_max_m": 0.03, "path_fde_m": 0.03})


def test_a_body_in_the_floor_penetrates_it_and_one_above_it_floats():
    identity = np.zeros((4, 22, 4))
    identity[..., 3] = 1.0
    down = np.ones((4, 2), dtype=bool)
    for lift, sign in ((-0.025, "penetration_max_mm"), (0.025, "floating_mm"), (0.0, None)):
        positions, turned = forward(identity, np.tile(rest()[0] + [0.0, lift, 0.0], (4, 1)))
        figures = ground_error(soles(positions, turned), np.zeros((4, 2)), down)
        for name in ("penetration_max_mm", "floating_mm"):
            assert figures[name] == pytest.approx(20.0 if name == sign else 0.0, abs=1e-6)


def test_smooth_motion_has_no_jitter_and_noise_has_much(standing):
    t = np.arange(60)[:, None, None] / 30.0
    even = standing + t * [1.0, 0.0, 0.0] + t * t * [0.0, 1.0, 0.0]
    assert smoothness(even, 30)["jitter_mps3"] == pytest.approx(0.0, abs=1e-6)
    assert smoothness(even, 30)["acceleration_mps2"] == pytest.approx(2.0)
    noise = np.random.default_rng(0).normal(scale=0.01, size=standing.shape)
    assert smoothness(standing + noise, 30)["jitter_mps3"] > 500.0


def test_the_floor_between_two_footprints_is_the_lowest_of_them_and_the_path():
    prints = np.array([[0, 0.0, 0, 0, 0, 0.0, 0.5], [1, 0.4, 0, 0, 0, 1.0, 1.5], [0, 9.0, 0, 0, 1, 0.5, 2.0]])
    path = np.where(np.arange(60) < 20, 0.1, -0.2)
    floor = floor_under(path, 30, prints)
    assert np.all(floor[:16, 0] == 0.0) and np.all(floor[20:30, 0] == -0.2) and np.all(floor[30:46, 0] == 0.4)
    assert np.all(floor[15:, 1] == 9.0) and np.all(floor[:15, 1] == 0.1), (
        "before the first footprint only the path is known"
    )
