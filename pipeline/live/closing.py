"""A match that is over: what live told of it, held against what batch makes of the events that live accepted.

Belongs here: the comparison, and what late events would have changed. Does not belong here: where signals and events
come from (`resources.following`), what is done about a difference (`assets/live.py`).
"""

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import polars as pl

from pipeline.events.lines import UnusableLog
from pipeline.events.reader import read_log
from pipeline.features.match import match_features
from pipeline.intents.model import IntentModel
from pipeline.intents.prediction import predict
from pipeline.intents.segments import segment
from pipeline.live import digest
from pipeline.live.signals import Ended, Signal
from pipeline.tables import conform, empty


@dataclass(frozen=True)
class Recorded:
    """What batch makes of some events of a match.

    Attributes:
        features: table `features`.
        intents: table `intents`.
        segments: table `segments`.
        tracks: table `tracks`.
        refused: events that a recording refuses, as only a whole file can tell.
    """

    features: pl.DataFrame
    intents: pl.DataFrame
    segments: pl.DataFrame
    tracks: pl.DataFrame
    refused: int

    @property
    def rows_digest(self) -> str:
        """Names all rows, as `digest` does."""
        return digest.of_tables(self.features, self.intents)


@dataclass(frozen=True)
class Comparison:
    """Whether live told what batch makes of the same events.

    Attributes:
        differences: what differs, in words; empty if nothing does.
        segments: rows of table `segments` that only one of the two has.
    """

    differences: tuple[str, ...]
    segments: pl.DataFrame


def segments_of(signals: Iterable[Signal]) -> pl.DataFrame:
    """The segments that ended, as table `segments` in the order of batch; each once, however often it was told."""
    finals = {signal.segment_id: msgspec.structs.asdict(signal) for signal in signals if signal.kind == "final"}
    if not finals:
        return empty("segments")
    frame = pl.DataFrame(list(finals.values()), infer_schema_length=None)
    frame = frame.with_columns(pl.col("review_reasons").cast(pl.List(pl.String)), pl.col("round").cast(pl.Int32))
    return conform("segments", frame).sort("player", "from_ms")


def recorded(match_id: str, lines: Sequence[bytes], model: IntentModel, *, threshold: float) -> Recorded:
    """What batch makes of a match's events.

    Args:
        match_id: the match.
        lines: canonical events.
        model: the one that the match kept.
        threshold: a confidence below it is a reason for review.
    """
    read = recording(match_id, lines)
    if read is None:
        return Recorded(empty("features"), empty("intents"), empty("segments"), empty("tracks"), len(lines))
    match, events, tracks, refused = read
    features = match_features(match, events, tracks)
    intents = predict(features, model)
    segments = segment(intents, features, model_version=model.version, review_threshold=threshold)
    return Recorded(features, intents, segments, tracks, refused)


def recording(match_id: str, lines: Sequence[bytes]) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, int] | None:
    """The events of a match as a recording of them has them.

    Args:
        match_id: the match.
        lines: canonical events.

    Returns:
        Tables `matches`, `events` and `tracks`, and how many events were refused; None if not one can be used.
    """
    with tempfile.TemporaryDirectory(prefix="gridmotion-") as folder:
        log = Path(folder) / "match.jsonl"
        log.write_bytes(b"".join(line.replace(b"\n", b" ") + b"\n" for line in lines))
        try:
            reading = read_log(log, log_id=match_id)
        except UnusableLog:
            return None
        match = reading.matches[match_id]
        return match.match, match.events.read(), match.tracks.read(), reading.quarantine.read().height


def compared(told: pl.DataFrame, ended: Ended, batch: Recorded) -> Comparison:
    """What live told against what batch makes of the events that live accepted.

    Args:
        told: the segments that live told, as `segments_of` puts them.
        ended: its last signal.
        batch: of the accepted events.
    """
    found = []
    if batch.refused:
        found.append(f"a recording refuses {batch.refused} of the accepted events")
    if ended.rows != batch.features.height:
        found.append(f"{ended.rows} rows live, {batch.features.height} in batch")
    elif ended.rows_digest != batch.rows_digest:
        found.append("rows differ in their bits")
    only = pl.concat(
        [
            told.join(batch.segments, on=told.columns, how="anti", nulls_equal=True).with_columns(only=pl.lit("live")),
            batch.segments.join(told, on=told.columns, how="anti", nulls_equal=True).with_columns(only=pl.lit("batch")),
        ]
    )
    if not told.equals(batch.segments):
        found.append(f"{only.height} of {told.height} and {batch.segments.height} segments differ")
    return Comparison(tuple(found), only)


def changed_by_late(batch: Recorded, whole: Recorded) -> dict[str, int]:
    """What the events that came too late would have changed.

    Args:
        batch: of the accepted events.
        whole: of these and the late ones.

    Returns:
        Rows of features that differ, and segments of which only one of the two knows.
    """
    keys = ["player", "t_ms"]
    values = [name for name in batch.features.columns if name not in ("match_id", *keys)]
    one, other = (found.features.select(*keys, pl.struct(values).hash().alias("hash")) for found in (batch, whole))
    rows = one.join(other, on=keys, how="full", coalesce=True).filter(~pl.col("hash").eq_missing(pl.col("hash_right")))
    ids = set(batch.segments["segment_id"]) ^ set(whole.segments["segment_id"])
    return {"rows": rows.height, "segments": len(ids)}
