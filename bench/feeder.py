"""Sends the events of many running matches in real time: a process of its own, so that nothing else makes it late.

Belongs here: commands made beforehand, their times, and how late each was sent. Does not belong here: which events, and
what becomes of them (`agent`).

`python -m bench.feeder <folder>` reads `feed.msgpack` there, connects, creates `ready`, sends from the instant that a
line on stdin names (seconds of the monotonic clock, which all processes share), and leaves when each was sent in
`sent.npy`.
"""

import select
import socket
import sys
import time
from pathlib import Path

import msgspec
import numpy as np

from resources.stream import EVENT, EVENTS

TICK_S = 0.001
"""What is due within it is sent at once."""
_STREAM_ENTRIES = b"200000"  # what the stream keeps, about


class Feed(msgspec.Struct):
    """What is to be sent.

    Attributes:
        address: path of the server's socket.
        names: of the matches, all of one length.
        stagger_s: each match begins so much later than the one before.
        at_s: when each event of a match is sent, from the match's beginning, ascending.
        before: each event's bytes up to the name of its match.
        after: its bytes behind that name.
    """

    address: str
    names: list[bytes]
    stagger_s: float
    at_s: list[float]
    before: list[bytes]
    after: list[bytes]


def main() -> None:
    """Sends, and writes down when."""
    folder = Path(sys.argv[1])
    feed = msgspec.msgpack.decode((folder / "feed.msgpack").read_bytes(), type=Feed)
    width, many = len(feed.names[0]), len(feed.at_s)
    head = _words(b"XADD", EVENTS.encode(), b"MAXLEN", b"~", _STREAM_ENTRIES, b"*", EVENT)
    start = [
        b"*%d\r\n%s$%d\r\n%s" % (8, head, len(one) + width + len(two), one)
        for one, two in zip(feed.before, feed.after, strict=True)
    ]
    end = [after + b"\r\n" for after in feed.after]
    due = np.add.outer(np.arange(len(feed.names)) * feed.stagger_s, np.array(feed.at_s)).ravel()
    order = np.argsort(due, kind="stable")
    due, sent = due[order], np.zeros(len(order))
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(feed.address)
        (folder / "ready").touch()
        begin = float(sys.stdin.readline())
        place = 0
        while place < len(order):
            now = time.monotonic()
            upto = int(np.searchsorted(due, now - begin, side="right"))
            if upto > place:
                sent[place:upto] = now
                matches, events = np.divmod(order[place:upto], many)
                told: list[bytes] = []
                for match, event in zip(matches.tolist(), events.tolist(), strict=True):
                    told += (start[event], feed.names[match], end[event])
                server.sendall(b"".join(told))
                place = upto
            while select.select([server], [], [], 0)[0]:
                if b"-" in (answers := server.recv(1 << 20)) and b"-ERR" in answers:
                    raise RuntimeError(answers[:200])
            time.sleep(TICK_S)
    by_event = np.empty(len(order))
    by_event[order] = sent
    np.save(folder / "sent.npy", by_event.reshape(len(feed.names), many))
    np.save(folder / "lag.npy", sent - begin - due)


def _words(*words: bytes) -> bytes:
    return b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


if __name__ == "__main__":
    main()
