"""The one implementation of the micro-features: integers in, feature rows out, the state carried along.

Belongs here: everything that is compiled, and every constant that compiled code uses. numba caches the compiled
kernel under this file's name and date, so a constant imported from elsewhere could change without the kernel
noticing. Does not belong here: what a feature means (`definition`), frames (`pack`, `match`), the state's shape and
snapshots (`carry`), thresholds (`configs/features.yaml`).

How it runs. Events come sorted in total order. Instant T (a multiple of the grid) is evaluated when an event later
than T comes, or when the caller says that none up to T can come any more. So neither the order of events within a
millisecond's calls nor the cutting into calls can show. Nor can the order of players, teams and sides: rows go by
`order`, and of equally near players the result is the least or the greatest.

How windows are summed. Each position carries the sums of its round so far (way, time, turns, jumps), so that a window
is the difference of its two ends, and taking back a position is forgetting it. Fights are few and are counted anew.

Only integers are summed and compared. A step is `floor(sqrt(dx² + dy² + dz²) · 1000 + 0.5)` micrometres, an angle
between two steps `floor(degrees · 1000 + 0.5)` millidegrees. Squares are float64, exact up to 94 km and free of
overflow beyond. A feature becomes a float once, by one division at the end. No fastmath: it would let the compiler
fuse and reorder, and the bits would depend on the machine.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# numba infers the types of compiled helpers; annotations would be decoration that nothing checks.

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int64]

NULL = -(2**31)
"""An absent int32, such as the height of a planar position."""
NEVER = -(2**62)
"""An absent time."""

KINDS = (
    "NOTHING",
    "ROUND_STARTED",
    "ROUND_LIVE",
    "ROUND_ENDED",
    "POSITION_UPDATE",
    "WEAPON_FIRED",
    "PLAYER_DAMAGED",
    "PLAYER_KILLED",
    "PLAYER_BLINDED",
    "GRENADE_THROWN",
    "BOMB_PLANT_STARTED",
    "BOMB_PLANTED",
    "BOMB_DEFUSE_STARTED",
    "BOMB_DEFUSED",
    "BOMB_EXPLODED",
    "BOMB_DROPPED",
    "BOMB_PICKED_UP",
)
"""The event types that change a feature, by code; NOTHING only moves time."""
(
    NOTHING,
    ROUND_STARTED,
    ROUND_LIVE,
    ROUND_ENDED,
    POSITION,
    SHOT,
    DAMAGE,
    KILL,
    BLINDED,
    THROWN,
    PLANT_STARTED,
    PLANTED,
    DEFUSE_STARTED,
    DEFUSED,
    EXPLODED,
    DROPPED,
    PICKED_UP,
) = range(17)

EVENT_COLUMNS = 18
"""Columns of the event matrix, int32: kind, indices (-1: none), mm, mdeg, hp, flags, what the event tells."""
(
    KIND,
    ACTOR,
    TARGET,
    TEAM,
    SIDE,
    ROUND,
    X,
    Y,
    Z,
    YAW,
    HP,
    ARMOR,
    HAS_BOMB,
    HAS_KIT,
    AMOUNT,
    OBJECTIVE_X,
    OBJECTIVE_Y,
    OBJECTIVE_Z,
) = range(EVENT_COLUMNS)

LIMITS = (
    "grid_ms",
    "short_window_ms",
    "long_window_ms",
    "max_step_gap_ms",
    "max_speed_mm_per_s",
    "fresh_ms",
    "absent_ms",
    "min_path_mm",
    "min_heading_mm",
    "site_mm",
    "plant_ms",
    "defuse_ms",
    "teammate_death_ms",
)
"""Fields of `configs.features.FeaturesConfig` that the kernel takes, in this order, before the three radii."""
(
    GRID,
    SHORT,
    LONG,
    STEP_GAP,
    MAX_SPEED,
    FRESH,
    ABSENT,
    MIN_PATH,
    MIN_HEADING,
    SITE,
    PLANT,
    DEFUSE,
    TEAMMATE_DEATH,
    RADIUS_CLOSE,
    RADIUS_NEAR,
    RADIUS_FAR,
) = range(16)

MATCH_FIELDS = 18
"""State of the match, int64."""
(
    NEXT,
    LATEST,
    NO_FREEZE,
    PHASE,
    ROUND_NOW,
    LIVE_SINCE,
    PLANTED_AT,
    BOMB_MOVED,
    BOMB_LIES,
    BOMB_X,
    BOMB_Y,
    BOMB_Z,
    SHOTS_TOLD,
    DAMAGE_TOLD,
    KILLS_TOLD,
    BLINDS_TOLD,
    THROWS_TOLD,
    BOMB_TOLD,
) = range(MATCH_FIELDS)
NO_ROUND_YET, FREEZE, IS_LIVE, OVER = range(4)
"""Phases of a match."""

TEAM_FIELDS = 2
"""State of a team: its last death by an enemy's hand in this round."""
DEATH_AT, KILLER = range(TEAM_FIELDS)

PLAYER_FIELDS = 29
"""State of a player, int64. `*_HEAD` and `*_END` count entries; an entry n lies in slot `n & (size - 1)`."""
(
    TEAM_NOW,
    SIDE_NOW,
    IS_DEAD,
    SEEN_AT,
    SEEN_X,
    SEEN_Y,
    SEEN_Z,
    SEEN_YAW,
    SEEN_OBJECTIVE_X,
    SEEN_OBJECTIVE_Y,
    SEEN_OBJECTIVE_Z,
    STEP_UM,
    STEP_MS,
    STEP_X,
    STEP_Y,
    STEP_Z,
    HP_NOW,
    ARMOR_NOW,
    HAS_BOMB_NOW,
    HAS_KIT_NOW,
    PLANTS_SINCE,
    DEFUSES_SINCE,
    DEALT_AT,
    TAKEN_AT,
    BLIND_UNTIL,
    SAMPLES_HEAD,
    SAMPLES_END,
    COMBAT_HEAD,
    COMBAT_END,
) = range(PLAYER_FIELDS)
UNTOLD = (HP_NOW, ARMOR_NOW, HAS_BOMB_NOW, HAS_KIT_NOW)
"""Fields of a player that are NULL where a round begins."""
UNSEEN = (SEEN_AT, PLANTS_SINCE, DEFUSES_SINCE, DEALT_AT, TAKEN_AT, BLIND_UNTIL)
"""Fields of a player that are NEVER where a round begins."""

SAMPLE_FIELDS = 14
"""An entry of the ring of positions: where, the step from the entry before (or GAP or JUMP where there is none), the
direction of the last step that had one, and sums since the ring was last empty: um, ms and number of the steps, jumps,
mdeg of turns of heading and of view, steps that tell the view."""
(
    SAMPLE_T,
    SAMPLE_X,
    SAMPLE_Y,
    SAMPLE_Z,
    SAMPLE_YAW,
    SAMPLE_STEP,
    HEADING,
    SUM_UM,
    SUM_MS,
    SUM_STEPS,
    SUM_JUMPS,
    SUM_TURN,
    SUM_VIEW,
    SUM_VIEWS,
) = range(SAMPLE_FIELDS)
GAP, JUMP = -1, -2

COMBAT_FIELDS = 3
"""An entry of the ring of combat events: which count it adds how much to."""
COMBAT_T, COMBAT_COUNT, COMBAT_AMOUNT = range(COMBAT_FIELDS)
SHOTS, DEALT, TAKEN, KILLS, THROWS = range(5)

FEATURE_COUNT = 63
"""The features in their declared order; tests hold these names against `definition.NAMES`."""
(
    SPEED_MPS,
    SPEED_MEAN_SHORT_MPS,
    SPEED_MEAN_LONG_MPS,
    SPEED_MAX_SHORT_MPS,
    SPEED_MAX_LONG_MPS,
    ACCELERATION_SHORT_MPS2,
    ACCELERATION_LONG_MPS2,
    PATH_LONG_M,
    DISPLACEMENT_SHORT_M,
    DISPLACEMENT_LONG_M,
    STRAIGHTNESS_LONG,
    HEADING_TURN_SHORT_DEG,
    HEADING_TURN_LONG_DEG,
    VIEW_TURN_SHORT_DEG,
    VIEW_TURN_LONG_DEG,
    CLIMB_SHORT_M,
    CLIMB_LONG_M,
    NEAREST_ENEMY_M,
    NEAREST_ENEMY_CLOSING_MPS,
    NEAREST_TEAMMATE_M,
    NEAREST_TEAMMATE_CLOSING_MPS,
    ENEMIES_WITHIN_CLOSE,
    ENEMIES_WITHIN_NEAR,
    ENEMIES_WITHIN_FAR,
    TEAMMATES_WITHIN_CLOSE,
    TEAMMATES_WITHIN_NEAR,
    TEAMMATES_WITHIN_FAR,
    ENEMY_ANGLE_DEG,
    OBJECTIVE_M,
    OBJECTIVE_CLOSING_LONG_MPS,
    IN_SITE,
    BOMB_M,
    BOMB_CLOSING_MPS,
    HAS_BOMB_F,
    BOMB_PLANTED,
    SINCE_PLANT_S,
    SINCE_PLANT_START_S,
    SINCE_DEFUSE_START_S,
    SHOTS_SHORT,
    SHOTS_LONG,
    DAMAGE_DEALT_SHORT,
    DAMAGE_DEALT_LONG,
    DAMAGE_TAKEN_SHORT,
    DAMAGE_TAKEN_LONG,
    KILLS_SHORT,
    KILLS_LONG,
    UTILITY_THROWN_LONG,
    SINCE_DAMAGE_DEALT_S,
    SINCE_DAMAGE_TAKEN_S,
    SINCE_TEAMMATE_DEATH_S,
    KILLER_M,
    FLASHED_S,
    HP_F,
    ARMOR_F,
    HAS_KIT_F,
    ALIVE_TEAMMATES,
    ALIVE_ENEMIES,
    ADVANTAGE,
    ROUND_S,
    IS_ATTACKER,
    SAMPLE_COUNT,
    MAX_GAP_MS,
    POSITION_AGE_MS,
) = range(FEATURE_COUNT)

KEY_COLUMNS = 5
"""Columns of a row's keys, int64; -1 for a team or side not known, NULL for a round not known."""
KEY_T, KEY_PLAYER, KEY_ROUND, KEY_TEAM, KEY_SIDE = range(KEY_COLUMNS)

DONE, OUT_OF_ORDER, NOT_IN_CAST, SAMPLES_FULL, COMBAT_FULL_OF_ACTOR, COMBAT_FULL_OF_TARGET, TOO_BIG = range(7)
"""How a call ended."""

BIGGEST = 2**24
"""Up to it float32 holds every integer."""
UNBOUNDED = (DAMAGE_DEALT_SHORT, DAMAGE_DEALT_LONG, DAMAGE_TAKEN_SHORT, DAMAGE_TAKEN_LONG, HP_F, ARMOR_F)
"""Integer features that a log may drive beyond that."""

_DEGREES = 180.0 / math.pi

_part = njit(forceinline=True, error_model="numpy", _nrt=False)  # type: ignore[call-overload]  # numba's hints omit _nrt
"""Compiled into `run`. Nothing here allocates, and counting references to arrays at every call took two thirds of the
time; without numba's runtime an allocation would not compile. No divisor can be zero, so none is checked."""


@_part
def _squared_mm(ax, ay, az, bx, by, bz):
    """Squared distance, in the ground plane where a height is missing."""
    dx = float(ax - bx)
    dz = float(az - bz)
    if ay == NULL or by == NULL:
        return dx * dx + dz * dz
    dy = float(ay - by)
    return dx * dx + dy * dy + dz * dz


@_part
def _micrometres(ax, ay, az, bx, by, bz):
    return np.int64(math.floor(math.sqrt(_squared_mm(ax, ay, az, bx, by, bz)) * 1000.0 + 0.5))


@_part
def _between(a, b):
    """The smaller angle between two directions, mdeg."""
    turn = abs(a - b) % 360000
    return 360000 - turn if turn > 180000 else turn


@_part
def _angle_deg(yaw_mdeg, dx, dz):
    """Between the view and the direction (dx, dz) in the ground plane, 0 to 180; NaN where there is none."""
    if yaw_mdeg == NULL or (dx == 0 and dz == 0):
        return math.nan
    turn = abs(math.atan2(float(-dz), float(dx)) * _DEGREES - yaw_mdeg / 1000.0) % 360.0
    return 360.0 - turn if turn > 180.0 else turn


@_part
def _slot(ring, n):
    """Where entry n of a ring lies; unsigned, since numba looks whether a signed index counts from the end."""
    return np.uintp(n & (ring.shape[0] - 1))


@_part
def _forget(ring, field, head, end, until):
    """The first of the entries from `head` to `end` that is later than `until`."""
    while head < end and ring[_slot(ring, head), field] <= until:
        head += 1
    return head


@_part
def _move(sample, before, player, limits):
    """Fill in how a sample was reached from the one before."""
    for field in range(HEADING, SAMPLE_FIELDS):
        sample[field] = before[field]
    gap = sample[SAMPLE_T] - before[SAMPLE_T]
    step = _micrometres(
        before[SAMPLE_X], before[SAMPLE_Y], before[SAMPLE_Z], sample[SAMPLE_X], sample[SAMPLE_Y], sample[SAMPLE_Z]
    )
    if step > limits[MAX_SPEED] * gap:
        sample[SAMPLE_STEP] = JUMP
        sample[HEADING] = NULL
        sample[SUM_JUMPS] += 1
        return
    if gap > limits[STEP_GAP]:
        sample[HEADING] = NULL
        return
    sample[SAMPLE_STEP] = step
    sample[SUM_UM] += step
    sample[SUM_MS] += gap
    sample[SUM_STEPS] += 1
    dx = sample[SAMPLE_X] - before[SAMPLE_X]
    dz = sample[SAMPLE_Z] - before[SAMPLE_Z]
    if dx * dx + dz * dz >= limits[MIN_HEADING] * limits[MIN_HEADING]:
        heading = np.int64(math.floor(math.atan2(float(-dz), float(dx)) * _DEGREES * 1000.0 + 0.5))
        if before[HEADING] != NULL:
            sample[SUM_TURN] += _between(before[HEADING], heading)
        sample[HEADING] = heading
    if sample[SAMPLE_YAW] != NULL and before[SAMPLE_YAW] != NULL:
        sample[SUM_VIEW] += _between(before[SAMPLE_YAW], sample[SAMPLE_YAW])
        sample[SUM_VIEWS] += 1
    player[STEP_UM] = step
    player[STEP_MS] = gap
    player[STEP_X] = dx
    player[STEP_Z] = dz
    player[STEP_Y] = NULL
    if sample[SAMPLE_Y] != NULL and before[SAMPLE_Y] != NULL:
        player[STEP_Y] = sample[SAMPLE_Y] - before[SAMPLE_Y]


@_part
def _push_sample(t, event, limits, player, samples):
    end = player[SAMPLES_END]
    if end > player[SAMPLES_HEAD] and samples[_slot(samples, end - 1), SAMPLE_T] == t:
        end -= 1  # another position of the same millisecond replaces the newest
    head = _forget(samples, SAMPLE_T, player[SAMPLES_HEAD], end, t - limits[LONG])
    if end - head == samples.shape[0]:
        return SAMPLES_FULL
    sample = samples[_slot(samples, end)]
    sample[SAMPLE_T] = t
    sample[SAMPLE_X] = event[X]
    sample[SAMPLE_Y] = event[Y]
    sample[SAMPLE_Z] = event[Z]
    sample[SAMPLE_YAW] = event[YAW]
    sample[SAMPLE_STEP] = GAP
    player[STEP_UM] = GAP
    if end > head:
        _move(sample, samples[_slot(samples, end - 1)], player, limits)
    else:
        for field in range(HEADING, SAMPLE_FIELDS):
            sample[field] = 0
        sample[HEADING] = NULL
    player[SAMPLES_HEAD] = head
    player[SAMPLES_END] = end + 1
    return DONE


@_part
def _push_combat(t, count, amount, limits, player, combat):
    end = player[COMBAT_END]
    player[COMBAT_HEAD] = _forget(combat, COMBAT_T, player[COMBAT_HEAD], end, t - limits[LONG])
    if end - player[COMBAT_HEAD] == combat.shape[0]:
        return COMBAT_FULL_OF_ACTOR
    entry = combat[_slot(combat, end)]
    entry[COMBAT_T] = t
    entry[COMBAT_COUNT] = count
    entry[COMBAT_AMOUNT] = amount
    player[COMBAT_END] = end + 1
    return DONE


@_part
def _begin_round(match, teams, players):
    match[PHASE] = FREEZE
    match[LIVE_SINCE] = NEVER
    match[PLANTED_AT] = NEVER
    match[BOMB_MOVED] = 0
    match[BOMB_LIES] = 0
    for k in range(teams.shape[0]):
        teams[k, DEATH_AT] = NEVER
        teams[k, KILLER] = -1
    for p in range(players.shape[0]):
        for field in range(SIDE_NOW, PLAYER_FIELDS):
            players[p, field] = 0
        players[p, SIDE_NOW] = -1
        for field in UNSEEN:
            players[p, field] = NEVER
        for field in UNTOLD:
            players[p, field] = NULL


@_part
def _set_all(players, field, value):
    for p in range(players.shape[0]):
        players[p, field] = value


@_part
def _apply_round(t, kind, number, match, teams, players):
    if kind == ROUND_ENDED:
        match[PHASE] = OVER
        return
    begun = match[PHASE] == FREEZE or match[PHASE] == IS_LIVE
    same = number == NULL or match[ROUND_NOW] == NULL or number == match[ROUND_NOW]
    if kind == ROUND_STARTED or not (begun and same):
        _begin_round(match, teams, players)
        match[ROUND_NOW] = number
    elif number != NULL:
        match[ROUND_NOW] = number
    if kind == ROUND_LIVE or match[NO_FREEZE] == 1:
        match[PHASE] = IS_LIVE
        match[LIVE_SINCE] = t


@_part
def _are_enemies(players, p, q):
    return players[p, TEAM_NOW] >= 0 and players[q, TEAM_NOW] >= 0 and players[p, TEAM_NOW] != players[q, TEAM_NOW]


@_part
def _apply_position(t, event, limits, match, player, samples):
    if player[IS_DEAD] == 1:
        return DONE
    status = _push_sample(t, event, limits, player, samples)
    player[SEEN_AT] = t
    player[SEEN_X] = event[X]
    player[SEEN_Y] = event[Y]
    player[SEEN_Z] = event[Z]
    player[SEEN_YAW] = event[YAW]
    player[SEEN_OBJECTIVE_X] = event[OBJECTIVE_X]
    player[SEEN_OBJECTIVE_Y] = event[OBJECTIVE_Y]
    player[SEEN_OBJECTIVE_Z] = event[OBJECTIVE_Z]
    if event[HP] != NULL:
        player[HP_NOW] = event[HP]
    if event[ARMOR] != NULL:
        player[ARMOR_NOW] = event[ARMOR]
    if event[HAS_KIT] != NULL:
        player[HAS_KIT_NOW] = event[HAS_KIT]
    if event[HAS_BOMB] != NULL:
        player[HAS_BOMB_NOW] = event[HAS_BOMB]
        match[BOMB_TOLD] = 1
        if event[HAS_BOMB] == 1 and match[PLANTED_AT] == NEVER:
            match[BOMB_LIES] = 0  # whoever has it has picked it up
    return status


@_part
def _apply_damage(t, actor, target, amount, limits, players, combat):
    if _push_combat(t, TAKEN, amount, limits, players[target], combat[target]) != DONE:
        return COMBAT_FULL_OF_TARGET
    players[target, TAKEN_AT] = t
    if actor < 0 or not _are_enemies(players, actor, target):
        return DONE
    players[actor, DEALT_AT] = t
    return _push_combat(t, DEALT, amount, limits, players[actor], combat[actor])


@_part
def _apply_kill(t, actor, target, limits, teams, players, combat):
    status = DONE
    players[target, IS_DEAD] = 1
    if actor >= 0 and _are_enemies(players, actor, target):
        teams[players[target, TEAM_NOW], DEATH_AT] = t
        teams[players[target, TEAM_NOW], KILLER] = actor
        status = _push_combat(t, KILLS, 1, limits, players[actor], combat[actor])
    return status


@_part
def _apply_bomb(t, kind, actor, event, match, players):
    match[BOMB_TOLD] = 1
    if kind == PLANT_STARTED:
        if actor >= 0:
            players[actor, PLANTS_SINCE] = t
        return
    if kind == DEFUSE_STARTED:
        _set_all(players, DEFUSES_SINCE, NEVER)
        if actor >= 0:
            players[actor, DEFUSES_SINCE] = t
        return
    match[BOMB_LIES] = 0
    if kind in (DEFUSED, EXPLODED):
        match[PLANTED_AT] = NEVER
        _set_all(players, DEFUSES_SINCE, NEVER)
        return
    match[BOMB_MOVED] = 1
    _set_all(players, HAS_BOMB_NOW, NULL)
    if kind == PICKED_UP:
        if actor >= 0:
            players[actor, HAS_BOMB_NOW] = 1
        return
    match[BOMB_LIES] = 1
    match[BOMB_X] = event[X]
    match[BOMB_Y] = event[Y]
    match[BOMB_Z] = event[Z]
    if kind == PLANTED:
        match[PLANTED_AT] = t
        _set_all(players, PLANTS_SINCE, NEVER)
    elif actor >= 0:
        players[actor, PLANTS_SINCE] = NEVER


@_part
def _apply(t, event, limits, attackers, match, teams, players, samples, combat):
    """Take one event into the state."""
    kind = np.int64(event[KIND])
    if kind == NOTHING:
        return DONE
    if kind <= ROUND_ENDED:
        _apply_round(t, kind, np.int64(event[ROUND]), match, teams, players)
        return DONE
    actor = np.int64(event[ACTOR])
    target = np.int64(event[TARGET])
    team = event[TEAM]
    side = event[SIDE]
    if max(actor, target) >= players.shape[0] or team >= teams.shape[0] or side >= attackers.shape[0]:
        return NOT_IN_CAST
    if actor >= 0:
        if team >= 0:
            players[actor, TEAM_NOW] = team
        if side >= 0:
            players[actor, SIDE_NOW] = side
    status = DONE
    if kind == POSITION:
        if actor >= 0:
            status = _apply_position(t, event, limits, match, players[actor], samples[actor])
    elif kind == SHOT:
        match[SHOTS_TOLD] = 1
        if actor >= 0:
            players[actor, PLANTS_SINCE] = NEVER
            players[actor, DEFUSES_SINCE] = NEVER
            status = _push_combat(t, SHOTS, 1, limits, players[actor], combat[actor])
    elif kind == DAMAGE:
        match[DAMAGE_TOLD] = 1
        if target >= 0 and event[AMOUNT] != NULL:
            status = _apply_damage(t, actor, target, np.int64(event[AMOUNT]), limits, players, combat)
    elif kind == KILL:
        match[KILLS_TOLD] = 1
        if target >= 0:
            status = _apply_kill(t, actor, target, limits, teams, players, combat)
    elif kind == BLINDED:
        match[BLINDS_TOLD] = 1
        if target >= 0 and event[AMOUNT] != NULL:
            players[target, BLIND_UNTIL] = max(players[target, BLIND_UNTIL], t + event[AMOUNT])
    elif kind == THROWN:
        match[THROWS_TOLD] = 1
        if actor >= 0:
            status = _push_combat(t, THROWS, 1, limits, players[actor], combat[actor])
    else:
        _apply_bomb(t, kind, actor, event, match, players)
    return status


@_part
def _acceleration(samples, first, last):
    """Change of speed from the step into sample `first` to that into `last`, by the time between their middles."""
    old = samples[_slot(samples, first)]
    new = samples[_slot(samples, last)]
    old_ms = old[SAMPLE_T] - samples[_slot(samples, first - 1), SAMPLE_T]
    new_ms = new[SAMPLE_T] - samples[_slot(samples, last - 1), SAMPLE_T]
    change = 2 * (new[SAMPLE_STEP] * old_ms - old[SAMPLE_STEP] * new_ms)
    return change / float(old_ms * new_ms * (2 * (new[SAMPLE_T] - old[SAMPLE_T]) - (new_ms - old_ms)))


@_part
def _window(values, samples, head, end, is_long, limits):
    """What is said of both windows alike; `is_long` (0 or 1) chooses the column."""
    old = samples[_slot(samples, head)]
    new = samples[_slot(samples, end - 1)]
    steps = new[SUM_STEPS] - old[SUM_STEPS]
    way = new[SUM_UM] - old[SUM_UM]
    if steps > 0:
        values[SPEED_MEAN_SHORT_MPS + is_long] = way / ((new[SUM_MS] - old[SUM_MS]) * 1000.0)
        values[HEADING_TURN_SHORT_DEG + is_long] = (new[SUM_TURN] - old[SUM_TURN]) / 1000.0
        if is_long:
            values[PATH_LONG_M] = way / 1000000.0
    if new[SUM_VIEWS] > old[SUM_VIEWS]:
        values[VIEW_TURN_SHORT_DEG + is_long] = (new[SUM_VIEW] - old[SUM_VIEW]) / 1000.0
    if new[SUM_JUMPS] > old[SUM_JUMPS]:
        return
    across = _micrometres(old[SAMPLE_X], old[SAMPLE_Y], old[SAMPLE_Z], new[SAMPLE_X], new[SAMPLE_Y], new[SAMPLE_Z])
    values[DISPLACEMENT_SHORT_M + is_long] = across / 1000000.0
    if old[SAMPLE_Y] != NULL and new[SAMPLE_Y] != NULL:
        values[CLIMB_SHORT_M + is_long] = (new[SAMPLE_Y] - old[SAMPLE_Y]) / 1000.0
    if steps == end - 1 - head:
        if steps > 1:
            values[ACCELERATION_SHORT_MPS2 + is_long] = _acceleration(samples, head + 1, end - 1)
        if is_long and way >= limits[MIN_PATH] * 1000:
            values[STRAIGHTNESS_LONG] = min(1.0, across / way)


@_part
def _movement(at, values, limits, player, samples):
    """Kinematics and quality, in one look from the newest position back to the oldest of the long window."""
    end = player[SAMPLES_END]
    head = _forget(samples, SAMPLE_T, player[SAMPLES_HEAD], end, at - limits[LONG])
    player[SAMPLES_HEAD] = head
    age = at - player[SEEN_AT]
    values[SAMPLE_COUNT] = end - head
    values[POSITION_AGE_MS] = age
    if player[STEP_UM] >= 0 and age <= limits[FRESH]:
        values[SPEED_MPS] = player[STEP_UM] / (player[STEP_MS] * 1000.0)
    if head == end:
        values[MAX_GAP_MS] = limits[LONG]
        return
    inside = at - limits[SHORT]
    gap = max(age, samples[_slot(samples, head), SAMPLE_T] - at + limits[LONG])
    short_head = end
    fastest = np.int64(-1)
    fastest_ms = np.int64(1)
    later = samples[_slot(samples, end - 1), SAMPLE_T]
    if later > inside:
        short_head = end - 1
    for n in range(end - 1, head, -1):
        earlier = samples[_slot(samples, n - 1), SAMPLE_T]
        if later > inside and earlier <= inside and fastest >= 0:
            values[SPEED_MAX_SHORT_MPS] = fastest / (fastest_ms * 1000.0)
        ms = later - earlier
        step = samples[_slot(samples, n), SAMPLE_STEP]
        if step >= 0 and step * fastest_ms > fastest * ms:
            fastest = step
            fastest_ms = ms
        gap = max(gap, ms)
        later = earlier
        if earlier > inside:
            short_head = n - 1
    values[MAX_GAP_MS] = gap
    if fastest >= 0:
        values[SPEED_MAX_LONG_MPS] = fastest / (fastest_ms * 1000.0)
        if later > inside:
            values[SPEED_MAX_SHORT_MPS] = values[SPEED_MAX_LONG_MPS]
    if end - head >= 2:
        _window(values, samples, head, end, 1, limits)
    if end - short_head >= 2:
        _window(values, samples, short_head, end, 0, limits)


@_part
def _closing(players, p, x, y, z, q):
    """How fast player p and a place come nearer (m/s), where player q moves there (-1: nobody); NaN if not known."""
    if players[p, STEP_UM] < 0 or (q >= 0 and players[q, STEP_UM] < 0):
        return math.nan
    dx = x - players[p, SEEN_X]
    dy = y - players[p, SEEN_Y]
    dz = z - players[p, SEEN_Z]
    if y == NULL or players[p, SEEN_Y] == NULL or players[p, STEP_Y] == NULL or (q >= 0 and players[q, STEP_Y] == NULL):
        dy = np.int64(0)
    squared = float(dx) * float(dx) + float(dy) * float(dy) + float(dz) * float(dz)
    if squared == 0.0:
        return math.nan
    along = dx * players[p, STEP_X] + dy * players[p, STEP_Y] + dz * players[p, STEP_Z]
    ms = players[p, STEP_MS]
    if q >= 0:
        away = dx * players[q, STEP_X] + dy * players[q, STEP_Y] + dz * players[q, STEP_Z]
        along = along * players[q, STEP_MS] - away * ms
        ms *= players[q, STEP_MS]
    return along / (float(ms) * math.sqrt(squared))


@_part
def _greater(value, other):
    """The greater of two numbers of which either may be NaN."""
    return other if math.isnan(value) or other > value else value


@_part
def _others(at, values, limits, teams, players, distances, p):
    team = players[p, TEAM_NOW]
    if team < 0:
        return
    own_fresh = at - players[p, SEEN_AT] <= limits[FRESH]
    x = players[p, SEEN_X]
    y = players[p, SEEN_Y]
    z = players[p, SEEN_Z]
    close = float(limits[RADIUS_CLOSE]) * float(limits[RADIUS_CLOSE])
    near = float(limits[RADIUS_NEAR]) * float(limits[RADIUS_NEAR])
    far = float(limits[RADIUS_FAR]) * float(limits[RADIUS_FAR])
    enemies = teammates = unseen_enemies = unseen_teammates = 0
    enemies_close = enemies_near = enemies_far = 0
    teammates_close = teammates_near = teammates_far = 0
    nearest_enemy = math.inf
    nearest_teammate = math.inf
    for q in range(players.shape[0]):
        distances[q] = -1.0
        if q == p or players[q, SEEN_AT] == NEVER or players[q, IS_DEAD] == 1 or players[q, TEAM_NOW] < 0:
            continue
        is_enemy = players[q, TEAM_NOW] != team
        fresh = at - players[q, SEEN_AT] <= limits[FRESH]
        squared = _squared_mm(x, y, z, players[q, SEEN_X], players[q, SEEN_Y], players[q, SEEN_Z])
        if fresh:
            distances[q] = squared
        else:
            squared = math.inf
        if is_enemy:
            enemies += 1
            unseen_enemies += not fresh
            enemies_close += squared <= close
            enemies_near += squared <= near
            enemies_far += squared <= far
            nearest_enemy = min(nearest_enemy, squared)
        else:
            teammates += 1
            unseen_teammates += not fresh
            teammates_close += squared <= close
            teammates_near += squared <= near
            teammates_far += squared <= far
            nearest_teammate = min(nearest_teammate, squared)
    values[ALIVE_TEAMMATES] = teammates
    values[ALIVE_ENEMIES] = enemies
    values[ADVANTAGE] = teammates + 1 - enemies
    death = teams[team, DEATH_AT]
    if death != NEVER and at - death <= limits[TEAMMATE_DEATH]:
        values[SINCE_TEAMMATE_DEATH_S] = (at - death) / 1000.0
        k = teams[team, KILLER]
        seen = players[k, SEEN_AT] != NEVER and players[k, IS_DEAD] == 0 and at - players[k, SEEN_AT] <= limits[FRESH]
        if own_fresh and seen:
            squared = _squared_mm(x, y, z, players[k, SEEN_X], players[k, SEEN_Y], players[k, SEEN_Z])
            values[KILLER_M] = math.sqrt(squared) / 1000.0
    if not own_fresh:
        return
    if unseen_enemies == 0:
        values[ENEMIES_WITHIN_CLOSE] = enemies_close
        values[ENEMIES_WITHIN_NEAR] = enemies_near
        values[ENEMIES_WITHIN_FAR] = enemies_far
    if unseen_teammates == 0:
        values[TEAMMATES_WITHIN_CLOSE] = teammates_close
        values[TEAMMATES_WITHIN_NEAR] = teammates_near
        values[TEAMMATES_WITHIN_FAR] = teammates_far
    if nearest_enemy < math.inf:
        values[NEAREST_ENEMY_M] = math.sqrt(nearest_enemy) / 1000.0
    if nearest_teammate < math.inf:
        values[NEAREST_TEAMMATE_M] = math.sqrt(nearest_teammate) / 1000.0
    for q in range(players.shape[0]):
        is_enemy = players[q, TEAM_NOW] != team
        if distances[q] < 0.0 or distances[q] != (nearest_enemy if is_enemy else nearest_teammate):
            continue
        column = NEAREST_ENEMY_CLOSING_MPS if is_enemy else NEAREST_TEAMMATE_CLOSING_MPS
        closing = _closing(players, p, players[q, SEEN_X], players[q, SEEN_Y], players[q, SEEN_Z], q)
        values[column] = _greater(values[column], closing)
        if is_enemy:
            angle = _angle_deg(players[p, SEEN_YAW], players[q, SEEN_X] - x, players[q, SEEN_Z] - z)
            values[ENEMY_ANGLE_DEG] = -_greater(-values[ENEMY_ANGLE_DEG], -angle)


@_part
def _objective(at, values, limits, objectives, player, samples):
    if at - player[SEEN_AT] > limits[FRESH]:
        return
    x, y, z = player[SEEN_X], player[SEEN_Y], player[SEEN_Z]
    to_x, to_y, to_z = player[SEEN_OBJECTIVE_X], player[SEEN_OBJECTIVE_Y], player[SEEN_OBJECTIVE_Z]
    nearest = math.inf
    for o in range(objectives.shape[0]):
        squared = _squared_mm(x, y, z, objectives[o, 0], objectives[o, 1], objectives[o, 2])
        if squared < nearest:
            nearest = squared
            to_x, to_y, to_z = objectives[o, 0], objectives[o, 1], objectives[o, 2]
    if to_x == NULL:
        return
    if nearest < math.inf:
        values[IN_SITE] = nearest <= float(limits[SITE]) * float(limits[SITE])
    values[OBJECTIVE_M] = math.sqrt(_squared_mm(x, y, z, to_x, to_y, to_z)) / 1000.0
    head = player[SAMPLES_HEAD]
    end = player[SAMPLES_END]
    if end - head < 2:
        return
    old = samples[_slot(samples, head)]
    new = samples[_slot(samples, end - 1)]
    if new[SUM_JUMPS] == old[SUM_JUMPS]:
        # Both distances are of the same kind, else losing the height would look like coming nearer.
        if y == NULL or old[SAMPLE_Y] == NULL:
            to_y = np.int64(NULL)
        then = _micrometres(old[SAMPLE_X], old[SAMPLE_Y], old[SAMPLE_Z], to_x, to_y, to_z)
        now = _micrometres(x, y, z, to_x, to_y, to_z)
        values[OBJECTIVE_CLOSING_LONG_MPS] = (then - now) / ((new[SAMPLE_T] - old[SAMPLE_T]) * 1000.0)


@_part
def _carrier(at, limits, match, players):
    """The only living player who has the bomb, -1 if there is none or several, or if it lies."""
    found = -1
    if match[BOMB_LIES] == 1:
        return found
    for p in range(players.shape[0]):
        if players[p, HAS_BOMB_NOW] == 1 and players[p, SEEN_AT] != NEVER and players[p, IS_DEAD] == 0:
            if found >= 0:
                return -1
            found = p
    if found >= 0 and at - players[found, SEEN_AT] > limits[FRESH]:
        return -1
    return found


@_part
def _bomb(at, values, limits, match, players, carrier, p):
    if match[BOMB_TOLD] == 1:
        values[BOMB_PLANTED] = match[PLANTED_AT] != NEVER
    if players[p, HAS_BOMB_NOW] != NULL:
        values[HAS_BOMB_F] = players[p, HAS_BOMB_NOW]
    elif match[BOMB_MOVED] == 1:
        values[HAS_BOMB_F] = 0
    if match[PLANTED_AT] != NEVER:
        values[SINCE_PLANT_S] = (at - match[PLANTED_AT]) / 1000.0
    if at - players[p, PLANTS_SINCE] <= limits[PLANT]:
        values[SINCE_PLANT_START_S] = (at - players[p, PLANTS_SINCE]) / 1000.0
    if at - players[p, DEFUSES_SINCE] <= limits[DEFUSE]:
        values[SINCE_DEFUSE_START_S] = (at - players[p, DEFUSES_SINCE]) / 1000.0
    x, y, z = match[BOMB_X], match[BOMB_Y], match[BOMB_Z]
    if carrier >= 0:
        x, y, z = players[carrier, SEEN_X], players[carrier, SEEN_Y], players[carrier, SEEN_Z]
    elif match[BOMB_LIES] == 0 or x == NULL:
        return
    if at - players[p, SEEN_AT] <= limits[FRESH]:
        squared = _squared_mm(players[p, SEEN_X], players[p, SEEN_Y], players[p, SEEN_Z], x, y, z)
        values[BOMB_M] = math.sqrt(squared) / 1000.0
        values[BOMB_CLOSING_MPS] = _closing(players, p, x, y, z, carrier)


@_part
def _combat(at, values, limits, match, player, combat):
    both = player[TEAM_NOW] >= 0
    if match[SHOTS_TOLD] == 1:
        values[SHOTS_SHORT] = values[SHOTS_LONG] = 0
    if match[DAMAGE_TOLD] == 1:
        values[DAMAGE_TAKEN_SHORT] = values[DAMAGE_TAKEN_LONG] = 0
        if both:
            values[DAMAGE_DEALT_SHORT] = values[DAMAGE_DEALT_LONG] = 0
    if match[KILLS_TOLD] == 1 and both:
        values[KILLS_SHORT] = values[KILLS_LONG] = 0
    if match[THROWS_TOLD] == 1:
        values[UTILITY_THROWN_LONG] = 0
    for n in range(player[COMBAT_END] - 1, player[COMBAT_HEAD] - 1, -1):
        t = combat[_slot(combat, n), COMBAT_T]
        if t <= at - limits[LONG]:
            break
        count = combat[_slot(combat, n), COMBAT_COUNT]
        amount = combat[_slot(combat, n), COMBAT_AMOUNT]
        if count == THROWS:
            values[UTILITY_THROWN_LONG] += amount
        else:
            column = SHOTS_SHORT + 2 * count
            values[column + 1] += amount
            if t > at - limits[SHORT]:
                values[column] += amount
    if player[DEALT_AT] != NEVER:
        values[SINCE_DAMAGE_DEALT_S] = (at - player[DEALT_AT]) / 1000.0
    if player[TAKEN_AT] != NEVER:
        values[SINCE_DAMAGE_TAKEN_S] = (at - player[TAKEN_AT]) / 1000.0
    if match[BLINDS_TOLD] == 1:
        values[FLASHED_S] = max(np.int64(0), player[BLIND_UNTIL] - at) / 1000.0


@_part
def _standing(at, values, attackers, match, player):
    if player[HP_NOW] != NULL:
        values[HP_F] = player[HP_NOW]
    if player[ARMOR_NOW] != NULL:
        values[ARMOR_F] = player[ARMOR_NOW]
    if player[HAS_KIT_NOW] != NULL:
        values[HAS_KIT_F] = player[HAS_KIT_NOW]
    if match[LIVE_SINCE] != NEVER:
        values[ROUND_S] = (at - match[LIVE_SINCE]) / 1000.0
    side = player[SIDE_NOW]
    if side >= 0 and attackers[side] >= 0:
        values[IS_ATTACKER] = attackers[side]


@_part
def _write(row, values, rows):
    """Copy the row's values to its place; whether those that a log may drive up are exact there."""
    for feature in range(FEATURE_COUNT):
        rows[feature, row] = values[feature]
    fits = True
    for feature in UNBOUNDED:
        fits = fits and not abs(values[feature]) > BIGGEST
    return fits


@_part
def _evaluate_before(
    end,
    row,
    limits,
    objectives,
    attackers,
    order,
    match,
    teams,
    players,
    samples,
    combat,
    values,
    distances,
    keys,
    rows,
):
    """Write the rows of every instant not yet decided that lies before `end`; gives the next free row and a status."""
    while match[NEXT] < end and (match[PHASE] == IS_LIVE or match[PHASE] == NO_ROUND_YET):
        at = match[NEXT]
        first = row
        carrier = _carrier(at, limits, match, players)
        for p in order:
            if players[p, IS_DEAD] == 1 or at - players[p, SEEN_AT] > limits[ABSENT]:
                continue
            for feature in range(FEATURE_COUNT):
                values[feature] = math.nan
            _movement(at, values, limits, players[p], samples[p])
            _others(at, values, limits, teams, players, distances, p)
            _objective(at, values, limits, objectives, players[p], samples[p])
            _bomb(at, values, limits, match, players, carrier, p)
            _combat(at, values, limits, match, players[p], combat[p])
            _standing(at, values, attackers, match, players[p])
            keys[row, KEY_T] = at
            keys[row, KEY_PLAYER] = p
            keys[row, KEY_ROUND] = match[ROUND_NOW]
            keys[row, KEY_TEAM] = players[p, TEAM_NOW]
            keys[row, KEY_SIDE] = players[p, SIDE_NOW]
            if not _write(row, values, rows):
                return row, TOO_BIG
            row += 1
        if row == first:
            break  # nobody is there, and nobody will be before the next event
        match[NEXT] += limits[GRID]
    match[NEXT] = max(match[NEXT], -(-end // limits[GRID]) * limits[GRID])
    return row, DONE


@njit(cache=True, error_model="numpy", _nrt=False)  # type: ignore[call-overload]  # as above
def run(
    t_ms: Ints,
    events: NDArray[np.int32],
    until_ms: int,
    limits: Ints,
    objectives: Ints,
    attackers: Ints,
    order: Ints,
    match: Ints,
    teams: Ints,
    players: Ints,
    samples: Ints,
    combat: Ints,
    values: NDArray[np.float64],
    distances: NDArray[np.float64],
    keys: Ints,
    rows: NDArray[np.float32],
) -> tuple[int, int, int]:
    """Take the events into the state, and write the rows of every instant that they or `until_ms` decide.

    Args:
        t_ms: (n,) int64, time of each event, ascending.
        events: (n, EVENT_COLUMNS) int32, C order.
        until_ms: no event at or before this instant can come any more; NEVER where nothing is known.
        limits: int64, in the order of LIMITS, then the three radii.
        objectives: (m, 3) int64 mm, y may be NULL.
        attackers: per side: 1 attacks, 0 defends, -1 neither.
        order: the players in the order of their rows.
        match: (MATCH_FIELDS,) state, changed in place, as all that follow.
        teams: (k, TEAM_FIELDS).
        players: (p, PLAYER_FIELDS).
        samples: (p, ring, SAMPLE_FIELDS); ring a power of two.
        combat: (p, ring, COMBAT_FIELDS).
        values: (FEATURE_COUNT,) float64, room for a row.
        distances: (p,) float64, room for the others.
        keys: (rows, KEY_COLUMNS) int64, filled.
        rows: (FEATURE_COUNT, rows) float32, filled; NaN is null.

    Returns:
        How many rows were written, how the call ended (DONE or which fault), and the event at fault.
    """
    latest = match[LATEST]
    for i in range(t_ms.shape[0]):
        if t_ms[i] < latest or (match[NEXT] != NEVER and t_ms[i] <= match[NEXT] - limits[GRID]):
            return 0, OUT_OF_ORDER, i
        latest = t_ms[i]
    row = 0
    status = DONE
    for i in range(t_ms.shape[0]):
        t = t_ms[i]
        if match[NEXT] == NEVER:
            match[NEXT] = -(-t // limits[GRID]) * limits[GRID]
        if t > match[NEXT]:
            row, status = _evaluate_before(
                t,
                row,
                limits,
                objectives,
                attackers,
                order,
                match,
                teams,
                players,
                samples,
                combat,
                values,
                distances,
                keys,
                rows,
            )
            if status != DONE:
                return row, status, i
        match[LATEST] = t
        status = _apply(t, events[i], limits, attackers, match, teams, players, samples, combat)
        if status != DONE:
            return row, status, i
    if match[NEXT] != NEVER and until_ms >= match[NEXT]:
        row, status = _evaluate_before(
            until_ms + 1,
            row,
            limits,
            objectives,
            attackers,
            order,
            match,
            teams,
            players,
            samples,
            combat,
            values,
            distances,
            keys,
            rows,
        )
    return row, status, -1
