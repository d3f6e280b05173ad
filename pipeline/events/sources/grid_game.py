"""What a GRID game is: its boundaries, its rosters, its sides and results, gathered from everything that stands.

Belongs here: what events and casts tell of the game as a whole. Does not belong here: its events one by one
(`grid_story`), positions (`grid_positions`).

The title is the first that a state tells, and holds from that transaction on; before it, it is unknown.

Boundaries: the first event to tell of a match's or a round's start, live phase or end becomes the canonical one; the
others are merged into it. A start tells what is known with its transaction, rosters and sides, and nothing that only
later ones show: other events take their teams and sides from it. An end tells what all tellings know. A round's winner
is the team that an event names, else the one that its segment shows as won; its reason is the `winType` that the
event's own change or that segment tells of that team.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from configs.titles import Title, load_titles
from pipeline.events.sources import grid_wire
from pipeline.events.sources.grid_facts import Fact
from pipeline.events.sources.grid_snapshots import Cast

_INT32_END = 2**31
_STARTS = ("MATCH_STARTED", "ROUND_STARTED")
_SEGMENT_DELTA = msgspec.json.Decoder(grid_wire.SegmentChange)


@dataclass(slots=True)
class Boundary:
    """A match or round boundary and everything that is known of it.

    Attributes:
        fact: the event that becomes it.
        winner_team: as an event names it.
        win_types: kinds of win by team, as an event tells them.
        told: of a start, its payload.
    """

    event_type: str
    round: int | None
    fact: Fact
    winner_team: str | None = None
    win_types: dict[str, str] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class LateSides:
    """Sides of a round that its start did not tell.

    Attributes:
        sides: by team.
        first: the transaction that shows them.
        end: the one that begins the next round; None while there is none.
    """

    sides: dict[str, str]
    first: int
    end: int | None = None


@dataclass(slots=True)
class Game:
    """A game.

    Attributes:
        start_us: wall clock at match time 0, microseconds since 1970 UTC.
        title_from: the transaction that tells the title; None while none did.
        boundaries: by the id of each event that tells of one.
        boundary_transactions: sequence numbers of the transactions with such an event.
        roster: names of players by team.
        score: by team, as shown last.
        sides: by round and team.
        late_sides: those that were not known when their round started, in the order of the feed.
    """

    match_id: str
    start_us: int
    title: Title = field(default_factory=lambda: load_titles().unknown)
    title_name: str | None = None
    title_from: int | None = None
    map: str | None = None
    boundaries: dict[str, Boundary] = field(default_factory=dict)
    boundary_transactions: set[int] = field(default_factory=set)
    team_names: dict[str, str | None] = field(default_factory=dict)
    roster: dict[str, dict[str, str | None]] = field(default_factory=dict)
    score: dict[str, int] = field(default_factory=dict)
    sides: dict[int, dict[str, str]] = field(default_factory=dict)
    late_sides: list[LateSides] = field(default_factory=list)
    _own_sides: set[int] = field(default_factory=set)
    _winners: dict[int, str] = field(default_factory=dict)
    _win_types: dict[int, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def begun(cls, match_id: str, facts: Sequence[Fact]) -> "Game":
        """A game of which only its start is known: the event that tells it, else its first one."""
        own = [fact for fact in facts if fact.is_own]
        start = next((fact for fact in own if fact.type == "series-started-game"), (own or facts)[0])
        return cls(match_id, start.transaction_us)

    def learn(self, facts: Iterable[Fact]) -> None:
        """Gathers everything else.

        A round's sides are those of its own segment, else of the teams in the first state within the round, else
        those of the round before. Its start tells those of them that are known with its transaction.
        """
        facts = [fact for fact in facts if fact.is_own]
        self._find_boundaries(facts)
        current: int | None = None
        learnt: tuple[Cast, int | None] | None = None
        starting: list[Boundary] = []
        sides: dict[str, str] = {}  # of the round, as told by now
        for fact in facts:
            if starting and starting[0].fact.sequence != fact.sequence:
                sides = self._start(starting, sides)
            boundary = self.boundaries.get(fact.event_id)
            if boundary is not None and boundary.event_type in _STARTS:
                if boundary.event_type == "ROUND_STARTED":
                    current = boundary.round
                if boundary.fact is fact:
                    starting.append(boundary)
                    self._end_late_sides(fact)
            if fact.snapshot is None:
                continue
            cast = fact.snapshot.cast
            if learnt is None or learnt[0] is not cast or learnt[1] != current:
                learnt = cast, current
                self._learn_title(cast, fact.sequence)
                self._learn_cast(cast, current)
                if current is not None and not starting and (now := self.sides.get(current, sides)) != sides:
                    self._end_late_sides(fact)
                    self.late_sides.append(LateSides(now, fact.sequence))
                    sides = now
        self._start(starting, sides)
        before: dict[str, str] = {}
        for number in sorted({entry.round for entry in self.boundaries.values() if entry.round is not None}):
            before = self.sides.setdefault(number, before)

    def _start(self, boundaries: list[Boundary], sides: dict[str, str]) -> dict[str, str]:
        """Lets starts tell what is known by now; gives the sides of the round that is then running."""
        for boundary in boundaries:
            if boundary.round is None:
                boundary.told = self.opening()
            else:
                before = max((number for number in self.sides if number < boundary.round), default=None)
                known = {} if before is None else self.sides[before]
                sides = self.sides.get(boundary.round, known)
                boundary.told = {"sides": sides}
        boundaries.clear()
        return sides

    def _end_late_sides(self, fact: Fact) -> None:
        if self.late_sides and self.late_sides[-1].end is None:
            self.late_sides[-1].end = fact.sequence

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
            self.boundary_transactions.add(fact.sequence)

    def _learn_title(self, cast: Cast, sequence: int) -> None:
        if self.title_from is None and cast.title:
            self.title, self.title_name, self.title_from = load_titles().find(cast.title), cast.title, sequence

    def title_at(self, sequence: int) -> Title:
        """The title as it is known with a transaction."""
        is_known = self.title_from is not None and sequence >= self.title_from
        return self.title if is_known else load_titles().unknown

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
                self._winners.setdefault(entry.number, entry.winner)
            known = self._win_types.setdefault(entry.number, {})
            self._win_types[entry.number] = {**dict(entry.win_types), **known}
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
        if boundary.event_type in _STARTS:
            return boundary.told
        if boundary.event_type == "MATCH_ENDED":
            score = {"score": self.score} if self.score else {}
            return score | ({} if boundary.winner_team is None else {"winner": boundary.winner_team})
        if boundary.event_type == "ROUND_ENDED" and number is not None:
            team = boundary.winner_team or self._winners.get(number) or ""
            reason = boundary.win_types.get(team) or self._win_types.get(number, {}).get(team)
            return {"winner": self.sides.get(number, {}).get(team, team or None), "reason": reason}
        return {}
