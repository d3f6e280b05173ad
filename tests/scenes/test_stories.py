"""Stories are drawn from a seed, and hold what they promise."""

import numpy as np
import pytest

from configs.scenes import ScenesConfig
from pipeline.scenes.kinematics import moved
from pipeline.scenes.realism import realism
from pipeline.scenes.render import Film, Unwritable, animated, before_after, contact_sheet, mp4, played
from pipeline.scenes.scales import radius_m
from pipeline.scenes.schema import Scene
from pipeline.scenes.story import UnknownTheme, tell, themes
from pipeline.scenes.validation import object_sizes


@pytest.mark.parametrize("theme", sorted(themes()))
def test_every_theme_tells_many_stories_and_the_same_seed_the_same(theme: str, config: ScenesConfig) -> None:
    told = [tell(theme, seed) for seed in range(8)]
    assert told[0] == tell(theme, 0)
    assert len({scene.model_dump_json() for scene in told}) == len(told)
    for scene in told:
        assert len(scene.paraphrases) == 4
        assert len(set(scene.paraphrases)) == 4
        assert object_sizes(scene, config).passed
        assert config.dataset.story_s[0] <= scene.duration <= config.dataset.story_s[1]
    assert Scene.model_validate_json(told[0].model_dump_json()) == told[0]


def test_a_theme_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(UnknownTheme, match=r"'opera'.*baseball"):
        tell("opera", 1)


@pytest.mark.parametrize("theme", ["chase", "park", "office", "cafe"])
def test_nobody_walks_through_what_stands_there(theme: str, config: ScenesConfig) -> None:
    for seed in range(6):
        scene = tell(theme, seed)
        for thing in scene.objects:
            radius = radius_m(config, thing.kind, thing.scale)
            if not radius or thing.throws:
                continue
            for actor in scene.actors:
                movement = moved(actor, scene.duration, config)
                away = np.hypot(*(movement.position - [thing.position[0], thing.position[2]]).T)
                inside = (away < radius) & (movement.speed > 0.3)
                begins_inside = away[0] < radius + 1.0 or away[-1] < radius + 1.0
                assert begins_inside or not inside.any(), (theme, seed, thing.id, actor.id)


def test_a_home_run_touches_all_bases_in_order(config: ScenesConfig) -> None:
    scene = next(s for s in (tell("baseball", seed) for seed in range(20)) if "home run" in s.paraphrases[1])
    batter = next(p for p in played(scene, config) if p.actor.actor_type == "batter")
    bases = [o.position for o in scene.objects if o.kind == "base"]
    order = [*bases[1:], bases[0]]
    after = 0
    for x, _, z in order:
        away = np.hypot(batter.movement.position[:, 0] - x, batter.movement.position[:, 1] - z)
        touched = after + int(np.argmin(away[after:]))
        assert away[touched] < 0.5
        assert touched > after
        after = touched


def test_a_film_shows_who_moves_and_in_place_nobody_goes_anywhere(config: ScenesConfig) -> None:
    scene = tell("street", 2, duration=1.2)
    static = played(scene, config, static=True)
    assert all((p.movement.position == p.movement.position[0]).all() for p in static)
    film = Film(scene, config)
    first, last = (np.asarray(film.picture(frame)) for frame in (0, film.frames - 1))
    assert first.shape == (config.render.height, config.render.width, 3)
    assert (first != last).any()
    video = mp4(film.pictures(every=6), 4)
    assert video[4:8] == b"ftyp"
    assert animated(film.pictures(every=15), 2.0, "gif")[:4] == b"GIF8"
    assert animated(film.pictures(every=15), 2.0, "webp")[8:12] == b"WEBP"
    assert contact_sheet(scene, config, count=2, columns=2, cell=160)[:2] == b"\xff\xd8"
    with pytest.raises(Unwritable, match="'avi'"):
        animated(film.pictures(every=30), 1.0, "avi")
    with pytest.raises(Unwritable):
        mp4(iter(()), 25)


def test_before_and_after_stand_side_by_side_with_all_frames_at_their_rate(config: ScenesConfig) -> None:
    import io

    import av

    scene = tell("park", 1, duration=0.4)
    with av.open(io.BytesIO(before_after(scene, config=config))) as film:
        stream = film.streams.video[0]
        assert stream.average_rate == config.fps
        assert (stream.width, stream.height) == (2 * config.render.width, config.render.height)
        assert sum(1 for _ in film.decode(stream)) == 0.4 * config.fps
    assert before_after(scene, "webp", config)[8:12] == b"WEBP"


def test_what_is_animated_in_place_strides_and_goes_nowhere_and_what_moves_goes_as_its_strides_tell(
    config: ScenesConfig,
) -> None:
    stories = [tell(theme, 3, duration=20.0) for theme in ("baseball", "street", "park")]
    before, after = (
        realism([played(scene, config, static=static) for scene in stories], config) for static in (True, False)
    )
    assert (before.speed_share, before.way_share, before.reach_m, before.faces_share) == (0.0, 0.0, 0.0, 0.0)
    assert before.slide_mps > 0.8
    assert after.slide_mps < 0.03
    assert after.way_share == pytest.approx(1.0, abs=0.01)
    assert after.speed_share > 0.85  # who starts, stops or turns is slower
    assert after.faces_share > 0.93  # slower than the check looks at, nobody is said to face
    assert after.reach_m > 10.0
