import numpy as np
import pytest

from configs.motion import load_motion
from pipeline.motion.path import plan
from pipeline.motion.sparse import curve

RUNNING = 4.76


def rambling(seed: int, fastest: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    t = np.cumsum(rng.uniform(0.8, 1.4, 14))
    way = rng.normal(size=(14, 2))
    way *= (rng.uniform(0.0, fastest, 14) * (rng.random(14) > 0.25) / np.hypot(*way.T))[:, None]
    return t, np.cumsum(way * np.diff(t, prepend=t[0] - 1.0)[:, None], axis=0)


@pytest.mark.parametrize("seed", range(12))
def test_a_curve_goes_through_its_samples_and_is_never_faster_than_people_run(seed):
    t, places = rambling(seed, RUNNING)
    time = np.linspace(t[0], t[-1], 20_001)
    line = curve(time, t, places, fastest=RUNNING, eager=1.5)
    speed = np.hypot(*np.diff(line, axis=0).T) / np.diff(time)
    assert speed.max() <= RUNNING * (1.0 + 1e-6)
    assert np.allclose(curve(t, t, places, fastest=RUNNING, eager=1.5), places)
    assert not np.allclose(line[:, 0], np.interp(time, t, places[:, 0]), atol=0.05), "not just the chords"


def test_a_slow_curve_has_no_corner_and_who_stands_stays():
    t = np.arange(6.0)
    places = np.array([[0, 0], [0, 0], [1, 0], [1, 1], [1, 1], [1, 1]], dtype=float)
    time = np.linspace(0.0, 5.0, 5001)
    line = curve(time, t, places, fastest=RUNNING, eager=1.5)
    velocity = np.diff(line, axis=0) / np.diff(time)[:, None]
    assert np.hypot(*np.diff(velocity, axis=0).T).max() < 0.05
    assert np.array_equal(line[time <= 1.0], np.zeros((1001, 2))) and np.allclose(line[time >= 3.0], [1.0, 1.0])


def test_where_the_samples_are_too_fast_the_chord_is_all_there_is():
    t, places = np.arange(4.0), np.array([[0, 0], [3, 0], [9, 0], [9, 3]], dtype=float)
    time = np.linspace(1.0, 2.0, 101)
    assert np.allclose(curve(time, t, places, fastest=RUNNING, eager=1.5)[:, 0], 3.0 + 6.0 * (time - 1.0))


@pytest.mark.parametrize("seed", range(4))
def test_the_path_of_seldom_samples_is_no_faster_either_and_says_what_it_is(request_on, straight, seed):
    config = load_motion()
    _, places = rambling(seed, RUNNING)
    path = plan(request_on(places, every_ms=1000, margin=2, height=None), config.clips, config.path)
    chords = np.hypot(*np.diff(places, axis=0).T)
    assert path.seldom and path.speed[path.clip].max() <= 1.02 * max(config.path.running_mps, chords.max())
    assert not plan(request_on(straight(2.0)), config.clips, config.path).seldom
