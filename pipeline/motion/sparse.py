"""A way through seldom samples: where a player was between two positions a second or more apart.

Belongs here: the curve and its bound of speed. Does not belong here: samples that are near enough to be
joined by lines, smoothing (both path).
"""

import numpy as np

from pipeline.motion.rotations import Array


def curve(time: Array, t: Array, places: Array, *, fastest: float, eager: float) -> Array:
    """A curve through all samples with a continuous velocity, nowhere faster than people run if the samples allow it.

    Cubic Hermite segments whose tangents are those of the parabola through three samples, no longer than `eager` times
    the slower of both chords: who stands at a sample has no speed there. Where a segment would be faster than
    `fastest`, it is drawn towards its chord as far as needed (the velocity is a quadratic Bézier curve, so its three
    control points bound it); where the chord itself is faster, it is the chord. A segment that was drawn in has a
    kink at its ends, which the smoothing that follows takes away without making anything faster.

    Args:
        time: `(N,)` seconds, within the samples.
        t: `(n,)` seconds of the samples, rising.
        places: `(n, 2)` metres.
        fastest: m/s.
        eager: how much faster than its slower neighbour chord a player may be at a sample.

    Returns:
        `(N, 2)` metres.
    """
    seconds = np.diff(t)
    chord = np.diff(places, axis=0) / seconds[:, None]
    tangent = np.concatenate([chord[:1], np.empty((t.size - 2, 2)), chord[-1:]])
    before, after = seconds[:-1, None], seconds[1:, None]
    tangent[1:-1] = (after * chord[:-1] + before * chord[1:]) / (before + after)
    speed = np.hypot(chord[:, 0], chord[:, 1])
    most = eager * np.minimum(speed[:-1], speed[1:])
    length = np.hypot(tangent[1:-1, 0], tangent[1:-1, 1])
    tangent[1:-1] *= np.minimum(1.0, most / np.maximum(length, 1e-9))[:, None]

    first, last = tangent[:-1], tangent[1:]
    share = np.ones(seconds.size)
    for control in (first, 3.0 * chord - first - last, last):
        share = np.minimum(share, _share(chord, control - chord, fastest))
    k = np.clip(np.searchsorted(t, time, side="right") - 1, 0, seconds.size - 1)
    u = ((time - t[k]) / seconds[k])[:, None]
    line = places[k] + u * (places[k + 1] - places[k])
    bent = seconds[k, None] * u * (1.0 - u) * ((1.0 - u) * (first - chord)[k] - u * (last - chord)[k])
    return line + share[k, None] * bent


def _share(chord: Array, beside: Array, fastest: float) -> Array:
    """The greatest share, at most 1, of `beside` that added to a chord is no faster than `fastest`; 0 if none is."""
    along = np.sum(chord * beside, axis=1)
    squared = np.maximum(np.sum(beside * beside, axis=1), 1e-12)
    left = fastest**2 - np.sum(chord * chord, axis=1)
    root = np.sqrt(np.maximum(along**2 + squared * left, 0.0))
    return np.where(left > 0.0, np.clip((root - along) / squared, 0.0, 1.0), 0.0)
