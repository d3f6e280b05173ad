"""All rows of a match in one name: what a running match and its recording are held against each other by.

Belongs here: a chain of hashes over instants, taken row by row as they are decided or all at once from tables. Does not
belong here: who compares them (`closing`).

A link is the SHA-256 of the link before it and of everything that an instant says: its time, the players, their feature
vectors and probabilities, to the last bit. So two matches with the same last link have the same rows.
"""

import hashlib
import struct
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.intents.model import vectors
from pipeline.intents.vocabulary import PROBABILITIES

START = ""
"""The name of no rows."""

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


def named(player: str, team: str | None, side: str | None) -> str:
    """Whom a row is about, in one text."""
    return f"{player}\0{team or ''}\0{side or ''}"


def together(who: Sequence[str]) -> bytes:
    """Whom the rows of an instant are about."""
    return "\n".join(who).encode() + b"\n"


def rows_of(values: Floats) -> Floats:
    """Feature vectors (features, n) as rows in memory, every unknown value with the same bits."""
    rows = np.array(values.T, order="C")
    rows[np.isnan(rows)] = np.nan
    return rows


def extended(link: str, t_ms: int, who: bytes, rounds: Ints, rows: Floats, probabilities: Floats) -> str:
    """The link behind a further instant.

    Args:
        link: the one before; `START` at first.
        t_ms: of the instant.
        who: player, team and side of each row, as `named` and `together` put them.
        rounds: of the rows, -1 for none, int64 (n,).
        rows: their vectors as `rows_of` gives them.
        probabilities: of their intents, (n, 9).

    Returns:
        64 hex digits.
    """
    digest = hashlib.sha256(link.encode())
    digest.update(struct.pack("<q", t_ms))
    digest.update(who)
    digest.update(np.ascontiguousarray(rounds, dtype=np.int64).data)
    digest.update(np.ascontiguousarray(rows, dtype=np.float32).data)
    digest.update(np.ascontiguousarray(probabilities, dtype=np.float32).data)
    return digest.hexdigest()


def of_tables(features: pl.DataFrame, intents: pl.DataFrame) -> str:
    """The last link of a recorded match.

    Args:
        features: table `features`.
        intents: table `intents` in the order of the features.
    """
    order = features.select(pl.arg_sort_by("t_ms", "player")).to_series()
    told = features.select("t_ms", "player", pl.col("team", "side").cast(pl.String), pl.col("round").fill_null(-1))[
        order
    ]
    t_ms, rounds = told["t_ms"].to_numpy(), told["round"].cast(pl.Int64).to_numpy()
    who = [named(*row) for row in told.select("player", "team", "side").iter_rows()]
    rows = rows_of(vectors(features))[order.to_numpy()]
    probabilities = intents.select(PROBABILITIES).to_numpy()[order.to_numpy()].astype(np.float32)
    link, cuts = START, (np.flatnonzero(np.diff(t_ms)) + 1).tolist()
    for first, end in zip([0, *cuts], [*cuts, len(t_ms)], strict=True):
        if first < end:
            part = slice(first, end)
            link = extended(link, int(t_ms[first]), together(who[part]), rounds[part], rows[part], probabilities[part])
    return link
