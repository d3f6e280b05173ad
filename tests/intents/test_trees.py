from collections.abc import Callable
from pathlib import Path

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.intents import IntentsConfig
from pipeline.events.reader import read_log
from pipeline.events.sources.simulator import simulate, write
from pipeline.features.match import match_features
from pipeline.intents.labels import label
from pipeline.intents.model import vectors
from pipeline.intents.training import learn, manifest, samples
from pipeline.intents.trees import MOST_LEAVES, MOST_THRESHOLDS, Trees, UnreadableTrees

TINY = (1e-35, 1e-36, 1e-40, 1e-45)  # LightGBM takes anything up to 1e-35 for 0
SPECIAL = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 3e38, *TINY, *(-x for x in TINY)], dtype=np.float32)
NAN_LEFT, NAN_RIGHT, ZERO_LEFT, ZERO_RIGHT, NONE_LEFT, NONE_RIGHT = 10, 8, 6, 4, 2, 0


def same_bits(text: str, rows: np.ndarray) -> None:
    """Both give the same bits for these rows, float32 (n, features)."""
    trees, booster = Trees.from_text(text), lightgbm.Booster(model_str=text)
    theirs = booster.predict(rows.astype(np.float64), raw_score=True, num_threads=1).reshape(len(rows), trees.outputs)
    ours = trees.scores(np.ascontiguousarray(rows.T))
    assert ours.tobytes() == theirs.tobytes()


def probes(text: str, random: np.random.Generator, count: int = 400) -> np.ndarray:
    """Rows of values at, just above and just below thresholds, and of special ones."""
    trees = Trees.from_text(text)
    known = trees.thresholds[np.isfinite(trees.thresholds)]
    with np.errstate(over="ignore"):
        edges = [known, *(np.nextafter(known, np.float32(way)) for way in (np.inf, -np.inf))]
    pool = np.concatenate([*edges, SPECIAL, SPECIAL])
    return random.choice(pool, (count, len(trees.features)))


@st.composite
def grown(draw) -> tuple[str, np.ndarray]:
    """A model that LightGBM trained on random rows, and the rows."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows, features = draw(st.integers(20, 300)), draw(st.integers(1, 6))
    table = random.normal(size=(rows, features)) * 10.0 ** random.integers(-3, 4, features)
    table = np.where(random.random(features) < 0.3, np.round(table), table).astype(np.float32)
    for special in (np.nan, 0.0, -0.0, 1e-36, np.inf, -np.inf):
        table[random.random(table.shape) < draw(st.sampled_from([0.0, 0.0, 0.2]))] = special
    table[:, random.random(features) < 0.15] = 7  # constant
    classes = draw(st.integers(1, 9))
    objective = draw(st.sampled_from(["multiclass", "multiclassova"])) if classes > 1 else "regression"
    truth = random.integers(0, classes, rows) if classes > 1 else np.nan_to_num(table[:, 0]).clip(-9, 9)
    parameters = {
        "objective": objective,
        "num_class": classes,
        "num_leaves": draw(st.integers(2, MOST_LEAVES)),
        "max_bin": draw(st.sampled_from([2, 16, 255])),
        "use_missing": draw(st.booleans()),
        "zero_as_missing": draw(st.booleans()),
        "boosting": draw(st.sampled_from(["gbdt", "dart"])),
        "min_data_in_leaf": 1,
        "min_data_in_bin": 1,
        "learning_rate": 0.3,
        "num_threads": 1,
        "verbosity": -1,
        "seed": 1,
    }
    data = lightgbm.Dataset(table.astype(np.float64), label=truth, free_raw_data=False)
    booster = lightgbm.train(parameters, data, num_boost_round=draw(st.integers(1, 6)))
    return booster.model_to_string(), table


@settings(max_examples=150, deadline=None)
@given(grown(), st.integers(0, 2**32))
def test_scores_are_to_the_bit_those_of_lightgbm_on_models_that_it_trained(model, seed):
    text, rows = model
    same_bits(text, rows)
    same_bits(text, probes(text, np.random.default_rng(seed)))


def written(trees: list[dict[str, list]], outputs: int, features: int) -> str:
    """Model text as LightGBM writes it."""
    parts = []
    for number, tree in enumerate(trees):
        leaves = len(tree["leaf_value"])
        fields = {"num_leaves": [leaves], "num_cat": [0], **tree, "is_linear": [0], "shrinkage": [1]}
        body = "".join(f"{name}={' '.join(map(repr, values))}\n" for name, values in fields.items())
        parts.append(f"Tree={number}\n{body}\n\n")
    head = {
        "version": "v4",
        "num_class": outputs,
        "num_tree_per_iteration": outputs,
        "label_index": 0,
        "max_feature_idx": features - 1,
        "objective": f"multiclass num_class:{outputs}" if outputs > 1 else "regression",
        "feature_names": " ".join(f"f{number}" for number in range(features)),
        "feature_infos": " ".join(["[-1:1]"] * features),
        "tree_sizes": " ".join(str(len(part)) for part in parts),
    }
    top = "tree\n" + "".join(f"{name}={value}\n" for name, value in head.items())
    return top + "\n" + "".join(parts) + "end of trees\n\nparameters:\nend of parameters\n"


ODD = (0.0, 1.0000000180025095e-35, -1.0000000180025095e-35, 5e-36, 1e-320, 1e300, -1e300, 0.1, 16777217.0)


def some_thresholds(random: np.random.Generator) -> list[float]:
    """As many as a feature may have, few of them float32 values."""
    ordinary = random.normal(size=MOST_THRESHOLDS - len(ODD)) * 10.0 ** random.integers(
        -2, 3, MOST_THRESHOLDS - len(ODD)
    )
    return [*ODD, *ordinary.tolist()]


def random_tree(
    random: np.random.Generator, leaves: int, features: int, thresholds: list[float], deep: bool = False
) -> dict[str, list]:
    """A tree grown by splitting a random leaf, or always the newest, with missing values of any kind."""
    splits = leaves - 1
    left, right, parents = [0] * splits, [0] * splits, {0: None}
    for node in range(splits):
        leaf = node if deep else int(random.choice(list(parents)))
        if parents[leaf] is not None:
            above, side = parents[leaf]
            side[above] = node
        left[node], right[node] = -1 - leaf, -2 - node
        parents[leaf], parents[node + 1] = (node, left), (node, right)
    kinds = [NAN_LEFT, NAN_RIGHT, ZERO_LEFT, ZERO_RIGHT, NONE_LEFT, NONE_RIGHT]
    return {
        "split_feature": random.integers(0, features, splits).tolist(),
        "threshold": random.choice(thresholds, splits).tolist(),
        "decision_type": random.choice(kinds, splits).tolist(),
        "left_child": left,
        "right_child": right,
        "leaf_value": (random.normal(size=leaves) * 10.0 ** random.integers(-8, 4, leaves)).tolist(),
    }


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    outputs=st.integers(1, 9),
    rounds=st.integers(1, 4),
    features=st.integers(1, 5),
    most=st.sampled_from([1, 2, 9, 40, MOST_LEAVES]),
    deep=st.booleans(),
)
def test_scores_are_to_the_bit_those_of_lightgbm_on_any_trees(seed, outputs, rounds, features, most, deep):
    random = np.random.default_rng(seed)
    known = some_thresholds(random)
    trees = [
        random_tree(random, int(random.integers(1, most + 1)), features, known, deep) for _ in range(outputs * rounds)
    ]
    text = written(trees, outputs, features)
    same_bits(text, probes(text, random))
    same_bits(text, (random.normal(size=(300, features)) * 10.0 ** random.integers(-2, 3, features)).astype(np.float32))


def simulated(folder: Path, _: pytest.FixtureRequest) -> Path:
    return write(folder, simulate(rounds=4, seed=3))[0]


def recorded(_: Path, request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue("shared_data") / "cs2" / "cs2-sf-mirage.jsonl.gz"


@pytest.mark.parametrize("log", [simulated, recorded], ids=["simulated", "recorded"])
def test_scores_are_to_the_bit_those_of_lightgbm_on_every_row_of_a_match(
    log: Callable[..., Path], tmp_path: Path, request: pytest.FixtureRequest, config: IntentsConfig
):
    (match,) = read_log(log(tmp_path, request), log_id="m").matches.values()
    features = match_features(match.match, match.events.read(), match.tracks.read())
    labelled = samples(features, label(match.events.read(), match.tracks.read(), features))
    model = learn(labelled, manifest(labelled, config), config)
    rows = vectors(features)
    same_bits(model.text, rows.T)
    assert np.unique(model.scores(rows), axis=0).shape[0] > features.height / 2  # it is no constant


def test_a_row_has_the_same_scores_in_any_company():
    random = np.random.default_rng(5)
    text = written([random_tree(random, 60, 4, some_thresholds(random)[::3]) for _ in range(6)], 3, 4)
    trees, rows = Trees.from_text(text), probes(text, random, 700).T
    whole = trees.scores(rows)
    assert whole.shape == (700, 3)
    assert trees.scores(rows[:, :0]).shape == (0, 3)
    for size in (1, 10, 31, 256, 257):
        parts = [trees.scores(rows[:, start : start + size]) for start in range(0, 700, size)]
        assert np.concatenate(parts).tobytes() == whole.tobytes()


def test_rows_of_another_shape_or_type_are_refused():
    trees = Trees.from_text(written([random_tree(np.random.default_rng(0), 5, 3, [0.5])], 1, 3))
    for wrong in (np.zeros((4, 9), np.float32), np.zeros((3, 9)), np.zeros(3, np.float32)):
        with pytest.raises(ValueError, match=r"not float32 \(3, n\)"):
            trees.scores(wrong)


STUMP = {
    "split_feature": [0],
    "threshold": [1.5],
    "decision_type": [NAN_LEFT],
    "left_child": [-1],
    "right_child": [-2],
    "leaf_value": [0.25, -0.5],
}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"split_feature": [2]}, "no name"),
        ({"split_feature": [-1]}, "no name"),
        ({"split_feature": []}, "0 of 1 split_feature"),
        ({"split_feature": [2**70]}, "damaged"),
        ({"threshold": [float("nan")]}, "threshold is no number"),
        ({"leaf_value": [float("inf"), 1.0]}, "leaf's value is no number"),
        ({"leaf_value": [1.0, 2.0, 3.0]}, "1 of 2 threshold"),
        ({"decision_type": [1]}, "kind of split"),
        ({"decision_type": [12]}, "kind of split"),
        ({"left_child": [0]}, "does not come after its parent"),
        ({"left_child": [1]}, "does not come after its parent"),
        ({"left_child": [-3]}, "does not come after its parent"),
        ({"left_child": [-2]}, "two parents"),
        ({"num_cat": [1]}, "categorical"),
        ({"is_linear": [1]}, "linear"),
    ],
)
def test_a_damaged_or_foreign_tree_is_refused(change, why):
    assert Trees.from_text(written([STUMP], 1, 2)).scores(np.float32([[1.5, 1.6, np.nan], [0, 0, 0]])).tolist() == [
        [0.25],
        [-0.5],
        [0.25],
    ]
    text = written([STUMP | change], 1, 2)
    for name in ("num_cat", "is_linear"):  # the later line of the same name would win
        if name in change:
            text = text.replace(f"{name}=0", f"{name}=1")
    with pytest.raises(UnreadableTrees, match=why):
        Trees.from_text(text)


def test_a_text_that_is_not_whole_is_refused():
    text = written([STUMP] * 4, 2, 2)
    for damaged in (
        text[: len(text) // 2],
        text.replace("Tree=2", "tree 2"),
        text.replace("end of trees", ""),
        text.replace("num_tree_per_iteration=2", "num_tree_per_iteration=3"),
        text.replace("num_tree_per_iteration=2", "num_tree_per_iteration=two"),
        text.replace("max_feature_idx=1", "max_feature_idx=2"),
        text.replace("leaf_value=0.25 -0.5", "leaf_value=0.25 x"),
        text.replace("leaf_value", "leaf_worth"),
        text.replace("tree_sizes", "sizes"),
        text.replace("version=v4", "version=v4\naverage_output"),
        "",
    ):
        with pytest.raises(UnreadableTrees):
            Trees.from_text(damaged)


def test_more_leaves_or_thresholds_than_a_byte_tells_apart_are_refused():
    random = np.random.default_rng(1)
    with pytest.raises(UnreadableTrees, match="more than 128 leaves"):
        Trees.from_text(written([random_tree(random, MOST_LEAVES + 1, 2, [0.5])], 1, 2))
    stumps = [STUMP | {"threshold": [float(number)]} for number in range(MOST_THRESHOLDS + 1)]
    same_bits(written(stumps[:-1], 1, 2), random.uniform(-2, 260, (2000, 2)).astype(np.float32))
    with pytest.raises(UnreadableTrees, match="f0 has 255 thresholds"):
        Trees.from_text(written(stumps, 1, 2))
