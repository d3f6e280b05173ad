"""What is learned from, who is held out, what is shown of it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from configs.scenes import ScenesConfig
from configs.trajectories import TrajectoriesConfig
from pipeline.scenes import speeds
from pipeline.trajectories.batches import Batches
from pipeline.trajectories.corpus import MATCH, RECORDED, STORY, Corpus, Unusable, assembled, opened
from pipeline.trajectories.framing import turned
from pipeline.trajectories.recorded import recorded_windows
from pipeline.trajectories.samples import Unlearnable
from pipeline.trajectories.samples import turned as turned_samples


def test_a_held_out_theme_and_a_held_out_match_teach_nothing(corpus: Corpus, config: TrajectoriesConfig) -> None:
    learned = {corpus.themes[code] for code in corpus.theme[corpus.where("train", STORY)]}
    assert learned
    assert not learned & set(config.split.held_out_themes)
    assert len(corpus.where("theme"))
    matches = {part: {corpus.ids[k].split("/")[0] for k in corpus.where(part, RECORDED)} for part in ("train", "test")}
    assert matches["train"]
    assert matches["test"]
    assert not matches["train"] & matches["test"]


def test_samples_of_a_match_follow_its_windows_into_their_split(
    rows: pl.DataFrame, match: Callable[..., tuple], scenes: ScenesConfig
) -> None:
    told = rows.head(6).with_columns(
        source=pl.lit("match").cast(rows.schema["source"]),
        source_id=pl.lit("m1"),
        split=pl.lit("train").cast(rows.schema["split"]),
    )
    found = assembled([told], [recorded_windows(*match(f"m{k}", k)) for k in range(3)], speeds.names(scenes))
    windows = {corpus_split for k, corpus_split in enumerate(found.split) if found.ids[k].startswith("m1/")}
    assert set(found.split[found.kind == MATCH]) == windows


def test_it_comes_back_from_its_folder_and_a_damaged_one_says_so(corpus: Corpus, tmp_path: Path) -> None:
    corpus.save(tmp_path)
    again = opened(tmp_path)
    assert (again.digest, again.captions, again.encoder) == (corpus.digest, corpus.captions, "words-96")
    assert np.array_equal(again.position, corpus.position)
    (tmp_path / "told.npy").write_bytes(b"torn")
    with pytest.raises(Unusable, match="make it anew"):
        opened(tmp_path)


def test_what_may_not_be_learned_from_is_refused_and_so_is_nothing_at_all(
    rows: pl.DataFrame, scenes: ScenesConfig
) -> None:
    with pytest.raises(Unlearnable, match="does not allow training"):
        assembled([rows.head(2).with_columns(trainable=pl.lit(False))], [], speeds.names(scenes))
    with pytest.raises(Unusable, match="gridmotion scenes dataset"):
        assembled([], [], speeds.names(scenes))


@pytest.mark.parametrize(
    "name", ["position", "joints", "heading", "actions", "told", "known", "recalled", "alike", "split", "kind"]
)
def test_a_sample_that_changes_makes_another_corpus(corpus: Corpus, name: str) -> None:
    values = getattr(corpus, name).copy()
    values[-1] = values[-1] + 1
    assert replace(corpus, **{name: values}).digest != corpus.digest
    assert replace(corpus, **{name: getattr(corpus, name).copy()}).digest == corpus.digest


class _Lies:
    name, dimension = "lies", 8

    def __init__(self, given: int, value: float) -> None:
        self.given, self.value = given, value

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.full((len(texts), self.given), self.value, np.float32)


def test_an_encoder_that_gives_other_vectors_than_it_says_is_refused(corpus: Corpus) -> None:
    with pytest.raises(Unusable, match="lies"):
        corpus.read_by(_Lies(7, 1.0))
    with pytest.raises(Unusable, match="finite"):
        corpus.read_by(_Lies(8, float("nan")))
    assert corpus.read_by(_Lies(8, 1.0)).digest != corpus.digest


@pytest.fixture(scope="module")
def batches(corpus: Corpus, config: TrajectoriesConfig, scenes: ScenesConfig) -> Batches:
    return Batches(corpus, config, scenes, 25, 3)


def test_a_step_always_draws_the_same_batch(batches: Batches) -> None:
    first, again, other = batches.drawn(7, 16), batches.drawn(7, 16), batches.drawn(8, 16)
    assert all(np.array_equal(a, b) for a, b in zip(vars(first).values(), vars(again).values(), strict=True))
    assert not np.array_equal(first.way, other.way)
    assert all(np.isfinite(value).all() for value in vars(first).values())


def test_ways_come_back_from_their_frame_of_reference(batches: Batches, corpus: Corpus) -> None:
    at = corpus.where("train")[:40]
    batch = batches.of(at, known=50, has_text=True)
    assert np.allclose(batch.world(batch.way), corpus.position[at], atol=1e-3)
    assert np.allclose(batch.way[:, 49], 0.0, atol=1e-5)
    going = np.hypot(*batch.velocity.T) > 0.5
    assert going.any()
    assert np.allclose(batch.velocity[going, 1], 0.0, atol=1e-4)
    assert (batch.velocity[going, 0] > 0).all()


def test_turning_agrees_with_the_samples(corpus: Corpus) -> None:
    samples = corpus.samples(corpus.where("train", STORY)[:3])
    angle = np.array([0.3, -2.0, 1.2])
    assert np.allclose(turned_samples(samples, angle).position, turned(samples.position, angle), atol=1e-4)


def test_of_recordings_exactly_the_time_before_the_forecast_is_known(batches: Batches, corpus: Corpus) -> None:
    batch = batches.drawn(3, 64)
    recorded = ~batch.has_pose
    assert recorded.any()
    assert (batch.seen[recorded].sum(axis=1) == 50).all()
    assert (batch.seen.sum(axis=1) % 25 == 0).all()
    assert not (batch.pose_seen & ~batch.seen).any()


def test_what_is_recalled_is_mirrored_with_the_window_whether_its_frame_turns_or_not(
    corpus: Corpus, config: TrajectoriesConfig, scenes: ScenesConfig
) -> None:
    at = corpus.where("train", RECORDED)
    position, heading = corpus.position.copy(), corpus.heading.copy()
    stands, looks, east = at[:20], at[20:40], at[40:60]
    later = np.arange(position.shape[1]) - 49.0
    position[stands] = position[looks] = (np.maximum(later, 0.0)[:, None] * [0.1, 0.05]).astype(np.float32)
    position[east] = (later[:, None] * [0.1, 0.0]).astype(np.float32)
    position[east, 50:, 1] += 0.05 * later[50:]
    heading[stands], heading[looks], heading[east] = np.nan, 2.0, np.nan
    told = replace(corpus, position=position, heading=heading)
    way = Batches(told, config, scenes, 25, 3).of(at, known=50, has_text=False).way
    frames = [49 + round(second * corpus.fps) for second in config.recall.instants_s]
    recalled = corpus.recalled.copy()
    recalled[at - len(corpus.joints), 0] = way[:, frames]
    own = config.model_copy(update={
        "training": config.training.model_copy(update={"mirror": 1.0}),
        "mixture": config.mixture.model_copy(update={"story": 0.0, "match": 0.0, "recorded": 1.0}),
    })  # fmt: skip
    batch = Batches(replace(told, recalled=recalled), own, scenes, 25, 3).drawn(0, 4 * len(at))
    assert np.allclose(batch.recalled[:, 0], batch.way[:, frames], atol=0.05)
    assert (batch.angle == 0).any()
    assert (np.abs(np.abs(batch.angle) - np.pi) < 1e-3).any()
