"""A run of Dagster's own backfill takes several matches: the same asset, told which partitions."""

import multiprocessing
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from dagster._core.events import DagsterEvent

from assets.analysis import CHECKS, SPECS, TABLES, BlockingCheckFailed, Judge, analyse, told
from assets.definitions import build_defs
from assets.instance import the_cores, told_before
from assets.stages import MatchTables
from pipeline.intents.model import PriorModel
from resources import workers
from resources.settings import Settings
from resources.store import Store


@pytest.fixture(autouse=True)
def _forked_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that work off matches are forked from one that has imported what they need, which takes two seconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["assets.definitions"])
    monkeypatch.setattr(workers.multiprocessing, "get_context", lambda _: context)


def _run(season: Any, instance: dg.DagsterInstance, matches: list[str]) -> dg.ExecuteInProcessResult:
    environment = Settings(gridmotion_store=str(season.folder / "data"))
    job = build_defs(environment, store=season.store).resolve_job_def("analyse_match")
    tags = {"dagster/asset_partition_range_start": matches[0], "dagster/asset_partition_range_end": matches[-1]}
    selection = [spec.key for spec in SPECS]
    return job.execute_in_process(instance=instance, tags=tags, asset_selection=selection, raise_on_error=False)


def test_a_match_that_fails_in_a_run_over_many_is_named_and_the_others_are_made(
    season: Any, opened: dg.DagsterInstance, as_run: dict[str, str]
) -> None:
    first, bad, *rest = season.matches
    season.damage(bad)
    result = _run(season, opened, season.matches)
    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    why = failure.step_failure_data.user_failure_data
    assert why.metadata["failed"].value.keys() == {bad}
    assert bad in why.description
    assert season.tables() == {path: digest for path, digest in as_run.items() if f"={bad}/" not in path}
    for table in TABLES:
        assert opened.get_materialized_partitions(dg.AssetKey(table)) == {first, *rest}


def test_each_match_of_a_run_has_its_own_metadata_and_its_own_checks(season: Any, opened: dg.DagsterInstance) -> None:
    assert _run(season, opened, season.matches[:2]).success
    records = opened.fetch_materializations(dg.AssetKey("tracks"), limit=10).records
    told_rows = {r.partition_key: r.asset_materialization.metadata["dagster/row_count"].value for r in records}
    assert told_rows == {match_id: season.store.part("tracks", match_id).rows for match_id in season.matches[:2]}
    key = dg.AssetCheckKey(dg.AssetKey("tracks"), "schema")
    checks = opened.event_log_storage.get_asset_check_execution_history(key, limit=10)
    assert {(check.partition, check.evaluation.passed) for check in checks} == {
        (match_id, True) for match_id in season.matches[:2]
    }


def test_a_table_that_breaks_its_declaration_stops_its_match_and_is_not_told_as_made(season: Any) -> None:
    match_id = season.matches[0]
    judge = Judge(PriorModel.configured, 0.6)
    list(analyse(MatchTables(season.store, match_id, print), judge))
    part = season.store.part("tracks", match_id)
    broken = season.store.read_table("tracks", match_id).with_columns(player=pl.lit(None, pl.String))
    broken.write_parquet(season.folder / "data" / season.store.part_path("tracks", match_id), metadata=_stamp(part))
    tables, events = MatchTables(season.store, match_id, print), []
    with pytest.raises(BlockingCheckFailed, match="schema of tracks"):
        for result in analyse(tables, judge):
            events += told(result, tables, {"models/champion": "NULL"})
    made = {event.asset_key.to_user_string() for event in events if isinstance(event, dg.AssetMaterialization)}
    assert made == {"rounds", "events"}
    checked = {event.asset_key.to_user_string(): event.passed for event in events if hasattr(event, "passed")}
    assert checked["tracks"] is False
    assert "features" not in checked


def test_what_the_instance_knows_already_is_not_told_again_unless_it_changed(
    season: Any, opened: dg.DagsterInstance
) -> None:
    match_id = season.matches[0]
    assert _run(season, opened, [match_id, match_id]).success
    known = told_before(opened, SPECS, CHECKS, season.matches)
    assert known[match_id].keys() == set(TABLES)
    assert known[season.matches[1]] == {}
    judge = Judge(PriorModel.configured, 0.6)
    assert list(analyse(MatchTables(season.store, match_id, print), judge, told=known[match_id])) == []
    season.store.delete(season.store.part_path("segments", match_id))
    again = list(analyse(MatchTables(season.store, match_id, print), judge, told=known[match_id]))
    assert [result.asset_key for result in again] == [dg.AssetKey("segments")]


def test_a_table_whose_check_failed_in_a_run_of_its_own_is_looked_at_again_by_the_backfill(
    season: Any, opened: dg.DagsterInstance
) -> None:
    match_id = season.matches[0]
    assert _run(season, opened, [match_id, match_id]).success
    part = season.store.part("tracks", match_id)
    broken = season.store.read_table("tracks", match_id).with_columns(player=pl.lit(None, pl.String))
    broken.write_parquet(season.folder / "data" / season.store.part_path("tracks", match_id), metadata=_stamp(part))
    job = build_defs(Settings(gridmotion_store=str(season.folder / "data")), store=season.store)
    run = job.resolve_job_def("analyse_match").execute_in_process(
        instance=opened, partition_key=match_id, asset_selection=[spec.key for spec in SPECS], raise_on_error=False
    )
    assert not run.success
    version = season.store.part("tracks", match_id).digest[:16]
    record = opened.fetch_materializations(dg.AssetKey("tracks"), limit=1).records[0]
    assert record.event_log_entry.tags["dagster/data_version"] == version  # Dagster has it as made
    known = told_before(opened, SPECS, CHECKS, [match_id])[match_id]
    assert "tracks" not in known and "events" in known
    with pytest.raises(BlockingCheckFailed, match="schema of tracks"):
        list(analyse(MatchTables(season.store, match_id, print), Judge(PriorModel.configured, 0.6), told=known))


def test_nothing_is_told_within_a_page_while_somebody_else_has_the_word(
    season: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    shutil.copy(Path(__file__).parents[2] / "dagster.yaml", tmp_path)

    class Ours(Exception):
        pass

    def refuse(*_: Any) -> Any:
        raise Ours("Dagster cannot take this event")

    with dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions("match_id", season.matches)
        with monkeypatch.context() as broken:
            broken.setattr(DagsterEvent, "asset_check_evaluation", refuse)
            run = _run(season, instance, season.matches[:2])
        log = instance.event_log_storage
        assert not run.success
        assert not log._mine.in_page and not log._db_lock.locked()
        assert told_before(instance, SPECS, CHECKS, season.matches[:2]) == {each: {} for each in season.matches[:2]}
        with dg.DagsterInstance.get() as other:
            ended = other.get_run_by_id(run.run_id)
            assert ended.status == dg.DagsterRunStatus.FAILURE
            types = {entry.dagster_event_type for entry in other.all_logs(run.run_id)}
        assert {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE} <= types
        assert dg.DagsterEventType.ASSET_MATERIALIZATION not in types
        assert _run(season, instance, season.matches[:2]).success


def test_a_run_over_many_waits_for_a_backfill_that_has_the_cores(opened: dg.DagsterInstance) -> None:
    order: list[str] = []

    def second(why: str) -> None:
        order.append(why)
        first.close()

    first = ExitStack()
    first.enter_context(the_cores(opened, pytest.fail))
    with the_cores(opened, second):
        order.append("mine")
    assert order[1:] == ["mine"]
    assert "another backfill is running" in order[0]


def _stamp(part: Any) -> dict[str, str]:
    import json
    from dataclasses import asdict

    return {"gridmotion": json.dumps(asdict(part.stamp), sort_keys=True)}


def test_a_store_without_its_model_registry_is_no_obstacle(season: Any) -> None:
    tables = MatchTables(Store(season.store.url), season.matches[0], print)
    wanted = frozenset({"rounds", "features"})

    def nobody() -> Any:
        raise AssertionError("no stage that was asked for needs a model")

    made = [result.asset_key.to_user_string() for result in analyse(tables, Judge(nobody, 0.6), wanted)]
    assert made == ["rounds", "features"]
