"""Freed memory, given back.

Belongs here: what the C library is told about memory. Does not belong here: what takes memory.
"""

import ctypes
from collections.abc import Callable
from functools import cache


def give_back() -> None:
    """Lets the system have what the C library keeps of freed memory, after work that has freed much of it in pieces.

    Only glibc keeps so much of it, and only glibc can be told (malloc_trim(3)); elsewhere this does nothing.
    """
    if (trim := _trim()) is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], int] | None:
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
