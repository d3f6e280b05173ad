"""Labels and model against what players of simulated matches truly meant.

Belongs here: which matches are simulated, and whose answer is held against the truth. Does not belong here: play
(`pipeline.events.sources.simulator`), how the labels' rules do one by one (`pipeline.intents.labels`).

A simulated player knows his intent, so agreement with it is agreement with truth, of a play that is simpler than real.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from configs.evaluation import EvaluationConfig
from configs.intents import IntentsConfig
from pipeline.events.sources.simulator import SimulatedMatch, simulate
from pipeline.intents.evaluation import ways
from pipeline.intents.evaluation.cases import Case, read_cases, truth
from pipeline.intents.evaluation.judgement import OVERALL, Pool
from pipeline.intents.evaluation.resampling import Bools
from pipeline.intents.evaluation.ways import HEURISTICS, HYBRID, MAJORITY, MODEL, Judged
from pipeline.intents.vocabulary import INTENTS

LABELS = "labels"
_SHOWN = (LABELS, HYBRID, MODEL, HEURISTICS, MAJORITY)


def against_truth(intents: IntentsConfig, evaluation: EvaluationConfig) -> dict[str, Any]:
    """Trains on the labels of some simulated matches; holds labels and predictions of others against the truth.

    Args:
        intents: rules, labels and training.
        evaluation: which matches, and the measures.

    Returns:
        `spoken`: each answer where the labels speak; `every`: the predictions at every instant; measures with
        intervals by answer. `taught`, `judged`: matches. `coverage`: share of instants with a label.
    """
    plan = evaluation.simulated
    taught = [simulate(rounds=plan.rounds, seed=seed) for seed in plan.taught]
    played = [simulate(rounds=plan.rounds, seed=seed) for seed in plan.judged]
    knowledge = ways.learn(_read(taught), intents)
    judged = [
        _with_truth(ways.judged(case, knowledge, intents, evaluation), match)
        for case, match in zip(_read(played), played, strict=True)
    ]
    pool = Pool(judged, evaluation)
    spoken = np.concatenate([each.rows["intent"].is_not_null().to_numpy() for each in judged])
    return {
        "taught": [match.match_id for match in taught],
        "judged": [match.match_id for match in played],
        "model_version": knowledge.model.version,
        "rows": len(spoken),
        "coverage": float(spoken.mean()),
        "spoken": {name: _measures(pool, name, spoken) for name in _SHOWN},
        "every": {name: _measures(pool, name, None) for name in _SHOWN if name != LABELS},
    }


def _read(matches: Sequence[SimulatedMatch]) -> list[Case]:
    found: list[Case] = []
    with tempfile.TemporaryDirectory() as folder:
        for match in matches:
            log = Path(folder, f"{match.match_id}.jsonl")
            log.write_text("\n".join(match.canonical_lines()) + "\n", encoding="utf-8")
            found += read_cases(log)
    return found


def _with_truth(judged: Judged, match: SimulatedMatch) -> Judged:
    """The same with the players' own intent for truth, and the labels as one more way to answer."""
    true = judged.rows.select("player", "t_ms").join(
        match.truth.select("player", "t_ms", "intent"), on=["player", "t_ms"], how="left", maintain_order="left"
    )
    certain = np.eye(len(INTENTS))[np.maximum(judged.truth, 0)]
    return replace(
        judged,
        truth=truth(true).to_numpy(),
        ways={**judged.ways, LABELS: certain},
        said={**judged.said, LABELS: certain.argmax(axis=1)},
    )


def _measures(pool: Pool, name: str, where: Bools | None) -> dict[str, Any]:
    shown = (*OVERALL[:2], *(f"f1_{intent}" for intent in INTENTS))
    found = pool.agreement(name, where).measures(pool.weights)
    return {measure: pool.estimate(found[measure]).plain() for measure in shown}
