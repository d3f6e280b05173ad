"""What happens every night.

Belongs here: schedules. Does not belong here: reactions to something new (`sensors`).
Concept: https://docs.dagster.io/guides/automate/schedules
"""

import dagster as dg

from assets.jobs import retrain

nightly_retraining = dg.ScheduleDefinition(
    name="nightly_retraining",
    job=retrain,
    cron_schedule="0 4 * * *",  # after the last European and before the first Asian matches of a day
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Retrains on everything labelled so far; an unchanged training set reuses the model it gave before.",
)
