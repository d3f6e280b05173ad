"""Frames into the kernel's integers: who is who, and every event as one row of `kernel.EVENT_COLUMNS`.

Belongs here: the mapping of tables to `Cast` and `Batch`. Does not belong here: what an event does (`kernel`).
"""

from dataclasses import replace

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from configs.maps import load_maps
from configs.titles import load_titles
from pipeline.errors import PipelineError
from pipeline.events.matches import objectives
from pipeline.events.model import TYPE_RANK
from pipeline.features import kernel
from pipeline.features.carry import Batch, CastMismatch
from pipeline.features.cast import Cast

_COLUMNS: tuple[str, ...] = (
    "kind",
    "actor",
    "target",
    "team",
    "side",
    "round",
    "x_mm",
    "y_mm",
    "z_mm",
    "yaw_mdeg",
    "hp",
    "armor",
    "has_bomb",
    "has_kit",
    "amount",
    "objective_x_mm",
    "objective_y_mm",
    "objective_z_mm",
)
"""In the order of the kernel's event columns."""

NAMED: dict[str, str] = {"actor": "players", "target": "players", "team": "teams", "side": "sides"}
"""Event columns that hold a name, and the field of `Cast` whose index stands for it in the kernel; -1 for none."""
NAME_COLUMNS: tuple[int, ...] = tuple(map(_COLUMNS.index, NAMED))
"""Their places in the kernel's event matrix."""

_ORDER = ("t_ms", "seq", "rank")
_OTHER = TYPE_RANK["OTHER"]


class NotOneMatch(PipelineError):
    """The frames are not of exactly one match."""


def cast_of(match: pl.DataFrame, events: pl.DataFrame, tracks: pl.DataFrame) -> Cast:
    """The names that occur in a match, and what its first MATCH_STARTED tells: objectives, freeze time.

    Args:
        match: one row of table `matches`, which says whose rows the others must be; it may know more than the match
            told when it started, so nothing else is taken from it.
        events: table `events` of that match.
        tracks: table `tracks` of that match.

    Raises:
        NotOneMatch: if `match` has not one row, or another match's rows are among the others.
    """
    return grown(_opening(match, events, tracks), events, tracks)


def grown(cast: Cast, events: pl.DataFrame, tracks: pl.DataFrame) -> Cast:
    """The cast with the names that these rows of tables `events` and `tracks` add."""
    return _grown(cast, _told(events), _seen(tracks))


def opened(cast: Cast, payload: str) -> Cast:
    """The cast once a match has told its title and its map: its objectives, and whether there is freeze time.

    Args:
        cast: the names.
        payload: of the first MATCH_STARTED.
    """
    known = msgspec.json.decode(payload)
    points = tuple(
        (o["x_mm"], kernel.NULL if o["y_mm"] is None else o["y_mm"], o["z_mm"]) for o in objectives(known, load_maps())
    )
    return replace(cast, objectives=points, no_freeze=not load_titles().find(known.get("title")).freeze_time)


def before_opening(events: pl.DataFrame, tracks: pl.DataFrame) -> int:
    """How many events of `pack` come before the first MATCH_STARTED, which tells title and map; 0 without one.

    Args:
        events: table `events`.
        tracks: table `tracks`.
    """
    opening = events.filter(pl.col("event_type") == "MATCH_STARTED").select("t_ms", "seq").head(1)
    if opening.is_empty():
        return 0
    t_ms, seq = opening.row(0)
    earlier = (pl.col("t_ms") < t_ms) | ((pl.col("t_ms") == t_ms) & (pl.col("seq") < seq))
    told = events.filter(earlier & (pl.col("event_type") != "POSITION_UPDATE"))
    return told.height + tracks.filter(earlier).height


def from_first_that_matters(batch: Batch) -> Batch:
    """The batch without the events at its head that change no feature: a feed may open a day before its match."""
    matters = np.flatnonzero(batch.events[:, kernel.KIND] != kernel.NOTHING)
    return batch[int(matters[0]) :] if len(matters) else batch[:0]


def pack(cast: Cast, events: pl.DataFrame, tracks: pl.DataFrame) -> Batch:
    """Events and positions of one match in total order.

    Positions come from `tracks`, everything else from `events`; a type that changes no feature becomes an event that
    only moves time. Rows of the same `(t_ms, seq, type)` keep the order of their frames: that of event ids, but for
    positions that of the players, which can't show, as a position changes only its own player.

    Args:
        cast: the names; every player, team and side of the frames is in it.
        events: table `events`.
        tracks: table `tracks`.

    Raises:
        CastMismatch: if a name is not in the cast.
    """
    return _packed(cast, _told(events), _seen(tracks))


def cast_and_pack(match: pl.DataFrame, events: pl.DataFrame, tracks: pl.DataFrame) -> tuple[Cast, Batch]:
    """Both `cast_of` and `pack` of a match."""
    told, seen = _told(events), _seen(tracks)
    cast = _grown(_opening(match, events, tracks), told, seen)
    return cast, _packed(cast, told, seen)


def observed(events: pl.DataFrame, tracks: pl.DataFrame, *, keep: tuple[str, ...] = ()) -> pl.DataFrame:
    """What the kernel takes of events and positions, one row each, names as they are.

    Args:
        events: table `events`; its position updates are left out.
        tracks: table `tracks`.
        keep: further columns of both that shall stay.

    Returns:
        `t_ms`, `seq`, `rank` (place of the type in the total order), the kernel's event columns and those to keep.
    """
    return pl.concat([_told(events, keep), _seen(tracks, keep)], how="diagonal")


def matrix(frame: pl.DataFrame, cast: Cast | None = None) -> NDArray[np.int32]:
    """The kernel's event matrix, int32 (n, `kernel.EVENT_COLUMNS`), of rows of `observed`.

    Args:
        frame: the rows.
        cast: the indices of their names; without one, every name is left at -1.

    Raises:
        CastMismatch: if a name is not in the cast.
    """
    columns: list[pl.Series] = []
    for name in _COLUMNS:
        if name in NAMED:
            known = cast is not None and name in frame.columns
            column = _indices(frame[name], getattr(cast, NAMED[name])) if known else _constant(-1, frame)
        elif name in frame.columns:
            column = frame[name].cast(pl.Int32).fill_null(kernel.NULL)
        else:
            column = _constant(kernel.NULL, frame)
        columns.append(column.alias(name))
    return pl.DataFrame(columns).to_numpy(order="c", writable=True)


def _constant(value: int, frame: pl.DataFrame) -> pl.Series:
    return pl.repeat(value, frame.height, dtype=pl.Int32, eager=True)


def _opening(match: pl.DataFrame, events: pl.DataFrame, tracks: pl.DataFrame) -> Cast:
    """Nobody yet, around what the first MATCH_STARTED tells; without one nothing is known."""
    if match.height != 1:
        raise NotOneMatch(f"expected one row of matches, got {match.height}")
    match_id = match["match_id"].item()
    for table, frame in (("events", events), ("tracks", tracks)):
        if (frame["match_id"] != match_id).any():
            raise NotOneMatch(f"{table} holds {sorted(frame['match_id'].unique())}, expected only {match_id}")
    told = events.filter(pl.col("event_type") == "MATCH_STARTED")["payload"].head(1).to_list()
    return opened(Cast(), told[0]) if told else Cast()


def _grown(cast: Cast, told: pl.DataFrame, seen: pl.DataFrame) -> Cast:
    return cast.grown(
        players=_names(seen["actor"], told["actor"], told["target"]),
        teams=_names(seen["team"], told["team"]),
        sides=_names(seen["side"], told["side"]),
    )


def _packed(cast: Cast, told: pl.DataFrame, seen: pl.DataFrame) -> Batch:
    t_ms, seq, rank = (np.concatenate([told[name].to_numpy(), seen[name].to_numpy()]) for name in _ORDER)
    order = np.lexsort((rank, seq, t_ms))
    events = np.concatenate([matrix(told, cast), matrix(seen, cast)])
    return Batch(t_ms[order], np.take(events, order, axis=0))


def _indices(names: pl.Series, known: tuple[str, ...]) -> pl.Series:
    """Index of each name, -1 for none; by runs, since tables are sorted by player."""
    runs = names.rle().struct.unnest()
    places = dict(zip(known, range(len(known)), strict=True))
    values = runs["value"].to_list()
    if unknown := sorted({value for value in values if value is not None} - places.keys()):
        raise CastMismatch(f"the cast lacks {', '.join(unknown)}")
    indices = np.array([-1 if value is None else places[value] for value in values], dtype=np.int32)
    return pl.Series(indices.repeat(runs["len"].to_numpy()))


def _names(*columns: pl.Series) -> list[str]:
    return list(dict.fromkeys(name for column in columns for name in _runs(column) if name is not None))


def _runs(column: pl.Series) -> list[str | None]:
    return column.rle().struct.field("value").to_list()


def _told(events: pl.DataFrame, keep: tuple[str, ...] = ()) -> pl.DataFrame:
    kinds = {name: code for code, name in enumerate(kernel.KINDS)}
    acting = pl.col("kind") > kernel.POSITION
    return (
        events.lazy()
        .filter(pl.col("event_type") != "POSITION_UPDATE")
        .select(
            "t_ms",
            "seq",
            pl.col("event_type").replace_strict(TYPE_RANK, default=_OTHER, return_dtype=pl.Int32).alias("rank"),
            pl.col("event_type").replace_strict(kinds, default=kernel.NOTHING, return_dtype=pl.Int32).alias("kind"),
            "actor",
            "target",
            "team",
            "side",
            "round",
            "x_mm",
            "y_mm",
            "z_mm",
            "amount",
            *keep,
        )
        .with_columns(pl.when(acting).then(pl.col("actor", "target", "team", "side")))
        .collect()
    )


def _seen(tracks: pl.DataFrame, keep: tuple[str, ...] = ()) -> pl.DataFrame:
    return tracks.select(
        "t_ms",
        "seq",
        pl.lit(TYPE_RANK["POSITION_UPDATE"], dtype=pl.Int32).alias("rank"),
        pl.lit(kernel.POSITION, dtype=pl.Int32).alias("kind"),
        pl.col("player").alias("actor"),
        "team",
        "side",
        "x_mm",
        "y_mm",
        "z_mm",
        "yaw_mdeg",
        "hp",
        "armor",
        "has_bomb",
        "has_kit",
        "objective_x_mm",
        "objective_y_mm",
        "objective_z_mm",
        *keep,
    )
