"""A canonical log the usual way: `json.loads` each line, a dict per row, pyarrow, Parquet.

Belongs here: the same `events` and `tracks` as the pipeline's, from a sound log of one match. Does not belong here:
checks, quarantine, several matches, bounded memory; the pipeline has these in its time, a script has not.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.baselines.rows import encode, lines, write
from pipeline.events.model import TYPE_RANK


def read(log: Path, folder: Path) -> None:
    """Writes `events.parquet` and `tracks.parquet` of a canonical log."""
    rows = [_row(json.loads(line), number) for number, line in enumerate(lines(log), 1)]
    team_of: dict[str, str] = {}
    side_of: dict[tuple[int, str | None], str] = {}
    for row in rows:
        if row["event_type"] == "MATCH_STARTED":
            for team in json.loads(row["payload"])["teams"]:
                team_of |= dict.fromkeys(team["players"], team["id"])
        elif row["event_type"] == "ROUND_STARTED":
            side_of |= {(row["round"], team): side for team, side in json.loads(row["payload"])["sides"].items()}
    current = None
    for row in rows:
        if row["event_type"] == "ROUND_STARTED":
            current = row["round"]
        if row["round"] is None:
            row["round"] = current
        row["team"] = team_of.get(row["actor"])
        row["side"] = side_of.get((row["round"], row["team"]))
    write(rows, folder)


def _row(event: dict[str, Any], line: int) -> dict[str, Any]:
    payload, kind = event["payload"], event["event_type"]
    row = {
        "match_id": event["match_id"],
        "seq": event.get("seq", 0),
        "event_id": event["event_id"],
        "event_type": kind,
        "rank": TYPE_RANK[kind],
        "t_ms": round(payload.pop("ts") * 1000),
        "occurred_at": datetime.fromisoformat(event["timestamp"]),
        "round": payload.pop("round", None),
        "actor": event["actor"],
        "target": payload.pop("target", None),
        "weapon": payload.pop("weapon", None),
        "site": payload.pop("site", None),
        "source_line": line,
    }
    if pos := payload.pop("pos", None):
        row["x_mm"], row["y_mm"], row["z_mm"] = (round(metres * 1000) for metres in pos)
    if kind == "POSITION_UPDATE":
        row["yaw_mdeg"] = round(payload["yaw"] * 1000)
        row["pitch_mdeg"] = round(payload["pitch"] * 1000)
        row["hp"] = payload["hp"]
        row["armor"] = payload["armor"]
        row["place"] = payload.get("place")
        row["has_bomb"] = payload.get("has_bomb", False)
        row["has_kit"] = payload.get("has_kit", False)
    elif kind == "PLAYER_DAMAGED":
        row["amount"] = payload.pop("damage")
    elif kind == "PLAYER_BLINDED":
        row["amount"] = round(payload.pop("duration") * 1000)
    row["payload"] = encode(payload)
    return row
