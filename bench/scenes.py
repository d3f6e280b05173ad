"""Stories told and cut into samples, with one core, beside the same figure posed frame by frame in plain Python.

Both end in the joints, positions, headings and speeds of a table's rows; the plain way is given its path and its speeds
and poses the legs and the body alone, so its lead is what the rest costs us.
"""

import numpy as np

from bench.baselines.posing import posed_by_frames
from bench.measure import Figure, Goal, interleaved
from bench.workload import Workload
from configs.scenes import load_scenes
from pipeline.scenes import speeds
from pipeline.scenes.dataset import story_shard
from pipeline.scenes.figure import posed
from pipeline.scenes.kinematics import Movement
from pipeline.scenes.validation import findings
from pipeline.trajectories.samples import augmented, of_rows

SAMPLES, QUICK_SAMPLES = 1000, 200


def figures(load: Workload) -> list[Figure]:
    """Rates of making, checking and reading samples."""
    config, count = load_scenes(), QUICK_SAMPLES if load.quick else SAMPLES
    shard = story_shard(1, 0, count, config)
    names = speeds.names(config)
    moving = _walk(config.window)
    samples = of_rows(shard, names)
    return [
        interleaved(
            "stories → samples, one core (two have to make 1,000 a second)",
            lambda: story_shard(1, 0, count, config),
            None,
            "",
            float(count),
            "samples",
            Goal(at_least=500.0, stretch=1000.0),
        ),
        interleaved(
            "a movement → joints",
            lambda: [posed(moving, config) for _ in range(20)],
            lambda: [posed_by_frames(moving, config) for _ in range(20)],
            "frame by frame in Python",
            20.0,
            "samples",
            5.0,
        ),
        interleaved("every check", lambda: findings(shard, config), None, "", float(count), "samples"),
        interleaved(
            "rows → an augmented batch",
            lambda: augmented(of_rows(shard, names), np.random.default_rng(1)),
            lambda: of_rows(shard, names),
            "the batch as it is",
            float(len(samples)),
            "samples",
        ),
    ]


def _walk(n: int) -> Movement:
    """Ten seconds along a straight line, faster and faster."""
    speed = np.linspace(0.5, 6.0, n)
    gone = np.cumsum(speed) / 25.0
    position = np.stack([gone, np.zeros(n)], axis=1)
    run = speeds.names(load_scenes()).index("run")
    return Movement(position, np.zeros(n), speed, gone, np.full(n, run, np.uint8), np.arange(n) / 25.0)
