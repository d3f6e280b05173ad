"""A running match as a whole: from lines to signals, and what batch makes of the same lines."""

import dataclasses
import itertools
import random

import msgspec
import numpy as np
import polars as pl
import pytest

from pipeline.features.pack import NAMED
from pipeline.features.snapshot import SnapshotMismatch
from pipeline.intents.prediction import Predictor
from pipeline.intents.vocabulary import PROBABILITIES
from pipeline.live.decoding import Decoder, decode
from pipeline.live.match import LiveMatch
from pipeline.live.signals import SCHEMA_VERSION, Ended, from_json, to_json

THRESHOLD = 0.6


@pytest.fixture(scope="session")
def run(leaning):
    """Lines through a match in calls of given sizes, restored from its fields after some of them."""
    predictor = Predictor(leaning())

    def run(recorded, sizes, restored=0.0, seed=0):
        dice, match, told, place = random.Random(seed), None, [], 0
        match = LiveMatch(recorded.match_id, lambda: predictor, THRESHOLD)
        while place < len(recorded.lines):
            size = dice.choice(sizes)
            decoded = decode(recorded.lines[place : place + size], max_bytes=10**6)
            assert not decoded.refused
            told.append(match.take(decoded.of_match[recorded.match_id].events))
            place += size
            if dice.random() < restored:
                fields = match.to_fields()
                match = LiveMatch.from_fields(fields, lambda: predictor, lambda _: predictor, THRESHOLD)
                assert match.to_fields() == fields
        told.append(match.finish())
        signals = [signal for part in told for signal in part.signals]
        return match.table(*(part.rows for part in told)), told, signals

    return run


@pytest.mark.parametrize("which", ["simulated", "real"])
def test_lines_as_they_come_give_what_batch_gives_bit_for_bit(request, run, as_segments, which):
    recorded = request.getfixturevalue(which)
    rows, told, signals = run(recorded, (1, 7, 60, 900), restored=0.1)
    assert rows.equals(recorded.features)
    found = np.concatenate([part.prediction.probabilities for part in told if part.prediction])
    assert np.array_equal(found, recorded.intents.select(PROBABILITIES).to_numpy())
    assert as_segments(signals).equals(recorded.segments)
    assert recorded.segments.height > 50


def test_signals_do_not_depend_on_calls(run, simulated):
    _, _, at_once = run(simulated, (10**6,))
    _, _, in_parts = run(simulated, (3, 50), restored=0.05, seed=1)
    assert [to_json(signal) for signal in at_once] == [to_json(signal) for signal in in_parts]


def test_a_segment_is_told_when_it_opens_and_when_it_ends_and_each_signal_has_its_own_id(run, simulated):
    _, _, signals = run(simulated, (100,))
    assert len({signal.signal_id for signal in signals}) == len(signals)
    kinds: dict[str, list[str]] = {}
    for signal in signals[:-1]:
        kinds.setdefault(signal.segment_id, []).append(signal.kind)
    assert set(map(tuple, kinds.values())) <= {("open", "final"), ("final",)}
    assert sum(told == ["open", "final"] for told in kinds.values()) > len(kinds) / 2
    assert isinstance(signals[-1], Ended) and signals[-1].accepted == len(simulated.lines)
    assert signals[-1].segments == simulated.segments.height and signals[-1].reason == "told"


def test_an_open_signal_tells_nothing_that_is_not_known_by_then(run, simulated):
    _, _, signals = run(simulated, (100,))
    opened = [signal for signal in signals if signal.kind == "open"]
    assert opened and all(signal.from_ms <= signal.at_ms < signal.to_ms for signal in opened)
    assert all(signal.at_ms <= end.at_ms for signal, end in itertools.pairwise(signals) if end.kind == "open")


def test_a_signal_comes_back_from_its_json(run, simulated):
    _, _, signals = run(simulated, (1000,))
    assert [from_json(to_json(signal)) for signal in signals] == signals
    assert msgspec.json.decode(to_json(signals[0]))["schema"] == SCHEMA_VERSION == 2


def test_a_match_keeps_the_model_of_its_first_row(leaning, simulated):
    asked = []

    def champion():
        asked.append(Predictor(leaning(len(asked))))
        return asked[-1]

    match = LiveMatch(simulated.match_id, champion, THRESHOLD)
    for place in range(0, len(simulated.lines), 500):
        decoded = decode(simulated.lines[place : place + 500], max_bytes=10**6)
        signals = match.take(decoded.of_match[simulated.match_id].events).signals
        assert {signal.model_version for signal in signals} <= {"leaning-0"}
        match = LiveMatch.from_fields(match.to_fields(), champion, lambda version: asked[0], THRESHOLD)
    assert len(asked) == 1 and match.model_version == "leaning-0"


def test_state_of_other_settings_or_damaged_is_refused(leaning, simulated):
    predictor = Predictor(leaning())
    match = LiveMatch("m", lambda: predictor, THRESHOLD)
    fields = match.to_fields()
    for damaged in ({}, fields | {"features": b"x"}, fields | {"segments": b"\xc1"}):
        with pytest.raises(SnapshotMismatch):
            LiveMatch.from_fields(damaged, lambda: predictor, lambda _: predictor, THRESHOLD)
    with pytest.raises(SnapshotMismatch, match="config"):
        LiveMatch.from_fields(fields, lambda: predictor, lambda _: predictor, 0.7)


def test_many_lines_scanned_become_the_events_that_few_read_with_care_become(simulated, real):
    lines = [line for pair in zip(simulated.lines[:1500], real.lines[:1500], strict=True) for line in pair]
    odd = [None, b"", b" ", b"{}", b"\xff", lines[0].replace(b":", b":\n", 1), lines[5].replace(b'"ts"', b'"st"')]
    mixed = [*lines[:700], *odd, *lines[700:], b"x" * 20_000]
    few, many = (decode(mixed, max_bytes=10_000, many=number) for number in (10**6, 2))
    assert few.refused == many.refused and len(many.refused) == 7
    assert few.of_match.keys() == many.of_match.keys() == {simulated.match_id, real.match_id}
    assert min(map(len, few.of_match.values())) >= 1500
    assert _written(few) == _written(many)


def _written(decoded):
    """All that entries were decoded to, in types that can be compared."""
    found = {}
    for match_id, part in decoded.of_match.items():
        events = part.events
        numbers = [getattr(events, name).tolist() for name in ("t_ms", "seq", "rank", "events")]
        names = [events.named(name) for name in NAMED]
        assert events.match_id == match_id
        found[match_id] = [part.places, numbers, names, list(events.event_id), list(events.telling)]
    return found, decoded.refused


def test_what_a_decoder_has_seen_before_does_not_show(simulated, real):
    """Calls of any size, with more names than it keeps at once, ids and names that are no ASCII, and lines of doubt."""
    about = b'"match_id":"m%d","event_type":"WEAPON_FIRED","actor":"player:\xc3\xa9%d","payload":{"ts":%d}}'
    strange = b'{"event_id":"\xc3\xa9-%d",' + about
    crowd = [strange % (n, n % 3, n, n % 50) for n in range(20_000)]
    odd = [b"{}", crowd[3].replace(b"WEAPON_FIRED", b"SOMETHING"), crowd[4].replace(b'"ts":4', b'"st":4'), None]
    stream = [
        *simulated.lines[:800],
        *crowd[:9000],
        *odd,
        *real.lines[:800],
        *crowd[9000:],
        *odd,
        *simulated.lines[:800],
    ]
    dice, decoder, place, kept = random.Random(7), Decoder(max_bytes=10_000, many=1), 0, []
    while place < len(stream):
        part = stream[place : place + dice.choice((1, 2, 7, 60, 400, 5000))]
        place += len(part)
        kept.append((decoder.decode(part), decode(part, max_bytes=10_000, many=10**6)))
    assert len(kept) > 10 and all(_written(one) == _written(other) for one, other in kept)


@pytest.mark.parametrize(
    ("line", "field", "reason"),
    [
        (None, "event", "is missing"),
        (b"", "", "is not JSON"),
        (b"[" * 5000, "", "levels"),
        (b'{"event_id":"' + b"x" * 2_000_000 + b'"}', "", "bytes, at most"),
        (b'{"event_id":"e","match_id":"../m","event_type":"OTHER","payload":{"ts":1}}', "match_id", "does not match"),
        (b'{"event_id":"e","match_id":"m","event_type":"OTHER","payload":{"ts":NaN}}', "payload.ts", "finite"),
        (b'{"event_id":"e","match_id":"m","event_type":"OTHER","payload":{"ts":-99999}}', "payload.ts", ""),
        (b'{"event_id":"e","match_id":"m","event_type":"OTHER","payload":{}}', "payload.ts", "no lone event"),
    ],
)
def test_what_is_no_event_is_refused_with_field_and_reason(line, field, reason):
    good = b'{"event_id":"e","match_id":"m","event_type":"OTHER","payload":{"ts":1,"note":"<script>%s%n</script>"}}'
    decoded = decode([good, line, good], max_bytes=1_000_000)
    assert len(decoded.of_match["m"]) == 2
    (refused,) = decoded.refused
    assert (refused.place, refused.field) == (1, field) and reason in refused.reason


def test_the_table_of_signals_has_the_columns_of_segments(run, simulated, as_segments):
    _, _, signals = run(simulated, (1000,))
    assert as_segments(signals).select(pl.col("segment_id").n_unique()).item() == simulated.segments.height


@pytest.mark.parametrize("which", ["simulated", "real"])
def test_a_clock_an_hour_ahead_does_not_count_and_makes_no_row(request, run, as_segments, which):
    recorded = request.getfixturevalue(which)
    moves = [n for n, line in enumerate(recorded.lines) if b'"POSITION_UPDATE"' in line]
    lines, wrong = list(recorded.lines), 0
    for place in reversed(moves[len(moves) // 3 : len(moves) // 3 + 30 : 10]):
        event = msgspec.json.decode(recorded.lines[place])
        event["event_id"] += "-ahead"
        event["payload"]["ts"] += 3600
        lines.insert(place + 1, msgspec.json.encode(event))
        wrong += 1
    _, plain, clean = run(recorded, (60, 900))
    rows, told, signals = run(dataclasses.replace(recorded, lines=lines), (1, 7, 60, 900), restored=0.1)
    assert rows.equals(recorded.features) and as_segments(signals).equals(recorded.segments)
    accepted = np.concatenate([part.is_accepted for part in told if len(part.is_accepted)])
    assert len(accepted) == len(lines) and (~accepted).sum() == wrong == 3 == signals[-1].ahead
    assert plain and clean[-1].ahead == 0 and signals[-1].at_ms == clean[-1].at_ms


def test_a_match_that_goes_on_after_a_long_silence_of_its_clock_is_not_ahead_of_itself(run, simulated):
    """Two players who agree move the match; whoever comes first after the gap is not heard."""
    shifted = []
    half = len(simulated.lines) // 2
    for n, line in enumerate(simulated.lines):
        event = msgspec.json.decode(line)
        event["payload"]["ts"] += 3600 if n >= half else 0
        shifted.append(msgspec.json.encode(event))
    match = LiveMatch(simulated.match_id, lambda: None, THRESHOLD)
    features = match._features
    decoded = decode(shifted, max_bytes=10**6).of_match[simulated.match_id].events
    taken = features.take(decoded)
    assert 1 <= features.counts.ahead <= 20 and taken.is_accepted[half + 20 :].all()
