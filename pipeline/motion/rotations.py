"""Quaternions, many at once.

Belongs here: algebra on arrays of rotations. Does not belong here: anything that knows what a joint is.

A quaternion is `(x, y, z, w)` as in glTF, float64, last axis 4. Frames are right-handed with y up; a body at rest looks
along +z, so its left is +x.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def multiply(a: Array, b: Array) -> Array:
    """The rotation `a` after `b`, shape `(…, 4)`."""
    ax, ay, az, aw = a[..., 0], a[..., 1], a[..., 2], a[..., 3]
    bx, by, bz, bw = b[..., 0], b[..., 1], b[..., 2], b[..., 3]
    out = np.empty(np.broadcast_shapes(a.shape, b.shape))
    out[..., 0] = aw * bx + ax * bw + ay * bz - az * by
    out[..., 1] = aw * by - ax * bz + ay * bw + az * bx
    out[..., 2] = aw * bz + ax * by - ay * bx + az * bw
    out[..., 3] = aw * bw - ax * bx - ay * by - az * bz
    return out


def conjugate(q: Array) -> Array:
    """The inverse rotation of unit quaternions."""
    result: Array = q * np.array([-1.0, -1.0, -1.0, 1.0])
    return result


def rotate(q: Array, v: Array) -> Array:
    """Vectors `(…, 3)` turned by unit quaternions `(…, 4)`."""
    u, w = q[..., :3], q[..., 3:]
    t = 2.0 * cross(u, v)
    return v + w * t + cross(u, t)


def cross(a: Array, b: Array) -> Array:
    """Cross product along the last axis, without `numpy.cross`'s checks (it is a third of the cost)."""
    out = np.empty(np.broadcast_shapes(a.shape, b.shape))
    out[..., 0] = a[..., 1] * b[..., 2] - a[..., 2] * b[..., 1]
    out[..., 1] = a[..., 2] * b[..., 0] - a[..., 0] * b[..., 2]
    out[..., 2] = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return out


def unit(v: Array) -> Array:
    """Vectors of length one along the last axis; a vector of no length stays as it is."""
    length = np.sqrt(np.sum(v * v, axis=-1, keepdims=True))
    return v / np.where(length > 0.0, length, 1.0)


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
    return multiply(multiply(about(1, heading), about(0, lean)), about(2, tilt))


def from_axes(x: Array, y: Array, z: Array) -> Array:
    """Quaternions of orthonormal right-handed axes, each `(…, 3)`: the columns of a rotation matrix.

    The largest of the four components is found first, so no branch divides by a small number (Shepperd 1978).
    """
    m00, m10, m20 = x[..., 0], x[..., 1], x[..., 2]
    m01, m11, m21 = y[..., 0], y[..., 1], y[..., 2]
    m02, m12, m22 = z[..., 0], z[..., 1], z[..., 2]
    squares = np.stack([m00 - m11 - m22, m11 - m00 - m22, m22 - m00 - m11, m00 + m11 + m22], axis=-1)
    pick = np.argmax(squares, axis=-1)
    largest = np.sqrt(np.maximum(1.0 + np.take_along_axis(squares, pick[..., None], axis=-1)[..., 0], 1e-12))
    rows = np.stack(
        [
            np.stack([largest**2, m10 + m01, m20 + m02, m21 - m12], axis=-1),
            np.stack([m10 + m01, largest**2, m21 + m12, m02 - m20], axis=-1),
            np.stack([m20 + m02, m21 + m12, largest**2, m10 - m01], axis=-1),
            np.stack([m21 - m12, m02 - m20, m10 - m01, largest**2], axis=-1),
        ],
        axis=-2,
    )
    out = np.take_along_axis(rows, pick[..., None, None], axis=-2)[..., 0, :] / (2.0 * largest[..., None])
    return unit(out)


def wrap(angle: Array) -> Array:
    """The same angle in [-pi, pi)."""
    return (angle + np.pi) % (2.0 * np.pi) - np.pi


def continuous(q: Array) -> Array:
    """The same rotations over time (axis 0) with signs chosen so that neighbours never lie in opposite halves."""
    flips = np.cumsum(np.sum(q[1:] * q[:-1], axis=-1) < 0.0, axis=0) % 2
    out = q.copy()
    out[1:] *= np.where(flips, -1.0, 1.0)[..., None]
    return out
