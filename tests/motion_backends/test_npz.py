"""SMPL-style files: ours out and in, HY-Motion's and AMASS's in, and nothing that is none."""

import io
import zipfile
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.motion.foreign import Malformed, Motion, resampled
from pipeline.motion.npz import axis_angle, quaternions, read, write
from pipeline.motion.rotations import about, multiply, rotate
from pipeline.motion.skeleton import INDEX, forward


def _npz(**arrays: Any) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()


def test_a_clip_comes_back_as_it_was_written(walked: Any) -> None:
    motion = read(write(walked, {"clip_key": "k"}))
    assert motion.trainable is True and motion.fps == 30
    np.testing.assert_allclose(motion.root, walked.root, atol=1e-5)
    same, _ = forward(motion.rotations, motion.root)
    were, _ = forward(walked.rotations, walked.root)
    np.testing.assert_allclose(same, were, atol=1e-5)
    assert np.array_equal(motion.contacts, walked.contacts)


def test_the_file_holds_what_smpl_tools_look_for_and_is_always_the_same(walked: Any) -> None:
    data = write(walked, {"clip_key": "k", "intent": "advance"})
    assert data == write(walked, {"intent": "advance", "clip_key": "k"})
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        shapes = {name: file[name].shape for name in ("trans", "root_orient", "pose_body", "betas", "mocap_framerate")}
        n = walked.frames
        assert shapes == {
            "trans": (n, 3),
            "root_orient": (n, 3),
            "pose_body": (n, 63),
            "betas": (16,),
            "mocap_framerate": (),
        }
        assert (
            float(file["mocap_framerate"]) == 30.0 and str(file["gender"]) == "neutral" and str(file["up_axis"]) == "y"
        )
        assert '"clip_key": "k"' in str(file["provenance"])


def test_a_clip_that_may_not_train_comes_back_as_one(walked: Any) -> None:
    assert read(write(replace(walked, trainable=False), {})).trainable is False


def test_a_file_of_hy_motion_may_train_nothing_whatever_it_says(smplh: Any, walked: Any) -> None:
    for trainable in ({}, {"trainable": np.array(True)}):
        motion = read(_npz(gender=np.array(["neutral"]), betas=np.zeros((1, 16)), **smplh, **trainable))
        assert motion.trainable is False and motion.fps == 30 and motion.contacts is None
    np.testing.assert_allclose(
        forward(motion.rotations, motion.root)[0], forward(walked.rotations, walked.root)[0] + 0.2, atol=1e-6
    )


def test_z_is_up_in_a_file_of_amass(walked: Any) -> None:
    turned = walked.rotations.copy()
    lay = about(0, np.array(0.5 * np.pi))  # y up becomes z up
    turned[:, 0] = multiply(lay, turned[:, 0])
    turns = axis_angle(turned)
    pose = {"trans": rotate(lay, walked.root), "root_orient": turns[:, 0], "pose_body": turns[:, 1:].reshape(-1, 63)}
    motion = read(_npz(**pose, betas=np.zeros(16), mocap_framerate=np.array(60.0), gender=np.array("male")))
    assert motion.fps == 60 and motion.trainable is False
    np.testing.assert_allclose(motion.root, walked.root, atol=1e-6)
    assert forward(motion.rotations, motion.root)[0][:, INDEX["Head"], 1].min() > 1.2
    whole = np.concatenate([turns.reshape(-1, 66), np.zeros((walked.frames, 90))], axis=1)  # the older layout
    same = read(_npz(trans=pose["trans"], poses=whole, mocap_framerate=np.array(60.0)))
    np.testing.assert_allclose(same.rotations, motion.rotations, atol=1e-9)
    upright = read(_npz(**pose, mocap_framerate=np.array(60.0)), up="y")
    assert forward(upright.rotations, upright.root)[0][:, INDEX["Head"], 2].min() > 1.2


def test_rotation_vectors_and_quaternions_are_the_same_rotations() -> None:
    rng = np.random.default_rng(1)
    turns = rng.normal(size=(500, 3))
    turns *= (np.pi * rng.random((500, 1)) ** 3) / np.linalg.norm(turns, axis=1, keepdims=True)
    np.testing.assert_allclose(axis_angle(quaternions(turns)), turns, atol=1e-7)
    np.testing.assert_allclose(axis_angle(-quaternions(turns)), turns, atol=1e-7)
    assert not axis_angle(quaternions(np.zeros((2, 3)))).any()


def _raw(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}.npy", data)
    return out.getvalue()


def _header(shape: str, descr: str = "'<f8'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x05\x06" + b"\0" * 18,
        b"not a zip at all",
        _raw("trans", b"\x93NUMPY\x09\x00"),
        _raw("trans", _header("(1000000000000, 3)") + b"\0" * 24),
        _raw("trans", _header("(-1, 3)") + b"\0" * 24),
        _raw("trans", _header("(1, 3)", "'|O'") + b"\0" * 24),
        _raw("trans", _header("(1, 3)", "[('a', '<f8')]") + b"\0" * 24),
        _raw("trans", _header("(1, 3, __import__('os'))") + b"\0" * 24),
        _raw("trans", _header("(1, 3)") + b"\0" * 23),
        _raw("trans", b"\0" * 80_000_000),
        _raw("trans", b""),
    ],
    ids=range(12),
)
def test_what_is_no_such_file_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        read(data)


def test_any_cut_and_any_flipped_bytes_give_a_motion_or_malformed(walked: Any) -> None:
    whole = write(walked, {})
    rng = np.random.default_rng(5)
    for _ in range(150):
        hurt = bytearray(whole[: rng.integers(1, len(whole))] if rng.random() < 0.3 else whole)
        for place in rng.integers(0, len(hurt), rng.integers(1, 6)):
            hurt[place] = rng.integers(0, 256)
        try:
            read(bytes(hurt))
        except Malformed:
            continue


@pytest.mark.parametrize("way", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_member_that_inflates_without_bound_is_not_opened(way: int, walked: Any) -> None:
    whole = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(write(walked, {}))) as ours, zipfile.ZipFile(whole, "w", way) as archive:
        for name in ours.namelist():
            archive.writestr(name, ours.read(name))
    with pytest.raises(Malformed, match="neither stored nor deflated"):
        read(whole.getvalue())
    hurt = whole.getvalue().replace(b"trans.npy", b"trans.npy" + b"\xff" * 20, 1)
    with pytest.raises(Malformed):
        read(hurt)


def test_names_and_headers_that_no_reader_expects_are_refused() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("tr\xe4n.npy", b"x")
    for data in (
        out.getvalue().replace("tr\xe4n.npy".encode(), b"tr\xff\xfen.npy"),
        _raw("trans", _header("(" * 100)),
        _raw("trans", _header("(1, 3)", "'V0'")),
        _raw("trans", _header("(0, 10**30)")),
    ):
        with pytest.raises(Malformed):
            read(data)


def test_a_longer_file_than_asked_for_is_refused(walked: Any) -> None:
    with pytest.raises(Malformed, match="at most 10"):
        read(write(walked, {}), most_frames=10)


def test_a_motion_in_another_number_of_frames_is_the_same_motion(walked: Any) -> None:
    motion = Motion(walked.rotations, walked.root, 30.0, walked.contacts)
    slow = resampled(motion, 2 * walked.frames - 1, 60.0)
    np.testing.assert_allclose(slow.root[::2], walked.root, atol=1e-9)
    np.testing.assert_allclose(slow.rotations[::2], walked.rotations, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(slow.rotations, axis=-1), 1.0, atol=1e-12)
    assert slow.seconds == pytest.approx(motion.seconds)
    with pytest.raises(Malformed):
        Motion(walked.rotations[:1], walked.root[:1], 30.0)
    with pytest.raises(Malformed):
        Motion(walked.rotations * 2, walked.root, 30.0)
