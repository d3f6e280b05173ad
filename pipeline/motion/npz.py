"""SMPL-style NPZ files: ours out; ours, HY-Motion's and AMASS's in.

Belongs here: the arrays of such a file and their conventions. Does not belong here: the real path (warp), where files
lie (resources).

Ours holds `trans (T, 3)` metres, `root_orient (T, 3)`, `pose_body (T, 63)` (axis-angle of the 21 joints below the
pelvis in SMPL order), `betas (16)` of zeros, `mocap_framerate`, `gender`, and beside them `contacts`, `origin_m`,
`up_axis`, `trainable` and `provenance` (JSON). y is up; `trans` is the position of the pelvis.

In, z is up in files of AMASS (with a frame rate and without `Rh`) and y in those of HY-Motion (`Rh`, `poses` of 52
joints of which we take 22, `hymotion.fps` of `backends.yaml`), unless the file or the caller says otherwise. A file
that has `Rh`, or that does not say `trainable`, may train nothing.

A file is never unpickled, no array is made before its header is known to fit its member, and no member is inflated
beyond a limit.
"""

import io
import json
import zipfile
from typing import Any, Literal

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from configs.backends import load_backends
from pipeline.motion.clip import Clip
from pipeline.motion.foreign import Malformed, Motion
from pipeline.motion.rotations import Array, about, continuous, multiply, rotate
from pipeline.motion.skeleton import JOINTS

BODY = len(JOINTS) - 1
SMPLH_JOINTS = 52
BETAS = 16
MEMBER_BYTES = 64 * 1024 * 1024
MEMBERS = 64
_BOUNDED = frozenset((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
"""The ways of packing of which a bounded read inflates no more than that; the others inflate all they are given."""
_READ = frozenset(
    {"trans", "root_orient", "pose_body", "poses", "Rh", "mocap_framerate", "mocap_frame_rate"}
    | {"up_axis", "contacts", "trainable"}
)
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can hold: files are the same whenever they are written."""

Up = Literal["y", "z"]


def write(clip: Clip, provenance: dict[str, Any]) -> bytes:
    """A clip as an NPZ file.

    Args:
        clip: the motion.
        provenance: JSON-able; what is said of its making.

    Returns:
        The bytes: the same for the same clip and provenance.
    """
    turns = axis_angle(clip.rotations).astype(np.float32)
    arrays: dict[str, NDArray[Any]] = {
        "trans": clip.root.astype(np.float32),
        "root_orient": turns[:, 0],
        "pose_body": turns[:, 1:].reshape(clip.frames, 3 * BODY),
        "betas": np.zeros(BETAS, dtype=np.float32),
        "mocap_framerate": np.array(float(clip.fps)),
        "gender": np.array("neutral"),
        "up_axis": np.array("y"),
        "contacts": clip.contacts,
        "origin_m": clip.origin,
        "trainable": np.array(clip.trainable),
        "provenance": np.array(json.dumps(provenance, sort_keys=True, allow_nan=False)),
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            npy.write_array(member, np.asarray(array, order="C"), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, member.getvalue())
    return out.getvalue()


def read(data: bytes, *, up: Up | None = None, most_frames: int = 100_000) -> Motion:
    """The motion in an NPZ file of ours, of HY-Motion or of AMASS.

    Args:
        data: the file.
        up: which axis is up, where the file's kind doesn't tell.
        most_frames: a longer file is refused.

    Raises:
        Malformed: if it is no such file.
    """
    return from_arrays(_arrays(data), up=up, most_frames=most_frames)


def from_arrays(arrays: dict[str, NDArray[Any]], *, up: Up | None = None, most_frames: int = 100_000) -> Motion:
    """The motion in arrays named as in an NPZ file; see `read`.

    Raises:
        Malformed: if arrays are missing or their shapes don't fit.
    """
    trans = _numbers(arrays, "trans")
    frames = trans.shape[0] if trans.ndim == 2 else 0
    if frames > most_frames:
        raise Malformed(f"{frames} frames; at most {most_frames} are taken")
    root, body = _pose(arrays, frames)
    spoken = str(_one(arrays, "up_axis")) if "up_axis" in arrays else None
    if spoken not in (None, "y", "z"):
        raise Malformed("an up_axis that is neither y nor z")
    fps = float(load_backends().hymotion.fps)
    for name in ("mocap_framerate", "mocap_frame_rate"):
        if name in arrays:
            fps = float(_numbers(arrays, name).reshape(-1)[0])
    amass = "Rh" not in arrays and any(name in arrays for name in ("mocap_framerate", "mocap_frame_rate"))
    upright = up or spoken or ("z" if amass else "y")
    rotations = quaternions(np.concatenate([root[:, None], body], axis=1))
    if upright == "z":
        tip = about(0, np.array(-0.5 * np.pi))
        rotations[:, 0] = multiply(tip, rotations[:, 0])
        trans = rotate(tip, trans)
    contacts = arrays.get("contacts")
    if contacts is not None and contacts.dtype.kind != "b":
        raise Malformed("contacts that are no flags")
    said = "trainable" in arrays and _one(arrays, "trainable") is True
    return Motion(
        continuous(rotations),
        trans,
        fps,
        contacts,
        trainable=said and "Rh" not in arrays,
    )


def axis_angle(q: Array) -> Array:
    """Rotation vectors `(…, 3)` in radians, of at most π, of unit quaternions `(…, 4)`."""
    q = np.where(q[..., 3:] < 0.0, -q, q)
    sine = np.sqrt(np.sum(q[..., :3] ** 2, axis=-1, keepdims=True))
    angle = 2.0 * np.arctan2(sine, q[..., 3:])
    return np.where(sine > 1e-12, q[..., :3] / np.maximum(sine, 1e-12) * angle, 2.0 * q[..., :3])


def quaternions(turns: Array) -> Array:
    """Unit quaternions `(…, 4)` of rotation vectors `(…, 3)` in radians."""
    angle = np.sqrt(np.sum(turns * turns, axis=-1, keepdims=True))
    share = np.where(angle > 1e-12, np.sin(0.5 * angle) / np.maximum(angle, 1e-12), 0.5)
    return np.concatenate([turns * share, np.cos(0.5 * angle)], axis=-1)


def _pose(arrays: dict[str, NDArray[Any]], frames: int) -> tuple[Array, Array]:
    """Rotation vectors of the root `(T, 3)` and of the other 21 joints `(T, 21, 3)`."""
    if "poses" in arrays:
        poses = _numbers(arrays, "poses")
        poses = poses.reshape(poses.shape[0], -1) if poses.ndim == 3 else poses
        if poses.ndim != 2 or poses.shape[0] != frames or poses.shape[1] < 3 * len(JOINTS):
            raise Malformed(f"poses of shape {poses.shape} for {frames} frames")
        root = _numbers(arrays, "Rh") if "Rh" in arrays else poses[:, :3]
        body = poses[:, 3 : 3 * len(JOINTS)]
    else:
        root, body = _numbers(arrays, "root_orient"), _numbers(arrays, "pose_body")
    if root.shape != (frames, 3) or body.shape != (frames, 3 * BODY):
        raise Malformed(f"a root of shape {root.shape} and a body of shape {body.shape} for {frames} frames")
    return root, body.reshape(frames, BODY, 3)


def _one(arrays: dict[str, NDArray[Any]], name: str) -> object:
    if arrays[name].size != 1:
        raise Malformed(f"{name} of {arrays[name].size} values")
    return arrays[name].item()


def _numbers(arrays: dict[str, NDArray[Any]], name: str) -> Array:
    if name not in arrays:
        raise Malformed(f"no {name}")
    array = arrays[name]
    if array.dtype.kind not in "fiu" or array.size == 0:
        raise Malformed(f"{name} holds no numbers")
    values = array.astype(np.float64)
    if not np.isfinite(values).all():
        raise Malformed(f"{name} holds what is no number")
    return values


def _arrays(data: bytes) -> dict[str, NDArray[Any]]:
    out: dict[str, NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if len(members) > MEMBERS:
                raise Malformed(f"{len(members)} members; at most {MEMBERS} are read")
            for info in members:
                name = info.filename.removesuffix(".npy")
                if name not in _READ or name in out:
                    continue
                if info.compress_type not in _BOUNDED:
                    raise Malformed(f"{name} is packed in way {info.compress_type}, neither stored nor deflated")
                if info.file_size > MEMBER_BYTES:
                    raise Malformed(f"{name} of {info.file_size} bytes; at most {MEMBER_BYTES} are read")
                with archive.open(info) as member:
                    out[name] = _array(name, member.read(info.file_size + 1))
    except Malformed:
        raise
    except Exception as error:  # the file may be anything, and the readers of zip and of headers raise many things
        raise Malformed(f"no NPZ file: {type(error).__name__}") from error
    return out


def _array(name: str, data: bytes) -> NDArray[Any]:
    stream = io.BytesIO(data)
    version = npy.read_magic(stream)
    header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = header(stream)
    if dtype.hasobject:
        raise Malformed(f"{name} holds pickled objects, which are never read")
    # The array is made at the size that the header claims, before anything is read into it.
    if int(np.prod(shape, dtype=object)) * dtype.itemsize != len(data) - stream.tell():
        raise Malformed(f"{name} is not as long as its header says")
    stream.seek(0)
    array: NDArray[Any] = npy.read_array(stream, allow_pickle=False)
    return array
