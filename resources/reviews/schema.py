"""The tables of the review database.

Belongs here: columns and what must hold of them. Does not belong here: how an existing database gets them
(`migrations`), which must come to the same; a test compares the two.

Instants are milliseconds since 1970 by the database's clock (`_at_ms`), so reviewers' clocks decide nothing. Names
begin with `review_`, as the database may be shared with Dagster's and MLflow's tables.
"""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

metadata = sa.MetaData()

Json = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
Ms = sa.BigInteger()
# SQLite numbers rows by itself only where the type is INTEGER.
Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

jobs = sa.Table(
    "review_jobs",
    metadata,
    sa.Column("job_id", sa.String(16), primary_key=True),
    sa.Column("segment_id", sa.String(16), nullable=False),
    sa.Column("match_id", sa.String(100), nullable=False),
    sa.Column("round", sa.Integer()),
    sa.Column("player", sa.Text(), nullable=False),
    sa.Column("team", sa.Text()),
    sa.Column("side", sa.Text()),
    sa.Column("from_ms", Ms, nullable=False, comment="of match time, as to_ms"),
    sa.Column("to_ms", Ms, nullable=False),
    sa.Column("intent", sa.String(20), nullable=False, comment="as predicted"),
    sa.Column("confidence", sa.Float(53), nullable=False),
    sa.Column("decided_by", sa.Text(), nullable=False),
    sa.Column("model_version", sa.Text(), nullable=False),
    sa.Column("reasons", Json, nullable=False),
    sa.Column("priority", sa.Float(53), nullable=False),
    sa.Column("required", sa.Boolean(), nullable=False),
    sa.Column("features", Json, comment="at the segment's middle instant"),
    sa.Column("prediction", Json, comment="mean probability of each intent"),
    sa.Column("preview_uri", sa.Text()),
    sa.Column("state", sa.String(10), nullable=False, comment="open, closed or withdrawn"),
    sa.Column("wanted", sa.Integer(), nullable=False, comment="decisions that close it"),
    sa.Column("claimable_at_ms", Ms, nullable=False, comment="when somebody else may have it"),
    sa.Column("verdict", sa.String(10), comment="accept, correct, reject or disputed, once closed"),
    sa.Column("verdict_intent", sa.String(20)),
    sa.Column("opened_at_ms", Ms, nullable=False),
    sa.Column("closed_at_ms", Ms),
    sa.UniqueConstraint("segment_id", "model_version", name="review_jobs_segment"),
    sa.Index("review_jobs_queue", "state", "priority", "job_id"),
    sa.Index("review_jobs_match", "match_id", "state"),
    comment="A question about one segment as one model saw it.",
)

claims = sa.Table(
    "review_claims",
    metadata,
    sa.Column("token", Number, primary_key=True, autoincrement=True, comment="a later claim has a greater one"),
    sa.Column("job_id", sa.ForeignKey("review_jobs.job_id"), nullable=False),
    sa.Column("reviewer", sa.String(200), nullable=False),
    sa.Column("claimed_at_ms", Ms, nullable=False, comment="last time that it was handed out under this token"),
    sa.Column("expires_at_ms", Ms, nullable=False),
    sa.Column("ended_at_ms", Ms),
    sa.Column("ended", sa.String(10), comment="decided, released or expired"),
    sa.Index("review_claims_job", "job_id"),
    sa.Index(
        "review_claims_held",
        "reviewer",
        unique=True,
        sqlite_where=sa.text("ended_at_ms IS NULL"),
        postgresql_where=sa.text("ended_at_ms IS NULL"),
    ),
    sqlite_autoincrement=True,
    comment="A job in one reviewer's hands; each has at most one that has not ended.",
)

decisions = sa.Table(
    "review_decisions",
    metadata,
    sa.Column("number", Number, primary_key=True, autoincrement=True),
    sa.Column("decision_id", sa.String(100), nullable=False, unique=True, comment="the same one counts once"),
    sa.Column("job_id", sa.ForeignKey("review_jobs.job_id"), nullable=False),
    sa.Column("reviewer", sa.String(200), nullable=False),
    sa.Column("token", Number, comment="the claim; null where the decision was imported"),
    sa.Column("verdict", sa.String(10), nullable=False, comment="accept, correct, reject or skip"),
    sa.Column("intent_before", sa.String(20), nullable=False),
    sa.Column("intent_after", sa.String(20), comment="null: none of the nine, or skipped"),
    sa.Column("took_ms", Ms, comment="how long the reviewer had the job, or says it took"),
    sa.Column("decided_at_ms", Ms, nullable=False),
    sa.Column("note", sa.Text()),
    sa.Index(
        "review_decisions_once",
        "job_id",
        "reviewer",
        unique=True,
        sqlite_where=sa.text("verdict <> 'skip'"),
        postgresql_where=sa.text("verdict <> 'skip'"),
    ),
    sqlite_autoincrement=True,
    comment="What one person said of one job; never changed.",
)

audit = sa.Table(
    "review_audit",
    metadata,
    sa.Column("number", Number, primary_key=True, autoincrement=True),
    sa.Column("at_ms", Ms, nullable=False),
    sa.Column("actor", sa.String(200), nullable=False, comment="a reviewer, or `pipeline`"),
    sa.Column("action", sa.String(20), nullable=False),
    sa.Column("job_id", sa.String(16)),
    sa.Column("details", Json, nullable=False),
    sa.Index("review_audit_job", "job_id"),
    sqlite_autoincrement=True,
    comment="Everything that ever happened to a job; never changed.",
)
