"""From a GRID transaction to small facts.

Belongs here: who a transaction's events are about, what they say themselves, which of it can't be taken; the careful
reading of a line. Does not belong here: the quick reading of lines (`grid_scan`), what states show
(`grid_snapshots`), order and corrections (`grid`), what facts mean (`grid_story`).

A line of 20-90 kB becomes a few hundred bytes of facts. Where something in a transaction has the wrong type, only
that event is refused, and where it is in the event's state, only that state.
"""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from configs.events import SnapshotsConfig, ValidityConfig
from pipeline.events.conservation import Tally
from pipeline.events.quarantine import BadField, QuarantineRows
from pipeline.events.sources import grid_wire
from pipeline.events.sources.fields import instant_us, too_deep
from pipeline.events.sources.grid_snapshots import (
    Cast,
    PlayerFact,
    Rows,
    SeriesFact,
    Snapshot,
    StateView,
    as_int,
    player_rows,
    round_number,
)
from pipeline.tables import ID_PATTERN

_TRANSACTION = msgspec.json.Decoder(grid_wire.Transaction)
_ENVELOPE = msgspec.json.Decoder(grid_wire.Envelope)
_EVENT = msgspec.json.Decoder(grid_wire.Event)
_SERIES_DELTA = msgspec.json.Decoder(grid_wire.SeriesDelta)
_ENTITY_DELTAS = {name: msgspec.json.Decoder(kind) for name, kind in grid_wire.ENTITY_DELTAS.items()}
_ENTITY_STATE = msgspec.json.Decoder(grid_wire.EntityState)
_OBJECT = msgspec.json.Decoder(dict[str, Any])
DECODE_ERRORS = (msgspec.MsgspecError, ValueError, RecursionError)
_MAX_SEQUENCE = 2**46
_PLACES = 2**16  # of a transaction in `seq`: the first half for its events, the second for positions from its state
MOST_PLACES = _PLACES // 2
_MATCH_ID = re.compile(ID_PATTERN)
DERIVED_ID = "position:"
_SEGMENT_CHANGE = msgspec.json.Decoder(grid_wire.SegmentChange)
_EMPTY = grid_wire.Entity()
_REMEMBERED = 256  # deltas; most of a feed's are a few that name what they are of, and no more
_NO_NUMBERS: Mapping[str, int] = {}


class Shown(msgspec.Struct, gc=False):
    """The state that an event carries.

    Attributes:
        view: who is in it, and its rounds.
        rows: add the rows of one of its games to those of the log, and tell the place of the first of these.
        first: the row of the state's first player among those of where they come from.
    """

    view: StateView
    rows: Callable[[StateView, str, int], int]
    first: int = 0


class Gist(msgspec.Struct, gc=False):
    """What an event says beside its identity, its time and its state; the same for most events of a feed.

    Attributes:
        action: what was done; `actor` and `target` are (type, id).
        game: id of the game that it names or else changes; None where it tells none.
        games: ids of games that are its actor or target.
        round: number of the round that is its target or actor, as the id or the change tells it.
        is_of_round: whether its target or actor is a round.
        actor_delta: what it changed of the actor, undecoded, empty where that is nothing; so for the target.
    """

    type: str
    action: str
    actor: tuple[str, str]
    target: tuple[str, str]
    game: str | None
    games: tuple[str, ...]
    round: int | None
    is_of_round: bool
    actor_delta: bytes
    target_delta: bytes


class Sketch(msgspec.Struct, frozen=True, gc=False):
    """What all facts have in common whose events say the same with states that show the same.

    Attributes:
        game: as in `Fact`; so are `numbers`, `series_state` and `round`.
        cast: of the game in the state; None where there is none.
        others: other games of the state that are not over.
        reverted_id: as in `Fact`.
    """

    game: str | None
    numbers: Mapping[str, int]
    series_state: SeriesFact | None
    cast: Cast | None
    others: tuple[str, ...]
    round: int | None
    reverted_id: str | None


class Fact(msgspec.Struct, gc=False):
    """One event of a transaction, as far as anything is made of it.

    Attributes:
        sequence: the transaction's number; with `index` the event's place in the feed.
        transaction_us: wall clock of its transaction, microseconds since 1970 UTC.
        gist: what it says.
        game: id of its game where the event itself tells it.
        numbers: sequence numbers of games that it shows, by game id.
        series_state: what its state says of the series; None where it carries none.
        snapshot: its game in that state; without one, what little its actor and target show of themselves, if they do.
        others: other games of that state that are not over.
        round: number of the round that is its actor or target.
        series_delta: what it changed of the series, undecoded; kept only where the event carries no state.
        is_own: whether its game is its own, and it was not only assigned to it.
    """

    line: int
    series: str
    sequence: int
    index: int
    transaction_us: int
    event_id: str
    gist: Gist
    reverted_id: str | None
    game: str | None
    numbers: Mapping[str, int]
    series_state: SeriesFact | None
    snapshot: Snapshot | None
    others: tuple[tuple[str, Snapshot], ...]
    round: int | None
    series_delta: bytes
    is_own: bool = True

    @property
    def type(self) -> str:
        """`{actor type}-{action}-{target type}`."""
        return self.gist.type


Number = TypeVar("Number", int, NDArray[np.int64])


def first_seq(sequence: Number) -> Number:
    """The first place of a transaction, or of each of some, in the order of canonical events."""
    return sequence * _PLACES


@dataclass(slots=True)
class Scan:
    """Facts of a log as they are read, and the identities seen.

    Attributes:
        limits: what states may show.
        rows: of the players in all snapshots.
        lost: events that could not be read, so that what they changed is unknown: series, transaction, place.
        casts: each cast once.
        seen: numbers of the transactions that were read, by series.
        ids: ids of the events that were read, by series.
    """

    limits: SnapshotsConfig
    facts: list[Fact] = field(default_factory=list)
    rows: Rows = field(init=False)
    lost: set[tuple[str, int, int]] = field(default_factory=set)
    casts: dict[Cast, Cast] = field(default_factory=dict)
    seen: dict[str, set[int]] = field(default_factory=dict)
    ids: dict[str, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rows = Rows(self.limits.held_rows)

    def admits(self, series: str, sequence: int, events: int, tally: Tally) -> bool:
        """Counts the events of a transaction; whether it is read for the first time."""
        tally.source_events += events
        seen = self.seen.get(series)
        if seen is None:
            seen = self.seen[series] = set()
        if sequence in seen:
            tally.duplicate += events
            return False
        seen.add(sequence)
        return True

    def admits_all(self, series: str, sequences: Sequence[int], ids: Sequence[str], tally: Tally) -> bool:
        """Counts the events of some transactions if they, and their events' ids, are read for the first time.

        Returns:
            Whether they are; if not, nothing is counted.
        """
        seen, known = self.seen.setdefault(series, set()), self.ids.setdefault(series, set())
        new, new_ids = set(sequences), set(ids)
        if (
            len(new) < len(sequences)
            or len(new_ids) < len(ids)
            or not (seen.isdisjoint(new) and known.isdisjoint(new_ids))
        ):
            return False
        seen |= new
        known |= new_ids
        tally.source_events += len(ids)
        return True

    def add(
        self,
        event: grid_wire.Event,
        gist: Gist,
        shown: Shown | None,
        line: int,
        series: str,
        sequence: int,
        index: int,
        at_us: int,
        event_id: str,
        tally: Tally,
    ) -> None:
        """Adds an event unless one with its id was read before.

        Args:
            event: the event, of which only the states of its actor and target and what it takes back are read.
            gist: what it says.
            shown: the state that it carries.
            line: number of its line.
            series: its series.
            sequence: its transaction.
            index: its place there.
            at_us: wall clock of the transaction, microseconds since 1970 UTC.
            event_id: its id.
            tally: counts a duplicate.
        """
        ids = self.ids.get(series)
        if ids is None:
            ids = self.ids[series] = set()
        if event_id in ids:
            tally.duplicate += 1
            return
        ids.add(event_id)
        sketch = self.sketch(event, gist, None if shown is None else shown.view)
        self.facts.append(self.fact(sketch, event, gist, shown, line, series, sequence, index, at_us, event_id))

    def sketch(self, event: grid_wire.Event, gist: Gist, view: StateView | None) -> Sketch:
        """What the facts of all events have in common that say this with a state that shows this, if they have one."""
        game, numbers, state = gist.game, _NO_NUMBERS, None
        found = None
        others: tuple[str, ...] = ()
        if view is not None:
            state = view.facts
            numbers = state.numbers
            if game is None:
                game = state.playing
            found = view.cast(game)
            if game is None or view.unfinished != game:
                others = tuple(name for name in view.all_unfinished if name != game and view.cast(name) is not None)
        for name in gist.games:
            if name not in numbers:
                numbers = {**_own_numbers(event, self.limits.max_games), **numbers}
        number = self._as_round(gist.round)
        if number is None and gist.is_of_round:
            number = self._as_round(_round_shown(event))
        reverted = event.reverted_event_id
        return Sketch(
            game, numbers, state, found[0] if found else None, others, number,
            None if reverted is None else str(reverted),
        )  # fmt: skip

    def _as_round(self, number: int | None) -> int | None:
        """A number of a round; None for one that can be none."""
        return number if number is not None and 0 < number <= self.limits.max_round else None

    def fact(
        self,
        sketch: Sketch,
        event: grid_wire.Event,
        gist: Gist,
        shown: Shown | None,
        line: int,
        series: str,
        sequence: int,
        index: int,
        at_us: int,
        event_id: str,
    ) -> Fact:
        """A fact; the arguments are those of `add`."""
        if shown is None:
            snapshot, delta = _entity_snapshot(event, self), _told(event.series_state_delta)
        else:
            delta = b""
            snapshot = None
            if sketch.cast is not None and sketch.game is not None:
                snapshot = Snapshot(sketch.cast, shown.rows(shown.view, sketch.game, shown.first))
        others: tuple[tuple[str, Snapshot], ...] = ()
        if sketch.others and shown is not None:
            casts = [(name, found[0]) for name in sketch.others if (found := shown.view.cast(name)) is not None]
            others = tuple((name, Snapshot(cast, shown.rows(shown.view, name, shown.first))) for name, cast in casts)
        return Fact(
            line, series, sequence, index, at_us, event_id, gist, sketch.reverted_id, sketch.game, sketch.numbers,
            sketch.series_state, snapshot, others, sketch.round, delta,
        )  # fmt: skip


def refuse(fact: Fact, path: str, reason: str, quarantine: QuarantineRows, tally: Tally) -> None:
    """Quarantines one event of a transaction that was read."""
    quarantine.add(fact.line, path, reason, f"{fact.type} {fact.event_id}".encode())
    tally.quarantined += 1


def scan_line(data: bytes, line: int, scan: Scan, tally: Tally, validity: ValidityConfig) -> list[BadField]:
    """Adds the facts of one line, whatever it is; counts duplicates and what is to be quarantined.

    Returns:
        What to quarantine.

    Raises:
        BadField: if the line is no transaction at all.
    """
    if (reason := too_deep(data, validity)) is not None:
        raise BadField("", reason)
    envelope, events, problems = _decode(data)
    shown = [
        Shown(
            StateView(event.series_state, scan.casts, scan.limits), lambda view, game, _: scan.rows.add(view.rows(game))
        )
        if isinstance(event, grid_wire.Event) and event.series_state is not None
        else None
        for event in events
    ]
    return problems + take(envelope, events, shown, line, scan, tally, validity)


def take(
    envelope: grid_wire.Transaction | grid_wire.Envelope,
    events: Sequence[grid_wire.Event | BadField],
    shown: Sequence[Shown | None],
    line: int,
    scan: Scan,
    tally: Tally,
    validity: ValidityConfig,
) -> list[BadField]:
    """Adds the facts of one transaction; counts duplicates and what is to be quarantined.

    Args:
        envelope: the transaction; its events are given apart.
        events: its events, or what is wrong with them.
        shown: the state that each event carries, or None.
        line: its number.
        scan: grows by the facts.
        tally: counts.
        validity: limits.

    Returns:
        What to quarantine.
    """
    try:
        series, sequence, at_us = _identity(envelope)
    except BadField as bad:
        tally.source_events += len(events)
        tally.quarantined += len(events)
        return [BadField(bad.field, f"{bad.reason} (event {n} of {len(events)})") for n in range(len(events))]
    if not scan.admits(series, sequence, len(events), tally):
        return []
    problems = []
    for index, event in enumerate(events):
        try:
            if isinstance(event, BadField):
                raise event
            if index >= MOST_PLACES:
                raise BadField("", f"only {MOST_PLACES} events of a transaction have a place in the order")
            gist = gist_of(event, validity)
            event_id = str(event.id) if event.id not in (None, "") else f"{series}:{sequence}:{index}"
            if (bad_id := fault_of_id(event_id, validity)) is not None:
                raise BadField("id", bad_id)
        except BadField as bad:
            problems.append(BadField(_below(f"events[{index}]", bad.field), bad.reason))
            tally.quarantined += 1
            scan.lost.add((series, sequence, index))
            continue
        scan.add(event, gist, shown[index], line, series, sequence, index, at_us, event_id, tally)
    return problems


def fault_of_id(event_id: str, validity: ValidityConfig) -> str | None:
    """What is wrong with the id of an event, if anything is."""
    if len(event_id) > validity.max_id_chars:
        return f"has {len(event_id)} characters, at most {validity.max_id_chars} are taken"
    if event_id.startswith(DERIVED_ID):
        return f"begins with {DERIVED_ID!r}, which names positions read from states"
    return None


def any_fault_of_ids(event_ids: Sequence[str], validity: ValidityConfig) -> bool:
    """Whether anything is wrong with any of some ids without line feeds."""
    is_long = any(length > validity.max_id_chars for length in set(map(len, event_ids)))
    return is_long or f"\n{DERIVED_ID}" in "\n".join(("", *event_ids))


def _decode(
    data: bytes,
) -> tuple[grid_wire.Transaction | grid_wire.Envelope, Sequence[grid_wire.Event | BadField], list[BadField]]:
    """A transaction, its events, and what was wrong with states without which events stand."""
    try:
        transaction = _TRANSACTION.decode(data)
        return transaction, transaction.events, []
    except DECODE_ERRORS:
        pass
    try:
        envelope = _ENVELOPE.decode(data)
    except DECODE_ERRORS as error:
        raise _bad(error) from error
    problems: list[BadField] = []
    events = [_decode_event(bytes(raw), f"events[{n}]", problems) for n, raw in enumerate(envelope.events)]
    return envelope, events, problems


def _decode_event(data: bytes, path: str, problems: list[BadField]) -> grid_wire.Event | BadField:
    """An event of a transaction in which something has the wrong type; a bad state costs the state, not the event."""
    try:
        return _EVENT.decode(data)
    except DECODE_ERRORS as error:
        bad = _bad(error)
    try:
        wire = msgspec.json.decode(data)
    except DECODE_ERRORS as error:
        return _bad(error)
    if not isinstance(wire, dict) or "seriesState" not in wire:
        return bad
    try:
        event = _EVENT.decode(msgspec.json.encode({**wire, "seriesState": None}))
    except DECODE_ERRORS as error:
        return _bad(error)
    problems.append(BadField(_below(path, bad.field), f"{bad.reason}; the event stands without its state"))
    return event


def _below(path: str, field: str) -> str:
    return f"{path}.{field}" if field else path


def _bad(error: Exception, path: str = "") -> BadField:
    reason, _, inner = str(error).partition(" - at `$")
    inner = inner.removesuffix("`")
    return BadField(f"{path}{inner}" if path else inner.removeprefix("."), reason)


def _identity(envelope: grid_wire.Transaction | grid_wire.Envelope) -> tuple[str, int, int]:
    series = series_of(envelope)
    sequence = as_int(envelope.sequence_number)
    if sequence is None or not 0 <= sequence < _MAX_SEQUENCE:
        raise BadField("sequenceNumber", f"must be a number from 0, is {envelope.sequence_number!r:.60}")
    if envelope.occurred_at is None:
        raise BadField("occurredAt", "is missing")
    return series, sequence, instant_us(envelope.occurred_at, "occurredAt")


def series_of(envelope: grid_wire.Transaction | grid_wire.Envelope) -> str:
    """The series of a transaction.

    Raises:
        BadField: if it is missing or can't be part of a match id.
    """
    if envelope.series_id is None:
        raise BadField("seriesId", "is missing")
    series = str(envelope.series_id)
    if not _names_matches(series):
        raise BadField("seriesId", f"{series[:60]!r} can't be part of a match id, {ID_PATTERN}")
    return sys.intern(series)


@lru_cache(maxsize=_REMEMBERED)
def _names_matches(series: str) -> bool:
    return _MATCH_ID.fullmatch(f"{series}-00") is not None


def gist_of(event: grid_wire.Event, validity: ValidityConfig) -> Gist:
    """What an event says.

    Raises:
        BadField: if it has no believable type, or a delta is malformed.
    """
    actor, target = event.actor or _EMPTY, event.target or _EMPTY
    event_type = event.type or "-".join(part or "" for part in (actor.type, event.action, target.type))
    if not event_type.strip("-"):
        raise BadField("type", "is missing")
    if len(event_type) > validity.max_id_chars:
        raise BadField("type", f"has {len(event_type)} characters, at most {validity.max_id_chars} are taken")
    parts = event_type.split("-")
    games: tuple[str, ...] = ()
    if actor.type == "game" and actor.id is not None:
        games = (str(actor.id),)
    if target.type == "game" and target.id is not None:
        games = (*games, str(target.id))
    changed = _changed_games(_told(event.series_state_delta))
    of_round = target if _is_round(target) else actor if _is_round(actor) else None
    return Gist(
        sys.intern(event_type),
        sys.intern(event.action or (parts[1] if len(parts) > 2 else "")),
        _entity(actor, parts[0]),
        _entity(target, parts[-1]),
        games[0] if games else changed[0] if len(changed) == 1 else None,
        games,
        None if of_round is None else _round_told(of_round),
        of_round is not None,
        _change(actor.type, _told(actor.state_delta), "actor.stateDelta"),
        _change(target.type, _told(target.state_delta), "target.stateDelta"),
    )


def _entity(entity: grid_wire.Entity, fallback: str) -> tuple[str, str]:
    return sys.intern(entity.type or fallback), "" if entity.id is None else sys.intern(str(entity.id))


def _told(raw: msgspec.Raw) -> bytes:
    told = bytes(raw)
    return b"" if told == b"null" else told


@lru_cache(maxsize=_REMEMBERED)
def _changed_games(delta: bytes) -> tuple[str, ...]:
    """Which games a change of the series touches.

    Raises:
        BadField: if the change is malformed.
    """
    if not delta:
        return ()
    try:
        told = _SERIES_DELTA.decode(delta)
    except DECODE_ERRORS as error:
        raise _bad(error, "seriesStateDelta") from error
    return tuple(str(game.id) for game in told.games or ())


@lru_cache(maxsize=_REMEMBERED)
def _change(kind: str | None, delta: bytes, path: str) -> bytes:
    """What an event changed of its actor or target, undecoded; empty where it only names the entity.

    Raises:
        BadField: if the change is malformed.
    """
    if not delta:
        return b""
    try:
        if (decoder := _ENTITY_DELTAS.get(kind or "")) is not None:
            decoder.decode(delta)
        told = _OBJECT.decode(delta)
    except DECODE_ERRORS as error:
        raise _bad(error, path) from error
    return delta if told.keys() - {"id"} else b""


def _own_numbers(event: grid_wire.Event, max_games: int) -> dict[str, int]:
    """The sequence numbers that games tell in their own states."""
    numbers = {}
    for entity in (event.actor or _EMPTY, event.target or _EMPTY):
        if entity.type == "game" and entity.id is not None:
            number = as_int(_state_of(entity).sequence_number)
            if number is not None and 0 < number <= max_games:
                numbers[str(entity.id)] = number
    return numbers


def _state_of(entity: grid_wire.Entity) -> grid_wire.EntityState:
    """An actor's or target's own state as far as it is of the expected shape; the empty one otherwise."""
    told = _told(entity.state)
    if not told:
        return grid_wire.EntityState()
    try:
        return _ENTITY_STATE.decode(told)
    except DECODE_ERRORS:
        return grid_wire.EntityState()


def _entity_snapshot(event: grid_wire.Event, scan: Scan) -> Snapshot | None:
    """The little that actor and target tell where an event has no state of the series."""
    facts, states = [], []
    for entity in (event.actor or _EMPTY, event.target or _EMPTY):
        if entity.type == "player" and entity.id is not None and bytes(entity.state):
            state = _state_of(entity)
            if state.game is not None:
                team = None if state.team_id is None else f"team:{state.team_id}"
                facts.append(PlayerFact(f"player:{entity.id}", team, state.game.name or None))
                states.append(state.game)
    if not facts:
        return None
    cast = Cast(title=None, map=None, teams=(), players=tuple(facts), rounds=(), bomb_bits=0)
    return Snapshot(scan.casts.setdefault(cast, cast), scan.rows.add(player_rows(states, 0)))


def _is_round(entity: grid_wire.Entity) -> bool:
    return entity.type == "round" and entity.id is not None


def _round_told(entity: grid_wire.Entity) -> int | None:
    """The number of a round, as its id or its change tells it."""
    number = round_number(str(entity.id))
    if number is None and (told := _told(entity.state_delta)):
        try:
            changed = _SEGMENT_CHANGE.decode(told).sequence_number
        except DECODE_ERRORS as error:
            raise _bad(error, "stateDelta") from error
        number = None if changed is msgspec.UNSET else as_int(changed)
    return number


def _round_shown(event: grid_wire.Event) -> int | None:
    """The number of the round that is an event's target or actor, as that round's own state tells it."""
    rounds = [entity for entity in (event.target or _EMPTY, event.actor or _EMPTY) if _is_round(entity)]
    return as_int(_state_of(rounds[0]).sequence_number) if rounds else None
