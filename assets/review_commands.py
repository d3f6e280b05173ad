"""`gridmotion review`: what a reviewer, or a script, does about review jobs.

Belongs here: arguments, exit codes, words for people, JSON for programs. Does not belong here: what a decision does
(`resources.reviews`). Concept: https://typer.tiangolo.com/tutorial/subcommands

Exit codes: 0 done; 1 refused, and the message says why; 2 misused; 3 nothing to review.
"""

import getpass
import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from pipeline.errors import PipelineError
from resources.errors import ResourceError

if TYPE_CHECKING:  # what other commands need not load
    from resources.reviews import Claim, Reviews

NOTHING = 3

app = typer.Typer(no_args_is_help=True, help="Look at what the program is not sure of, and say what it was.")
console = Console(markup=False, highlight=False)

Reviewer = Annotated[
    str | None, typer.Option(envvar="GRIDMOTION_REVIEWER", help="Who you are; your login name if not given.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on one line, for scripts.")]


def _reviews() -> "Reviews":
    from assets.reviews import open_reviews
    from resources.settings import settings

    return open_reviews(settings())


def _name(reviewer: str | None) -> str:
    return reviewer if reviewer is not None else getpass.getuser()


def _say(value: dict[str, Any]) -> None:
    typer.echo(json.dumps(value, default=_plain, ensure_ascii=False))


def _plain(value: Any) -> str:
    return value.isoformat(timespec="milliseconds") if isinstance(value, datetime) else str(value)


@contextmanager
def _refusals(as_json: bool) -> Iterator[None]:
    """With --json a known error is JSON too; without, the entry point makes it one line."""
    try:
        yield
    except (ResourceError, PipelineError) as error:
        if not as_json:
            raise
        _say({"error": type(error).__name__, "message": str(error)})
        raise typer.Exit(1) from error


@app.command(name="next")
def next_job(
    reviewer: Reviewer = None,
    match: Annotated[str | None, typer.Option(help="Only of this match.")] = None,
    job: Annotated[str | None, typer.Option(help="Only this job, even if you skipped it.")] = None,
    as_json: Json = False,
) -> None:
    """Take the most urgent job, or see again the one you have; it is yours for ten minutes (configs/review.yaml)."""
    with _refusals(as_json):
        claim = _reviews().next(_name(reviewer), match_id=match, job_id=job)
    if claim is None:
        if not as_json:
            console.print("nothing to review")
        raise typer.Exit(NOTHING)
    if as_json:
        lease = {"token": claim.token, "claimed_at": claim.claimed_at, "expires_at": claim.expires_at}
        _say(lease | {"reviewer": claim.reviewer, "job": dict(claim.job)})
        return
    _show(claim)


def _show(claim: "Claim") -> None:
    from pipeline.intents.vocabulary import INTENTS
    from resources.reviews.label_studio import described
    from resources.settings import settings

    job = dict(claim.job)
    if job["preview_uri"]:
        job["preview_uri"] = f"{settings().store_url}/{job['preview_uri']}"
    console.print(described(job), soft_wrap=True)
    if job["decided_by"].startswith("model:"):
        why = f"gridmotion models explain {job['match_id']} {job['segment_id']}"
        console.print(f"What spoke for it in the model: {why}", soft_wrap=True)
    console.print(f"\nYours until {claim.expires_at:%H:%M:%S} UTC. Say what it was:", soft_wrap=True)
    who = "" if claim.reviewer == _name(None) else f" --reviewer {shlex.quote(claim.reviewer)}"
    begin = f"gridmotion review decide {job['job_id']}"
    others = ", ".join(intent for intent in INTENTS if intent != job["intent"])
    answers = {
        "accept": f"it is {job['intent']}",
        "correct --intent …": f"it is one of {others}",
        "reject": "it is none of the nine",
        "skip": "you cannot tell",
    }
    wide = max(map(len, answers))
    for said, means in answers.items():
        console.print(f"  {begin} {said}{who}{' ' * (wide - len(said))}  # {means}", soft_wrap=True)


@app.command()
def decide(
    job: Annotated[str, typer.Argument(help="The job, as `review next` named it.")],
    verdict: Annotated[str, typer.Argument(help="accept, correct, reject or skip.")],
    token: Annotated[
        int | None, typer.Option(help="Of your claim, as `review next --json` named it; your last one if not given.")
    ] = None,
    intent: Annotated[str | None, typer.Option(help="What it was, with correct.")] = None,
    reviewer: Reviewer = None,
    decision_id: Annotated[
        str | None, typer.Option(help="Name of this decision; sent twice, it counts once. One per claim if not given.")
    ] = None,
    took_ms: Annotated[
        int | None, typer.Option(help="How long it took; since `review next` if not given.", min=0)
    ] = None,
    note: Annotated[str | None, typer.Option(help="What else there is to say.")] = None,
    as_json: Json = False,
) -> None:
    """Say what a segment was: accept, correct --intent, reject (none of the nine), or skip (can't tell)."""
    from resources.reviews import Decision, LeaseLost

    who = _name(reviewer)
    with _refusals(as_json):
        reviews = _reviews()
        claim = reviews.token(who, job) if token is None else token
        if claim is None:
            reviews.job(job)
            raise LeaseLost(f"{who} has not claimed job {job}: gridmotion review next --job {job}")
        recorded = reviews.decide(Decision(job, who, verdict, intent, claim, decision_id, took_ms, note))
    if as_json:
        _say(vars(recorded))
        return
    outcome = f": {recorded.verdict} {recorded.intent or ''}".rstrip() if recorded.verdict else ""
    if not outcome and verdict != "skip":
        outcome = "; somebody else is asked too"
    console.print(f"{'Recorded' if recorded.new else 'Known already'}. Job {job} is {recorded.state}{outcome}.")
    console.print("Next: gridmotion review next")


@app.command()
def export(
    path: Annotated[Path, typer.Argument(help="File to write; - for standard output.")],
    match: Annotated[str | None, typer.Option(help="Only of this match.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Closed jobs too, and all decisions.")] = False,
    interface: Annotated[
        Path | None, typer.Option(help="Also write the labelling interface that the Label Studio project needs.")
    ] = None,
) -> None:
    """Write jobs as tasks for Label Studio."""
    from resources.reviews.label_studio import LABELLING_INTERFACE

    pieces = _reviews().export(match_id=match, every=every)
    if interface is not None:
        interface.write_text(LABELLING_INTERFACE, encoding="utf-8")
    if str(path) == "-":
        for piece in pieces:
            sys.stdout.write(piece)
        return
    unfinished = path.with_name(f".{path.name}.part")
    with unfinished.open("w", encoding="utf-8") as file:
        file.writelines(pieces)
    unfinished.replace(path)
    console.print(f"{path}  ({path.stat().st_size / 1e6:.2f} MB)", soft_wrap=True)


@app.command(name="import")
def import_tasks(
    path: Annotated[Path, typer.Argument(help="JSON as Label Studio exports it.", exists=True, dir_okay=False)],
    as_json: Json = False,
) -> None:
    """Record the annotations of a file from Label Studio, each once, however often the file comes."""
    with _refusals(as_json):
        done = _reviews().import_tasks(path.read_bytes())
    if as_json:
        _say(vars(done))
    else:
        console.print(f"{done.new} decisions recorded, {done.known} known already, {len(done.refused)} refused")
        for why in done.refused:
            console.print(f"refused: {why}", style="red", soft_wrap=True)
    raise typer.Exit(1 if done.refused else 0)


@app.command()
def status(as_json: Json = False) -> None:
    """Count jobs and decisions, say how often predictions were right and how far reviewers agree (Cohen's kappa)."""
    from pipeline.intents.agreement import agreement, mean_kappa, with_people

    with _refusals(as_json):
        reviews = _reviews()
        jobs, decisions, right = reviews.counts(), reviews.decisions(), with_people(reviews.gold())
    pairs = agreement(decisions)
    if as_json:
        told = {"jobs": jobs, "decisions": decisions.height, **right}
        _say(told | {"kappa": mean_kappa(pairs), "pairs": pairs.to_dicts()})
        return
    console.print(f"jobs: {', '.join(f'{count:,} {state}' for state, count in jobs.items()) or 'none'}")
    console.print(f"decisions: {decisions.height:,}")
    for name, of in (("by_people", "segments that people agree on"), ("in_audit", "segments of the random audit")):
        if count := right[f"judged_{name}"]:
            console.print(f"predicted right: {right[f'right_{name}']:.0%} of {count:,} {of}")
    for pair in pairs.iter_rows(named=True):
        kappa = "undefined" if pair["kappa"] is None else f"{pair['kappa']:.2f}"
        console.print(
            f"{pair['first']} and {pair['second']}: {pair['jobs']} jobs, {pair['agreed']:.0%} agreed, kappa {kappa}",
            soft_wrap=True,
        )


@app.command()
def final(
    match: Annotated[str, typer.Argument(help="Match id.")],
    out: Annotated[
        Path | None, typer.Option(help="Write the segments that are final to this Parquet file, corrected by people.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say which segments of a match are final: none that waits for a required review, none that people rejected."""
    from assets.definitions import open_store
    from assets.reviews import standings
    from pipeline.intents.review import standing
    from resources.settings import settings

    with _refusals(as_json):
        segments = open_store(settings()).read_table("segments", match)
        reviews = _reviews()
        stood = standing(segments, reviews.reviews(match), reviews.config.jobs)
    shown = stood.filter(stood["standing"] == "final").drop("standing")
    counts = {"segments": segments.height, **standings(stood), "reviewed": int(shown["reviewed"].sum())}
    if out is not None:
        shown.write_parquet(out)
    if as_json:
        _say(counts)
        return
    console.print(", ".join(f"{count:,} {name}" for name, count in counts.items()))
    if counts.get("waiting"):
        console.print(f"Next: gridmotion review next --match {match}", soft_wrap=True)
    if out is not None:
        console.print(f"{out}  ({out.stat().st_size / 1e6:.2f} MB)", soft_wrap=True)
