"""What happens when something new lands: a log is scanned, its matches are analysed.

Belongs here: sensors, and the pure functions that hold their cursors. Does not belong here: the scan itself
(`assets/events.py`). Concept: https://docs.dagster.io/guides/automate/sensors
"""

import json
from pathlib import PurePosixPath

import dagster as dg

from assets.events import LANDING
from assets.jobs import analyse_match, scan_log
from assets.partitions import MATCH
from resources.store import Store

# What is still being copied often has another ending (.part, .tmp) or begins with a dot.
LOG_ENDINGS = (".jsonl", ".jsonl.gz", ".zip")

Listing = list[tuple[str, int, str]]


def settled_logs(listing: Listing, cursor: str | None) -> tuple[list[tuple[str, str]], str]:
    """Landed files that have not changed since the last look, so nobody is still writing them.

    Args:
        listing: `(path, size in bytes, tag)` of each file in the landing folder; the tag changes with the file.
        cursor: what this function returned last time; None at first.

    Returns:
        `(path, run key)` of the settled files, and the next cursor. The run key names the path and its state, so
        the same file is requested once however often it is seen, and a new file under an old name is requested again.
    """
    seen: dict[str, str] = json.loads(cursor) if cursor else {}
    state = {path: f"{size}-{tag}" for path, size, tag in listing if _is_log(PurePosixPath(path).name)}
    settled = [(path, f"{path}:{mark}") for path, mark in state.items() if seen.get(path) == mark]
    return settled, json.dumps(state, sort_keys=True)


def _is_log(name: str) -> bool:
    return name.endswith(LOG_ENDINGS) and not name.startswith(".")


@dg.sensor(
    job=scan_log,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Lists new logs in the store's landing folder and requests a scan of each.",
)
def landing_sensor(context: dg.SensorEvaluationContext, store: dg.ResourceParam[Store]) -> dg.SensorResult:
    """Requests one scan per settled file; the scan moves the file out of the landing folder."""
    settled, cursor = settled_logs(store.files(LANDING), context.cursor)
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(
                run_key=run_key,
                run_config=dg.RunConfig({"scanned_log": {"config": {"path": path}}}),
                tags={"gridmotion/log": path},
            )
            for path, run_key in settled
        ],
        cursor=cursor,
    )


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitored_jobs=[scan_log],
    request_job=analyse_match,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests the analysis of the matches that a scan registered.",
)
def scanned_matches_sensor(context: dg.RunStatusSensorContext) -> dg.SensorResult:
    """Requests one analysis per match and scan."""
    return _analyses(context)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.FAILURE,
    monitored_jobs=[scan_log],
    request_job=analyse_match,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests the analysis of matches whose scan was killed after its work was done.",
)
def killed_scans_sensor(context: dg.RunStatusSensorContext) -> dg.SensorResult:
    """Requests what a scan would have led to that died between removing its file and telling of its success.

    Nobody would scan again: the file has left the landing folder. A scan that failed for a reason registered nothing,
    or told of the check that failed.
    """
    return _analyses(context)


def _analyses(context: dg.RunStatusSensorContext) -> dg.SensorResult:
    run_id = context.dagster_run.run_id
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(run_key=f"{run_id}:{match_id}", partition_key=match_id, tags={MATCH: match_id})
            for match_id in registered_matches(context.instance, run_id)
        ]
    )


def registered_matches(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """The matches that a scan registered, whether or not it lived to its end; none if a blocking check failed."""
    kinds = {dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_CHECK_EVALUATION}
    told: dict[str, dg.AssetMaterialization] = {}
    for record in instance.get_records_for_run(run_id, of_type=kinds).records:
        event = record.event_log_entry.get_dagster_event()
        if record.asset_materialization:
            told[record.asset_materialization.asset_key.to_user_string()] = record.asset_materialization
        elif event.asset_check_evaluation_data.blocking and not event.asset_check_evaluation_data.passed:
            return []
    whole = {"logs", "matches"} <= told.keys()
    return list(told["logs"].metadata["matches"].value) if whole else []  # type: ignore[arg-type]
