import json

import numpy as np
import polars as pl
import pytest
from scipy import optimize

from configs.intents import load_intents
from pipeline.intents.labels import RULES, judgement, label
from pipeline.intents.labels.truth import stretches, told
from pipeline.intents.labels.weights import Judged, NoTruth, judged, learn, records
from pipeline.intents.vocabulary import INTENTS

STILL = [(0.0, 0.0)]
LABELS = load_intents().labels


def marked(scene, paths, *events, **more):
    events_, tracks, _ = scene(paths, *events, **more)
    found = stretches(events_, tracks, LABELS)
    return [(kind, player[-1], since, to) for kind, player, _, since, to in found.iter_rows()]


def test_a_reader_marks_a_trade_kill_and_a_try_and_no_kill_of_another(scene):
    paths = {name: [(5.0, 0.0)] * 40 for name in "abAB"}
    death, answer = ("PLAYER_KILLED", 1250, "A", "a"), ("PLAYER_KILLED", 3250, "b", "A")
    assert marked(scene, paths, death, answer) == [
        ("engage", "A", 1000, 1500),
        ("trade", "b", 1250, 3250),
        ("tried", "b", 1250, 3250),
    ]
    others = ("PLAYER_KILLED", 3250, "b", "B"), ("PLAYER_KILLED", 7000, "b", "A")  # another, and too late
    for other in others:
        assert not any(kind == "trade" for kind, *_ in marked(scene, paths, death, other))
    by_a_mate = ("PLAYER_KILLED", 1250, "b", "a"), ("PLAYER_KILLED", 3250, "A", "b")  # no death by an enemy
    assert not any(kind == "trade" for kind, *_ in marked(scene, paths, *by_a_mate))


def test_a_reader_marks_a_defuse_by_its_kit_and_a_broken_one_by_the_shot(scene):
    paths = {"A": STILL * 60}
    done = ("BOMB_DEFUSED", 12000, "A")
    assert marked(scene, paths, done, has_kit=True) == [("defuse", "A", 7000, 12000)]
    assert marked(scene, paths, done, has_kit=False) == [("defuse", "A", 2000, 12000)]
    began, shot = ("BOMB_DEFUSE_STARTED", 1000, "A"), ("WEAPON_FIRED", 2600, "A")
    assert marked(scene, paths, began, shot) == [("defuse_broken", "A", 1000, 2600)]
    assert marked(scene, paths, began, ("BOMB_DEFUSED", 6000, "A")) == [("defuse", "A", 1000, 6000)]


def test_of_two_stretches_the_more_particular_is_told(scene):
    paths = {name: [(5.0, 0.0)] * 20 for name in "abAB"}
    events, tracks, features = scene(
        paths, ("PLAYER_KILLED", 1250, "A", "a"), ("PLAYER_DAMAGED", 2000, "b", "B"), ("PLAYER_KILLED", 3250, "b", "A")
    )
    rows = features.filter(pl.col("player") == "player:b")
    assert told(rows, stretches(events, tracks, LABELS)).to_list() == [None] * 5 + ["trade"] * 8 + [None] * 7


def test_found_counts_what_was_marked_and_what_was_claimed(scene):
    events, tracks, features = scene({"a": STILL * 40}, ("BOMB_PLANTED", 5000, "a", None, {"x_mm": 0, "z_mm": 0}))
    labels, spans = label(events, tracks, features), stretches(events, tracks, LABELS)
    plant = judgement.found(labels, spans).row(by_predicate=pl.col("kind") == "plant", named=True)
    assert plant == dict(zip(judgement.FOUND, ("plant", 1, 1, 1, 12, 12, 0, 12, 12), strict=True))
    blind = labels.with_columns(intent=pl.lit("hold", dtype=labels.schema["intent"]))
    plant = judgement.found(blind, spans).row(by_predicate=pl.col("kind") == "plant", named=True)
    assert (plant["found"], plant["labelled"], plant["other"], plant["claimed"]) == (0, 0, 12, 0)


def test_coverage_overlap_and_conflict_are_shares_of_all_rows(scene):
    labels = label(*scene({"a": STILL * 20})).head(4)
    names = pl.Series([["hold_stay"], ["hold_stay", "advance_enemy"], ["advance_objective", "advance_enemy"], []])
    shown = labels.with_columns(rules=names, intent=pl.Series(["hold", None, "advance", None]))
    assert judgement.shares(shown) == {"coverage": 0.5, "voted": 0.75, "overlap": 0.5, "conflict": 0.25}
    of = {row["rule"]: row for row in judgement.rule_shares(shown).iter_rows(named=True)}
    assert (of["hold_stay"]["votes"], of["hold_stay"]["overlap"], of["hold_stay"]["won"]) == (2, 0.5, 0.5)
    assert of["plant"]["votes"] == 0
    assert judgement.shares(labels.clear()) == dict.fromkeys(("coverage", "voted", "overlap", "conflict"), 0.0)


def test_a_confusion_holds_every_row_and_its_scores(scene):
    labels = label(*scene({"a": STILL * 20}))
    meant = labels.select("player", "t_ms").with_columns(intent=pl.lit("hold"))
    meant = meant.with_columns(intent=pl.when(pl.col("t_ms") < 1000).then(pl.lit("peek")).otherwise("intent"))
    counts = judgement.confusion(labels, meant)
    assert counts.filter(pl.col("truth") == "peek").select("hold", "abstained").row(0) == (4, 0)
    scores = {row[0]: row[1:] for row in judgement.scores(counts).iter_rows()}
    assert scores["hold"] == (16, 0.8, 1.0, pytest.approx(32 / 36))
    assert scores["plant"] == (0, None, None, None) and scores["peek"][2:] == (0.0, 0.0)


def made(votes, truth, *, by_log=False):
    names = [rule.name for rule in RULES]
    ballot = np.array([[name in each for name in names] for each in votes])
    places = np.array([INTENTS.index(intent) for intent in truth])
    none = np.full(len(places), -1)
    return Judged("m", ballot, places if by_log else none, none if by_log else places)


def alone(weight):
    return np.exp(weight) / (np.exp(weight) + 8)


def test_a_lone_rule_weighs_what_it_is_right():
    right, wrong = ["hold"] * 900, ["peek"] * 100
    weights = learn([made([["hold_stay"]] * 1000, right + wrong)])
    assert alone(weights["hold_stay"]) == pytest.approx(0.9, abs=0.005)
    assert weights["plant"] == 0  # never voted


def test_two_rules_that_see_the_same_thing_share_its_weight():
    both = [["advance_objective", "advance_enemy"]] * 1000
    weights = learn([made(both, ["advance"] * 800 + ["rotate"] * 200)])
    together = weights["advance_objective"] + weights["advance_enemy"]
    assert alone(together) == pytest.approx(0.8, abs=0.005)
    assert weights["advance_objective"] == weights["advance_enemy"]


def test_a_rule_that_is_never_right_weighs_nothing_and_never_less():
    weights = learn([made([["peek_step_out"]] * 500 + [["hold_stay"]] * 500, ["hold"] * 1000)])
    assert weights["peek_step_out"] == 0 and weights["hold_stay"] > 5


def test_logs_and_players_have_the_same_say():
    few = made([["engage_fire"]] * 100, ["engage"] * 100, by_log=True)
    many = made([["engage_fire"]] * 1000, ["hold"] * 1000)
    assert alone(learn([few, many])["engage_fire"]) == pytest.approx(0.5, abs=0.005)
    record = next(each for each in records([few, many]) if each.rule == "engage_fire")
    assert (record.told, record.told_right, record.meant, record.meant_right) == (100, 100, 1000, 0)


def test_weights_are_the_likeliest_and_the_order_of_matches_changes_nothing():
    dice = np.random.default_rng(3)
    names = [rule.name for rule in RULES]
    votes = [[name for name in names if dice.random() < 0.2] for _ in range(600)]
    parts = [
        made(votes[:300], dice.choice(INTENTS[:4], 300).tolist()),
        made(votes[300:], dice.choice(INTENTS[:4], 300).tolist()),
    ]
    weights = learn(parts)
    assert weights == learn(parts[::-1])
    ballot = np.concatenate([part.votes for part in parts])
    truth = np.concatenate([part.truth for part in parts])
    keep = ballot.any(axis=1)
    speaks = np.array([[rule.intent == intent for intent in INTENTS] for rule in RULES], float)

    def loss(at):
        sums = (ballot[keep] * at) @ speaks
        return (np.log(np.exp(sums).sum(axis=1)) - sums[np.arange(keep.sum()), truth[keep]]).sum() + (at**2).sum() / 2

    best = optimize.minimize(loss, np.full(len(RULES), 0.1), bounds=[(0, None)] * len(RULES))
    assert loss(np.array(list(weights.values()))) <= best.fun + 0.05


def test_nothing_is_learned_from_nothing():
    with pytest.raises(NoTruth):
        learn([made([[]], ["hold"])])


def trades_by_hand(lines):
    """Trade kills as somebody would list them who scrolls through the raw log."""
    side, kills, trades, round_ = {}, [], [], 0
    for line in lines:
        event = json.loads(line)
        payload = event["payload"]
        if event["event_type"] == "MATCH_STARTED":
            side = {player: team["id"] for team in payload["teams"] for player in team["players"]}
        elif event["event_type"] == "ROUND_STARTED":
            round_, kills = payload["round"], []
        elif event["event_type"] == "PLAYER_KILLED":
            killer, victim, t = event["actor"], payload["target"], round(payload["ts"] * 1000)
            if side.get(killer) is None or side.get(killer) == side.get(victim):
                continue
            for before, dead in ((at, who) for at, by, who in kills if by == victim):
                if side[dead] == side[killer] and 0 < t - before <= 5000:
                    trades.append((killer, round_, before, t))
            kills.append((t, killer, victim))
    return sorted(trades)


def test_every_trade_plant_and_defuse_of_real_logs_is_found(shared_data):
    import gzip

    from pipeline.events.reader import read_log
    from pipeline.features.match import match_features

    log = shared_data / "cs2" / "cs2-vf-mirage.jsonl.gz"
    (match,) = read_log(log, log_id="a").matches.values()
    events, tracks = match.events.read(), match.tracks.read()
    labels, spans = (
        label(events, tracks, match_features(match.match, events, tracks)),
        stretches(events, tracks, LABELS),
    )
    with gzip.open(log) as raw:
        by_hand = trades_by_hand(raw)
    assert by_hand and by_hand == sorted(spans.filter(pl.col("kind") == "trade").drop("kind").rows())
    for player, round_, since, to in by_hand:
        inside = labels.filter(pl.col("player") == player, pl.col("round") == round_)
        inside = inside.filter(pl.col("t_ms").is_between(since, to, closed="left"))
        assert inside.is_empty() or set(inside["intent"]) == {"trade"}
    for row in judgement.found(labels, spans).iter_rows(named=True):
        assert row["seen"] > 0 and row["found"] == row["seen"] and row["labelled"] == row["instants"]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    from pipeline.events.reader import read_log
    from pipeline.events.sources.simulator import simulate, write
    from pipeline.features.match import match_features

    match = simulate(rounds=3, seed=31)
    (reading,) = read_log(write(tmp_path_factory.mktemp("log"), match)[0], log_id="a").matches.values()
    events, tracks = reading.events.read(), reading.tracks.read()
    return events, tracks, match_features(reading.match, events, tracks), match.truth


def test_labels_of_simulated_players_are_mostly_what_they_meant(simulated):
    *tables, meant = simulated
    scores = {row["intent"]: row for row in judgement.scores(judgement.confusion(label(*tables), meant)).to_dicts()}
    assert scores["hold"]["f1"] > 0.75 and scores["advance"]["f1"] > 0.6
    assert learn([judged(*tables, LABELS, meant)])["hold_stay"] > 2


def scrambled(frame, after_ms, seed):
    """The frame with who, where and what mixed up after an instant."""
    past, future = frame.filter(pl.col("t_ms") <= after_ms), frame.filter(pl.col("t_ms") > after_ms)
    columns = [name for name in ("actor", "target", "weapon", "x_mm", "z_mm", "yaw_mdeg", "has_kit") if name in future]
    mixed = [future[name].shuffle(seed=seed + place) for place, name in enumerate(columns)]
    return pl.concat([past, future.with_columns(mixed)])


@pytest.mark.parametrize("share", [0.3, 0.75])
def test_a_rule_sees_no_farther_than_its_horizon(simulated, share):
    events, tracks, features, _ = simulated
    at = int(features["t_ms"].quantile(share)) // 250 * 250
    before = label(events, tracks, features)
    seen = 0
    for rule in RULES:
        known = at + getattr(LABELS.rules, rule.name).horizon_ms
        cut = features.filter((pl.col("t_ms") <= known) | (pl.col("t_ms") > known + 5000))  # some die there, too
        after = label(scrambled(events, known, 1), scrambled(tracks, known, 2), cut)
        rows = before.filter(pl.col("t_ms") <= at).select("player", "t_ms", "rules")
        both = rows.join(after.select("player", "t_ms", other="rules"), on=["player", "t_ms"])
        # a rule of a lower rank that looks farther may silence this one, or no longer do so
        lower = [each.name for each in RULES if each.rank < rule.rank]
        silenced = (pl.col(which).list.contains(name) for which in ("rules", "other") for name in lower)
        spoke = both.filter(~pl.any_horizontal(False, *silenced)).select(
            pl.col(which).list.contains(rule.name) for which in ("rules", "other")
        )
        assert spoke["rules"].equals(spoke["other"], check_names=False), rule.name
        seen += spoke["rules"].sum()
    assert seen > 1000


def test_nothing_that_comes_after_a_death_or_the_round_changes_a_label(simulated):
    events, tracks, features, _ = simulated
    ends = features.group_by("player", "round").agg(t_ms=pl.col("t_ms").max() + 300)
    last = tracks.sort("t_ms").group_by("player", "round").last().drop("t_ms")
    ghosts = last.join(ends, on=["player", "round"]).with_columns(x_mm=pl.lit(7, pl.Int32), z_mm=pl.lit(7, pl.Int32))
    living = ends.filter(pl.col("t_ms") == pl.col("t_ms").max().over("round"))  # who dies earlier changes nothing
    over = living.group_by("round").agg(
        pl.col("t_ms").max(), target=pl.col("player").max(), actor=pl.col("player").min()
    )
    kinds = "PLAYER_DAMAGED", "PLAYER_KILLED", "WEAPON_FIRED", "BOMB_DEFUSED", "BOMB_PLANTED"
    late = pl.concat([over.with_columns(event_type=pl.lit(kind)) for kind in kinds]).with_columns(
        match_id=pl.lit(events["match_id"][0]), weapon=pl.lit("ak47"), payload=pl.lit("{}"), seq=pl.lit(0, pl.Int64)
    )
    more = pl.concat([events, late], how="diagonal_relaxed").select(events.columns).cast(dict(events.schema))
    haunted = pl.concat([tracks, ghosts.select(tracks.columns)])
    assert label(more, haunted, features).equals(label(events, tracks, features))
    earlier = more.with_columns(t_ms=pl.when(pl.col("event_id").is_null()).then(pl.col("t_ms") - 600).otherwise("t_ms"))
    assert not label(earlier, tracks, features).equals(label(events, tracks, features))
