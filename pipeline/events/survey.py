"""What must be known of a match before the first of its events can be told: one look at each of them.

Belongs here: who and what appears in a match, and where its events lie. Does not belong here: what follows from that
(`matches`, `naming`, `recording`).
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from pipeline.events.drafts import TEXTS, TOTAL_ORDER, by_match, in_order
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
        if not self._owners:
            return {}
        firsts = in_order(pl.concat(self._owners)).unique("actor", keep="first")
        return dict(firsts.select("actor", "team").iter_rows())

    def add(self, place: int, events: pl.DataFrame) -> None:
        """Looks at the match's events in one more frame."""
        self.places.append(place)
        self.spans.append(span(events, TOTAL_ORDER))
        self._boundaries.append(_on_its_own(events.filter(pl.col("event_type").is_in(BOUNDARIES))))
        acts = events.group_by("actor", "event_type").len()
        moves = acts.filter(pl.col("event_type") == "POSITION_UPDATE")
        self.positions.update(dict(moves.select("actor", "len").iter_rows()))
        named = {*acts["actor"].to_list(), *events["target"].unique().to_list()}
        self.players.update(name for name in named if name is not None and name.startswith(_PLAYER))
        self.players.update(moves["actor"].to_list())
        if events["team"].null_count() < events.height:
            owned = events.filter(pl.col("team").is_not_null()).select(*TOTAL_ORDER.columns, "actor", "team")
            self.teams.update(owned["team"].unique().to_list())
            self._owners.append(_on_its_own(in_order(owned).unique("actor", keep="first", maintain_order=True)))


def survey(drafts: Frames) -> dict[str, Survey]:
    """What is known of each match, by its name.

    Args:
        drafts: the events of all matches.
    """
    found: dict[str, Survey] = {}
    for place in range(len(drafts)):
        frame = drafts[place]
        for events in by_match(frame) if not frame.is_empty() else ():
            found.setdefault(events["match_id"][0], Survey()).add(place, events)
    return dict(sorted(found.items()))


def _on_its_own(rows: pl.DataFrame) -> pl.DataFrame:
    """A few rows of a frame without the memory of that frame, which filtered rows and all texts hold on to."""
    copies = rows[np.arange(rows.height)]
    return copies.with_columns(
        pl.Series(name, rows[name].to_list(), pl.String) for name, kind in rows.schema.items() if kind == pl.String
    )
