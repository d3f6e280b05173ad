from collections import Counter

import numpy as np
import pytest

from pipeline.motion.mesh import PARTS, _bind_pose, mannequin, palette, pose
from pipeline.motion.skeleton import INDEX, OFFSETS, locals_of


@pytest.fixture(scope="module", params=[True, False], ids=["in hand", "on the back"])
def skin(request):
    return mannequin(in_hand=request.param)


def welded(skin) -> np.ndarray:
    """Triangles of the body with points of the same place made one."""
    body = skin.triangles[skin.parts != PARTS.index("prop")]
    _, same = np.unique(np.round(skin.points, 6), axis=0, return_inverse=True)
    return same[body]


def test_the_skin_is_small_and_closed(skin):
    assert 1000 < len(skin.triangles) < 3600
    edges = Counter(
        tuple(sorted((a, b))) for t in welded(skin).tolist() for a, b in zip(t, [*t[1:], t[0]], strict=True)
    )
    assert sum(count != 2 for count in edges.values()) <= 0.002 * len(edges)


def test_triangles_look_outwards(skin):
    corners = skin.points[skin.triangles].astype(float)
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    smooth = skin.normals[skin.triangles].mean(axis=1)
    assert np.mean(np.sum(faces * smooth, axis=-1) > 0.0) > 0.985
    volume = np.sum(corners[:, 0] * np.cross(corners[:, 1], corners[:, 2])) / 6.0
    assert 0.05 < volume < 0.11, "litres of a person"


def test_every_point_follows_at_most_four_joints_with_weights_of_one(skin):
    assert skin.weights.shape[1] == 4 and skin.weights.min() >= 0.0
    assert np.allclose(skin.weights.sum(axis=1), 1.0, atol=1e-6)
    assert not skin.joints[skin.weights == 0.0].any()
    assert np.allclose(np.linalg.norm(skin.normals, axis=1), 1.0, atol=1e-5)
    assert set(skin.joints.ravel().tolist()) >= set(range(22)) - {INDEX["Spine1"]}


def test_the_bind_pose_gives_the_skin_back(skin):
    rotations, _ = _bind_pose()
    points, normals = pose(skin, locals_of(rotations[None])[0], OFFSETS[0])
    assert np.allclose(points, skin.points, atol=1e-5) and np.allclose(normals, skin.normals, atol=1e-5)


def test_the_mannequin_has_the_stature_of_its_skeleton_and_stands_on_the_ground(skin):
    assert skin.points[:, 1].min() >= -1e-6 and 1.75 < skin.points[:, 1].max() < 1.83


def test_sides_differ_in_colour():
    assert palette(True)["jacket"] != palette(False)["jacket"] != palette(None)["jacket"]
    assert palette(True)["skin"] == palette(False)["skin"] and set(palette(None)) == set(PARTS)
