"""Compiled reading of GRID lines: what of a line is worth decoding, and what its states show of the players.

A state of 20-90 kB is told again with every event and differs little from those before. So it is compared with one of
them eight bytes at a time, and only where they part is anything read: a value that is needed, a number or flag that is
not, or else the innermost object or list around it. Whatever equals a state that was read whole is as valid as that
one, and so a line that is taken is valid JSON throughout.

A state's *tape* lists, in their order, the values that matter (`code`, from `start` to `end`, with their `value`) and
the objects and lists that hold them. Nothing here decides about validity: a line with anything unusual is left to the
careful reader.

Belongs here: bytes in, columns out, every index checked against the end of the line. Does not belong here: what the
columns mean (`grid_scan`, `grid_facts`).
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# ruff: noqa: SIM109, SIM110  (plain comparisons and loops are what numba compiles well)

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]  # what numba is built on
from numba import config, njit, types
from numba.extending import intrinsic

from pipeline.events.sources.calendar_kernel import days_of_month, days_since_1970

# Objects and lists that are read. 0 is any other: its content is checked and passed over.
OTHER, SERIES, GAMES, GAME, TEAMS, TEAM, PLAYERS, PLAYER, POSITION, ITEMS, ITEM, BAG, BAG_ITEMS = range(13)
SEGMENTS, SEGMENT, SIDES, SIDE, TRANSACTION, EVENT = range(13, 19)
# Values. FIXED ones change a few times a round and are decoded elsewhere when they do; the rest are columns.
FIXED, X, Y, Z, HEALTH, ARMOR, ALIVE, ITEM_ID = range(20, 28)
# What of a line is read one by one. VOLATILE ones differ between any two lines and are not read.
EVENT_LIST, STATE_OBJECT, EVENT_ID, CLOCK_TEXT, SEQUENCE_NUMBER, VOLATILE_TEXT, VOLATILE_NUMBER, ENTITY = range(30, 38)

_ELEMENT = np.zeros(20, np.int64)  # what a list holds; 0 for objects
for _list, _member in (
    (GAMES, GAME), (TEAMS, TEAM), (PLAYERS, PLAYER), (ITEMS, ITEM), (BAG_ITEMS, ITEM), (SEGMENTS, SEGMENT),
    (SIDES, SIDE),
):  # fmt: skip
    _ELEMENT[_list] = _member
_FIELDS: dict[int, dict[str, int]] = {
    SERIES: {"title": FIXED, "valid": FIXED, "games": GAMES},
    GAME: {"id": FIXED, "sequenceNumber": FIXED, "map": FIXED, "started": FIXED, "finished": FIXED, "teams": TEAMS,
           "segments": SEGMENTS},
    TEAM: {"id": FIXED, "name": FIXED, "side": FIXED, "score": FIXED, "players": PLAYERS},
    PLAYER: {"id": FIXED, "name": FIXED, "position": POSITION, "currentHealth": HEALTH, "currentArmor": ARMOR,
             "alive": ALIVE, "items": ITEMS, "inventory": BAG},
    POSITION: {"x": X, "y": Y, "z": Z},
    ITEM: {"id": ITEM_ID},
    BAG: {"items": BAG_ITEMS},
    SEGMENT: {"id": FIXED, "type": FIXED, "sequenceNumber": FIXED, "teams": SIDES},
    SIDE: {"id": FIXED, "side": FIXED, "won": FIXED, "winType": FIXED},
    TRANSACTION: {"events": EVENT_LIST, "occurredAt": CLOCK_TEXT, "sequenceNumber": SEQUENCE_NUMBER,
                  "id": VOLATILE_TEXT, "correlationId": VOLATILE_TEXT, "sessionSequenceNumber": VOLATILE_NUMBER},
    EVENT: {"id": EVENT_ID, "seriesState": STATE_OBJECT, "actor": ENTITY, "target": ENTITY},
}  # fmt: skip
FIRST_FIELD = np.zeros(21, np.int64)  # where in the four columns below the fields of an object begin
_names: list[bytes] = []
_codes: list[int] = []
for _object in range(20):
    FIRST_FIELD[_object] = len(_names)
    for _name, _code in _FIELDS.get(_object, {}).items():
        _names.append(_name.encode())
        _codes.append(_code)
FIRST_FIELD[20] = len(_names)
FIELD_CODE = np.array(_codes, np.int64)
FIELD_END = np.cumsum([len(name) for name in _names])
FIELD_TEXT = np.frombuffer(b"".join(_names), np.uint8)

MOST_DEPTH = 48  # of what stands in an event; `max_depth` of configs/events.yaml is at least 64 for a whole line
_POWER = 10.0 ** np.arange(23)
_WHOLE_POWER = 10 ** np.arange(19, dtype=np.int64)
_EXACT = 2**53

QUOTE, BACKSLASH, COMMA, COLON, MINUS, PLUS, DOT, ZERO, NINE = (ord(c) for c in '"\\,:-+.09')
OPEN, CLOSE, LIST, END, SMALL_U, SMALL_E, LARGE_E = (ord(c) for c in "{}[]ueE")
SMALL_T, SMALL_F, SMALL_N = (ord(c) for c in "tfn")


# Nothing is allocated here: counting references to arrays would cost a third of the time.
_part = njit(error_model="numpy", _nrt=False)  # type: ignore[call-overload]  # numba's hints omit _nrt

if config.BOUNDSCHECK:  # type: ignore[attr-defined]

    @_part
    def eight(text, at):
        """Eight bytes of a text as one integer, each checked to be there."""
        word = np.uint64(0)
        for place in range(8):
            word |= np.uint64(text[at + place]) << np.uint64(8 * place)
        return word

    @_part
    def _same_64(one, at, other, begin):
        for place in range(0, 64, 8):
            if eight(one, at + place) != eight(other, begin + place):
                return False
        return True

    @_part
    def _put_eight(out, at, word):
        for place in range(8):
            out[at + place] = np.uint8((word >> np.uint64(8 * place)) & np.uint64(255))

else:

    @intrinsic  # type: ignore[misc, unused-ignore]
    def eight(_context: Any, text: Any, at: Any) -> Any:
        """Eight bytes of a text as one integer; the caller has checked that they are there."""

        def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array = context.make_array(signature.args[0])(context, builder, arguments[0])
            address = builder.gep(array.data, [arguments[1]])
            word = context.get_value_type(types.uint64).as_pointer()
            return builder.load(builder.bitcast(address, word), align=1)

        return types.uint64(text, at), build

    @intrinsic  # type: ignore[misc, unused-ignore]
    def _same_64(_context: Any, one: Any, at: Any, other: Any, begin: Any) -> Any:
        """Whether 64 bytes of two texts are the same; the caller has checked that they are there."""

        def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            halves = []
            for text, place in ((0, 1), (2, 3)):
                array = context.make_array(signature.args[text])(context, builder, arguments[text])
                address = builder.gep(array.data, [arguments[place]])
                word = ir.VectorType(ir.IntType(64), 8)
                halves.append(builder.load(builder.bitcast(address, word.as_pointer()), align=1))
            differs = builder.bitcast(builder.xor(*halves), ir.IntType(512))
            return builder.icmp_unsigned("==", differs, ir.IntType(512)(0))

        return types.boolean(one, at, other, begin), build

    @intrinsic  # type: ignore[misc, unused-ignore]
    def _put_eight(_context: Any, out: Any, at: Any, word: Any) -> Any:
        """Writes eight bytes; the caller has checked that there is room."""

        def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array = context.make_array(signature.args[0])(context, builder, arguments[0])
            place = context.get_value_type(types.uint64).as_pointer()
            address = builder.bitcast(builder.gep(array.data, [arguments[1]]), place)
            builder.store(arguments[2], address, align=1)
            return context.get_dummy_value()

        return types.void(out, at, word), build


@intrinsic  # type: ignore[misc, unused-ignore]
def _zeros_below(_context: Any, word: Any) -> Any:
    """How many bits below the lowest one that is set are not."""

    def build(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], context.get_constant(types.boolean, True))

    return types.uint64(types.uint64), build


@_part
def _space(text, at, end):
    """Behind blanks; a line's end is none."""
    while at < end and (text[at] == 32 or text[at] == 9 or text[at] == 13):
        at += 1
    return at


@_part
def _past_string(text, at, end):
    """Behind the closing quote of a string whose first character is at `at`; -1 if it is not one."""
    low, high = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
    quotes, slashes, controls = low * np.uint64(QUOTE), low * np.uint64(BACKSLASH), low * np.uint64(0x20)
    while True:
        while at + 8 <= end:
            word = eight(text, at)
            quote, slash = word ^ quotes, word ^ slashes
            found = ((quote - low) & ~quote) | ((slash - low) & ~slash) | ((word - controls) & ~word)
            found &= high
            if found:
                at += np.int64(_zeros_below(found)) >> 3  # type: ignore[call-arg]
                break
            at += 8
        while at < end and text[at] != QUOTE and text[at] != BACKSLASH and text[at] >= 32:
            at += 1
        if at >= end or text[at] < 32:
            return -1
        if text[at] == QUOTE:
            return at + 1
        if at + 1 >= end:
            return -1
        escaped = text[at + 1]
        if escaped == SMALL_U:
            if at + 6 > end:
                return -1
            for place in range(at + 2, at + 6):
                digit = text[place] | 32
                if not (ZERO <= text[place] <= NINE or 97 <= digit <= 102):
                    return -1
            if (text[at + 2] | 32) == 100 and text[at + 3] >= 56:
                return -1  # half of a pair: which ones fit is the careful reader's to say
            at += 6
        elif (
            escaped == QUOTE or escaped == BACKSLASH or escaped == 47 or escaped == 98 or escaped == 102
            or escaped == 110 or escaped == 114 or escaped == 116
        ):  # fmt: skip
            at += 2
        else:
            return -1


_NUMERIC = np.zeros(256, np.bool_)
_NUMERIC[list(b"0123456789-+.eE")] = True


@_part
def _numeric(byte):
    return _NUMERIC[byte]


@_part
def _past_number(text, at, end):
    """Behind a number that begins at `at`; -1 if none does."""
    if at < end and text[at] == MINUS:
        at += 1
    first = at
    while at < end and ZERO <= text[at] <= NINE:
        at += 1
    if at == first or (text[first] == ZERO and at > first + 1):
        return -1
    if at < end and text[at] == DOT:
        at += 1
        first = at
        while at < end and ZERO <= text[at] <= NINE:
            at += 1
        if at == first:
            return -1
    if at < end and (text[at] == SMALL_E or text[at] == LARGE_E):
        at += 1
        if at < end and (text[at] == PLUS or text[at] == MINUS):
            at += 1
        first = at
        while at < end and ZERO <= text[at] <= NINE:
            at += 1
        if at == first:
            return -1
    return at


@_part
def number(text, at, end):
    """The double nearest to a decimal number without exponent.

    Exact up to 18 digits: by one division where numerator and power of ten are exact doubles (Clinger 1990), else by
    long division in binary.

    Returns:
        The number, and whether it could be told.
    """
    negative = text[at] == MINUS
    if negative:
        at += 1
    digits, behind, point = np.int64(0), np.int64(0), False
    for place in range(at, end):
        byte = text[place]
        if byte == DOT:
            point = True
        elif ZERO <= byte <= NINE:
            if digits >= _WHOLE_POWER[17] or behind >= 18:
                return 0.0, False
            digits = digits * 10 + (byte - ZERO)
            behind += point
        else:
            return 0.0, False
    if digits < _EXACT:
        value = digits / _POWER[behind]
        return (-value if negative and point else 0.0 if digits == 0 else -value if negative else value), True
    if not point:
        return 0.0, False
    divisor = _WHOLE_POWER[behind]
    quotient, rest, exponent = digits // divisor, digits % divisor, 0
    while quotient < _EXACT:
        rest *= 2
        quotient = quotient * 2 + (rest >= divisor)
        if rest >= divisor:
            rest -= divisor
        exponent -= 1
    dropped = 0
    while quotient >= 2 * _EXACT:
        dropped |= quotient & 1
        quotient >>= 1
        exponent += 1
    # 54 bits and whether there is more below them: half to even.
    tail = quotient & 1
    quotient >>= 1
    exponent += 1
    if tail and (rest or dropped or quotient & 1):
        quotient += 1
    value = np.float64(quotient) * 2.0**exponent
    return (-value if negative else value), True


@_part
def _past_word(text, at, end):
    """Behind `true`, `false` or `null`; -1 if none of them begins at `at`."""
    if at + 4 > end:
        return -1
    a, b, c, d = text[at], text[at + 1], text[at + 2], text[at + 3]
    if a == SMALL_T:
        return at + 4 if b == 114 and c == 117 and d == 101 else -1
    if a == SMALL_N:
        return at + 4 if b == 117 and c == 108 and d == 108 else -1
    if a == SMALL_F and at + 5 <= end:
        return at + 5 if b == 97 and c == 108 and d == 115 and text[at + 4] == 101 else -1
    return -1


@_part
def _past_key(text, at, end):
    """Behind the colon of a key whose quote is expected at `at`; -1 if there is none."""
    if at >= end or text[at] != QUOTE:
        return -1
    at = _past_string(text, at + 1, end)
    if at < 0:
        return -1
    at = _space(text, at, end)
    return at + 1 if at < end and text[at] == COLON else -1


@_part
def past_value(text, at, end):
    """Behind the JSON value that begins at `at`; -1 if there is none, or it is nested too deeply."""
    depth, objects = 0, np.uint64(0)
    while True:
        at = _space(text, at, end)
        if at >= end:
            return -1
        byte = text[at]
        if byte == QUOTE:
            at = _past_string(text, at + 1, end)
        elif byte == OPEN or byte == LIST:
            at = _space(text, at + 1, end)
            if at >= end:
                return -1
            if text[at] == byte + 2:
                at += 1
            else:
                depth += 1
                if depth > MOST_DEPTH:
                    return -1
                objects = (objects << np.uint64(1)) | np.uint64(byte == OPEN)
                if byte == OPEN:
                    at = _past_key(text, at, end)
                    if at < 0:
                        return -1
                continue
        elif byte == MINUS or ZERO <= byte <= NINE:
            at = _past_number(text, at, end)
        else:
            at = _past_word(text, at, end)
        if at < 0:
            return -1
        while True:
            if depth == 0:
                return at
            at = _space(text, at, end)
            if at >= end:
                return -1
            is_object = objects & np.uint64(1)
            if text[at] == COMMA:
                at = _space(text, at + 1, end)
                if is_object:
                    at = _past_key(text, at, end)
                    if at < 0:
                        return -1
                break
            if text[at] != (CLOSE if is_object else END):
                return -1
            objects >>= np.uint64(1)
            depth -= 1
            at += 1


@_part
def _past_unchecked(text, at, end):
    """Behind the value that begins at `at`, an object or list by its brackets alone; -1 if it does not end.

    For what is decoded later anyway; whatever it is, a valid value of no more than `MOST_DEPTH` levels ends there.
    """
    if text[at] != OPEN and text[at] != LIST:
        return past_value(text, at, end)
    depth = 0
    while at < end:
        byte = text[at]
        if byte == QUOTE:
            at = _past_string(text, at + 1, end)
            if at < 0:
                return -1
            continue
        bracket = byte | 32  # makes { of [ and } of ]
        depth += (bracket == OPEN) - np.int64(bracket == CLOSE)
        at += 1
        if depth == 0:
            return at
        if byte == 10 or depth > MOST_DEPTH:
            return -1
    return -1


@_part
def _field(text, at, end, holder):
    """Which field of an object the key from `at` to `end` names; -1 for one that is not read."""
    for field in range(FIRST_FIELD[holder], FIRST_FIELD[holder + 1]):
        first = FIELD_END[field - 1] if field else 0
        if FIELD_END[field] - first != end - at:
            continue
        same = True
        for place in range(end - at):
            if text[at + place] != FIELD_TEXT[first + place]:
                same = False
                break
        if same:
            return field
    return -1


@_part
def _which_items(text, at, end, item_text, item_end):
    """Bit k set where the text is the k-th of the items looked for."""
    bits = 0
    for item in range(item_end.shape[0]):
        first = item_end[item - 1] if item else 0
        if item_end[item] - first == end - at:
            same = True
            for place in range(end - at):
                if text[at + place] != item_text[first + place]:
                    same = False
                    break
            if same:
                bits |= 1 << item
    return bits


@_part
def _leaf(text, at, end, code, item_text, item_end):
    """A value that is needed.

    Returns:
        Where it ends (-1 where it can't be taken), and the value as a number: null is NaN, true 1, an item its bits.
    """
    byte = text[at]
    if code == FIXED:
        return past_value(text, at, end), 0.0
    if byte == SMALL_N:
        return _past_word(text, at, end), np.nan
    if code == ALIVE:
        past = _past_word(text, at, end)
        return past, 1.0 if byte == SMALL_T else 0.0
    if code == ITEM_ID and byte == QUOTE:
        past = _past_string(text, at + 1, end)
        for place in range(at + 1, past - 1):
            if text[place] == BACKSLASH or text[place] >= 128:
                return -1, 0.0
        if past < 0:
            return -1, 0.0
        return past, float(_which_items(text, at + 1, past - 1, item_text, item_end))
    past = _past_number(text, at, end)
    if past < 0:
        return -1, 0.0
    if code == ITEM_ID:
        if past - at > 18 or text[at] == MINUS:
            return -1, 0.0
        for place in range(at, past):
            if not ZERO <= text[place] <= NINE:
                return -1, 0.0
        return past, float(_which_items(text, at, past, item_text, item_end))
    value, known = number(text, at, past)
    return (past if known else -1), value


@_part
def _read(text, at, end, code, places, codes, values, count, item_text, item_end, stack):
    """Reads a value of the given code from its first character and lists it on the tape.

    Returns:
        Where it ends (-1 where it can't be taken) and how long the tape then is.
    """
    # The upper half of the stack: of each open object or list its place on the tape, and the fields it has had.
    holders, seen = stack[MOST_DEPTH:, 0], stack[MOST_DEPTH:, 1]
    depth = 0
    room = codes.shape[0] - 2
    while True:
        at = _space(text, at, end)
        if at >= end or count > room:
            return -1, count
        byte = text[at]
        begin = at
        opened = False
        if code == OTHER:
            at = past_value(text, at, end)
            if byte == OPEN or byte == LIST:
                places[count, 0], places[count, 1] = begin, at
                codes[count], values[count] = code, 1.0
                count += 1
        elif code >= FIXED:
            at, value = _leaf(text, at, end, code, item_text, item_end)
            places[count, 0], places[count, 1] = begin, at
            codes[count], values[count] = code, value
            count += 1
        elif byte == SMALL_N and not _ELEMENT_OF_LIST[code]:
            at = _past_word(text, at, end)
            places[count, 0], places[count, 1] = begin, at
            codes[count], values[count] = code, np.nan
            count += 1
        elif byte == (LIST if _ELEMENT[code] else OPEN):
            if depth >= MOST_DEPTH:
                return -1, count
            holders[depth], seen[depth] = count, 0
            places[count, 0], places[count, 1] = begin, -1
            codes[count], values[count] = code, 1.0
            count += 1
            depth += 1
            at = _space(text, at + 1, end)
            opened = True
        else:
            return -1, count
        if at < 0:
            return -1, count
        while True:  # to the next value
            if depth == 0:
                return at, count
            if not opened:
                at = _space(text, at, end)
            if at >= end:
                return -1, count
            holder = codes[holders[depth - 1]]
            member = _ELEMENT[holder]
            if text[at] == (END if member else CLOSE):
                at += 1
                depth -= 1
                places[holders[depth], 1] = at
                opened = False
                continue
            if not opened:
                if text[at] != COMMA:
                    return -1, count
                at = _space(text, at + 1, end)
            if member:
                code = member
                break
            past = _past_key(text, at, end)
            if past < 0:
                return -1, count
            name_end = at + 1
            while text[name_end] != QUOTE:
                if text[name_end] == BACKSLASH:
                    return -1, count  # an escaped name may be any name
                name_end += 1
            field = _field(text, at + 1, name_end, holder)
            if field < 0:
                code = OTHER
            else:
                code = FIELD_CODE[field]
                bit = 1 << (field - FIRST_FIELD[holder])
                if seen[depth - 1] & bit:
                    return -1, count
                seen[depth - 1] |= bit
            at = past
            break


_ELEMENT_OF_LIST = np.zeros(20, np.bool_)  # null is no element of a list
_ELEMENT_OF_LIST[[GAME, TEAM, PLAYER, ITEM, SEGMENT, SIDE]] = True
_ROWS_DIFFER = np.zeros(28, np.bool_)  # what may change without a change of who is there
_ROWS_DIFFER[[OTHER, POSITION, ITEMS, ITEM, BAG, BAG_ITEMS, X, Y, Z, HEALTH, ARMOR, ALIVE, ITEM_ID]] = True


@_part
def _common(one, at, other, begin, most):
    """How many bytes two texts have in common from the given places."""
    same = 0
    while same + 64 <= most and _same_64(one, at + same, other, begin + same):
        same += 64
    while same + 8 <= most:
        parted = eight(one, at + same) ^ eight(other, begin + same)
        if parted:
            return same + (np.int64(_zeros_below(parted)) >> 3)  # type: ignore[call-arg]
        same += 8
    while same < most and one[at + same] == other[begin + same]:
        same += 1
    return same


@_part
def _past_unneeded(old, at, low, last, text, now, end):
    """Behind another number or flag in place of one that is not needed; -1 where texts do not part within such.

    Args:
        old: a text, from `low` to `last` a state.
        at: where it parts from the other one.
        low: see there.
        last: see there.
        text: the other text.
        now: where it parts.
        end: of it.

    Returns:
        The place in both texts.
    """
    # (Where these are characters of a string, they are so in both.)
    first = at
    while first > low and _numeric(old[first - 1]):
        first -= 1
    before = old[first - 1]
    if before == COLON or before == COMMA or before == LIST:
        past = first
        while past < last and _numeric(old[past]):
            past += 1
        if past > first:
            past_new = _past_number(text, first + now - at, end)
            goes_on = past > at or past_new > now
            if goes_on and 0 <= past_new < end and not _numeric(text[past_new]):
                return past, past_new
        elif first == at and (old[at] == SMALL_T or old[at] == SMALL_F):
            past = _past_word(old, at, last)
            past_new = -1 if text[now] == SMALL_N else _past_word(text, now, end)
            if past >= 0 and past_new >= 0:
                return past, past_new
    return -1, -1


@_part
def _vary(
    base, places, codes, count, row_of, base_rows, base_items, n_base, text, begin, end, rows, items, row,
):  # fmt: skip
    """Reads a state that differs from another only in numbers and flags; what that one's tape says is not changed.

    Args:
        base: the text that holds the other state.
        places: its tape, of `count` entries; with `codes` and `row_of`, the player of each entry.
        codes: see there.
        count: see there.
        row_of: see there.
        base_rows: its columns, `n_base` players; with `base_items`.
        base_items: see there.
        n_base: see there.
        text: the text that holds the state.
        begin: where the state begins.
        end: of the text.
        rows: from `row` on filled with the columns of the state; so is `items`. There is room.
        items: see there.
        row: see there.

    Returns:
        Where the state ends; -1 where it differs in anything else.
    """
    for player in range(n_base):
        for column in range(6):
            rows[row + player, column] = base_rows[player, column]
        items[row + player] = base_items[player]
    at, last = places[0, 0], places[0, 1]
    now, entry = begin, 0
    while True:
        same = _common(base, at, text, now, min(last - at, end - now))
        at += same
        now += same
        if at >= last:
            return now
        if now >= end:
            return -1
        while entry < count and places[entry, 0] <= at:
            entry += 1
        leaf = entry - 1
        code = codes[leaf]
        stop = places[leaf, 1]
        if code >= FIXED and (stop > at or (stop == at and _numeric(text[now]) and _numeric(base[at - 1]))):
            parted = now
            first = places[leaf, 0] + now - at
            if X <= code <= ARMOR and text[first] != SMALL_N:
                now = _past_number(text, first, end)
                value, known = number(text, first, now) if now >= 0 else (0.0, False)
                if not known:
                    return -1
            elif code == ALIVE and text[first] != SMALL_N:
                now = _past_word(text, first, end)
                value = 1.0 if text[first] == SMALL_T else 0.0
            else:
                return -1
            if now < 0 or (stop == at and now == parted):
                return -1
            rows[row + row_of[leaf], code - X] = value
            at = stop
            continue
        at, now = _past_unneeded(base, at, places[0, 0], last, text, now, end)
        if at < 0:
            return -1


@_part
def _follow(
    old, old_places, old_codes, old_values, old_count, text, begin, end, places, codes, values, item_text, item_end,
    stack,
):  # fmt: skip
    """Reads a state by comparing it with another that was read.

    Args:
        old: the text that holds the other state.
        old_places: its tape, of `old_count` entries; with `old_codes` and `old_values`.
        old_codes: see there.
        old_values: see there.
        old_count: see there.
        text: the text that holds the state.
        begin: where the state begins.
        end: of the text.
        places: its tape, to be filled; with `codes` and `values`.
        codes: see there.
        values: see there.
        item_text: items looked for, one after the other.
        item_end: where each of these ends.
        stack: room to work in.

    Returns:
        Where the state ends (-1 where it can't be taken), how long its tape is, and whether anything but the
        columns of the players has changed.
    """
    depth = 0  # of the lower half of the stack: open entries, each by its place on the old tape and on the new one
    at, now = old_places[0, 0], begin
    last = old_places[0, 1]
    shift = now - at
    entry, count = 0, 0
    changed = False
    room = codes.shape[0] - 2
    while True:
        same = _common(old, at, text, now, min(last - at, end - now))
        at += same
        now += same
        while entry < old_count and old_places[entry, 0] <= at:
            start = old_places[entry, 0]
            while depth and old_places[stack[depth - 1, 0], 1] <= start:
                depth -= 1
                places[stack[depth, 1], 1] = old_places[stack[depth, 0], 1] + shift
            if count > room:
                return -1, 0, False
            places[count, 0], places[count, 1] = start + shift, old_places[entry, 1] + shift
            codes[count], values[count] = old_codes[entry], old_values[entry]
            if old_codes[entry] < FIXED:
                if depth >= MOST_DEPTH:
                    return -1, 0, False
                stack[depth, 0], stack[depth, 1] = entry, count
                depth += 1
            entry += 1
            count += 1
        if at >= last:
            while depth:
                depth -= 1
                places[stack[depth, 1], 1] = old_places[stack[depth, 0], 1] + shift
            return now, count, changed
        if now >= end:
            return -1, 0, False
        # They part here. Is it within a value that is needed, or right behind a number that goes on?
        leaf = entry - 1
        if old_codes[leaf] >= FIXED:
            stop = old_places[leaf, 1]
            if stop > at or (stop == at and _numeric(text[now]) and _numeric(old[at - 1])):
                code = old_codes[leaf]
                parted = now
                first = old_places[leaf, 0] + shift
                if X <= code <= ARMOR and text[first] != SMALL_N:
                    now = _past_number(text, first, end)
                    value, known = number(text, first, now) if now >= 0 else (0.0, False)
                    if not known:
                        return -1, 0, False
                    places[count - 1, 0], places[count - 1, 1], values[count - 1] = first, now, value
                else:
                    now, count = _read(
                        text, first, end, code, places, codes, values, count - 1, item_text, item_end, stack
                    )  # fmt: skip
                if now < 0 or (stop == at and now == parted):
                    return -1, 0, False
                changed |= not _ROWS_DIFFER[code]
                at = stop
                shift = now - at
                continue
        while depth and old_places[stack[depth - 1, 0], 1] <= at:
            depth -= 1
            places[stack[depth, 1], 1] = old_places[stack[depth, 0], 1] + shift
        past, past_new = _past_unneeded(old, at, old_places[0, 0], last, text, now, end)
        if past >= 0:
            at, now = past, past_new
            shift = now - at
            continue
        # The innermost object or list that holds the place.
        if depth == 0:
            return -1, 0, False
        depth -= 1
        outer, count = stack[depth, 0], stack[depth, 1]
        code = old_codes[outer]
        now, count = _read(text, places[count, 0], end, code, places, codes, values, count, item_text, item_end, stack)
        if now < 0:
            return -1, 0, False
        changed |= not _ROWS_DIFFER[code]
        at = old_places[outer, 1]
        shift = now - at
        while entry < old_count and old_places[entry, 0] < at:
            entry += 1


@_part
def _rows(codes, values, count, rows, items, row_of):
    """The players of a tape as columns (x, y, z, health, armour, alive; items held as bits, -1 unknown).

    Returns:
        How many there are.
    """
    bag, own, bagged = False, np.int64(-1), np.int64(-1)
    row = 0
    for entry in range(count):
        code = codes[entry]
        row_of[entry] = row - (code != PLAYER)
        if code == PLAYER:
            for column in range(5):
                rows[row, column] = np.nan
            rows[row, 5] = 1.0
            items[row] = -1
            own, bagged = np.int64(-1), np.int64(-1)
            row += 1
        elif code == ITEMS or code == BAG_ITEMS:
            bag = code == BAG_ITEMS
            held = np.int64(-1) if np.isnan(values[entry]) else np.int64(0)
            if bag:
                bagged = held
            else:
                own = held
            items[row - 1] = own if own >= 0 else bagged
        elif code == ITEM_ID:
            if not np.isnan(values[entry]):
                if bag:
                    bagged |= np.int64(values[entry])
                else:
                    own |= np.int64(values[entry])
                items[row - 1] = own if own >= 0 else bagged
        elif code == ALIVE:
            rows[row - 1, 5] = 0.0 if values[entry] == 0.0 else 1.0
        elif X <= code <= ARMOR:
            rows[row - 1, code - X] = values[entry]
    return row


@_part
def _key(text, at, end):
    """The end of the name whose quote is expected at `at`, and behind its colon; -1 where it is none or escaped."""
    past = _past_key(text, at, end)
    if past < 0:
        return -1, -1
    name_end = at + 1
    while text[name_end] != QUOTE:
        if text[name_end] == BACKSLASH:
            return -1, -1
        name_end += 1
    return name_end, past


@_part
def _is(text, at, end, word):
    """Whether what stands from `at` to `end` is that word."""
    if end - at != word.shape[0]:
        return False
    for place in range(end - at):
        if text[at + place] != word[place]:
            return False
    return True


@_part
def _player_state(text, at, end):
    """Behind the actor or target that begins at `at`, and the start and end of its own state if it is a player.

    Returns:
        Where it ends, -1 where it can't be taken; -1 twice where it is no player or has no state, or none longer
        than a null.
    """
    begin, stop = -1, -1
    is_player, has_type, has_state = False, False, False
    at = _space(text, at + 1, end)
    if at < end and text[at] == CLOSE:
        return at + 1, begin, stop
    while at < end:
        name = at + 1
        name_end, at = _key(text, at, end)
        if at < 0:
            break
        at = _space(text, at, end)
        if at >= end:
            break
        value = at
        if _is(text, name, name_end, _TYPE):
            at = past_value(text, at, end)
            if has_type or at < 0:
                break
            is_player, has_type = text[value] == QUOTE and _is(text, value + 1, at - 1, _PLAYER), True
        elif _is(text, name, name_end, _STATE):
            at = past_value(text, at, end)
            if has_state or at < 0:
                break
            if is_player and at - value > _NULL.shape[0]:  # so that it gets no longer without it
                begin, stop = value, at
            has_state = True
        else:
            at = _past_unchecked(text, at, end)
            if at < 0:
                break
        at = _space(text, at, end)
        if at >= end:
            break
        if text[at] == CLOSE:
            return at + 1, begin, stop
        if text[at] != COMMA:
            break
        at = _space(text, at + 1, end)
    return -1, -1, -1


_NULL, _EMPTY = np.frombuffer(b"null", np.uint8), np.frombuffer(b'""', np.uint8)
_TYPE, _STATE, _PLAYER = (np.frombuffer(word, np.uint8) for word in (b"type", b"state", b"player"))
_SEQUENCES = 2**46  # beyond is the careful reader's to refuse

# What is kept of the state that is remembered, also between two blocks.
WHICH, COUNT, SAVED_END, DIRTY, PLAYERS_SHOWN = range(5)
# Columns of `lines`, `events` and `states`, see `read_block`.
LINE, BEGIN, STOP, OUT_BEGIN, OUT_STOP, SEQUENCE, CLOCK, CLOCK_BEGIN, CLOCK_STOP, FIRST_EVENT, EVENTS = range(11)
ID_BEGIN, ID_STOP, STATE = range(3)
FIRST_ROW, ROWS_STOP, CHANGED, STATE_BEGIN, STATE_STOP = range(5)
NO_CLOCK = -(2**63)


@_part
def _digits(text, at, count):
    """A number of so many digits; -1 if one is none."""
    value = 0
    for place in range(at, at + count):
        if not ZERO <= text[place] <= NINE:
            return -1
        value = value * 10 + (text[place] - ZERO)
    return value


@_part
def instant_us(text, at, end):
    """An instant written as `2026-01-31T12:34:56.789Z` in microseconds since 1970 UTC; NO_CLOCK for any other text."""
    if (
        end - at != 24 or text[at + 4] != MINUS or text[at + 7] != MINUS or text[at + 10] != 84
        or text[at + 13] != COLON or text[at + 16] != COLON or text[at + 19] != DOT or text[at + 23] != 90
    ):  # fmt: skip
        return NO_CLOCK
    year, month, day = _digits(text, at, 4), _digits(text, at + 5, 2), _digits(text, at + 8, 2)
    hour, minute, second = _digits(text, at + 11, 2), _digits(text, at + 14, 2), _digits(text, at + 17, 2)
    millis = _digits(text, at + 20, 3)
    if not 1 < year < 9999 or not 1 <= month <= 12 or millis < 0:
        return NO_CLOCK
    if not 1 <= day <= days_of_month(year, month):
        return NO_CLOCK
    if not (0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 60):
        return NO_CLOCK
    days = days_since_1970(year, month, day)
    return (((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000 + millis * 1000


@_part
def _is_plain(text, at, end):
    """Whether a string holds only ASCII and no escape."""
    for place in range(at, end):
        if text[place] >= 128 or text[place] == BACKSLASH:
            return False
    return True


@_part
def _state(
    text, at, end, saved, newest, memory, places, codes, values, row_of, base_rows, base_items, item_text, item_end,
    stack, rows, items, row,
):  # fmt: skip
    """Reads the state that begins at `at`, by the one that is remembered if there is one.

    Returns:
        Where it ends, or -1; and whether it is now the one that is remembered.
    """
    old = memory[WHICH]
    base = text if newest >= 0 else saved
    if memory[SAVED_END] and row + memory[PLAYERS_SHOWN] <= rows.shape[0]:
        behind = _vary(
            base, places[old], codes[old], memory[COUNT], row_of, base_rows, base_items, memory[PLAYERS_SHOWN], text,
            at, end, rows, items, row,
        )  # fmt: skip
        if behind >= 0:
            return behind, False
    new = 1 - old
    behind, count, changed = -1, 0, True
    if memory[SAVED_END]:
        behind, count, changed = _follow(
            base, places[old], codes[old], values[old], memory[COUNT], text, at, end, places[new], codes[new],
            values[new], item_text, item_end, stack,
        )  # fmt: skip
    if behind < 0:
        changed = True
        behind, count = _read(
            text, at, end, SERIES, places[new], codes[new], values[new], 0, item_text, item_end, stack
        )  # fmt: skip
    if behind < 0:
        return -1, False
    memory[WHICH], memory[COUNT], memory[SAVED_END] = new, count, behind
    memory[DIRTY] |= changed
    memory[PLAYERS_SHOWN] = _rows(codes[new], values[new], count, base_rows, base_items, row_of)
    if row + memory[PLAYERS_SHOWN] <= rows.shape[0]:
        for player in range(memory[PLAYERS_SHOWN]):
            for column in range(6):
                rows[row + player, column] = base_rows[player, column]
            items[row + player] = base_items[player]
    return behind, True


@_part
def _same_form(out, begin, end, recent):
    """Which of the recent forms stands from `begin` to `end`; -1 for none."""
    for form in range(recent.shape[0]):
        first, size = recent[form, 0], recent[form, 1]
        if size == end - begin and _common(out, first, out, begin, size) == size:
            return form
    return -1


@njit(cache=True, error_model="numpy", _nrt=False)  # type: ignore[call-overload]  # as above
def read_block(
    text, saved, memory, places, codes, values, row_of, base_rows, base_items, stack, recent, item_text, item_end, out,
    lines, events, states, rows, items,
):  # fmt: skip
    """Reads the lines of a block as far as they are what one expects.

    Args:
        text: whole lines, each ended by a line feed.
        saved: bytes of the state that is remembered from the blocks before, from 0. States are held against it until
            one differs from it in more than numbers and flags: then that one is remembered.
        memory: about that state: which tape is its, entries on it, its end (0: there is none), whether something fixed
            may have changed since the last state that was handed out, and how many players it shows.
        places: of tape k: start and end of its entries.
        codes: of tape k: what each entry is.
        values: of tape k: what each entry says as a number.
        row_of: of the entries on its tape the player to whom they belong.
        base_rows: its columns as in `rows`, from 0; with `base_items`.
        base_items: see there.
        stack: (2 MOST_DEPTH, 2) room to work in.
        recent: (n, 2) room for the newest n forms that differ, each by its start and size.
        item_text: ids of items looked for, one after the other.
        item_end: where each of these ends.
        out: the forms of the lines taken: each state replaced by null, with it those that the players of its event
            tell of themselves, and what differs between any two lines (ids, clock, sequence numbers) by empty
            strings. Lines may share one.
        lines: of each line taken: its place among the lines of the block, start, end, its form from and to, sequence
            number, clock in microseconds since 1970 UTC (NO_CLOCK if it is written unusually), its text from and to,
            its first event, how many events.
        events: of each event: its id from and to, the place of its state in `states`, -1 without.
        states: of each state: first row, rows' end, whether anything but the columns of the players has changed,
            start, end.
        rows: x, y, z, health, armour, alive of each player of each state, in the order of the state.
        items: bits of the items looked for that the player has; -1 where unknown.

    Returns:
        How many of `lines`, `events`, `states`, `rows`, `out` are filled, how many lines the block has, and the start
        of the state that is remembered, -1 if it still is the saved one. Lines for which there is no room, and all
        that are unusual, are not among those taken.
    """
    end = text.shape[0]
    begin, line = 0, 0
    n_out, n_lines, n_events, n_states, n_rows = 0, 0, 0, 0, 0
    newest = -1
    recent[:, 1] = -1
    oldest = 0  # of the recent forms
    had, had_in_event = 0, 0  # fields met
    cuts = True  # whether players' own states are left out; an event without state needs them
    while begin < end:
        first_event, first_state, first_row, first_out = n_events, n_states, n_rows, n_out
        at = _space(text, begin, end)
        if at < end and text[at] == 10:
            begin, line = at + 1, line + 1
            continue
        # level: 0 in the transaction, 1 in the list of its events, 2 in an event
        level, taken, again = 0, False, False
        had, has_cut = 0, False
        sequence, clock, clock_begin, clock_end = -1, NO_CLOCK, -1, -1
        opened = True
        copied = begin  # up to where the line is in `out`
        at = at + 1 if at < end and text[at] == OPEN else -1
        while at >= 0:
            at = _space(text, at, end)
            if at >= end:
                break
            if text[at] == (END if level == 1 else CLOSE):
                at += 1
                if level == 0:
                    at = _space(text, at, end)
                    taken = at < end and text[at] == 10 and sequence >= 0 and clock_begin >= 0
                    break
                if level == 2 and has_cut and events[n_events - 1, STATE] < 0:
                    again = True
                    break
                level -= 1
                opened = False
                continue
            if not opened:
                if text[at] != COMMA:
                    break
                at = _space(text, at + 1, end)
            opened = False
            if level == 1:
                if n_events >= events.shape[0]:
                    break
                events[n_events, ID_BEGIN], events[n_events, ID_STOP], events[n_events, STATE] = -1, -1, -1
                n_events += 1
                if at < end and text[at] == OPEN:
                    level, opened = 2, True
                    had_in_event, has_cut = 0, False
                    at += 1
                else:
                    at = past_value(text, at, end)
                continue
            name = at + 1
            name_end, at = _key(text, at, end)
            if at < 0:
                break
            at = _space(text, at, end)
            if at >= end:
                break
            field = _field(text, name, name_end, TRANSACTION if level == 0 else EVENT)
            if field < 0:
                at = _past_unchecked(text, at, end)
                continue
            if (had if level == 0 else had_in_event) & (1 << field):
                break  # which of two counts is the careful reader's to say
            if level == 0:
                had |= 1 << field
            else:
                had_in_event |= 1 << field
            kind = FIELD_CODE[field]
            if kind == EVENT_LIST:
                if text[at] != LIST:
                    break
                level, opened = 1, True
                at += 1
            elif kind == ENTITY:
                if text[at] != OPEN:
                    at = past_value(text, at, end)
                    continue
                at, cut, cut_end = _player_state(text, at, end)
                if cuts and cut >= 0:
                    n_out = _copy(text, copied, cut, out, n_out)
                    n_out = _copy(_NULL, 0, 4, out, n_out)
                    copied, has_cut = cut_end, True
            elif kind == STATE_OBJECT:
                if text[at] != OPEN:
                    at = past_value(text, at, end)
                    continue
                if n_states >= states.shape[0]:
                    break
                behind, remembered = _state(
                    text, at, end, saved, newest, memory, places, codes, values, row_of, base_rows, base_items,
                    item_text, item_end, stack, rows, items, n_rows,
                )  # fmt: skip
                if remembered:
                    newest = at
                rows_end = n_rows + memory[PLAYERS_SHOWN]
                if behind < 0 or rows_end > rows.shape[0]:
                    break
                events[n_events - 1, STATE] = n_states
                states[n_states, FIRST_ROW], states[n_states, ROWS_STOP] = n_rows, rows_end
                states[n_states, CHANGED] = memory[DIRTY]
                states[n_states, STATE_BEGIN], states[n_states, STATE_STOP] = at, behind
                memory[DIRTY] = 0
                n_states, n_rows = n_states + 1, rows_end
                n_out = _copy(text, copied, at, out, n_out)
                n_out = _copy(_NULL, 0, 4, out, n_out)
                at = copied = behind
            else:
                value = at
                at = past_value(text, at, end)
                if at < 0:
                    break
                is_text = text[value] == QUOTE
                inner, inner_end = (value + 1, at - 1) if is_text else (value, at)
                if kind == SEQUENCE_NUMBER or kind == VOLATILE_NUMBER:
                    told = _digits(text, inner, inner_end - inner) if 0 < inner_end - inner < 15 else -1
                    if not 0 <= told < _SEQUENCES:
                        continue
                    if kind == SEQUENCE_NUMBER:
                        sequence = told
                elif not is_text or inner == inner_end or not _is_plain(text, inner, inner_end):
                    continue
                elif kind == EVENT_ID:
                    events[n_events - 1, ID_BEGIN], events[n_events - 1, ID_STOP] = inner, inner_end
                elif kind == CLOCK_TEXT:
                    clock, clock_begin, clock_end = instant_us(text, inner, inner_end), inner, inner_end
                n_out = _copy(text, copied, value, out, n_out)
                n_out = _copy(_EMPTY, 0, 2, out, n_out)
                copied = at
        if taken and n_lines < lines.shape[0]:
            n_out = _copy(text, copied, at, out, n_out)
            form = _same_form(out, first_out, n_out, recent)
            if form >= 0:
                n_out = first_out
            else:
                form = oldest
                oldest = (oldest + 1) % recent.shape[0]
                recent[form, 0], recent[form, 1] = first_out, n_out - first_out
            row = lines[n_lines]
            row[LINE], row[BEGIN], row[STOP] = line, begin, at
            row[OUT_BEGIN], row[OUT_STOP] = recent[form, 0], recent[form, 0] + recent[form, 1]
            row[SEQUENCE], row[CLOCK], row[CLOCK_BEGIN], row[CLOCK_STOP] = sequence, clock, clock_begin, clock_end
            row[FIRST_EVENT], row[EVENTS] = first_event, n_events - first_event
            n_lines += 1
            cuts = n_states - first_state == n_events - first_event
        else:
            for state in range(first_state, n_states):
                memory[DIRTY] |= states[state, CHANGED]
            n_events, n_states, n_rows, n_out = first_event, first_state, first_row, first_out
            if again:
                cuts = False
                continue
            at = begin
            while at < end and text[at] != 10:
                at += 1
        begin, line = at + 1, line + 1
    return n_lines, n_events, n_states, n_rows, n_out, line, newest


@_part
def _copy(text, start, end, out, at):
    """Copies what stands from `start` to `end` to `at`; returns where it then ends."""
    while start + 8 <= end:
        _put_eight(out, at, eight(text, start))
        start, at = start + 8, at + 8
    while start < end:
        out[at] = text[start]
        start, at = start + 1, at + 1
    return at
