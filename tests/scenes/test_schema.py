"""What a scene refuses, and that it says whose field is at fault."""

import json
import math
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.scenes.schema import Actor, Scene, SceneObject

RUNNER: dict[str, Any] = {
    "id": "ann", "actor_type": "runner", "color": "#336699", "initial_position": (0.0, 0.0), "actions": ((0.0, "run"),),
}  # fmt: skip


def test_an_actor_that_is_in_order_is_taken() -> None:
    actor = Actor(**RUNNER, movement_path=((0.0, (0.0, 0.0)), (2.0, (10.0, 0.0))))
    assert actor.movement_path is not None
    assert actor.actions == ((0.0, "run"),)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"actions": ((2.0, "run"), (1.0, "walk"))}, ["'ann'", "actions", "not in order"]),
        ({"actions": ((0.0, "fly"),)}, ["'ann'", "actions", "'fly'", "walk"]),
        ({"initial_position": (math.nan, 0.0)}, ["'ann'", "initial_position", "finite"]),
        ({"actions": ((math.inf, "run"),)}, ["'ann'", "actions", "finite"]),
        ({"velocity": (9.0, 9.0)}, ["'ann'", "velocity", "12.4"]),
        ({"movement_path": ((0.0, (0.0, 0.0)), (1.0, (20.0, 0.0)))}, ["'ann'", "movement_path", "20.0 m in 1.00 s"]),
        ({"movement_path": ((1.0, (0.0, 0.0)), (0.0, (1.0, 0.0)))}, ["'ann'", "movement_path", "not in order"]),
        ({"movement_path": ((0.0, (5.0, 0.0)),)}, ["'ann'", "movement_path", "initial_position"]),
        ({"movement_path": ((0.0, (0.0, 0.0)), (1.0, (math.nan, 0.0)))}, ["'ann'", "movement_path", "finite"]),
        ({"velocity": (math.nan, 0.0)}, ["'ann'", "velocity", "finite"]),
        ({"facings": ((2.0, 0.0), (1.0, 0.0))}, ["'ann'", "facings", "not in order"]),
        ({"scale": math.nan}, ["'ann'", "scale"]),
        ({"color": "red"}, ["'ann'", "color"]),
        ({"wings": 2}, ["'ann'", "wings"]),
    ],
)
def test_bad_input_names_the_actor_and_the_field(change: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ValidationError) as refused:
        Actor(**RUNNER | change)
    for word in words:
        assert word in str(refused.value)


def test_a_scene_names_the_id_that_comes_twice_and_the_actor_it_does_not_have() -> None:
    ann = Actor(**RUNNER)
    rest: dict[str, Any] = {"theme": "park", "seed": 1, "duration": 1.0, "prompt": "p", "paraphrases": ("p",)}
    assert Scene(actors=(ann,), **rest).actors == (ann,)
    with pytest.raises(ValidationError, match="'ann' comes twice"):
        Scene(actors=(ann, ann), **rest)
    with pytest.raises(ValidationError, match="no actor 'bob'"):
        Scene(actors=(ann,), camera={"follow": ("bob",)}, **rest)
    with pytest.raises(ValidationError, match="not the prompt"):
        Scene(actors=(ann,), **rest | {"paraphrases": ("q",)})


def test_a_scene_read_from_a_file_names_the_actor_at_fault_and_its_field() -> None:
    ann, bob = dict(RUNNER), dict(RUNNER) | {"id": "bob", "actions": [[0.0, "fly"]]}
    rest = {"theme": "park", "seed": 1, "duration": 1.0, "prompt": "p", "paraphrases": ["p"]}
    with pytest.raises(ValidationError) as refused:
        Scene.model_validate_json(json.dumps({"actors": [ann, bob], **rest}))
    assert "actors.1.actor 'bob'.actions" in str(refused.value)
    assert "'ann'" not in str(refused.value).split("[type=")[0]


def test_a_thing_out_of_scale_or_unknown_is_refused() -> None:
    place = {"id": "t", "position": (0.0, 0.0, 0.0)}
    assert SceneObject(kind="tree", scale=0.5, **place).scale == 0.5
    with pytest.raises(ValidationError, match="'t', scale"):
        SceneObject(kind="tree", scale=2.0, **place)
    with pytest.raises(ValidationError, match="unknown 'castle'"):
        SceneObject(kind="castle", **place)
