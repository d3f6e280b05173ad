"""The joints of a figure: their names, and what hangs on what."""

import numpy as np
import pytest

from configs.scenes import ScenesConfig
from pipeline.scenes import joints as names
from pipeline.scenes.figure import posed
from pipeline.scenes.kinematics import retraced
from pipeline.scenes.speeds import names as actions_of
from pipeline.tables import SAMPLE_JOINTS


def test_each_joint_is_where_its_name_says() -> None:
    assert len(names.JOINTS) == SAMPLE_JOINTS
    for place, name in enumerate(names.JOINTS):
        assert getattr(names, name.upper()) == place
    for part, limbs in (("elbow", names.ELBOWS), ("hand", names.HANDS), ("knee", names.KNEES), ("foot", names.FEET)):
        assert [names.JOINTS[joint] for joint in limbs] == [f"left_{part}", f"right_{part}"]


def test_a_bone_comes_after_the_one_it_hangs_on() -> None:
    placed = {names.HIPS, *names.ELBOWS}  # elbows hang on the shoulders, which are no joint
    for parent, child in names.BONES:
        assert parent in placed
        placed.add(child)
    assert placed == set(range(SAMPLE_JOINTS))


def test_a_mirror_exchanges_left_and_right_and_nothing_else() -> None:
    joints = np.arange(20.0).reshape(10, 2)
    seen = names.mirrored(joints)
    assert np.array_equal(names.mirrored(seen), joints)
    for place, name in enumerate(names.JOINTS):
        other = name.replace("left", "\0").replace("right", "left").replace("\0", "right")
        assert np.array_equal(seen[names.JOINTS.index(other)], joints[place])


@pytest.mark.parametrize("speed", [0.0, 1.3, 5.0])
def test_a_pose_depends_on_nothing_that_is_far_away(speed: float, config: ScenesConfig) -> None:
    """Who goes straight on is posed alike whether its way ends in a rest or not, until shortly before it."""
    n, fps = 300, config.fps
    gone = np.cumsum(np.full(n, speed / fps))
    halts = gone.copy()
    halts[200:] = halts[200]
    walk = np.full(n, actions_of(config).index("stand"), np.uint8)
    on, stops = (
        posed(retraced(np.stack([way, np.zeros(n)], axis=1), walk, 0.0, config), config) for way in (gone, halts)
    )
    assert np.abs(on[:100, names.HEAD] - stops[:100, names.HEAD]).max() < 0.06
    assert np.isfinite(stops).all()
    assert np.abs(stops[-1, names.FEET, 1]).max() < config.limits.contact_m
