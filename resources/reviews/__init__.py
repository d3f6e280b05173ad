"""Review jobs and what people decided, in a database: SQLite by default, PostgreSQL by DATABASE_URL.

Belongs here: who has which job for how long, decisions, the record of both, exchange with Label Studio.
Does not belong here: why a segment is looked at and what decisions come to (`pipeline.intents.review`), when jobs are
opened and a training requested (`assets/reviews.py`).

| module | holds |
|---|---|
| `database` | the connection: both databases behind one way to begin a transaction, and to tell the time |
| `schema` | the tables |
| `migrations` | how they came to be, step by step |
| `jobs` | opening, handing out, deciding |
| `reading` | decisions and jobs as frames |
| `label_studio` | the same as JSON that Label Studio reads and writes |
| `reviews` | all of it as one resource |
"""

from resources.reviews.errors import (
    AlreadyDecided,
    DatabaseUnusable,
    DecisionConflict,
    JobUnknown,
    LeaseLost,
    ReviewError,
    UnreadableTasks,
)
from resources.reviews.jobs import Claim, Decision, Imported, Opened, Recorded
from resources.reviews.reviews import Reviews

__all__ = [
    "AlreadyDecided",
    "Claim",
    "DatabaseUnusable",
    "Decision",
    "DecisionConflict",
    "Imported",
    "JobUnknown",
    "LeaseLost",
    "Opened",
    "Recorded",
    "ReviewError",
    "Reviews",
    "UnreadableTasks",
]
