"""What tests of embeddings share: an encoder that needs no model, a tiny Qwen3 checkpoint, a server like Google's."""

import hashlib
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from configs.encoders import EncodersConfig, EncoderSpec, load_encoders
from pipeline.embeddings.encoder import Identity, Style, Vectors, finished
from resources.parquet import Stamp
from resources.store import Store

STAMP = Stamp("code", "config", "input")
WORDS = 64


@dataclass
class WordEncoder:
    """An encoder of words: texts are as like as the words that they share. `asked` is what it was given."""

    name: str = "minilm"
    revision: str = "words-1"
    dimension: int = WORDS
    asked: list[str] = field(default_factory=list)
    fails_after: int | None = None

    @property
    def identity(self) -> Identity:
        spec = EncoderSpec(
            kind="local", model="test/words", dimension=self.dimension, max_tokens=64, pooling="mean", licence="none"
        )
        return Identity.of(self.name, spec, self.revision)

    def encode(self, texts: Sequence[str], style: Style = "document") -> Vectors:
        if self.fails_after is not None and len(self.asked) >= self.fails_after:
            raise OSError("the machine gave up")
        self.asked += texts
        raw = np.zeros((len(texts), self.dimension))
        for row, text in zip(raw, texts, strict=True):
            for word in text.lower().replace(",", "").split():
                row[int(hashlib.sha256(word.encode()).hexdigest(), 16) % self.dimension] += 1.0
        return finished(raw, self.identity, self.dimension)


@pytest.fixture
def words() -> WordEncoder:
    return WordEncoder()


@pytest.fixture(scope="session")
def encoders() -> EncodersConfig:
    return load_encoders()


# -- matches ---------------------------------------------------------------------------------------------------------


def told_match() -> dict[str, pl.DataFrame]:
    """A round in which a defender leaves the middle after its mate was killed there, and an attacker kills one."""
    site = {"id": "bombsite_a", "x_mm": 60_000, "y_mm": 0, "z_mm": 0}
    match = pl.DataFrame({"match_id": ["m1"], "map": ["de_test"], "objectives": [[site]]})
    t = np.arange(0, 20_000, 125)
    frames = []
    for player, team, side, x, place in (
        (
            "player:d1",
            "team:d",
            "counter-terrorists",
            np.maximum(t - 8000, 0) * 5,
            np.where(t < 9000, "Middle", "CTSpawn"),
        ),
        ("player:d2", "team:d", "counter-terrorists", t * 0, np.full(len(t), "TopofMid")),
        ("player:a1", "team:a", "terrorists", t * 1, np.full(len(t), "", dtype=object)),
    ):
        frames.append(
            pl.DataFrame({"t_ms": t, "x_mm": np.rint(x).astype(np.int32)}).with_columns(
                match_id=pl.lit("m1"), round=pl.lit(1, pl.Int32), player=pl.lit(player), team=pl.lit(team),
                side=pl.lit(side), z_mm=pl.lit(0, pl.Int32),
                place=pl.Series(place.astype(str)).replace("", None),
            )
        )  # fmt: skip
    events = pl.DataFrame(
        {
            "t_ms": [7000, 7000, 15_000],
            "round": pl.Series([1, 1, 1], dtype=pl.Int32),
            "event_type": ["PLAYER_KILLED", "PLAYER_DAMAGED", "BOMB_PLANTED"],
            "actor": ["player:a1", "player:a1", "player:a1"],
            "target": ["player:d2", "player:d1", None],
        }
    )
    whole = {
        "match_id": "m1", "round": 1, "confidence": 0.9, "decided_by": "rule:x", "model_version": "v",
        "review_reasons": [],
    }  # fmt: skip
    segments = [
        {"player": "player:d1", "team": "team:d", "side": "counter-terrorists", "from_ms": 8000, "to_ms": 12_000,
         "intent": "retreat"},
        {"player": "player:a1", "team": "team:a", "side": "terrorists", "from_ms": 6000, "to_ms": 7500,
         "intent": "engage"},
        {"player": "player:d2", "team": "team:d", "side": "counter-terrorists", "from_ms": 5000, "to_ms": 6500,
         "intent": "hold"},
        {"player": "player:a1", "team": "team:a", "side": "terrorists", "from_ms": 16_000, "to_ms": 19_000,
         "intent": "rotate"},
    ]  # fmt: skip
    rows = [whole | row | {"segment_id": f"{k:016x}"} for k, row in enumerate(segments)]
    return {
        "matches": match,
        "segments": pl.DataFrame(rows).cast({"round": pl.Int32}),
        "tracks": pl.concat(frames),
        "events": events,
    }


@pytest.fixture
def told() -> dict[str, pl.DataFrame]:
    return told_match()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


# -- a model ---------------------------------------------------------------------------------------------------------

_LINES = (
    "A runner jogs nine metres to the left, then stands still",
    "An attacker rotates quickly towards site B and plants the bomb",
    "A defender falls back from middle after losing a teammate",
    "Instruct: Given a description of what somebody does, retrieve the captions\nQuery:",
)


@pytest.fixture(scope="session")
def tiny_qwen3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen3 checkpoint with random weights and a real tokenizer, as a folder of sentence-transformers."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from tokenizers import Tokenizer, decoders, pre_tokenizers, processors, trainers
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3Model

    folder = tmp_path_factory.mktemp("models")
    end = "<|endoftext|>"
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        _LINES, trainers.BpeTrainer(vocab_size=400, special_tokens=[end], initial_alphabet=alphabet)
    )
    number = tokenizer.token_to_id(end)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {end}", special_tokens=[(end, number)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=end, pad_token=end, model_max_length=512)
    torch.manual_seed(3)
    config = Qwen3Config(
        vocab_size=len(fast), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, max_position_embeddings=512, pad_token_id=number, eos_token_id=number,
    )  # fmt: skip
    bare = folder / "bare"
    Qwen3Model(config).save_pretrained(bare)
    fast.save_pretrained(bare)
    transformer = Transformer(str(bare))
    pooling = Pooling(64, "lasttoken")
    SentenceTransformer(modules=[transformer, pooling, Normalize()], device="cpu").save(str(folder / "tiny"))
    return folder


# -- a server --------------------------------------------------------------------------------------------------------

KEY = "k3y-that-nobody-may-see"
Answer = tuple[int, dict[str, str], bytes]


@dataclass
class FakeGemini:
    """Google's API on this machine.

    Attributes:
        faults: what is answered to the next requests in place of the true answer.
        seen: path, headers and body of every request.
    """

    faults: deque[Answer] = field(default_factory=deque)
    seen: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    url: str = ""

    def answer(self, body: Any) -> Answer:
        rows = []
        for request in body["requests"]:
            text, size = request["content"]["parts"][0]["text"], request["outputDimensionality"]
            rng = np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big"))
            rows.append({"values": (5.0 * rng.standard_normal(size)).tolist()})  # cut vectors are not of length 1
        return 200, {}, json.dumps({"embeddings": rows}).encode()


def error(status: int, message: str, *details: dict[str, Any], **headers: str) -> Answer:
    """An error as Google words it."""
    body = {"error": {"code": status, "message": message, "details": list(details)}}
    return status, {name.replace("_", "-"): value for name, value in headers.items()}, json.dumps(body).encode()


@pytest.fixture
def refused() -> Callable[..., Answer]:
    return error


@pytest.fixture
def gemini() -> Iterator[FakeGemini]:
    fake = FakeGemini()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            fake.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            status, headers, data = fake.faults.popleft() if fake.faults else fake.answer(body)
            self.send_response(status)
            for name, value in {"content-type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
