"""A clip as a binary glTF 2.0 file: the mannequin, its skin and one animation.

Belongs here: the layout of the file. Does not belong here: what the mannequin looks like (mesh), which keys are kept
(keyframes), what is said about the clip's making (manifest).

One unit is a metre, y is up, the body at rest looks along +z, and the ground under the clip's start is at the origin;
`asset.extras.clip.origin_m` leads back to the coordinates of the match. What doesn't change from clip to clip (skin,
skeleton, bind matrices) is packed once per side and process.
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.motion import Export, MotionConfig, load_motion
from pipeline.motion.clip import Clip
from pipeline.motion.keyframes import Curve, keep
from pipeline.motion.mesh import PARTS, mannequin, palette
from pipeline.motion.rotations import Array
from pipeline.motion.scene import Scene, told
from pipeline.motion.skeleton import INDEX, JOINTS, OFFSETS, PARENTS

# glTF 2.0: section 5.1.3 component types, 5.11.5 targets, 4.4 GLB container.
UNSIGNED_BYTE, SHORT, UNSIGNED_SHORT, FLOAT = 5121, 5122, 5123, 5126
ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963
GLB_MAGIC, GLB_VERSION, CHUNK_JSON, CHUNK_BIN = 0x46546C67, 2, 0x4E4F534A, 0x004E4942
FIRST_JOINT = 1
"""Node 0 carries the mesh; joint j is node j + 1."""

CARRIES_FEET = frozenset((INDEX["Pelvis"], *(INDEX[f"{s}_{part}"] for s in "LR" for part in ("Hip", "Knee", "Ankle"))))
"""Joints whose rotations are floats even if they stand still: five shorts in a row could move a foot by 0.1 mm."""
_ROUGHNESS = {"visor": 0.25, "helmet": 0.6, "skin": 0.7}


@dataclass(frozen=True)
class _Moving:
    """A clip, the node of its pelvis, and the frames of the file in which it moves."""

    clip: Clip
    node: int
    first: int
    frames: int | None = None

    def shown(self) -> Clip:
        """The part of the clip that lies in the file's time."""
        if self.frames is None:
            return self.clip
        begin = min(max(-self.first, 0), self.clip.frames - 2)
        end = min(max(self.frames - self.first, begin + 2), self.clip.frames)
        return replace(self.clip, rotations=self.clip.rotations[begin:end], root=self.clip.root[begin:end])


@dataclass(frozen=True)
class _Template:
    """The part of a file that is the same for every clip of one side."""

    document: dict[str, Any]
    binary: bytes


def glb(clip: Clip, provenance: dict[str, Any], config: MotionConfig | None = None) -> bytes:
    """The clip as a GLB file.

    Args:
        clip: the motion.
        provenance: JSON-able; becomes `asset.extras`, with `clip` (frames, fps, origin, contacts) beside it.
        config: tolerances of the key reduction; defaults to `configs/motion.yaml`.

    Returns:
        The bytes: the same for the same clip and provenance.
    """
    export = (config or load_motion()).export
    template = _template(clip.attacker, clip.hands_free)
    document = _begun(template, {**provenance, "clip": _about(clip)})
    return _packed(document, _animate(document, template.binary, [_Moving(clip, FIRST_JOINT, 0)], clip.intent, export))


def scene_glb(scene: Scene, provenance: dict[str, Any], config: MotionConfig | None = None) -> bytes:
    """A scene as a GLB file: a skinned mannequin for each actor, and one animation that moves them all.

    Bodies of one side share their mesh. An actor is a node with its skinned mesh and its skeleton below it, at its
    place in the scene.

    Args:
        scene: the motions.
        provenance: JSON-able; becomes `asset.extras`, with `scene` (frames, fps, origin, actors, shots) beside it.
        config: tolerances of the key reduction; defaults to `configs/motion.yaml`.

    Returns:
        The bytes: the same for the same scene and provenance.
    """
    export = (config or load_motion()).export
    document: dict[str, Any] = _begun(_template(None, False), {**provenance, "scene": told(scene)})
    for name in ("nodes", "meshes", "materials", "skins", "accessors", "bufferViews"):
        document[name] = []
    binary = b""
    meshes: dict[tuple[bool | None, bool], tuple[int, int]] = {}
    moving: list[_Moving] = []
    stage: list[int] = []
    for actor in scene.actors:
        template = _template(actor.clip.attacker, actor.clip.hands_free)
        kind = (actor.clip.attacker, actor.clip.hands_free)
        if kind not in meshes:
            meshes[kind] = _append_mesh(document, template, len(binary))
            binary += template.binary
        mesh, bind = meshes[kind]
        place = len(document["nodes"])
        joints = [place + 1 + FIRST_JOINT + joint for joint in range(len(JOINTS))]
        where = [round(float(v), 6) for v in actor.at]
        document["nodes"].append({"name": actor.name, "translation": where, "children": [joints[0]]})
        stage += [place, place + 1]
        skinned, *bones = (dict(node) for node in template.document["nodes"])
        for bone in bones:
            if "children" in bone:
                bone["children"] = [place + 1 + child for child in bone["children"]]
        document["nodes"] += [skinned | {"mesh": mesh, "skin": len(document["skins"])}, *bones]
        skin = {"name": actor.name, "joints": joints, "skeleton": joints[0], "inverseBindMatrices": bind}
        document["skins"].append(skin)
        moving.append(_Moving(actor.clip, joints[0], actor.first, scene.frames))
    document["scenes"] = [{"nodes": stage}]
    return _packed(document, _animate(document, binary, moving, "moment", export))


def _begun(template: _Template, extras: dict[str, Any]) -> dict[str, Any]:
    return {
        **template.document,
        "asset": {**template.document["asset"], "extras": extras},
        "accessors": list(template.document["accessors"]),
        "bufferViews": list(template.document["bufferViews"]),
    }


def _append_mesh(document: dict[str, Any], template: _Template, offset: int) -> tuple[int, int]:
    """Adds a template's mesh, whose bytes begin at `offset`; returns the indices of the mesh and its bind matrices."""
    source = template.document
    views, accessors, materials = (len(document[name]) for name in ("bufferViews", "accessors", "materials"))
    document["bufferViews"] += [view | {"byteOffset": view["byteOffset"] + offset} for view in source["bufferViews"]]
    document["accessors"] += [each | {"bufferView": each["bufferView"] + views} for each in source["accessors"]]
    document["materials"] += source["materials"]
    primitives = [
        {
            "attributes": {name: accessors + index for name, index in primitive["attributes"].items()},
            "indices": accessors + primitive["indices"],
            "material": materials + primitive["material"],
        }
        for primitive in source["meshes"][0]["primitives"]
    ]
    document["meshes"].append({"name": "Mannequin", "primitives": primitives})
    return len(document["meshes"]) - 1, accessors + source["skins"][0]["inverseBindMatrices"]


def _packed(document: dict[str, Any], binary: bytes) -> bytes:
    document["buffers"] = [{"byteLength": len(binary)}]
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    total = 12 + 8 + len(text) + 8 + len(binary)
    return b"".join(
        [
            struct.pack("<III", GLB_MAGIC, GLB_VERSION, total),
            struct.pack("<II", len(text), CHUNK_JSON),
            text,
            struct.pack("<II", len(binary), CHUNK_BIN),
            binary,
        ]
    )


def _about(clip: Clip) -> dict[str, Any]:
    contacts = {}
    for foot, side in enumerate(("left", "right")):
        edges = np.flatnonzero(np.diff(np.concatenate([[False], clip.contacts[:, foot], [False]])))
        contacts[side] = [[int(a), int(b)] for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return {
        "intent": clip.intent,
        "frames": clip.frames,
        "fps": clip.fps,
        "origin_m": [round(float(v), 4) for v in clip.origin],
        "contacts": contacts,
    }


def _animate(document: dict[str, Any], binary: bytes, moving: Sequence[_Moving], name: str, export: Export) -> bytes:
    """Adds the animation's accessors, views and channels to the document; returns the whole buffer."""
    packed: dict[str, list[bytes]] = {"times": [], "values": []}
    sizes = {"times": 0, "values": 0}
    samplers: list[dict[str, Any]] = []
    channels: list[dict[str, Any]] = []
    accessors = document["accessors"]
    view = len(document["bufferViews"])

    def add(pack: str, data: NDArray[Any], kind: str, component: int, **about: Any) -> int:
        accessors.append(
            {
                "bufferView": view + (pack == "values"),
                "byteOffset": sizes[pack],
                "componentType": component,
                "count": int(data.shape[0]),
                "type": kind,
                **about,
            }
        )
        packed[pack].append(data.tobytes())
        sizes[pack] += data.nbytes
        return len(accessors) - 1

    clocks: dict[tuple[int, bytes], int] = {}
    for body in moving:
        clip = body.shown()
        root, joints = keep(clip, export)
        for joint, path, curve in [(0, "translation", root), *((j, "rotation", each) for j, each in enumerate(joints))]:
            clock = (max(body.first, 0), curve.frames.tobytes())
            if clock not in clocks:  # channels with the same keys share their times
                t = ((curve.frames + clock[0]) / clip.fps).astype(np.float32)
                clocks[clock] = add("times", t, "SCALAR", FLOAT, min=[float(t[0])], max=[float(t[-1])])
            kind = "VEC3" if path == "translation" else "VEC4"
            if not curve.is_still:
                output = add("values", _cubic(curve, clip.fps), kind, FLOAT)
            elif path == "translation" or joint in CARRIES_FEET:
                output = add("values", curve.values.astype(np.float32), kind, FLOAT)
            else:
                output = add("values", _shorts(curve.values), kind, SHORT, normalized=True)
            channels.append({"sampler": len(samplers), "target": {"node": body.node + joint, "path": path}})
            way = "LINEAR" if curve.is_still else "CUBICSPLINE"
            samplers.append({"input": clocks[clock], "output": output, "interpolation": way})
    document["bufferViews"] += [
        {"buffer": 0, "byteOffset": len(binary), "byteLength": sizes["times"]},
        {"buffer": 0, "byteOffset": len(binary) + sizes["times"], "byteLength": sizes["values"]},
    ]
    document["animations"] = [{"name": name, "samplers": samplers, "channels": channels}]
    return b"".join([binary, *packed["times"], *packed["values"]])


def _cubic(curve: Curve, fps: int) -> NDArray[np.float32]:
    """Three rows for each key: tangent in, value, tangent out; tangents a second (glTF 2.0, appendix C)."""
    rows = np.empty((curve.frames.size, 3, curve.values.shape[1]), dtype=np.float32)
    rows[:, 0], rows[:, 1], rows[:, 2] = curve.tangents_in * fps, curve.values, curve.tangents_out * fps
    return rows.reshape(-1, curve.values.shape[1])


def _shorts(rotations: Array) -> NDArray[np.int16]:
    """Unit quaternions as normalized shorts, `c / 32767` (glTF 2.0, section 3.11): at most 0.00006 rad off.

    Those of cubics are floats: their tangents are beyond what a normalized number holds.
    """
    return np.rint(rotations * 32767.0).astype(np.int16)


@cache
def _template(attacker: bool | None, hands_free: bool) -> _Template:
    skin = mannequin(in_hand=not hands_free)
    chunks: list[bytes] = []
    views: list[dict[str, Any]] = []
    accessors: list[dict[str, Any]] = []

    def add(
        data: NDArray[Any],
        kind: str,
        component: int,
        target: int | None,
        *,
        bounds: bool = False,
        normalized: bool = False,
    ) -> int:
        raw = np.ascontiguousarray(data).tobytes()
        offset = sum(map(len, chunks))
        view: dict[str, Any] = {"buffer": 0, "byteOffset": offset, "byteLength": len(raw)}
        if target is not None:
            view["target"] = target
        views.append(view)
        chunks.append(raw + b"\0" * (-len(raw) % 4))
        accessor: dict[str, Any] = {
            "bufferView": len(views) - 1,
            "componentType": component,
            "count": int(data.shape[0]),
            "type": kind,
        }
        if normalized:
            accessor["normalized"] = True
        if bounds:
            accessor["min"] = [float(v) for v in data.min(axis=0)]
            accessor["max"] = [float(v) for v in data.max(axis=0)]
        accessors.append(accessor)
        return len(accessors) - 1

    attributes = {
        "POSITION": add(skin.points, "VEC3", FLOAT, ARRAY_BUFFER, bounds=True),
        "NORMAL": add(skin.normals, "VEC3", FLOAT, ARRAY_BUFFER),
        "JOINTS_0": add(skin.joints, "VEC4", UNSIGNED_BYTE, ARRAY_BUFFER),
        "WEIGHTS_0": add(_bytes(skin.weights), "VEC4", UNSIGNED_BYTE, ARRAY_BUFFER, normalized=True),
    }
    bind = add(skin.inverse_bind.transpose(0, 2, 1).reshape(-1, 16), "MAT4", FLOAT, None)
    shades = palette(attacker)
    primitives: list[dict[str, Any]] = []
    materials: list[dict[str, Any]] = []
    for number, part in enumerate(PARTS):
        faces = skin.triangles[skin.parts == number]
        if not faces.size:
            continue
        colour = [round(float(c) ** 2.2, 4) for c in shades[part]]
        primitives.append(
            {
                "attributes": attributes,
                "indices": add(faces.reshape(-1), "SCALAR", UNSIGNED_SHORT, ELEMENT_ARRAY_BUFFER),
                "material": len(materials),
            }
        )
        materials.append(
            {
                "name": part,
                "pbrMetallicRoughness": {
                    "baseColorFactor": [*colour, 1.0],
                    "metallicFactor": 0.0,
                    "roughnessFactor": _ROUGHNESS.get(part, 0.85),
                },
            }
        )
    nodes: list[dict[str, Any]] = [{"name": "Mannequin", "mesh": 0, "skin": 0}]
    for joint, name in enumerate(JOINTS):
        node: dict[str, Any] = {"name": name, "translation": [round(float(v), 6) for v in OFFSETS[joint]]}
        children = [FIRST_JOINT + child for child, parent in enumerate(PARENTS) if parent == joint]
        if children:
            node["children"] = children
        nodes.append(node)
    document = {
        "asset": {"version": "2.0", "generator": "gridmotion"},
        "scene": 0,
        "scenes": [{"nodes": [0, FIRST_JOINT]}],
        "nodes": nodes,
        "meshes": [{"name": "Mannequin", "primitives": primitives}],
        "materials": materials,
        "skins": [
            {
                "name": "Mannequin",
                "joints": list(range(FIRST_JOINT, FIRST_JOINT + len(JOINTS))),
                "skeleton": FIRST_JOINT,
                "inverseBindMatrices": bind,
            }
        ],
        "accessors": accessors,
        "bufferViews": views,
    }
    return _Template(document, b"".join(chunks))


def _bytes(weights: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Weights as normalized bytes that sum to exactly 255, as a file's must: the largest remainders get the rest."""
    scaled = weights.astype(np.float64) * 255.0
    out = np.floor(scaled).astype(np.int64)
    rest = 255 - out.sum(axis=1)
    rank = np.argsort(np.argsort(-(scaled - out), axis=1, kind="stable"), axis=1, kind="stable")
    out += rank < rest[:, None]
    return out.astype(np.uint8)
