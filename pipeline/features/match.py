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
from pipeline.features.carry import Carry, Cast, Rows
from pipeline.features.definition import FEATURES
from pipeline.features.pack import cast_of, pack
from pipeline.tables import conform, empty


class SpanTooLong(PipelineError):
    """From a match's first event that can change a feature to its last passes more time than a match can take."""


def match_features(
    match: pl.DataFrame, events: pl.DataFrame, tracks: pl.DataFrame, config: FeaturesConfig | None = None
) -> pl.DataFrame:
    """The declared features of every player at every instant of a match.

    One call of the kernel on an empty carry. The end of the log decides the next instant of the grid, so that a lone
    event has its row.

    Args:
        match: the match's row of table `matches`.
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
    cast = cast_of(match, events, tracks)
    batch = pack(cast, events, tracks)
    matters = np.flatnonzero(batch.events[:, kernel.KIND] != kernel.NOTHING)
    if not len(matters):
        return empty("features")
    batch = batch[int(matters[0]) :]  # a feed may open a day before its match, and nothing till then makes a row
    first, last = int(batch.t_ms[0]), int(batch.t_ms[-1])
    if last - first > config.max_span_ms:
        raise SpanTooLong(f"{match['match_id'].item()}: events from {first} to {last} ms, at most {config.max_span_ms}")
    rows = Carry(cast, config).advance(batch, until_ms=-(-last // config.grid_ms) * config.grid_ms)
    return frame(rows, cast, match["match_id"].item())


def frame(rows: Rows, cast: Cast, match_id: str) -> pl.DataFrame:
    """Rows of the kernel as table `features`.

    Args:
        rows: what `Carry.advance` gave.
        cast: the names behind the indices.
        match_id: of the match.
    """
    t_ms, player, round_, team, side = (rows.keys[:, column].copy() for column in range(kernel.KEY_COLUMNS))
    columns = {
        "match_id": pl.repeat(match_id, len(t_ms), dtype=pl.String, eager=True),
        "round": pl.Series(round_).replace(kernel.NULL, None),
        "player": _names(player, cast.players),
        "t_ms": pl.Series(t_ms),
        "team": _names(team, cast.teams),
        "side": _names(side, cast.sides),
        **{
            feature.name: pl.Series(values).fill_nan(None).cast(pl.Int32 if feature.integer else pl.Float32)
            for feature, values in zip(FEATURES, rows.values, strict=True)
        },
    }
    return conform("features", pl.DataFrame(columns))


def _names(indices: NDArray[np.int64], known: tuple[str, ...]) -> pl.Series:
    names = pl.Series(known, dtype=pl.String)
    return names.gather(pl.Series(indices).replace(-1, None).cast(pl.UInt32))
