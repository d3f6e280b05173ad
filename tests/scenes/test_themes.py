"""Each theme shows what it tells: places, speeds and meetings, over several seeds."""

from collections.abc import Callable

import numpy as np
import pytest

from configs.scenes import ScenesConfig
from pipeline.scenes.paths import direction_of
from pipeline.scenes.render import Played, played
from pipeline.scenes.scales import height_m
from pipeline.scenes.schema import Scene
from pipeline.scenes.story import tell

SEEDS = range(6)
Shown = Callable[[str], list[tuple[Scene, dict[str, list[Played]]]]]


@pytest.fixture(scope="module")
def shown(config: ScenesConfig) -> Shown:
    """The stories of a theme with their actors by type."""
    kept: dict[str, list[tuple[Scene, dict[str, list[Played]]]]] = {}

    def show(theme: str) -> list[tuple[Scene, dict[str, list[Played]]]]:
        if theme not in kept:
            kept[theme] = []
            for seed in SEEDS:
                scene, cast = tell(theme, seed), {}
                for each in played(scene, config):
                    cast.setdefault(each.actor.actor_type, []).append(each)
                kept[theme].append((scene, cast))
        return kept[theme]

    return show


def _away(each: Played, spot: tuple[float, float]) -> np.ndarray:
    return np.hypot(*(each.movement.position - np.array(spot)).T)


def _looks_at(each: Played, spot: tuple[float, float] | np.ndarray, frame: int) -> bool:
    way = np.array(spot) - each.movement.position[frame]
    return bool(direction_of(each.movement.heading[frame]) @ way > 0.9 * np.hypot(*way))


def test_baseball_a_home_run_takes_four_times_27_metres_at_6_metres_a_second(
    shown: Shown, config: ScenesConfig
) -> None:
    runs = 0
    for scene, cast in shown("baseball"):
        (batter,) = cast["batter"]
        bases = [thing.position for thing in scene.objects if thing.kind == "base"]
        sides = [np.hypot(a[0] - b[0], a[2] - b[2]) for a, b in zip(bases, [*bases[1:], bases[0]], strict=True)]
        assert np.allclose(sides, 27.4)
        if "home run" not in scene.paraphrases[1]:
            continue
        runs += 1
        left = int(np.argmax(batter.movement.speed > 0)) / config.fps
        second = _away(batter, (bases[2][0], bases[2][2]))
        back = int(np.argmin(second)) + int(np.argmin(_away(batter, (0.0, 0.0))[int(np.argmin(second)) :]))
        assert 4 * 27.4 / (6.0 * batter.actor.pace) < back / config.fps - left < 23.0
    assert runs


def test_space_astronauts_bound_as_slowly_as_crews_of_apollo_and_come_home(shown: Shown, config: ScenesConfig) -> None:
    for scene, cast in shown("space"):
        assert scene.gravity == 1.62
        (ship,) = (thing for thing in scene.objects if thing.kind == "spaceship")
        assert 15 <= height_m(config, "spaceship", ship.scale) / config.unit_m <= 45
        explorers = [each for each in cast["astronaut"] if each.movement.speed.any()]
        assert len(explorers) == (2 if "Two" in scene.prompt else 3)
        for each in explorers:
            assert each.movement.speed.max() <= 1.6 * 1.03 + 1e-9
            assert _away(each, (ship.position[0], ship.position[2])).max() > 8.0
        samples = [thing for thing in scene.objects if thing.kind == "sample"]
        assert all(
            min(_away(each, (thing.position[0], thing.position[2])).min() for each in explorers) < 0.6
            for thing in samples
            if thing.until_s < scene.duration
        )


def test_street_two_meet_and_look_at_one_another_while_one_hurries_past(shown: Shown, config: ScenesConfig) -> None:
    for scene, cast in shown("street"):
        left, right = cast["pedestrian"][:2]
        apart = np.hypot(*(left.movement.position - right.movement.position).T)
        assert apart.min() > 0.6  # they part as they meet: past one another
        talking = int(np.argmax(apart < 1.3)) + 2 * config.fps
        assert 1.0 < apart[talking] < 1.3
        assert _looks_at(left, right.movement.position[talking], talking)
        assert _looks_at(right, left.movement.position[talking], talking)
        assert cast["commuter"][0].movement.speed.max() > 2.5 * left.movement.speed.max()
        (drive,) = next(thing for thing in scene.objects if thing.kind == "car").throws
        low, high = config.themes.car_mps
        assert low <= (drive.target[0] - drive.start[0]) / (drive.end - drive.begin) <= high


def test_park_joggers_keep_to_the_path_and_the_walker_ends_at_the_bench(shown: Shown, config: ScenesConfig) -> None:
    for scene, cast in shown("park"):
        ring = np.array(scene.marks[0].points)
        for jogger in cast["jogger"]:
            away = np.hypot(*np.moveaxis(jogger.movement.position[:, None] - ring, -1, 0)).min(axis=1)
            assert away.max() < 1.8
            assert jogger.movement.speed.max() == pytest.approx(4.0 * jogger.actor.pace, rel=1e-6)
        (bench,) = (thing for thing in scene.objects if thing.kind == "bench")
        (walker,) = cast["walker"]
        if walker.movement.speed[-1] == 0:
            assert _away(walker, (bench.position[0], bench.position[2]))[-1] < 2.0
            assert _looks_at(walker, (bench.position[0], bench.position[2]), -1)


def test_office_and_cafe_who_sits_sits_on_a_chair_and_who_walks_goes_to_tables(
    shown: Shown, config: ScenesConfig
) -> None:
    for theme, sitting, walking in (("office", "office worker", "colleague"), ("cafe", "guest", "waiter")):
        for scene, cast in shown(theme):
            chairs = [(t.position[0], t.position[2]) for t in scene.objects if t.kind == "chair"]
            tables = [(t.position[0], t.position[2]) for t in scene.objects if t.kind == "table"]
            for each in cast[sitting]:
                assert not each.movement.speed.any()
                assert min(_away(each, chair)[0] for chair in chairs) < 0.1
                assert min(_away(each, table)[0] for table in tables) < 1.2
            (walker,) = cast[walking]
            assert sum(bool(_away(walker, table).min() < 2.5) for table in tables) >= 3
            assert walker.movement.speed.max() < 1.4
            for dish in (thing for thing in scene.objects if thing.kind == "food"):
                assert dish.position[1] == pytest.approx(height_m(config, "table"))
                if dish.from_s < scene.duration:
                    at = walker.movement.position[round(dish.from_s * config.fps)]
                    assert np.hypot(at[0] - dish.position[0], at[1] - dish.position[2]) < 2.5


def test_chase_ends_as_it_is_told(shown: Shown) -> None:
    ends = set()
    for scene, cast in shown("chase"):
        (thief,), (officer,) = cast["thief"], cast["officer"]
        apart = np.hypot(*(thief.movement.position - officer.movement.position).T)
        caught = "catches up" in scene.prompt
        ends.add(caught)
        if caught and thief.movement.speed[-1] == officer.movement.speed[-1] == 0:
            assert apart[-1] < 2.5 < apart[0]
            assert _looks_at(officer, thief.movement.position[-1], -1)
            assert _looks_at(thief, officer.movement.position[-1], -1)
        elif not caught:
            assert apart[-1] > apart[0]
    assert ends == {True, False}


def test_sports_races_are_run_over_the_line_and_shots_end_at_the_goal(shown: Shown) -> None:
    seen = set()
    for scene, cast in shown("sports"):
        if "sprinter" in cast:
            seen.add("race")
            for each in cast["sprinter"]:
                assert each.movement.position[:, 0].max() > 60.0
                assert np.ptp(each.movement.position[:, 1]) < 0.01
                assert each.movement.speed.max() > 0.95 * 8.0
        else:
            seen.add("attack")
            (goal,) = (thing for thing in scene.objects if thing.kind == "goal")
            (ball,) = (thing for thing in scene.objects if thing.kind == "ball")
            shot = ball.throws[-1]
            assert abs(shot.target[0] - goal.position[0]) < 0.5
            assert abs(shot.target[2]) < 7.32 / 2
            (striker,) = cast["striker"]
            assert _away(striker, (shot.start[0], shot.start[2])).min() < 0.6
            assert _away(cast["goalkeeper"][0], (goal.position[0], 0.0)).max() < 2.0
    assert seen == {"race", "attack"}


@pytest.mark.parametrize("theme", ["baseball", "space", "street", "park", "office", "cafe", "chase", "sports"])
def test_whoever_is_sent_somewhere_in_the_story_gets_there(theme: str, shown: Shown, config: ScenesConfig) -> None:
    for scene, cast in shown(theme):
        for each in (actor for actors in cast.values() for actor in actors):
            for time, spot in each.actor.movement_path or ():
                if time > scene.duration - 1.0:
                    continue
                around = slice(max(round((time - 2.0) * config.fps), 0), round((time + 2.0) * config.fps))
                assert _away(each, spot)[around].min() < 1.0, (scene.seed, each.actor.id, time)
