"""Who plays, for whom, around what: the names behind the kernel's indices.

Belongs here: the cast of a match as it is known by now, and its growth. Does not belong here: what is remembered of
each (`carry`), events (`pack`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from pipeline.events.model import is_attacker

_ROLES = {True: 1, False: 0, None: -1}


@dataclass(frozen=True)
class Cast:
    """Who plays, for whom, around what: the names behind the kernel's indices.

    An index is a place in order of appearance. No feature depends on it, so a live match that learns of a player late
    and a recorded one that knows all from the start have the same rows.

    Attributes:
        players: player ids.
        teams: team ids.
        sides: sides in the source's words.
        attackers: per side: 1 attacks, 0 defends, -1 neither.
        objectives: x, y, z in mm of each objective of the map; y is `kernel.NULL` in a planar source.
        no_freeze: whether a round is live from its start.
    """

    players: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    sides: tuple[str, ...] = ()
    attackers: tuple[int, ...] = ()
    objectives: tuple[tuple[int, int, int], ...] = ()
    no_freeze: bool = False

    def grown(self, *, players: Iterable[str] = (), teams: Iterable[str] = (), sides: Iterable[str] = ()) -> "Cast":
        """The cast with those of these names that it lacks appended in this order; itself if it lacks none."""
        more = _with(self.players, players), _with(self.teams, teams), _with(self.sides, sides)
        if more == (self.players, self.teams, self.sides):
            return self
        roles = (_ROLES[is_attacker(side)] for side in more[2][len(self.sides) :])
        return replace(self, players=more[0], teams=more[1], sides=more[2], attackers=(*self.attackers, *roles))

    @property
    def unopened(self) -> "Cast":
        """The cast before MATCH_STARTED has told of title and map."""
        return replace(self, objectives=(), no_freeze=False)

    def extends(self, other: "Cast") -> bool:
        """Whether every index of the other cast means the same in this one."""
        return (
            self.players[: len(other.players)] == other.players
            and self.teams[: len(other.teams)] == other.teams
            and self.sides[: len(other.sides)] == other.sides
            and self.attackers[: len(other.attackers)] == other.attackers
        )


def _with(known: tuple[str, ...], names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*known, *names)))
