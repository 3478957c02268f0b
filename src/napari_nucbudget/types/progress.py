"""Reports that long work yields while it runs."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeVar

__all__ = ["Progress", "result_of"]

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
