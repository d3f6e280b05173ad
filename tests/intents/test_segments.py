import numpy as np
import polars as pl
import pytest

from configs.features import load_features
from pipeline.intents.model import PriorModel
from pipeline.intents.prediction import predict
from pipeline.intents.segmenter import finish
from pipeline.intents.segments import UnknownDecider, begin, extend, segment, segment_id
from pipeline.intents.vocabulary import INTENTS, PROBABILITIES
from pipeline.tables import conform, empty

MODEL = "model:v"
LETTERS = {"a": "advance", "h": "hold", "p": "peek", "e": "engage", "P": "plant"}


@pytest.fixture
def told(instants):
    """Table `intents` of one player from a letter per instant, sure of each by 0.7; and its features."""

    def make(letters: str, *, sure: float = 0.7, decided_by: str = MODEL, **more):
        features = instants(len(letters), **more)
        columns = {name: [(1 - sure) / 8] * len(letters) for name in PROBABILITIES}
        for row, letter in enumerate(letters):
            columns[f"p_{LETTERS[letter]}"][row] = sure
        return _intents(features, pl.DataFrame(columns), [LETTERS[letter] for letter in letters], decided_by), features

    return make


def _intents(features, probabilities, intent, decided_by) -> pl.DataFrame:
    frame = features.select("match_id", "round", "player", "t_ms").hstack(probabilities)
    frame = frame.with_columns(pl.lit(None, pl.Float32).alias("model_against"))
    confidence = pl.max_horizontal(PROBABILITIES)
    decider = (
        pl.Series("decided_by", decided_by) if isinstance(decided_by, list) else pl.lit(decided_by).alias("decided_by")
    )
    return conform("intents", frame.with_columns(pl.Series("intent", intent), confidence.alias("confidence"), decider))


def cut(made, config, threshold: float = 0.0) -> pl.DataFrame:
    return segment(*made, model_version="v", config=config, review_threshold=threshold)


def spans(found: pl.DataFrame) -> list[tuple[str, int, int]]:
    return found.select("intent", "from_ms", "to_ms").rows()


def test_a_lone_instant_is_a_segment(told, config):
    found = cut(told("h"), config)
    assert spans(found) == [("hold", 0, 250)]
    assert found["confidence"].item() == pytest.approx(0.7)
    assert found["segment_id"].item() == segment_id("m", "player:a", 0, "hold")


def test_a_flicker_shorter_than_its_least_length_stays_with_the_open_segment(told, config):
    assert spans(cut(told("hhhhehhh"), config)) == [("hold", 0, 2000)]
    assert spans(cut(told("hhhheehhhh"), config)) == [("hold", 0, 1000), ("engage", 1000, 1500), ("hold", 1500, 2500)]


def test_a_change_counts_from_where_it_began_and_only_if_unbroken(told, config):
    assert spans(cut(told("hhhhaaaa"), config)) == [("hold", 0, 1000), ("advance", 1000, 2000)]
    assert spans(cut(told("hhhhaahaa"), config)) == [("hold", 0, 2250)]
    assert spans(cut(told("hhhhaaeaaee"), config)) == [("hold", 0, 2250), ("engage", 2250, 2750)]


def test_the_first_segment_of_a_stretch_takes_the_rows_before_it(told, config):
    assert spans(cut(told("eahhhh"), config)) == [("hold", 0, 1500)]


def test_a_stretch_without_any_long_enough_intent_is_its_most_frequent(told, config):
    assert spans(cut(told("ahahh"), config)) == [("hold", 0, 1250)]


def test_a_slightly_more_probable_intent_does_not_count_against_the_open_one(instants, config):
    features = instants(8)
    columns = {name: [0.1] * 8 for name in PROBABILITIES}
    columns["p_hold"], columns["p_advance"] = [0.4] * 4 + [0.35] * 4, [0.2] * 4 + [0.38] * 4
    close = _intents(features, pl.DataFrame(columns), ["hold"] * 4 + ["advance"] * 4, MODEL)
    assert spans(cut((close, features), config)) == [("hold", 0, 2000)]
    clear = close.with_columns(p_advance=pl.Series([0.2] * 4 + [0.45] * 4, dtype=pl.Float32))
    assert [name for name, *_ in spans(cut((clear, features), config))] == ["hold", "advance"]


def test_a_gap_and_a_new_round_split(told, config):
    intents, features = told("h" * 8)
    gap = pl.col("t_ms") != 1000
    found = cut((intents.filter(gap), features.filter(gap)), config)
    assert spans(found) == [("hold", 0, 1000), ("hold", 1250, 2000)]
    second = pl.when(pl.col("t_ms") >= 1000).then(2).otherwise(1).cast(pl.Int32).alias("round")
    found = cut((intents.with_columns(second), features.with_columns(second)), config)
    assert found.select("round", "from_ms", "to_ms").rows() == [(1, 0, 1000), (2, 1000, 2000)]


def test_a_segment_has_its_players_team_and_the_mean_of_its_own_intent(told, config):
    found = cut(told("hhhhehhh", team="team:t", side="terrorists"), config)
    assert found.select("team", "side").rows() == [("team:t", "terrorists")]
    assert found["confidence"].item() == pytest.approx((7 * 0.7 + 0.3 / 8) / 8, abs=1e-5)


def test_who_decided_most_of_the_rows_that_spoke_for_it_decided_the_segment(told, config):
    by = ["rule:planting"] * 3 + [MODEL] * 2 + ["rule:stands_still"] * 4
    intents, features = told("PPPPPhhhh")
    found = cut((intents.with_columns(pl.Series("decided_by", by)), features), config)
    assert found.select("intent", "decided_by").rows() == [("plant", "rule:planting"), ("hold", "rule:stands_still")]
    with pytest.raises(UnknownDecider, match="model:other"):
        cut(told("h", decided_by="model:other"), config)


def test_doubt_is_a_reason_for_review(told, config):
    assert cut(told("hhhhPPPP"), config, threshold=0.6)["review_reasons"].to_list() == [[], []]
    found = cut(told("hhhhPPPP", sure=0.5), config, threshold=0.6)
    assert found["review_reasons"].to_list() == [["low_confidence"], ["low_confidence"]]


def test_no_rows_are_no_segments(config):
    assert cut((empty("intents"), empty("features")), config).is_empty()


@pytest.fixture
def noisy(instants):
    """Four players over three rounds with gaps, and random probabilities that persist a little."""
    random = np.random.default_rng(11)
    features = pl.concat(
        instants(int(random.integers(40, 120)), player=f"player:{name}", round_=round_, start_ms=round_ * 60_000)
        for name in "abcd"
        for round_ in (1, 2, 3)
    ).filter(pl.col("t_ms") % 7000 != 0)
    logits = np.zeros((features.height, 9))
    for row in range(1, features.height):
        logits[row] = 0.8 * logits[row - 1] + random.normal(size=9)
    shares = np.exp(logits)
    shares /= shares.sum(axis=1, keepdims=True)
    probabilities = pl.DataFrame(shares.astype(np.float32), schema=list(PROBABILITIES))
    best = [INTENTS[place] for place in shares.argmax(axis=1)]
    return _intents(features, probabilities, best, MODEL), features


def test_every_row_lies_in_exactly_one_segment(noisy, config):
    intents, features = noisy
    found = cut((intents, features), config)
    rows = found.select("player", "round", pl.int_ranges("from_ms", "to_ms", 250).alias("t_ms")).explode("t_ms")
    keys = ["player", "round", "t_ms"]
    assert rows.sort(keys).equals(intents.select(keys).sort(keys))
    assert found["segment_id"].is_unique().all()


def test_any_chunking_gives_the_segments_of_the_whole(noisy, config):
    intents, features = noisy
    whole = cut((intents, features), config)
    live = intents.sort("t_ms", "player")
    for seed in range(4):
        random = np.random.default_rng(seed)
        state, closed, start = begin(config), [], 0
        while start < live.height:
            size = int(random.integers(1, 60))
            closed.append(extend(state, live[start : start + size], model_version="v", config=config))
            start += size
        closed.append(finish(state, grid_ms=load_features().grid_ms))
        found = sorted(
            (state.players[row[0]], *row[2:4], INTENTS[row[4]], row[5]) for row in np.concatenate(closed).tolist()
        )
        told = whole.select("player", "from_ms", "to_ms", "intent", (pl.col("confidence") * 1e6).round().cast(pl.Int64))
        assert found == sorted(told.rows())


def test_a_copy_of_the_state_goes_on_as_the_original(noisy, config):
    import copy

    live = noisy[0].sort("t_ms", "player")
    state = begin(config)
    extend(state, live[:500], model_version="v", config=config)
    other = copy.deepcopy(state)
    ends = [extend(each, live[500:], model_version="v", config=config).tolist() for each in (state, other)]
    assert ends[0] == ends[1]


def test_later_rows_change_no_segment_that_is_closed(noisy, config):
    live = noisy[0].sort("t_ms", "player")
    early = extend(begin(config), live[:400], model_version="v", config=config).tolist()
    assert early == extend(begin(config), live, model_version="v", config=config).tolist()[: len(early)]


def test_the_order_of_rows_does_not_matter_to_a_whole_match(noisy, config):
    shuffled = tuple(frame.sample(fraction=1, shuffle=True, seed=5) for frame in noisy)
    assert cut(shuffled, config).equals(cut(noisy, config))


def test_the_prior_alone_gives_a_segment(instants, config):
    prior = PriorModel.configured(config)
    features = instants(round_=None)
    found = segment(
        predict(features, prior, config), features, model_version=prior.version, config=config, review_threshold=0.6
    )
    assert found.height == 1
    assert found["review_reasons"].to_list() == [["low_confidence"]]
