"""A canonical log becomes tables, and what can't be read becomes quarantine."""

import json
import random

import polars as pl
import pytest

from configs.events import load_events
from pipeline.events.reader import UnusableLog
from pipeline.events.sources import canonical_claims

SAMPLE = (
    '{"event_id":"evt_1","match_id":"m1","event_type":"POSITION_UPDATE","actor":"player:p1",'
    '"timestamp":"2026-01-01T12:00:00Z",'
    '"payload":{"pos":[12.4,0.0,8.9],"objective_pos":[10.0,0.0,10.0],"ts":100.0}}'
)


def test_the_one_event_sample_becomes_a_track_of_one_row(read):
    reading = read([SAMPLE])
    row = reading.matches["m1"].tracks.read().to_dicts()[0]
    assert (row["x_mm"], row["y_mm"], row["z_mm"], row["t_ms"]) == (12_400, 0, 8_900, 100_000)
    assert (row["objective_x_mm"], row["objective_z_mm"]) == (10_000, 10_000)
    assert row["player"] == "player:p1" and row["team"] is None and row["round"] is None and row["has_bomb"] is None
    assert reading.matches["m1"].rounds.is_empty()
    assert reading.matches["m1"].match["players"].to_list() == [[{"player": "player:p1", "team": None, "name": None}]]
    assert reading.quarantine.read().is_empty()


def test_a_match_becomes_its_tables(read, match):
    reading = read(match)
    tables = reading.matches["m1"]
    row = tables.match.to_dicts()[0]
    assert (row["title"], row["map"], row["winner"]) == ("cs2", "de_mirage", "team:a")
    assert row["score"] == [{"team": "team:a", "score": 1}, {"team": "team:b", "score": 0}]
    assert [entry["id"] for entry in row["objectives"]] == ["bombsite_a", "bombsite_b"]
    assert row["started_at"].isoformat() == "2026-01-01T12:00:00+00:00" and row["duration_ms"] == 12_000
    assert tables.rounds.drop("sides").to_dicts() == [
        {
            "match_id": "m1",
            "round": 1,
            "start_ms": 0,
            "live_ms": 10_000,
            "end_ms": 12_000,
            "winner": "terrorists",
            "reason": "t_win",
        }
    ]
    kill = tables.events.read().filter(pl.col("event_type") == "PLAYER_KILLED").to_dicts()[0]
    assert (kill["actor"], kill["target"], kill["weapon"], kill["team"]) == (
        "player:a1",
        "player:b1",
        "ak47",
        "team:a",
    )
    assert (kill["side"], kill["round"], kill["x_mm"], kill["z_mm"]) == ("terrorists", 1, 1_000, 2_000)
    assert json.loads(kill["payload"]) == {"headshot": True}
    assert tables.events.read().filter(pl.col("event_type") == "PLAYER_DAMAGED")["amount"].to_list() == [30]
    assert tables.tracks.read().height == 16 and tables.tracks.read()["player"].is_sorted()
    assert set(tables.tracks.read()["has_bomb"].to_list()) == {False}
    assert reading.log["converted"].item() == len(match)


@pytest.mark.parametrize("name", ["log.jsonl", "log.jsonl.gz", "log.zip", "no-ending", "wrong.zip.txt"])
def test_packing_changes_nothing_but_the_hash(read, match, name):
    plain, packed = read(match), read(match, name=name)
    assert packed.matches["m1"].events.read().equals(plain.matches["m1"].events.read())
    assert packed.matches["m1"].tracks.read().equals(plain.matches["m1"].tracks.read())


def _with(base, **changes):
    wire = json.loads(json.dumps(base))
    for path, value in changes.items():
        *outer, last = path.split("__")
        place = wire
        for name in outer:
            place = place[name]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    return wire


BASE = json.loads(SAMPLE)
BAD = {
    "truncated JSON": (SAMPLE[:-9], "", "not JSON"),
    "not an object": ("[1,2]", "", "must be a JSON object"),
    "undecodable bytes": (SAMPLE.encode().replace(b"evt_1", b"\xff\xfe"), "", "not JSON"),
    "nested without end": ("[" * 50_000, "", "deeper than 100 levels"),
    "NaN nested too deep": (SAMPLE.replace("12.4", "[" * 700 + "NaN" + "]" * 700), "", "deeper than 100 levels"),
    "a level too much": (SAMPLE.replace('"ts"', f'"x":{"[" * 99}{"]" * 99},"ts"'), "", "deeper than 100 levels"),
    "a clock at the end of the calendar": (_with(BASE, timestamp="9999-12-31T23:59:59Z"), "timestamp", "ISO 8601"),
    "a clock of a hundred digits": (
        _with(BASE, timestamp=f"2026-01-01T12:00:00.{'1' * 100}Z"),
        "timestamp",
        "at most 64",
    ),
    "a clock at its start": (_with(BASE, timestamp="0001-01-01T00:00:00.000Z"), "timestamp", "ISO 8601"),
    "a clock that its zone leads out of it": (
        _with(BASE, timestamp="9999-12-31T23:59:59-23:59"),
        "timestamp",
        "ISO 8601",
    ),
    "a coordinate of 400 digits": (SAMPLE.replace("12.4", "1" * 400), "payload.pos[0]", "1 is outside"),
    "hit points of 9000 digits": (SAMPLE.replace('"ts"', f'"hp":-{"9" * 9000},"ts"'), "", ""),
    "no event id": (_with(BASE, event_id=...), "event_id", "must be a string, is null"),
    "number as event id": (_with(BASE, event_id=7), "event_id", "must be a string, is a number"),
    "bad match id": (_with(BASE, match_id="../m1"), "match_id", "does not match"),
    "match id with a line end": (_with(BASE, match_id="m1\n"), "match_id", "does not match"),
    "no type": (_with(BASE, event_type=None), "event_type", "must be a string"),
    "payload is a list": (_with(BASE, payload=[]), "payload", "must be an object, is a list"),
    "position without actor": (_with(BASE, actor=None), "actor", "is missing"),
    "position without pos": (_with(BASE, payload__pos=...), "payload.pos", "is missing"),
    "two coordinates": (_with(BASE, payload__pos=[1.0, 2.0]), "payload.pos", "must be [x, y, z]"),
    "text as coordinate": (_with(BASE, payload__pos=[1.0, "2", 3.0]), "payload.pos[1]", "must be a number"),
    "NaN": (SAMPLE.replace("12.4", "NaN"), "payload.pos[0]", "not a finite number"),
    "Infinity": (SAMPLE.replace("8.9", "-Infinity"), "payload.pos[2]", "not a finite number"),
    "beyond a double": (SAMPLE.replace("8.9", "1e999"), "payload.pos[2]", "not a finite number"),
    "absurd position": (_with(BASE, payload__pos=[1e9, 0.0, 0.0]), "payload.pos[0]", "is outside"),
    "absurd objective": (_with(BASE, payload__objective_pos=[0, 0, -1e12]), "payload.objective_pos[2]", "outside"),
    "absurd angle": (_with(BASE, payload__yaw=1e6), "payload.yaw", "is outside"),
    "half a hit point": (_with(BASE, payload__hp=1.5), "payload.hp", "not a whole number"),
    "time is true": (_with(BASE, payload__ts=True), "payload.ts", "must be a number, is a boolean"),
    "time goes back by hours": (_with(BASE, payload__ts=-7200.0), "payload.ts", "is outside"),
    "time runs ahead by days": (_with(BASE, payload__ts=1e7), "payload.ts", "is outside"),
    "clock goes back by hours": (_with(BASE, timestamp="2026-01-01T07:00:00Z"), "timestamp", "from the match time"),
    "no instant": (_with(BASE, timestamp="yesterday"), "timestamp", "not an ISO 8601"),
    "time missing": (_with(BASE, payload__ts=...), "payload.ts", "is missing"),
    "round 0": (_with(BASE, payload__round=0), "payload.round", "is outside"),
    "flag is text": (_with(BASE, payload__has_bomb="yes"), "payload.has_bomb", "must be true or false"),
    "damage to nobody": (_with(BASE, event_type="PLAYER_DAMAGED", payload__damage=3), "payload.target", "is missing"),
    "damage without amount": (
        _with(BASE, event_type="PLAYER_DAMAGED", payload__target="player:b1"),
        "payload.damage",
        "must be a number",
    ),
    "round without number": (_with(BASE, event_type="ROUND_STARTED"), "payload.round", "is missing"),
    "roster of numbers": (
        _with(BASE, event_type="MATCH_STARTED", payload__teams=[{"id": "t", "players": [7]}]),
        "payload.teams[0].players[0]",
        "must be a string",
    ),
    "negative seq": (_with(BASE, seq=-1), "seq", "is outside"),
}


@pytest.mark.parametrize("line, field, reason", BAD.values(), ids=BAD.keys())
def test_a_bad_line_is_quarantined_and_the_rest_goes_on(read, match, line, field, reason):
    reading = read([*match[:9], line, *match[9:]])
    row = reading.quarantine.read().to_dicts()
    assert [(entry["log_id"], entry["source_line"], entry["field"]) for entry in row] == [("log", 10, field)]
    assert reason in row[0]["reason"] and row[0]["raw"]
    assert reading.matches["m1"].events.read().height == len(match)
    assert reading.log.select("source_events", "converted", "quarantined").row(0) == (len(match) + 1, len(match), 1)


def test_a_line_of_ten_megabytes_is_quarantined_by_its_start(read, match):
    reading = read([*match[:5], SAMPLE[:-2] + ',"x":"' + "y" * 10_000_000 + '"}}', *match[5:]])
    row = reading.quarantine.read().to_dicts()[0]
    assert row["source_line"] == 6 and "10000" in row["reason"] and len(row["raw"]) < 1_000
    assert reading.matches["m1"].events.read().height == len(match)


def test_validity_does_not_depend_on_the_order_of_lines(read, match):
    bad = [
        _with(match[5], event_id="early", payload__ts=-7200.0),
        _with(match[6], event_id="clock", timestamp="2026-01-01T18:00:00Z"),
        _with(match[7], event_id="none", payload__ts=...),
    ]
    expected = read([*match, *bad])
    for seed in range(4):
        lines = [*match, *bad]
        random.Random(seed).shuffle(lines)
        reading = read(lines)
        assert (
            reading.matches["m1"]
            .events.read()
            .drop("source_line")
            .equals(expected.matches["m1"].events.read().drop("source_line"))
        )
        assert set(reading.quarantine.read()["raw"]) == set(expected.quarantine.read()["raw"])
        assert len(set(reading.quarantine.read()["raw"])) == 3


def test_a_time_hours_from_the_rest_of_its_round_is_refused(read, match):
    shots = [
        _with(match[3], event_id=f"s{n}", timestamp=..., payload__ts=n, payload__round=1 + n // 5000)
        for n in range(0, 10_000, 100)
    ]
    back = _with(shots[90], event_id="back", payload__ts=9000 - 7200.0)
    reading = read([*shots, back])
    assert reading.quarantine.read().select("field", "source_line").rows() == [("payload.ts", 101)]
    late = _with(shots[10], event_id="late")
    assert read([*shots, late]).quarantine.read().is_empty()


def test_a_late_line_of_an_early_moment_is_taken(read, match):
    assert read([*match[1:], match[0]]).matches["m1"].match["map"].to_list() == ["de_mirage"]


def test_how_deep_a_line_may_nest_does_not_depend_on_who_reads_it(read):
    nested = SAMPLE.replace('"ts"', f'"x":{"[" * 98}{"]" * 98},"y":"{"[" * 300}","ts"')

    def from_afar(calls):
        return from_afar(calls - 1) if calls else read([nested, nested.replace("evt_1", "evt_2").replace("[[", "[[[")])

    near, far = read([nested]), from_afar(600)
    assert near.log["converted"].item() == far.log["converted"].item() == 1
    assert far.quarantine.read()["reason"].to_list() == ["nests deeper than 100 levels"]


def test_a_log_of_more_matches_than_any_series_is_unusable(read):
    events = [_with(BASE, match_id=f"m{n}") for n in range(4)]
    config = load_events()
    few = config.model_copy(update={"lines": config.lines.model_copy(update={"max_matches": 3})})
    assert len(read(events[:3], config=few).matches) == 3
    with pytest.raises(UnusableLog, match="has more than 3 matches") as refused:
        read(["{", *events], config=few)
    assert refused.value.quarantine.read().select("source_line", "reason").rows() == [(0, str(refused.value))]


def test_matches_are_not_looked_at_before_they_are_counted(read, monkeypatch):
    monkeypatch.setattr(canonical_claims, "by_match", lambda frame: pytest.fail("they are too many"))
    with pytest.raises(UnusableLog, match="has more than 1000 matches"):
        read(_with(BASE, match_id=f"m{n}") for n in range(1001))


def test_a_lone_event_without_ts_is_its_match_s_zero(read):
    row = read([_with(BASE, payload__ts=...)]).matches["m1"].events.read().to_dicts()[0]
    assert row["t_ms"] == 0 and row["occurred_at"].isoformat() == "2026-01-01T12:00:00+00:00"


def test_a_lone_event_without_any_time_is_refused(read):
    with pytest.raises(UnusableLog, match=r"payload\.ts"):
        read([_with(BASE, payload__ts=..., timestamp=...)])


def test_an_event_id_that_comes_again_is_a_duplicate(read, match):
    reading = read([*match, match[4], match[4]])
    assert reading.log.select("converted", "duplicate").row(0) == (len(match), 2)
    assert reading.matches["m1"].events.read()["event_id"].is_unique().all()


def test_a_spoiled_first_copy_does_not_cost_the_good_second(read, match):
    reading = read([_with(match[4], payload__pos=[1e9, 0, 0]), *match])
    assert reading.log.select("converted", "duplicate", "quarantined").row(0) == (len(match), 0, 1)


def test_unknown_types_and_fields_pass_through_whole(read, match):
    strange = {
        "event_id": "x1",
        "match_id": "m1",
        "event_type": "PLAYER_DANCED",
        "actor": "player:a1",
        "mood": {"level": 0.1},
        "payload": {"ts": 11.0, "pos": "left", "target": "player:b1", "big": 12345678901234567890, "event_type": "jig"},
    }
    shot = _with(match[3], event_id="x2", event_type="WEAPON_FIRED", spin=2)
    events = read([*match, strange, shot]).matches["m1"].events.read()
    row = events.filter(pl.col("event_id") == "x1").to_dicts()[0]
    assert (row["event_type"], row["target"], row["x_mm"]) == ("OTHER", "player:b1", None)
    assert json.loads(row["payload"]) == {
        "pos": "left",
        "big": 12345678901234567890,
        "event_type": "jig",
        "_event_type": "PLAYER_DANCED",
        "mood": {"level": 0.1},
    }
    assert json.loads(events.filter(pl.col("event_id") == "x2")["payload"].item())["spin"] == 2


@pytest.mark.parametrize(
    "metres, millimetres", [(0.0005, 0), (0.0015, 2), (-0.0005, 0), (1.0005, 1000), (12.3456, 12346), (3, 3000)]
)
def test_millimetres_are_the_nearest_of_the_double(read, metres, millimetres):
    tracks = read([_with(BASE, payload__pos=[metres, None, 0.0])]).matches["m1"].tracks.read()
    assert tracks.select("x_mm", "y_mm").row(0) == (millimetres, None)


def test_events_stand_in_total_order(read, match):
    tied = [
        _with(match[3], event_id="b", payload__ts=11.0, seq=2),
        _with(match[3], event_id="a", payload__ts=11.0, seq=2),
        _with(match[3], event_id="c", payload__ts=11.0, seq=1),
    ]
    ids = read([*tied, *match]).matches["m1"].events.read()["event_id"].to_list()
    assert [name for name in ids if name in "abc"] == ["c", "a", "b"]


def test_several_matches_in_one_log_stay_apart(read, match):
    other = [_with(wire, match_id="m2") for wire in match]
    reading = read([line for pair in zip(match, other, strict=True) for line in pair])
    assert list(reading.matches) == ["m1", "m2"] and reading.log["match_ids"].to_list() == [["m1", "m2"]]
    assert reading.log["duplicate"].item() == 0
    first, second = (reading.matches[name].tracks.read().drop("match_id") for name in ("m1", "m2"))
    assert first.equals(second)


def test_without_a_told_score_rounds_make_it_and_nobody_has_won_yet(read, match):
    row = read(match[:-1]).matches["m1"].match.to_dicts()[0]
    assert row["score"] == [{"team": "team:a", "score": 1}, {"team": "team:b", "score": 0}]
    assert row["winner"] is None


def test_a_round_won_by_a_team_is_won_by_its_side(read, match):
    lines = [_with(wire, payload__winner="team:b") if wire["event_type"] == "ROUND_ENDED" else wire for wire in match]
    assert read(lines).matches["m1"].rounds["winner"].to_list() == ["counter-terrorists"]


def test_events_that_name_no_round_belong_to_the_one_being_played(read, match):
    events = read(match).matches["m1"].events.read()
    assert events.filter(pl.col("event_type") == "POSITION_UPDATE")["round"].unique().to_list() == [1]
    assert events.filter(pl.col("event_type") == "MATCH_STARTED")["round"].to_list() == [None]


def test_told_objectives_stand_before_those_of_the_map(read, match):
    told = _with(match[0], payload__objectives=[{"id": "flag", "pos": [1.0, 2.0, 3.0]}])
    assert read([told, *match[1:]]).matches["m1"].match["objectives"].to_list() == [
        [{"id": "flag", "x_mm": 1000, "y_mm": 2000, "z_mm": 3000}]
    ]


def test_a_player_of_no_roster_is_taken_in_with_team_unknown(read, match, event):
    reading = read([*match, event("POSITION_UPDATE", 11.0, "player:guest", pos=[0, 0, 0])])
    guest = reading.matches["m1"].tracks.read().filter(pl.col("player") == "player:guest").to_dicts()[0]
    assert guest["team"] is None and guest["side"] is None and guest["round"] == 1
    assert "player:guest" in [entry["player"] for entry in reading.matches["m1"].match["players"].item()]
