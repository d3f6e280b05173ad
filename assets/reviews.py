"""People in the loop: a match's doubtful segments become review jobs, what people decide a training and a clip.

Belongs here: when jobs are opened, when enough decisions are new. Does not belong here: why a segment is looked at
(`pipeline.intents.review`), who has which job (`resources.reviews`), the command line (`assets/review_commands.py`).
Concept: https://docs.dagster.io/guides/automate/sensors
"""

import json
import logging
from collections import Counter
from collections.abc import Mapping

import dagster as dg
import polars as pl

from assets import reports
from assets.jobs import make_clips, retrain
from assets.partitions import MATCH, matches, one_match_per_run
from assets.stages import MatchTables
from configs.review import load_review
from pipeline.intents.agreement import agreement, mean_kappa
from pipeline.intents.explanation import EXPLANATION, explained
from pipeline.intents.review import OPEN, doubtful, jobs, standing
from pipeline.versions import code_version
from resources.registry import DamagedModel, ModelNotFound, ModelRegistry, RegistryUnreachable
from resources.reviews import Reviews
from resources.reviews.jobs import Opened
from resources.settings import Settings
from resources.store import PartMissing, Store

logger = logging.getLogger(__name__)

EXPLAINED = 10  # jobs of a match, the most urgent; 30 ms each
RETRAINED_FOR = "gridmotion/decisions"


def open_reviews(environment: Settings) -> Reviews:
    """The review database that the environment names; nothing is opened before it is used."""
    return Reviews(environment.review_url)


@dg.asset(
    group_name="review",
    partitions_def=matches,
    backfill_policy=one_match_per_run,
    deps=["segments", "intents", "features", "clips"],
    kinds={"polars", "sql"},
    code_version=code_version("intents/review.py"),
)
def review_jobs(
    context: dg.AssetExecutionContext,
    store: dg.ResourceParam[Store],
    reviews: dg.ResourceParam[Reviews],
    models: dg.ResourceParam[ModelRegistry],
) -> dg.MaterializeResult:
    """What people are asked about a match: one job per segment that somebody should look at, most urgent first."""
    match_id = context.partition_key
    tables = MatchTables(store, match_id, context.log.warning)
    segments = tables.read("segments")
    try:
        clips = tables.read("clips")
    except PartMissing:
        context.log.info(f"{match_id} has no clips yet: none of them can have failed")
        clips = None
    asked = jobs(segments, tables.read("intents"), tables.read("features"), clips, reviews.config)
    opened = reviews.open(match_id, asked)
    left = doubtful(segments, clips, reviews.config.jobs).height - asked.height
    first = reports.explained(asked.head(EXPLAINED), spoke_for(models, asked.head(EXPLAINED), tables.read("features")))
    return dg.MaterializeResult(
        metadata={"not_opened": left, **told(match_id, segments, asked, opened, reviews), "asked_first": first}
    )


def spoke_for(models: ModelRegistry, segments: pl.DataFrame, features: pl.DataFrame, *, most: int = 3) -> pl.DataFrame:
    """What spoke for the intent of segments in the model that decided them, as `explained` tells it.

    Those of a model that cannot be had, or of the prior, which looks at nothing, are left out.

    Args:
        models: knows the models.
        segments: `segment_id`, `player`, `from_ms`, `to_ms`, `intent`, `model_version` of one match.
        features: table `features` of it.
        most: at most this many features of each.
    """
    found = [pl.DataFrame(schema=EXPLANATION)]
    for (version,), mine in segments.group_by("model_version", maintain_order=True):
        try:
            found.append(explained(models.get(str(version)), mine, features, most=most))
        except (ModelNotFound, DamagedModel, RegistryUnreachable) as error:
            logger.info("not explained: %s", error)
    return pl.concat(found)


def told(
    match_id: str, segments: pl.DataFrame, asked: pl.DataFrame, opened: Opened, reviews: Reviews
) -> reports.Metadata:
    """What an analyst wants to know of a match's reviews."""
    known = reviews.reviews(match_id)
    waiting = known.filter(pl.col("required") & (pl.col("state") == OPEN))
    reasons = Counter(reason for why in asked["reasons"] for reason in why)
    agreed = agreement(reviews.decisions())
    kappa = mean_kappa(agreed)
    return {
        "segments": segments.height,
        "asked": asked.height,
        "new": opened.new,
        "changed": opened.changed,
        "known": opened.known,
        "judged_before": opened.judged,
        "withdrawn": opened.withdrawn,
        "required_and_open": waiting.height,
        **{
            f"{name}_segments": count
            for name, count in standings(standing(segments, known, reviews.config.jobs)).items()
        },
        "reasons": dg.MetadataValue.json(dict(sorted(reasons.items()))),
        "decisions_of_all_matches": reviews.decided(),
        "judged_by_two": int(agreed["jobs"].sum()),
        **({} if kappa is None else {"kappa": kappa}),
    }


def standings(stood: pl.DataFrame) -> dict[str, int]:
    """How many segments are final, and how many are not for which reason.

    Args:
        stood: as `pipeline.intents.review.standing` returns it.
    """
    return {"final": 0} | dict(stood.group_by("standing").len().sort("standing").iter_rows())


def due(decided: int, cursor: str | None, every: int) -> tuple[str | None, str]:
    """Whether enough decisions are new for a training.

    Args:
        decided: how many decisions there are.
        cursor: what this function returned last time; None at first.
        every: so many new ones are enough.

    Returns:
        The run key of the training to request, or None, and the next cursor. Decisions count in steps of `every`, so
        the key is the same whenever somebody looks, and however often; several steps at once are one training.
    """
    step = decided // every * every
    before = int(cursor) if cursor else 0
    # Another database, or another step: whatever was requested of the one before says nothing of this one.
    if step <= before:
        return None, str(min(before, step)) if decided < before else str(before)
    return f"{step}-decisions", str(step)


@dg.sensor(
    job=retrain,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests a training when people have decided enough since the last one (configs/review.yaml).",
)
def decisions_sensor(
    context: dg.SensorEvaluationContext, reviews: dg.ResourceParam[Reviews]
) -> dg.SensorResult | dg.SkipReason:
    """Requests one training per so many decisions."""
    decided = reviews.decided()
    run_key, cursor = due(decided, context.cursor, load_review().retraining.every_decisions)
    requests = [dg.RunRequest(run_key=run_key, tags={RETRAINED_FOR: str(decided)})] if run_key else []
    return dg.SensorResult(run_requests=requests, cursor=cursor)


def news(closings: Mapping[str, int], cursor: str | None) -> tuple[list[tuple[str, str]], str]:
    """Matches of which a review that decides on a clip has been closed, or opened again, since the last look.

    Args:
        closings: how often either happened, by match; it never gets less.
        cursor: what this function returned last time; None at first.

    Returns:
        `(match id, run key)` of those matches, and the next cursor. The key is the same whenever somebody looks.
    """
    before: dict[str, int] = json.loads(cursor) if cursor else {}
    changed = [
        (match_id, f"{match_id}:{count}") for match_id, count in closings.items() if before.get(match_id) != count
    ]
    return changed, json.dumps(dict(closings), sort_keys=True)


@dg.sensor(
    job=make_clips,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests the clips of a match when people have judged a segment of it that is sensitive, or is by "
    "what they say.",
)
def accepted_sensor(
    context: dg.SensorEvaluationContext, reviews: dg.ResourceParam[Reviews]
) -> dg.SensorResult | dg.SkipReason:
    """Requests the clips of matches of which people judged what is sensitive, each time that this happens."""
    if not reviews.config.reasons.sensitive:
        return dg.SkipReason("configs/review.yaml calls no intent sensitive: no clip waits for people")
    changed, cursor = news(reviews.closings(), context.cursor)
    known = set(context.instance.get_dynamic_partitions(MATCH)) if changed else set()
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(run_key=run_key, partition_key=match_id, tags={MATCH: match_id})
            for match_id, run_key in changed
            if match_id in known  # another instance's, or of a database that several stores share
        ],
        cursor=cursor,
    )
