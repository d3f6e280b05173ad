"""However the events of a match are cut into calls, the rows have the same bytes."""

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.features.carry import Carry

seeds = st.integers(0, 2**32)
few = settings(max_examples=40, deadline=None, derandomize=True)


def _in_chunks(packed, limits, cuts):
    carry = Carry(packed.cast, limits)
    edges = [0, *cuts, len(packed.batch)]
    parts = [carry.advance(packed.batch[a:b]) for a, b in pairwise(edges)]
    return [*parts, carry.advance(packed.batch[:0], until_ms=packed.until_ms)]


@given(seed=seeds)
@few
def test_one_event_per_call_gives_the_bytes_of_one_call(random_match, packed, at_once, digest, limits, seed):
    match = packed(random_match(seed))
    assert digest(*_in_chunks(match, limits, range(1, len(match.batch)))) == at_once(match)


@given(seed=seeds)
@few
def test_random_chunks_give_the_bytes_of_one_call(random_match, packed, at_once, digest, limits, seed):
    match = packed(random_match(seed))
    cuts = sorted(random.Random(seed).choices(range(len(match.batch)), k=9))
    assert digest(*_in_chunks(match, limits, cuts)) == at_once(match)


@given(seed=seeds)
@few
def test_a_carry_restored_from_bytes_goes_on_to_the_same_bytes(random_match, packed, at_once, digest, limits, seed):
    match = packed(random_match(seed))
    cut = random.Random(seed).randrange(len(match.batch) + 1)
    first = Carry(match.cast, limits)
    before = first.advance(match.batch[:cut])
    second = Carry.from_bytes(first.to_bytes(), limits)
    assert second.to_bytes() == first.to_bytes()
    assert digest(before, second.advance(match.batch[cut:], until_ms=match.until_ms)) == at_once(match)


def test_a_carry_restored_after_every_event_gives_the_same_bytes(random_match, packed, at_once, digest, limits):
    match = packed(random_match(5))
    snapshot, parts = Carry(match.cast, limits).to_bytes(), []
    for n in range(len(match.batch)):
        carry = Carry.from_bytes(snapshot, limits)
        parts.append(carry.advance(match.batch[n : n + 1]))
        snapshot = carry.to_bytes()
    parts.append(Carry.from_bytes(snapshot, limits).advance(match.batch[:0], until_ms=match.until_ms))
    assert digest(*parts) == at_once(match)


@given(seed=seeds)
@few
def test_telling_how_far_time_has_come_early_changes_no_byte(random_match, packed, at_once, digest, limits, seed):
    match = packed(random_match(seed))
    carry, parts = Carry(match.cast, limits), []
    for n in range(len(match.batch)):
        safe = match.batch.t_ms[n + 1] - 1 if n + 1 < len(match.batch) else match.until_ms
        parts.append(carry.advance(match.batch[n : n + 1], until_ms=int(safe)))
    assert digest(*parts) == at_once(match)


@pytest.mark.parametrize("seed", range(5))
def test_another_match_gives_other_bytes(random_match, packed, at_once, seed):
    assert at_once(packed(random_match(seed))) != at_once(packed(random_match(seed + 1)))
