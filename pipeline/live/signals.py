"""What a running match tells: when a segment opens, when it ends, when its motion can be seen, when the match is over.

Belongs here: the published form of a signal, its version and its name. Does not belong here: when there is one
(`segments`, `match`), how it travels (`resources.stream`), wall clocks (whoever sends it stamps it).

`signal_id` is a hash of what the signal is about, so a reader that drops ids it knows sees each signal once, whoever
sent it and however often. Everything else in a signal follows from the accepted events as well.
"""

import hashlib
from typing import Literal

import msgspec

SCHEMA_VERSION = 2
"""Grows when a field changes its meaning or goes, or when there is a new kind; a new field alone does not change it."""

Kind = Literal["open", "final", "clip", "ended"]


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """What one player means, from some instant on; `docs/live.md` describes it for readers.

    Attributes:
        signal_id: 16 hex digits, of `segment_id`, `kind` and `model_version`.
        kind: `open` once the segment has lasted its least length, `final` when it has ended. A stretch that was too
            short for any segment to open has its `final` alone. `clip` once its motion can be seen: its `final`
            again, with an id of its own and the addresses.
        segment_id: as in table `segments`.
        at_ms: the match time of the instant that decided it.
        from_ms: where the segment begins.
        to_ms: where it ends; of an open one, how far it has come.
        confidence: mean probability of the intent over the segment so far.
        decided_by: the rule or the model that decided most of it.
        review_reasons: as in table `segments`; of an open one empty.
        review_job_id: the job that opens for them when the match has ended, if people are asked about this one.
        features_hash: 16 hex digits, SHA-256 of the float32 feature vector of the player's newest row.
        clip_key: as in table `clips`; of a `clip` alone, as the two below.
        clip_uri: the clip (GLB) in the object store.
        preview_uri: its animated preview (WebP) there.
    """

    signal_id: str
    kind: Kind
    segment_id: str
    match_id: str
    player: str
    at_ms: int
    from_ms: int
    to_ms: int
    intent: str
    confidence: float
    decided_by: str
    model_version: str
    features_hash: str
    round: int | None = None
    team: str | None = None
    side: str | None = None
    review_reasons: tuple[str, ...] = ()
    review_job_id: str | None = None
    clip_key: str | None = None
    clip_uri: str | None = None
    preview_uri: str | None = None
    schema: int = SCHEMA_VERSION


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """A match is over: nothing of it follows but clips.

    Attributes:
        accepted: events that counted.
        duplicate: events whose id still waited.
        late: events at or before the watermark, or repeated after they had left the buffer.
        rows: instants of players that were evaluated.
        segments: how many segments it had.
        rows_digest: names all its rows, features and probabilities, as `digest` does; empty if it had none.
        reason: `told` by MATCH_ENDED, `abandoned`, or `given_up` as it could not be gone on with.
        ahead: events further ahead of the match than any clock may be.
    """

    signal_id: str
    match_id: str
    at_ms: int
    accepted: int
    duplicate: int
    late: int
    rows: int
    segments: int
    model_version: str | None
    rows_digest: str
    reason: Literal["told", "abandoned", "given_up"]
    ahead: int = 0
    kind: Kind = "ended"
    schema: int = SCHEMA_VERSION


def signal_id(*parts: str) -> str:
    """The first 16 hex digits of the SHA-256 of the parts, separated by a zero byte."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def with_clip(final: Signal, *, clip_key: str, clip_uri: str, preview_uri: str) -> Signal:
    """The signal that the motion of a segment can be seen; the same id whoever made the clip, and however often.

    Args:
        final: the signal that the segment has ended.
        clip_key: as in table `clips`.
        clip_uri: address of the clip.
        preview_uri: address of its preview.
    """
    return msgspec.structs.replace(
        final,
        signal_id=signal_id(final.segment_id, "clip", final.model_version),
        kind="clip",
        clip_key=clip_key,
        clip_uri=clip_uri,
        preview_uri=preview_uri,
        schema=SCHEMA_VERSION,
    )


def to_json(signal: Signal | Ended) -> bytes:
    """The signal as it is published."""
    return msgspec.json.encode(signal)


def from_json(data: bytes) -> Signal | Ended:
    """The signal that `to_json` wrote."""
    kind = msgspec.json.decode(data).get("kind")
    return msgspec.json.decode(data, type=Ended) if kind == "ended" else msgspec.json.decode(data, type=Signal)
