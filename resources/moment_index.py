"""The index by which moments of matches are found by words: a graph of nearest vectors, and what it was made of.

Belongs here: building, keeping and asking it (usearch, https://unum-cloud.github.io/usearch). Does not belong here:
what is said of a moment (`pipeline.embeddings.moments`), vectors (`resources.text_vectors`).

The files are `search/<encoder key>.usearch`, the moments beside it in `.parquet` and the record in `.json`, which
is written last and names the others' hashes and the parts of `moments` that they were made of.
"""

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from configs.encoders import EncodersConfig, load_encoders
from configs.encoders import Index as IndexConfig
from pipeline.embeddings.encoder import Identity, Vectors
from resources.errors import ResourceError
from resources.files import FileMissing
from resources.store import Store


class NoIndex(ResourceError):
    """Nothing can be found yet, or what is kept is damaged; the message says what to run."""


@dataclass(frozen=True)
class Hit:
    """A moment that was found.

    Attributes:
        likeness: cosine between what was asked and what is said of it.
        moment: its row of the table `moments`.
        clip: address of its clip; None if there is none.
    """

    likeness: float
    moment: dict[str, Any]
    clip: str | None


def _key(text_hash: str) -> int:
    """A text in the index: the first 64 bits of its hash."""
    return int(text_hash[:16], 16)


def different(moments: pl.DataFrame) -> pl.DataFrame:
    """The texts of moments, `text` and `text_hash`, each once, by hash."""
    return moments.select("text", "text_hash").unique("text_hash").sort("text_hash")


def graph(dimension: int, config: IndexConfig) -> Any:
    """An empty index of vectors of length 1 that have so many values."""
    from usearch.index import Index

    return Index(
        ndim=dimension,
        metric="cos",
        dtype="f32",
        connectivity=config.connectivity,
        expansion_add=config.expansion_add,
        expansion_search=config.expansion_search,
    )


def parts(store: Store) -> dict[str, str]:
    """The parts of `moments`, by match, each with a mark that changes when it does."""
    listed = store.files("moments")
    return {PurePosixPath(path).parent.name.partition("=")[2]: f"{size}-{tag}" for path, size, tag in listed}


class MomentIndex:
    """The index of one encoder in one store.

    Args:
        store: holds it.
        identity: of the encoder.
        config: `encoders.yaml` by default.
    """

    def __init__(self, store: Store, identity: Identity, config: EncodersConfig | None = None) -> None:
        self.store, self.identity = store, identity
        self._config = config or load_encoders()
        self._path = f"search/{identity.key}"

    def build(self, moments: pl.DataFrame, vectors: Vectors, read: dict[str, str]) -> int:
        """Makes the index anew and keeps it; returns its size in bytes.

        Args:
            moments: all rows of the table `moments`.
            vectors: of their different texts, in the order of `different`.
            read: what `parts` told before the rows were read, so that what changed since then is known to be missing.
        """
        index, told = self._empty(), different(moments)
        if told.height:
            keys = np.array([_key(name) for name in told["text_hash"]], np.uint64)
            index.add(keys, vectors, threads=1)
        data, rows = bytes(index.save()), io.BytesIO()
        moments.sort("match_id", "from_ms", "segment_id").write_parquet(rows)
        files = {"usearch": data, "parquet": rows.getvalue()}
        for ending, content in files.items():
            self.store.write(f"{self._path}.{ending}", content)
        record = {
            "encoder": self.identity.key,
            "texts": told.height,
            "parts": read,
            "files": {ending: hashlib.sha256(content).hexdigest() for ending, content in files.items()},
        }
        self.store.write(f"{self._path}.json", json.dumps(record, sort_keys=True, indent=1).encode())
        return len(data)

    def behind(self) -> list[str]:
        """Matches whose moments have changed since it was made, or that it doesn't know.

        Raises:
            NoIndex: if there is none.
        """
        known, now = self._record()["parts"], parts(self.store)
        return sorted(match_id for match_id, state in now.items() if known.get(match_id) != state)

    def nearest(self, queries: Vectors, count: int) -> tuple[list[list[int]], NDArray[np.float32]]:
        """Keys of the nearest texts of each query, the nearest first, and their likenesses.

        Raises:
            NoIndex: if there is none, or it is damaged.
        """
        record, index = self._record(), self._empty()
        index.load(self._file("usearch", record))
        count = min(count, record["texts"])
        if not count:
            return [[] for _ in queries], np.empty((len(queries), 0), np.float32)
        found = index.search(queries, count, threads=1)
        keys = np.asarray(found.keys).reshape(len(queries), -1)
        likeness = 1.0 - np.asarray(found.distances, np.float32).reshape(len(queries), -1)
        return [[int(key) for key in row] for row in keys], likeness

    def find(self, query: Vectors, count: int, *, match_id: str | None = None, intent: str | None = None) -> list[Hit]:
        """The moments that are nearest to what is asked, the nearest first, then the surest, then by time.

        Args:
            query: one vector `(1, dimension)`.
            count: how many.
            match_id: only of this match.
            intent: only of this intent.

        Raises:
            NoIndex: if there is none, or it is damaged.
        """
        record = self._record()
        moments = self._moments(record, match_id, intent)
        if moments.is_empty():
            return []
        # What is left out by match or intent would take the places of what is asked for: then everything is ranked.
        depth = count if match_id is None and intent is None else int(record["texts"])
        keys, likeness = self.nearest(query, depth)
        order = {key: place for place, key in enumerate(keys[0])}
        hashes = moments["text_hash"].unique()
        ranked = {name: order[_key(name)] for name in hashes if _key(name) in order}
        if not ranked:
            return []
        places = pl.DataFrame({"text_hash": list(ranked), "rank": list(ranked.values())})
        found = (
            moments.join(places, on="text_hash", how="inner")
            .sort("rank", "confidence", "match_id", "from_ms", descending=[False, True, False, False])
            .head(count)
        )
        clips = self._clips(found["match_id"].unique().to_list())
        return [
            Hit(float(likeness[0, row.pop("rank")]), row, clips.get(row["segment_id"]))
            for row in found.iter_rows(named=True)
        ]

    def _moments(self, record: dict[str, Any], match_id: str | None, intent: str | None) -> pl.DataFrame:
        rows = pl.read_parquet(self._file("parquet", record))
        if match_id is not None:
            rows = rows.filter(pl.col("match_id") == match_id)
            if rows.is_empty():
                raise NoIndex(f"match {match_id} is not in the index: analyse it, then run gridmotion embed")
        return rows if intent is None else rows.filter(pl.col("intent") == intent)

    def _file(self, ending: str, record: dict[str, Any]) -> bytes:
        try:
            data = self.store.read(f"{self._path}.{ending}")
        except FileMissing as error:
            raise NoIndex(f"{self.store.uri(self._path)}.{ending} is gone: run gridmotion embed") from error
        if hashlib.sha256(data).hexdigest() != record["files"][ending]:
            raise NoIndex(f"{self.store.uri(self._path)}.{ending} is damaged: run gridmotion embed")
        return data

    def _clips(self, matches: list[str]) -> dict[str, str]:
        """Addresses of clips by segment."""
        made: dict[str, str] = {}
        for match_id in matches:
            try:
                rows = self.store.read_table("clips", match_id)
            except FileMissing:  # segments are found without their clips
                continue
            made |= {
                row["segment_id"]: self.store.uri(row["uri"])
                for row in rows.filter(pl.col("feasible")).iter_rows(named=True)
            }
        return made

    def _record(self) -> dict[str, Any]:
        try:
            record: dict[str, Any] = json.loads(self.store.read(f"{self._path}.json"))
        except FileMissing as error:
            raise NoIndex(
                f"there is no index of moments by {self.identity.key} in {self.store.url}: run gridmotion embed"
            ) from error
        except ValueError as error:
            raise NoIndex(f"{self.store.uri(self._path)}.json is damaged: run gridmotion embed") from error
        return record

    def _empty(self) -> Any:
        return graph(self.identity.dimension, self._config.index)


__all__ = ["Hit", "MomentIndex", "NoIndex", "different", "graph", "parts"]
