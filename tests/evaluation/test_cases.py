import polars as pl
import pytest

from configs.evaluation import load_evaluation
from pipeline.intents.evaluation import cases
from pipeline.intents.evaluation.cases import NothingToJudge, read_folder
from pipeline.tables import conform, empty


def test_logs_of_either_format_in_any_folder_are_found_and_labelled(simulated):
    found = simulated.folder.cases
    assert [case.source_kind for case in found].count("grid") == 1
    assert len(found) == 4
    for case in found:
        assert case.features.select("player", "t_ms").equals(case.labels.select("player", "t_ms"))
    assert simulated.folder.skipped == {}


def test_a_match_recorded_twice_is_told_by_its_kills_and_two_matches_on_one_map_are_not(simulated):
    sparse = next(case.match_id for case in simulated.folder.cases if case.source_kind == "grid")
    assert cases.twins(simulated.folder.cases) == {sparse: simulated.matches[0].match_id}


def test_what_cannot_be_judged_is_named_and_a_folder_of_nothing_else_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no log")
    with pytest.raises(NothingToJudge, match=r"no \.jsonl"):
        read_folder(tmp_path)
    (tmp_path / "broken.jsonl").write_text("{\n")
    with pytest.raises(NothingToJudge, match=r"broken\.jsonl"):
        read_folder(tmp_path)


def test_an_event_alone_is_judged_as_a_match_without_teams_or_map(tmp_path):
    (tmp_path / "lone.jsonl").write_text(
        '{"event_id":"e","match_id":"m1","event_type":"POSITION_UPDATE","actor":"player:p1",'
        '"timestamp":"2026-01-01T12:00:00Z","payload":{"pos":[12.4,0.0,8.9],"ts":100.0}}\n'
    )
    (case,) = read_folder(tmp_path).cases
    assert (case.map, case.series, case.teams) == ("unknown", "m1", frozenset())
    assert cases.rows(case, load_evaluation()).select("attacks", "role", "intent").rows() == [
        ("unknown", "unknown", None)
    ]


def test_a_player_is_grouped_by_bomb_then_rifle_then_side(lone_case):
    features = pl.DataFrame(
        {"match_id": "m", "round": 1, "player": list("abcd"), "t_ms": 1000,
         "side": ["terrorists", "terrorists", "counter-terrorists", None],
         "has_bomb": [1, 0, 0, None], "max_gap_ms": [125, 600, 1500, 4000]}
    )  # fmt: skip
    tracks = [
        {"match_id": "m", "player": player, "t_ms": t, "seq": t, "x_mm": 0, "z_mm": 0, "weapon": weapon}
        for player, t, weapon in (("b", 0, "ak47"), ("b", 900, "weapon_awp"), ("c", 900, "m4a1"), ("c", 1100, "awp"))
    ]
    table = conform("tracks", pl.DataFrame(tracks, schema=dict(empty("tracks").schema), strict=False))
    labels = pl.DataFrame({"player": list("abcd"), "t_ms": 1000, "intent": ["plant", None, "hold", None]})
    found = cases.rows(lone_case("m", features=features, tracks=table, labels=labels), load_evaluation())
    assert found["role"].to_list() == ["bomb carrier", "AWPer", "defender", "unknown"]
    assert found["gap"].to_list() == ["up to 250 ms", "up to 1000 ms", "up to 2000 ms", "over 2000 ms"]
    assert cases.truth(found).to_list() == [4, -1, 2, -1]
