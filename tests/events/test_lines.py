"""Logs are read as bounded lines, whatever they are packed in."""

import contextlib
import errno
import gzip
import io
import json
import random
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from configs.events import load_events
from pipeline.events import archives
from pipeline.events.lines import Content, UnusableLog, digest, read_blocks, read_lines
from pipeline.events.reader import read_log

CONFIG = load_events()
LINES = CONFIG.lines


def _zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


class _Counting:
    """A file that notes each read."""

    def __init__(self, file, reads):
        self._file, self._reads, self.seek = file, reads, file.seek

    def read(self, size):
        self._reads.append(size)
        return self._file.read(size)


def test_lines_are_numbered_as_in_the_file_and_blank_ones_left_out(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"\xef\xbb\xbfone\r\n\n  \ntwo\nthree")
    assert [(line.number, line.data.strip()) for line in read_lines(path, LINES)] == [
        (1, b"one"),
        (4, b"two"),
        (5, b"three"),
    ]


@pytest.mark.parametrize("end", [b"end\n", b"end"])
@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 7, 1000])
def test_where_chunks_end_changes_no_line(tmp_path, chunk_bytes, end):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"a\nbcd\n" + b"x" * 30 + b"\n" + end)
    config = LINES.model_copy(update={"chunk_bytes": chunk_bytes, "max_line_bytes": 10})
    lines = list(read_lines(path, config))
    assert [(line.number, line.data) for line in lines if line.refused is None] == [(1, b"a"), (2, b"bcd"), (4, b"end")]
    assert [(line.number, line.refused) for line in lines if line.refused] == [
        (3, "30 bytes in a line, at most 10 are read")
    ]


@pytest.mark.parametrize("longest, whole", [(40, True), (3000, False)])
def test_a_plain_file_is_read_up_to_ends_of_lines_where_they_are_near(tmp_path, longest, whole):
    path = tmp_path / "log.jsonl"
    sizes = random.Random(longest)
    text = b"".join(b"x" * sizes.randrange(longest) + b"\n" for _ in range(300)) + b"end"
    path.write_bytes(text)
    config = LINES.model_copy(update={"chunk_bytes": 1024})
    content = Content()
    (pieces,) = [list(chunks) for chunks in archives.members(path, config, content)]
    assert b"".join(pieces) == text and max(map(len, pieces)) <= 1024 and content.size == len(text)
    assert all(piece.endswith(b"\n") for piece in pieces[:-1]) is whole
    assert b"".join(block.data for block in read_blocks(path, config)) == text + b"\n"


def test_the_members_of_a_zip_are_one_stream_by_name(tmp_path):
    path = _zip(
        tmp_path / "log.zip", {"b.jsonl": "3\n4\n", "a.jsonl": "1\n2", "notes.txt": "no", "__MACOSX/a.jsonl": "no"}
    )
    assert [(line.number, line.data) for line in read_lines(path, LINES)] == [
        (1, b"1"),
        (2, b"2"),
        (3, b"3"),
        (4, b"4"),
    ]


def test_every_member_of_a_zip_may_begin_with_a_byte_order_mark(tmp_path):
    path = _zip(tmp_path / "log.zip", {"a.jsonl": b"\xef\xbb\xbf1\n", "b.jsonl": b"\xef\xbb\xbf2\n\xef\xbb\xbf3"})
    assert [line.data for line in read_lines(path, LINES)] == [b"1", b"2", b"\xef\xbb\xbf3"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_both_read(tmp_path):
    path = tmp_path / "log.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.jsonl", "1")
        archive.writestr("a.jsonl", "2")
    assert [line.data for line in read_lines(path, LINES)] == [b"1", b"2"]


@pytest.mark.parametrize(
    "members, reason",
    [
        ({"../evil.jsonl": "1"}, "points outside"),
        ({"/etc/evil.jsonl": "1"}, "points outside"),
        ({"a\\..\\..\\evil.jsonl": "1"}, "points outside"),
        ({"inner.zip": "1", "log.jsonl": "1"}, "archive inside"),
        ({"inner.jsonl.gz": "1"}, "archive inside"),
        ({"notes.txt": "1"}, "holds no"),
        ({}, "holds no"),
        ({f"{n}.jsonl": "1" for n in range(65)}, "65 line files"),
    ],
)
def test_a_zip_that_is_not_a_log_is_unusable(tmp_path, members, reason):
    with pytest.raises(UnusableLog, match=reason):
        list(read_lines(_zip(tmp_path / "log.zip", members), LINES))


@pytest.mark.parametrize("between", [b"", b"0123456789"], ids=["record before its locator", "record where it says"])
def test_the_directory_s_size_in_a_zip64_record_is_held_to_the_limit_too(tmp_path, between):
    path = _zip(tmp_path / "log.zip", {f"{n}.jsonl": "1" for n in range(40)})
    whole = path.read_bytes()
    size, offset = struct.unpack("<II", whole[-10:-2])
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 40, 40, size, offset)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, len(whole) - 22, 1)
    silent = whole[-22:-10] + struct.pack("<II", 0, offset) + whole[-2:]
    path.write_bytes(whole[:-22] + record + between + locator + silent)
    if not between:
        assert len(list(read_lines(path, LINES))) == 40
    with pytest.raises(UnusableLog, match=f"directory has more than {size - 1} bytes"):
        list(read_lines(path, LINES.model_copy(update={"max_directory_bytes": size - 1})))


def test_zeros_and_names_around_the_members_of_a_gzip_are_not_read_byte_by_byte(tmp_path, monkeypatch):
    member = gzip.compress(b"a\n")
    named = member[:3] + b"\x18" + member[4:10] + b"n" * 5000 + b"\0" + b"c" * 255 + b"\0" + member[10:]
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(member + bytes(100_000) + named + member + bytes(3) + member + bytes(100_000))
    calls, zeros, text = [], archives._after_zeros, archives._skip_text
    monkeypatch.setattr(archives, "_after_zeros", lambda file: zeros(_Counting(file, calls)))
    monkeypatch.setattr(archives, "_skip_text", lambda file: text(_Counting(file, calls)))
    lines = list(read_lines(path, LINES))
    assert [line.data for line in lines] == [b"a"] * 4 and all(line.refused is None for line in lines)
    assert len(calls) < 1000


@pytest.mark.parametrize(("length", "told"), [(65_000, "too early"), (70_000, "more than 65536 bytes")])
def test_a_gzip_s_name_without_end_is_told(tmp_path, length, told):
    member = gzip.compress(b"a\n")
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(member + member[:3] + b"\x08" + member[4:10] + b"n" * length)
    lines = list(read_lines(path, LINES))
    assert lines[0].data == b"a" and told in (lines[1].refused or "") and len(lines) == 2


def test_an_archive_made_to_harm_is_read_no_further_than_its_limit(tmp_path):
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(gzip.compress(b"line\n" * 100_000))
    config = LINES.model_copy(update={"chunk_bytes": 1000, "max_unpacked_bytes": 5000})
    lines = list(read_lines(path, config))
    assert len(lines) == 1001 and lines[-1].number == 0 and "unpacks to more" in (lines[-1].refused or "")


def test_a_gzip_that_breaks_off_keeps_what_came_before(tmp_path, match):
    packed = gzip.compress(b"\n".join(json.dumps(wire).encode() for wire in match * 200))
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(packed[: len(packed) // 2])
    reading = read_log(path, log_id="log")
    assert reading.matches["m1"].events.read().height > 0
    first = reading.quarantine.read().to_dicts()[0]
    assert first["source_line"] == 0 and "breaks off after line" in first["reason"]
    row = reading.log.to_dicts()[0]
    assert row["quarantined"] == reading.quarantine.read().height


def _calls_until_damage(path, monkeypatch, data):
    """What can be read of a packed file, and how many calls unpacked it."""
    path.write_bytes(data)
    calls, real = [], archives.isal_zlib.decompressobj

    class Counted:
        def __init__(self, *how):
            self._stream = real(*how)

        def decompress(self, piece, most):
            calls.append(most)
            return self._stream.decompress(piece, most)

        def __getattr__(self, name):
            return getattr(self._stream, name)

    read = []
    with monkeypatch.context() as patched:
        patched.setattr(archives.isal_zlib, "decompressobj", Counted)
        with contextlib.suppress(*archives.BROKEN):
            for chunks in archives.members(path, LINES):
                read.extend(chunks)
    return b"".join(read), len(calls)


@pytest.mark.parametrize("at", [0.02, 0.3, 0.999])
def test_what_stands_before_the_damage_is_unpacked_in_large_steps(tmp_path, monkeypatch, at):
    text = b"".join(b"%064x\n" % random.Random(n).getrandbits(256) for n in range(60_000))
    packed = bytearray(gzip.compress(text, 1))
    place = int(len(packed) * at)
    packed[place : place + 4000] = b"\xff" * len(packed[place : place + 4000])
    read, calls = _calls_until_damage(tmp_path / "log.gz", monkeypatch, packed)
    with monkeypatch.context() as patched:
        patched.setattr(archives, "_UNPACKED_STEP", 256)
        patched.setattr(archives, "_PACKED_STEP", 256)
        assert read == _calls_until_damage(tmp_path / "log.gz", monkeypatch, packed)[0]
    sure = read[: int(len(text) * at * 0.95)]
    assert len(sure) >= int(len(text) * at * 0.95) and text.startswith(sure)
    assert calls < 5000  # in small steps all of it would take 15,000


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_log_whose_disk_fails_in_its_middle_is_told_in_the_quarantine(tmp_path, monkeypatch, match, pack):
    text = b"\n".join(
        json.dumps({**wire, "event_id": f"{n}:{k}"}).encode() for n in range(40) for k, wire in enumerate(match)
    )
    path, real = tmp_path / "log.jsonl", Path.open
    path.write_bytes(pack(text))
    config = CONFIG.model_copy(update={"lines": LINES.model_copy(update={"chunk_bytes": 1000})})

    class Failing(io.FileIO):
        def readinto(self, buffer):
            count = super().readinto(buffer)
            if self.tell() > path.stat().st_size // 2:
                raise OSError(errno.EIO, "Input/output error")
            return count

    def opened(file, *how):
        return io.BufferedReader(Failing(file), 100) if file == path else real(file, *how)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", opened)
        with pytest.raises(UnusableLog, match=r"log.jsonl.*Input/output error") as caught:
            read_log(path, log_id="log", config=config)
    told = caught.value.quarantine.read()
    assert told["source_line"].to_list() == [0] and "Input/output error" in told["reason"].item()


def test_where_a_gzip_breaks_off_the_open_line_behind_a_too_long_one_is_kept(tmp_path):
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(gzip.compress(b"a\n" + b"x" * 30 + b"\nb\nopen")[:-8] + bytes(8))
    lines = list(read_lines(path, LINES.model_copy(update={"max_line_bytes": 10})))
    assert [(line.number, line.data) for line in lines if line.refused is None] == [(1, b"a"), (3, b"b"), (4, b"open")]
    assert [line.number for line in lines if line.refused] == [2, 0]


def test_a_damaged_zip_member_is_told_and_the_other_read(tmp_path, match):
    text = "\n".join(json.dumps(wire) for wire in match)
    path = _zip(tmp_path / "log.zip", {"a.jsonl": text + " " * 9, "b.jsonl": text})
    data = bytearray(path.read_bytes())
    data[60:90] = bytes(30)
    path.write_bytes(bytes(data))
    reading = read_log(path, log_id="log")
    assert reading.matches["m1"].events.read().height == len(match)
    assert 0 in reading.quarantine.read()["source_line"]


@pytest.mark.parametrize("offset", [2**63 - 1, 2**63, 2**64 - 1])
def test_a_zip_member_that_begins_behind_the_end_of_any_file_is_told(tmp_path, match, offset):
    text = "\n".join(json.dumps(wire) for wire in match)
    path = _zip(tmp_path / "log.zip", {"a.jsonl": text, "b.jsonl": text})
    data = bytearray(path.read_bytes())
    entry = data.rfind(b"PK\x01\x02")
    name = data[entry + 46 : entry + 53]
    extra = struct.pack("<HHQ", 1, 8, offset)  # APPNOTE.TXT 4.5.3
    data[entry + 42 : entry + 53] = b"\xff" * 4 + name + extra
    data[entry + 30 : entry + 32] = struct.pack("<H", len(extra))
    end = data.rfind(b"PK\x05\x06")
    data[end + 12 : end + 16] = struct.pack("<I", int.from_bytes(data[end + 12 : end + 16], "little") + len(extra))
    path.write_bytes(bytes(data))
    reading = read_log(path, log_id="log")
    assert reading.matches["m1"].events.read().height == len(match)
    assert reading.quarantine.read()["source_line"].to_list() == [0]


@pytest.mark.parametrize(
    "data, reason",
    [
        (b"", "it is empty"),
        (b"\n  \n\n", "it is empty"),
        (bytes(range(256)) * 50, "no line of it"),
        (b'{"a": 1}\n{"b": 2}\n', "neither a canonical event nor a GRID transaction"),
        (b"\x1f\x8bnot gzip", "breaks off"),
        (b"PK\x03\x04not zip", "not a readable zip"),
        (b'{"event_id": 1, "event_type": 2}', "event_id"),
        (b'{"sequenceNumber": 1, "events": []}', "empty"),
    ],
)
def test_a_file_with_nothing_usable_fails_with_one_clear_error(tmp_path, data, reason):
    path = tmp_path / "some.log"
    path.write_bytes(data)
    with pytest.raises(UnusableLog, match=reason) as caught:
        read_log(path, log_id="log")
    assert "some.log" in str(caught.value)


def test_a_missing_file_is_an_unusable_log(tmp_path):
    with pytest.raises(UnusableLog, match="nowhere"):
        read_log(tmp_path / "nowhere.jsonl", log_id="log")


def _peak(action):
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_long_line_is_never_held_whole(tmp_path):
    path = tmp_path / "log.jsonl"
    with path.open("wb") as file:
        for _ in range(40):
            file.write(b"x" * 1_000_000)
    config = LINES.model_copy(update={"max_line_bytes": 1_000_000, "chunk_bytes": 65_536})
    refused = []
    peak = _peak(lambda: refused.extend(read_lines(path, config)))
    assert "40000000 bytes" in refused[0].refused and peak < 6_000_000


def test_python_holds_one_batch_of_events_however_many_there_are(tmp_path, match):
    small_steps = {"batch_rows": 200, "frame_rows": 200, "held_rows": 0, "chunk_bytes": 65_536}
    config = CONFIG.model_copy(update={"lines": LINES.model_copy(update=small_steps)})

    def write(name, copies):
        path = tmp_path / name
        with path.open("w") as file:
            for copy in range(copies):
                for wire in match:
                    file.write(json.dumps({**wire, "event_id": f"{copy}:{wire['event_id']}"}) + "\n")
        return path

    small, large = write("small.jsonl", 60), write("large.jsonl", 600)
    read_log(small, log_id="log", config=config)
    peaks = [_peak(lambda path=path: read_log(path, log_id="log", config=config)) for path in (small, large)]
    assert peaks[1] < 1.5 * peaks[0] + 500_000


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_file_that_was_read_to_its_end_is_known_without_reading_it_again(tmp_path, pack):
    path = tmp_path / "log"
    path.write_bytes(pack(b"1\n2\n" * 5000))
    content = Content()
    blocks = read_blocks(path, LINES, content)
    assert next(blocks).first_line == 1
    assert sum(1 for _ in blocks) >= 0 and content.is_whole
    assert (content.blake3, content.size) == digest(path)


def test_a_file_that_was_not_read_to_its_end_is_not_known(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"1\n" * LINES.chunk_bytes)
    content = Content()
    next(read_blocks(path, LINES, content))
    assert not content.is_whole


def test_lines_that_someone_counted_are_not_counted_again(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"1\n" * LINES.chunk_bytes)
    blocks = read_blocks(path, LINES)
    first = next(blocks)
    first.feeds = 7
    assert next(blocks).first_line == 8
