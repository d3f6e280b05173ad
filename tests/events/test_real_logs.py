"""Real matches: nothing of them is lost, and two formats of one match agree."""

import polars as pl
import pytest

from pipeline.events.reader import read_log

FIGURES = {
    "cs2-am-inferno": (183_258, 29, 213, 17, 9, 174_210),
    "cs2-sf-dust2": (176_858, 28, 174, 12, 2, 170_611),
    "cs2-sf-mirage": (115_440, 20, 139, 11, 4, 110_858),
    "cs2-vf-inferno": (138_391, 21, 135, 13, 4, 132_958),
    "cs2-vf-mirage": (139_924, 24, 163, 11, 7, 134_113),
    "cs2-vf-overpass": (144_968, 23, 151, 8, 1, 138_681),
}
GRID_SERIES = "events_9100001_grid.jsonl.zip"


def _count(events, event_type):
    return int((events["event_type"] == event_type).sum())


def _figures(reading, match_id):
    tables = reading.matches[match_id]
    counts = [_count(tables.events.read(), name) for name in ("PLAYER_KILLED", "BOMB_PLANTED", "BOMB_DEFUSED")]
    return (reading.log["source_events"].item(), tables.rounds.height, *counts, tables.tracks.read().height)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "cs2-sf-mirage" else [pytest.mark.slow]) for name in FIGURES]
)
def test_a_recorded_match_is_read_whole(shared_data, name):
    reading = read_log(shared_data / "cs2" / f"{name}.jsonl.gz", log_id=name)
    assert _figures(reading, name) == FIGURES[name]
    row = reading.log.to_dicts()[0]
    assert row["converted"] == row["source_events"] and reading.quarantine.read().is_empty()
    assert reading.matches[name].tracks.read()["side"].null_count() == 0
    score = {entry["team"]: entry["score"] for entry in reading.matches[name].match["score"].item()}
    rounds = reading.matches[name].rounds
    won = [entry["team"] for row in rounds.to_dicts() for entry in row["sides"] if entry["side"] == row["winner"]]
    assert score == {team: won.count(team) for team in score}


def test_the_canonical_log_and_the_grid_log_of_one_match_agree(shared_data):
    canonical = read_log(shared_data / "cs2" / "cs2-sf-mirage.jsonl.gz", log_id="c").matches["cs2-sf-mirage"]
    reading = read_log(shared_data / "grid" / GRID_SERIES, log_id="g")
    grid = reading.matches["9100001-1"]
    same = ["round", "start_ms", "live_ms", "end_ms", "winner"]
    assert grid.rounds.select(same).equals(canonical.rounds.select(same))
    for event_type in ("PLAYER_KILLED", "PLAYER_DAMAGED", "BOMB_PLANTED", "BOMB_DEFUSED", "BOMB_EXPLODED"):
        one, other = (_who(tables.events.read(), event_type) for tables in (canonical, grid))
        assert one.height > 0 and one.equals(other), event_type
    assert [entry["score"] for entry in grid.match["score"].item()] == [7, 13]
    assert grid.match.select("map", "objectives").equals(canonical.match.select("map", "objectives"))
    row = reading.log.to_dicts()[0]
    assert (row["source_events"], row["converted"], row["merged"], row["reverted"]) == (2652, 2567, 81, 4)
    assert reading.quarantine.read().is_empty()


def _who(events, event_type):
    """Who did it to whom, when: players by the last two digits of their ids, the same in both logs."""
    names = [pl.col(name).str.slice(-2) for name in ("actor", "target")]
    return events.filter(pl.col("event_type") == event_type).select("t_ms", "round", "side", "amount", *names)


def test_positions_of_the_grid_log_are_where_the_canonical_log_has_the_players(shared_data):
    canonical = read_log(shared_data / "cs2" / "cs2-sf-mirage.jsonl.gz", log_id="c").matches["cs2-sf-mirage"]
    grid = read_log(shared_data / "grid" / GRID_SERIES, log_id="g").matches["9100001-1"]
    player = pl.col("player").str.slice(-2).alias("p")
    known = canonical.tracks.read().select(player, "t_ms", x="x_mm", z="z_mm").sort("t_ms")
    seen = grid.tracks.read().select(player, "t_ms", "round", "x_mm", "y_mm", "z_mm").sort("t_ms")
    both = seen.join_asof(known, on="t_ms", by="p", strategy="backward", tolerance=130, check_sortedness=False)
    off = both.drop_nulls("x").select(
        d=(((pl.col("x_mm") - pl.col("x")) / 1000) ** 2 + ((pl.col("z_mm") - pl.col("z")) / 1000) ** 2).sqrt()
    )["d"]
    assert len(off) > 12_000 and off.max() < 1.5 and off.median() < 0.2
    assert grid.tracks.read()["y_mm"].null_count() == grid.tracks.read().height
    assert grid.tracks.read().filter(pl.col("round") == 3).is_empty() and grid.tracks.read()["t_ms"].min() >= 40_000


def test_the_real_grid_sample_keeps_what_its_correction_left(shared_data):
    reading = read_log(shared_data / "grid" / "events_2578928_grid.first50.jsonl", log_id="g")
    row = reading.log.to_dicts()[0]
    assert (row["source_events"], row["converted"], row["merged"], row["reverted"]) == (57, 41, 4, 12)
    tables = reading.matches["2578928-1"]
    assert list(reading.matches) == ["2578928-1"] and tables.tracks.read().is_empty()
    assert tables.rounds.select("round", "start_ms", "live_ms", "end_ms").rows() == [(1, 0, 19_907, None)]
    assert tables.match.select("title", "map").row(0) == ("csgo", "de_inferno")
    assert len(tables.match["players"].item()) == 10 and len(tables.match["objectives"].item()) == 2
    assert _count(tables.events.read(), "MATCH_STARTED") == 1 and _count(tables.events.read(), "OTHER") == 38
