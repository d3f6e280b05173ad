"""The kernel against the naive oracle, to the bit of float32."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.features.definition import FEATURES
from pipeline.features.match import match_features


def _differences(frames, oracle, limits) -> list[str]:
    ours = match_features(frames.match, frames.events, frames.tracks, limits).to_dicts()
    theirs = oracle(frames.match, frames.events, frames.tracks, limits)
    keys = [(row["t_ms"], row["player"]) for row in ours]
    assert keys == [(row["t_ms"], row["player"]) for row in theirs]
    return [
        f"{key} {name}: kernel {mine[name]}, oracle {value}"
        for key, mine, naive in zip(keys, ours, theirs, strict=True)
        for name, value in naive.items()
        if mine[name] != (float(np.float32(value)) if isinstance(value, float) else value)
    ]


@given(seed=st.integers(0, 2**32))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_the_kernel_says_what_the_oracle_says(random_match, oracle, limits, seed):
    assert _differences(random_match(seed), oracle, limits) == []


@pytest.mark.slow
@given(seed=st.integers(0, 2**32))
@settings(max_examples=400, deadline=None, derandomize=True)
def test_the_kernel_says_what_the_oracle_says_on_many_longer_matches(random_match, oracle, limits, seed):
    assert _differences(random_match(seed, count=300), oracle, limits) == []


def test_other_limits_change_kernel_and_oracle_alike(random_match, oracle, limits):
    other = limits.model_copy(
        update={"window_ms": 1300, "max_step_gap_ms": 500, "fresh_ms": 3000, "near_mm": 700, "grid_ms": 500}
    )
    for seed in range(4):
        assert _differences(random_match(seed), oracle, other) == []


def test_random_matches_fill_every_feature(random_match):
    filled = set()
    for seed in range(60):
        frames = random_match(seed)
        rows = match_features(frames.match, frames.events, frames.tracks)
        filled |= {feature.name for feature in FEATURES if rows[feature.name].null_count() < rows.height}
    assert filled == {feature.name for feature in FEATURES}
