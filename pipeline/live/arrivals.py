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
_KINDS = {name: code for code, name in enumerate(kernel.KINDS)}
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
        names: for each of `NAMED` n names or None.
        events: (n, `kernel.EVENT_COLUMNS`) int32, C order; -1 where a name's index belongs.
        telling: n payloads of MATCH_STARTED and ROUND_STARTED, None for any other type.
    """

    match_id: str
    t_ms: NDArray[np.int64]
    seq: NDArray[np.int64]
    rank: NDArray[np.int64]
    event_id: Sequence[str]
    names: Mapping[str, Sequence[str | None]]
    events: NDArray[np.int32]
    telling: Sequence[str | None]

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
            self.telling[part],
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
    found = arrivals_by_match(events)
    if len(found) != 1:
        raise NotOneMatch(f"expected events of one match, got those of {sorted(found)}")
    ((arrived, _),) = found.values()
    return arrived


def arrivals_by_match(events: pl.DataFrame) -> dict[str, tuple[Arrivals, NDArray[np.intp]]]:
    """Events of several matches as arrays, and which rows of the frame those of each match are.

    Args:
        events: as `arrivals` takes them.
    """
    tells = pl.col("event_type").is_in(_TELLING)
    numbered = events.with_row_index("arrival").with_columns(telling=pl.when(tells).then("payload"))
    positions = numbered.filter(pl.col("event_type") == "POSITION_UPDATE").rename({"actor": "player"})
    taken = observed(numbered, positions, keep=_KEPT).sort("arrival")
    t_ms, seq, rank = (np.array(taken[name], dtype=np.int64) for name in ("t_ms", "seq", "rank"))
    texts = {name: np.array(taken[name].to_list(), dtype=object) for name in (*NAMED, "event_id", "telling")}
    rows = matrix(taken.with_columns(numbered["round"], *(pl.lit(-1).alias(name) for name in NAMED)))
    matches = events["match_id"].to_list()
    names = list(dict.fromkeys(matches))
    places = {name: place for place, name in enumerate(names)}
    of = np.array([places[name] for name in matches], dtype=np.int64)
    order = np.argsort(of, kind="stable")
    found = {}
    for name, chosen in zip(names, np.split(order, np.cumsum(np.bincount(of))[:-1]), strict=True):
        found[name] = (
            Arrivals(
                name,
                t_ms[chosen],
                seq[chosen],
                rank[chosen],
                texts["event_id"][chosen].tolist(),
                {column: texts[column][chosen].tolist() for column in NAMED},
                rows[chosen],
                texts["telling"][chosen].tolist(),
            ),
            chosen,
        )
    return found


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
    kinds = [_KINDS.get(draft.event_type, kernel.NOTHING) for draft in drafts]
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
        names,
        np.array(rows, dtype=np.int32),
        [draft.payload if draft.event_type in _TELLING else None for draft in drafts],
    )


def joined(parts: Sequence[Arrivals]) -> Arrivals:
    """Events of one match that arrived in several parts, one after the other."""
    return Arrivals(
        parts[0].match_id,
        np.concatenate([part.t_ms for part in parts]),
        np.concatenate([part.seq for part in parts]),
        np.concatenate([part.rank for part in parts]),
        [event_id for part in parts for event_id in part.event_id],
        {name: [value for part in parts for value in part.names[name]] for name in NAMED},
        np.concatenate([part.events for part in parts]),
        [telling for part in parts for telling in part.telling],
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
