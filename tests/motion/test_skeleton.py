import numpy as np

from pipeline.motion.rotations import about, body, continuous, from_axes, multiply, rotate, unit
from pipeline.motion.skeleton import INDEX, JOINTS, OFFSETS, PARENTS, STATURE_M, forward, locals_of, rest


def test_the_joints_are_those_of_the_smpl_body_in_its_order():
    assert JOINTS[:4] == ("Pelvis", "L_Hip", "R_Hip", "Spine1") and JOINTS[-1] == "R_Wrist" and len(JOINTS) == 22
    assert all(parent < joint for joint, parent in enumerate(PARENTS))


def test_a_body_at_rest_stands_on_the_ground_and_its_left_is_plus_x():
    at = rest()
    assert 0.87 * STATURE_M < at[INDEX["Head"], 1] < STATURE_M
    assert at[INDEX["L_Ankle"], 1] == at[INDEX["R_Ankle"], 1] > at[INDEX["L_Foot"], 1] > 0.0
    assert at[INDEX["L_Hip"], 0] > 0.0 > at[INDEX["R_Hip"], 0]
    assert at[INDEX["L_Foot"], 2] > at[INDEX["L_Ankle"], 2]


def test_no_rotation_changes_the_length_of_a_bone():
    rng = np.random.default_rng(0)
    rotations = unit(rng.normal(size=(5, 22, 4)))
    positions, _ = forward(rotations, rng.normal(size=(5, 3)))
    lengths = np.linalg.norm(positions[:, 1:] - positions[:, list(PARENTS[1:])], axis=-1)
    assert np.allclose(lengths, np.linalg.norm(OFFSETS[1:], axis=-1), atol=1e-12)


def test_local_rotations_give_back_the_global_ones_they_came_from():
    turned = unit(np.random.default_rng(1).normal(size=(3, 22, 4)))
    _, again = forward(locals_of(turned), np.zeros((3, 3)))
    assert np.allclose(np.abs(np.sum(again * turned, axis=-1)), 1.0)


def test_axes_of_a_rotation_give_it_back_and_heading_grows_to_the_left():
    q = unit(np.random.default_rng(2).normal(size=(50, 4)))
    axes = [rotate(q, np.broadcast_to(axis, (50, 3))) for axis in np.eye(3)]
    assert np.allclose(np.abs(np.sum(from_axes(*axes) * q, axis=-1)), 1.0)
    ahead = rotate(body(np.array(0.5 * np.pi), np.array(0.0), np.array(0.0)), np.array([0.0, 0.0, 1.0]))
    assert np.allclose(ahead, [1.0, 0.0, 0.0])
    leaning = rotate(body(np.array(0.0), np.array(0.3), np.array(0.0)), np.array([0.0, 1.0, 0.0]))
    assert leaning[2] > 0.0


def test_a_rotation_through_half_a_turn_keeps_its_sign_from_frame_to_frame():
    q = about(1, np.linspace(0.0, 4.0 * np.pi, 60))
    flipped = q * np.where(np.arange(60) % 3 == 0, -1.0, 1.0)[:, None]
    assert np.all(np.sum(continuous(flipped)[1:] * continuous(flipped)[:-1], axis=-1) > 0.0)
    assert np.allclose(rotate(multiply(q, q), np.array([0.0, 1.0, 0.0])), [0.0, 1.0, 0.0])
