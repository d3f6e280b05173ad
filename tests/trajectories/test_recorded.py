"""Windows of recordings know nothing of what comes after them."""

import gzip
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from configs.trajectories import TrajectoriesConfig
from pipeline.events.reader import read_log
from pipeline.trajectories.recorded import match_splits, recorded_windows


def test_what_is_known_does_not_change_with_what_comes_after(match: Callable[..., tuple]) -> None:
    name, tracks = match("m", 1)
    before = recorded_windows(name, tracks)
    at = int(before.ids[5].rsplit("/", 1)[1])
    later = pl.when(pl.col("t_ms") > at).then(pl.col("x_mm") + 700).otherwise("x_mm")
    after = recorded_windows(name, tracks.with_columns(x_mm=later))
    k = after.ids.index(before.ids[5])
    assert np.array_equal(before.position[5, : before.known], after.position[k, : before.known])
    assert np.array_equal(before.recalled.ways[5], after.recalled.ways[k])
    assert not np.array_equal(before.position[5], after.position[k])


def test_the_last_known_frame_is_a_recorded_position(match: Callable[..., tuple]) -> None:
    name, tracks = match("m", 2)
    found = recorded_windows(name, tracks)
    _, player, at = found.ids[3].rsplit("/", 2)[0], *found.ids[3].split("/")[1:]
    row = tracks.filter(pl.col("player") == player, pl.col("t_ms") == int(at))
    begin = tracks.filter(pl.col("player") == player).sort("t_ms")
    moment = int(at) - (found.known - 1) * 40
    x0 = np.interp(moment, begin["t_ms"].to_numpy(), begin["x_mm"].to_numpy())
    assert found.position[3, found.known - 1, 0] == pytest.approx((row["x_mm"].item() - x0) / 1000, abs=1e-4)


def test_captions_tell_the_side_and_no_intent(match: Callable[..., tuple]) -> None:
    name, tracks = match("m", 3)
    assert set(recorded_windows(name, tracks).captions) == {"An attacker"}
    assert set(recorded_windows(name, tracks.with_columns(side=pl.lit(None, pl.String))).captions) == {"A player"}


def test_no_window_spans_a_gap_or_a_teleport(match: Callable[..., tuple]) -> None:
    name, tracks = match("m", 4)
    whole = len(recorded_windows(name, tracks).ids)
    holed = tracks.filter(~pl.col("t_ms").is_between(20_000, 40_000))
    moved = tracks.with_columns(x_mm=pl.when(pl.col("t_ms") > 30_000).then(pl.col("x_mm") + 90_000).otherwise("x_mm"))
    assert 0 < len(recorded_windows(name, holed).ids) < whole
    assert 0 < len(recorded_windows(name, moved).ids) < whole
    assert recorded_windows(name, tracks.head(20)).position.shape == (0, 250, 2)


def test_matches_are_held_out_whole_and_by_their_names_alone(config: TrajectoriesConfig) -> None:
    names = [f"match{k}" for k in range(6)]
    parts = match_splits(names, config)
    assert sorted(parts.values()) == ["test", "test", "train", "train", "train", "validation"]
    assert parts == match_splits(names[::-1], config)
    assert match_splits(["only"], config) == {"only": "train"}


def test_games_of_a_series_are_never_on_both_sides(config: TrajectoriesConfig) -> None:
    names = [f"{series}-{game}" for series in (2578928, 2578929, 2578930, 2578931) for game in (1, 2, 3)]
    alone = ["cs2-am-inferno", "cs2-sf-dust2"]
    parts = match_splits([*names, *alone], config)
    assert {parts[name] for name in names} == {"test", "validation", "train"}
    for first, second, third in zip(*[iter(names)] * 3, strict=True):
        assert parts[first] == parts[second] == parts[third]
    assert match_splits(names[:3], config) == dict.fromkeys(names[:3], "train")  # one series has nobody to be judged by


def test_the_real_matches_are_held_out_as_their_published_figures_say(
    shared_data: Path, config: TrajectoriesConfig
) -> None:
    names = [log.name.removesuffix(".jsonl.gz") for log in sorted((shared_data / "cs2").glob("*.jsonl.gz"))]
    parts = match_splits(names, config)
    page = (Path(__file__).parents[2] / "docs" / "trajectories.md").read_text()
    judged = {line.split()[2] for line in page.splitlines() if line.startswith("### Matches: ")}
    assert judged == {name for name, part in parts.items() if part == "test"}


def test_a_real_match_gives_windows_whose_players_go_somewhere(shared_data: Path, tmp_path: Path) -> None:
    log = sorted((shared_data / "cs2").glob("*am-inferno*.jsonl.gz"))[0]
    cut = tmp_path / log.name
    with gzip.open(log) as lines, gzip.open(cut, "wb", compresslevel=1) as out:
        out.writelines(islice(lines, 12_000))
    ((_, match),) = read_log(cut, log_id="x").matches.items()
    found = recorded_windows("inferno", match.tracks.read())
    assert len(found.ids) > 40
    way = np.hypot(*np.moveaxis(np.diff(found.position, axis=1), -1, 0)).sum(axis=1)
    assert 2.0 < np.median(way) < 50.0
    assert np.abs(found.position[:, 0]).max() == 0
    late = np.array([int(name.rsplit("/", 1)[1]) for name in found.ids])
    recalls = found.recalled.alike.sum(axis=1) > 0
    assert late[recalls].min() > late.min() + 8000  # what came of a moment is known when it has come
