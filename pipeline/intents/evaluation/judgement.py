"""All figures of an evaluation, from matches and what each way said of them.

Belongs here: which measures are taken over which rows, with their intervals, as plain numbers ready for JSON.
Does not belong here: training (`ways`), words and pictures (`report`, `figures`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from configs.evaluation import EvaluationConfig
from configs.features import load_features
from configs.intents import IntentsConfig
from pipeline.intents.evaluation import alarms
from pipeline.intents.evaluation.cases import truth as truth_of
from pipeline.intents.evaluation.measures import Agreement, average_precision, reliabilities
from pipeline.intents.evaluation.resampling import Bools, Estimate, Floats, Ints, estimate, weights
from pipeline.intents.evaluation.ways import HYBRID, MAJORITY, MODEL, WAYS, Judged
from pipeline.intents.prediction import RULE
from pipeline.intents.review import GOLD_RULE, with_gold
from pipeline.intents.vocabulary import INTENTS

OVERALL = ("macro_f1", "accuracy", "log_loss", "brier")
MAIN = ("macro_f1", "log_loss")
LESS_IS_BETTER = ("log_loss", "brier")
GROUPS = {"map": "map", "side": "attacks", "role": "role", "gap in positions": "gap"}


@dataclass(frozen=True)
class Pool:
    """Matches judged together, their instants in one row of arrays.

    Attributes:
        judged: the matches.
        config: measures and resampling.
    """

    judged: Sequence[Judged]
    config: EvaluationConfig

    @cached_property
    def rows(self) -> pl.DataFrame:
        """Keys, label and groups of every instant."""
        return pl.concat([each.rows for each in self.judged])

    @cached_property
    def truth(self) -> Ints:
        """Place of each label in INTENTS, -1 where the labels abstain."""
        return np.concatenate([each.truth for each in self.judged])

    def way(self, name: str) -> Floats:
        """What a way says of every instant, float64 (n, 9)."""
        return np.concatenate([each.ways[name] for each in self.judged])

    @cached_property
    def _numbered(self) -> tuple[Ints, Ints, dict[str, tuple[int, Ints]]]:
        """The unit of each instant, the match of each unit, and each match's first unit and rounds.

        A match that is judged by several models counts as one match, and its rounds once.
        """
        rounds: dict[str, Ints] = {}
        for each in self.judged:
            known = rounds.get(each.case.match_id, np.zeros(0, np.int64))
            rounds[each.case.match_id] = np.union1d(known, each.round)
        sizes = [len(known) for known in rounds.values()]
        firsts = np.cumsum([0, *sizes[:-1]])
        named = {name: (int(first), known) for first, (name, known) in zip(firsts, rounds.items(), strict=True)}
        unit = [
            np.searchsorted(named[each.case.match_id][1], each.round) + named[each.case.match_id][0]
            for each in self.judged
        ]
        return np.concatenate(unit), np.repeat(np.arange(len(sizes)), sizes), named

    @property
    def unit(self) -> Ints:
        """The round of a match that each instant lies in."""
        return self._numbered[0]

    @property
    def match_of_unit(self) -> Ints:
        """The match of each unit, by place."""
        return self._numbered[1]

    def units_of(self, each: Judged, rounds: Ints) -> Ints:
        """The units of rounds of a match; -1 for a round without rows."""
        first, known = self._numbered[2][each.case.match_id]
        at = np.minimum(np.searchsorted(known, rounds), len(known) - 1)
        return np.where(known[at] == rounds, at + first, -1)

    @property
    def units(self) -> int:
        """How many rounds there are."""
        return len(self.match_of_unit)

    @cached_property
    def weights(self) -> Floats:
        """How often each unit counts in each replicate, see `resampling.weights`."""
        return weights(self.match_of_unit, resamples=self.config.resamples, seed=self.config.seed)

    def estimate(self, replicates: Floats, *, basic: bool = False) -> Estimate:
        """A figure with its interval."""
        return estimate(replicates, interval=self.config.interval, basic=basic)

    def agreement(self, name: str, where: Bools | None = None, answer: int | None = None) -> Agreement:
        """A way's agreement with the labels, over all rows or some; of its own answers, or of one and the same."""
        truth = self.truth if where is None else np.where(where, self.truth, -1)
        said = np.concatenate([each.said[name] for each in self.judged])
        if answer is not None:
            said = np.full_like(said, answer)
        return Agreement.of(self.way(name), truth, self.unit, self.units, said=said)


def ways(pool: Pool) -> dict[str, dict[str, Any]]:
    """Each way's measures against the labels, with intervals."""
    return {
        name: {
            measure: pool.estimate(values).plain()
            for measure, values in pool.agreement(name).measures(pool.weights).items()
        }
        for name in WAYS
    }


def differences(pool: Pool) -> dict[str, dict[str, Any]]:
    """The hybrid less each other way under the same weights, and in how many matches it is the better one."""
    mine = pool.agreement(HYBRID).measures(pool.weights)
    alone = _by_match(pool, HYBRID)
    found: dict[str, dict[str, Any]] = {}
    for name in WAYS[1:]:
        theirs, other = pool.agreement(name).measures(pool.weights), _by_match(pool, name)
        found[name] = {}
        for measure in OVERALL:
            apart = pool.estimate(mine[measure] - theirs[measure])
            gain = alone[measure] - other[measure]
            better = int(((gain < 0) if measure in LESS_IS_BETTER else (gain > 0)).sum())
            found[name][measure] = {
                **apart.plain(),
                "excludes_zero": apart.excludes_zero,
                "better_in_matches": better,
                "matches": len(pool.judged),
            }
    return found


def _by_match(pool: Pool, name: str) -> dict[str, Floats]:
    """The measures of each match alone, in the order of `pool.judged`."""
    alone = [
        Agreement.of(
            each.ways[name], each.truth, np.zeros(len(each.truth), np.int64), 1, said=each.said[name]
        ).measures(np.ones((1, 1)))
        for each in pool.judged
    ]
    return {measure: np.array([each[measure][0] for each in alone]) for measure in alone[0]}


def matches(pool: Pool) -> list[dict[str, Any]]:
    """Each match: rows, the main measures of each way, and those of the first and the last with intervals."""
    found = {name: _by_match(pool, name) for name in WAYS}
    return [
        {
            "match": each.case.match_id,
            "series": each.case.series,
            "map": each.case.map,
            "source": each.case.source_kind,
            "rows": each.rows.height,
            "labelled": int((each.truth >= 0).sum()),
            "rounds": len(np.unique(each.round)),
            "trained_on": list(each.knowledge.trained),
            "model_version": each.knowledge.model.version,
            **{f"{name}_macro_f1": _plain(found[name]["macro_f1"][place]) for name in WAYS},
            **{f"{name}_log_loss": _plain(found[name]["log_loss"][place]) for name in WAYS},
            **_over_rounds(Pool([each], pool.config)),
        }
        for place, each in enumerate(pool.judged)
    ]


def _over_rounds(alone: Pool) -> dict[str, dict[str, Any]]:
    """Of the hybrid and of the majority, the main measures of one match; its rounds are drawn for the interval."""
    measures = {name: alone.agreement(name).measures(alone.weights) for name in (HYBRID, MAJORITY)}
    return {name: {main: alone.estimate(each[main]).plain() for main in MAIN} for name, each in measures.items()}


def calibration(pool: Pool, name: str) -> dict[str, dict[str, Any]]:
    """Classwise calibration error of a way, its floor and its curve."""
    known = pool.truth >= 0
    said, truth, unit = pool.way(name)[known], pool.truth[known], pool.unit[known]
    alone = (np.arange(pool.match_of_unit.max() + 1)[:, None] == pool.match_of_unit[None, :]).astype(np.float64)
    found: dict[str, dict[str, Any]] = {}
    for intent, each in reliabilities(said, truth, unit, pool.units, pool.config).items():
        by_match, enough = each.error(alone), (alone @ each.rows).sum(axis=1) >= pool.config.least_rows
        found[intent] = {
            "ece": pool.estimate(each.error(pool.weights), basic=True).plain(),
            "floor": _plain(each.floor),
            "floor_by_round": _plain(each.floor_by_unit),
            "worst_match": _plain(np.nanmax(np.where(enough, by_match, np.nan), initial=-np.inf)),
            "rows": int(each.rows.sum()),
            "curve": [list(point) for point in each.curve],
        }
    return found


def warned(pool: Pool) -> dict[str, dict[str, Any]]:
    """Precision-recall area, recall, lead and false alarms of each act that the log tells of."""
    return {intent: _warned(pool, intent) for intent in pool.config.alarms.intents}


def _warned(pool: Pool, intent: str) -> dict[str, Any]:
    config, column = pool.config.alarms, INTENTS.index(intent)
    said = pool.way(HYBRID)[:, column]
    found = [alarms.acts(each.case, intent, config) for each in pool.judged]
    acting = np.concatenate([alarms.is_on(each.rows, acts) for each, acts in zip(pool.judged, found, strict=True)])
    thresholds = alarms.thresholds(said, config.thresholds)
    if not acting.any():
        return {"acts": int(sum(acts.height for acts in found))}
    each_match = [
        alarms.warnings(each.rows, each.ways[HYBRID][:, column], acts, thresholds, config)
        for each, acts in zip(pool.judged, found, strict=True)
    ]
    chosen = []
    series = [each.case.series for each in pool.judged]
    for mine in series:
        others = [
            [each for other, each in zip(series, each_match, strict=True) if other == name]
            for name in sorted({*series} - {mine} or {mine})
        ]
        chosen.append(alarms.operating_point(others, config, pool.config.interval))
    unit, lead, false = [], [], np.zeros(pool.units)
    for place, (each, at) in enumerate(zip(each_match, chosen, strict=True)):
        unit.append(pool.units_of(pool.judged[place], each.round))
        lead.append(each.lead_ms[:, at] / 1000)
        false[pool.units_of(pool.judged[place], each.rounds)] = each.false[:, at]
    return {
        "acts": int(sum(acts.height for acts in found)),
        "base_rate": float(acting.mean()),
        "pr_auc": pool.estimate(average_precision(said, acting, pool.unit, pool.weights)).plain(),
        **_leads(pool, np.concatenate(unit), np.concatenate(lead), false),
        "thresholds": [float(thresholds[at]) for at in chosen],
        "threshold_from": "other series" if len(set(series)) > 1 else "the series itself",
        "curve": _curve(each_match),
    }


def _leads(pool: Pool, unit: Ints, lead: Floats, false: Floats) -> dict[str, Any]:
    kept = unit >= 0  # an act in a round without an instant can't be warned of
    unit, lead = unit[kept], lead[kept]
    weight = pool.weights[:, unit]
    acts = weight.sum(axis=1)
    hit = np.isfinite(lead)
    order = np.argsort(lead[hit])
    sorted_lead, mass = lead[hit][order], weight[:, hit][:, order].cumsum(axis=1)
    median = np.full(len(weight), np.nan)
    if hit.any():
        middle = (mass < mass[:, -1:] / 2).sum(axis=1)
        median = np.where(mass[:, -1] > 0, sorted_lead[np.minimum(middle, len(sorted_lead) - 1)], np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = (weight * hit).sum(axis=1) / acts
        early = (weight * (lead > 0)).sum(axis=1) / acts
    return {
        "recall": pool.estimate(recall).plain(),
        "recall_before_start": pool.estimate(early).plain(),
        "median_lead_s": pool.estimate(median).plain(),
        "false_per_round": pool.estimate(pool.weights @ false / pool.weights.sum(axis=1)).plain(),
    }


def _curve(each_match: Sequence[alarms.Warnings]) -> list[list[float | None]]:
    """False alarms a round, recall and median lead in s at each threshold, over all matches together."""
    false = np.concatenate([each.false for each in each_match]).mean(axis=0)
    lead = np.concatenate([each.lead_ms for each in each_match]) / 1000
    found = []
    for place in range(len(false)):
        warned_of = lead[np.isfinite(lead[:, place]), place]
        recall = len(warned_of) / max(1, len(lead))
        found.append([float(false[place]), recall, float(np.median(warned_of)) if len(warned_of) else None])
    return found


def rules(pool: Pool, config: IntentsConfig) -> list[dict[str, Any]]:
    """Each rule where it decides and there is a label: how often that is its intent, and what the model is worth there.

    Args:
        pool: the matches.
        config: the rules.
    """
    decided = pool.rows["decided_by"]
    found = []
    for place, rule in enumerate(config.heuristics):
        where = (decided == f"{RULE}{rule.name}").to_numpy()
        mine, alone = (pool.agreement(name, where).measures(pool.weights) for name in (HYBRID, MODEL))
        own = pool.agreement(HYBRID, where, INTENTS.index(rule.intent)).measures(pool.weights)
        found.append(
            {
                "rule": rule.name,
                "intent": rule.intent,
                "rows": int(where.sum()),
                "labelled": int((where & (pool.truth >= 0)).sum()),
                "configured": rule.probability,
                "says": _span(each.knowledge.rules.heuristics[place].probability for each in pool.judged),
                "right": pool.estimate(own["accuracy"]).plain(),
                "model_right": pool.estimate(alone["accuracy"]).plain(),
                "log_loss_less_model": pool.estimate(mine["log_loss"] - alone["log_loss"]).plain(),
            }
        )
    return found


def flips(pool: Pool) -> dict[str, Any]:
    """Changes of intent per player-minute, instant by instant and after segmentation; the labels' own beside.

    Where labels abstain nobody knows whether they change, so theirs are told over the time between two labelled
    instants, and the hybrid's over the same time as well.
    """
    grid = load_features().grid_ms
    counts, steps = ({name: np.zeros(pool.units) for name in ("before", "spoken", "labels")} for _ in range(2))
    for each in pool.judged:
        player, t = each.rows["player"].rank("dense").to_numpy(), each.rows["t_ms"].to_numpy()
        follows = (np.diff(player) == 0) & (np.diff(each.round) == 0) & (np.diff(t) == grid)
        labelled = follows & (each.truth[1:] >= 0) & (each.truth[:-1] >= 0)
        units, said = pool.units_of(each, each.round)[1:], each.ways[HYBRID].argmax(axis=1)
        for name, pairs, answer in (
            ("before", follows, said),
            ("spoken", labelled, said),
            ("labels", labelled, each.truth),
        ):
            steps[name] += np.bincount(units[pairs], minlength=pool.units)
            counts[name] += np.bincount(units[pairs & (np.diff(answer) != 0)], minlength=pool.units)
    cut = np.zeros(pool.units)
    for each in pool.judged:
        found = each.segments.sort("player", "from_ms")
        same = (
            (pl.col("player") == pl.col("player").shift())
            & (pl.col("from_ms") == pl.col("to_ms").shift())
            & (pl.col("intent") != pl.col("intent").shift())
        )
        rounds = found.filter(same)["round"].fill_null(0).to_numpy().astype(np.int64)
        cut += np.bincount(pool.units_of(each, rounds), minlength=pool.units)

    def rate(changes: Floats, over: Floats) -> dict[str, float | None]:
        with np.errstate(invalid="ignore", divide="ignore"):
            return pool.estimate(pool.weights @ changes / (pool.weights @ over * grid / 60_000)).plain()

    return {**{name: rate(counts[name], steps[name]) for name in counts}, "after": rate(cut, steps["before"])}


def groups(pool: Pool) -> dict[str, list[dict[str, Any]]]:
    """The hybrid's error by map, side, role and gap in positions, with the majority's beside it."""
    found: dict[str, list[dict[str, Any]]] = {}
    for title, column in GROUPS.items():
        values = pool.rows[column]
        found[title] = []
        for value in sorted(values.unique().to_list()):
            where = (values == value).to_numpy()
            rows = int((where & (pool.truth >= 0)).sum())
            if rows < pool.config.least_rows:
                continue
            mine = pool.agreement(HYBRID, where).measures(pool.weights)
            other = pool.agreement(MAJORITY, where).measures(pool.weights)
            found[title].append(
                {
                    "group": value,
                    "rows": rows,
                    **{measure: pool.estimate(mine[measure]).plain() for measure in OVERALL},
                    MAJORITY: {main: pool.estimate(other[main]).plain() for main in MAIN},
                }
            )
    return found


def deaths(pool: Pool, said: Sequence[Floats], died: Sequence[Bools], thresholds: Sequence[float]) -> dict[str, Any]:
    """F1, precision, recall and precision-recall area of death within the horizon.

    Args:
        pool: the matches.
        said: probability at each instant of each match.
        died: what came.
        thresholds: of each match, chosen elsewhere.
    """
    called = np.concatenate([each >= at for each, at in zip(said, thresholds, strict=True)])
    every, truth = np.concatenate(list(said)), np.concatenate(list(died))
    hit, calls, real = (
        pool.weights @ np.bincount(pool.unit, each, minlength=pool.units)
        for each in (called & truth, called.astype(np.float64), truth.astype(np.float64))
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        found = {"f1": 2 * hit / (calls + real), "precision": hit / calls, "recall": hit / real}
    return {
        **{name: pool.estimate(values).plain() for name, values in found.items()},
        "pr_auc": pool.estimate(average_precision(every, truth, pool.unit, pool.weights)).plain(),
        "base_rate": float(truth.mean()),
        "rows": len(truth),
    }


def people(pool: Pool, gold: pl.DataFrame) -> dict[str, Any]:
    """How often each way, and the labels' rules, say what people say; over all that they judged, and over the audit.

    Only the audit is a fair sample: the rest was shown to people because it was doubtful.

    Args:
        pool: the matches.
        gold: what people say of stretches of any matches, as `resources.reviews.Reviews.gold` gives it.
    """
    audited = gold.filter(pl.col("reasons").list.contains("audit"))
    return {name: _people(pool, said) for name, said in (("judged", gold), ("audit", audited))}


def _people(pool: Pool, gold: pl.DataFrame) -> dict[str, Any]:
    truth = np.full(len(pool.truth), -1)
    segments = none = first = 0
    for each in pool.judged:
        mine = gold.filter(pl.col("match_id") == each.case.match_id)
        segments += mine.height
        told = with_gold(each.case.labels, mine).select("player", "t_ms", "intent", "rules")
        told = each.rows.select("player", "t_ms").join(told, on=["player", "t_ms"], how="left", maintain_order="left")
        judged = (told["rules"].list.first() == GOLD_RULE).fill_null(False).to_numpy()
        said = truth_of(told).to_numpy()
        none += int((judged & (said < 0)).sum())
        truth[first : first + len(said)] = np.where(judged, said, -1)
        first += len(said)
    rows = truth >= 0
    found: dict[str, Any] = {"segments": segments, "rows": int(rows.sum()), "rows_of_none": none}
    if not rows.any():
        return found
    both = rows & (pool.truth >= 0)
    right = (pool.truth == truth)[both].astype(np.float64)
    sums = [
        pool.weights @ np.bincount(pool.unit[both], values, minlength=pool.units) for values in (right, right * 0 + 1)
    ]
    with np.errstate(invalid="ignore", divide="ignore"):
        labels = pool.estimate(sums[0] / sums[1]).plain() if both.any() else None
    found |= {"labelled": int(both.sum()), "labels_right": labels, "ways": {}}
    for name in WAYS:
        said = np.concatenate([each.said[name] for each in pool.judged])
        measures = Agreement.of(pool.way(name), truth, pool.unit, pool.units, said=said).measures(pool.weights)
        found["ways"][name] = {measure: pool.estimate(measures[measure]).plain() for measure in OVERALL}
    return found


def confusion(pool: Pool, name: str) -> Ints:
    """Rows by label and prediction of a way, int64 (9, 9)."""
    found: Ints = np.rint(pool.agreement(name).confusion.sum(axis=0)).astype(np.int64)
    return found


def summary(pool: Pool) -> dict[str, Mapping[str, Any]]:
    """Only the overall measures of each way, for a split that is told in one table."""
    return {
        name: {
            measure: pool.estimate(values).plain()
            for measure, values in pool.agreement(name).measures(pool.weights).items()
            if measure in OVERALL
        }
        for name in WAYS
    }


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _span(values: Iterable[float]) -> list[float]:
    """The least and the greatest."""
    found = list(values)
    return [min(found), max(found)]
