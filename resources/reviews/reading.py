"""Jobs and decisions as frames.

Belongs here: queries that change nothing. Does not belong here: what is learned from decisions
(`pipeline.intents.training`), how far people agree (`pipeline.intents.agreement`).
"""

from collections.abc import Collection
from typing import Any

import polars as pl
import sqlalchemy as sa

from pipeline.intents.review import CLOSED, DISPUTED
from pipeline.intents.vocabulary import INTENTS
from resources.reviews import schema
from resources.reviews.jobs import SKIP

_INTENT = pl.Enum(INTENTS)
_AT = pl.Datetime("ms", "UTC")
_SPAN: dict[str, Any] = {
    "match_id": pl.String,
    "round": pl.Int32,
    "player": pl.String,
    "from_ms": pl.Int64,
    "to_ms": pl.Int64,
}
DECISIONS: dict[str, Any] = {
    "decision_id": pl.String,
    "job_id": pl.String,
    "segment_id": pl.String,
    **_SPAN,
    "intent": _INTENT,
    "verdict": pl.String,
    "predicted": _INTENT,
    "confidence": pl.Float64,
    "decided_by": pl.String,
    "model_version": pl.String,
    "reasons": pl.List(pl.String),
    "reviewer": pl.String,
    "took_ms": pl.Int64,
    "decided_at": _AT,
}
"""Columns of `decisions`."""
GOLD: dict[str, Any] = {
    "segment_id": pl.String,
    **_SPAN,
    "intent": _INTENT,
    "predicted": _INTENT,
    "reasons": pl.List(pl.String),
    "reviewers": pl.List(pl.String),
    "decided_at": _AT,
}
"""Columns of `gold`."""
REVIEWS: dict[str, Any] = {
    "job_id": pl.String,
    "segment_id": pl.String,
    **_SPAN,
    "intent": _INTENT,
    "model_version": pl.String,
    "reasons": pl.List(pl.String),
    "priority": pl.Float64,
    "required": pl.Boolean,
    "state": pl.String,
    "verdict": pl.String,
    "verdict_intent": _INTENT,
}
"""Columns of `reviews`."""


def decisions(db: sa.Connection, match_ids: Collection[str] | None) -> pl.DataFrame:
    """Every decision that says something; see `reviews.Reviews.decisions`."""
    job, said = schema.jobs.c, schema.decisions.c
    query = (
        sa.select(
            said.decision_id, said.job_id, job.segment_id, *_span(), said.intent_after, said.verdict,
            said.intent_before, job.confidence, job.decided_by, job.model_version, job.reasons, said.reviewer,
            said.took_ms, said.decided_at_ms,
        )
        .join_from(schema.decisions, schema.jobs)
        .where(said.verdict != SKIP)
        .order_by(said.number)
    )  # fmt: skip
    return _frame(db, query, match_ids, DECISIONS)


def gold(db: sa.Connection, match_ids: Collection[str] | None) -> pl.DataFrame:
    """What people agree on, a row per stretch; see `reviews.Reviews.gold`."""
    job, said = schema.jobs.c, schema.decisions.c
    query = (
        sa.select(
            job.segment_id, *_span(), job.verdict_intent, job.intent, job.reasons, said.reviewer, said.decided_at_ms
        )
        .join_from(schema.decisions, schema.jobs)
        .where(said.verdict != SKIP, job.state == CLOSED, job.verdict != DISPUTED)
        .order_by(job.closed_at_ms, job.job_id, said.number)
    )
    rows = _frame(db, query, match_ids, {**GOLD, "reviewers": pl.String})
    stretch = ["segment_id", "to_ms"]
    newest = pl.all().exclude(*stretch, "reviewers").last()
    told = rows.group_by(stretch, maintain_order=True).agg(newest, pl.col("reviewers").unique(maintain_order=True))
    return told.select(list(GOLD)).sort("match_id", "player", "from_ms", "to_ms")


def reviews(db: sa.Connection, match_id: str) -> pl.DataFrame:
    """Every job of a match, the one closed last coming last; see `reviews.Reviews.reviews`."""
    job = schema.jobs.c
    query = sa.select(
        job.job_id, job.segment_id, *_span(), job.intent, job.model_version, job.reasons, job.priority, job.required,
        job.state, job.verdict, job.verdict_intent,
    ).order_by(sa.func.coalesce(job.closed_at_ms, 0), job.job_id)  # fmt: skip
    return _frame(db, query, [match_id], REVIEWS)


def decided(db: sa.Connection) -> int:
    """How many decisions say something."""
    said = schema.decisions
    return db.execute(sa.select(sa.func.count()).select_from(said).where(said.c.verdict != SKIP)).scalar_one()


def closings(db: sa.Connection, sensitive: Collection[str]) -> dict[str, int]:
    """By match, how often a job of it that decides on a clip was closed, or opened again by a decision that came late.

    Those are the required ones, and those that people have ever called one of the sensitive intents.
    """
    job, told = schema.jobs.c, schema.audit.c
    called = sa.select(told.job_id).where(
        told.action == "closed", told.details["intent"].as_string().in_(sorted(sensitive))
    )
    query = (
        sa.select(job.match_id, sa.func.count().label("closings"))
        .join_from(schema.jobs, schema.audit, job.job_id == told.job_id)
        .where(job.required | job.job_id.in_(called), told.action.in_(["closed", "asks_another"]))
        .group_by(job.match_id)
        .order_by(job.match_id)
    )
    return {row.match_id: row.closings for row in db.execute(query)}


def counts(db: sa.Connection) -> dict[str, int]:
    """How many jobs there are, by state."""
    state = schema.jobs.c.state
    query = sa.select(state, sa.func.count().label("jobs")).group_by(state).order_by(state)
    return {row.state: row.jobs for row in db.execute(query)}


def _span() -> list[sa.Column[Any]]:
    return [schema.jobs.c[name] for name in _SPAN]


def _frame(
    db: sa.Connection, query: sa.Select[Any], match_ids: Collection[str] | None, columns: dict[str, Any]
) -> pl.DataFrame:
    if match_ids is not None:
        query = query.where(schema.jobs.c.match_id.in_(sorted(match_ids)))
    rows = [tuple(row) for row in db.execute(query)]
    raw = {name: pl.Int64 if kind == _AT else kind for name, kind in columns.items()}
    return pl.DataFrame(rows, schema=raw, orient="row").select(
        pl.col(name).cast(kind) for name, kind in columns.items()
    )
