"""The hindsight rules, one function each: which rows it votes for.

Belongs here: the rules and their table. Does not belong here: thresholds (`configs/intents.yaml`), how votes are
weighed (`pipeline.intents.labels`), access to what comes after (`hindsight`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from configs.features import load_features
from configs.intents import LabelRules, ProgressLabel, RetreatLabel
from pipeline.intents.labels.hindsight import Bools, Floats, Happenings, Hindsight, Ints
from pipeline.intents.vocabulary import Intent


@dataclass(frozen=True)
class HindsightRule:
    """A hindsight rule.

    Attributes:
        name: of its settings.
        intent: what it speaks for.
        rank: it says nothing where a rule of a lower one votes: what is more particular comes first
            (`docs/intents.md`). Among equals weights decide.
        votes: finds its rows.
    """

    name: str
    intent: Intent
    rank: int
    votes: Callable[[Hindsight, LabelRules], Bools]


def plant(after: Hindsight, rules: LabelRules) -> Bools:
    """From the first press to BOMB_PLANTED; a logged start that was broken off counts up to where it was."""
    done, begun, limit = (
        after.deeds("BOMB_PLANTED"),
        after.deeds("BOMB_PLANT_STARTED"),
        load_features().plant_ms,
    )
    return _handling(after, done, begun, np.full(len(done.t), limit), limit_ms=limit, still_mm=rules.plant.still_mm)


def defuse(after: Hindsight, rules: LabelRules) -> Bools:
    """From the first press to BOMB_DEFUSED, shorter with a kit; broken-off starts as in `plant`."""
    done, begun, limit = (
        after.deeds("BOMB_DEFUSED"),
        after.deeds("BOMB_DEFUSE_STARTED"),
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
    shots = after.deeds("WEAPON_FIRED")
    for player, round_, t, duration in zip(done.actor, done.round, done.t, took, strict=True):
        starts = begun.t[(begun.actor == player) & (begun.round == round_) & (begun.t < t)]
        newest = int(starts.max(initial=t - limit_ms - after.step - 1))
        start = newest if newest >= t - limit_ms - after.step else t - duration
        fired = shots.t[(shots.actor == player) & (shots.round == round_) & (shots.t < t)]
        rows = after.rows(player, round_, max(int(start), int(fired.max(initial=start))), t)
        away = after.moved(np.full_like(rows, rows[-1]), rows) > still_mm if rows.size else np.zeros(0, dtype=np.bool_)
        found[rows[np.flatnonzero(away).max(initial=-1) + 1 :]] = True
    for player, round_, t in zip(begun.actor, begun.round, begun.t, strict=True):
        breaks = (begun, done, shots)
        ends = [each.t[(each.actor == player) & (each.round == round_) & (each.t > t)] for each in breaks]
        rows = after.rows(player, round_, t, int(np.concatenate(ends).min(initial=t + limit_ms)))
        away = after.moved(np.full_like(rows, rows[0]), rows) > still_mm if rows.size else np.zeros(0, dtype=np.bool_)
        found[rows[: int(away.argmax()) if away.any() else None]] = True
    return found


def trade_kill(after: Hindsight, rules: LabelRules) -> Bools:
    """From a teammate's death until this player kills the killer, within the window."""
    return _answer(after, after.deeds("PLAYER_KILLED"), rules.trade_kill.window_ms)


def trade_hit(after: Hindsight, rules: LabelRules) -> Bools:
    """From a teammate's death until this player's last hit on the killer within the window."""
    return _answer(after, after.hits, rules.trade_hit.window_ms)


def trade_fire(after: Hindsight, rules: LabelRules) -> Bools:
    """From a teammate's death until this player's last shot aimed at the killer within the window."""
    rule, shots = rules.trade_fire, after.deeds("WEAPON_FIRED", aimed=True)
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
    shots, rule = after.deeds("WEAPON_FIRED", aimed=True), rules.engage_fire
    fires = after.mark(shots.actor, shots.round, shots.t - rule.horizon_ms, shots.t + rule.after_ms)
    return fires & (after.aim(rule.enemy_mm) <= rule.aim_deg)


def peek_return(after: Hindsight, rules: LabelRules) -> Bools:
    """From a spot where they stood, out to where a near enemy is on the screen, and soon at rest on that spot again."""
    rule = rules.peek_return
    start = np.arange(after.count)
    leaves = _stood(after, rule.still_ms, rule.still_mm) & (_next_step(after) >= rule.leave_mm)
    rests = _next_step(after) <= rule.rest_mm
    looks = after.aim(rule.enemy_mm) <= rule.aim_deg
    looked, returned = np.zeros(after.count, dtype=np.bool_), ~leaves
    farthest = np.zeros(after.count)
    low, high = [], []
    for step in range(1, rule.horizon_ms // after.step):  # to rest or to meet somebody takes the last instant
        stop = np.minimum(start + step, after.end)
        away = after.moved(start, stop)
        back = ~returned & looked & (after.left >= step) & (away <= rule.back_mm) & rests[stop]
        back &= (farthest >= rule.least_mm) & (farthest <= rule.most_mm)
        low.append(start[back])
        high.append(stop[back])
        returned |= back
        farthest = np.fmax(farthest, away)
        looked |= looks[stop] & (away >= rule.least_mm)
    return after.cover(np.concatenate(low), np.concatenate(high))


def peek_step_out(after: Hindsight, rules: LabelRules) -> Bools:
    """From a spot where they stood without a fight, a short step that ends in the first exchange of one."""
    rule, hits = rules.peek_step_out, after.hits
    start = np.arange(after.count)
    calm = ~_in_a_fight(after, hits, before_ms=0, after_ms=rule.still_ms)
    leaves = calm & _stood(after, rule.still_ms, rule.still_mm) & (_next_step(after) >= rule.leave_mm)
    stop = start.copy()
    meets = np.zeros(after.count, dtype=np.bool_)
    begins = _in_a_fight(after, hits, before_ms=after.step, after_ms=0)
    for step in range(1, rule.horizon_ms // after.step):
        here = np.minimum(start + step, after.end)
        first = ~meets & (after.left >= step) & begins[here]
        stop[first] = here[first]
        meets |= first
    step_mm = after.moved(start, stop)
    peeks = meets & leaves & (step_mm >= rule.least_mm) & (step_mm <= rule.most_mm)
    return after.cover(start[peeks], stop[peeks] + 1)


def _stood(after: Hindsight, still_ms: int, still_mm: int) -> Bools:
    """Rows before which the player was on the spot for that long."""
    start = np.arange(after.count)
    stood = (start - after.first) * after.step >= still_ms
    for step in range(1, still_ms // after.step + 1):
        stood &= after.moved(np.maximum(start - step, after.first), start) <= still_mm
    return stood


def _next_step(after: Hindsight) -> Floats:
    """Distance in mm to where the player is an instant later."""
    start = np.arange(after.count)
    return after.moved(start, np.minimum(start + 1, after.end))


def _in_a_fight(after: Hindsight, hits: Happenings, *, before_ms: int, after_ms: int) -> Bools:
    given = after.mark(hits.actor, hits.round, hits.t - before_ms, hits.t + after_ms)
    return given | after.mark(hits.target, hits.round, hits.t - before_ms, hits.t + after_ms)


def hold_stay(after: Hindsight, rules: LabelRules) -> Bools:
    """Within a time in which the player does not leave a radius."""
    rule = rules.hold_stay
    start = np.arange(after.count)
    stays = after.sees(rule.horizon_ms)
    for step in range(1, rule.horizon_ms // after.step + 1):
        stays &= after.moved(start, np.minimum(start + step, after.end)) <= rule.radius_mm
    return after.cover(start[stays], start[stays] + rule.horizon_ms // after.step + 1)


def advance_objective(after: Hindsight, rules: LabelRules) -> Bools:
    """Comes nearer to an objective: to the bomb once it is planted, before to the site that is then the nearest.

    A defender who is still far from the planted bomb rotates to it (`rotate_to_bomb`).
    """
    rule = rules.advance_objective
    start, stop = np.arange(after.count), after.ahead(rule.horizon_ms)
    planted = ~np.isnan(after.bomb[:, 0])
    far = after.defends & _far_from_bomb(after, rules)
    gained = np.where(planted, _to_bomb(after, start, stop), _to_nearest_site(after, start, stop))
    return ~far & _under_way(after, np.where(far, np.nan, gained), rule)


def advance_enemy(after: Hindsight, rules: LabelRules) -> Bools:
    """Own movement brings the player nearer to where the enemies stand now."""
    rule = rules.advance_enemy
    gained = after.to_enemies(np.arange(after.count)) - after.to_enemies(after.ahead(rule.horizon_ms))
    return _under_way(after, gained, rule)


def retreat_enemy(after: Hindsight, rules: LabelRules) -> Bools:
    """Soon after contact, own movement takes the player away from where near enemies stand now."""
    rule = rules.retreat_enemy
    now = after.to_enemies(np.arange(after.count))
    gained = after.to_enemies(after.ahead(rule.horizon_ms)) - now
    return _under_way(after, np.where((now <= rule.enemy_mm) & _contact(after, rule), gained, np.nan), rule)


def retreat_save(after: Hindsight, rules: LabelRules) -> Bools:
    """A defender goes away from the planted bomb: gives the round up."""
    rule = rules.retreat_save
    lost = -_to_bomb(after, np.arange(after.count), after.ahead(rule.horizon_ms))
    return _under_way(after, np.where(after.defends, lost, np.nan), rule)


def _contact(after: Hindsight, rule: RetreatLabel) -> Bools:
    """Rows soon after a hit given or taken by any weapon, or a shot towards an enemy."""
    hurt, shots = after.happenings("PLAYER_DAMAGED"), after.deeds("WEAPON_FIRED", aimed=True)
    rows = after.rows_at(shots.actor, shots.round, shots.t)
    shots = shots.pick((rows >= 0) & (after.aim(rule.enemy_mm) <= rule.aim_deg)[rows])
    found = np.zeros(after.count, dtype=np.bool_)
    for who, what in ((hurt.actor, hurt), (hurt.target, hurt), (shots.actor, shots)):
        found |= after.mark(who, what.round, what.t, what.t + rule.contact_ms)
    return found


def rotate_sites(after: Hindsight, rules: LabelRules) -> Bools:
    """Leaves the site they were at for another, while no bomb is planted and once the round is set up."""
    rule = rules.rotate_sites
    if len(after.sites) < 2:
        return np.zeros(after.count, dtype=np.bool_)
    start, stop = np.arange(after.count), after.ahead(rule.horizon_ms)
    now, then = np.nan_to_num(after.to_sites(start), nan=np.inf), after.to_sites(stop)
    gained = now - then
    nearest = now.argmin(axis=1)
    left = (now[start, nearest] <= rule.left_mm) & (-gained[start, nearest] >= rule.leave_mm)
    left &= then[start, nearest] >= rule.out_mm
    gained[start, nearest] = -np.inf
    other = np.fmax.reduce(gained, axis=1, initial=-np.inf)
    unplanted: Bools = np.isnan(after.bomb[:, 0])
    leaves = left & unplanted & (after.elapsed >= rule.setup_ms)
    return unplanted & _under_way(after, np.where(leaves, other, np.nan), rule)


def rotate_to_bomb(after: Hindsight, rules: LabelRules) -> Bools:
    """A defender comes to the planted bomb, as long as it is far: the rest of the way is the retake."""
    rule = rules.rotate_to_bomb
    start, stop = np.arange(after.count), after.ahead(rule.horizon_ms)
    far = _far_from_bomb(after, rules)
    return far & _under_way(after, np.where(after.defends & far, _to_bomb(after, start, stop), np.nan), rule)


def _under_way(after: Hindsight, gained: Floats, rule: ProgressLabel) -> Bools:
    """Rows at which the player moves, on a way that gains enough over the horizon from one of its instants on.

    Who still stands has not set off, however far the way will lead; who is on the last metres of a way is still on it.
    """
    start = np.arange(after.count)
    moves = after.moved(start, np.minimum(start + rule.pace_ms // after.step, after.end)) >= rule.pace_mm
    found = np.flatnonzero(moves & after.sees(rule.least_ms) & (gained >= rule.progress_mm))
    under_way: Bools = moves & after.cover(found, after.ahead(rule.horizon_ms)[found] + 1)
    return under_way


def _to_nearest_site(after: Hindsight, start: Ints, stop: Ints) -> Floats:
    """How much nearer in mm, at the second row, the site is that is then the nearest; NaN where none is known."""
    if not len(after.sites):
        return np.full(len(start), np.nan)
    then = after.to_sites(stop)
    nearest = np.nan_to_num(then, nan=np.inf).argmin(axis=1)[:, None]
    gained: Floats = np.take_along_axis(after.to_sites(start) - then, nearest, axis=1)[:, 0]
    return gained


def _far_from_bomb(after: Hindsight, rules: LabelRules) -> Bools:
    """Rows farther from the planted bomb than the retake begins."""
    far: Bools = np.sqrt(((after.position - after.bomb) ** 2).sum(axis=1)) >= rules.rotate_to_bomb.far_mm
    return far


def _to_bomb(after: Hindsight, start: Ints, stop: Ints) -> Floats:
    """How much nearer in mm the bomb planted by the first row is at the second."""
    now = np.sqrt(((after.position[start] - after.bomb[start]) ** 2).sum(axis=1))
    then = np.sqrt(((after.position[stop] - after.bomb[start]) ** 2).sum(axis=1))
    gained: Floats = now - then
    return gained


RULES: tuple[HindsightRule, ...] = (
    HindsightRule("plant", "plant", 0, plant),
    HindsightRule("defuse", "defuse", 0, defuse),
    HindsightRule("trade_kill", "trade", 1, trade_kill),
    HindsightRule("trade_hit", "trade", 1, trade_hit),
    HindsightRule("trade_fire", "trade", 2, trade_fire),
    HindsightRule("engage_hit", "engage", 2, engage_hit),
    HindsightRule("engage_fire", "engage", 3, engage_fire),
    HindsightRule("peek_return", "peek", 4, peek_return),
    HindsightRule("peek_step_out", "peek", 5, peek_step_out),
    HindsightRule("hold_stay", "hold", 5, hold_stay),
    HindsightRule("advance_objective", "advance", 5, advance_objective),
    HindsightRule("advance_enemy", "advance", 5, advance_enemy),
    HindsightRule("retreat_enemy", "retreat", 4, retreat_enemy),
    HindsightRule("retreat_save", "retreat", 4, retreat_save),
    HindsightRule("rotate_sites", "rotate", 4, rotate_sites),
    HindsightRule("rotate_to_bomb", "rotate", 4, rotate_to_bomb),
)


def ballots(after: Hindsight, rules: LabelRules) -> Bools:
    """Who votes where, by row and rule in the order of `RULES`: of the rules that find a row, those of lowest rank."""
    return heard(findings(after, rules))


def findings(after: Hindsight, rules: LabelRules) -> Bools:
    """Which rules find each row, whatever others find, by row and rule in the order of `RULES`."""
    return np.stack([rule.votes(after, rules) for rule in RULES], axis=1)


def heard(votes: Bools) -> Bools:
    """Of the rules that find a row, those of lowest rank."""
    rank = np.array([rule.rank for rule in RULES])
    first = np.where(votes, rank, rank.max()).min(axis=1)
    found: Bools = votes & (rank == first[:, None])
    return found
