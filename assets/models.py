"""Which model answers: the gate between a model that was trained and the champion, and what an analyst sees of it.

Belongs here: the champion as an asset, the checks of a training, tonight's news. Does not belong here: the training
(`assets/intents.py`), the comparison (`pipeline.intents.promotion`), where models are kept (`resources.registry`).
Concept: https://docs.dagster.io/guides/test/asset-checks
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import dagster as dg
import polars as pl

from assets import reports
from configs.intents import load_intents
from pipeline.intents.card import changes
from pipeline.intents.drift import drift
from pipeline.intents.model import BoosterModel, PriorModel
from pipeline.intents.promotion import BETTER, LOG_LOSS, WORSE, Comparison, compare, unseen
from pipeline.intents.training import TEST, split
from resources.registry import NOBODY, ChampionChanged, DamagedModel, ModelNotFound, ModelRegistry

logger = logging.getLogger(__name__)

MODEL_KEY = dg.AssetKey(["models", "intent"])
CHAMPION_KEY = dg.AssetKey(["models", "champion"])
BASELINE_CHECK, GATE_CHECK, DRIFT_CHECK = "beats_the_majority", "may_be_promoted", "matches_are_alike"
CHECKS = [
    dg.AssetCheckSpec(
        BASELINE_CHECK,
        asset=MODEL_KEY,
        description="on held-out rows, rules with the model agree better with the labels than the commonest intent",
    ),
    dg.AssetCheckSpec(
        GATE_CHECK,
        asset=MODEL_KEY,
        blocking=True,
        description="on rows that neither learned from, the model is better than the champion beyond the interval and "
        "loses no intent; blocks the champion if it is worse, warns if it is just no better. Where no model can answer "
        "its log-loss must be no worse than the prior's",
    ),
    dg.AssetCheckSpec(
        DRIFT_CHECK,
        asset=MODEL_KEY,
        description="matches that the champion was not trained on are like those that it was",
    ),
]

FIRST, ANSWERS, ROLLED_BACK = "first", "answers already", "rolled back"
PROMOTED = (FIRST, BETTER)


@dataclass(frozen=True)
class Verdict:
    """What becomes of a trained model.

    Attributes:
        word: one of the above, or of `pipeline.intents.promotion`.
        why: in a sentence.
        comparison: with the champion, if there was one to compare with.
    """

    word: str
    why: str
    comparison: Comparison | None = None

    @property
    def text(self) -> str:
        """As the registry keeps it."""
        return f"{self.word}: {self.why}"


def standing(models: ModelRegistry) -> BoosterModel | None:
    """The champion, if there is one that can still answer.

    One that was made for other features, or whose files are damaged, cannot: what is trained takes its place, unless it
    is worse than the prior.

    Raises:
        RegistryUnreachable: if MLflow or its files do not answer: the champion may be sound.
    """
    try:
        found = models.champion()
    except DamagedModel as error:
        logger.warning(
            "the champion cannot answer, so what is trained takes its place unless it is worse than the prior: %s",
            error,
        )
        return None
    return found if isinstance(found, BoosterModel) else None


def judge(models: ModelRegistry, version: str, champion: BoosterModel | None, labelled: pl.DataFrame) -> Verdict:
    """What becomes of a registered model.

    Args:
        models: knows it.
        version: its name.
        champion: what `standing` returns.
        labelled: all labelled rows of tonight.
    """
    if why := models.describe(version).rolled_back:
        return Verdict(ROLLED_BACK, f"{why}; only `gridmotion models promote {version}` lets it answer again")
    held = split(labelled, load_intents().training).filter(pl.col("part") == TEST)
    if champion is None:
        before = models.answering()
        nobody = "only rules and the prior answered before it"
        broken = f"champion {before} cannot be loaded any more"
        state = nobody if before == NOBODY else broken
        found = compare(PriorModel.configured(), models.get(version), held)
        # by log-loss alone: the prior has a high F1 for the one intent that it always names
        if found.verdict == WORSE and found.measures[LOG_LOSS][2].low > 0:
            return Verdict(WORSE, f"{state}, and the prior is better: {'; '.join(found.reasons)}")
        return Verdict(FIRST, f"{state}, and the prior is not better")
    if champion.version == version:
        return Verdict(ANSWERS, "it is the champion: trained on exactly these rows, with these settings, before")
    found = compare(champion, models.get(version), unseen(held, champion.manifest, labelled))
    return Verdict(found.verdict, "; ".join(found.reasons), found)


def gate(verdict: Verdict) -> dg.AssetCheckResult:
    """The gate's check: an error, which blocks the champion, only where the model is worse."""
    passed = verdict.word in (*PROMOTED, ANSWERS)
    severity = dg.AssetCheckSeverity.ERROR if verdict.word in (*PROMOTED, WORSE) else dg.AssetCheckSeverity.WARN
    metadata = {"verdict": verdict.word, "why": verdict.why, **held_against(verdict.comparison)}
    return dg.AssetCheckResult(
        check_name=GATE_CHECK, asset_key=MODEL_KEY, passed=passed, severity=severity, metadata=metadata
    )


def baseline(metrics: dict[str, float]) -> dg.AssetCheckResult:
    """Whether the model beats the commonest intent."""
    return dg.AssetCheckResult(
        check_name=BASELINE_CHECK,
        asset_key=MODEL_KEY,
        passed=metrics["hybrid_macro_f1_vs_labels"] > metrics["majority_macro_f1_vs_labels"],
        severity=dg.AssetCheckSeverity.WARN,
        metadata={name: value for name, value in metrics.items() if "_macro_f1_" in name},
    )


def likeness(champion: BoosterModel | None, labelled: pl.DataFrame) -> dg.AssetCheckResult:
    """Whether matches that the champion does not know are like those that it does."""
    config = load_intents().training.drift
    known = () if champion is None else champion.manifest.matches
    old = pl.col("match_id").is_in(list(known))
    before, after = labelled.filter(old), labelled.filter(~old)
    told: reports.Metadata = {"rows_before": before.height, "new_rows": after.height}
    passed = True
    if before.height and after.height >= config.least_rows:
        found = drift(before, after, config)
        moved = found.filter(pl.col("index") > config.warn)
        passed = moved.is_empty()
        told |= {"drifted": ", ".join(moved["name"]) or "none", "stability": reports.table(found, limit=found.height)}
    else:
        told["drifted"] = f"not looked at: it takes a champion and {config.least_rows} new rows"
    return dg.AssetCheckResult(
        check_name=DRIFT_CHECK,
        asset_key=MODEL_KEY,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=told,
    )


def held_against(found: Comparison | None) -> reports.Metadata:
    """Model and champion on the same rows: each figure of both, and their difference with its interval."""
    if found is None:
        return {}
    told: reports.Metadata = {
        "compared_on_matches": ", ".join(found.matches) or "none",
        "compared_on_rows": found.rows,
    }
    return told | (reports.compared(found.table) if found.measures else {})


def answerer(version: str, verdict: Verdict, champion: str) -> str:
    """Who answers from the next match on, in words.

    Args:
        version: tonight's.
        verdict: what becomes of it.
        champion: who answers now, or NOBODY.
    """
    if verdict.word in (*PROMOTED, ANSWERS):
        return f"{version}, this one" + ("" if champion == version else ", as soon as models/champion has run")
    return f"{champion} goes on answering; `gridmotion models promote {version}` would change that"


def news(
    models: ModelRegistry,
    version: str,
    champion: BoosterModel | None,
    last: Mapping[str, dg.MetadataValue],
    judged_by_people: int,
    verdict: Verdict,
) -> reports.Metadata:
    """What an analyst asks first: what is new since the last training, what it came to, and who answers from now on.

    The figures then and now are each of its own held-out rows, which new matches change; `held_against` has both models
    on the same rows.

    Args:
        models: knows both trainings.
        version: tonight's.
        champion: what `standing` returned; stands for the last training where Dagster knows of none.
        last: what the materialization before this one told; nothing if there is none.
        judged_by_people: how many segments people have judged by now.
        verdict: what becomes of the new model.
    """
    told: reports.Metadata = {
        "verdict": verdict.word,
        "why": verdict.why,
        "who_answers": answerer(version, verdict, models.answering()),
    }
    before = str(last["model_version"].value) if "model_version" in last else champion.version if champion else ""
    if not before:
        return told | {"since_the_last_training": dg.MetadataValue.md("There was no training before this one.")}
    lines = []
    if before == version:
        lines.append("the same training: no match, label, setting or code has changed")
    else:
        try:
            lines += changes(models.get(before).manifest, models.get(version).manifest)
        except (ModelNotFound, DamagedModel) as error:
            lines.append(f"what it was trained on cannot be read: {error}")
    known = last.get("judged_by_people")
    more = judged_by_people - (int(str(known.value)) if known else 0)
    lines += [f"{more:+,} segments judged by people"] if more else []
    fate = f", which was found: {last['verdict'].value}" if "verdict" in last else ""
    head = f"The last training made {before}{fate}. Since then:\n\n"
    told["since_the_last_training"] = dg.MetadataValue.md(head + "\n".join(f"- {line}" for line in lines))
    if before == version:
        return told
    try:
        then = models.describe(before)
    except ModelNotFound:
        return told
    return told | reports.side_by_side(then.metrics, models.describe(version).metrics)


@dg.asset(
    key=CHAMPION_KEY,
    group_name="intents",
    deps=[MODEL_KEY],
    kinds={"mlflow"},
)
def champion_model(context: dg.AssetExecutionContext, models: dg.ResourceParam[ModelRegistry]) -> dg.MaterializeResult:
    """The intent model that answers from the next match on: tonight's if the gate let it through.

    Not if another one answers by now than it was judged against, or if it was rolled back since.
    """
    trained = context.instance.get_latest_materialization_event(MODEL_KEY)
    if trained is None or trained.asset_materialization is None:
        raise dg.Failure("no model was trained yet: gridmotion train", allow_retries=False)
    judged = trained.asset_materialization.metadata
    version, word, before = (str(judged[name].value) for name in ("model_version", "verdict", "champion_before"))
    promoted = False
    if word in PROMOTED:
        try:
            promoted = models.promote(version, instead_of=before).champion
        except ChampionChanged as error:
            context.log.warning(str(error))
    answers = models.champion().version
    context.log.info(f"{answers} answers from the next match on; {version} was {word}")
    return dg.MaterializeResult(
        data_version=dg.DataVersion(answers),
        metadata={"model_version": answers, "promoted": promoted, "trained": version, "verdict": word},
    )
