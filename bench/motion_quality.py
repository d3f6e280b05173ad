"""How good the motion is: `python -m bench.motion_quality` writes docs/motion.md and its pictures.

Belongs here: the run over all clips, the goals, the words around the figures. Does not belong here: which clips
(`bench.motion_clips`), reading them back (`bench.gltf_motion`), what is measured (`bench.motion_measures`).
"""

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench import mocap
from bench.gltf_motion import ReadClip, read
from bench.motion_clips import Asked, eligible, sampled, sparse, test_paths
from bench.motion_measures import Motion, bob, gait, measures
from bench.motion_sheets import sheet
from bench.workload import GRID_LOG, SHARED
from configs.motion import load_motion
from configs.motion_goals import Goal, load_motion_goals
from pipeline.intents.vocabulary import INTENTS
from pipeline.motion.anatomy import CLEAR_M
from pipeline.motion.clip import Clip, ClipRequest
from pipeline.motion.gltf import glb
from pipeline.motion.goals import bounds, met
from pipeline.motion.measures import floor_under, path_error, smoothness
from pipeline.motion.path import Infeasible, plan
from pipeline.motion.skeleton import INDEX
from pipeline.motion.synthesizer import synthesize

PAGE = Path(__file__).parents[1] / "docs" / "motion.md"
PICTURES = PAGE.parent / "images" / "motion"
SPARSE = "once a second, planar"
EACH = 16
"""Clips of each intent from each match."""
SHEET_CLIPS = 4
RECORDED = {"02_01": "walk", "02_02": "walk", "02_03": "run"}
HEEL, BALL, TIP = (0.043 * 1.78, 0.055), 0.026, 0.072
"""Of the mannequin, metres: height of the ankle and reach of the heel behind it, height of the ball, length of toes."""
PUBLISHED_STRIDES = ((3.04, 2.21), (3.50, 2.50), (5.17, 3.30), (6.96, 3.86))
"""Speed and stride length above the recordings, m/s and m. 3.04 and 3.50: van Oeveren et al. 2020, Eur J Sport Sci
20:182 (165 and 168 steps/min). Then +32 % to 5.17 m/s and +17 % to 6.96: Dorn et al. 2012, J Exp Biol 215:1944."""
SLOW_EXPONENT = 0.58
"""Stride length grows with this power of walking speed between the two recorded walks; it is carried on below them."""
EVEN = 0.12
"""A clip is even when its speed varies by less than this share of its mean."""


@dataclass(frozen=True)
class Row:
    """One clip's figures, and where it comes from."""

    source: str
    intent: str
    figures: dict[str, float]


@dataclass(frozen=True)
class Control:
    """Recorded people: their figures by name of the recording, and jitter and acceleration as powers of the speed."""

    rows: dict[str, dict[str, float]]
    jitter: tuple[float, float]
    acceleration: tuple[float, float]

    def stride(self, speed: float) -> float:
        """Stride length in metres at a speed: measured on the recordings, above them published."""
        known = [(row["speed_mps"], row["stride_m"]) for row in self.rows.values()] + list(PUBLISHED_STRIDES)
        speeds, lengths = np.array(known).T
        slow = float(lengths[0] * (min(speed, speeds[0]) / speeds[0]) ** SLOW_EXPONENT)
        return slow if speed < speeds[0] else float(np.interp(speed, speeds, lengths))

    def bob(self, speed: float) -> float | None:
        """Rise and fall of the pelvis in a stride, metres; None beyond the speeds that are recorded."""
        speeds, rises = np.array([(row["speed_mps"], row["bob_m"]) for row in self.rows.values()]).T
        return float(np.interp(speed, speeds, rises)) if speeds[0] <= speed <= speeds[-1] else None

    def at(self, law: tuple[float, float], speed: float) -> float:
        """A power law of the speed."""
        return float(law[0] * max(speed, 0.8) ** law[1])


def recorded(folder: Path) -> Control:
    """The recordings through the same measures."""
    rows = {}
    for name in RECORDED:
        at = mocap.ends(folder / "02.asf", folder / f"{name}.amc")
        motion = from_recording(at)
        rows[name] = {**measures(motion), **strides(motion)}
    laws = []
    for key in ("jitter_mps3", "acceleration_mps2"):
        x = np.log([row["speed_mps"] for row in rows.values()])
        y = np.log([row[key] for row in rows.values()])
        slope = float(np.sum((x - x.mean()) * (y - y.mean())) / np.sum((x - x.mean()) ** 2))
        laws.append((float(np.exp(y.mean() - slope * x.mean())), slope))
    return Control(rows, laws[0], laws[1])


def from_recording(at: dict[str, NDArray[np.float64]]) -> Motion:
    """A recording as a motion of our joints; the floor is where its feet are lowest."""
    positions = np.stack([at["root"], *(at[mocap.ENDS[name]] for name in list(INDEX)[1:])], axis=1)
    balls = positions[:, [INDEX["L_Foot"], INDEX["R_Foot"]]]
    floor = np.full(balls.shape[:2], balls[..., 1].min())
    contacts = mocap.held(balls, mocap.FPS, below_m=0.025, slower_mps=0.35)
    return Motion(positions, None, contacts, balls[..., 1], floor, mocap.FPS)


def strides(motion: Motion) -> dict[str, float]:
    """Stride length and period, where they can be told."""
    found, rise = gait(motion), bob(motion)
    if found is None or rise is None:
        return {}
    return {"stride_m": found[0], "period_s": found[1], "bob_m": rise}


def from_file(read_back: ReadClip, clip: Clip) -> Motion:
    """A clip as read from its file; the ground under its feet is that of the scene."""
    lowest = np.empty((read_back.positions.shape[0], 2))
    for foot, side in enumerate("LR"):
        ankle, ball = INDEX[f"{side}_Ankle"], INDEX[f"{side}_Foot"]
        at = read_back.positions
        heel = at[:, ankle] + read_back.turned[:, ankle] @ np.array([0.0, -HEEL[0], -HEEL[1]])
        flat = at[:, ball] + read_back.turned[:, ball] @ np.array([0.0, -BALL, 0.0])
        tip = at[:, ball] + read_back.turned[:, ball] @ np.array([0.0, -BALL, TIP])
        lowest[:, foot] = np.min(np.stack([heel[:, 1], flat[:, 1], tip[:, 1]]), axis=0)
    floor = floor_under(clip.path[:, 1], clip.fps, clip.footprints)
    return Motion(read_back.positions, read_back.turned, read_back.contacts, lowest, floor, clip.fps)


def measured(request: ClipRequest, control: Control) -> tuple[Clip, dict[str, float]]:
    """A clip and its figures, from the file that it becomes.

    Raises:
        Infeasible: if there is no clip.
    """
    clip = synthesize(request)
    data = glb(clip, {})
    back = read(data)
    motion = from_file(back, clip)
    figures = measures(motion)
    root, path = motion.positions[:, 0], clip.path[:, [0, 2]]
    t = request.from_ms / 1000.0 + np.arange(clip.frames) / clip.fps
    raw = np.stack([np.interp(t, request.t_ms / 1000.0, v / 1000.0) for v in (request.x_mm, request.z_mm)], axis=-1)
    figures |= path_error(root, path, "path") | path_error(root, raw - clip.origin[[0, 2]], "raw_path")
    figures |= {"bytes": float(len(data)), "keys": float(back.keys), "moved_m": clip.notes["path_deviation_max_m"]}
    speed = np.hypot(*np.diff(path, axis=0).T) * clip.fps
    mean = float(speed.mean())
    figures["path_mps"] = mean
    if mean >= 0.8:
        alone = smoothness(clip.path[:, None] * np.array([1.0, 0.0, 1.0]), clip.fps)
        figures["path_jitter_ratio"] = alone["jitter_mps3"] / control.at(control.jitter, mean)
        figures["path_acceleration_ratio"] = alone["acceleration_mps2"] / control.at(control.acceleration, mean)
        figures["jitter_ratio"] = figures["jitter_mps3"] / control.at(control.jitter, mean)
        figures["acceleration_ratio"] = figures["acceleration_mps2"] / control.at(control.acceleration, mean)
        figures["carried_acceleration_ratio"] = carried(path, clip.fps, control) / control.at(
            control.acceleration, mean
        )
    step = np.diff(path, axis=0)[speed > 0.3]
    heading = np.arctan2(step[:, 0], step[:, 1])
    forwards = step.size and np.cos(heading - clip.heading[:-1][speed > 0.3]).min() > 0.9
    if mean >= 0.8 and speed.std() < EVEN * mean and forwards and np.ptp(clip.path[:, 1]) < 0.05:
        found = strides(motion)
        if found:
            stride = control.stride(mean)
            figures |= {
                "stride_ratio": found["stride_m"] / stride,
                "cadence_ratio": (stride / mean) / found["period_s"],
                "bob_m": found["bob_m"],
            }
    return clip, figures


def carried(path: NDArray[np.float64], fps: int, control: Control) -> float:
    """Mean acceleration, m/s², of people carried along a path: what each frame's speed asks for, and the path's own.

    Limbs that move as people's at each frame's speed, of which half speeds up with the path and half against it on
    average: the root of the sum of squares.

    Args:
        path: `(T, 2)` metres.
        fps: frames a second.
        control: what people do at a speed.
    """
    velocity = np.diff(path, axis=0) * fps
    own = np.hypot(*np.diff(velocity, axis=0).T) * fps
    factor, exponent = control.acceleration
    speed = np.hypot(*(0.5 * (velocity[1:] + velocity[:-1])).T)
    return float(np.mean(np.hypot(factor * speed**exponent, own)))


@dataclass(frozen=True)
class Run:
    """All that one run found.

    Attributes:
        rows: a row for each clip.
        refused: reasons of the moments that can't be clips, of all eligible ones, and how many these are.
        eligible: number of eligible moments.
        shown: clips for the contact sheets, by intent.
        rate: clips of the test paths, five seconds each, from path to GLB in a second of one core.
    """

    rows: list[Row]
    refused: Counter[str]
    eligible: int
    shown: dict[str, list[Clip]]
    rate: float


def run(logs: Sequence[Path], grid: Path, control: Control) -> Run:
    """Every clip, synthesised, written, read back and measured."""
    asked = list(test_paths())
    refused: Counter[str] = Counter()
    count = 0
    config = load_motion()
    for log in logs:
        segments, tracks = eligible(log)
        asked += [Asked("recorded", request) for request in sampled(segments, tracks, EACH)]
        for request in sampled(segments, tracks, segments.height):
            count += 1
            try:
                plan(request, config.clips, config.path)
            except Infeasible as reason:
                refused[_kind(str(reason))] += 1
    asked += [Asked(SPARSE, request) for request in sparse(grid)]
    rows: list[Row] = []
    shown: dict[str, list[Clip]] = {intent: [] for intent in INTENTS}
    for each in asked:
        try:
            clip, figures = measured(each.request, control)
        except Infeasible:
            continue
        rows.append(Row(each.source, each.request.intent, figures))
        if each.source == "recorded" and clip.seconds >= 1.5 and len(shown[clip.intent]) < SHEET_CLIPS:
            shown[clip.intent].append(clip)
    return Run(rows, refused, count, shown, _rate())


def _rate() -> float:
    """Five-second clips a second of processor time, path to GLB: the best of three passes over the test paths."""
    requests = [each.request for each in test_paths()]
    best = 0.0
    for _ in range(3):
        begin = time.process_time()
        for request in requests:
            glb(synthesize(request), {})
        best = max(best, len(requests) / (time.process_time() - begin))
    return best


def _kind(reason: str) -> str:
    """A reason without its figures."""
    return (
        "teleport"
        if reason.startswith("teleport")
        else " ".join(word for word in reason.split(";")[0].split() if not any(c.isdigit() for c in word))
    )


# --- the page


def page(found: Run, control: Control) -> Iterator[str]:
    """The page, line by line."""
    recorded_rows = [row for row in found.rows if row.source == "recorded"]
    config = load_motion()
    yield from (
        "# How good the motion is",
        "",
        "Written by `make docs` (`python -m bench.motion_quality`) where the recorded matches and the motion capture "
        "are at hand; do not edit.",
        "",
        f"{len(found.rows)} clips: {len(recorded_rows)} moments of recorded matches (up to {EACH} of each intent from "
        "each match, drawn by hash), "
        f"{sum(row.source.startswith('once') for row in found.rows)} of a planar series sampled once a second, and "
        f"{sum(row.source not in ('recorded', SPARSE) for row in found.rows)} test paths of five seconds at 0 to 6 m/s "
        "(straight, the same seen from the side and from behind, curved, slalom, stop and go). Each is synthesised and "
        "written as GLB; everything below is measured on what an independent reader (pygltflib and a walk over the "
        "file's nodes) finds in the file, at 30 frames/s.",
        "",
        "Control: subject 02 of the CMU motion capture database (two walks and a run; mocap.cs.cmu.edu, NSF "
        "EIA-0196217) through the same code. A recording has no contact flags; its feet count as held when they are "
        "low and slow, so its slip is no more than a rough companion to ours.",
        "",
        "## Goals",
        "",
        "| figure | unit | mean | p50 | p95 | greatest | goal | met | CMU 02: walk, walk, run | published |",
        "|---|---|---:|---:|---:|---:|---|---|---|---|",
    )
    for goal in load_motion_goals().figures:
        yield _line(goal, [row.figures for row in found.rows], control)
    yield from (
        "",
        "- *People*: jitter and acceleration against a power law of speed through the three recordings, for clips "
        "faster than 0.8 m/s on average; stride and cadence where somebody goes on evenly, straight on and level, "
        "against the recordings, above them against van Oeveren et al. 2020 (Eur J Sport Sci 20:182) and Dorn et al. "
        "2012 (J Exp Biol 215:1944).",
        "- A player of the game stops, starts and turns back within a tenth of a second, the recorded people walk and "
        "run straight on: that difference is in jitter and acceleration as well. " + _explained(found.rows),
        "- *Recorded path*: the smoothed path may leave the recorded one by "
        f"{100 * config.path.bound_m:.0f} cm at most, and does so where a player turns or stops at once; mean over "
        f"clips of the greatest distance in each: {100 * _mean(recorded_rows, 'moved_m'):.1f} cm.",
        "- *Penetration*, *floating*: of heel, ball and tip of the toes, beyond 5 mm. The ground is where the clip's "
        "own prints were planned, from the heights of the recorded path: nobody recorded the floor of a map. So both "
        "say that feet go where they were to go, not that a stair is where the map has it.",
        "- *Limits*: ranges of clinical tables, with their sources in `configs/motion.yaml`; the neck's is that of the "
        "head against the highest of three spine joints.",
        f"- *Through each other*: bones below the knees nearer than {100 * CLEAR_M:.1f} cm.",
        "",
        f"Feasible: {1 - sum(found.refused.values()) / found.eligible:.2%} of {found.eligible:,} eligible moments of "
        "the six matches (goal: 95 %)"
        + (", the others: " + ", ".join(f"{k} ({n})" for k, n in found.refused.most_common()) if found.refused else "")
        + ".",
        "",
        f"Speed: {found.rate:.0f} five-second clips a second of one core, path to GLB (goal: 200).",
        "",
        "## By kind of path",
        "",
        "| clips of | n | skating | slip cm/s | root cm | jitter × | acceleration × "
        "| the path's own | people carried along it | limits % | legs % |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    )
    kinds = dict.fromkeys([f"recorded, {intent}" for intent in INTENTS] + [row.source for row in found.rows])
    for kind in kinds:
        rows = [row for row in found.rows if kind in (row.source, f"{row.source}, {row.intent}")]
        if kind != "recorded" and rows:
            line = (
                f"| {kind} | {len(rows)} | {_mean(rows, 'skating_ratio'):.3f} "
                f"| {100 * _mean(rows, 'contact_slip_mps'):.2f} | {100 * _mean(rows, 'path_ade_m'):.2f} "
                f"| {_mean(rows, 'jitter_ratio'):.2f} | {_mean(rows, 'acceleration_ratio'):.2f} "
                f"| {_mean(rows, 'path_acceleration_ratio'):.2f} | {_mean(rows, 'carried_acceleration_ratio'):.2f} "
                f"| {100 * _mean(rows, 'limit_frames'):.1f} | {100 * _mean(rows, 'crossing_frames'):.1f} |"
            )
            yield line.replace("nan", "")
    yield from (
        "",
        "Means over clips. *The path's own*: acceleration of the smoothed path alone, as if nobody moved a limb on it, "
        "times that of people at the same speed. *People carried along it*: see above.",
        "",
        "## Gait by speed",
        "",
        "Straight test paths; as read back from the files. *Pelvis*: its rise and fall in a stride, the median over "
        "strides; of people, between the three recordings. Lee and Farley 1998 (J Exp Biol 201:2935) give 3.1 cm of "
        "rise in half a stance of walking and 7.3 cm of fall of running, near the speed at which people change, of the "
        "centre of mass; of a pelvis at higher speeds we know no table that we could confirm.",
        "",
        "| m/s | stride m | people m | cadence steps/min | people steps/min | pelvis cm | people cm | jitter × |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    )
    for row in found.rows:
        if row.source == "straight" and "stride_ratio" in row.figures:
            v = row.figures["path_mps"]
            people, rise = control.stride(v), control.bob(v)
            yield (
                f"| {v:.1f} | {people * row.figures['stride_ratio']:.2f} | {people:.2f} "
                f"| {120 * v / people * row.figures['cadence_ratio']:.0f} | {120 * v / people:.0f} "
                f"| {100 * row.figures['bob_m']:.1f} | {'' if rise is None else f'{100 * rise:.1f}'} "
                f"| {row.figures['jitter_ratio']:.2f} |"
            )
    yield from ("", "## How it looks", "", "Rows are moments of recorded matches; time runs to the right.", "")
    for intent in INTENTS:
        if found.shown[intent]:
            yield from (f"### {intent}", "", f"![{intent}](images/motion/{intent}.jpg)", "")


def _explained(rows: Sequence[Row]) -> str:
    """What of the acceleration is the path's, in words."""
    most = next(goal.at_most for goal in load_motion_goals().figures if goal.key == "acceleration_ratio")
    having = [row.figures for row in rows if "acceleration_ratio" in row.figures]
    ours, people, own = (
        _values(having, key) for key in ("acceleration_ratio", "carried_acceleration_ratio", "path_acceleration_ratio")
    )
    beyond = ours > most
    if not beyond.any():
        return f"All clips are within {most:g} ×."
    return (
        "No pelvis that stays on the path can have less than the path's own acceleration, and limbs come on top: "
        "people who moved their limbs at each frame's speed as in the recordings, and were carried along the path "
        "besides (root of the sum of squares), would have "
        f"{np.percentile(people, 95):.2f} × at the 95th percentile (ours {np.percentile(ours, 95):.2f}) and be beyond "
        f"{most:g} × in {np.mean(people > most):.0%} of the clips (ours {np.mean(beyond):.0%}). Of our {beyond.sum()} "
        f"clips beyond it, {np.mean(people[beyond] > most):.0%} are so for them too, and "
        f"{np.mean(own[beyond] > 0.5 * most):.0%} have a path whose own acceleration, without any limb, is more than "
        f"{0.5 * most:g} × that of people; mean speed of these clips: "
        f"{_values(having, 'path_mps')[beyond].mean():.1f} m/s."
    )


def _values(rows: Sequence[dict[str, float]], key: str) -> NDArray[np.float64]:
    return np.array([row[key] for row in rows if key in row])


def _mean(rows: Sequence[Row], key: str) -> float:
    values = _values([row.figures for row in rows], key)
    return float(values.mean()) if values.size else float("nan")


def _line(goal: Goal, rows: Sequence[dict[str, float]], control: Control) -> str:
    values = goal.scale * _values(rows, goal.key)
    low = -np.inf if goal.at_least is None else goal.at_least
    words = {"mean": "mean", "p95": "p95", "max": "greatest", "all": "all"}[goal.over]
    beside = ", ".join(f"{goal.scale * row[goal.key]:.3g}" for row in control.rows.values() if goal.key in row)
    figures = " | ".join(
        f"{v:.3g}" for v in (values.mean(), np.median(values), np.percentile(values, 95), values.max())
    )
    verdict = "yes" if met(goal, values) else "**no**"
    within = f" ({np.mean((values >= low) & (values <= goal.at_most)):.0%} of clips)"
    return (
        f"| {goal.name} | {goal.unit} | {figures} | {words} {bounds(goal)} | {verdict}{within} | {beside} "
        f"| {goal.published} |"
    )


def main() -> int:
    """Writes the page and its pictures; leaves all as it is where the data is absent."""
    shared = Path(os.environ.get(SHARED, Path(__file__).resolve().parents[2] / "shared" / "data"))
    logs, capture = sorted((shared / "cs2").glob("*.jsonl.gz")), shared / "motion" / "cmu_02"
    grid = shared / "grid" / GRID_LOG
    if not logs or not capture.is_dir() or not grid.is_file():
        print(f"{PAGE.name} stays as it is: no recorded matches or no motion capture found (set {SHARED})")
        return 0
    control = recorded(capture)
    found = run(logs, grid, control)
    PAGE.write_text("\n".join(page(found, control)) + "\n", encoding="utf-8")
    PICTURES.mkdir(parents=True, exist_ok=True)
    for intent, clips in found.shown.items():
        if clips:
            captions = [f"{clip.intent}, {clip.seconds:.1f} s" for clip in clips]
            (PICTURES / f"{intent}.jpg").write_bytes(sheet(clips, captions))
    print(f"written to {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
