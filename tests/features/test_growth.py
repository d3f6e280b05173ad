"""A cast that grows: whoever is learnt of later changes nothing for the others, nor does the order of names."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.features import kernel
from pipeline.features.carry import Batch, Carry, Cast, CastMismatch, joined
from pipeline.features.match import frame, match_features
from pipeline.features.pack import cast_of, grown, pack

NAMES = {"players": (kernel.ACTOR, kernel.TARGET), "teams": (kernel.TEAM,), "sides": (kernel.SIDE,)}


def _shuffled(cast, dice):
    """The same cast with everybody at another index."""
    mixed = {field: dice.sample(getattr(cast, field), len(getattr(cast, field))) for field in NAMES}
    return Cast(objectives=cast.objectives, no_freeze=cast.no_freeze).grown(**mixed)


def _by_appearance(cast, events):
    """The same cast in the order in which events name it."""
    order = {}
    for field, columns in NAMES.items():
        indices = dict.fromkeys(int(i) for row in events[:, columns] for i in row if i >= 0)
        order[field] = [getattr(cast, field)[i] for i in indices]
    return Cast(objectives=cast.objectives, no_freeze=cast.no_freeze).grown(**order)


def _first(cast, events):
    """Of that cast only whom these events name, and whoever came before."""
    known = {field: int(events[:, columns].max(initial=-1)) + 1 for field, columns in NAMES.items()}
    less = {field: getattr(cast, field)[:count] for field, count in known.items()}
    return Cast(objectives=cast.objectives, no_freeze=cast.no_freeze).grown(**less)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_the_order_of_names_changes_no_bit(random_match, packed, limits, seed):
    log = random_match(seed)
    match = packed(log)
    cast = _shuffled(match.cast, random.Random(seed))
    rows = Carry(cast, limits).advance(pack(cast, log.events, log.tracks), until_ms=match.until_ms)
    assert frame(rows, cast, "m1").equals(match_features(log.match, log.events, log.tracks))


@given(seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_a_cast_that_grows_by_whom_each_event_names_gives_the_bits_of_one_known_from_the_start(
    random_match, packed, limits, seed
):
    log = random_match(seed)
    match = packed(log)
    cast = _by_appearance(match.cast, match.batch.events)
    batch = pack(cast, log.events, log.tracks)
    carry, parts = Carry(Cast(objectives=cast.objectives, no_freeze=cast.no_freeze), limits), []
    for n in range(len(batch)):
        carry.grow(_first(cast, batch.events[: n + 1]))
        parts.append(carry.advance(batch[n : n + 1]))
        if n == len(batch) // 2:
            carry = Carry.from_bytes(carry.to_bytes(), limits)
    parts.append(carry.advance(batch[:0], until_ms=match.until_ms))
    assert frame(joined(parts), carry.cast, "m1").equals(match_features(log.match, log.events, log.tracks))


def test_tables_add_the_names_that_a_cast_lacks(random_match):
    log, later = random_match(3), random_match(8)
    cast = cast_of(log.match, log.events, log.tracks)
    more = grown(cast, later.events, later.tracks)
    assert more.extends(cast) and set(later.tracks["player"]) <= set(more.players)
    assert grown(more, log.events, log.tracks) is more
    assert len(more.attackers) == len(more.sides)


def test_a_cast_may_not_change_what_an_index_means(limits):
    carry = Carry(Cast().grown(players=["player:a", "player:b"]), limits)
    with pytest.raises(CastMismatch):
        carry.grow(Cast().grown(players=["player:b", "player:a"]))
    with pytest.raises(CastMismatch):
        carry.grow(Cast().grown(players=["player:a"]))
    carry.grow(carry.cast.grown(players=["player:c"]))
    assert carry.cast.players == ("player:a", "player:b", "player:c")


@pytest.mark.parametrize("column", [kernel.ACTOR, kernel.TARGET, kernel.TEAM, kernel.SIDE])
def test_an_index_outside_the_cast_is_refused(limits, column):
    events = np.full((1, kernel.EVENT_COLUMNS), -1, dtype=np.int32)
    events[0, kernel.KIND], events[0, column] = kernel.SHOT, 1
    carry = Carry(Cast().grown(players=["player:a"], teams=["team:a"], sides=["t"]), limits)
    with pytest.raises(CastMismatch, match="at 5 ms"):
        carry.advance(Batch(np.array([5]), events))


def test_a_name_outside_the_cast_is_refused(random_match):
    log = random_match(3)
    with pytest.raises(CastMismatch, match="player:0"):
        pack(Cast(), log.events, log.tracks)
