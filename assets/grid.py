"""From GRID's servers to the landing folder: logs and end states of the series that are followed.

Belongs here: which series are fetched, and what is reported of it. Does not belong here: requests and files
(`resources.grid_api`), the scan of what landed (`assets/events.py`), the use of end states (`assets/end_state.py`).
Concept: https://docs.dagster.io/guides/build/assets/defining-assets
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

import dagster as dg
import polars as pl
from pydantic import Field

from assets import reports
from assets.events import GROUP, LANDING
from resources.grid_api import (
    GridApi,
    GridBusy,
    GridError,
    GridUnavailable,
    Inbox,
    KeyRefused,
    NoKey,
    Series,
    SeriesReport,
    TooManyRequests,
)
from resources.grid_api.inbox import FAILED, FETCHED, KNOWN
from resources.settings import Settings
from resources.store import Store

FETCHED_CHECK = "every_series_fetched"
# What fails for one series for this reason fails for all of them.
_HOPELESS = (NoKey, KeyRefused, GridBusy)


class FetchConfig(dg.Config):
    """Which series to fetch.

    Attributes:
        series: these; those that `configs/grid.yaml` follows if empty.
    """

    series: list[str] = Field(default_factory=list)


@dataclass
class _Look:
    """One look at GRID: what was wanted, what became of it, what failed, what was not asked for."""

    wanted: list[str] = field(default_factory=list)
    reports: list[SeriesReport] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)


@dg.asset(
    group_name=GROUP,
    kinds={"grid"},
    pool="grid_api",  # GRID counts requests by key, so one run asks at a time
    check_specs=[
        dg.AssetCheckSpec(FETCHED_CHECK, asset="grid_series", description="no followed series failed to be fetched")
    ],
)
def grid_series(
    context: dg.AssetExecutionContext,
    config: FetchConfig,
    store: dg.ResourceParam[Store],
    grid: dg.ResourceParam[GridApi],
    environment: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """Event logs and end states of the series that are followed, each fetched once; logs go to the landing folder."""
    inbox = Inbox(
        grid,
        store,
        environment.grid_spool,
        landing=LANDING,
        # The scan names a log by the beginning of its BLAKE3 hash.
        scanned=lambda blake3: store.exists(store.part_path("logs", blake3[:16])),
    )
    look = _Look()
    try:
        with inbox.opened():
            look.wanted = list(dict.fromkeys(config.series)) or _followed(grid, datetime.now(UTC), look)
            _fetch(context, inbox, grid.config.retries.unavailable_in_a_row, look)
    except _HOPELESS as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    for what, why in look.failed.items():
        context.log.warning(f"{what} failed: {why}")
    return dg.MaterializeResult(
        metadata=_told(look),
        check_results=[
            dg.AssetCheckResult(
                check_name=FETCHED_CHECK,
                passed=not look.failed,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"failed": dg.MetadataValue.json(look.failed)},
            )
        ],
    )


def _followed(grid: GridApi, now: datetime, look: _Look) -> list[str]:
    """The series that `grid.yaml` follows, each once: those named, then by time; a listing that fails fails alone."""
    follow, since = grid.config.follow, now - timedelta(days=grid.config.look_back_days)
    found = list(follow.series)
    asks: list[tuple[str, Callable[[], list[Series]]]] = [
        *((f"tournament {name}", partial(grid.series_of_tournament, name, since, now)) for name in follow.tournaments),
        *((f"team {name}", partial(grid.series_of_team, name, since, now)) for name in follow.teams),
    ]
    for place, (what, ask) in enumerate(asks):
        try:
            found += [series.id for series in ask()]
        except _HOPELESS:
            raise
        except GridError as error:
            look.failed[what] = str(error)
            if isinstance(error, (GridUnavailable, TooManyRequests)):  # so it would be for the next one
                look.left += [name for name, _ in asks[place + 1 :]]
                break
    return list(dict.fromkeys(found))


def _fetch(context: dg.AssetExecutionContext, inbox: Inbox, most_unavailable: int, look: _Look) -> None:
    """Fetches series after series; one that fails fails alone, unless GRID is out of reach or out of patience."""
    unavailable = 0
    for place, series in enumerate(look.wanted):
        try:
            report = inbox.fetch(series)
        except _HOPELESS:
            raise
        except TooManyRequests as error:
            context.log.warning(str(error))
            look.left += look.wanted[place:]
            return
        except GridError as error:
            report = SeriesReport(series, FAILED, FAILED, 0, error)
        look.reports.append(report)
        context.log.info(f"series {series}: events {report.events}, end state {report.end_state}")
        if report.error:
            look.failed[f"series {series}"] = str(report.error)
        unavailable = unavailable + 1 if isinstance(report.error, GridUnavailable) else 0
        if unavailable == most_unavailable:
            look.left += look.wanted[place + 1 :]
            return


def _told(look: _Look) -> reports.Metadata:
    """What an analyst wants to know of a look at GRID."""
    rows = [
        {"series": report.series, "events": report.events, "end state": report.end_state} for report in look.reports
    ]
    states = Counter(report.events for report in look.reports)
    return {
        "series": len(look.wanted),
        "events_fetched": states[FETCHED],
        "events_known": states[KNOWN],
        "MB": round(sum(report.bytes for report in look.reports) / 1e6, 2),
        "waiting": dg.MetadataValue.json([report.series for report in look.reports if report.waits]),
        # Their events were analysed without it: the check of these matches has something to say now.
        "end_states_after_their_events": dg.MetadataValue.json(
            [report.series for report in look.reports if (report.events, report.end_state) == (KNOWN, FETCHED)]
        ),
        "failed": dg.MetadataValue.json(look.failed),
        "left_for_the_next_tick": dg.MetadataValue.json(look.left),
        "states": reports.table(pl.DataFrame(rows, schema=["series", "events", "end state"]), limit=len(rows)),
    }
