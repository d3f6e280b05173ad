"""A GRID series the usual way: `json.loads` each transaction, a dict per row, pyarrow, Parquet.

Belongs here: the same `events` and `tracks` as the pipeline's, from a sound series of one Counter-Strike game whose
states are told in full where positions are. Does not belong here: checks, quarantine, deltas of the whole state,
several games and titles, bounded memory; the pipeline has these in its time, a script has not.

The words and units are the pipeline's own (`grid_wire`, `configs/titles.yaml`); what is taken back, merged and left
out is by its rules, in plain Python.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from bench.baselines.rows import encode, lines, write
from configs.events import load_events
from configs.titles import Title, load_titles
from pipeline.events.model import TYPE_RANK
from pipeline.events.sources.grid_wire import (
    BOMB_MOVES,
    BOUNDARIES,
    CLOCK_ACTIONS,
    CLOCKS,
    DAMAGES,
    KILLS,
    OBJECTIVES,
)

_DAMAGE_TOLD = (
    *(("target", name) for name in ("damageTaken", "teamdamageTaken", "selfdamageTaken")),
    *(("actor", name) for name in ("damageDealt", "teamdamageDealt", "selfdamageDealt")),
)


def read(log: Path, folder: Path) -> None:
    """Writes `events.parquet` and `tracks.parquet` of a series."""
    events = [event for number, line in enumerate(lines(log), 1) for event in _events(json.loads(line), number)]
    events.sort(key=lambda event: event["seq"])
    events = _standing(events)
    series = next(event["series"] for event in events)
    start = next(event["at"] for event in events if event["type"] == "series-started-game")
    game = _learn(events)
    title = load_titles().find(game["title"])
    rows: list[dict[str, Any]] = []
    shown: dict[str, Any] = {}
    stale: dict[str, Any] = {}
    last: dict[str, tuple[tuple[int, int], int]] = {}
    bomb_seen, in_rounds = False, False
    told: set[tuple[str, int | None]] = set()
    for _, group in groupby(events, key=lambda event: event["transaction"]):
        transaction = list(group)
        state = next((event for event in reversed(transaction) if event["players"] is not None), None)
        if any(event["boundary"] == "ROUND_STARTED" and _is_new(event, told) for event in transaction):
            now = {player["id"]: player["at"] for player in state["players"] if player["at"]} if state else {}
            stale, shown, in_rounds = (shown or now) if in_rounds else {}, {}, True
        places: dict[str, tuple[int, int]] = {}
        for player in state["players"] if state else ():
            at = player["at"]
            if at is None:
                continue
            shown[player["id"]] = at
            if stale.get(player["id"]) == at:
                continue
            stale.pop(player["id"], None)
            if player["alive"]:
                places[player["id"]] = _millimetres(title, at)
        has_boundary = any(event["boundary"] for event in transaction)
        for event in transaction:
            row = {
                "match_id": f"{series}-1",
                "seq": event["seq"],
                "event_id": event["id"],
                "t_ms": round((event["at"] - start).total_seconds() * 1000),
                "occurred_at": event["at"],
                "source_line": event["line"],
            }
            if event["boundary"]:
                if not _is_new(event, told):
                    continue
                told.add((event["boundary"], event["round"]))
                rows.append(row | _boundary(event, game, f"{series}-1"))
            elif not (has_boundary and event["target"]["type"] in CLOCKS and event["action"] in CLOCK_ACTIONS):
                rows.append(row | _happening(event, title, places, game["team_of"]))
        if state is None:
            continue
        t_ms = round((state["at"] - start).total_seconds() * 1000)
        bomb_seen = bomb_seen or any(player["has_bomb"] for player in state["players"])
        for place, player in enumerate(state["players"]):
            at = places.get(player["id"])
            if at is None:
                continue
            before = last.get(player["id"])
            if before is not None and before[0] == at and t_ms - before[1] < load_events().snapshots.unchanged_ms:
                continue
            last[player["id"]] = at, t_ms
            rows.append(
                {
                    "match_id": f"{series}-1",
                    "seq": state["transaction"] * 2**16 + 2**15 + place,
                    "event_id": f"position:{series}:{state['transaction']}:{player['id'].removeprefix('player:')}",
                    "event_type": "POSITION_UPDATE",
                    "t_ms": t_ms,
                    "occurred_at": state["at"],
                    "source_line": state["line"],
                    "actor": player["id"],
                    "team": player["team"],
                    "x_mm": at[0],
                    "z_mm": at[1],
                    "hp": player["hp"],
                    "armor": player["armor"],
                    "has_bomb": player["has_bomb"] if bomb_seen else None,
                    "payload": encode({"armor": player["armor"], "hp": player["hp"]}),
                }
            )
    current = None
    for row in rows:
        row["rank"] = TYPE_RANK[row["event_type"]]
        if row["event_type"] == "ROUND_STARTED":
            current = row["round"]
        if row.get("round") is None:
            row["round"] = current
        if "team" not in row:
            row["team"] = game["team_of"].get(row.get("actor"))
        row["side"] = game["sides"].get(row["round"], {}).get(row["team"])
    write(rows, folder)


def _events(transaction: dict[str, Any], line: int) -> Iterator[dict[str, Any]]:
    at, sequence = datetime.fromisoformat(transaction["occurredAt"]), int(transaction["sequenceNumber"])
    for index, event in enumerate(transaction["events"]):
        target, actor = event["target"], event["actor"]
        boundary = BOUNDARIES.get(event["type"])
        state = event.get("seriesState")
        games = state["games"] if state is not None and state["valid"] else []
        named = next((entity["id"] for entity in (actor, target) if entity["type"] == "game"), None)
        touched = [game["id"] for game in event.get("seriesStateDelta", {}).get("games", ())]
        playing = [game["id"] for game in games if game["started"] and not game["finished"]]
        own = named or (touched[0] if len(touched) == 1 else (playing or [None])[-1])
        game = next((game for game in games if game["id"] == own), None)
        yield {
            "series": transaction["seriesId"],
            "line": line,
            "transaction": sequence,
            "seq": sequence * 2**16 + index,
            "at": at,
            "id": event["id"],
            "type": event["type"],
            "action": event["action"],
            "actor": {name: actor.get(name) for name in ("type", "id", "stateDelta")},
            "target": {name: target.get(name) for name in ("type", "id", "stateDelta")},
            "reverted": event.get("revertedEventId"),
            "boundary": boundary,
            "round": int(_round(actor, target)) if boundary and boundary.startswith("ROUND") else None,
            "title": state and state["title"]["nameShortened"],
            "map": game and game["map"]["name"],
            "teams": game
            and [{name: team[name] for name in ("id", "name", "side", "score")} for team in game["teams"]],
            "segments": game and game["segments"][-2:],
            "players": game and [_player(player, team["id"]) for team in game["teams"] for player in team["players"]],
        }


def _round(actor: dict[str, Any], target: dict[str, Any]) -> str:
    entity = target if target["type"] == "round" else actor
    return str(entity["id"]).removeprefix("round-")


def _player(player: dict[str, Any], team: str) -> dict[str, Any]:
    at = player["position"]
    return {
        "id": f"player:{player['id']}",
        "name": player["name"],
        "team": f"team:{team}",
        "at": at and (at["x"], at["y"]),
        "hp": player["currentHealth"],
        "armor": player["currentArmor"],
        "alive": player["alive"],
        "has_bomb": any(item["id"] == "bomb" for item in player["items"]),
    }


def _standing(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    fallen, stands = set(), []
    for event in reversed(events):
        if event["id"] in fallen:
            continue
        if event["reverted"] is not None:
            fallen.add(event["reverted"])
        elif "-!" not in event["type"] and event["type"] not in ("grid-invalidated-series", "grid-validated-series"):
            stands.append(event)
    return stands[::-1]


def _learn(events: list[dict[str, Any]]) -> dict[str, Any]:
    """What all states together tell of the game: rosters, sides, results, score."""
    names: dict[str, str] = {}
    rosters: dict[str, dict[str, str]] = {}
    sides: dict[int, dict[str, str]] = {}
    results: dict[int, tuple[str, str]] = {}
    score: dict[str, int] = {}
    title = map_name = None
    won = {event["round"]: f"team:{event['actor']['id']}" for event in events if event["type"] == "team-won-round"}
    for event in events:
        if event["teams"] is None:
            continue
        title, map_name = title or event["title"], map_name or event["map"]
        for team in event["teams"]:
            names[f"team:{team['id']}"] = team["name"]
            score[f"team:{team['id']}"] = team["score"]
        for player in event["players"]:
            rosters.setdefault(player["team"], {}).setdefault(player["id"], player["name"])
        for segment in event["segments"]:
            number = segment["sequenceNumber"]
            if number not in sides:
                sides[number] = {f"team:{team['id']}": team["side"] for team in segment["teams"]}
            for team in segment["teams"]:
                if team["won"]:
                    results[number] = f"team:{team['id']}", team["winType"]
    before: dict[str, str] = {}
    for number in sorted({event["round"] for event in events if event["round"] is not None}):
        before = sides.setdefault(number, before)
    return {
        "title": title,
        "map": map_name,
        "names": names,
        "rosters": rosters,
        "team_of": {player: team for team, players in rosters.items() for player in players},
        "sides": sides,
        "results": results,
        "won": won,
        "score": score,
    }


def _is_new(event: dict[str, Any], told: set[tuple[str, int | None]]) -> bool:
    return (event["boundary"], event["round"]) not in told


def _boundary(event: dict[str, Any], game: dict[str, Any], match_id: str) -> dict[str, Any]:
    kind, number = event["boundary"], event["round"]
    payload: dict[str, Any] = {}
    if kind == "MATCH_STARTED":
        teams = [
            {"id": team, "name": name, "players": [{"id": p, "name": n} for p, n in game["rosters"][team].items()]}
            for team, name in game["names"].items()
        ]
        payload = {"title": game["title"], "map": game["map"], "teams": teams}
    elif kind == "MATCH_ENDED":
        payload = {"score": game["score"]}
    elif kind == "ROUND_STARTED":
        payload = {"sides": game["sides"][number]}
    elif kind == "ROUND_ENDED":
        team, reason = game["results"].get(number, (None, None))
        team = game["won"].get(number, team)
        payload = {"winner": game["sides"][number].get(team, team), "reason": reason}
    actor = f"match:{match_id}" if number is None else f"round:{number}"
    return {"event_type": kind, "actor": actor, "round": number, "payload": encode(payload)}


def _happening(
    event: dict[str, Any], title: Title, places: dict[str, tuple[int, int]], team_of: dict[str, str]
) -> dict[str, Any]:
    actor, target, action = event["actor"], event["target"], event["action"]
    row: dict[str, Any] = {"actor": f"{actor['type']}:{actor['id']}", "target": f"{target['type']}:{target['id']}"}
    payload: dict[str, Any] = {}
    if target["type"] == "player" and action in KILLS | DAMAGES:
        payload["kind"] = action
        if action in KILLS:
            row["event_type"] = "PLAYER_KILLED"
            delta = actor["stateDelta"].get("game", {})
            if delta.get("headshots"):
                payload["headshot"] = True
            used = list(delta.get("weaponKills") or delta.get("weaponTeamkills") or ())
            row["weapon"] = used[0] if len(used) == 1 else None
        else:
            row["event_type"] = "PLAYER_DAMAGED"
            told = (event[entity]["stateDelta"].get("game", {}).get(name) for entity, name in _DAMAGE_TOLD)
            row["amount"] = next((value for value in told if value is not None), None)
    elif action == "completed" and target["type"] in OBJECTIVES:
        row |= {"event_type": OBJECTIVES[target["type"]], "target": None}
    elif event["type"] in BOMB_MOVES and target["id"] in title.bomb_items:
        row |= {"event_type": BOMB_MOVES[event["type"]], "target": None}
    else:
        row["event_type"] = "OTHER"
        payload["event_type"] = event["type"]
        for name, entity in (("actor_delta", actor), ("target_delta", target)):
            if (entity["stateDelta"] or {}).keys() - {"id"}:
                payload[name] = entity["stateDelta"]
    if at := places.get(row["actor"]):
        row["x_mm"], row["z_mm"] = at
    if row["target"] is not None and (at := places.get(row["target"])):
        payload["target_pos"] = [at[0] / 1000, None, at[1] / 1000]
    return row | {"payload": encode(payload)}


def _millimetres(title: Title, at: tuple[float, float]) -> tuple[int, int]:
    x, y = at
    return round(x * title.unit_m * 1000), round(y * title.unit_m * -1000)
