"""The figures of the match simulator: rules, bodies, eyes, guns, tactics and the map.

Belongs here: the typed form of `simulator.yaml`. Does not belong here: how they are used
(pipeline.events.sources.simulator).
"""

from typing import Literal

from pydantic import Field, model_validator

from configs.base import Config, load

Point = tuple[float, float]
Span = tuple[float, float]
Box = tuple[float, float, float, float]


class ClockConfig(Config):
    """Rules of a round and the rates of the simulation.

    Attributes:
        tick_hz: resolution of event times.
        step_ticks: ticks between two steps of all bodies.
        sample_steps: steps between two position samples, and between two decisions.
        tactics_steps: steps between two looks of a team at its plan.
        freeze_s: from ROUND_STARTED to ROUND_LIVE.
        round_s: time the attackers have to plant.
        bomb_s: from plant to explosion.
        plant_s: duration of a plant.
        defuse_s: duration of a defuse.
        kit_s: duration of a defuse with a kit.
        after_round_s: from ROUND_ENDED to the next ROUND_STARTED.
        before_match_s: from MATCH_STARTED to the first ROUND_STARTED.
        burn_steps: steps between two burns of one who stands in a fire.
        unit_m: positions are sampled in whole units of the game.
    """

    tick_hz: int = Field(gt=0)
    step_ticks: int = Field(gt=0)
    sample_steps: int = Field(gt=0)
    tactics_steps: int = Field(gt=0)
    freeze_s: float = Field(gt=0)
    round_s: float = Field(gt=0)
    bomb_s: float = Field(gt=0)
    plant_s: float = Field(gt=0)
    defuse_s: float = Field(gt=0)
    kit_s: float = Field(gt=0)
    after_round_s: float = Field(gt=0)
    before_match_s: float = Field(ge=0)
    burn_steps: int = Field(gt=0)
    unit_m: float = Field(gt=0)

    @property
    def step_s(self) -> float:
        """Seconds between two steps of all bodies."""
        return self.step_ticks / self.tick_hz

    def ticks(self, seconds: float) -> int:
        """That many seconds as ticks, rounded."""
        return round(seconds * self.tick_hz)

    def ms(self, tick: int) -> int:
        """Milliseconds at a tick, halves rounded up."""
        return (2000 * tick + self.tick_hz) // (2 * self.tick_hz)


class MotionConfig(Config):
    """Limits of bodies and views.

    Attributes:
        radius_m: half a body's width; walls keep that far.
        path_room_m: how far planned ways keep from walls.
        top_speed_mps: no body is faster.
        quiet_factor: quiet walking over running.
        accelerate_mps2: largest gain of speed, and largest turn of velocity.
        brake_mps2: largest loss of speed.
        turn_at_m: how near to a way point the next one is aimed at.
        corner_slowing: share of speed lost before a full turn.
        stray_m: how far a way strays from the shortest one.
        elbow_room_m: within which bodies give way.
        sway_deg: spread of the angle between where one goes and the straight line there.
        sway_return: share of that angle lost per sample.
        yaw_gain_per_s: how fast a view follows what it wants to see.
        yaw_slack_deg: a view that is less off stays where it is.
        yaw_rate_deg: most degrees a second a view turns.
        pitch_deg: the view's usual pitch.
        pitch_return: share of the way back to it per sample.
        pitch_spread_deg: spread of the view's pitch.
    """

    radius_m: float = Field(gt=0)
    path_room_m: float = Field(gt=0)
    top_speed_mps: float = Field(gt=0)
    quiet_factor: float = Field(gt=0, le=1)
    accelerate_mps2: float = Field(gt=0)
    brake_mps2: float = Field(gt=0)
    turn_at_m: float = Field(gt=0)
    corner_slowing: float = Field(ge=0, lt=1)
    stray_m: float = Field(ge=0)
    elbow_room_m: float = Field(gt=0)
    sway_deg: float = Field(ge=0)
    sway_return: float = Field(gt=0, lt=1)
    yaw_gain_per_s: float = Field(gt=0)
    yaw_slack_deg: float = Field(ge=0)
    yaw_rate_deg: float = Field(gt=0)
    pitch_deg: float
    pitch_return: float = Field(gt=0, lt=1)
    pitch_spread_deg: float = Field(ge=0)

    @model_validator(mode="after")
    def _ways_fit_bodies(self) -> "MotionConfig":
        if self.path_room_m <= self.radius_m:
            raise ValueError("path_room_m must be larger than radius_m")
        return self


class PerceptionConfig(Config):
    """Eyes and ears.

    Attributes:
        half_angle_deg: half of the field of view.
        reaction_ms: mean and spread of the time from seeing to knowing.
        reaction_factor: a single reaction over the player's own mean.
        reaction_limits_ms: shortest and longest reaction.
        ready_factor: reaction of one who aims at the right place already, over his usual one.
        running_factor: reaction of one who runs.
        ready_deg: how exactly he must aim for that.
        memory_ms: how long an enemy may be hidden before he must be noticed anew.
        hear_run_m: within which running is heard.
        hear_shot_m: within which a shot is heard.
        heard_error_m: spread of a heard position.
        loud_factor: share of top speed above which one is heard, and reacts as a runner.
        trust_s: how long a position is taken for known, before it is listened for again.
        sighting_s: how long a sighting counts.
    """

    half_angle_deg: float = Field(gt=0, lt=180)
    reaction_ms: Span
    reaction_factor: Span
    reaction_limits_ms: Span
    ready_factor: float = Field(gt=0, le=1)
    running_factor: float = Field(ge=1)
    ready_deg: float = Field(gt=0)
    memory_ms: float = Field(ge=0)
    hear_run_m: float = Field(ge=0)
    hear_shot_m: float = Field(ge=0)
    heard_error_m: float = Field(ge=0)
    loud_factor: float = Field(gt=0, le=1)
    trust_s: float = Field(gt=0)
    sighting_s: float = Field(gt=0)


class WeaponConfig(Config):
    """One gun.

    Attributes:
        speed_mps: running speed with it in hand.
        interval_ms: between two shots of a burst.
        burst: fewest and most shots of a burst.
        pause_ms: between two bursts.
        body: damage of a body hit, with armour.
        head: damage of a head hit.
        precise_m: distance at which half of the well-aimed shots hit.
    """

    speed_mps: float = Field(gt=0)
    interval_ms: float = Field(gt=0)
    burst: tuple[int, int]
    pause_ms: Span
    body: int = Field(gt=0)
    head: int = Field(gt=0)
    precise_m: float = Field(gt=0)


class CombatConfig(Config):
    """Duels and grenades.

    Attributes:
        skill: mean and spread of a player's factor on hit chances.
        skill_limits: smallest and largest.
        head_share: share of hits that go to the head.
        aim_deg: error of aim above which nobody shoots.
        moving_factor: hit chance at full speed over standing.
        waiting_factor: hit chance of one who was waiting over one who came.
        dodging_factor: hit chance against a target at full speed over a standing one.
        blind_factor: hit chance of a blinded shooter.
        assist_damage: least damage that counts as an assist.
        grenades: what is in the hand of who throws one, per side and kind.
        spray_s: how long a shooter goes on at where an enemy was a moment ago.
        weapons: by name.
        knife_mps: running speed with a knife in hand.
        flight_s: shortest and longest flight of a grenade.
        throw_s: shortest and longest time that a thrower holds the grenade.
        throw_m: nearest and farthest throw.
        flash_m: within which a flash blinds.
        flash_s: longest blindness.
        flash_away: blindness of one who looks away over one who looks at it.
        flash_dodged: share of players who see it coming and turn away.
        flash_falloff: share of blindness lost at the end of its reach.
        smoke_m: radius of a smoke.
        smoke_s: how long it stands.
        he_m: within which an HE grenade hurts.
        he_damage: damage in its middle.
        friendly_factor: share of it that teammates take.
        fire_m: radius of a fire.
        fire_s: how long it burns.
        fire_damage: least and most damage of one burn.
    """

    skill: Span
    skill_limits: Span
    head_share: float = Field(ge=0, le=1)
    aim_deg: float = Field(gt=0)
    moving_factor: float = Field(ge=0, le=1)
    waiting_factor: float = Field(ge=1)
    dodging_factor: float = Field(ge=0, le=1)
    blind_factor: float = Field(ge=0, le=1)
    assist_damage: int = Field(gt=0)
    grenades: dict[Literal["attackers", "defenders"], dict[str, str]]
    spray_s: float = Field(ge=0)
    weapons: dict[str, WeaponConfig]
    knife_mps: float = Field(gt=0)
    flight_s: Span
    throw_s: Span
    throw_m: Span
    flash_m: float = Field(gt=0)
    flash_s: float = Field(gt=0)
    flash_away: float = Field(ge=0, le=1)
    flash_dodged: float = Field(ge=0, le=1)
    flash_falloff: float = Field(ge=0, le=1)
    smoke_m: float = Field(gt=0)
    smoke_s: float = Field(gt=0)
    he_m: float = Field(gt=0)
    he_damage: float = Field(gt=0)
    friendly_factor: float = Field(ge=0, le=1)
    fire_m: float = Field(gt=0)
    fire_s: float = Field(gt=0)
    fire_damage: Span


BuyName = Literal["pistol", "eco", "force", "full"]


class BuyConfig(Config):
    """What a team's money goes into.

    Attributes:
        cost: dollars a player.
        armor: share of players with armour.
        kit: share of defenders with a kit.
        guns: guns per side and their weights.
        grenades: how many of each kind a player has on average.
    """

    cost: float = Field(ge=0)
    armor: float = Field(ge=0, le=1)
    kit: float = Field(ge=0, le=1)
    guns: dict[Literal["attackers", "defenders"], dict[str, float]]
    grenades: dict[Literal["flashbang", "smoke", "hegrenade", "molotov"], float]


class EconomyConfig(Config):
    """Money from round to round, dollars a player.

    Attributes:
        start: at the start of a half.
        most: nobody has more.
        win: for a won round.
        loss: for the first lost round in a row.
        loss_step: how much more for each further one.
        most_loss: the most for a lost round.
        kill: for a kill.
        force_chance: that a team which can't afford all buys what it can.
        buys: by name; the dearest that money allows is chosen.
    """

    start: float = Field(ge=0)
    most: float = Field(gt=0)
    win: float = Field(ge=0)
    loss: float = Field(ge=0)
    loss_step: float = Field(ge=0)
    most_loss: float = Field(ge=0)
    kill: float = Field(ge=0)
    force_chance: float = Field(ge=0, le=1)
    buys: dict[BuyName, BuyConfig]


class BehaviourConfig(Config):
    """How one player decides.

    Attributes:
        low_hp: at which a player thinks of retreat.
        retreat_chance: that he does, when hit at low hp.
        outnumbered_chance: that he does, facing two more enemies than he has friends beside him.
        friend_m: within which a teammate counts as beside him.
        cover_m: nearest and farthest cover he runs for.
        rest_s: how long he stays there.
        alarm_s: how long he looks at what hurt or alarmed him.
        flinch_s: how long a hit keeps him from working at the bomb.
        last_chance_s: time left below which nobody retreats.
        retreat_s: longest run to cover.
        cornered_m: an enemy nearer than this is fought, not fled from.
        breath_s: pause after a won fight.
        wait_s: pause after a lost sight.
        linger_s: how long a fight goes on without a visible enemy.
        after_fight: weights of what follows a lost sight.
        push_s: how long he chases.
        trade_s: within which a teammate's death is answered.
        trade_m: from how far.
        trade_chance: that a player answers.
        trade_delay_ms: shortest and longest time until he sets out.
        suspect_m: within which an enemy is near enough to peek at, and to stay alert for.
        strafe_share: share of fights in which he moves sideways.
        strafe_s: length of one move.
        strafe_factor: its lowest and highest speed over running.
        abort_m: an enemy seen nearer makes him stop planting or defusing.
        stick_s: but not with less left than this.
        bait_chance: that a defuse is begun only to lure.
        bait_s: how long that lasts.
        bait_slack_s: least spare time for it.
        reach_m: an arm's length, for picking up and standing at the bomb.
        retake_m: nearer to the planted bomb a rotation is a retake, an advance.
        knife_s: how long knives stay in hand after the start.
        quiet_m: length of the quiet end of a slow approach.
        ambush_m, ambush_s: with enemies known so near and so recently he walks.
        blind_pace: speed of a blinded player over his usual one.
    """

    low_hp: int = Field(gt=0)
    retreat_chance: float = Field(ge=0, le=1)
    outnumbered_chance: float = Field(ge=0, le=1)
    friend_m: float = Field(gt=0)
    cover_m: Span
    rest_s: Span
    alarm_s: float = Field(gt=0)
    flinch_s: float = Field(ge=0)
    last_chance_s: float = Field(ge=0)
    retreat_s: float = Field(gt=0)
    cornered_m: float = Field(ge=0)
    breath_s: Span
    wait_s: Span
    linger_s: float = Field(ge=0)
    after_fight: dict[Literal["peek", "hold", "push", "back"], float]
    push_s: Span
    trade_s: float = Field(gt=0)
    trade_m: float = Field(gt=0)
    trade_chance: float = Field(ge=0, le=1)
    trade_delay_ms: Span
    suspect_m: float = Field(ge=0)
    strafe_share: float = Field(ge=0, le=1)
    strafe_s: Span
    strafe_factor: Span
    abort_m: float = Field(ge=0)
    stick_s: float = Field(ge=0)
    bait_chance: float = Field(ge=0, le=1)
    bait_s: Span
    bait_slack_s: float = Field(ge=0)
    reach_m: float = Field(gt=0)
    retake_m: float = Field(gt=0)
    knife_s: float = Field(ge=0)
    quiet_m: float = Field(ge=0)
    ambush_m: float = Field(ge=0)
    ambush_s: float = Field(ge=0)
    blind_pace: float = Field(ge=0, le=1)


class WaitingConfig(Config):
    """How one keeps a place.

    Attributes:
        pause_s: shortest and longest usual pause between two steps.
        long_pause_s: the same of a long one.
        long_pause_share: share of long ones.
        stroll_share: share of steps that become a stroll, as long as no enemy is near.
        step_legs: fewest and most steps aside in a row.
        step_m: shortest and longest step aside.
        step_pace: its speed over running.
        step_tries: how many places for a step he thinks of.
        steps_back: how many of the last steps he remembers.
        anew_m: a step leads at least this far from where these began.
        stroll_legs: fewest and most ends of a stroll, one after the other.
        stroll_m: shortest and longest distance of a stroll's end from where he was sent.
        stroll_run_share: share of strolls that are run.
        stroll_pace: speed of the others over running.
        ahead_share: share of strolls with the eyes on the way, not on what is watched.
        peek_every_s: shortest and longest time between two peeks of one who waits.
        peek_alarmed_s: the same with enemies known near.
        peek_m: shortest and longest step out of cover.
        peek_pace: speed of that step over running.
        peek_look_s: how long he looks.
        peek_stand_s: how long he stands before he steps out, and when he is back.
        still_mps: who is slower stands.
        glance_every_s: between two changes of where he looks.
        glance_deg: spread of these changes.
        sweep_share: share of wide ones.
        sweep_deg: their spread.
        run_ahead_share: share of time in which one who runs looks ahead, near what he is to watch.
        watch_m: farther from it he always does.
    """

    pause_s: Span
    long_pause_s: Span
    long_pause_share: float = Field(ge=0, le=1)
    stroll_share: float = Field(ge=0, le=1)
    step_legs: tuple[int, int]
    step_m: Span
    step_pace: Span
    step_tries: int = Field(gt=0)
    steps_back: int = Field(gt=0)
    anew_m: float = Field(ge=0)
    stroll_legs: tuple[int, int]
    stroll_m: Span
    stroll_run_share: float = Field(ge=0, le=1)
    stroll_pace: Span
    ahead_share: float = Field(ge=0, le=1)
    peek_every_s: Span
    peek_alarmed_s: Span
    peek_m: Span
    peek_pace: float = Field(gt=0, le=1)
    peek_look_s: Span
    peek_stand_s: Span
    still_mps: float = Field(gt=0)
    glance_every_s: Span
    glance_deg: float = Field(ge=0)
    sweep_share: float = Field(ge=0, le=1)
    sweep_deg: float = Field(ge=0)
    run_ahead_share: float = Field(ge=0, le=1)
    watch_m: float = Field(ge=0)


class MeaningConfig(Config):
    """What setting off on an order is: the lines that `docs/intents.md` draws.

    Attributes:
        setup_s: before this time of the round defenders and attackers go to their posts.
        left_m: whoever is nearer than this to the middle of a site is at it.
        leave_m: by how much a rotation leads away from that site.
        near_m: by how much it leads nearer to another.
        save_m: by how much a defender's retreat leads away from the planted bomb.
        contact_s: how long a hit or an enemy fought counts as a fight one may leave.
        contact_m: how near its enemy is.
        soon_m: how far along the way one looks.
        away_m: by how much that is farther from the enemy.
    """

    setup_s: float = Field(ge=0)
    left_m: float = Field(gt=0)
    leave_m: float = Field(gt=0)
    near_m: float = Field(gt=0)
    save_m: float = Field(gt=0)
    contact_s: float = Field(ge=0)
    contact_m: float = Field(ge=0)
    soon_m: float = Field(ge=0)
    away_m: float = Field(ge=0)


class PlanConfig(Config):
    """One opening of the attackers.

    Attributes:
        weight: how often it is chosen, against the others.
        site: where it aims; None leaves it to what was seen.
        stages: groups of spots in which entry, support, carrier, second support and lurker wait.
        commit_s: earliest and latest time of the attack.
        quiet: whether they walk the last metres to their spots.
    """

    weight: float = Field(gt=0)
    site: str | None
    stages: tuple[str, str, str, str, str]
    commit_s: Span
    quiet: bool


class OpeningConfig(Config):
    """Grenades at the places where enemies are expected first.

    Attributes:
        share: share of players who throw one.
        every: that such a player throws it, at each look of the team at its plan.
        from_s, until_s: when in the round.
    """

    share: float = Field(ge=0, le=1)
    every: float = Field(ge=0, le=1)
    from_s: float = Field(ge=0)
    until_s: float = Field(ge=0)


class TacticsConfig(Config):
    """How a team decides.

    Attributes:
        plans: the attackers' openings.
        formations: the defenders' posts per area, and weights.
        delays_s: how long after the entry each attacking role follows.
        contact_commit_s: how soon an attack follows the first blood.
        creep_s: how long before the attack the waiting begin to creep forward.
        last_commit_s: time left at which the attackers go in any case.
        far_m: who is farther off does not wait for the others, nor comes to disturb a defuse.
        regroup_chance: that a failed attack tries the other site.
        regroup_time_s: least time left for that.
        save_chance: that a side that is weaker gives a round up.
        save_by: by how many players it must be weaker.
        save_most: no side with more players gives up.
        save_time_s: time left above which no side does.
        site_m: within which an enemy threatens a site.
        inside_m: within which a player counts as being at a place.
        memory_s: how long a team remembers where enemies were.
        fresh_s: how recently an enemy must have been known to act on it at once.
        fallen_s: how long a teammate's death makes a site look threatened.
        site_whim: luck in the choice of a site.
        spot_whim_m: luck in the choice of a spot.
        order_delay_s: until a player follows an order.
        pace_mps: speed with which a team reckons.
        rotate_threat: threat from which the next, and from which a far, defender rotates.
        rotate_delay_s: shortest and longest time until he sets out.
        fall_back_by: by how many known enemies an area must be outnumbered for its defenders to leave it.
        fall_back_chance: that one does, at each look of the team at its plan.
        move_chance: that one who waits changes his place, at each look of the team at its plan.
        push_chance: that a defender goes forward for information.
        push_at_s: when.
        push_for_s: until he falls back.
        gather_s: how long a retake waits for the others.
        retake_by_s: time left on the bomb at which it waits no longer.
        clear_s: how long no enemy may have been seen near before one plants or defuses.
        hurry_s: time left at which he does it in any case.
        flee_bomb_s: time left on the bomb at which attackers run from it.
        safe_bomb_m: how far.
        throw_chance: that a player throws a grenade as his team goes in.
        opening_throws: the grenades of the first seconds.
        wait_throw_chance: that one who waits throws one, at each look of the team at its plan.
        alarm_throw_chance: the same for a defender who knows of an enemy behind a wall.
    """

    plans: dict[str, PlanConfig]
    formations: dict[str, tuple[float, dict[str, int]]]
    delays_s: dict[Literal["entry", "support", "carrier", "second", "lurker"], Span]
    contact_commit_s: Span
    creep_s: float = Field(ge=0)
    last_commit_s: float = Field(gt=0)
    far_m: float = Field(gt=0)
    regroup_chance: float = Field(ge=0, le=1)
    regroup_time_s: float = Field(ge=0)
    save_chance: dict[Literal["attackers", "defenders"], float]
    save_by: int = Field(gt=0)
    save_most: int = Field(ge=0)
    save_time_s: float = Field(gt=0)
    site_m: float = Field(gt=0)
    inside_m: float = Field(gt=0)
    memory_s: float = Field(gt=0)
    fresh_s: float = Field(gt=0)
    fallen_s: float = Field(gt=0)
    site_whim: Span
    spot_whim_m: Span
    order_delay_s: Span
    pace_mps: float = Field(gt=0)
    rotate_threat: tuple[float, float]
    rotate_delay_s: Span
    fall_back_by: int = Field(gt=0)
    fall_back_chance: float = Field(ge=0, le=1)
    move_chance: float = Field(ge=0, le=1)
    push_chance: float = Field(ge=0, le=1)
    push_at_s: Span
    push_for_s: Span
    gather_s: Span
    retake_by_s: float = Field(gt=0)
    clear_s: float = Field(ge=0)
    hurry_s: float = Field(ge=0)
    flee_bomb_s: float = Field(ge=0)
    safe_bomb_m: float = Field(ge=0)
    throw_chance: float = Field(ge=0, le=1)
    opening_throws: OpeningConfig
    wait_throw_chance: float = Field(ge=0, le=1)
    alarm_throw_chance: float = Field(ge=0, le=1)


class FloorConfig(Config):
    """The uneven floor.

    Attributes:
        wave_m: scale of the long waves, a sixth of their length.
        wave_height_m: their height.
        ripple_height_m: height of the short ones.
        rise_height_m: how much higher a site lies.
        rise_width_m: width of that rise.
    """

    wave_m: float = Field(gt=0)
    wave_height_m: float = Field(ge=0)
    ripple_height_m: float = Field(ge=0)
    rise_height_m: float = Field(ge=0)
    rise_width_m: float = Field(gt=0)


class SpotConfig(Config):
    """A place to stand and what to watch from it, metres."""

    at: Point
    watch: Point


class ArenaConfig(Config):
    """The map, metres on the ground, north is -z.

    Attributes:
        name: as logs name it.
        bounds: x0 z0 x1 z1 of the outer walls.
        blocks: x0 z0 x1 z1 of solid buildings.
        crates: x z width depth and turn in degrees of solid crates.
        sites: grounds where the bomb may be planted.
        places: named areas.
        exposed: places that wary ways lead around.
        footing_m: distance between the points from which cover is chosen.
        floor: the uneven floor.
        spawns: five per side.
        spots: all named spots.
        groups: lists of spots with a common use; a stage's in order from the front.
    """

    name: str
    bounds: Box
    blocks: tuple[Box, ...]
    crates: tuple[tuple[float, float, float, float, float], ...]
    sites: dict[str, Box]
    places: dict[str, Box]
    exposed: tuple[str, ...]
    footing_m: float = Field(gt=0)
    floor: FloorConfig
    spawns: dict[Literal["attackers", "defenders"], tuple[Point, Point, Point, Point, Point]]
    spots: dict[str, SpotConfig]
    groups: dict[str, tuple[str, ...]]

    @model_validator(mode="after")
    def _groups_name_spots(self) -> "ArenaConfig":
        for group, names in self.groups.items():
            if missing := [name for name in names if name not in self.spots]:
                raise ValueError(f"group {group} names unknown spots {missing}")
        return self


class GridLogConfig(Config):
    """What is peculiar in the GRID log.

    Attributes:
        tournament: its id.
        first_team: id of the first team; the second's is one more.
        first_player: id of the first player; the others follow.
        first_series: series id of seed 0.
        sample_s: between two snapshots.
        no_position_s: positions are null until then.
        corrected_round: whose start is taken back and told again (the last round of a shorter match).
        stateless_round: that is told without any state.
    """

    tournament: str
    first_team: int
    first_player: int
    first_series: int
    sample_s: float = Field(gt=0)
    no_position_s: float = Field(ge=0)
    corrected_round: int = Field(gt=0)
    stateless_round: int = Field(gt=0)


class SimulatorConfig(Config):
    """All figures of the simulator."""

    title: str
    started_at: str
    clock: ClockConfig
    motion: MotionConfig
    perception: PerceptionConfig
    combat: CombatConfig
    economy: EconomyConfig
    behaviour: BehaviourConfig
    waiting: WaitingConfig
    meaning: MeaningConfig
    tactics: TacticsConfig
    grid: GridLogConfig
    arena: ArenaConfig

    @model_validator(mode="after")
    def _guns_exist(self) -> "SimulatorConfig":
        named = {gun for buy in self.economy.buys.values() for guns in buy.guns.values() for gun in guns}
        if missing := sorted(named - set(self.combat.weapons)):
            raise ValueError(f"weapons lacks {missing}")
        return self

    @model_validator(mode="after")
    def _tactics_fit_the_map(self) -> "SimulatorConfig":
        for name, plan in self.tactics.plans.items():
            if missing := [stage for stage in plan.stages if f"stage_{stage}" not in self.arena.groups]:
                raise ValueError(f"plan {name}: no groups for stages {missing}")
            if plan.site is not None and plan.site not in self.arena.sites:
                raise ValueError(f"plan {name}: no site {plan.site}")
        for site in self.arena.sites:
            for use in ("post", "attack", "after_plant", "retake", "plant"):
                if f"{use}_{site}" not in self.arena.groups:
                    raise ValueError(f"no group {use}_{site}")
        return self


def load_simulator() -> SimulatorConfig:
    """The figures of `simulator.yaml`."""
    return load("simulator", SimulatorConfig)
