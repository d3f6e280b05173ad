"""What counts as alike, and figures of matches whose answer is known."""

from pathlib import Path

import numpy as np
import pytest

from bench.resemblance import FIGURES, Figure, Play, traits
from bench.simulator import judged
from pipeline.events.reader import read_log
from pipeline.events.sources.simulator import write

SHARE = Figure("Group", "share", "%", lambda _: 0.0)
SAMPLES = Figure("Group", "samples", "m", lambda _: np.zeros(1))


@pytest.fixture(scope="module")
def play(match, tmp_path_factory):
    (reading,) = read_log(write(tmp_path_factory.mktemp("log"), match)[0], log_id="x").matches.values()
    return Play.of(reading)


def test_a_share_is_inside_the_range_of_recorded_ones_and_outside_beyond_it():
    assert judged(SHARE, [0.2, 0.4, 0.3], [0.1, 0.5]).is_inside, "it is the mean that counts"
    outside = judged(SHARE, [0.2, 0.4, float("nan")], [0.5, 0.5])
    assert not outside.is_inside
    assert outside.off == pytest.approx(0.5), "in widths of the recorded range"


def test_samples_are_inside_if_no_stranger_than_the_strangest_recorded_match():
    recorded = [np.array([0.0, 1.0]), np.array([0.0, 1.0]), np.array([2.0, 3.0])]
    near, far = judged(SAMPLES, recorded, [np.array([2.0, 3.0])]), judged(SAMPLES, recorded, [np.array([9.0])])
    assert near.is_inside and not far.is_inside
    assert near.spread == pytest.approx(2.0), "of the third from the pool of the two others"


def test_every_figure_of_a_simulated_match_is_told_and_finite(play):
    found = traits(play)
    assert list(found) == [figure.key for figure in FIGURES]
    for figure in FIGURES:
        values = np.atleast_1d(np.asarray(found[figure.key]))
        assert values.size and np.isfinite(values).all(), figure.key


def test_figures_say_what_the_recording_knows(play, match):
    found = traits(play)
    rounds = match.recording.rounds
    assert found["Rounds: won by attackers"] == pytest.approx(np.mean([r.winner == "attackers" for r in rounds]))
    assert sorted(found["Rounds: length"]) == pytest.approx(sorted((r.end - r.live) / 64 for r in rounds), abs=0.002)
    kills = [sum(h.kind == "PLAYER_KILLED" for h in r.happenings) for r in rounds]
    assert sorted(found["Fights: kills a round"]) == sorted(kills)
    assert found["Recording: time between two positions"].max() == pytest.approx(125, abs=1)


def test_recorded_players_walk_half_of_their_time(shared_data):
    (reading,) = read_log(shared_data / "cs2" / "cs2-sf-mirage.jsonl.gz", log_id="x").matches.values()
    found = traits(Play.of(reading))
    assert 0.4 < found["Movement: walking"] < 0.55
    assert found["Movement: standing"] + found["Movement: walking"] + found["Movement: running"] == pytest.approx(1.0)
    assert len(found["Fights: kills a round"]) == 20


def test_the_page_is_the_programs():
    page = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")
    assert "python -m bench.simulator" in page
    for figure in FIGURES:
        assert f"| {figure.name} | {figure.unit} |" in page
    assert page.count("| yes |") > page.count("| **no** |")
