"""The jobs: fetch logs from GRID, scan a landed log, analyse a match, make its clips, retrain the intent model.

Belongs here: selections of assets that run together. Does not belong here: when they run (`schedules`, `sensors`).
Concept: https://docs.dagster.io/guides/build/jobs/asset-jobs
"""

import dagster as dg

from assets.partitions import matches

ANALYSIS = ("rounds", "events", "tracks", "features", "labels", "intents", "segments", "clips")

fetch_grid = dg.define_asset_job(
    "fetch_grid",
    dg.AssetSelection.assets("grid_series"),
    description="Fetch what is new of the series that configs/grid.yaml follows.",
)

scan_log = dg.define_asset_job(
    "scan_log",
    dg.AssetSelection.assets("logs", "quarantine", "matches"),
    description="Read a landed log, account for each of its events, register its matches.",
)

analyse_match = dg.define_asset_job(
    "analyse_match",
    dg.AssetSelection.assets(*ANALYSIS),
    partitions_def=matches,
    description="From the recording of one match to its intents and motion clips.",
)

make_clips = dg.define_asset_job(
    "make_clips",
    dg.AssetSelection.assets("clips"),
    partitions_def=matches,
    description="The clips of one match alone: those that its budget allows, and those that are asked for.",
)

retrain = dg.define_asset_job(
    "retrain",
    dg.AssetSelection.assets(dg.AssetKey(["models", "intent"])),
    description="Train the intent model on all labelled matches, register it, promote it if it is no worse.",
)
