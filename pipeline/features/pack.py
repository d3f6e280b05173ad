"""Frames into the kernel's integers: who is who, and every event as one row of 64 bytes.

Belongs here: the mapping of tables to `Cast` and `Batch`. Does not belong here: what an event does (`kernel`).
"""

import numpy as np
import polars as pl

from pipeline.errors import PipelineError
from pipeline.events.model import TYPE_RANK, is_attacker
from pipeline.features import kernel
from pipeline.features.carry import Batch, Cast

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
    "has_bomb",
    "amount",
    "objective_x_mm",
    "objective_y_mm",
    "objective_z_mm",
)
"""In the order of the kernel's event columns."""


class NotOneMatch(PipelineError):
    """The frames are not of exactly one match."""


def cast_of(match: pl.DataFrame, events: pl.DataFrame, tracks: pl.DataFrame) -> Cast:
    """The names that occur in a match, and its objectives.

    Args:
        match: one row of table `matches`.
        events: table `events` of that match.
        tracks: table `tracks` of that match.

    Raises:
        NotOneMatch: if `match` has not one row, or another match's rows are among the others.
    """
    if match.height != 1:
        raise NotOneMatch(f"expected one row of matches, got {match.height}")
    row = match.row(0, named=True)
    for table, frame in (("events", events), ("tracks", tracks)):
        others = frame["match_id"].unique().to_list()
        if others not in ([], [row["match_id"]]):
            raise NotOneMatch(f"{table} holds {sorted(others)}, expected only {row['match_id']}")
    acting = _acting(events)
    rosters = {member["player"]: member["team"] for member in row["players"]}
    players = _sorted_names(
        pl.Series(list(rosters), dtype=pl.String), tracks["player"], acting["actor"], acting["target"]
    )
    named = pl.Series([*row["teams"], *rosters.values()], dtype=pl.String)
    teams = _sorted_names(named, tracks["team"], acting["team"])
    sides = _sorted_names(tracks["side"], acting["side"])
    roles = {True: 1, False: 0, None: -1}
    index = {team: k for k, team in enumerate(teams)}
    return Cast(
        players=players,
        teams=teams,
        sides=sides,
        attackers=tuple(roles[is_attacker(side)] for side in sides),
        rosters=tuple(index.get(rosters.get(player) or "", -1) for player in players),
        objectives=tuple(
            (o["x_mm"], kernel.NULL if o["y_mm"] is None else o["y_mm"], o["z_mm"]) for o in row["objectives"]
        ),
    )


def pack(cast: Cast, events: pl.DataFrame, tracks: pl.DataFrame) -> Batch:
    """Events and positions of one match in total order.

    Positions come from `tracks`, everything else from `events`; a type that changes no feature becomes an event that
    only moves time. Rows of the same `(t_ms, seq, type)` keep the order of their frames: that of event ids, but for
    positions that of the players, which can't show, as a position changes only its own player.

    Args:
        cast: the names; every player, team and side of the frames is in it.
        events: table `events`.
        tracks: table `tracks`.
    """
    frame = pl.concat([_told(events), _seen(tracks)], how="diagonal").sort("t_ms", "seq", "rank", maintain_order=True)
    names = {"actor": cast.players, "target": cast.players, "team": cast.teams, "side": cast.sides}
    coded = frame.with_columns(
        *(
            pl.col(column).cast(pl.Enum(known)).to_physical().cast(pl.Int32).fill_null(-1)
            for column, known in names.items()
        )
    )
    values = coded.select(pl.col(column).cast(pl.Int32).fill_null(kernel.NULL) for column in _COLUMNS)
    return Batch(
        np.require(coded["t_ms"].to_numpy(), dtype=np.int64, requirements=["C", "W"]),
        np.require(values.to_numpy(order="c"), dtype=np.int32, requirements=["C", "W"]),
    )


def _kind() -> pl.Expr:
    codes = {name: code for code, name in enumerate(kernel.KINDS)}
    return pl.col("event_type").replace_strict(codes, default=kernel.NOTHING, return_dtype=pl.Int32)


def _told(events: pl.DataFrame) -> pl.DataFrame:
    acting = pl.col("kind") > kernel.POSITION
    return (
        events.lazy()
        .filter(pl.col("event_type") != "POSITION_UPDATE")
        .select(
            "t_ms",
            "seq",
            pl.col("event_type").replace_strict(TYPE_RANK, default=TYPE_RANK["OTHER"]).cast(pl.Int32).alias("rank"),
            _kind().alias("kind"),
            "actor",
            "target",
            "team",
            "side",
            "round",
            "x_mm",
            "y_mm",
            "z_mm",
            "amount",
        )
        .with_columns(pl.when(acting).then(pl.col("actor", "target", "team", "side")))
        .collect()
    )


def _acting(events: pl.DataFrame) -> pl.DataFrame:
    return _told(events).select("actor", "target", "team", "side")


def _seen(tracks: pl.DataFrame) -> pl.DataFrame:
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
        pl.col("has_bomb").cast(pl.Int32),
        "objective_x_mm",
        "objective_y_mm",
        "objective_z_mm",
    )


def _sorted_names(*columns: pl.Series) -> tuple[str, ...]:
    return tuple(pl.concat([column.unique() for column in columns]).drop_nulls().unique().sort().to_list())
