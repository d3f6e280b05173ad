"""What is recalled was before, was alike, and is told as seen from the moment that asks."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from configs.scenes import ScenesConfig
from configs.trajectories import RecallConfig, TrajectoriesConfig
from pipeline.trajectories.recall import Memory, meant, nothing
from pipeline.trajectories.recorded import recorded_windows


@pytest.fixture(scope="module")
def recall(config: TrajectoriesConfig) -> RecallConfig:
    return config.recall.model_copy(update={"block_s": 5.0, "moments": 2})


def _laps(seconds: int = 200) -> pl.DataFrame:
    """One who runs to and fro at 4 m/s: 10 s along x, then back; each lap 20 s."""
    t = np.arange(0, 1000 * seconds, 125)
    at = np.abs((t / 1000.0 + 10.0) % 20.0 - 10.0) * 4.0
    look = np.where(t // 1000 % 20 < 10, 0, 180_000)
    return pl.DataFrame({"t_ms": t, "x_mm": np.rint(1000 * at).astype(np.int64)}).with_columns(
        player=pl.lit("a"), round=pl.lit(1, pl.Int32), z_mm=pl.lit(0, pl.Int64), y_mm=pl.lit(None, pl.Int32),
        yaw_mdeg=pl.Series(look, dtype=pl.Int32),
    )  # fmt: skip


def _asked(memory: Memory, at_s: float, *, turned: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """What somebody recalls who at that time is at x = 20 m and runs back."""
    found = memory.of(
        np.array([[20.0, 0.0, 0.0]]), np.array([[-4.0, 0.0]]), np.array([np.pi]), np.array([1000.0 * at_s]),
        np.array([turned]),
    )  # fmt: skip
    return found.ways[0], found.alike[0]


def test_who_came_by_before_shows_the_way(recall: RecallConfig, scenes: ScenesConfig) -> None:
    memory = Memory(_laps(), recall, scenes.dataset.max_gap_ms)
    ways, alike = _asked(memory, 100.0)
    assert alike[0] > 0.9
    at = list(recall.instants_s)
    assert ways[0, at.index(4.0)] == pytest.approx([-16.0, 0.0], abs=0.5)
    assert ways[0, at.index(8.0), 0] > -10.0  # there it turned round
    ahead, _ = _asked(memory, 100.0, turned=np.pi)
    assert ahead[0, at.index(4.0)] == pytest.approx([16.0, 0.0], abs=0.5)


def test_nothing_is_recalled_whose_end_had_not_come(recall: RecallConfig, scenes: ScenesConfig) -> None:
    memory = Memory(_laps(), recall, scenes.dataset.max_gap_ms)
    assert not _asked(memory, 8.0)[1].any()
    for at_s in (30.0, 61.0):
        cut = Memory(_laps().filter(pl.col("t_ms") <= 1000 * at_s), recall, scenes.dataset.max_gap_ms)
        for whole, known in zip(_asked(memory, at_s), _asked(cut, at_s), strict=True):
            assert np.array_equal(whole, known)


def test_who_goes_elsewhere_is_less_alike(recall: RecallConfig, scenes: ScenesConfig) -> None:
    memory = Memory(_laps(), recall, scenes.dataset.max_gap_ms)
    far = memory.of(np.array([[20.0, 30.0, 0.0]]), np.array([[-4.0, 0.0]]), np.array([np.nan]), np.array([1e5]),
                    np.zeros(1))  # fmt: skip
    assert far.alike.max() < 1e-3 < _asked(memory, 100.0)[1].min()


def test_the_mean_of_what_is_recalled_is_drawn_between_its_instants(recall: RecallConfig) -> None:
    ways = np.zeros((1, 2, len(recall.instants_s), 2))
    ways[0, 0, :, 0] = 2.0 * np.array(recall.instants_s)
    after = np.array([[0.0, 0.25, 1.0, 7.75]])
    found = meant(ways, np.array([[1.0, 0.0]]), after, recall)
    assert found[0, :, 0] == pytest.approx(2.0 * after[0] / (1.0 + recall.least))
    assert not meant(*(getattr(nothing(1, recall), name) for name in ("ways", "alike")), after, recall).any()


def test_windows_of_a_match_recall_its_earlier_rounds(match: Callable[..., tuple]) -> None:
    name, tracks = match("m", 5)
    later = tracks.with_columns(t_ms=pl.col("t_ms") + 100_000, round=pl.lit(2, pl.Int32))
    found = recorded_windows(name, pl.concat([tracks, later]))
    second = np.array([int(each.rsplit("/", 1)[1]) >= 100_000 for each in found.ids])
    assert found.recalled.alike[second][:, 0].min() > 0.9  # the very same round
    k = found.known
    truth = found.position[second][:, k - 1 + 100] - found.position[second][:, k - 1]
    told = found.recalled.ways[second][:, 0, 7]
    assert np.median(np.abs(np.hypot(*told.T) - np.hypot(*truth.T))) < 0.3
