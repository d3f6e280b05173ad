"""Whether what we read of a GRID series agrees with GRID's own summary of it.

Belongs here: the check. Does not belong here: the comparison (`pipeline.events.end_state`), the fetching of end states
(`assets/grid.py`). Concept: https://docs.dagster.io/guides/test/asset-checks
"""

from typing import Any

import dagster as dg

from assets import reports
from assets.partitions import matches
from assets.stages import MatchTables
from pipeline.events.end_state import UnusableEndState, compare, read_end_state
from resources.files import FileMissing
from resources.grid_api.inbox import end_state_path

END_STATE_CHECK = "agrees_with_end_state"
END_STATE_SPEC = dg.AssetCheckSpec(
    END_STATE_CHECK,
    asset="events",
    description="kills, deaths, rounds, score and winner are those of GRID's end-state file, where there is one",
    partitions_def=matches,
)


def end_state_check(tables: MatchTables) -> dg.AssetCheckResult:
    """Holds a match of a GRID series against the end state that was fetched with it; a difference warns."""
    match = tables.read("matches")
    if match["source_kind"].item() != "grid":
        return _result(compared=0, nothing_to_compare_with="only GRID's logs have an end state")
    path = end_state_path(tables.match_id.rpartition("-")[0])
    try:
        end = read_end_state(tables.store.read(path))
    except FileMissing:
        return _result(compared=0, nothing_to_compare_with=f"there is no {path}: its end state was not fetched")
    except UnusableEndState as error:
        return _result(passed=False, reason=f"{path}: {error}")
    agreement = compare(end, match, tables.read("rounds"), tables.read("events"))
    differences = agreement.differences
    if not agreement.agrees:
        tables.warn(
            f"{tables.match_id}: {differences.height} figures differ from GRID's end state; see {END_STATE_CHECK}"
        )
    return _result(
        passed=agreement.agrees,
        compared=agreement.compared,
        different=differences.height,
        differences=reports.table(differences, limit=differences.height),
        not_compared=dg.MetadataValue.json(list(agreement.left_out)),
        end_state=tables.store.uri(path),
    )


def _result(*, passed: bool = True, **metadata: Any) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key="events",
        check_name=END_STATE_CHECK,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=metadata,
    )
