"""A training that a window started ends with that window, however it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

CHILD = """
import sys, time
from napari_nucbudget.cli.train import _stand_back
_stand_back(True)
print("ready", flush=True)
time.sleep(120)
"""
WINDOW = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE, text=True)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(120)
"""


def lives(pid: int) -> bool:
    """Whether a process runs; one that has ended, and that nobody asked about, does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.skipif(
    not hasattr(os, "nice"), reason="this system names a parent that has ended for ever"
)
def test_it_ends_soon_after_its_window_was_killed():
    window = subprocess.Popen(
        [sys.executable, "-c", WINDOW, CHILD], stdout=subprocess.PIPE, text=True
    )
    try:
        child = int(window.stdout.readline())
        assert lives(child)
        os.kill(window.pid, signal.SIGKILL)
        window.wait()
        ended_by = time.monotonic() + 10
        while lives(child) and time.monotonic() < ended_by:
            time.sleep(0.1)
        assert not lives(child)
    finally:
        window.kill()
        window.stdout.close()
