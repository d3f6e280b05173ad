import numpy as np
import pytest

from configs.motion import load_motion
from pipeline.intents.vocabulary import INTENTS
from pipeline.motion.clip import Clip
from pipeline.motion.measures import measure
from pipeline.motion.rotations import rotate
from pipeline.motion.skeleton import INDEX, OFFSETS, PARENTS, forward
from pipeline.motion.synthesizer import Infeasible, synthesize

SPEEDS = (0.0, 0.6, 1.3, 2.0, 2.6, 3.5, 4.8, 6.0)


def bend(clip: Clip, joint: str) -> np.ndarray:
    """Degrees about a joint's own x."""
    q = clip.rotations[:, INDEX[joint]]
    return np.degrees(2.0 * np.arctan2(q[:, 0] * np.sign(q[:, 3]), np.abs(q[:, 3])))


def ahead(clip: Clip, joint: str) -> np.ndarray:
    """Where a joint looks, x and z."""
    _, turned = forward(clip.rotations, clip.root)
    return rotate(turned[:, INDEX[joint]], np.array([0.0, 0.0, 1.0]))[:, [0, 2]]


def joints(clip: Clip) -> tuple[np.ndarray, np.ndarray]:
    """Places and rotations of all joints."""
    return forward(clip.rotations, clip.root)


@pytest.fixture(params=SPEEDS, ids=lambda v: f"{v} m/s")
def run(request, request_on, straight):
    asked = request_on(straight(request.param))
    return asked, synthesize(asked)


def test_standing_feet_stay_where_they_are(run):
    asked, clip = run
    figures = measure(clip, asked)
    assert figures["contact_slip_mps"] < 0.01 and figures["contact_slip_max_mps"] < 0.05
    assert figures["skating_ratio"] <= 0.03, "recorded people run with 0.036"
    assert clip.contacts.any(axis=0).all()


def test_the_body_follows_the_path(run):
    figures = measure(run[1], run[0])
    assert figures["path_ade_m"] <= 0.02 and figures["raw_path_max_m"] < 0.06


def test_feet_neither_sink_nor_float(run):
    figures = measure(run[1], run[0])
    assert figures["penetration_max_mm"] <= 1.0 and figures["floating_mm"] <= 1.0


def test_knees_never_bend_forwards_and_bones_keep_their_length(run):
    clip = run[1]
    for joint in ("L_Knee", "R_Knee"):
        assert bend(clip, joint).min() > 0.0 and bend(clip, joint).max() < 150.0
        assert np.abs(clip.rotations[:, INDEX[joint], 1:3]).max() < 1e-9
    positions, _ = forward(clip.rotations, clip.root)
    lengths = np.linalg.norm(positions[:, 1:] - positions[:, list(PARENTS[1:])], axis=-1)
    assert np.ptp(lengths, axis=0).max() < 1e-9 and np.allclose(lengths[0], np.linalg.norm(OFFSETS[1:], axis=-1))


def test_a_clip_has_the_frames_of_its_length_and_unit_quaternions(run):
    asked, clip = run
    assert clip.frames == (asked.to_ms - asked.from_ms) * 30 // 1000 + 1
    assert np.allclose(np.linalg.norm(clip.rotations, axis=-1), 1.0)
    assert np.all(np.sum(clip.rotations[1:] * clip.rotations[:-1], axis=-1) > 0.0)


@pytest.mark.parametrize(("speed", "stride", "period"), [(1.18, 1.31, 1.11), (1.63, 1.58, 0.97), (2.59, 1.94, 0.75)])
def test_strides_are_those_of_recorded_people_within_15_percent(request_on, straight, speed, stride, period):
    clip = synthesize(request_on(straight(speed, 12.0)))
    left = clip.footprints[clip.footprints[:, 4] == 0]
    assert np.median(np.diff(left[:, 0])) == pytest.approx(stride, rel=0.15)
    assert np.median(np.diff(left[:, 5])) == pytest.approx(period, rel=0.15)


def test_walkers_always_have_a_foot_down_and_runners_fly(request_on, straight):
    down = [
        np.median(np.diff(np.sort(clip.footprints[:, 5]))) - np.median(clip.footprints[:, 6] - clip.footprints[:, 5])
        for clip in (synthesize(request_on(straight(v, 10.0))) for v in (1.2, 4.5))
    ]
    assert down[0] < 0.0 < down[1]


@pytest.mark.parametrize("intent", INTENTS)
def test_every_intent_holds_its_feet_on_a_way_that_stops_and_turns_back(request_on, stop_and_go, intent):
    asked = request_on(stop_and_go, intent=intent, yaw_deg=0.0)
    clip = synthesize(asked)
    figures = measure(clip, asked)
    assert figures["contact_slip_mps"] < 0.01 and figures["path_ade_m"] <= 0.02
    assert figures["floating_mm"] <= 1.0 and figures["penetration_mm"] <= 1.0
    assert min(bend(clip, joint).min() for joint in ("L_Knee", "R_Knee")) > 0.0
    still = slice(0, 6)
    assert clip.contacts[still].all() or intent in ("plant", "defuse")


def test_runners_face_their_way_and_backpedallers_their_view(request_on, straight):
    forwards = synthesize(request_on(straight(4.0), yaw_deg=0.0))
    backwards = synthesize(request_on(straight(2.0), yaw_deg=180.0))
    sideways = synthesize(request_on(straight(3.0), yaw_deg=90.0, intent="engage"))
    assert ahead(forwards, "Pelvis")[:, 0].min() > 0.9
    assert ahead(backwards, "Pelvis")[:, 0].max() < -0.9
    assert ahead(sideways, "Pelvis")[:, 0].min() > 0.3 > ahead(sideways, "Head")[:, 0].max()
    assert ahead(sideways, "Head")[:, 1].max() < -0.5, "yaw 90° looks along -z"


def test_who_turns_on_the_spot_turns_by_steps(request_on, straight):
    yaw = np.clip((np.arange(56) - 20) * 15.0, 0.0, 150.0)
    clip = synthesize(request_on(straight(0.0), yaw_deg=yaw, intent="hold"))
    turned = np.degrees(np.ptp(np.unwrap(np.arctan2(*ahead(clip, "Pelvis").T))))
    assert turned > 100.0
    assert len(clip.footprints) >= 5 and not clip.contacts.all()
    still = synthesize(request_on(straight(0.0), yaw_deg=0.0, intent="hold"))
    assert still.contacts.all()


@pytest.mark.parametrize("intent", ["plant", "defuse"])
def test_who_plants_or_defuses_kneels_and_works_low(request_on, straight, intent):
    clip = synthesize(request_on(straight(0.0), intent=intent))
    positions, _ = forward(clip.rotations, clip.root)
    middle = clip.frames // 2
    assert clip.root[middle, 1] < 0.62 < 0.9 < clip.root[0, 1]
    assert 0.03 < positions[middle, INDEX["R_Knee"], 1] < 0.12
    assert positions[middle, [INDEX["L_Wrist"], INDEX["R_Wrist"]], 1].max() < 0.55
    upright = synthesize(request_on(straight(0.0), intent="hold"))
    assert upright.root[:, 1].min() > 0.9


def test_who_kneels_does_not_turn_with_the_view(request_on, straight):
    yaw = np.clip((np.arange(56) - 26) * 20.0, 0.0, 150.0)
    turned = {
        intent: np.degrees(np.ptp(np.unwrap(np.arctan2(*ahead(clip, "Pelvis").T)[40:-25])))
        for intent in ("defuse", "hold")
        for clip in [synthesize(request_on(straight(0.0), intent=intent, yaw_deg=yaw))]
    }
    assert turned["defuse"] < 15.0 < 60.0 < turned["hold"]


def test_who_peeks_leans_out_and_comes_back(request_on, straight):
    clip = synthesize(request_on(straight(0.0), intent="peek", yaw_deg=0.0))
    _, turned = forward(clip.rotations, clip.root)
    up = rotate(turned[:, INDEX["Spine3"]], np.array([0.0, 1.0, 0.0]))
    aside = np.abs(up[:, 2])
    assert aside.max() > 0.2 and aside[0] < 0.05 and aside[-1] < 0.12


def test_who_retreats_along_the_view_looks_back(request_on, straight):
    away = synthesize(request_on(straight(4.0), intent="retreat", yaw_deg=0.0))
    going = synthesize(request_on(straight(4.0), intent="rotate", yaw_deg=0.0))
    assert ahead(away, "Head")[:, 0].min() < 0.5 < 0.9 < ahead(going, "Head")[:, 0].min()


def test_shots_kick_and_a_hold_only_breathes(request_on, straight):
    hands = {}
    for intent in ("engage", "hold"):
        clip = synthesize(request_on(straight(0.0), intent=intent, yaw_deg=0.0))
        positions, _ = forward(clip.rotations, clip.root)
        hands[intent] = np.abs(np.diff(positions[:, INDEX["R_Wrist"]], axis=0)).max() * 30
    assert hands["engage"] > 0.2 > 0.1 > hands["hold"] > 0.0


def test_a_jumping_body_leaves_the_ground_and_lands(request_on, straight):
    way = straight(4.0)
    t = np.arange(len(way)) / 8.0
    height = np.where((t > 3.0) & (t < 3.76), 5.7 * (t - 3.0) - 7.62 * (t - 3.0) ** 2, 0.0)
    asked = request_on(way, height=height)
    clip = synthesize(asked)
    high = clip.root[:, 1] > 1.5
    assert high.any() and not clip.contacts[high].any() and clip.contacts[-20:].any()
    assert measure(clip, asked)["contact_slip_max_mps"] < 0.05


def test_climbing_feet_stand_at_the_height_of_the_stairs(request_on, straight):
    way = straight(2.0)
    asked = request_on(way, height=np.clip(0.6 * (way[:, 0] - 4.0), 0.0, 2.4))
    clip = synthesize(asked)
    assert np.ptp(clip.footprints[:, 1]) > 2.0
    figures = measure(clip, asked)
    assert figures["contact_slip_mps"] < 0.01 and figures["floating_mm"] <= 1.0


def test_the_same_request_gives_the_same_clip_and_another_seed_another(request_on, straight):
    first, again = (synthesize(request_on(straight(2.6))) for _ in range(2))
    other = synthesize(request_on(straight(2.6), seed=8))
    assert first.rotations.tobytes() == again.rotations.tobytes() and first.root.tobytes() == again.root.tobytes()
    assert first.rotations.tobytes() != other.rotations.tobytes()


def test_a_teleport_makes_no_clip(request_on, straight):
    way = straight(1.0)
    way[28:] += 20.0
    with pytest.raises(Infeasible, match="teleport"):
        synthesize(request_on(way))


def test_a_sparse_planar_way_still_walks_on_its_feet(request_on):
    way = np.stack([np.arange(12) * 3.0, np.zeros(12)], axis=-1)
    asked = request_on(way, every_ms=1000, margin=2, height=None)
    clip = synthesize(asked)
    figures = measure(clip, asked)
    assert figures["contact_slip_mps"] < 0.01 and figures["path_deviation_max_m"] <= load_motion().path.bound_m


def test_real_players_are_followed_with_feet_that_hold(real_tracks):
    from pipeline.motion.moments import clip_request

    rng = np.random.default_rng(0)
    players = real_tracks["player"].unique().sort().to_list()
    made = 0
    for k, intent in enumerate(INTENTS * 2):
        player = players[k % len(players)]
        own = real_tracks.filter(player=player)
        begin = int(own["t_ms"][int(rng.integers(0, own.height - 60))])
        segment = {
            "match_id": "m",
            "segment_id": f"{k:016x}",
            "player": player,
            "round": None,
            "side": "terrorists",
            "from_ms": begin,
            "to_ms": begin + 4000,
            "intent": intent,
        }
        try:
            asked = clip_request(segment, real_tracks)
            clip = synthesize(asked)
        except Infeasible as reason:
            assert "teleport" in str(reason) or "position" in str(reason)
            continue
        made += 1
        figures = measure(clip, asked)
        assert figures["contact_slip_mps"] < 0.01 and figures["path_ade_m"] < 0.03 and figures["raw_path_ade_m"] < 0.10
        assert min(bend(clip, joint).min() for joint in ("L_Knee", "R_Knee")) > -1e-6
    assert made >= 14


def test_the_head_of_who_goes_to_and_fro_stays_calmer_than_the_pelvis(request_on):
    t = np.arange(64) / 8.0
    way = np.stack([np.zeros(t.size), 0.3 * np.sin(2.0 * np.pi * t / 0.9)], axis=-1)
    positions, _ = joints(synthesize(request_on(way, intent="hold", yaw_deg=0.0)))
    pelvis, head = (np.ptp(positions[:, INDEX[name], 2]) for name in ("Pelvis", "Head"))
    assert pelvis > 0.15 and head < 0.75 * pelvis
    straight = np.stack([3.0 * t, np.zeros(t.size)], axis=-1)
    positions, _ = joints(synthesize(request_on(straight, intent="rotate", yaw_deg=0.0)))
    assert np.ptp(positions[:, INDEX["Head"], 0] - positions[:, INDEX["Pelvis"], 0]) < 0.1


def test_small_shifts_are_made_over_planted_feet(request_on):
    t = np.arange(64) / 8.0
    clips = []
    for size in (0.08, 0.6):
        way = np.stack([np.zeros(t.size), size * np.sin(2.0 * np.pi * t / 1.2)], axis=-1)
        clips.append(synthesize(request_on(way, intent="hold", yaw_deg=0.0)))
    few, many = (np.abs(np.diff(clip.contacts.astype(int), axis=0)).sum() for clip in clips)
    assert few <= 2 < 8 < many
