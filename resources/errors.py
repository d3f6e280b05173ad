"""The root of everything that a resource raises; leaves stand beside the code that raises them."""


class ResourceError(Exception):
    """Root of all resource errors. Catch a leaf to act on it, the root to report it."""
