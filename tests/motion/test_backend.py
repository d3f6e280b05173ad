import json

import pytest

from pipeline.motion.keys import clip_key
from pipeline.motion.manifest import manifest
from pipeline.motion.measures import measure
from pipeline.motion.synthesizer import Infeasible, synthesize
from resources.motion_backends.local import LocalBackend


@pytest.fixture
def origin(request_on, straight):
    asked = request_on(straight(1.3))
    key = clip_key(asked, backend="local")
    return asked, {
        "clip_key": key,
        "backend": "local",
        "trainable": True,
        "segment_id": asked.segment_id,
        "model_version": "prior",
    }


def test_the_local_backend_is_the_synthesizer_under_a_name(request_on, straight):
    asked = request_on(straight(1.3))
    backend = LocalBackend()
    assert backend.name == "local" and backend.trainable is True
    assert backend.generate(asked).rotations.tobytes() == synthesize(asked).rotations.tobytes()


def test_the_local_backend_passes_on_why_there_is_no_clip(request_on, straight):
    way = straight(1.0)
    way[28:] += 20.0
    with pytest.raises(Infeasible, match="teleport"):
        LocalBackend().generate(request_on(way))


def test_a_manifest_says_what_made_the_clip_and_how_good_it_is(origin):
    asked, said = origin
    record = manifest(asked, said, feasible=True, reason=None, measures=measure(synthesize(asked), asked))
    assert record["intent"] == "advance" and record["model_version"] == "prior" and record["trainable"] is True
    assert set(record["hashes"]) == {"path", "config", "code"}
    assert record["measures"]["path_ade_m"] < 0.02 and record["measures"]["path_deviation_max_m"] < 0.1
    again = manifest(asked, said, feasible=True, reason=None, measures=measure(synthesize(asked), asked))
    assert json.dumps(record, allow_nan=False) == json.dumps(again)


def test_a_manifest_without_a_clip_gives_the_reason(origin):
    asked, said = origin
    record = manifest(asked, said, feasible=False, reason="teleport", measures={})
    assert record["feasible"] is False and record["reason"] == "teleport" and record["measures"] == {}
