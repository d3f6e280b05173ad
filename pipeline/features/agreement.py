"""How far the features of one recording of a match lie from those of another, denser one.

Belongs here: whether two recordings are of one match, whose clocks and players are whose, and the error of each
feature. Does not belong here: reading recordings (`pipeline.events.reader`), what a report looks like (`bench.sparse`).
"""

from collections import Counter

import polars as pl

from pipeline.errors import PipelineError
from pipeline.features.definition import NAMES

_KILLS = ("actor", "target")


class NotTheSameMatch(PipelineError):
    """The kills of two recordings don't go together, so they are of different matches."""


def clock_offset_ms(dense: pl.DataFrame, sparse: pl.DataFrame, *, most_apart_ms: int = 2000) -> int:
    """What to add to the clock of one recording to have the other's: the median over the kills, which both tell.

    Args:
        dense: table `events` of one recording.
        sparse: table `events` of the other.
        most_apart_ms: how far a single kill may stand from that; a feed that samples each second may be late by two.

    Raises:
        NotTheSameMatch: if they tell of different numbers of kills, or of kills at other distances in time.
    """
    ours, theirs = (_kills(events) for events in (dense, sparse))
    if ours.height != theirs.height or ours.is_empty():
        raise NotTheSameMatch(f"{ours.height} kills and {theirs.height}")
    apart = theirs["t_ms"] - ours["t_ms"]
    offset = int(apart.sort()[len(apart) // 2])
    if (worst := max(abs(difference - offset) for difference in apart.to_list())) > most_apart_ms:
        raise NotTheSameMatch(f"a kill stands {worst} ms from where the clock of the other recording has it")
    return offset


def same_players(dense: pl.DataFrame, sparse: pl.DataFrame) -> dict[str, str]:
    """The name of each player of one recording in the other: who kills and dies as often in the same places.

    Args:
        dense: table `events` of one recording.
        sparse: table `events` of the other, with as many kills.

    Raises:
        NotTheSameMatch: if two players of one recording are the same one of the other.
    """
    together: Counter[tuple[str, str]] = Counter()
    ours, theirs = (_kills(events) for events in (dense, sparse))
    for column in _KILLS:
        pairs = zip(ours[column].to_list(), theirs[column].to_list(), strict=True)
        together.update((one, other) for one, other in pairs if one is not None and other is not None)
    found: dict[str, str] = {}
    for (one, other), _ in together.most_common():
        found.setdefault(one, other)
    if len(set(found.values())) < len(found):
        raise NotTheSameMatch(f"several players go by one name: {found}")
    return found


def agreement(dense: pl.DataFrame, sparse: pl.DataFrame) -> pl.DataFrame:
    """What the sparse features lack, and how far they are off, at the instants that both recordings have.

    Args:
        dense: table `features` of one recording, its clock and players already named as in the other.
        sparse: table `features` of the other.

    Returns:
        A row per feature in their order: `feature`, `dense_null` and `sparse_null` (share of the shared instants),
        `both` (instants at which neither is null), `median_error` and `p95_error` (absolute, over those; null where
        there is none).
    """
    shared = dense.select("player", "t_ms", *NAMES).join(
        sparse.select("player", "t_ms", *NAMES), on=["player", "t_ms"], suffix="_sparse"
    )
    rows = []
    for name in NAMES:
        ours, theirs = shared[name].cast(pl.Float64), shared[f"{name}_sparse"].cast(pl.Float64)
        error = (ours - theirs).abs().drop_nulls()
        rows.append(
            {
                "feature": name,
                "dense_null": ours.null_count() / max(1, shared.height),
                "sparse_null": theirs.null_count() / max(1, shared.height),
                "both": len(error),
                "median_error": error.quantile(0.5, "nearest"),
                "p95_error": error.quantile(0.95, "nearest"),
            }
        )
    return pl.DataFrame(rows, schema_overrides={"median_error": pl.Float64, "p95_error": pl.Float64})


def _kills(events: pl.DataFrame) -> pl.DataFrame:
    return events.filter(pl.col("event_type") == "PLAYER_KILLED").select("t_ms", *_KILLS)
