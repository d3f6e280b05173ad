"""A simulated match keeps the rules of bodies, walls, guns and the bomb."""

import math
from collections import defaultdict
from itertools import pairwise

import pytest

from configs.base import ConfigError
from configs.simulator import SimulatorConfig
from pipeline.events.sources.simulator import BadArena, simulate
from pipeline.events.sources.simulator.arena import build_arena
from pipeline.intents.vocabulary import INTENTS

ATTACK, DEFENCE = "terrorists", "counter-terrorists"


def tracks(rounds):
    """Per round and player the samples in order: (seconds, x, y, z)."""
    out = defaultdict(list)
    for number, entries in rounds.items():
        for event in entries:
            if event["event_type"] == "POSITION_UPDATE":
                out[number, event["actor"]].append((event["payload"]["ts"], *event["payload"]["pos"]))
    return out


def of_type(entries, *kinds):
    return [event for event in entries if event["event_type"] in kinds]


def ground(pos):
    return pos[0], pos[2]


def test_nobody_walks_through_a_wall(rounds, arena):
    for path in tracks(rounds).values():
        for (_, x, _, z), (_, u, _, w) in pairwise(path):
            assert arena.free((x, z), (u, w))


def test_nobody_stands_in_a_wall_or_outside(rounds, arena, config):
    x0, z0, x1, z1 = config.arena.bounds
    reach = config.motion.radius_m - 0.01
    for path in tracks(rounds).values():
        for _, x, _, z in path[::4]:
            assert x0 + reach <= x <= x1 - reach and z0 + reach <= z <= z1 - reach
            assert all(
                arena.free((x, z), (x + dx, z + dz)) for dx, dz in ((reach, 0), (-reach, 0), (0, reach), (0, -reach))
            )


def test_nobody_is_faster_than_the_limit_or_jumps(rounds, config):
    fastest = 0.0
    rounding = 2**0.5 * config.clock.unit_m + 0.002  # both ends are whole units of the game
    for path in tracks(rounds).values():
        for (t, x, y, z), (u, x2, y2, z2) in pairwise(path):
            assert u - t == pytest.approx(0.125, abs=0.0011)
            assert math.hypot(x2 - x, z2 - z) <= config.motion.top_speed_mps * 0.125 + rounding
            assert abs(y2 - y) < 0.35
            fastest = max(fastest, math.hypot(x2 - x, z2 - z) / 0.125)
    assert fastest > 4.5, "somebody runs"


def test_velocity_changes_no_faster_than_legs_allow(rounds, config):
    most = max(config.motion.accelerate_mps2, config.motion.brake_mps2)
    sharp = total = 0
    for path in tracks(rounds).values():
        for a, b, c in zip(path, path[1:], path[2:], strict=False):
            change = math.hypot(c[1] - 2 * b[1] + a[1], c[3] - 2 * b[3] + a[3]) / 0.125**2
            sharp += change > most * 1.1
            total += 1
    assert sharp / total < 0.002, "only walls stop bodies faster"


def test_the_floor_is_uneven_but_walkable(rounds, arena):
    heights = [y for path in tracks(rounds).values() for _, _, y, _ in path]
    assert max(heights) - min(heights) > 0.5
    slopes = [abs(arena.height(x + 0.1, 3.0) - arena.height(x, 3.0)) / 0.1 for x in range(-30, 30)]
    assert max(slopes) < 0.5


def test_every_shot_that_hurts_has_a_free_line(events, arena):
    hits = of_type(events, "PLAYER_KILLED", "PLAYER_DAMAGED")
    assert of_type(hits, "PLAYER_KILLED")
    for hit in hits:
        if hit["payload"]["weapon"] in ("hegrenade", "inferno"):
            assert hit["event_type"] == "PLAYER_DAMAGED", "a grenade flies over walls, and never kills"
            continue
        assert arena.free(ground(hit["payload"]["pos"]), ground(hit["payload"]["target_pos"]))


def test_nobody_shoots_teammates_and_no_dead_act(rounds, side_of):
    for number, entries in rounds.items():
        dead = {}
        for event in sorted(entries, key=lambda e: e["payload"]["ts"]):
            when = event["payload"]["ts"]
            if event["actor"] in dead and event["event_type"] not in (
                "GRENADE_DETONATED", "PLAYER_BLINDED", "BOMB_EXPLODED", "BOMB_DROPPED",
            ) and event["payload"].get("weapon") not in ("hegrenade", "inferno"):  # fmt: skip
                assert when <= dead[event["actor"]], event
            if event["event_type"] == "PLAYER_KILLED":
                victim = event["payload"]["target"]
                assert side_of[number, victim] != side_of[number, event["actor"]]
                assert victim not in dead
                dead[victim] = when


def test_health_falls_by_the_damage_told(rounds):
    for entries in rounds.values():
        hp = defaultdict(lambda: 100)
        for hit in of_type(entries, "PLAYER_DAMAGED"):
            assert hit["payload"]["target_hp_before"] == hp[hit["payload"]["target"]]
            hp[hit["payload"]["target"]] -= hit["payload"]["damage"]
        killed = {kill["payload"]["target"] for kill in of_type(entries, "PLAYER_KILLED")}
        assert killed == {player for player, left in hp.items() if left == 0}


def test_reactions_are_human(match, config):
    low, high = config.perception.reaction_limits_ms
    assert 200 <= low < high <= 450


def test_the_bomb_is_planted_in_a_site_by_its_carrier_and_defused_by_a_defender(rounds, side_of, config):
    plants = defuses = 0
    for number, entries in rounds.items():
        carrier = planted = None
        begun = {}
        for event in sorted(entries, key=lambda e: e["payload"]["ts"]):
            kind, actor, payload = event["event_type"], event["actor"], event["payload"]
            if kind == "POSITION_UPDATE" and payload.get("has_bomb"):
                assert side_of[number, actor] == ATTACK and planted is None
                carrier = actor
            elif kind == "BOMB_DROPPED":
                assert actor == carrier
                carrier = None
            elif kind == "BOMB_PICKED_UP":
                assert carrier is None and side_of[number, actor] == ATTACK
                carrier = actor
            elif kind in ("BOMB_PLANT_STARTED", "BOMB_DEFUSE_STARTED"):
                assert (planted is None) == (kind == "BOMB_PLANT_STARTED")
                begun[actor] = payload["ts"]
            elif kind == "BOMB_PLANTED":
                assert actor == carrier and planted is None
                x0, z0, x1, z1 = config.arena.sites[payload["site"]]
                assert x0 <= payload["pos"][0] <= x1 and z0 <= payload["pos"][2] <= z1
                assert payload["ts"] - begun[actor] == pytest.approx(config.clock.plant_s, abs=0.02)
                planted, plants = payload["ts"], plants + 1
            elif kind == "BOMB_DEFUSED":
                assert planted is not None and side_of[number, actor] == DEFENCE
                spent = payload["ts"] - begun[actor]
                assert min(abs(spent - config.clock.kit_s), abs(spent - config.clock.defuse_s)) < 0.02
                defuses += 1
            elif kind == "BOMB_EXPLODED":
                assert payload["ts"] - planted == pytest.approx(config.clock.bomb_s, abs=0.02)
    assert plants > 0 and defuses > 0


def test_who_plants_or_defuses_stands_still(rounds):
    for number, entries in rounds.items():
        paths = tracks({number: entries})
        for done in of_type(entries, "BOMB_PLANTED", "BOMB_DEFUSED"):
            end = done["payload"]["ts"]
            at = [(x, z) for t, x, _, z in paths[number, done["actor"]] if end - 2.5 <= t <= end]
            assert len(at) > 15
            assert all(math.dist(at[0], other) < 0.3 for other in at)


def test_each_round_has_one_winner_and_its_reason_is_true(rounds, side_of):
    reasons = set()
    for number, entries in rounds.items():
        ends = of_type(entries, "ROUND_ENDED")
        assert len(ends) == 1 and len(of_type(entries, "ROUND_STARTED", "ROUND_LIVE")) == 2
        winner, reason, end = (ends[0]["payload"][key] for key in ("winner", "reason", "ts"))
        assert all(event["payload"]["ts"] < end for event in entries if event is not ends[0])
        dead = [kill["payload"]["target"] for kill in of_type(entries, "PLAYER_KILLED")]
        alive = {side: 5 - sum(side_of[number, player] == side for player in dead) for side in (ATTACK, DEFENCE)}
        planted = bool(of_type(entries, "BOMB_PLANTED"))
        ended_by = {
            "bomb_defused": (DEFENCE, bool(of_type(entries, "BOMB_DEFUSED"))),
            "target_bombed": (ATTACK, bool(of_type(entries, "BOMB_EXPLODED"))),
            "t_win": (ATTACK, alive[DEFENCE] == 0),
            "ct_win": (DEFENCE, alive[ATTACK] == 0 and not planted),
            "time_ran_out": (DEFENCE, not planted and alive[ATTACK] > 0 and alive[DEFENCE] > 0),
        }
        assert winner == ended_by[reason][0] and ended_by[reason][1], (number, reason)
        live = of_type(entries, "ROUND_LIVE")[0]["payload"]["ts"]
        assert 5.0 < end - live < 115.0 + 40.0 + 1.0
        reasons.add(reason)
    assert len(reasons) >= 3


def test_sides_change_after_the_first_half_and_the_score_counts_the_rounds(events, rounds, match):
    first = match.recording.teams[0]
    sides = [rounds[number][0]["payload"]["sides"][first] for number in sorted(rounds)]
    assert sides == [ATTACK] * 6 + [DEFENCE] * 6
    won = defaultdict(int)
    for entries in rounds.values():
        told = entries[0]["payload"]["sides"]
        winner = of_type(entries, "ROUND_ENDED")[0]["payload"]["winner"]
        won[next(team for team, side in told.items() if side == winner)] += 1
    assert events[-1]["event_type"] == "MATCH_ENDED"
    assert events[-1]["payload"]["score"] == {team: won[team] for team in match.recording.teams}


def test_it_looks_like_a_match(rounds):
    kills = [of_type(entries, "PLAYER_KILLED") for entries in rounds.values()]
    assert 4.0 <= sum(map(len, kills)) / len(kills) <= 8.5
    traded = sum(
        any(
            later["payload"]["target"] == kill["actor"] and 0 < later["payload"]["ts"] - kill["payload"]["ts"] <= 4.0
            for later in deaths
        )
        for deaths in kills
        for kill in deaths
    )
    assert 0.03 <= traded / sum(map(len, kills)) <= 0.5
    everything = [event["event_type"] for entries in rounds.values() for event in entries]
    for kind in ("GRENADE_THROWN", "GRENADE_DETONATED", "PLAYER_BLINDED", "BOMB_DROPPED", "WEAPON_FIRED"):
        assert kind in everything


def test_positions_are_whole_units_of_the_game(match, config):
    for played in match.recording.rounds:
        units = played.samples.place / config.clock.unit_m
        assert abs(units - units.round()).max() * config.clock.unit_m <= 0.0005001, "but for the millimetre of the logs"


def test_who_waits_potters_about_and_stays_near(match):
    still = moved = 0
    for played in match.recording.rounds:
        place, holds = played.samples.place, played.samples.intent == INTENTS.index("hold")
        for i in range(place.shape[1]):
            for k in range(0, len(place) - 16, 16):
                if holds[k : k + 17, i].all() and played.samples.hp[k + 16, i] > 0:
                    gap = math.dist(place[k, i], place[k + 16, i])
                    assert gap < 10.0, "two seconds at a run"
                    still, moved = still + (gap < 0.05), moved + (gap >= 0.05)
    assert moved > still, "nobody stands like a post"


def test_a_peek_comes_back_to_its_spot_or_ends_in_a_fight(match):
    peek, hold = INTENTS.index("peek"), INTENTS.index("hold")
    back = []
    for played in match.recording.rounds:
        place, intent = played.samples.place, played.samples.intent
        for i in range(place.shape[1]):
            begun = None
            for k in range(1, len(place)):
                if intent[k, i] == peek and intent[k - 1, i] != peek:
                    begun = k
                elif intent[k, i] != peek and intent[k - 1, i] == peek and begun is not None and intent[k, i] == hold:
                    back.append(math.dist(place[begun, i], place[k, i]))
    assert len(back) > 20
    assert sum(gap < 0.3 for gap in back) / len(back) > 0.8


def test_who_rotates_sets_off_from_a_site_or_comes_from_afar_to_the_bomb(match, arena, config):
    rotate, begun = INTENTS.index("rotate"), 0
    middles = [arena.site_middle(site) for site in config.arena.sites]
    for played in match.recording.rounds:
        plants = [h for h in played.happenings if h.kind == "BOMB_PLANTED"]
        place, intent, ticks = (getattr(played.samples, name) for name in ("place", "intent", "ticks"))
        for i in range(place.shape[1]):
            defends = played.sides[i // 5] == "defenders"
            for k in range(1, len(place)):
                if intent[k, i] != rotate or intent[k - 1, i] == rotate or played.samples.hp[k, i] <= 0:
                    continue
                begun += 1
                if any(plant.tick < ticks[k] for plant in plants):
                    x, _, z = plants[0].payload["pos"]
                    assert not defends or math.dist(place[k, i], (x, z)) >= config.behaviour.retake_m - 0.1
                    assert defends, "attackers advance to the planted bomb"
                else:
                    assert ticks[k] - played.live >= config.clock.ticks(config.meaning.setup_s)
                    assert min(math.dist(place[k, i], middle) for middle in middles) <= config.meaning.left_m + 0.1
    assert begun > 20


def test_whoever_saves_goes_away_from_the_planted_bomb(match):
    retreat, ways = INTENTS.index("retreat"), []
    for played in match.recording.rounds:
        plant = next((h for h in played.happenings if h.kind == "BOMB_PLANTED"), None)
        if plant is None:
            continue
        x, _, z = plant.payload["pos"]
        samples = played.samples
        after = [k for k, tick in enumerate(samples.ticks) if tick > plant.tick]
        for i in (i for i in range(10) if played.sides[i // 5] == "defenders"):
            run = [k for k in after if samples.intent[k, i] == retreat and samples.hp[k, i] > 0]
            if len(run) > 16 and run[-1] - run[0] == len(run) - 1:  # one stretch of two seconds or more
                away = [math.dist(samples.place[k, i], (x, z)) for k in (run[0], run[-1])]
                ways.append(away[1] > away[0])
    assert sum(ways) >= 0.8 * len(ways)


def test_fire_hurts_and_is_left(rounds, side_of):
    burns = of_type([e for entries in rounds.values() for e in entries], "PLAYER_DAMAGED")
    burnt = [e for e in burns if e["payload"]["weapon"] == "inferno"]
    assert burnt
    assert all(1 <= e["payload"]["damage"] <= 8 for e in burnt)
    thrown = [e["payload"]["grenade"] for entries in rounds.values() for e in of_type(entries, "GRENADE_THROWN")]
    assert {"molotov", "smoke", "flashbang", "hegrenade"} == set(thrown)


def test_a_spot_inside_a_wall_is_refused(config):
    spots = {**config.arena.spots, "a_north": config.arena.spots["a_north"].model_copy(update={"at": (-30.0, -28.0)})}
    broken = config.model_copy(update={"arena": config.arena.model_copy(update={"spots": spots})})
    with pytest.raises(BadArena, match="a_north"):
        build_arena(broken)


def test_a_plan_for_stages_that_do_not_exist_is_refused(config):
    figures = config.model_dump()
    figures["tactics"]["plans"]["spread"]["stages"] = ("ramp", "mid", "roof", "long", "tunnel")
    with pytest.raises(ValueError, match="roof"):
        SimulatorConfig.model_validate(figures)
    assert issubclass(ConfigError, Exception)


@pytest.mark.parametrize(("rounds", "seed"), [(0, 1), (3, -1)])
def test_no_rounds_or_a_negative_seed_are_refused(rounds, seed):
    with pytest.raises(ValueError, match="rounds must be at least 1"):
        simulate(rounds=rounds, seed=seed)


@pytest.mark.slow
def test_many_matches_end_in_many_ways():
    reasons, winners, spans = defaultdict(int), defaultdict(int), []
    for seed in range(40, 48):
        for played in simulate(rounds=12, seed=seed).recording.rounds:
            reasons[played.reason] += 1
            winners[played.winner] += 1
            spans.append((played.end - played.live) / 64)
    assert all(reasons[reason] >= 3 for reason in ("t_win", "ct_win", "bomb_defused", "target_bombed", "time_ran_out"))
    assert 0.35 < winners["attackers"] / len(spans) < 0.7
    assert sum(40 <= span <= 116 for span in spans) / len(spans) > 0.75
