"""Where things come from and go: object store, model registry, motion backends, settings.

Belongs here: clients and everything that touches the world outside. Does not belong here: what data means
(`pipeline`), when things run (`assets`).
"""
