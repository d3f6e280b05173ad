"""Hips keep within their range in the air; what stands is left where it stands."""

import numpy as np
import pytest

from configs.motion import load_motion
from pipeline.motion.legs import solve
from pipeline.motion.rotations import conjugate, multiply, rotate, unit
from pipeline.motion.skeleton import SHANK_M, THIGH_M


@pytest.fixture
def feet():
    rng = np.random.default_rng(3)
    down = unit(rng.normal(size=(500, 3)) - [0.0, 1.2, 0.0]) * rng.uniform(0.40, 0.86, size=(500, 1))
    return down[down[:, 1] < -0.1]


def solved(feet, side, held):
    n = len(feet)
    return solve(
        np.zeros((n, 3)),
        feet,
        np.tile([0.0, 0.0, 0.0, 1.0], (n, 1)),
        np.tile([1.0, 0.0, 0.0], (n, 1)),
        np.full(n, held),
        side=side,
        reach=0.99,
        fold=0.36,
        limits=load_motion().limits,
    )


def angles(thigh, side):
    along = rotate(thigh, np.array([0.0, -1.0, 0.0]))
    flexion = np.degrees(np.arctan2(along[:, 2], -along[:, 1]))
    return flexion, np.degrees(np.arcsin(np.clip(side * along[:, 0], -1.0, 1.0)))


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_thigh_in_the_air_keeps_within_the_range_of_its_hip(feet, side):
    limits = load_motion().limits
    for held in (False, True):
        flexion, abduction = angles(solved(feet, side, held)[0], side)
        low, high = limits.hip_flexion
        across, out = limits.hip_abduction
        inside = (flexion >= low) & (flexion <= high) & (abduction >= across) & (abduction <= out)
        assert inside.all() != held, "a standing leg is not moved"


def test_a_limited_leg_keeps_its_bones_its_hinge_and_the_height_of_its_foot(feet):
    thigh, shank, reached = solved(feet, 1.0, False)
    knee = rotate(thigh, np.array([0.0, -THIGH_M, 0.0]))
    assert np.allclose(knee + rotate(shank, np.array([0.0, -SHANK_M, 0.0])), reached, atol=1e-9)
    bend = multiply(conjugate(thigh), shank)
    bend *= np.sign(bend[:, 3:])
    assert np.abs(bend[:, 1:3]).max() < 1e-9 and bend[:, 0].min() >= 0.0
    moved = np.linalg.norm(reached - feet, axis=1) > 0.01
    assert 0.05 < moved.mean() < 0.9
    assert np.median(np.abs(reached[moved, 1] - feet[moved, 1])) < 0.02


def test_a_leg_well_within_its_range_is_not_touched():
    feet = np.array([[0.05, -0.8, 0.1], [0.0, -0.7, -0.1], [0.1, -0.75, 0.3]])
    for free, held in zip(solved(feet, 1.0, False), solved(feet, 1.0, True), strict=True):
        assert np.array_equal(free, held)


def test_a_knee_in_the_air_folds_no_further_than_it_can():
    rng = np.random.default_rng(5)
    feet = np.stack([rng.uniform(-0.2, 0.2, 400), rng.uniform(-0.45, -0.1, 400), rng.uniform(-0.9, -0.3, 400)], axis=-1)
    thigh, shank, _ = solved(feet, 1.0, False)
    along = [rotate(turned, np.array([0.0, -1.0, 0.0])) for turned in (thigh, shank)]
    folded = np.degrees(np.arccos(np.clip(np.sum(along[0] * along[1], axis=-1), -1.0, 1.0)))
    assert 100.0 < folded.max() <= load_motion().limits.knee_flexion[1]
