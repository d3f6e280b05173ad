"""What a GRID game is: its boundaries, its rosters, its sides and results, gathered from everything that stands.

Belongs here: what events and casts tell of the game as a whole. Does not belong here: its events one by one
(`grid_story`), positions (`grid_positions`).

Boundaries: the first event to tell of a match's or a round's start, live phase or end becomes the canonical one, with
what all tellings know; the others are merged into it. A round's winner is the team that an event names, else the one
that its segment shows as won; its reason is the `winType` that the event's own change or that segment tells of that
team.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from configs.titles import Title, load_titles
from pipeline.events.sources import grid_wire
from pipeline.events.sources.grid_facts import Fact
from pipeline.events.sources.grid_snapshots import Cast

_INT32_END = 2**31
_SEGMENT_DELTA = msgspec.json.Decoder(grid_wire.SegmentChange)


@dataclass(slots=True)
class Boundary:
    """A match or round boundary and everything that is known of it.

    Attributes:
        fact: the event that becomes it.
        winner_team: as an event names it.
        win_types: kinds of win by team, as an event tells them.
    """

    event_type: str
    round: int | None
    fact: Fact
    winner_team: str | None = None
    win_types: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Game:
    """A game.

    Attributes:
        start_us: wall clock at match time 0, microseconds since 1970 UTC.
        boundaries: by the id of each event that tells of one.
        roster: names of players by team; `team_of` is the same by player.
        score: by team, as shown last.
        sides: by round and team.
    """

    match_id: str
    start_us: int
    title: Title
    title_name: str | None
    map: str | None = None
    boundaries: dict[str, Boundary] = field(default_factory=dict)
    team_names: dict[str, str | None] = field(default_factory=dict)
    roster: dict[str, dict[str, str | None]] = field(default_factory=dict)
    team_of: dict[str, str] = field(default_factory=dict)
    score: dict[str, int] = field(default_factory=dict)
    sides: dict[int, dict[str, str]] = field(default_factory=dict)
    _own_sides: set[int] = field(default_factory=set)
    _winners: dict[int, str] = field(default_factory=dict)
    _win_types: dict[int, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def begun(cls, match_id: str, facts: list[Fact]) -> "Game":
        """A game of which only its title and its start are known: the event that tells it, else its first one."""
        own = [fact for fact in facts if fact.is_own]
        start = next((fact for fact in own if fact.type == "series-started-game"), (own or facts)[0])
        title = next((fact.snapshot.cast.title for fact in own if fact.snapshot and fact.snapshot.cast.title), None)
        return cls(match_id, start.transaction_us, load_titles().find(title), title)

    def learn(self, facts: Iterable[Fact]) -> None:
        """Gathers everything else.

        A round's sides are those of its own segment, else of the teams in the first state within the round, else
        those of the round before.
        """
        facts = [fact for fact in facts if fact.is_own]
        self._find_boundaries(facts)
        current: int | None = None
        learnt: tuple[Cast, int | None] | None = None
        for fact in facts:
            boundary = self.boundaries.get(fact.event_id)
            if boundary is not None and boundary.event_type == "ROUND_STARTED":
                current = boundary.round
            if fact.snapshot is None:
                continue
            cast = fact.snapshot.cast
            if learnt is None or learnt[0] is not cast or learnt[1] != current:
                learnt = cast, current
                self._learn_cast(cast, current)
        for team, players in self.roster.items():
            for player in players:
                self.team_of.setdefault(player, team)
        before: dict[str, str] = {}
        for number in sorted({entry.round for entry in self.boundaries.values() if entry.round is not None}):
            before = self.sides.setdefault(number, before)

    def _find_boundaries(self, facts: Iterable[Fact]) -> None:
        """Rounds without a number are counted."""
        found: dict[tuple[str, int | None], Boundary] = {}
        current = 0
        for fact in facts:
            event_type = grid_wire.BOUNDARIES.get(fact.gist.type)
            if event_type is None:
                continue
            number: int | None = None
            if event_type.startswith("ROUND"):
                number = fact.round
                if number is None:
                    number = current + 1 if fact.type == "game-started-round" else max(current, 1)
                if event_type == "ROUND_STARTED":
                    current = number
            boundary = found.setdefault((event_type, number), Boundary(event_type, number, fact))
            if fact.type in ("team-won-round", "team-won-game"):
                boundary.winner_team = f"team:{fact.gist.actor[1]}"
            if event_type == "ROUND_ENDED" and fact.gist.target[0] == "round" and fact.gist.target_delta:
                teams = _SEGMENT_DELTA.decode(fact.gist.target_delta).teams
                boundary.win_types.update({f"team:{team.id}": team.win_type for team in teams or () if team.win_type})
            self.boundaries[fact.event_id] = boundary

    def _learn_cast(self, cast: Cast, current: int | None) -> None:
        self.map = self.map or cast.map
        for team in cast.teams:
            self.team_names[team.team] = self.team_names.get(team.team) or team.name
            if team.score is not None and 0 <= team.score < _INT32_END and team.score == int(team.score):
                self.score[team.team] = int(team.score)
        for player in cast.players:
            if player.team is not None:
                self.roster.setdefault(player.team, {}).setdefault(player.player, player.name)
        for entry in cast.rounds:
            if entry.sides and entry.number not in self._own_sides:
                self._own_sides.add(entry.number)
                self.sides[entry.number] = dict(entry.sides)
            if entry.winner is not None:
                self._winners[entry.number] = entry.winner
            if entry.win_types:
                self._win_types.setdefault(entry.number, {}).update(entry.win_types)
        if current is not None and current not in self.sides:
            sides = {team.team: team.side for team in cast.teams if team.side}
            if sides:
                self.sides[current] = sides

    def opening(self) -> dict[str, Any]:
        """What is known of the match in the shape of a MATCH_STARTED payload."""
        teams = [
            {
                "id": team,
                "name": self.team_names.get(team),
                "players": [{"id": player, "name": name} for player, name in self.roster.get(team, {}).items()],
            }
            for team in (*self.team_names, *sorted(self.roster.keys() - self.team_names.keys()))
        ]
        return {"title": self.title_name, "map": self.map, "teams": teams}

    def payload(self, boundary: Boundary) -> dict[str, Any]:
        """What a boundary tells."""
        number = boundary.round
        if boundary.event_type == "MATCH_STARTED":
            return self.opening()
        if boundary.event_type == "MATCH_ENDED":
            score = {"score": self.score} if self.score else {}
            return score | ({} if boundary.winner_team is None else {"winner": boundary.winner_team})
        if boundary.event_type == "ROUND_STARTED" and number is not None:
            return {"sides": self.sides.get(number, {})}
        if boundary.event_type == "ROUND_ENDED" and number is not None:
            team = boundary.winner_team or self._winners.get(number) or ""
            reason = boundary.win_types.get(team) or self._win_types.get(number, {}).get(team)
            return {"winner": self.sides.get(number, {}).get(team, team or None), "reason": reason}
        return {}
