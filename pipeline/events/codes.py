"""Texts as the whole numbers that stand for them: look-ups by array where a join would sort or hash every row.

Belongs here: reading the codes of a categorical column, tables by code. Does not belong here: which columns are
categorical (`pipeline.events.drafts`), what is looked up.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.events.codes_kernel import fill, look_up, number_anew

NO_CODE = 2**32 - 1
"""Stands for null: all bits set, as the compiled loops take it; polars has fewer texts in a list."""

Codes = NDArray[np.uint32]


def codes_of(values: pl.Series) -> Codes:
    """The codes of a categorical column, null as `NO_CODE`."""
    return filled(values.to_physical())


def codes_in(frame: pl.DataFrame, columns: Sequence[str]) -> list[Codes]:
    """The codes of some categorical columns of a frame, as `codes_of` gives them, at the price of one."""
    if not columns:
        return []
    return [filled(codes) for codes in frame.select(pl.col(columns).to_physical()).get_columns()]


def texts_of(codes: Sequence[Codes], kinds: Sequence[pl.DataType]) -> list[pl.Series]:
    """The texts for which some codes stand.

    Args:
        codes: any number of columns; null in none.
        kinds: the categorical type of each.
    """
    if not codes:
        return []
    if len(set(kinds)) > 1:
        return [text for column, kind in zip(codes, kinds, strict=True) for text in texts_of([column], [kind])]
    texts = pl.Series(np.concatenate(codes)).to_frame().select(pl.first().cat.to(kinds[0]).cast(pl.String)).to_series()
    ends = np.cumsum([0, *map(len, codes)])
    return [texts[begin:end] for begin, end in itertools.pairwise(ends.tolist())]


def by_code(values: Codes, entries: int | Sequence[int] | NDArray[Any], none: int) -> NDArray[np.int32]:
    """A table for `looked_up`: the entry of each value at the place that is its code, `none` at all others.

    Args:
        values: codes, none twice.
        entries: one for each, or one for all.
        none: for every other code, null among them.
    """
    size = int(values.max()) + 1 if len(values) else 0
    table = np.full(size + 1, none, np.int32)
    table[values] = entries
    return table


def looked_up(table: NDArray[np.int32], codes: Codes) -> NDArray[np.int32]:
    """The entry of every code."""
    found: NDArray[np.int32] = look_up(table, codes)
    return found


def filled(values: pl.Series) -> NDArray[Any]:
    """Whole numbers of 32 bits, all bits set in place of null; without a copy where none is.

    So null is `NO_CODE` among codes, and -1 among numbers with a sign.
    """
    nulls, size = values.null_count(), len(values)
    if not nulls:
        return values.to_numpy()
    kind = np.uint32 if values.dtype == pl.UInt32 else np.int32
    if nulls == size:
        return np.full(size, NO_CODE, np.uint32).view(kind)
    array = values.rechunk().to_arrow()
    valid, data = array.buffers()
    told = np.frombuffer(data, kind)[array.offset : array.offset + size]
    found: NDArray[Any] = fill(told, np.frombuffer(valid, np.uint8), array.offset)
    return found


def first_used(codes: Codes) -> tuple[NDArray[np.int32], Codes, NDArray[np.uint8] | None]:
    """Codes numbered anew, by first use.

    Returns:
        The number of each, 0 for null; the code that has each number; an Arrow bitmap, None where none is null.
    """
    numbers, known, valid = number_anew(codes)
    return numbers, known, valid if valid.size else None
