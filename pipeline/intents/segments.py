"""Table `segments`: stretches of one intent of one player.

Belongs here: from table `intents` to table `segments`, ids.
Does not belong here: when a stretch begins and ends (`segmenter`), what an instant means (`prediction`), why somebody
should look at it (`review`).
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import polars as pl

from configs.features import load_features
from configs.intents import IntentsConfig, load_intents
from configs.review import ReasonsConfig
from pipeline.errors import PipelineError
from pipeline.intents.heuristics import Rules
from pipeline.intents.prediction import Prediction, deciders
from pipeline.intents.review import reasons
from pipeline.intents.segmenter import Advanced, Ints, SegmenterState, advance, finish
from pipeline.intents.vocabulary import INTENTS, PROBABILITIES
from pipeline.tables import conform

MILLION = 1_000_000
NO_ROUND = -1


class UnknownDecider(PipelineError):
    """A row of table `intents` was decided by a rule or model that this configuration does not know."""


def segment(
    intents: pl.DataFrame,
    features: pl.DataFrame,
    *,
    model_version: str,
    config: IntentsConfig | None = None,
    review_threshold: float,
    review: ReasonsConfig | None = None,
) -> pl.DataFrame:
    """The stretches of one intent of every player of a match.

    Args:
        intents: table `intents` of one match.
        features: table `features` of that match, for team and side.
        model_version: the model that answered where no rule did.
        config: margins and least lengths; `configs/intents.yaml` if None.
        review_threshold: a confidence below it is a reason for review.
        review: what else is; `configs/review.yaml` if None.

    Returns:
        Table `segments`, sorted by player and time. Confidence is the mean probability of the segment's intent over
        its rows; `decided_by` is who decided most of the rows that spoke for it.

    Raises:
        UnknownDecider: if a row was decided by an unknown rule or another model.
        UnknownIntent: if the configuration calls sensitive what is no intent.
    """
    config = config or load_intents()
    state = begin(config)
    closed = [extend(state, intents.sort("t_ms"), model_version=model_version, config=config)]
    closed.append(finish(state, grid_ms=load_features().grid_ms))
    match_id = intents["match_id"][0] if intents.height else ""
    found = describe(match_id, state, np.concatenate(closed), model_version=model_version, config=config)
    start = ["player", "from_ms"]
    sides = features.select("player", pl.col("t_ms").alias("from_ms"), "team", "side")
    sides = sides.join(found.select(start), on=start, how="semi").unique(start, keep="first")
    found = found.hstack([reasons(found, intents, threshold=review_threshold, config=review)])
    return conform("segments", found.join(sides, on=start, how="left").sort(start))


def begin(config: IntentsConfig) -> SegmenterState:
    """The state before a match's first row."""
    return SegmenterState(deciders=len(config.heuristics) + 1)  # the rules and the model


def extend(state: SegmenterState, intents: pl.DataFrame, *, model_version: str, config: IntentsConfig) -> Ints:
    """Takes in further rows, which must follow those before in each player's time.

    Args:
        state: changed in place.
        intents: rows of table `intents` of one match, each player's in order of time.
        model_version: as in `segment`.
        config: as in `segment`.

    Returns:
        The segments that these rows closed, as `segmenter.Advanced.closed` has them.

    Raises:
        UnknownDecider: if a row was decided by an unknown rule or another model.
    """
    players = intents["player"].unique(maintain_order=True)
    slots = state.indices(players.to_list())
    prediction = Prediction(
        intents.select(PROBABILITIES).to_numpy(),
        _places(intents["intent"], INTENTS),
        _deciders(intents["decided_by"], model_version, config),
        intents["model_against"].fill_null(np.nan).to_numpy(),
    )
    rounds = intents["round"].cast(pl.Int64).fill_null(NO_ROUND).to_numpy()
    return take_in(
        state, slots[_places(intents["player"], players)], intents["t_ms"].to_numpy(), rounds, prediction, config
    ).closed


def take_in(
    state: SegmenterState, slots: Ints, t_ms: Ints, rounds: Ints, prediction: Prediction, config: IntentsConfig
) -> Advanced:
    """What `extend` does, from arrays, and which segments opened.

    Args:
        state: changed in place.
        slots: of each row's player, from `SegmenterState.indices`, int64 (n,).
        t_ms: int64 (n,).
        rounds: int64 (n,), NO_ROUND where there is none.
        prediction: of the n rows.
        config: as in `segment`.
    """
    return advance(
        state,
        slots,
        t_ms,
        rounds,
        np.rint(prediction.probabilities.astype(np.float64, order="C") * MILLION).astype(np.int64),
        prediction.decider,
        least_ms=np.array([config.segments.least_ms[intent] for intent in INTENTS], dtype=np.int64),
        margin=round(config.segments.switch_margin * MILLION),
        grid_ms=load_features().grid_ms,
    )


def describe(
    match_id: str, state: SegmenterState, closed: Ints, *, model_version: str, config: IntentsConfig
) -> pl.DataFrame:
    """Closed segments in the columns of table `segments`, without team, side and review reasons."""
    slot, round_, from_ms, to_ms, intent, confidence, decider = (pl.Series(column) for column in closed.T.copy())
    players, names = pl.Series(state.players, dtype=pl.String), deciders(Rules.configured(config), model_version)
    frame = pl.DataFrame(
        {
            "match_id": pl.repeat(match_id, len(closed), dtype=pl.String, eager=True),
            "round": round_.replace(NO_ROUND, None).cast(pl.Int32),
            "player": players.gather(slot),
            "from_ms": from_ms,
            "to_ms": to_ms,
            "intent": pl.Series(INTENTS).gather(intent),
            "confidence": confidence / MILLION,
            "decided_by": pl.Series(names).gather(decider),
            "model_version": pl.repeat(model_version, len(closed), dtype=pl.String, eager=True),
        }
    )
    named = zip(*(frame[column].to_list() for column in ("match_id", "player", "from_ms", "intent")), strict=True)
    return frame.with_columns(pl.Series("segment_id", [segment_id(*names) for names in named], dtype=pl.String))


def segment_id(match_id: str, player: str, from_ms: int, intent: str) -> str:
    """The first 16 hex digits of the SHA-256 of the four, separated by a zero byte."""
    return hashlib.sha256("\0".join((match_id, player, str(from_ms), intent)).encode()).hexdigest()[:16]


def _deciders(decided_by: pl.Series, model_version: str, config: IntentsConfig) -> Ints:
    known = deciders(Rules.configured(config), model_version)
    if unknown := sorted(set(decided_by.unique()) - set(known)):
        raise UnknownDecider(f"rows decided by {', '.join(unknown)}; known are {', '.join(known)}")
    return _places(decided_by, known)


def _places(values: pl.Series, known: Sequence[str] | pl.Series) -> Ints:
    """Place of each value among the known ones, int64 (n,)."""
    return values.cast(pl.Enum(known)).to_physical().cast(pl.Int64).to_numpy()
