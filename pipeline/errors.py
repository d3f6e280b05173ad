"""The root of everything that the domain raises; leaves stand beside the code that raises them."""


class PipelineError(Exception):
    """Root of all domain errors. Catch a leaf to act on it, the root to report it."""
