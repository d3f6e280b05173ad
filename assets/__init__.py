"""When things run and for which match: Dagster assets, checks, partitions, jobs, schedules, sensors, commands.

Belongs here: edges with a name (read, call, write, report). Does not belong here: logic that a test would want to reach
without Dagster (`pipeline`), clients (`resources`). Concept: https://docs.dagster.io/guides/build/assets

| group | assets | module |
|---|---|---|
| recording | grid_series | `assets/grid.py` |
| recording | logs, quarantine, matches, rounds, events, tracks | `assets/events.py` |
| features | features | `assets/features.py` |
| intents | labels, intents, segments, models/intent | `assets/intents.py` |
| motion | clips | `assets/motion.py` |
| live | live_segments | `assets/live.py` |
"""

import warnings

from dagster import BetaWarning, PreviewWarning

# Backfill policies are still "beta" in the pinned Dagster and checks per partition "preview"; without this each process
# says so once per asset.
warnings.filterwarnings("ignore", category=BetaWarning)
warnings.filterwarnings("ignore", category=PreviewWarning)
# Clips come one match to a run, everything before them many; a job over both takes the smaller number, as it should.
warnings.filterwarnings("ignore", message="Asset job .* materializes assets with varying BackfillPolicies")
