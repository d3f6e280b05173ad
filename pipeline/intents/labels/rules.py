"""The hindsight rules, one function each: which rows it votes for.

Belongs here: the rules and their table. Does not belong here: thresholds (`configs/intents.yaml`), how votes are
weighed (`pipeline.intents.labels`), access to what comes after (`hindsight`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from configs.features import load_features
from configs.intents import LabelRules
from pipeline.intents.labels.hindsight import Bools, Floats, Happenings, Hindsight, Ints
from pipeline.intents.vocabulary import Intent


@dataclass(frozen=True)
class HindsightRule:
    """A rule by the name of its settings, the intent it speaks for, and the function that finds its rows."""

    name: str
    intent: Intent
    votes: Callable[[Hindsight, LabelRules], Bools]


def plant(after: Hindsight, rules: LabelRules) -> Bools:
    """From the first press to BOMB_PLANTED; a logged start that was broken off counts up to where it was."""
    done, begun, limit = (
        after.happenings("BOMB_PLANTED"),
        after.happenings("BOMB_PLANT_STARTED"),
        load_features().plant_ms,
    )
    return _handling(after, done, begun, np.full(len(done.t), limit), limit_ms=limit, still_mm=rules.plant.still_mm)


def defuse(after: Hindsight, rules: LabelRules) -> Bools:
    """From the first press to BOMB_DEFUSED, shorter with a kit; broken-off starts as in `plant`."""
    done, begun, limit = (
        after.happenings("BOMB_DEFUSED"),
        after.happenings("BOMB_DEFUSE_STARTED"),
        load_features().defuse_ms,
    )
    last = after.rows_at(done.actor, done.round, done.t - 1)
    bare = (last >= 0) & (after.has_kit[last] == 0)
    took = np.where(bare, limit, rules.defuse.kit_ms)
    return _handling(after, done, begun, took, limit_ms=limit, still_mm=rules.defuse.still_mm)


def _handling(
    after: Hindsight, done: Happenings, begun: Happenings, took: Ints, *, limit_ms: int, still_mm: int
) -> Bools:
    """Rows in which a player handles the bomb: while they stay on the spot, until done or broken off.

    Args:
        after: the match.
        done: completions.
        begun: logged starts, which many sources lack.
        took: how long each completion took where its start is not logged, ms.
        limit_ms: the longest it can take.
        still_mm: farther than this from the spot, the player is not handling it.
    """
    found = np.zeros(after.count, dtype=np.bool_)
    for player, round_, t, duration in zip(done.actor, done.round, done.t, took, strict=True):
        starts = begun.t[(begun.actor == player) & (begun.round == round_) & (begun.t < t)]
        newest = int(starts.max(initial=t - limit_ms - after.step - 1))
        rows = after.rows(player, round_, newest if newest >= t - limit_ms - after.step else t - duration, t)
        away = after.moved(np.full_like(rows, rows[-1]), rows) > still_mm if rows.size else np.zeros(0, dtype=np.bool_)
        found[rows[np.flatnonzero(away).max(initial=-1) + 1 :]] = True
    for player, round_, t in zip(begun.actor, begun.round, begun.t, strict=True):
        ends = [each.t[(each.actor == player) & (each.round == round_) & (each.t > t)] for each in (begun, done)]
        rows = after.rows(player, round_, t, int(np.concatenate(ends).min(initial=t + limit_ms)))
        away = after.moved(np.full_like(rows, rows[0]), rows) > still_mm if rows.size else np.zeros(0, dtype=np.bool_)
        found[rows[: int(away.argmax()) if away.any() else None]] = True
    return found


def trade_kill(after: Hindsight, rules: LabelRules) -> Bools:
    """From a teammate's death until this player kills the killer, within the window."""
    return _answer(after, after.happenings("PLAYER_KILLED"), rules.trade_kill.window_ms)


def trade_hit(after: Hindsight, rules: LabelRules) -> Bools:
    """From a teammate's death until this player's last hit on the killer within the window."""
    return _answer(after, after.hits, rules.trade_hit.window_ms)


def trade_fire(after: Hindsight, rules: LabelRules) -> Bools:
    """From a teammate's death until this player's last shot aimed at the killer within the window."""
    rule, shots = rules.trade_fire, after.happenings("WEAPON_FIRED", aimed=True)
    return _answer(after, shots, rule.window_ms, aimed_within=(rule.enemy_mm, rule.aim_deg))


def _answer(
    after: Hindsight, answers: Happenings, window_ms: int, aimed_within: tuple[int, float] | None = None
) -> Bools:
    """Rows from a teammate's death until an answer to it: a deed whose target is the killer, or that points at him."""
    deaths = after.happenings("PLAYER_KILLED")
    hostile = (deaths.actor_faction >= 0) & (deaths.target_faction >= 0)
    deaths = deaths.pick(hostile & (deaths.actor_faction != deaths.target_faction))
    delay = answers.t[None, :] - deaths.t[:, None]
    answered = (
        (answers.actor_faction[None, :] == deaths.target_faction[:, None])
        & (answers.round[None, :] == deaths.round[:, None])
        & (delay > 0)
        & (delay <= window_ms)
    )
    if aimed_within is None:
        answered &= answers.target[None, :] == deaths.actor[:, None]
    death, answer = np.nonzero(answered)
    if aimed_within is not None:
        rows = after.rows_at(answers.actor[answer], answers.round[answer], answers.t[answer])
        distance, angle = after.sight(rows, deaths.actor[death])
        points = (distance <= aimed_within[0]) & (angle <= aimed_within[1])
        death, answer = death[points], answer[points]
    return after.mark(answers.actor[answer], answers.round[answer], deaths.t[death], answers.t[answer])


def engage_hit(after: Hindsight, rules: LabelRules) -> Bools:
    """About to hit an enemy, or having just hit one, with an aimed weapon."""
    hits, rule = after.hits, rules.engage_hit
    return after.mark(hits.actor, hits.round, hits.t - rule.horizon_ms, hits.t + rule.after_ms)


def engage_fire(after: Hindsight, rules: LabelRules) -> Bools:
    """About to fire, or having just fired, with an enemy near the line of view."""
    shots, rule = after.happenings("WEAPON_FIRED", aimed=True), rules.engage_fire
    fires = after.mark(shots.actor, shots.round, shots.t - rule.horizon_ms, shots.t + rule.after_ms)
    return fires & (after.aim(rule.enemy_mm) <= rule.aim_deg)


def peek_return(after: Hindsight, rules: LabelRules) -> Bools:
    """Out and back: soon where they were, having been a few steps away in between and looked towards a near enemy."""
    rule = rules.peek_return
    start = np.arange(after.count)
    looks = after.aim(rule.enemy_mm) <= rule.aim_deg
    looked = np.zeros(after.count, dtype=np.bool_)
    farthest = np.zeros(after.count)
    low, high = [], []
    for step in range(1, rule.horizon_ms // after.step + 1):
        stop = np.minimum(start + step, after.end)
        away = after.moved(start, stop)
        back = looked & (after.left >= step) & (away <= rule.back_mm)
        back &= (farthest >= rule.least_mm) & (farthest <= rule.most_mm)
        low.append(start[back])
        high.append(stop[back] + 1)
        farthest = np.fmax(farthest, away)
        looked |= looks[stop] & (away >= rule.least_mm)
    return after.cover(np.concatenate(low), np.concatenate(high))


def peek_step_out(after: Hindsight, rules: LabelRules) -> Bools:
    """Still for a while, then a short step that ends in the first exchange of a fight."""
    rule, hits = rules.peek_step_out, after.hits
    start = np.arange(after.count)
    fought_before = _in_a_fight(after, hits, before_ms=0, after_ms=rule.still_ms)
    still = (start - after.first) * after.step >= rule.still_ms
    for step in range(1, rule.still_ms // after.step + 1):
        still &= after.moved(np.maximum(start - step, after.first), start) <= rule.still_mm
    stop = start.copy()
    meets = np.zeros(after.count, dtype=np.bool_)
    begins = _in_a_fight(after, hits, before_ms=after.step, after_ms=0)
    for step in range(1, rule.horizon_ms // after.step + 1):
        here = np.minimum(start + step, after.end)
        first = ~meets & (after.left >= step) & begins[here]
        stop[first] = here[first]
        meets |= first
    step_mm = after.moved(start, stop)
    peeks = meets & still & ~fought_before & (step_mm >= rule.least_mm) & (step_mm <= rule.most_mm)
    return after.cover(start[peeks], stop[peeks] + 1)


def _in_a_fight(after: Hindsight, hits: Happenings, *, before_ms: int, after_ms: int) -> Bools:
    given = after.mark(hits.actor, hits.round, hits.t - before_ms, hits.t + after_ms)
    return given | after.mark(hits.target, hits.round, hits.t - before_ms, hits.t + after_ms)


def hold_stay(after: Hindsight, rules: LabelRules) -> Bools:
    """Stays within a radius over the horizon."""
    rule = rules.hold_stay
    start = np.arange(after.count)
    stays = after.sees(rule.least_ms)
    for step in range(1, rule.horizon_ms // after.step + 1):
        stays &= after.moved(start, np.minimum(start + step, after.end)) <= rule.radius_mm
    return stays


def advance_objective(after: Hindsight, rules: LabelRules) -> Bools:
    """Comes nearer to an objective: to the bomb once it is planted, to any site before."""
    rule = rules.advance_objective
    start, stop = np.arange(after.count), after.ahead(rule.horizon_ms)
    gained = after.to_sites(start) - after.to_sites(stop)
    to_site = np.fmax.reduce(gained, axis=1, initial=-np.inf)
    planted = ~np.isnan(after.bomb[:, 0])
    return after.sees(rule.least_ms) & (np.where(planted, _to_bomb(after, start, stop), to_site) >= rule.progress_mm)


def advance_enemy(after: Hindsight, rules: LabelRules) -> Bools:
    """Own movement brings the player nearer to where the enemies stand now."""
    rule = rules.advance_enemy
    gained = after.to_enemies(np.arange(after.count)) - after.to_enemies(after.ahead(rule.horizon_ms))
    return after.sees(rule.least_ms) & (gained >= rule.progress_mm)


def retreat_enemy(after: Hindsight, rules: LabelRules) -> Bools:
    """Own movement takes the player away from where near enemies stand now."""
    rule = rules.retreat_enemy
    now = after.to_enemies(np.arange(after.count))
    gained = after.to_enemies(after.ahead(rule.horizon_ms)) - now
    return after.sees(rule.least_ms) & (now <= rule.enemy_mm) & (gained >= rule.progress_mm)


def rotate_sites(after: Hindsight, rules: LabelRules) -> Bools:
    """Leaves the site they were at for another, while no bomb is planted."""
    rule = rules.rotate_sites
    if len(after.sites) < 2:
        return np.zeros(after.count, dtype=np.bool_)
    start, stop = np.arange(after.count), after.ahead(rule.horizon_ms)
    now = np.nan_to_num(after.to_sites(start), nan=np.inf)
    gained = now - after.to_sites(stop)
    nearest = now.argmin(axis=1)
    left = (now[start, nearest] <= rule.left_mm) & (-gained[start, nearest] >= rule.leave_mm)
    gained[start, nearest] = -np.inf
    other = np.fmax.reduce(gained, axis=1, initial=-np.inf) >= rule.progress_mm
    leaves: Bools = after.sees(rule.least_ms) & left & other & np.isnan(after.bomb[:, 0])
    return leaves


def rotate_to_bomb(after: Hindsight, rules: LabelRules) -> Bools:
    """A defender who was far away comes to the planted bomb."""
    rule = rules.rotate_to_bomb
    start, stop = np.arange(after.count), after.ahead(rule.horizon_ms)
    far = np.sqrt(((after.position - after.bomb) ** 2).sum(axis=1)) >= rule.far_mm
    comes: Bools = after.sees(rule.least_ms) & after.defends & far & (_to_bomb(after, start, stop) >= rule.progress_mm)
    return comes


def _to_bomb(after: Hindsight, start: Ints, stop: Ints) -> Floats:
    """How much nearer in mm the bomb planted by the first row is at the second."""
    now = np.sqrt(((after.position[start] - after.bomb[start]) ** 2).sum(axis=1))
    then = np.sqrt(((after.position[stop] - after.bomb[start]) ** 2).sum(axis=1))
    gained: Floats = now - then
    return gained


RULES: tuple[HindsightRule, ...] = (
    HindsightRule("plant", "plant", plant),
    HindsightRule("defuse", "defuse", defuse),
    HindsightRule("trade_kill", "trade", trade_kill),
    HindsightRule("trade_hit", "trade", trade_hit),
    HindsightRule("trade_fire", "trade", trade_fire),
    HindsightRule("engage_hit", "engage", engage_hit),
    HindsightRule("engage_fire", "engage", engage_fire),
    HindsightRule("peek_return", "peek", peek_return),
    HindsightRule("peek_step_out", "peek", peek_step_out),
    HindsightRule("hold_stay", "hold", hold_stay),
    HindsightRule("advance_objective", "advance", advance_objective),
    HindsightRule("advance_enemy", "advance", advance_enemy),
    HindsightRule("retreat_enemy", "retreat", retreat_enemy),
    HindsightRule("rotate_sites", "rotate", rotate_sites),
    HindsightRule("rotate_to_bomb", "rotate", rotate_to_bomb),
)
