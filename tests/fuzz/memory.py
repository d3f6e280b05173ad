"""Input, and room for output, that ends where memory ends.

Compiled code may read a text in words, and write to addresses, which no check of indices sees. Here the texts that
the kernels read, and the arrays that they fill, lie at the very end of their pages, with a page behind them that must
not be touched: one byte too far ends the process.
"""

import ctypes
import mmap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from pipeline.events.sources import canonical_scan, canonical_scan_kernel, grid_scan, grid_scan_kernel

_PAGE = mmap.PAGESIZE
_LIBC = ctypes.CDLL(None, use_errno=True)


def at_the_end(text: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A copy whose last byte is the last one that may be read."""
    copy = _room(text.size)
    copy[:] = text
    copy.setflags(write=text.flags.writeable)
    return copy


def _room(size: int) -> NDArray[np.uint8]:
    """Zeros, of which the last is the last byte that may be touched."""
    pages = -(-max(size, 1) // _PAGE)
    memory = mmap.mmap(-1, (pages + 1) * _PAGE)
    whole = np.frombuffer(memory, np.uint8)
    if _LIBC.mprotect(ctypes.c_void_p(whole.ctypes.data + pages * _PAGE), ctypes.c_size_t(_PAGE), 0):
        raise OSError(ctypes.get_errno(), "mprotect")
    return whole[pages * _PAGE - size : pages * _PAGE]


class _Numpy:
    """numpy for a module that makes room for a kernel."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    @staticmethod
    def zeros(shape: int | tuple[int, ...], dtype: Any = np.float64) -> NDArray[Any]:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return _room(size).view(dtype).reshape(shape)

    empty = zeros


@contextmanager
def guarded() -> Iterator[None]:
    """In it the kernels read texts that end where memory ends, and write to arrays that do."""
    with (
        mock.patch.object(canonical_scan_kernel, "scan_lines", _moving(canonical_scan_kernel.scan_lines, 1)),
        mock.patch.object(grid_scan_kernel, "read_block", _moving(grid_scan_kernel.read_block, 2)),
        mock.patch.object(canonical_scan, "np", _Numpy()),
        mock.patch.object(canonical_scan, "_memory", lambda *sizes: [_room(size) for size in sizes]),
        mock.patch.object(grid_scan, "np", _Numpy()),
    ):
        yield


def _moving(kernel: Callable[..., Any], texts: int) -> Callable[..., Any]:
    def moved(*arguments: Any) -> Any:
        return kernel(*map(at_the_end, arguments[:texts]), *arguments[texts:])

    return moved
