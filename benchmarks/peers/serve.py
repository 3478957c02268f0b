"""What the peers' programs share: run on demand, answer with seconds of processor time."""

from __future__ import annotations

import sys
import time


def serve(name, run):
    """Print the name once `run` has warmed up; then run at every line of input."""
    run()
    print("READY", name, flush=True)
    for _ in sys.stdin:
        started = time.process_time()
        run()
        print("TIME", time.process_time() - started, flush=True)
