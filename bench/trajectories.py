"""Steps of training a large transformer with one core, frames in patches of five beside single frames.

Whole steps as a training makes them: samples drawn and changed as they are read, forward, backward, clipping, AdamW,
averaged weights. Of stories alone, whose poses cost more than recordings; texts are random vectors of the packaged
encoder's size, as reading them is no part of a step.
"""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.measure import Figure, Goal, interleaved
from bench.workload import Workload
from configs.encoders import load_encoders
from configs.scenes import load_scenes
from configs.trajectories import load_trajectories
from pipeline.embeddings.encoder import Vectors
from pipeline.scenes import speeds
from pipeline.scenes.dataset import story_shard
from pipeline.trajectories.corpus import Corpus, assembled
from pipeline.trajectories.learning import Place, Training
from pipeline.trajectories.plan import planned
from pipeline.trajectories.shape import Shape

SAMPLES = 200
BATCH, FEW = 32, 8
"""Samples of a step: of our own rate, and beside single frames, of which a step of more takes too long."""


class _Random:
    """Reads every text as a direction of its own."""

    name = "random"
    dimension = load_encoders().encoders[load_encoders().packaged].dimension

    def encode(self, texts: Sequence[str]) -> Vectors:
        rows = np.random.default_rng(1).standard_normal((len(texts), self.dimension))
        out: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        return out


def figures(load: Workload) -> list[Figure]:
    """Rates of learning."""
    del load  # stories are drawn
    scenes = load_scenes()
    corpus = assembled([story_shard(1, 0, SAMPLES, scenes)], [], speeds.names(scenes)).read_by(_Random())
    with tempfile.TemporaryDirectory() as folder:
        many, few, frames = (
            _training(Path(folder), corpus, size, batch)
            for size, batch in (("large", BATCH), ("large", FEW), ("large_frames", FEW))
        )
        told = f"{few.plan.shape.width} wide, {few.plan.shape.layers} layers, {few.plan.shape.parameters:,} parameters"
        return [
            interleaved(
                f"training, {told}, a second of one processor (two have to learn 25)", many.learn, None, "",
                float(BATCH), "samples", Goal(at_least=12.5), clock=time.process_time,
            ),
            interleaved(
                f"the same by {FEW} a step, patches of {few.plan.shape.patch} frames", few.learn, frames.learn,
                "a token for each frame", float(FEW), "samples", clock=time.process_time,
            ),
        ]  # fmt: skip


def _training(folder: Path, corpus: Corpus, size: str, batch: int) -> Training:
    config, scenes = load_trajectories(), load_scenes()
    own = config.model_copy(update={"training": config.training.model_copy(update={"batch": batch})})
    shape = Shape.of(size, own, scenes, text=corpus.vectors.shape[1], encoder=corpus.encoder)
    return Training(folder, planned(shape, own, scenes, corpus=corpus.digest), corpus, Place.here())
