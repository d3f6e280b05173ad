"""When things run and for which match: Dagster assets, checks, partitions, jobs, schedules, sensors, commands.

Belongs here: edges with a name (read, call, write, report). Does not belong here: logic that a test would want to reach
without Dagster (`pipeline`), clients (`resources`). Concept: https://docs.dagster.io/guides/build/assets

| group | assets | module |
|---|---|---|
| recording | logs, quarantine, matches, rounds, events, tracks | `assets/events.py` |
| features | features | `assets/features.py` |
| intents | labels, intents, segments, models/intent | `assets/intents.py` |
| motion | clips | `assets/motion.py` |
"""

import warnings

from dagster import BetaWarning

# Backfill policies are still "beta" in the pinned Dagster; without this each process says so once per asset.
warnings.filterwarnings("ignore", category=BetaWarning)
