"""Recorded logs to the tables `events` and `tracks` as Parquet, beside `json.loads` rows → pyarrow that write the same.

Belongs here: rates on plain and packed files, the memory that a longer file takes, the size of tracks. Before anything
is timed, what both ways have written is compared, row by row. Does not belong here: the plain way (`bench.baselines`).
"""

import gzip
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import polars as pl

from bench.baselines import canonical, grid
from bench.grid_games import games
from bench.grid_stages import stages
from bench.measure import Figure, Goal, interleaved, medians, peak_memory
from bench.workload import Workload, lines, megabytes
from configs.events import load_events
from pipeline.events.lines import Block, Content, read_blocks
from pipeline.events.reader import read_log
from pipeline.events.sources.canonical_scan import Scanner
from resources.parquet import Stamp, write_parquet
from resources.store import Store

OTHER = "`json.loads` rows → pyarrow, the same tables, unchecked"
CANONICAL, GRID = Goal(at_least=13, stretch=18), Goal(at_least=8, stretch=10)
TIMES = 4
_STAMP = Stamp("bench", "bench", "bench")


def figures(load: Workload) -> list[Figure]:
    """Rates of both formats, packed and plain, the scanner's own, memory and size."""
    folder = load.scratch("ingest")
    packed = min(load.canonical, key=lambda log: log.stat().st_size) if load.quick else load.canonical[0]
    plain, plain_grid = _unpacked(packed, folder), _unpacked(load.grid, folder)
    found = [
        _beside(f"canonical log, {name}", log, packed, canonical.read, CANONICAL, folder)
        for name, log in (("plain", plain), (".gz", packed))
    ]
    found += [
        _beside(f"GRID series, {name}", log, load.grid, grid.read, GRID, folder)
        for name, log in (("plain", plain_grid), (".zip", load.grid))
    ]
    if not load.quick:
        for name, log in (("plain", plain_grid), (".zip", load.grid)):
            theirs = partial(grid.read, log, folder / "theirs")
            found += stages(f"GRID series, {name}", log, partial(ours, log, folder / "ours"), theirs, OTHER)
    blocks = [block for block in read_blocks(plain, load_events().lines) if isinstance(block, Block)]
    found.append(
        interleaved(
            "canonical lines → columns, alone",
            lambda: _scan(blocks),
            None,
            "",
            megabytes(packed),
            "MB",
            Goal(at_least=250),
        )
    )
    found += _stages(plain, folder)
    if not load.quick:  # a log that was cut short fits into memory whole
        found += [_memory(packing, plain, folder) for packing in (".jsonl", ".jsonl.gz", ".jsonl.zip")]
        found.append(_memory_of_one(plain, folder))
        found.append(_grid_memory(load.grid, folder))
    return [*found, _size(load, folder)]


def ours(log: Path, folder: Path) -> None:
    """Reads a log of one match and writes its events and tracks as the pipeline's store does."""
    store = Store(folder.as_posix())
    for match_id, match in read_log(log, log_id="bench").matches.items():
        store.write_table("events", match_id, match.events, _STAMP)
        store.write_table("tracks", match_id, match.tracks, _STAMP)


def _stages(plain: Path, folder: Path) -> list[Figure]:
    """Shares of the work that any reader has to do, and how fast that would be alone."""
    config = load_events()
    blocks = [block for block in read_blocks(plain, config.lines) if isinstance(block, Block)]
    (match,) = read_log(plain, log_id="bench").matches.values()
    tables = {table.table: list(table) for table in (match.events, match.tracks)}

    def read() -> None:
        for _ in read_blocks(plain, config.lines, Content()):
            pass

    def encode() -> None:
        for table, frames in tables.items():
            write_parquet(table, frames, _STAMP, io.BytesIO())

    whole, *parts, theirs = medians(
        lambda: ours(plain, folder / "ours"),
        read,
        lambda: _scan(blocks),
        encode,
        lambda: canonical.read(plain, folder / "theirs"),
    )
    names = ("reading it and its BLAKE3", "lines → columns", "columns → Parquet, zstd-3")
    shares = [
        Figure(
            f"of the {whole * 1000:.0f} ms for a plain log: {name}, {seconds * 1000:.0f} ms", 100 * seconds / whole, "%"
        )
        for name, seconds in zip(names, parts, strict=True)
    ]
    alone = Figure("these three alone", plain.stat().st_size / 1e6 / sum(parts), "MB/s", OTHER, theirs / sum(parts))
    return [*shares, alone]


def _scan(blocks: list[Block]) -> None:
    config = load_events()
    scanner = Scanner(config.validity, config.lines.frame_rows)
    for block in blocks:
        scanner.read(block)
        if scanner.rows > config.lines.frame_rows:
            scanner.take()
    scanner.take()


def _beside(
    stage: str, log: Path, packed: Path, theirs: Callable[[Path, Path], None], goal: Goal, folder: Path
) -> Figure:
    mine, other = folder / "ours", folder / "theirs"
    for each in (mine, other):
        shutil.rmtree(each, ignore_errors=True)
        each.mkdir()
    ours(log, mine)
    theirs(log, other)
    for table in ("events", "tracks"):
        (part,) = mine.glob(f"{table}/*/*.parquet")
        written, expected = pl.read_parquet(part, hive_partitioning=False), pl.read_parquet(other / f"{table}.parquet")
        if not written.equals(expected):
            raise AssertionError(f"{stage}: the two ways write different {table}")
    return interleaved(stage, lambda: ours(log, mine), lambda: theirs(log, other), OTHER, megabytes(packed), "MB", goal)


def _unpacked(log: Path, folder: Path) -> Path:
    plain = folder / f"{log.name.partition('.')[0]}.jsonl"
    with plain.open("wb") as file:
        file.writelines(lines(log))
    return plain


def _memory(packing: str, plain: Path, folder: Path) -> Figure:
    logs = [_packed(plain, times, packing, folder) for times in (1, TIMES)]
    return _peaks(f"{TIMES} × the matches in a log, {packing},", logs, folder)


def _peaks(what: str, logs: list[Path], folder: Path) -> Figure:
    """The peak of reading the second log to that of the first."""
    peaks = [peak_memory(ours, log, folder / "ours") for log in logs]
    shutil.rmtree(folder / "ours")
    goal = Goal(at_most=1.1)
    return Figure(f"peak memory of {what} to that of one", peaks[1] / peaks[0], f"× {peaks[0] / 1e6:.0f} MB", goal=goal)


def _grid_memory(log: Path, folder: Path) -> Figure:
    logs = [folder / f"series-{times}.zip" for times in (1, TIMES)]
    for times, path in zip((1, TIMES), logs, strict=True):
        with (
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            archive.open("series.jsonl", "w") as file,
        ):
            file.writelines(games(list(lines(log)), times))
    return _peaks(f"{TIMES} × the games in a GRID series, .zip,", logs, folder)


def _memory_of_one(plain: Path, folder: Path) -> Figure:
    return _peaks(f"a match {TIMES} × longer", [plain, _played_again(plain, TIMES, folder)], folder)


def _played_again(plain: Path, times: int, folder: Path) -> Path:
    """A log of one match whose rounds are played so many times, one behind the other, without wall clock."""
    path = folder / f"longer-{times}.jsonl"
    with plain.open("rb") as file:
        events = [json.loads(line) for line in file]
    length = max(event["payload"]["ts"] for event in events)
    rounds = max(event["payload"].get("round", 0) for event in events)
    with path.open("w") as longer:
        for nth in range(times):
            for event in events:
                edge = {"MATCH_STARTED": 0, "MATCH_ENDED": times - 1}.get(event["event_type"], nth)
                if edge != nth:
                    continue
                payload = event["payload"] | {"ts": round(event["payload"]["ts"] + nth * length, 3)}
                if "round" in payload:
                    payload["round"] += nth * rounds
                told = {name: value for name, value in event.items() if name != "timestamp"}
                told |= {"event_id": f"{event['event_id']}-{nth}", "payload": payload}
                longer.write(json.dumps(told, separators=(",", ":")) + "\n")
    return path


def _packed(plain: Path, times: int, packing: str, folder: Path) -> Path:
    """A log of so many matches, one behind the other, each the given one under a name of its own."""
    path = folder / f"{times}{packing}"
    text = plain.read_bytes()
    match_id = text.partition(b'"match_id":"')[2].partition(b'"')[0]
    names = [match_id[:-1] + str(n).encode() for n in range(times)]
    if packing.endswith(".zip"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("log.jsonl", "w") as file:
            file.writelines(text.replace(match_id, name) for name in names)
    else:
        with gzip.open(path, "wb", 6) if packing.endswith(".gz") else path.open("wb") as file:
            file.writelines(text.replace(match_id, name) for name in names)
    return path


def _size(load: Workload, folder: Path) -> Figure:
    store = Store((folder / "sizes").as_posix())
    parts = [store.write_table("tracks", name, load.tables(name).tracks, _STAMP) for name in load.names]
    return Figure(
        "size of tracks",
        sum(part.size_bytes for part in parts) / sum(part.rows for part in parts),
        "bytes/row",
        goal=Goal(at_most=6),
    )
