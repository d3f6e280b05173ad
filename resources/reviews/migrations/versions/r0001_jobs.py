"""Jobs, claims, decisions, and an audit that nobody can change."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

_NEVER_CHANGED = {
    "review_decisions": "number = NEW.number OR decision_id = NEW.decision_id",
    "review_audit": "number = NEW.number",
}
"""Tables that only grow, and which row SQLite's INSERT OR REPLACE would delete without asking a trigger."""


def upgrade() -> None:
    """Creates the tables, and triggers that refuse to change or delete what is kept for ever."""
    json = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    ms = sa.BigInteger()
    op.create_table(
        "review_jobs",
        sa.Column("job_id", sa.String(16), primary_key=True),
        sa.Column("segment_id", sa.String(16), nullable=False),
        sa.Column("match_id", sa.String(100), nullable=False),
        sa.Column("round", sa.Integer()),
        sa.Column("player", sa.Text(), nullable=False),
        sa.Column("team", sa.Text()),
        sa.Column("side", sa.Text()),
        sa.Column("from_ms", ms, nullable=False, comment="of match time, as to_ms"),
        sa.Column("to_ms", ms, nullable=False),
        sa.Column("intent", sa.String(20), nullable=False, comment="as predicted"),
        sa.Column("confidence", sa.Float(53), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("reasons", json, nullable=False),
        sa.Column("priority", sa.Float(53), nullable=False),
        sa.Column("required", sa.Boolean(), nullable=False),
        sa.Column("features", json, comment="at the segment's middle instant"),
        sa.Column("prediction", json, comment="mean probability of each intent"),
        sa.Column("preview_uri", sa.Text()),
        sa.Column("state", sa.String(10), nullable=False, comment="open, closed or withdrawn"),
        sa.Column("wanted", sa.Integer(), nullable=False, comment="decisions that close it"),
        sa.Column("claimable_at_ms", ms, nullable=False, comment="when somebody else may have it"),
        sa.Column("verdict", sa.String(10), comment="accept, correct, reject or disputed, once closed"),
        sa.Column("verdict_intent", sa.String(20)),
        sa.Column("opened_at_ms", ms, nullable=False),
        sa.Column("closed_at_ms", ms),
        sa.UniqueConstraint("segment_id", "model_version", name="review_jobs_segment"),
        comment="A question about one segment as one model saw it.",
    )
    op.create_index("review_jobs_queue", "review_jobs", ["state", "priority", "job_id"])
    op.create_index("review_jobs_match", "review_jobs", ["match_id", "state"])
    op.create_table(
        "review_claims",
        sa.Column("token", number, primary_key=True, autoincrement=True, comment="a later claim has a greater one"),
        sa.Column("job_id", sa.String(16), sa.ForeignKey("review_jobs.job_id"), nullable=False),
        sa.Column("reviewer", sa.String(200), nullable=False),
        sa.Column("claimed_at_ms", ms, nullable=False, comment="last time that it was handed out under this token"),
        sa.Column("expires_at_ms", ms, nullable=False),
        sa.Column("ended_at_ms", ms),
        sa.Column("ended", sa.String(10), comment="decided, released or expired"),
        sqlite_autoincrement=True,
        comment="A job in one reviewer's hands; each has at most one that has not ended.",
    )
    op.create_index("review_claims_job", "review_claims", ["job_id"])
    held = sa.text("ended_at_ms IS NULL")
    op.create_index(
        "review_claims_held", "review_claims", ["reviewer"], unique=True, sqlite_where=held, postgresql_where=held
    )
    op.create_table(
        "review_decisions",
        sa.Column("number", number, primary_key=True, autoincrement=True),
        sa.Column("decision_id", sa.String(100), nullable=False, unique=True, comment="the same one counts once"),
        sa.Column("job_id", sa.String(16), sa.ForeignKey("review_jobs.job_id"), nullable=False),
        sa.Column("reviewer", sa.String(200), nullable=False),
        sa.Column("token", number, comment="the claim; null where the decision was imported"),
        sa.Column("verdict", sa.String(10), nullable=False, comment="accept, correct, reject or skip"),
        sa.Column("intent_before", sa.String(20), nullable=False),
        sa.Column("intent_after", sa.String(20), comment="null: none of the nine, or skipped"),
        sa.Column("took_ms", ms, comment="how long the reviewer had the job, or says it took"),
        sa.Column("decided_at_ms", ms, nullable=False),
        sa.Column("note", sa.Text()),
        sqlite_autoincrement=True,
        comment="What one person said of one job; never changed.",
    )
    said = sa.text("verdict <> 'skip'")
    op.create_index(
        "review_decisions_once",
        "review_decisions",
        ["job_id", "reviewer"],
        unique=True,
        sqlite_where=said,
        postgresql_where=said,
    )
    op.create_table(
        "review_audit",
        sa.Column("number", number, primary_key=True, autoincrement=True),
        sa.Column("at_ms", ms, nullable=False),
        sa.Column("actor", sa.String(200), nullable=False, comment="a reviewer, or `pipeline`"),
        sa.Column("action", sa.String(20), nullable=False),
        sa.Column("job_id", sa.String(16)),
        sa.Column("details", json, nullable=False),
        sqlite_autoincrement=True,
        comment="Everything that ever happened to a job; never changed.",
    )
    op.create_index("review_audit_job", "review_audit", ["job_id"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION review_refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
        )
    for table, same in _NEVER_CHANGED.items():
        if op.get_bind().dialect.name == "postgresql":
            op.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION review_refuse_change()"
            )
            continue
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        known = f"SELECT 1 FROM {table} WHERE {same}"  # noqa: S608  # names from above
        op.execute(
            f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN EXISTS ({known}) "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )
