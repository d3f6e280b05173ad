"""A whole evaluation: of matches by models that never saw their series, or of matches by one finished model.

Belongs here: which trainings are made and which of their figures are told. Does not belong here: the figures themselves
(`judgement`), words (`report`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any

import numpy as np
import polars as pl

from configs.base import config_hash
from configs.evaluation import EvaluationConfig, load_evaluation
from configs.events import load_events
from configs.features import load_features
from configs.intents import IntentsConfig, load_intents
from configs.maps import load_maps
from configs.simulator import load_simulator
from configs.titles import load_titles
from pipeline.features.agreement import NotTheSameMatch
from pipeline.intents.evaluation import alarms, death, figures, judgement, protocol, simulation, ways
from pipeline.intents.evaluation.cases import Case, Folder, truth, twins
from pipeline.intents.evaluation.judgement import Pool
from pipeline.intents.evaluation.measures import score
from pipeline.intents.evaluation.protocol import Fold
from pipeline.intents.evaluation.resampling import Floats
from pipeline.intents.evaluation.ways import HYBRID, MODEL, WAYS, Judged, Knowledge
from pipeline.intents.kinship import alignment, series_of_match
from pipeline.intents.model import BoosterModel, IntentModel
from pipeline.versions import code_version

Document = dict[str, Any]
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Examination:
    """What an evaluation found.

    Attributes:
        document: every figure, as JSON can hold it.
        figures: pictures by file name, PNG.
    """

    document: Document
    figures: Mapping[str, bytes]


def _silent(_: str) -> None:
    return None


def examine(
    folder: Folder,
    model: IntentModel,
    *,
    intents: IntentsConfig | None = None,
    evaluation: EvaluationConfig | None = None,
    gold: pl.DataFrame | None = None,
    progress: Progress = _silent,
) -> Examination:
    """How good a finished model is on matches, which it should not have been trained on.

    Args:
        folder: the matches; of one that was recorded twice, only the denser recording counts.
        model: the champion, or any other version.
        intents: rules and labels; `configs/intents.yaml` if None.
        evaluation: measures; `configs/evaluation.yaml` if None.
        gold: what people say of stretches of these matches, as `resources.reviews.Reviews.gold` gives it.
        progress: is told what is being done.
    """
    intents, evaluation = intents or load_intents(), evaluation or load_evaluation()
    sparse = twins(folder.cases)
    single = [case for case in folder.cases if case.match_id not in sparse]
    knowledge = ways.given(model, intents)
    seen = {sparse.get(case.match_id, case.match_id) for case in _seen(folder.cases, model, knowledge.trained)}
    judged = []
    for case in single:
        progress(f"judge {case.match_id}")
        judged.append(ways.judged(case, knowledge, intents, evaluation))
    pool = Pool(judged, evaluation)
    document = {
        "kind": "model",
        "model_version": model.version,
        "seen_in_training": sorted(seen),
        "recorded_twice": sparse,
        **_common(folder, intents, evaluation),
        "by_series": _all_figures(pool, intents, gold),
    }
    return Examination(document, figures_of(pool, document["by_series"]))


def _seen(cases: Sequence[Case], model: IntentModel, trained: Sequence[str]) -> list[Case]:
    """The matches of which a model has learned from any of the series, as far as ids and their own twins tell."""
    known = set(trained)
    if isinstance(model, BoosterModel):
        named = zip(model.manifest.matches, model.manifest.series, strict=True)
        known |= {series for name, series in named if name in known}
    seen = {
        case.series for case in cases if known & {case.match_id, case.series, series_of_match(case.match_id, case.map)}
    }
    return [case for case in cases if case.series in seen]


def cross_validate(
    folder: Folder,
    *,
    intents: IntentsConfig | None = None,
    evaluation: EvaluationConfig | None = None,
    gold: pl.DataFrame | None = None,
    progress: Progress = _silent,
) -> Examination:
    """How good training on other matches is, for each match in turn; by time, where all are of one series.

    Args:
        folder: the matches; of one that was recorded twice, the sparser recording is only tested on.
        intents: rules, labels, training; `configs/intents.yaml` if None.
        evaluation: measures; `configs/evaluation.yaml` if None.
        gold: what people say of stretches of these matches, as `resources.reviews.Reviews.gold` gives it.
        progress: is told what is being done.

    Raises:
        NothingToTrain: if a match that must be learned from has no label.
    """
    intents, evaluation = intents or load_intents(), evaluation or load_evaluation()
    sparse = twins(folder.cases)
    single = [case for case in folder.cases if case.match_id not in sparse]
    series = {case.series for case in single}
    document = {
        "kind": "cross-validation",
        "by_time": len(series) < 2,
        "recorded_twice": sparse,
        "teams_apart": _teams_apart(single),
        **_common(folder, intents, evaluation),
    }
    run = _Run({case.match_id: case for case in folder.cases}, intents, evaluation, progress)
    if len(series) < 2:
        ((known, later),) = protocol.by_time(single, intents.training.test_share)
        knowledge = ways.learn(known, intents)
        pool = Pool([ways.judged(case, knowledge, intents, evaluation) for case in later], evaluation)
        document["by_series"] = main = _all_figures(pool, intents, gold)
        return Examination(document, figures_of(pool, main))
    by_series = protocol.folds(single, lambda case: case.series)
    pool = Pool(run.judged(by_series, "series held out"), evaluation)
    document["by_series"] = main = _all_figures(pool, intents, gold)
    splits = {
        "map": protocol.folds(single, lambda case: case.map),
        "team": protocol.by_team(single),
        "time": protocol.forward(single),
        "one series only": protocol.single_series(single),
    }
    document["splits"] = {title: run.told(folds, f"split by {title}") for title, folds in splits.items()}
    progress("death within the horizon")
    main["death"] = _death(pool, run.cases, by_series, evaluation)
    progress("transfer")
    models = {name: run.learned[fold.trained] for fold in by_series for name in fold.tested}
    document["transfer"] = {
        other: _transfer(run.cases[other], run.cases[name], models[name], intents, evaluation)
        for other, name in sparse.items()
    }
    progress("simulated truth")
    document["simulated"] = simulation.against_truth(intents, evaluation)
    return Examination(document, figures_of(pool, main))


@dataclass
class _Run:
    """Trainings of one cross-validation; the same matches are not trained on twice."""

    cases: Mapping[str, Case]
    intents: IntentsConfig
    evaluation: EvaluationConfig
    progress: Progress
    learned: dict[tuple[str, ...], Knowledge] = field(default_factory=dict)

    def judged(self, folds: Sequence[Fold], title: str) -> list[Judged]:
        found = {}
        for fold in folds:
            self.progress(f"{title}: {fold.name}")
            if fold.trained not in self.learned:
                known = [self.cases[name] for name in fold.trained]
                self.learned[fold.trained] = ways.learn(known, self.intents)
            knowledge = self.learned[fold.trained]
            for name in fold.tested:
                found[name, fold.name] = ways.judged(self.cases[name], knowledge, self.intents, self.evaluation)
        return [found[key] for key in sorted(found)]

    def told(self, folds: Sequence[Fold], title: str) -> Document:
        if not folds:
            return {}
        pool = Pool(self.judged(folds, title), self.evaluation)
        return {"ways": judgement.summary(pool), "matches": judgement.matches(pool)}


def _teams_apart(cases: Sequence[Case]) -> bool:
    """Whether no team's id appears in two series."""
    series_of_team = {(team, case.series) for case in cases for team in case.teams}
    return len(series_of_team) == len({team for team, _ in series_of_team})


_PREDICTING = (
    "calibration",
    "heuristics",
    "hybrid",
    "kinship",
    "model",
    "prediction",
    "segmenter",
    "segments",
    "training",
    "trees",
)
_OTHER_CONFIGS = {
    "events": load_events,
    "features": load_features,
    "maps": load_maps,
    "simulator": load_simulator,
    "titles": load_titles,
}
_LIBRARIES = ("lightgbm", "matplotlib", "numba", "numpy", "polars", "scikit-learn", "scipy")


def _common(folder: Folder, intents: IntentsConfig, evaluation: EvaluationConfig) -> Document:
    return {
        "seed": evaluation.seed,
        "resamples": evaluation.resamples,
        "interval": evaluation.interval,
        "least_rows": evaluation.least_rows,
        "calibration": evaluation.calibration.model_dump(mode="json"),
        "alarms": evaluation.alarms.model_dump(mode="json") | alarms.windows(),
        "death": evaluation.death.model_dump(mode="json"),
        "training": intents.training.model_dump(mode="json"),
        "purge_ms": protocol.purge_ms(folder.cases),
        "embargo_ms": protocol.embargo_ms(),
        "grid_ms": load_features().grid_ms,
        "skipped": folder.skipped,
        "versions": {
            "events reader and simulator (code)": code_version("events", "tables.py"),
            "labels (code)": code_version("intents/labels", "intents/vocabulary.py"),
            "features (code)": code_version("features"),
            "model, calibration, rules, segments (code)": code_version(*(f"intents/{name}.py" for name in _PREDICTING)),
            "evaluation (code)": code_version("intents/evaluation"),
            "configs/intents.yaml": config_hash(intents),
            "configs/evaluation.yaml": config_hash(evaluation),
            **{f"configs/{name}.yaml": config_hash(read()) for name, read in _OTHER_CONFIGS.items()},
            **{f"{name} (library)": version(name) for name in _LIBRARIES},
        },
    }


def _all_figures(pool: Pool, intents: IntentsConfig, gold: pl.DataFrame | None) -> Document:
    return {
        **({} if gold is None else {"people": judgement.people(pool, gold)}),
        "rows": pool.rows.height,
        "labelled": int((pool.truth >= 0).sum()),
        "rounds": pool.units,
        "support": np.bincount(pool.truth[pool.truth >= 0], minlength=9).tolist(),
        "matches": judgement.matches(pool),
        "ways": judgement.ways(pool),
        "differences": judgement.differences(pool),
        "calibration": {name: judgement.calibration(pool, name) for name in (HYBRID, MODEL)},
        "warned": judgement.warned(pool),
        "rules": judgement.rules(pool, intents),
        "flips": judgement.flips(pool),
        "groups": judgement.groups(pool),
        "confusion": {name: judgement.confusion(pool, name).tolist() for name in (HYBRID, MODEL)},
    }


def _death(pool: Pool, cases: Mapping[str, Case], folds: Sequence[Fold], config: EvaluationConfig) -> Document:
    said: dict[str, Floats] = {}
    thresholds: dict[str, float] = {}
    for fold in folds:
        known, tested = ([cases[name] for name in chosen] for chosen in (fold.trained, fold.tested))
        found, threshold = death.foretell(known, tested, config.death, seed=config.seed)
        said |= dict(zip(fold.tested, found, strict=True))
        thresholds |= dict.fromkeys(fold.tested, threshold)
    names = [each.case.match_id for each in pool.judged]
    died = [death.dies(each.case, config.death.horizon_ms) for each in pool.judged]
    return judgement.deaths(pool, [said[name] for name in names], died, [thresholds[name] for name in names])


def _transfer(
    sparse: Case, dense: Case, knowledge: Knowledge, intents: IntentsConfig, config: EvaluationConfig
) -> Document:
    """One match as two sources tell it, by one model that saw neither; truth is the dense recording's label."""
    found = alignment(dense.recording, sparse.recording)
    if found is None:
        raise NotTheSameMatch(f"{dense.match_id} and {sparse.match_id} do not tell of the same kills")
    offset, names = found.offset_ms, dict(found.players)
    theirs = dense.labels.select(
        pl.col("player").replace(names), pl.col("t_ms") + offset, "intent", pl.lit(True).alias("seen")
    )
    one, other = (ways.judged(case, knowledge, intents, config) for case in (dense, sparse))
    shared = other.rows.select("player", "t_ms").join(theirs, on=["player", "t_ms"], how="left", maintain_order="left")
    common = truth(shared).to_numpy()
    from_dense = replace(other, truth=common)
    mine = one.rows.select(pl.col("player").replace(names), pl.col("t_ms") + offset)
    both = (
        mine.join(
            other.rows.select("player", "t_ms", pl.lit(1).alias("there")),
            on=["player", "t_ms"],
            how="left",
            maintain_order="left",
        )["there"]
        .is_not_null()
        .to_numpy()
    )
    on_dense = replace(one, truth=np.where(both, one.truth, -1))
    pools = {
        "dense input, dense labels": Pool([on_dense], config),
        "sparse input, dense labels": Pool([from_dense], config),
        "sparse input, its own labels": Pool([other], config),
    }
    labelled = (common >= 0) & (other.truth >= 0)
    return {
        "dense": dense.match_id,
        "trained_on": list(knowledge.trained),
        "model_version": knowledge.model.version,
        "labels_agree": float((common == other.truth)[labelled].mean()) if labelled.any() else None,
        "inputs": {
            title: {
                "labelled": int((pool.truth >= 0).sum()),
                "ways": judgement.ways(pool),
                "groups": judgement.groups(pool)["gap in positions"],
            }
            for title, pool in pools.items()
        },
    }


def figures_of(pool: Pool, found: Document) -> dict[str, bytes]:
    """The pictures of an evaluation by file name."""
    known = pool.truth >= 0
    titles = {HYBRID: "rules, then model", MODEL: "model alone"}
    scores = {title: score(pool.way(name)[known], pool.truth[known]) for name, title in titles.items()}
    return {
        "confusion.png": figures.confusion_figure(scores),
        "reliability.png": figures.reliability_figure({titles[name]: found["calibration"][name] for name in titles}),
        "ways.png": figures.ways_figure(found["ways"], found["matches"], WAYS),
        "alarms.png": figures.alarms_figure(found["warned"], pool.config.alarms.false_per_round),
    }
