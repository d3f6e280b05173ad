"""The bench's feeder: every event of every match, when it is due, and how late it was."""

import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import redis

from bench.feeder import Feed

ROOT = Path(__file__).parents[2]


def test_every_event_is_sent_to_its_match_in_the_order_of_time(redis_server: str, tmp_path: Path) -> None:
    client = redis.from_url(redis_server)
    client.flushall()
    feed = Feed(
        address=redis_server.removeprefix("unix://"),
        names=[b"m0", b"m1"],
        stagger_s=0.02,
        at_s=[0.0, 0.01, 0.2],
        before=[b'{"n":%d,"match_id":"' % n for n in range(3)],
        after=[b'"}'] * 3,
    )
    (tmp_path / "feed.msgpack").write_bytes(msgspec.msgpack.encode(feed))
    words = [sys.executable, "-m", "bench.feeder", str(tmp_path)]
    with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE) as process:
        begin = time.monotonic() + 0.5
        process.communicate(b"%.6f\n" % begin, timeout=60)
    sent, lag = np.load(tmp_path / "sent.npy"), np.load(tmp_path / "lag.npy")
    told = [msgspec.json.decode(fields[b"event"]) for _, fields in client.xrange("events:canonical")]
    client.close()
    assert process.returncode == 0 and sent.shape == (2, 3) and (lag >= 0).all()
    assert (sent - begin >= np.array([[0.0, 0.01, 0.2], [0.02, 0.03, 0.22]])).all()
    assert [(event["match_id"], event["n"]) for event in told] == [
        ("m0", 0), ("m0", 1), ("m1", 0), ("m1", 1), ("m0", 2), ("m1", 2),
    ]  # fmt: skip
