"""All that a model learns from and is judged by, as arrays of one folder that processes share.

Belongs here: samples of the table `trajectories` and windows of recordings put together, who is held out, vectors of
what is said. Does not belong here: how samples change each time they are read (samples), batches.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from configs.trajectories import TrajectoriesConfig, load_trajectories
from pipeline.errors import PipelineError
from pipeline.scenes.joints import HEAD, HIPS
from pipeline.trajectories.recall import nothing
from pipeline.trajectories.recorded import Recorded, match_splits
from pipeline.trajectories.samples import STILL, Samples, of_rows, swapped

Floats = NDArray[np.float32]

STORY, MATCH, RECORDED = range(3)
KINDS = ("story", "match", "recorded")
SPLITS = ("train", "validation", "test", "paraphrase", "theme")
_ARRAYS = (
    "position",
    "joints",
    "heading",
    "actions",
    "told",
    "known",
    "kind",
    "split",
    "theme",
    "recalled",
    "alike",
    "vectors",
)
_WORDS = "corpus.json"
_AT_ONCE = 1024  # samples whose bytes are in memory to be named


class Unusable(PipelineError):
    """A corpus that nothing can be learned from, or whose texts another encoder read; the message says what to do."""


class Encoder(Protocol):
    """Whatever makes vectors of texts.

    Attributes:
        name: names model and revision.
        dimension: of its vectors.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def dimension(self) -> int: ...  # noqa: D102
    def encode(self, texts: Sequence[str]) -> Floats:
        """`(n, dimension)` float32, each of length one."""
        ...


@dataclass(frozen=True)
class Corpus:
    """`N` samples of `n` frames.

    Attributes:
        position: `(N, n, 2)` metres, from where each begins.
        joints: `(P, n, 20)` float16 metres of the first `P` samples; of those after them no pose is known.
        heading: `(N, n)` radians in which it looks; NaN where that is not known.
        actions: `(P, n)` codes of the same; places in `names`.
        told: `(N,)` place of what is said in `captions`.
        known: `(N,)` frames after which alone a forecast may begin; 0 for any.
        kind: `(N,)` place in `KINDS`.
        split: `(N,)` place in `SPLITS`.
        theme: `(N,)` place in `themes`.
        recalled: `(N - P, k, h, 2)` float16 metres: what those after the first `P` recall.
        alike: `(N - P, k)` how much alike that is.
        vectors: `(U, d)` of the captions; of no column before they are read.
        captions: all of them once, and what is said of the same seen in a mirror.
        themes: names.
        names: of the actions.
        ids: of the samples.
        fps: frames a second.
        encoder: who read the captions; empty before.
    """

    position: Floats
    joints: NDArray[np.float16]
    heading: Floats
    actions: NDArray[np.uint8]
    told: NDArray[np.int32]
    known: NDArray[np.int16]
    kind: NDArray[np.uint8]
    split: NDArray[np.uint8]
    theme: NDArray[np.uint8]
    recalled: NDArray[np.float16]
    alike: NDArray[np.float32]
    vectors: Floats
    captions: tuple[str, ...]
    themes: tuple[str, ...]
    names: tuple[str, ...]
    ids: tuple[str, ...]
    fps: int
    encoder: str = ""

    def __len__(self) -> int:
        """How many samples there are."""
        return len(self.ids)

    def where(self, split: str, *kinds: int) -> NDArray[np.int64]:
        """Places of the samples of a split and of these kinds, or of all."""
        these = self.split == SPLITS.index(split)
        return np.flatnonzero(these & np.isin(self.kind, kinds) if kinds else these)

    def matches(self, split: str) -> tuple[str, ...]:
        """Matches whose recordings are of a split, in order."""
        return tuple(sorted({self.ids[k].split("/")[0] for k in self.where(split, RECORDED)}))

    def samples(self, at: NDArray[np.int64]) -> Samples:
        """Some of them, as they were recorded."""
        position = np.asarray(self.position[at])
        ways = np.diff(position, axis=1, prepend=position[:, :1])
        n, has_pose = position.shape[1], at < len(self.joints)
        joints, actions = (
            np.zeros((len(at), n, 20), np.float32),
            np.full((len(at), n), self.names.index(STILL), np.uint8),
        )
        joints[has_pose], actions[has_pose] = self.joints[at[has_pose]], self.actions[at[has_pose]]
        return Samples(
            ids=tuple(self.ids[k] for k in at),
            captions=tuple(self.captions[k] for k in self.told[at]),
            joints=joints.reshape(*joints.shape[:2], -1, 2),
            position=position,
            heading=np.asarray(self.heading[at]),
            speed=(np.hypot(ways[..., 0], ways[..., 1]) * self.fps).astype(np.float32),
            actions=actions,
            names=self.names,
            fps=self.fps,
        )

    def recollections(self, at: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """What some of them recall: ways `(b, k, h, 2)` in metres and how much alike `(b, k)`; zeros where nothing."""
        remembers = at >= len(self.joints)
        ways = np.zeros((len(at), *self.recalled.shape[1:]), np.float32)
        alike = np.zeros((len(at), self.alike.shape[1]), np.float32)
        ways[remembers] = self.recalled[at[remembers] - len(self.joints)]
        alike[remembers] = self.alike[at[remembers] - len(self.joints)]
        return ways, alike

    def read_by(self, encoder: Encoder) -> "Corpus":
        """With vectors of all captions.

        Raises:
            Unusable: if the encoder gives vectors of another size than it says, or such as are not finite.
        """
        vectors = np.asarray(encoder.encode(self.captions), np.float32)
        if vectors.shape != (len(self.captions), encoder.dimension) or not np.isfinite(vectors).all():
            raise Unusable(
                f"encoder {encoder.name}: {len(self.captions)} texts gave an array of {vectors.shape}, expected finite "
                f"vectors of {encoder.dimension}; check the model's configuration"
            )
        return replace(self, vectors=vectors, encoder=encoder.name)

    @cached_property
    def digest(self) -> str:
        """Sixteen hex digits that name all there is to learn; vectors by their encoder, which makes the same again."""
        words = {**self._words, "vectors": self.vectors.shape}
        digest = hashlib.sha256(json.dumps(words, sort_keys=True, separators=(",", ":")).encode())
        for name in _ARRAYS:
            if name != "vectors":
                values = getattr(self, name)
                digest.update(f"\0{name} {values.dtype.str} {values.shape}\0".encode())
                for first in range(0, len(values), _AT_ONCE):
                    digest.update(np.ascontiguousarray(values[first : first + _AT_ONCE]).tobytes())
        return digest.hexdigest()[:16]

    @property
    def _words(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("captions", "themes", "names", "ids", "fps", "encoder")}

    def save(self, folder: Path) -> None:
        """Writes it as arrays that `opened` maps."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in _ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name), allow_pickle=False)
        (folder / _WORDS).write_text(json.dumps(self._words), encoding="utf-8")


def opened(folder: Path) -> Corpus:
    """The corpus of a folder; its arrays are mapped, not read.

    Raises:
        Unusable: if it is not there or damaged.
    """
    try:
        words = json.loads((folder / _WORDS).read_text(encoding="utf-8"))
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _ARRAYS}
    except (OSError, ValueError) as error:
        raise Unusable(f"no corpus in {folder.name}: {error}; make it anew") from error
    small = {
        name: np.asarray(arrays[name])
        for name in _ARRAYS
        if name not in ("position", "joints", "heading", "actions", "recalled")
    }
    texts: dict[str, Any] = {name: tuple(words[name]) for name in ("captions", "themes", "names", "ids")}
    return Corpus(**{**arrays, **small}, **texts, fps=words["fps"], encoder=words["encoder"])


def assembled(
    shards: Iterable[pl.DataFrame],
    recordings: Iterable[Recorded],
    names: tuple[str, ...],
    config: TrajectoriesConfig | None = None,
) -> Corpus:
    """Samples of the table and windows of recordings as one corpus, without vectors.

    A match is held out as a whole, in samples and windows alike, and with it the other games of its GRID series.

    Args:
        shards: of the table `trajectories`.
        recordings: of matches.
        names: all actions, in the order of their codes.
        config: defaults to `configs/trajectories.yaml`.

    Raises:
        Unusable: if there is nothing to learn from.
        Unlearnable: if a sample may not be learned from.
    """
    config = config or load_trajectories()
    frames = [shard for shard in shards if shard.height]
    windows = [each for each in recordings if each.ids]
    told = [frame.filter(pl.col("source") == "match")["source_id"].unique().to_list() for frame in frames]
    parts = match_splits([*(name for each in told for name in each), *(each.match_id for each in windows)], config)
    gathered = _Gathered()
    for frame in frames:
        gathered.rows(frame, names, parts, config)
    for each in windows:
        gathered.windows(each, parts[each.match_id])
    if not gathered.ids:
        raise Unusable("no sample to learn from: make the training set first (gridmotion scenes dataset)")
    return gathered.corpus(names, config)


class _Gathered:
    """Columns while they grow."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._columns: dict[str, list[NDArray[Any]]] = {}
        self._captions: dict[str, int] = {}
        self._themes: dict[str, int] = {}
        self._fps: set[int] = set()

    def rows(
        self, frame: pl.DataFrame, names: tuple[str, ...], parts: dict[str, str], config: TrajectoriesConfig
    ) -> None:
        samples = of_rows(frame, names)
        b, n = samples.heading.shape
        is_match = (frame["source"].cast(pl.String) == "match").to_numpy()
        splits = [
            parts[source] if match else "theme" if theme in config.split.held_out_themes else split
            for source, match, theme, split in zip(
                frame["source_id"], is_match, frame["theme"], frame["split"].cast(pl.String), strict=True
            )
        ]
        self._add(
            samples.ids,
            samples.captions,
            frame["theme"].to_list(),
            samples.fps,
            position=samples.position,
            joints=samples.joints.reshape(b, n, -1).astype(np.float16),
            heading=samples.heading,
            actions=samples.actions,
            known=np.zeros(b, np.int16),
            kind=np.where(is_match, MATCH, STORY).astype(np.uint8),
            split=np.array([SPLITS.index(split) for split in splits], np.uint8),
        )

    def windows(self, found: Recorded, split: str) -> None:
        m = len(found.ids)
        self._add(
            found.ids,
            found.captions,
            ["match"] * m,
            found.fps,
            position=found.position,
            heading=found.look,
            recalled=found.recalled.ways.astype(np.float16),
            alike=found.recalled.alike,
            known=np.full(m, found.known, np.int16),
            kind=np.full(m, RECORDED, np.uint8),
            split=np.full(m, SPLITS.index(split), np.uint8),
        )

    def _add(
        self, ids: Sequence[str], said: Sequence[str], themes: Sequence[str], fps: int, **columns: NDArray[Any]
    ) -> None:
        self.ids += ids
        self._fps.add(fps)
        columns["told"] = np.array([self._place(text) for text in said], np.int32)
        for text in said:
            self._place(swapped(text))  # a batch may show it in a mirror
        columns["theme"] = np.array([self._themes.setdefault(name, len(self._themes)) for name in themes], np.uint8)
        for name, values in columns.items():
            self._columns.setdefault(name, []).append(values)

    def _place(self, text: str) -> int:
        return self._captions.setdefault(text, len(self._captions))

    def corpus(self, names: tuple[str, ...], config: TrajectoriesConfig) -> Corpus:
        if len(self._fps) > 1:
            raise Unusable(f"samples of {len(self._fps)} frame rates in one corpus")
        columns: dict[str, Any] = {name: np.concatenate(parts) for name, parts in self._columns.items()}
        n, none = columns["position"].shape[1], nothing(0, config.recall)
        columns = {
            "joints": np.zeros((0, n, 20), np.float16), "actions": np.zeros((0, n), np.uint8),
            "recalled": none.ways.astype(np.float16), "alike": none.alike, **columns,
        }  # fmt: skip
        return Corpus(
            **columns,
            vectors=np.zeros((len(self._captions), 0), np.float32),
            captions=tuple(self._captions),
            themes=tuple(self._themes),
            names=names,
            ids=tuple(self.ids),
            fps=self._fps.pop(),
        )


def scale_of(joints: NDArray[Any], head_m: float) -> Floats:
    """How large figures are, 1 for the usual human; 1 where no pose is known.

    Args:
        joints: `(b, n, 10, 2)` metres.
        head_m: from hips to head of the usual human.
    """
    size = np.linalg.norm(joints[:, 0, HEAD] - joints[:, 0, HIPS], axis=-1) / head_m
    return np.where(size > 0, size, 1.0).astype(np.float32)
