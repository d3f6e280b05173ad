"""Texts to vectors by the packaged encoder, and moments found by them: the index beside a look at every vector.

The index's own figure is on random directions, the hardest there are: nothing lies near anything.
"""

import tempfile

import numpy as np

from bench.measure import Figure, interleaved
from bench.workload import Workload
from configs.encoders import load_encoders
from pipeline.embeddings.encoder import Vectors
from pipeline.embeddings.retrieval import paraphrases
from resources.encoders import Encoders
from resources.moment_index import graph
from resources.settings import Settings
from resources.store import Store
from resources.text_vectors import TextVectors

TEXTS, QUICK_TEXTS = 400, 60
VECTORS, QUICK_VECTORS = 20_000, 5000
ASKED, FOUND = 50, 10


def figures(load: Workload) -> list[Figure]:
    """Rates of embedding, of reading what is embedded, and of searching."""
    encoder = Encoders(Settings()).open("minilm")
    texts = list(paraphrases().queries)[: QUICK_TEXTS if load.quick else TEXTS]
    by_length = sorted(texts, key=len)
    # Batches as they come: each is as long as its longest text.
    shuffled = np.random.default_rng(1).permutation(len(texts))
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        TextVectors(store, encoder).ensure(texts)
        found = [
            interleaved(
                "captions → vectors, MiniLM, one thread",
                lambda: encoder.encode(by_length),
                lambda: [encoder.encode([texts[k]]) for k in shuffled],
                "one text at a time",
                float(len(texts)),
                "texts",
                2.0,
            ),
            interleaved(
                "captions that are known → vectors",
                lambda: TextVectors(store, encoder).of(texts, make=False),
                lambda: encoder.encode(texts),
                "embedding them",
                float(len(texts)),
                "texts",
                10.0,
            ),
        ]
    return [*found, _search(QUICK_VECTORS if load.quick else VECTORS)]


def _search(count: int) -> Figure:
    rng = np.random.default_rng(2)
    vectors, queries = _unit(rng.standard_normal((count, 384))), _unit(rng.standard_normal((ASKED, 384)))
    index = graph(384, load_encoders().index)
    index.add(np.arange(count, dtype=np.uint64), vectors, threads=1)

    def brute() -> object:
        likeness = queries @ vectors.T
        return np.argpartition(-likeness, FOUND, axis=1)[:, :FOUND]

    return interleaved(
        f"ten nearest of {count:,} vectors", lambda: index.search(queries, FOUND, threads=1), brute,
        "a look at every vector", float(ASKED), "queries",
    )  # fmt: skip


def _unit(rows: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> Vectors:
    out: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return out
