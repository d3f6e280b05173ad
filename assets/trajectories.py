"""The model that predicts where somebody goes as well as how: its training, its examination, films that it makes up.

Belongs here: what it is trained on and when, its checks, what an analyst sees of it. Does not belong here: the model
(`pipeline.trajectories`), the process it is trained in (`resources.training`).
Concept: https://docs.dagster.io/guides/build/assets
"""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
from pydantic import Field

from assets import reports
from assets.scenes import TABLE
from configs.scenes import load_scenes
from configs.trajectories import load_trajectories
from pipeline.intents.kinship import series_of_match
from pipeline.scenes import speeds
from pipeline.scenes.matches import source_of
from pipeline.trajectories.corpus import SPLITS, Corpus, Encoder, assembled
from pipeline.trajectories.evaluation import judged
from pipeline.trajectories.generation import generated, sheet
from pipeline.trajectories.plan import CODE, Plan, planned
from pipeline.trajectories.recorded import Recorded, recorded_windows
from pipeline.trajectories.report import Outcome, goals, page
from pipeline.trajectories.shape import Shape
from pipeline.versions import code_version
from resources import training
from resources.settings import Settings
from resources.store import Store

GROUP = "trajectories"
MODEL_KEY = dg.AssetKey(["models", "trajectory"])
JUDGED_KEY = dg.AssetKey(["models", "trajectory_evaluation"])
REPORT = "models/trajectory/report.md"
FILMS = "films/text"
LEARNS_CHECK, GOALS_CHECK = "has_learned", "meets_its_goals"


class TrainConfig(dg.Config):
    """How much is trained.

    Attributes:
        size: of `trajectories.yaml`.
        steps: those of the configuration if 0.
        minutes: after which the training stops with a checkpoint; the next run goes on. 0 for when it is done.
        threads: of the processor; as many as the environment says if 0.
    """

    size: str = "base"
    steps: int = Field(default=0, ge=0)
    minutes: float = Field(default=0.0, ge=0)
    threads: int = Field(default=0, ge=0)


def recordings(store: Store) -> Iterator[Recorded]:
    """The paths of every match that may be learned from."""
    for match_id in sorted(store.keys("tracks")):
        if source_of(match_id).trainable:
            yield recorded_windows(match_id, store.read_table("tracks", match_id))


def allowed(rows: pl.DataFrame) -> pl.DataFrame:
    """Samples of the table `trajectories` without those of matches that have been forbidden since they were made."""
    is_match = pl.col("source") == "match"
    matches = rows.filter(is_match)["source_id"].unique().to_list()
    forbidden = [match_id for match_id in matches if not source_of(match_id).trainable]
    return rows.filter(~(is_match & pl.col("source_id").is_in(forbidden)))


def gathered(store: Store, encoder: Encoder) -> Corpus:
    """All that there is to learn from and may be by what holds now, read by an encoder.

    Raises:
        Unusable: if there is nothing.
    """
    shards = (allowed(store.read_table(TABLE, key)) for key in store.keys(TABLE))
    return assembled(shards, recordings(store), speeds.names(load_scenes())).read_by(encoder)


def plan_for(corpus: Corpus, encoder: Encoder, size: str, steps: int = 0) -> Plan:
    """The training of a size on a corpus.

    Raises:
        UnknownSize: if there is no such size.
    """
    config, scenes = load_trajectories(), load_scenes()
    shape = Shape.of(size, config, scenes, text=encoder.dimension, encoder=encoder.name)
    return planned(shape, config, scenes, corpus=corpus.digest, steps=steps)


def train(
    store: Store,
    environment: Settings,
    encoder: Encoder,
    asked: TrainConfig,
    listen: Callable[[dict[str, Any]], None],
    say: Callable[[str], None],
) -> tuple[Plan, Path]:
    """Trains, or goes on training.

    Returns:
        The plan, and the folder of the training.
    """
    corpus = gathered(store, encoder)
    plan = plan_for(corpus, encoder, asked.size, asked.steps)
    folder = training.home(environment) / plan.version
    say(f"{plan.version}: {plan.shape.parameters:,} parameters, {plan.steps:,} steps, {len(corpus):,} samples")
    if training.finished(folder):
        say("it was trained to its end before: reused")
    else:
        training.prepare(folder, plan, corpus)
        for progress in training.trained(folder, environment, seconds=60.0 * asked.minutes, threads=asked.threads):
            listen(progress)
    return plan, folder


@dg.asset(
    key=MODEL_KEY,
    group_name=GROUP,
    deps=[TABLE, "tracks"],
    kinds={"torch", "mlflow"},
    code_version=code_version(*CODE),
    check_specs=[
        dg.AssetCheckSpec(
            LEARNS_CHECK,
            asset=MODEL_KEY,
            blocking=True,
            description="position errors of the validation have become less; else the model is not shelved",
        )
    ],
)
def trajectory_model(
    context: dg.AssetExecutionContext,
    config: TrainConfig,
    store: dg.ResourceParam[Store],
    environment: dg.ResourceParam[Settings],
    text_reader: dg.ResourceParam[Encoder],
) -> dg.MaterializeResult:
    """The transformer, trained in a process of its own on every sample and every recorded path; resumable."""

    def listen(progress: dict[str, Any]) -> None:
        if progress["kind"] == "validation":
            context.log.info(f"step {progress['step']} of {progress['steps']}: {progress['error_m']:.3f} m")

    plan, folder = train(store, environment, text_reader, config, listen, context.log.info)
    told, checks, has_learned = training.history(folder), training.validations(folder), training.has_learned(folder)
    where = {"dagster/uri": training.Shelf(store).put(folder)} if has_learned else {}
    first, best = (checks[0]["error_m"], min(each["error_m"] for each in checks)) if checks else (0.0, 0.0)
    step = max((each["step"] for each in told), default=0)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(f"{plan.version}-{step}"),
        metadata={
            "model_version": plan.version,
            "parameters": plan.shape.parameters,
            "encoder": plan.shape.encoder,
            "step": step,
            "steps": plan.steps,
            **where,
            "error_m": round(best, 4),
            "curve": reports.table(_curve(checks)) if checks else "nothing was validated",
        },
        check_results=[
            dg.AssetCheckResult(
                check_name=LEARNS_CHECK, asset_key=MODEL_KEY, passed=has_learned,
                metadata={"first_m": first, "best_m": best},
            )
        ],
    )  # fmt: skip


def _curve(checks: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(checks).drop("kind", "steps").select(pl.all().round(4)).tail(20)


def examined(store: Store, environment: Settings, encoder: Encoder, notes: Sequence[str] = ()) -> tuple[Outcome, str]:
    """The latest model, judged on what was held out; and the page that tells of it, with further sections.

    What is held out is that of its training, where that lies on this machine; else what is there now, if that is the
    same.

    Raises:
        NoModel: if there is none.
        Unusable: if texts are read by another encoder than it learned with, or there is now something else to learn
            from, of which it may have learned what would be held out.
    """
    model = training.Shelf(store).latest()
    model.ensure_read_by(encoder)
    folder = training.home(environment) / model.version
    corpus = training.learned_from(folder)
    if corpus is None:
        corpus = gathered(store, encoder)
    model.ensure_learned_from(corpus)
    told = training.history(folder)
    outcome = Outcome(model, corpus, told, judged(model, corpus), series_told(store, corpus))
    return outcome, page(outcome, notes=notes)


def series_told(store: Store, corpus: Corpus) -> dict[str, str]:
    """The series of each match of a corpus whose row is here, by its id and map."""
    found = {}
    for match_id in sorted({*store.keys("matches")} & {name for split in SPLITS for name in corpus.matches(split)}):
        found[match_id] = series_of_match(match_id, str(store.read_table("matches", match_id)["map"].item() or ""))
    return found


def pictured(store: Store, encoder: Encoder, seed: int = 1) -> bytes:
    """A JPEG of what the latest model makes of the prompts of the configuration.

    Raises:
        NoModel: if there is none.
        Unusable: if texts are read by another encoder than it learned with.
    """
    model = training.Shelf(store).latest()
    return sheet([generated(model, encoder, prompt, seed=seed) for prompt in load_trajectories().generation.prompts])


@dg.asset(
    key=JUDGED_KEY,
    group_name=GROUP,
    deps=[MODEL_KEY],
    kinds={"torch", "sklearn"},
    code_version=code_version(*CODE),
    check_specs=[
        dg.AssetCheckSpec(GOALS_CHECK, asset=JUDGED_KEY, description="the model is as good as trajectories.yaml asks")
    ],
)
def trajectory_evaluation(
    store: dg.ResourceParam[Store],
    environment: dg.ResourceParam[Settings],
    text_reader: dg.ResourceParam[Encoder],
) -> dg.MaterializeResult:
    """How well the model forecasts held-out matches and stories, and how true the motions are that it makes up."""
    outcome, text = examined(store, environment, text_reader)
    uri = store.write(REPORT, text.encode())
    rows = goals(outcome.judgement, load_trajectories())
    missed = [f"{name}: {value:.1%}, wanted {wanted:.0%}" for name, value, wanted, good in rows if not good]
    check = dg.AssetCheckResult(
        check_name=GOALS_CHECK, asset_key=JUDGED_KEY, passed=not missed, severity=dg.AssetCheckSeverity.WARN,
        metadata={"missed": "; ".join(missed) or "none"},
    )  # fmt: skip
    told = {
        f"{part}, {horizon}": round(gain, 4)
        for part, horizon, gain in outcome.judgement.gains.select("part", "horizon", "gain").iter_rows()
    }
    return dg.MaterializeResult(
        metadata={
            "model_version": outcome.model.version,
            "dagster/uri": uri,
            "report": dg.MetadataValue.md(text),
            **told,
        },
        check_results=[check],
    )


class TextFilmsConfig(dg.Config):
    """What films are made of.

    Attributes:
        prompts: sentences.
        seed: of what they leave open.
        version: of the model; the latest if empty.
    """

    prompts: list[str] = Field(default_factory=lambda: list(load_trajectories().generation.prompts))
    seed: int = Field(default=1, ge=0)
    version: str = ""


@dg.asset(group_name=GROUP, deps=[MODEL_KEY], kinds={"torch", "ffmpeg"}, code_version=code_version(*CODE))
def text_films(
    config: TextFilmsConfig,
    store: dg.ResourceParam[Store],
    text_reader: dg.ResourceParam[Encoder],
) -> dg.MaterializeResult:
    """Films that the model makes up from sentences."""
    shelf = training.Shelf(store)
    model = shelf.version(config.version) if config.version else shelf.latest()
    told: dict[str, Any] = {}
    for number, prompt in enumerate(config.prompts):
        made = generated(model, text_reader, prompt, seed=config.seed)
        name = f"{FILMS}/{number:02d}"
        store.write(f"{name}.json", json.dumps({"prompt": prompt, "model": model.version}).encode())
        told[prompt] = store.write(f"{name}.mp4", made.film())
    return dg.MaterializeResult(metadata={"model_version": model.version, **told})
