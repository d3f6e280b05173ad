import json
import struct
from dataclasses import replace

import numpy as np
import pygltflib
import pytest

from configs.motion import load_motion
from pipeline.intents.vocabulary import INTENTS
from pipeline.motion.gltf import glb
from pipeline.motion.keyframes import keep, loss
from pipeline.motion.measures import contact_slip, path_error, skating_ratio, smoothness
from pipeline.motion.rotations import about, unit
from pipeline.motion.skeleton import INDEX, JOINTS, forward
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
    floor = np.zeros((clip.frames, 2))
    assert skating_ratio(read.positions, floor, clip.fps) <= skating_ratio(positions, floor, clip.fps) + 0.01
    assert smoothness(read.positions, clip.fps)["jitter_mps3"] < 700.0


def test_keys_that_curves_reproduce_are_left_out(read_glb, request_on, straight):
    clip = synthesize(request_on(straight(1.3)))
    assert read_glb(glb(clip, PROVENANCE)).keys < 23 * clip.frames / 4
    still = synthesize(request_on(straight(0.0), intent="hold"))
    assert read_glb(glb(still, PROVENANCE)).keys < 23 * still.frames / 6


@pytest.mark.parametrize("speed", [0.0, 1.3, 4.8])
def test_what_curves_lose_is_less_than_can_be_seen(request_on, straight, speed):
    clip = synthesize(request_on(straight(speed), intent="hold" if speed == 0.0 else "advance"))
    export = load_motion().export
    root, joints = keep(clip, export)
    away = loss(clip, root, joints)
    assert away.max() <= export.most_m <= 0.001 and np.percentile(away, 99) <= export.most_99_m <= 0.0001
    strict = keep(clip, export.model_copy(update={"most_99_m": 2e-5}))
    assert np.percentile(loss(clip, *strict), 99) <= 2e-5
    assert sum(c.frames.size for c in strict[1]) > sum(c.frames.size for c in joints)
    straightened = [replace(c, tangents_in=0.0 * c.tangents_in, tangents_out=0.0 * c.tangents_out) for c in joints]
    assert speed == 0.0 or loss(clip, root, straightened).max() > 10 * away.max()


def test_what_curves_cannot_lose_is_not_lost_whatever_it_costs(request_on, straight):
    clip = synthesize(request_on(straight(4.0)))
    strict = load_motion().export.model_copy(update={"most_99_m": 1e-12, "most_m": 1e-12})
    root, joints = keep(clip, strict)
    assert loss(clip, root, joints).max() < 1e-6
    assert root.frames.size > keep(clip, load_motion().export)[0].frames.size


def test_between_frames_curves_are_nearer_to_a_smooth_motion_than_lines_from_frame_to_frame(straight, request_on):
    turn = 1.2 * np.sin(2.0 * np.pi * 1.4 * np.arange(300) / 60.0)  # 30 frames/s, and the middles between
    clip = synthesize(request_on(straight(0.0), intent="hold"))
    swinging = np.repeat(clip.rotations[:1], 150, axis=0)
    swinging[:, INDEX["L_Shoulder"]] = about(0, turn[::2])
    moved = replace(clip, rotations=swinging, root=np.repeat(clip.root[:1], 150, axis=0))
    curve = keep(moved, load_motion().export)[1][INDEX["L_Shoulder"]]
    assert curve.frames.size < 40
    clock = np.arange(298) / 2.0
    k = np.clip(np.searchsorted(curve.frames, clock, side="right") - 1, 0, curve.frames.size - 2)
    span = np.diff(curve.frames)[k][:, None]
    u = (clock - curve.frames[k])[:, None] / span
    drawn = unit(
        (2 * u**3 - 3 * u**2 + 1) * curve.values[k]
        + span * (u**3 - 2 * u**2 + u) * curve.tangents_out[k]
        + (3 * u**2 - 2 * u**3) * curve.values[k + 1]
        + span * (u**3 - u**2) * curve.tangents_in[k + 1]
    )
    truth = about(0, turn[:298])
    lines = unit(truth[0:-2:2] + truth[2::2])
    off, straight_off = (np.linalg.norm(a - b, axis=-1).max() for a, b in ((drawn, truth), (lines, truth[1:-1:2])))
    assert off < 0.5 * straight_off


def test_what_moves_is_cubic_floats_and_what_stands_still_two_short_keys(request_on, straight):
    document = pygltflib.GLTF2.load_from_bytes(glb(synthesize(request_on(straight(1.3))), PROVENANCE))
    animation, kinds = document.animations[0], {}
    for channel in animation.channels:
        sampler = animation.samplers[channel.sampler]
        output, times = document.accessors[sampler.output], document.accessors[sampler.input]
        assert output.count == times.count * (3 if sampler.interpolation == "CUBICSPLINE" else 1)
        kinds[document.nodes[channel.target.node].name, channel.target.path] = (
            sampler.interpolation,
            output.componentType,
            output.normalized,
        )
    assert kinds["L_Knee", "rotation"] == kinds["Pelvis", "translation"] == ("CUBICSPLINE", 5126, False)
    assert kinds["L_Wrist", "rotation"] == ("LINEAR", 5122, True)
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
