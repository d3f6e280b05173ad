"""How well an encoder finds what is meant, when it is said in other words.

Belongs here: the questions, and the measures. Does not belong here: making vectors, tables of several encoders
(`assets/embeddings.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from configs.encoders import EncodersConfig, load_encoders
from configs.scenes import ScenesConfig, load_scenes
from pipeline.embeddings.encoder import Vectors
from pipeline.scenes.dataset import wordings
from pipeline.scenes.story import tell, themes


@dataclass(frozen=True)
class Question:
    """What is asked, and what would be right.

    Attributes:
        queries: texts that are searched for.
        documents: texts that may be found, each once.
        right: of each query, the places in `documents` that are right; none is empty.
    """

    queries: tuple[str, ...]
    documents: tuple[str, ...]
    right: tuple[frozenset[int], ...]


def paraphrases(config: EncodersConfig | None = None, scenes: ScenesConfig | None = None) -> Question:
    """Captions of stories in one wording, looked for by the same captions in the others.

    Which stories is a matter of seeds that no data set's shard draws from, and of the number of seeds in the
    configuration; so the question is the same for every encoder and every store.
    """
    config, scenes = config or load_encoders(), scenes or load_scenes()
    told: dict[str, set[str]] = {}
    for theme in sorted(themes()):
        for seed in range(config.retrieval.seeds):
            for first, *others in wordings(tell(theme, seed, config=scenes), scenes):
                told.setdefault(first, set()).update(others)
    return _question({text: sorted(ways) for text, ways in sorted(told.items())})


def prompts(config: EncodersConfig | None = None, scenes: ScenesConfig | None = None) -> Question:
    """Prompts of stories, looked for by their paraphrases."""
    config, scenes = config or load_encoders(), scenes or load_scenes()
    told: dict[str, set[str]] = {}
    for theme in sorted(themes()):
        for seed in range(config.retrieval.seeds):
            scene = tell(theme, seed, config=scenes)
            told.setdefault(scene.prompt, set()).update(set(scene.paraphrases) - {scene.prompt})
    return _question({text: sorted(ways) for text, ways in sorted(told.items())})


def _question(told: dict[str, list[str]]) -> Question:
    documents = tuple(told)
    pairs: dict[str, set[int]] = {}
    for place, text in enumerate(documents):
        for way in told[text]:
            if way not in told:
                pairs.setdefault(way, set()).add(place)
    return Question(tuple(pairs), documents, tuple(frozenset(places) for places in pairs.values()))


def intents(moments: pl.DataFrame, config: EncodersConfig | None = None) -> Question:
    """Moments of matches, looked for by what somebody means in them, said in other words.

    A sentence that stands for moments of two intents counts as right for both.

    Args:
        moments: of the table `moments`.
        config: holds the ways in which people say it.
    """
    config = config or load_encoders()
    texts = moments.group_by("text").agg(pl.col("intent").cast(pl.String).unique()).sort("text")
    meant = [set(words) for words in texts["intent"].to_list()]
    asked: dict[str, frozenset[int]] = {}
    for intent, ways in config.retrieval.ways.items():
        right = frozenset(place for place, words in enumerate(meant) if intent in words)
        asked |= {way: right for way in ways if right}
    return Question(tuple(asked), tuple(texts["text"]), tuple(asked.values()))


def measures(question: Question, queries: Vectors, documents: Vectors, *, nearest: int = 10) -> dict[str, float]:
    """How often what is right is found.

    Args:
        question: with at least one query.
        queries: vectors of its queries.
        documents: of its documents.
        nearest: how many of what is found are looked at.

    Returns:
        `queries`, `documents`, and shares: `recall@1` and `recall@<nearest>` of queries for which something right is
        among so many; `precision@<nearest>` of what is found that is right, where there is as much that is right;
        `chance@1` that any document would be right.
    """
    found = _nearest(queries, documents, nearest)
    hits = np.array([[place in right for place in row] for row, right in zip(found, question.right, strict=True)])
    most = np.array([min(len(right), nearest) for right in question.right])
    return {
        "queries": float(len(question.queries)),
        "documents": float(len(question.documents)),
        "recall@1": float(hits[:, 0].mean()),
        f"recall@{nearest}": float(hits.any(axis=1).mean()),
        f"precision@{nearest}": float((hits.sum(axis=1) / most).mean()),
        "chance@1": float(np.mean([len(right) for right in question.right]) / len(question.documents)),
    }


def _nearest(queries: Vectors, documents: Vectors, count: int) -> NDArray[np.int64]:
    """Places of the nearest documents, the nearest first; equal ones by place."""
    likeness = queries @ documents.T
    return np.argsort(-likeness, axis=1, kind="stable")[:, :count]


def index_recall(found: Sequence[Sequence[int]], queries: Vectors, documents: Vectors) -> float:
    """Share of the truly nearest documents that an index finds.

    Args:
        found: of each query, the places that the index found.
        queries: their vectors.
        documents: all that may be found.
    """
    count = max(len(row) for row in found)
    true = _nearest(queries, documents, count)
    shares = [len(set(row) & set(best)) / len(best) for row, best in zip(found, true.tolist(), strict=True)]
    return float(np.mean(shares))
