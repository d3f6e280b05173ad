"""Whether a new model takes the place of the one that answers now.

Belongs here: which rows both are judged on, what is compared, the verdict and its reasons.
Does not belong here: who answers now and since when (`resources.registry`), the measures (`evaluation.measures`).

Both are judged as they would predict: rules first, then the model. They are judged on rows that neither learned from:
of those that the challenger's training held out, the ones that the champion's had held out too, or did not know.
`training.split` holds mostly the same series out every night, so such rows are there. Differences are paired: the same
matches, drawn with replacement, for both; two recordings of one match are one match. Where there are too few rounds to
draw from, or too few rows of an intent to tell its calibration, nothing is said.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from configs.evaluation import EvaluationConfig, load_evaluation
from configs.intents import IntentsConfig, load_intents
from pipeline.intents.evaluation.measures import Agreement, reliabilities
from pipeline.intents.evaluation.resampling import Estimate, Floats, Ints, estimate, weights
from pipeline.intents.heuristics import Rules
from pipeline.intents.model import IntentModel, Manifest, classes, vectors
from pipeline.intents.prediction import answers
from pipeline.intents.vocabulary import INTENTS

BETTER, NO_BETTER, WORSE = "better", "no better", "worse"
LOG_LOSS = "log_loss"


@dataclass(frozen=True)
class Comparison:
    """A challenger against a champion.

    Attributes:
        champion: version of the model that answers now.
        challenger: version of the other.
        matches: ids of the matches that both were judged on.
        rows: number of labelled rows that both were judged on.
        measures: by name, what the champion scores, what the challenger scores, and the difference with its interval.
        verdict: `better`, `no better`, or `worse`: something falls by more than it may.
        reasons: why, in words; those against promotion if there are any. The last names what could not be judged.
    """

    champion: str
    challenger: str
    matches: tuple[str, ...]
    rows: int
    measures: Mapping[str, tuple[float, float, Estimate]]
    verdict: str
    reasons: tuple[str, ...]

    @property
    def table(self) -> pl.DataFrame:
        """One row per measure: both values, the difference and its interval."""
        rows = [
            {"measure": name, "champion": old, "challenger": new, "difference": d.value, "low": d.low, "high": d.high}
            for name, (old, new, d) in self.measures.items()
        ]
        return pl.DataFrame(rows, schema_overrides=dict.fromkeys(("champion", "challenger"), pl.Float64))


def unseen(held: pl.DataFrame, champion: Manifest, labelled: pl.DataFrame) -> pl.DataFrame:
    """Those of the rows that a model did not learn from: no kin to what it learned from, or held out by its training.

    Who is kin to whom is asked anew: a recording that came after the training may tell that a series has another name,
    or that a match was known by another id.

    Args:
        held: rows as `training.samples` gives them.
        champion: what the model was trained on.
        labelled: all rows that there are now, of which `held` are some.
    """
    out, series_then = set(champion.held_out), dict(zip(champion.matches, champion.series, strict=True))
    learned = {name for name, series in series_then.items() if not {name, series} & out}
    now = labelled.filter(pl.col("match_id").is_in(list(learned)))
    games = pl.col("game").is_in(now["game"].unique().to_list())
    series = pl.col("series").is_in([*{series_then[name] for name in learned}, *now["series"].unique()])
    kin = pl.col("match_id").is_in(list(learned)) | series | games
    if len(set(champion.series)) > 1:  # whole series were held out
        return held.filter(~kin)
    round_ = pl.format("{}/{}", "game", pl.col("round").fill_null(0))
    spared = pl.col("match_id").is_in(list(out)) & ~games
    spared |= round_.is_in(list(out)) & pl.col("match_id").is_in(list(champion.matches))
    return held.filter(~kin | spared)


def compare(
    champion: IntentModel,
    challenger: IntentModel,
    held: pl.DataFrame,
    config: IntentsConfig | None = None,
    evaluation: EvaluationConfig | None = None,
) -> Comparison:
    """Judges both on the same rows.

    Better is a log-loss whose difference lies below zero with its whole interval. It is not enough if macro-F1 or the
    F1 of any intent falls, or the calibration error of any intent grows, by more than the configured margin. With fewer
    rounds than configured neither is better. A calibration error on fewer rows than `least_rows`, or a measure that is
    not defined for both, is not judged.

    Args:
        champion: answers now.
        challenger: might.
        held: labelled rows with features that neither learned from.
        config: rules and margins; `configs/intents.yaml` if None.
        evaluation: resampling, calibration bins and least rows; `configs/evaluation.yaml` if None.
    """
    config, evaluation = config or load_intents(), evaluation or load_evaluation()
    matches = tuple(held["match_id"].unique().sort())
    if held.is_empty():
        nothing = ("there is no row that neither has learned from",)
        return Comparison(champion.version, challenger.version, matches, 0, {}, NO_BETTER, nothing)
    drawn = held.select(
        unit=pl.format("{}/{}", "game", pl.col("round").fill_null(0)).rank("dense") - 1,
        match=pl.col("game").rank("dense") - 1,
    )
    unit, match = (column.to_numpy().astype(np.int64) for column in drawn.get_columns())
    _, first = np.unique(unit, return_index=True)
    resampled = weights(match[first], resamples=evaluation.resamples, seed=evaluation.seed)
    both = [_measures(model, held, unit, resampled, config, evaluation) for model in (champion, challenger)]
    measured = [values for values, _ in both]
    found = {
        name: (
            float(old[0]),
            float(measured[1][name][0]),
            estimate(measured[1][name] - old, interval=evaluation.interval),
        )
        for name, old in measured[0].items()
    }
    few = {name for _, rows in both for name, count in rows.items() if count < evaluation.least_rows}
    verdict, reasons = _judge(found, few, config)
    if len(first) < (least := config.training.promotion.least_rounds):
        verdict, reasons = NO_BETTER, (f"{len(first)} rounds are too few to tell: it takes {least}",)
    return Comparison(champion.version, challenger.version, matches, held.height, found, verdict, reasons)


def _measures(
    model: IntentModel,
    held: pl.DataFrame,
    unit: Ints,
    resampled: Floats,
    config: IntentsConfig,
    evaluation: EvaluationConfig,
) -> tuple[dict[str, Floats], dict[str, int]]:
    """Log-loss, F1 and calibration errors of each replicate, float64 (replicates,) each; of the latter the rows too."""
    seen, rules, truth = vectors(held), Rules.configured(config), classes(held["intent"])
    said, _, _ = answers(model, seen, rules)
    units = resampled.shape[1]
    found = Agreement.of(said, truth, unit, units).measures(resampled)
    rows = dict[str, int]()
    for intent, curve in reliabilities(said, truth, unit, units, evaluation).items():
        name = f"calibration_error_{intent}"
        found[name], rows[name] = curve.error(resampled), int(curve.rows.sum())
    return found, rows


def _judge(
    found: Mapping[str, tuple[float, float, Estimate]], few: Collection[str], config: IntentsConfig
) -> tuple[str, tuple[str, ...]]:
    margins = config.training.promotion
    errors = [f"calibration_error_{intent}" for intent in INTENTS]
    limits = {"macro_f1": -margins.macro_f1} | {f"f1_{intent}": -margins.intent_f1 for intent in INTENTS}
    falls = [
        f"{name} falls by {-found[name][2].value:.4f}, more than the {-limit:g} allowed"
        for name, limit in limits.items()
        if found[name][2].value < limit
    ]
    falls += [
        f"{name} grows by {found[name][2].value:.4f}, more than the {margins.calibration_error:g} allowed"
        for name in errors
        if name not in few and found[name][2].value > margins.calibration_error
    ]
    unknown = [name for name in (*limits, *errors) if name in few or math.isnan(found[name][2].value)]
    silent = (f"not judged, on too few rows: {', '.join(unknown)}",) if unknown else ()
    loss = found[LOG_LOSS][2]
    told = f"{loss.value:+.4f} [{loss.low:+.4f}, {loss.high:+.4f}]"
    if loss.low > 0:
        falls.append(f"log-loss is worse: {told}")
    if falls:
        return WORSE, (*falls, *silent)
    if not loss.high < 0:
        return NO_BETTER, (f"log-loss is not better beyond its interval: {told}", *silent)
    return BETTER, (f"log-loss is better: {told}; nothing falls by more than its margin", *silent)
