"""From a recorded log to the tables of its matches.

Belongs here: telling formats apart, running a source, making tables from its events.
Does not belong here: any one format (`pipeline.events.sources`), writing tables (resources.store).
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
import polars as pl

from configs.events import EventsConfig, load_events
from pipeline.events.conservation import Tally
from pipeline.events.dealing import dealt
from pipeline.events.lines import Content, UnusableLog, digest, read_blocks, read_lines
from pipeline.events.quarantine import QuarantineRows
from pipeline.events.recording import MatchReading, read_match
from pipeline.events.sources import Source, TooManyMatches, canonical, grid
from pipeline.events.sources.fields import too_deep
from pipeline.events.streams import TableStream
from pipeline.events.survey import Survey, survey
from pipeline.tables import conform, empty

__all__ = ["LogReading", "MatchReading", "UnusableLog", "read_log"]

SOURCES: dict[str, tuple[Callable[[object], bool], Source]] = {
    "canonical": (canonical.recognises, canonical.read_canonical),
    "grid": (grid.recognises, grid.read_grid),
}


@dataclass(frozen=True)
class LogReading:
    """A log as its tables.

    Attributes:
        log: table `logs`, one row.
        quarantine: table `quarantine`.
        matches: by match id, in its order.
    """

    log: pl.DataFrame
    quarantine: TableStream
    matches: dict[str, MatchReading]


def read_log(path: Path, *, log_id: str, uri: str | None = None, config: EventsConfig | None = None) -> LogReading:
    """Reads a recorded log of any known format, plain or packed, told apart by its content.

    The memory it takes is bounded, however long the log is: events wait on disk until they are asked for.

    Args:
        path: the file.
        log_id: its name in the tables.
        uri: where it lies, for the tables; the path itself if not given.
        config: limits; those of `configs/events.yaml` if not given.

    Returns:
        Tables that conform to `pipeline.tables`, events in total order, tracks by player and time. Those of a match
        are made as they are read.

    Raises:
        UnusableLog: if not one event of it can be used, or it has too many matches; names the first reason.
    """
    config = config or load_events()
    quarantine = QuarantineRows(log_id, config.lines)
    try:
        source_kind = detect(path, config)
    except UnusableLog as error:
        raise _unusable(str(error), log_id, config) from error
    tally = Tally()
    _, source = SOURCES[source_kind]
    content = Content()
    first = iter((content,))  # of the times that the log is read, the first shows it
    try:
        reading = source(lambda: read_blocks(path, config.lines, next(first, None)), quarantine, tally, config)
        blake3, size = (content.blake3, content.size) if content.is_whole else digest(path)
    except TooManyMatches as error:
        raise _unusable(f"{path.name}: {error}", log_id, config) from error
    except UnusableLog as error:  # what of it can't be read now could be when its format was told
        raise _unusable(str(error), log_id, config) from error
    known: Mapping[str, Survey] = survey(reading.drafts)
    if not known:
        reason = quarantine.first() if len(quarantine) or not tally.reverted else "all were taken back"
        nothing = UnusableLog(f"{path.name}: none of its events can be used; {reason}")
        nothing.quarantine = quarantine.table()
        raise nothing
    drafts, known = dealt(reading.drafts, known, config.lines)
    log = {"source_kind": source_kind, "log_id": log_id, "log_uri": uri or path.as_posix(), "log_blake3": blake3}
    matches = {
        match_id: read_match(
            match_id,
            drafts,
            seen,
            told=reading.told.get(match_id, {}),
            started_us=reading.started_us.get(match_id),
            log=log,
            config=config.lines,
        )
        for match_id, seen in known.items()
    }
    row = {
        "log_id": log_id,
        "uri": log["log_uri"],
        "blake3": blake3,
        "bytes": size,
        "source_kind": source_kind,
        "match_ids": list(matches),
        **asdict(tally),
    }
    frame = conform("logs", pl.DataFrame([row], schema=empty("logs").schema))
    return LogReading(log=frame, quarantine=quarantine.table(), matches=matches)


def _unusable(reason: str, log_id: str, config: EventsConfig) -> UnusableLog:
    """A log that is refused as a whole: its quarantine tells so, and of no line, as not all were looked at."""
    quarantine = QuarantineRows(log_id, config.lines)
    quarantine.add(0, "", reason, b"")
    error = UnusableLog(reason)
    error.quarantine = quarantine.table()
    return error


def detect(path: Path, config: EventsConfig) -> str:
    """The format of a log, told by the first line that has one: a key of `SOURCES`.

    Raises:
        UnusableLog: if no line belongs to a known format.
    """
    first = None
    for line in read_lines(path, config.lines):
        reason = line.refused or too_deep(line.data, config.validity)
        if reason is None:
            try:
                wire = msgspec.json.decode(line.data)
            except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                reason = f"is not JSON: {error}"
            else:
                found = next((name for name, (recognises, _) in SOURCES.items() if recognises(wire)), None)
                if found is not None:
                    return found
                reason = "is neither a canonical event nor a GRID transaction"
        where = f"line {line.number}" if line.number else "the file"
        first = first or f"{where}: {reason}"
    raise UnusableLog(f"{path.name}: no line of it belongs to a known format; {first or 'it is empty'}")
