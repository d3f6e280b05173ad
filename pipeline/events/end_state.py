"""Whether what we read of a series agrees with GRID's own summary of it, the end-state file.

Belongs here: the declared part of that file, and the comparison. Does not belong here: where the file lies
(`resources.grid_api.inbox`), when it is compared (`assets/grid.py`).

The file is the state of the series after its last event: `{"seriesState": {…}}`, or that state by itself. Whatever is
absent, null or empty in it is not compared, and said so. Ids and sequence numbers come as numbers or strings, as in
the feed.

Compared, per game: each player's kills and deaths (a team's where it names no players), the number of rounds, who won
each round that it shows, the score, the winner. A teammate killed counts among the kills on both sides: feeds differ
in whether they count it under `kills` or under `teamkills`. Killing oneself is a death and no kill.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec
import polars as pl

from pipeline.errors import PipelineError

Id = str | int
DIFFERENCES: dict[str, pl.DataType] = {
    "figure": pl.String(),
    "of": pl.String(),
    "ours": pl.String(),
    "theirs": pl.String(),
}


class UnusableEndState(PipelineError):
    """A file is no end state; the message names the field."""


class PlayerEnd(msgspec.Struct):
    """A player at the end of a game."""

    id: Id | None = None
    kills: float | None = None
    teamkills: float | None = None
    deaths: float | None = None


class TeamEnd(msgspec.Struct):
    """A team at the end of a game."""

    id: Id | None = None
    won: bool | None = None
    score: float | None = None
    kills: float | None = None
    teamkills: float | None = None
    deaths: float | None = None
    players: list[PlayerEnd] | None = None


class SegmentTeamEnd(msgspec.Struct):
    """A team in a round."""

    id: Id | None = None
    won: bool | None = None


class SegmentEnd(msgspec.Struct, rename="camel"):
    """A round, or a part of another kind."""

    id: Id | None = None
    type: str | None = None
    sequence_number: Id | None = None
    teams: list[SegmentTeamEnd] | None = None


class GameEnd(msgspec.Struct, rename="camel"):
    """A game of the series."""

    id: Id | None = None
    sequence_number: Id | None = None
    teams: list[TeamEnd] | None = None
    segments: list[SegmentEnd] | None = None


class SeriesEnd(msgspec.Struct):
    """A series at its end."""

    id: Id | None = None
    valid: bool | None = None
    games: list[GameEnd] | None = None


class _Wrapped(msgspec.Struct, rename="camel"):
    """The file as GRID delivers it."""

    series_state: SeriesEnd | None = None


@dataclass(frozen=True)
class Agreement:
    """How our figures of a game compare with the end state's.

    Attributes:
        compared: how many figures stood in both.
        differences: one row per figure that differs: `figure`, `of` (player, team, round or match), `ours`, `theirs`;
            a null is a figure that one side does not have.
        left_out: what the file does not tell, in words.
    """

    compared: int
    differences: pl.DataFrame
    left_out: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether nothing that both sides tell differs."""
        return self.differences.is_empty()


def read_end_state(data: bytes) -> SeriesEnd:
    """An end state from its file.

    Raises:
        UnusableEndState: if it is not JSON, or a field that is compared has another type; names the field.
    """
    try:
        wrapped = msgspec.json.decode(data, type=_Wrapped)
        return wrapped.series_state or msgspec.json.decode(data, type=SeriesEnd)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UnusableEndState(f"end state: {error}") from error


def compare(end: SeriesEnd, match: pl.DataFrame, rounds: pl.DataFrame, events: pl.DataFrame) -> Agreement:
    """Holds one match against the end state of its series.

    Args:
        end: the end state.
        match: its row of table matches; `match_id` ends in the number of the game.
        rounds: its rows of table rounds.
        events: its rows of table events; only PLAYER_KILLED is looked at.
    """
    number = match["match_id"].item().rpartition("-")[2]
    games = {_number(game.sequence_number): game for game in end.games or ()}
    game = games.get(number)
    if game is None and len(games) == 1 and None in games:
        game = games[None]  # a series of one game need not number it
    if game is None:
        return Agreement(0, pl.DataFrame(schema=DIFFERENCES), (f"game {number}: the file has none of that number",))
    left_out: list[str] = ["the file calls its own series invalid"] if end.valid is False else []
    pairs = [
        *_players(game, events, match, left_out),
        *_rounds(game, rounds, left_out),
        *_result(game, match, left_out),
    ]
    rows = [
        dict(zip(DIFFERENCES, (figure, of, _text(ours), _text(theirs)), strict=True))
        for figure, of, ours, theirs in pairs
        if ours != theirs
    ]
    return Agreement(len(pairs), pl.DataFrame(rows, schema=DIFFERENCES), tuple(left_out))


Figure = str | int | None
_Pair = tuple[str, str, Figure, Figure]


def _players(game: GameEnd, events: pl.DataFrame, match: pl.DataFrame, left_out: list[str]) -> Iterator[_Pair]:
    """Kills and deaths of players, and of the teams whose players the file does not name."""
    killed = events.filter(pl.col("event_type") == "PLAYER_KILLED")
    by_others = killed.filter(pl.col("actor") != pl.col("target"))
    kills, deaths = _counts(by_others["actor"]), _counts(killed["target"])
    team_of = {member["player"]: member["team"] for member in match["players"].item()}
    complete = {f"team:{team.id}" for team in game.teams or () if team.players}
    named: set[str] = set()
    untold = not complete
    for team in game.teams or ():
        if team.players:
            told = {f"player:{player.id}": player for player in team.players if player.id is not None}
            named |= told.keys()
            for name, player in sorted(told.items()):
                yield from _both("kills", name, kills.get(name, 0), _kills(player))
                yield from _both("deaths", name, deaths.get(name, 0), _whole(player.deaths))
                untold |= player.kills is None or player.deaths is None
        elif team.id is not None:
            name = f"team:{team.id}"
            members = [player for player, of in team_of.items() if of == name]
            yield from _both("kills", name, sum(kills.get(player, 0) for player in members), _kills(team))
            yield from _both("deaths", name, sum(deaths.get(player, 0) for player in members), _whole(team.deaths))
            untold = True
    for name in sorted((kills.keys() | deaths.keys()) - named):
        if name.startswith("player:") and complete:
            # Who is in none of our teams may be in one of theirs; who is in one that the file lists should be there.
            if team_of.get(name) is None or team_of[name] in complete:
                yield "player", name, f"{kills.get(name, 0)} kills, {deaths.get(name, 0)} deaths", None
            else:
                untold = True
    if untold:
        left_out.append("kills or deaths of some or all players: the file does not tell them")


def _rounds(game: GameEnd, rounds: pl.DataFrame, left_out: list[str]) -> Iterator[_Pair]:
    """How many rounds there were, and who won those that the file shows the end of."""
    winners: dict[int, str | None] = {}
    for segment in game.segments or ():
        number = _round_number(segment)
        if number is not None:
            won = [f"team:{team.id}" for team in segment.teams or () if team.won]
            winners[number] = won[0] if len(won) == 1 else None
    if not winners:
        left_out.append("rounds: the file shows none")
        return
    yield "rounds", "match", rounds.height, max(winners)
    ours = {
        row["round"]: next((entry["team"] for entry in row["sides"] if entry["side"] == row["winner"]), None)
        for row in rounds.iter_rows(named=True)
    }
    told = {number: winner for number, winner in winners.items() if winner is not None}
    if len(told) < max(winners):
        left_out.append(f"winners of {max(winners) - len(told)} of {max(winners)} rounds: the file does not show them")
    for number, winner in sorted(told.items()):
        yield "winner", f"round {number}", ours.get(number), winner


def _result(game: GameEnd, match: pl.DataFrame, left_out: list[str]) -> Iterator[_Pair]:
    """Score and winner of the game."""
    score = {entry["team"]: entry["score"] for entry in match["score"].item()}
    told = {f"team:{team.id}": _whole(team.score) for team in game.teams or () if team.id is not None}
    for name, points in sorted(told.items()):
        yield from _both("score", name, score.get(name), points)
    if all(points is None for points in told.values()):
        left_out.append("score: the file tells none")
    won = [f"team:{team.id}" for team in game.teams or () if team.won and team.id is not None]
    if len(won) == 1:
        yield "winner", "match", match["winner"].item(), won[0]
    else:
        left_out.append("winner: the file names none")


def _both(figure: str, of: str, ours: Figure, theirs: Figure) -> Iterator[_Pair]:
    if theirs is not None:
        yield figure, of, ours, theirs


def _counts(names: pl.Series) -> Mapping[str, int]:
    return dict(names.drop_nulls().value_counts().iter_rows())


def _kills(entry: PlayerEnd | TeamEnd) -> int | None:
    return None if entry.kills is None else _whole(entry.kills + (entry.teamkills or 0))


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _number(value: Id | None) -> str | None:
    return None if value is None else str(value)


def _round_number(segment: SegmentEnd) -> int | None:
    """The number of a round; None for another kind of segment, or one without number."""
    kind, _, suffix = str(segment.id or "").rpartition("-")
    if (segment.type or kind) != "round":
        return None
    digits = _number(segment.sequence_number) or suffix
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 6 else None


def _text(value: Figure) -> str | None:
    return None if value is None else str(value)
