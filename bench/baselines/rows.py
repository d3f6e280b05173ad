"""Rows as dicts to the tables `events` and `tracks`, by `pyarrow.Table.from_pylist`.

Belongs here: what the plain ways of reading a log share. Does not belong here: any one format.
"""

import gzip
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

_TEXT, _INT64, _INT32, _FLAG = pa.string(), pa.int64(), pa.int32(), pa.bool_()
_EVENTS = {
    "match_id": _TEXT,
    "seq": _INT64,
    "event_id": _TEXT,
    "event_type": _TEXT,
    "t_ms": _INT64,
    "occurred_at": pa.timestamp("us", "UTC"),
    "round": _INT32,
    "actor": _TEXT,
    "target": _TEXT,
    "team": _TEXT,
    "side": _TEXT,
    "x_mm": _INT32,
    "y_mm": _INT32,
    "z_mm": _INT32,
    "weapon": _TEXT,
    "amount": _INT32,
    "site": _TEXT,
    "payload": _TEXT,
    "source_line": _INT64,
}
_TRACKS = {
    "match_id": _TEXT,
    "round": _INT32,
    "player": _TEXT,
    "team": _TEXT,
    "side": _TEXT,
    "t_ms": _INT64,
    "seq": _INT64,
    "x_mm": _INT32,
    "y_mm": _INT32,
    "z_mm": _INT32,
    "yaw_mdeg": _INT32,
    "pitch_mdeg": _INT32,
    "hp": _INT32,
    "armor": _INT32,
    "weapon": _TEXT,
    "place": _TEXT,
    "has_bomb": _FLAG,
    "has_kit": _FLAG,
    "objective_x_mm": _INT32,
    "objective_y_mm": _INT32,
    "objective_z_mm": _INT32,
}
_STATE = {name: kind for name, kind in _TRACKS.items() if name not in _EVENTS and name != "player"}
_WIDE = pa.schema({**_EVENTS, **_STATE, "rank": pa.int8()})


def lines(log: Path) -> Iterator[bytes]:
    """The lines of a log: plain, `.gz`, or the one file in a `.zip`."""
    if log.suffix == ".zip":
        with zipfile.ZipFile(log) as archive, archive.open(archive.namelist()[0]) as opened:
            yield from opened
    elif log.suffix == ".gz":
        with gzip.open(log) as opened:
            yield from opened
    else:
        with log.open("rb") as opened:
            yield from opened


def encode(payload: dict[str, Any]) -> str:
    """A payload as compact JSON, keys sorted."""
    return json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def write(rows: list[dict[str, Any]], folder: Path) -> None:
    """Rows of one match, `rank` the place of their type, to `events.parquet` and `tracks.parquet` in their orders."""
    table = pa.Table.from_pylist(rows, schema=_WIDE)
    positions = table.filter(pc.equal(table["event_type"], "POSITION_UPDATE"))
    names = ["player" if name == "actor" else name for name in positions.column_names]
    events = table.sort_by([(name, "ascending") for name in ("t_ms", "seq", "rank", "event_id")])
    tracks = positions.rename_columns(names).sort_by(
        [(name, "ascending") for name in ("player", "t_ms", "seq", "event_id")]
    )
    for name, sorted_rows, columns in (("events", events, _EVENTS), ("tracks", tracks, _TRACKS)):
        pq.write_table(
            sorted_rows.select(list(columns)), folder / f"{name}.parquet", compression="zstd", compression_level=3
        )
