"""What is read of a GRID transaction, and what its words mean.

Belongs here: the declared part of the wire format (everything else is skipped undecoded) and its vocabulary, both
naming generations. Does not belong here: what becomes of an event (`pipeline.events.sources.grid`).

Generations: inventories are `items` (CS) or `inventory.items` (VALORANT); clocks are `clock` or `gameClock`; numbers
and ids come as JSON numbers or strings.
"""

import msgspec

Id = str | int


class Position(msgspec.Struct):
    """Two-dimensional in every feed seen, in the title's own units; null in stretches."""

    x: float | None = None
    y: float | None = None
    z: float | None = None


class Item(msgspec.Struct):
    """An entry of an inventory."""

    id: Id | None = None


class Inventory(msgspec.Struct):
    """The newer form of an inventory."""

    items: list[Item] | None = None


class PlayerState(msgspec.Struct, rename="camel"):
    """A player in a game's state."""

    id: Id | None = None
    name: str | None = None
    position: Position | None = None
    current_health: float | None = None
    current_armor: float | None = None
    alive: bool | None = None
    items: list[Item] | None = None
    inventory: Inventory | None = None


class TeamState(msgspec.Struct):
    """A team in a game's state."""

    id: Id | None = None
    name: str | None = None
    side: str | None = None
    score: float | None = None
    players: list[PlayerState] | None = None


class SegmentTeam(msgspec.Struct, rename="camel"):
    """A team in the state of one round."""

    id: Id | None = None
    side: str | None = None
    won: bool | None = None
    win_type: str | None = None


class Segment(msgspec.Struct, rename="camel"):
    """A round in a game's state."""

    id: Id | None = None
    type: str | None = None
    sequence_number: Id | None = None
    teams: list[SegmentTeam] | None = None


class Named(msgspec.Struct, rename="camel"):
    """A map or a title."""

    name: str | None = None
    name_shortened: str | None = None


class Game(msgspec.Struct, rename="camel"):
    """A game in the series' state."""

    id: Id | None = None
    sequence_number: Id | None = None
    map: Named | None = None
    started: bool | None = None
    finished: bool | None = None
    teams: list[TeamState] | None = None
    segments: list[Segment] | None = None


class SeriesState(msgspec.Struct):
    """The whole series as it stands after the event."""

    title: Named | None = None
    valid: bool | None = None
    games: list[Game] | None = None


class GameRef(msgspec.Struct):
    """A game that a delta touches."""

    id: Id | None = None


class SeriesDelta(msgspec.Struct):
    """What the event changed; only which games."""

    games: list[GameRef] | None = None


class Entity(msgspec.Struct, rename="camel"):
    """Actor or target. Its states are decoded only where an event needs them."""

    type: str | None = None
    id: Id | None = None
    state: msgspec.Raw = msgspec.Raw()
    state_delta: msgspec.Raw = msgspec.Raw()


class Event(msgspec.Struct, rename="camel"):
    """One event of a transaction."""

    id: Id | None = None
    type: str | None = None
    action: str | None = None
    actor: Entity | None = None
    target: Entity | None = None
    reverted_event_id: Id | None = None
    series_state: SeriesState | None = None
    series_state_delta: SeriesDelta | None = None


class Transaction(msgspec.Struct, rename="camel"):
    """One line."""

    events: list[Event]
    id: Id | None = None
    occurred_at: str | None = None
    series_id: Id | None = None
    sequence_number: Id | None = None


class Envelope(msgspec.Struct, rename="camel"):
    """One line whose events do not all decode."""

    events: list[msgspec.Raw]
    id: Id | None = None
    occurred_at: str | None = None
    series_id: Id | None = None
    sequence_number: Id | None = None


class EntityState(msgspec.Struct, rename="camel"):
    """What is needed of an actor's or target's own state."""

    team_id: Id | None = None
    game: PlayerState | None = None
    sequence_number: Id | None = None


class GameDelta(msgspec.Struct, rename="camel"):
    """What the event changed of a player in the game: numbers relative."""

    damage_dealt: float | None = None
    damage_taken: float | None = None
    teamdamage_dealt: float | None = None
    teamdamage_taken: float | None = None
    selfdamage_dealt: float | None = None
    selfdamage_taken: float | None = None
    current_health: float | None = None
    headshots: float | None = None
    weapon_kills: dict[str, float] | None = None
    weapon_teamkills: dict[str, float] | None = None


class EntityDelta(msgspec.Struct, rename="camel"):
    """What the event changed of actor or target."""

    game: GameDelta | None = None
    sequence_number: Id | None = None


KILLS = frozenset(("killed", "teamkilled", "selfkilled"))
DAMAGES = frozenset(("damaged", "teamdamaged", "selfdamaged"))
CLOCKS = frozenset(("clock", "gameClock"))
CLOCK_ACTIONS = frozenset(("set", "started", "stopped"))
OBJECTIVES = {
    "plantBomb": "BOMB_PLANTED",
    "defuseBomb": "BOMB_DEFUSED",
    "beginDefuseBomb": "BOMB_DEFUSE_STARTED",
    "beginDefuseWithKit": "BOMB_DEFUSE_STARTED",
    "beginDefuseWithoutKit": "BOMB_DEFUSE_STARTED",
    "explodeBomb": "BOMB_EXPLODED",
}
BOMB_MOVES = {"player-dropped-item": "BOMB_DROPPED", "player-pickedUp-item": "BOMB_PICKED_UP"}
BOUNDARIES = {
    "series-started-game": "MATCH_STARTED",
    "game-started-round": "ROUND_STARTED",
    "round-started-freezetime": "ROUND_STARTED",
    "round-ended-freezetime": "ROUND_LIVE",
    "team-won-round": "ROUND_ENDED",
    "game-ended-round": "ROUND_ENDED",
    "team-won-game": "MATCH_ENDED",
    "series-ended-game": "MATCH_ENDED",
}
"""Which canonical boundary an event tells of; the first to tell it becomes it, the others are merged into it."""
