"""How much each rule's vote is worth, learned from where the truth is known.

Belongs here: the truth of a match by row, the weights that make it most likely, each rule's record. Does not belong
here: what the weights do with votes (`pipeline.intents.labels`), where they are kept (`configs/intents.yaml`, written
by `python -m bench.labels`).

Truth has two sources. Of plants, defuses, trade kills and hits every log tells (`truth`). What a player means who
walks or waits, no log tells; there the simulator stands in, whose players know what they mean. Rules are blind to which
of the two a row has, so one weight per rule is fitted to both at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from configs.intents import LabelsConfig
from pipeline.errors import PipelineError
from pipeline.intents.labels.hindsight import KEYS, Bools, Floats, Hindsight, Ints
from pipeline.intents.labels.rules import RULES, ballots
from pipeline.intents.labels.truth import stretches, told
from pipeline.intents.vocabulary import INTENTS

_SPEAKS_FOR = np.array([INTENTS.index(rule.intent) for rule in RULES])
_RIDGE = 1.0  # as if one row spoke against each weight, so that a rule that never erred has no endless one
_STEPS, _ENOUGH = 200, 1e-10


class NoTruth(PipelineError):
    """No row with a vote has a truth, so that no weight can be learned."""


@dataclass(frozen=True)
class Judged:
    """The votes of a match beside what is known to be true.

    Attributes:
        match_id: whose.
        votes: by row and rule, bool (n, rules).
        told: the intent that the log tells, as its place among the nine, -1 where none; int64 (n,).
        meant: the intent that the simulated player had, likewise; all -1 in a recorded match.
    """

    match_id: str
    votes: Bools
    told: Ints
    meant: Ints

    @property
    def truth(self) -> Ints:
        """What the log tells, else what was meant."""
        return np.where(self.told >= 0, self.told, self.meant)


@dataclass(frozen=True)
class Record:
    """How often a rule was right where it voted and the truth is known: by the log, and by the simulated players."""

    rule: str
    told: int
    told_right: int
    meant: int
    meant_right: int


def judged(
    events: pl.DataFrame,
    tracks: pl.DataFrame,
    features: pl.DataFrame,
    config: LabelsConfig,
    meant: pl.DataFrame | None = None,
) -> Judged:
    """The votes of a match beside what is known to be true.

    Args:
        events: table `events` of the match.
        tracks: table `tracks`.
        features: table `features`, not empty.
        config: rules and windows.
        meant: `player`, `t_ms`, `intent` of a simulated match.
    """
    rows = features.select(*KEYS).sort("player", "round", "t_ms", nulls_last=False)
    votes = ballots(Hindsight(events, tracks, rows, config), config.rules)
    said = _places(told(rows, stretches(events, tracks, config)))
    state = np.full(rows.height, -1)
    if meant is not None:
        known = meant.select("player", "t_ms", "intent")
        state = _places(rows.join(known, on=["player", "t_ms"], how="left", maintain_order="left")["intent"])
    return Judged(rows["match_id"][0], votes, said, state)


def learn(matches: Sequence[Judged]) -> dict[str, float]:
    """The weights under which the truth is most likely, given the votes: one per rule, never negative.

    Probabilities are those of `pipeline.intents.labels.probabilities`, so this is a multinomial logistic regression
    in which a vote speaks for its own intent only: convex, with one solution. As rules that speak for one intent often
    see the same thing, their weights are fitted together; the log-odds of each rule's own accuracy would count it
    twice. What logs tell has in total as much say as what simulated players meant, though it is on fewer rows.

    Args:
        matches: recorded, simulated or both.

    Raises:
        NoTruth: if there is nothing to learn from.
    """
    votes = np.concatenate([match.votes for match in matches])
    told_, truth = (np.concatenate(parts) for parts in zip(*((m.told, m.truth) for m in matches), strict=True))
    counts = votes.any(axis=1) & (truth >= 0)
    if not counts.any():
        raise NoTruth("no row with a vote has a truth")
    by_log = counts & (told_ >= 0)
    meant = counts & (told_ < 0)
    share = meant.sum() / by_log.sum() if by_log.any() and meant.any() else 1.0
    sets, row = np.unique(votes[counts] @ (1 << np.arange(len(RULES))), return_inverse=True)
    tally = np.zeros((len(sets), len(INTENTS)))
    np.add.at(tally, (row, truth[counts]), np.where(by_log[counts], share, 1.0))
    voting = (sets[:, None] >> np.arange(len(RULES)) & 1).astype(np.float64)

    free = np.ones(len(RULES), dtype=np.bool_)
    while True:
        weights = np.zeros(len(RULES))
        weights[free] = _fit(voting[:, free], _SPEAKS_FOR[free], tally)
        if (weights >= 0).all():
            return {rule.name: round(float(weight), 2) for rule, weight in zip(RULES, weights, strict=True)}
        free &= weights >= 0


def _fit(voting: Floats, speaks_for: Ints, tally: Floats) -> Floats:
    """Newton's method with halved steps on the ridged log-loss."""
    rows = tally.sum(axis=1)
    weights = np.zeros(voting.shape[1])

    def state(at: Floats) -> tuple[float, Floats]:
        sums = np.zeros_like(tally)
        np.add.at(sums.T, speaks_for, (voting * at).T)
        sums -= sums.max(axis=1, keepdims=True)
        logs = sums - np.log(np.exp(sums).sum(axis=1, keepdims=True))
        return float(-(tally * logs).sum() + _RIDGE / 2 * (at**2).sum()), np.exp(logs)

    loss, chance = state(weights)
    for _ in range(_STEPS):
        own = chance[:, speaks_for]
        slope = (voting * (own * rows[:, None] - tally[:, speaks_for])).sum(axis=0) + _RIDGE * weights
        weighted = voting * own
        same = speaks_for[:, None] == speaks_for
        both = (voting * own * rows[:, None]).T @ voting
        bend = np.where(same, both, 0.0) - (weighted * rows[:, None]).T @ weighted + _RIDGE * np.eye(len(weights))
        step, length = np.linalg.solve(bend, slope), 1.0
        while True:
            tried, chances = state(weights - length * step)
            if tried <= loss or length < _ENOUGH:
                break
            length /= 2
        weights, gained, loss, chance = weights - length * step, loss - tried, tried, chances
        if gained <= _ENOUGH * max(loss, 1.0):
            break
    return weights


def records(matches: Sequence[Judged]) -> list[Record]:
    """Each rule's record over these matches, in the order of `RULES`."""
    votes = np.concatenate([match.votes for match in matches])
    told_, meant = (np.concatenate(parts) for parts in zip(*((m.told, m.meant) for m in matches), strict=True))
    found = []
    for column, rule in enumerate(RULES):
        place, voted = INTENTS.index(rule.intent), votes[:, column]
        by_log, by_player = voted & (told_ >= 0), voted & (told_ < 0) & (meant >= 0)
        right = int((told_[by_log] == place).sum()), int((meant[by_player] == place).sum())
        found.append(Record(rule.name, int(by_log.sum()), right[0], int(by_player.sum()), right[1]))
    return found


def _places(intents: pl.Series) -> Ints:
    places = {name: place for place, name in enumerate(INTENTS)}
    return intents.replace_strict(places, default=-1, return_dtype=pl.Int64).fill_null(-1).to_numpy()
