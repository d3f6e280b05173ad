"""What happens in a GRID game: one canonical event per thing that happened.

Belongs here: an event's words, merging what several events tell, kills, damage, the bomb; and the rows of drafts.
Does not belong here: reading transactions and corrections (`grid`), the wire format (`grid_wire`), the game as a whole
(`grid_game`), positions (`grid_positions`).

Events that tell of a boundary again are merged into it, and so are clocks set in the same transaction. `site` stays
null: no event names one. A player's team is the one in the newest state that shows him, that of the event's own
transaction included; null before the first. A title's items and units hold
from the transaction that tells it.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from configs.events import EventsConfig
from configs.titles import Title
from pipeline.events.conservation import Tally
from pipeline.events.drafts import SCHEMA, TEXTS, Drafts, text_codes
from pipeline.events.quarantine import QuarantineRows
from pipeline.events.sources import grid_wire
from pipeline.events.sources.grid_facts import Fact, Gist, first_seq, refuse
from pipeline.events.sources.grid_game import Boundary, Game
from pipeline.events.sources.grid_positions import Point, Positions, Sights
from pipeline.events.sources.grid_snapshots import Cast, Rows

_INT32_END = 2**31
_PLAYER_DELTA = msgspec.json.Decoder(grid_wire.PlayerEntityDelta)
_NOTHING = grid_wire.PlayerChange()
_PLAYER = "player:"


def tell(
    match_id: str,
    facts: Sequence[Fact],
    rows: Rows,
    drafts: Drafts,
    quarantine: QuarantineRows,
    tally: Tally,
    config: EventsConfig,
) -> tuple[dict[str, Any], int]:
    """Tells one game: adds its canonical events to the drafts and counts every event.

    Args:
        match_id: its name.
        facts: what stands, in the order of the feed, with what only was assigned to this game.
        rows: those of the snapshots.
        drafts: grow by its events.
        quarantine: grows by events at impossible times and by unbelievable positions.
        tally: counts each event once, and the positions apart.
        config: limits.

    Returns:
        What is known of the match and its rounds when all is told, as `pipeline.events.sources.SourceReading` has
        it, and the wall clock at its 0 in microseconds since 1970 UTC: the start of the game, else its first event.
    """
    game = Game.begun(match_id, facts)
    feed = _Feed.of(_timely(game, facts, quarantine, tally, config), game.start_us)
    game.learn(feed.facts)
    transactions = _Transactions.of_feed(feed, game)
    positions = Positions(transactions.sights, rows, config)
    for fact, player, at in positions.unbelievable():
        path = f"events[{fact.index}].seriesState position of {player}"
        quarantine.add(fact.line, path, f"{at} is not a believable position", b"")
    for frame in _frames(game, feed, transactions, positions, tally, config.lines.batch_rows):
        drafts.add_frame(frame)
    tally.derived_positions += int(positions.samples_before[-1])
    return {**game.opening(), "sides": game.sides}, game.start_us


def _timely(
    game: Game, facts: Sequence[Fact], quarantine: QuarantineRows, tally: Tally, config: EventsConfig
) -> Sequence[Fact]:
    """The events whose time is not impossible."""
    latest = config.validity.latest_ms
    t_ms = _match_ms(facts, game.start_us)
    earliest = np.where([fact.is_own for fact in facts], config.validity.earliest_ms, -latest)
    untimely = np.flatnonzero((t_ms < earliest) | (t_ms > latest)).tolist()
    if not untimely:
        return facts
    for place in untimely:
        refuse(
            facts[place], "occurredAt", f"is {int(t_ms[place]) // 1000} s from the start of its game", quarantine, tally
        )
    refused = set(untimely)
    return [fact for place, fact in enumerate(facts) if place not in refused]


def _match_ms(facts: Sequence[Fact], start_us: int) -> NDArray[np.int64]:
    """Match times, milliseconds."""
    clocks = np.array([fact.transaction_us for fact in facts], np.int64)
    return np.rint((clocks - start_us) / 1000).astype(np.int64)


class _Feed(NamedTuple):
    """The events of a game in the order of the feed, one row each.

    Attributes:
        seq: places in the order of canonical events.
        is_own: whether its game is its own.
    """

    facts: Sequence[Fact]
    sequence: NDArray[np.int64]
    seq: NDArray[np.int64]
    t_ms: NDArray[np.int64]
    is_own: NDArray[np.bool_]

    @classmethod
    def of(cls, facts: Sequence[Fact], start_us: int) -> "_Feed":
        """The columns of some events."""
        sequence = np.array([fact.sequence for fact in facts], np.int64)
        return cls(
            facts,
            sequence,
            first_seq(sequence) + np.array([fact.index for fact in facts], np.int64),
            _match_ms(facts, start_us),
            np.array([fact.is_own for fact in facts], np.bool_),
        )


class _Transactions(NamedTuple):
    """The transactions of a game.

    Attributes:
        starts: of each its first event, and behind them all how many events there are.
        of: of each event its transaction.
        sights: what they leave behind: the states, and those transactions without one that begin a round.
        sights_before: of each transaction how many sights those before it have, and behind them all how many there are.
        sight: of each transaction its sight if that is a state, else -1.
    """

    starts: NDArray[np.int64]
    of: NDArray[np.int64]
    sights: Sights
    sights_before: NDArray[np.int64]
    sight: NDArray[np.int64]

    @classmethod
    def of_feed(cls, feed: _Feed, game: Game) -> "_Transactions":
        """The transactions of a game whose boundaries are known."""
        count = len(feed.facts)
        is_first = np.append(True, feed.sequence[1:] != feed.sequence[:-1])[:count]
        starts = np.flatnonzero(is_first)
        beginnings = {entry.fact.sequence for entry in game.boundaries.values() if entry.event_type == "ROUND_STARTED"}
        begins = np.isin(feed.sequence[starts], np.array(sorted(beginnings), np.int64))
        has_state = np.array([fact.snapshot is not None for fact in feed.facts], np.bool_)
        shows = np.where(feed.is_own & has_state, np.arange(count), -1)
        ends = np.append(starts[1:], count)
        newest = np.maximum.reduceat(shows, starts) if count else starts
        shown = np.where(newest >= 0, newest, ends - 1)
        is_sight = begins | (newest >= 0)
        chosen = shown[is_sight]
        sequence = feed.sequence[chosen]
        titled = 0 if game.title_from is None else int(np.searchsorted(sequence, game.title_from))
        unknown = game.title_at(-1)
        titles = (
            [(unknown, titled), (game.title, len(chosen))] if game.title_from is not None else [(unknown, len(chosen))]
        )
        facts = [feed.facts[place] for place in chosen.tolist()]
        sights = Sights(facts, sequence, feed.t_ms[chosen], begins[is_sight], titles)
        before = np.append(0, np.cumsum(is_sight))
        with_state = is_sight & has_state[shown]
        return cls(
            np.append(starts, count),
            np.cumsum(is_first) - 1,
            sights,
            before,
            np.where(with_state, before[:-1], -1),
        )


def _frames(
    game: Game, feed: _Feed, transactions: _Transactions, positions: Positions, tally: Tally, batch_rows: int
) -> Iterator[pl.DataFrame]:
    """Events and positions in the order of the feed, as drafts of about so many rows."""
    rows = transactions.starts + positions.samples_before[transactions.sights_before]
    teller = _Teller(game, feed, transactions, positions, tally)
    first, last = 0, len(rows) - 1
    while first < last:
        end = min(last, int(np.searchsorted(rows, rows[first] + batch_rows)))
        sights = transactions.sights_before[[first, end]].tolist()
        yield _with_late_sides(game, _whole(game, teller.frame(first, end), positions.frame(*sights)))
        first = end


_TOLD = (
    "seq", "event_id", "event_type", "t_ms", "source_line", "payload", "occurred_us", "round", "actor", "target",
    "team", "x_mm", "y_mm", "z_mm", "weapon", "amount", "hp", "armor", "has_bomb",
)  # fmt: skip
_KINDS = {name: text_codes() if name in TEXTS else kind for name, kind in SCHEMA.items()}


def _whole(game: Game, events: pl.DataFrame, positions: pl.DataFrame) -> pl.DataFrame:
    """Events and positions in the order of the feed, as drafts."""
    both = pl.concat([events, positions], how="diagonal", rechunk=True)  # rows of two chunks are slow to find
    del events, positions  # lest they stand in memory three times
    both = both[np.argsort(both["seq"].to_numpy(), kind="stable")]
    constant = {name: pl.lit(None, kind) for name, kind in _KINDS.items() if name not in _TOLD}
    constant["match_id"] = pl.lit(pl.Series([game.match_id], dtype=text_codes())).first()
    return both.select(constant[name].alias(name) if name in constant else pl.col(name) for name in SCHEMA)


def _with_late_sides(game: Game, frame: pl.DataFrame) -> pl.DataFrame:
    """The drafts with those sides that they can't have from the start of their round."""
    for late in game.late_sides:
        within = pl.col("seq") >= first_seq(late.first)
        if late.end is not None:
            within &= pl.col("seq") < first_seq(late.end)
        side = pl.col("team").replace_strict(late.sides, default=None, return_dtype=pl.String).cast(text_codes())
        frame = frame.with_columns(side=pl.when(within).then(side).otherwise("side"))
    return frame


class _Row(NamedTuple):
    """What an event says in canonical words; the other columns of drafts tell when and where in the log."""

    event_type: str
    payload: str
    round: int | None = None
    actor: str | None = None
    target: str | None = None
    team: str | None = None
    x_mm: int | None = None
    y_mm: int | None = None
    z_mm: int | None = None
    weapon: str | None = None
    amount: int | None = None


_UNTOLD = _Row("OTHER", "{}")


class _Teller:
    """Tells the events of a game, transaction by transaction."""

    def __init__(
        self, game: Game, feed: _Feed, transactions: _Transactions, positions: Positions, tally: Tally
    ) -> None:
        self._game, self._feed, self._tally = game, feed, tally
        self._transactions, self._positions = transactions, positions
        self._words: dict[tuple[int, bool], _Words] = {}
        self._teams: dict[str, str] = {}  # of players as the states so far show them
        self._seen: Cast | None = None
        self._seen_to = 0

    def frame(self, first: int, end: int) -> pl.DataFrame:
        """The events of the transactions from `first` to before `end` as columns of drafts, but for what they lack."""
        begin, stop = self._transactions.starts[[first, end]].tolist()
        facts = self._feed.facts[begin:stop]
        rows: list[_Row] = []
        plain: dict[tuple[int, bool], int] = {}  # the row of a gist of which all events say the same
        told: list[int] = []  # events that become rows of their own
        which: list[int] = []  # row of each of them
        people: list[tuple[int, int, _Words]] = []  # row, event, what it says, where a player is actor or target
        game = self._game
        titled = game.title_from
        for place, fact in enumerate(facts, begin):
            if fact.sequence in game.boundary_transactions and fact.is_own:
                boundary = game.boundaries.get(fact.event_id)
                if boundary is not None and boundary.fact is fact:
                    told.append(place)
                    which.append(len(rows))
                    rows.append(_boundary_row(game, boundary))
                    continue
                if boundary is not None or _is_clock(fact.gist):
                    self._tally.merged += 1
                    continue
            key = id(fact.gist), titled is not None and fact.sequence >= titled
            told.append(place)
            if (row := plain.get(key)) is not None:
                which.append(row)
                continue
            words = self._words.get(key)
            if words is None:
                words = self._words[key] = _words(game.title_at(fact.sequence), fact.gist)
            which.append(len(rows))
            if _is_player(words.actor) or _is_player(words.target):
                people.append((len(rows), place, words))
                rows.append(_UNTOLD)
            else:
                plain[key] = len(rows)
                rows.append(_row(words, words.payload))
        self._tally.converted += len(told)
        self._place_people(rows, people)
        return self._as_frame(rows, told, which)

    def _place_people(self, rows: list[_Row], people: list[tuple[int, int, "_Words"]]) -> None:
        """Tells of events of players the team of the actor, and where actor and target are."""
        of = self._transactions.of[np.array([place for _, place, _ in people], np.int64)]
        sights, ends = self._transactions.sight[of].tolist(), self._transactions.starts[of + 1].tolist()
        actors = self._positions.points(sights, [words.actor for *_, words in people])
        targets = self._positions.points(sights, [words.target for *_, words in people])
        for (row, _, words), end, actor_at, target_at in zip(people, ends, actors, targets, strict=True):
            self._see(end)
            payload = words.payload
            if target_at is not None:
                x, y, z = target_at
                payload = {**payload, "target_pos": [x / 1000, None if y is None else y / 1000, z / 1000]}
            rows[row] = _row(words, payload, self._teams.get(words.actor or ""), actor_at or (None, None, None))

    def _see(self, end: int) -> None:
        """Takes in what the events before `end` show."""
        for fact in self._feed.facts[self._seen_to : end]:
            if fact.snapshot is not None and fact.is_own and fact.snapshot.cast is not self._seen:
                self._seen = fact.snapshot.cast
                self._teams.update({entry.player: entry.team for entry in self._seen.players if entry.team is not None})
        self._seen_to = max(self._seen_to, end)

    def _as_frame(self, rows: Sequence[_Row], told: Sequence[int], which: Sequence[int]) -> pl.DataFrame:
        columns: Sequence[Any] = list(zip(*rows, strict=True)) or [()] * len(_Row._fields)
        said = pl.DataFrame(
            [pl.Series(name, values, _KINDS[name]) for name, values in zip(_Row._fields, columns, strict=True)]
        )
        at = np.array(told, np.int64)
        facts = [self._feed.facts[place] for place in told]
        return said[np.array(which, np.int64)].with_columns(
            pl.Series("seq", self._feed.seq[at]),
            pl.Series("event_id", [fact.event_id for fact in facts], pl.String),
            pl.Series("t_ms", self._feed.t_ms[at]),
            pl.Series("source_line", [fact.line for fact in facts], pl.Int64),
            pl.Series("occurred_us", [fact.transaction_us for fact in facts], pl.Int64),
        )


def _is_player(name: str | None) -> bool:
    return name is not None and name.startswith(_PLAYER)


def _encode(payload: dict[str, Any]) -> str:
    return msgspec.json.encode(payload, order="deterministic").decode() if payload else "{}"


def _boundary_row(game: Game, boundary: Boundary) -> _Row:
    number = boundary.round
    actor = f"match:{game.match_id}" if number is None else f"round:{number}"
    return _Row(boundary.event_type, _encode(game.payload(boundary)), number, actor)


def _is_clock(gist: Gist) -> bool:
    return gist.target[0] in grid_wire.CLOCKS and gist.action in grid_wire.CLOCK_ACTIONS


class _Words(NamedTuple):
    """What a gist says in canonical words."""

    event_type: str
    payload: dict[str, Any]
    actor: str | None
    target: str | None
    weapon: str | None
    amount: int | None


def _words(title: Title, gist: Gist) -> _Words:
    actor, target = _name(gist.actor), _name(gist.target)
    actor_is_player, target_is_player = gist.actor[0] == "player", gist.target[0] == "player"
    event_type = "OTHER"
    payload: dict[str, Any] = {}
    weapon, amount = None, None
    if target_is_player and (gist.action in grid_wire.KILLS or gist.action in grid_wire.DAMAGES):
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
    return _Words(event_type, payload, actor, target, weapon, amount)


def _row(
    words: _Words,
    payload: dict[str, Any],
    team: str | None = None,
    at: Point | tuple[None, None, None] = (None, None, None),
) -> _Row:
    """An event that is no boundary."""
    x, y, z = at
    return _Row(
        words.event_type, _encode(payload), None, words.actor, words.target, team, x, y, z, words.weapon, words.amount
    )


def _name(entity: tuple[str, str]) -> str | None:
    return f"{entity[0]}:{entity[1]}" if entity[0] and entity[1] else None


def _delta(told: bytes) -> grid_wire.PlayerChange:
    return (_PLAYER_DELTA.decode(told).game or _NOTHING) if told else _NOTHING


def _first(*told: float | None) -> float | None:
    return next((value for value in told if value is not None), None)


def _damage(gist: Gist) -> int | None:
    """Health taken, as the target's delta tells it, else the actor's; null where neither does."""
    target = _delta(gist.target_delta)
    amount = _first(target.damage_taken, target.teamdamage_taken, target.selfdamage_taken)
    if amount is None:
        actor = _delta(gist.actor_delta)
        amount = _first(actor.damage_dealt, actor.teamdamage_dealt, actor.selfdamage_dealt)
    if amount is None and isinstance(target.current_health, float | int):
        amount = -target.current_health
    return None if amount is None or not 0 <= amount < _INT32_END - 1 else round(amount)
