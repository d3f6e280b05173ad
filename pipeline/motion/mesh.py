"""The mannequin: one closed skin around the skeleton, made from formulas, never from a scan or someone else's model.

Belongs here: the body's shape, its triangles, the joints that each point follows, its colours. Does not belong here:
files (gltf), pictures (preview).

The shape is the zero of a distance field: tapered capsules and ellipsoids along the bones, smoothly joined. The field
is cut into triangles once per process by surface nets (Gibson 1998) on a grid that is finer at hands, feet and head;
points are then relaxed on the surface and take the field's gradient as their normal, so few triangles look round. The
skin is built in an A pose, arms and legs apart; the bind matrices lead back to the skeleton's T.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.motion.rotations import Array, about, rotate, unit
from pipeline.motion.skeleton import HEEL_M, INDEX, JOINTS, OFFSETS, TOE_M, forward, locals_of

ARM_DOWN = np.radians(50.0)
LEG_OUT = np.radians(5.0)
INFLUENCES = 4

TEAM_COLOURS: dict[bool | None, tuple[float, float, float]] = {
    True: (0.78, 0.36, 0.09),
    False: (0.10, 0.33, 0.70),
    None: (0.42, 0.45, 0.48),
}
"""sRGB of the clothes of attackers, defenders, unknown."""
_FIXED = {
    "skin": (0.80, 0.68, 0.58),
    "gear": (0.20, 0.21, 0.23),
    "boot": (0.13, 0.13, 0.14),
    "helmet": (0.26, 0.28, 0.29),
    "visor": (0.04, 0.06, 0.08),
    "prop": (0.09, 0.10, 0.11),
}


@dataclass(frozen=True)
class Mesh:
    """The skin in its bind pose.

    Attributes:
        points: `(V, 3)` float32 metres.
        normals: `(V, 3)` float32, unit.
        triangles: `(F, 3)` uint16, counter-clockwise from outside.
        joints: `(V, 4)` uint8, 0 where the weight is 0.
        weights: `(V, 4)` float32, summing to 1, falling.
        parts: `(F,)` int8, index into `PARTS` of each triangle; triangles are in order of their part.
        inverse_bind: `(22, 4, 4)` float32: from mesh to joint, row-major.
    """

    points: NDArray[np.float32]
    normals: NDArray[np.float32]
    triangles: NDArray[np.uint16]
    joints: NDArray[np.uint8]
    weights: NDArray[np.float32]
    parts: NDArray[np.int8]
    inverse_bind: NDArray[np.float32]


PARTS = ("jacket", "skin", "gear", "boot", "helmet", "visor", "trousers", "pads", "prop")
SLANT = float(np.sqrt(0.75))
"""Cosine of 30°, at which what is carried hangs on the back."""
PROP: tuple[tuple[tuple[float, float, float], tuple[float, float, float]], ...] = (
    ((0.045, 0.000, 0.052), (0.125, 0.018, 0.030)),
    ((0.290, 0.000, 0.058), (0.130, 0.017, 0.020)),
    ((0.490, 0.000, 0.060), (0.085, 0.009, 0.009)),
    ((-0.160, 0.000, 0.040), (0.095, 0.015, 0.030)),
    ((0.070, 0.000, -0.005), (0.022, 0.014, 0.045)),
)
"""Blocks of what is held, centre and half size: metres along the fingers, to the back of the hand, to the thumb."""


@cache
def mannequin(*, in_hand: bool = True) -> Mesh:
    """The skin, built once per process in well under a second.

    Args:
        in_hand: whether the right hand holds the thing that it carries; else that hangs on the back.
    """
    return _with_prop(_body(), in_hand=in_hand)


@cache
def _body() -> Mesh:
    rotations, positions = _bind_pose()
    shape = _Shape(positions, rotations)
    points, triangles = _surface(shape)
    points = _relaxed(points, triangles, shape)
    strongest = np.argmin(shape.by_joint(points), axis=1)
    points, parts = _painted(points, triangles, shape, np.array(JOINTS)[strongest])
    normals = shape.normal(points)
    order = np.argsort(parts, kind="stable")
    triangles, parts = triangles[order], parts[order]
    joints, weights = _skin(points, triangles, shape)
    inverse = np.zeros((len(JOINTS), 4, 4))
    conj = rotations * np.array([-1.0, -1.0, -1.0, 1.0])
    for column, axis in enumerate(np.eye(3)):
        inverse[:, :3, column] = rotate(conj, np.broadcast_to(axis, positions.shape))
    inverse[:, :3, 3] = -rotate(conj, positions)
    inverse[:, 3, 3] = 1.0
    return Mesh(
        points.astype(np.float32),
        normals.astype(np.float32),
        triangles.astype(np.uint16),
        joints,
        weights,
        parts,
        inverse.astype(np.float32),
    )


def _with_prop(skin: Mesh, *, in_hand: bool) -> Mesh:
    """The skin and the plain blocks of what it carries, fixed to the right hand or to the back."""
    rotations, positions = _bind_pose()
    joint = INDEX["R_Wrist" if in_hand else "Spine3"]
    if in_hand:
        axes, origin = np.array([[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), np.zeros(3)
    else:
        axes, origin = (
            np.array([[0.5, -SLANT, 0.0], [0.0, 0.0, -1.0], [SLANT, 0.5, 0.0]]),
            np.array([-0.03, 0.02, -0.165]),
        )
    corners: list[Array] = []
    normals: list[Array] = []
    faces: list[list[int]] = []
    for centre, half in PROP:
        for axis in range(3):
            for sign in (-1.0, 1.0):
                u, v = np.eye(3)[(axis + 1) % 3], np.eye(3)[(axis + 2) % 3]
                out = sign * np.eye(3)[axis]
                ring = [out + a * u + b * v for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
                first = 4 * len(normals)
                corners += [np.array(centre) + np.array(half) * corner for corner in ring]
                normals.append(out)
                turn = [0, 1, 2, 0, 2, 3] if sign * np.linalg.det(axes) > 0.0 else [0, 2, 1, 0, 3, 2]
                faces.append([first + k for k in turn])
    own = np.array(corners) @ axes + origin
    points = positions[joint] + rotate(rotations[joint], own)
    outward = rotate(rotations[joint], np.repeat(np.array(normals), 4, axis=0) @ axes)
    triangles = np.array(faces).reshape(-1, 3) + skin.points.shape[0]
    return Mesh(
        np.concatenate([skin.points, points.astype(np.float32)]),
        np.concatenate([skin.normals, outward.astype(np.float32)]),
        np.concatenate([skin.triangles, triangles.astype(np.uint16)]),
        np.concatenate([skin.joints, np.tile(np.array([joint, 0, 0, 0], dtype=np.uint8), (len(points), 1))]),
        np.concatenate([skin.weights, np.tile(np.array([1.0, 0.0, 0.0, 0.0], dtype=np.float32), (len(points), 1))]),
        np.concatenate([skin.parts, np.full(len(triangles), PARTS.index("prop"), dtype=np.int8)]),
        skin.inverse_bind,
    )


def palette(attacker: bool | None) -> dict[str, tuple[float, float, float]]:
    """SRGB of every part in the colours of a side."""
    cloth = np.array(TEAM_COLOURS[attacker])
    own = {"jacket": cloth, "trousers": 0.42 * cloth + 0.06, "pads": 0.20 * cloth + 0.08}
    return _FIXED | {part: (float(red), float(green), float(blue)) for part, (red, green, blue) in own.items()}


def painted(mesh: Mesh, attacker: bool | None) -> Array:
    """Colour of each triangle `(F, 3)`, linear, of attackers (True), defenders (False) or a side that nobody knows."""
    shades = palette(attacker)
    colours: Array = np.array([shades[part] for part in PARTS])[mesh.parts] ** 2.2
    return colours


def pose(mesh: Mesh, rotations: Array, root: Array) -> tuple[Array, Array]:
    """The skin in one frame by linear blend skinning: points and normals `(V, 3)`.

    Args:
        mesh: the skin.
        rotations: local quaternions `(22, 4)`.
        root: the pelvis `(3,)`.
    """
    return skinned(mesh, bones(mesh, rotations[None], root[None])[0])


def bones(mesh: Mesh, rotations: Array, root: Array) -> Array:
    """What each joint does to the skin bound to it, in every frame: `(T, 22, 3, 4)`, from the bind pose to the scene.

    Args:
        mesh: the skin.
        rotations: local quaternions `(T, 22, 4)`.
        root: the pelvis `(T, 3)`.
    """
    return _bones(*forward(rotations, root), mesh.inverse_bind.astype(np.float64))


def skinned(mesh: Mesh, matrices: Array) -> tuple[Array, Array]:
    """Points and unit normals `(V, 3)` of the skin in the frame of one `(22, 3, 4)` of `bones`."""
    return _skinned(mesh.points, mesh.normals, mesh.joints, mesh.weights, matrices)


@njit(cache=True)
def _bones(positions: Array, turned: Array, bind: Array) -> Array:
    frames, joints = positions.shape[0], positions.shape[1]
    out = np.empty((frames, joints, 3, 4))
    own = np.empty((3, 4))
    for t in range(frames):
        for j in range(joints):
            x, y, z, w = turned[t, j, 0], turned[t, j, 1], turned[t, j, 2], turned[t, j, 3]
            own[0, 0], own[0, 1], own[0, 2] = 1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)
            own[1, 0], own[1, 1], own[1, 2] = 2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)
            own[2, 0], own[2, 1], own[2, 2] = 2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)
            for r in range(3):
                own[r, 3] = positions[t, j, r]
                for c in range(4):
                    total = 0.0
                    for k in range(4):
                        total += own[r, k] * bind[j, k, c]
                    out[t, j, r, c] = total
    return out


@njit(cache=True)
def _skinned(
    points: NDArray[np.float32],
    normals: NDArray[np.float32],
    joints: NDArray[np.uint8],
    weights: NDArray[np.float32],
    matrices: Array,
) -> tuple[Array, Array]:
    count = points.shape[0]
    at, facing = np.empty((count, 3)), np.empty((count, 3))
    for v in range(count):
        length = 0.0
        for r in range(3):
            place, normal = 0.0, 0.0
            for k in range(joints.shape[1]):
                weight, row = weights[v, k], matrices[joints[v, k], r]
                if weight == 0.0:
                    continue
                place += weight * (row[0] * points[v, 0] + row[1] * points[v, 1] + row[2] * points[v, 2] + row[3])
                normal += weight * (row[0] * normals[v, 0] + row[1] * normals[v, 1] + row[2] * normals[v, 2])
            at[v, r], facing[v, r] = place, normal
            length += normal * normal
        length = max(np.sqrt(length), 1e-12)
        for r in range(3):
            facing[v, r] /= length
    return at, facing


def _bind_pose() -> tuple[Array, Array]:
    """Global rotations `(22, 4)` and positions `(22, 3)` of the joints in the A pose."""
    turned = np.zeros((1, len(JOINTS), 4))
    turned[..., 3] = 1.0
    for side, sign in (("L", 1.0), ("R", -1.0)):
        for part in ("Shoulder", "Elbow", "Wrist"):
            turned[0, INDEX[f"{side}_{part}"]] = about(2, np.array(-sign * ARM_DOWN))
        for part in ("Hip", "Knee"):
            turned[0, INDEX[f"{side}_{part}"]] = about(2, np.array(sign * LEG_OUT))
    positions, _ = forward(locals_of(turned), OFFSETS[None, 0])
    return turned[0], positions[0]


def _smooth_union(a: Array, b: Array, width: float) -> Array:
    """The union of two distance fields, rounded over `width` metres (polynomial minimum)."""
    h = np.maximum(width - np.abs(a - b), 0.0) / width
    return np.minimum(a, b) - 0.25 * width * h * h


class _Shape:
    """The distance field of the body: negative inside."""

    def __init__(self, positions: Array, rotations: Array) -> None:
        self.at = {name: positions[i] for name, i in INDEX.items()}
        self.turn = {name: rotations[i] for name, i in INDEX.items()}

    def distance(self, p: Array) -> Array:
        """Signed distance `(n,)` of points `(n, 3)`, near enough to Euclidean at the surface."""
        return self._joined(self._pieces(p))

    def by_joint(self, p: Array) -> Array:
        """Distance to the nearest piece of every joint, `(n, 22)`."""
        out = np.full((p.shape[0], len(JOINTS)), 1.0)
        for _, joint, _, distance in self._pieces(p):
            i = INDEX[joint]
            out[:, i] = np.minimum(out[:, i], distance)
        return out

    def normal(self, p: Array) -> Array:
        step = 1e-4
        gradient = np.stack(
            [self.distance(p + step * axis) - self.distance(p - step * axis) for axis in np.eye(3)], axis=-1
        )
        return unit(gradient)

    def _joined(self, pieces: list[tuple[str, str, float, Array]]) -> Array:
        groups: dict[str, Array] = {}
        for group, _, width, distance in pieces:
            groups[group] = _smooth_union(groups[group], distance, width) if group in groups else distance
        trunk = groups.pop("trunk")
        out = trunk
        for name, limb in groups.items():
            out = np.minimum(out, _smooth_union(trunk, limb, 0.055 if name.startswith("leg") else 0.045))
        return out

    def _pieces(self, p: Array) -> list[tuple[str, str, float, Array]]:
        """(group, joint, width of the join, distance) of every piece."""
        out: list[tuple[str, str, float, Array]] = []

        def bone(
            group: str, joint: str, a: Array, b: Array, ra: float, rb: float, width: float = 0.04, flat: float = 1.0
        ) -> None:
            out.append((group, joint, width, _cone(p, a, b, ra, rb, flat)))

        def wide(joint: str, y: float, z: float, half: float, radius: float, flat: float = 1.0) -> None:
            a, b = np.array([-half, y, z]), np.array([half, y, z])
            out.append(("trunk", joint, 0.07, _cone(p, a, b, radius, radius, flat)))

        wide("Pelvis", 0.985, -0.008, 0.062, 0.108)
        wide("Pelvis", 1.055, -0.004, 0.050, 0.098)
        wide("Spine1", 1.135, 0.000, 0.048, 0.094)
        wide("Spine2", 1.235, 0.004, 0.060, 0.106)
        wide("Spine3", 1.325, 0.006, 0.074, 0.118)
        wide("Spine3", 1.405, -0.006, 0.100, 0.086)
        out.append(
            ("trunk", "Spine3", 0.025, _box(p, np.array([0.0, 1.300, 0.100]), np.array([0.105, 0.125, 0.030]), 0.024))
        )
        out.append(
            ("trunk", "Spine3", 0.025, _box(p, np.array([0.0, 1.320, -0.105]), np.array([0.110, 0.130, 0.030]), 0.026))
        )
        out.append(
            ("trunk", "Spine2", 0.020, _box(p, np.array([0.0, 1.165, 0.098]), np.array([0.100, 0.038, 0.026]), 0.018))
        )
        head, neck = self.at["Head"], self.at["Neck"]
        bone("trunk", "Neck", neck - np.array([0.0, 0.06, 0.0]), head + np.array([0.0, 0.02, 0.0]), 0.072, 0.060, 0.05)
        out.append(
            (
                "trunk",
                "Head",
                0.03,
                _ellipsoid(p, head + np.array([0.0, 0.092, 0.020]), np.array([0.076, 0.108, 0.092])),
            )
        )
        bone(
            "trunk",
            "Head",
            head + np.array([-0.018, 0.022, 0.058]),
            head + np.array([0.018, 0.022, 0.058]),
            0.040,
            0.040,
            0.04,
        )
        helmet = np.maximum(
            _ellipsoid(p, head + np.array([0.0, 0.115, 0.006]), np.array([0.101, 0.098, 0.118])),
            head[1] + 0.088 - p[:, 1],
        )
        out.append(("trunk", "Head", 0.008, helmet))
        out.append(
            (
                "trunk",
                "Head",
                0.010,
                _box(p, head + np.array([0.0, 0.082, 0.094]), np.array([0.066, 0.026, 0.022]), 0.016),
            )
        )
        for sign in (1.0, -1.0):
            bone(
                "trunk",
                "Neck",
                neck + np.array([sign * 0.02, 0.035, -0.012]),
                neck + np.array([sign * 0.12, -0.055, -0.012]),
                0.045,
                0.045,
                0.06,
            )
            bone(
                "trunk",
                "Head",
                head + np.array([sign * 0.086, 0.058, 0.006]),
                head + np.array([sign * 0.086, 0.090, 0.004]),
                0.026,
                0.026,
                0.012,
            )

        for side, sign in (("L", 1.0), ("R", -1.0)):
            self._limbs(p, out, side, sign)
        return out

    def _limbs(self, p: Array, out: list[tuple[str, str, float, Array]], side: str, sign: float) -> None:
        at = {
            part: self.at[f"{side}_{part}"]
            for part in ("Collar", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle", "Foot")
        }
        arm, leg = f"arm{side}", f"leg{side}"

        def add(group: str, part: str, distance: Array, width: float = 0.04) -> None:
            out.append((group, f"{side}_{part}", width, distance))

        out.append(
            (
                "trunk",
                f"{side}_Collar",
                0.06,
                _cone(
                    p,
                    at["Collar"] + np.array([0, 0.0, -0.012]),
                    at["Shoulder"] + np.array([-sign * 0.03, 0, -0.004]),
                    0.062,
                    0.058,
                ),
            )
        )
        down = unit(at["Elbow"] - at["Shoulder"])
        outer = rotate(self.turn[f"{side}_Shoulder"], np.array([0.0, 1.0, 0.0]))
        add(arm, "Shoulder", _cone(p, at["Shoulder"], at["Elbow"], 0.058, 0.043))
        add(
            arm,
            "Shoulder",
            _cone(p, at["Shoulder"] + 0.02 * down, at["Shoulder"] + 0.10 * down + 0.008 * outer, 0.068, 0.052),
        )
        add(arm, "Elbow", _cone(p, at["Elbow"], at["Wrist"], 0.044, 0.033))
        add(arm, "Elbow", _cone(p, at["Elbow"] + 0.05 * down, at["Elbow"] + 0.10 * down, 0.046, 0.043))
        reach = unit(at["Wrist"] - at["Elbow"])
        palm = at["Wrist"] + 0.070 * reach
        front = np.array([0.0, 0.0, 1.0])
        add(arm, "Wrist", _cone(p, at["Wrist"], palm, 0.034, 0.036), 0.03)
        add(arm, "Wrist", _cone(p, palm - 0.022 * front, palm + 0.022 * front, 0.034, 0.034), 0.03)
        curl = palm + 0.052 * reach - 0.022 * outer
        add(arm, "Wrist", _cone(p, curl - 0.026 * front, curl + 0.024 * front, 0.024, 0.024), 0.025)
        add(
            arm,
            "Wrist",
            _cone(
                p,
                at["Wrist"] + 0.035 * reach + 0.030 * front,
                palm + 0.035 * reach + 0.052 * front - 0.01 * outer,
                0.018,
                0.015,
            ),
            0.02,
        )

        thigh, shank = unit(at["Knee"] - at["Hip"]), unit(at["Ankle"] - at["Knee"])
        back = np.array([0.0, 0.0, -1.0])
        add(leg, "Hip", _cone(p, at["Hip"] - 0.01 * thigh, at["Knee"], 0.092, 0.058))
        add(
            leg,
            "Hip",
            _cone(p, at["Hip"] + 0.10 * thigh - 0.010 * back, at["Hip"] + 0.26 * thigh - 0.012 * back, 0.078, 0.068),
        )
        out.append(
            (
                "trunk",
                f"{side}_Hip",
                0.07,
                _cone(
                    p,
                    at["Hip"] + np.array([0.0, 0.03, -0.030]),
                    at["Hip"] + np.array([0.0, -0.035, -0.042]),
                    0.082,
                    0.084,
                ),
            )
        )
        add(leg, "Knee", _cone(p, at["Knee"], at["Ankle"], 0.056, 0.041))
        add(
            leg,
            "Knee",
            _cone(p, at["Knee"] - 0.006 * back, at["Knee"] + 0.03 * shank - 0.010 * back, 0.055, 0.052),
            0.02,
        )
        add(
            leg,
            "Knee",
            _cone(p, at["Knee"] + 0.08 * shank + 0.016 * back, at["Knee"] + 0.19 * shank + 0.012 * back, 0.052, 0.047),
        )
        add(
            leg,
            "Ankle",
            _cone(p, at["Ankle"] + np.array([0, 0.09, -0.004]), at["Ankle"] + np.array([0, -0.01, 0.0]), 0.049, 0.050),
            0.02,
        )
        sole = np.array([at["Ankle"][0], 0.0, 0.0])
        heel = sole + np.array([0.0, 0.036, -HEEL_M + 0.040])
        ball = np.array([at["Foot"][0], 0.034, at["Foot"][2]])
        add(leg, "Ankle", _floored(p, _cone(p, heel, ball - np.array([0.0, -0.004, 0.02]), 0.042, 0.045)), 0.02)
        add(
            leg,
            "Ankle",
            _cone(p, at["Ankle"] + np.array([0.0, 0.005, 0.02]), ball + np.array([0.0, 0.018, -0.03]), 0.045, 0.036),
            0.03,
        )
        toe = np.array([ball[0], 0.029, at["Foot"][2] + TOE_M - 0.034])
        add(leg, "Foot", _floored(p, _cone(p, ball, toe, 0.044, 0.034)), 0.02)


def _cone(p: Array, a: Array, b: Array, ra: float, rb: float, flat: float = 1.0) -> Array:
    """A capsule whose radius changes evenly from `a` to `b`."""
    axis = b - a
    t = np.clip((p - a) @ axis / (axis @ axis), 0.0, 1.0)
    away = p - (a + t[:, None] * axis)
    result: Array = np.sqrt(np.sum(away * away, axis=-1)) - (ra + t * (rb - ra))
    return result


def _ellipsoid(p: Array, centre: Array, radii: Array) -> Array:
    q = (p - centre) / radii
    length = np.sqrt(np.sum(q * q, axis=-1))
    slope = np.sqrt(np.sum((q / radii) ** 2, axis=-1))
    result: Array = length * (length - 1.0) / np.maximum(slope, 1e-6)
    return result


def _box(p: Array, centre: Array, half: Array, rounding: float) -> Array:
    q = np.abs(p - centre) - (half - rounding)
    outside = np.maximum(q, 0.0)
    result: Array = np.sqrt(np.sum(outside * outside, axis=-1)) + np.minimum(np.max(q, axis=-1), 0.0) - rounding
    return result


def _floored(p: Array, distance: Array) -> Array:
    return np.maximum(distance, -p[:, 1])


def _lines(*stretches: tuple[float, float, float]) -> Array:
    """Grid lines over adjoining stretches (from, to, spacing)."""
    parts = []
    for begin, end, spacing in stretches:
        parts.append(np.linspace(begin, end, max(1, round((end - begin) / spacing)), endpoint=False))
    return np.concatenate([*parts, [stretches[-1][1]]])


def _surface(shape: _Shape) -> tuple[Array, NDArray[np.int64]]:
    """Points and triangles of the zero of the field, by surface nets."""
    half = _lines((0.0, 0.24, 0.040), (0.24, 0.48, 0.048), (0.48, 0.66, 0.030))
    x = np.concatenate([-half[:0:-1], half])
    y = _lines((-0.013, 0.133, 0.0265), (0.133, 0.96, 0.060), (0.96, 1.50, 0.050), (1.50, 1.83, 0.032))
    z = _lines((-0.19, -0.10, 0.036), (-0.10, 0.16, 0.036), (0.16, 0.26, 0.034))
    grid = np.stack(np.meshgrid(x, y, z, indexing="ij"), axis=-1)
    value = shape.distance(grid.reshape(-1, 3)).reshape(grid.shape[:3])
    value[value == 0.0] = 1e-9
    inside = value < 0.0
    cells: NDArray[np.int64] = np.array(value.shape) - 1
    corners = [(i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    total, count = np.zeros((*cells, 3)), np.zeros(tuple(cells))

    def cut(array: Array, corner: tuple[int, int, int]) -> Array:
        return array[tuple(slice(c, c + n) for c, n in zip(corner, cells, strict=True))]

    for a in corners:
        for axis in range(3):
            if a[axis]:
                continue
            b = (a[0] + (axis == 0), a[1] + (axis == 1), a[2] + (axis == 2))
            va, vb = cut(value, a), cut(value, b)
            crosses = (va < 0.0) != (vb < 0.0)
            share = np.where(crosses, va / np.where(crosses, va - vb, 1.0), 0.0)[..., None]
            total += np.where(crosses[..., None], cut(grid, a) * (1.0 - share) + cut(grid, b) * share, 0.0)
            count += crosses
    used = count > 0
    number = np.full(used.shape, -1)
    number[used] = np.arange(int(used.sum()))
    points = total[used] / count[used][:, None]
    quads = []
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        low = np.take(inside, range(inside.shape[axis] - 1), axis)
        high = np.take(inside, range(1, inside.shape[axis]), axis)
        at = np.argwhere(low != high)
        at = at[(at[:, u] > 0) & (at[:, v] > 0) & (at[:, u] < cells[u]) & (at[:, v] < cells[v])]
        ring = []
        for du, dv in ((1, 1), (0, 1), (0, 0), (1, 0)):
            cell = at.copy()
            cell[:, u] -= du
            cell[:, v] -= dv
            ring.append(number[tuple(cell.T)])
        quad = np.stack(ring, axis=-1)
        outward = low[tuple(at.T)]
        quads.append(np.where(outward[:, None], quad, quad[:, ::-1]))
    faces = np.concatenate(quads)
    corners_of = points[faces]
    short = np.linalg.norm(corners_of[:, 0] - corners_of[:, 2], axis=-1) <= np.linalg.norm(
        corners_of[:, 1] - corners_of[:, 3], axis=-1
    )
    first = np.where(short[:, None], faces[:, [0, 1, 2]], faces[:, [0, 1, 3]])
    second = np.where(short[:, None], faces[:, [0, 2, 3]], faces[:, [1, 2, 3]])
    return points, np.concatenate([first, second])


def _neighbours(triangles: NDArray[np.int64], points: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    """Both ends of every directed edge once, and the number of neighbours of every point."""
    pairs = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    pairs = np.unique(np.concatenate([pairs, pairs[:, ::-1]]), axis=0)
    return pairs[:, 0], pairs[:, 1], np.bincount(pairs[:, 0], minlength=points).astype(np.float64)


def _averaged(values: Array, edges: tuple[NDArray[np.int64], NDArray[np.int64], Array]) -> Array:
    """The mean over the neighbours of every point."""
    to, of, degree = edges
    out = np.zeros_like(values)
    np.add.at(out, to, values[of])
    return out / degree[:, None]


def _relaxed(points: Array, triangles: NDArray[np.int64], shape: _Shape) -> Array:
    """Points evened out along the surface and put back on it."""
    edges = _neighbours(triangles, points.shape[0])
    for _ in range(6):
        normal = shape.normal(points)
        drift = 0.5 * (_averaged(points, edges) - points)
        drift -= np.sum(drift * normal, axis=-1, keepdims=True) * normal
        points = points + drift
        for _ in range(2):
            points = points - np.clip(shape.distance(points), -0.02, 0.02)[:, None] * shape.normal(points)
    points[:, 1] = np.maximum(points[:, 1], 0.0)
    return points


def _skin(points: Array, triangles: NDArray[np.int64], shape: _Shape) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Joints and weights of every point: nearest pieces, blurred along the skin, the four strongest kept."""
    distance = shape.by_joint(points)
    weights = np.exp(-(distance - distance.min(axis=1, keepdims=True)) / 0.010)
    weights /= weights.sum(axis=1, keepdims=True)
    edges = _neighbours(triangles, points.shape[0])
    for _ in range(3):
        weights = 0.5 * weights + 0.5 * _averaged(weights, edges)
    order = np.argsort(-weights, axis=1, kind="stable")[:, :INFLUENCES]
    strongest = np.take_along_axis(weights, order, axis=1)
    strongest[strongest < 0.02] = 0.0
    strongest /= strongest.sum(axis=1, keepdims=True)
    kept = strongest.astype(np.float32)
    kept[:, 0] = np.float32(1.0) - kept[:, 1:].sum(axis=1, dtype=np.float32)
    return np.where(kept > 0.0, order, 0).astype(np.uint8), kept


def _painted(
    points: Array, triangles: NDArray[np.int64], shape: _Shape, joint: NDArray[np.str_]
) -> tuple[Array, NDArray[np.int8]]:
    """The part of each triangle, and points moved onto the borders so that these run straight.

    A part is where its border function is positive. Of an edge across a border the nearer end is moved onto it.
    """
    parts = np.zeros(triangles.shape[0], dtype=np.int8)
    edges = np.unique(
        np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1), axis=0
    )
    for name, inside in _borders(shape, joint):
        value = inside(points)
        a, b = edges[(value[edges[:, 0]] < 0.0) != (value[edges[:, 1]] < 0.0)].T
        share = value[a] / (value[a] - value[b])
        near = np.where(share < 0.5, a, b)
        target = points[a] + share[:, None] * (points[b] - points[a])
        gap = np.minimum(share, 1.0 - share)
        order = np.argsort(-gap, kind="stable")
        points = points.copy()
        points[near[order]] = target[order]
        parts[inside(points)[triangles].mean(axis=1) > 0.0] = PARTS.index(name)
    return points, parts


def _borders(shape: _Shape, joint: NDArray[np.str_]) -> list[tuple[str, Callable[[Array], Array]]]:
    """Parts in the order of painting, each with the function that is positive inside it, in metres."""
    limb = np.char.partition(joint, "_")[:, 2]
    arm, leg = np.isin(limb, ("Shoulder", "Elbow", "Wrist")), np.isin(limb, ("Knee", "Ankle", "Foot"))
    trunk = ~arm & ~leg
    away = -0.05

    def only(where: NDArray[np.bool_], value: Array) -> Array:
        return np.where(where, value, away)

    def glove(p: Array) -> Array:
        out = np.full(p.shape[0], away)
        for side, sign in (("L", 1.0), ("R", -1.0)):
            wrist = shape.at[f"{side}_Wrist"]
            along = (p - wrist) @ unit(wrist - shape.at[f"{side}_Elbow"]) + 0.025
            out = np.where(arm & (sign * p[:, 0] > 0.0), along, out)
        return out

    def helmet(p: Array) -> Array:
        rim = 1.615 + 0.060 * np.clip((p[:, 2] - 0.030) / 0.045, 0.0, 1.0)
        return only(trunk, p[:, 1] - rim)

    return [
        ("trousers", lambda p: only(~arm, 1.035 - p[:, 1])),
        (
            "gear",
            lambda p: only(~leg, np.minimum(np.minimum(0.135 - np.abs(p[:, 0]), p[:, 1] - 1.105), 1.435 - p[:, 1])),
        ),
        ("gear", glove),
        ("boot", lambda p: only(leg, 0.20 - p[:, 1])),
        (
            "pads",
            lambda p: only(
                np.isin(limb, ("Hip", "Knee")), np.minimum(0.062 - np.abs(p[:, 1] - 0.505), p[:, 2] - 0.012)
            ),
        ),
        ("skin", lambda p: only(trunk, p[:, 1] - 1.510)),
        ("helmet", helmet),
        ("visor", lambda p: only(trunk, np.minimum(np.minimum(p[:, 1] - 1.640, 1.702 - p[:, 1]), p[:, 2] - 0.078))),
    ]
