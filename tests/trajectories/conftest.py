"""What tests of learned movement share."""

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from configs.scenes import ScenesConfig, load_scenes
from configs.trajectories import TrajectoriesConfig, load_trajectories
from pipeline.scenes import speeds
from pipeline.scenes.dataset import story_shard
from pipeline.trajectories.corpus import Corpus, assembled
from pipeline.trajectories.plan import Plan, planned
from pipeline.trajectories.recorded import recorded_windows
from pipeline.trajectories.shape import Shape


class Words:
    """Reads texts as bags of hashed words: enough to tell captions apart, and there at once."""

    name, dimension = "words-96", 96

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        out = np.zeros((len(texts), self.dimension), np.float32)
        for row, text in zip(out, texts, strict=True):
            for word in re.findall(r"\w+", text.lower()):
                row[int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big") % self.dimension] += 1.0
        return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-6)


@pytest.fixture(scope="session")
def words() -> Words:
    return Words()


@pytest.fixture(scope="session")
def config() -> TrajectoriesConfig:
    return load_trajectories()


@pytest.fixture(scope="session")
def scenes() -> ScenesConfig:
    return load_scenes()


@pytest.fixture(scope="session")
def rows() -> pl.DataFrame:
    """Samples of stories; of so few some are held out by hand."""
    drawn = story_shard(1, 0, 400)
    stories = drawn["source_id"].unique(maintain_order=True).to_list()
    parts = {name: ("test", "validation")[k % 5] if k % 5 < 2 else None for k, name in enumerate(stories)}
    split = pl.col("source_id").replace_strict(parts, return_dtype=pl.String)
    return drawn.with_columns(split=pl.coalesce(split, pl.col("split").cast(pl.String)).cast(drawn.schema["split"]))


def _match(name: str, seed: int, seconds: int = 60) -> tuple[str, pl.DataFrame]:
    """Two players at 8 Hz who run and stop."""
    rng = np.random.default_rng(seed)
    t = np.arange(0, 1000 * seconds, 125)
    tracks = []
    for player in ("player:a", "player:b"):
        speed = np.where(np.sin(t / 3000.0 + rng.uniform(0, 6)) > -0.3, 4.5, 0.0)
        turn = np.cumsum(rng.normal(0.0, 0.05, len(t)))
        x, z = (np.cumsum(speed * 0.125 * f(turn)) * 1000 for f in (np.cos, np.sin))
        tracks.append(
            pl.DataFrame(
                {"t_ms": t, "x_mm": np.rint(x).astype(np.int32), "z_mm": np.rint(z).astype(np.int32)}
            ).with_columns(
                player=pl.lit(player),
                round=pl.lit(1, pl.Int32),
                side=pl.lit("attackers"),
                yaw_mdeg=pl.lit(0, pl.Int32),
                y_mm=pl.lit(None, pl.Int32),
            )
        )
    return name, pl.concat(tracks)


@pytest.fixture(scope="session")
def match() -> Callable[..., tuple[str, pl.DataFrame]]:
    return _match


@pytest.fixture(scope="session")
def corpus(rows: pl.DataFrame, words: Words) -> Corpus:
    """Stories and three matches."""
    recordings = [recorded_windows(*_match(f"m{k}", k)) for k in range(3)]
    return assembled([rows], recordings, speeds.names(load_scenes())).read_by(words)


@pytest.fixture(scope="session")
def plan(corpus: Corpus, config: TrajectoriesConfig, scenes: ScenesConfig) -> Callable[..., Plan]:
    """A training of the tiny size; `steps`, and changes of the training's settings."""

    def build(steps: int = 30, *, size: str = "tiny", **changes: object) -> Plan:
        training = config.training.model_copy(update={"log_every": 5, "checkpoint_every": 10, "validate_every": 20,
                                                      "validation": 32, "warmup": 5, "batch": 32,
                                                      **changes})  # fmt: skip
        own = config.model_copy(update={"training": training})
        shape = Shape.of(size, own, scenes, text=corpus.vectors.shape[1], encoder=corpus.encoder)
        return planned(shape, own, scenes, corpus=corpus.digest, steps=steps)

    return build


@pytest.fixture(scope="session")
def trained(corpus: Corpus, plan: Callable[..., Plan], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny training that has come a little way."""
    from pipeline.trajectories.learning import Training

    folder = tmp_path_factory.mktemp("trained")
    corpus.save(folder / "corpus")
    own = plan(30)
    own.save(folder)
    Training(folder, own, corpus).run(lambda progress: None)
    return folder
