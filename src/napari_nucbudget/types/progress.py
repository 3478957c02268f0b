"""Reports that long work yields while it runs."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeVar

__all__ = ["Progress", "result_of", "time_in_words"]

Result = TypeVar("Result")


@dataclass(frozen=True)
class Progress:
    """So many of so many steps are done; `found` nuclei so far."""

    done: int
    total: int
    found: int = 0
    message: str = ""

    @property
    def fraction(self) -> float:
        return self.done / self.total if self.total else 1.0


def result_of(steps: Generator[Any, None, Result]) -> Result:
    """What a generator of reports returns; the reports are not looked at."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result


def time_in_words(seconds: float) -> str:
    """A duration as one says it: ``4.1 s``, ``12 s``, ``17 min``, ``2.5 h``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
