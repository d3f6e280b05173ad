import json
import math
import re
from pathlib import Path

import pytest

from configs.base import config_hash
from configs.intents import load_intents
from pipeline.intents.vocabulary import INTENTS

DOCS = Path(__file__).parents[2] / "docs"
QUOTED = re.compile(r"`(\w+)(?:\.(\w+))?: ([\d.]+)`")


@pytest.fixture(scope="module")
def page() -> str:
    return (DOCS / "intents.md").read_text(encoding="utf-8")


def test_every_figure_of_the_definitions_is_the_one_configured(page):
    labels = load_intents().labels
    quoted = QUOTED.findall(page)
    assert len(quoted) >= 25
    for name, field, value in quoted:
        configured = getattr(getattr(labels.rules, name), field) if field else getattr(labels, name)
        assert float(value) == configured, f"{name}.{field}"


def test_no_figure_stands_in_the_definitions_by_hand(page):
    rest = QUOTED.sub("", page)
    assert re.findall(r"\d+(?:\.\d+)? ?(?:s|m|mm|cm|deg|degrees|°|%)\b", rest) == []
    assert re.findall(r"\d+ ms", rest) == ["250 ms"]  # the grid, which is no threshold of a rule


def test_every_intent_is_defined_and_drawn(page):
    sections = re.findall(r"^## (\w+)$", page, flags=re.MULTILINE)
    assert tuple(sections) == INTENTS
    for intent in INTENTS:
        part = page.split(f"\n## {intent}\n")[1].split("\n## ")[0]
        assert all(
            word in part for word in ("**Means:**", "**Begins**", "**Against", f"images/intents/{intent}.png")
        ), intent
        picture = DOCS / "images" / "intents" / f"{intent}.png"
        assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size < 60_000


def test_weights_were_learned_for_the_rules_as_they_are():
    labels = load_intents().labels
    assert labels.weights_for == config_hash(labels.rules), "a threshold changed: run python -m bench.labels"


def test_the_prior_and_what_rules_are_worth_are_those_that_the_evaluation_measured():
    found = json.loads((DOCS / "evaluation.json").read_text(encoding="utf-8"))["by_series"]
    for intent, rows in zip(INTENTS, found["support"], strict=True):
        assert load_intents().prior[intent] == pytest.approx(rows / found["labelled"], abs=0.0006), intent
    measured = {rule["rule"]: rule["right"]["value"] for rule in found["rules"]}
    configured = {rule.name: rule.probability for rule in load_intents().heuristics}
    assert configured == {name: math.floor(100 * right) / 100 for name, right in measured.items()}


def test_the_page_of_figures_is_the_programs():
    page = (DOCS / "labels.md").read_text(encoding="utf-8")
    assert "python -m bench.labels" in page
    for name, weight in load_intents().labels.weights.items():
        assert f"| `{name}` | {weight:.2f} |" in page


def test_weights_with_which_an_intent_would_never_be_a_label_are_not_written():
    from bench.labels import mute

    labels = load_intents().labels
    assert mute(labels.weights, labels.least_probability) == []
    weak = labels.weights | {"retreat_enemy": 1.7, "retreat_save": 1.3, "rotate_sites": 1.5}
    assert mute(weak, labels.least_probability) == ["retreat"]  # rotations to the bomb still speak
