"""What leaving out keys costs and saves: `python -m bench.keys` writes docs/keys.md.

Belongs here: the comparison of curves and lines, over tolerances. Does not belong here: the curves that files hold
(`pipeline.motion.keyframes`).
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.motion_clips import eligible, sampled
from bench.workload import SHARED
from configs.motion import Export, load_motion
from pipeline.motion.clip import Clip
from pipeline.motion.keyframes import LEVER_M, Curve, keep, loss
from pipeline.motion.path import Infeasible
from pipeline.motion.rotations import Array, unit
from pipeline.motion.synthesizer import synthesize

PAGE = Path(__file__).parents[1] / "docs" / "keys.md"
EACH = 3
"""Clips of each intent from each match."""
LOCOMOTION = ("advance", "retreat", "rotate")
LIMITS_MM = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
LINES_MM = (0.06, 0.5, 1.0)

Kept = tuple[Curve, list[Curve]]


@dataclass(frozen=True)
class Found:
    """What one way of keeping keys does to many clips.

    Attributes:
        going: frames of all channels to keys, of clips in which somebody goes.
        others: the same of the others.
        figures: figures of all channels at all frames to figures stored.
        p99_mm: of the clip that loses most, what 99 % of its losses are below.
        greatest_mm: loss of all.
        between_mm: error between frames at the end of the limb that a joint carries: its median, and 99 % are below.
    """

    going: float
    others: float
    figures: float
    p99_mm: float
    greatest_mm: float
    between_mm: tuple[float, float]


def measured(clips: Sequence[Clip], way: Callable[[Clip], Kept], each: int) -> Found:
    """Every clip, its keys chosen in a way that stores `each` values a key."""
    frames, keys = {True: 0, False: 0}, {True: 0, False: 0}
    figures, stored, losses, between = 0, 0, [], []
    for clip in clips:
        root, joints = way(clip)
        going = clip.intent in LOCOMOTION
        frames[going] += clip.frames * (1 + len(joints))
        keys[going] += sum(curve.frames.size for curve in (root, *joints))
        figures += clip.frames * sum(curve.values.shape[1] for curve in (root, *joints))
        stored += sum((1 if curve.is_still else each) * curve.values.size for curve in (root, *joints))
        losses.append(1000.0 * loss(clip, root, joints))
        if clip.frames > 6:
            between += [
                2000.0 * lever * np.linalg.norm(middles(curve) - smooth(clip.rotations[:, joint]), axis=1)
                for joint, (curve, lever) in enumerate(zip(joints, LEVER_M, strict=True))
            ]
    off = np.concatenate(between)
    return Found(
        frames[True] / max(keys[True], 1),
        frames[False] / max(keys[False], 1),
        figures / stored,
        max(float(np.percentile(lost, 99)) for lost in losses),
        max(float(lost.max()) for lost in losses),
        (float(np.median(off)), float(np.percentile(off, 99))),
    )


def smooth(rotations: Array) -> Array:
    """The motion half-way between frames, by the polynomial through six of them: `(T - 5, 4)`, from 2.5 on."""
    outer, inner, near = (
        rotations[k : len(rotations) - 5 + k] + rotations[5 - k : len(rotations) - k] for k in range(3)
    )
    return unit((3.0 * outer - 25.0 * inner + 150.0 * near) / 256.0)


def middles(curve: Curve) -> Array:
    """The curve there."""
    t = np.arange(2, curve.frames[-1] - 2) + 0.5
    k = np.searchsorted(curve.frames, t, side="right") - 1
    span = (curve.frames[k + 1] - curve.frames[k])[:, None]
    u = (t - curve.frames[k])[:, None] / span
    if curve.is_still:
        return unit((1.0 - u) * curve.values[k] + u * curve.values[k + 1])
    value = (2 * u**3 - 3 * u**2 + 1) * curve.values[k] + (3 * u**2 - 2 * u**3) * curve.values[k + 1]
    value += span * ((u**3 - 2 * u**2 + u) * curve.tangents_out[k] + (u**3 - u**2) * curve.tangents_in[k + 1])
    return unit(value)


def lines(tolerance_m: float) -> Callable[[Clip], Kept]:
    """Straight lines from key to key, each as far as it stays within a tolerance: what LINEAR samplers hold."""

    def way(clip: Clip) -> Kept:
        joints = [line(clip.rotations[:, j], 0.5 * tolerance_m / lever) for j, lever in enumerate(LEVER_M)]
        return line(clip.root, tolerance_m), joints

    return way


def line(values: Array, tolerance: float) -> Curve:
    """One channel of them; a cubic whose tangents are its chord is that line."""
    kept, n = [0], len(values)
    if np.max(np.abs(values - values[0])) <= 0.25 * tolerance:
        kept.append(n - 1)
    while kept[-1] < n - 1:
        first, last = kept[-1], kept[-1] + 1
        while last + 1 < n:
            u = np.arange(1, last + 1 - first)[:, None] / (last + 1 - first)
            drawn = values[first] + u * (values[last + 1] - values[first])
            drawn = unit(drawn) if values.shape[1] == 4 else drawn
            if np.max(np.linalg.norm(drawn - values[first + 1 : last + 1], axis=1)) > tolerance:
                break
            last += 1
        kept.append(last)
    frames = np.array(kept)
    slopes = np.diff(values[frames], axis=0) / np.diff(frames)[:, None]
    none = np.zeros((1, values.shape[1]))
    return Curve(frames, values[frames], np.concatenate([none, slopes]), np.concatenate([slopes, none]))


def curves(export: Export, limit_mm: float) -> Callable[[Clip], Kept]:
    """As files hold them, with another limit to 99 % of a clip's losses and tolerances to match."""
    times = limit_mm / 1000.0 / export.most_99_m
    changed = {name: times * getattr(export, name) for name in ("rotation_tolerance_m", "contact_tolerance_m")}
    limits = {"most_99_m": limit_mm / 1000.0, "most_m": max(export.most_m, 10.0 * limit_mm / 1000.0)}
    return lambda clip: keep(clip, export.model_copy(update=changed | limits))


def page(clips: Sequence[Clip]) -> Iterator[str]:
    """The page, line by line."""
    export = load_motion().export
    yield from (
        "# Keys",
        "",
        "Written by `make docs` (`python -m bench.keys`) where the recorded matches are at hand; do not edit.",
        "",
        f"{len(clips)} moments of recorded matches ({EACH} of each intent from each match, drawn by hash), each "
        "reduced to keys in several ways. *Keys*: of a key of every joint's rotation and of the root at every "
        "frame, so many become one, in clips in which somebody goes somewhere (advance, retreat, rotate) and in the"
        " others. *Figures*: the same of the numbers that a file holds; a key of a cubic has three values, a key of"
        " a line one. *Loss*: how far virtual vertices 3 cm off each joint are from where they were, at the frames."
        " *Between frames*: how far the end of the limb that a joint carries is from the motion in the middle "
        "between two frames, as the polynomial through six of them tells it.",
        "",
        "| keys joined by | 99 % of a clip's losses at most | keys, going | keys, others | figures | loss: 99 %, "
        "worst clip | loss: greatest | between frames: median | 99 % |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    )
    yield _row("lines, a key at every frame", "", measured(clips, lines(0.0), 1))
    for limit in LINES_MM:
        yield _row(f"lines, each joint within {limit:g} mm", "", measured(clips, lines(limit / 1000.0), 1))
    for limit in LIMITS_MM:
        name = "**cubics, as configured**" if np.isclose(limit / 1000.0, export.most_99_m) else "cubics"
        yield _row(name, f"{limit:g} mm", measured(clips, curves(export, limit), 3))
    yield from (
        "",
        "Lines: between two frames that are 1/30 s apart a running shin accelerates so much that the straight line "
        "over one left-out frame is millimetres off (at 15 m/s², `a h² / 8` over 2/30 s is 8 mm), so hardly any key"
        " of a runner's legs can go. Cubics follow it: over three frames they lose nothing, over more they are "
        "fitted (`pipeline.motion.keyframes` tells how). Their keys hold three values, so a file with a quarter of "
        "the keys has more than a quarter of the figures; and played at more than 30 frames a second it shows "
        "rounder motion than lines do.",
    )


def _row(name: str, limit: str, found: Found) -> str:
    return (
        f"| {name} | {limit} | {found.going:.2f} : 1 | {found.others:.2f} : 1 | {found.figures:.2f} : 1 | "
        f"{found.p99_mm:.3f} mm | {found.greatest_mm:.2f} mm | {found.between_mm[0]:.2f} mm | "
        f"{found.between_mm[1]:.1f} mm |"
    )


def chosen(logs: Sequence[Path]) -> Iterator[Clip]:
    """The clips of the page."""
    for log in logs:
        segments, tracks = eligible(log)
        for request in sampled(segments, tracks, EACH):
            try:
                yield synthesize(request)
            except Infeasible:
                continue


def main() -> int:
    """Writes the page; leaves it as it is where the data is absent."""
    shared = Path(os.environ.get(SHARED, Path(__file__).resolve().parents[2] / "shared" / "data"))
    logs = sorted((shared / "cs2").glob("*.jsonl.gz"))
    if not logs:
        print(f"{PAGE.name} stays as it is: no recorded matches found (set {SHARED})")
        return 0
    PAGE.write_text("\n".join(page(list(chosen(logs)))) + "\n", encoding="utf-8")
    print(f"written to {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
