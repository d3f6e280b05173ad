"""A table as frames that never stand in memory together.

Belongs here: the one shape in which a reading hands out tables that may be long. Does not belong here: what is in
them, how they are written (resources.store).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import polars as pl

from pipeline.tables import conform, empty


@dataclass(frozen=True)
class TableStream:
    """The rows of a table, made anew each time that they are asked for.

    Attributes:
        table: its name in `pipeline.tables`.
        frames: gives frames of its columns in its order; texts may be categorical.
    """

    table: str
    frames: Callable[[], Iterator[pl.DataFrame]]

    def __iter__(self) -> Iterator[pl.DataFrame]:
        return self.frames()

    def read(self) -> pl.DataFrame:
        """All rows as one frame that conforms to the table's declaration.

        Raises:
            SchemaViolation: names the columns and the rules that fail.
        """
        frames = list(self.frames())
        return conform(self.table, pl.concat(frames)) if frames else empty(self.table)
