import dataclasses

import pytest

from configs.motion import load_motion
from pipeline.motion import keys
from pipeline.motion.keys import clip_key, path_hash


@pytest.fixture
def asked(request_on, straight):
    return request_on(straight(1.0), yaw_deg=10.0)


def shifted(values, at=30, by=1):
    out = values.copy()
    out[at] += by
    return out


@pytest.mark.parametrize(
    "change",
    [
        *(lambda r, n=name: {n: shifted(getattr(r, n))} for name in ("x_mm", "y_mm", "z_mm", "yaw_mdeg", "pitch_mdeg")),
        lambda r: {"t_ms": shifted(r.t_ms)},
        lambda r: {"from_ms": r.from_ms + 1},
        lambda r: {"to_ms": r.to_ms + 1},
        lambda r: {"intent": "hold"},
        lambda r: {"seed": r.seed + 1},
        lambda r: {"attacker": False},
        lambda r: {"attacker": None},
    ],
    ids=["x", "y", "z", "yaw", "pitch", "time", "from", "to", "intent", "seed", "side", "unknown side"],
)
def test_the_key_changes_with_each_thing_that_is_synthesised(asked, change):
    assert clip_key(dataclasses.replace(asked, **change(asked)), backend="local") != clip_key(asked, backend="local")


def test_the_key_changes_with_backend_configuration_and_code(asked, monkeypatch):
    key = clip_key(asked, backend="local")
    assert clip_key(asked, backend="other") != key
    config = load_motion()
    for part, change in (("gait", {"still_mps": 0.3}), ("fitting", {"apart_m": 0.07}), ("falling", {"loose": 0.1})):
        other = config.model_copy(update={part: getattr(config, part).model_copy(update=change)})
        assert clip_key(asked, backend="local", config=other) != key
    monkeypatch.setattr(keys, "code_version", lambda *rooms: "0" * 12)
    assert clip_key(asked, backend="local") != key


def test_the_key_changes_with_nothing_else(asked):
    key = clip_key(asked, backend="local")
    renamed = dataclasses.replace(asked, match_id="other", segment_id="f" * 16, player="player:q")
    later = dataclasses.replace(
        asked, t_ms=asked.t_ms + 90_000, from_ms=asked.from_ms + 90_000, to_ms=asked.to_ms + 90_000
    )
    config = load_motion()
    thrifty = config.model_copy(update={"moments": config.moments.model_copy(update={"budget": 1})})
    assert clip_key(renamed, backend="local") == clip_key(later, backend="local") == key
    assert clip_key(asked, backend="local", config=thrifty) == key
    assert len(key) == 32 and int(key, 16) >= 0


def test_the_path_hash_names_the_path_alone(asked):
    assert path_hash(dataclasses.replace(asked, intent="hold", seed=1)) == path_hash(asked)
    assert path_hash(dataclasses.replace(asked, x_mm=shifted(asked.x_mm))) != path_hash(asked)


def test_a_request_refuses_columns_of_different_length(asked):
    with pytest.raises(ValueError, match="x_mm has 3 samples"):
        dataclasses.replace(asked, x_mm=[1, 2, 3])
