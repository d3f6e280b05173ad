"""A motion as a stranger finds it in a GLB file: pygltflib, the keys of its animation, a walk over its nodes.

Belongs here: reading. Does not belong here: anything of the code that wrote the file: this reader is what the measures
and the tests trust instead of it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pygltflib
from numpy.typing import NDArray

Array = NDArray[np.float64]
_WIDTH = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}
_COMPONENT = {5120: ("<i1", 127.0), 5121: ("<u1", 255.0), 5122: ("<i2", 32767.0), 5123: ("<u2", 65535.0)}


@dataclass(frozen=True)
class ReadClip:
    """A clip as read from a file.

    Attributes:
        positions: `(T, J, 3)` of the skin's joints, metres.
        turned: `(T, J, 3, 3)` their rotations in the scene.
        contacts: `(T, 2)` as the file tells them, left and right.
        names: of the joints.
        extras: `asset.extras`.
        keys: number of keys in all channels.
    """

    positions: Array
    turned: Array
    contacts: NDArray[np.bool_]
    names: list[str]
    extras: dict[str, Any]
    keys: int


def read(data: bytes) -> ReadClip:
    """Samples the first animation of a GLB at the frame rate that `asset.extras` tells, and walks its nodes.

    Raises:
        ValueError: if neighbouring rotation keys lie in opposite halves, or an interpolation is neither linear nor a
            cubic spline.
    """
    document = pygltflib.GLTF2.load_from_bytes(data)
    blob = document.binary_blob()

    def values(index: int) -> Array:
        accessor = document.accessors[index]
        view = document.bufferViews[accessor.bufferView]
        width = _WIDTH[accessor.type]
        start = (view.byteOffset or 0) + (accessor.byteOffset or 0)
        kind, scale = _COMPONENT.get(accessor.componentType, ("<f4", 1.0))
        raw = np.frombuffer(blob, kind, accessor.count * width, start).reshape(accessor.count, width)
        result: Array = np.maximum(raw.astype(np.float64) / scale, -1.0) if accessor.normalized else raw.astype(float)
        return result

    extras = document.asset.extras
    frames, fps = extras["clip"]["frames"], extras["clip"]["fps"]
    clock = np.arange(frames) / fps
    animation = document.animations[0]
    local: dict[tuple[int, str], Array] = {}
    keys = 0
    for channel in animation.channels:
        sampler = animation.samplers[channel.sampler]
        t, v = values(sampler.input)[:, 0], values(sampler.output)
        keys += t.size
        target = channel.target.node, channel.target.path
        if sampler.interpolation == "CUBICSPLINE":
            local[target] = _spline(t, v.reshape(t.size, 3, -1), clock)
            continue
        if sampler.interpolation != "LINEAR":
            raise ValueError(f"interpolation {sampler.interpolation}")
        i = np.clip(np.searchsorted(t, clock, side="right") - 1, 0, t.size - 2)
        w = np.clip((clock - t[i]) / (t[i + 1] - t[i]), 0.0, 1.0)[:, None]
        rotation = channel.target.path == "rotation"
        local[target] = _slerp(v[i], v[i + 1], w) if rotation else v[i] * (1 - w) + v[i + 1] * w
    skin = document.skins[0]
    matrices: dict[int, Array] = {}

    def walk(node: int, parent: Array) -> None:
        own = np.tile(np.eye(4), (frames, 1, 1))
        own[:, :3, 3] = local.get((node, "translation"), np.array(document.nodes[node].translation))
        own[:, :3, :3] = _matrix(local.get((node, "rotation"), np.tile([0.0, 0.0, 0.0, 1.0], (frames, 1))))
        matrices[node] = parent @ own
        for child in document.nodes[node].children or []:
            walk(child, matrices[node])

    walk(skin.skeleton, np.tile(np.eye(4), (frames, 1, 1)))
    stacked = np.stack([matrices[joint] for joint in skin.joints], axis=1)
    contacts = np.zeros((frames, 2), dtype=bool)
    for foot, side in enumerate(("left", "right")):
        for a, b in extras["clip"]["contacts"][side]:
            contacts[a:b, foot] = True
    names = [document.nodes[joint].name for joint in skin.joints]
    return ReadClip(stacked[..., :3, 3], stacked[..., :3, :3], contacts, names, extras, keys)


def _spline(t: Array, keys: Array, clock: Array) -> Array:
    """Hermite's cubics of glTF 2.0, appendix C.5: `keys` are `(n, 3, K)` of tangent in, value, tangent out.

    `_matrix` makes rotations of length one of them, as the appendix asks.
    """
    i = np.clip(np.searchsorted(t, clock, side="right") - 1, 0, t.size - 2)
    if keys.shape[2] == 4 and np.any(np.sum(keys[1:, 1] * keys[:-1, 1], axis=1) <= 0.0):
        raise ValueError("neighbouring keys lie in opposite halves")
    td = (t[i + 1] - t[i])[:, None]
    s = np.clip((clock - t[i])[:, None] / td, 0.0, 1.0)
    result: Array = (
        (2 * s**3 - 3 * s**2 + 1) * keys[i, 1]
        + td * (s**3 - 2 * s**2 + s) * keys[i, 2]
        + (-2 * s**3 + 3 * s**2) * keys[i + 1, 1]
        + td * (s**3 - s**2) * keys[i + 1, 0]
    )
    return result


def _slerp(a: Array, b: Array, w: Array) -> Array:
    dot = np.sum(a * b, axis=1, keepdims=True)
    if np.any(dot <= 0.0):
        raise ValueError("neighbouring keys lie in opposite halves")
    angle = np.arccos(np.clip(dot, -1.0, 1.0))
    near = angle < 1e-5
    sine = np.where(near, 1.0, np.sin(angle))
    out = np.where(near, a * (1 - w) + b * w, (np.sin((1 - w) * angle) * a + np.sin(w * angle) * b) / sine)
    result: Array = out / np.linalg.norm(out, axis=1, keepdims=True)
    return result


def _matrix(q: Array) -> Array:
    x, y, z, w = (q / np.linalg.norm(q, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)
