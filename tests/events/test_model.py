"""Words, units and limits that every reader shares."""

import numpy as np
import pytest
from pydantic import ValidationError

from configs.events import load_events
from configs.maps import load_maps
from configs.titles import Title, TitlesConfig, load_titles
from pipeline.events.model import EVENT_TYPES, TYPE_RANK, is_attacker
from pipeline.events.units import title_mm


@pytest.mark.parametrize(
    "side, attacks",
    [
        ("terrorists", True),
        ("Counter-Terrorists", False),
        ("attacker", True),
        (" defenders ", False),
        ("blue", None),
        ("audience", None),
        (None, None),
    ],
)
def test_the_words_of_every_source_say_who_attacks(side, attacks):
    assert is_attacker(side) is attacks


def test_types_have_one_place_each():
    assert len(set(EVENT_TYPES)) == 20 == len(TYPE_RANK)
    assert TYPE_RANK["MATCH_STARTED"] == 0 and TYPE_RANK["OTHER"] == 19


@pytest.mark.parametrize(
    "name, at, expected",
    [
        ("csgo", (100.0, 200.0, 10.0), (1905, 190, -3810)),
        ("CS2", (100.0, 200.0, None), (1905, None, -3810)),
        ("val", (100.0, 200.0, None), (1000, None, 2000)),
        ("chess", (1.5, 2.0, None), (1500, None, 2000)),
        (None, (0.0005, 0.0015, 1.0), (0, 1000, 2)),
    ],
)
def test_a_position_becomes_millimetres_with_y_up(name, at, expected):
    x, y, z = title_mm(load_titles().find(name), np.array([at], dtype=float), max_m=1e4)[0].tolist()
    assert (x, None if np.isnan(y) else y, z) == expected


@pytest.mark.parametrize("x", [float("nan"), float("inf"), 1e9])
def test_a_position_beyond_belief_is_nan_and_its_neighbours_are_not(x):
    positions = np.array([[x, 0.0, np.nan], [100.0, 0.0, np.nan]])
    assert np.isnan(title_mm(load_titles().find("cs2"), positions, max_m=1e4)[:, 0]).tolist() == [True, False]


def test_maps_answer_to_the_short_names_of_grid():
    maps = load_maps()
    assert maps.canonical_name("Mirage") == "de_mirage" == maps.canonical_name("de_mirage")
    assert maps.objectives("inferno") == maps.objectives("de_inferno") and len(maps.objectives("inferno")) == 2
    assert maps.canonical_name("moon") == "moon" and maps.objectives("moon") == () == maps.objectives(None)


def test_axes_that_forget_one_are_refused():
    with pytest.raises(ValidationError, match="once each"):
        Title(unit_m=1.0, axes=("x", "-x", "z"))


def test_one_name_for_two_titles_is_refused():
    title = Title(unit_m=1.0, axes=("x", "y", "z"), aliases=("b",))
    with pytest.raises(ValidationError, match="unique"):
        TitlesConfig(titles={"a": title, "b": title}, roles={}, unknown=title)


def test_limits_hold_together():
    config = load_events()
    assert config.lines.max_line_bytes < 10_000_000 and config.snapshots.unchanged_ms == 500
    assert config.validity.max_position_m * 1000 < 2**31
