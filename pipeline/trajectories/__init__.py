"""Movement that is learned: samples, the model that learns from them, how well it does, films from text.

Belongs here: what a model is shown, the model itself, its training and its measures. Does not belong here: where
samples come from (`pipeline.scenes`), vectors of texts (`pipeline.embeddings`), files and processes (`resources`).

`network`, `losses` and `learning` need torch and are imported where they are used, never at start-up.
"""
