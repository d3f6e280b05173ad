from dataclasses import replace

import numpy as np
import pytest

from configs.motion import load_motion
from pipeline.motion.keys import clip_key
from pipeline.motion.measures import measure
from pipeline.motion.skeleton import INDEX, forward
from pipeline.motion.synthesizer import synthesize


@pytest.fixture(scope="module")
def dying(request_on, straight):
    def build(speed: float, seed: int, **changes):
        return replace(request_on(straight(speed), **changes), seed=seed, dies=True)

    return build


@pytest.mark.parametrize(("speed", "seed"), [(0.0, 1), (0.0, 5), (1.4, 2), (4.5, 3), (4.5, 4)])
def test_the_dead_fall_from_their_stride_and_lie_on_the_ground_not_in_it(dying, speed, seed):
    request = dying(speed, seed, intent="engage")
    alive, clip = synthesize(replace(request, dies=False)), synthesize(request)
    dead = alive.frames
    assert clip.notes["dead_from_frame"] == dead and clip.seconds > alive.seconds + 1.0
    assert np.array_equal(clip.root[:dead], alive.root) and np.array_equal(clip.contacts[:dead], alive.contacts)
    positions, _ = forward(clip.rotations, clip.root)
    assert positions[-1, INDEX["Head"], 1] < 0.45 and positions[-1, 0, 1] < 0.20 < alive.root[-1, 1]
    assert positions[dead:, :, 1].min() > 0.0
    assert positions[-1, :, 1].min() < 0.12
    assert not clip.contacts[dead:].any()


def test_a_fall_has_no_jump_and_nothing_falls_faster_than_freely(dying):
    clip = synthesize(dying(4.5, 3))
    dead = int(clip.notes["dead_from_frame"])
    positions, _ = forward(clip.rotations, clip.root)
    speed = np.linalg.norm(np.diff(positions, axis=0), axis=-1) * clip.fps
    assert speed[dead - 2 : dead + 2].max() < 1.6 * speed[:dead].max()
    assert speed[dead:, 0].max() < 6.5 and speed[-5:].max() < 0.01


def test_who_runs_falls_where_they_run_and_the_standing_fall_either_way_by_seed(dying):
    def ahead(speed: float, seed: int, yaw: float) -> float:
        clip = synthesize(dying(speed, seed, yaw_deg=yaw))
        positions, _ = forward(clip.rotations[-1:], clip.root[-1:])
        return float(positions[0, INDEX["Head"], 0] - positions[0, 0, 0])

    assert ahead(4.5, 3, 0.0) > 0.3
    assert {ahead(0.0, seed, 0.0) > 0.0 for seed in range(6)} == {True, False}


def test_a_death_is_another_clip_and_the_same_death_the_same(dying):
    request = dying(1.4, 2)
    assert clip_key(request, backend="local") != clip_key(replace(request, dies=False), backend="local")
    assert np.array_equal(synthesize(request).rotations, synthesize(request).rotations)


def test_lying_lasts_as_configured(dying, request_on, straight):
    falling, clip = load_motion().falling, synthesize(dying(0.0, 1))
    more = clip.frames - synthesize(request_on(straight(0.0))).frames
    assert more == round((falling.seconds + falling.still_s) * clip.fps)


def test_what_is_measured_of_who_dies_is_what_they_did_alive(dying):
    request = dying(4.5, 3)
    alive, dead = measure(synthesize(replace(request, dies=False)), request), measure(synthesize(request), request)
    same = set(alive) - {"dead_from_frame"}
    assert {name: dead[name] for name in same} == pytest.approx({name: alive[name] for name in same})
