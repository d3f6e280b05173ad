"""A foreign motion on the real path: the root follows, the feet hold."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.motion.foreign import Motion
from pipeline.motion.gltf import glb
from pipeline.motion.measures import measure
from pipeline.motion.path import Infeasible
from pipeline.motion.rotations import about, multiply, rotate
from pipeline.motion.synthesizer import synthesize
from pipeline.motion.warp import Unfit, as_clip, stands, warp


@pytest.fixture(scope="module")
def moved(request_on: Any, line: Any) -> Any:
    """A synthesised motion at a speed as somebody else would send it: elsewhere, turned, without contacts."""

    def build(speed: float, *, contacts: bool = False) -> Motion:
        clip = synthesize(request_on(line(speed)))
        turn = about(1, np.array(1.9))
        rotations = clip.rotations.copy()
        rotations[:, 0] = multiply(turn, rotations[:, 0])
        root = rotate(turn, clip.root) + np.array([30.0, 0.4, -12.0])
        return Motion(rotations, root, 30.0, clip.contacts if contacts else None)

    return build


def _arc(speed: float, radius: float) -> np.ndarray:
    angle = np.arange(44) * speed / 8 / radius
    return np.stack([radius * np.sin(angle), radius * (1 - np.cos(angle))], axis=-1)


@pytest.mark.parametrize("contacts", [True, False])
@pytest.mark.parametrize(
    ("speed", "way"),
    [
        (1.3, "line 1.3"),
        (1.3, "arc 1.3"),
        (1.3, "line 1.8"),
        (1.3, "line 0"),
        (4.0, "line 4"),
        (4.0, "arc 4"),
        (4.0, "line 1.3"),
    ],
)
def test_the_root_follows_the_real_path_and_the_feet_hold_the_ground(
    contacts: bool, speed: float, way: str, moved: Any, request_on: Any, line: Any
) -> None:
    form, mps = way.split()
    asked = request_on(line(float(mps)) if form == "line" else _arc(float(mps), 4.0))
    clip = warp(moved(speed, contacts=contacts), asked, backend="test", trainable=False)
    found = measure(clip, asked)
    assert found["path_ade_m"] < 0.015 and found["path_p95_m"] < 0.025
    assert found["contact_slip_max_mps"] < 0.1 and found["contact_slip_mps"] < 0.01
    assert found["penetration_mm"] < 1 and found["floating_mm"] < 5
    assert clip.frames == synthesize(asked).frames and clip.contacts.any()
    np.testing.assert_allclose(clip.origin, synthesize(asked).origin)
    assert glb(clip, {})[:4] == b"glTF"


def test_a_body_looks_along_its_path_and_not_along_its_makers(moved: Any, request_on: Any, line: Any) -> None:
    for direction in (0.0, 2.0, -1.0):
        asked = request_on(line(1.3, direction=direction))
        clip = warp(moved(1.3), asked, backend="test", trainable=False)
        ahead = rotate(clip.rotations[:, 0], np.array([0.0, 0.0, 1.0]))[:, [0, 2]].mean(axis=0)
        assert np.degrees(np.arccos(ahead @ [np.cos(direction), np.sin(direction)] / np.linalg.norm(ahead))) < 10


def test_who_dies_in_a_foreign_motion_falls_at_its_end(moved: Any, request_on: Any, line: Any) -> None:
    asked = request_on(line(1.3))
    alive = warp(moved(1.3), asked, backend="test", trainable=False)
    dead = warp(moved(1.3), replace(asked, dies=True), backend="test", trainable=False)
    assert dead.notes["dead_from_frame"] == alive.frames < dead.frames
    assert np.array_equal(dead.root[: alive.frames], alive.root) and dead.root[-1, 1] < 0.3 < alive.root[-1, 1]
    assert not dead.trainable and dead.backend == "test"


def test_stairs_carry_a_flat_motion_up(moved: Any, request_on: Any, line: Any) -> None:
    asked = request_on(line(1.3), height=np.arange(44) * 0.06)
    clip = warp(moved(1.3), asked, backend="test", trainable=False)
    assert clip.root[-1, 1] - clip.root[0, 1] == pytest.approx(71 / 30 * 8 * 0.06, abs=0.2)
    assert measure(clip, asked)["contact_slip_max_mps"] < 0.1


def test_a_longer_or_shorter_motion_is_stretched_up_to_a_bound(moved: Any, request_on: Any, line: Any) -> None:
    motion = moved(1.3)
    stretched = warp(motion, request_on(line(1.3, 6.3)), backend="test", trainable=False)
    assert stretched.notes["warp_stretch"] == pytest.approx(motion.seconds / stretched.seconds)
    for seconds in (9.0, 4.2):
        with pytest.raises(Unfit, match="for a clip of"):
            warp(motion, request_on(line(1.3, seconds)), backend="test", trainable=False)


def test_legs_that_never_reach_are_refused_and_so_is_an_impossible_path(moved: Any, request_on: Any, line: Any) -> None:
    squat = moved(0.0, contacts=True)
    with pytest.raises(Unfit, match="planted frames"):
        warp(squat, request_on(line(6.0)), backend="test", trainable=False)
    way = line(1.3)
    way[20:] += 50.0
    with pytest.raises(Infeasible, match="teleport"):
        warp(squat, request_on(way), backend="test", trainable=False)


def test_what_may_not_train_stays_so(moved: Any, walk: Any) -> None:
    motion = moved(1.3)
    assert motion.trainable is False and warp(motion, walk, backend="test", trainable=True).trainable is False
    free = Motion(motion.rotations, motion.root, 30.0, trainable=True)
    assert warp(free, walk, backend="test", trainable=True).trainable is True
    assert warp(free, walk, backend="test", trainable=False).trainable is False


def test_an_imported_motion_is_a_clip_on_its_own_way(moved: Any) -> None:
    clip = as_clip(moved(1.3), intent="advance")
    assert clip.frames == 72 and clip.fps == 30 and not clip.trainable and clip.backend == "import"
    way = clip.root[-1, [0, 2]] - clip.root[0, [0, 2]]
    assert np.hypot(*way) == pytest.approx(1.3 * 71 / 30, abs=0.1)
    assert np.abs(clip.root[:, [0, 2]] - clip.path[:, [0, 2]]).max() < 0.06
    assert glb(clip, {})[:4] == b"glTF" and len(clip.footprints) >= 3


def test_contacts_are_found_where_feet_stand(moved: Any, request_on: Any, line: Any) -> None:
    from configs.backends import load_backends

    clip = synthesize(request_on(line(1.3)))
    found = stands(Motion(clip.rotations, clip.root, 30.0), load_backends().warp)
    assert (found == clip.contacts).mean() > 0.8
    standing = synthesize(request_on(line(0.0)))
    assert stands(Motion(standing.rotations, standing.root, 30.0), load_backends().warp).all()


def test_real_ways_carry_a_walk(shared_data: Any, moved: Any) -> None:
    import polars as pl

    from pipeline.events.reader import read_log
    from pipeline.motion.moments import clip_request

    log = sorted((shared_data / "cs2").rglob("*.jsonl.gz"))[0]
    tracks = next(iter(read_log(log, log_id="log").matches.values())).tracks.read()
    player = tracks["player"][0]
    times = tracks.filter(pl.col("player") == player)["t_ms"]
    good = []
    for start in range(int(times[200]), int(times[200]) + 200_000, 5000):
        row = {
            "match_id": "m", "segment_id": "0" * 16, "player": player, "side": None, "round": None, "intent": "rotate",
            "from_ms": start, "to_ms": start + 2400,
        }  # fmt: skip
        try:
            asked = clip_request(row, tracks)
            clip = warp(moved(1.3), asked, backend="test", trainable=False)
        except (Infeasible, Unfit):
            continue
        good.append(measure(clip, asked))
    assert len(good) > 10
    assert max(found["path_ade_m"] for found in good) < 0.02
    assert max(found["contact_slip_max_mps"] for found in good) < 0.1
    assert float(np.median([found["penetration_mm"] for found in good])) < 1
