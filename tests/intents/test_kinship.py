from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from configs.intents import load_intents
from pipeline.events.reader import read_log
from pipeline.intents.kinship import Kin, Recording, alignment, kin, series_of_match, twins

KILLS = [(1000, "a", "b"), (9000, "b", "c"), (12_000, "a", "c"), (31_000, "c", "a"), (40_000, "b", "a")]
LEAST = load_intents().training.kinship.model_copy(update={"least_kills": 5})


def recording(
    match_id: str, kills: list[tuple[int, str, str]], map_name: str = "de_a", positions: int = 9
) -> Recording:
    frame = pl.DataFrame(kills, schema=["t_ms", "actor", "target"], orient="row")
    return Recording(match_id, map_name, frame.with_columns(event_type=pl.lit("PLAYER_KILLED")), positions)


def told_otherwise(kills: list[tuple[int, str, str]], late_ms: int = 7000) -> list[tuple[int, str, str]]:
    """By another clock, late by up to a second, players under other names."""
    return [(t + late_ms + t % 1000, f"x{one}", f"x{other}") for t, one, other in kills]


def test_a_series_is_told_by_the_match_id():
    assert series_of_match("2578928-2", "de_mirage") == "2578928"
    assert series_of_match("cs2-vf-inferno", "de_inferno") == "cs2-vf"
    assert series_of_match("cs2-vf-inferno", "de_mirage") == "cs2-vf-inferno"
    assert series_of_match("lone", "") == "lone"


def test_two_recordings_are_of_one_match_by_what_happened_whatever_they_are_called():
    one, other = recording("m", KILLS), recording("900-1", told_otherwise(KILLS), positions=3)
    assert twins([other, one], LEAST) == {"900-1": "m"}
    third = recording("z", told_otherwise(KILLS, 0), positions=1)
    assert twins([third, one, other], LEAST) == {"900-1": "m", "z": "m"}


@pytest.mark.parametrize(
    "other",
    [
        recording("n", [*KILLS[:4], (47_000, "b", "a")]),  # one kill at another time
        recording("n", KILLS, "de_b"),
        recording("n", [(t, "x", "y") for t, *_ in KILLS]),  # at the same times, but all by one player
    ],
)
def test_matches_that_differ_in_map_kills_times_or_killers_are_two(other):
    assert twins([recording("m", KILLS), other], LEAST) == {}


def a_game() -> list[tuple[int, str, str]]:
    """Thirty kills, never twice the same time apart."""
    return [(700 * n * n, "abcde"[n % 5], "vwxyz"[n // 2 % 5]) for n in range(30)]


@pytest.mark.parametrize(
    "lacks",
    [
        lambda kills: kills[:12],  # cut short
        lambda kills: kills[9:],  # begun late
        lambda kills: [*kills[:7], *kills[8:]],  # one kill is not told of
        lambda kills: [*kills[:7], (kills[7][0] + 900, "world", kills[7][2]), *kills[7:]],
        lambda kills: [(t, None if n == 4 else one, other) for n, (t, one, other) in enumerate(kills)],
    ],
)
def test_a_recording_that_lacks_kills_or_tells_of_more_is_still_of_its_match(lacks):
    one, other = (
        recording("m", a_game()),
        recording("n", lacks([(t + 7000, one, two) for t, one, two in a_game()]), "a"),
    )
    assert twins([one, other], LEAST) == {"n": "m"}  # a source writes the map without its prefix
    found = alignment(one, other)
    assert found is not None
    assert abs(found.offset_ms - 7000) <= 2000
    assert found.players == {name: name for name in found.players}


def test_a_stretch_of_another_match_is_no_recording_of_it():
    other = [(650 * n * n, "bdace"[n % 5], "xzvyw"[n // 3 % 5]) for n in range(30)]
    for first in range(20):
        assert twins([recording("m", a_game()), recording("n", other[first : first + 10])], LEAST) == {}


def test_a_list_of_kills_without_end_is_compared_in_bounded_memory():
    many = [(n, "a", "b") for n in range(100_000)]
    assert twins([recording("m", many), recording("n", many[::-1])], LEAST) == {"n": "m"}


def test_few_kills_tell_nothing():
    short = [recording("m", KILLS[:2]), recording("n", KILLS[:2])]
    assert twins(short, LEAST) == {}
    assert twins(short, LEAST.model_copy(update={"least_kills": 2})) == {"n": "m"}


def test_the_series_of_both_recordings_are_one_with_all_their_games():
    games = [recording("x-a", KILLS), recording("900-2", told_otherwise(KILLS), positions=3)]
    sisters = [recording("x-b", KILLS[1:], "de_b"), recording("900-1", KILLS[1:], "de_c"), recording("lone", [])]
    found = kin([*games, *sisters], LEAST)
    assert {name: each.series for name, each in found.items()} == {
        "x-a": "x", "x-b": "x", "900-1": "x", "900-2": "x", "lone": "lone"
    }  # fmt: skip
    assert found["x-a"] == found["900-2"] == Kin("x", "x-a")
    assert found["x-b"].game == "x-b"


def test_recorded_games_and_their_other_recording_are_kin(shared_data: Path):
    logs = ["cs2/cs2-sf-mirage.jsonl.gz", "cs2/cs2-sf-dust2.jsonl.gz", "cs2/cs2-vf-mirage.jsonl.gz"]
    logs += [path.relative_to(shared_data).as_posix() for path in (shared_data / "grid").glob("*9100001*")]
    assert len(logs) == 4
    recordings = []
    for log in logs:
        for found in read_log(shared_data / log, log_id="log").matches.values():
            recordings.append(Recording.of(found.match, found.events.read(), found.tracks.read().height))
    assert twins(recordings) == {"9100001-1": "cs2-sf-mirage"}
    cut = [replace(each, kills=each.kills[:40], map=each.map.removeprefix("de_")) for each in recordings[:1]]
    again = replace(cut[0], match_id="cut", positions=0)
    assert twins([*recordings, again])["cut"] in (recordings[0].match_id, "cs2-sf-mirage")
    series = {name: each.series for name, each in kin(recordings).items()}
    assert series["cs2-sf-dust2"] == series["cs2-sf-mirage"] == series["9100001-1"] != series["cs2-vf-mirage"]
