"""The one implementation of the micro-features: integers in, feature rows out, the state carried along.

Belongs here: everything that is compiled, and every constant that compiled code uses. numba caches the compiled
kernel under this file's name and date, so a constant imported from elsewhere could change without the kernel
noticing. Does not belong here: frames (`pack`, `match`), the state's shape and snapshots (`carry`), thresholds
(`configs/features.yaml`).

How it runs. Events come sorted in total order. Instant T (a multiple of the grid) is evaluated when an event later
than T comes, or when the caller says that none up to T can come any more. So neither the order of events within a
millisecond's calls nor the cutting into calls can show.

What a round is. ROUND_STARTED forgets everything but the teams: windows, positions, deaths, bomb and sides begin
anew. Rows are written from ROUND_LIVE until ROUND_ENDED, and always as long as no round event was seen at all. A
player is in the round from the first own position in it, and out of it when killed.

Only integers are summed and compared. A step is `floor(sqrt(dx² + dy² + dz²) · 1000 + 0.5)` micrometres; where one
of two positions has no height, their distance is that in the ground plane. A step faster than anyone moves is a jump
(a respawn, a teleport, a stale position): it is no movement, and what compares the window's two ends is null. Squares
are float64, exact up to 94 km and free of overflow beyond. A feature becomes a float once, by one division at the
end. No fastmath: it would let the compiler fuse and reorder, and the bits would depend on the machine.
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
    PLANT_STARTED,
    PLANTED,
    DEFUSE_STARTED,
    DEFUSED,
    EXPLODED,
    DROPPED,
    PICKED_UP,
) = range(15)

EVENT_COLUMNS = 16
"""Columns of the event matrix, int32, one row of 64 bytes an event: kind, indices (-1: none), mm, mdeg, hp."""
(KIND, ACTOR, TARGET, TEAM, SIDE, ROUND, X, Y, Z, YAW, HP, HAS_BOMB, AMOUNT, OBJECTIVE_X, OBJECTIVE_Y, OBJECTIVE_Z) = (
    range(EVENT_COLUMNS)
)

LIMITS = (
    "grid_ms",
    "window_ms",
    "max_step_gap_ms",
    "max_speed_mm_per_s",
    "fresh_ms",
    "near_mm",
    "min_path_mm",
    "plant_ms",
    "defuse_ms",
    "teammate_death_ms",
)
"""Fields of `configs.features.FeaturesConfig` that the kernel takes, in this order."""
GRID, WINDOW, STEP_GAP, MAX_SPEED, FRESH, NEAR, MIN_PATH, PLANT, DEFUSE, TEAMMATE_DEATH = range(10)

MATCH_FIELDS = 14
"""State of the match, int64."""
(
    NEXT,
    LATEST,
    HAS_ROUNDS,
    IS_LIVE,
    ROUND_NOW,
    LIVE_SINCE,
    PLANTED_AT,
    BOMB_LIES,
    BOMB_X,
    BOMB_Y,
    BOMB_Z,
    SHOTS_TOLD,
    DAMAGE_TOLD,
    KILLS_TOLD,
) = range(MATCH_FIELDS)

TEAM_FIELDS = 2
"""State of a team: its last death by an enemy's hand in this round."""
DEATH_AT, KILLER = range(TEAM_FIELDS)

PLAYER_FIELDS = 33
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
    HP_NOW,
    HAS_BOMB_NOW,
    PLANTS_SINCE,
    DEFUSES_SINCE,
    SAMPLES_HEAD,
    SAMPLES_END,
    PATH_UM,
    PATH_MS,
    PATH_STEPS,
    JUMPS,
    SPEED_HEAD,
    SPEED_END,
    GAP_HEAD,
    GAP_END,
    COMBAT_HEAD,
    COMBAT_END,
    SUM_SHOTS,
    SUM_DEALT,
    SUM_TAKEN,
    SUM_KILLS,
) = range(PLAYER_FIELDS)

SAMPLE_FIELDS = 5
"""An entry of the ring of positions; its step is from the entry before, or GAP or JUMP where there is none."""
SAMPLE_T, SAMPLE_X, SAMPLE_Y, SAMPLE_Z, SAMPLE_STEP = range(SAMPLE_FIELDS)
GAP, JUMP = -1, -2
MAXIMUM_FIELDS = 3
"""An entry of a monotonic deque: the sample whose step it is, and the step's value as a fraction."""
MAXIMUM_OF, NUMERATOR, DENOMINATOR = range(MAXIMUM_FIELDS)
COMBAT_FIELDS = 3
"""An entry of the ring of combat events: what it adds to which sum."""
COMBAT_T, COMBAT_SUM, COMBAT_AMOUNT = range(COMBAT_FIELDS)

FEATURE_COUNT = 31
"""The features in their declared order; tests hold these names against `definition.NAMES`."""
(
    SPEED_MPS,
    SPEED_MEAN_MPS,
    SPEED_MAX_MPS,
    PATH_M,
    DISPLACEMENT_M,
    STRAIGHTNESS,
    NEAREST_ENEMY_M,
    NEAREST_TEAMMATE_M,
    ENEMIES_NEAR,
    ENEMY_ANGLE_DEG,
    OBJECTIVE_M,
    OBJECTIVE_CLOSING_MPS,
    BOMB_M,
    HAS_BOMB_F,
    SINCE_PLANT_S,
    SINCE_PLANT_START_S,
    SINCE_DEFUSE_START_S,
    SHOTS,
    DAMAGE_DEALT,
    DAMAGE_TAKEN,
    KILLS,
    SINCE_TEAMMATE_DEATH_S,
    KILLER_M,
    HP_F,
    ALIVE_TEAMMATES,
    ALIVE_ENEMIES,
    ROUND_S,
    IS_ATTACKER,
    SAMPLE_COUNT,
    MAX_GAP_MS,
    POSITION_AGE_MS,
) = range(FEATURE_COUNT)

KEY_COLUMNS = 5
"""Columns of a row's keys, int64; -1 for a team or side not known, NULL for a round not known."""
KEY_T, KEY_PLAYER, KEY_ROUND, KEY_TEAM, KEY_SIDE = range(KEY_COLUMNS)

DONE, OUT_OF_ORDER, SAMPLES_FULL, COMBAT_FULL_OF_ACTOR, COMBAT_FULL_OF_TARGET = range(5)
"""How a call ended."""

_DEGREES = 180.0 / math.pi

_part = njit(forceinline=True, _nrt=False)  # type: ignore[call-overload]  # numba's hints omit _nrt
"""Compiled into `run`. Nothing here allocates, and counting references to arrays at every call took two thirds of the
time; without numba's runtime an allocation would not compile."""


@_part
def _squared_mm(ax, ay, az, bx, by, bz):
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
def _angle_deg(yaw_mdeg, dx, dz):
    """Between the view and the direction (dx, dz) in the ground plane, 0 to 180; NaN where there is none."""
    if yaw_mdeg == NULL or (dx == 0 and dz == 0):
        return math.nan
    turn = abs(math.atan2(float(-dz), float(dx)) * _DEGREES - yaw_mdeg / 1000.0) % 360.0
    return 360.0 - turn if turn > 180.0 else turn


@_part
def _push_maximum(players, maxima, p, which, sample, numerator, denominator):
    """Append to deque 0 (speed) or 1 (gap); whatever it reaches can never be a maximum again."""
    head = SPEED_HEAD + 2 * which
    end = head + 1
    mask = maxima.shape[2] - 1
    while players[p, end] > players[p, head]:
        last = (players[p, end] - 1) & mask
        if maxima[p, which, last, NUMERATOR] * denominator > numerator * maxima[p, which, last, DENOMINATOR]:
            break
        players[p, end] -= 1
    slot = players[p, end] & mask
    maxima[p, which, slot, MAXIMUM_OF] = sample
    maxima[p, which, slot, NUMERATOR] = numerator
    maxima[p, which, slot, DENOMINATOR] = denominator
    players[p, end] += 1


@_part
def _push_maxima_of(players, samples, maxima, p, sample):
    """Both deques take the step that ends at this sample."""
    mask = samples.shape[1] - 1
    gap = samples[p, sample & mask, SAMPLE_T] - samples[p, (sample - 1) & mask, SAMPLE_T]
    step = samples[p, sample & mask, SAMPLE_STEP]
    if step >= 0:
        _push_maximum(players, maxima, p, 0, sample, step, gap)
    _push_maximum(players, maxima, p, 1, sample, gap, 1)


@_part
def _count_step(players, samples, p, sample, sign):
    """Add the step that ends at this sample to the sums, or take it away."""
    mask = samples.shape[1] - 1
    step = samples[p, sample & mask, SAMPLE_STEP]
    if step >= 0:
        players[p, PATH_UM] += sign * step
        players[p, PATH_MS] += sign * (samples[p, sample & mask, SAMPLE_T] - samples[p, (sample - 1) & mask, SAMPLE_T])
        players[p, PATH_STEPS] += sign
    elif step == JUMP:
        players[p, JUMPS] += sign


@_part
def _take_back_newest(players, samples, maxima, p):
    """Undo the newest sample, because another one of the same millisecond replaces it."""
    players[p, SAMPLES_END] -= 1
    head = players[p, SAMPLES_HEAD]
    end = players[p, SAMPLES_END]
    if end == head:
        return
    _count_step(players, samples, p, end, -1)
    players[p, SPEED_END] = players[p, SPEED_HEAD]
    players[p, GAP_END] = players[p, GAP_HEAD]
    for sample in range(head + 1, end):
        _push_maxima_of(players, samples, maxima, p, sample)


@_part
def _forget(players, samples, maxima, combat, p, until):
    """Drop what lies at or before `until`; a step goes with the sample it starts from."""
    mask = samples.shape[1] - 1
    head = players[p, SAMPLES_HEAD]
    end = players[p, SAMPLES_END]
    while head < end and samples[p, head & mask, SAMPLE_T] <= until:
        if head + 1 < end:
            _count_step(players, samples, p, head + 1, -1)
        head += 1
    players[p, SAMPLES_HEAD] = head
    for which in range(2):
        first = SPEED_HEAD + 2 * which
        while players[p, first] < players[p, first + 1] and (
            maxima[p, which, players[p, first] & mask, MAXIMUM_OF] <= head
        ):
            players[p, first] += 1
    mask = combat.shape[1] - 1
    while players[p, COMBAT_HEAD] < players[p, COMBAT_END]:
        slot = players[p, COMBAT_HEAD] & mask
        if combat[p, slot, COMBAT_T] > until:
            break
        players[p, combat[p, slot, COMBAT_SUM]] -= combat[p, slot, COMBAT_AMOUNT]
        players[p, COMBAT_HEAD] += 1


@_part
def _push_sample(t, x, y, z, limits, players, samples, maxima, combat, p):
    mask = samples.shape[1] - 1
    end = players[p, SAMPLES_END]
    if end > players[p, SAMPLES_HEAD] and samples[p, (end - 1) & mask, SAMPLE_T] == t:
        _take_back_newest(players, samples, maxima, p)
    _forget(players, samples, maxima, combat, p, t - limits[WINDOW])
    head = players[p, SAMPLES_HEAD]
    end = players[p, SAMPLES_END]
    if end - head == samples.shape[1]:
        return SAMPLES_FULL
    slot = end & mask
    samples[p, slot, SAMPLE_T] = t
    samples[p, slot, SAMPLE_X] = x
    samples[p, slot, SAMPLE_Y] = y
    samples[p, slot, SAMPLE_Z] = z
    samples[p, slot, SAMPLE_STEP] = GAP
    players[p, SAMPLES_END] = end + 1
    players[p, STEP_UM] = GAP
    players[p, STEP_MS] = 0
    if end > head:
        before = (end - 1) & mask
        gap = t - samples[p, before, SAMPLE_T]
        step = _micrometres(
            samples[p, before, SAMPLE_X], samples[p, before, SAMPLE_Y], samples[p, before, SAMPLE_Z], x, y, z
        )
        if step > limits[MAX_SPEED] * gap:
            step = JUMP
        elif gap > limits[STEP_GAP]:
            step = GAP
        samples[p, slot, SAMPLE_STEP] = step
        players[p, STEP_UM] = step
        players[p, STEP_MS] = gap
        _count_step(players, samples, p, end, 1)
        _push_maxima_of(players, samples, maxima, p, end)
    return DONE


@_part
def _push_combat(t, which, amount, limits, players, samples, maxima, combat, p):
    _forget(players, samples, maxima, combat, p, t - limits[WINDOW])
    end = players[p, COMBAT_END]
    if end - players[p, COMBAT_HEAD] == combat.shape[1]:
        return COMBAT_FULL_OF_ACTOR
    slot = end & (combat.shape[1] - 1)
    combat[p, slot, COMBAT_T] = t
    combat[p, slot, COMBAT_SUM] = which
    combat[p, slot, COMBAT_AMOUNT] = amount
    players[p, which] += amount
    players[p, COMBAT_END] = end + 1
    return DONE


@_part
def _start_round(match, teams, players):
    match[HAS_ROUNDS] = 1
    match[IS_LIVE] = 0
    match[LIVE_SINCE] = NEVER
    match[PLANTED_AT] = NEVER
    match[BOMB_LIES] = 0
    for k in range(teams.shape[0]):
        teams[k, DEATH_AT] = NEVER
        teams[k, KILLER] = -1
    for p in range(players.shape[0]):
        for field in range(SIDE_NOW, PLAYER_FIELDS):
            players[p, field] = 0
        players[p, SIDE_NOW] = -1
        players[p, SEEN_AT] = NEVER
        players[p, HP_NOW] = NULL
        players[p, HAS_BOMB_NOW] = NULL
        players[p, PLANTS_SINCE] = NEVER
        players[p, DEFUSES_SINCE] = NEVER


@_part
def _set_all(players, field, value):
    for p in range(players.shape[0]):
        players[p, field] = value


@_part
def _lay_bomb(events, i, match, players):
    match[BOMB_LIES] = 1
    match[BOMB_X] = events[i, X]
    match[BOMB_Y] = events[i, Y]
    match[BOMB_Z] = events[i, Z]
    _set_all(players, HAS_BOMB_NOW, 0)


@_part
def _are_enemies(players, p, q):
    return players[p, TEAM_NOW] >= 0 and players[q, TEAM_NOW] >= 0 and players[p, TEAM_NOW] != players[q, TEAM_NOW]


@_part
def _apply_position(t, i, events, limits, players, samples, maxima, combat, p):
    status = _push_sample(
        t,
        np.int64(events[i, X]),
        np.int64(events[i, Y]),
        np.int64(events[i, Z]),
        limits,
        players,
        samples,
        maxima,
        combat,
        p,
    )
    players[p, SEEN_AT] = t
    players[p, SEEN_X] = events[i, X]
    players[p, SEEN_Y] = events[i, Y]
    players[p, SEEN_Z] = events[i, Z]
    players[p, SEEN_YAW] = events[i, YAW]
    players[p, SEEN_OBJECTIVE_X] = events[i, OBJECTIVE_X]
    players[p, SEEN_OBJECTIVE_Y] = events[i, OBJECTIVE_Y]
    players[p, SEEN_OBJECTIVE_Z] = events[i, OBJECTIVE_Z]
    if events[i, HP] != NULL:
        players[p, HP_NOW] = events[i, HP]
    if events[i, HAS_BOMB] != NULL:
        players[p, HAS_BOMB_NOW] = events[i, HAS_BOMB]
    return status


@_part
def _apply_damage(t, actor, target, amount, limits, players, samples, maxima, combat):
    status = DONE
    if target >= 0:
        status = _push_combat(t, SUM_TAKEN, amount, limits, players, samples, maxima, combat, target)
        if status != DONE:
            return COMBAT_FULL_OF_TARGET
        if actor >= 0 and _are_enemies(players, actor, target):
            status = _push_combat(t, SUM_DEALT, amount, limits, players, samples, maxima, combat, actor)
    return status


@_part
def _apply_kill(t, actor, target, limits, teams, players, samples, maxima, combat):
    status = DONE
    if target >= 0:
        players[target, IS_DEAD] = 1
        if actor >= 0 and _are_enemies(players, actor, target):
            teams[players[target, TEAM_NOW], DEATH_AT] = t
            teams[players[target, TEAM_NOW], KILLER] = actor
            status = _push_combat(t, SUM_KILLS, 1, limits, players, samples, maxima, combat, actor)
    return status


@_part
def _apply(t, i, events, limits, match, teams, players, samples, maxima, combat):
    """Take one event into the state."""
    kind = np.int64(events[i, KIND])
    actor = np.int64(events[i, ACTOR])
    target = np.int64(events[i, TARGET])
    status = DONE
    if kind == ROUND_STARTED:
        _start_round(match, teams, players)
        match[ROUND_NOW] = events[i, ROUND]
    elif kind == ROUND_LIVE:
        match[HAS_ROUNDS] = 1
        match[IS_LIVE] = 1
        match[LIVE_SINCE] = t
        match[ROUND_NOW] = events[i, ROUND]
    elif kind == ROUND_ENDED:
        match[HAS_ROUNDS] = 1
        match[IS_LIVE] = 0
    if actor >= 0:
        if events[i, TEAM] >= 0:
            players[actor, TEAM_NOW] = events[i, TEAM]
        if events[i, SIDE] >= 0:
            players[actor, SIDE_NOW] = events[i, SIDE]

    if kind == POSITION:
        if actor >= 0 and players[actor, IS_DEAD] == 0:
            status = _apply_position(t, i, events, limits, players, samples, maxima, combat, actor)
    elif kind == SHOT:
        match[SHOTS_TOLD] = 1
        if actor >= 0:
            players[actor, PLANTS_SINCE] = NEVER
            players[actor, DEFUSES_SINCE] = NEVER
            status = _push_combat(t, SUM_SHOTS, 1, limits, players, samples, maxima, combat, actor)
    elif kind == DAMAGE:
        match[DAMAGE_TOLD] = 1
        if events[i, AMOUNT] != NULL:
            status = _apply_damage(
                t, actor, target, np.int64(events[i, AMOUNT]), limits, players, samples, maxima, combat
            )
    elif kind == KILL:
        match[KILLS_TOLD] = 1
        status = _apply_kill(t, actor, target, limits, teams, players, samples, maxima, combat)
    elif kind == PLANT_STARTED:
        if actor >= 0:
            players[actor, PLANTS_SINCE] = t
    elif kind == PLANTED:
        match[PLANTED_AT] = t
        _lay_bomb(events, i, match, players)
        _set_all(players, PLANTS_SINCE, NEVER)
    elif kind == DEFUSE_STARTED:
        _set_all(players, DEFUSES_SINCE, NEVER)
        if actor >= 0:
            players[actor, DEFUSES_SINCE] = t
    elif kind in (DEFUSED, EXPLODED):
        match[PLANTED_AT] = NEVER
        match[BOMB_LIES] = 0
        _set_all(players, DEFUSES_SINCE, NEVER)
    elif kind == DROPPED:
        _lay_bomb(events, i, match, players)
        if actor >= 0:
            players[actor, PLANTS_SINCE] = NEVER
    elif kind == PICKED_UP:
        match[BOMB_LIES] = 0
        _set_all(players, HAS_BOMB_NOW, 0)
        if actor >= 0:
            players[actor, HAS_BOMB_NOW] = 1
    return status


@_part
def _movement(at, row, values, limits, players, samples, maxima, p):
    mask = samples.shape[1] - 1
    head = players[p, SAMPLES_HEAD]
    end = players[p, SAMPLES_END]
    age = at - players[p, SEEN_AT]
    if age <= limits[FRESH] and players[p, STEP_UM] >= 0:
        values[SPEED_MPS, row] = players[p, STEP_UM] / (players[p, STEP_MS] * 1000.0)
    if players[p, PATH_STEPS] > 0:
        values[SPEED_MEAN_MPS, row] = players[p, PATH_UM] / (players[p, PATH_MS] * 1000.0)
        fastest = players[p, SPEED_HEAD] & mask
        values[SPEED_MAX_MPS, row] = maxima[p, 0, fastest, NUMERATOR] / (maxima[p, 0, fastest, DENOMINATOR] * 1000.0)
        values[PATH_M, row] = players[p, PATH_UM] / 1000000.0
    oldest = head & mask
    newest = (end - 1) & mask
    if end - head >= 2 and players[p, JUMPS] == 0:
        across = _micrometres(
            samples[p, oldest, SAMPLE_X],
            samples[p, oldest, SAMPLE_Y],
            samples[p, oldest, SAMPLE_Z],
            samples[p, newest, SAMPLE_X],
            samples[p, newest, SAMPLE_Y],
            samples[p, newest, SAMPLE_Z],
        )
        values[DISPLACEMENT_M, row] = across / 1000000.0
        if players[p, PATH_STEPS] == end - head - 1 and players[p, PATH_UM] >= limits[MIN_PATH] * 1000:
            values[STRAIGHTNESS, row] = min(1.0, across / players[p, PATH_UM])

    gap = limits[WINDOW]
    if end > head:
        gap = max(samples[p, oldest, SAMPLE_T] - at + limits[WINDOW], at - samples[p, newest, SAMPLE_T])
    if players[p, GAP_HEAD] < players[p, GAP_END]:
        gap = max(gap, maxima[p, 1, players[p, GAP_HEAD] & mask, NUMERATOR])
    values[SAMPLE_COUNT, row] = end - head
    values[MAX_GAP_MS, row] = gap
    values[POSITION_AGE_MS, row] = age


@_part
def _others(at, row, values, limits, match, teams, players, p):
    team = players[p, TEAM_NOW]
    if team < 0:
        return
    own_fresh = at - players[p, SEEN_AT] <= limits[FRESH]
    teammates = 0
    enemies = 0
    near = 0
    unseen = 0
    near_squared = float(limits[NEAR]) * float(limits[NEAR])
    nearest_teammate = math.inf
    nearest_enemy = math.inf
    angle = math.nan
    for q in range(players.shape[0]):
        if q == p or players[q, SEEN_AT] == NEVER or players[q, IS_DEAD] == 1 or players[q, TEAM_NOW] < 0:
            continue
        is_enemy = players[q, TEAM_NOW] != team
        if is_enemy:
            enemies += 1
        else:
            teammates += 1
        if at - players[q, SEEN_AT] > limits[FRESH]:
            if is_enemy:
                unseen += 1
            continue
        squared = _squared_mm(
            players[p, SEEN_X],
            players[p, SEEN_Y],
            players[p, SEEN_Z],
            players[q, SEEN_X],
            players[q, SEEN_Y],
            players[q, SEEN_Z],
        )
        if not is_enemy:
            nearest_teammate = min(nearest_teammate, squared)
            continue
        if squared <= near_squared:
            near += 1
        if squared <= nearest_enemy:
            towards = _angle_deg(
                players[p, SEEN_YAW], players[q, SEEN_X] - players[p, SEEN_X], players[q, SEEN_Z] - players[p, SEEN_Z]
            )
            # Of equally near enemies the one best in view counts, so that no order of players shows.
            if squared < nearest_enemy or math.isnan(angle) or towards < angle:
                angle = towards
            nearest_enemy = squared
    values[ALIVE_TEAMMATES, row] = teammates
    values[ALIVE_ENEMIES, row] = enemies
    if own_fresh:
        if nearest_enemy < math.inf:
            values[NEAREST_ENEMY_M, row] = math.sqrt(nearest_enemy) / 1000.0
            values[ENEMY_ANGLE_DEG, row] = angle
        if nearest_teammate < math.inf:
            values[NEAREST_TEAMMATE_M, row] = math.sqrt(nearest_teammate) / 1000.0
        if unseen == 0:
            values[ENEMIES_NEAR, row] = near

    death = teams[team, DEATH_AT]
    if death != NEVER and at - death <= limits[TEAMMATE_DEATH]:
        values[SINCE_TEAMMATE_DEATH_S, row] = (at - death) / 1000.0
        k = teams[team, KILLER]
        if (
            own_fresh
            and players[k, IS_DEAD] == 0
            and players[k, SEEN_AT] != NEVER
            and at - players[k, SEEN_AT] <= limits[FRESH]
        ):
            values[KILLER_M, row] = (
                math.sqrt(
                    _squared_mm(
                        players[p, SEEN_X],
                        players[p, SEEN_Y],
                        players[p, SEEN_Z],
                        players[k, SEEN_X],
                        players[k, SEEN_Y],
                        players[k, SEEN_Z],
                    )
                )
                / 1000.0
            )


@_part
def _objective(at, row, values, limits, objectives, match, players, samples, p):
    if at - players[p, SEEN_AT] > limits[FRESH]:
        return
    x, y, z = players[p, SEEN_X], players[p, SEEN_Y], players[p, SEEN_Z]
    if match[BOMB_LIES] == 1 and match[BOMB_X] != NULL:
        squared = _squared_mm(x, y, z, match[BOMB_X], match[BOMB_Y], match[BOMB_Z])
        values[BOMB_M, row] = math.sqrt(squared) / 1000.0

    to_x = players[p, SEEN_OBJECTIVE_X]
    to_y = players[p, SEEN_OBJECTIVE_Y]
    to_z = players[p, SEEN_OBJECTIVE_Z]
    nearest = math.inf
    for o in range(objectives.shape[0]):
        squared = _squared_mm(x, y, z, objectives[o, 0], objectives[o, 1], objectives[o, 2])
        if squared < nearest:
            nearest = squared
            to_x, to_y, to_z = objectives[o, 0], objectives[o, 1], objectives[o, 2]
    if to_x == NULL:
        return
    values[OBJECTIVE_M, row] = math.sqrt(_squared_mm(x, y, z, to_x, to_y, to_z)) / 1000.0
    head = players[p, SAMPLES_HEAD]
    end = players[p, SAMPLES_END]
    if end - head >= 2 and players[p, JUMPS] == 0:
        mask = samples.shape[1] - 1
        oldest = head & mask
        # Both distances are of the same kind, else losing the height would look like coming nearer.
        if y == NULL or samples[p, oldest, SAMPLE_Y] == NULL:
            to_y = NULL
        closer = _micrometres(
            samples[p, oldest, SAMPLE_X], samples[p, oldest, SAMPLE_Y], samples[p, oldest, SAMPLE_Z], to_x, to_y, to_z
        ) - _micrometres(x, y, z, to_x, to_y, to_z)
        values[OBJECTIVE_CLOSING_MPS, row] = closer / ((players[p, SEEN_AT] - samples[p, oldest, SAMPLE_T]) * 1000.0)


@_part
def _standing(at, row, values, limits, attackers, match, players, p):
    if match[SHOTS_TOLD] == 1:
        values[SHOTS, row] = players[p, SUM_SHOTS]
    if match[DAMAGE_TOLD] == 1:
        values[DAMAGE_TAKEN, row] = players[p, SUM_TAKEN]
        if players[p, TEAM_NOW] >= 0:
            values[DAMAGE_DEALT, row] = players[p, SUM_DEALT]
    if match[KILLS_TOLD] == 1 and players[p, TEAM_NOW] >= 0:
        values[KILLS, row] = players[p, SUM_KILLS]
    if players[p, HP_NOW] != NULL:
        values[HP_F, row] = players[p, HP_NOW]
    if players[p, HAS_BOMB_NOW] != NULL:
        values[HAS_BOMB_F, row] = players[p, HAS_BOMB_NOW]
    if match[PLANTED_AT] != NEVER:
        values[SINCE_PLANT_S, row] = (at - match[PLANTED_AT]) / 1000.0
    if players[p, PLANTS_SINCE] != NEVER and at - players[p, PLANTS_SINCE] <= limits[PLANT]:
        values[SINCE_PLANT_START_S, row] = (at - players[p, PLANTS_SINCE]) / 1000.0
    if players[p, DEFUSES_SINCE] != NEVER and at - players[p, DEFUSES_SINCE] <= limits[DEFUSE]:
        values[SINCE_DEFUSE_START_S, row] = (at - players[p, DEFUSES_SINCE]) / 1000.0
    if match[LIVE_SINCE] != NEVER:
        values[ROUND_S, row] = (at - match[LIVE_SINCE]) / 1000.0
    side = players[p, SIDE_NOW]
    if side >= 0 and attackers[side] >= 0:
        values[IS_ATTACKER, row] = attackers[side]


@_part
def _evaluate_before(
    end, row, keys, values, limits, objectives, attackers, match, teams, players, samples, maxima, combat
):
    """Write the rows of every instant not yet decided that lies before `end`; gives the next free row."""
    while match[NEXT] < end and (match[IS_LIVE] == 1 or match[HAS_ROUNDS] == 0):
        at = match[NEXT]
        for p in range(players.shape[0]):
            if players[p, SEEN_AT] == NEVER or players[p, IS_DEAD] == 1:
                continue
            _forget(players, samples, maxima, combat, p, at - limits[WINDOW])
            keys[row, KEY_T] = at
            keys[row, KEY_PLAYER] = p
            keys[row, KEY_ROUND] = match[ROUND_NOW]
            keys[row, KEY_TEAM] = players[p, TEAM_NOW]
            keys[row, KEY_SIDE] = players[p, SIDE_NOW]
            for feature in range(FEATURE_COUNT):
                values[feature, row] = math.nan
            _movement(at, row, values, limits, players, samples, maxima, p)
            _others(at, row, values, limits, match, teams, players, p)
            _objective(at, row, values, limits, objectives, match, players, samples, p)
            _standing(at, row, values, limits, attackers, match, players, p)
            row += 1
        match[NEXT] += limits[GRID]
    match[NEXT] = max(match[NEXT], -(-end // limits[GRID]) * limits[GRID])
    return row


@njit(cache=True, _nrt=False)  # type: ignore[call-overload]  # as above
def run(
    t_ms: Ints,
    events: NDArray[np.int32],
    until_ms: int,
    limits: Ints,
    objectives: Ints,
    attackers: Ints,
    match: Ints,
    teams: Ints,
    players: Ints,
    samples: Ints,
    maxima: Ints,
    combat: Ints,
    keys: Ints,
    values: NDArray[np.float64],
) -> tuple[int, int, int]:
    """Take the events into the state, and write the rows of every instant that they or `until_ms` decide.

    Args:
        t_ms: (n,) int64, time of each event, ascending.
        events: (n, EVENT_COLUMNS) int32, C order.
        until_ms: no event at or before this instant can come any more; NEVER where nothing is known.
        limits: int64, in the order of LIMITS.
        objectives: (m, 3) int64 mm, y may be NULL.
        attackers: per side: 1 attacks, 0 defends, -1 neither.
        match: (MATCH_FIELDS,) state, changed in place, as all that follow.
        teams: (k, TEAM_FIELDS).
        players: (p, PLAYER_FIELDS).
        samples: (p, ring, SAMPLE_FIELDS); ring a power of two.
        maxima: (p, 2, ring, MAXIMUM_FIELDS).
        combat: (p, ring, COMBAT_FIELDS).
        keys: (rows, KEY_COLUMNS) int64, filled.
        values: (FEATURE_COUNT, rows) float64, filled; NaN is null.

    Returns:
        How many rows were written, how the call ended (DONE or which fault), and the event at fault.
    """
    row = 0
    for i in range(t_ms.shape[0]):
        t = t_ms[i]
        if match[NEXT] == NEVER:
            match[NEXT] = -(-t // limits[GRID]) * limits[GRID]
        elif t < match[LATEST] or t <= match[NEXT] - limits[GRID]:
            return row, OUT_OF_ORDER, i
        if t > match[NEXT]:
            row = _evaluate_before(
                t, row, keys, values, limits, objectives, attackers, match, teams, players, samples, maxima, combat
            )
        match[LATEST] = t
        status = _apply(t, i, events, limits, match, teams, players, samples, maxima, combat)
        if status != DONE:
            return row, status, i
    if match[NEXT] != NEVER and until_ms >= match[NEXT]:
        row = _evaluate_before(
            until_ms + 1,
            row,
            keys,
            values,
            limits,
            objectives,
            attackers,
            match,
            teams,
            players,
            samples,
            maxima,
            combat,
        )
    return row, DONE, -1
