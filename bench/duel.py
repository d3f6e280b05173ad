"""The moving picture of the README: a duel of a recorded match, as `gridmotion clips MATCH --round …` draws it, larger.

Belongs here: which moment, how large. Does not belong here: how it is drawn (`pipeline.motion.film`).
"""

from pathlib import Path

import polars as pl

from bench.motion_clips import eligible
from bench.workload import frames
from configs.motion import MotionConfig, load_motion
from pipeline.motion.film import film
from pipeline.motion.scene import moment, stage

MATCH, ROUND, FROM_MS, TO_MS = "cs2-vf-overpass", 6, 706_000, 710_200
WIDTH, HEIGHT, FPS, QUALITY = 640, 360, 15, 60


def larger(config: MotionConfig) -> MotionConfig:
    """The configuration with a film of the README's size."""
    size = {"width": WIDTH, "height": HEIGHT, "fps": FPS, "quality": QUALITY}
    shown = config.preview.film.model_copy(update=size)
    return config.model_copy(update={"preview": config.preview.model_copy(update={"film": shown})})


def duel(events: pl.DataFrame, tracks: pl.DataFrame, segments: pl.DataFrame) -> bytes:
    """The picture, WebP."""
    config = larger(load_motion())
    shown = moment(MATCH, ROUND, FROM_MS, TO_MS, events=events, tracks=tracks, segments=segments, config=config)
    return film(stage(shown, config), config)


def write(recorded: Path, to: Path) -> None:
    """Draws the duel of a folder of recorded matches into `to`; intents are the labels, as hindsight knows them."""
    log = recorded / f"{MATCH}.jsonl.gz"
    tables = frames(log)
    segments, tracks = eligible(log)
    to.write_bytes(duel(tables["events"], tracks, segments))


if __name__ == "__main__":
    write(Path("../shared/data/cs2"), Path("docs/images/duel.webp"))
