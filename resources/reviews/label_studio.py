"""Jobs and decisions as JSON that Label Studio reads and writes.

Belongs here: the shape of a task, an annotation, a prediction (https://labelstud.io/guide/task_format). Does not belong
here: what a decision does to a job (`jobs`).

A task asks for one of ten choices: the nine intents, or NONE. Choosing what was predicted accepts it, another intent
corrects it, NONE rejects it, Label Studio's own *skip* skips it. Label Studio knows people by the mail address of
their account and refuses a file that names one it does not know, so ours are named by a key of our own, which it
ignores; what it was given by us comes back with the number it had here (`import_id`), and is known by that.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipeline.intents.review import JOB
from pipeline.intents.vocabulary import INTENTS
from resources.reviews.errors import UnreadableTasks
from resources.reviews.jobs import Decision, Imported, utc

NONE = "none"
_CHOICE, _TEXT = "intent", "segment"  # names in the labelling interface

LABELLING_INTERFACE = "\n".join(
    [
        "<View>",
        f'  <Text name="{_TEXT}" value="$text"/>',
        f'  <Choices name="{_CHOICE}" toName="{_TEXT}" choice="single" required="true" showInline="true">',
        *(f'    <Choice value="{choice}"/>' for choice in (*INTENTS, NONE)),
        "  </Choices>",
        "</View>",
        "",
    ]
)
"""What a Label Studio project needs as its labelling interface."""


@dataclass(frozen=True)
class Annotated:
    """An annotation of a job, as it stands in a file.

    Attributes:
        where: its place in the file, for messages.
        job_id: the job that its task names.
        reviewer: who made it.
        choice: what they chose; None where they skipped.
        decision_id: its name here.
        number: the number that it has here, if it is ours that comes back.
        took_ms: how long it took.
        decided_at: when it was made.
    """

    where: str
    job_id: str
    reviewer: str
    choice: str | None
    decision_id: str
    number: int | None
    took_ms: int | None
    decided_at: datetime | None

    def decision(self, predicted: str) -> Imported:
        """The decision that it is, given what was predicted."""
        if self.choice is None:
            verdict, intent = "skip", None
        elif self.choice == NONE:
            verdict, intent = "reject", None
        elif self.choice == predicted:
            verdict, intent = "accept", None
        else:
            verdict, intent = "correct", self.choice
        made = Decision(self.job_id, self.reviewer, verdict, intent, decision_id=self.decision_id, took_ms=self.took_ms)
        return Imported(made, self.decided_at)


def task(job: Mapping[str, Any], decisions: Iterable[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """A job as a task with its prediction, and with the decisions on it as annotations.

    Args:
        job: columns of a job.
        decisions: columns of decisions on it.
    """
    data = {name: job[name] for name in JOB}
    return {
        "data": {"text": described(job)} | data,
        "predictions": [
            {"model_version": job["model_version"], "score": job["confidence"], "result": _result(job["intent"])}
        ],
        "annotations": [
            {
                "id": said["number"],
                "result": [] if said["verdict"] == "skip" else _result(said["intent_after"] or NONE),
                "was_cancelled": said["verdict"] == "skip",
                "ground_truth": False,
                "lead_time": None if said["took_ms"] is None else said["took_ms"] / 1000,
                "created_at": utc(said["decided_at_ms"]).isoformat(timespec="milliseconds"),
                "reviewer": said["reviewer"],
                "decision_id": said["decision_id"],
            }
            for said in decisions
        ],
    }


def annotated(data: bytes) -> list[Annotated]:
    """The annotations of our jobs in a file that Label Studio, or this program, wrote.

    Tasks that name no job of ours and annotations without an answer are left out.

    Raises:
        UnreadableTasks: if it is not such a file; names the place.
    """
    try:
        tasks = json.loads(data)
    except ValueError as error:
        raise UnreadableTasks(f"is not JSON: {error}") from error
    if not isinstance(tasks, list):
        raise UnreadableTasks("is not a list of tasks: export as JSON, not as JSON_MIN")
    found = []
    for place, each in enumerate(tasks):
        where = f"task {place}"
        values = _get(each, where, "data", dict)
        if "job_id" not in values:
            continue
        job_id = _get(values, where, "job_id", str)
        for number, annotation in enumerate(_get(each, where, "annotations", list, [])):
            found.append(_annotation(annotation, f"{where}, annotation {number}", job_id))
    return found


def _annotation(annotation: Any, where: str, job_id: str) -> Annotated:
    own_id = _get(annotation, where, "id", (int, str), "")
    name = _get(annotation, where, "unique_id", str, "") or f"{job_id}-{own_id}"
    seconds = _get(annotation, where, "lead_time", (int, float), None)
    made_at = _get(annotation, where, "created_at", str, None)
    try:
        decided_at = None if made_at is None else datetime.fromisoformat(made_at)
    except ValueError as error:
        raise UnreadableTasks(f"{where}: created_at: {error}") from error
    if decided_at is not None and decided_at.tzinfo is None:
        decided_at = decided_at.replace(tzinfo=UTC)
    return Annotated(
        where,
        job_id,
        _reviewer(annotation, where),
        None if _get(annotation, where, "was_cancelled", bool, False) else _choice(annotation, where),
        _get(annotation, where, "decision_id", str, f"label-studio-{name}"),
        _get(annotation, where, "import_id", int, None),
        None if seconds is None else round(seconds * 1000),
        decided_at,
    )


def _reviewer(annotation: Mapping[str, Any], where: str) -> str:
    by = _get(annotation, where, "completed_by", (int, dict), None)
    if isinstance(by, dict):
        return str(_get(by, where, "email", str))
    named: str = _get(annotation, where, "reviewer", str, "")
    return named or ("label-studio" if by is None else f"label-studio:{by}")


def _choice(annotation: Mapping[str, Any], where: str) -> str:
    for region in _get(annotation, where, "result", list):
        if _get(region, where, "from_name", str, "") == _CHOICE:
            chosen = _get(_get(region, where, "value", dict), where, "choices", list)
            if len(chosen) == 1 and chosen[0] in (*INTENTS, NONE):
                return str(chosen[0])
            raise UnreadableTasks(f"{where}: {chosen} is not one of {', '.join((*INTENTS, NONE))}")
    raise UnreadableTasks(f"{where}: nothing is chosen for {_CHOICE!r}")


def _result(choice: str) -> list[dict[str, Any]]:
    return [{"from_name": _CHOICE, "to_name": _TEXT, "type": "choices", "value": {"choices": [choice]}}]


def described(job: Mapping[str, Any]) -> str:
    """The question in words, for somebody who sees nothing else."""
    likely = sorted((job["prediction"] or {}).items(), key=lambda item: -item[1])[:3]
    lines = [
        f"Match {job['match_id']}, round {job['round'] or '?'}, {job['player']} ({job['side'] or 'side unknown'})",
        f"From {job['from_ms'] / 1000:.2f} s to {job['to_ms'] / 1000:.2f} s of the match",
        f"Predicted: {job['intent']} ({job['confidence']:.0%}), decided by {job['decided_by']}",
        "Most likely: " + ", ".join(f"{intent} {probability:.0%}" for intent, probability in likely),
        "Asked because: " + ", ".join(job["reasons"]),
    ]
    if job["preview_uri"]:
        lines.append(f"Preview: {job['preview_uri']}")
    return "\n".join(lines)


def _get(values: Any, where: str, name: str, kind: Any, *default: Any) -> Any:
    """A value of a JSON object that must be of a kind; the default where it is missing or null, if there is one."""
    if not isinstance(values, dict):
        raise UnreadableTasks(f"{where}: is not an object")
    value = values.get(name)
    if value is None and default:
        return default[0]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise UnreadableTasks(f"{where}: {name}: missing, or not of its type")
    return value
