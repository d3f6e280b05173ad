"""Found poses become bodies: constant bones, feet that stay where they stand."""

from dataclasses import replace

import numpy as np
import pytest

from configs.scenes import ScenesConfig
from pipeline.scenes.figure import bones
from pipeline.scenes.paths import direction_of
from pipeline.scenes.validation import slide_mps
from pipeline.trajectories.bodies import boned, headings, planted
from pipeline.trajectories.corpus import STORY, Corpus
from pipeline.trajectories.evaluation import finished
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


def test_planted_feet_slide_less_than_shaken_ones_and_bones_stay(moving: Samples, scenes: ScenesConfig) -> None:
    n = moving.position.shape[1]
    shake = 0.04 * np.sin(np.arange(n) / 4.0)[None, :, None] * direction_of(moving.heading.astype(float))
    shaken = replace(moving, position=(moving.position + shake).astype(np.float32))
    scale = np.ones(len(shaken), np.float32)
    done = finished(shaken, scale, scenes)
    assert slide_mps(done, scenes).mean() < 0.6 * slide_mps(shaken, scenes).mean()
    assert np.abs(done.joints - shaken.joints).max() < 0.5


def test_who_never_goes_looks_where_it_looked(scenes: ScenesConfig) -> None:
    assert (headings(np.zeros((30, 2)), 1.2, scenes) == 1.2).all()
    way = np.stack([np.zeros(50), -np.arange(50) * 0.1], axis=1)
    assert headings(way, 0.0, scenes) == pytest.approx(np.pi / 2)
    assert planted(np.zeros((5, 10, 2)), np.zeros((5, 2)), np.zeros(5), 1.0, scenes).shape == (5, 10, 2)
