"""Running a generator of reports to its end."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

Report = TypeVar("Report")
Result = TypeVar("Result")


def collect(steps: Generator[Report, Any, Result]) -> tuple[list[Report], Result]:
    """All reports that `steps` yields, and what it returns."""
    reports = []
    while True:
        try:
            reports.append(next(steps))
        except StopIteration as end:
            return reports, end.value
