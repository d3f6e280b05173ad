import json
import struct

import numpy as np
import pygltflib
import pytest

from configs.motion import load_motion
from pipeline.intents.vocabulary import INTENTS
from pipeline.motion.gltf import CARRIES_FEET, glb
from pipeline.motion.keyframes import keep, loss
from pipeline.motion.measures import contact_slip, path_error, skating_ratio, smoothness
from pipeline.motion.skeleton import JOINTS, forward
from pipeline.motion.synthesizer import synthesize

PROVENANCE = {"backend": "local", "trainable": True, "model_version": "prior", "intent": "advance"}


def test_the_khronos_validator_has_nothing_to_say_about_any_intent(khronos, request_on, stop_and_go):
    sides = (True, False, None)
    files = {
        intent: glb(synthesize(request_on(stop_and_go, intent=intent, attacker=sides[k % 3])), PROVENANCE)
        for k, intent in enumerate(INTENTS)
    }
    reports = khronos(files)
    assert set(reports) == set(INTENTS)
    for intent, report in reports.items():
        assert (report["errors"], report["warnings"]) == (0, 0), (intent, report["messages"][:5])


def test_the_validator_does_find_fault_with_a_broken_file(khronos, request_on, straight):
    data = glb(synthesize(request_on(straight(1.0))), PROVENANCE)
    assert khronos({"broken": data.replace(b'"skin":0', b'"skin":7', 1)})["broken"]["errors"] > 0


@pytest.mark.parametrize("speed", [0.0, 1.3, 2.6, 4.8])
def test_a_file_read_back_is_the_clip_and_its_feet_still_hold(read_glb, request_on, straight, speed):
    clip = synthesize(request_on(straight(speed), yaw_deg=20.0))
    read = read_glb(glb(clip, PROVENANCE))
    positions, _ = forward(clip.rotations, clip.root)
    assert read.names == list(JOINTS)
    assert np.abs(read.positions - positions).max() < 0.002
    assert np.array_equal(read.contacts, clip.contacts)
    slip = contact_slip(read.positions, read.contacts, clip.fps)
    assert slip["contact_slip_mps"] < 0.01 and slip["contact_slip_max_mps"] < 0.05
    assert path_error(read.positions[:, 0], clip.path[:, [0, 2]], "path")["path_ade_m"] <= 0.02
    assert skating_ratio(read.positions, np.zeros((clip.frames, 2)), clip.fps) <= 0.02
    assert smoothness(read.positions, clip.fps)["jitter_mps3"] < 700.0


def test_keys_that_interpolation_reproduces_are_left_out(read_glb, request_on, straight):
    clip = synthesize(request_on(straight(1.3)))
    assert read_glb(glb(clip, PROVENANCE)).keys < 0.8 * 23 * clip.frames
    still = synthesize(request_on(straight(0.0), intent="hold"))
    assert read_glb(glb(still, PROVENANCE)).keys < 0.4 * 23 * still.frames


@pytest.mark.parametrize("speed", [0.0, 1.3, 4.8])
def test_what_keys_and_shorts_lose_is_less_than_can_be_seen(request_on, straight, speed):
    clip = synthesize(request_on(straight(speed), intent="hold" if speed == 0.0 else "advance"))
    root, joints = keep(clip, load_motion().export)
    stored = clip.rotations.copy()
    for joint in set(range(len(JOINTS))) - CARRIES_FEET:
        stored[:, joint] = np.rint(stored[:, joint] * 32767.0) / 32767.0
    away = loss(clip, root, joints, stored)
    assert away.max() <= 0.001 and np.percentile(away, 99) <= 0.0001
    everything = np.arange(clip.frames)
    assert loss(clip, everything, [everything] * len(JOINTS), clip.rotations).max() < 1e-9
    worse = loss(clip, root, [joint[[0, -1]] for joint in joints], stored)
    assert speed == 0.0 or worse.max() > 0.05


def test_rotations_that_carry_no_foot_are_shorts_and_weights_bytes(request_on, straight):
    document = pygltflib.GLTF2.load_from_bytes(glb(synthesize(request_on(straight(1.3))), PROVENANCE))
    animation, kinds = document.animations[0], {}
    for channel in animation.channels:
        output = document.accessors[animation.samplers[channel.sampler].output]
        kinds[document.nodes[channel.target.node].name, channel.target.path] = (output.componentType, output.normalized)
    assert kinds["Head", "rotation"] == (5122, True) and kinds["L_Knee", "rotation"] == (5126, False)
    assert kinds["Pelvis", "translation"] == (5126, False)
    weights = document.accessors[document.meshes[0].primitives[0].attributes.WEIGHTS_0]
    assert (weights.componentType, weights.normalized) == (5121, True)


def test_a_file_says_what_made_it_and_where_it_was(read_glb, request_on, straight):
    extras = read_glb(glb(synthesize(request_on(straight(1.0), height=2.5)), PROVENANCE)).extras
    assert extras["backend"] == "local" and extras["trainable"] is True and extras["model_version"] == "prior"
    assert extras["clip"]["origin_m"] == [1.5, 2.5, 0.0] and extras["clip"]["fps"] == 30


def test_the_same_clip_gives_the_same_bytes_and_a_small_file(request_on, straight):
    first, again = (glb(synthesize(request_on(straight(2.6))), PROVENANCE) for _ in range(2))
    assert first == again and len(first) < 250_000
    other = glb(synthesize(request_on(straight(2.6), attacker=False)), PROVENANCE)
    assert other != first


def test_a_file_is_one_glb_of_a_json_and_a_binary_chunk(request_on, straight):
    data = glb(synthesize(request_on(straight(1.0))), PROVENANCE, load_motion())
    magic, version, total = struct.unpack_from("<4sII", data)
    length, kind = struct.unpack_from("<I4s", data, 12)
    document = json.loads(data[20 : 20 + length])
    assert (magic, version, total, kind) == (b"glTF", 2, len(data), b"JSON")
    assert document["animations"][0]["name"] == "advance" and len(document["skins"][0]["joints"]) == 22
