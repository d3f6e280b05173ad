"""Texts as vectors.

Belongs here: what an encoder is, which texts there are, what of them is already embedded, how well they are found.
Does not belong here: loading a model or asking a server (`resources.encoders`), files (`resources.text_vectors`).
"""
