"""From how it looked to what was meant: labels, the model, predicted intents, segments.

Belongs here: the edges between those tables, and the training of the intent model. Does not belong here: rules, labels,
model (`pipeline.intents`), where models are kept (`resources.registry`).
Concept: https://docs.dagster.io/guides/build/assets
"""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from assets import reports
from assets.models import (
    ANSWERS,
    CHAMPION_KEY,
    CHECKS,
    MODEL_KEY,
    baseline,
    gate,
    held_against,
    judge,
    likeness,
    news,
    standing,
)
from assets.stages import Made, MatchTables, Recipe
from configs.features import load_features
from configs.intents import load_intents
from configs.maps import load_maps
from configs.review import load_review
from configs.titles import load_titles
from pipeline.intents import kinship
from pipeline.intents.agreement import with_people
from pipeline.intents.card import CARD, documents
from pipeline.intents.explanation import importance
from pipeline.intents.kinship import Recording
from pipeline.intents.labels import label
from pipeline.intents.model import IntentModel
from pipeline.intents.prediction import predict
from pipeline.intents.review import with_gold
from pipeline.intents.segments import segment
from pipeline.intents.training import fit, planned, samples
from pipeline.scenes.matches import source_of
from resources.registry import NOBODY, ModelRegistry
from resources.reviews import Reviews
from resources.store import Store

GROUP = "intents"
PLOTTED = ("macro_f1_vs_labels", "log_loss_vs_labels")  # numbers, so that Dagster draws them over the nights
PICTURES = ("confusion", "reliability")  # of a training, on its page; the importance stands there in words
LABELS = Recipe(
    ("intents/labels", "intents/vocabulary.py", "events/model.py", "errors.py"),
    (load_intents(), load_features(), load_maps(), load_titles()),
)
PREDICTION = Recipe(
    (
        *(
            f"intents/{name}.py"
            for name in ("calibration", "heuristics", "hybrid", "model", "prediction", "trees", "vocabulary")
        ),
        "errors.py",
    ),
    (*load_intents().heuristics, load_features()),  # who answers where no rule does, the stamp says
)
SEGMENTATION = Recipe(
    (*PREDICTION.rooms, *(f"intents/{name}.py" for name in ("review", "segmenter", "segments"))),
    (*PREDICTION.configs, load_intents().segments, load_review().reasons),
)
TRAINING = Recipe(
    (*PREDICTION.rooms, *(f"intents/{name}.py" for name in ("kinship", "training")), "intents/labels", "features"),
    (load_intents(), load_features()),
)

LABELS_SPEC = dg.AssetSpec(
    "labels",
    deps=["events", "tracks", "features"],
    group_name=GROUP,
    kinds={"polars"},
    code_version=LABELS.code_version,
    description="What each player meant at each instant, in hindsight, or an abstention.",
)
INTENTS_SPEC = dg.AssetSpec(
    "intents",
    deps=["features", CHAMPION_KEY],
    group_name=GROUP,
    kinds={"lightgbm", "polars"},
    code_version=PREDICTION.code_version,
    description="What each player means at each instant: rules where they are certain, else the champion model.",
)
SEGMENTS_SPEC = dg.AssetSpec(
    "segments",
    deps=["intents", "features", "rounds"],
    group_name=GROUP,
    kinds={"polars"},
    code_version=SEGMENTATION.code_version,
    description="Stretches of one intent of one player, each with its confidence and why somebody should look at it.",
)


def labels(tables: MatchTables) -> Iterator[Made]:
    """What each player meant at each instant, in hindsight, or an abstention."""
    stamp = LABELS.stamp(*(tables.part(table).digest for table in ("events", "tracks", "features")))
    tables.ensure("labels", stamp, lambda: label(tables.read("events"), tables.read("tracks"), tables.read("features")))
    yield tables.made("labels", lambda: reports.labels(tables.read("labels")))


def intents(tables: MatchTables, model: IntentModel) -> Iterator[Made]:
    """What each player means at each instant: rules where they are certain, else the champion model."""
    if model.version.startswith("prior"):
        tables.warn(f"no trained model in the registry: {model.version} decides where no rule does")
    stamp = PREDICTION.stamp(tables.part("features").digest, model_version=model.version)
    tables.ensure("intents", stamp, lambda: predict(tables.read("features"), model))
    yield tables.made("intents", lambda: reports.predicted(tables.read("intents")))


def segments(tables: MatchTables, review_threshold: float) -> Iterator[Made]:
    """Stretches of one intent of one player, each with its confidence and why somebody should look at it."""
    predicted, looked = tables.part("intents"), tables.part("features")
    model_version = predicted.stamp.model_version
    stamp = SEGMENTATION.stamp(
        predicted.digest, looked.digest, f"review under {review_threshold}", model_version=model_version
    )

    def cut() -> pl.DataFrame:
        frames = tables.read("intents"), tables.read("features")
        return segment(*frames, model_version=model_version, review_threshold=review_threshold)

    tables.ensure("segments", stamp, cut)
    yield tables.made("segments", lambda: reports.intent_timeline(tables.read("segments"), tables.read("rounds")))


@dg.asset(
    key=MODEL_KEY,
    group_name=GROUP,
    deps=["features", "labels"],
    kinds={"lightgbm", "mlflow"},
    code_version=TRAINING.code_version,
    check_specs=CHECKS,
)
def intent_model(
    context: dg.AssetExecutionContext,
    store: dg.ResourceParam[Store],
    models: dg.ResourceParam[ModelRegistry],
    reviews: dg.ResourceParam[Reviews],
) -> dg.MaterializeResult:
    """The intent model, trained on every labelled match; the same training set is not trained on twice.

    What people decided stands in place of what the rules say in hindsight.
    """
    match_ids = teaching(store)
    if not match_ids:
        raise dg.Failure("no match is labelled yet: analyse one first (gridmotion run)", allow_retries=False)
    gold = reviews.gold()
    labelled = labelled_rows(store, gold)
    version = planned(labelled, load_intents()).version
    with models.training():
        if reused := version in {known.version for known in models.versions()}:
            context.log.info(f"model {version} was already trained on exactly these {labelled.height} rows: reused")
        else:
            trained = fit(labelled)
            kept = documents(trained)
            models.register(trained.model, trained.metrics, kept, kept[CARD].decode())
    before = models.answering()
    champion = standing(models)
    if champion is None and before != NOBODY:
        context.log.warning(f"champion {before} cannot answer: what is trained now takes its place")
    verdict = judge(models, version, champion, labelled)
    if verdict.word != ANSWERS:
        models.judge(version, verdict.text)
    context.log.info(f"model {version}: {verdict.text}")
    metrics, kept, by_people = dict(models.describe(version).metrics), models.documents(version), with_people(gold)
    last = context.instance.get_latest_materialization_event(MODEL_KEY)
    told = {} if last is None or last.asset_materialization is None else last.asset_materialization.metadata
    shares = importance(models.get(version)).with_columns(pl.col("share").round(4))
    return dg.MaterializeResult(
        data_version=dg.DataVersion(version),
        metadata={
            "model_version": version,
            **news(models, version, champion, told, int(by_people["judged_by_people"]), verdict),
            "champion_before": before if champion is None else champion.version,
            **held_against(verdict.comparison),
            "reused": reused,
            "matches": len(match_ids),
            "rows": labelled.height,
            **by_people,
            **{name: round(metrics[f"hybrid_{name}"], 4) for name in PLOTTED if f"hybrid_{name}" in metrics},
            **reports.class_balance(labelled, "Labelled rows"),
            **{name: reports.picture(kept[f"{name}.png"], name) for name in PICTURES if f"{name}.png" in kept},
            "importance": reports.table(shares, limit=20),
            "card": dg.MetadataValue.md(kept[CARD].decode()) if CARD in kept else "none was kept",
        },
        check_results=[baseline(metrics), gate(verdict), likeness(champion, labelled)],
    )


def teaching(store: Store) -> list[str]:
    """The labelled matches that may be learned from (`untrainable_matches` of `configs/scenes.yaml`)."""
    return [match_id for match_id in store.keys("labels") if source_of(match_id).trainable]


def labelled_rows(store: Store, gold: pl.DataFrame) -> pl.DataFrame:
    """Every labelled row of the store that may be learned from, with whose kin its match is.

    Args:
        store: holds at least one such match with table `labels`.
        gold: see `gold_labels`.
    """
    names = teaching(store)
    told = [Recording.of(store.read_table("matches", name), store.read_table("events", name)) for name in names]
    kin = kinship.kin(told)
    return pl.concat(
        [samples(store.read_table("features", name), gold_labels(store, name, gold), kin[name]) for name in names]
    )


def gold_labels(store: Store, match_id: str, gold: pl.DataFrame) -> pl.DataFrame:
    """The labels of a match, with what people say in place of what the rules say.

    Args:
        store: holds table `labels`.
        match_id: the match.
        gold: as `resources.reviews.Reviews.gold` gives it, of any matches.
    """
    return with_gold(store.read_table("labels", match_id), gold.filter(pl.col("match_id") == match_id))
