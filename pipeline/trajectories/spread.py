"""What is told of many samples together: how fast what is done in them, how far, how large.

Belongs here: samples without their arrays, which of a whole data set would fill the memory.
Does not belong here: one sample (`pipeline.trajectories.samples`), tables for people (`assets/scenes.py`).
"""

import numpy as np
import polars as pl

READ = ("source", "theme", "split", "caption", "actions", "speed_mps", "position_m", "height_m")
"""The columns of table `trajectories` that are needed."""


def abridged(rows: pl.DataFrame) -> pl.DataFrame:
    """Each sample without its arrays.

    Args:
        rows: (n) the columns `READ` of table `trajectories`.

    Returns:
        (n) source, theme, split, caption, height_m; `top_mps`, speed of its fastest frame, m/s; `way_m`, length of its
        path, metres; `done`, of each stretch of an action the `action`, its `frames`, and `mps`, their mean speed, m/s.
    """
    speed, way = rows["speed_mps"].to_numpy(), rows["position_m"].to_numpy()
    window = speed.shape[1]
    done = rows.select(pl.int_range(pl.len()).alias("row"), "actions").explode("actions").unnest("actions")
    first, last = (done["row"].to_numpy() * window + done[edge].to_numpy() for edge in ("from_frame", "to_frame"))
    gone = np.concatenate([[0.0], np.cumsum(speed, dtype=np.float64)])
    stretches = done.select("row", "action", frames=pl.col("to_frame") - pl.col("from_frame")).with_columns(
        mps=pl.Series((gone[last] - gone[first]) / np.maximum(last - first, 1))
    )
    told = stretches.group_by("row", maintain_order=True).agg(done=pl.struct("action", "frames", "mps"))
    steps = np.diff(way.reshape(-1, window, 2), axis=1)
    return rows.select(
        "source", "theme", "split", "caption", "height_m", top_mps=pl.col("speed_mps").arr.max()
    ).with_columns(told["done"], way_m=pl.Series(np.hypot(steps[..., 0], steps[..., 1]).sum(axis=1)))
