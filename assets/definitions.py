"""The code location: one `build_defs` for the server, the command line and the tests.

Belongs here: assembly, and policy that holds for every asset (owners). Does not belong here: assets themselves.
Concept: https://docs.dagster.io/guides/build/projects/project-structure/organizing-dagster-projects
"""

from typing import Any

import dagster as dg

from assets import events, features, intents, jobs, motion, schedules, sensors
from configs.motion import load_motion
from resources.clips import ClipStudio
from resources.motion_backends.local import LocalBackend
from resources.registry import ModelRegistry
from resources.settings import Settings, settings
from resources.store import Store

OWNERS = {
    events.GROUP: "team:match-data",
    "features": "team:match-data",
    "intents": "team:machine-learning",
    "motion": "team:motion",
}


def open_store(environment: Settings) -> Store:
    """The store that the environment names."""
    client = {"region_name": environment.s3_region} if environment.s3_region else {}
    endpoint = {"endpoint_url": environment.aws_endpoint_url} if environment.aws_endpoint_url else {}
    return Store(environment.store_url, {"client_kwargs": client, **endpoint})


def open_registry(environment: Settings) -> ModelRegistry:
    """The model registry that the environment names."""
    return ModelRegistry(environment.tracking_uri, artifact_root=environment.mlflow_home / "artifacts")


def build_defs(environment: Settings | None = None, **overrides: Any) -> dg.Definitions:
    """Everything that Dagster serves.

    Args:
        environment: the settings; those of the process by default.
        overrides: resources that take the place of the default ones, by name (`store`, `models`, `studio`).
    """
    environment = environment or settings()
    store = overrides.pop("store", None) or open_store(environment)
    assets = [
        events.scanned_log,
        events.match_recording,
        features.features,
        intents.labels,
        intents.intents,
        intents.segments,
        intents.intent_model,
        motion.clips,
    ]
    return dg.Definitions(
        assets=dg.map_asset_specs(lambda spec: spec.replace_attributes(owners=[OWNERS[spec.group_name or ""]]), assets),
        jobs=[jobs.scan_log, jobs.analyse_match, jobs.retrain],
        schedules=[schedules.nightly_retraining],
        sensors=[sensors.landing_sensor, sensors.scanned_matches_sensor],
        # A match takes seconds and a spawned step would import everything again (2 to 5 s each): one process per run.
        executor=dg.in_process_executor,
        resources={
            "store": store,
            "models": open_registry(environment),
            "studio": ClipStudio(store, LocalBackend(), load_motion().budget),
            "environment": environment,
            **overrides,
        },
    )


defs = build_defs()
