"""The jobs: fetch from GRID, scan a log, analyse a match, make its clips, retrain; training sets, embeddings.

Belongs here: selections of assets that run together. Does not belong here: when they run (`schedules`, `sensors`).
Concept: https://docs.dagster.io/guides/build/jobs/asset-jobs
"""

import dagster as dg

from assets import trajectories
from assets.models import CHAMPION_KEY, MODEL_KEY
from assets.partitions import matches

ANALYSIS = ("rounds", "events", "tracks", "features", "labels", "intents", "segments", "clips", "review_jobs")

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
    description="From the recording of one match to its intents, motion clips and review jobs.",
)

make_clips = dg.define_asset_job(
    "make_clips",
    dg.AssetSelection.assets("clips", "review_jobs"),
    partitions_def=matches,
    description="The clips of one match that its budget allows or that are asked for, and the reviews of failed ones.",
)

retrain = dg.define_asset_job(
    "retrain",
    dg.AssetSelection.assets(MODEL_KEY, CHAMPION_KEY),
    description="Train the intent model on all labelled matches, register it, promote it if it passes the gate.",
)

training_set = dg.define_asset_job(
    "training_set",
    dg.AssetSelection.assets("scenes", "trajectories"),
    description="Stories as films, and samples of stories and of every analysed match for the trajectory model.",
)

embed_texts = dg.define_asset_job(
    "embed_texts",
    dg.AssetSelection.assets("moments", "embeddings", "moment_index", "encoder_retrieval"),
    description="Embed what is new of prompts, captions and moments, and build the index that search asks.",
)

train_trajectories = dg.define_asset_job(
    "train_trajectories",
    dg.AssetSelection.assets(trajectories.MODEL_KEY, trajectories.JUDGED_KEY, "text_films"),
    description="Train the trajectory model on the training set and all matches, judge it, make films of sentences.",
)
