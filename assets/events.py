"""From a recorded log to what happened: logs, quarantine, matches, rounds, events, tracks.

Belongs here: the scan of a landed log and the tables of one match. Does not belong here: how a log is read
(`pipeline.events`), which features are cut from it (`assets/features.py`).
Concept: https://docs.dagster.io/guides/build/assets/defining-assets#multi-asset
"""

from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path, PurePosixPath

import dagster as dg
import polars as pl

from assets import reports
from assets.end_state import end_state_check
from assets.partitions import matches as match_partitions
from assets.partitions import register
from assets.stages import Made, MatchTables, Recipe, ensure, result, schema_result, schema_spec
from configs.events import load_events
from configs.maps import load_maps
from configs.titles import load_titles
from pipeline.events.archives import Content
from pipeline.events.reader import LogReading, UnusableLog, read_log
from resources.files import FileStands
from resources.parquet import Stamp
from resources.store import PartDamaged, PartMissing, Rows, Store

GROUP = "recording"
LANDING = "landing"
RECORDINGS = "recordings"
RECIPE = Recipe(("events", "errors.py"), (load_events(), load_titles(), load_maps()))
CONSERVATION_CHECK = "conservation"
ONE_LOG_CHECK = "one_log_per_match"
COUNTS_CHECK = "rows_as_scanned"


class ScanConfig(dg.Config):
    """Which landed file to scan.

    Attributes:
        path: the file, relative to the store, below `landing/`.
        replace: whether this log may take the place of another log of the same match.
    """

    path: str
    replace: bool = False


def log_name(file: Path) -> tuple[str, str]:
    """The id of a log and the hash of its bytes; the same bytes are the same log, whatever the file is called."""
    blake3 = Content.of(file).blake3
    return blake3[:16], blake3


@dg.multi_asset(
    name="scanned_log",
    group_name=GROUP,
    specs=[
        dg.AssetSpec("logs", kinds={"polars"}, description="A source log and what became of each of its events."),
        dg.AssetSpec("quarantine", kinds={"polars"}, description="Lines and events that could not be taken, and why."),
        dg.AssetSpec("matches", kinds={"polars"}, description="The matches a log tells of; each becomes a partition."),
    ],
    check_specs=[
        schema_spec("logs"),
        schema_spec("quarantine"),
        schema_spec("matches"),
        dg.AssetCheckSpec(
            CONSERVATION_CHECK,
            asset="logs",
            blocking=True,
            description="source events = converted + merged + reverted + duplicate + quarantined",
        ),
        dg.AssetCheckSpec(
            ONE_LOG_CHECK, asset="matches", description="no other log already stands for one of these matches"
        ),
    ],
)
def scanned_log(
    context: dg.AssetExecutionContext, config: ScanConfig, store: dg.ResourceParam[Store]
) -> Iterator[dg.MaterializeResult]:
    """Keeps a landed log as a recording, reads that, writes what it holds, and makes its matches partitions."""
    landed = _state(store, config.path)
    with store.local_copy(_source(context, store, config.path)) as file:
        log_id, blake3 = log_name(file)
        recording, stamp = f"{RECORDINGS}/{log_id}/{PurePosixPath(config.path).name}", RECIPE.stamp(blake3)
        known = _known(store, log_id, stamp)
        if known is not None:
            recording = known
            context.log.warning(f"{config.path} was read before, as {recording}: nothing of it is counted again")
        is_new = not store.exists(recording)
        if is_new:
            store.put(file, recording)
    # What is kept is what is read, as somebody may still write to what landed.
    with store.local_copy(recording) as kept:
        try:
            reading = read_log(kept, log_id=log_id, uri=recording)
        except UnusableLog as error:
            if _is_another(kept, blake3):
                raise _changed(store, config.path, recording) from error
            if error.quarantine is not None:
                store.write_table("quarantine", log_id, error.quarantine, stamp)
            if is_new:
                store.delete(recording)
            raise dg.Failure(str(error), metadata={"log": config.path}, allow_retries=False) from error
        if reading.log["blake3"].item() != blake3:
            raise _changed(store, config.path, recording)

    quarantine = ensure(context, store, "quarantine", log_id, stamp, lambda: reading.quarantine)
    refused = _write_matches(context, store, reading, stamp, replace=config.replace)
    log = ensure(context, store, "logs", log_id, stamp, lambda: reading.log)
    taken = [match_id for match_id in reading.matches if match_id not in refused]
    new = register(context.instance, taken)

    yield result(
        store,
        "logs",
        log_id,
        log,
        {
            **reports.conservation(reading.log),
            "log_id": log_id,
            "matches": dg.MetadataValue.json(taken),
            "new_matches": dg.MetadataValue.json(new),
            "refused_matches": dg.MetadataValue.json(refused),
        },
        [_conservation_result(store, log_id)],
    )
    yield result(store, "quarantine", log_id, quarantine, reports.quarantine(reading.quarantine))
    frames = pl.concat([store.read_table("matches", match_id) for match_id in reading.matches])
    yield dg.MaterializeResult(
        asset_key="matches",
        data_version=dg.DataVersion(blake3[:16]),
        metadata={"dagster/row_count": frames.height, **reports.matches(frames)},
        check_results=[
            schema_result(store, "matches", *reading.matches),
            _one_log_result(refused),
        ],
    )
    # Last of all: a scan that dies before this finds its file where it was, and does the same again.
    if _state(store, config.path) == landed:
        store.delete(config.path)
    else:
        context.log.warning(f"{config.path} has changed since it was read and stays where it is, to be scanned anew")


def _state(store: Store, path: str) -> tuple[int, str] | None:
    """Size and tag of a file, which change when it does; None if there is none."""
    listing = store.files(PurePosixPath(path).parent.as_posix())
    return next(((size, tag) for name, size, tag in listing if name == path), None)


def _is_another(log: Path, blake3: str) -> bool:
    """Whether a log has another hash; of one that can't be read to its end nobody knows, so that fault stands."""
    try:
        return log_name(log)[1] != blake3
    except OSError:
        return False


def _changed(store: Store, path: str, recording: str) -> dg.Failure:
    """Leaves no bytes under the name of others; the next scan names what is there then."""
    store.delete(recording)
    return dg.Failure(f"{path} changed while it was scanned, or {recording} since it was kept: scan it again")


def _source(context: dg.AssetExecutionContext, store: Store, path: str) -> str:
    """Where the log lies: where it landed, or where the run that is repeated here had kept it before it was killed."""
    parent = context.run.parent_run_id
    if parent is None or store.exists(path):
        return path
    records = context.instance.get_records_for_run(parent, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION).records
    told = [record.asset_materialization for record in records if record.asset_materialization]
    kept = [str(each.metadata["source"].value) for each in told if each.asset_key == dg.AssetKey("logs")]
    return kept[0] if kept else path


def _known(store: Store, log_id: str, stamp: Stamp) -> str | None:
    """Where the same log lies already, if it was read by the same code."""
    try:
        part = store.part("logs", log_id)
    except (PartMissing, PartDamaged):
        return None
    return str(store.read_table("logs", log_id)["uri"].item()) if part.stamp == stamp else None


def _write_matches(
    context: dg.AssetExecutionContext, store: Store, reading: LogReading, stamp: Stamp, *, replace: bool
) -> dict[str, str]:
    refused: dict[str, str] = {}
    for match_id, match in reading.matches.items():
        if _written_first(store, match_id, match.match, stamp):
            continue
        standing = _standing(store, match_id)
        if standing and standing != match.match["log_blake3"].item() and not replace:
            refused[match_id] = standing
            context.log.warning(
                f"{match_id} stands from another log ({standing[:16]}) and is not taken from this one; "
                "gridmotion ingest --replace takes it"
            )
            continue
        store.ensure("matches", match_id, stamp, partial(getattr, match, "match"))
    return refused


def _written_first(store: Store, match_id: str, match: pl.DataFrame, stamp: Stamp) -> bool:
    """Registers a match that no log stands for; of two scans at once, one does."""
    if store.exists(store.part_path("matches", match_id)):
        return False
    try:
        store.write_table("matches", match_id, match, stamp, new=True)
    except FileStands:
        return False
    return True


def _standing(store: Store, match_id: str) -> str | None:
    """The hash of the log that a match stands from; None if there is none, or its row can't be read."""
    try:
        return str(store.read_table("matches", match_id)["log_blake3"].item())
    except (PartMissing, PartDamaged):
        return None


def _conservation_result(store: Store, log_id: str) -> dg.AssetCheckResult:
    row = store.read_table("logs", log_id).row(0, named=True)
    buckets = ("converted", "merged", "reverted", "duplicate", "quarantined")
    accounted = sum(row[bucket] for bucket in buckets)
    return dg.AssetCheckResult(
        check_name=CONSERVATION_CHECK,
        asset_key="logs",
        passed=accounted == row["source_events"],
        metadata={"source_events": row["source_events"], "accounted": accounted} | {b: row[b] for b in buckets},
    )


def _one_log_result(refused: dict[str, str]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=ONE_LOG_CHECK,
        asset_key="matches",
        passed=not refused,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"refused": dg.MetadataValue.json(refused)},
    )


RECORDING_SPECS = [
    dg.AssetSpec(
        table,
        deps=["matches"],
        group_name=GROUP,
        kinds={"polars"},
        code_version=RECIPE.code_version,
        description=description,
    )
    for table, description in {
        "rounds": "The rounds of a match: when they were live, who won, why.",
        "events": "Canonical events that stand, corrections applied, in total order.",
        "tracks": "Where each player was and looked, sorted by player and time.",
    }.items()
]
COUNTS_SPEC = dg.AssetCheckSpec(
    COUNTS_CHECK,
    asset="events",
    blocking=True,
    description="as many events stand as position updates + others",
    partitions_def=match_partitions,
)


def recording(tables: MatchTables) -> Iterator[Made]:
    """The recording of one match, read into rounds, events and tracks."""
    match = tables.read("matches")
    row = match.row(0, named=True)
    stamp = RECIPE.stamp(row["log_blake3"])

    @cache
    def read() -> dict[str, Rows]:
        with tables.store.local_copy(row["log_uri"]) as file:
            log = read_log(file, log_id=row["log_id"], uri=row["log_uri"])
        if log.log["blake3"].item() != row["log_blake3"]:
            raise dg.Failure(
                f"{row['log_uri']} holds other bytes than when it was scanned: land the log again", allow_retries=False
            )
        reading = log.matches[tables.match_id]
        return {"rounds": reading.rounds, "events": reading.events, "tracks": reading.tracks}

    for table in ("rounds", "events", "tracks"):
        tables.ensure(table, stamp, partial(lambda name: read()[name], table))
    if not tables.part("tracks").rows:
        tables.warn(f"{tables.match_id} has no position in its log: there will be no features, intents or clips")
    yield tables.made("rounds", lambda: reports.rounds(tables.read("rounds")))
    yield tables.made(
        "events",
        lambda: reports.event_counts(tables.read("events")),
        lambda: [_counts(tables), end_state_check(tables)],
    )
    yield tables.made("tracks", lambda: reports.position_map(match, tables.read("tracks")))


def _counts(tables: MatchTables) -> dg.AssetCheckResult:
    events, positions = tables.read("events"), tables.part("tracks").rows
    updates = int((events["event_type"] == "POSITION_UPDATE").sum())
    return dg.AssetCheckResult(
        check_name=COUNTS_CHECK,
        asset_key="events",
        passed=updates == positions,
        metadata={"events": events.height, "position_updates": updates, "tracks": positions},
    )
