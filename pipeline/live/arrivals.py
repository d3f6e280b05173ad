"""Events as they arrive, in arrays: what of them the kernel takes, and what decides their order.

Belongs here: from columns to arrays, names kept as names. Does not belong here: what a type means to the kernel
(`pipeline.features.pack`, which batch uses too), order and time (`ordering`, `watermark`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.events.drafts import Draft
from pipeline.events.model import TYPE_RANK
from pipeline.features import kernel
from pipeline.features.pack import NAMED, NotOneMatch, matrix, observed

_KEPT = ("arrival", "event_id", "telling")
_TELLING = ("MATCH_STARTED", "ROUND_STARTED")
KINDS = {name: code for code, name in enumerate(kernel.KINDS)}
"""The kernel's code of each type that it knows."""
_OTHER = TYPE_RANK["OTHER"]


@dataclass(frozen=True)
class Arrivals:
    """Events of one match in the order of their arrival.

    Attributes:
        match_id: of the match.
        t_ms: (n,) int64.
        seq: (n,) int64.
        rank: (n,) int64, place of the type in the total order.
        event_id: n ids.
        names: (n, 4) int32, the place in `texts` of what stands in each column of `NAMED`, -1 for none.
        texts: the names by place, those of others among them.
        events: (n, `kernel.EVENT_COLUMNS`) int32, C order; -1 where a name's index belongs.
        telling: n payloads of MATCH_STARTED and ROUND_STARTED, None for any other type.
    """

    match_id: str
    t_ms: NDArray[np.int64]
    seq: NDArray[np.int64]
    rank: NDArray[np.int64]
    event_id: Sequence[str]
    names: NDArray[np.int32]
    texts: Sequence[str]
    events: NDArray[np.int32]
    telling: Sequence[str | None]

    def __len__(self) -> int:
        return len(self.t_ms)

    def __getitem__(self, part: slice) -> "Arrivals":
        return self.part(part, self.match_id)

    def part(self, part: slice, match_id: str) -> "Arrivals":
        """Some of them, which are of that match."""
        return Arrivals(
            match_id,
            self.t_ms[part],
            self.seq[part],
            self.rank[part],
            self.event_id[part],
            self.names[part],
            self.texts,
            self.events[part],
            self.telling[part],
        )

    def in_order(self, order: NDArray[np.intp]) -> "Arrivals":
        """The same events in another order."""
        places = order.tolist()
        return Arrivals(
            self.match_id,
            self.t_ms[order],
            self.seq[order],
            self.rank[order],
            [self.event_id[place] for place in places],
            self.names[order],
            self.texts,
            self.events[order],
            [self.telling[place] for place in places],
        )

    def named(self, column: str) -> list[str | None]:
        """What stands in one of the columns of `NAMED`."""
        return [None if place < 0 else self.texts[place] for place in self.names[:, list(NAMED).index(column)].tolist()]

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
    tells = pl.col("event_type").is_in(_TELLING)
    numbered = events.with_row_index("arrival").with_columns(telling=pl.when(tells).then("payload"))
    positions = numbered.filter(pl.col("event_type") == "POSITION_UPDATE").rename({"actor": "player"})
    taken = observed(numbered, positions, keep=_KEPT).sort("arrival")
    columns = {name: taken[name].to_list() if name in taken.columns else [None] * taken.height for name in NAMED}
    names, texts = _numbered(columns)
    return Arrivals(
        found[0],
        np.array(taken["t_ms"], dtype=np.int64),
        np.array(taken["seq"], dtype=np.int64),
        np.array(taken["rank"], dtype=np.int64),
        taken["event_id"].to_list(),
        names,
        texts,
        matrix(taken.with_columns(numbered["round"], *(pl.lit(-1).alias(name) for name in NAMED))),
        taken["telling"].to_list(),
    )


def arrivals_of(drafts: Sequence[Draft]) -> Arrivals:
    """Events of one match as arrays, a few of them quicker than `arrivals` and to the same values.

    Args:
        drafts: at least one, in the order of their arrival, with their times.

    Raises:
        NotOneMatch: if there is none, or they are of more than one match.
    """
    found = {draft.match_id for draft in drafts}
    if len(found) != 1:
        raise NotOneMatch(f"expected events of one match, got those of {sorted(found)}")
    kinds = [KINDS.get(draft.event_type, kernel.NOTHING) for draft in drafts]
    names: dict[str, list[str | None]] = {name: [None] * len(drafts) for name in NAMED}
    rows = []
    for place, (draft, kind) in enumerate(zip(drafts, kinds, strict=True)):
        if kind >= kernel.POSITION:
            for name in NAMED:
                names[name][place] = getattr(draft, name)
        if kind == kernel.POSITION:
            names["target"][place] = None
            state: tuple[int | None, ...] = (draft.yaw_mdeg, draft.hp, draft.armor, draft.has_bomb, draft.has_kit, None)
            objective: tuple[int | None, ...] = (draft.objective_x_mm, draft.objective_y_mm, draft.objective_z_mm)
        else:
            state, objective = (None, None, None, None, None, draft.amount), (None, None, None)
        told = (draft.round, draft.x_mm, draft.y_mm, draft.z_mm, *state, *objective)
        rows.append((kind, -1, -1, -1, -1, *(kernel.NULL if value is None else value for value in told)))
    return Arrivals(
        drafts[0].match_id,
        np.array([draft.t_ms for draft in drafts], dtype=np.int64),
        np.array([draft.seq for draft in drafts], dtype=np.int64),
        np.array([TYPE_RANK.get(draft.event_type, _OTHER) for draft in drafts], dtype=np.int64),
        [draft.event_id for draft in drafts],
        *_numbered(names),
        np.array(rows, dtype=np.int32),
        [draft.payload if draft.event_type in _TELLING else None for draft in drafts],
    )


def joined(one: Arrivals, other: Arrivals) -> Arrivals:
    """Events of one match that arrived in two parts, one after the other."""
    names = np.where(other.names < 0, other.names, other.names + len(one.texts)).astype(np.int32)
    return Arrivals(
        one.match_id,
        np.concatenate([one.t_ms, other.t_ms]),
        np.concatenate([one.seq, other.seq]),
        np.concatenate([one.rank, other.rank]),
        [*one.event_id, *other.event_id],
        np.concatenate([one.names, names]),
        [*one.texts, *other.texts],
        np.concatenate([one.events, other.events]),
        [*one.telling, *other.telling],
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


def _numbered(columns: Mapping[str, Sequence[str | None]]) -> tuple[NDArray[np.int32], list[str]]:
    """Names by the places of their texts, and the texts."""
    places: dict[str, int] = {}
    numbers = [
        [-1 if name is None else places.setdefault(name, len(places)) for name in columns[column]] for column in NAMED
    ]
    return np.array(numbers, dtype=np.int32).T, list(places)
