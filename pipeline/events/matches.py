"""A match and its rounds, read from its own canonical events.

Belongs here: rosters, sides, rounds, score, objectives. Does not belong here: how a log tells them
(`pipeline.events.sources`), the geometry of maps (`configs/maps.yaml`).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import polars as pl

from configs.maps import MapsConfig
from pipeline.events.sources.fields import mm
from pipeline.tables import conform, empty


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


def opening(drafts: pl.DataFrame, told: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of a match from its first MATCH_STARTED, and beside it from the rest of its log.

    Args:
        drafts: the match's events in order.
        told: what the log tells elsewhere, in the shape of the payload; MATCH_STARTED overrides it.
    """
    payloads = drafts.filter(pl.col("event_type") == "MATCH_STARTED")["payload"].head(1).to_list()
    first = msgspec.json.decode(payloads[0]) if payloads else {}
    return {**told, **{name: value for name, value in first.items() if value not in (None, [])}}


def cast(known: Mapping[str, Any], drafts: pl.DataFrame) -> Cast:
    """Teams and rosters of a match; teams that only events or sides name come after those of the rosters."""
    teams: dict[str, None] = {}
    members: dict[str, tuple[str, str | None]] = {}
    for team in known.get("teams") or ():
        teams.setdefault(team["id"])
        for player in team.get("players") or ():
            entry = player if isinstance(player, dict) else {"id": player}
            members.setdefault(entry["id"], (team["id"], entry.get("name") or None))
    extra = set(drafts["team"].drop_nulls().unique().to_list())
    for payload in drafts.filter(pl.col("event_type") == "ROUND_STARTED")["payload"]:
        extra.update(msgspec.json.decode(payload).get("sides") or ())
    return Cast((*teams, *sorted(extra - teams.keys())), members)


def number_rounds(drafts: pl.DataFrame) -> pl.DataFrame:
    """The events with `round` filled in: the one that an event names, else the one last started before it.

    Args:
        drafts: the match's events in order.
    """
    started = pl.when(pl.col("event_type") == "ROUND_STARTED").then(pl.col("round"))
    return drafts.with_columns(round=pl.coalesce(pl.col("round"), started.forward_fill()))


def find_rounds(drafts: pl.DataFrame) -> list[Round]:
    """The rounds that boundary events tell of, by number; of several tellings of one boundary the first stands.

    Args:
        drafts: the match's events in order, rounds numbered.
    """
    boundaries = drafts.filter(
        pl.col("event_type").is_in(["ROUND_STARTED", "ROUND_LIVE", "ROUND_ENDED"]) & (pl.col("round") >= 1)
    ).select("event_type", "round", "t_ms", "payload")
    told: dict[int, dict[str, tuple[int, dict[str, Any]]]] = {}
    for event_type, number, t_ms, payload in boundaries.iter_rows():
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


def side_word(side: str) -> str:
    """A side in the source's own words, lower case."""
    return side.strip().lower()


def name_sides(drafts: pl.DataFrame, players: Cast, rounds: list[Round]) -> pl.DataFrame:
    """The events with the actor's `team` and `side` filled in where rosters and rounds know them."""
    roster = pl.DataFrame(
        [(player, team) for player, (team, _) in players.members.items()],
        schema={"actor": pl.String, "roster_team": pl.String},
        orient="row",
    )
    sides = pl.DataFrame(
        [(entry.number, team, side) for entry in rounds for team, side in (entry.sides or {}).items()],
        schema={"round": pl.Int32, "team": pl.String, "round_side": pl.String},
        orient="row",
    )
    return (
        drafts.join(roster, on="actor", how="left", maintain_order="left")
        .with_columns(team=pl.coalesce("team", "roster_team"))
        .join(sides, on=["round", "team"], how="left", maintain_order="left")
        .with_columns(side=pl.coalesce(pl.col("side").str.strip_chars().str.to_lowercase(), "round_side"))
        .drop("roster_team", "round_side")
    )


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
    drafts: pl.DataFrame,
    rounds: list[Round],
    players: Cast,
    known: Mapping[str, Any],
    *,
    log: Mapping[str, Any],
    started_us: int | None,
    maps: MapsConfig,
) -> pl.DataFrame:
    """The table `matches`, one row.

    Args:
        match_id: its name.
        drafts: its events in order, with rounds, teams and sides.
        rounds: its rounds.
        players: who plays it.
        known: what `opening` found.
        log: `source_kind`, `log_id`, `log_uri`, `log_sha256`.
        started_us: wall clock at match time 0, microseconds since 1970 UTC, where known.
        maps: known maps, for their names and for objectives that the log does not tell.
    """
    map_name = maps.canonical_name(known["map"]) if known.get("map") else None
    objectives = [(entry["id"], *entry["pos"]) for entry in known.get("objectives") or ()]
    objectives = objectives or [(entry.id, *entry.pos) for entry in maps.objectives(map_name)]
    score, winner = _result(drafts, rounds, players)
    row = {
        "match_id": match_id,
        "title": known.get("title") or None,
        "map": map_name,
        **log,
        "teams": list(players.teams),
        "players": _members(drafts, players),
        "objectives": [
            {"id": name, "x_mm": mm(x), "y_mm": None if y is None else mm(y), "z_mm": mm(z)}
            for name, x, y, z in objectives
        ],
        "winner": winner,
        "score": [{"team": team, "score": points} for team, points in score.items()],
        "started_at": started_us,
        "duration_ms": max(0, drafts["t_ms"].max() or 0),  # type: ignore[type-var]  # t_ms is int64
    }
    schema = empty("matches").schema
    frame = pl.DataFrame([row], schema={**schema, "started_at": pl.Int64()})
    return conform("matches", frame.with_columns(pl.col("started_at").cast(schema["started_at"])))


def _members(drafts: pl.DataFrame, players: Cast) -> list[dict[str, str | None]]:
    rows: list[dict[str, str | None]] = [
        {"player": player, "team": team, "name": name} for player, (team, name) in players.members.items()
    ]
    moving = drafts.filter(pl.col("event_type") == "POSITION_UPDATE")["actor"]
    named = pl.concat([drafts["actor"], drafts["target"]]).drop_nulls()
    seen = set(moving.unique().to_list()) | set(named.filter(named.str.starts_with("player:")).unique().to_list())
    teams = dict(
        drafts.filter(pl.col("team").is_not_null()).unique("actor", keep="first").select("actor", "team").iter_rows()
    )
    extra = sorted(seen - players.members.keys())
    return rows + [{"player": player, "team": teams.get(player), "name": None} for player in extra]


def _result(drafts: pl.DataFrame, rounds: list[Round], players: Cast) -> tuple[dict[str, int], str | None]:
    ends = drafts.filter(pl.col("event_type") == "MATCH_ENDED")["payload"].head(1).to_list()
    end: dict[str, Any] = msgspec.json.decode(ends[0]) if ends else {}
    points = {team: int(value) for team, value in (end.get("score") or {}).items()}
    if not points:
        won = Counter(team for entry in rounds for team, side in (entry.sides or {}).items() if side == entry.winner)
        points = {team: won[team] for team in players.teams} if won else {}
    score = {
        team: points[team]
        for team in (*(t for t in players.teams if t in points), *sorted(points.keys() - set(players.teams)))
    }
    winner = end.get("winner") or None
    if ends and winner is None and score:
        best = max(score.values())
        leaders = [team for team, value in score.items() if value == best]
        winner = leaders[0] if len(leaders) == 1 else None
    return score, winner
