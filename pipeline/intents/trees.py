"""Gradient-boosted trees: raw scores to the last bit those of LightGBM, several times as fast.

Belongs here: reading LightGBM's model text, and evaluating it. Does not belong here: how trees are grown, what their
scores mean (`model`, `calibration`).

How it works. A tree compares a feature with thresholds only, and LightGBM's histograms leave at most 254 of them a
feature, so where a value lies among its feature's sorted thresholds fits one byte: its code. Then a block of rows goes
down a tree together: every row has one byte that says at which node it is, and each node in turn sends on those rows
that are at it. That is a handful of byte operations without a branch, 32 or 64 rows an instruction, for every node, and
still much cheaper than a walk of a few mispredicted branches for every row. Scores are summed in the order of the
trees, in double precision, as LightGBM does; a row's scores depend on that row alone.

Format and semantics: LightGBM's `Tree::Tree(const char*)`, `Tree::NumericalDecision`, `GBDT::PredictRaw`.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# numba infers the types of compiled helpers; annotations would be decoration that nothing checks.

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.errors import PipelineError

Codes = NDArray[np.uint8]
Ints = NDArray[np.int64]

MOST_LEAVES = 128  # of a tree: leaves and inner nodes together are told apart by one byte
MOST_THRESHOLDS = 254  # of a feature: with one code below and one above
BLOCK = 256  # rows; codes and places of a block stay in the first-level cache
LANES = 32  # rows; a block is filled up to a multiple of it, so that no loop has a remainder

_TABLE = 256
_INTEGERS = ("split_feature", "decision_type", "left_child", "right_child")
_SPLITS: Mapping[str, Callable[[str], float]] = {"threshold": float, **dict.fromkeys(_INTEGERS, int)}
_VALUE = "leaf_value"
_NONE, _ZERO, _NAN = 0, 1, 2  # what counts as missing, as `decision_type` has it in bits 2 and 3
_CATEGORICAL, _DEFAULT_LEFT = 1, 2  # its other bits
_ZERO_THRESHOLD = np.float32(1e-35)  # LightGBM's kZeroThreshold: what is not larger is 0


class UnreadableTrees(PipelineError):
    """The text is no whole LightGBM model, or a model of a kind that is not evaluated here."""


@dataclass(frozen=True)
class Trees:
    """An ensemble of trees, ready to be evaluated.

    Attributes:
        features: names of the features, in order.
        outputs: number of scores a row has; tree t adds to score t modulo outputs.
        coded: int64 (coded features, 3): feature, what counts as missing, number of thresholds.
        thresholds: float32 (coded features, 256), ascending, filled up with infinity.
        nodes: uint8 (3, nodes), the inner nodes of all trees in turn: code up to which a row goes left, then the places
            of the left and right child. A place is the leaf's number, or 128 + the inner node's.
        columns: uint16 (nodes,): which code a node compares; 2 × coded feature, + 1 where a missing value goes right.
        starts: int64 (trees + 1,), each tree's first node.
        leaves: float64 (trees, 128), value by leaf.
    """

    features: tuple[str, ...]
    outputs: int
    coded: Ints
    thresholds: NDArray[np.float32]
    nodes: Codes
    columns: NDArray[np.uint16]
    starts: Ints
    leaves: NDArray[np.float64]

    @classmethod
    def from_text(cls, text: str) -> "Trees":
        """The trees of LightGBM's model text.

        Raises:
            UnreadableTrees: if the text is damaged, or has categorical splits, linear leaves, averaged output, more
                than 128 leaves in a tree or more than 254 thresholds of a feature.
        """
        read = _read(text)
        _check(read)
        return _assemble(read)

    def scores(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Raw scores, float64 (n, outputs), in column order.

        Args:
            vectors: float32 (features, n), a feature a row; NaN where a value is not known.
        """
        if vectors.dtype != np.float32 or vectors.ndim != 2 or len(vectors) != len(self.features):
            raise ValueError(f"vectors are {vectors.dtype} {vectors.shape}, not float32 ({len(self.features)}, n)")
        return np.asarray(
            _evaluate(
                np.ascontiguousarray(vectors),
                self.coded,
                self.thresholds,
                self.nodes,
                self.columns,
                self.starts,
                self.leaves,
                self.outputs,
            ).T
        )


@dataclass(frozen=True)
class _Text:
    """What the text says, of all trees in turn.

    Attributes:
        features: names.
        outputs: trees grown in a round.
        leaves: int64 (trees,), how many each tree has; its splits are one fewer.
        feature: int64 (splits,).
        threshold: float64 (splits,).
        decision: int64 (splits,), bits.
        left: int64 (splits,): a split of the same tree, or -1 - the number of a leaf.
        right: as left.
        value: float64 (leaves,).
    """

    features: tuple[str, ...]
    outputs: int
    leaves: Ints
    feature: Ints
    threshold: NDArray[np.float64]
    decision: Ints
    left: Ints
    right: Ints
    value: NDArray[np.float64]


def _read(text: str) -> _Text:
    head, *trees = text.partition("\nend of trees")[0].split("\nTree=")
    header = _fields(head)
    columns: dict[str, list[float]] = {name: [] for name in (*_SPLITS, _VALUE)}
    leaves: list[int] = []
    tree = None
    try:
        if "average_output" in header:
            raise UnreadableTrees("a random forest's averaged output is not evaluated here")
        expected, outputs = len(header["tree_sizes"].split()), int(header["num_tree_per_iteration"])
        if "\nend of trees" not in text or len(trees) != expected or outputs < 1 or expected % outputs:
            raise UnreadableTrees(f"the text is not whole: {len(trees)} trees of {expected}")
        features = tuple(header["feature_names"].split())
        if len(features) != int(header["max_feature_idx"]) + 1:
            raise UnreadableTrees(f"{len(features)} features are named, not {header['max_feature_idx']} + 1")
        for tree, part in enumerate(trees):
            fields = _fields(part)
            if int(fields["num_cat"]) or int(fields.get("is_linear", "0")):
                raise UnreadableTrees(f"tree {tree} has categorical splits or linear leaves, not evaluated here")
            leaves.append(_take(fields, columns))
        tree = None
        feature, decision, left, right = (np.array(columns[name], dtype=np.int64) for name in _INTEGERS)
    except KeyError as error:
        raise UnreadableTrees(f"{_where(tree)} is damaged: {error} is missing") from error
    except (ValueError, OverflowError) as error:
        raise UnreadableTrees(f"{_where(tree)} is damaged: {error}") from error
    threshold, value = (np.array(columns[name], dtype=np.float64) for name in ("threshold", _VALUE))
    return _Text(features, outputs, np.array(leaves), feature, threshold, decision, left, right, value)


def _fields(part: str) -> dict[str, str]:
    return {name: value for name, _, value in (line.partition("=") for line in part.splitlines())}


def _where(tree: int | None) -> str:
    return "the model text" if tree is None else f"tree {tree}"


def _take(fields: Mapping[str, str], columns: dict[str, list[float]]) -> int:
    """Adds a tree's numbers to the columns; how many leaves it has."""
    leaves = int(fields["num_leaves"])
    for name, kind in _SPLITS.items():
        found = list(map(kind, fields[name].split())) if leaves > 1 else []
        if len(found) != leaves - 1:
            raise ValueError(f"{len(found)} of {leaves - 1} {name}")
        columns[name] += found
    values = list(map(float, fields[_VALUE].split()))
    if len(values) != leaves:
        raise ValueError(f"{len(values)} of {leaves} {_VALUE}")
    columns[_VALUE] += values
    return leaves


def _check(text: _Text) -> None:
    """Holds what the evaluation relies on, for every tree."""

    def hold(right: NDArray[np.bool_], trees: Ints, why: str) -> None:
        if not right.all():
            raise UnreadableTrees(f"tree {trees[~right][0]} {why}")

    every, splits = np.arange(len(text.leaves)), text.leaves - 1
    mine, leaf_of = np.repeat(every, splits), np.repeat(every, text.leaves)
    hold(text.leaves <= MOST_LEAVES, every, f"has more than {MOST_LEAVES} leaves")
    hold(np.isfinite(text.value), leaf_of, "is damaged: a leaf's value is no number")
    hold(~np.isnan(text.threshold), mine, "is damaged: a threshold is no number")
    hold((text.feature >= 0) & (text.feature < len(text.features)), mine, "splits a feature that has no name")
    known = (text.decision >= 0) & (text.decision & _CATEGORICAL == 0) & (text.decision >> 2 <= _NAN)
    hold(known, mine, "has a kind of split that is not evaluated here")
    own = np.arange(len(mine)) - np.repeat(np.cumsum(splits) - splits, splits)
    children, of = np.concatenate([text.left, text.right]), np.concatenate([mine, mine])
    after = np.where(children < 0, children >= -text.leaves[of], (children > np.tile(own, 2)) & (children < splits[of]))
    hold(after, of, "is damaged: a child does not come after its parent")
    once = np.zeros(len(of), dtype=np.bool_)
    once[np.unique(of * (4 * MOST_LEAVES) + children, return_index=True)[1]] = True
    hold(once, of, "is damaged: a node has two parents")


def _assemble(text: _Text) -> Trees:
    keys, which = np.unique(text.feature * 4 + (text.decision >> 2), return_inverse=True)
    coded = np.stack([keys >> 2, keys & 3, np.zeros_like(keys)], axis=1)
    thresholds = np.full((len(keys), _TABLE), np.inf, dtype=np.float32)
    limits, codes = _at_most(text.threshold), np.zeros(len(which), dtype=np.uint8)
    for place in range(len(keys)):
        here = which == place
        known, order = np.unique(limits[here], return_inverse=True)
        if len(known) > MOST_THRESHOLDS:
            raise UnreadableTrees(
                f"{text.features[coded[place, 0]]} has {len(known)} thresholds, evaluated are {MOST_THRESHOLDS}: "
                f"train with max_bin {MOST_THRESHOLDS + 1}"
            )
        thresholds[place, : len(known)], coded[place, 2], codes[here] = known, len(known), order + 1
    leaves = np.zeros((len(text.leaves), MOST_LEAVES))
    leaves[np.arange(MOST_LEAVES) < text.leaves[:, None]] = text.value
    left, right = (np.where(child < 0, -1 - child, MOST_LEAVES + child) for child in (text.left, text.right))
    return Trees(
        features=text.features,
        outputs=text.outputs,
        coded=coded,
        thresholds=thresholds,
        nodes=np.stack([codes, left, right]).astype(np.uint8),
        columns=(2 * which + (text.decision & _DEFAULT_LEFT == 0)).astype(np.uint16),
        starts=np.cumsum([0, *(text.leaves - 1)]),
        leaves=leaves,
    )


def _at_most(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 at or below each threshold: a float32 value compares alike with either."""
    with np.errstate(over="ignore"):
        near = thresholds.astype(np.float32)
    return np.where(near.astype(np.float64) > thresholds, np.nextafter(near, np.float32(-np.inf)), near)


@njit(cache=True)
def _count_below(thresholds, size, values, below):
    """How many of the thresholds lie below each value, 0 for NaN; eight at a time, which reads counts less often."""
    below[:] = 0
    for at in range(0, size, 8):
        a, b, c, d = thresholds[at], thresholds[at + 1], thresholds[at + 2], thresholds[at + 3]
        e, f, g, h = thresholds[at + 4], thresholds[at + 5], thresholds[at + 6], thresholds[at + 7]
        for row in range(values.shape[0]):
            value = values[row]
            four = np.int32(a < value) + np.int32(b < value) + np.int32(c < value) + np.int32(d < value)
            more = np.int32(e < value) + np.int32(f < value) + np.int32(g < value) + np.int32(h < value)
            below[row] += four + more


@njit(cache=True)
def _encode(vectors, first, coded, thresholds, values, below, codes):
    """The codes of a block: rows 2c and 2c + 1 for coded feature c, a missing value going left and right."""
    for each in range(coded.shape[0]):
        feature, missing, size = coded[each]
        given = vectors[feature, first : first + values.shape[0]]
        for row in range(values.shape[0]):
            value = given[row]
            values[row] = np.float32(0) if abs(value) <= _ZERO_THRESHOLD else value
        if missing != _NAN:
            for row in range(values.shape[0]):
                value = values[row]
                values[row] = np.float32(0) if value != value else value
        _count_below(thresholds[each], size, values, below)
        absent = np.float32(0) if missing == _ZERO else np.float32(np.nan)
        to_left, to_right, beyond = codes[2 * each], codes[2 * each + 1], np.uint8(size + 1)
        for row in range(values.shape[0]):
            value, code = values[row], np.uint8(below[row] + 1)
            gone = value != value or value == absent
            to_left[row] = np.uint8(0) if gone else code
            to_right[row] = beyond if gone else code


@njit(cache=True)
def _evaluate(vectors, coded, thresholds, nodes, columns, starts, leaves, outputs):
    total = vectors.shape[1]
    scores = np.zeros((outputs, total), np.float64)
    codes = np.zeros((2 * coded.shape[0], BLOCK), np.uint8)
    values, below = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.int32)
    at = np.empty(BLOCK, np.uint8)
    for first in range(0, total, BLOCK):
        count = min(BLOCK, total - first)
        lanes = (count + LANES - 1) // LANES * LANES
        _encode(vectors, first, coded, thresholds, values[:count], below[:count], codes)
        for tree in range(starts.shape[0] - 1):
            begin, size = starts[tree], starts[tree + 1] - starts[tree]
            at[:] = MOST_LEAVES if size > 0 else 0
            for node in range(size):
                limit, left, right = nodes[0, begin + node], nodes[1, begin + node], nodes[2, begin + node]
                code = codes[columns[begin + node]]
                here = np.uint8(MOST_LEAVES + node)
                for row in range(lanes):
                    child = left if code[row] <= limit else right
                    at[row] = child if at[row] == here else at[row]
            score, value = scores[tree % outputs, first : first + count], leaves[tree]
            for row in range(count):
                score[row] += value[at[row]]
    return scores
