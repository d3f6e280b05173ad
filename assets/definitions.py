"""The code location: one `build_defs` for the server, the command line and the tests.

Belongs here: assembly, and policy that holds for every asset (owners). Does not belong here: assets themselves.
Concept: https://docs.dagster.io/guides/build/projects/project-structure/organizing-dagster-projects
"""

from typing import Any

import dagster as dg

from assets import (
    backfill,
    embeddings,
    events,
    grid,
    intents,
    jobs,
    live,
    live_motion,
    many,
    models,
    moments,
    motion,
    reviews,
    scenes,
    schedules,
    sensors,
    trajectories,
)
from assets.match_analysis import match_analysis
from configs.motion import load_motion
from resources.clips import ClipStudio
from resources.encoders import Encoders
from resources.grid_api import GridApi
from resources.motion_backends import configured
from resources.motion_backends.local import LocalBackend
from resources.registry import ModelRegistry
from resources.settings import Settings, settings
from resources.store import Store
from resources.text_vectors import TextReader

OWNERS = {
    events.GROUP: "team:match-data",
    "features": "team:match-data",
    "intents": "team:machine-learning",
    "motion": "team:motion",
    "review": "team:machine-learning",
    scenes.GROUP: "team:motion",
    embeddings.GROUP: "team:machine-learning",
    trajectories.GROUP: "team:machine-learning",
    live.GROUP: "team:match-data",
}


def open_store(environment: Settings) -> Store:
    """The store that the environment names."""
    client = {"region_name": environment.s3_region} if environment.s3_region else {}
    endpoint = {"endpoint_url": environment.aws_endpoint_url} if environment.aws_endpoint_url else {}
    return Store(environment.store_url, {"client_kwargs": client, **endpoint})


def open_registry(environment: Settings) -> ModelRegistry:
    """The model registry that the environment names."""
    return ModelRegistry(environment.tracking_uri, artifact_root=environment.mlflow_home / "artifacts")


def open_grid(environment: Settings) -> GridApi:
    """GRID's APIs with the key of the environment; without one, the first request says so."""
    return GridApi(environment.grid_api_key, environment.grid_api_url, environment.grid_central_data_url)


def open_encoder(environment: Settings) -> TextReader:
    """Who reads texts for the trajectory model: the encoder that the environment names, and vectors that are kept."""
    return TextReader(open_store(environment), Encoders(environment))


def open_studio(store: Store, environment: Settings) -> ClipStudio:
    """Clips by the backends of `backends.yaml` at the addresses of the environment, and by ourselves in the end."""
    return ClipStudio(store, LocalBackend(), load_motion().budget, configured.preferred(environment))


def build_defs(environment: Settings | None = None, **overrides: Any) -> dg.Definitions:
    """Everything that Dagster serves.

    Args:
        environment: the settings; those of the process by default.
        overrides: resources that take the place of the default ones, by name (`store`, `models`, `studio`, `grid`,
            `reviews`, `encoder_catalogue`).
    """
    environment = environment or settings()
    store = overrides.pop("store", None) or open_store(environment)
    assets = [
        grid.grid_series,
        events.scanned_log,
        match_analysis,
        intents.intent_model,
        models.champion_model,
        motion.clips,
        reviews.review_jobs,
        scenes.scenes,
        scenes.trajectories,
        embeddings.moments,
        embeddings.embeddings,
        embeddings.moment_index,
        embeddings.encoder_retrieval,
        trajectories.trajectory_model,
        trajectories.trajectory_evaluation,
        trajectories.text_films,
        live.live_segments,
        live_motion.live_clips,
    ]
    return dg.Definitions(
        assets=dg.map_asset_specs(lambda spec: spec.replace_attributes(owners=[OWNERS[spec.group_name or ""]]), assets),
        jobs=[
            jobs.fetch_grid,
            jobs.scan_log,
            jobs.analyse_match,
            jobs.make_clips,
            moments.moment_of_a_round,
            jobs.retrain,
            jobs.training_set,
            jobs.embed_texts,
            jobs.train_trajectories,
            backfill.backfill,
            live.follow_live,
            live.close_live_match,
            live_motion.make_live_clips,
        ],
        schedules=[
            schedules.daily_grid_fetch,
            schedules.nightly_retraining,
            schedules.nightly_embedding,
            schedules.weekly_training_set,
        ],
        sensors=[
            sensors.landing_sensor,
            sensors.scanned_matches_sensor,
            sensors.killed_scans_sensor,
            reviews.decisions_sensor,
            reviews.accepted_sensor,
            live.live_sensor,
            live.live_healing_sensor,
            live_motion.live_motion_sensor,
        ],
        # A match takes seconds and a spawned step would import everything again (2 to 5 s each): one process per run.
        executor=dg.in_process_executor,
        resources={
            "store": store,
            "models": open_registry(environment),
            "studio": open_studio(store, environment),
            "grid": open_grid(environment),
            "reviews": reviews.open_reviews(environment),
            "encoder_catalogue": Encoders(environment),
            "environment": environment,
            "text_reader": open_encoder(environment),
            "watcher": many.Nobody(),
            **overrides,
        },
    )


defs = build_defs()
