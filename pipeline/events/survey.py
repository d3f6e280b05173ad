"""What must be known of a match before the first of its events can be told: one look at each of them.

Belongs here: who and what appears in a match, and where its events lie. Does not belong here: what follows from that
(`matches`, `naming`, `recording`).
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from pipeline.events.codes import NO_CODE, by_code, codes_in, codes_of, first_used, looked_up, texts_of
from pipeline.events.codes_kernel import first_rows
from pipeline.events.drafts import TEXTS, TOTAL_ORDER, by_match, in_order, order_of, text_codes
from pipeline.events.matches import BOUNDARIES
from pipeline.events.order import Span, span
from pipeline.events.sources import Frames

_PLAYER = "player:"


@dataclass
class Survey:
    """What is known of one match.

    Attributes:
        places: which frames hold events of it.
        spans: their least and greatest `t_ms` of it.
        positions: how many position updates each player has.
        players: players that are named, moving or not.
        teams: teams that events name.
    """

    places: list[int] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    positions: Counter[str] = field(default_factory=Counter)
    players: set[str] = field(default_factory=set)
    teams: set[str] = field(default_factory=set)
    _boundaries: list[pl.DataFrame] = field(default_factory=list)
    _owners: list[pl.DataFrame] = field(default_factory=list)

    @property
    def last_ms(self) -> int:
        """Match time of the last event."""
        return max(high for _, high in self.spans)

    @property
    def boundaries(self) -> pl.DataFrame:
        """The boundary events in total order, texts as texts."""
        return in_order(pl.concat(self._boundaries)).with_columns(pl.col(TEXTS).cast(pl.String))

    @property
    def owners(self) -> dict[str, str]:
        """Per actor the team that the first of its events which names one tells."""
        found: dict[str, str] = {}
        if self._owners:  # those of one frame stand alone, in order or not
            firsts = in_order(pl.concat(self._owners)) if len(self._owners) > 1 else self._owners[0]
            for actor, team in zip(firsts["actor"], firsts["team"], strict=True):
                found.setdefault(actor, team)
        return found

    def add(self, place: int, events: pl.DataFrame) -> None:
        """Looks at the match's events in one more frame."""
        self.places.append(place)
        self.spans.append(span(events, TOTAL_ORDER))
        types, actors, targets, teams = codes_in(events, ("event_type", "actor", "target", "team"))
        *boundaries, update = codes_of(pl.Series([*BOUNDARIES, "POSITION_UPDATE"], dtype=text_codes()))
        told = np.flatnonzero(looked_up(by_code(np.array(boundaries), 1, 0), types))
        self._boundaries.append(_on_its_own(events[told]))
        movers, moving, _ = first_used(actors[types == update])
        named = [first_used(codes)[1] for codes in (actors, targets, teams)]
        moved, *others, owning = (texts.to_list() for texts in texts_of([moving, *named], [text_codes()] * 4))
        self.positions.update(dict(zip(moved, np.bincount(movers, minlength=len(moved)).tolist(), strict=True)))
        self.players.update(moved, (name for names in others for name in names if name.startswith(_PLAYER)))
        if owning:
            self.teams.update(owning)
            owned = np.flatnonzero(teams != NO_CODE)
            order = order_of(*(events[name] for name in TOTAL_ORDER.columns))
            if order is not None:
                owned = order[(teams != NO_CODE)[order]]
            firsts = events[first_rows(actors, owned)]
            self._owners.append(_on_its_own(firsts.select(*TOTAL_ORDER.columns, "actor", "team")))


def survey(drafts: Frames) -> dict[str, Survey]:
    """What is known of each match, by its name.

    Args:
        drafts: the events of all matches.
    """
    found: dict[str, Survey] = {}
    for place in range(len(drafts)):
        _look(drafts[place], place, found)
    return dict(sorted(found.items()))


def _look(frame: pl.DataFrame, place: int, found: dict[str, Survey]) -> None:
    """Adds a frame, of which nothing is left in memory when the next one comes."""
    for events in by_match(frame) if not frame.is_empty() else ():
        found.setdefault(events["match_id"][0], Survey()).add(place, events)


def _on_its_own(rows: pl.DataFrame) -> pl.DataFrame:
    """A few rows, copied from a frame, without the memory of that frame, which all texts hold on to."""
    return pl.DataFrame(
        [
            pl.Series(rows.name, rows.to_list(), pl.String) if rows.dtype == pl.String else rows
            for rows in rows.get_columns()
        ]
    )
