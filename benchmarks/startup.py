"""How long the package and the command take to start, in turn with a bare Python. Writes JSON."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

from pairs import row, times_in_turn, write

BASELINE = "python -c pass"


def starter(*arguments: str) -> Callable[[], object]:
    command = [sys.executable, *arguments]
    return lambda: subprocess.run(command, check=True, capture_output=True)


def main() -> None:
    works = {
        BASELINE: starter("-c", "pass"),
        "import napari_nucbudget": starter("-c", "import napari_nucbudget"),
        "nucbudget --help": starter("-m", "napari_nucbudget", "--help"),
    }
    times = times_in_turn(works, rounds=7, clock=time.perf_counter)
    write("startup", [row(times, w, BASELINE, value=lambda s: s, unit="s") for w in works])


if __name__ == "__main__":
    main()
