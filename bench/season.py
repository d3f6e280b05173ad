"""A season's worth of matches from a few logs: the same recordings under new match ids, ready to be analysed.

Belongs here: filling a store as a scan would have. Does not belong here: what is measured on it (`bench/backfill.py`).
"""

import gzip
from pathlib import Path

import polars as pl
from blake3 import blake3
from isal import igzip

from pipeline.events.reader import read_log
from resources.parquet import Stamp
from resources.store import Store

_STAMP = Stamp("bench", "bench", "bench")


def season(store: Store, logs: list[Path], count: int) -> list[str]:
    """Fills a store with recordings and the rows of their matches.

    Args:
        store: an empty one.
        logs: canonical logs of one match each, repeated in turn.
        count: how many matches.

    Returns:
        The ids of the matches.
    """
    names = []
    kept = [(gzip.decompress(log.read_bytes()), _match(log)) for log in logs[:count]]
    for number in range(count):
        raw, match = kept[number % len(kept)]
        old = match["match_id"].item()
        name = f"{old}-{number:03d}"
        data = igzip.compress(raw.replace(f'"{old}"'.encode(), f'"{name}"'.encode()), mtime=0)
        digest = blake3(data).hexdigest()
        uri = store.write(f"recordings/{digest[:16]}/{name}.jsonl.gz", data).removeprefix(f"{store.url}/")
        row = {"match_id": name, "log_id": digest[:16], "log_blake3": digest, "log_uri": uri}
        store.write_table("matches", name, match.with_columns(**{key: pl.lit(row[key]) for key in row}), _STAMP)
        names.append(name)
    return names


def _match(log: Path) -> pl.DataFrame:
    (reading,) = read_log(log, log_id="bench").matches.values()
    return reading.match
