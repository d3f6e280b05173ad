"""Vectors in the store: each text once per encoder, what is done is kept, and nothing is mixed."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from configs.encoders import EncodersConfig
from pipeline.embeddings.encoder import MixedEncoders
from resources.encoders import Encoders, ModelMissing
from resources.settings import Settings
from resources.store import Store
from resources.text_vectors import NotEmbedded, TextReader, TextVectors

TEXTS = [f"text number {k}" for k in range(10)]


def test_a_text_is_embedded_once(store: Store, words: Any) -> None:
    first = TextVectors(store, words)
    done = first.ensure([*TEXTS, TEXTS[0]])
    assert (done.new, done.known, done.parts) == (10, 0, 1)
    again = TextVectors(store, words)
    done = again.ensure([*TEXTS, "a new one"])
    assert (done.new, done.known, done.parts) == (1, 10, 1)
    assert len(words.asked) == 11
    assert np.array_equal(again.of(TEXTS), first.of(TEXTS))
    assert np.array_equal(again.of([TEXTS[3], TEXTS[1]]), words.encode([TEXTS[3], TEXTS[1]]))
    assert again.of([]).shape == (0, words.dimension)


def test_another_encoder_embeds_anew_under_its_own_key_and_keeps_the_old(store: Store, words: Any) -> None:
    TextVectors(store, words).ensure(TEXTS)
    other = replace(words, revision="words-2", asked=[])
    assert TextVectors(store, other).ensure(TEXTS).new == 10
    assert len(store.keys("embeddings")) == 2
    assert len(TextVectors(store, words).parts()) == 1
    assert TextVectors(store, words).ensure(TEXTS).new == 0
    rows = store.read_table("embeddings", TextVectors(store, other).parts()[0])
    assert rows["revision"].unique().to_list() == ["words-2"]
    assert rows["encoder"].unique().to_list() == ["minilm"]


def test_what_was_done_before_it_broke_off_is_kept(store: Store, words: Any, encoders: EncodersConfig) -> None:
    small = encoders.model_copy(update={"part": 4})
    words.fails_after = 8
    with pytest.raises(OSError, match="gave up"):
        TextVectors(store, words, small).ensure(TEXTS)
    assert len(store.keys("embeddings")) == 2
    words.fails_after = None
    assert TextVectors(store, words, small).ensure(TEXTS).new == 2


def test_queries_are_known_apart_and_what_is_missing_is_named(store: Store, words: Any) -> None:
    vectors = TextVectors(store, words)
    vectors.ensure(TEXTS)
    assert vectors.ensure(TEXTS[:2], "query").new == 2
    with pytest.raises(NotEmbedded, match=r"1 of 2.*'unheard of'.*gridmotion embed"):
        vectors.of([TEXTS[0], "unheard of"], make=False)


def test_a_part_under_a_wrong_name_is_found_out(store: Store, words: Any) -> None:
    other = replace(words, revision="words-2", asked=[])
    TextVectors(store, other).ensure(TEXTS)
    (name,) = TextVectors(store, other).parts()
    wrong = f"{words.identity.key}-{name.rpartition('-')[2]}"
    store.write(store.part_path("embeddings", wrong), store.read(store.part_path("embeddings", name)))
    with pytest.raises(MixedEncoders, match="are due"):
        TextVectors(store, words).of(TEXTS)


def test_a_reader_opens_nothing_before_it_reads_and_names_what_decides_its_vectors(store: Store, words: Any) -> None:
    class Counted(Encoders):
        opened = 0

        def open(self, name: str | None = None, **_: Any) -> Any:
            Counted.opened += 1
            return words

    reader = TextReader(store, Counted(Settings()))
    assert Counted.opened == 0
    assert np.array_equal(reader.encode(TEXTS[:3]), words.encode(TEXTS[:3]))
    assert (reader.name, reader.dimension) == (words.identity.key, words.dimension)
    assert Counted.opened == 1
    assert TextVectors(store, words).ensure(TEXTS[:3]).new == 0
    missing = TextReader(store, Encoders(Settings(embedding_encoder="qwen3-8b", embedding_models=store.url)))
    with pytest.raises(ModelMissing):
        missing.encode(["a"])
