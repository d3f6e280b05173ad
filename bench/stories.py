"""Stories that move: `python -m bench.stories` writes docs/scenes.md and its picture.

Belongs here: the page, and on which samples its figures are measured. Does not belong here: the checks
(`pipeline.scenes.validation`), speed (`bench.scenes`).
"""

import io
import os
import sys
from pathlib import Path

import polars as pl

from bench.measure import number
from bench.motion_clips import eligible
from bench.workload import SHARED, frames
from configs.scenes import ScenesConfig, load_scenes
from pipeline.scenes import speeds
from pipeline.scenes.dataset import story_shard
from pipeline.scenes.matches import match_samples
from pipeline.scenes.realism import realism
from pipeline.scenes.render import Film, before_after, played
from pipeline.scenes.story import tell, themes
from pipeline.scenes.validation import Finding, action_speeds, findings
from pipeline.trajectories.samples import of_rows

PATH = Path(__file__).parents[1] / "docs" / "scenes.md"
PICTURE = PATH.parent / "images" / "stories.jpg"
PAIR = PATH.parent / "images" / "before_after.webp"
PAIRED, PAIRED_S = ("chase", 3), 5.0
TOLD = 5  # seeds of each theme that are measured in place and moving
LOG = "cs2-sf-mirage.jsonl.gz"
SEED, SAMPLES = 1, 1000
CELL = (480, 270)
MOMENT = 0.4  # of a story that is shown
_CLAIMS = {
    "speeds": "median speed of an action of a story against the table's; what stays, stays",
    "teleports": "the fastest frame",
    "facing": "between where a figure looks and where it goes",
    "bone_lengths": "how far any bone is from its length",
    "foot_slide": "standing feet over the ground",
}


def picture(seed: int = SEED) -> bytes:
    """A JPEG with a moment of a story of each theme."""
    from PIL import Image

    names = sorted(themes())
    out = Image.new("RGB", (2 * CELL[0], -(-len(names) // 2) * CELL[1]), "#ffffff")
    for k, theme in enumerate(names):
        film = Film(tell(theme, seed))
        shown = film.picture(round(MOMENT * film.frames)).resize(CELL, Image.Resampling.LANCZOS)
        out.paste(shown, (k % 2 * CELL[0], k // 2 * CELL[1]))
    data = io.BytesIO()
    out.save(data, "JPEG", quality=84)
    return data.getvalue()


def recorded(log: Path, config: ScenesConfig) -> pl.DataFrame:
    """Samples of a log's one match, with its labels for what was meant."""
    tables = frames(log)
    stretches, tracks = eligible(log)
    meant = stretches.select("player", "intent", t_ms="from_ms")
    names = tracks.with_columns(pl.col("player", "side").cast(pl.String))
    return match_samples(tables["match"], names, meant.cast({"player": pl.String}), config=config)


def pair() -> bytes:
    """A WebP of one story's beginning, in place and moving."""
    theme, seed = PAIRED
    return before_after(tell(theme, seed, duration=PAIRED_S), "webp")


def _pair(config: ScenesConfig) -> list[str]:
    scenes = [tell(theme, seed) for theme in sorted(themes()) for seed in range(TOLD)]
    before, after = (realism([played(scene, config, static=static) for scene in scenes], config)
                     for static in (True, False))  # fmt: skip
    rows = (
        ("speed over the ground of who walks, runs, …, as a share of the action's", "speed_share", "{:.0%}"),
        ("metres gone, as a share of those that the strides tell of", "way_share", "{:.0%}"),
        ("standing feet over the ground, m/s", "slide_mps", "{:.3f}"),
        ("farthest from where it began, m", "reach_m", "{:.1f}"),
        ("frames of strides in which it goes where it looks", "faces_share", "{:.0%}"),
    )
    lines = [f"| {len(scenes)} stories | in place | moving |", "|---|--:|--:|"]
    for words, name, form in rows:
        told = (form.format(getattr(each, name)) for each in (before, after))
        lines.append(f"| {words} | {' | '.join(told)} |")
    return lines


def document(stories: pl.DataFrame, match: pl.DataFrame | None, config: ScenesConfig) -> str:
    """The page.

    Args:
        stories: samples of stories.
        match: samples of a recorded match; None where none is at hand.
        config: speeds, sizes, limits.
    """
    lines = [_INTRODUCTION, "## Speeds", "", *_speeds(stories, config), "", "## Sizes", "", *_sizes(config), ""]
    lines += ["## In place and moving", "", _PAIR, "", *_pair(config), ""]
    told = stories.group_by("theme").agg(pl.len(), pl.col("prompt").first(), pl.col("caption").first()).sort("theme")
    lines += ["## Places", "", "| theme | samples | a prompt | a caption |", "|---|--:|---|---|"]
    lines += [f"| {theme} | {count} | {prompt} | {caption} |" for theme, count, prompt, caption in told.iter_rows()]
    lines += ["", "## Checks", "", _CHECKS, "", "| check | what | limit | stories | match |", "|---|---|--:|--:|--:|"]
    found = {finding.check: finding for finding in findings(stories, config)}
    others = {} if match is None else {finding.check: finding for finding in findings(match, config)}
    for name, what in _CLAIMS.items():
        cells = (_told(found[name]), _told(others[name]) if name in others else "")
        lines.append(f"| {name} | {what}, {found[name].unit} | {found[name].limit:g} | {cells[0]} | {cells[1]} |")
    told_of = f"{stories.height:,} samples of stories" + (
        "" if match is None else f" and {match.height:,} of a real match, whose actions have no speed but their own"
    )
    return "\n".join([*lines, "", f"Measured on {told_of}."]) + "\n"


def _told(finding: Finding) -> str:
    return "none" if finding.where == "no story among them" else number(float(f"{finding.value:.2g}"))


def _speeds(stories: pl.DataFrame, config: ScenesConfig) -> list[str]:
    measured = action_speeds(of_rows(stories, speeds.names(config)), config)
    seen = dict(measured.select("action", "mps").iter_rows())
    lines = ["| action | m/s | range | accelerates, m/s² | measured in samples |", "|---|--:|--:|--:|--:|"]
    for name, action in config.actions.items():
        if action.moves:
            low, high = action.range
            found = f"{seen[name]:.2f}" if name in seen else ""
            lines.append(f"| {name} | {action.speed:g} | {low:g} to {high:g} | {action.accelerate:g} | {found} |")
    still = ", ".join(name for name, action in config.actions.items() if not action.moves)
    return [*lines, "", f"These stay, at exactly 0: {still}."]


def _sizes(config: ScenesConfig) -> list[str]:
    lines = ["| thing | units | may be | metres |", "|---|--:|--:|--:|"]
    for name, size in config.objects.items():
        low, high = size.range
        lines.append(f"| {name} | {size.height:g} | {low:g} to {high:g} | {size.height * config.unit_m:.2f} |")
    return lines


_INTRODUCTION = """\
# Stories that move

Written by `make docs` (`python -m bench.stories`); do not edit.

![A moment of a story of each theme](images/stories.jpg)

Actors go through space: as fast as what they do is, as large as they are, on ways that lead around what stands there,
with feet that stand where they stand. A story is drawn from a theme and a seed, and the same seed tells the same; a
round of a real match is told in the same way from its tracks and intents.

```
gridmotion scenes render --theme baseball --out story.mp4       # or .webp, .gif; .jpg is a sheet of frames
gridmotion scenes render --before-after --out both.mp4          # side by side: animated in place, and moving
gridmotion scenes render --match m1 --round 3 --out round.mp4   # a round as it was played
gridmotion scenes dataset --samples 10000                       # ten-second samples with captions, checked one by one
```

Speeds are in m/s everywhere; sizes are in units of 0.68 m, so that a human of 1.7 m is 2.5 units, and are converted
once. Both tables are in `configs/scenes.yaml`, which story, renderer, training set and checks share.

A sample is ten seconds of one actor at 25 frames a second: ten joints in its own plane, position, heading and speed by
frame, what it does, a caption, and the prompt of its story (`trajectories` in `docs/tables.md`). Of stories, windows of
one seed never part between training, validation and test, and one way of wording is held out. Of matches, a sample is
a player's way with the timeline of its intents as caption. A figure looks where it goes: where the player looked is
another thing, and not in a sample. What a licence keeps from training, such as whatever derives from HY-Motion, is
refused; so is every match that `untrainable_matches` in `configs/scenes.yaml` names.
"""

_PAIR = """\
![The beginning of a chase twice: in place, and moving](images/before_after.webp)

Left as it is animated without positions, right as it moves; the same story, figures and strides. A speed below the
action's comes of starting, stopping and turning, and slower than 0.5 m/s nobody is said to look anywhere."""

_CHECKS = """\
Each is blocking and judges every shard. *Facing* is the 99th percentile of moving frames, *foot slide* the mean over
samples: a figure in a plane of its own cannot set a foot beside its way, so what is left comes from bends; on a
straight way feet hold from the first step to the last. One that turns at once or changes its posture lifts its feet,
and one that creeps in a recording while it stays is held where it stays."""


def main() -> int:
    """Writes the page and the picture; the match's column only where the match is at hand."""
    config = load_scenes()
    shared = Path(os.environ.get(SHARED, Path(__file__).resolve().parents[2] / "shared" / "data"))
    log = shared / "cs2" / LOG
    if not log.is_file():
        print(f"{PATH.name} stays as it is: {log.name} not found (set {SHARED})")
        return 0
    PATH.write_text(document(story_shard(SEED, 0, SAMPLES, config), recorded(log, config), config))
    PICTURE.write_bytes(picture())
    PAIR.write_bytes(pair())
    print(f"written to {PATH}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
