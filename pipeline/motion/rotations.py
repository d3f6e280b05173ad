"""Quaternions, many at once.

Belongs here: algebra on arrays of rotations. Does not belong here: anything that knows what a joint is.

A quaternion is `(x, y, z, w)` as in glTF, float64, last axis 4. Frames are right-handed with y up; a body at rest looks
along +z, so its left is +x.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]


def multiply(a: Array, b: Array) -> Array:
    """The rotation `a` after `b`, shape `(…, 4)`."""
    if a.shape != b.shape:
        a, b = np.broadcast_arrays(a, b)
    out = np.empty(a.shape)
    _multiply(np.ascontiguousarray(a).reshape(-1, 4), np.ascontiguousarray(b).reshape(-1, 4), out.reshape(-1, 4))
    return out


@njit(cache=True)
def _multiply(a: Array, b: Array, out: Array) -> None:
    for i in range(a.shape[0]):
        ax, ay, az, aw = a[i, 0], a[i, 1], a[i, 2], a[i, 3]
        bx, by, bz, bw = b[i, 0], b[i, 1], b[i, 2], b[i, 3]
        out[i, 0] = aw * bx + ax * bw + ay * bz - az * by
        out[i, 1] = aw * by - ax * bz + ay * bw + az * bx
        out[i, 2] = aw * bz + ax * by - ay * bx + az * bw
        out[i, 3] = aw * bw - ax * bx - ay * by - az * bz


def conjugate(q: Array) -> Array:
    """The inverse rotation of unit quaternions."""
    result: Array = q * np.array([-1.0, -1.0, -1.0, 1.0])
    return result


def rotate(q: Array, v: Array) -> Array:
    """Vectors `(…, 3)` turned by unit quaternions `(…, 4)`."""
    shape = (*q.shape[:-1], 3)
    if v.ndim == 1:  # one vector by many rotations, the commonest case: nothing is copied out to the shape of all
        out = np.empty(shape)
        _rotate_one(np.ascontiguousarray(q).reshape(-1, 4), v[0], v[1], v[2], out.reshape(-1, 3))
        return out
    if v.shape != shape:
        shape = (*np.broadcast_shapes(q.shape[:-1], v.shape[:-1]), 3)
        q, v = np.broadcast_to(q, (*shape[:-1], 4)), np.broadcast_to(v, shape)
    out = np.empty(shape)
    _rotate(np.ascontiguousarray(q).reshape(-1, 4), np.ascontiguousarray(v).reshape(-1, 3), out.reshape(-1, 3))
    return out


@njit(cache=True)
def _rotate_one(q: Array, vx: float, vy: float, vz: float, out: Array) -> None:
    for i in range(q.shape[0]):
        x, y, z, w = q[i, 0], q[i, 1], q[i, 2], q[i, 3]
        tx = 2.0 * (y * vz - z * vy)
        ty = 2.0 * (z * vx - x * vz)
        tz = 2.0 * (x * vy - y * vx)
        out[i, 0] = vx + w * tx + (y * tz - z * ty)
        out[i, 1] = vy + w * ty + (z * tx - x * tz)
        out[i, 2] = vz + w * tz + (x * ty - y * tx)


@njit(cache=True)
def _rotate(q: Array, v: Array, out: Array) -> None:
    for i in range(q.shape[0]):
        x, y, z, w = q[i, 0], q[i, 1], q[i, 2], q[i, 3]
        tx = 2.0 * (y * v[i, 2] - z * v[i, 1])
        ty = 2.0 * (z * v[i, 0] - x * v[i, 2])
        tz = 2.0 * (x * v[i, 1] - y * v[i, 0])
        out[i, 0] = v[i, 0] + w * tx + (y * tz - z * ty)
        out[i, 1] = v[i, 1] + w * ty + (z * tx - x * tz)
        out[i, 2] = v[i, 2] + w * tz + (x * ty - y * tx)


def cross(a: Array, b: Array) -> Array:
    """Cross product along the last axis, without `numpy.cross`'s checks (it is a third of the cost)."""
    if a.shape != b.shape:
        a, b = np.broadcast_arrays(a, b)
    out = np.empty(a.shape)
    _cross(np.ascontiguousarray(a).reshape(-1, 3), np.ascontiguousarray(b).reshape(-1, 3), out.reshape(-1, 3))
    return out


@njit(cache=True)
def _cross(a: Array, b: Array, out: Array) -> None:
    for i in range(a.shape[0]):
        out[i, 0] = a[i, 1] * b[i, 2] - a[i, 2] * b[i, 1]
        out[i, 1] = a[i, 2] * b[i, 0] - a[i, 0] * b[i, 2]
        out[i, 2] = a[i, 0] * b[i, 1] - a[i, 1] * b[i, 0]


def unit(v: Array) -> Array:
    """Vectors of length one along the last axis; a vector of no length stays as it is."""
    out = np.array(v, dtype=np.float64, order="C")
    _unit(out.reshape(-1, out.shape[-1]))
    return out


@njit(cache=True)
def _unit(v: Array) -> None:
    for i in range(v.shape[0]):
        squares = 0.0
        for k in range(v.shape[1]):
            squares += v[i, k] * v[i, k]
        length = np.sqrt(squares)
        if length > 0.0:
            for k in range(v.shape[1]):
                v[i, k] /= length


def about(axis: int, angle: Array) -> Array:
    """Rotation by `angle` radians about x (0), y (1) or z (2); shape `angle.shape + (4,)`."""
    half = 0.5 * np.asarray(angle, dtype=np.float64)
    out = np.zeros((*half.shape, 4))
    out[..., axis] = np.sin(half)
    out[..., 3] = np.cos(half)
    return out


def body(heading: Array, lean: Array, tilt: Array) -> Array:
    """Orientation of a body part from three angles in radians: turn about y, then lean forward, then tilt to its right.

    `heading` 0 looks along +z and grows to the left (towards +x).
    """
    angles: tuple[Array, ...] = (heading, lean, tilt)
    if not heading.shape == lean.shape == tilt.shape:
        angles = np.broadcast_arrays(*angles)
    out = np.empty((*angles[0].shape, 4))
    turn, forward, aside = (np.ascontiguousarray(angle, dtype=np.float64).reshape(-1) for angle in angles)
    _body(turn, forward, aside, out.reshape(-1, 4))
    return out


@njit(cache=True)
def _body(heading: Array, lean: Array, tilt: Array, out: Array) -> None:
    for i in range(heading.size):
        sy, cy = np.sin(0.5 * heading[i]), np.cos(0.5 * heading[i])
        sx, cx = np.sin(0.5 * lean[i]), np.cos(0.5 * lean[i])
        sz, cz = np.sin(0.5 * tilt[i]), np.cos(0.5 * tilt[i])
        x, y, z, w = cy * sx, sy * cx, -sy * sx, cy * cx
        out[i, 0] = x * cz + y * sz
        out[i, 1] = y * cz - x * sz
        out[i, 2] = w * sz + z * cz
        out[i, 3] = w * cz - z * sz


def from_axes(x: Array, y: Array, z: Array) -> Array:
    """Quaternions of orthonormal right-handed axes, each `(…, 3)`: the columns of a rotation matrix.

    The largest of the four components is found first, so no branch divides by a small number (Shepperd 1978).
    """
    out = np.empty((*x.shape[:-1], 4))
    left, up, ahead = (np.ascontiguousarray(axis).reshape(-1, 3) for axis in (x, y, z))
    _from_axes(left, up, ahead, out.reshape(-1, 4))
    return out


@njit(cache=True)
def _from_axes(x: Array, y: Array, z: Array, out: Array) -> None:
    for i in range(x.shape[0]):
        m00, m10, m20 = x[i, 0], x[i, 1], x[i, 2]
        m01, m11, m21 = y[i, 0], y[i, 1], y[i, 2]
        m02, m12, m22 = z[i, 0], z[i, 1], z[i, 2]
        trace = m00 + m11 + m22
        q = out[i]
        if trace >= max(m00, m11, m22):
            q[3] = 1.0 + trace
            q[0], q[1], q[2] = m21 - m12, m02 - m20, m10 - m01
        elif m00 >= m11 and m00 >= m22:
            q[0] = 1.0 + m00 - m11 - m22
            q[1], q[2], q[3] = m10 + m01, m20 + m02, m21 - m12
        elif m11 >= m22:
            q[1] = 1.0 + m11 - m00 - m22
            q[0], q[2], q[3] = m10 + m01, m21 + m12, m02 - m20
        else:
            q[2] = 1.0 + m22 - m00 - m11
            q[0], q[1], q[3] = m20 + m02, m21 + m12, m10 - m01
        length = np.sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3])
        for k in range(4):
            q[k] /= length


def matrices(q: Array) -> Array:
    """Rotation matrices `(…, 3, 3)` of unit quaternions `(…, 4)`; their columns are the axes of `from_axes`."""
    axes = [rotate(q, np.broadcast_to(axis, (*q.shape[:-1], 3))) for axis in np.eye(3)]
    return np.stack(axes, axis=-1)


def wrap(angle: Array) -> Array:
    """The same angle in [-pi, pi)."""
    return (angle + np.pi) % (2.0 * np.pi) - np.pi


def between(a: Array, b: Array, share: Array) -> Array:
    """The rotation a share of the shorter way from `a` to `b` (spherical linear interpolation)."""
    a, b = np.broadcast_arrays(a, b)
    dot = np.sum(a * b, axis=-1, keepdims=True)
    b = np.where(dot < 0.0, -b, b)
    angle = np.arccos(np.clip(np.abs(dot), 0.0, 1.0))
    sine = np.maximum(np.sin(angle), 1e-6)
    near = angle < 1e-4
    result = np.where(near, 1.0 - share, np.sin((1.0 - share) * angle) / sine) * a
    return unit(result + np.where(near, share, np.sin(share * angle) / sine) * b)


def continuous(q: Array) -> Array:
    """The same rotations over time (axis 0) with signs chosen so that neighbours never lie in opposite halves."""
    out = np.array(q, dtype=np.float64, order="C")
    _continuous(out.reshape(out.shape[0], -1, 4))
    return out


@njit(cache=True)
def _continuous(q: Array) -> None:
    for k in range(q.shape[1]):
        for i in range(1, q.shape[0]):
            dot = 0.0
            for c in range(4):
                dot += q[i, k, c] * q[i - 1, k, c]
            if dot < 0.0:
                for c in range(4):
                    q[i, k, c] = -q[i, k, c]
