"""How fast each stage is, against a real alternative in the same run.

Belongs here: interleaved measurements, medians, ratios, and the table in RESULTS.md that this program writes.
Does not belong here: any assertion about time in the test suite.
"""
