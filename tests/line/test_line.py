"""The whole line through the real jobs: a log in, events, features, intents and clips out."""

import io
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from configs.motion import load_motion

LONE_EVENT = (
    '{"event_id":"evt_1","match_id":"m1","event_type":"POSITION_UPDATE","actor":"player:p1",'
    '"timestamp":"2026-01-01T12:00:00Z",'
    '"payload":{"pos":[12.4,0.0,8.9],"objective_pos":[10.0,0.0,10.0],"ts":100.0}}\n'
)
TABLES = ("rounds", "events", "tracks", "features", "labels", "intents", "segments", "clips")


def _checks(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], bool]:
    return {(e.asset_key.to_user_string(), e.check_name): e.passed for e in result.get_asset_check_evaluations()}


def test_one_event_alone_goes_the_whole_way_to_an_intent(workspace: Any, tmp_path: Path) -> None:
    log = tmp_path / "lone.jsonl"
    log.write_text(LONE_EVENT)
    assert workspace.scan(log).success
    assert workspace.analyse("m1").success
    features = workspace.store.read_table("features", "m1")
    assert features.select("player", "t_ms", "sample_count").rows() == [("player:p1", 100_000, 1)]
    assert features["speed_mps"].to_list() == [None]
    assert features["objective_m"].item() == pytest.approx((2.4**2 + 1.1**2) ** 0.5, abs=1e-3)
    intents = workspace.store.read_table("intents", "m1")
    assert intents.height == 1
    assert intents["intent"].item() in {
        "advance",
        "retreat",
        "hold",
        "peek",
        "plant",
        "defuse",
        "rotate",
        "trade",
        "engage",
    }
    assert workspace.store.read_table("segments", "m1").height == 1


def test_a_simulated_match_leaves_every_table_and_clips_that_exist(line: Any) -> None:
    (match_id,) = line.store.keys("matches")
    assert line.instance.get_dynamic_partitions("match_id") == [match_id]
    assert all(_checks(line.scanned).values())
    judged = _checks(line.analysed)
    assert set(judged) >= {(table, "schema") for table in TABLES}
    assert ("clips", "motion_measures") in judged  # a warning where motion is not as good as it shall be
    assert all(passed for (_, check), passed in judged.items() if check != "motion_measures")
    assert line.store.read_table("rounds", match_id).height == 3
    clips = line.store.read_table("clips", match_id)
    assert clips["feasible"].any()
    for row in clips.filter("feasible").iter_rows(named=True):
        assert line.store.read(row["uri"])[:4] == b"glTF"
        assert line.store.read(row["preview_uri"])[8:12] == b"WEBP"
        manifest = json.loads(line.store.read(row["manifest_uri"]))
        assert manifest["clip_key"] == row["clip_key"]
        assert manifest["trainable"] is True
        assert manifest["model_version"] == row["model_version"]
        # Who dies does so up to a sample's time after the last place that is known of them.
        assert manifest["path"]["t_ms"][-1] >= row["to_ms"] - row["from_ms"] - load_motion().path.max_edge_ms


def test_the_same_match_from_its_grid_log_tells_the_same_story(
    line: Any, workspace: Any, simulated_logs: list[Path]
) -> None:
    stories = []
    assert workspace.scan(simulated_logs[1]).success
    assert workspace.analyse(*workspace.store.keys("matches")).success
    for place in (line, workspace):
        (match_id,) = place.store.keys("matches")
        rounds = place.store.read_table("rounds", match_id)
        types = dict(place.store.read_table("events", match_id).group_by("event_type").len().iter_rows())
        stories.append(
            (
                rounds["winner"].to_list(),
                {t: types.get(t, 0) for t in ("PLAYER_KILLED", "BOMB_PLANTED", "BOMB_DEFUSED")},
            )
        )
    assert line.store.keys("matches") != workspace.store.keys("matches")
    assert stories[0] == stories[1]


def test_a_second_run_reuses_everything_and_a_changed_table_is_made_anew(analysed: Any) -> None:
    before = analysed.tree()
    again = analysed.analyse(analysed.match_id)
    reused = {
        e.asset_key.to_user_string(): e.step_materialization_data.materialization.metadata["reused"].value
        for e in again.all_events
        if e.is_step_materialization and e.asset_key.to_user_string() != "review_jobs"
    }
    assert reused == dict.fromkeys(TABLES, True)
    jobs = again.asset_materializations_for_node("review_jobs")[0].metadata
    assert jobs["known"].value == jobs["asked"].value > 0
    assert jobs["new"].value == jobs["changed"].value == jobs["withdrawn"].value == 0
    analysed.store.write(analysed.store.part_path("segments", analysed.match_id), b"damaged")
    assert analysed.analyse(analysed.match_id).success
    assert analysed.tree() == before


def test_a_stored_part_that_breaks_its_declaration_fails_the_blocking_check(analysed: Any) -> None:
    part = analysed.store.part("tracks", analysed.match_id)
    broken = analysed.store.read_table("tracks", analysed.match_id).with_columns(player=pl.lit(None, pl.String))
    file = io.BytesIO()
    broken.write_parquet(file, metadata={"gridmotion": json.dumps(asdict(part.stamp), sort_keys=True)})
    analysed.store.write(analysed.store.part_path("tracks", analysed.match_id), file.getvalue())
    result = analysed.analyse(analysed.match_id)
    assert not result.success
    assert not _checks(result)[("tracks", "schema")]
    assert ("features", "schema") not in _checks(result)


def test_a_clip_whose_file_is_gone_is_made_again_as_it_was(analysed: Any) -> None:
    before = analysed.tree()
    first, second = analysed.store.read_table("clips", analysed.match_id).filter("feasible")["uri"].head(2)
    analysed.store.delete(first)
    analysed.store.write(second.replace(".glb", ".png"), b"damaged")
    assert analysed.analyse(analysed.match_id).success
    assert analysed.tree() == before


def test_a_copy_of_a_log_under_another_name_is_counted_once(workspace: Any, tmp_path: Path) -> None:
    for name in ("first.jsonl", "copy.jsonl"):
        (tmp_path / name).write_text(LONE_EVENT)
        assert workspace.scan(tmp_path / name).success
    assert len(workspace.store.keys("logs")) == 1
    assert [path.rpartition("/")[2] for path, _, _ in workspace.store.files("recordings")] == ["first.jsonl"]


def test_a_damaged_row_of_a_match_is_written_anew_by_the_next_scan(workspace: Any, tmp_path: Path) -> None:
    (tmp_path / "lone.jsonl").write_text(LONE_EVENT)
    assert workspace.scan(tmp_path / "lone.jsonl").success
    before = workspace.tree()
    workspace.store.write(workspace.store.part_path("matches", "m1"), b"damaged")
    assert workspace.scan(tmp_path / "lone.jsonl").success
    assert workspace.tree() == before


def test_a_scan_that_dies_before_its_end_can_be_repeated(workspace: Any, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "lone.jsonl").write_text(LONE_EVENT)

    def die(path: str) -> None:
        raise OSError("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(workspace.store, "delete", die)
        assert not workspace.scan(tmp_path / "lone.jsonl").success
    assert workspace.scan(tmp_path / "lone.jsonl").success
    assert workspace.store.files("landing") == []


def test_a_log_without_positions_succeeds_with_no_rows_and_a_warning(workspace: Any, tmp_path: Path) -> None:
    log = tmp_path / "blind.jsonl"
    kill = {"target": "player:b", "weapon": "ak47", "headshot": False, "assister": None, "ts": 3.0}
    events = [
        (
            "MATCH_STARTED",
            "match:blind",
            {"title": "cs2", "map": "de_nowhere", "teams": [], "objectives": [], "ts": 0.0},
        ),
        ("PLAYER_KILLED", "player:a", kill),
    ]
    log.write_text(
        "".join(
            json.dumps({"event_id": f"e{i}", "match_id": "blind", "event_type": kind, "actor": actor,
                        "timestamp": "2026-01-01T12:00:00Z", "payload": payload}) + "\n"
            for i, (kind, actor, payload) in enumerate(events)
        )
    )  # fmt: skip
    assert workspace.scan(log).success
    assert workspace.analyse("blind").success
    for table in ("tracks", "features", "labels", "intents", "segments", "clips"):
        assert workspace.store.read_table(table, "blind").height == 0
    assert workspace.store.read_table("events", "blind").height == 2


def test_an_unusable_file_fails_with_one_clear_error_and_stays_where_it_landed(workspace: Any, tmp_path: Path) -> None:
    for name, content in {"empty.jsonl": b"", "binary.jsonl": bytes(range(256)) * 64}.items():
        (tmp_path / name).write_bytes(content)
        result = workspace.scan(tmp_path / name)
        assert not result.success
        (failure,) = [e for e in result.all_events if e.is_step_failure]
        assert name in failure.step_failure_data.user_failure_data.description
        assert workspace.store.exists(f"landing/{name}")
    assert len(workspace.store.keys("quarantine")) == 2
    assert workspace.store.keys("logs") == []
    assert workspace.store.keys("matches") == []
    assert workspace.instance.get_dynamic_partitions("match_id") == []


def test_another_log_of_a_known_match_is_refused_unless_told_to_replace(workspace: Any, tmp_path: Path) -> None:
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    first.write_text(LONE_EVENT)
    second.write_text(LONE_EVENT.replace("12.4", "13.4"))
    workspace.scan(first)
    refused = workspace.scan(second)
    assert refused.success
    assert not _checks(refused)[("matches", "one_log_per_match")]
    workspace.analyse("m1")
    assert workspace.store.read_table("tracks", "m1")["x_mm"].to_list() == [12_400]
    replaced = workspace.scan(second, replace=True)
    assert _checks(replaced)[("matches", "one_log_per_match")]
    workspace.analyse("m1")
    assert workspace.store.read_table("tracks", "m1")["x_mm"].to_list() == [13_400]


def test_the_line_runs_on_s3_and_leaves_the_same_tables_as_on_a_folder(
    line: Any, workspace: Any, s3_server: str, simulated_logs: list[Path], tmp_path: Path
) -> None:
    import uuid

    from assets.definitions import open_store
    from resources.settings import Settings

    environment = Settings(
        gridmotion_store=f"s3://gridmotion/{uuid.uuid4().hex}",
        aws_endpoint_url=s3_server,
        mlflow_tracking_uri=f"sqlite:///{tmp_path}/mlflow.db",
    )
    store = open_store(environment)
    remote = workspace.at(store, environment)
    assert remote.scan(simulated_logs[0]).success
    assert remote.analyse(*remote.store.keys("matches")).success
    assert remote.tree() == line.tree()


def test_a_scan_requests_one_analysis_per_match(workspace: Any, tmp_path: Path) -> None:
    from assets.sensors import scanned_matches_sensor

    log = tmp_path / "two.jsonl"
    log.write_text(LONE_EVENT + LONE_EVENT.replace("evt_1", "evt_2").replace('"m1"', '"m2"'))
    scanned = workspace.scan(log)
    context = dg.build_run_status_sensor_context(
        sensor_name="scanned_matches_sensor",
        dagster_instance=workspace.instance,
        dagster_run=scanned.dagster_run,
        dagster_event=scanned.get_run_success_event(),
    )
    requests = scanned_matches_sensor(context).run_requests
    assert [request.partition_key for request in requests] == ["m1", "m2"]
    assert len({request.run_key for request in requests}) == 2


def test_training_on_the_same_matches_gives_the_same_version_without_training_again(
    workspace: Any, analysed: Any, blank_mlflow: Path
) -> None:
    untrained = workspace.run("retrain")
    assert not untrained.success
    match_id, home = analysed.match_id, Path(analysed.store.url, "mlflow")
    home.mkdir(exist_ok=True)
    shutil.copy(blank_mlflow, home / "mlflow.db")
    assert analysed.store.part("intents", match_id).stamp.model_version.startswith("prior")
    first, second = (
        analysed.run("retrain").asset_materializations_for_node("models__intent")[0].metadata for _ in range(2)
    )
    assert (first["reused"].value, second["reused"].value) == (False, True)
    assert first["model_version"].value == second["model_version"].value
    assert analysed.analyse(match_id).success
    assert analysed.store.part("intents", match_id).stamp.model_version == first["model_version"].value
    deciders = set(analysed.store.read_table("intents", match_id)["decided_by"])
    assert f"model:{first['model_version'].value}" in deciders
