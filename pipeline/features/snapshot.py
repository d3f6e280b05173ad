"""The state of a match in bytes.

Belongs here: what a snapshot begins with, and the checks that refuse a foreign or damaged one. Does not belong here:
what the state is (`carry`), when a snapshot is taken.

A snapshot is: magic, CRC-32 of the rest, length of the header, the header (JSON: kernel, limits, cast), the state as
int64. The CRC tells of torn and damaged bytes; whoever can write snapshots on purpose can as well write events.
"""

import json
import struct
import zlib
from collections.abc import Iterable
from dataclasses import astuple
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from configs import config_hash
from configs.features import FeaturesConfig
from pipeline.errors import PipelineError
from pipeline.features.cast import Cast
from pipeline.versions import code_version

_MAGIC = b"gridmotion carry 2\n"
_PREFIX = struct.Struct("<II")
_START = len(_MAGIC) + _PREFIX.size


class SnapshotMismatch(PipelineError):
    """The bytes are no snapshot, or one of another kernel or other limits."""


def pack(cast: Cast, config: FeaturesConfig, states: Iterable[NDArray[np.int64]]) -> bytes:
    """A snapshot of these arrays, one after the other."""
    header = _header(cast, config)
    body = b"".join((header, *(state.tobytes() for state in states)))
    return b"".join((_MAGIC, _PREFIX.pack(zlib.crc32(body), len(header)), body))


def unpack(data: bytes, config: FeaturesConfig) -> tuple[Cast, NDArray[np.int64]]:
    """The cast and the words of all arrays, read only.

    Raises:
        SnapshotMismatch: if the bytes are no whole snapshot, or one of another kernel or other limits.
    """
    if len(data) < _START or not data.startswith(_MAGIC):
        raise SnapshotMismatch("these bytes are no whole snapshot of feature state")
    checksum, length = _PREFIX.unpack_from(data, len(_MAGIC))
    body = memoryview(data)[_START:]
    if zlib.crc32(body) != checksum:
        raise SnapshotMismatch("these bytes are no whole snapshot of feature state")
    code, limits, cast = _read_header(bytes(body[:length]))
    for what, theirs, ours in (("code", code, _code()), ("config", limits, _limits(config))):
        if theirs != ours:
            raise SnapshotMismatch(f"the snapshot was taken with {what} {theirs}, this is {what} {ours}")
    return cast, np.frombuffer(body[length:], dtype=np.int64)


@lru_cache(maxsize=256)
def _header(cast: Cast, config: FeaturesConfig) -> bytes:
    header = {"code": _code(), "config": _limits(config), "cast": astuple(cast)}
    text = json.dumps(header, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8)  # the words that follow stay aligned


@lru_cache(maxsize=256)
def _read_header(text: bytes) -> tuple[str, str, Cast]:
    header = json.loads(text)
    players, teams, sides, attackers, objectives, no_freeze = header["cast"]
    points = tuple(map(tuple, objectives))
    cast = Cast(tuple(players), tuple(teams), tuple(sides), tuple(attackers), points, no_freeze)
    return header["code"], header["config"], cast


@cache
def _limits(config: FeaturesConfig) -> str:
    return config_hash(config)


@cache
def _code() -> str:
    """Names the code that the state depends on; features only read it."""
    return code_version("features/kernel.py", "features/carry.py", "features/snapshot.py")
