"""Input that ends where memory ends.

Compiled code may read a text in words, which no check of indices sees. Here the texts that the kernels read lie at
the very end of their pages, with a page behind them that must not be touched: one byte too far ends the process.
"""

import ctypes
import mmap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from pipeline.events.sources import canonical_scan_kernel, grid_scan_kernel

_PAGE = mmap.PAGESIZE
_LIBC = ctypes.CDLL(None, use_errno=True)


def at_the_end(text: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A copy whose last byte is the last one that may be read."""
    pages = -(-max(text.size, 1) // _PAGE)
    memory = mmap.mmap(-1, (pages + 1) * _PAGE)
    whole = np.frombuffer(memory, np.uint8)
    if _LIBC.mprotect(ctypes.c_void_p(whole.ctypes.data + pages * _PAGE), ctypes.c_size_t(_PAGE), 0):
        raise OSError(ctypes.get_errno(), "mprotect")
    copy = whole[pages * _PAGE - text.size : pages * _PAGE]
    copy[:] = text
    copy.setflags(write=text.flags.writeable)
    return copy


@contextmanager
def guarded() -> Iterator[None]:
    """In it the kernels read texts that end where memory ends."""
    with (
        mock.patch.object(canonical_scan_kernel, "scan_lines", _moving(canonical_scan_kernel.scan_lines, 1)),
        mock.patch.object(grid_scan_kernel, "read_block", _moving(grid_scan_kernel.read_block, 2)),
    ):
        yield


def _moving(kernel: Callable[..., Any], texts: int) -> Callable[..., Any]:
    def moved(*arguments: Any) -> Any:
        return kernel(*map(at_the_end, arguments[:texts]), *arguments[texts:])

    return moved
