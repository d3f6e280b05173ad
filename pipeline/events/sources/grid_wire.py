"""What is read of a GRID transaction, and what its words mean.

Belongs here: the declared part of the wire format (everything else is skipped undecoded) and its vocabulary, both
naming generations. Does not belong here: what becomes of an event (`pipeline.events.sources.grid`).

Generations: inventories are `items` (CS) or `inventory.items` (VALORANT); clocks are `clock` or `gameClock`; numbers
and ids come as JSON numbers or strings.

Nothing here can hold itself, so the garbage collector need not look (`gc=False`).

States and deltas have the same shape. In a state what is missing is null; in a delta what is missing has not changed,
so there the two are told apart (`UNSET`), and a member of a list with `"statePath": []` is gone.
"""

import msgspec
from msgspec import UNSET, UnsetType

Id = str | int


class Position(msgspec.Struct, gc=False):
    """Two-dimensional in every feed seen, in the title's own units; null in stretches."""

    x: float | None = None
    y: float | None = None
    z: float | None = None


class Item(msgspec.Struct, gc=False):
    """An entry of an inventory."""

    id: Id | None = None


class Inventory(msgspec.Struct, gc=False):
    """The newer form of an inventory."""

    items: list[Item] | None = None


class PlayerState(msgspec.Struct, rename="camel", gc=False):
    """A player in a game's state."""

    id: Id | None = None
    name: str | None = None
    position: Position | None = None
    current_health: float | None = None
    current_armor: float | None = None
    alive: bool | None = None
    items: list[Item] | None = None
    inventory: Inventory | None = None


class TeamState(msgspec.Struct, gc=False):
    """A team in a game's state."""

    id: Id | None = None
    name: str | None = None
    side: str | None = None
    score: float | None = None
    players: list[PlayerState] | None = None


class SegmentTeam(msgspec.Struct, rename="camel", gc=False):
    """A team in the state of one round."""

    id: Id | None = None
    side: str | None = None
    won: bool | None = None
    win_type: str | None = None


class Segment(msgspec.Struct, rename="camel", gc=False):
    """A round in a game's state."""

    id: Id | None = None
    type: str | None = None
    sequence_number: Id | None = None
    teams: list[SegmentTeam] | None = None


class Named(msgspec.Struct, rename="camel", gc=False):
    """A map or a title."""

    name: str | None = None
    name_shortened: str | None = None


class Game(msgspec.Struct, rename="camel", gc=False):
    """A game in the series' state."""

    id: Id | None = None
    sequence_number: Id | None = None
    map: Named | None = None
    started: bool | None = None
    finished: bool | None = None
    teams: list[TeamState] | None = None
    segments: list[Segment] | None = None


class SeriesState(msgspec.Struct, gc=False):
    """The whole series as it stands after the event."""

    title: Named | None = None
    valid: bool | None = None
    games: list[Game] | None = None


class Entity(msgspec.Struct, rename="camel", gc=False):
    """Actor or target. Its states are decoded only where an event needs them."""

    type: str | None = None
    id: Id | None = None
    state: msgspec.Raw = msgspec.Raw()
    state_delta: msgspec.Raw = msgspec.Raw()


class Event(msgspec.Struct, rename="camel", gc=False):
    """One event of a transaction."""

    id: Id | None = None
    type: str | None = None
    action: str | None = None
    actor: Entity | None = None
    target: Entity | None = None
    reverted_event_id: Id | None = None
    series_state: SeriesState | None = None
    series_state_delta: msgspec.Raw = msgspec.Raw()


class Transaction(msgspec.Struct, rename="camel", gc=False):
    """One line."""

    events: list[Event]
    id: Id | None = None
    occurred_at: str | None = None
    series_id: Id | None = None
    sequence_number: Id | None = None


class Envelope(msgspec.Struct, rename="camel", gc=False):
    """One line whose events do not all decode."""

    events: list[msgspec.Raw]
    id: Id | None = None
    occurred_at: str | None = None
    series_id: Id | None = None
    sequence_number: Id | None = None


class EntityState(msgspec.Struct, rename="camel", gc=False):
    """What is needed of an actor's or target's own state."""

    team_id: Id | None = None
    game: PlayerState | None = None
    sequence_number: Id | None = None


StatePath = list[msgspec.Raw] | None | UnsetType


class ItemDelta(msgspec.Struct, rename="camel", gc=False):
    """An entry of an inventory that came, went or changed."""

    id: Id
    state_path: StatePath = UNSET


class InventoryDelta(msgspec.Struct, gc=False):
    """The newer form of an inventory's changes."""

    items: list[ItemDelta] | UnsetType | None = UNSET


class PlayerChange(msgspec.Struct, rename="camel", gc=False, kw_only=True):
    """What an event changed of a player in a game: numbers relative, all else absolute.

    Damage and kills are read from here only, as they are what the event itself did.
    """

    id: Id | None = None
    state_path: StatePath = UNSET
    name: str | UnsetType | None = UNSET
    position: Position | UnsetType | None = UNSET
    current_health: float | UnsetType | None = UNSET
    current_armor: float | UnsetType | None = UNSET
    alive: bool | UnsetType | None = UNSET
    items: list[ItemDelta] | UnsetType | None = UNSET
    inventory: InventoryDelta | UnsetType | None = UNSET
    damage_dealt: float | None = None
    damage_taken: float | None = None
    teamdamage_dealt: float | None = None
    teamdamage_taken: float | None = None
    selfdamage_dealt: float | None = None
    selfdamage_taken: float | None = None
    headshots: float | None = None
    weapon_kills: dict[str, float] | None = None
    weapon_teamkills: dict[str, float] | None = None


class PlayerDelta(PlayerChange, rename="camel", gc=False, kw_only=True):
    """The same as a member of a list, which is matched by its id."""

    id: Id


class TeamChange(msgspec.Struct, rename="camel", gc=False, kw_only=True):
    """What an event changed of a team in a game."""

    id: Id | None = None
    state_path: StatePath = UNSET
    name: str | UnsetType | None = UNSET
    side: str | UnsetType | None = UNSET
    score: float | UnsetType | None = UNSET
    players: list[PlayerDelta] | UnsetType | None = UNSET


class TeamDelta(TeamChange, rename="camel", gc=False, kw_only=True):
    """The same as a member of a list."""

    id: Id


class SegmentTeamDelta(msgspec.Struct, rename="camel", gc=False):
    """What an event changed of a team in a round."""

    id: Id
    state_path: StatePath = UNSET
    side: str | UnsetType | None = UNSET
    won: bool | UnsetType | None = UNSET
    win_type: str | UnsetType | None = UNSET


class SegmentChange(msgspec.Struct, rename="camel", gc=False, kw_only=True):
    """What an event changed of a round. Its number names it and is told absolutely."""

    id: Id | None = None
    state_path: StatePath = UNSET
    type: str | UnsetType | None = UNSET
    sequence_number: Id | UnsetType | None = UNSET
    started: bool | UnsetType | None = UNSET
    teams: list[SegmentTeamDelta] | UnsetType | None = UNSET


class SegmentDelta(SegmentChange, rename="camel", gc=False, kw_only=True):
    """The same as a member of a list."""

    id: Id


class GameChange(msgspec.Struct, rename="camel", gc=False, kw_only=True):
    """What an event changed of a game. Its number names it and is told absolutely."""

    id: Id | None = None
    state_path: StatePath = UNSET
    sequence_number: Id | UnsetType | None = UNSET
    map: Named | UnsetType | None = UNSET
    started: bool | UnsetType | None = UNSET
    finished: bool | UnsetType | None = UNSET
    teams: list[TeamDelta] | UnsetType | None = UNSET
    segments: list[SegmentDelta] | UnsetType | None = UNSET


class GameDelta(GameChange, rename="camel", gc=False, kw_only=True):
    """The same as a member of a list."""

    id: Id


class SeriesDelta(msgspec.Struct, gc=False):
    """What an event changed of the series."""

    title: Named | UnsetType | None = UNSET
    valid: bool | UnsetType | None = UNSET
    games: list[GameDelta] | UnsetType | None = UNSET


class PlayerEntityDelta(msgspec.Struct, gc=False):
    """What an event changed of a player that is its actor or target."""

    game: PlayerChange | None = None


ENTITY_DELTAS: dict[str, type[msgspec.Struct]] = {
    "player": PlayerEntityDelta,
    "team": TeamChange,
    "round": SegmentChange,
    "game": GameChange,
    "series": SeriesDelta,
}
"""What is read of the change of an actor or target, by its type; nothing of any other type."""


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
