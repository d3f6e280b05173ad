"""Sparse positions: nothing is invented, and what is known lies as near to the truth as it was measured to."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.sparse import DENSE_LOG, Recording, document, features_of_both
from bench.workload import GRID_LOG
from configs.features import load_features
from pipeline.events.sources.simulator import simulate, write
from pipeline.features.agreement import NotTheSameMatch, agreement, clock_offset_ms, same_players
from pipeline.features.definition import NAMES

WINDOWS_MS = {"1s": load_features().short_window_ms, "4s": load_features().long_window_ms}
STEPS_NEEDED = {"speed_mean": 1, "speed_max": 1, "path": 1, "heading_turn": 1, "view_turn": 1, "acceleration": 2}
PAIR_NEEDED = ("displacement", "climb", "objective_closing", "straightness")


def support(features, tracks):
    """Per row and window: positions and steps that a speed can rest on, a step being two within the declared gap."""
    config, found = load_features(), features.select("player", "t_ms")
    times_of = {player: np.unique(part["t_ms"]) for (player,), part in tracks.group_by("player")}
    columns = {name: np.zeros(features.height, np.int64) for name in ("age", "gap", *_names())}
    rows = features.with_row_index().select("index", "player", "t_ms")
    for (player,), part in rows.group_by("player"):
        times, at, where = times_of[player], part["t_ms"].to_numpy(), part["index"].to_numpy()
        gaps = np.diff(times, prepend=times[0] - 10**9)
        steps = np.cumsum(gaps <= config.max_step_gap_ms)
        end = np.searchsorted(times, at, side="right")
        columns["age"][where], columns["gap"][where] = at - times[end - 1], gaps[end - 1]
        for window, length in WINDOWS_MS.items():
            begin = np.minimum(np.searchsorted(times, at - length, side="right"), end - 1)
            columns[f"pair_{window}"][where] = end - np.searchsorted(times, at - length, side="right")
            columns[f"steps_{window}"][where] = steps[end - 1] - steps[begin]
    return found.with_columns(**{name: pl.Series(values) for name, values in columns.items()})


def _names():
    return [f"{kind}_{window}" for kind in ("pair", "steps") for window in WINDOWS_MS]


def invented(features, tracks):
    """Names of kinematic features that are known somewhere without positions to know them from."""
    config, known = load_features(), support(features, tracks)
    fresh_step = (known["age"] <= config.fresh_ms) & (known["gap"] <= config.max_step_gap_ms)
    found = []
    for name in NAMES:
        allowed = fresh_step if name == "speed_mps" or name.endswith("_closing_mps") else None
        for window in WINDOWS_MS:
            if f"_{window}" in name and name.startswith(PAIR_NEEDED):
                allowed = known[f"pair_{window}"] >= 2
            for kind, needed in STEPS_NEEDED.items():
                if name.startswith(f"{kind}_{window}"):
                    allowed = known[f"steps_{window}"] >= needed
        if allowed is not None and (features[name].is_not_null() & ~allowed).any():
            found.append(name)
    return found


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """Both recordings of a simulated match."""
    canonical, grid = write(tmp_path_factory.mktemp("both"), simulate(rounds=2, seed=11))[:2]
    return Recording.read(canonical), Recording.read(grid)


@pytest.fixture(scope="module")
def real(shared_data):
    """Both recordings of a real match."""
    return Recording.read(shared_data / "cs2" / DENSE_LOG), Recording.read(shared_data / "grid" / GRID_LOG)


@given(seed=st.integers(0, 15))
@settings(max_examples=10, deadline=None, derandomize=True)
def test_no_speed_is_invented_in_a_match_with_gaps(strange_match, seed):
    match = strange_match(seed, 100)
    assert invented(match.batch, match.tables[2]) == []


def test_what_is_taken_for_invented_is_found():
    tracks = pl.DataFrame({"player": ["p", "p"], "t_ms": [0, 1600]})
    rows = pl.DataFrame({"player": ["p"], "t_ms": [1750]}).with_columns(pl.lit(None).alias(name) for name in NAMES)
    assert invented(rows, tracks) == []
    assert invented(rows.with_columns(speed_mps=1.0), tracks) == ["speed_mps"]
    assert invented(rows.with_columns(displacement_4s_m=1.0), tracks) == []
    assert invented(rows.with_columns(displacement_1s_m=1.0, path_4s_m=2.0), tracks) == [
        "path_4s_m",
        "displacement_1s_m",
    ]


def test_two_recordings_of_a_simulated_match_agree_on_all_that_is_no_movement(simulated):
    dense, sparse, offset = features_of_both(*simulated)
    found = {row["feature"]: row for row in agreement(dense, sparse).to_dicts()}
    assert abs(offset) < 30_000
    assert invented(sparse, simulated[1].tracks) == []
    for name in ("alive_enemies", "kills_4s", "is_attacker", "hp"):
        assert found[name]["both"] > 500 and found[name]["p95_error"] == 0, name
    assert found["position_age_ms"]["p95_error"] > 0


def test_recordings_of_different_matches_are_refused(simulated):
    dense, sparse = simulated
    fewer = sparse.events.filter(pl.col("t_ms") < sparse.events["t_ms"].median())
    with pytest.raises(NotTheSameMatch, match="kills and"):
        clock_offset_ms(dense.events, fewer)
    squeezed = sparse.events.with_columns(pl.col("t_ms") // 3)
    with pytest.raises(NotTheSameMatch, match="ms from where"):
        clock_offset_ms(dense.events, squeezed)
    one = sparse.events.with_columns(actor=pl.lit("player:x"), target=pl.lit("player:x"))
    with pytest.raises(NotTheSameMatch, match="one name"):
        same_players(dense.events, one)


def test_a_clock_that_is_ahead_is_found(simulated):
    dense, _ = simulated
    ahead = dense.events.with_columns(pl.col("t_ms") + 12_345)
    assert clock_offset_ms(dense.events, ahead) == 12_345


def test_no_speed_is_invented_in_a_real_grid_series(real):
    _, sparse = real
    rows = sparse.features()
    assert rows.height > 40_000
    assert invented(rows, sparse.tracks) == []
    known = support(rows, sparse.tracks)
    could = (known["age"] <= load_features().fresh_ms) & (known["gap"] <= load_features().max_step_gap_ms)
    assert (rows["speed_mps"].is_null() & could).mean() < 0.01  # leaps and first positions of a round
    for name in NAMES:
        if name.startswith(("view_turn", "climb", "enemy_angle", "shots", "flashed", "utility", "has_kit")):
            assert rows[name].null_count() == rows.height, name


def test_features_of_a_real_grid_series_are_as_near_to_the_dense_ones_as_was_measured(real):
    """Bounds a third above what was measured; docs/sparse.md has the figures."""
    dense, sparse, offset = features_of_both(*real)
    found = {row["feature"]: row for row in agreement(dense, sparse).to_dicts()}
    assert offset == 0
    exact = ["hp", "armor", "alive_teammates", "alive_enemies", "advantage", "round_s", "is_attacker", "bomb_planted"]
    exact += ["kills_4s", "damage_dealt_4s", "damage_taken_4s", "since_plant_s", "since_teammate_death_s", "in_site"]
    for name in exact:
        assert found[name]["p95_error"] == 0, name
    bounds = {
        "speed_mps": (0.7, 4.0, 0.03),
        "speed_mean_4s_mps": (0.35, 1.5, 0.03),
        "displacement_4s_m": (1.3, 5.2, 0.03),
        "straightness_4s": (0.15, 0.7, 0.2),
        "nearest_enemy_m": (0.8, 4.5, 0.01),
        "nearest_teammate_m": (0.65, 3.6, 0.05),
        "objective_m": (0.45, 3.2, 0.01),
        "objective_closing_4s_mps": (0.17, 0.95, 0.03),
        "killer_m": (0.9, 4.2, 0.9),
    }
    for name, (median, p95, null) in bounds.items():
        row = found[name]
        assert row["both"] > 5000, name
        assert (row["median_error"] <= median, row["p95_error"] <= p95, row["sparse_null"] <= null) == (True,) * 3, row
    assert found["speed_mean_1s_mps"]["sparse_null"] > 0.85  # two positions within one second are rare at 1 Hz


def test_the_report_tells_both_recordings_and_every_feature(real):
    page = document(*real)
    assert "`cs2-sf-mirage`" in page and "`9100001-1`" in page
    assert all(f"| `{name}` |" in page for name in NAMES)
    assert page == document(*real)
