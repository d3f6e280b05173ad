"""Damage as logs meet it, and as someone would do it on purpose: to bytes, lines, values, and packed files.

Belongs here: one function from an input and a source of chance to another input. Does not belong here: which inputs
are worth keeping (`readers`), what must hold of them (`promises`).
"""

import gzip
import io
import json
import random
import stat
import string
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

from pipeline.events.model import EVENT_TYPES

Mutation = Callable[[random.Random, list[bytes]], None]

NUMBERS = (
    "0", "-0", "-0.0", "0.0005", "0.0015", "1e-7", "12.5E+1", "1e3", "89e-1", "1e400", "-1e400", "1.0", "3.0",
    "08", "+1",
    "1.", ".5", "0x10", "NaN", "Infinity", "-Infinity", "-1", "1", "2147483647", "2147483648", "4294967296",
    "-2147483649",
    "9007199254740993", "9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616",
    "9" * 25, "0." + "3" * 25, "1" + "0" * 400, "7" * 4301, "5e-324", "1e-400",
    "-9223372036854775809", "1e22", "1e23", "123456789012345678", "86400", "86400.0005",
    "-3600", "20000.0",
    "19999.9995", "360.0005", "100000", "600", "0.00009", "4.35", "2.675", "1.0005", "70368744177664",
)  # fmt: skip
TEXTS = (
    '""', '" "', '"x"', '"\\u0000"', '"\\u0041"', '"\\ud800"', '"\\ud83d\\ude42"', '"\\udc00\\ud800"',
    '"\\/\\b\\f\\n\\r\\t"',
    '"日本🙂"', '"e\u0301"', '"\u202eabc"', '"player:p1"', '"team:1"', '"../../x"', '"a b"', '"1"', '"-1"', '"01"',
    '"1e3"',
    '"' + "p" * 256 + '"', '"' + "p" * 257 + '"', '"' + "é" * 200 + '"', '"m-01_X"', '"round-3"',
    '"position:1"', '"NaN"',
    '"2026-01-01T12:00:00Z"', '"2026-01-01T12:00:00.000001+05:30"', '"2026-02-29T00:00:00Z"', '"20260101"',
    '"9999-12-31T23:59:59.999999Z"', '"0001-01-01T00:00:00+23:59"', '"1969-12-31T23:59:59.999Z"',
    '"2026-01-01T24:00:00Z"',
    '"9999-12-31T23:59:59-23:59"', '"0001-12-31T23:59:59Z"', '"2026-01-01T12:00:00.1234567Z"',
    '"2026-01-01T12:00:60Z"', '"2026-W01-1"', '"2026-01-01 12:00"',
)  # fmt: skip
OTHERS = (
    "null", "true", "false", "[]", "{}", "[[]]", "[null]", '{"":0}', '{"a":1,"a":2}', '{"id":"1"}', "[1,2,3]",
    "[1.5,null,2]",
    "[0,0,0,0]", '[{"id":"1","id":2}]', "[" * 40 + "]" * 40, "[" * 97 + "]" * 97, "[" * 98 + "]" * 98,
    "[" * 900 + "]" * 900, "[" * 1200 + "]" * 1200, '{"a":' * 60 + "1" + "}" * 60,
    "[" * 300, '{"statePath":[]}', '{"x":1,"y":2}', '{"x":1e400,"y":"2"}',
)  # fmt: skip
FIELDS = (
    "event_id", "match_id", "event_type", "actor", "timestamp", "payload", "seq", "ts", "pos", "objective_pos",
    "yaw", "pitch",
    "hp", "armor", "weapon", "place", "has_bomb", "has_kit", "target", "damage", "duration", "round", "sides", "winner",
    "reason", "score", "teams", "objectives", "title", "map", "site", "id", "type", "action", "target", "events",
    "seriesState", "seriesStateDelta", "stateDelta", "state", "statePath", "games", "players", "position", "x",
    "y", "z",
    "currentHealth", "currentArmor", "alive", "items", "inventory", "segments", "sequenceNumber", "seriesId",
    "occurredAt",
    "revertedEventId", "started", "finished", "valid", "won", "winType", "side", "name", "game", "damageDealt",
    "weaponKills",
    "includesFullState", "", "event_type\\u0000", "\\u0074s",
)  # fmt: skip
TYPES = (
    *EVENT_TYPES, "PLAYER_DANCED", "player-killed-player", "player-damaged-player", "game-started-round",
    "team-won-round",
    "series-ended-game", "series-started-game", "grid-sampled-series", "player-completed-plantBomb", "game-ended-round",
    "grid-invalidated-series", "grid-validated-series", "round-ended-freezetime", "player-selfkilled-player",
    "round-started-freezetime", "player-!killed-player", "player-dropped-item", "player-pickedUp-item",
    "game-set-clock", "--",
)  # fmt: skip
BYTES = (
    b"\x00", b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b"\r", b"\n", b"\r\n",
    b"\t", b" ",
    b"\x0b", b"\x0c", b"\x1f", b"\x7f", b'"', b"\\", b"\\u", b"\\ud8", b"{", b"}", b"[", b"]", b",", b":",
    b"}\n{", b'"!',
    b"\xe2\x80\xa8", b"\xc2\xa0", b"//", b"nul", b"NaN", b"-", b"e", b".", b"0",
)  # fmt: skip
_MARK = "\x01"  # never in a log: stands for raw text until the line is written


def mutate(data: bytes, most: int, seed: int, splice: bytes = b"") -> bytes:
    """The input after one to four changes.

    Args:
        data: a log, packed or not.
        most: how many bytes the result may have.
        seed: decides everything.
        splice: another log, of which lines and values may be taken.
    """
    chance = random.Random(seed)
    text = _unpacked(data)
    if text is None or (chance.random() < 0.5 and text is not data):
        return _damage_bytes(chance, data)[:most]
    lines = text.split(b"\n")
    others = (_unpacked(splice) or b"").split(b"\n") if splice else lines
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 4))):
        _change(chance, lines, others)
    changed = b"\n".join(lines)
    if chance.random() < 0.04:
        changed = chance.choice((_byte_order_mark, _carriage_returns, _without_end))(changed)
    if chance.random() < (0.03 if text is data else 0.7):
        changed = _pack(chance, changed)
    return changed[:most]


def splice(one: bytes, other: bytes, most: int, seed: int) -> bytes:
    """Lines of two logs, the order within each kept."""
    chance = random.Random(seed)
    texts = [_unpacked(data) for data in (one, other)]
    if texts[0] is None or texts[1] is None:
        return mutate(one, most, seed)
    first, second = (text.split(b"\n") for text in texts if text is not None)
    a, b = sorted((chance.randrange(len(second) + 1), chance.randrange(len(second) + 1)))
    at = chance.randrange(len(first) + 1)
    until = chance.choice((at, min(len(first), at + b - a), len(first)))
    return b"\n".join(first[:at] + second[a:b] + first[until:])[:most]


def _change(chance: random.Random, lines: list[bytes], others: list[bytes]) -> None:
    kind = chance.random()
    if kind < 0.22:
        _change_lines(chance, lines, others)
    elif kind < 0.82:
        at = chance.randrange(len(lines))
        lines[at] = _change_value(chance, lines[at], chance.choice(others))
    elif kind < 0.9:
        at = chance.randrange(len(lines))
        lines[at] = _change_text(chance, lines[at])
    else:
        at = chance.randrange(len(lines))
        lines[at] = _damage_bytes(chance, lines[at])


def _change_lines(chance: random.Random, lines: list[bytes], others: list[bytes]) -> None:
    at, to = chance.randrange(len(lines)), chance.randrange(len(lines))
    match chance.randrange(9):
        case 0:
            lines[at], lines[to] = lines[to], lines[at]
        case 1:
            lines.insert(to, lines[at])
        case 2 if len(lines) > 1:
            del lines[at]
        case 3:
            lines[at] = lines[at][: chance.randrange(len(lines[at]) + 1)]
        case 4:
            lines.insert(to, chance.choice((b"", b" ", b"\r", b"\t \x0b\x0c", b"[]", b"{}", b"null", b"1", b"\x00")))
        case 5:
            lines.insert(to, chance.choice(others))
        case 6:
            chance.shuffle(lines)
        case 7 if to != at:
            lines[at] += chance.choice((b"", b" ", b"\r", b"\x00")) + lines.pop(to) if to > at else b""
        case 8:
            count = chance.choice((2, 3, 20, 70))
            lines[at:at] = [_numbered(lines[at], n) for n in range(count if len(lines[at]) < 600 else 2)]
        case _:
            lines.append(b"")


def _numbered(line: bytes, number: int) -> bytes:
    """The line as another event of the same kind."""
    for name in (b'"event_id":"', b'"sequenceNumber":', b'"id":"'):
        line = line.replace(name, name + str(number + 1).encode(), 1 if name != b'"id":"' else 2)
    return line


def _change_value(chance: random.Random, line: bytes, other: bytes) -> bytes:
    try:
        wire = json.loads(line)
    except (ValueError, RecursionError):
        return _change_text(chance, line)
    raw: list[str] = []

    def put(text: str) -> str:
        raw.append(text)
        return f"{_MARK}{len(raw) - 1}{_MARK}"

    places = list(_places(wire))
    if not places:
        return chance.choice((*OTHERS, *NUMBERS)).encode()
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        holder, key = chance.choice(places)
        _replace(chance, holder, key, put, other)
    try:
        text = json.dumps(wire, ensure_ascii=chance.random() < 0.3, separators=chance.choice(_SEPARATORS))
    except (ValueError, RecursionError, TypeError):
        return line
    for number, entry in enumerate(raw):
        text = text.replace(f'"\\u0001{number}\\u0001"', entry)
    return text.encode("utf-8", "surrogatepass")


_SEPARATORS = ((",", ":"), (",", ":"), (",", ":"), (", ", ": "), (" ,\t", " :\r"))


def _places(value: Any) -> Any:
    """Every place within: who holds it, and under which key."""
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        entries = (
            list(holder.items())
            if isinstance(holder, dict)
            else list(enumerate(holder))
            if isinstance(holder, list)
            else []
        )
        for key, entry in entries:
            yield holder, key
            if isinstance(entry, dict | list):
                waiting.append(entry)


def _replace(chance: random.Random, holder: Any, key: Any, put: Callable[[str], str], other: bytes) -> None:
    if key >= len(holder) if isinstance(holder, list) else key not in holder:
        return
    value = holder[key]
    choice = chance.randrange(14)
    if choice <= 4:
        holder[key] = put(_like(chance, value))
    elif choice == 5:
        holder[key] = put(chance.choice(chance.choice((NUMBERS, TEXTS, OTHERS))))
    elif choice == 6 and isinstance(value, int | float) and not isinstance(value, bool):
        holder[key] = value + chance.choice((-1, 1, 0.5, 0.001, -0.0005, 250, 3601, -3601)) if abs(value) < 2**50 else 0
    elif choice == 7:
        del holder[key]
    elif choice == 8 and isinstance(holder, dict):
        holder[chance.choice(FIELDS)] = holder.pop(key)
    elif choice == 9 and isinstance(holder, dict):
        again = chance.choice((key, chance.choice(FIELDS)))
        holder[key] = put(f"{json.dumps(value)},{json.dumps(str(again))}:{_like(chance, value)}")
    elif choice == 10 and isinstance(holder, dict):
        items = list(holder.items())
        chance.shuffle(items)
        holder.clear()
        holder.update(items)
    elif choice == 11:
        holder[key] = put(chance.choice(("[{}]", '{{"a":{}}}', "[{0},{0}]", "[[[{}]]]")).format(json.dumps(value)))
    elif choice == 12:
        try:
            places = list(_places(json.loads(other)))
        except (ValueError, RecursionError):
            places = []
        if places:
            from_, at = chance.choice(places)
            holder[key if isinstance(holder, list) else chance.choice((key, str(at)))] = from_[at]
    elif isinstance(holder, dict):
        holder[chance.choice(FIELDS)] = put(chance.choice(chance.choice((NUMBERS, TEXTS, OTHERS))))
    else:
        holder.insert(key, value)


def _like(chance: random.Random, value: Any) -> str:
    """Something of the same kind as a value, as JSON text."""
    if isinstance(value, bool):
        return chance.choice(("true", "false", "null", "1"))
    if isinstance(value, int | float):
        if chance.random() < 0.5:
            return chance.choice(NUMBERS)
        digits = chance.randrange(1, 20)
        whole, rest = chance.randrange(10 ** chance.randrange(1, 7)), chance.randrange(10**digits)
        return f"{chance.choice(('', '-'))}{whole}.{rest:0{digits}d}"
    if isinstance(value, str):
        if chance.random() < 0.3:
            return json.dumps(chance.choice(TYPES))
        if chance.random() < 0.3 and value:
            at = chance.randrange(len(value))
            return json.dumps(value[:at] + chance.choice(string.printable) + value[at + 1 :])
        return chance.choice(TEXTS)
    return chance.choice(OTHERS)


def _change_text(chance: random.Random, line: bytes) -> bytes:
    """Changes that keep most of a line's characters: blanks, escapes, repeats."""
    if not line:
        return chance.choice((b"", b" ", b"{", b"\x00", b"\xef\xbb\xbf"))
    at = chance.randrange(len(line))
    match chance.randrange(6):
        case 0:
            mark = chance.choice((b",", b":", b"{", b"}", b"[", b"]"))
            return line.replace(
                mark, chance.choice((b" ", b"\t", b"\r", b"\n", b"\x0b")) + mark, chance.randrange(1, 9)
            )
        case 1:
            letter = line[at : at + 1]
            return line[:at] + (b"\\u%04x" % letter[0] if letter.isalnum() else letter) + line[at + 1 :]
        case 2:
            length = chance.choice((1, 2, 8, 40, 300))
            return line[:at] + line[at : at + length] + line[at:]
        case 3:
            return line.replace(b'"', b'"' + b"y" * chance.choice((300, 5_000, 19_000, 25_000)), 1)
        case 4:
            name, value = chance.choice(FIELDS), chance.choice(chance.choice((NUMBERS, TEXTS, OTHERS)))
            return line.replace(b"{", f'{{"{name}":{value},'.encode("utf-8", "surrogatepass"), 1)
        case _:
            return line + chance.choice((b" ", b"\r", b",", b"}", b"{}", b"\x00", b"//", line))


def _damage_bytes(chance: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 5))):
        at = chance.randrange(len(changed) + 1)
        match chance.randrange(6):
            case 0:
                changed[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                changed[at:at] = chance.choice(BYTES)
            case 2:
                piece = chance.choice(BYTES)
                changed[at : at + len(piece)] = piece
            case 3:
                del changed[at : at + chance.choice((1, 2, 4, 16, 64, 512))]
            case 4 if at < len(changed):
                changed[at] ^= 1 << chance.randrange(8)
            case _:
                to = chance.randrange(len(changed) + 1)
                changed[to:to] = changed[at : at + chance.choice((1, 4, 16, 128))]
    return bytes(changed)


def _byte_order_mark(text: bytes) -> bytes:
    return b"\xef\xbb\xbf" + text


def _carriage_returns(text: bytes) -> bytes:
    return text.replace(b"\n", b"\r\n")


def _without_end(text: bytes) -> bytes:
    return text.rstrip(b"\n")


def _unpacked(data: bytes) -> bytes | None:
    """The text of a packed log as far as it goes; the data itself if it is not packed; None of what can't be read."""
    if data.startswith(b"\x1f\x8b"):
        text, rest = b"", data
        while rest.startswith(b"\x1f\x8b"):
            stream = zlib.decompressobj(31)
            try:
                text += stream.decompress(rest, 1 << 20)
            except zlib.error:
                break
            if not stream.eof:
                break
            rest = stream.unused_data
        return text or None
    if data.startswith(b"PK"):
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                entries = [entry for entry in archive.infolist() if entry.file_size < 1 << 20]
                return b"\n".join(archive.read(entry) for entry in entries[:4]) or None
        except (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError, ValueError, OverflowError):
            return None
    return data


def _pack(chance: random.Random, text: bytes) -> bytes:
    half = chance.randrange(len(text) + 1)
    match chance.randrange(8):
        case 0:
            return gzip.compress(text, mtime=0)
        case 1:
            return (
                gzip.compress(text[:half], mtime=0)
                + gzip.compress(text[half:], mtime=0)
                + b"\0" * chance.choice((0, 3))
            )
        case 2:
            packed = gzip.compress(text, mtime=0)
            return packed[: chance.randrange(len(packed) + 1)]
        case 3:
            return _damage_bytes(chance, gzip.compress(text, mtime=0))
        case 4:
            return gzip.compress(text, mtime=0) + chance.choice((b"x", b"\x1f\x8b", b"\x1f\x8b\x08\x00", b"\0\0x"))
        case 5:
            return _damage_bytes(chance, _zip(chance, text))
        case _:
            return _zip(chance, text)


NAMES = (
    "log.jsonl", "a/b.ndjson", "LOG.JSON", "readme.txt", "../log.jsonl", "/log.jsonl", "C:/log.jsonl",
    "a\\..\\..\\b.jsonl",
    "inner.zip", "inner.jsonl.gz", "._log.jsonl", "__MACOSX/log.jsonl", "folder/", "日本.jsonl", "log.jsonl", "",
)  # fmt: skip


WILD = (0, 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1)


def _zip(chance: random.Random, text: bytes) -> bytes:
    buffer = io.BytesIO()
    method = chance.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2))
    lines = text.split(b"\n")
    count = chance.choice((1, 1, 2, 3, 6))
    size = -(-len(lines) // count)
    with zipfile.ZipFile(buffer, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of two members of one name
        for part in range(count):
            ordinary = chance.random() < 0.7
            name = f"part-{part}.jsonl" if ordinary else chance.choice(NAMES)
            entry = zipfile.ZipInfo(name)
            entry.compress_type = method
            if chance.random() < 0.04:
                entry.external_attr = (stat.S_IFLNK | 0o777) << 16
            if chance.random() < 0.04:  # sizes and place in 64 bits (APPNOTE.TXT 4.5.3), used where 32 are all ones
                entry.extra = struct.pack("<HHQQQ", 1, 24, *(chance.choice(WILD) for _ in range(3)))
            body = b"\n".join(lines[part * size : (part + 1) * size])
            if chance.random() < 0.04:
                body = gzip.compress(body, mtime=0)
            archive.writestr(entry, body)
    packed = bytearray(buffer.getvalue())
    if chance.random() < 0.15:  # another checksum or size than the directory declares
        at = packed.rfind(b"PK\x01\x02") + chance.choice((16, 17, 20, 24, 25, 42, 8, 10))
        packed[at % len(packed)] ^= 1 << chance.randrange(8)
    if chance.random() < 0.1:
        at = packed.rfind(b"PK\x01\x02") + chance.choice((20, 24, 42))
        packed[at : at + 4] = b"\xff" * 4
    return bytes(packed)
