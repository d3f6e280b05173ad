"""What MLflow keeps of each version for people and programs that never saw its training."""

import json

import pytest
from mlflow.types import Schema

from pipeline.features.definition import NAMES
from pipeline.intents.card import CARD, SIGNATURE, changes, signature
from pipeline.intents.vocabulary import PROBABILITIES
from resources.registry import ModelNotFound


def test_documents_come_back_as_they_were_kept(registry, model):
    kept = {CARD: b"# card", "reliability.png": b"\x89PNG", SIGNATURE: b"{}"}
    version = registry.register(model(1), {"log_loss": 0.7}, kept, "# card").version
    assert registry.documents(version) == kept
    assert registry.documents(registry.register(model(2), {}).version) == {}
    with pytest.raises(ModelNotFound):
        registry.documents("none")


@pytest.mark.parametrize("lines", [1, 400])
def test_mlflow_shows_the_card_on_the_versions_page_cut_to_what_it_takes(registry, model, lines):
    card = "# card\n" + "a line of it\n" * lines
    number = registry.register(model(1), {}, {CARD: card.encode()}, card).number
    shown = registry._client.get_model_version("intent", str(number)).description
    assert len(shown) <= 5000
    assert (shown == card) == (lines == 1)
    assert shown == card or shown.endswith("a line of it\n\n(cut here; the whole of it is among the documents)\n")


def test_the_signature_is_what_mlflow_itself_reads(model):
    found = json.loads(signature(model(1)))
    inputs, outputs = (Schema.from_json(json.dumps(found[side])) for side in ("inputs", "outputs"))
    assert inputs.input_names() == list(NAMES)
    assert {each.name for each in inputs.input_types()} == {"float"}
    assert inputs.required_input_names() == []
    assert outputs.input_names() == list(PROBABILITIES)
    assert outputs.required_input_names() == list(PROBABILITIES)


def test_what_two_trainings_differ_in_is_said_in_words(model):
    from dataclasses import replace

    one = replace(model(1).manifest, matches=("a", "b"), rows=1000, held_out=("b",))
    assert changes(one, one) == []
    other = replace(one, matches=("b", "c", "d"), rows=1200, held_out=("b", "d"), label_version="newer")
    other = replace(other, libraries=dict(one.libraries) | {"lightgbm": "9.9"})
    assert changes(one, other) == [
        "new matches (2): c, d",
        "matches gone (1): a",
        "1,200 labelled rows, +200",
        "held out from training now: d",
        "changed: code of the labels",
        f"lightgbm {one.libraries['lightgbm']} → 9.9",
    ]
    relabelled = replace(one, rows_sha256="0")
    assert changes(one, relabelled) == [
        "as many labelled rows of the same matches, but other labels or features in them"
    ]
