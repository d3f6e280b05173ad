"""Found poses become bodies: constant bones, on the way that was found."""

from dataclasses import replace

import numpy as np
import pytest

from configs.scenes import ScenesConfig
from pipeline.scenes.joints import FEET, bones
from pipeline.scenes.validation import slide_mps
from pipeline.trajectories.bodies import boned, walked
from pipeline.trajectories.corpus import STORY, Corpus
from pipeline.trajectories.evaluation import finished, static
from pipeline.trajectories.samples import Samples


@pytest.fixture(scope="module")
def moving(corpus: Corpus) -> Samples:
    samples = corpus.samples(corpus.where("train", STORY))
    far = np.hypot(*(samples.position[:, -1] - samples.position[:, 0]).T)
    at = np.argsort(-far)[:8]
    return corpus.samples(corpus.where("train", STORY)[at])


def test_bones_are_as_long_as_they_are_whatever_was_found(moving: Samples, scenes: ScenesConfig) -> None:
    rng = np.random.default_rng(1)
    found = moving.joints + rng.normal(0.0, 0.05, moving.joints.shape)
    made = boned(found, 1.3, scenes.human)
    for (a, b), length in bones(scenes.human).items():
        assert np.linalg.norm(made[:, :, a] - made[:, :, b], axis=-1) == pytest.approx(1.3 * length, rel=1e-6)
    assert np.isfinite(boned(np.zeros((2, 10, 2)), 1.0, scenes.human)).all()


def test_a_true_pose_stays_as_it_is(moving: Samples, scenes: ScenesConfig) -> None:
    scale = np.linalg.norm(moving.joints[:, :1, 1] - moving.joints[:, :1, 0], axis=-1) / scenes.human.head
    assert np.abs(boned(moving.joints, scale, scenes.human) - moving.joints).max() < 0.01


def test_films_show_the_pose_that_was_found_of_who_goes_too(moving: Samples, scenes: ScenesConfig) -> None:
    scale = np.linalg.norm(moving.joints[:, 0, 1] - moving.joints[:, 0, 0], axis=-1) / scenes.human.head
    blurred = replace(moving, joints=np.repeat(moving.joints.mean(axis=1, keepdims=True), 250, axis=1))
    shown = finished(blurred, scale.astype(np.float32), scenes)
    assert moving.speed.max(axis=1).min() > 1.0
    assert shown.joints == pytest.approx(boned(blurred.joints, scale[:, None], scenes.human), abs=1e-6)
    assert shown.joints[:, :, FEET].std(axis=1).max() < 1e-5  # a model that finds no strides is shown to find none
    true = finished(moving, scale.astype(np.float32), scenes)
    even = replace(true, joints=_lifted_where_speed_changes(true, scenes))
    assert slide_mps(even, scenes).mean() < scenes.limits.slide_mps
    assert slide_mps(true, scenes).mean() < 0.25 * slide_mps(static(moving), scenes).mean()
    assert np.hypot(*(true.position - moving.position).T).max() < 1.2  # where a window begins in full run


def _lifted_where_speed_changes(samples: Samples, scenes: ScenesConfig) -> np.ndarray:
    """Joints whose feet are in the air, and so slide over nothing, in frames that speed up, slow down or stay."""
    near = np.stack([np.roll(samples.speed, shift, axis=1) for shift in (-5, -1, 1, 5)])
    is_even = (np.abs(near - samples.speed).max(axis=0) < scenes.limits.cruise_mps2) & (samples.speed > 1.0)
    assert is_even.mean() > 0.3
    joints = samples.joints.copy()
    joints[..., FEET, 1] += np.where(is_even, 0.0, 1.0)[..., None]
    return joints


def test_who_never_goes_looks_where_it_looked(moving: Samples, scenes: ScenesConfig) -> None:
    pose = boned(moving.joints[0, :40], 1.0, scenes.human)
    movement, joints = walked(np.zeros((40, 2)), pose, 1.2, 1.0, scenes)
    assert (movement.heading == 1.2).all()
    assert np.abs(joints - pose).max() < 1e-6
    way = np.stack([np.zeros(50), -np.arange(50) * 0.1], axis=1)
    ahead, _ = walked(way, np.repeat(pose[:1], 50, axis=0), 0.0, 1.0, scenes)
    assert ahead.heading[25] == pytest.approx(np.pi / 2, abs=1e-6)
