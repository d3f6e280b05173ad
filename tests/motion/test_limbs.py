import numpy as np
import pytest

from pipeline.motion.limbs import arm, leg
from pipeline.motion.rotations import conjugate, multiply, rotate, unit
from pipeline.motion.skeleton import FOREARM_M, SHANK_M, THIGH_M, UPPER_ARM_M


@pytest.fixture
def ankles():
    rng = np.random.default_rng(0)
    return unit(rng.normal(size=(400, 3)) - [0.0, 1.5, 0.0]) * rng.uniform(0.45, 0.84, size=(400, 1))


def test_a_leg_reaches_its_ankle_with_bones_of_constant_length(ankles):
    hip, left = np.zeros_like(ankles), np.broadcast_to([1.0, 0.0, 0.0], ankles.shape)
    thigh, shank, reached = leg(hip, ankles, THIGH_M, SHANK_M, left, 0.99)
    knee = rotate(thigh, np.array([0.0, -THIGH_M, 0.0]))
    assert np.allclose(knee + rotate(shank, np.array([0.0, -SHANK_M, 0.0])), ankles, atol=1e-9)
    assert np.allclose(reached, ankles)


def test_a_knee_is_a_hinge_that_never_bends_forwards(ankles):
    left = np.broadcast_to([1.0, 0.0, 0.0], ankles.shape)
    thigh, shank, _ = leg(np.zeros_like(ankles), ankles, THIGH_M, SHANK_M, left, 0.99)
    bend = multiply(conjugate(thigh), shank)
    bend *= np.sign(bend[:, 3:])
    assert np.abs(bend[:, 1:3]).max() < 1e-9 and bend[:, 0].min() >= 0.0


def test_an_ankle_out_of_reach_is_drawn_in_along_its_line():
    far = np.array([[0.0, -2.0, 0.0], [0.0, -1.0, 1.0]])
    _, _, reached = leg(np.zeros((2, 3)), far, THIGH_M, SHANK_M, np.array([[1.0, 0.0, 0.0]] * 2), 0.99)
    assert np.all(np.linalg.norm(reached, axis=1) <= 0.99 * (THIGH_M + SHANK_M))
    assert np.allclose(np.cross(unit(reached), unit(far)), 0.0, atol=1e-9)


@pytest.mark.parametrize("side", [1, -1])
def test_an_elbow_points_where_it_is_told(side):
    shoulder, wrist = np.array([[side * 0.18, 1.4, 0.0]]), np.array([[side * 0.05, 1.3, 0.4]])
    upper, fore, reached = arm(shoulder, wrist, UPPER_ARM_M, FOREARM_M, np.array([[0.0, -1.0, 0.0]]), side)
    elbow = shoulder + rotate(upper, np.array([side * UPPER_ARM_M, 0.0, 0.0]))
    assert np.allclose(elbow + rotate(fore, np.array([side * FOREARM_M, 0.0, 0.0])), wrist, atol=1e-9)
    assert np.allclose(reached, wrist) and elbow[0, 1] < 1.3
