"""Samples without their arrays."""

import numpy as np
import polars as pl

from pipeline.tables import empty
from pipeline.trajectories.spread import READ, abridged


def samples(speeds_mps: list[float]) -> pl.DataFrame:
    """A sample for each speed that somebody runs straight on at, from a stand in the first fifth."""
    schema = empty("trajectories").select(READ).schema
    rows = []
    for speed in speeds_mps:
        each = np.where(np.arange(250) < 50, 0.0, speed)
        way = np.stack([np.cumsum(each) / 25, np.zeros(250)], axis=1)
        actions = [{"action": "stand", "from_frame": 0, "to_frame": 50},
                   {"action": "run", "from_frame": 50, "to_frame": 250}]  # fmt: skip
        rows.append(
            {"source": "scene", "theme": "park", "split": "train", "caption": "a run", "actions": actions,
             "speed_mps": each.tolist(), "position_m": way.ravel().tolist(), "height_m": 1.75}
        )  # fmt: skip
    return pl.DataFrame(rows, schema=schema)


def test_each_sample_keeps_its_own_speeds_and_way():
    found = abridged(samples([5.0, 2.0]))
    assert found["top_mps"].to_list() == [5.0, 2.0]
    np.testing.assert_allclose(found["way_m"], [40.0, 16.0], rtol=1e-5)
    for done, speed in zip(found["done"].to_list(), (5.0, 2.0), strict=True):
        assert [(each["action"], each["frames"]) for each in done] == [("stand", 50), ("run", 200)]
        np.testing.assert_allclose([each["mps"] for each in done], [0.0, speed], rtol=1e-6)
    assert not {"speed_mps", "position_m"} & set(found.columns)


def test_no_samples_stay_none():
    assert abridged(samples([])).is_empty()
