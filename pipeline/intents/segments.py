"""Table `segments`: stretches of one intent of one player.

Belongs here: from table `intents` to table `segments`, ids and reasons for review.
Does not belong here: when a stretch begins and ends (`segmenter`), what an instant means (`prediction`), who reviews.
"""

import hashlib

import numpy as np
import polars as pl

from configs.features import load_features
from configs.intents import IntentsConfig, load_intents
from pipeline.errors import PipelineError
from pipeline.intents.prediction import deciders
from pipeline.intents.segmenter import Ints, SegmenterState, advance, finish
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
) -> pl.DataFrame:
    """The stretches of one intent of every player of a match.

    Args:
        intents: table `intents` of one match.
        features: table `features` of that match, for team and side.
        model_version: the model that answered where no rule did.
        config: margins and least lengths; `configs/intents.yaml` if None.
        review_threshold: a confidence below it is a reason for review.

    Returns:
        Table `segments`, sorted by player and time. Confidence is the mean probability of the segment's intent over
        its rows; `decided_by` is who decided most of the rows that spoke for it.

    Raises:
        UnknownDecider: if a row was decided by an unknown rule or another model.
    """
    config = config or load_intents()
    state = begin(config)
    closed = extend(state, intents.sort("player", "t_ms"), model_version=model_version, config=config)
    closed = np.concatenate([closed, finish(state, grid_ms=load_features().grid_ms)])
    match_id = intents["match_id"][0] if intents.height else ""
    found = describe(match_id, state, closed, model_version=model_version, config=config)
    reasons = {
        "low_confidence": pl.col("confidence") < review_threshold,
        "sensitive_intent": pl.col("intent").is_in(config.segments.sensitive),
    }
    sides = features.select("player", "t_ms", "team", "side").unique(["player", "t_ms"], keep="first")
    return conform(
        "segments",
        found.join(sides, left_on=["player", "from_ms"], right_on=["player", "t_ms"], how="left")
        .with_columns(
            pl.concat_list(
                pl.when(holds).then(pl.lit(reason)).otherwise(pl.lit(None, dtype=pl.String))
                for reason, holds in reasons.items()
            )
            .list.drop_nulls()
            .alias("review_reasons")
        )
        .sort("player", "from_ms"),
    )


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
        The segments that these rows closed, as `segmenter.advance` returns them.

    Raises:
        UnknownDecider: if a row was decided by an unknown rule or another model.
    """
    shares = intents.select(PROBABILITIES).to_numpy().astype(np.float64)
    return advance(
        state,
        state.indices(intents["player"].to_list()),
        intents["t_ms"].to_numpy(),
        intents["round"].cast(pl.Int64).fill_null(NO_ROUND).to_numpy(),
        np.ascontiguousarray(np.rint(shares * MILLION).astype(np.int64)),
        _deciders(intents["decided_by"], model_version, config),
        least_ms=np.array([config.segments.least_ms[intent] for intent in INTENTS], dtype=np.int64),
        margin=round(config.segments.switch_margin * MILLION),
        grid_ms=load_features().grid_ms,
    )


def describe(
    match_id: str, state: SegmenterState, closed: Ints, *, model_version: str, config: IntentsConfig
) -> pl.DataFrame:
    """Closed segments in the columns of table `segments`, without team, side and review reasons."""
    names = deciders(config, model_version)
    rows = [
        {
            "segment_id": segment_id(match_id, state.players[slot], start, INTENTS[intent]),
            "match_id": match_id,
            "round": None if round_ == NO_ROUND else round_,
            "player": state.players[slot],
            "from_ms": start,
            "to_ms": stop,
            "intent": INTENTS[intent],
            "confidence": confidence / MILLION,
            "decided_by": names[decider],
            "model_version": model_version,
        }
        for slot, round_, start, stop, intent, confidence, decider in closed.tolist()
    ]
    types = {"round": pl.Int32, "from_ms": pl.Int64, "to_ms": pl.Int64, "confidence": pl.Float64}
    columns = ("segment_id", "match_id", "round", "player", "from_ms", "to_ms", "intent", "confidence", "decided_by")
    return pl.DataFrame(rows, schema={name: types.get(name, pl.String) for name in (*columns, "model_version")})


def segment_id(match_id: str, player: str, from_ms: int, intent: str) -> str:
    """The first 16 hex digits of the SHA-256 of the four, separated by a zero byte."""
    return hashlib.sha256("\0".join((match_id, player, str(from_ms), intent)).encode()).hexdigest()[:16]


def _deciders(decided_by: pl.Series, model_version: str, config: IntentsConfig) -> Ints:
    places = {name: place for place, name in enumerate(deciders(config, model_version))}
    if unknown := sorted(set(decided_by.unique()) - set(places)):
        raise UnknownDecider(f"rows decided by {', '.join(unknown)}; known are {', '.join(places)}")
    return decided_by.replace_strict(places, return_dtype=pl.Int64).to_numpy()
