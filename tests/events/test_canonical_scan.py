"""The scanner takes a line only if it takes it as the careful reader does."""

import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from configs.events import load_events
from pipeline.events.drafts import SCHEMA, TEXTS, Draft, draft_frame, in_order
from pipeline.events.lines import Block, Line, lines_of, read_blocks
from pipeline.events.model import EVENT_TYPES
from pipeline.events.quarantine import BadField
from pipeline.events.sources.canonical import read_line
from pipeline.events.sources.canonical_scan import Scanner

VALIDITY = load_events().validity
SAMPLE = (
    '{"event_id":"evt_1","match_id":"m1","event_type":"POSITION_UPDATE","actor":"player:p1",'
    '"timestamp":"2026-01-01T12:00:00Z",'
    '"payload":{"pos":[12.4,0.0,8.9],"objective_pos":[10.0,0.0,10.0],"ts":100.0}}'
)
SIMPLE = [name for name in EVENT_TYPES if name not in ("MATCH_STARTED", "OTHER")]


def words(*texts: str) -> list[str]:
    return " ".join(texts).split()


NUMBERS = words(
    "0 -0 1 7 -3 100 100.0 99.99 0.5 -0.5 1.5 2.5 12.5 0.0005 0.0015 1.0005 -12.3455 12.34565 1.500 -76.400 0.0 -0.0",
    "0.00 359.999 360 -360 360.0001 1e2 1E-3 1.5e+3 0.00012 0.0001 0.00001 0.000001 20000 -20000 19999.999 20000.0005",
    "20000.1 123456789012345 1234567890123456 0.123456789012345 0.1234567890123456 9007199254740993 00 01 1. .5 - +1",
    "NaN Infinity 1e999 12345678901234567890 -9223372036854775809 2147483648 99999999.5 0.3 2.675 86399.9994 0x1 1_0",
    "8.9999999 1.0000000000000 0.00000000000000000 -1.e5 1e 1e+ 1.0.0 --1",
)
VALUES = [
    *words("player:p1 player:p2 team:a m1 ak47 a B-7 bombsite_a TSpawn x y y y a,b} 12345678 1234567 \x7f"),
    *("", " ", "日本", "é" * 130, "\u2028/", "🙂", "i" * 256, "j" * 257, 'quote"', "line\nfeed"),
]
STAMPS = [
    *words("2026-01-01T12:00:00Z 2026-05-17T18:30:28.984Z 2026-05-17T18:30:28.984123Z 2024-02-29T23:59:59.999+00:00"),
    *words("2025-02-29T00:00:00Z 1999-12-31T23:59:60Z 2026-01-01T24:00:00Z 2026-13-01T00:00:00Z 0001-01-01T00:00:00Z"),
    *words("0000-01-01T00:00:00Z 2026-01-01T12:00:00 2026-01-01T12:00:00+02:00 2026-01-01T12:00:00.1Z yesterday"),
    *words("20260101T120000Z 2026-01-01 2026-01-01T12:00 2026-01-01T12:00:00.1234567Z 2000-02-29T00:00:00.000Z"),
    *words("1900-02-29T00:00:00Z 2026-01-01T12:00:00.984+0000 2026-01-01T12:00:00z 9999-12-31T23:59:59.999999Z"),
    *("2026-01-01T12:00:00Z0", "2026-01-01 12:00:00Z", ""),
]
KEYS = words(
    "ts round pos weapon site target seq yaw pitch hp armor place objective_pos has_bomb has_kit damage duration x aa",
    "hitgroup target_hp_before target_pos grenade headshot assister event_type actor ab a payload pos2 yaw_ é",
    "winner reason sides score objective_position 12345678 123456789 1234567890123456 12345678901234567",
)


class Lines:
    """Writes lines as other producers might, most of them right in the main."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.spaced = self.random.random() < 0.3
        self.wild = self.random.choice([0.0, 0.02, 0.2])

    def block(self) -> bytes:
        lines = [self.damaged(self.event()) for _ in range(self.random.randrange(1, 12))]
        lines *= self.random.choice([1, 1, 2])  # what one line leaves behind, the same lines meet again
        return b"\n".join(lines) + self.random.choice([b"", b"\n", b"\n\n \n", b"\n "])

    def event(self) -> bytes:
        pick = self.random
        entries = [
            ("event_id", self.text(f"e{pick.randrange(99)}")),
            ("match_id", self.text(pick.choice(["m1", "m1", "m-2_A"]))),
            ("event_type", self.text(pick.choice([*SIMPLE, *["POSITION_UPDATE", "PLAYER_DAMAGED"] * 6, *EVENT_TYPES]))),
            ("actor", self.text(pick.choice(["player:p1", "player:p2", "player:p3", "player:p4"]))),
            ("timestamp", f'"{pick.choice(STAMPS[:4])}"' if not self.rare() else f'"{pick.choice(STAMPS)}"'),
            ("payload", self.payload() if not self.rare() else self.any()),
        ]
        if pick.random() < 0.2:
            entries.append(("seq", self.number()))
        return self.object(entries, envelope=True).encode("utf-8", "surrogateescape")

    def payload(self) -> str:
        pick = self.random
        usual = {
            "ts": f"{pick.randrange(4_000_000) / 1000}",
            "round": str(pick.randrange(1, 30)),
            "pos": self.point(),
            "target": self.text("player:p2"),
            "damage": str(pick.randrange(100)),
            "yaw": f"{pick.randrange(-1800, 1800) / 10}",
            "pitch": f"{pick.randrange(-900, 900) / 10:.{pick.choice([1, 3])}f}",
            "hp": str(pick.randrange(101)),
            "armor": str(pick.randrange(101)),
            "weapon": self.text(pick.choice(["ak47", "knife"])),
            "place": self.text(pick.choice(["TSpawn", "Mid"])),
            "has_bomb": pick.choice(["true", "false"]),
            "duration": f"{pick.randrange(5000) / 1000}",
            "site": pick.choice(["null", '"bombsite_a"']),
            "target_pos": self.point(),
            "objective_pos": self.point(),
            "hitgroup": self.text("head"),
            "winner": self.text("team:a"),
            "reason": pick.choice(["null", '"time"']),
            "sides": '{"team:a":"t","team:b":"ct"}' if pick.random() < 0.8 else self.members(),
            "score": f'{{"team:a":{pick.randrange(17)},"team:b": 3}}' if pick.random() < 0.8 else self.members(),
        }
        names = [name for name in usual if pick.random() < (0.95 if name in ("ts", "pos", "target", "damage") else 0.5)]
        entries = [(name, usual[name] if not self.rare() else self.any()) for name in names]
        entries += [
            (pick.choice(KEYS), self.any()) for _ in range(pick.choice([0, 0, 0, 0, 1, 2, 40 if self.rare() else 0]))
        ]
        return self.object(entries)

    def object(self, entries: list[tuple[str, str]], envelope: bool = False) -> str:
        if self.random.random() < 0.3:
            self.random.shuffle(entries)
        if self.rare():
            entries.append(self.random.choice(entries or [("", "1")]))
        if self.rare() and entries:
            entries.pop(self.random.randrange(len(entries)))
        if self.rare() and envelope:
            entries.append((self.random.choice(KEYS), self.any()))
        space = self.space
        inner = f"{space()},{space()}".join(f"{self.text(k)}{space()}:{space()}{v}" for k, v in entries)
        return f"{{{space()}{inner}{space()}}}{space()}"

    def point(self) -> str:
        places = self.random.choice([1, 2, 3, 3, 3, 4, 6])
        numbers = [f"{self.random.uniform(-100, 100):.{places}f}" for _ in range(3)]
        if self.random.random() < 0.1:
            numbers[1] = "null"
        if self.rare():
            numbers[self.random.randrange(3)] = self.number()
        return "[" + f"{self.space()},{self.space()}".join(numbers) + "]"

    def any(self) -> str:
        pick = self.random
        kind = pick.randrange(9)
        if kind < 3:
            return self.number()
        if kind < 5:
            return self.text(pick.choice(VALUES))
        if kind == 5:
            return pick.choice(["true", "false", "null", "nul", "True", "[]", "{}", "[[]]"])
        if kind == 6:
            return self.point()
        if kind == 7:
            return "[" + ",".join(self.any() for _ in range(pick.randrange(4))) + "]"
        return self.members()

    def members(self) -> str:
        pick = self.random
        names = sorted(pick.choice(["a", "b", "ab", "", "é", "z"]) for _ in range(pick.randrange(4)))
        return "{" + self.space() + ",".join(f'"{name}"{self.space()}:{self.any()}' for name in names) + "}"

    def number(self) -> str:
        pick = self.random
        if pick.random() < 0.5:
            return pick.choice(NUMBERS)
        return f"{pick.uniform(-1, 1) * 10 ** pick.randrange(-6, 7):.{pick.randrange(9)}f}"

    def text(self, value: str) -> str:
        if self.rare():
            value = self.random.choice(VALUES)
        return json.dumps(value, ensure_ascii=self.rare())

    def space(self) -> str:
        return self.random.choice(["", " ", " ", "\t", "\r", "  "]) if self.spaced else ""

    def rare(self) -> bool:
        return self.random.random() < self.wild

    def damaged(self, line: bytes) -> bytes:
        pick = self.random
        if not self.rare():
            return line
        at = pick.randrange(len(line) + 1)
        some = pick.choice(
            [b"\x00", b"\n", b'"', b"\\", b"{", b"}", b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b",", b" ", b"0"]
        )
        return pick.choice(
            [
                line[:at],
                line[at:],
                line[:at] + some + line[at:],
                line[:at] + some + line[at + 1 :],
                line[:at] + bytes([pick.randrange(256)]) + line[at + 1 :],
                line + some,
                pick.choice([b"", b" ", b"\r", b"\t \x0b", b"1", b"{}", b"[]", b"null"]),
            ]
        )


def as_texts(drafts: pl.DataFrame) -> pl.DataFrame:
    drafts = drafts.with_columns(pl.col(TEXTS).cast(pl.String))
    assert dict(drafts.schema) == SCHEMA
    return drafts


class Scanned(NamedTuple):
    drafts: pl.DataFrame
    left: list[Line]
    lines: int


def scan(*blocks: Block, page_rows: int = 1000) -> Scanned:
    scanner, left, lines = Scanner(VALIDITY, page_rows), [], 0
    for block in blocks:
        found, count = scanner.read(block)
        left, lines = left + found, lines + count
    rows, drafts = scanner.rows, scanner.take()
    assert drafts.height == rows and scanner.take().is_empty()
    return Scanned(drafts.sort("source_line"), left, lines)


def moments(count: int) -> list[str]:
    """Lines of a few instants, in no order, of which some need care."""
    chance = random.Random(count)
    types = ("POSITION_UPDATE", "WEAPON_FIRED", "PLAYER_SNEEZED")
    return [
        SAMPLE.replace("evt_1", f"e{chance.randrange(10**6)}:{n}")
        .replace("100.0", str(chance.choice((1, 1.5, 2, 2.25))))
        .replace("POSITION_UPDATE", chance.choice(types))
        .replace("player:p1", f"player:{chance.randrange(2 + n // 4)}")
        for n in range(count)
    ]


def disagreements(block: Block) -> tuple[list[str], Counter[str]]:
    """Lines that the scanner takes otherwise than the careful reader; how many it took and left by type."""
    scanned = scan(block)
    drafts = as_texts(scanned.drafts)
    lines = {line.number: line for line in lines_of(block)}
    taken = {row["source_line"]: Draft(**row) for row in drafts.iter_rows(named=True)}
    left = {line.number: line for line in scanned.left}
    assert scanned.lines == len(lines) and len(taken) + len(left) == len(lines)
    assert taken.keys() | left.keys() == lines.keys()
    assert list(taken) == sorted(taken) and list(left) == sorted(left)
    assert all(lines[number] == line for number, line in left.items())
    wrong, counts = [], Counter[str]()
    for number, draft in taken.items():
        counts[f"taken {draft.event_type}"] += 1
        try:
            careful = read_line(lines[number].data, number, VALIDITY)
        except BadField as bad:
            wrong.append(f"{bad}: {lines[number].data!r}")
            continue
        if draft != careful:
            odd = {n: (a, b) for n, a, b in zip(SCHEMA, draft, careful, strict=True) if a != b}
            wrong.append(f"{odd}: {lines[number].data!r}")
    for number in left:
        try:
            counts[f"left {read_line(lines[number].data, number, VALIDITY).event_type}"] += 1
        except BadField:
            counts["bad"] += 1
    return wrong, counts


def agreed(data: bytes, first_line: int = 1) -> Counter[str]:
    wrong, counts = disagreements(Block(first_line, data))
    assert not wrong, wrong[0]
    return counts


@settings(max_examples=400, deadline=None)
@given(seed=st.integers(0, 2**62))
def test_a_line_is_left_or_taken_as_the_careful_reader_takes_it(seed):
    agreed(Lines(seed).block())


def _taken(line: str) -> bool:
    return any(name.startswith("taken") for name in agreed(line.encode("utf-8", "surrogateescape")))


TAKEN = {
    "the sample": SAMPLE,
    "spaces": SAMPLE.replace(",", " ,\t").replace(":{", " : { ") + " \r",
    "another order": '{"payload":{"ts":1,"pos":[1,null,3]},"timestamp":null,"actor":"p","event_type":"POSITION_UPDATE",'
    '"match_id":"m","event_id":"e"}',
    "text beyond ASCII": SAMPLE.replace("player:p1", "игрок:日本🙂"),
    "trailing zeros": SAMPLE.replace('"ts"', '"yaw":-76.400,"pitch":0.000,"ts"'),
    "whole numbers with a point": SAMPLE.replace('"ts"', '"hp":100.0,"round":3.0,"ts"'),
    "many decimals": SAMPLE.replace("8.9", "8.95000000000001"),
    "a shot, its angles left over": SAMPLE.replace("POSITION_UPDATE", "WEAPON_FIRED").replace('"ts"', '"yaw":1.5,"ts"'),
    "a field of nobody": SAMPLE.replace('"actor"', '"mood":"calm","actor"').replace('"ts"', '"x":[1, true , "a"],"ts"'),
    "sequence numbers": SAMPLE.replace('"payload"', '"seq":123456789012345,"payload"'),
    "an object": SAMPLE.replace('"ts"', '"x":{ "a" : 1.50 , "ab":null},"y":{},"ts"'),
    "sides": SAMPLE.replace("POSITION_UPDATE", "ROUND_STARTED").replace(
        '"ts"', '"round":1,"sides":{"team:a":"t","team:b":"ct"},"ts"'
    ),
    "a winner": SAMPLE.replace("POSITION_UPDATE", "ROUND_ENDED").replace('"ts"', '"winner":"ct","reason":null,"ts"'),
    "a score": SAMPLE.replace("POSITION_UPDATE", "MATCH_ENDED").replace('"ts"', '"score":{"team:a":16.0},"ts"'),
    "an empty place": SAMPLE.replace('"ts"', '"place":"","weapon":"","ts"'),
    "a match without clock": SAMPLE.replace('"timestamp":"2026-01-01T12:00:00Z",', ""),
    "fractional damage would round to even": SAMPLE.replace("POSITION_UPDATE", "PLAYER_BLINDED").replace(
        '"ts"', '"target":"t","duration":0.0025,"ts"'
    ),
}
LEFT = {
    "a key twice": SAMPLE.replace('"ts"', '"ts":1,"ts"'),
    "an unknown key twice": SAMPLE.replace('"ts"', '"x":1,"x":1,"ts"'),
    "a key of payload and envelope": SAMPLE.replace('"actor"', '"mood":1,"actor"').replace('"ts"', '"mood":1,"ts"'),
    "a key spelt with an escape": SAMPLE.replace('"ts"', '"\\u0074s"'),
    "an escape": SAMPLE.replace("player:p1", "player\\u003ap1"),
    "an exponent": SAMPLE.replace("8.9", "89e-1"),
    "sixteen digits": SAMPLE.replace("8.9", "8.900000000000001"),
    "minus zero as an integer": SAMPLE.replace("8.9", "-0"),
    "a leading zero": SAMPLE.replace("8.9", "08.9"),
    "a number too small to be written out": SAMPLE.replace('"ts"', '"x":0.00009,"ts"'),
    "NaN": SAMPLE.replace("8.9", "NaN"),
    "a winner of the wrong kind": SAMPLE.replace("POSITION_UPDATE", "ROUND_ENDED").replace('"ts"', '"winner":1,"ts"'),
    "an empty side": SAMPLE.replace("POSITION_UPDATE", "ROUND_LIVE").replace('"ts"', '"sides":{"a":""},"ts"'),
    "half a point": SAMPLE.replace("POSITION_UPDATE", "MATCH_ENDED").replace('"ts"', '"score":{"a":0.5},"ts"'),
    "a round without number": SAMPLE.replace("POSITION_UPDATE", "ROUND_STARTED"),
    "an object out of order": SAMPLE.replace('"ts"', '"x":{"b":1,"a":1},"ts"'),
    "an object with a key twice": SAMPLE.replace('"ts"', '"x":{"a":1,"a":1},"ts"'),
    "a list in an object": SAMPLE.replace('"ts"', '"x":{"a":[]},"ts"'),
    "a list in a list": SAMPLE.replace('"ts"', '"x":[[]],"ts"'),
    "a position at the limit": SAMPLE.replace("8.9", "20000"),
    "a time at the limit": SAMPLE.replace("100.0", "86400"),
    "a name too long": SAMPLE.replace("player:p1", "p" * 257),
    "a match id with a blank": SAMPLE.replace('"m1"', '"m 1"'),
    "another zone": SAMPLE.replace("00Z", "00+02:00"),
    "the 29th of February of a common year": SAMPLE.replace("2026-01-01", "2026-02-29"),
    "no id": SAMPLE.replace('"event_id":"evt_1",', ""),
    "no payload": SAMPLE[: SAMPLE.index(',"payload"')] + "}",
    "no actor": SAMPLE.replace('"player:p1"', "null"),
    "no position": SAMPLE.replace('"pos":[12.4,0.0,8.9],', ""),
    "something behind it": SAMPLE + ",",
    "a line feed inside": SAMPLE.replace("p1", "p\n1"),
    "a control character": SAMPLE.replace("p1", "p\x01"),
    "broken UTF-8": SAMPLE.replace("p1", "p\udcff"),
    "a surrogate in UTF-8": SAMPLE.replace("p1", "p\udced\udca0\udc80"),
    "an unknown type": SAMPLE.replace("POSITION_UPDATE", "PLAYER_DANCED"),
    "a type with a payload of its own": SAMPLE.replace("POSITION_UPDATE", "MATCH_STARTED"),
    "half a hit point": SAMPLE.replace('"ts"', '"hp":1.5,"ts"'),
}


@pytest.mark.parametrize("line", TAKEN.values(), ids=TAKEN.keys())
def test_a_line_of_common_form_is_taken(line):
    assert _taken(line)


@pytest.mark.parametrize("line", LEFT.values(), ids=LEFT.keys())
def test_a_line_in_doubt_is_left(line):
    assert not _taken(line)


@settings(max_examples=200, deadline=None)
@given(
    texts=st.lists(
        st.builds(
            lambda sign, whole, places, digits: f"{sign}{whole}.{digits % 10**places:0{places}d}",
            st.sampled_from(["", "-"]),
            st.integers(0, 19_999),
            st.integers(1, 14),
            st.one_of(st.integers(0, 10**14), st.integers(0, 10**10).map(lambda n: n * 10 + 5)),
        ),
        min_size=3,
        max_size=3,
    )
)
def test_millimetres_are_rounded_as_the_double_is(texts):
    agreed((SAMPLE.replace("[12.4,0.0,8.9]", f"[{','.join(texts)}]")).encode())


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"x", b"\n" * 500, b" \r\n\t\n" * 99, b"1\n" * 999, b"{\n" * 99, b"\x00" * 200]
)
def test_blocks_of_nothing_and_of_lines_of_one_byte(data):
    assert not any(name.startswith("taken") for name in agreed(data))


def test_a_block_may_end_anywhere():
    data = (SAMPLE + "\n" + SAMPLE).encode()
    for end in range(len(data)):
        agreed(data[:end])


def test_the_shortest_events_find_room():
    line = '{"event_id":"a","match_id":"b","event_type":"ROUND_LIVE","payload":{}}\n'
    counts = agreed((line * 1000).encode(), first_line=7)
    assert counts["taken ROUND_LIVE"] == 1000


def test_a_line_of_megabytes_beside_short_ones():
    long = SAMPLE.replace('"ts"', f'"x":"{"y" * 4_000_000}","ts"')
    wide = SAMPLE.replace('"ts"', f'"x":[{"1," * 100_000}1],"ts"')
    deep = SAMPLE.replace('"ts"', f'"x":{"[" * 100_000}{"]" * 100_000},"ts"')
    assert agreed("\n".join([SAMPLE, long, SAMPLE, wide, deep, SAMPLE]).encode())["taken POSITION_UPDATE"] == 5


def test_more_texts_than_there_is_room_for_leave_lines_and_lose_none():
    lines = [SAMPLE.replace("player:p1", f"p{n}").replace('"ts"', f'"weapon":"w{n}","ts"') for n in range(3000)]
    counts = agreed("\n".join(lines).encode())
    assert sum(counts.values()) == 3000 and counts["taken POSITION_UPDATE"] > 1000


def test_lines_are_numbered_from_that_of_the_block():
    scanned = scan(Block(41, f"\n{SAMPLE}\n \n[]\n{SAMPLE}".encode()))
    assert scanned.drafts["source_line"].to_list() == [42, 45]
    assert [line.number for line in scanned.left] == [44] and scanned.lines == 3


@pytest.mark.parametrize("page_rows", [1, 40, 1000])
def test_where_blocks_and_pages_end_changes_no_draft(page_rows):
    lines = [line + "\n" for line in moments(300)]
    whole = scan(Block(1, "".join(lines).encode()))
    pieces = [Block(at + 1, "".join(lines[at : at + 7]).encode()) for at in range(0, len(lines), 7)]
    assert scan(*pieces, page_rows=page_rows).left == whole.left != []
    assert_frame_equal(as_texts(scan(*pieces, page_rows=page_rows).drafts), as_texts(whole.drafts))


def test_a_page_stands_in_total_order():
    scanner = Scanner(VALIDITY, 1000)
    scanner.read(Block(1, "\n".join(moments(500)).encode()))
    drafts = scanner.take()
    assert not drafts["source_line"].is_sorted()
    assert_frame_equal(drafts, in_order(drafts.sort("source_line")))


@pytest.mark.parametrize("longest", [3, 14, 40])
@pytest.mark.parametrize("span", [1, 20, 400])
def test_a_page_of_ids_of_any_length_stands_in_total_order(longest, span):
    pick = random.Random(longest * span)
    ids = {"".join(pick.choices("ab\u00e9~", k=pick.randint(1, longest))) for _ in range(400)}
    lines = [
        SAMPLE.replace("evt_1", name).replace("100.0}", f"{100 + pick.randrange(place, place + span) // 4}}}")
        for place, name in enumerate(sorted(ids, key=lambda _: pick.random()))
    ]
    scanner = Scanner(VALIDITY, 1000)
    assert not scanner.read(Block(1, "\n".join(lines).encode()))[0]
    drafts = scanner.take()
    assert_frame_equal(drafts, drafts.sort("t_ms", pl.col("event_id").cast(pl.Binary)))


def test_an_instant_of_another_minute_is_not_the_one_before_it():
    stamps = [f"2026-0{m}-01T12:0{n}:00Z" for m in (1, 2) for n in (0, 1, 0)]
    lines = [SAMPLE.replace("2026-01-01T12:00:00Z", stamp) for stamp in stamps]
    scanned = scan(Block(1, "\n".join(lines).encode()))
    at = scanned.drafts.sort("source_line")["occurred_us"].cast(pl.Datetime("us"))
    assert at.dt.strftime("%Y-%m-%dT%H:%M:%SZ").to_list() == stamps


def test_what_a_payload_keeps_is_sorted_whatever_the_line_before_kept():
    kept = [
        '"yaw":1.0,"hp":2',
        '"hp":2,"yaw":1.0',
        '"zeta":1,"hp":2,"alpha":3',
        '"hp":2,"yaw":1.0,"armor":5',
        '"yaw":1.0',
    ]
    lines = [SAMPLE.replace('"ts":100.0', f'"ts":100.0,{entries}') for entries in kept for _ in range(2)]
    scanned = scan(Block(1, "\n".join(lines).encode()))
    payloads = scanned.drafts.sort("source_line")["payload"]
    assert not scanned.left
    assert [list(json.loads(payload)) for payload in payloads] == [
        sorted(json.loads(f"{{{entries}}}") | {"objective_pos": 0}) for entries in kept for _ in range(2)
    ]


def test_a_line_that_is_left_for_a_key_twice_leaves_no_order_behind():
    kept = ['"yaw":1.5,"pitch":1.5,"hp":2', '"zzz":1,"aaa":2,"aaa":3', *['"yaw":3.5,"pitch":1.5,"hp":4'] * 2]
    lines = [SAMPLE.replace('"ts":100.0', f'"ts":100.0,{entries}') for entries in kept]
    assert agreed("\n".join(lines).encode())["taken POSITION_UPDATE"] == 3
    assert agreed("\n".join(lines).replace("POSITION_UPDATE", "WEAPON_FIRED").encode())["taken WEAPON_FIRED"] == 3


@pytest.mark.parametrize("instant", ["\0" * 16, " " * 16, "\xff" * 16, "\udcff" * 16, "1970-01-01T00:00", "\n" * 16])
def test_the_first_instant_of_a_page_is_looked_at_like_any_other(instant):
    line = SAMPLE.replace("2026-01-01T12:00:00Z", f"{instant}:05Z").encode("utf-8", "surrogateescape")
    scanned = scan(Block(1, line))
    assert scanned.drafts["occurred_us"].to_list() == ([5_000_000] if instant[0] == "1" else [])
    assert agreed(line + b"\n" + SAMPLE.encode())["taken POSITION_UPDATE"] == 1 + (instant[0] == "1")


def test_texts_that_fill_a_page_begin_another_one():
    pieces = [Block(n + 1, SAMPLE.replace("player:p1", f"p{n:0200d}").encode()) for n in range(6000)]
    scanned = scan(*pieces, page_rows=10_000)
    assert not scanned.left and scanned.drafts["actor"].n_unique() == 6000


NAMES = ["cs2-am-inferno", "cs2-sf-dust2", "cs2-sf-mirage", "cs2-vf-inferno", "cs2-vf-mirage", "cs2-vf-overpass"]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "cs2-sf-mirage" else [pytest.mark.slow]) for name in NAMES]
)
def test_of_a_recorded_match_every_line_agrees_and_nearly_all_are_taken(shared_data, name):
    taken, left = Counter[str](), Counter[str]()
    for block in read_blocks(shared_data / "cs2" / f"{name}.jsonl.gz", load_events().lines):
        scanned = scan(block)
        lines = {line.number: line.data for line in lines_of(block)}
        numbers = scanned.drafts["source_line"].to_list()
        careful = draft_frame([read_line(lines[number], number, VALIDITY) for number in numbers])
        assert_frame_equal(as_texts(scanned.drafts), careful)
        assert scanned.lines == len(lines) == scanned.drafts.height + len(scanned.left)
        taken.update(scanned.drafts["event_type"].to_list())
        left.update(read_line(line.data, line.number, VALIDITY).event_type for line in scanned.left)
    for event_type in ("POSITION_UPDATE", "WEAPON_FIRED", "PLAYER_DAMAGED"):
        assert taken[event_type] >= 0.999 * (taken[event_type] + left[event_type])


@pytest.mark.slow
def test_no_read_or_write_leaves_its_array(tmp_path):
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    quick = "not recorded and (taken or left or anywhere or nothing or megabytes or room or page)"
    command = ["-m", "pytest", __file__, "-q", "-p", "no:cacheprovider", "--import-mode=importlib", "-k", quick]
    root = Path(__file__).parents[2]
    run = subprocess.run([sys.executable, *command, "-m", "not slow"], env=environment, cwd=root, capture_output=True)
    assert run.returncode == 0, run.stdout.decode()[-3000:]
