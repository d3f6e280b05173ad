"""From how it looked to what was meant: labels, the model, predicted intents, segments.

Belongs here: the edges between those tables, and the training of the intent model. Does not belong here: rules, labels,
model (`pipeline.intents`), where models are kept (`resources.registry`).
Concept: https://docs.dagster.io/guides/build/assets
"""

import dagster as dg
import polars as pl

from assets import reports
from assets.stages import Recipe, ensure, match_stage, result
from configs.features import load_features
from configs.intents import load_intents
from configs.maps import load_maps
from configs.titles import load_titles
from pipeline.intents.labels import label
from pipeline.intents.prediction import predict
from pipeline.intents.segments import segment
from pipeline.intents.training import fit, manifest, samples
from resources.registry import ModelRegistry
from resources.settings import Settings
from resources.store import Store

GROUP = "intents"
LABELS = Recipe(
    ("intents/labels", "intents/vocabulary.py", "events/model.py", "errors.py"),
    (load_intents(), load_features(), load_maps(), load_titles()),
)
PREDICTION = Recipe(("intents", "errors.py"), (load_intents(), load_features()))
MODEL_KEY = dg.AssetKey(["models", "intent"])
BASELINE_CHECK = "beats_the_majority"


@match_stage(LABELS, group=GROUP, deps=["events", "tracks", "features"], kinds={"polars"})
def labels(context: dg.AssetExecutionContext, store: dg.ResourceParam[Store]) -> dg.MaterializeResult:
    """What each player meant at each instant, in hindsight, or an abstention."""
    match_id = context.partition_key
    stamp = LABELS.stamp(*(store.part(table, match_id).digest for table in ("events", "tracks", "features")))

    def look_back() -> pl.DataFrame:
        events, tracks = store.read_table("events", match_id), store.read_table("tracks", match_id)
        return label(events, tracks, store.read_table("features", match_id))

    part = ensure(context, store, "labels", match_id, stamp, look_back)
    return result(store, "labels", match_id, part, reports.labels(store.read_table("labels", match_id)))


@match_stage(PREDICTION, group=GROUP, deps=["features", MODEL_KEY], kinds={"lightgbm", "polars"})
def intents(
    context: dg.AssetExecutionContext, store: dg.ResourceParam[Store], models: dg.ResourceParam[ModelRegistry]
) -> dg.MaterializeResult:
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


@match_stage(PREDICTION, group=GROUP, deps=["intents", "features", "rounds"], kinds={"polars"})
def segments(
    context: dg.AssetExecutionContext, store: dg.ResourceParam[Store], environment: dg.ResourceParam[Settings]
) -> dg.MaterializeResult:
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


@dg.asset(
    key=MODEL_KEY,
    group_name=GROUP,
    deps=["features", "labels"],
    kinds={"lightgbm", "mlflow"},
    code_version=PREDICTION.code_version,
    check_specs=[
        dg.AssetCheckSpec(
            BASELINE_CHECK,
            asset=MODEL_KEY,
            description="on held-out rows, rules with the model agree better with the labels than the commonest intent",
        )
    ],
)
def intent_model(
    context: dg.AssetExecutionContext, store: dg.ResourceParam[Store], models: dg.ResourceParam[ModelRegistry]
) -> dg.MaterializeResult:
    """The intent model, trained on every labelled match; the same training set is not trained on twice."""
    match_ids = store.keys("labels")
    if not match_ids:
        raise dg.Failure("no match is labelled yet: analyse one first (gridmotion run)", allow_retries=False)
    labelled = pl.concat(
        [
            samples(store.read_table("features", match_id), store.read_table("labels", match_id))
            for match_id in match_ids
        ]
    )
    version = manifest(labelled, load_intents()).version
    known = {registered.version: registered for registered in models.versions()}
    figures: dict[str, bytes] = {}
    if reused := version in known:
        registered = known[version]
        context.log.info(f"model {version} was already trained on exactly these {labelled.height} rows: reused")
    else:
        trained = fit(labelled)
        figures = dict(trained.figures)
        registered = models.register(trained.model, trained.metrics, figures)
    metrics = registered.metrics
    return dg.MaterializeResult(
        data_version=dg.DataVersion(version),
        metadata={
            "model_version": version,
            "promoted": registered.champion,
            "reused": reused,
            "matches": len(match_ids),
            "rows": labelled.height,
            **reports.class_balance(labelled, "Labelled rows"),
            **{name.removesuffix(".png"): reports.picture(png, name) for name, png in figures.items()},
            **reports.figures(metrics),
        },
        check_results=[
            dg.AssetCheckResult(
                check_name=BASELINE_CHECK,
                asset_key=MODEL_KEY,
                passed=metrics["hybrid_macro_f1_vs_labels"] > metrics["majority_macro_f1_vs_labels"],
                severity=dg.AssetCheckSeverity.WARN,
                metadata={name: value for name, value in metrics.items() if "_macro_f1_" in name},
            )
        ],
    )
