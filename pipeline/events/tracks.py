"""Tracks: the position updates of a match, player by player.

Belongs here: selecting, naming and sorting. Does not belong here: reading positions (`pipeline.events.sources`),
anything computed from them (`pipeline.features`).
"""

from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl

from pipeline.events.drafts import text_codes
from pipeline.events.spool import Pigeonholes
from pipeline.tables import TABLES

_COLUMNS = tuple(TABLES["tracks"].column_names())


class Tracks:
    """The table `tracks` of a match, dealt out to groups of players while its events pass by in total order.

    A group has no more rows than may stand in memory at once, or one player, whose updates lie in order already.

    Args:
        updates: how many updates each player has.
        rows: how many rows may stand in memory at once.
    """

    def __init__(self, updates: Mapping[str, int], rows: int) -> None:
        self._groups = _groups(updates, rows)
        self._group_of = pl.DataFrame(
            [(player, group) for group, players in enumerate(self._groups) for player in players],
            schema={"player": text_codes(), "group": pl.Int64()},
            orient="row",
        )
        self._holes = Pigeonholes(len(self._groups))

    def add(self, events: pl.DataFrame) -> None:
        """Takes the updates of the next events, with rounds, teams and sides."""
        updates = events.filter(pl.col("event_type") == "POSITION_UPDATE").rename({"actor": "player"}).select(_COLUMNS)
        if updates.is_empty():
            return
        if len(self._groups) == 1:
            self._holes.add(0, updates)
            return
        grouped = updates.join(self._group_of, on="player", how="left", maintain_order="left")
        for (group,), part in grouped.partition_by("group", include_key=False, as_dict=True).items():
            self._holes.add(int(group), part)

    def __iter__(self) -> Iterator[pl.DataFrame]:
        """The rows sorted by `(player, t_ms, seq, event_id)`."""
        for group, players in enumerate(self._groups):
            if len(players) == 1:
                yield from self._holes.pieces(group)
            else:
                yield _by_player(pl.concat(self._holes.pieces(group)), players)


def _groups(updates: Mapping[str, int], rows: int) -> list[list[str]]:
    groups: list[list[str]] = []
    size = rows
    for player in sorted(updates):
        if size + updates[player] > rows:
            groups.append([])
            size = 0
        groups[-1].append(player)
        size += updates[player]
    return groups


def _by_player(updates: pl.DataFrame, players: list[str]) -> pl.DataFrame:
    """Each player's updates in the order in which they lie, players in the order in which they are named."""
    codes = pl.Series(players, dtype=updates.schema["player"]).to_physical().to_numpy()
    ranks = np.zeros(int(codes.max()) + 1, np.int32)
    ranks[codes] = np.arange(len(players))
    rank = ranks[updates["player"].to_physical().to_numpy()]
    return updates[np.argsort(rank.astype(np.min_scalar_type(len(players))), kind="stable")]
