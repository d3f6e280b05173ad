"""Warnings of plants, defuses and trades against what the log tells of them.

Belongs here: when the acts were, when a probability warned, hits, false alarms and lead.
Does not belong here: labels (an act is the log's own event), what is done with a warning.

An *act* is a player's, from its start to its completion; a trade is over in an instant, the killing of whoever just
killed a teammate. An act is *on* from its start, a trade from the teammate's death. An *alarm* begins when the player's
probability of the act reaches a threshold after having been below for `quiet_ms`. It is right if that player's act
begins within `ahead_ms` or is under way, else false. The *lead* is the time from the first right alarm of an act to the
act's start, less than 0 if the alarm came after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from configs.evaluation import AlarmMeasure
from configs.features import load_features
from configs.intents import load_intents
from pipeline.intents.evaluation.cases import Case
from pipeline.intents.evaluation.resampling import Bools, Floats, Ints


def windows() -> dict[str, int]:
    """Durations of acts that stand in other areas' configuration, in ms.

    `defuse_ms` without a kit, `defuse_kit_ms` with one or where that is not known, `trade_ms` from a teammate's death.
    """
    rules = load_intents().labels.rules
    return {
        "defuse_ms": load_features().defuse_ms,
        "defuse_kit_ms": rules.defuse.kit_ms,
        "trade_ms": rules.trade_kill.window_ms,
    }


def acts(case: Case, intent: str, config: AlarmMeasure) -> pl.DataFrame:
    """The completed acts of a match.

    Args:
        case: the match.
        intent: `plant`, `defuse` or `trade`. A plant or defuse starts where the log says so, else as long before its
            completion as configured. A trade is on from the teammate's death, at most a trade's window before, and
            starts and ends with the kill.
        config: how long a plant takes where its start is not logged; the rest see `windows`.

    Returns:
        `round`, `player`, `on_ms`, `start_ms`, `end_ms`, sorted by time.
    """
    if intent == "trade":
        return _trades(case, windows()["trade_ms"])
    done, begun = {
        "plant": ("BOMB_PLANTED", "BOMB_PLANT_STARTED"),
        "defuse": ("BOMB_DEFUSED", "BOMB_DEFUSE_STARTED"),
    }[intent]
    ends = _events(case, done).rename({"t_ms": "end_ms"})
    starts = _events(case, begun).with_columns(pl.col("t_ms").alias("told_ms"))
    kit = case.features.select("player", "t_ms", "has_kit").sort("t_ms")
    game, defuse = load_features(), windows()
    longest = game.plant_ms if intent == "plant" else game.defuse_ms
    usual = (
        pl.lit(config.plant_ms)
        if intent == "plant"
        else pl.when(pl.col("has_kit") == 0).then(defuse["defuse_ms"]).otherwise(defuse["defuse_kit_ms"])
    )
    joined = (
        ends.sort("end_ms")
        .with_columns(pl.col("end_ms").alias("t_ms"))
        .join_asof(kit, on="t_ms", by="player", check_sortedness=False)
        .join_asof(starts.sort("t_ms"), on="t_ms", by=["player", "round"], check_sortedness=False)
    )
    fresh = pl.col("end_ms") - pl.col("told_ms") <= longest + game.grid_ms
    start = pl.when(fresh).then("told_ms").otherwise(pl.col("end_ms") - usual)
    return _acts(joined.with_columns(on_ms=start, start_ms=start))


def _trades(case: Case, window_ms: int) -> pl.DataFrame:
    team = case.features.select("player", "team").drop_nulls().unique("player", keep="first")
    killed = (
        case.events.filter(pl.col("event_type") == "PLAYER_KILLED")
        .select("round", "actor", "target", "t_ms")
        .join(team.rename({"player": "actor", "team": "ours"}), on="actor", how="inner")
        .join(team.rename({"player": "target", "team": "theirs"}), on="target", how="inner")
        .filter(pl.col("ours") != pl.col("theirs"))
    )
    answers = killed.join(killed, left_on="target", right_on="actor", suffix="_before").filter(
        (pl.col("round").fill_null(0) == pl.col("round_before").fill_null(0))
        & (pl.col("theirs_before") == pl.col("ours"))
        & (pl.col("t_ms_before") < pl.col("t_ms"))
        & (pl.col("t_ms") - pl.col("t_ms_before") <= window_ms)
    )
    t = pl.col("t_ms")
    found = answers.select("round", player="actor", on_ms="t_ms_before", start_ms=t, end_ms=t)
    found = found.sort("start_ms", "player", "on_ms").unique(["player", "start_ms"], keep="first", maintain_order=True)
    return _acts(found)


def _events(case: Case, kind: str) -> pl.DataFrame:
    found = case.events.filter((pl.col("event_type") == kind) & pl.col("actor").is_not_null())
    return found.select(pl.col("round").cast(pl.Int64).fill_null(0), player="actor", t_ms="t_ms")


def _acts(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(pl.col("round").cast(pl.Int64).fill_null(0), "player", "on_ms", "start_ms", "end_ms").sort(
        "start_ms", "player"
    )


def is_on(rows: pl.DataFrame, found: pl.DataFrame) -> Bools:
    """Whether an act of its player is on at each instant; bool (n,).

    Args:
        rows: `round`, `player`, `t_ms`.
        found: what `acts` returns.
    """
    asked = rows.select(pl.col("round").cast(pl.Int64).fill_null(0), "player", "t_ms").with_row_index("place")
    inside = asked.join(found, on=["player", "round"]).filter(
        (pl.col("t_ms") >= pl.col("on_ms")) & (pl.col("t_ms") < pl.col("end_ms"))
    )
    held = np.zeros(rows.height, dtype=np.bool_)
    held[inside["place"].to_numpy()] = True
    return held


def thresholds(probability: Floats, count: int) -> Floats:
    """Thresholds to try, ascending: probabilities that were said, ever denser towards the greatest."""
    if not len(probability):
        return np.zeros(0)
    ranks = np.unique(np.rint(np.geomspace(1, len(probability), count)).astype(np.int64)) - 1
    return np.unique(np.sort(probability)[::-1][ranks])


@dataclass(frozen=True)
class Warnings:
    """What the alarms of one match were worth at each threshold.

    Attributes:
        round: of each act, int64 (acts,).
        lead_ms: float64 (acts, thresholds); NaN where no alarm warned of the act.
        rounds: the rounds of the match, int64 (rounds,).
        false: false alarms, float64 (rounds, thresholds).
    """

    round: Ints
    lead_ms: Floats
    rounds: Ints
    false: Floats


def warnings(
    rows: pl.DataFrame, probability: Floats, found: pl.DataFrame, at: Floats, config: AlarmMeasure
) -> Warnings:
    """Hits, leads and false alarms at each threshold.

    Args:
        rows: every instant of a match, by player and time: `round`, `player`, `t_ms`.
        probability: of the act at each instant, float64 (n,).
        found: what `acts` returns.
        at: thresholds, float64 (thresholds,).
        config: `ahead_ms` and `quiet_ms`.
    """
    player, t = rows["player"].rank("dense").to_numpy(), rows["t_ms"].to_numpy().astype(np.int64)
    round_ = rows["round"].fill_null(0).to_numpy().astype(np.int64)
    act = _first_act(rows, found, config.ahead_ms)
    start = found["start_ms"].to_numpy().astype(np.int64)
    rounds = np.unique(round_)
    lead = np.full((found.height, len(at)), np.nan)
    false = np.zeros((len(rounds), len(at)))
    for place, threshold in enumerate(at):
        on = np.flatnonzero(probability >= threshold)
        if not len(on):
            continue
        apart = (np.diff(player[on]) != 0) | (np.diff(round_[on]) != 0) | (np.diff(t[on]) > config.quiet_ms)
        onset = on[np.concatenate([[True], apart])]
        right = act[onset] >= 0
        hit = onset[right]
        np.fmax.at(lead[:, place], act[hit], (start[act[hit]] - t[hit]).astype(np.float64))
        false[:, place] = np.bincount(np.searchsorted(rounds, round_[onset[~right]]), minlength=len(rounds))
    return Warnings(found["round"].to_numpy().astype(np.int64), lead, rounds, false)


def _first_act(rows: pl.DataFrame, found: pl.DataFrame, ahead_ms: int) -> Ints:
    """The act that an alarm at each instant would be right about, by place among the acts, else -1."""
    asked = rows.select(pl.col("round").cast(pl.Int64).fill_null(0), "player", "t_ms").with_row_index("place")
    near = (
        asked.join(found.with_row_index("act"), on=["player", "round"])
        .filter((pl.col("t_ms") >= pl.col("start_ms") - ahead_ms) & (pl.col("t_ms") < pl.col("end_ms")))
        .sort("place", "act")
        .unique("place", keep="first", maintain_order=True)
    )
    act = np.full(rows.height, -1, dtype=np.int64)
    act[near["place"].to_numpy()] = near["act"].to_numpy().astype(np.int64)
    return act


def operating_point(others: Sequence[Sequence[Warnings]], config: AlarmMeasure, interval: float) -> int:
    """The threshold, by place, that warns of most acts of other series before they begin, within the budget.

    In each of those series by itself the upper end of the interval of the false alarms a round lies within the budget,
    there and at every threshold above: a threshold that only the mean of several allows, or a dip of few rounds, does
    not hold for the next one. Of equally good ones the lowest; where there is none, the highest there is.

    Args:
        others: the matches of each other series.
        config: the budget.
        interval: coverage; by normal approximation over the rounds.
    """
    from scipy.stats import norm

    wide = float(norm.ppf((1 + interval) / 2))
    rates = []
    for series in others:
        false = np.concatenate([each.false for each in series])
        rates.append(false.mean(axis=0) + wide * false.std(axis=0) / np.sqrt(len(false)))
    worst = np.maximum.accumulate(np.max(rates, axis=0)[::-1])[::-1]
    within = worst <= config.false_per_round
    if not within.any():
        return len(worst) - 1
    warned = (np.concatenate([each.lead_ms for series in others for each in series]) > 0).sum(axis=0)
    return int(np.where(within, warned, -1).argmax())
