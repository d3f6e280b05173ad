"""What it means: pure domain functions from frames and arrays to frames and arrays.

Belongs here: events, features, intents, motion. Does not belong here: any client (Redis, S3, HTTP, MLflow,
databases) or Dagster; those live in `resources` and `assets`.
"""
