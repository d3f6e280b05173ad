"""One running match: events in as they arrive, signals out, and all of it in bytes.

Belongs here: the chain from arrivals to signals, the model that a match keeps, when it is over. Does not belong here:
each link (`features`, `segments`), lines (`decoding`), streams, clocks and who owns a match (`resources`).

Each call gives what it decides. What a match tells follows from the events that it accepted, in whatever calls they
came; only `rest`, which a wall clock asks for, decides how long an event is waited for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from configs import config_hash
from configs.intents import load_intents
from configs.live import LiveConfig
from configs.review import load_review
from pipeline.features.carry import Rows
from pipeline.features.snapshot import SnapshotMismatch
from pipeline.intents.prediction import Prediction, Predictor
from pipeline.live.arrivals import Arrivals
from pipeline.live.features import LiveFeatures
from pipeline.live.naming import MATCH_ENDED
from pipeline.live.ordering import Counts
from pipeline.live.segments import LiveSegments
from pipeline.live.signals import Ended, Signal, signal_id
from pipeline.versions import code_version

FIELDS = ("match", "features", "segments")
"""The parts of a match's state, by name."""


@dataclass(frozen=True)
class Told:
    """What a call made of its events.

    Attributes:
        signals: in the order of their instants.
        rows: the feature rows that it decided.
        prediction: of those rows; None where there is none.
        is_accepted: which arrivals count, (n,).
    """

    signals: list[Signal | Ended]
    rows: Rows
    prediction: Prediction | None = None
    is_accepted: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))


class LiveMatch:
    """A running match. After an error it is of no use any more: go on from its last state.

    Args:
        match_id: of the match.
        champion: gives the model that answers now; asked once, when the match has its first row.
        threshold: a confidence below it is a reason for review.
        live: bounds of order and time; `configs/live.yaml` if None.

    Attributes:
        is_told_over: whether a MATCH_ENDED was accepted.
        is_over: whether it has been finished; it takes no more events.
        rows: how many rows it has had.
    """

    def __init__(
        self, match_id: str, champion: Callable[[], Predictor], threshold: float, live: LiveConfig | None = None
    ) -> None:
        self._champion, self._threshold, self._live = champion, threshold, live
        self._features = LiveFeatures(match_id, live=live)
        self._segments: LiveSegments | None = None
        self.is_told_over = self.is_over = False
        self.rows = 0

    @property
    def match_id(self) -> str:
        """Of the match."""
        return self._features.match_id

    @property
    def counts(self) -> Counts:
        """What became of the arrivals."""
        return self._features.counts

    @property
    def held(self) -> int:
        """How many events wait for their turn."""
        return self._features.held

    @property
    def decided_ms(self) -> int:
        """The instant up to which its rows are decided."""
        return self._features.decided_ms

    @property
    def model_version(self) -> str | None:
        """The model that it keeps; None before its first row."""
        return self._segments.model_version if self._segments else None

    def take(self, arrived: Arrivals) -> Told:
        """Takes events in as they arrive; errors as of `LiveFeatures.take`."""
        taken = self._features.take(arrived)
        self.is_told_over = self.is_told_over or bool((taken.is_accepted & (arrived.rank == MATCH_ENDED)).any())
        return self._tell(taken.rows, taken.is_accepted)

    def rest(self, silent_ms: int) -> Told:
        """Decides what can be once nothing has arrived for a while; `LiveFeatures.rest` says what."""
        return self._tell(self._features.rest(silent_ms))

    def finish(self) -> Told:
        """Decides what remains, ends every segment, and says so."""
        last = self._tell(self._features.finish())
        ends: list[Signal] = self._segments.finish(self._features.cast) if self._segments else []
        self.is_over = True
        return Told(
            [*last.signals, *ends, self._ended("told" if self.is_told_over else "abandoned")],
            last.rows,
            last.prediction,
        )

    def given_up(self) -> Ended:
        """What is told of a match that can't be gone on with: how far it came; what stands open does not end."""
        return self._ended("given_up")

    def _ended(self, reason: Literal["told", "abandoned", "given_up"]) -> Ended:
        counts = self.counts
        return Ended(
            signal_id=signal_id(self.match_id, "ended"),
            match_id=self.match_id,
            at_ms=self._features.latest_ms,
            accepted=counts.accepted,
            duplicate=counts.duplicate,
            late=counts.late_or_duplicate,
            rows=self.rows,
            segments=self._segments.ended if self._segments else 0,
            model_version=self.model_version,
            rows_digest=self._segments.rows_digest if self._segments else "",
            reason=reason,
            ahead=counts.ahead,
        )

    def table(self, *parts: Rows) -> pl.DataFrame:
        """The rows of one or more calls as table `features`."""
        return self._features.table(*parts)

    def _tell(self, rows: Rows, is_accepted: NDArray[np.bool_] | None = None) -> Told:
        accepted = np.zeros(0, np.bool_) if is_accepted is None else is_accepted
        if not len(rows):
            return Told([], rows, None, accepted)
        if self._segments is None:
            self._segments = LiveSegments(self.match_id, self._champion(), self._threshold)
        self.rows += len(rows)
        signals, prediction = self._segments.take(rows, self._features.cast)
        return Told(list(signals), rows, prediction, accepted)

    def to_fields(self) -> dict[str, bytes]:
        """Everything it remembers, as the fields of a hash."""
        segments = self._segments
        about = {
            "code": _code(),
            "config": _config(self._threshold),
            "model_version": self.model_version,
            "over": [self.is_told_over, self.is_over],
            "rows": self.rows,
        }
        return {
            "match": msgspec.msgpack.encode(about),
            "features": self._features.to_bytes(),
            "segments": msgspec.msgpack.encode(segments.state() if segments else None),
        }

    @classmethod
    def from_fields(
        cls,
        fields: Mapping[str, bytes],
        champion: Callable[[], Predictor],
        of_version: Callable[[str], Predictor],
        threshold: float,
        live: LiveConfig | None = None,
    ) -> "LiveMatch":
        """The match that `to_fields` wrote, ready to go on to the same signals as the original.

        Args:
            fields: what it wrote.
            champion: as for a new match.
            of_version: gives the rules with the model of that version.
            threshold: as for a new match.
            live: as for a new match.

        Raises:
            SnapshotMismatch: if fields are missing or damaged, or of other code or other configuration.
        """
        if missing := [name for name in FIELDS if name not in fields]:
            raise SnapshotMismatch(f"the state of a match lacks {', '.join(missing)}")
        try:
            about = msgspec.msgpack.decode(fields["match"])
            segments = msgspec.msgpack.decode(fields["segments"])
        except msgspec.MsgspecError as error:
            raise SnapshotMismatch(f"the state of a match is damaged: {error}") from error
        for what, ours in (("code", _code()), ("config", _config(threshold))):
            if about[what] != ours:
                raise SnapshotMismatch(f"the state was written with {what} {about[what]}, this is {what} {ours}")
        features = LiveFeatures.from_bytes(fields["features"], live=live)
        match = cls(features.match_id, champion, threshold, live)
        match._features = features
        match.is_told_over, match.is_over = about["over"]
        match.rows = about["rows"]
        if about["model_version"] is not None:
            match._segments = LiveSegments(features.match_id, of_version(about["model_version"]), threshold)
            match._segments.restore(segments)
        return match


_DECIDING = (
    "calibration",
    "heuristics",
    "hybrid",
    "model",
    "prediction",
    "review",
    "segmenter",
    "segments",
    "trees",
    "vocabulary",
)


@cache
def _code() -> str:
    """Names the code of what follows the features, which name theirs themselves."""
    return code_version("live", "events/model.py", *(f"intents/{name}.py" for name in _DECIDING))


@cache
def _config(threshold: float) -> str:
    return f"{config_hash(load_intents(), load_review().reasons)} {threshold}"
