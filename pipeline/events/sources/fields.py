"""Taking one field of a decoded JSON object, or saying what is wrong with it.

Belongs here: checks of single values, shared by sources. Does not belong here: which fields a format has.

Every function raises `BadField` with the path of the field.
"""

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np

from configs.events import ValidityConfig
from pipeline.events.quarantine import BadField

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MOST_INSTANT = 64  # characters; with nanoseconds and a zone it has 35
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_NO_MARKS = bytes(set(range(256)) - set(b'"{}[]'))
_STEPS = np.zeros(256, np.int8)
_STEPS[list(b"{[")], _STEPS[list(b"}]")] = 1, -1
_KINDS = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", int: "a number", float: "a number"}


def too_deep(data: bytes, validity: ValidityConfig) -> str | None:
    """Why a line nests too deeply, None if it does not.

    Decoders of JSON recurse, and how deep they can depends on who calls them; what is taken may not.
    """
    most = validity.max_depth
    if data.count(b"{") + data.count(b"[") <= most:
        return None
    bare = _ESCAPE.sub(b"", data) if b"\\" in data else data
    marks = np.frombuffer(bare.translate(None, _NO_MARKS), np.uint8)
    is_outside = np.bitwise_xor.accumulate(marks == ord('"')) == 0
    steps = _STEPS[marks[is_outside]]
    depth = np.cumsum(steps, dtype=np.int32).max(initial=0)
    return f"nests deeper than {most} levels" if depth > most else None


def kind(value: object) -> str:
    """What a decoded JSON value is, in words."""
    return "null" if value is None else _KINDS.get(type(value), type(value).__name__)


def text(value: object, field: str, limit: int) -> str:
    """A string that is neither empty nor too long."""
    if type(value) is not str:
        raise BadField(field, f"must be a string, is {kind(value)}")
    if not 0 < len(value) <= limit:
        raise BadField(field, "is empty" if not value else f"has {len(value)} characters, at most {limit} are taken")
    return value


def optional_text(value: object, field: str, limit: int) -> str | None:
    """A string, or None for null; an empty one counts as null."""
    return None if value is None or value == "" else text(value, field, limit)


def number(value: object, field: str, low: float, high: float) -> float:
    """A finite number within `[low, high]`."""
    if type(value) is not float and type(value) is not int:
        raise BadField(field, f"must be a number, is {kind(value)}")
    if not low <= value <= high:  # NaN fails too
        if type(value) is float and not math.isfinite(value):
            raise BadField(field, "is not a finite number")
        raise BadField(field, f"{value!s:.30} is outside {low} to {high}")
    return value


def whole(value: object, field: str, low: int, high: int) -> int:
    """A whole number within `[low, high]`; 3.0 is one."""
    result = number(value, field, low, high)
    if result != int(result):
        raise BadField(field, f"{value} is not a whole number")
    return int(result)


def optional_flag(value: object, field: str) -> bool | None:
    """True, False, or None for null."""
    if value is not None and type(value) is not bool:
        raise BadField(field, f"must be true or false, is {kind(value)}")
    return value


def mm(metres: float) -> int:
    """Metres as millimetres, `rint(double × 1000)`."""
    return round(metres * 1000)


def point_mm(value: object, field: str, validity: ValidityConfig) -> tuple[int, int | None, int]:
    """A position `[x, y, z]` in metres as millimetres, `rint(double × 1000)`; a planar one has null for y."""
    if type(value) is not list or len(value) != 3:
        raise BadField(field, "must be [x, y, z]" + ("" if type(value) is list else f", is {kind(value)}"))
    x, y, z = value
    most = validity.max_position_m
    return (
        mm(number(x, f"{field}[0]", -most, most)),
        None if y is None else mm(number(y, f"{field}[1]", -most, most)),
        mm(number(z, f"{field}[2]", -most, most)),
    )


def each(value: object, field: str, check: Callable[[Any, str], object]) -> None:
    """Applies a check to every entry of a list."""
    if type(value) is not list:
        raise BadField(field, f"must be a list, is {kind(value)}")
    for index, entry in enumerate(value):
        check(entry, f"{field}[{index}]")


@lru_cache(maxsize=256)
def _instant_us(value: str) -> int:
    at = datetime.fromisoformat(value)
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    if not 1 < at.year < 9999:  # lest a zone, or the match time that is taken off, lead out of the calendar
        raise ValueError("outside the calendar")
    return (at - _EPOCH) // _MICROSECOND


def instant_us(value: object, field: str) -> int:
    """An ISO 8601 instant of the years 2 to 9998 as microseconds since 1970 UTC; without a zone it is UTC."""
    if type(value) is not str:
        raise BadField(field, f"must be an ISO 8601 instant, is {kind(value)}")
    if len(value) > _MOST_INSTANT:  # lest long ones be remembered
        raise BadField(field, f"has {len(value)} characters, at most {_MOST_INSTANT} are an instant")
    try:
        return _instant_us(value)
    except (ValueError, OverflowError) as error:
        raise BadField(field, f"is not an ISO 8601 instant: {value[:60]!r}") from error
