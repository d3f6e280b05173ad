"""True speeds, true ways: kinematics, paths, figures."""

import math

import numpy as np
import pytest

from configs.scenes import ScenesConfig
from pipeline.scenes.figure import posed
from pipeline.scenes.joints import ELBOWS, FEET, bones, shoulder
from pipeline.scenes.kinematics import Immobile, moved, retraced, settled, travel_seconds
from pipeline.scenes.paths import around, direction_of, heading_of, rounded
from pipeline.scenes.scales import height_m
from pipeline.scenes.schema import Actor

BASES = [(0.0, 0.0), (27.4, 0.0), (27.4, -27.4), (0.0, -27.4), (0.0, 0.0)]


def _actor(*spots: tuple[float, float], action: str = "run", seconds: float = 30.0, **more: object) -> Actor:
    path = None
    if len(spots) > 1:
        times = np.linspace(0.0, seconds, len(spots))
        path = tuple((float(t), spot) for t, spot in zip(times, spots, strict=True))
    return Actor(
        id="a", actor_type="runner", color="#336699", initial_position=spots[0], actions=((0.0, action),),
        movement_path=path, **more,
    )  # fmt: skip


def test_the_table_says_what_it_has_to(config: ScenesConfig) -> None:
    speeds = {
        "walk": 1.3,
        "jog": 4.0,
        "run": 5.0,
        "running_bases": 6.0,
        "sprint": 8.0,
        "elite_sprint": 12.4,
        "sit": 0.0,
    }
    assert {name: config.actions[name].speed for name in speeds} == speeds
    assert config.human.height == pytest.approx(2.5 * config.unit_m)
    assert height_m(config, "tree") == pytest.approx(10.2)
    assert height_m(config, "baseball") == pytest.approx(0.068)


def test_a_home_run_takes_as_long_as_110_metres_at_6_m_per_s_and_four_corners_do(config: ScenesConfig) -> None:
    seconds = travel_seconds(np.array(BASES), "running_bases", config)
    assert 4 * 27.4 / 6.0 < seconds < 22.0  # 18.3 s, and what starting, stopping and three corners cost
    with pytest.raises(Immobile):
        travel_seconds(np.array(BASES), "sit", config)


@pytest.mark.parametrize("action", ["walk", "jog", "run", "running_bases", "sprint", "elite_sprint"])
def test_an_action_reaches_its_speed_and_never_exceeds_it(action: str, config: ScenesConfig) -> None:
    speed = config.actions[action].speed
    movement = moved(_actor((0.0, 0.0), (60.0, 0.0), action=action), 30.0, config)
    assert movement.speed.max() == pytest.approx(speed)
    way = np.hypot(*np.diff(movement.position, axis=0).T) * config.fps
    assert way.max() <= speed + 1e-6
    assert np.abs(np.diff(movement.speed)).max() * config.fps <= max(config.movement.brake_mps2, 5.0) * 1.6


def test_without_a_path_the_velocity_counts_and_else_the_heading(config: ScenesConfig) -> None:
    by_velocity = moved(_actor((0.0, 0.0), action="stand", velocity=(0.0, 2.0)), 5.0, config)
    assert by_velocity.position[-1, 1] == pytest.approx(10.0, abs=1.0)
    assert by_velocity.position[-1, 0] == pytest.approx(0.0, abs=1e-6)
    by_heading = moved(_actor((0.0, 0.0), action="walk", heading=math.pi), 5.0, config)
    assert by_heading.position[-1, 0] == pytest.approx(-1.3 * 5.0, abs=1.0)
    still = moved(_actor((1.0, 2.0), action="sit"), 5.0, config)
    assert (still.position == [1.0, 2.0]).all()
    assert still.speed.max() == 0.0


def test_who_moves_looks_where_it_goes_and_who_has_arrived_stands(config: ScenesConfig) -> None:
    movement = moved(_actor(*BASES, action="jog", seconds=40.0), 40.0, config)
    ways = np.diff(movement.position, axis=0)
    fast = np.hypot(*ways.T) * config.fps > 0.5
    off = np.abs((heading_of(ways) - movement.heading[1:] + np.pi) % (2 * np.pi) - np.pi)
    assert np.degrees(off[fast]).max() < 10.0
    assert list(config.actions)[movement.actions[-1]] == "stand"
    assert np.allclose(direction_of(np.array([0.0, np.pi / 2])), [[1, 0], [0, -1]])


def test_a_way_around_obstacles_enters_none(config: ScenesConfig) -> None:
    obstacles = np.array([[10.0, 0.2, 2.0], [20.0, -1.0, 1.5], [13.5, 3.0, 1.0]])
    corners = around(np.array([[0.0, 0.0], [30.0, 0.0]]), obstacles)
    assert len(corners) > 2
    points = rounded(corners, config.movement).points
    for x, z, radius in obstacles:
        assert np.hypot(points[:, 0] - x, points[:, 1] - z).min() > radius - config.movement.clearance_m
    assert len(around(np.array([[0.0, 9.0], [30.0, 9.0]]), obstacles)) == 2


def test_bones_keep_their_lengths_and_standing_feet_their_place(config: ScenesConfig) -> None:
    movement = moved(_actor((0.0, 0.0), (40.0, 0.0), action="run"), 12.0, config)
    joints = posed(movement, config)
    for (a, b), size in bones(config.human).items():
        assert np.allclose(np.hypot(*(joints[:, a] - joints[:, b]).T), size)
    for elbow in ELBOWS:
        assert np.allclose(np.hypot(*(joints[:, elbow] - shoulder(joints, config.human)).T), config.human.upper_arm)
    slides, stands = [], 0
    for foot in FEET:
        at = movement.position[:, 0] + joints[:, foot, 0]
        low = joints[:, foot, 1] < config.limits.contact_m
        both = low[1:] & low[:-1]
        slides.append(np.abs(np.diff(at))[both] * config.fps)
        stands += both.sum()
        assert joints[:, foot, 1].min() > -0.01
    assert stands > 40
    assert np.concatenate(slides).mean() < config.limits.slide_mps


@pytest.mark.parametrize("action", ["walk", "jog", "run", "running_bases", "sprint", "elite_sprint"])
@pytest.mark.parametrize("before", ["stand", "aim", "sit"])
def test_standing_feet_hold_from_the_first_step_to_the_last(action: str, before: str, config: ScenesConfig) -> None:
    actor = Actor(
        id="a", actor_type="runner", color="#336699", initial_position=(0.0, 0.0),
        actions=((0.0, before), (1.0, action), (14.0, before)), movement_path=((1.0, (0.0, 0.0)), (14.0, (15.7, 0.0))),
    )  # fmt: skip
    movement = moved(actor, 20.0, config)
    joints = posed(movement, config)
    assert movement.speed[30] > 0
    assert movement.speed[-1] == 0
    swings = 0
    for foot in FEET:
        at = movement.position[:, 0] + joints[:, foot, 0]
        low = joints[:, foot, 1] < config.limits.contact_m
        slide = np.abs(np.diff(at))[low[1:] & low[:-1]] * config.fps
        assert slide.mean() < 0.02
        assert np.percentile(slide, 99) < 0.25  # a foot that is just set down
        swings += np.count_nonzero(np.diff(low.astype(int)) == -1)
        assert at[-1] == pytest.approx(15.7, abs=0.5)
    assert swings > 5


def test_who_comes_to_rest_sets_both_feet_down_beside_each_other(config: ScenesConfig) -> None:
    movement = moved(_actor((0.0, 0.0), (7.3, 0.0), action="walk"), 12.0, config)
    joints = posed(movement, config)
    assert (joints[-1, list(FEET), 1] < config.limits.contact_m).all()
    apart = joints[-1, FEET[0], 0] - joints[-1, FEET[1], 0]
    assert apart == pytest.approx(config.postures["rest"].stride, abs=0.01)


def test_strides_follow_the_way_and_not_the_time(config: ScenesConfig) -> None:
    slow = moved(_actor((0.0, 0.0), (9.0, 0.0), action="walk"), 12.0, config)
    stays = posed(moved(_actor((0.0, 0.0), action="stand"), 12.0, config), config)
    joints = posed(slow, config)
    assert np.ptp(joints[:, FEET[0], 0]) > 0.5
    assert np.ptp(stays[:, FEET[0], 0]) < 1e-6
    crossings = np.count_nonzero(np.diff(np.sign(joints[:, FEET[0], 0] - joints[:, FEET[1], 0])))
    assert 10 <= crossings <= 16  # 9 m at 1.4 m a stride, and smaller ones at both ends


def test_low_gravity_lets_figures_float(config: ScenesConfig) -> None:
    movement = moved(_actor((0.0, 0.0), (20.0, 0.0), action="lope"), 10.0, config)
    earth, moon = (posed(movement, config, gravity=gravity) for gravity in (9.81, 1.62))
    lowest = [joints[100:200, list(FEET), 1].min(axis=1).max() for joints in (earth, moon)]
    assert lowest[1] > lowest[0] + 0.1


def test_who_turns_back_at_once_steps_and_is_not_wrung_over_the_ground(config: ScenesConfig) -> None:
    t = np.arange(0, 10, 1 / config.fps)
    there_and_back = 4.0 * np.abs((t / 2.0) % 2.0 - 1.0)  # 2 m/s, the other way every 2 s
    movement = retraced(np.stack([there_and_back, 0.0 * t], axis=1), np.zeros(len(t), np.uint8), 0.0, config)
    joints = posed(movement, config)
    ahead = direction_of(movement.heading)
    slides = []
    for foot in FEET:
        world = movement.position + joints[:, foot, :1] * ahead
        low = joints[:, foot, 1] < config.limits.contact_m
        stands = low[1:] & low[:-1]
        assert stands.mean() > 0.25
        slides.append(np.hypot(*np.diff(world, axis=0).T)[stands] * config.fps)
    assert np.concatenate(slides).mean() < config.limits.slide_mps
    assert np.abs(np.diff(movement.heading)).max() * config.fps > 10.0


def test_who_stays_in_a_recording_is_held_and_who_creeps_on_is_not(config: ScenesConfig) -> None:
    t = np.arange(0, 12, 1 / config.fps)
    rng = np.random.default_rng(4)
    x = np.where(t < 4, 0.0, np.minimum(2.0 * (t - 4), 6.0)) + 0.01 * rng.standard_normal(len(t)).cumsum() / 10
    held, still = settled(np.stack([x, 0.0 * t], axis=1), config)
    assert still[20:80].all()
    assert not still[110:170].any()
    assert np.ptp(held[20:80, 0]) == 0.0
    assert np.abs(held[:, 0] - x).max() < 0.1
    creeping = np.stack([0.15 * t, 0.0 * t], axis=1)
    held, still = settled(creeping, config)
    assert not still.any()
    assert (held == creeping).all()
