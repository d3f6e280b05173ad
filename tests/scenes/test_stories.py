"""Stories are drawn from a seed, and hold what they promise."""

import numpy as np
import pytest

from configs.scenes import ScenesConfig
from pipeline.scenes.kinematics import moved
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


def test_before_and_after_have_all_frames_of_a_film_at_its_rate(config: ScenesConfig) -> None:
    import io

    import av

    with av.open(io.BytesIO(before_after(tell("park", 1, duration=1.0), config))) as film:
        stream = film.streams.video[0]
        assert stream.average_rate == config.fps
        assert stream.height == 2 * config.render.height
        assert sum(1 for _ in film.decode(stream)) == config.fps
