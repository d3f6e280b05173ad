"""What every encoder is to those who use it: a name that says what made its vectors, and a way from texts to vectors.

Belongs here: the interface, identities, what all vectors have in common. Does not belong here: any one encoder
(`resources.encoders`), what is embedded (`texts`).
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from configs.encoders import EncoderSpec
from pipeline.errors import PipelineError

Vectors = NDArray[np.float32]
Style = Literal["document", "query"]
"""Whether a text may be found, or something is searched for by it; some encoders are told which."""


class WrongDimension(PipelineError):
    """An encoder gives vectors of another length than its configuration says."""


class UselessVectors(PipelineError):
    """Vectors without a direction: not finite, or all zeros."""


class MixedEncoders(PipelineError):
    """Vectors of two encoders where those of one are due: they cannot be compared."""


@dataclass(frozen=True)
class Identity:
    """What made a vector. Two vectors can be compared if these are equal, and mean nothing to one another if not.

    Attributes:
        name: of the encoder in `encoders.yaml`.
        model: its name where it comes from.
        revision: of its files, or of the service.
        dimension: values of its vectors as they are kept.
        max_tokens: of a text.
        query: how a text is put that is searched for.
        document: how a text is put that may be found.
        licence: of the model, or the terms of the service.
        pooling: how one vector is made of those of all tokens; empty where a service does it.
    """

    name: str
    model: str
    revision: str
    dimension: int
    max_tokens: int
    query: str
    document: str
    licence: str
    pooling: str

    @classmethod
    def of(cls, name: str, spec: EncoderSpec, revision: str) -> "Identity":
        """Of an encoder as configured, whose files or service have this revision."""
        return cls(
            name,
            spec.model,
            revision,
            spec.values,
            spec.max_tokens,
            spec.query,
            spec.document,
            spec.licence,
            spec.pooling or "",
        )

    @property
    def key(self) -> str:
        """A short name for it, which may be part of a file's: `<name>-<dimension>-<eight hex digits>`."""
        told = "\0".join((self.model, self.revision, str(self.max_tokens), self.query, self.document, self.pooling))
        return f"{self.name}-{self.dimension}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"

    def put(self, text: str, style: Style) -> str:
        """A text as the model is given it."""
        return (self.query if style == "query" else self.document).replace("{text}", text)


class Encoder(Protocol):
    """From texts to vectors."""

    @property
    def identity(self) -> Identity:
        """What its vectors are made by."""
        ...

    def encode(self, texts: Sequence[str], style: Style = "document") -> Vectors:
        """Vectors `(n, dimension)` of length 1, in the order of the texts.

        Raises:
            WrongDimension: if the model gives vectors of another length than configured.
            UselessVectors: if one of them has no direction.
        """
        ...


def finished(raw: NDArray[np.floating], identity: Identity, given: int) -> Vectors:
    """What a model gave, cut to the values that are kept and of length 1 again.

    A cut vector is shorter than the whole one, so its length is made 1 after the cut (Kusupati et al., Matryoshka
    Representation Learning, 2022, section 3).

    Args:
        raw: `(n, given)`.
        identity: says how many values are kept.
        given: values that the model should give.

    Raises:
        WrongDimension: if it gave another number.
        UselessVectors: if a vector is not finite or has no length.
    """
    if raw.ndim != 2 or raw.shape[1] != given:
        found = raw.shape[1] if raw.ndim == 2 else 0
        raise WrongDimension(
            f"encoder {identity.name}: {identity.model} gives {found} values, encoders.yaml says {given}: it is "
            "another model than it should be, or `dimension` is wrong"
        )
    kept = raw[:, : identity.dimension].astype(np.float64)
    length = np.linalg.norm(kept, axis=1)
    bad = np.flatnonzero(~(np.isfinite(length) & (length > 1e-9)))
    if len(bad):
        raise UselessVectors(
            f"encoder {identity.name}: {identity.model} gives {len(bad)} of {len(raw)} vectors without a direction, "
            f"the first for text {bad[0]}"
        )
    out: Vectors = (kept / length[:, None]).astype(np.float32)
    return out


def batches(lengths: Sequence[int], *, tokens: int, most: int) -> Iterator[NDArray[np.int64]]:
    """Places of texts, cut into batches of about one length: the longest first, so memory runs out at once if ever.

    Args:
        lengths: of the texts, in tokens or what is proportional to them.
        tokens: of a batch, with all of its texts as long as its longest.
        most: texts of a batch.
    """
    order = np.argsort(-np.asarray(lengths, np.int64), kind="stable")
    begin = 0
    while begin < len(order):
        longest = max(int(lengths[order[begin]]), 1)
        end = begin + max(min(tokens // longest, most), 1)
        yield order[begin:end]
        begin = end


def only_one(keys: Iterable[str]) -> str | None:
    """The one encoder that these keys of identities name; None if there is none.

    Raises:
        MixedEncoders: if there are two.
    """
    found = sorted(set(keys))
    if len(found) > 1:
        raise MixedEncoders(
            f"vectors of {' and '.join(found)} cannot be compared: choose one by EMBEDDING_ENCODER, and embed all "
            "texts with it (gridmotion embed)"
        )
    return found[0] if found else None
