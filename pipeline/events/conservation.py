"""What became of every event of a source log.

Belongs here: the count, one bucket per source event. Does not belong here: why an event lands in one
(`pipeline.events.sources`, `pipeline.events.corrections`).

What counts as a source event: of a canonical log every line that is not blank; of a GRID log every entry of a
transaction's `events`. A line that can't be read counts as one, and so does the unreadable rest of a damaged
archive. Positions read from snapshots are not source events: they are counted apart, and one that is refused
appears in quarantine without being counted there.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Tally:
    """Source events by what became of them.

    Attributes:
        source_events: all of them, counted where they are read and not summed up from the rest.
        converted: stand as a canonical event of their own.
        merged: told again what another event had told.
        reverted: taken back by the source, or part of taking back.
        duplicate: came a second time under the same identity.
        quarantined: could not become a canonical event.
        derived_positions: position updates read from snapshots, apart from the sum.
    """

    source_events: int = 0
    converted: int = 0
    merged: int = 0
    reverted: int = 0
    duplicate: int = 0
    quarantined: int = 0
    derived_positions: int = 0
