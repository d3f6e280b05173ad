"""A match from its recording to what each player meant: the stages in their order, and what Dagster is told of them.

Belongs here: which stage follows which, and what a failed one means to the others. Does not belong here: what a stage
computes (`assets/{events,features,intents}.py`), clips (`assets/motion.py`), runs (`assets/match_analysis.py` of one
match, `assets/many.py` of many).

One step runs all stages, so that a table is read once for all of them, and a run over many matches can give up one
match and still finish the others.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import dagster as dg

from assets import events, features, intents
from assets.end_state import END_STATE_SPEC
from assets.instance import DATA_VERSION_TAG
from assets.partitions import matches
from assets.stages import Made, MatchTables, data_version, schema_spec
from pipeline.intents.model import IntentModel


@dataclass(frozen=True)
class Judge:
    """Who decides what was meant, and under which confidence a human shall look.

    Attributes:
        model: gives the model; called only if a stage asks it.
        review_threshold: confidence under which a segment is marked for review.
    """

    model: Callable[[], IntentModel]
    review_threshold: float


STAGES: tuple[tuple[tuple[str, ...], Callable[[MatchTables, Judge], Iterator[Made]]], ...] = (
    (("rounds", "events", "tracks"), lambda tables, judge: events.recording(tables)),
    (("features",), lambda tables, judge: features.features(tables)),
    (("labels",), lambda tables, judge: intents.labels(tables)),
    (("intents",), lambda tables, judge: intents.intents(tables, judge.model())),
    (("segments",), lambda tables, judge: intents.segments(tables, judge.review_threshold)),
)
"""The tables that each stage leaves, and the stage."""

# The tags by which Dagster knows what a materialization holds and what it was made from.
_OWN_VERSION = "dagster/data_version_is_user_provided"
_CODE_VERSION = "dagster/code_version"
_INPUT_VERSION, _INPUT_POINTER, _NONE = "dagster/input_data_version", "dagster/input_event_pointer", "NULL"

SPECS = (*events.RECORDING_SPECS, features.SPEC, intents.LABELS_SPEC, intents.INTENTS_SPEC, intents.SEGMENTS_SPEC)
TABLES = tuple(spec.key.to_user_string() for spec in SPECS)
CHECKS = (*(schema_spec(table, matches) for table in TABLES), events.COUNTS_SPEC, END_STATE_SPEC)


class BlockingCheckFailed(Exception):
    """A table is not what it must be; nothing may be made from it."""


def analyse(
    tables: MatchTables, judge: Judge, wanted: frozenset[str] = frozenset(TABLES), told: Mapping[str, str] | None = None
) -> Iterator[dg.MaterializeResult]:
    """Runs the stages of a match, each reusing what it made before from the same inputs.

    Args:
        tables: the match.
        judge: who decides.
        wanted: the tables to make and to tell of.
        told: by table, the data version that Dagster was told of already; it is not told again of that one.

    Raises:
        BlockingCheckFailed: after the result that holds the failed check.
    """
    for names, stage in STAGES:
        if wanted.isdisjoint(names):
            continue
        for made in stage(tables, judge):
            known = made.part.reused and (told or {}).get(made.table) == data_version(made.part)
            if known or made.table not in wanted:
                continue
            result = made.result()
            yield result
            for check in result.check_results:
                if _blocks(check):
                    why = check.metadata.get("reason") or dg.MetadataValue.text("its metadata says more")
                    raise BlockingCheckFailed(f"check {check.check_name} of {made.table} failed: {why.value}")


def _blocks(check: dg.AssetCheckResult) -> bool:
    """Whether nothing may be made from a table for what a check says of it; one that only warns never does."""
    return not check.passed and check.severity == dg.AssetCheckSeverity.ERROR


def reason(error: BaseException) -> str:
    """Why a match failed, in the words of the deepest cause."""
    while error.__cause__:
        error = error.__cause__
    return str(error) or type(error).__name__


def versions_outside(instance: dg.DagsterInstance) -> dict[str, str]:
    """Data versions of what the stages are made from and don't make themselves, by asset key."""
    versions = {}
    for key in {dep.asset_key for spec in SPECS for dep in spec.deps} - {spec.key for spec in SPECS}:
        entry = instance.get_latest_materialization_event(key)
        versions[key.to_user_string()] = (entry.tags or {}).get(DATA_VERSION_TAG, _NONE) if entry else _NONE
    return versions


def told(
    result: dg.MaterializeResult, tables: MatchTables, upstream: Mapping[str, str]
) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    """A result as events of its match, with the tags that Dagster gives it in a run over that match alone.

    Args:
        result: what a stage made.
        tables: the match's.
        upstream: data versions from `versions_outside`.
    """
    spec = next(spec for spec in SPECS if spec.key == result.asset_key)
    tags = {
        DATA_VERSION_TAG: data_version(tables.part(spec.key.to_user_string())),
        _OWN_VERSION: "true",
        _CODE_VERSION: spec.code_version or _NONE,
    }
    for dep in spec.deps:
        name = dep.asset_key.to_user_string()
        tags[f"{_INPUT_VERSION}/{name}"] = upstream.get(name) or data_version(tables.part(name))
        tags[f"{_INPUT_POINTER}/{name}"] = _NONE
    # A table that is not what it must be counts as not made: nothing is built on it, and it is looked at again.
    if not any(map(_blocks, result.check_results)):
        yield dg.AssetMaterialization(spec.key, partition=tables.match_id, metadata=result.metadata, tags=tags)
    for check in result.check_results:
        yield dg.AssetCheckEvaluation(
            asset_key=spec.key,
            check_name=check.check_name or "",
            passed=check.passed,
            metadata=check.metadata,
            severity=check.severity,
            blocking=check.severity == dg.AssetCheckSeverity.ERROR,
            partition=tables.match_id,
        )


def failed(failures: Mapping[str, str], of: int) -> dg.Failure:
    """The failure of a run over many matches: which, and why."""
    lines = "\n".join(f"{match_id}: {why}" for match_id, why in failures.items())
    return dg.Failure(
        f"{len(failures)} of {of} matches failed\n{lines}",
        metadata={"failed": dg.MetadataValue.json(dict(failures))},
        allow_retries=False,
    )
