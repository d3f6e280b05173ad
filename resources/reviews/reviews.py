"""Review jobs as one resource.

Belongs here: what assets, commands and the training call. Does not belong here: how it is done (the other modules).
"""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl
import sqlalchemy as sa
from pydantic import SecretStr

from configs.review import ReviewConfig, load_review
from pipeline.errors import PipelineError
from pipeline.intents.review import OPEN
from resources.reviews import jobs, label_studio, reading, schema
from resources.reviews.database import Database
from resources.reviews.errors import JobUnknown, ReviewError
from resources.reviews.jobs import Claim, Decision, Opened, Recorded

_ATTEMPTS = 10  # to get a job while other transactions have rows locked or the same reviewer asks elsewhere
_LONGEST_NAME = 200
_EXPORT = 200  # jobs that stand in memory at once


@dataclass(frozen=True)
class Import:
    """What became of a file's annotations.

    Attributes:
        new: decisions recorded.
        known: decisions that stood already.
        refused: what was not recorded, and why.
    """

    new: int
    known: int
    refused: list[str]


class Reviews:
    """The review jobs of one database; its schema is brought up to date when it is first used.

    Every method raises DatabaseUnusable if the database does not answer.

    Args:
        url: `sqlite:///file` or `postgresql://…`.
        config: lease, waits, numbers of reviewers; `configs/review.yaml` if None.
    """

    def __init__(self, url: SecretStr | str, config: ReviewConfig | None = None) -> None:
        self.config = config or load_review()
        secret = url if isinstance(url, str) else url.get_secret_value()
        self._database = Database(secret, self.config.queue.wait_s)

    def __str__(self) -> str:
        """The address without secrets."""
        return str(self._database)

    @property
    def is_unwritten(self) -> bool:
        """Whether it is an SQLite file that nobody has written yet; reading it would make it."""
        return self._database.is_unwritten

    def migrate(self) -> None:
        """Brings the schema up to date now."""
        self._database.migrate()

    # -- the pipeline's side -----------------------------------------------------------------------------------------

    def open(self, match_id: str, asked: pl.DataFrame) -> Opened:
        """Makes the open jobs of a match those that are asked now.

        A job that stands keeps its place, its claims and its decisions. One that is no longer asked is withdrawn unless
        somebody has judged it or is at it. A stretch that people have judged for another model is not asked again.

        Args:
            match_id: the match.
            asked: as `pipeline.intents.review.jobs` returns it.
        """
        with self._database.writing() as db:
            return jobs.open_jobs(db, match_id, asked)

    def reviews(self, match_id: str) -> pl.DataFrame:
        """Every job of a match, of any model: `reading.REVIEWS`; of those closed the latest is last."""
        with self._database.reading() as db:
            return reading.reviews(db, match_id)

    def decisions(self, match_ids: Collection[str] | None = None) -> pl.DataFrame:
        """Every decision that says something, in the order they were made: `reading.DECISIONS`.

        `intent` is null where the reviewer sees none of the nine. Skips are left out.

        Args:
            match_ids: only of these matches.
        """
        with self._database.reading() as db:
            return reading.decisions(db, match_ids)

    def gold(self, match_ids: Collection[str] | None = None) -> pl.DataFrame:
        """What people say each stretch `[from_ms, to_ms)` of a player was: `reading.GOLD`, sorted by player and time.

        One row per stretch whose review is closed and not disputed; `intent` is null where it is none of the nine.
        Stretches that different models cut may overlap; `decided_at` tells which was judged later.

        Args:
            match_ids: only of these matches.
        """
        with self._database.reading() as db:
            return reading.gold(db, match_ids)

    def decided(self) -> int:
        """How many decisions say something; it never gets less."""
        with self._database.reading() as db:
            return reading.decided(db)

    def closings(self) -> dict[str, int]:
        """How often a review of each match was closed, or opened again; it never gets less.

        Counted are required reviews, and those in which people have ever seen an intent that is sensitive: both decide
        whether there may be a clip.
        """
        with self._database.reading() as db:
            return reading.closings(db, self.config.reasons.sensitive)

    def counts(self) -> dict[str, int]:
        """How many jobs there are, by state."""
        with self._database.reading() as db:
            return reading.counts(db)

    # -- the reviewer's side -----------------------------------------------------------------------------------------

    def next(self, reviewer: str, *, match_id: str | None = None, job_id: str | None = None) -> Claim | None:
        """The job that the reviewer has in hand, else the most urgent one that is free; theirs for a lease.

        Two reviewers never have the same place of a job at once. A reviewer never gets a job that they have judged, nor
        one that they skipped, unless they ask for it by name.

        Args:
            reviewer: who asks.
            match_id: only of this match; what the reviewer has of another is given back.
            job_id: only this one; likewise.

        Returns:
            None if there is nothing to do.

        Raises:
            JobUnknown: if there is no job of that id.
            ReviewError: if the reviewer has no name.
        """
        _check(reviewer)
        if job_id is not None:
            self.job(job_id)
        lease_ms = round(self.config.queue.lease_s * 1000)
        for attempt in range(_ATTEMPTS):
            with self._database.writing() as db:
                jobs.held_elsewhere(db, reviewer, match_id, job_id)
                if held := jobs.resume(db, reviewer, lease_ms):
                    return held
            try:
                with self._database.writing() as db:
                    if claim := jobs.claim(db, reviewer, lease_ms, match_id, job_id, wait=attempt > 0):
                        return claim
            except sa.exc.IntegrityError:  # the same reviewer asked elsewhere and was faster: they share that job
                continue
            with self._database.reading() as db:
                if not jobs.is_waiting(db, reviewer, match_id, job_id):
                    return None
        return None

    def token(self, reviewer: str, job_id: str) -> int | None:
        """The token of the last claim of a reviewer on a job, ended or not; None if they never had it."""
        claims = schema.claims
        query = sa.select(sa.func.max(claims.c.token)).where(claims.c.reviewer == reviewer, claims.c.job_id == job_id)
        with self._database.reading() as db:
            token: int | None = db.execute(query).scalar_one()
        return token

    def job(self, job_id: str) -> dict[str, Any]:
        """The columns of a job.

        Raises:
            JobUnknown: if there is none of that id.
        """
        with self._database.reading() as db:
            found = db.execute(sa.select(schema.jobs).where(schema.jobs.c.job_id == job_id)).mappings().one_or_none()
        if found is None:
            raise JobUnknown(f"there is no review job {job_id}")
        return dict(found)

    def decide(self, decision: Decision) -> Recorded:
        """Records a decision once, however often it comes; the one that completes a job closes it.

        Raises:
            JobUnknown: if there is no such job.
            LeaseLost: if the claim is not this reviewer's, or expired and somebody else has the job.
            AlreadyDecided: if this reviewer has decided it before, under another id.
            DecisionConflict: if the id stands for another decision.
            BadDecision: if verdict and intent do not go together.
            UnknownIntent: if the intent is none of the nine.
        """
        _check(decision.reviewer)
        with self._database.writing() as db:
            return jobs.decide(db, decision, self.config.jobs)

    # -- exchange ----------------------------------------------------------------------------------------------------

    def export(self, *, match_id: str | None = None, every: bool = False) -> Iterator[str]:
        """Jobs as a JSON list of Label Studio's tasks, in pieces of text.

        Args:
            match_id: only of this match.
            every: those that are closed or withdrawn too, with the decisions on all of them.
        """
        table, said = schema.jobs, schema.decisions
        query = sa.select(table).order_by(table.c.priority.desc(), table.c.job_id.desc())
        if match_id is not None:
            query = query.where(table.c.match_id == match_id)
        if not every:
            query = query.where(table.c.state == OPEN)
        yield "["
        with self._database.reading() as db:
            separator = "\n"
            for chunk in db.execute(query).mappings().partitions(_EXPORT):
                decisions: dict[str, list[dict[str, Any]]] = {}
                if every:
                    of_these = said.c.job_id.in_([job["job_id"] for job in chunk])
                    for row in db.execute(sa.select(said).where(of_these).order_by(said.c.number)).mappings():
                        decisions.setdefault(row["job_id"], []).append(dict(row))
                for job in chunk:
                    task = label_studio.task(dict(job), decisions.get(job["job_id"], ()))
                    yield separator + json.dumps(task, ensure_ascii=False)
                    separator = ",\n"
        yield "\n]\n"

    def import_tasks(self, data: bytes) -> Import:
        """Records the annotations of a file that Label Studio wrote, each once, however often the file comes.

        Each is a transaction of its own, so an import that is cut short is completed by the next.

        Raises:
            UnreadableTasks: if it is no such file; nothing is recorded then.
        """
        new = known = 0
        refused = []
        for found in label_studio.annotated(data):
            try:
                recorded = self._import(found)
            except (ReviewError, PipelineError) as error:
                refused.append(f"{found.where}: {error}")
                continue
            new, known = new + recorded, known + (not recorded)
        return Import(new, known, refused)

    def _import(self, found: label_studio.Annotated) -> bool:
        """Whether it was new."""
        _check(found.reviewer)
        imported = found.decision(str(self.job(found.job_id)["intent"]))
        with self._database.writing() as db:
            if found.number is not None and jobs.is_ours(db, found.number, imported.decision):
                return False
            return jobs.decide(db, imported.decision, self.config.jobs, imported).new


def _check(reviewer: str) -> None:
    if not reviewer.strip() or len(reviewer) > _LONGEST_NAME:
        raise ReviewError(f"a reviewer has a name of 1 to {_LONGEST_NAME} characters")
