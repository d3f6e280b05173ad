"""What a sparse source costs: `python -m bench.sparse` writes docs/sparse.md from one match recorded twice.

Belongs here: the two recordings, the words around the figures. Does not belong here: the comparison
(`pipeline.features.agreement`).
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from bench.measure import number
from bench.workload import GRID_LOG, SHARED
from configs.features import load_features
from pipeline.events.reader import read_log
from pipeline.features.agreement import agreement, clock_offset_ms, same_players
from pipeline.features.definition import FEATURES
from pipeline.features.match import match_features

PATH = Path(__file__).parents[1] / "docs" / "sparse.md"
DENSE_LOG = "cs2-sf-mirage.jsonl.gz"


@dataclass(frozen=True)
class Recording:
    """A match as one source tells it."""

    match: pl.DataFrame
    events: pl.DataFrame
    tracks: pl.DataFrame

    @classmethod
    def read(cls, log: Path) -> "Recording":
        """The one match of a log."""
        (reading,) = read_log(log, log_id="sparse").matches.values()
        return cls(reading.match, reading.events.read(), reading.tracks.read())

    def features(self, *, later_ms: int = 0) -> pl.DataFrame:
        """Its features, by a clock that is ahead by so much."""
        later = pl.col("t_ms") + later_ms
        return match_features(self.match, self.events.with_columns(later), self.tracks.with_columns(later))

    @property
    def rate_hz(self) -> float:
        """Positions a second of a player while positions come at all: one over the median time between two."""
        gaps = self.tracks.sort("player", "t_ms").select(pl.col("t_ms").diff().over("player", "round"))
        return 1000 / float(gaps.to_series().median())  # type: ignore[arg-type]  # int64


def features_of_both(dense: Recording, sparse: Recording) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    """The features of both by the sparse one's clock and names, and how far its clock is ahead, ms."""
    offset = clock_offset_ms(dense.events, sparse.events)
    names = same_players(dense.events, sparse.events)
    return dense.features(later_ms=offset).with_columns(pl.col("player").replace(names)), sparse.features(), offset


def document(dense: Recording, sparse: Recording) -> str:
    """The page."""
    ours, theirs, offset = features_of_both(dense, sparse)
    shared = ours.join(theirs, on=["player", "t_ms"], how="semi").height
    config, units = load_features(), {feature.name: feature.unit for feature in FEATURES}
    kills = dense.events.filter(pl.col("event_type") == "PLAYER_KILLED").height
    lines = [
        "# Sparse sources",
        "",
        "Written by `make docs` (`python -m bench.sparse`) where the two recordings are at hand; do not edit.",
        "",
        "GRID tells where players are only in the state snapshots of its events: irregularly, in two dimensions, and "
        "no view. The same features are computed from that as from dense positions, by the same kernel, and none is "
        f"invented: a step needs two positions at most {config.max_step_gap_ms} ms apart, a position older than "
        f"{config.fresh_ms} ms tells nothing of now, and what cannot be known is null.",
        "",
        f"The match `{dense.match['match_id'].item()}` exists as a dense log ({dense.rate_hz:.0f} positions a second, "
        f"three dimensions) and as a GRID series (`{sparse.match['match_id'].item()}`, {sparse.rate_hz:.0f} a second, "
        f"planar, with stretches without any). Its {kills} kills align the clocks (offset {offset} ms) and name the "
        f"players. Of {ours.height:,} feature rows of the dense log and {theirs.height:,} of the series {shared:,} are "
        "of the same player and instant; the table is about those. *Null* is the share of them at which a feature is "
        "unknown; errors are absolute, over the instants at which both know it.",
        "",
        "| feature | unit | null, dense | null, sparse | median error | p95 error |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for name, dense_null, sparse_null, _, median, p95 in agreement(ours, theirs).iter_rows():
        lines.append(
            f"| `{name}` | {units[name]} | {_percent(dense_null)} | {_percent(sparse_null)} "
            f"| {_error(median)} | {_error(p95)} |"
        )
    return "\n".join(lines) + "\n"


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _error(value: float | None) -> str:
    return "" if value is None else number(value)


def main() -> int:
    """Reads both recordings and writes the page; says so and leaves it as it is where they are absent."""
    shared = Path(os.environ.get(SHARED, Path(__file__).resolve().parents[2] / "shared" / "data"))
    logs = shared / "cs2" / DENSE_LOG, shared / "grid" / GRID_LOG
    if missing := [log.name for log in logs if not log.is_file()]:
        print(f"{PATH.name} stays as it is: {' and '.join(missing)} not found (set {SHARED})")
        return 0
    PATH.write_text(document(*map(Recording.read, logs)))
    print(f"written to {PATH}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
