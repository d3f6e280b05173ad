"""Interleaved matches are dealt out once; matches one behind the other are left where they are."""

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from configs.events import load_events
from pipeline.events.dealing import dealt
from pipeline.events.drafts import Draft, Drafts
from pipeline.events.survey import survey

LINES = load_events().lines.model_copy(update={"batch_rows": 10, "frame_rows": 9, "held_rows": 0})
MATCHES = ("a", "b", "c", "d")


class Counted:
    """Frames that count how often one is read."""

    def __init__(self, frames):
        self.frames, self.read = frames, 0

    def __len__(self):
        return len(self.frames)

    def __getitem__(self, place):
        self.read += 1
        return self.frames[place]


def drafts(names):
    log = Drafts(LINES)
    for line, name in enumerate(names, 1):
        log.add(Draft(name, 0, f"e{line}", "WEAPON_FIRED", 10 * line, line, actor=f"player:{name}"))
    return Counted(log)


def events(frames, seen, name):
    return pl.concat([frames[place].filter(pl.col("match_id") == name) for place in seen.places])


@pytest.mark.parametrize("held_rows", [0, 25, 1000])
def test_each_match_of_an_interleaved_log_reads_its_own_events(held_rows):
    log = drafts(MATCHES * 20)
    known = survey(log)
    expected = {name: events(log, known[name], name) for name in MATCHES}
    log.read = 0
    frames, found = dealt(log, known, LINES.model_copy(update={"held_rows": held_rows}))
    assert log.read == len(log) and frames is not log
    for name in MATCHES:
        assert found[name].spans == known[name].spans
        assert_frame_equal(events(frames, found[name], name), expected[name])
        assert all(frames[place]["match_id"].unique().to_list() == [name] for place in found[name].places)
    assert log.read == len(log)


def test_matches_one_behind_the_other_stay_where_they_are():
    log = drafts(name for name in MATCHES for _ in range(20))
    known = survey(log)
    log.read = 0
    assert dealt(log, known, LINES) == (log, known)
    assert log.read == 0
