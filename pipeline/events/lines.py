"""A log as a bounded stream of blocks of whole lines, whatever it is packed in.

Belongs here: cutting lines, numbering them, limits on memory.
Does not belong here: packed files (`pipeline.events.archives`), what a line says (`pipeline.events.sources`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from configs.events import LinesConfig
from pipeline.events.archives import BROKEN, Content, TooLarge, UnusableLog, members

UTF8_BOM = b"\xef\xbb\xbf"
_LINE_END = ord("\n")

__all__ = ["Block", "Content", "Line", "UnusableLog", "digest", "lines_of", "read_blocks", "read_lines"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line that is not blank.

    Attributes:
        number: from 1, blank lines counted, running on over the members of an archive; 0 for the file itself.
        data: its bytes without the line ending; of a refused line only the start.
        refused: why it can't be read at all, else None.
    """

    number: int
    data: bytes
    refused: str | None = None


@dataclass(slots=True)
class Block:
    """Whole lines that follow each other, blank ones among them.

    Attributes:
        first_line: number of its first line, counted as in `Line`.
        data: the lines, each ended by a line feed, without a byte order mark; none is longer than the limit.
        feeds: how many line feeds it has, once whoever looks at each of them has told.
    """

    first_line: int
    data: bytes
    feeds: int | None = None


def digest(path: Path) -> tuple[str, int]:
    """BLAKE3 of a file as hex, and its size in bytes.

    Raises:
        UnusableLog: if the file can't be read.
    """
    try:
        content = Content.of(path)
    except OSError as error:
        raise UnusableLog(f"{path.name}: {error.strerror or error}") from error
    return content.blake3, content.size


def read_blocks(path: Path, config: LinesConfig, content: Content | None = None) -> Iterator[Block | Line]:
    """A log as blocks of lines, never more than two chunks and one line in memory.

    A line longer than the limit, and the rest of an archive that breaks off or grows too large, come as refused
    lines in their place: no limit and no damage loses what can still be read.

    Args:
        path: plain text, gzip or a zip of line files, told apart by their first bytes.
        config: limits.
        content: is shown every byte of the file, if it is read to its end.

    Yields:
        Blocks in the order of the file, and a `Line` for each one that is refused.

    Raises:
        UnusableLog: if the file can't be opened, or is an archive that `pipeline.events.archives` refuses.
    """
    number = 0
    for chunks in members(path, config, content):
        cutter = _Cutter(number, config)
        refused = None
        try:
            for chunk in chunks:
                yield from cutter.feed(chunk)
        except BROKEN as error:
            yield from cutter.cut()
            refused = Line(0, b"", f"the file breaks off after line {cutter.number}: {error}")
        except TooLarge as error:
            refused = Line(0, b"", str(error))
        yield from cutter.finish()
        if refused is not None:
            yield refused
        number = cutter.number


def lines_of(block: Block) -> Iterator[Line]:
    """The lines of a block, one by one."""
    for number, data in enumerate(block.data.split(b"\n"), block.first_line):
        if data.strip():
            yield Line(number, data)


def read_lines(path: Path, config: LinesConfig) -> Iterator[Line]:
    """The blocks of `read_blocks` as lines."""
    for block in read_blocks(path, config):
        if isinstance(block, Block):
            yield from lines_of(block)
        else:
            yield block


class _Cutter:
    """Cuts chunks into blocks; of an open line that is already too long it holds only the start and the length."""

    def __init__(self, number: int, config: LinesConfig) -> None:
        self.number = number
        self._first = number + 1
        self._block_bytes = config.chunk_bytes
        self._longest = config.max_line_bytes
        self._shown = 4 * config.raw_chars
        self._whole: list[bytes | memoryview] = []
        self._whole_size = 0
        self._open = b""
        self._open_size = 0

    def feed(self, chunk: bytes) -> Iterator[Block | Line]:
        end = chunk.rfind(b"\n") + 1
        start = 0
        if end:
            first = chunk.find(b"\n")
            if self._open_size + first > self._longest:
                start = first + 1
                yield from self.cut()
                self._extend(chunk[:first])
                yield self._refuse_open()
            if self._open:
                self._whole.append(self._open)
            self._whole.append(chunk if (start, end) == (0, len(chunk)) else memoryview(chunk)[start:end])
            self._whole_size += len(self._open) + end - start
            self._open, self._open_size = b"", 0
            if self._whole_size + len(chunk) > self._block_bytes:  # with another such chunk it would be too much
                yield from self.cut()
        self._extend(chunk[end:])

    def finish(self) -> Iterator[Block | Line]:
        if self._open_size > self._longest:
            yield from self.cut()
            yield self._refuse_open()
        elif self._open_size:
            self._whole += [self._open, b"\n"]
        yield from self.cut()

    def cut(self) -> Iterator[Block | Line]:
        """The whole lines so far."""
        data = b"".join(self._whole)
        self._whole, self._whole_size = [], 0
        if self.number + 1 == self._first:
            data = data.removeprefix(UTF8_BOM)
        while len(data) > self._longest and (found := self._too_long(data)) is not None:
            start, end = found
            yield from self._block(data[:start])
            yield self._refuse(data[start:end], end - start)
            data = data[end + 1 :]
        yield from self._block(data)

    def _too_long(self, data: bytes) -> tuple[int, int] | None:
        start = 0
        while start < len(data):
            end = data.index(b"\n", start)
            if end - start > self._longest:
                return start, end
            start = end + 1
        return None

    def _block(self, data: bytes) -> Iterator[Block]:
        if data:
            block = Block(self.number + 1, data)
            yield block
            feeds = block.feeds
            self.number += int(np.count_nonzero(np.frombuffer(data, np.uint8) == _LINE_END)) if feeds is None else feeds

    def _refuse(self, line: bytes, size: int) -> Line:
        self.number += 1
        reason = f"{size} bytes in a line, at most {self._longest} are read"
        return Line(self.number, line[: self._shown], reason)

    def _refuse_open(self) -> Line:
        line = self._refuse(self._open, self._open_size)
        self._open, self._open_size = b"", 0
        return line

    def _extend(self, piece: bytes) -> None:
        self._open_size += len(piece)
        if self._open_size > self._longest:
            self._open = (self._open + piece[: self._shown])[: self._shown]
        else:
            self._open = self._open + piece if self._open else piece
