import io
import json

import numpy as np
import polars as pl
import pygltflib
import pytest
from PIL import Image

from configs.motion import load_motion
from pipeline.motion.film import film
from pipeline.motion.gltf import scene_glb
from pipeline.motion.scene import NobodyThere, Scene, moment, stage, told
from pipeline.motion.skeleton import INDEX, forward
from pipeline.motion.synthesizer import synthesize
from pipeline.tables import empty

T = np.arange(0, 12_001, 125)


def rows(table: str, *given: dict) -> pl.DataFrame:
    schema = empty(table).schema
    frame = pl.DataFrame([{name: row.get(name) for name in schema} for row in given], schema=schema, strict=False)
    return frame


def event(kind: str, t_ms: int, actor: str, target: str | None = None, **more) -> dict:
    return {"match_id": "m", "event_type": kind, "t_ms": t_ms, "round": 1, "actor": actor, "target": target} | more


def meant(player: str, from_ms: int, to_ms: int, intent: str) -> dict:
    return {"match_id": "m", "player": player, "round": 1, "from_ms": from_ms, "to_ms": to_ms, "intent": intent}


@pytest.fixture(scope="module")
def duel(tracks_of):
    """Two opponents walk at each other; b dies at 6 s, c has died at 1 s, d is elsewhere and a teleporter."""
    tracks = pl.concat(
        [
            tracks_of("player:a", T, np.minimum(T * 0.0006, 4.0), 0.0),
            tracks_of("player:b", T[T < 6000], 8.0 - T[T < 6000] * 0.0003, 0.0, side="counter-terrorists"),
            tracks_of("player:c", T[T < 1000], 3.0, 3.0, side="counter-terrorists"),
            tracks_of("player:d", T, np.where(T < 5000, 30.0, 60.0), 9.0),
        ]
    )
    events = rows(
        "events",
        event("PLAYER_KILLED", 1000, "player:a", "player:c"),
        event("WEAPON_FIRED", 5800, "player:a", weapon="ak47"),
        event("WEAPON_FIRED", 5500, "player:a", weapon="knife_butterfly"),
        event("PLAYER_KILLED", 6000, "player:a", "player:b"),
    )
    segments = rows(
        "segments",
        meant("player:a", 2000, 5000, "advance"),
        meant("player:a", 5000, 9000, "engage"),
        meant("player:b", 3000, 6000, "hold"),
    )
    return {"events": events, "tracks": tracks, "segments": segments}


@pytest.fixture(scope="module")
def staged(duel) -> Scene:
    return stage(moment("m", 1, 4000, 8000, **duel))


def test_a_moment_has_everyone_on_one_clock_and_says_who_is_absent_and_why(staged):
    assert [actor.name for actor in staged.actors] == ["player:a", "player:b", "player:c"]
    assert staged.seconds == 4.0 and [name for name, _ in staged.absent] == ["player:d"]
    assert "teleport" in dict(staged.absent)["player:d"]
    a, b, _ = staged.actors
    apart = a.place(0) - b.place(0)
    assert np.abs(np.abs(apart[0]) - (8.0 - 1.2 - 2.4)) < 0.1 and abs(apart[1]) < 0.01


def test_each_means_what_the_segments_say_when_they_say_it(staged, duel):
    a = staged.actors[0]
    assert a.acts == ((0, "advance"), (1000, "engage"))
    hands = forward(a.clip.rotations, a.clip.root)[0][:, INDEX["R_Wrist"], 1]
    assert hands[75] > hands[10] + 0.06  # aimed, where it was carried ready
    alone = moment("m", 1, 4000, 8000, **(duel | {"segments": duel["segments"].head(1)}))
    assert alone.requests[0].acts == () and alone.requests[1].intent == "hold"


def test_who_was_killed_lies_and_who_is_killed_falls(staged):
    _, b, c = staged.actors
    dead = told(staged)["actors"]
    assert dead[0]["dies_at_frame"] is None and dead[1]["dies_at_frame"] == pytest.approx(60, abs=2)
    assert dead[2]["dies_at_frame"] < 0
    assert c.clip.root[c.frame(0), 1] < 0.35 and b.clip.root[b.frame(0), 1] > 0.8
    assert b.clip.root[b.frame(staged.frames - 1), 1] < 0.35


def test_a_shot_is_fired_when_it_was_and_a_knife_makes_none(staged):
    assert staged.shots == ((54, 0),)
    assert staged.about == (0, 1)


def test_two_stretches_do_not_jump_where_they_meet(staged):
    clip = staged.actors[0].clip
    turn = 2.0 * np.arccos(np.clip(np.abs(np.sum(clip.rotations[1:] * clip.rotations[:-1], axis=-1)), 0.0, 1.0))
    assert turn.max() * clip.fps < 25.0
    assert np.linalg.norm(np.diff(clip.root, axis=0), axis=-1).max() * clip.fps < 2.5


def test_a_moment_is_one_file_that_the_validator_has_nothing_to_say_about(khronos, staged):
    data = scene_glb(staged, {"backend": "local"})
    report = khronos({"moment": data})["moment"]
    assert (report["errors"], report["warnings"]) == (0, 0), report["messages"][:5]
    document = pygltflib.GLTF2.load_from_bytes(data)
    assert len(document.skins) == 3 and len(document.meshes) == 2
    extras = document.asset.extras
    assert extras["backend"] == "local" and extras["scene"]["absent"].keys() == {"player:d"}
    assert [node.name for node in document.nodes if (node.name or "").startswith("player:")] == [
        "player:a",
        "player:b",
        "player:c",
    ]
    times = [document.accessors[s.input] for s in document.animations[0].samplers]
    assert min(t.min[0] for t in times) == 0.0 and max(t.max[0] for t in times) <= staged.seconds + 1e-6
    assert data == scene_glb(staged, {"backend": "local"}) and json.dumps(told(staged))


def test_a_moment_that_cannot_be_says_why(duel):
    with pytest.raises(NobodyThere, match="possible are 1 to 12 s"):
        moment("m", 1, 4000, 40_000, **duel)
    with pytest.raises(NobodyThere, match="no positions in round 7"):
        moment("m", 7, 4000, 8000, **duel)
    far = moment("m", 1, 4000, 8000, **(duel | {"tracks": duel["tracks"].filter(pl.col("player") == "player:d")}))
    with pytest.raises(NobodyThere, match="player:d: teleport"):
        stage(far)


def frames_of(data: bytes) -> list[np.ndarray]:
    picture = Image.open(io.BytesIO(data))
    assert picture.format == "WEBP"
    out = []
    for k in range(picture.n_frames):
        picture.seek(k)
        out.append(np.asarray(picture.convert("RGB")).astype(int))
    return out


def test_a_film_shows_both_sides_moving_at_its_rate(staged):
    shown, layout = frames_of(film(staged)), load_motion().preview.film
    assert len(shown) == 41 and shown[0].shape == (layout.height, layout.width, 3)
    orange = [(i[..., 0] > i[..., 2] + 50).sum() for i in shown]
    blue = [(i[..., 2] > i[..., 0] + 50).sum() for i in shown]
    assert min(orange) > 60 and max(blue) > 60
    assert np.abs(shown[0] - shown[-1]).mean() > 1.0
    assert film(staged) == film(staged)


def test_a_film_of_one_clip_follows_it(request_on, straight):
    shown = frames_of(film(Scene.of(synthesize(request_on(straight(4.0))))))
    columns = [np.flatnonzero((i[..., 0] > i[..., 2] + 50).any(axis=0)).mean() for i in shown]
    assert np.ptp(columns) < 110


def test_a_recorded_moment_is_feasible_and_valid(khronos, real_tracks):
    first = int(real_tracks["t_ms"].min()) + 25_000
    tracks = real_tracks.with_columns(round=pl.lit(1, dtype=pl.Int32))
    scene = stage(moment("m", 1, first, first + 4000, events=rows("events"), tracks=tracks, segments=rows("segments")))
    assert len(scene.actors) >= 8
    report = khronos({"recorded": scene_glb(scene, {})})["recorded"]
    assert (report["errors"], report["warnings"]) == (0, 0)
