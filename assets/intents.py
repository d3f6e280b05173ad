"""From how it looked to what was meant: labels, the model, predicted intents, segments.

Belongs here: the edges between those tables, and the training of the intent model. Does not belong here: rules, labels,
model (`pipeline.intents`), where models are kept (`resources.registry`).
Concept: https://docs.dagster.io/guides/build/assets
"""

import dagster as dg
import polars as pl

from assets import reports
from assets.partitions import matches as match_partitions
from assets.partitions import one_match_per_run
from assets.stages import Recipe, ensure, result, schema_spec
from configs.features import load_features
from configs.intents import load_intents
from pipeline.intents.labels import label
from pipeline.intents.prediction import predict
from pipeline.intents.segments import segment
from pipeline.intents.training import train_on
from resources.registry import ModelRegistry
from resources.settings import Settings
from resources.store import Store

GROUP = "intents"
LABELS = Recipe(("intents/labels", "intents/vocabulary.py", "events/model.py", "errors.py"), (load_intents(),))
PREDICTION = Recipe(("intents", "errors.py"), (load_intents(),))
MODEL_KEY = dg.AssetKey(["models", "intent"])
TRAINED_CHECK = "trained_on_labels"


@dg.asset(
    group_name=GROUP,
    partitions_def=match_partitions,
    backfill_policy=one_match_per_run,
    deps=["events", "tracks", "features"],
    kinds={"polars"},
    code_version=LABELS.code_version,
    check_specs=[schema_spec("labels")],
)
def labels(context: dg.AssetExecutionContext, store: dg.ResourceParam[Store]) -> dg.MaterializeResult[None]:
    """What each player meant at each instant, in hindsight, or an abstention."""
    match_id = context.partition_key
    sources = ("events", "tracks", "features")
    stamp = LABELS.stamp(*(store.part(table, match_id).digest for table in sources))
    part = ensure(
        context,
        store,
        "labels",
        match_id,
        stamp,
        lambda: label(*(store.read_table(table, match_id) for table in sources)),
    )
    return result(store, "labels", match_id, part, reports.labels(store.read_table("labels", match_id)))


@dg.asset(
    group_name=GROUP,
    partitions_def=match_partitions,
    backfill_policy=one_match_per_run,
    deps=["features", MODEL_KEY],
    kinds={"lightgbm", "polars"},
    code_version=PREDICTION.code_version,
    check_specs=[schema_spec("intents")],
)
def intents(
    context: dg.AssetExecutionContext, store: dg.ResourceParam[Store], models: dg.ResourceParam[ModelRegistry]
) -> dg.MaterializeResult[None]:
    """What each player means at each instant: rules where they are certain, else the champion model."""
    match_id = context.partition_key
    model = models.champion()
    if model.version.startswith("prior"):
        context.log.warning(f"no trained model in the registry: {model.version} decides where no rule does")
    stamp = PREDICTION.stamp(store.part("features", match_id).digest, model_version=model.version)
    part = ensure(
        context, store, "intents", match_id, stamp, lambda: predict(store.read_table("features", match_id), model)
    )
    return result(store, "intents", match_id, part, reports.predicted(store.read_table("intents", match_id)))


@dg.asset(
    group_name=GROUP,
    partitions_def=match_partitions,
    backfill_policy=one_match_per_run,
    deps=["intents", "features", "rounds"],
    kinds={"polars"},
    code_version=PREDICTION.code_version,
    check_specs=[schema_spec("segments")],
)
def segments(
    context: dg.AssetExecutionContext, store: dg.ResourceParam[Store], environment: dg.ResourceParam[Settings]
) -> dg.MaterializeResult[None]:
    """Stretches of one intent of one player, each with its confidence and why somebody should look at it."""
    match_id = context.partition_key
    predicted, looked = store.part("intents", match_id), store.part("features", match_id)
    model_version, threshold = predicted.stamp.model_version, environment.hitl_conf_threshold
    stamp = PREDICTION.stamp(predicted.digest, looked.digest, f"review under {threshold}", model_version=model_version)

    def cut() -> pl.DataFrame:
        return segment(
            store.read_table("intents", match_id),
            store.read_table("features", match_id),
            model_version=model_version,
            review_threshold=threshold,
        )

    part = ensure(context, store, "segments", match_id, stamp, cut)
    frame, rounds = store.read_table("segments", match_id), store.read_table("rounds", match_id)
    return result(store, "segments", match_id, part, reports.intent_timeline(frame, rounds))
