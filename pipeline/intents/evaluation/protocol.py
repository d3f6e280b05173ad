"""Who is trained on, who is judged.

Belongs here: the splits: by series, by map, and by time within a match, with what lies too near to the cut left out.
Does not belong here: how a model is trained (`pipeline.intents.training`), measures.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import polars as pl

from configs.features import load_features
from pipeline.intents.evaluation.cases import Case


@dataclass(frozen=True)
class Fold:
    """A training, and the matches that it is judged on.

    Attributes:
        name: what is held out.
        tested: ids of the matches that are judged.
        trained: ids of the matches that are learned from; none is kin to any that is judged.
    """

    name: str
    tested: tuple[str, ...]
    trained: tuple[str, ...]


def folds(cases: Sequence[Case], held_out: Callable[[Case], str]) -> list[Fold]:
    """One fold per value held out, as few trainings as possible; the series of the match judged is always left out.

    Args:
        cases: the matches; no match among them twice.
        held_out: what a match shares with those that must not be trained on, e.g. its series or its map.

    Returns:
        Folds with at least one match to train on; matches whose training set is the same are judged by one training.
    """
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for case in cases:
        others = [
            other.match_id for other in cases if held_out(other) != held_out(case) and other.series != case.series
        ]
        if others:
            found.setdefault((held_out(case), tuple(others)), []).append(case.match_id)
    return [Fold(name, tuple(tested), trained) for (name, trained), tested in found.items()]


def by_team(cases: Sequence[Case]) -> list[Fold]:
    """One fold per match, trained on matches without any of its teams, and of other series.

    Matches whose training set is the same are judged by one training, and the fold is named after their teams.
    """
    found: dict[tuple[str, ...], list[Case]] = {}
    for case in cases:
        others = [each for each in cases if not each.teams & case.teams and each.series != case.series]
        if others:
            found.setdefault(tuple(each.match_id for each in others), []).append(case)
    return [
        Fold(
            " ".join(sorted(team for case in tested for team in case.teams)), tuple(c.match_id for c in tested), trained
        )
        for trained, tested in found.items()
    ]


def single_series(cases: Sequence[Case]) -> list[Fold]:
    """One fold per series: trained on it alone, judged on all others."""
    found = []
    for name in sorted({case.series for case in cases}):
        inside = tuple(case.match_id for case in cases if case.series == name)
        outside = tuple(case.match_id for case in cases if case.series != name)
        if outside:
            found.append(Fold(name, outside, inside))
    return found


def by_time(cases: Sequence[Case], share: float) -> list[tuple[list[Case], list[Case]]]:
    """What to train on and what to judge where all matches are of one series: the earlier part, then the later one.

    Args:
        cases: the matches of one series.
        share: for the later part; at least one match, or one round of a single match.
    """
    ordered = sorted(cases, key=lambda case: (str(case.match["started_at"].item() or ""), case.match_id))
    later = max(1, round(share * len(ordered)))
    if len(ordered) > 1:
        return [(ordered[:-later], ordered[-later:])]
    before, after = cut(ordered[0], share, purge_ms=purge_ms(ordered), embargo_ms=embargo_ms())
    return [([before], [after])]


def cut(case: Case, share: float, *, purge_ms: int, embargo_ms: int) -> tuple[Case, Case]:
    """A match in an earlier and a later part, cut where a round begins.

    A label looks ahead and a feature back, so neighbours of the cut know of each other: the last `purge_ms` before it
    and the first `embargo_ms` after it belong to neither part.

    Args:
        case: the match.
        share: of the rounds (of the time, where there is one round only) for the later part.
        purge_ms: at least the longest horizon of a label.
        embargo_ms: at least the longest window of a feature.
    """
    starts = case.features.group_by("round").agg(pl.col("t_ms").min()).sort("t_ms")["t_ms"]
    if len(starts) > 1:
        at = int(starts[min(len(starts) - 1, max(1, round((1 - share) * len(starts))))])
    else:
        first, last = int(case.features["t_ms"].min()), int(case.features["t_ms"].max())  # type: ignore[arg-type]
        at = first + round((1 - share) * (last - first))
    before, after = pl.col("t_ms") < at - purge_ms, pl.col("t_ms") >= at + embargo_ms
    tables = ("features", "labels", "events", "tracks")  # with the events go the acts to be warned of
    return tuple(  # type: ignore[return-value]  # two of them
        replace(case, **{name: getattr(case, name).filter(part) for name in tables}) for part in (before, after)
    )


def purge_ms(cases: Sequence[Case]) -> int:
    """How far ahead the labels look at the most."""
    return max((int(case.labels["horizon_ms"].max() or 0) for case in cases), default=0)  # type: ignore[arg-type]


def embargo_ms() -> int:
    """How far back the features look at the most, within a round."""
    config = load_features()
    return max(config.long_window_ms, config.teammate_death_ms, config.defuse_ms)


def forward(cases: Sequence[Case]) -> list[Fold]:
    """One fold per series with an earlier one: trained on the matches of series that were over before it began.

    Series that were played at the same time do not know of each other.
    """
    started: dict[str, int] = {}
    ended: dict[str, int] = {}
    for case in cases:
        if (at := case.match["started_at"].item()) is None:
            return []
        begun = round(at.timestamp() * 1000)
        over = begun + _length_ms(case)
        started[case.series] = min(begun, started.get(case.series, begun))
        ended[case.series] = max(over, ended.get(case.series, over))
    found = []
    for name in sorted(started, key=lambda name: (started[name], name)):
        tested = tuple(case.match_id for case in cases if case.series == name)
        earlier = tuple(case.match_id for case in cases if ended[case.series] < started[name])
        if earlier:
            found.append(Fold(name, tested, earlier))
    return found


def _length_ms(case: Case) -> int:
    """Until when a match tells of anything, on its own clock."""
    return max(int(table["t_ms"].max() or 0) for table in (case.features, case.events, case.tracks))  # type: ignore[arg-type]
