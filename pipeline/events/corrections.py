"""Which events of a feed that corrects itself stand.

Belongs here: GRID's rules of taking back. Does not belong here: reading transactions (`pipeline.events.sources.grid`).

A feed that finds itself wrong says `grid-invalidated-series`, takes back what was wrong by inverse events in reverse
order (`game-!started-round`, each naming the event it takes back in `revertedEventId`), says `grid-validated-series`,
and tells the same things again under new ids. So what is named by a `revertedEventId` falls, with the inverse that
names it and the two markers; what is told again stands by itself; and an ordinary event inside an invalidated stretch
stands too, as nothing took it back, while the state shown with it (`valid: false`) is not believed.
"""

from collections.abc import Sequence
from typing import Protocol

MARKERS = frozenset(("grid-invalidated-series", "grid-validated-series"))


class Correctable(Protocol):
    """What corrections look at in an event."""

    @property
    def event_id(self) -> str:
        """Its name."""
        ...

    @property
    def type(self) -> str:
        """`{actor type}-{action}-{target type}`."""
        ...

    @property
    def reverted_id(self) -> str | None:
        """The event that it takes back."""
        ...


def is_inverse(event_type: str) -> bool:
    """Whether an event of that type takes another back."""
    return "-!" in event_type


def standing(events: Sequence[Correctable]) -> list[bool]:
    """Which events stand.

    Args:
        events: all of a series, in the order of the feed. An inverse that is itself taken back takes nothing back.
    """
    fallen: set[str] = set()
    stands = [False] * len(events)
    for index in range(len(events) - 1, -1, -1):
        event = events[index]
        if event.event_id in fallen:
            continue
        if event.reverted_id is not None:
            fallen.add(event.reverted_id)
        elif not is_inverse(event.type) and event.type not in MARKERS:
            stands[index] = True
    return stands
