"""What happens in a GRID game: one canonical event per thing that happened.

Belongs here: an event's words, merging what several events tell, kills, damage, the bomb; and the rows of drafts.
Does not belong here: reading transactions and corrections (`grid`), the wire format (`grid_wire`), the game as a whole
(`grid_game`), positions (`grid_positions`).

Events that tell of a boundary again are merged into it, and so are clocks set in the same transaction. `site` stays
null: no event names one. A player's team is the one in the newest state that shows him, that of the event's own
transaction included; null before the first. A title's items and units hold
from the transaction that tells it.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
import numpy as np
import polars as pl

from configs.events import EventsConfig
from configs.titles import Title
from pipeline.events.conservation import Tally
from pipeline.events.drafts import SCHEMA, Drafts
from pipeline.events.quarantine import QuarantineRows
from pipeline.events.sources import grid_wire
from pipeline.events.sources.grid_facts import Fact, Gist, first_seq, refuse
from pipeline.events.sources.grid_game import Boundary, Game
from pipeline.events.sources.grid_positions import Positions, Sight
from pipeline.events.sources.grid_snapshots import Cast, Columns

_INT32_END = 2**31
_PLAYER_DELTA = msgspec.json.Decoder(grid_wire.PlayerEntityDelta)
_NOTHING = grid_wire.PlayerChange()


def tell(
    match_id: str,
    facts: Sequence[Fact],
    columns: Columns,
    drafts: Drafts,
    quarantine: QuarantineRows,
    tally: Tally,
    config: EventsConfig,
) -> tuple[dict[str, Any], int]:
    """Tells one game: adds its canonical events to the drafts and counts every event.

    Args:
        match_id: its name.
        facts: what stands, in the order of the feed, with what only was assigned to this game.
        columns: the rows of the snapshots.
        drafts: grow by its events.
        quarantine: grows by events at impossible times and by unbelievable positions.
        tally: counts each event once, and the positions apart.
        config: limits.

    Returns:
        What is known of the match and its rounds when all is told, as `pipeline.events.sources.SourceReading` has
        it, and the wall clock at its 0 in microseconds since 1970 UTC: the start of the game, else its first event.
    """
    game = Game.begun(match_id, list(facts))
    times = _times(game, facts)
    timely = [fact for fact in facts if _is_timely(fact, times[fact.sequence], quarantine, tally, config)]
    game.learn(timely)
    transactions = [list(group) for _, group in groupby(timely, key=attrgetter("sequence"))]
    sights = _sights(game, transactions, times)
    titles = [game.title_at(sight.fact.sequence) for sight in sights]
    positions = Positions(match_id, titles, sights, columns, config)
    for fact, player, at in positions.unbelievable():
        path = f"events[{fact.index}].seriesState position of {player}"
        quarantine.add(fact.line, path, f"{at} is not a believable position", b"")
    for frame in _frames(game, transactions, times, sights, positions, tally, config.lines.batch_rows):
        drafts.add_frame(frame)
    tally.derived_positions += positions.sample_count
    return {**game.opening(), "sides": game.sides}, game.start_us


def _is_timely(fact: Fact, t_ms: int, quarantine: QuarantineRows, tally: Tally, config: EventsConfig) -> bool:
    latest = config.validity.latest_ms
    earliest = config.validity.earliest_ms if fact.is_own else -latest
    if earliest <= t_ms <= latest:
        return True
    refuse(fact, "occurredAt", f"is {t_ms // 1000} s from the start of its game", quarantine, tally)
    return False


def _times(game: Game, facts: Sequence[Fact]) -> dict[int, int]:
    """The match time of each transaction, milliseconds."""
    clocks = {fact.sequence: fact.transaction_us for fact in facts}
    times = np.rint((np.array(list(clocks.values()), np.int64) - game.start_us) / 1000).astype(np.int64)
    return dict(zip(clocks, times.tolist(), strict=True))


def _sights(game: Game, transactions: Sequence[Sequence[Fact]], times: Mapping[int, int]) -> list[Sight]:
    """The states that transactions leave behind, and those transactions without one that begin a round."""
    beginnings = {entry.fact.sequence for entry in game.boundaries.values() if entry.event_type == "ROUND_STARTED"}
    sights = []
    for transaction in transactions:
        begins = transaction[0].sequence in beginnings
        shown = transaction[-1]
        if shown.snapshot is None or not shown.is_own:
            shown = next((fact for fact in reversed(transaction) if fact.is_own and fact.snapshot is not None), shown)
        if begins or (shown.is_own and shown.snapshot is not None):
            sights.append(Sight(shown, times[shown.sequence], begins))
    return sights


def _frames(
    game: Game,
    transactions: Sequence[Sequence[Fact]],
    times: Mapping[int, int],
    sights: Sequence[Sight],
    positions: Positions,
    tally: Tally,
    batch_rows: int,
) -> Iterator[pl.DataFrame]:
    """Events and positions in the order of the feed, as drafts of about so many rows."""
    rows: list[_Row] = []
    words: dict[int, _Words] = {}
    teams = _Teams()
    first, sight = 0, 0
    for transaction in transactions:
        if transaction[0].sequence == game.title_from:
            words.clear()  # those without the title know no bomb
        teams.see(transaction)
        _add_rows(game, transaction, times[transaction[0].sequence], positions, teams, words, rows, tally)
        if sight < len(sights) and sights[sight].fact.sequence == transaction[0].sequence:
            sight += 1
        if len(rows) + positions.count(first, sight) >= batch_rows:
            yield _with_late_sides(game, pl.concat([_frame(game, rows), positions.frame(first, sight)]).sort("seq"))
            rows, first = [], sight
    yield _with_late_sides(game, pl.concat([_frame(game, rows), positions.frame(first, sight)]).sort("seq"))


def _with_late_sides(game: Game, frame: pl.DataFrame) -> pl.DataFrame:
    """The drafts with those sides that they can't have from the start of their round."""
    for late in game.late_sides:
        within = pl.col("seq") >= first_seq(late.first)
        if late.end is not None:
            within &= pl.col("seq") < first_seq(late.end)
        side = pl.col("team").replace_strict(late.sides, default=None, return_dtype=pl.String)
        frame = frame.with_columns(side=pl.when(within).then(side).otherwise("side"))
    return frame


def _add_rows(
    game: Game,
    transaction: Sequence[Fact],
    t_ms: int,
    positions: Positions,
    teams: "_Teams",
    words: "dict[int, _Words]",
    rows: "list[_Row]",
    tally: Tally,
) -> None:
    has_boundary = transaction[0].sequence in game.boundary_transactions
    for fact in transaction:
        boundary = game.boundaries.get(fact.event_id) if has_boundary and fact.is_own else None
        if boundary is not None:
            if boundary.fact is not fact:
                tally.merged += 1
                continue
            rows.append(_boundary_row(game, boundary, t_ms))
        elif has_boundary and fact.is_own and _is_clock(fact.gist):
            tally.merged += 1
            continue
        else:
            known = words.get(id(fact.gist))
            if known is None:
                known = words[id(fact.gist)] = _words(game.title_at(fact.sequence), fact.gist)
            rows.append(_row(fact, t_ms, known, positions, teams.of.get(known.actor or "")))
        tally.converted += 1


class _Teams:
    """The teams of players as the states so far show them, in `of` by player."""

    def __init__(self) -> None:
        self.of: dict[str, str] = {}
        self._seen: Cast | None = None

    def see(self, transaction: Sequence[Fact]) -> None:
        """Takes in what the next transaction shows."""
        for fact in transaction:
            if fact.snapshot is not None and fact.is_own and fact.snapshot.cast is not self._seen:
                self._seen = fact.snapshot.cast
                self.of.update({entry.player: entry.team for entry in self._seen.players if entry.team is not None})


_COLUMNS = (
    "seq", "event_id", "event_type", "t_ms", "source_line", "payload", "occurred_us", "round", "actor", "target",
    "team", "x_mm", "y_mm", "z_mm", "weapon", "amount",
)  # fmt: skip
_Row = tuple[
    int, str, str, int, int, str, int, int | None, str | None, str | None, str | None, int | None, int | None,
    int | None, str | None, int | None,
]  # fmt: skip
"""One event, `_COLUMNS`; the other columns of drafts are null. A bare tuple, as there are many."""


def _frame(game: Game, rows: Sequence[_Row]) -> pl.DataFrame:
    """Rows as drafts."""
    columns: Sequence[Any] = list(zip(*rows, strict=True)) or [()] * len(_COLUMNS)
    told = {name: pl.Series(name, values, SCHEMA[name]) for name, values in zip(_COLUMNS, columns, strict=True)}
    return pl.DataFrame(told).select(
        pl.lit(game.match_id).alias(name)
        if name == "match_id"
        else pl.col(name)
        if name in told
        else pl.lit(None, dtype).alias(name)
        for name, dtype in SCHEMA.items()
    )


def _encode(payload: dict[str, Any]) -> str:
    return msgspec.json.encode(payload, order="deterministic").decode() if payload else "{}"


def _boundary_row(game: Game, boundary: Boundary, t_ms: int) -> _Row:
    fact, number = boundary.fact, boundary.round
    actor = f"match:{game.match_id}" if number is None else f"round:{number}"
    return (
        fact.seq, fact.event_id, boundary.event_type, t_ms, fact.line, _encode(game.payload(boundary)),
        fact.transaction_us, number, actor, None, None, None, None, None, None, None,
    )  # fmt: skip


def _is_clock(gist: Gist) -> bool:
    return gist.target[0] in grid_wire.CLOCKS and gist.action in grid_wire.CLOCK_ACTIONS


class _Words(NamedTuple):
    """What a gist says in canonical words; `encoded` is its payload as JSON, the same for all events of the gist."""

    event_type: str
    payload: dict[str, Any]
    encoded: str
    actor: str | None
    target: str | None
    weapon: str | None
    amount: int | None


def _row(fact: Fact, t_ms: int, words: _Words, positions: Positions, team: str | None) -> _Row:
    """An event that is no boundary."""
    x = y = z = None
    if (at := positions.at(fact.sequence, words.actor)) is not None:
        x, y, z = at
    encoded = words.encoded
    if (at := positions.at(fact.sequence, words.target)) is not None:
        pos = [at[0] / 1000, None if at[1] is None else at[1] / 1000, at[2] / 1000]
        encoded = _encode({**words.payload, "target_pos": pos})
    return (
        fact.seq, fact.event_id, words.event_type, t_ms, fact.line, encoded, fact.transaction_us, None,
        words.actor, words.target, team, x, y, z, words.weapon, words.amount,
    )  # fmt: skip


def _words(title: Title, gist: Gist) -> _Words:
    actor, target = _name(gist.actor), _name(gist.target)
    actor_is_player, target_is_player = gist.actor[0] == "player", gist.target[0] == "player"
    event_type = "OTHER"
    payload: dict[str, Any] = {}
    weapon, amount = None, None
    if target_is_player and gist.action in grid_wire.KILLS | grid_wire.DAMAGES:
        payload["kind"] = gist.action if actor_is_player else f"{gist.actor[0]}-{gist.action}"
        if gist.action in grid_wire.KILLS:
            event_type, delta = "PLAYER_KILLED", _delta(gist.actor_delta)
            if delta.headshots:
                payload["headshot"] = delta.headshots > 0
            used = delta.weapon_kills or delta.weapon_teamkills or {}
            weapons = [name for name, count in used.items() if count > 0]
            weapon = weapons[0] if len(weapons) == 1 else None
        else:
            event_type, amount = "PLAYER_DAMAGED", _damage(gist)
    elif gist.action == "completed" and gist.target[0] in grid_wire.OBJECTIVES:
        event_type, target = grid_wire.OBJECTIVES[gist.target[0]], None
    elif gist.type in grid_wire.BOMB_MOVES and gist.target[1] in title.bomb_items:
        event_type, target = grid_wire.BOMB_MOVES[gist.type], None
    else:
        payload["event_type"] = gist.type
        for name, told in (("actor_delta", gist.actor_delta), ("target_delta", gist.target_delta)):
            if told:
                payload[name] = msgspec.json.decode(told)
    return _Words(event_type, payload, _encode(payload), actor, target, weapon, amount)


def _name(entity: tuple[str, str]) -> str | None:
    return f"{entity[0]}:{entity[1]}" if entity[0] and entity[1] else None


def _delta(told: bytes) -> grid_wire.PlayerChange:
    return (_PLAYER_DELTA.decode(told).game or _NOTHING) if told else _NOTHING


def _damage(gist: Gist) -> int | None:
    """Health taken, as the target's delta tells it, else the actor's; null where neither does."""
    target, actor = _delta(gist.target_delta), _delta(gist.actor_delta)
    told = (
        target.damage_taken,
        target.teamdamage_taken,
        target.selfdamage_taken,
        actor.damage_dealt,
        actor.teamdamage_dealt,
        actor.selfdamage_dealt,
        -target.current_health if isinstance(target.current_health, float | int) else None,
    )
    amount = next((value for value in told if value is not None), None)
    return None if amount is None or not 0 <= amount < _INT32_END - 1 else round(amount)
