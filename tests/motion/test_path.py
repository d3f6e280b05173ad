import numpy as np
import pytest

from configs.motion import load_motion
from pipeline.motion.path import Infeasible, plan, smooth


@pytest.fixture
def planned(request_on):
    config = load_motion()
    return lambda way, **changes: plan(request_on(way, **changes), config.clips, config.path)


def test_a_straight_way_stays_straight_and_has_its_speed(planned, straight):
    path = planned(straight(4.0))
    assert np.allclose(path.ground[path.clip][:, 1], 0.0) and np.allclose(path.speed[path.clip], 4.0, atol=0.02)
    assert path.deviation.max() < 0.001
    assert np.allclose(path.ground[path.clip][0], [0.0, 0.0], atol=1e-3) and path.origin[0] == pytest.approx(6.0)


def test_a_corner_is_rounded_by_no_more_than_the_stated_bound(planned, straight):
    leg = straight(4.7, 4.0)
    path = planned(np.concatenate([leg, leg[-1] + leg[1:, ::-1]]))
    assert 0.02 < path.deviation.max() <= load_motion().path.bound_m
    assert np.abs(np.diff(path.velocity[path.clip], axis=0)).max() < 0.6 * 4.7, "the corner is spread over frames"


def test_who_turns_back_at_full_speed_does_so_over_frames_and_within_the_bound(planned):
    speed = 4.7 * np.where((np.arange(64) // 8) % 2 == 0, 1.0, -1.0)
    path = planned(np.stack([np.cumsum(speed) / 8.0, np.zeros(64)], axis=-1))
    assert path.deviation.max() <= load_motion().path.bound_m
    change = np.hypot(*np.diff(path.velocity[path.clip], axis=0).T)
    assert change.max() < 0.3 * 9.4, "nobody turns round in three frames"


def test_a_teleport_is_infeasible_and_the_reason_says_when(planned, straight):
    way = straight(2.0)
    way[30:, 1] += 12.0
    with pytest.raises(Infeasible, match=r"teleport after 3625 ms: 12\.0 m in 0\.125 s"):
        planned(way)


def test_a_teleport_in_the_margin_only_shortens_the_margin(planned, straight):
    way = straight(2.0)
    way[:3, 1] += 50.0
    assert planned(way).deviation.max() < 0.01


def test_a_long_gap_is_not_interpolated(planned, straight, request_on):
    whole = request_on(straight(1.0))
    kept = (whole.t_ms < 2000) | (whole.t_ms > 5000)
    thin = {name: getattr(whole, name)[kept] for name in ("t_ms", "x_mm", "y_mm", "z_mm", "yaw_mdeg", "pitch_mdeg")}
    config = load_motion()
    with pytest.raises(Infeasible, match="no position for"):
        plan(request_on(straight(1.0), **thin), config.clips, config.path)


@pytest.mark.parametrize(("changes", "reason"), [({"to_ms": 1500}, "ms"), ({"to_ms": 30_000}, "30000|28500")])
def test_a_clip_of_no_length_or_too_long_is_infeasible(planned, straight, changes, reason):
    with pytest.raises(Infeasible, match=reason):
        planned(straight(1.0, 40.0), from_ms=1500, **changes)


def test_one_frame_is_no_clip_and_two_are(planned, straight):
    way = straight(0.0, 0.5)
    with pytest.raises(Infeasible, match="a clip of 33 ms; possible are 34 to"):
        planned(way, every_ms=10, margin=0, from_ms=0, to_ms=33)
    path = planned(way, every_ms=10, margin=0, from_ms=0, to_ms=34)
    assert path.clip.stop - path.clip.start == 2


def test_too_few_samples_are_infeasible(planned, straight):
    with pytest.raises(Infeasible, match="2 positions in the clip"):
        planned(straight(1.0, 4.0), from_ms=1500, to_ms=1700)


def test_a_planar_source_walks_on_a_floor_at_zero(planned, straight):
    path = planned(straight(3.0), height=None)
    assert not path.floor.any() and not path.air.any() and path.origin[1] == 0.0


def test_a_sparse_way_is_never_faster_than_people_run_or_its_samples_are(planned):
    way = np.array([[0, 0], [4, 0], [8, 0.5], [8, 4.5], [8, 9], [12, 9], [16, 9], [20, 9]], dtype=float)
    path = planned(way, every_ms=1000, margin=1, height=None)
    fastest = np.hypot(*np.diff(way, axis=0).T).max()
    assert path.speed[path.clip].max() <= 1.01 * max(fastest, load_motion().path.running_mps)
    assert path.seldom and path.gap_s == pytest.approx(1.0)
    assert path.deviation.max() <= load_motion().path.bound_m


def test_a_jump_flies_and_stairs_do_not(planned, straight):
    way = straight(4.0)
    t = np.arange(len(way)) / 8.0
    jump = np.where((t > 3.0) & (t < 3.76), 5.7 * (t - 3.0) - 7.62 * (t - 3.0) ** 2, 0.0)
    flight = planned(way, height=jump)
    assert flight.air.max() > 0.8 and np.abs(flight.floor).max() < 0.15
    assert 0.5 < flight.flying.sum() / 30.0 < 1.2
    stairs = planned(way, height=np.clip(0.6 * (way[:, 0] - 8.0), 0.0, 3.0))
    assert not stairs.flying.any() and stairs.floor[-1] - stairs.floor[0] == pytest.approx(3.0, abs=0.01)


def test_without_a_view_the_player_looks_where_they_go(planned, straight):
    assert np.allclose(planned(straight(2.0)).view, 0.5 * np.pi, atol=0.01)
    assert np.allclose(planned(straight(2.0)[:, ::-1]).view, 0.0, atol=0.01)
    assert np.allclose(planned(straight(2.0), yaw_deg=90.0).view, np.pi, atol=1e-6)


def test_smoothing_keeps_lines_and_end_points():
    line = np.stack([np.linspace(0, 5, 40), np.linspace(3, -1, 40)], axis=-1)
    assert np.allclose(smooth(line, 4.0), line)
    noisy = np.random.default_rng(0).normal(size=40)
    assert smooth(noisy, 3.0)[0] == pytest.approx(noisy[0]) and smooth(noisy, 3.0).std() < 0.6 * noisy.std()


def test_who_goes_to_and_fro_goes_nowhere_and_is_followed_less_closely(planned):
    t = np.arange(64) / 8.0
    still, running = (
        planned(np.stack([size * np.sin(2.0 * np.pi * t / 0.9), 4.0 * go * t], axis=-1))
        for size, go in ((0.25, 0.0), (0.0, 1.0))
    )
    assert still.restless[still.clip].min() > 0.9 and running.restless.max() == 0.0
    assert still.pace[still.clip].max() < 0.25 < np.median(still.speed[still.clip])
    assert np.array_equal(running.pace, running.speed)
    config = load_motion().path
    assert still.deviation.mean() <= config.mean_m + 1e-9 and still.deviation.max() <= config.bound_m
