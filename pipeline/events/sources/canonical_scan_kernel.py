"""The byte scanner of canonical lines: from bytes to columns without an object per row.

Belongs here: what of a canonical line can be taken with certainty by looking at its bytes once, compiled.
Does not belong here: what is wrong with any other line (`pipeline.events.sources.canonical.read_line`), frames
(`pipeline.events.sources.canonical_scan`).

A line is taken only if every byte of it is understood; where there is doubt it is left, and the careful reader
decides. Doubt is: a key that comes twice, an escape, an exponent, more than 15 digits, anything nested in an entry
of the payload that is nested again or an object with keys out of order, text that isn't UTF-8, a value at or beyond
a limit, a type that is unknown or whose payload must be checked in depth.

Three kinds of guess make it fast, and each is compared byte by byte before it counts: the key that followed this
key last time, the actor that followed this actor, the weapon and place that this actor had.

Numbers: a decimal text with mantissa m < 10^15 and d <= 18 decimals names the double `m / 10^d`, as both are exact
doubles and division rounds once (Clinger 1990). `rint` of its product with 1000 is then what Python's
`round(float(text) * 1000)` gives. With d <= 3 that product is off by less than 2^-52 of itself, which is below half
a unit up to 2^50, so that it is the integer `m * 10^(3-d)`. And a decimal of at most 15 digits is the shortest that
names its double, so its text without trailing zeros is what an encoder writes between 1e-4 and 1e15.

Memory is reached through bare pointers, as counted references to arrays cost ten times the scanning. Each read stays
within the block because a line feed ends every token and `MARGIN` bytes follow the last one; each write stays within
its array because what is written of a line is no longer than the line. With NUMBA_BOUNDSCHECK=1 in the environment
the same code is compiled over checked arrays; a test runs its corpus so.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import config, njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from pipeline.events.sources.calendar_kernel import days_of_month, days_since_1970

MARGIN = 64
"""Bytes that must follow a block's last line feed: more than is ever read at once."""

ENVELOPE = ("", "event_id", "match_id", "event_type", "actor", "timestamp", "payload", "seq")
"""Keys of an event by their numbers; 0 is any other."""

PAYLOAD = (
    *("", "ts", "round", "pos", "weapon", "site", "target", "seq"),
    *("yaw", "pitch", "hp", "armor", "place", "objective_pos", "has_bomb", "has_kit"),  # stay in the payload as well
    *("damage", "duration"),  # stay there where the column doesn't tell all
    *("winner", "reason", "sides", "score"),  # have no column, yet must be of the right kind
)
"""Keys of a payload by their numbers; 0 is any other."""

LEVEL = 32
"""Room for the keys of one level in the tables that hold both: key k of a payload stands at LEVEL + k."""

INT64 = ("source_line", "seq", "t_ms", "occurred_us")
INT32 = (
    *("round", "x_mm", "y_mm", "z_mm", "amount", "yaw_mdeg", "pitch_mdeg", "hp", "armor"),
    *("objective_x_mm", "objective_y_mm", "objective_z_mm"),
)
TEXTS = ("match_id", "event_type", "actor", "target", "weapon", "site", "place")

E_ID, E_MATCH, E_TYPE, E_ACTOR, E_TIMESTAMP, E_PAYLOAD, E_SEQ = range(1, 8)
P_TS, P_ROUND, P_POS, P_WEAPON, P_SITE, P_TARGET, P_SEQ = range(1, 8)
P_YAW, P_PITCH, P_HP, P_ARMOR, P_PLACE, P_OBJECTIVE, P_BOMB, P_KIT, P_DAMAGE, P_DURATION = range(8, 18)
P_WINNER, P_REASON, P_SIDES, P_SCORE = range(18, 22)
LINE, SEQ, T_MS, OCCURRED = range(4)
ROUND, X, Y, Z, AMOUNT, YAW, PITCH, HP, ARMOR, OBJECTIVE_X, OBJECTIVE_Y, OBJECTIVE_Z = range(12)
MATCH, TYPE, ACTOR, TARGET, WEAPON, SITE, PLACE = range(7)

HAS_T_MS, HAS_OCCURRED, KNOWS_BOMB, KNOWS_KIT, IS_BOMB, IS_KIT = range(12, 18)
"""Bits of `present`; below them stand those of the int32 columns, by their places."""

PRESENT_BITS = 18

NEEDS_ACTOR, NEEDS_TARGET, NEEDS_ROUND, IS_POSITION, IS_DAMAGE, IS_BLINDNESS, FAST = (1 << bit for bit in range(7))
"""What a type asks of a line; one without `FAST` is left."""

RANK = 8
"""From this bit on a type's traits hold its rank."""

POSITION_MM, ANGLE_MDEG, MOST_AMOUNT, DURATION_MS, EARLIEST_MS, LATEST_MS, ID_BYTES, MATCH_BYTES = range(8)
"""Limits; a value must lie inside them, only a length may reach its own."""

KEPT = 32
"""Entries that a payload may keep; a line with more is left."""

KEPT_ROOM = 4 * KEPT
"""Of each of them where it begins, how long its key is and where it ends, and their order."""

_NUMBERED_KEYS = 12  # the numbers of so many keys fit into a register

_KIND, _MANTISSA, _DECIMALS, _BEGIN, _END, _KEY_AT, _KEY_SIZE, _VALUES = range(8)  # of the token just read
_SEEN, _PRESENT, _KEPT_COUNT, _KEPT_END, _AMOUNT_KEPT = range(8, 13)  # of the line so far
ROW_COUNT, TEXT_COUNT, TEXTS_END, IDS_END, PAYLOADS_END = range(13, 18)  # of the blocks so far
_KEPT_KEYS = 18  # of the line so far: the numbers of its kept keys one behind the other, -1 if one has none
_SORTED_KEYS = 19  # those of the line whose order is written down
_DATE, _MINUTE, _MINUTE_US = range(20, 23)  # the last instant's text up to its seconds, and what that means
SPOT = 23

_NUMBER, _STRING, _TRUE, _FALSE, _NULL, _LIST, _OBJECT = range(7)
_NOT_ALL_NAMES, _NOT_ALL_COUNTS = 1, 2  # of the values of an object
_QUOTE, _COMMA, _COLON, _MINUS, _PLUS, _POINT, _ZERO, _NINE, _BACKSLASH, _T, _Z = b'",:-+.09\\TZ'
_OPEN, _CLOSE, _OPEN_LIST, _CLOSE_LIST, _LINE_FEED, _RETURN, _TAB, _SPACE = b"{}[]\n\r\t "
_TRUE_TEXT, _ALSE_TEXT, _NULL_TEXT = (np.uint64(int.from_bytes(word, "little")) for word in (b"true", b"alse", b"null"))

_ONES, _HIGHS, _QUOTES, _BACKSLASHES, _SPACES, _LINE_FEEDS = (
    np.uint64(int.from_bytes(bytes([byte]) * 8)) for byte in (0x01, 0x80, _QUOTE, _BACKSLASH, _SPACE, _LINE_FEED)
)
_PLACES = np.uint64(0x0001020304050607)  # times 1 << 8k has k in its highest byte
_ONE, _SEVEN, _HALF, _LAST_BYTE = np.uint64(1), np.uint64(7), np.uint64(32), np.uint64(56)
_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio (Knuth, multiplicative hashing)
_MASKS = np.array([(1 << 8 * size) - 1 for size in range(9)], np.uint64)
_FOUR = _MASKS[4]
_TENS = np.array([10**n for n in range(19)], np.int64)
_FLOAT_TENS = np.array([10.0**n for n in range(19)])
_NOT_WHOLE = -(2**63)
_POSITION_BITS = sum(
    1 << bit
    for bit in (YAW, PITCH, HP, ARMOR, OBJECTIVE_X, OBJECTIVE_Y, OBJECTIVE_Z, KNOWS_BOMB, KNOWS_KIT, IS_BOMB, IS_KIT)
)


# A call hands over some twenty pointers one by one, so calls took a third of the scan. Checked arrays are larger still,
# and compiling all of them into one function takes minutes.
_inlined = njit(cache=True, forceinline=not config.BOUNDSCHECK)  # type: ignore[attr-defined]


def registers() -> NDArray[np.int64]:
    """Those of a page without rows. The instant that they remember is one, as any other text would pass for one."""
    spot = np.zeros(SPOT, np.int64)
    spot[_DATE], spot[_MINUTE] = np.frombuffer(b"1970-01-01T00:00", np.int64)
    return spot


class Block(NamedTuple):
    """A block of lines."""

    at: Any
    size: int


class Names(NamedTuple):
    """Keys of both levels as two words each, and after each key the one that followed it last."""

    words: Any
    sizes: Any
    next_at: Any
    next_size: Any
    next_key: Any


class Texts(NamedTuple):
    """Texts by number: their bytes one behind the other; a hash table of them; guesses by actor."""

    slots: Any
    bytes: Any
    starts: Any
    sizes: Any
    traits: Any
    guesses: Any
    last_slot: int
    room: int
    byte_room: int


class Types(NamedTuple):
    """Known types in the order of their ranks: names of `width` bytes, and what each asks of a line."""

    names: Any
    sizes: Any
    traits: Any
    size: int
    width: int


class Rows(NamedTuple):
    """Columns; row r of column c stands at `c * room + r`.

    Event ids and payloads are bytes one behind the other and, for each row, the two words of an Arrow view.
    """

    int64s: Any
    int32s: Any
    texts: Any
    present: Any
    ids: Any
    id_views: Any
    payloads: Any
    payload_views: Any
    room: int


class Scratch(NamedTuple):
    """Registers, limits, and the entries of one line that stay in its payload."""

    spot: Any
    limits: Any
    kept: Any
    text: Any


if config.BOUNDSCHECK:  # type: ignore[attr-defined]

    @njit(cache=True)
    def _pointer(array):  # type: ignore[no-untyped-def]
        return array

    @njit(cache=True)
    def _load(array, p):  # type: ignore[no-untyped-def]
        word = np.uint64(0)
        for k in range(8):
            word |= np.uint64(array[p + k]) << np.uint64(8 * k)
        return word

    @njit(cache=True)
    def _store(array, p, word):  # type: ignore[no-untyped-def]
        for k in range(8):
            array[p + k] = np.uint8((word >> np.uint64(8 * k)) & np.uint64(255))

else:

    @intrinsic
    def _pointer(context, array):  # type: ignore[no-untyped-def]
        """The address of an array's first entry."""

        def lower(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            return context.make_array(signature.args[0])(context, builder, arguments[0]).data

        return types.CPointer(array.dtype)(array), lower  # type: ignore[no-untyped-call]

    @intrinsic
    def _load(context, pointer, p):  # type: ignore[no-untyped-def]
        """Eight bytes from byte p on as a little-endian word."""

        def lower(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            address = builder.bitcast(
                builder.gep(arguments[0], [arguments[1]]), context.get_value_type(types.uint64).as_pointer()
            )
            return builder.load(address, align=1)

        return types.uint64(pointer, types.int64), lower

    @intrinsic
    def _store(context, pointer, p, word):  # type: ignore[no-untyped-def]
        """Writes a word as eight bytes from byte p on."""

        def lower(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            address = builder.bitcast(
                builder.gep(arguments[0], [arguments[1]]), context.get_value_type(types.uint64).as_pointer()
            )
            builder.store(arguments[2], address, align=1)
            return context.get_dummy_value()

        return types.void(pointer, types.int64, types.uint64), lower


@_inlined
def _first(marks):  # type: ignore[no-untyped-def]
    """Place of the first byte whose high bit is set; no other bits may be."""
    low = marks & (~marks + _ONE)
    return np.int64(((low >> _SEVEN) * _PLACES) >> _LAST_BYTE)


@_inlined
def _same(at, a, other, b, size):  # type: ignore[no-untyped-def]
    while size >= 8:
        if _load(at, a) != _load(other, b):
            return False
        a += 8
        b += 8
        size -= 8
    return (_load(at, a) ^ _load(other, b)) & _MASKS[size] == 0


@_inlined
def _copy(source, a, target, b, size):  # type: ignore[no-untyped-def]
    """Copies `size` bytes and up to seven more."""
    step = 0
    while step < size:
        _store(target, b + step, _load(source, a + step))
        step += 8


@_inlined
def _view(at, p, size, offset, views, place):  # type: ignore[no-untyped-def]
    """Arrow's view of a text: length and first four bytes, then either the rest of them or where all of them lie."""
    first = _load(at, p) & _MASKS[min(size, 4)]
    views[2 * place] = np.uint64(size) | first << _HALF
    views[2 * place + 1] = _load(at, p + 4) & _MASKS[max(size - 4, 0)] if size <= 12 else np.uint64(offset) << _HALF


@_inlined
def _skip(at, p):  # type: ignore[no-untyped-def]
    """Where the next token begins."""
    while at[p] == _SPACE or at[p] == _TAB or at[p] == _RETURN:
        p += 1
    return p


@njit(cache=True)
def _line_end(at, p):  # type: ignore[no-untyped-def]
    while True:
        other = _load(at, p) ^ _LINE_FEEDS
        marks = (other - _ONES) & ~other & _HIGHS
        if marks:
            return p + _first(marks)
        p += 8


@njit(cache=True)
def _is_blank(at, p, end):  # type: ignore[no-untyped-def]
    """Whether a line holds nothing but what `bytes.strip` takes away."""
    while p < end and (at[p] == _SPACE or 9 <= at[p] <= 13):
        p += 1
    return p == end


@njit(cache=True)
def _is_utf8(at, p, end):  # type: ignore[no-untyped-def]
    """RFC 3629: no overlong form, no surrogate, nothing above U+10FFFF."""
    while p < end:
        lead = at[p]
        p += 1
        if lead < 0x80:
            continue
        if 0xC2 <= lead <= 0xDF:
            more, low, high = 1, 0x80, 0xBF
        elif 0xE0 <= lead <= 0xEF:
            more, low, high = 2, 0xA0 if lead == 0xE0 else 0x80, 0x9F if lead == 0xED else 0xBF
        elif 0xF0 <= lead <= 0xF4:
            more, low, high = 3, 0x90 if lead == 0xF0 else 0x80, 0x8F if lead == 0xF4 else 0xBF
        else:
            return False
        if end - p < more or not low <= at[p] <= high:
            return False
        for k in range(1, more):
            if at[p + k] & 0xC0 != 0x80:
                return False
        p += more
    return True


@_inlined
def _string(at, p):  # type: ignore[no-untyped-def]
    """From behind an opening quote to the closing one; -1 if what lies between needs care."""
    begin = p
    beyond_ascii = np.uint64(0)
    while True:
        word = _load(at, p)
        quote, slash = word ^ _QUOTES, word ^ _BACKSLASHES
        marks = (((quote - _ONES) & ~quote) | ((slash - _ONES) & ~slash) | ((word - _SPACES) & ~word)) & _HIGHS
        if marks:
            break
        beyond_ascii |= word & _HIGHS
        p += 8
    beyond_ascii |= word & _HIGHS & ((marks & (~marks + _ONE)) - _ONE)
    p += _first(marks)
    if at[p] != _QUOTE or (beyond_ascii != 0 and not _is_utf8(at, begin, p)):
        return -1
    return p


@_inlined
def _is_null(at, p):  # type: ignore[no-untyped-def]
    return _load(at, p) & _FOUR == _NULL_TEXT


@_inlined
def _number(at, p, spot):  # type: ignore[no-untyped-def]
    """A number without exponent of at most 15 digits to the registers; gives where it ends, -1 if it needs care."""
    negative = at[p] == _MINUS
    if negative:
        p += 1
    begin = p
    mantissa = np.int64(0)
    while _ZERO <= at[p] <= _NINE:
        mantissa = mantissa * 10 + np.int64(at[p]) - _ZERO
        p += 1
    size = p - begin
    if size == 0 or size > 15 or (size > 1 and at[begin] == _ZERO):
        return -1
    decimals = 0
    if at[p] == _POINT:
        p += 1
        begin = p
        while _ZERO <= at[p] <= _NINE:
            mantissa = mantissa * 10 + np.int64(at[p]) - _ZERO
            p += 1
        decimals = p - begin
        if decimals == 0 or size + decimals > 18 or mantissa >= _TENS[15]:
            return -1
    elif negative and mantissa == 0:  # the integer -0 is read as 0
        return -1
    spot[_MANTISSA] = -mantissa if negative else mantissa
    spot[_DECIMALS] = decimals
    return p


@_inlined
def _thousandths(spot):  # type: ignore[no-untyped-def]
    """`rint(double × 1000)` of the number just read."""
    mantissa, decimals = spot[_MANTISSA], spot[_DECIMALS]
    if decimals <= 3:
        return mantissa * _TENS[3 - decimals]
    return np.int64(np.rint(np.float64(mantissa) / _FLOAT_TENS[decimals] * 1000.0))


@_inlined
def _whole(spot):  # type: ignore[no-untyped-def]
    """The number just read if it is whole, else the smallest integer."""
    if spot[_DECIMALS] == 0:
        return spot[_MANTISSA]
    unit = _TENS[spot[_DECIMALS]]
    value = spot[_MANTISSA] // unit
    return value if value * unit == spot[_MANTISSA] else np.int64(_NOT_WHOLE)


@_inlined
def _two(at, p):  # type: ignore[no-untyped-def]
    """Two digits as a number; 100 if they are none."""
    if _ZERO <= at[p] <= _NINE and _ZERO <= at[p + 1] <= _NINE:
        return (np.int64(at[p]) - _ZERO) * 10 + np.int64(at[p + 1]) - _ZERO
    return np.int64(100)


@njit(cache=True)
def _minute(at, p, spot):  # type: ignore[no-untyped-def]
    """`YYYY-MM-DDTHH:MM` as microseconds since 1970 UTC to the registers; False: care."""
    century, years, month, day = _two(at, p), _two(at, p + 2), _two(at, p + 5), _two(at, p + 8)
    hour, minute = _two(at, p + 11), _two(at, p + 14)
    if at[p + 4] != _MINUS or at[p + 7] != _MINUS or at[p + 10] != _T or at[p + 13] != _COLON:
        return False
    year = century * 100 + years
    if years > 99 or not 1 < year < 9999 or not 1 <= month <= 12 or hour > 23 or minute > 59:
        return False
    if not 1 <= day <= days_of_month(year, month):
        return False
    days = days_since_1970(year, month, day)
    spot[_MINUTE_US] = ((days * 24 + hour) * 60 + minute) * 60_000_000
    return True


@_inlined
def _instant(at, p, spot):  # type: ignore[no-untyped-def]
    """`YYYY-MM-DDTHH:MM:SS[.fff[fff]][Z|+00:00]"` as microseconds since 1970 UTC; gives where it ends, -1: care."""
    date, minute = np.int64(_load(at, p)), np.int64(_load(at, p + 8))
    if date != spot[_DATE] or minute != spot[_MINUTE]:
        if not _minute(at, p, spot):
            return -1
        spot[_DATE], spot[_MINUTE] = date, minute
    second = _two(at, p + 17)
    if at[p + 16] != _COLON or second > 59:
        return -1
    p += 19
    micros = np.int64(0)
    if at[p] == _POINT:
        p += 1
        begin = p
        while _ZERO <= at[p] <= _NINE and p < begin + 7:
            micros = micros * 10 + np.int64(at[p]) - _ZERO
            p += 1
        if p - begin == 3:
            micros *= 1000
        elif p - begin != 6:
            return -1
    if at[p] == _Z:
        p += 1
    elif at[p] == _PLUS:
        if _two(at, p + 1) != 0 or at[p + 3] != _COLON or _two(at, p + 4) != 0:
            return -1
        p += 6
    if at[p] != _QUOTE:
        return -1
    spot[_MANTISSA] = spot[_MINUTE_US] + second * 1_000_000 + micros
    return p + 1


@njit(cache=True)
def _intern(at, p, size, texts, spot):  # type: ignore[no-untyped-def]
    """The number of a text; the first of its kind gets the next. -1 if there is no room."""
    mixed = np.uint64(size)
    q, rest = p, size
    while rest >= 8:
        mixed = (mixed ^ _load(at, q)) * _MIX
        mixed ^= mixed >> _HALF
        q += 8
        rest -= 8
    mixed = (mixed ^ (_load(at, q) & _MASKS[rest])) * _MIX
    slot = np.int64(mixed >> _HALF) & texts.last_slot
    while texts.slots[slot] != 0:
        known = np.int64(texts.slots[slot])
        if texts.sizes[known] == size and _same(at, p, texts.bytes, texts.starts[known], size):
            return known
        slot = (slot + 1) & texts.last_slot
    fresh, end = spot[TEXT_COUNT] + 1, spot[TEXTS_END]
    if fresh >= texts.room or end + size > texts.byte_room:
        return np.int64(-1)
    spot[TEXT_COUNT], spot[TEXTS_END] = fresh, end + size
    texts.slots[slot] = fresh
    texts.starts[fresh] = end
    texts.sizes[fresh] = size
    _copy(at, p, texts.bytes, end, size)
    return fresh


@_inlined
def _text(block, p, guess, limit, texts, spot):  # type: ignore[no-untyped-def]
    """A string as the number of its text, null and an empty one as 0; -1: care. Where it ends is in the registers."""
    at = block.at
    if at[p] != _QUOTE:
        spot[_END] = p + 4
        return np.int64(0 if _is_null(at, p) else -1)
    p += 1
    size = texts.sizes[guess]
    if p + size + 8 <= block.size and at[p + size] == _QUOTE and _same(at, p, texts.bytes, texts.starts[guess], size):
        spot[_END] = p + size + 1
        return guess
    end = _string(at, p)
    if end < 0 or end - p > limit:
        return np.int64(-1)
    spot[_END] = end + 1
    return _intern(at, p, end - p, texts, spot) if end > p else np.int64(0)


@_inlined
def _key(block, p, level, before, names, spot):  # type: ignore[no-untyped-def]
    """The number of the key at p, its quoted text and the place behind its colon in the registers; -1: care."""
    at = block.at
    place = level + before
    size = names.next_size[place]
    if size != 0 and p + size + 8 <= block.size and _same(at, p, at, names.next_at[place], size):
        spot[_KEY_AT], spot[_KEY_SIZE], spot[_END] = p, size - 1, p + size
        return names.next_key[place]
    if at[p] != _QUOTE:
        return np.int64(-1)
    end = _string(at, p + 1)
    if end < 0:
        return np.int64(-1)
    size = end - p - 1
    key = np.int64(0)
    if size <= 16:
        first = _load(at, p + 1) & _MASKS[min(size, 8)]
        second = _load(at, p + 9) & _MASKS[max(size - 8, 0)]
        for k in range(level + 1, level + LEVEL):
            if names.sizes[k] == size and names.words[2 * k] == first and names.words[2 * k + 1] == second:
                key = np.int64(k - level)
                break
    colon = _skip(at, end + 1)
    if at[colon] != _COLON:
        return np.int64(-1)
    spot[_KEY_AT], spot[_KEY_SIZE], spot[_END] = p, size + 2, colon + 1
    if colon == end + 1:
        names.next_at[place], names.next_size[place], names.next_key[place] = p, size + 3, key
    return key


@_inlined
def _scalar(at, p, spot, text, to):  # type: ignore[no-untyped-def]
    """Any value but a list or an object: its meaning to the registers, its encoder's text to `text`.

    Gives where that text ends, -1: care.
    """
    first = at[p]
    if first == _QUOTE:
        end = _string(at, p + 1)
        if end < 0:
            return -1
        spot[_KIND], spot[_BEGIN], spot[_END] = _STRING, p, end + 1
        _copy(at, p, text, to, end + 1 - p)
        return to + end + 1 - p
    if first == _MINUS or _ZERO <= first <= _NINE:
        end = _number(at, p, spot)
        if end < 0:
            return -1
        spot[_KIND], spot[_END] = _NUMBER, end
        decimals = spot[_DECIMALS]
        if decimals > 4 and 0 < abs(spot[_MANTISSA]) < _TENS[decimals - 4]:
            return -1
        _copy(at, p, text, to, end - p)
        to += end - p
        while decimals > 1 and text[to - 1] == _ZERO:
            decimals -= 1
            to -= 1
        return to
    word = _load(at, p) & _FOUR
    if word == _TRUE_TEXT:
        spot[_KIND], size = _TRUE, 4
    elif word == _NULL_TEXT:
        spot[_KIND], size = _NULL, 4
    elif first == b"f"[0] and _load(at, p + 1) & _FOUR == _ALSE_TEXT:
        spot[_KIND], size = _FALSE, 5
    else:
        return -1
    spot[_END] = p + size
    _copy(at, p, text, to, size)
    return to + size


@njit(cache=True)
def _list(at, p, spot, text, to):  # type: ignore[no-untyped-def]
    """As `_scalar`, for a list of such values, written without the spaces in between."""
    begin = p
    text[to] = _OPEN_LIST
    to += 1
    p = _skip(at, p + 1)
    if at[p] == _CLOSE_LIST:
        text[to] = _CLOSE_LIST
        to += 1
    else:
        while True:
            to = _scalar(at, p, spot, text, to)
            if to < 0:
                return -1
            p = _skip(at, spot[_END])
            text[to] = at[p]
            to += 1
            if at[p] == _CLOSE_LIST:
                break
            if at[p] != _COMMA:
                return -1
            p = _skip(at, p + 1)
    spot[_KIND], spot[_BEGIN], spot[_END] = _LIST, begin, p + 1
    return to


@njit(cache=True)
def _order(text, a, a_size, b, b_size):  # type: ignore[no-untyped-def]
    """Whether one key stands before (-1), with (0) or after (1) another, by their bytes."""
    for k in range(min(a_size, b_size)):
        if text[a + k] != text[b + k]:
            return -1 if text[a + k] < text[b + k] else 1
    return 0 if a_size == b_size else (-1 if a_size < b_size else 1)


@njit(cache=True)
def _object(at, p, spot, limits, text, to):  # type: ignore[no-untyped-def]
    """As `_scalar`, for an object of such values whose keys stand in order; what they are like is in the registers."""
    text[to] = _OPEN
    to += 1
    p = _skip(at, p + 1)
    values, last, last_size = 0, to, -1
    if at[p] == _CLOSE:
        text[to] = _CLOSE
        to += 1
    else:
        while True:
            end = _string(at, p + 1) if at[p] == _QUOTE else -1
            if end < 0:
                return -1
            size = end - p - 1
            _copy(at, p, text, to, size + 2)
            if last_size >= 0 and _order(text, last, last_size, to + 1, size) >= 0:
                return -1
            last, last_size = to + 1, size
            to += size + 2
            p = _skip(at, end + 1)
            if at[p] != _COLON:
                return -1
            text[to] = _COLON
            begin = to + 1
            to = _scalar(at, _skip(at, p + 1), spot, text, begin)
            if to < 0:
                return -1
            if spot[_KIND] != _STRING or not 2 < to - begin <= limits[ID_BYTES] + 2:
                values |= _NOT_ALL_NAMES
            if spot[_KIND] != _NUMBER or not 0 <= _whole(spot) < limits[MOST_AMOUNT]:
                values |= _NOT_ALL_COUNTS
            p = _skip(at, spot[_END])
            text[to] = at[p]
            to += 1
            if at[p] == _CLOSE:
                break
            if at[p] != _COMMA:
                return -1
            p = _skip(at, p + 1)
    spot[_KIND], spot[_END], spot[_VALUES] = _OBJECT, p + 1, values
    return to


@_inlined
def _value(at, p, spot, limits, text, to):  # type: ignore[no-untyped-def]
    """As `_scalar`, and lists and objects of such values."""
    if at[p] == _OPEN_LIST:
        return _list(at, p, spot, text, to)
    if at[p] == _OPEN:
        return _object(at, p, spot, limits, text, to)
    return _scalar(at, p, spot, text, to)


@_inlined
def _keep(block, p, key, scratch):  # type: ignore[no-untyped-def]
    """Writes down the entry whose key was just read and whose value stands at p; False: care."""
    spot, kept, text = scratch.spot, scratch.kept, scratch.text
    count, to, size = spot[_KEPT_COUNT], spot[_KEPT_END], spot[_KEY_SIZE]
    if count >= KEPT:
        return False
    _copy(block.at, spot[_KEY_AT], text, to, size)
    text[to + size] = _COLON
    end = _value(block.at, p, spot, scratch.limits, text, to + size + 1)
    if end < 0:
        return False
    kept[3 * count], kept[3 * count + 1], kept[3 * count + 2] = to, size, end
    spot[_KEPT_COUNT], spot[_KEPT_END] = count + 1, end
    known = key != 0 and count < _NUMBERED_KEYS and spot[_KEPT_KEYS] >= 0
    spot[_KEPT_KEYS] = spot[_KEPT_KEYS] * LEVEL + key if known else -1
    return True


@_inlined
def _point(at, p, limit, spot, rows, column, row):  # type: ignore[no-untyped-def]
    """`[x, y, z]` or `[x, null, z]` to three columns; gives their bits, -1: care."""
    if at[p] != _OPEN_LIST:
        return -1
    bits = 0
    p += 1
    for axis in range(3):
        p = _skip(at, p)
        if axis == 1 and _is_null(at, p):
            p += 4
        else:
            p = _number(at, p, spot)
            if p < 0:
                return -1
            mm = _thousandths(spot)
            if not -limit < mm < limit:
                return -1
            rows.int32s[(column + axis) * rows.room + row] = mm
            bits |= 1 << (column + axis)
        p = _skip(at, p)
        if at[p] != (_CLOSE_LIST if axis == 2 else _COMMA):
            return -1
        p += 1
    spot[_END] = p
    return bits


@_inlined
def _sequence(at, p, spot, rows, row):  # type: ignore[no-untyped-def]
    """A sequence number to its column; gives 1, for null 0, -1: care."""
    if _is_null(at, p):
        spot[_END] = p + 4
        return 0
    end = _number(at, p, spot)
    if end < 0 or spot[_DECIMALS] != 0 or spot[_MANTISSA] < 0:
        return -1
    rows.int64s[SEQ * rows.room + row] = spot[_MANTISSA]
    spot[_END] = end
    return 1


@_inlined
def _amount(key, scratch, rows, row):  # type: ignore[no-untyped-def]
    """The amount that the entry just kept tells, and whether it tells all of it; False: care."""
    spot, limits = scratch.spot, scratch.limits
    if spot[_KIND] != _NUMBER:
        return key == P_DURATION and spot[_KIND] == _NULL
    if key == P_DAMAGE:
        value = _whole(spot)
        if not 0 <= value < limits[MOST_AMOUNT]:
            return False
        spot[_AMOUNT_KEPT] = spot[_KEPT_COUNT] - 1
    else:
        value = _thousandths(spot)
        if spot[_MANTISSA] < 0 or value >= limits[DURATION_MS]:
            return False
        if spot[_DECIMALS] <= 3 or spot[_MANTISSA] % _TENS[spot[_DECIMALS] - 3] == 0:
            spot[_AMOUNT_KEPT] = spot[_KEPT_COUNT] - 1
    rows.int32s[AMOUNT * rows.room + row] = value
    spot[_PRESENT] |= 1 << AMOUNT
    return True


@_inlined
def _is_right_kind(key, spot, limits):  # type: ignore[no-untyped-def]
    """Whether the entry just kept is what the types that know its key want it to be."""
    kind = spot[_KIND]
    if key in (P_WINNER, P_REASON):
        return kind == _NULL or (kind == _STRING and spot[_END] - spot[_BEGIN] <= limits[ID_BYTES] + 2)
    doubt = _NOT_ALL_NAMES if key == P_SIDES else _NOT_ALL_COUNTS
    return kind == _NULL or (kind == _OBJECT and spot[_VALUES] & doubt == 0)


@_inlined
def _position_column(block, key, texts, scratch, rows, row):  # type: ignore[no-untyped-def]
    """The column of the entry just kept, should the event be a position; False: care."""
    spot, limits = scratch.spot, scratch.limits
    kind, end = spot[_KIND], spot[_END]
    if kind == _NULL:
        return True
    if key in (P_YAW, P_PITCH):
        column, value, limit = YAW if key == P_YAW else PITCH, _thousandths(spot), limits[ANGLE_MDEG]
        if kind != _NUMBER or not -limit < value < limit:
            return False
        rows.int32s[column * rows.room + row] = value
        spot[_PRESENT] |= 1 << column
    elif key in (P_HP, P_ARMOR):
        column, value, limit = HP if key == P_HP else ARMOR, _whole(spot), limits[MOST_AMOUNT]
        if kind != _NUMBER or not -limit < value < limit:
            return False
        rows.int32s[column * rows.room + row] = value
        spot[_PRESENT] |= 1 << column
    elif key in (P_BOMB, P_KIT):
        if kind != _TRUE and kind != _FALSE:
            return False
        spot[_PRESENT] |= 1 << (KNOWS_BOMB if key == P_BOMB else KNOWS_KIT)
        if kind == _TRUE:
            spot[_PRESENT] |= 1 << (IS_BOMB if key == P_BOMB else IS_KIT)
    elif key == P_PLACE:
        guess = np.int64(texts.guesses[PLACE * texts.room + rows.texts[ACTOR * rows.room + row]])
        code = _text(block, spot[_BEGIN], guess, limits[ID_BYTES], texts, spot) if kind == _STRING else -1
        if code < 0:
            return False
        rows.texts[PLACE * rows.room + row] = code
    else:
        bits = (
            _point(block.at, spot[_BEGIN], limits[POSITION_MM], spot, rows, OBJECTIVE_X, row) if kind == _LIST else -1
        )
        if bits < 0:
            return False
        spot[_PRESENT] |= bits
    spot[_END] = end
    return True


@_inlined
def _time_or_round(at, p, key, scratch, rows, row):  # type: ignore[no-untyped-def]
    spot, limits = scratch.spot, scratch.limits
    if _is_null(at, p):
        spot[_END] = p + 4
        return True
    end = _number(at, p, spot)
    if end < 0:
        return False
    spot[_END] = end
    if key == P_TS:
        value = _thousandths(spot)
        if not limits[EARLIEST_MS] < value < limits[LATEST_MS]:
            return False
        rows.int64s[T_MS * rows.room + row] = value
        spot[_PRESENT] |= 1 << HAS_T_MS
    else:
        value = _whole(spot)
        if not 1 <= value < 2**31:
            return False
        rows.int32s[ROUND * rows.room + row] = value
        spot[_PRESENT] |= 1 << ROUND
    return True


@_inlined
def _payload(block, p, names, texts, scratch, rows, row):  # type: ignore[no-untyped-def]
    """The object at p to the columns of a row, the rest of it to the scratch; gives where it ends, -1: care."""
    at, spot = block.at, scratch.spot
    if at[p] != _OPEN:
        return -1
    p = _skip(at, p + 1)
    if at[p] == _CLOSE:
        return p + 1
    seen, key = 0, 0
    while True:
        key = _key(block, p, LEVEL, key, names, spot)
        if key < 0 or (key != 0 and seen & (1 << key)):
            return -1
        seen |= 1 << key
        p = _skip(at, spot[_END])
        if key == 0 or key >= P_YAW:
            if not _keep(block, p, key, scratch):
                return -1
            if key >= P_WINNER:
                if not _is_right_kind(key, spot, scratch.limits):
                    return -1
            elif key >= P_DAMAGE:
                if not _amount(key, scratch, rows, row):
                    return -1
            elif key != 0 and not _position_column(block, key, texts, scratch, rows, row):
                return -1
        elif key == P_POS:
            if _is_null(at, p):
                spot[_END] = p + 4
            else:
                bits = _point(at, p, scratch.limits[POSITION_MM], spot, rows, X, row)
                if bits < 0:
                    return -1
                spot[_PRESENT] |= bits
        elif key == P_SEQ:
            if _sequence(at, p, spot, rows, row) < 0:
                return -1
        elif key in (P_TS, P_ROUND):
            if not _time_or_round(at, p, key, scratch, rows, row):
                return -1
        else:
            column = WEAPON if key == P_WEAPON else SITE if key == P_SITE else TARGET
            guess = np.int64(texts.guesses[column * texts.room + rows.texts[ACTOR * rows.room + row]])
            code = _text(block, p, guess, scratch.limits[ID_BYTES], texts, spot)
            if code < 0:
                return -1
            rows.texts[column * rows.room + row] = code
        p = _skip(at, spot[_END])
        if at[p] == _CLOSE:
            spot[_SEEN] = seen
            return p + 1
        if at[p] != _COMMA:
            return -1
        p = _skip(at, p + 1)


@_inlined
def _write_payload(scratch, rows):  # type: ignore[no-untyped-def]
    """The kept entries sorted by key, but the one that a column holds; gives where they end, -1: a key comes twice."""
    spot, kept, text = scratch.spot, scratch.kept, scratch.text
    count = spot[_KEPT_COUNT]
    keys = spot[_KEPT_KEYS] if spot[_AMOUNT_KEPT] < 0 else np.int64(-1)
    if keys < 0 or keys != spot[_SORTED_KEYS]:
        spot[_SORTED_KEYS] = -1  # what is written down is overwritten, whether or not this order can be told
        count = _sort_kept(scratch)
        if count < 0:
            return -1
        spot[_SORTED_KEYS] = keys
    to = spot[PAYLOADS_END]
    rows.payloads[to] = _OPEN
    to += 1
    for place in range(count):
        if place:
            rows.payloads[to] = _COMMA
            to += 1
        entry = 3 * kept[3 * KEPT + place]
        size = kept[entry + 2] - kept[entry]
        _copy(text, kept[entry], rows.payloads, to, size)
        to += size
    rows.payloads[to] = _CLOSE
    return to + 1


@njit(cache=True)
def _sort_kept(scratch):  # type: ignore[no-untyped-def]
    """Writes down the kept entries' order behind them; gives how many they are, -1: a key comes twice."""
    spot, kept, text = scratch.spot, scratch.kept, scratch.text
    count = 0
    for k in range(spot[_KEPT_COUNT]):
        if k == spot[_AMOUNT_KEPT]:
            continue
        place = count
        while place > 0:
            other = kept[3 * KEPT + place - 1]
            order = _order(text, kept[3 * k] + 1, kept[3 * k + 1] - 2, kept[3 * other] + 1, kept[3 * other + 1] - 2)
            if order == 0:
                return -1
            if order > 0:
                break
            kept[3 * KEPT + place] = other
            place -= 1
        kept[3 * KEPT + place] = k
        count += 1
    return count


@_inlined
def _trait(code, texts, known):  # type: ignore[no-untyped-def]
    """What the type with that text asks of a line; 0 for one that is left."""
    if texts.traits[code] < 0:
        texts.traits[code] = 0
        for k in range(known.size):
            same = known.sizes[k] == texts.sizes[code]
            for j in range(known.sizes[k] if same else 0):
                same = same and known.names[k * known.width + j] == texts.bytes[texts.starts[code] + j]
            if same:
                texts.traits[code] = known.traits[k] | k << RANK
    return texts.traits[code]


@njit(cache=True)
def _is_match_id(at, p, end):  # type: ignore[no-untyped-def]
    """Whether every byte is one of `[A-Za-z0-9_-]`."""
    for k in range(p, end):
        byte, lower = at[k], at[k] | 0x20
        if not (97 <= lower <= 122 or _ZERO <= byte <= _NINE or byte == _MINUS or byte == 95):
            return False
    return True


@_inlined
def _finish(block, id_at, id_size, texts, known, scratch, rows, row, last):  # type: ignore[no-untyped-def]
    """What a type asks of a line, and the columns that depend on it; False: care."""
    spot, room = scratch.spot, rows.room
    seen, bits = spot[_SEEN], spot[_PRESENT]
    actor = rows.texts[ACTOR * room + row]
    trait = _trait(rows.texts[TYPE * room + row], texts, known)
    if not trait & FAST or (trait & NEEDS_ACTOR and actor == 0):
        return False
    if trait & NEEDS_TARGET and rows.texts[TARGET * room + row] == 0:
        return False
    if trait & NEEDS_ROUND and not bits & (1 << ROUND):
        return False
    amounts = seen & (1 << P_DAMAGE | 1 << P_DURATION)
    if amounts == 1 << P_DAMAGE | 1 << P_DURATION or (trait & IS_DAMAGE and amounts != 1 << P_DAMAGE):
        return False
    if not (trait & IS_DAMAGE or (trait & IS_BLINDNESS and amounts == 1 << P_DURATION)):
        bits &= ~(1 << AMOUNT)
        spot[_AMOUNT_KEPT] = -1
    if trait & IS_POSITION:
        if not bits & (1 << X):
            return False
        if bits & (1 << HP | 1 << ARMOR) or seen & (1 << P_WEAPON):
            bits |= 1 << KNOWS_BOMB | 1 << KNOWS_KIT
    else:
        bits &= ~_POSITION_BITS
        rows.texts[PLACE * room + row] = 0
    end = _write_payload(scratch, rows)
    if end < 0:
        return False
    begin = spot[PAYLOADS_END]
    _view(rows.payloads, begin, end - begin, begin, rows.payload_views, row)
    spot[PAYLOADS_END] = end
    _copy(block.at, id_at, rows.ids, spot[IDS_END], id_size)
    _view(block.at, id_at, id_size, spot[IDS_END], rows.id_views, row)
    spot[IDS_END] += id_size
    texts.guesses[ACTOR * texts.room + rows.texts[ACTOR * room + last]] = actor
    for column in range(TARGET, PLACE + 1):
        code = rows.texts[column * room + row]
        if code != 0:
            texts.guesses[column * texts.room + actor] = code
    rows.present[row] = bits
    return True


@njit(cache=True)
def _line(block, p, names, texts, known, scratch, rows, row):  # type: ignore[no-untyped-def]
    """The line at p to a row; gives the place of its line feed, -1 if the line needs care."""
    at, spot, limits, room = block.at, scratch.spot, scratch.limits, rows.room
    for column in range(MATCH, PLACE + 1):
        rows.texts[column * room + row] = 0
    rows.int64s[SEQ * room + row] = 0
    spot[_SEEN], spot[_PRESENT], spot[_KEPT_COUNT], spot[_KEPT_END], spot[_AMOUNT_KEPT] = 0, 0, 0, 0, -1
    spot[_KEPT_KEYS] = 0
    last = max(row - 1, 0)
    seen, key, id_at, id_size, told = 0, 0, 0, 0, 0
    p = _skip(at, p)
    if at[p] != _OPEN:
        return -1
    p = _skip(at, p + 1)
    while True:
        key = _key(block, p, 0, key, names, spot)
        if key < 0 or (key != 0 and seen & (1 << key)):
            return -1
        seen |= 1 << key
        p = _skip(at, spot[_END])
        if key == E_PAYLOAD:
            spot[_END] = _payload(block, p, names, texts, scratch, rows, row)
            if spot[_END] < 0:
                return -1
        elif key == E_ID:
            end = _string(at, p + 1)
            id_at, id_size = p + 1, end - p - 1
            if at[p] != _QUOTE or not 0 < id_size <= limits[ID_BYTES]:
                return -1
            spot[_END] = end + 1
        elif key == E_MATCH:
            guess = np.int64(rows.texts[MATCH * room + last])
            code = _text(block, p, guess, limits[MATCH_BYTES], texts, spot)
            if code <= 0:
                return -1
            if code != guess and not _is_match_id(
                texts.bytes, texts.starts[code], texts.starts[code] + texts.sizes[code]
            ):
                return -1
            rows.texts[MATCH * room + row] = code
        elif key == E_TYPE:
            code = _text(block, p, np.int64(rows.texts[TYPE * room + last]), limits[ID_BYTES], texts, spot)
            if code <= 0:
                return -1
            rows.texts[TYPE * room + row] = code
        elif key == E_ACTOR:
            guess = np.int64(texts.guesses[ACTOR * texts.room + rows.texts[ACTOR * room + last]])
            code = _text(block, p, guess, limits[ID_BYTES], texts, spot)
            if code < 0:
                return -1
            rows.texts[ACTOR * room + row] = code
        elif key == E_TIMESTAMP:
            if _is_null(at, p):
                spot[_END] = p + 4
            else:
                spot[_END] = _instant(at, p + 1, spot) if at[p] == _QUOTE else -1
                if spot[_END] < 0:
                    return -1
                rows.int64s[OCCURRED * room + row] = spot[_MANTISSA]
                spot[_PRESENT] |= 1 << HAS_OCCURRED
        elif key == E_SEQ:
            told = _sequence(at, p, spot, rows, row)
            if told < 0:
                return -1
        elif not _keep(block, p, 0, scratch):
            return -1
        p = _skip(at, spot[_END])
        if at[p] == _CLOSE:
            break
        if at[p] != _COMMA:
            return -1
        p = _skip(at, p + 1)
    p = _skip(at, p + 1)
    needed = 1 << E_ID | 1 << E_MATCH | 1 << E_TYPE | 1 << E_PAYLOAD
    if at[p] != _LINE_FEED or seen & needed != needed or (told == 1 and spot[_SEEN] & (1 << P_SEQ)):
        return -1
    return p if _finish(block, id_at, id_size, texts, known, scratch, rows, row, last) else -1


@njit(cache=True)
def _lines(block, size, first_line, names, texts, known, scratch, rows, left):  # type: ignore[no-untyped-def]
    p, number, row, care, lines = 0, first_line, scratch.spot[ROW_COUNT], 0, 0
    while p < size:
        end = _line(block, p, names, texts, known, scratch, rows, row)
        if end >= 0:
            rows.int64s[LINE * rows.room + row] = number
            row += 1
            lines += 1
        else:
            end = _line_end(block.at, p)
            if not _is_blank(block.at, p, end):
                left[3 * care], left[3 * care + 1], left[3 * care + 2] = p, end, number
                care += 1
                lines += 1
        p = end + 1
        number += 1
    scratch.spot[ROW_COUNT] = row
    return care, lines, number - first_line


@njit(cache=True)
def bitmaps(present):  # type: ignore[no-untyped-def]
    """Bit by bit of `present` an Arrow bitmap, shape `(PRESENT_BITS, rows / 8 rounded up)`."""
    maps = np.zeros((PRESENT_BITS, (present.size + 7) // 8), np.uint8)
    for bit in range(PRESENT_BITS):
        for row in range(present.size):
            maps[bit, row >> 3] |= np.uint8(((present[row] >> bit) & 1) << (row & 7))
    return maps


@njit(cache=True)
def scan_lines(data, size, first_line, names, texts, known, scratch, rows, left):  # type: ignore[no-untyped-def]
    """Scans a block; the arrays must be as long as the tuples they stand in ask for.

    Args:
        data: uint8, the block, ended by a line feed, and `MARGIN` zeros.
        size: of the block.
        first_line: number of the first line.
        names: `Names` of both levels.
        texts: `Texts`, those of the blocks before among them.
        known: `Types`.
        scratch: `Scratch`, its registers zero before the first block of the same texts and rows.
        rows: `Rows` with room for as many more rows as there may be events.
        left: int64, three for every line: where a line that is left begins and ends, and its number.

    Returns:
        How many lines were left, how many lines aren't blank, how many there are.
    """
    return _lines(
        Block(_pointer(data), data.size),
        size,
        first_line,
        Names(
            _pointer(names.words),
            _pointer(names.sizes),
            _pointer(names.next_at),
            _pointer(names.next_size),
            _pointer(names.next_key),
        ),
        Texts(
            _pointer(texts.slots),
            _pointer(texts.bytes),
            _pointer(texts.starts),
            _pointer(texts.sizes),
            _pointer(texts.traits),
            _pointer(texts.guesses),
            texts.last_slot,
            texts.room,
            texts.byte_room,
        ),
        Types(_pointer(known.names), _pointer(known.sizes), _pointer(known.traits), known.size, known.width),
        Scratch(_pointer(scratch.spot), _pointer(scratch.limits), _pointer(scratch.kept), _pointer(scratch.text)),
        Rows(
            _pointer(rows.int64s),
            _pointer(rows.int32s),
            _pointer(rows.texts),
            _pointer(rows.present),
            _pointer(rows.ids),
            _pointer(rows.id_views),
            _pointer(rows.payloads),
            _pointer(rows.payload_views),
            rows.room,
        ),
        _pointer(left),
    )
