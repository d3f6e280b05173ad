"""The canonical event: its types, their order, and the words for sides.

Belongs here: what every reader and every consumer of events must agree on. Does not belong here: formats of
logs (`pipeline.events.sources`), columns of tables (`pipeline.tables`), thresholds (`configs/events.yaml`).
"""

from configs.titles import load_titles

EVENT_TYPES: tuple[str, ...] = (
    "MATCH_STARTED",
    "ROUND_STARTED",
    "ROUND_LIVE",
    "ROUND_ENDED",
    "MATCH_ENDED",
    "POSITION_UPDATE",
    "WEAPON_FIRED",
    "PLAYER_DAMAGED",
    "PLAYER_KILLED",
    "PLAYER_BLINDED",
    "GRENADE_THROWN",
    "GRENADE_DETONATED",
    "BOMB_PLANT_STARTED",
    "BOMB_PLANTED",
    "BOMB_DEFUSE_STARTED",
    "BOMB_DEFUSED",
    "BOMB_EXPLODED",
    "BOMB_DROPPED",
    "BOMB_PICKED_UP",
    "OTHER",
)
"""All canonical types. An event's place among those of the same `t_ms` and `seq` is the place of its type here."""

TYPE_RANK: dict[str, int] = {name: rank for rank, name in enumerate(EVENT_TYPES)}


NEEDS_ACTOR = frozenset(("POSITION_UPDATE", "WEAPON_FIRED"))
"""Types of which an event without an actor tells nothing."""

NEEDS_TARGET = frozenset(("PLAYER_DAMAGED", "PLAYER_KILLED", "PLAYER_BLINDED"))
"""Types of which an event without a target tells nothing."""


def is_attacker(side: str | None) -> bool | None:
    """Whether that side is the one that attacks the objectives; None for a side without such a role.

    Args:
        side: a side in the words of any source, upper or lower case, or None.
    """
    if side is None:
        return None
    role = load_titles().roles.get(side.strip().lower())
    return None if role is None or role == "none" else role == "attacker"
