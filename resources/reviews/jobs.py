"""The life of a job: opened, handed out, decided, closed; each step one transaction that also writes the audit.

Belongs here: those transactions, on a connection that `database` gives. Does not belong here: what several decisions
come to (`pipeline.intents.review.settle`), frames (`reading`).

A claim is a lease with a fencing token. While it has not ended it holds one of the `wanted` places of its job. It ends
by a decision, by its reviewer turning to another job, or by somebody else claiming the job after it expired; until that
happens a late decision still counts. Whoever touches a job's claims or decisions has locked its row first, and leaves
in `claimable_at_ms` when a place is free, so the queue is one look at one index.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from configs.review import JobsConfig
from pipeline.intents.review import CLOSED, OPEN, WITHDRAWN, BadDecision, answer, settle
from resources.reviews import schema
from resources.reviews.database import now_ms
from resources.reviews.errors import AlreadyDecided, DecisionConflict, JobUnknown, LeaseLost

PIPELINE = "pipeline"
SKIP = "skip"
_DECIDED, _RELEASED, _EXPIRED = "decided", "released", "expired"
_CHUNK = 500  # jobs in one statement; SQLite takes 32,766 parameters
_FOLLOWS = (
    "reasons",
    "priority",
    "required",
    "preview_uri",
)  # of an open job, what a new look at its segment may change
_NEVER = 2**62  # ms; later than any lease


@dataclass(frozen=True)
class Opened:
    """What became of a match's jobs.

    Attributes:
        new: opened now.
        changed: open already, now for other reasons; or withdrawn before and asked again.
        known: open or closed already, unchanged.
        judged: not asked, as people have judged the same stretch for another model.
        withdrawn: no longer asked, as the segment is no more or has no reason any more.
    """

    new: int
    changed: int
    known: int
    judged: int
    withdrawn: int


@dataclass(frozen=True)
class Claim:
    """A job in a reviewer's hands.

    Attributes:
        token: fences the lease: a decision under it counts until somebody else has the job.
        reviewer: who.
        job: the columns of the job.
        claimed_at: by the database's clock, as is the next.
        expires_at: from when others may take it.
    """

    token: int
    reviewer: str
    job: Mapping[str, Any]
    claimed_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class Decision:
    """What a reviewer says of a job.

    Attributes:
        job_id: the job.
        reviewer: who.
        verdict: one of `pipeline.intents.review.VERDICTS`.
        intent: the right one, where the verdict is to correct.
        token: of the claim.
        decision_id: the same one counts once, however often it comes; one of the job and the claim if None.
        took_ms: how long it took; the time since the claim if None.
        note: whatever else there is to say.
    """

    job_id: str
    reviewer: str
    verdict: str
    intent: str | None = None
    token: int | None = None
    decision_id: str | None = None
    took_ms: int | None = None
    note: str | None = None


@dataclass(frozen=True)
class Imported:
    """A decision that was made elsewhere, under no claim; as `Decision`.

    Attributes:
        decided_at: when; now if None.
    """

    decision: Decision
    decided_at: datetime | None = None


@dataclass(frozen=True)
class Recorded:
    """A decision that stands.

    Attributes:
        decision_id: its name.
        new: whether it came for the first time.
        job_id: of the job.
        state: the job's, now.
        verdict: what people say of the job, once it is closed.
        intent: likewise; None where they reject it or differ.
    """

    decision_id: str
    new: bool
    job_id: str
    state: str
    verdict: str | None
    intent: str | None


def utc(at_ms: int) -> datetime:
    """An instant of the database."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)


def at_ms(instant: datetime) -> int:
    """An instant for the database."""
    return round((instant - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1))


def open_jobs(db: sa.Connection, match_id: str, asked: pl.DataFrame) -> Opened:
    """Makes the open jobs of a match those that are asked now; see `reviews.Reviews.open`."""
    table = schema.jobs
    names = ["job_id", "segment_id", "from_ms", "to_ms", "model_version", "state", "verdict", *_FOLLOWS]
    stands = db.execute(
        sa.select(*(table.c[name] for name in names))
        .where(table.c.match_id == match_id)
        .order_by(table.c.job_id)
        .with_for_update()
    )
    known = {str(job["job_id"]): dict(job) for job in stands.mappings()}
    settled = {_span(job) for job in known.values() if job["verdict"] in ("accept", "correct", "reject")}
    new, changed, judged, same = [], [], 0, 0
    for job in map(_row, asked.iter_rows(named=True)):
        old = known.get(job["job_id"])
        if old is None:
            if _span(job) in settled:
                judged += 1
            else:
                new.append(job)
        elif old["state"] == WITHDRAWN or (old["state"] == OPEN and any(old[name] != job[name] for name in _FOLLOWS)):
            changed.append(job)
        else:
            same += 1
    created = _insert(db, sorted(new, key=lambda job: str(job["job_id"])))  # an order that all processes keep
    for job in changed:
        follow = {name: job[name] for name in _FOLLOWS} | {"state": OPEN}
        db.execute(sa.update(table).where(table.c.job_id == job["job_id"]).values(follow))
    gone = _withdraw(db, match_id, set(asked["job_id"]), known)
    reasons = {job["job_id"]: {"reasons": job["reasons"]} for job in (*new, *changed)}
    note(db, PIPELINE, "opened", {name: reasons[name] for name in sorted(created)})
    note(db, PIPELINE, "changed", {job["job_id"]: reasons[job["job_id"]] for job in changed})
    note(db, PIPELINE, "withdrawn", {name: {} for name in gone})
    return Opened(len(created), len(changed), same + len(new) - len(created), judged, len(gone))


def held_elsewhere(db: sa.Connection, reviewer: str, match_id: str | None, job_id: str | None) -> None:
    """Ends the claim of a reviewer who turns to another match or job."""
    held = _held(db, reviewer)
    if held is None:
        return
    job = _locked(db, held.job_id)
    if (match_id in (None, job["match_id"])) and (job_id in (None, job["job_id"])) and job["state"] == OPEN:
        return
    if _end(db, held.token, _RELEASED):
        _place(db, job["job_id"])
        note(db, reviewer, "released", {job["job_id"]: {"token": held.token}})


def resume(db: sa.Connection, reviewer: str, lease_ms: int) -> Claim | None:
    """The job that a reviewer has already, with a lease that begins anew; None if they have none."""
    held = _held(db, reviewer)
    if held is None:
        return None
    job = _locked(db, held.job_id)
    claims = schema.claims
    renewed = db.execute(
        sa.update(claims)
        .where(claims.c.token == held.token, claims.c.ended_at_ms.is_(None))
        .values(claimed_at_ms=now_ms(), expires_at_ms=now_ms() + lease_ms)
        .returning(claims.c.claimed_at_ms, claims.c.expires_at_ms)
    ).one_or_none()
    if renewed is None:  # somebody else took it before the row was ours
        return None
    _place(db, held.job_id)
    note(db, reviewer, "resumed", {held.job_id: {"token": held.token}})
    return Claim(held.token, reviewer, job, utc(renewed.claimed_at_ms), utc(renewed.expires_at_ms))


def claim(
    db: sa.Connection, reviewer: str, lease_ms: int, match_id: str | None, job_id: str | None, *, wait: bool
) -> Claim | None:
    """The most urgent job that has a free place and that this reviewer has not judged, locked and handed out.

    Args:
        db: the transaction.
        reviewer: who asks; has no claim.
        lease_ms: how long the job is theirs.
        match_id: only of this match.
        job_id: only this one, even if they skipped it before.
        wait: for jobs whose row another transaction has; else they are passed over.
    """
    table = schema.jobs
    found = db.execute(
        _queue(reviewer, match_id, job_id).limit(1).with_for_update(skip_locked=not wait, of=table)
    ).mappings()
    row = found.one_or_none()
    if row is None:
        return None
    job = dict(row)
    taken = _take_place(db, job)
    made = db.execute(
        sa.insert(schema.claims)
        .values(job_id=job["job_id"], reviewer=reviewer, claimed_at_ms=now_ms(), expires_at_ms=now_ms() + lease_ms)
        .returning(schema.claims.c.token, schema.claims.c.claimed_at_ms, schema.claims.c.expires_at_ms)
    ).one()
    _place(db, job["job_id"])
    for late in taken:
        note(db, late.reviewer, _EXPIRED, {job["job_id"]: {"token": late.token}})
    note(db, reviewer, "claimed", {job["job_id"]: {"token": made.token, "lease_ms": lease_ms}})
    return Claim(made.token, reviewer, job, utc(made.claimed_at_ms), utc(made.expires_at_ms))


def is_waiting(db: sa.Connection, reviewer: str, match_id: str | None, job_id: str | None) -> bool:
    """Whether there is a job for this reviewer, be its row locked or not."""
    return db.execute(_queue(reviewer, match_id, job_id).limit(1)).first() is not None


def decide(db: sa.Connection, decision: Decision, config: JobsConfig, imported: Imported | None = None) -> Recorded:
    """Records a decision and closes its job if it was the last one needed; see `reviews.Reviews.decide`."""
    job = _locked(db, decision.job_id)
    after = answer(decision.verdict, job["intent"], decision.intent)
    name = decision.decision_id or _own_name(decision)
    table = schema.decisions
    content = {
        "job_id": decision.job_id,
        "reviewer": decision.reviewer,
        "verdict": decision.verdict,
        "intent_after": after,
    }
    if before := db.execute(sa.select(table).where(table.c.decision_id == name)).mappings().one_or_none():
        if {key: before[key] for key in content} != content:
            said = before["verdict"], before["intent_after"] or "no intent"
            if decision.decision_id is None and before["reviewer"] == decision.reviewer:
                raise AlreadyDecided(
                    f"{decision.reviewer} has decided job {decision.job_id} already: {said[0]} ({said[1]})"
                )
            raise DecisionConflict(
                f"decision {name} is {said[0]} ({said[1]}) by {before['reviewer']} on job {before['job_id']}; "
                "another decision needs another id"
            )
        return Recorded(name, False, job["job_id"], job["state"], job["verdict"], job["verdict_intent"])
    own = sa.select(table).where(table.c.job_id == decision.job_id, table.c.reviewer == decision.reviewer)
    if earlier := db.execute(own.where(table.c.verdict != SKIP)).mappings().one_or_none():
        raise AlreadyDecided(
            f"{decision.reviewer} has decided job {decision.job_id} already: {earlier['verdict']} "
            f"({earlier['intent_after'] or 'no intent'}), decision {earlier['decision_id']}"
        )
    held = _claimed(db, decision) if imported is None else _held(db, decision.reviewer, decision.job_id)
    made = db.execute(
        sa.insert(table)
        .values(
            **content,
            decision_id=name,
            token=None if held is None else held.token,
            intent_before=job["intent"],
            took_ms=now_ms() - held.claimed_at_ms if decision.took_ms is None and held else decision.took_ms,
            decided_at_ms=at_ms(imported.decided_at) if imported and imported.decided_at else now_ms(),
            note=decision.note,
        )
        .returning(table.c.took_ms)
    ).one()
    if held is not None:
        _end(db, held.token, _DECIDED)
    told = {"decision_id": name, "verdict": decision.verdict, "before": job["intent"], "after": after}
    how = {"imported": True} if imported else {"token": decision.token}
    note(db, decision.reviewer, "decided", {job["job_id"]: told | how | {"took_ms": made.took_ms}})
    state, verdict, intent = _settle(db, job, config)
    return Recorded(name, True, job["job_id"], state, verdict, intent)


def is_ours(db: sa.Connection, number: int, decision: Decision) -> bool:
    """Whether a decision that comes back from elsewhere is the one that has this number here."""
    said = schema.decisions.c
    found = db.execute(
        sa.select(said.job_id, said.verdict, said.intent_after).where(said.number == number)
    ).one_or_none()
    if found is None or (found.job_id, found.verdict) != (decision.job_id, decision.verdict):
        return False
    return decision.verdict != "correct" or found.intent_after == decision.intent


def note(db: sa.Connection, actor: str, action: str, details: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes one line of the audit per job: what was done to it, by whom, and the rest."""
    rows = [{"actor": actor, "action": action, "job_id": job, "details": dict(what)} for job, what in details.items()]
    for chunk in _chunks(rows):
        db.execute(sa.insert(schema.audit).values([row | {"at_ms": now_ms()} for row in chunk]))


def _queue(reviewer: str, match_id: str | None, job_id: str | None) -> sa.Select[Any]:
    """Jobs for a reviewer, most urgent first."""
    job, said, mine = schema.jobs, schema.decisions, schema.claims
    by_me = sa.exists().where(said.c.job_id == job.c.job_id, said.c.reviewer == reviewer)
    if job_id is not None:
        by_me = by_me.where(said.c.verdict != SKIP)
    in_my_hands = sa.exists().where(
        mine.c.job_id == job.c.job_id, mine.c.reviewer == reviewer, mine.c.ended_at_ms.is_(None)
    )
    query = sa.select(job).where(job.c.state == OPEN, job.c.claimable_at_ms <= now_ms(), ~by_me, ~in_my_hands)
    if match_id is not None:
        query = query.where(job.c.match_id == match_id)
    if job_id is not None:
        query = query.where(job.c.job_id == job_id)
    return query.order_by(job.c.priority.desc(), job.c.job_id.desc())


def _locked(db: sa.Connection, job_id: str) -> dict[str, Any]:
    found = db.execute(sa.select(schema.jobs).where(schema.jobs.c.job_id == job_id).with_for_update())
    job = found.mappings().one_or_none()
    if job is None:
        raise JobUnknown(f"there is no review job {job_id}")
    return dict(job)


def _held(db: sa.Connection, reviewer: str, job_id: str | None = None) -> Any:
    """The claim of a reviewer that has not ended."""
    claims = schema.claims
    query = sa.select(claims).where(claims.c.reviewer == reviewer, claims.c.ended_at_ms.is_(None))
    return db.execute(query if job_id is None else query.where(claims.c.job_id == job_id)).one_or_none()


def _claimed(db: sa.Connection, decision: Decision) -> Any:
    """The claim under which a decision is made."""
    claims = schema.claims
    found = db.execute(sa.select(claims).where(claims.c.token == decision.token)).one_or_none()
    if found is None or (found.job_id, found.reviewer) != (decision.job_id, decision.reviewer):
        raise LeaseLost(
            f"claim {decision.token} is not one of {decision.reviewer} on job {decision.job_id}; "
            "claim the job first: gridmotion review next"
        )
    if found.ended_at_ms is not None:
        why = {
            _EXPIRED: f"expired at {utc(found.expires_at_ms):%H:%M:%S} UTC and somebody else has the job",
            _RELEASED: "was given back for another job",
            _DECIDED: "has been decided under",
        }[found.ended]
        raise LeaseLost(f"claim {found.token} on job {found.job_id} {why}; take another: gridmotion review next")
    return found


def _own_name(decision: Decision) -> str:
    if decision.token is None:
        raise BadDecision("a decision without a claim needs an id of its own")
    return f"{decision.job_id}-{decision.token}"


def _end(db: sa.Connection, token: int, how: str) -> bool:
    """Ends a claim; whether it had not ended before."""
    claims = schema.claims
    ended = sa.update(claims).where(claims.c.token == token, claims.c.ended_at_ms.is_(None))
    return bool(db.execute(ended.values(ended_at_ms=now_ms(), ended=how)).rowcount)


def _take_place(db: sa.Connection, job: Mapping[str, Any]) -> list[Any]:
    """Ends as many expired claims of a locked job as it takes to have a place free, the longest expired first."""
    claims = schema.claims
    held = sa.select(claims).where(claims.c.job_id == job["job_id"], claims.c.ended_at_ms.is_(None))
    late = held.where(claims.c.expires_at_ms <= now_ms()).order_by(claims.c.expires_at_ms, claims.c.token)
    surplus = len(db.execute(held).all()) + len(_answers(db, job["job_id"])) - job["wanted"] + 1
    taken = list(db.execute(late.limit(surplus))) if surplus > 0 else []
    for claimed in taken:
        _end(db, claimed.token, _EXPIRED)
    return taken


def _place(db: sa.Connection, job_id: str) -> None:
    """Writes when a locked job has a place free for somebody: now, or when the first of its leases expires."""
    claims, jobs, said = schema.claims, schema.jobs, schema.decisions
    held = sa.select(sa.func.count()).where(claims.c.job_id == job_id, claims.c.ended_at_ms.is_(None))
    answers = sa.select(sa.func.count()).where(said.c.job_id == job_id, said.c.verdict != SKIP)
    first = sa.select(sa.func.min(claims.c.expires_at_ms)).where(
        claims.c.job_id == job_id, claims.c.ended_at_ms.is_(None)
    )
    free = held.scalar_subquery() + answers.scalar_subquery() < jobs.c.wanted
    at = sa.case((free, 0), else_=sa.func.coalesce(first.scalar_subquery(), _NEVER))
    db.execute(sa.update(jobs).where(jobs.c.job_id == job_id).values(claimable_at_ms=at))


def _answers(db: sa.Connection, job_id: str) -> Sequence[str | None]:
    said = schema.decisions
    query = sa.select(said.c.intent_after).where(said.c.job_id == job_id, said.c.verdict != SKIP)
    return db.execute(query.order_by(said.c.number)).scalars().all()


def _settle(db: sa.Connection, job: Mapping[str, Any], config: JobsConfig) -> tuple[str, str | None, str | None]:
    """Writes what the decisions on a locked job come to; returns its state, verdict and intent."""
    settled = settle(job["intent"], _answers(db, job["job_id"]), job["wanted"], config)
    # A late decision that contradicts a closed job opens it again, one on a withdrawn job closes it or changes nothing.
    state = WITHDRAWN if (job["state"], settled.state) == (WITHDRAWN, OPEN) else settled.state
    values: dict[str, Any] = {
        "state": state,
        "wanted": settled.wanted,
        "verdict": settled.verdict,
        "verdict_intent": settled.intent,
        "closed_at_ms": now_ms() if state == CLOSED else None,
    }
    db.execute(sa.update(schema.jobs).where(schema.jobs.c.job_id == job["job_id"]).values(values))
    _place(db, job["job_id"])
    if settled.wanted != job["wanted"]:
        note(db, PIPELINE, "asks_another", {job["job_id"]: {"wanted": settled.wanted}})
    if state == CLOSED:
        note(db, PIPELINE, "closed", {job["job_id"]: {"verdict": settled.verdict, "intent": settled.intent}})
    return state, settled.verdict, settled.intent


def _insert(db: sa.Connection, new: list[dict[str, Any]]) -> set[str]:
    """Opens jobs; returns those that another process has not opened meanwhile."""
    insert: Callable[..., Any] = postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert
    created: set[str] = set()
    for chunk in _chunks(new):
        rows = [job | {"state": OPEN, "claimable_at_ms": 0, "opened_at_ms": now_ms()} for job in chunk]
        created |= set(
            db.execute(
                insert(schema.jobs).values(rows).on_conflict_do_nothing().returning(schema.jobs.c.job_id)
            ).scalars()
        )
    return created


def _withdraw(db: sa.Connection, match_id: str, asked: set[str], known: Mapping[str, Any]) -> list[str]:
    """Withdraws open jobs that are no longer asked, unless somebody has worked or is working on them."""
    jobs, said, claims = schema.jobs, schema.decisions, schema.claims
    gone = sorted(name for name, job in known.items() if job["state"] == OPEN and name not in asked)
    touched = sa.exists().where(said.c.job_id == jobs.c.job_id) | sa.exists().where(
        claims.c.job_id == jobs.c.job_id, claims.c.ended_at_ms.is_(None), claims.c.expires_at_ms > now_ms()
    )
    withdrawn: list[str] = []
    for chunk in _chunks(gone):
        withdrawn += db.execute(
            sa.update(jobs)
            .where(jobs.c.job_id.in_(chunk), jobs.c.state == OPEN, ~touched)
            .values(state=WITHDRAWN)
            .returning(jobs.c.job_id)
        ).scalars()
    return sorted(withdrawn)


def _row(job: Mapping[str, Any]) -> dict[str, Any]:
    parsed = {name: None if job[name] is None else json.loads(job[name]) for name in ("features", "prediction")}
    return dict(job) | parsed


def _span(job: Mapping[str, Any]) -> tuple[str, int]:
    return job["segment_id"], job["to_ms"]


def _chunks(rows: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK))
