import io

import numpy as np
from PIL import Image

from assets.plots import Trail, trails
from assets.reports import labels as reported
from pipeline.intents.labels import label


def drawn(**more):
    way = Trail("", "#111111", np.array([0.0, 1, 2, 3]), np.array([0.0, 0, 0, 0]), (1, 3), facing=0.0, **more)
    enemy = Trail("", "#C2410C", np.array([0.0, 0, 0, 0]), np.array([6.0, 6, 5, 5]), (1, 3), ends=True)
    return trails(
        [way, enemy],
        [("SITE A", 1, 3)],
        "advance",
        [(0, 1, "begins")],
        [("who", "#111111")],
        shown=[(0, 0), (0, 6)],
        step_s=0.25,
    )


def test_ways_are_drawn_the_same_each_time_and_small():
    png = drawn()
    assert png == drawn() and len(png) < 60_000
    image = np.array(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    near = [(np.abs(image - colour).sum(axis=2) < 60).sum() for colour in ((17, 17, 17), (194, 65, 12))]
    assert all(count > 100 for count in near)
    assert drawn(ends=True) != png


def test_an_analyst_is_told_how_far_the_rules_answer(scene):
    shown = reported(label(*scene({"a": [(0.0, 0.0)] * 20 + [(0.3 * step, 0.0) for step in range(8)]})))
    assert shown["coverage_percent"] < 100 and shown["voted_percent"] >= shown["coverage_percent"]
    assert shown["conflict_percent"] <= shown["overlap_percent"]
    assert "| hold_stay | hold |" in shown["rules"].value and "class_balance" in shown
