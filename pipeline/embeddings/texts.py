"""Texts by what they are known as, and rows of the table `embeddings`: what is there already, what is still to do.

Belongs here: which texts there are, hashes, rows. Does not belong here: making vectors (`encoder`), files
(`resources.text_vectors`).
"""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl

from pipeline.embeddings.encoder import Identity, MixedEncoders, Style, Vectors, only_one
from pipeline.tables import empty


def text_hash(text: str, style: Style = "document") -> str:
    """Thirty-two hex digits that name a text as it is put; what is searched for may be put in another way."""
    told = text if style == "document" else f"{style}\0{text}"
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def unknown(texts: Iterable[str], known: Iterable[str], style: Style = "document") -> list[str]:
    """Texts whose hashes are not known, each once, sorted by hash."""
    have = set(known)
    found = {text_hash(text, style): text for text in texts}
    return [found[name] for name in sorted(found) if name not in have]


def rows(texts: Sequence[str], vectors: Vectors, identity: Identity, style: Style = "document") -> pl.DataFrame:
    """Rows of the table `embeddings`.

    Args:
        texts: each once.
        vectors: `(n, dimension)` in their order.
        identity: of the encoder that made them.
        style: how the texts were put.
    """
    kinds = empty("embeddings").schema
    return pl.DataFrame(
        {
            "text_hash": [text_hash(text, style) for text in texts],
            "style": [style] * len(texts),
            "text": list(texts),
            "encoder": [identity.name] * len(texts),
            "encoder_key": [identity.key] * len(texts),
            "model": [identity.model] * len(texts),
            "revision": [identity.revision] * len(texts),
            "dimension": [identity.dimension] * len(texts),
            "licence": [identity.licence] * len(texts),
            "vector": pl.Series("vector", vectors, pl.Array(pl.Float32, identity.dimension)).cast(kinds["vector"]),
        },
        schema=kinds,
    )


def vectors_of(found: pl.DataFrame, identity: Identity) -> Vectors:
    """The vectors `(n, dimension)` of rows of the table.

    Raises:
        MixedEncoders: if they are of two encoders, or of another than this one.
    """
    key = only_one(found["encoder_key"])
    if key is None:
        return np.empty((0, identity.dimension), np.float32)
    if key != identity.key:
        raise MixedEncoders(f"vectors of {key} where those of {identity.key} are due")
    out: Vectors = found["vector"].list.to_array(identity.dimension).to_numpy()
    return out


def of_samples(samples: pl.DataFrame) -> list[str]:
    """Captions and prompts of rows of the table `trajectories`, each once, sorted."""
    return sorted({*samples["caption"], *samples["prompt"]})
