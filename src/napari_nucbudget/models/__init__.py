"""Networks with their cards and weights: shipped, kept, loaded, computed."""

__all__ = ["DEFAULT_DETECTOR"]

DEFAULT_DETECTOR = "nuclei-fast"
"""The shipped detector for daily use; here, where naming it loads nothing."""
