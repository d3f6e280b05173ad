"""Events as they arrive, in arrays: what of them the kernel takes, and what decides their order.

Belongs here: from columns to arrays, names kept as names. Does not belong here: what a type means to the kernel
(`pipeline.features.pack`, which batch uses too), order and time (`ordering`, `watermark`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.features import kernel
from pipeline.features.pack import NAMED, NotOneMatch, matrix, observed

_KEPT = ("arrival", "event_id", "opening")


@dataclass(frozen=True)
class Arrivals:
    """Events of one match in the order of their arrival.

    Attributes:
        match_id: of the match.
        t_ms: (n,) int64.
        seq: (n,) int64.
        rank: (n,) int64, place of the type in the total order.
        event_id: n ids.
        names: for each of `NAMED` n names or None.
        events: (n, `kernel.EVENT_COLUMNS`) int32, C order; -1 where a name's index belongs.
        opening: n payloads of MATCH_STARTED, None for any other type.
    """

    match_id: str
    t_ms: NDArray[np.int64]
    seq: NDArray[np.int64]
    rank: NDArray[np.int64]
    event_id: Sequence[str]
    names: dict[str, Sequence[str | None]]
    events: NDArray[np.int32]
    opening: Sequence[str | None]

    def __len__(self) -> int:
        return len(self.t_ms)

    def __getitem__(self, part: slice) -> "Arrivals":
        return Arrivals(
            self.match_id,
            self.t_ms[part],
            self.seq[part],
            self.rank[part],
            self.event_id[part],
            {name: values[part] for name, values in self.names.items()},
            self.events[part],
            self.opening[part],
        )

    @property
    def kind(self) -> NDArray[np.int64]:
        """The kernel's code of each event's type."""
        return self.events[:, kernel.KIND].astype(np.int64)


def arrivals(events: pl.DataFrame) -> Arrivals:
    """Events of one match as arrays.

    Args:
        events: at least one, in the order of their arrival, with the columns of table `events` and those of table
            `tracks` (where a position's player is the `actor`), as `pipeline.events.drafts.SCHEMA` has them all.

    Raises:
        NotOneMatch: if there is none, or they are of more than one match.
    """
    found = events["match_id"].unique().to_list()
    if len(found) != 1:
        raise NotOneMatch(f"expected events of one match, got those of {sorted(found)}")
    started = pl.col("event_type") == "MATCH_STARTED"
    numbered = events.with_row_index("arrival").with_columns(opening=pl.when(started).then("payload"))
    positions = numbered.filter(pl.col("event_type") == "POSITION_UPDATE").rename({"actor": "player"})
    taken = observed(numbered, positions, keep=_KEPT).sort("arrival")
    t_ms, seq, rank = (np.array(taken[name], dtype=np.int64) for name in ("t_ms", "seq", "rank"))
    return Arrivals(
        found[0],
        t_ms,
        seq,
        rank,
        taken["event_id"].to_list(),
        {name: taken[name].to_list() for name in NAMED},
        matrix(taken.with_columns(pl.lit(-1).alias(name) for name in NAMED)),
        taken["opening"].to_list(),
    )


def together(events: pl.DataFrame, tracks: pl.DataFrame) -> pl.DataFrame:
    """The tables of a recorded match as one frame that `arrivals` takes, in total order.

    Args:
        events: table `events`.
        tracks: table `tracks`, sorted as that table is.

    Returns:
        Table `events` with the columns of `tracks` filled in for each POSITION_UPDATE.
    """
    order = ("actor", "t_ms", "seq", "event_id")
    moves = events.filter(pl.col("event_type") == "POSITION_UPDATE").sort(order).select("event_id")
    details = [name for name in tracks.columns if name not in events.columns and name != "player"]
    return events.join(
        pl.concat([moves, tracks.select(details)], how="horizontal"), on="event_id", how="left", maintain_order="left"
    )
