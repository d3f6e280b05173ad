"""A match and its rounds, read from its boundary events: the few that begin and end it and its rounds.

Belongs here: rosters, sides, rounds, score, objectives. Does not belong here: how a log tells them
(`pipeline.events.sources`), what they say of all other events (`naming`), the geometry of maps (`configs/maps.yaml`).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import polars as pl

from configs.maps import MapsConfig
from pipeline.events.sources.fields import mm
from pipeline.tables import conform, empty

_OF_ROUNDS = ("ROUND_STARTED", "ROUND_LIVE", "ROUND_ENDED")
BOUNDARIES = ("MATCH_STARTED", *_OF_ROUNDS, "MATCH_ENDED")


@dataclass(frozen=True)
class Cast:
    """Who plays a match.

    Attributes:
        teams: team ids, those of the roster first.
        members: per player of a roster, in its order: team and name.
    """

    teams: tuple[str, ...]
    members: Mapping[str, tuple[str, str | None]]


@dataclass(frozen=True)
class Round:
    """A row of the table `rounds` while it grows."""

    number: int
    start_ms: int
    live_ms: int | None = None
    end_ms: int | None = None
    sides: Mapping[str, str] | None = None
    winner: str | None = None
    reason: str | None = None


def opening(boundaries: pl.DataFrame, told: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of a match from its first MATCH_STARTED, and beside it from the rest of its log.

    Args:
        boundaries: the match's boundary events in order.
        told: what the log tells elsewhere, in the shape of the payload; it overrides MATCH_STARTED, which knows less.
    """
    first = next(_payloads(boundaries, "MATCH_STARTED"), {})
    return {**first, **{name: value for name, value in told.items() if value not in (None, [])}}


def cast(known: Mapping[str, Any], boundaries: pl.DataFrame, teams: Iterable[str] = ()) -> Cast:
    """Teams and rosters of a match; teams that only events or sides name come after those of the rosters.

    Args:
        known: what `opening` found.
        boundaries: the match's boundary events.
        teams: teams that events name.
    """
    rostered: dict[str, None] = {}
    members: dict[str, tuple[str, str | None]] = {}
    for team in known.get("teams") or ():
        rostered.setdefault(team["id"])
        for player in team.get("players") or ():
            entry = player if isinstance(player, dict) else {"id": player}
            members.setdefault(entry["id"], (team["id"], entry.get("name") or None))
    extra = set(teams)
    for payload in _payloads(boundaries, "ROUND_STARTED"):
        extra.update(payload.get("sides") or ())
    return Cast((*rostered, *sorted(extra - rostered.keys())), members)


def number_rounds(boundaries: pl.DataFrame) -> pl.DataFrame:
    """The boundary events with `round` filled in: the one that an event names, else the one last started before it.

    A round that ends at the very instant at which the next one starts stands behind that start in the order of
    events; it ends the round that ran before, unless that one has ended already.

    Args:
        boundaries: the match's boundary events in order.
    """
    numbers: list[int | None] = []
    current: int | None = None  # last started
    before: int | None = None  # last started before this instant
    instant: int | None = None
    ended: set[int | None] = {None}
    for event_type, t_ms, own in _rows(boundaries, "event_type", "t_ms", "round"):
        if t_ms != instant:
            instant, before = t_ms, current
        if event_type == "ROUND_STARTED" and own is not None:
            current = own
        number = own if own is not None else current
        if event_type == "ROUND_ENDED":
            if own is None and before not in ended:
                number = before
            ended.add(number)
        numbers.append(number)
    return boundaries.with_columns(round=pl.Series(numbers, dtype=pl.Int32))


def find_rounds(boundaries: pl.DataFrame) -> list[Round]:
    """The rounds that boundary events tell of, by number; of several tellings of one boundary the first stands.

    Args:
        boundaries: the match's boundary events in order, rounds numbered.
    """
    told: dict[int, dict[str, tuple[int, dict[str, Any]]]] = {}
    for event_type, number, t_ms, payload in _rows(boundaries, "event_type", "round", "t_ms", "payload"):
        if event_type in _OF_ROUNDS and number is not None and number >= 1:
            told.setdefault(number, {}).setdefault(event_type, (t_ms, msgspec.json.decode(payload)))
    rounds = []
    for number, by_type in sorted(told.items()):
        started, live, ended = (by_type.get(f"ROUND_{name}") for name in ("STARTED", "LIVE", "ENDED"))
        sides = {team: side_word(side) for team, side in ((started[1].get("sides") if started else None) or {}).items()}
        winner = ended[1].get("winner") if ended else None
        rounds.append(
            Round(
                number=number,
                start_ms=started[0] if started else min(t for t, _ in by_type.values()),
                live_ms=live[0] if live else None,
                end_ms=ended[0] if ended else None,
                sides=sides,
                winner=sides.get(winner, side_word(winner)) if winner else None,
                reason=(ended[1].get("reason") or None) if ended else None,
            )
        )
    return rounds


def with_sides(rounds: Iterable[Round], shown: Mapping[int, Mapping[str, str]]) -> list[Round]:
    """The rounds with the sides that the log shows of them at any time; where it shows none, those of their start.

    Args:
        rounds: as boundary events tell them.
        shown: side by team, by number of the round.
    """
    return [
        replace(entry, sides={team: side_word(side) for team, side in sorted(sides.items())})
        if (sides := shown.get(entry.number))
        else entry
        for entry in rounds
    ]


def side_word(side: str) -> str:
    """A side in the source's own words, lower case."""
    return side.strip().lower()


def objectives(known: Mapping[str, Any], maps: MapsConfig) -> list[dict[str, Any]]:
    """The objectives that a match tells itself, else those of its map, as in the table `matches`.

    Args:
        known: what `opening` found.
        maps: known maps.
    """
    told = [(entry["id"], *entry["pos"]) for entry in known.get("objectives") or ()]
    return [
        {"id": name, "x_mm": mm(x), "y_mm": None if y is None else mm(y), "z_mm": mm(z)}
        for name, x, y, z in told or [(entry.id, *entry.pos) for entry in maps.objectives(known.get("map"))]
    ]


def rounds_frame(match_id: str, rounds: list[Round]) -> pl.DataFrame:
    """The table `rounds` of a match."""
    if not rounds:
        return empty("rounds")
    rows = [
        {
            "match_id": match_id,
            "round": entry.number,
            "start_ms": entry.start_ms,
            "live_ms": entry.live_ms,
            "end_ms": entry.end_ms,
            "sides": [{"team": team, "side": side} for team, side in (entry.sides or {}).items()],
            "winner": entry.winner,
            "reason": entry.reason,
        }
        for entry in rounds
    ]
    return conform("rounds", pl.DataFrame(rows, schema=empty("rounds").schema))


def match_frame(
    match_id: str,
    boundaries: pl.DataFrame,
    rounds: list[Round],
    players: Cast,
    known: Mapping[str, Any],
    *,
    guests: Mapping[str, str | None],
    last_ms: int,
    log: Mapping[str, Any],
    started_us: int | None,
    maps: MapsConfig,
) -> pl.DataFrame:
    """The table `matches`, one row.

    Args:
        match_id: its name.
        boundaries: its boundary events in order.
        rounds: its rounds.
        players: who plays it.
        known: what `opening` found.
        guests: players that events name and no roster does, each with the team that events tell.
        last_ms: match time of its last event.
        log: `source_kind`, `log_id`, `log_uri`, `log_blake3`.
        started_us: wall clock at match time 0, microseconds since 1970 UTC, where known.
        maps: known maps, for their names and for objectives that the log does not tell.
    """
    map_name = maps.canonical_name(known["map"]) if known.get("map") else None
    score, winner = _result(boundaries, rounds, players)
    members: list[tuple[str, str | None, str | None]] = [
        *((player, team, name) for player, (team, name) in players.members.items()),
        *((player, guests[player], None) for player in sorted(guests)),
    ]
    row = {
        "match_id": match_id,
        "title": known.get("title") or None,
        "map": map_name,
        **log,
        "teams": list(players.teams),
        "players": [{"player": player, "team": team, "name": name} for player, team, name in members],
        "objectives": objectives(known, maps),
        "winner": winner,
        "score": [{"team": team, "score": points} for team, points in score.items()],
        "started_at": started_us,
        "duration_ms": max(0, last_ms),
    }
    schema = empty("matches").schema
    frame = pl.DataFrame([row], schema={**schema, "started_at": pl.Int64()})
    return conform("matches", frame.with_columns(pl.col("started_at").cast(schema["started_at"])))


def _result(boundaries: pl.DataFrame, rounds: list[Round], players: Cast) -> tuple[dict[str, int], str | None]:
    told = next(_payloads(boundaries, "MATCH_ENDED"), None)
    end = told or {}
    points = {team: int(value) for team, value in (end.get("score") or {}).items()}
    if not points:
        won = Counter(team for entry in rounds for team, side in (entry.sides or {}).items() if side == entry.winner)
        points = {team: won[team] for team in players.teams} if won else {}
    score = {
        team: points[team]
        for team in (*(t for t in players.teams if t in points), *sorted(points.keys() - set(players.teams)))
    }
    winner = end.get("winner") or None
    if told is not None and winner is None and score:
        best = max(score.values())
        leaders = [team for team, value in score.items() if value == best]
        winner = leaders[0] if len(leaders) == 1 else None
    return score, winner


def _rows(boundaries: pl.DataFrame, *columns: str) -> Iterator[tuple[Any, ...]]:
    return zip(*(boundaries[name].to_list() for name in columns), strict=True)


def _payloads(boundaries: pl.DataFrame, event_type: str) -> Iterator[dict[str, Any]]:
    for told_type, payload in _rows(boundaries, "event_type", "payload"):
        if told_type == event_type:
            yield msgspec.json.decode(payload)
