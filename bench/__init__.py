"""How fast each stage is, against a real alternative in the same run.

Belongs here: a module per area with `figures(load) -> list[Figure]`, named in `bench.__main__.AREAS`; what they share
(`measure`, `workload`); the alternatives they are held against (`baselines/`); RESULTS.md, which the program writes.
Does not belong here: any assertion about time in the test suite.
"""
