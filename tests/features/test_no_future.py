"""No row knows of anything later than its instant."""

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.features.match import match_features


def _scrambled_after(t_ms: int, frames, other, frames_type):
    """The match up to that time, followed by the events of another one."""

    def spliced(table: str) -> pl.DataFrame:
        kept = getattr(frames, table).filter(pl.col("t_ms") <= t_ms)
        strange = getattr(other, table).filter(pl.col("t_ms") > t_ms)
        return pl.concat([kept, strange]).sort("t_ms", maintain_order=True)

    return frames_type(frames.match, spliced("events"), spliced("tracks"))


@given(seed=st.integers(0, 2**32), share=st.floats(0.05, 0.9))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_scrambling_the_future_changes_no_row_of_the_past(random_match, seed, share):
    frames, other = random_match(seed), random_match(seed + 1, count=400)
    t_ms = int(frames.events["t_ms"].quantile(share))
    changed = _scrambled_after(t_ms, frames, other, type(frames))
    before = match_features(frames.match, frames.events, frames.tracks).filter(pl.col("t_ms") <= t_ms)
    after = match_features(changed.match, changed.events, changed.tracks).filter(pl.col("t_ms") <= t_ms)
    assert before.equals(after)


def test_scrambling_the_future_does_change_the_future(random_match):
    frames, other = random_match(3), random_match(4, count=400)
    t_ms = int(frames.events["t_ms"].median())
    changed = _scrambled_after(t_ms, frames, other, type(frames))
    before = match_features(frames.match, frames.events, frames.tracks)
    assert not before.equals(match_features(changed.match, changed.events, changed.tracks))
