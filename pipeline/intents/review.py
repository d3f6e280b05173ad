"""Which segments people look at, why, how urgently, and what their decisions mean.

Belongs here: the reasons for a review, the jobs that follow from them, the verdict of one or several people, what may
be shown and animated before and after it, the labels that it becomes. Does not belong here: who has which job
(`resources.reviews`), when jobs are opened (`assets/reviews.py`), how a segment came to be (`segments`).

Chance is a hash of the segment's id: the same segment is always in the audit, or never.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, Literal, get_args

import polars as pl

from configs.features import load_features
from configs.review import JobsConfig, Reason, ReasonsConfig, ReviewConfig, load_review
from pipeline.errors import PipelineError
from pipeline.features.definition import NAMES
from pipeline.intents.vocabulary import INTENTS, PROBABILITIES

REASONS: tuple[Reason, ...] = get_args(Reason)
"""Why a segment is looked at, weightiest first: what an operator called sensitive; its clip could not be made; chance;
the model alone would have said otherwise; its confidence is low."""

Verdict = Literal["accept", "correct", "reject", "skip"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
"""What a reviewer says: it is so; it is another intent; it is none of the nine; I can't tell."""

_URGENT = ["priority", "job_id"]
_SPAN = ["segment_id", "to_ms"]
DISPUTED = "disputed"
OPEN, CLOSED, WITHDRAWN = "open", "closed", "withdrawn"

GOLD_RULE = "gold"
"""The rule that stands in table `labels` for a person."""

JOB: dict[str, pl.DataType | type[pl.DataType]] = {
    "job_id": pl.String,
    "segment_id": pl.String,
    "match_id": pl.String,
    "round": pl.Int32,
    "player": pl.String,
    "team": pl.String,
    "side": pl.String,
    "from_ms": pl.Int64,
    "to_ms": pl.Int64,
    "intent": pl.String,
    "confidence": pl.Float64,
    "decided_by": pl.String,
    "model_version": pl.String,
    "reasons": pl.List(pl.String),
    "priority": pl.Float64,
    "required": pl.Boolean,
    "wanted": pl.Int32,
    "features": pl.String,
    "prediction": pl.String,
    "preview_uri": pl.String,
}
"""Columns of `jobs`."""


class BadDecision(PipelineError):
    """A decision that says nothing, or two things at once."""


class UnknownIntent(PipelineError):
    """A configuration or a decision names an intent that is none of the nine."""


def is_sensitive_intent(intent: str, config: ReasonsConfig | None = None) -> bool:
    """Whether nobody may see a segment of that intent before people have accepted it.

    Raises:
        UnknownIntent: if the configuration lists what is no intent.
    """
    return intent in _sensitive(config or load_review().reasons)


def reasons(
    segments: pl.DataFrame, intents: pl.DataFrame, *, threshold: float, config: ReasonsConfig | None = None
) -> pl.Series:
    """Why somebody should look at each segment, as far as intents tell.

    Args:
        segments: `segment_id`, `player`, `from_ms`, `to_ms`, `intent`, `confidence` of one match's segments.
        intents: table `intents` of that match.
        threshold: a confidence below it is a reason.
        config: what else is; `configs/review.yaml` if None.

    Returns:
        `review_reasons`, a list of REASONS per segment, in their order; empty where there is none.

    Raises:
        UnknownIntent: if the configuration lists what is no intent.
    """
    config = config or load_review().reasons
    against = _against_ms(segments, intents, config)
    told = segments.select("segment_id", "intent", "confidence", pl.col("to_ms") - pl.col("from_ms")).iter_rows()
    _sensitive(config)  # a configuration that names what is no intent is refused even if there is no segment
    listed = [
        reasons_of(name, intent, confidence, length, ms, threshold=threshold, config=config)
        for (name, intent, confidence, length), ms in zip(told, against, strict=True)
    ]
    return pl.Series("review_reasons", listed, dtype=pl.List(pl.String))


def reasons_of(
    segment_id: str,
    intent: str,
    confidence: float,
    length_ms: int,
    against_ms: int,
    *,
    threshold: float,
    config: ReasonsConfig,
) -> list[Reason]:
    """Why somebody should look at one segment, as far as intents tell; in the order of REASONS.

    Args:
        segment_id: its id.
        intent: its intent.
        confidence: mean probability of that intent.
        length_ms: how long it lasts.
        against_ms: how much of that the model alone was sure enough of another intent.
        threshold: a confidence below it is a reason.
        config: what else is.

    Raises:
        UnknownIntent: if the configuration lists what is no intent.
    """
    holds: dict[Reason, bool] = {
        "sensitive_intent": intent in _sensitive(config),
        "audit": chance("audit", segment_id) < config.audit_share,
        "disagreement": against_ms >= config.disagreement.share_at_least * length_ms,
        "low_confidence": confidence < threshold,
    }
    return list(compress(holds, holds.values()))


def jobs(
    segments: pl.DataFrame,
    intents: pl.DataFrame,
    features: pl.DataFrame,
    clips: pl.DataFrame | None = None,
    config: ReviewConfig | None = None,
) -> pl.DataFrame:
    """What people are asked about one match.

    Args:
        segments: table `segments`.
        intents: table `intents` it was cut from.
        features: table `features` those were predicted from.
        clips: table `clips`, if there are any yet.
        config: priorities, shares and numbers; `configs/review.yaml` if None.

    Returns:
        One row per segment that is `asked` about, in the columns of JOB, most urgent first. `job_id` names segment and
        model version. `features` is a JSON object of the features at the segment's middle instant and that instant's
        `t_ms`; `prediction` one of the mean probability of each intent over the segment's instants.
    """
    config = config or load_review()
    chosen = asked(doubtful(segments, clips, config.jobs), config.jobs)
    spans = chosen.select("segment_id", "player", "from_ms", "to_ms")
    found = (
        chosen.with_columns(
            pl.Series("wanted", [_wanted(name, config.jobs) for name in chosen["segment_id"]], dtype=pl.Int32)
        )
        .join(_looks(spans, features), on="segment_id", how="left")
        .join(_predictions(spans, intents), on="segment_id", how="left")
        .with_columns(pl.col("intent").cast(pl.String), pl.col("confidence").cast(pl.Float64))
    )
    return found.select(pl.col(name).cast(kind) for name, kind in JOB.items()).sort(_URGENT, descending=True)


def doubtful(
    segments: pl.DataFrame, clips: pl.DataFrame | None = None, config: JobsConfig | None = None
) -> pl.DataFrame:
    """The segments that there is a reason to look at, most urgent first.

    Args:
        segments: table `segments` of one match.
        clips: table `clips` of it, if there are any yet: one that is not feasible is a reason of its own.
        config: priorities, and which reasons require a review; `configs/review.yaml` if None.

    Returns:
        Rows of `segments` with `job_id`, `reasons`, `preview_uri`, `priority` and `required`.
    """
    config = config or load_review().jobs
    found = _with_motion(segments, clips).filter(pl.col("reasons").list.len() > 0)
    names = [job_id(*names) for names in found.select("segment_id", "model_version").iter_rows()]
    required = [not config.required.isdisjoint(why) for why in found["reasons"]]
    return found.with_columns(
        pl.Series("job_id", names, dtype=pl.String),
        pl.Series("priority", _priorities(found, config), dtype=pl.Float64),
        pl.Series("required", required, dtype=pl.Boolean),
    ).sort(_URGENT, descending=True)


def asked(doubtful: pl.DataFrame, config: JobsConfig | None = None) -> pl.DataFrame:
    """Those of the doubtful segments that people are asked about: more than they can judge helps nobody.

    What a review is required of is always asked, and so is the audit, as a sample that is cut is none. Of the others
    the most urgent, as many as a match is given.

    Args:
        doubtful: as `doubtful` returns it.
        config: how many; `configs/review.yaml` if None.
    """
    config = config or load_review().jobs
    always = pl.col("required") | pl.col("reasons").list.contains("audit")
    return doubtful.filter(always | ((~always).cum_sum() <= config.optional_per_match))


def job_id(segment_id: str, model_version: str) -> str:
    """The first 16 hex digits of the SHA-256 of the two, separated by a zero byte."""
    return _digest(segment_id, model_version).hex()[:16]


def chance(what: str, segment_id: str) -> float:
    """A number in [0, 1) that is the segment's own, another for each `what`, evenly spread over segments."""
    return int.from_bytes(_digest(what, segment_id)[:8]) / 2**64


def answer(verdict: str, predicted: str, intent: str | None) -> str | None:
    """The intent that a decision stands for; None where it stands for none of the nine, or for no opinion.

    Args:
        verdict: one of VERDICTS.
        predicted: the intent that was asked about.
        intent: the one the reviewer names, where the verdict is to correct.

    Raises:
        BadDecision: if there is no such verdict, or the intent does not go with it.
        UnknownIntent: if it is none of the nine.
    """
    if verdict not in VERDICTS:
        raise BadDecision(f"no verdict is called {verdict!r}; there are {', '.join(VERDICTS)}")
    if verdict != "correct":
        if intent is not None and (verdict, intent) != ("accept", predicted):
            raise BadDecision(f"{verdict} names no other intent; to say {intent}, correct it")
        return predicted if verdict == "accept" else None
    if intent is None:
        raise BadDecision("a correction names the right intent")
    if intent not in INTENTS:
        raise UnknownIntent(f"no intent is called {intent!r}; there are {', '.join(INTENTS)}")
    if intent == predicted:
        raise BadDecision(f"{intent} is what was predicted: accept it")
    return intent


@dataclass(frozen=True)
class Settled:
    """Where a job stands after some decisions.

    Attributes:
        state: `open` or `closed`.
        wanted: how many decisions it takes now.
        verdict: `accept`, `correct`, `reject` or `disputed`; None while open.
        intent: what people say it is; None while open, where they reject or differ.
    """

    state: str
    wanted: int
    verdict: str | None = None
    intent: str | None = None


def settle(predicted: str, answers: Sequence[str | None], wanted: int, config: JobsConfig | None = None) -> Settled:
    """What the answers of some people come to: most votes win, a tie asks one more, up to the configured number.

    Args:
        predicted: the intent that was asked about.
        answers: what each said it is, None for none of the nine; without those who skipped.
        wanted: how many answers the job takes.
        config: the greatest number; `configs/review.yaml` if None.
    """
    if len(answers) < wanted:
        return Settled(OPEN, wanted)
    ranked = Counter(answers).most_common(2)
    if len(ranked) == 2 and ranked[0][1] == ranked[1][1]:
        if len(answers) < (config or load_review().jobs).most_decisions:
            return Settled(OPEN, len(answers) + 1)
        return Settled(CLOSED, wanted, DISPUTED)
    intent = ranked[0][0]
    verdict = "reject" if intent is None else "accept" if intent == predicted else "correct"
    return Settled(CLOSED, wanted, verdict, intent)


def standing(segments: pl.DataFrame, reviews: pl.DataFrame, config: JobsConfig | None = None) -> pl.DataFrame:
    """Which segments are final, and what keeps the others from being so.

    Args:
        segments: table `segments` of one match.
        reviews: jobs of that match, of any model, as `resources.reviews.Reviews.reviews` gives them: `segment_id`,
            `to_ms`, `state`, `required`, `verdict`, `verdict_intent`, latest last.
        config: which reasons require a review; `configs/review.yaml` if None.

    Returns:
        `segments`, `intent` being what people say where they agree on one, with `reviewed`, whether they do, and
        `standing`: `final`; `waiting` for a review that is required; `rejected`, as people see none of the nine;
        `disputed`, as people differ about what nobody may see before they agree.
    """
    required = [*(config or load_review().jobs).required]
    awaited = reviews.filter(pl.col("required") & (pl.col("state") == OPEN)).select(*_SPAN, awaited=pl.lit(True))
    judged = _judged(segments, reviews).join(awaited.unique(_SPAN), on=_SPAN, how="left", maintain_order="left")
    agreed = pl.col("verdict").is_in(["accept", "correct"]).fill_null(False)
    # A clip that cannot be made is a reason that only its job tells.
    by_reason = pl.col("review_reasons").list.set_intersection(pl.lit(required, pl.List(pl.String))).list.len() > 0
    stands = (
        pl.when(agreed)
        .then(pl.lit("final"))
        .when(pl.col("verdict") == "reject")
        .then(pl.lit("rejected"))
        .when(~(by_reason | pl.col("awaited").fill_null(False)))
        .then(pl.lit("final"))
        .when(pl.col("verdict") == DISPUTED)
        .then(pl.lit(DISPUTED))
        .otherwise(pl.lit("waiting"))
    )
    said = pl.when(agreed).then(pl.col("verdict_intent").cast(segments.schema["intent"])).otherwise(pl.col("intent"))
    told = judged.with_columns(said.alias("intent"), agreed.alias("reviewed"), stands.alias("standing"))
    return told.select(*segments.columns, "reviewed", "standing")


def animated(segments: pl.DataFrame, reviews: pl.DataFrame, config: ReasonsConfig | None = None) -> pl.DataFrame:
    """The segments for which motion may be made: a sensitive one only once its review has accepted it.

    One that people corrected to a sensitive intent is sensitive too, and its motion would show what it was not.

    Args:
        segments: table `segments` of one match.
        reviews: as in `standing`.
        config: which intents are sensitive; `configs/review.yaml` if None.

    Returns:
        Rows of `segments`.
    """
    listed = _sensitive(config or load_review().reasons)
    sensitive = pl.any_horizontal(
        pl.col(name).cast(pl.String).is_in(listed).fill_null(False) for name in ("intent", "verdict_intent")
    )
    accepted = (pl.col("verdict") == "accept").fill_null(False)
    return _judged(segments, reviews).filter(~sensitive | accepted).select(segments.columns)


def with_gold(labels: pl.DataFrame, gold: pl.DataFrame) -> pl.DataFrame:
    """Labels in which what people say stands in place of what the rules say.

    Args:
        labels: table `labels` of one match.
        gold: of that match, as `resources.reviews.Reviews.gold` gives it: `player`, `from_ms`, `to_ms`, `intent` (null:
            none of the nine), `decided_at`. Where stretches overlap the one decided last counts.

    Returns:
        `labels` with the same rows; those that people judged have the one rule `gold` and are certain of their intent,
        or abstain where it is none of the nine.
    """
    grid_ms = load_features().grid_ms
    first = (pl.col("from_ms") / grid_ms).ceil().cast(pl.Int64) * grid_ms
    said = (
        gold.sort("decided_at", "from_ms")
        .select(
            "player",
            pl.col("intent").cast(pl.String).alias("said"),
            pl.int_ranges(first, "to_ms", grid_ms).alias("t_ms"),
        )
        .explode("t_ms", empty_as_null=False)
        .unique(["player", "t_ms"], keep="last", maintain_order=True)
        .with_columns(pl.lit(True).alias("judged"))
    )
    both = labels.join(said, on=["player", "t_ms"], how="left", maintain_order="left")
    judged = pl.col("judged").fill_null(False)
    certain = {
        name: pl.when(pl.col("said").is_not_null()).then((pl.col("said") == intent).cast(pl.Float32))
        for name, intent in zip(PROBABILITIES, INTENTS, strict=True)
    }
    people = {**certain, "intent": pl.col("said").cast(labels.schema["intent"]), "rules": pl.lit([GOLD_RULE])}
    return both.with_columns(
        pl.when(judged).then(value).otherwise(pl.col(name)).alias(name) for name, value in people.items()
    ).select(labels.columns)


def _judged(segments: pl.DataFrame, reviews: pl.DataFrame) -> pl.DataFrame:
    """Segments with the latest verdict on the same stretch of the same intent, whichever model's question it was."""
    said = reviews.filter(pl.col("verdict").is_not_null()).unique(_SPAN, keep="last", maintain_order=True)
    said = said.select(pl.col("segment_id"), pl.col("to_ms").cast(pl.Int64), "verdict", "verdict_intent")
    return segments.join(said, on=_SPAN, how="left", maintain_order="left")


def _sensitive(config: ReasonsConfig) -> list[str]:
    if unknown := sorted(set(config.sensitive) - set(INTENTS)):
        raise UnknownIntent(f"review.yaml: reasons.sensitive: no intent is called {', '.join(unknown)}")
    return list(config.sensitive)


def _against_ms(segments: pl.DataFrame, intents: pl.DataFrame, config: ReasonsConfig) -> list[int]:
    """For how much of each segment the model alone would have said otherwise."""
    against = intents.filter(pl.col("model_against") >= config.disagreement.model_at_least)
    spans = segments.select("segment_id", "player", "from_ms", "to_ms")
    counts = dict(_instants(spans, against.select("player", "t_ms")).group_by("segment_id").len().iter_rows())
    grid_ms = load_features().grid_ms
    return [counts.get(name, 0) * grid_ms for name in spans["segment_id"]]


def _instants(spans: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows (`player`, `t_ms`, …) that lie in a span `[from_ms, to_ms)` of their player, with its columns."""
    return (
        rows.sort("t_ms")
        .join_asof(
            spans.with_columns(pl.col("from_ms").alias("t_ms")).sort("t_ms"),
            on="t_ms",
            by="player",
            strategy="backward",
            check_sortedness=False,  # sorted just now; it cannot tell within groups
        )
        .filter(pl.col("t_ms") < pl.col("to_ms"))
    )


def _with_motion(segments: pl.DataFrame, clips: pl.DataFrame | None) -> pl.DataFrame:
    """Segments with `reasons` and `preview_uri`: those of the intents, and what their clips add."""
    made = pl.DataFrame(schema={"segment_id": pl.String, "feasible": pl.Boolean, "preview_uri": pl.String})
    if clips is not None:
        made = clips.select("segment_id", "feasible", "preview_uri").unique("segment_id", keep="last")
    failed = pl.when(~pl.col("feasible")).then(pl.lit(["motion_failed"])).otherwise(pl.lit([], pl.List(pl.String)))
    both = segments.join(made, on="segment_id", how="left", maintain_order="left").with_columns(
        pl.concat_list("review_reasons", failed).alias("reasons")
    )
    place: Callable[[str], int] = REASONS.index  # type: ignore[assignment]  # of a literal
    ordered = [sorted(why, key=place) for why in both["reasons"].to_list()]
    return both.with_columns(pl.Series("reasons", ordered, dtype=pl.List(pl.String)))


def _priorities(found: pl.DataFrame, config: JobsConfig) -> list[float]:
    weights = {str(reason): weight for reason, weight in config.priorities.items()}
    return [
        round(max(weights[reason] for reason in why) + config.doubt * (1 - confidence), 6)
        for why, confidence in found.select("reasons", "confidence").iter_rows()
    ]


def _wanted(segment_id: str, config: JobsConfig) -> int:
    return 2 if chance("second", segment_id) < config.second_review_share else 1


def _looks(spans: pl.DataFrame, features: pl.DataFrame) -> pl.DataFrame:
    """`features` of each span: those at its middle instant."""
    rows = _instants(spans, features.select("player", "t_ms", *NAMES))
    middle = rows.group_by("segment_id").agg(
        pl.col("t_ms", *NAMES).sort_by("t_ms").get(pl.len() // 2)  # of an even number the later
    )
    return _packed(middle, "features", lambda row: row)


def _predictions(spans: pl.DataFrame, intents: pl.DataFrame) -> pl.DataFrame:
    """`prediction` of each span: the mean probability of each intent."""
    rows = _instants(spans, intents.select("player", "t_ms", *PROBABILITIES))
    means = rows.group_by("segment_id").agg(pl.col(PROBABILITIES).cast(pl.Float64).mean())
    names = dict(zip(PROBABILITIES, INTENTS, strict=True))
    return _packed(means, "prediction", lambda row: {names[name]: value for name, value in row.items()})


def _packed(rows: pl.DataFrame, name: str, shape: Callable[[dict[str, Any]], dict[str, Any]]) -> pl.DataFrame:
    """The columns beside `segment_id` as one column of JSON, floats to the seven digits that they have."""
    texts = [
        json.dumps({key: _plain(value) for key, value in shape(row).items()}, separators=(",", ":"))
        for row in rows.drop("segment_id").iter_rows(named=True)
    ]
    return rows.select("segment_id").with_columns(pl.Series(name, texts, dtype=pl.String))


def _plain(value: Any) -> Any:
    return float(f"{value:.7g}") if isinstance(value, float) else value


def _digest(*names: str) -> bytes:
    return hashlib.sha256("\0".join(names).encode()).digest()
