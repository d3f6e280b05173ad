"""Models of this machine: a tiny Qwen3 checkpoint by the way that the real ones go, and the packaged encoder."""

import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from configs.encoders import EncodersConfig, EncoderSpec
from pipeline.embeddings.encoder import WrongDimension
from resources.encoders import Encoders, ModelMissing, UnknownEncoder
from resources.encoders.errors import UnusableModel
from resources.encoders.files import revision_of
from resources.encoders.local import LocalEncoder
from resources.settings import Settings

TEXTS = [
    "A runner jogs nine metres to the left, then stands still",
    "An attacker plants the bomb",
    "A defender falls back from middle after losing a teammate, quickly and without looking round even once",
]


def _spec(encoders: EncodersConfig, **changes: Any) -> EncoderSpec:
    """The one of Qwen3-Embedding-0.6B, of the tiny checkpoint's size."""
    values = encoders.encoders["qwen3-06b"].model_dump() | {"model": "Test/tiny", "dimension": 64, "least": 8} | changes
    return EncoderSpec.model_validate(values)


def _encoder(folder: Path, encoders: EncodersConfig, **changes: Any) -> LocalEncoder:
    return LocalEncoder("qwen3-06b", _spec(encoders, **changes), encoders.batch, models=folder)


def _hidden(folder: Path, text: str) -> np.ndarray[Any, Any]:
    """The last layer's vectors of all tokens of a text, without sentence-transformers and without padding."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    with torch.no_grad():
        found = AutoModel.from_pretrained(folder)(
            input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
        )
    out: np.ndarray[Any, Any] = found.last_hidden_state[0].numpy()
    return out


def test_a_qwen3_checkpoint_gives_its_last_tokens_vector(tiny_qwen3: Path, encoders: EncodersConfig) -> None:
    encoder = _encoder(tiny_qwen3, encoders)
    vectors = encoder.encode(TEXTS)
    assert vectors.shape == (3, 64)
    assert vectors.dtype == np.float32
    for text, vector in zip(TEXTS, vectors, strict=True):
        last = _hidden(tiny_qwen3 / "tiny", text)[-1]
        assert np.allclose(vector, last / np.linalg.norm(last), atol=1e-4)
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    assert np.allclose(alone, vectors, atol=1e-4)  # neither padding nor the order of length changes anything


def test_what_is_searched_for_is_put_with_the_instruction(tiny_qwen3: Path, encoders: EncodersConfig) -> None:
    encoder = _encoder(tiny_qwen3, encoders)
    put = encoder.identity.put(TEXTS[1], "query")
    assert put.startswith("Instruct: ")
    assert put.endswith(f"\nQuery:{TEXTS[1]}")
    asked = encoder.encode([TEXTS[1]], "query")
    assert np.allclose(asked, encoder.encode([put]), atol=1e-5)
    assert not np.allclose(asked, encoder.encode([TEXTS[1]]), atol=1e-2)


def test_a_cut_vector_is_the_whole_ones_beginning_at_length_1(tiny_qwen3: Path, encoders: EncodersConfig) -> None:
    whole, cut = _encoder(tiny_qwen3, encoders), _encoder(tiny_qwen3, encoders, keep=16)
    begin = whole.encode(TEXTS)[:, :16]
    assert np.linalg.norm(begin, axis=1).max() < 0.99
    assert np.allclose(cut.encode(TEXTS), begin / np.linalg.norm(begin, axis=1, keepdims=True), atol=1e-5)
    assert whole.identity.key != cut.identity.key
    assert "-16-" in cut.identity.key


def test_a_bare_language_model_is_pooled_as_configured(tiny_qwen3: Path, encoders: EncodersConfig) -> None:
    encoder = _encoder(tiny_qwen3, encoders, model="Test/bare", pooling="mean", least=None)
    mean = _hidden(tiny_qwen3 / "bare", TEXTS[0]).mean(axis=0)
    assert np.allclose(encoder.encode(TEXTS)[0], mean / np.linalg.norm(mean), atol=1e-4)


def test_weights_of_half_the_precision_give_nearly_the_same_vectors(tiny_qwen3: Path, encoders: EncodersConfig) -> None:
    encoder = _encoder(tiny_qwen3, encoders)
    whole = encoder.encode(TEXTS)
    encoder._model.bfloat16()  # as on a GPU that can
    half = encoder.encode(TEXTS)
    assert half.dtype == np.float32
    assert np.allclose(np.linalg.norm(half, axis=1), 1.0, atol=1e-6)
    assert not np.array_equal(half, whole)
    assert (half * whole).sum(axis=1).min() > 0.99


def test_another_model_than_configured_is_refused(tiny_qwen3: Path, encoders: EncodersConfig, tmp_path: Path) -> None:
    with pytest.raises(WrongDimension, match=r"gives 64 values, encoders.yaml says 1024"):
        _encoder(tiny_qwen3, encoders, dimension=1024).encode(TEXTS)
    with pytest.raises(UnusableModel, match=r"lasttoken.*mean"):
        _encoder(tiny_qwen3, encoders, pooling="mean").encode(TEXTS)
    shutil.copytree(tiny_qwen3 / "tiny", tmp_path / "tiny")
    (tmp_path / "tiny" / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(UnusableModel, match="cannot be loaded"):
        _encoder(tmp_path, encoders).encode(TEXTS)


def test_the_revision_names_the_files(tiny_qwen3: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_qwen3 / "tiny", tmp_path / "tiny")
    assert revision_of(tmp_path / "tiny") == revision_of(tiny_qwen3 / "tiny")
    weights = tmp_path / "tiny" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert revision_of(tmp_path / "tiny") != revision_of(tiny_qwen3 / "tiny")
    shutil.copytree(tiny_qwen3 / "tiny", tmp_path / ".cache" / "tiny")
    assert revision_of(tmp_path / ".cache" / "tiny") == revision_of(tiny_qwen3 / "tiny")


def test_a_model_that_is_not_there_says_where_it_was_looked_for_and_what_to_do(tmp_path: Path) -> None:
    chosen = Settings(embedding_encoder="qwen3-8b", embedding_models=str(tmp_path))
    with pytest.raises(
        ModelMissing, match=r"(?s)Qwen3-Embedding-8B.*EMBEDDING_MODELS.*EMBEDDING_HUB.*EMBEDDING_ENCODER"
    ):
        Encoders(chosen).open()
    with pytest.raises(UnknownEncoder, match="minilm"):
        Encoders(Settings(embedding_encoder="word2vec")).open()
    with pytest.raises(UnknownEncoder, match="minilm"):
        Encoders(Settings()).open("word2vec")


def test_the_packaged_encoder_is_chosen_aloud_and_knows_paraphrases(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        encoder = Encoders(Settings()).open()
    assert "EMBEDDING_ENCODER is not set" in caplog.text
    assert encoder.identity.name == "minilm"
    one, same, other = encoder.encode(["a man is running fast", "a person sprints", "the soup is too salty"])
    assert one.shape == (384,)
    assert one @ same > one @ other + 0.3
    caplog.clear()
    Encoders(Settings(embedding_encoder="minilm")).open()
    assert "not set" not in caplog.text
