import numpy as np

from pipeline.motion.rotations import about
from pipeline.motion.smoothing import matrix, smoothed


def test_a_polynomial_of_the_order_passes_unchanged_to_its_ends_and_tremor_does_not():
    t = np.arange(40) / 30.0
    smooth = 1.0 + t - 2.0 * t**2 + 0.5 * t**3
    assert np.abs(matrix(40, 5, 3) @ smooth - smooth).max() < 1e-9
    tremor = np.cos(2.0 * np.pi * 12.0 * t)
    assert np.std((matrix(40, 5, 3) @ tremor)[5:-5]) < 0.4 * np.std(tremor[5:-5])


def test_rotations_come_out_unit_whatever_their_signs_and_turn_as_they_turned():
    turn = about(1, np.linspace(0.0, 3.0, 60))[:, None]
    flipped = turn * np.where(np.arange(60) % 7 == 0, -1.0, 1.0)[:, None, None]
    root = np.cumsum(np.ones((60, 3)), axis=0)
    out, at = smoothed(flipped, root, 5, 3)
    assert np.allclose(np.linalg.norm(out, axis=-1), 1.0) and np.allclose(at, root)
    assert np.min(np.abs(np.sum(out * turn, axis=-1))) > 1.0 - 1e-6


def test_a_motion_shorter_than_a_window_stays_as_it_is():
    assert np.array_equal(matrix(4, 5, 3), np.eye(4))
