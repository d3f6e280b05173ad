"""The landing sensor's cursor, without Dagster; and the sensor over a real folder."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from assets.definitions import build_defs
from assets.sensors import killed_scans_sensor, landing_sensor, registered_matches, settled_logs
from resources.settings import Settings
from resources.store import Store

LONE_EVENT = (
    '{"event_id":"evt_1","match_id":"m1","event_type":"POSITION_UPDATE","actor":"player:p1",'
    '"timestamp":"2026-01-01T12:00:00Z",'
    '"payload":{"pos":[12.4,0.0,8.9],"objective_pos":[10.0,0.0,10.0],"ts":100.0}}\n'
)


def test_a_file_is_requested_only_when_it_has_stopped_changing() -> None:
    requested, cursor = settled_logs([("landing/a.jsonl", 10, "t1")], None)
    assert requested == []
    requested, cursor = settled_logs([("landing/a.jsonl", 20, "t2")], cursor)
    assert requested == []
    requested, cursor = settled_logs([("landing/a.jsonl", 20, "t2")], cursor)
    assert requested == [("landing/a.jsonl", "landing/a.jsonl:20-t2")]


def test_a_scanned_file_leaves_the_cursor_and_a_new_one_under_its_name_has_another_run_key() -> None:
    _, cursor = settled_logs([("landing/a.jsonl", 20, "t2")], None)
    (first,), cursor = settled_logs([("landing/a.jsonl", 20, "t2")], cursor)
    requested, cursor = settled_logs([], cursor)
    assert requested == []
    assert cursor == "{}"
    _, cursor = settled_logs([("landing/a.jsonl", 20, "t9")], cursor)
    (second,), cursor = settled_logs([("landing/a.jsonl", 20, "t9")], cursor)
    assert first[1] != second[1]


def test_files_that_are_no_logs_or_still_being_copied_are_left_alone() -> None:
    listing = [(f"landing/{name}", 1, "t") for name in (".gitkeep", "README.txt", "a.jsonl.part", ".b.jsonl", "c.zip")]
    _, cursor = settled_logs(listing, None)
    settled, _ = settled_logs(listing, cursor)
    assert [path for path, _ in settled] == ["landing/c.zip"]


def test_the_sensor_requests_a_scan_of_each_landed_log_once_settled(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for name in ("a.jsonl", "b.jsonl.gz"):
        store.write(f"landing/{name}", b"x")
    with dg.DagsterInstance.ephemeral() as instance:
        first = landing_sensor(dg.build_sensor_context(instance=instance, resources={"store": store}))
        assert first.run_requests == []
        second = landing_sensor(
            dg.build_sensor_context(instance=instance, resources={"store": store}, cursor=first.cursor)
        )
    paths = [request.run_config["ops"]["scanned_log"]["config"]["path"] for request in second.run_requests]
    assert paths == ["landing/a.jsonl", "landing/b.jsonl.gz"]


def test_a_scan_that_was_killed_after_its_work_still_leads_to_its_analysis(tmp_path: Path) -> None:
    log = tmp_path / "lone.jsonl"
    log.write_text(LONE_EVENT)
    environment = Settings(gridmotion_store=str(tmp_path / "store"))
    definitions = build_defs(environment)
    with dg.DagsterInstance.ephemeral() as instance:
        Store(environment.store_url).put(log, "landing/lone.jsonl")
        config = {"ops": {"scanned_log": {"config": {"path": "landing/lone.jsonl"}}}}
        scan = definitions.resolve_job_def("scan_log").execute_in_process(instance=instance, run_config=config)
        killed = instance.get_run_by_id(scan.run_id)
        context = dg.build_run_status_sensor_context(
            "killed_scans_sensor", scan.get_run_success_event(), instance, killed
        )
        (request,) = killed_scans_sensor(context).run_requests
        assert request.partition_key == "m1"


def test_a_scan_whose_blocking_check_failed_leads_to_nothing() -> None:
    @dg.multi_asset(
        specs=[dg.AssetSpec("logs"), dg.AssetSpec("matches")],
        check_specs=[dg.AssetCheckSpec("conservation", asset="logs", blocking=True)],
    )
    def scanned() -> Iterator[dg.MaterializeResult]:
        failed = dg.AssetCheckResult(passed=False, check_name="conservation", asset_key="logs")
        yield dg.MaterializeResult(asset_key="matches")
        yield dg.MaterializeResult(asset_key="logs", metadata={"matches": ["m1"]}, check_results=[failed])

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([scanned], instance=instance, raise_on_error=False)
        assert registered_matches(instance, result.run_id) == []
