"""Every kept input keeps every promise; `make fuzz` looks for new ones."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import mutations, promises

ROOT = Path(__file__).parents[2]
CORPUS = sorted(path for path in Path(__file__).with_name("corpus").rglob("*") if path.is_file())


@pytest.mark.parametrize("path", CORPUS, ids=[f"{path.parent.name}/{path.name}" for path in CORPUS])
def test_a_kept_input_keeps_every_promise(path, tmp_path):
    promises.check(path.read_bytes(), tmp_path, thorough=True)


@pytest.mark.parametrize("reader", ["canonical", "grid"])
def test_damaged_inputs_keep_every_promise(reader, tmp_path):
    own = [path.read_bytes() for path in CORPUS if path.parent.name == reader]
    for seed in range(60):
        damaged = mutations.mutate(own[seed % len(own)], 20_000, seed, own[seed * 7 % len(own)])
        promises.check(damaged, tmp_path, thorough=seed % 6 == 0)


def test_the_corpus_is_small():
    assert sum(path.stat().st_size for path in CORPUS) < 1_000_000


LINE = b'{"event_id":"e%d","match_id":"m","event_type":"ROUND_LIVE","actor":"p","payload":{"pos":[1,2,3.5],"ts":%d}}\n'


@pytest.fixture
def outcome(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"".join(LINE % (n, n) for n in range(3)))
    return promises.read(path, promises.WHOLE)


@pytest.mark.parametrize(
    ("data", "promise"),
    [
        (b"".join(LINE % (n, n) for n in range(4)), "every line that is not blank counts"),
        (b"".join(LINE % (n, n + (n == 1)) for n in range(3)), "an event says what its line says"),
        (b"".join(LINE % (n, n) for n in range(2)) + b"\n" + LINE % (2, 2), "an event names its line"),
        (
            b"".join(LINE % (n, n) for n in range(3)).replace(b'"ts"', b'"mood":1,"ts"'),
            "a payload keeps what no column holds",
        ),
    ],
)
def test_tables_that_do_not_tell_of_their_log_break_a_promise(outcome, data, promise):
    promises._complete(b"".join(LINE % (n, n) for n in range(3)), outcome)
    with pytest.raises(promises.Broken, match=promise):
        promises._complete(data, outcome)


def test_a_grid_event_that_is_called_a_duplicate_and_is_none_breaks_a_promise(tmp_path):
    told = b'{"seriesId":"1","sequenceNumber":%d,"occurredAt":"2026-01-01T12:00:00.000Z","events":[{"type":"a-b-c"}]}\n'
    path = tmp_path / "log"
    path.write_bytes(told % 1 + told % 1)
    outcome = promises.read(path, promises.WHOLE)
    promises._complete(told % 1 + told % 1, outcome)
    with pytest.raises(promises.Broken, match="a GRID duplicate repeats another"):
        promises._complete(told % 1 + told % 2, outcome)


def test_a_quick_way_that_differs_breaks_a_promise(monkeypatch, tmp_path):
    log = b"".join(LINE % (n, n) for n in range(3))
    promises.check(log, tmp_path, thorough=False)
    read = promises.canonical.Scanner.read
    wrong = lambda self, block: read(self, type(block)(block.first_line, block.data.replace(b"3.5", b"3.6")))  # noqa: E731
    monkeypatch.setattr(promises.canonical.Scanner, "read", wrong)
    with pytest.raises(promises.Broken, match="the quick way gives what the careful one gives, table drafts"):
        promises.check(log, tmp_path, thorough=False)


def test_an_input_is_made_smaller_as_long_as_it_breaks():
    log = b"\n".join(b'{"a":%d,"b":[1,2]}' % n for n in range(40))
    assert promises.smaller(log, lambda data: b"27" in data and b"[" in data, 10.0) in (b"27[", b"[27")


def test_one_byte_too_far_ends_the_process():
    program = (
        "import ctypes, numpy; from tests.fuzz.memory import at_the_end;"
        "text = at_the_end(numpy.ones(10, numpy.uint8));"
        "assert ctypes.string_at(text.ctypes.data, 10) == bytes([1] * 10); ctypes.string_at(text.ctypes.data, 11)"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True)
    assert run.returncode == -signal.SIGSEGV, run.stderr
