"""The features of a whole recorded match.

Belongs here: tables in, table `features` out. Does not belong here: reading or writing tables (`resources.store`),
anything that looks later than the instant it describes (`pipeline.intents.labels`).
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from configs.features import FeaturesConfig, load_features
from pipeline.errors import PipelineError
from pipeline.features import kernel
from pipeline.features.carry import Carry, Cast, Rows, joined
from pipeline.features.definition import FEATURES, NAMES
from pipeline.features.pack import before_opening, cast_and_pack, from_first_that_matters
from pipeline.tables import conform, empty


class SpanTooLong(PipelineError):
    """From a match's first event that can change a feature to its last passes more time than a match can take."""


def match_features(
    match: pl.DataFrame, events: pl.DataFrame, tracks: pl.DataFrame, config: FeaturesConfig | None = None
) -> pl.DataFrame:
    """The declared features of every player at every instant of a match.

    One call of the kernel on an empty carry; two where events come before the MATCH_STARTED, since rosters and
    objectives are known from there on. The end of the log decides the next instant of the grid, so that a lone event
    has its row.

    Args:
        match: the match's row of table `matches`, of which only its name counts.
        events: its table `events`.
        tracks: its table `tracks`.
        config: windows and limits; `configs/features.yaml` by default.

    Returns:
        Table `features`, by `t_ms` and `player`: every 250 ms, ROUND_LIVE ≤ t < ROUND_ENDED (always as long as the log
        has told of no round), for each player seen in the round and alive.

    Raises:
        NotOneMatch: if the frames are not of one match.
        SpanTooLong: if the match lasts longer than configured.
        RingFull: if a player has more samples or combat events in a window than configured.
    """
    config = config or load_features()
    cast, whole = cast_and_pack(match, events, tracks)
    batch = from_first_that_matters(whole)
    if not len(batch):
        return empty("features")
    first, last = int(batch.t_ms[0]), int(batch.t_ms[-1])
    if last - first > config.max_span_ms:
        raise SpanTooLong(f"{match['match_id'].item()}: events from {first} to {last} ms, at most {config.max_span_ms}")
    opening = max(0, before_opening(events, tracks) - (len(whole) - len(batch)))
    carry = Carry(cast.unopened if opening else cast, config)
    parts = []
    if opening:
        parts.append(carry.advance(batch[:opening], until_ms=int(batch.t_ms[opening]) - 1))
        carry.grow(cast)
    parts.append(carry.advance(batch[opening:], until_ms=-(-last // config.grid_ms) * config.grid_ms))
    return frame(joined(parts), cast, match["match_id"].item())


def frame(rows: Rows, cast: Cast, match_id: str) -> pl.DataFrame:
    """Rows of the kernel as table `features`.

    Args:
        rows: what `Carry.advance` gave.
        cast: the names behind the indices.
        match_id: of the match.
    """
    t_ms, player, round_, team, side = (rows.keys[:, column].copy() for column in range(kernel.KEY_COLUMNS))
    keys = {
        "match_id": pl.repeat(match_id, len(t_ms), dtype=pl.String, eager=True),
        "round": pl.Series(round_).replace(kernel.NULL, None).cast(pl.Int32),
        "player": _names(player, cast.players),
        "t_ms": t_ms,
        "team": _names(team, cast.teams),
        "side": _names(side, cast.sides),
    }
    known = (pl.col(feature.name).fill_nan(None) for feature in FEATURES)
    typed = (value.cast(pl.Int32) if feature.integer else value for feature, value in zip(FEATURES, known, strict=True))
    values = dict(zip(NAMES, rows.values, strict=True))
    return conform("features", pl.DataFrame({**keys, **values}).with_columns(*typed))


def _names(indices: NDArray[np.int64], known: tuple[str, ...]) -> pl.Series:
    names = pl.Series(known, dtype=pl.String)
    return names.gather(pl.Series(indices).replace(-1, None).cast(pl.UInt32))
