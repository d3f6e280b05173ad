"""Movement that is learned: samples, and what learns from them.

Belongs here: what a model is shown, the model itself, how well it does. Does not belong here: where samples come from
(`pipeline.scenes`), files (`resources`).
"""
