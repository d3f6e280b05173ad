"""Segments of a running match, as signals: the segmenter of recorded matches, fed instant by instant.

Belongs here: which signals rows give, and what must be remembered for the columns of table `segments`. Does not belong
here: when a segment begins and ends (`pipeline.intents.segmenter`), why one is reviewed (`pipeline.intents.review`).

The segmenter takes one instant at a time, so what opens and what ends can't depend on how rows came in calls.
"""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from configs.features import load_features
from configs.intents import IntentsConfig, load_intents
from configs.review import ReasonsConfig, load_review
from pipeline.features import kernel
from pipeline.features.carry import Rows
from pipeline.features.cast import Cast
from pipeline.intents.prediction import Prediction, Predictor
from pipeline.intents.review import job_id, reasons_of
from pipeline.intents.segmenter import Ints, SegmenterState, finish, since
from pipeline.intents.segments import MILLION, NO_ROUND, begin, segment_id, take_in
from pipeline.intents.vocabulary import INTENTS
from pipeline.live import digest
from pipeline.live.signals import Kind, Signal, signal_id

_ARRAYS = ("slots", "sums", "open", "waiting")
_WHO = [kernel.KEY_PLAYER, kernel.KEY_TEAM, kernel.KEY_SIDE]
Played = tuple[int, int]  # places of team and side in the cast, -1 for none


class _Seen:
    """What is remembered of a player for the segments that are still to end."""

    def __init__(self, played: list[tuple[int, Played]], against: list[int], features_hash: str) -> None:
        self.played = played  # from which instant on, for whom
        self.against = against  # instants at which the model alone was sure of another intent
        self.newest: bytes | None = None  # the newest vector, of which few are ever hashed
        self._features_hash = features_hash

    @property
    def features_hash(self) -> str:
        """Of the newest row."""
        if self.newest is not None:
            self._features_hash, self.newest = _hash(self.newest), None
        return self._features_hash

    def forget_before(self, t_ms: int) -> None:
        while len(self.played) > 1 and self.played[1][0] <= t_ms:
            del self.played[0]
        while self.against and self.against[0] < t_ms:
            del self.against[0]


class LiveSegments:
    """The segments of one running match.

    Args:
        match_id: of the match.
        predictor: rules and the model that the match keeps to its end.
        threshold: a confidence below it is a reason for review.
        config: margins and least lengths; `configs/intents.yaml` if None.
        review: what else is a reason; `configs/review.yaml` if None.

    Attributes:
        model_version: the model that answers where no rule does.
        ended: how many segments have ended.
        rows_digest: names all rows so far, as `digest` does.
    """

    def __init__(
        self,
        match_id: str,
        predictor: Predictor,
        threshold: float,
        config: IntentsConfig | None = None,
        review: ReasonsConfig | None = None,
    ) -> None:
        self._match_id, self._predictor, self._threshold = match_id, predictor, threshold
        self._config, self._review = config or load_intents(), review or load_review().reasons
        self._state = begin(self._config)
        self._seen: dict[str, _Seen] = {}
        self._lineup = b""  # of the newest instant: who played for whom
        self._told_of = b"", b""  # of an instant: who played for whom, and its bytes in the digest
        self.model_version = predictor.model.version
        self.ended = 0
        self.rows_digest = digest.START

    def take(self, rows: Rows, cast: Cast) -> tuple[list[Signal], Prediction]:
        """What further rows tell.

        Args:
            rows: by instant, those of all calls one after the other.
            cast: the names behind their indices.

        Returns:
            The signals in the order of their instants, and what was predicted of each row.
        """
        prediction = self._predictor.predict(rows.values)
        if not len(rows):
            return [], prediction
        keys, vectors = rows.keys, digest.rows_of(rows.values)
        t_ms = keys[:, kernel.KEY_T].copy()
        rounds = np.where(keys[:, kernel.KEY_ROUND] == kernel.NULL, NO_ROUND, keys[:, kernel.KEY_ROUND])
        cuts = [0, *(np.flatnonzero(np.diff(t_ms)) + 1).tolist(), len(t_ms)]
        self._look(keys, cuts, cast)
        players = [cast.players[place] for place in keys[:, kernel.KEY_PLAYER].tolist()]
        for first, end in pairwise(cuts):
            part = slice(first, end)
            who = self._named(keys[part], cast)
            at_ms, own = int(t_ms[first]), prediction.probabilities[part]
            self.rows_digest = digest.extended(self.rows_digest, at_ms, who, rounds[part], vectors[part], own)
        for row in np.flatnonzero(prediction.against >= self._review.disagreement.model_at_least).tolist():
            self._seen[players[row]].against.append(int(t_ms[row]))
        slots = self._state.indices(players)
        taken = take_in(self._state, slots, t_ms, rounds, prediction, self._config)
        instants = np.repeat(np.arange(len(cuts) - 1), np.diff(cuts))
        told = [(instants[row], 0, row, place) for place, row in enumerate(taken.closed_by.tolist())]
        told += [(instants[row], 1, slots[row], place) for place, row in enumerate(taken.opened_by.tolist())]
        signals = []
        for _, is_open, _, place in sorted(told):  # what ends at an instant comes before what opens there
            row = int((taken.opened_by if is_open else taken.closed_by)[place])
            at_ms = int(t_ms[row])
            if is_open:
                features_hash = _hash(vectors[row].tobytes())
                signals.append(self._signal("open", taken.opened[place], at_ms, cast, features_hash))
                continue
            before = np.flatnonzero(slots[:row] == slots[row])
            features_hash = (
                _hash(vectors[before[-1]].tobytes()) if len(before) else self._seen[players[row]].features_hash
            )
            signals.append(self._signal("final", taken.closed[place], at_ms, cast, features_hash))
        needed = since(self._state)
        for player, row in dict(zip(players, range(len(players)), strict=True)).items():
            seen = self._seen[player]
            seen.newest = vectors[row].tobytes()
            seen.forget_before(int(needed[slots[row]]))
        return signals, prediction

    def finish(self, cast: Cast) -> list[Signal]:
        """The segments that end as nothing follows."""
        grid_ms = load_features().grid_ms
        closed = finish(self._state, grid_ms=grid_ms)
        hashes = [self._seen[self._state.players[int(row[0])]].features_hash for row in closed]
        return [
            self._signal("final", row, int(row[3]), cast, features_hash)
            for row, features_hash in zip(closed, hashes, strict=True)
        ]

    def _look(self, keys: Ints, cuts: Sequence[int], cast: Cast) -> None:
        """Remembers from which instant on each player played for whom, which hardly ever changes."""
        for first, end in pairwise(cuts):
            lineup = keys[first:end, _WHO].tobytes()
            if lineup == self._lineup:
                continue
            self._lineup = lineup
            for at_ms, place, team, side in keys[first:end, [kernel.KEY_T, *_WHO]].tolist():
                seen = self._seen.setdefault(cast.players[place], _Seen([], [], ""))
                if not seen.played or seen.played[-1][1] != (team, side):
                    seen.played.append((at_ms, (team, side)))

    def _named(self, keys: Ints, cast: Cast) -> bytes:
        """Whom the rows of an instant are about, mostly the same as of the one before."""
        lineup = keys[:, _WHO].tobytes()
        if lineup != self._told_of[0]:
            who = [
                digest.named(cast.players[place], _name(cast.teams, team), _name(cast.sides, side))
                for place, team, side in keys[:, _WHO].tolist()
            ]
            self._told_of = lineup, digest.together(who)
        return self._told_of[1]

    def _signal(self, kind: Kind, row: Ints, at_ms: int, cast: Cast, features_hash: str) -> Signal:
        slot, round_, from_ms, to_ms, intent, confidence, decider = map(int, row)
        player, name = self._state.players[slot], INTENTS[intent]
        seen = self._seen[player]
        team, side = next(played for t_ms, played in reversed(seen.played) if t_ms <= from_ms)
        named = segment_id(self._match_id, player, from_ms, name)
        why: tuple[str, ...] = ()
        if kind == "final":
            self.ended += 1
            against = sum(from_ms <= t_ms < to_ms for t_ms in seen.against) * load_features().grid_ms
            length = to_ms - from_ms
            why = tuple(
                reasons_of(
                    named,
                    name,
                    confidence / MILLION,
                    length,
                    against,
                    threshold=self._threshold,
                    config=self._review,
                )
            )
        return Signal(
            signal_id=signal_id(named, kind, self.model_version),
            kind=kind,
            segment_id=named,
            match_id=self._match_id,
            round=None if round_ == NO_ROUND else round_,
            player=player,
            team=_name(cast.teams, team),
            side=_name(cast.sides, side),
            at_ms=at_ms,
            from_ms=from_ms,
            to_ms=to_ms,
            intent=name,
            confidence=confidence / MILLION,
            decided_by=self._predictor.deciders[decider],
            model_version=self.model_version,
            review_reasons=why,
            review_job_id=job_id(named, self.model_version) if why else None,
            features_hash=features_hash,
        )

    def state(self) -> dict[str, Any]:
        """Everything it remembers, in types that MessagePack knows."""
        return {
            "deciders": self._state.deciders,
            "players": self._state.players,
            "arrays": {name: getattr(self._state, name).tobytes() for name in _ARRAYS},
            "seen": {name: [seen.played, seen.against, seen.features_hash] for name, seen in self._seen.items()},
            "ended": self.ended,
            "rows_digest": self.rows_digest,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from where the one was whose `state` this is."""
        self._state = SegmenterState(deciders=state["deciders"], players=list(state["players"]))
        players = len(state["players"])
        for name in _ARRAYS:
            words = np.frombuffer(bytearray(state["arrays"][name]), dtype=np.int64)
            width = getattr(self._state, name).shape[1]
            setattr(self._state, name, words.reshape(players, width))
        self._seen = {
            name: _Seen([(t_ms, (team, side)) for t_ms, (team, side) in played], list(against), features_hash)
            for name, (played, against, features_hash) in state["seen"].items()
        }
        self.ended, self.rows_digest = state["ended"], state["rows_digest"]


def _hash(vector: bytes) -> str:
    return hashlib.sha256(vector).hexdigest()[:16]


def _name(names: Sequence[str], place: int) -> str | None:
    return names[place] if place >= 0 else None
