"""Where somebody is in its stride: by its feet, or by the way that it has gone."""

import numpy as np
import pytest

from configs.scenes import ScenesConfig
from pipeline.scenes import speeds
from pipeline.scenes.joints import LEFT_FOOT, RIGHT_FOOT
from pipeline.trajectories.corpus import STORY, Corpus, scale_of
from pipeline.trajectories.samples import Samples
from pipeline.trajectories.stance import MEASURES, stances


@pytest.fixture(scope="module")
def moving(corpus: Corpus) -> Samples:
    samples = corpus.samples(corpus.where("train", STORY))
    gone = (samples.speed > 0.5).mean(axis=1)
    return corpus.samples(corpus.where("train", STORY)[np.argsort(-gone)[:40]])


def _explained(samples: Samples, scenes: ScenesConfig, stance: np.ndarray) -> float:
    """Share of how far the feet are apart that stances explain, linearly, at full stride."""
    scale = scale_of(samples.joints, scenes.human.head)
    apart = (samples.joints[:, :, LEFT_FOOT, 0] - samples.joints[:, :, RIGHT_FOOT, 0]) / scale[:, None]
    values = stance[..., -MEASURES:]
    goes = values[..., 1] > 0.9
    looks = np.concatenate([values, values * values[..., :1]], axis=-1)[goes]
    weights = np.linalg.lstsq(looks, apart[goes], rcond=None)[0]
    return float(1.0 - np.square(looks @ weights - apart[goes]).mean() / apart[goes].var())


def test_true_feet_tell_the_point_of_the_stride(moving: Samples, scenes: ScenesConfig) -> None:
    scale = scale_of(moving.joints, scenes.human.head)
    told = stances(moving.position, moving.actions, scale, scenes, moving.joints)
    counted = stances(moving.position, moving.actions, scale, scenes)
    assert told.shape == (*moving.heading.shape, len(speeds.names(scenes)) + MEASURES)
    assert _explained(moving, scenes, told) > 0.9 > _explained(moving, scenes, counted)


def test_strides_are_counted_by_the_way(scenes: ScenesConfig) -> None:
    n = 200
    speed = np.where((np.arange(n) >= 25) & (np.arange(n) < 150), 1.3, 0.0)
    position = np.stack([np.cumsum(speed) / scenes.fps, np.zeros(n)], axis=1)[None]
    walk, stand = (speeds.names(scenes).index(name) for name in ("walk", "stand"))
    actions = np.where(speed > 0, walk, stand).astype(np.uint8)[None]
    one, two = (stances(f * position, actions, np.array([f]), scenes)[0] for f in (1.0, 2.0))
    assert one == pytest.approx(two, abs=1e-5)  # a giant's strides are a giant's
    cos, sin = one[40:140, -6], one[40:140, -5]
    turns = np.unwrap(np.arctan2(sin, cos)) / (2.0 * np.pi)
    stride = np.interp(1.3, scenes.gait.speed_mps, scenes.gait.stride_m)
    assert turns[-1] - turns[0] == pytest.approx(1.3 * 99 / 25 / stride, rel=0.1)
    assert not one[170:, -6:-2].any()  # who stands is at no point of a stride
    assert one[60, walk] == pytest.approx(1.0)


def test_a_gesture_beats_since_it_began_and_that_is_not_known_of_the_first(scenes: ScenesConfig) -> None:
    wave, stand = (speeds.names(scenes).index(name) for name in ("wave", "stand"))
    actions = np.where(np.arange(100) < 40, stand, wave).astype(np.uint8)[None]
    still, nobody = np.zeros((1, 100, 2)), np.zeros((1, 100, 10, 2))
    made = stances(still, actions, np.ones(1), scenes)[0, :, -2:]
    read = stances(still, actions, np.ones(1), scenes, nobody)[0, :, -2:]
    assert made[40:] == pytest.approx(read[40:])
    assert not read[:40].any()
    assert made[0] == pytest.approx([1.0, 0.0])
    hz = scenes.postures["wave"].hz
    assert made[50, 1] == pytest.approx(np.sin(2.0 * np.pi * hz * 10 / scenes.fps), abs=1e-5)
