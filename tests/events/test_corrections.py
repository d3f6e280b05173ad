"""Which events of a correcting feed stand."""

from dataclasses import dataclass

import pytest

from pipeline.events.corrections import is_inverse, standing


@dataclass
class Told:
    event_id: str
    type: str
    reverted_id: str | None = None


def test_what_is_named_falls_with_what_names_it_and_the_markers():
    feed = [
        Told("1", "series-started-game"),
        Told("2", "game-started-round"),
        Told("3", "grid-invalidated-series"),
        Told("4", "game-!started-round", "2"),
        Told("5", "grid-validated-series"),
        Told("6", "game-started-round"),
    ]
    assert standing(feed) == [True, False, False, False, False, True]


def test_an_ordinary_event_in_an_invalidated_stretch_stands():
    feed = [Told("1", "grid-invalidated-series"), Told("2", "player-killed-player"), Told("3", "grid-validated-series")]
    assert standing(feed) == [False, True, False]


def test_an_inverse_without_a_name_falls_alone():
    assert standing([Told("1", "game-set-clock"), Told("2", "game-!set-clock")]) == [True, False]


def test_naming_an_event_that_never_came_harms_nothing():
    assert standing([Told("1", "a-b-c"), Told("2", "a-!b-c", "gone")]) == [True, False]


@pytest.mark.parametrize("event_type, inverse", [("game-!set-clock", True), ("game-set-clock", False), ("wow!", False)])
def test_an_inverse_is_known_by_its_action(event_type, inverse):
    assert is_inverse(event_type) is inverse
