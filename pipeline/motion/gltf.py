"""A clip as a binary glTF 2.0 file: the mannequin, its skin and one animation.

Belongs here: the layout of the file. Does not belong here: what the mannequin looks like (mesh), which keys are kept
(keyframes), what is said about the clip's making (manifest).

One unit is a metre, y is up, the body at rest looks along +z, and the ground under the clip's start is at the origin;
`asset.extras.clip.origin_m` leads back to the coordinates of the match. What doesn't change from clip to clip (skin,
skeleton, bind matrices) is packed once per side and process.
"""

import json
import struct
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.motion import Export, MotionConfig, load_motion
from pipeline.motion.clip import Clip
from pipeline.motion.keyframes import keep
from pipeline.motion.mesh import PARTS, mannequin, palette
from pipeline.motion.skeleton import JOINTS, OFFSETS, PARENTS

# glTF 2.0: section 5.1.3 component types, 5.11.5 targets, 4.4 GLB container.
UNSIGNED_BYTE, UNSIGNED_SHORT, FLOAT = 5121, 5123, 5126
ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963
GLB_MAGIC, GLB_VERSION, CHUNK_JSON, CHUNK_BIN = 0x46546C67, 2, 0x4E4F534A, 0x004E4942
FIRST_JOINT = 1
"""Node 0 carries the mesh; joint j is node j + 1."""

_ROUGHNESS = {"visor": 0.25, "helmet": 0.6, "skin": 0.7}


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
    document = {
        **template.document,
        "asset": {**template.document["asset"], "extras": {**provenance, "clip": _about(clip)}},
        "accessors": list(template.document["accessors"]),
        "bufferViews": list(template.document["bufferViews"]),
    }
    binary = _animate(document, template.binary, clip, export)
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


def _animate(document: dict[str, Any], binary: bytes, clip: Clip, export: Export) -> bytes:
    """Adds the animation's accessors, views and channels to the document; returns the whole buffer."""
    root, joints = keep(clip, export)
    tracks = [(0, "translation", root, clip.root)]
    tracks += [(j, "rotation", kept, clip.rotations[:, j]) for j, kept in enumerate(joints)]
    times: list[NDArray[np.float32]] = []
    values: list[NDArray[np.float32]] = []
    samplers: list[dict[str, Any]] = []
    channels: list[dict[str, Any]] = []
    accessors = document["accessors"]
    view = len(document["bufferViews"])
    time_offset, value_offset = 0, 0
    for joint, path, kept, data in tracks:
        t = (kept / clip.fps).astype(np.float32)
        v = data[kept].astype(np.float32)
        if path == "rotation":
            v /= np.sqrt(np.sum(v.astype(np.float64) ** 2, axis=-1, keepdims=True)).astype(np.float32)
        accessors.append(
            {
                "bufferView": view,
                "byteOffset": time_offset,
                "componentType": FLOAT,
                "count": int(t.size),
                "type": "SCALAR",
                "min": [float(t[0])],
                "max": [float(t[-1])],
            }
        )
        accessors.append(
            {
                "bufferView": view + 1,
                "byteOffset": value_offset,
                "componentType": FLOAT,
                "count": int(t.size),
                "type": "VEC3" if path == "translation" else "VEC4",
            }
        )
        channels.append({"sampler": len(samplers), "target": {"node": FIRST_JOINT + joint, "path": path}})
        samplers.append({"input": len(accessors) - 2, "output": len(accessors) - 1, "interpolation": "LINEAR"})
        times.append(t)
        values.append(v.reshape(-1))
        time_offset += t.nbytes
        value_offset += v.nbytes
    document["bufferViews"] += [
        {"buffer": 0, "byteOffset": len(binary), "byteLength": time_offset},
        {"buffer": 0, "byteOffset": len(binary) + time_offset, "byteLength": value_offset},
    ]
    document["animations"] = [{"name": clip.intent, "samplers": samplers, "channels": channels}]
    return binary + np.concatenate(times).tobytes() + np.concatenate(values).tobytes()


@cache
def _template(attacker: bool | None, hands_free: bool) -> _Template:
    skin = mannequin(in_hand=not hands_free)
    chunks: list[bytes] = []
    views: list[dict[str, Any]] = []
    accessors: list[dict[str, Any]] = []

    def add(data: NDArray[Any], kind: str, component: int, target: int | None, *, bounds: bool = False) -> int:
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
        if bounds:
            accessor["min"] = [float(v) for v in data.min(axis=0)]
            accessor["max"] = [float(v) for v in data.max(axis=0)]
        accessors.append(accessor)
        return len(accessors) - 1

    attributes = {
        "POSITION": add(skin.points, "VEC3", FLOAT, ARRAY_BUFFER, bounds=True),
        "NORMAL": add(skin.normals, "VEC3", FLOAT, ARRAY_BUFFER),
        "JOINTS_0": add(skin.joints, "VEC4", UNSIGNED_BYTE, ARRAY_BUFFER),
        "WEIGHTS_0": add(skin.weights, "VEC4", FLOAT, ARRAY_BUFFER),
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
