"""What happens every night.

Belongs here: schedules. Does not belong here: reactions to something new (`sensors`).
Concept: https://docs.dagster.io/guides/automate/schedules
"""

import dagster as dg

from assets.jobs import embed_texts, fetch_grid, retrain, training_set
from resources.grid_api import GridApi
from resources.settings import Settings

nightly_retraining = dg.ScheduleDefinition(
    name="nightly_retraining",
    job=retrain,
    cron_schedule="0 4 * * *",  # after the last European and before the first Asian matches of a day
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Retrains on everything labelled so far; an unchanged training set reuses the model it gave before.",
)


nightly_embedding = dg.ScheduleDefinition(
    name="nightly_embedding",
    job=embed_texts,
    cron_schedule="0 5 * * *",  # an hour after the retraining, so that search tells of the segments as they are now
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Embeds what the day brought and builds the index of moments anew; what is known stays.",
)

weekly_training_set = dg.ScheduleDefinition(
    name="weekly_training_set",
    job=training_set,
    cron_schedule="0 6 * * 1",
    execution_timezone="UTC",
    # Films and ten thousand samples take a fifth of a gigabyte: for those who train a trajectory model.
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Films of stories, and samples of stories and of the week's matches; off until somebody wants it.",
)


@dg.schedule(
    job=fetch_grid,
    cron_schedule="0 2 * * *",  # most series of a day are over and processed; two hours before the retraining
    execution_timezone="UTC",
    # Running from the start costs a skipped tick a day where nothing is configured, and nobody has to remember to
    # switch it on where something is.
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Fetches new series from GRID; skips where there is no key or nothing to follow.",
)
def daily_grid_fetch(
    grid: dg.ResourceParam[GridApi], environment: dg.ResourceParam[Settings]
) -> dg.RunRequest | dg.SkipReason:
    """Requests the fetch if there is something to fetch and a key to do it with."""
    if not grid.config.follow.anything:
        return dg.SkipReason("configs/grid.yaml follows no tournament, team or series")
    if environment.grid_api_key is None:
        return dg.SkipReason("GRID_API_KEY is not set")
    return dg.RunRequest()
