"""The one dynamic partition: a match.

Belongs here: partition definitions and how keys come into being. Does not belong here: anything finer than a match;
rounds, windows and clips are rows. Concept: https://docs.dagster.io/guides/build/partitions-and-backfills
"""

import dagster as dg

from configs.backfill import load_backfill

MATCH = "match_id"

matches = dg.DynamicPartitionsDefinition(name=MATCH)

# A run takes seconds to start and a match little more than one: a run takes many, and names those that failed.
many_matches_per_run = dg.BackfillPolicy.multi_run(max_partitions_per_run=load_backfill().matches_per_run)
# Clips of a match take far longer than a run takes to start.
one_match_per_run = dg.BackfillPolicy.multi_run(max_partitions_per_run=1)

_CHUNK = 500  # SQLite takes at most 1,000 keys at a time


def register(instance: dg.DagsterInstance, match_ids: list[str]) -> list[str]:
    """Make partitions of these matches; returns the ones that are new."""
    known = set(instance.get_dynamic_partitions(MATCH))
    new = [match_id for match_id in match_ids if match_id not in known]
    for start in range(0, len(new), _CHUNK):
        instance.add_dynamic_partitions(MATCH, new[start : start + _CHUNK])
    return new
