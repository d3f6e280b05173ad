"""What must be known of a match before the first of its events can be told: one look at each of them.

Belongs here: who and what appears in a match, and where its events lie. Does not belong here: what follows from that
(`matches`, `naming`, `recording`).
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from pipeline.events.codes import by_code, codes_of, first_used, looked_up, texts_of
from pipeline.events.drafts import TEXTS, TOTAL_ORDER, by_match, in_order, text_codes
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
        types, actors = codes_of(events["event_type"]), codes_of(events["actor"])
        boundaries, update = (
            codes_of(pl.Series(names, dtype=text_codes())) for names in (BOUNDARIES, ["POSITION_UPDATE"])
        )
        told = np.flatnonzero(looked_up(by_code(boundaries, 1, 0), types))
        self._boundaries.append(_on_its_own(events[told]))
        movers, moving, _ = first_used(actors[types == update[0]])
        _, acting, _ = first_used(np.concatenate([actors, codes_of(events["target"])]))
        moved, named = (texts.to_list() for texts in texts_of([moving, acting], [text_codes()] * 2))
        self.positions.update(dict(zip(moved, np.bincount(movers, minlength=len(moved)).tolist(), strict=True)))
        self.players.update(moved, (name for name in named if name.startswith(_PLAYER)))
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
        _look(drafts[place], place, found)
    return dict(sorted(found.items()))


def _look(frame: pl.DataFrame, place: int, found: dict[str, Survey]) -> None:
    """Adds a frame, of which nothing is left in memory when the next one comes."""
    for events in by_match(frame) if not frame.is_empty() else ():
        found.setdefault(events["match_id"][0], Survey()).add(place, events)


def _on_its_own(rows: pl.DataFrame) -> pl.DataFrame:
    """A few rows of a frame without the memory of that frame, which filtered rows and all texts hold on to."""
    copies = rows[np.arange(rows.height)]
    return copies.with_columns(
        pl.Series(name, rows[name].to_list(), pl.String) for name, kind in rows.schema.items() if kind == pl.String
    )
