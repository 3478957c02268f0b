"""Each in a process of its own: a signal would reach the test, too."""

from __future__ import annotations

import subprocess
import sys

import pytest

STOPPED = """
import logging, signal
from napari_nucbudget import cli
from napari_nucbudget.models import library

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it

def interrupted(*_, **__):
    log = logging.getLogger("distributed.core")
    {before}
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        log.error("Traceback of a connection")
        raise {error}

library.load_detector = interrupted
cli.main(["detect", "x.png"])
"""


def stopped(error: str, before: str = "pass") -> subprocess.CompletedProcess[str]:
    code = STOPPED.format(error=error, before=before)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


@pytest.mark.parametrize(
    "error", ["KeyboardInterrupt", "ImportError('initialization failed')", "OSError(2, 'No', 'x')"]
)
def test_ctrl_c_is_one_line_whatever_libraries_make_of_it(error: str) -> None:
    done = stopped(error)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "nucbudget: stopped\n"


def test_what_is_logged_before_ctrl_c_is_said() -> None:
    done = stopped("KeyboardInterrupt", "log.error('before')")
    assert done.stderr == "before\nnucbudget: stopped\n"


def test_what_fails_at_exit_after_ctrl_c_is_not_said() -> None:
    done = stopped("KeyboardInterrupt", "import atexit; atexit.register(lambda: 1 / 0)")
    assert (done.returncode, done.stderr) == (130, "nucbudget: stopped\n")


def test_a_signal_that_is_ignored_stays_so() -> None:
    code = (
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "from napari_nucbudget import cli\n"
        "from napari_nucbudget.models import library\n"
        "library.load_card = lambda name: signal.raise_signal(signal.SIGINT) or exit(7)\n"
        "cli.main(['models', 'show', 'x'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 7
