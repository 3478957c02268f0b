"""Ctrl+C, which libraries log at length, or turn into errors of their own."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["one_stop"]


@contextmanager
def one_stop() -> Iterator[None]:
    """After Ctrl+C every error is a KeyboardInterrupt, and no library tells of it any more.

    An interrupted import of openvino ends in an ImportError, a cluster that is shut down logs a
    traceback for every connection, and one that was half begun fails once more at exit. Where
    the signal is ignored or handled already, it stays so.
    """
    pressed = False

    def press(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        logging.disable(logging.CRITICAL)
        sys.unraisablehook = lambda _: None
        signal.default_int_handler(number, frame)

    here = threading.current_thread() is threading.main_thread()
    if not here or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, press)
    try:
        yield
    except Exception:
        if pressed:
            raise KeyboardInterrupt from None
        raise
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
