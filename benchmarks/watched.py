"""A command in a process of its own: its time, its memory, and a kill -9 at a chosen moment."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

__all__ = ["GIB", "RESULTS", "Watched", "nucbudget", "watch"]

GIB = 1 << 30
RESULTS = ("nuclei.parquet", "statistics.csv", "tissue.png")
"""What a run leaves that does not tell of the run itself."""
EVERY_S = 0.1


@dataclass(frozen=True)
class Watched:
    """What was seen of a command.

    Attributes
    ----------
    seconds : float
        From its start to its end.
    tree_bytes : int
        Most resident memory of it and all its children at one moment.
    process_bytes : int
        Most resident memory of the process itself, as the kernel counted it.
    killed : bool
    output : str
        What it printed to stdout.
    """

    seconds: float
    tree_bytes: int
    process_bytes: int
    killed: bool
    output: str


def nucbudget(*arguments: object) -> list[str]:
    """The command line of ``nucbudget``, run by this Python."""
    return [sys.executable, "-m", "napari_nucbudget", *map(str, arguments)]


def watch(command: list[str], *, kill: Callable[[], bool] = lambda: False) -> Watched:
    """Run a command to its end, or kill it with -9 as soon as `kill`, asked often, says so.

    Raises
    ------
    SystemExit
        Where it ends with an error of its own.
    """
    started = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    tree, killed = 0, False
    while not os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        tree = max(tree, _resident(child.pid))
        if kill():
            child.kill()
            killed = True
            break
        time.sleep(EVERY_S)
    assert child.stdout is not None
    output = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode and not killed:
        raise SystemExit(f"{' '.join(command)} ended with {child.returncode}")
    seconds = time.monotonic() - started
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return Watched(seconds, tree, usage.ru_maxrss * unit, killed, output)


def _resident(pid: int) -> int:
    """Bytes of a process and its children; of those that just ended nothing."""
    total = 0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += one.memory_info().rss
    return total
