"""What the areas measure on: real matches where they are at hand, simulated ones elsewhere.

Belongs here: logs and their tables, made once for all areas. Does not belong here: input that one area alone needs.
"""

import gzip
import json
import os
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from pipeline.events.reader import read_log
from pipeline.events.sources.simulator import simulate, write

SHARED = "GRIDMOTION_SHARED_DATA"
GRID_LOG = "events_9100001_grid.jsonl.zip"
ROUNDS, QUICK_ROUNDS, SEED = 24, 2, 5
QUICK_EVENTS, QUICK_TRANSACTIONS = 20_000, 200


@dataclass(frozen=True)
class Tables:
    """The tables of one match."""

    match: pl.DataFrame
    rounds: pl.DataFrame
    events: pl.DataFrame
    tracks: pl.DataFrame


@dataclass(frozen=True)
class Workload:
    """Logs to read and tables to work on.

    Attributes:
        folder: scratch, shared by all areas; tables lie in it.
        quick: whether the input is cut short, for a look in between.
        real: whether these are real matches.
        canonical: canonical logs (`.jsonl.gz`), a match each; one in a quick run.
        grid: a series in GRID's format (`.jsonl.zip`).
    """

    folder: Path
    quick: bool
    real: bool
    canonical: list[Path]
    grid: Path

    @property
    def source(self) -> str:
        """What this is, in words."""
        count = len(self.canonical)
        kind = f"{count} real match{'es' if count > 1 else ''} and a GRID series" if self.real else "a simulated match"
        return f"{kind}, cut short" if self.quick else kind

    @property
    def names(self) -> list[str]:
        """The matches of the canonical logs."""
        return [log.name.partition(".")[0] for log in self.canonical]

    def scratch(self, name: str) -> Path:
        """A folder of that name, made if need be."""
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def tables(self, match: str | None = None) -> Tables:
        """The tables of a canonical log's match; of the first log without a name. Read once for all areas."""
        match = match or self.names[0]
        folder = self.scratch(f"tables/{match}")
        if not (folder / "tracks.parquet").exists():
            log = self.canonical[self.names.index(match)]
            for table, frame in frames(log).items():
                frame.write_parquet(folder / f"{table}.parquet")
        kept = {
            table: pl.read_parquet(folder / f"{table}.parquet") for table in ("match", "rounds", "events", "tracks")
        }
        return Tables(**kept)

    def to_json(self) -> str:
        """For the process of an area."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> "Workload":
        """What `to_json` wrote."""
        told: dict[str, Any] = json.loads(text)
        told |= {"folder": Path(told["folder"]), "grid": Path(told["grid"])}
        return cls(**told | {"canonical": [Path(log) for log in told["canonical"]]})


def frames(log: Path) -> dict[str, pl.DataFrame]:
    """The tables of a log's one match, `tracks` last."""
    (match,) = read_log(log, log_id="bench").matches.values()
    return {"match": match.match, "rounds": match.rounds, "events": match.events.read(), "tracks": match.tracks.read()}


def workload(folder: Path, *, quick: bool) -> Workload:
    """What this machine has to offer."""
    shared = Path(os.environ.get(SHARED, Path(__file__).resolve().parents[2] / "shared" / "data"))
    real = (shared / "cs2").is_dir() and (shared / "grid" / GRID_LOG).is_file()
    if not real:
        canonical, grid = write(folder / "logs", simulate(rounds=QUICK_ROUNDS if quick else ROUNDS, seed=SEED))[:2]
        return Workload(folder, quick, real, [canonical], grid)
    logs, series = sorted((shared / "cs2").glob("*.jsonl.gz")), shared / "grid" / GRID_LOG
    if quick:
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        logs = [_cut_gzip(next(log for log in logs if "mirage" in log.name), folder / "logs", QUICK_EVENTS)]
        series = _cut_zip(series, folder / "logs", QUICK_TRANSACTIONS)
    return Workload(folder, quick, real, logs, series)


def lines(log: Path) -> Iterator[bytes]:
    """The lines of a `.jsonl.gz` or of the first member of a `.zip`, as the standard library reads them."""
    if log.suffix == ".zip":
        with zipfile.ZipFile(log) as archive, archive.open(archive.namelist()[0]) as opened:
            yield from opened
    else:
        with gzip.open(log) as opened:
            yield from opened


def megabytes(log: Path) -> float:
    """Size of a log unpacked, in MB."""
    return sum(map(len, lines(log))) / 1e6


def _cut_gzip(log: Path, folder: Path, count: int) -> Path:
    with gzip.open(folder / log.name, "wb") as short:
        short.writelines(islice(lines(log), count))
    return folder / log.name


def _cut_zip(log: Path, folder: Path, count: int) -> Path:
    with zipfile.ZipFile(folder / log.name, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(log.name.removesuffix(".zip"), b"".join(islice(lines(log), count)))
    return folder / log.name
