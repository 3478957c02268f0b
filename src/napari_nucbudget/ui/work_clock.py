"""How long a person has worked: the time between edits, without the breaks."""

from __future__ import annotations

import time
from collections.abc import Callable

from napari_nucbudget.errors import NucbudgetError
from napari_nucbudget.project import ProjectStore, Records

__all__ = ["BREAK_S", "WorkClock"]

BREAK_S = 60.0
"""A longer pause between two edits is a break and does not count."""
FLUSH_S = 60.0


class WorkClock:
    """Adds up the time between edits until it is written into the project."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._last: float | None = None
        self.seconds = 0.0
        """Worked and not written yet."""

    @property
    def due(self) -> bool:
        """Whether enough came together to be written."""
        return self.seconds >= FLUSH_S

    def touch(self) -> None:
        """The person has done something."""
        now = self._now()
        if self._last is not None and now - self._last <= BREAK_S:
            self.seconds += now - self._last
        self._last = now

    def flush(self, store: ProjectStore) -> None:
        """Write the time into the project; where that fails it is kept for the next time."""
        if self.seconds <= 0 or store.read_only:
            return
        try:
            Records(store).log_time(self.seconds)
        except NucbudgetError:
            return  # such as a full disk, which the next edit reports
        self.seconds = 0.0
