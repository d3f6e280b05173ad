"""The canonical line format: one JSON object per event, metres with y up, seconds of match time.

Belongs here: checking a line and taking it apart. Does not belong here: other formats, order, rounds, tables.

Whether an event is taken is a function of the event itself and of what the whole file says of its match, never
of the place where its line stands:

- its match time lies within the limits of `configs/events.yaml` (a time that goes back by hours is negative);
- where events carry a wall clock too, the median of `timestamp − ts` over the match is the match's clock, and an
  event that stands further from it than the limit is refused: one wrong clock can't move a median;
- where events name their round, so is one that stands as far from the median time of its round;
- `ts` may be missing only from the one event of a match that has no other: that instant is then the match's 0.

A line that only comes late, its clocks in agreement, is taken and put in its place. Of several lines with the same
`event_id` in one match the first that can be taken stands.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import polars as pl

from configs.events import EventsConfig, ValidityConfig
from pipeline.events.conservation import Tally
from pipeline.events.drafts import Draft, Drafts, coded, draft_frame
from pipeline.events.lines import Block, Line, lines_of
from pipeline.events.model import NEEDS_ACTOR, NEEDS_TARGET, TYPE_RANK
from pipeline.events.quarantine import BadField, QuarantineRows
from pipeline.events.sources import Reopen, SourceReading
from pipeline.events.sources.canonical_claims import DUPLICATE, STANDS, Claims, Standing
from pipeline.events.sources.canonical_scan import Scanner
from pipeline.events.sources.fields import (
    each,
    instant_us,
    kind,
    number,
    optional_flag,
    optional_text,
    point_mm,
    text,
    too_deep,
    whole,
)
from pipeline.tables import ID_PATTERN

_MATCH_ID = re.compile(ID_PATTERN)
_ENVELOPE = frozenset(("event_id", "match_id", "event_type", "actor", "timestamp", "payload", "seq"))
_MAX_SEQ = 2**62
_MAX_ROUND = 2**31 - 1
_DECODE_ERRORS = (msgspec.MsgspecError, ValueError, RecursionError)


def read_canonical(reopen: Reopen, quarantine: QuarantineRows, tally: Tally, config: EventsConfig) -> SourceReading:
    """Reads a canonical log; the contract is `pipeline.events.sources.Source`."""
    drafts, claims = Drafts(config.lines), Claims(config.lines.max_matches)
    scanner = Scanner(config.validity, config.lines.frame_rows)
    careful: list[Draft] = []

    def put_together() -> None:
        """Those of both readers at once, so that frames of drafts follow each other by line."""
        frame = scanner.take()
        if careful:
            frames = [coded(draft_frame(careful)), frame]
            is_first = frame.is_empty() or careful[0].source_line < frame["source_line"][0]
            frame = pl.concat(frames if is_first else frames[::-1], rechunk=True)
            careful.clear()
        claims.add(frame)
        drafts.add_frame(frame)

    for block in reopen():
        left, lines = scanner.read(block) if isinstance(block, Block) else ([block], 1)
        tally.source_events += lines
        careful += _read_carefully(left, quarantine, tally, config.validity)
        if scanner.rows > config.lines.frame_rows or len(careful) > config.lines.batch_rows:
            put_together()
    put_together()
    verdict = claims.decide(drafts, config.validity)
    if verdict.fates is None:
        tally.converted += sum(drafts.heights)
    else:
        fates = np.bincount(verdict.fates, minlength=DUPLICATE + 1).tolist()
        tally.converted += fates[STANDS]
        tally.duplicate += fates[DUPLICATE]
        tally.quarantined += sum(fates) - fates[STANDS] - fates[DUPLICATE]
        _quarantine(reopen, verdict.refused(drafts), quarantine)
    return SourceReading(drafts=Standing(drafts, verdict.fates), started_us=verdict.started_us)


def _read_carefully(
    lines: list[Line], quarantine: QuarantineRows, tally: Tally, validity: ValidityConfig
) -> Iterator[Draft]:
    for line in lines:
        try:
            if line.refused is not None:
                raise BadField("", line.refused)
            yield read_line(line.data, line.number, validity)
        except BadField as bad:
            quarantine.add(line.number, bad.field, bad.reason, line.data)
            tally.quarantined += 1


def _quarantine(reopen: Reopen, refused: Iterator[tuple[int, str, str]], quarantine: QuarantineRows) -> None:
    """Reads the log a second time, for the text of the lines that are refused; both come by line."""
    due = next(refused, None)
    for block in reopen():
        if due is None:
            return
        if not isinstance(block, Block) or due[0] >= block.first_line + block.data.count(b"\n"):
            continue
        for line in lines_of(block):
            if due is not None and line.number == due[0]:
                quarantine.add(*due, line.data)
                due = next(refused, None)


def recognises(wire: object) -> bool:
    """Whether a decoded line looks like a canonical event."""
    return isinstance(wire, dict) and "event_type" in wire and "event_id" in wire


def read_line(data: bytes, line: int, validity: ValidityConfig) -> Draft:
    """One line as a draft; its `t_ms` is null where `ts` is missing.

    Raises:
        BadField: what can't be taken, and why.
    """
    wire = _decode(data, validity)
    limit = validity.max_id_chars
    event_id = text(wire.get("event_id"), "event_id", limit)
    match_id = text(wire.get("match_id"), "match_id", limit)
    if _MATCH_ID.fullmatch(match_id) is None:
        raise BadField("match_id", f"does not match {ID_PATTERN}")
    wire_type = text(wire.get("event_type"), "event_type", limit)
    payload = wire.get("payload")
    if payload is None:
        payload = {}
    elif type(payload) is not dict:
        raise BadField("payload", f"must be an object, is {kind(payload)}")
    known = wire_type in TYPE_RANK
    event_type = wire_type if known else "OTHER"
    actor = optional_text(wire.get("actor"), "actor", limit)
    if actor is None and event_type in NEEDS_ACTOR:
        raise BadField("actor", "is missing")
    stamp = wire.get("timestamp")
    seconds = payload.pop("ts", None)
    seq = wire.get("seq")
    values: dict[str, Any] = {
        "t_ms": None if seconds is None else _match_time(seconds, validity),
        "occurred_us": None if stamp is None else instant_us(stamp, "timestamp"),
        "seq": whole(seq, "seq", 0, _MAX_SEQ) if seq is not None else _sequence(payload),
        "actor": actor,
    }
    if event_type == "OTHER":
        _take_what_fits(payload, values, limit)
    else:
        _take_columns(event_type, payload, values, validity)
    if len(wire) > len(_ENVELOPE) or not _ENVELOPE.issuperset(wire):
        for name in sorted(wire.keys() - _ENVELOPE):
            _keep(payload, name, wire[name])
    if not known:
        _keep(payload, "event_type", wire_type)
    return Draft(
        match_id=match_id,
        event_id=event_id,
        event_type=event_type,
        source_line=line,
        payload=msgspec.json.encode(payload, order="deterministic").decode() if payload else "{}",
        **values,
    )


def _decode(data: bytes, validity: ValidityConfig) -> dict[str, Any]:
    if (reason := too_deep(data, validity)) is not None:
        raise BadField("", reason)
    try:
        wire = msgspec.json.decode(data)
    except _DECODE_ERRORS as error:
        raise _undecodable(data, error) from error
    if type(wire) is not dict:
        raise BadField("", f"must be a JSON object, is {kind(wire)}")
    return wire


def _undecodable(data: bytes, error: Exception) -> BadField:
    """Names the field where a number that JSON does not know, as NaN, is all that is wrong."""
    try:
        field = _not_finite(json.loads(data), "")
    except (ValueError, RecursionError):
        return BadField("", f"is not JSON: {error}")
    return BadField(field or "", f"is not JSON: {error}" if field is None else "is not a finite number")


def _not_finite(value: object, field: str) -> str | None:
    if type(value) is float and not abs(value) < float("inf"):
        return field
    entries = (
        ((f"{field}.{name}" if field else name, entry) for name, entry in value.items())
        if isinstance(value, dict)
        else ((f"{field}[{index}]", entry) for index, entry in enumerate(value))
        if isinstance(value, list)
        else ()
    )
    return next((found for name, entry in entries if (found := _not_finite(entry, name)) is not None), None)


def _match_time(seconds: object, validity: ValidityConfig) -> int:
    low, high = validity.earliest_ms / 1000, validity.latest_ms / 1000
    return round(number(seconds, "payload.ts", low, high) * 1000)


def _sequence(payload: dict[str, Any]) -> int:
    seq = payload.pop("seq", None)
    return 0 if seq is None else whole(seq, "payload.seq", 0, _MAX_SEQ)


def _take_what_fits(payload: dict[str, Any], values: dict[str, Any], limit: int) -> None:
    """Of a type that isn't ours only what means the same everywhere; all else stays in the payload as it is."""
    number_of_round = payload.get("round")
    if type(number_of_round) is int and 1 <= number_of_round <= _MAX_ROUND:
        values["round"] = payload.pop("round")
    target = payload.get("target")
    if type(target) is str and 0 < len(target) <= limit:
        values["target"] = payload.pop("target")


def _take_columns(event_type: str, payload: dict[str, Any], values: dict[str, Any], validity: ValidityConfig) -> None:
    limit = validity.max_id_chars
    if (number_of_round := payload.pop("round", None)) is not None:
        values["round"] = whole(number_of_round, "payload.round", 1, _MAX_ROUND)
    if (pos := payload.pop("pos", None)) is not None:
        values["x_mm"], values["y_mm"], values["z_mm"] = point_mm(pos, "payload.pos", validity)
    if "weapon" in payload:
        values["weapon"] = optional_text(payload.pop("weapon"), "payload.weapon", limit)
    if "site" in payload:
        values["site"] = optional_text(payload.pop("site"), "payload.site", limit)
    if "target" in payload:
        values["target"] = optional_text(payload.pop("target"), "payload.target", limit)
    if event_type in NEEDS_TARGET and values.get("target") is None:
        raise BadField("payload.target", "is missing")
    if (take := _BY_TYPE.get(event_type)) is not None:
        take(payload, values, validity)


def _take_position(payload: dict[str, Any], values: dict[str, Any], validity: ValidityConfig) -> None:
    if "x_mm" not in values:
        raise BadField("payload.pos", "is missing")
    turn, most = validity.max_angle_deg, validity.max_amount
    if (yaw := payload.get("yaw")) is not None:
        values["yaw_mdeg"] = round(number(yaw, "payload.yaw", -turn, turn) * 1000)
    if (pitch := payload.get("pitch")) is not None:
        values["pitch_mdeg"] = round(number(pitch, "payload.pitch", -turn, turn) * 1000)
    if (hp := payload.get("hp")) is not None:
        values["hp"] = whole(hp, "payload.hp", -most, most)
    if (armor := payload.get("armor")) is not None:
        values["armor"] = whole(armor, "payload.armor", -most, most)
    if (place := payload.get("place")) is not None:
        values["place"] = optional_text(place, "payload.place", validity.max_id_chars)
    if (objective := payload.get("objective_pos")) is not None:
        values["objective_x_mm"], values["objective_y_mm"], values["objective_z_mm"] = point_mm(
            objective, "payload.objective_pos", validity
        )
    bomb = optional_flag(payload.get("has_bomb"), "payload.has_bomb")
    kit = optional_flag(payload.get("has_kit"), "payload.has_kit")
    tells_state = "hp" in values or "armor" in values or "weapon" in values
    values["has_bomb"] = False if bomb is None and tells_state else bomb
    values["has_kit"] = False if kit is None and tells_state else kit


def _take_damage(payload: dict[str, Any], values: dict[str, Any], validity: ValidityConfig) -> None:
    damage = number(payload.get("damage"), "payload.damage", 0, validity.max_amount)
    values["amount"] = round(damage)
    if damage == values["amount"]:
        del payload["damage"]


def _take_blindness(payload: dict[str, Any], values: dict[str, Any], validity: ValidityConfig) -> None:
    if (duration := payload.get("duration")) is not None:
        values["amount"] = round(number(duration, "payload.duration", 0, validity.max_duration_s) * 1000)
        if duration == values["amount"] / 1000:
            del payload["duration"]


def _check_match_start(payload: dict[str, Any], values: dict[str, Any], validity: ValidityConfig) -> None:
    limit = validity.max_id_chars

    def member(entry: object, field: str) -> None:
        if type(entry) is dict:
            text(entry.get("id"), f"{field}.id", limit)
            optional_text(entry.get("name"), f"{field}.name", limit)
        else:
            text(entry, field, limit)

    def team(entry: object, field: str) -> None:
        if type(entry) is not dict:
            raise BadField(field, f"must be an object, is {kind(entry)}")
        text(entry.get("id"), f"{field}.id", limit)
        if entry.get("players") is not None:
            each(entry["players"], f"{field}.players", member)

    def objective(entry: object, field: str) -> None:
        if type(entry) is not dict:
            raise BadField(field, f"must be an object, is {kind(entry)}")
        text(entry.get("id"), f"{field}.id", limit)
        point_mm(entry.get("pos"), f"{field}.pos", validity)

    optional_text(payload.get("title"), "payload.title", limit)
    optional_text(payload.get("map"), "payload.map", limit)
    if payload.get("teams") is not None:
        each(payload["teams"], "payload.teams", team)
    if payload.get("objectives") is not None:
        each(payload["objectives"], "payload.objectives", objective)


def _check_round_start(payload: dict[str, Any], values: dict[str, Any], validity: ValidityConfig) -> None:
    if "round" not in values:
        raise BadField("payload.round", "is missing")
    if (sides := payload.get("sides")) is not None:
        if type(sides) is not dict:
            raise BadField("payload.sides", f"must be an object, is {kind(sides)}")
        for team, side in sides.items():
            text(side, f"payload.sides.{team}", validity.max_id_chars)


def _check_round_end(payload: dict[str, Any], values: dict[str, Any], validity: ValidityConfig) -> None:
    optional_text(payload.get("winner"), "payload.winner", validity.max_id_chars)
    optional_text(payload.get("reason"), "payload.reason", validity.max_id_chars)


def _check_match_end(payload: dict[str, Any], values: dict[str, Any], validity: ValidityConfig) -> None:
    optional_text(payload.get("winner"), "payload.winner", validity.max_id_chars)
    if (score := payload.get("score")) is not None:
        if type(score) is not dict:
            raise BadField("payload.score", f"must be an object, is {kind(score)}")
        for team, points in score.items():
            whole(points, f"payload.score.{team}", 0, validity.max_amount)


_BY_TYPE: dict[str, Callable[[dict[str, Any], dict[str, Any], ValidityConfig], None]] = {
    "MATCH_STARTED": _check_match_start,
    "ROUND_STARTED": _check_round_start,
    "ROUND_ENDED": _check_round_end,
    "MATCH_ENDED": _check_match_end,
    "POSITION_UPDATE": _take_position,
    "PLAYER_DAMAGED": _take_damage,
    "PLAYER_BLINDED": _take_blindness,
}


def _keep(payload: dict[str, Any], name: str, value: object) -> None:
    while name in payload:
        name = f"_{name}"
    payload[name] = value
