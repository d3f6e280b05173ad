"""What all vectors have in common: lengths, cuts, batches, names, and that no two encoders are mixed."""

import numpy as np
import pytest
from pydantic import ValidationError

from bench import retrieval
from configs.encoders import EncodersConfig, EncoderSpec
from pipeline.embeddings.encoder import (
    Identity,
    MixedEncoders,
    UselessVectors,
    WrongDimension,
    batches,
    finished,
    only_one,
)
from pipeline.embeddings.texts import rows, text_hash, unknown, vectors_of
from pipeline.tables import SchemaViolation, conform


def _identity(encoders: EncodersConfig, name: str = "qwen3-06b", **changes: object) -> Identity:
    spec = encoders.encoders[name].model_copy(update={"dimension": 8, "least": 2, **changes})
    return Identity.of(name, spec, "r1")


def test_vectors_are_cut_and_then_of_length_1(encoders: EncodersConfig) -> None:
    raw = np.random.default_rng(1).standard_normal((5, 8))
    out = finished(raw, _identity(encoders, keep=4), 8)
    assert out.shape == (5, 4)
    assert np.allclose(out, raw[:, :4] / np.linalg.norm(raw[:, :4], axis=1, keepdims=True), atol=1e-6)
    assert finished(np.empty((0, 8)), _identity(encoders), 8).shape == (0, 8)


def test_vectors_of_another_length_or_without_direction_are_refused(encoders: EncodersConfig) -> None:
    with pytest.raises(WrongDimension, match=r"gives 7 values.*says 8"):
        finished(np.ones((2, 7)), _identity(encoders), 8)
    for bad in (0.0, np.nan, np.inf):
        raw = np.ones((3, 8))
        raw[1] = bad
        with pytest.raises(UselessVectors, match="1 of 3"):
            finished(raw, _identity(encoders), 8)


def test_batches_hold_every_text_once_and_no_more_than_they_may() -> None:
    lengths = np.random.default_rng(2).integers(1, 200, 300).tolist()
    found = list(batches(lengths, tokens=1000, most=16))
    assert sorted(np.concatenate(found).tolist()) == list(range(300))
    for places in found:
        size = [lengths[place] for place in places]
        assert len(size) <= 16
        assert len(size) * max(size) <= 1000
        assert size == sorted(size, reverse=True)
    assert [len(p) for p in batches([5000], tokens=1000, most=16)] == [1]  # a text that is too long goes alone


def test_whatever_changes_a_vector_changes_the_key(encoders: EncodersConfig) -> None:
    base = _identity(encoders)
    keys = {base.key, _identity(encoders, keep=4).key, _identity(encoders, query="ask: {text}").key,
            _identity(encoders, max_tokens=64).key, _identity(encoders, model="Qwen/other").key,
            Identity.of("qwen3-06b", encoders.encoders["qwen3-06b"], "r2").key}  # fmt: skip
    assert len(keys) == 6
    assert _identity(encoders).key == base.key
    assert text_hash("a") != text_hash("a", "query")
    assert unknown(["b", "a", "b"], [text_hash("a")]) == ["b"]


def test_vectors_of_two_encoders_are_never_one_table(encoders: EncodersConfig) -> None:
    one, other = _identity(encoders), Identity.of("qwen3-06b", encoders.encoders["qwen3-06b"], "r2")
    unit = np.eye(8, dtype=np.float32)
    first, second = rows(["a", "b"], unit[:2], one), rows(["c"], unit[2:3], one)
    assert conform("embeddings", first.vstack(second)).height == 3
    assert np.array_equal(vectors_of(first, one), unit[:2])
    mixed = first.vstack(second.with_columns(encoder_key=first["encoder_key"][:1] + "x"))
    with pytest.raises(SchemaViolation, match="one_encoder"):
        conform("embeddings", mixed)
    with pytest.raises(MixedEncoders, match="cannot be compared"):
        vectors_of(mixed, one)
    with pytest.raises(MixedEncoders, match="are due"):
        vectors_of(first, other)
    assert only_one([]) is None
    with pytest.raises(SchemaViolation, match="whole"):
        conform("embeddings", first.with_columns(dimension=first["dimension"] + 1))
    with pytest.raises(SchemaViolation, match="directed"):
        conform("embeddings", rows(["a"], 2.0 * unit[:1], one))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"query": "no place"}, "has to hold"),
        ({"keep": 16}, "not between"),
        ({"keep": 1024 - 1, "least": None}, "not trained to be cut"),
        ({"pooling": None}, "does not go with"),
        ({"dimension": 0}, "dimension"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_an_encoder_that_cannot_be_is_refused(changes: dict[str, object], words: str, encoders: EncodersConfig) -> None:
    values = encoders.encoders["qwen3-06b"].model_dump() | changes
    with pytest.raises(ValidationError, match=words):
        EncoderSpec.model_validate(values)


def test_the_configured_encoders_are_those_of_the_model_cards(encoders: EncodersConfig) -> None:
    sizes = {name: spec.dimension for name, spec in encoders.encoders.items()}
    assert sizes == {"minilm": 384, "qwen3-8b": 4096, "qwen3-4b": 2560, "qwen3-06b": 1024, "qwen25-15b": 1536,
                     "gemini": 3072}  # fmt: skip
    for name in ("qwen3-8b", "qwen3-4b", "qwen3-06b"):
        assert encoders.encoders[name].pooling == "last"
        assert encoders.encoders[name].query.startswith("Instruct: ")
    wrong = encoders.model_dump() | {"packaged": "gemini"}
    with pytest.raises(ValidationError, match="no packaged encoder"):
        EncodersConfig.model_validate(wrong)


def test_the_page_is_what_the_program_says_of_the_encoders(encoders: EncodersConfig) -> None:
    page = retrieval.PATH.read_text()
    assert "\n".join(retrieval._table(encoders.encoders)) in page
    assert page.startswith(retrieval._INTRODUCTION)
    assert retrieval._CHOICE in page
    measured = {line.split("|")[2].strip(" `") for line in page.splitlines() if line.startswith(("| para", "| way to"))}
    (missing,) = [line for line in page.splitlines() if line.startswith("Not measured")]
    assert encoders.packaged in measured  # which nobody has to fetch
    assert measured | {name for name in encoders.encoders if f"`{name}`" in missing} == set(encoders.encoders)
    assert not any(f"`{name}`" in missing for name in measured)
