"""The landing sensor's cursor, without Dagster; and the sensor over a real folder."""

from pathlib import Path

import dagster as dg

from assets.sensors import landing_sensor, settled_logs
from resources.store import Store


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
