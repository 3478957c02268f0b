"""Loops that numba compiles, where it is installed (extra ``fast``)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

__all__ = ["compiled"]


@cache
def compiled(loop: Callable[..., Any]) -> Callable[..., Any] | None:
    """The loop compiled, without holding the interpreter's lock; None where numba is absent."""
    try:
        from numba import njit
    except ImportError:
        return None
    fast: Callable[..., Any] = njit(cache=True, nogil=True)(loop)
    return fast
