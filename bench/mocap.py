"""Recorded people: motion capture in the Acclaim format (ASF skeleton, AMC motion), as positions of our joints.

Belongs here: reading the format, the mapping of its bones. Does not belong here: what is measured on it
(`bench.motion_measures`).

Used for the subject 02 of the CMU Graphics Lab database (mocap.cs.cmu.edu, NSF EIA-0196217): walks, a run, a jump.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.motion.rotations import Array

METRES = 0.056444
"""Of one unit of the database: an inch over its scale of 0.45."""
RECORDED_FPS, FPS = 120, 30

ENDS: dict[str, str] = {
    "L_Hip": "lhipjoint",
    "R_Hip": "rhipjoint",
    "Spine1": "lowerback",
    "L_Knee": "lfemur",
    "R_Knee": "rfemur",
    "Spine2": "upperback",
    "L_Ankle": "ltibia",
    "R_Ankle": "rtibia",
    "Spine3": "thorax",
    "L_Foot": "lfoot",
    "R_Foot": "rfoot",
    "Neck": "lowerneck",
    "L_Collar": "thorax",
    "R_Collar": "thorax",
    "Head": "upperneck",
    "L_Shoulder": "lclavicle",
    "R_Shoulder": "rclavicle",
    "L_Elbow": "lhumerus",
    "R_Elbow": "rhumerus",
    "L_Wrist": "lradius",
    "R_Wrist": "rradius",
}
"""Our joint: the bone at whose far end it is. The pelvis is the root; ends of `ltoes`, `rtoes` are the tips of toes."""


@dataclass(frozen=True)
class Bone:
    """One bone of a skeleton: its direction (unit, in the rest pose's world), length, axis, free angles, parent."""

    direction: Array
    length: float
    axis: Array
    dof: tuple[str, ...]
    parent: str


def _turn(axis: str, degrees: Array) -> Array:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    out = np.zeros((*np.shape(degrees), 3, 3))
    i = "xyz".index(axis)
    j, k = (i + 1) % 3, (i + 2) % 3
    out[..., i, i] = 1.0
    out[..., j, j], out[..., j, k], out[..., k, j], out[..., k, k] = c, -s, s, c
    return out


def _euler(angles: Array) -> Array:
    """Rotation matrices `(…, 3, 3)` of x, then y, then z, degrees `(…, 3)`."""
    result: Array = _turn("z", angles[..., 2]) @ _turn("y", angles[..., 1]) @ _turn("x", angles[..., 0])
    return result


def skeleton(asf: Path) -> dict[str, Bone]:
    """The bones of an ASF file by name, parents before children."""
    text = asf.read_text()
    parents: dict[str, str] = {}
    order: list[str] = []
    for line in text.split(":hierarchy")[1].splitlines():
        words = line.split()
        if len(words) > 1 and words[0] not in ("begin", "end"):
            for child in words[1:]:
                parents[child] = words[0]
                order.append(child)
    bones: dict[str, Bone] = {}
    for block in text.split(":bonedata")[1].split(":hierarchy")[0].split("begin")[1:]:
        fields = {words[0]: words[1:] for line in block.splitlines() if len(words := line.split()) > 1}
        name = fields["name"][0]
        bones[name] = Bone(
            np.array(fields["direction"], dtype=float),
            float(fields["length"][0]) * METRES,
            np.array(fields["axis"][:3], dtype=float),
            tuple(fields.get("dof", ())),
            parents[name],
        )
    return {name: bones[name] for name in order}


def ends(asf: Path, amc: Path) -> dict[str, Array]:
    """Where the far end of each bone is, and `root`: `(T, 3)` metres, at 30 frames/s, y up.

    Args:
        asf: the skeleton.
        amc: the motion, 120 frames/s.
    """
    bones = skeleton(asf)
    rows: dict[str, list[list[float]]] = {}
    for line in amc.read_text().splitlines():
        words = line.split()
        if len(words) > 1 and words[0] in (*bones, "root"):
            rows.setdefault(words[0], []).append([float(word) for word in words[1:]])
    values = {name: np.array(row)[:: RECORDED_FPS // FPS] for name, row in rows.items()}
    at = {"root": values["root"][:, :3] * METRES}
    turned = {"root": _euler(values["root"][:, 3:])}
    for name, bone in bones.items():
        angles = np.zeros((at["root"].shape[0], 3))
        for column, dof in enumerate(bone.dof):
            angles[:, "xyz".index(dof[1])] = values[name][:, column]
        axis = _euler(bone.axis)
        turned[name] = turned[bone.parent] @ axis @ _euler(angles) @ axis.T
        at[name] = at[bone.parent] + turned[name] @ (bone.direction * bone.length)
    return at


def held(positions: Array, fps: int, *, below_m: float, slower_mps: float) -> NDArray[np.bool_]:
    """Which balls of feet `(T, 2, 3)` stand: low over their own lowest place, and slow. A recording has no flags.

    Args:
        positions: left and right.
        fps: frames a second.
        below_m: height over the lowest percentile.
        slower_mps: horizontal speed.
    """
    low = positions[..., 1] - np.percentile(positions[..., 1], 2, axis=0) < below_m
    moved = np.gradient(positions, 1.0 / fps, axis=0)
    result: NDArray[np.bool_] = low & (np.hypot(moved[..., 0], moved[..., 2]) < slower_mps)
    return result
