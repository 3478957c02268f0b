"""A drawn slide with known nuclei: killed three times and resumed, against one run to its end.

::

    python benchmarks/slide_proof.py runs/slide_proof

draws a slide of 26,000 x 26,000 pixels with little tissue on it, computes it
with ``nucbudget slide``, computes it again with a kill -9 at random moments and
the same command after each, and compares: the tables byte by byte, the nuclei
with the truth, and the memory of every run with its limit. Ends with 1 where
one of them does not hold.
"""

from __future__ import annotations

import argparse
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from watched import GIB, RESULTS, Watched, nucbudget, watch

from napari_nucbudget.core.matching import match
from napari_nucbudget.io.formats import read_points

RADIUS_UM = 3.3


class Parts:
    """How many blocks of a run are done, and whether the moment to kill it has come."""

    def __init__(self, out: Path) -> None:
        self._folder = out / "drawn" / "parts"
        self.most = 0

    def look(self) -> bool:
        """Count the blocks; never kill."""
        self.most = max(self.most, len(list(self._folder.glob("*.parquet"))))
        return False

    def die(self, *, after: int, then_s: float) -> Callable[[], bool]:
        """Says yes once so many blocks are done and as many seconds more have passed."""
        moment = float("inf")

        def now() -> bool:
            nonlocal moment
            self.look()
            if self.most >= after and moment == float("inf"):
                moment = time.monotonic() + then_s
            return time.monotonic() >= moment

        return now


def killed_and_resumed(
    command: list[str], out: Path, *, blocks: int, pace_s: float, kills: int, seed: int
) -> list[Watched]:
    """Runs that were killed at random moments, and the one that came to its end."""
    chance, parts, runs = random.Random(seed), Parts(out), list[Watched]()
    # The last two blocks may end at nearly the same moment, which leaves no time to kill.
    moments = sorted(chance.choices(range(max(blocks - 1, 1)), k=kills))
    for number, after in enumerate(moments, 1):
        then_s = chance.uniform(0, pace_s / 2)
        run = watch(command, kill=parts.die(after=after, then_s=then_s))
        how = "killed" if run.killed else "came to its end"
        print(
            f"run {number}: {how} after {run.seconds:.1f} s with {parts.most} of {blocks} blocks "
            f"done, {run.tree_bytes / GIB:.2f} GiB"
        )
        runs.append(run)
    last = watch(command)
    print(f"last run: {last.seconds:.1f} s, {last.tree_bytes / GIB:.2f} GiB")
    return [*runs, last]


def differing(first: Path, second: Path) -> list[str]:
    """Which results of two runs are not equal byte by byte."""
    return [name for name in RESULTS if (first / name).read_bytes() != (second / name).read_bytes()]


def agreement(table: Path, truth: Path) -> tuple[float, float]:
    """F1 and the error of the count, as a share of the truth."""
    (found,), (true,) = read_points(table), read_points(truth)
    assert true.mpp is not None
    yx = [np.asarray(points.nuclei.yx, np.float64) * true.mpp for points in (found, true)]
    hits = len(match(*yx, radius=RADIUS_UM)[0])
    proposed, there = len(yx[0]), len(yx[1])
    error = proposed / there - 1
    f1 = 2 * hits / (proposed + there)
    print(
        f"{proposed:,} nuclei found, {there:,} drawn: precision {hits / proposed:.3f}, recall "
        f"{hits / there:.3f}, F1 {f1:.3f} within {RADIUS_UM} µm; count off by {error:+.1%}"
    )
    return f1, error


def main() -> None:
    parser = argparse.ArgumentParser(description="A slide killed and resumed, against its truth.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", default="26000x26000")
    parser.add_argument("--tissue", type=float, default=0.03, help="Share of the slide's area.")
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--model", default="nuclei-fast")
    parser.add_argument("--most-memory", type=float, default=4.0, help="GiB")
    parser.add_argument("--least-f1", type=float, default=0.9)
    parser.add_argument("--most-off", type=float, default=0.05, help="Error of the count.")
    options = parser.parse_args()
    folder: Path = options.folder
    slide = folder / "drawn.ome.tif"
    if not slide.exists():
        arguments = ("--size", options.size, "--tissue", options.tissue, "--seed", options.seed)
        drawn = watch(nucbudget("sample-slide", slide, *arguments))
        print(f"{drawn.output.strip()}; {drawn.seconds:.0f} s")
    outs = folder / "whole", folder / "killed"
    for out in outs:
        shutil.rmtree(out, ignore_errors=True)

    def command(out: Path) -> list[str]:
        choice = ("-m", options.model, "--device", options.device)
        return nucbudget("slide", slide, "--out", out, *choice)

    parts = Parts(outs[0])
    whole = watch(command(outs[0]), kill=parts.look)
    print(f"{whole.output.strip()}\nuninterrupted: {whole.seconds:.1f} s", end=", ")
    print(f"{parts.most + 1} blocks, {whole.tree_bytes / GIB:.2f} GiB")
    runs = [
        whole,
        *killed_and_resumed(
            command(outs[1]),
            outs[1],
            blocks=parts.most,
            pace_s=whole.seconds / (parts.most + 1),
            kills=options.kills,
            seed=options.seed,
        ),
    ]
    unequal = differing(outs[0] / "drawn", outs[1] / "drawn")
    print(f"results equal byte by byte: {', '.join(unequal) + ' differ' if unequal else 'yes'}")
    most = max(max(run.tree_bytes, run.process_bytes) for run in runs) / GIB
    print(f"most memory of any run, children included: {most:.2f} GiB")
    f1, error = agreement(outs[0] / "drawn" / "nuclei.parquet", folder / "drawn.truth.csv")
    claims = {
        "every killed run was killed before its end": all(run.killed for run in runs[1:-1]),
        "the results are the same": not unequal,
        f"memory stays below {options.most_memory:g} GiB": most < options.most_memory,
        f"F1 is at least {options.least_f1:g}": f1 >= options.least_f1,
        f"the count is off by {options.most_off:.0%} at most": abs(error) <= options.most_off,
    }
    for claim, holds in claims.items():
        print(f"{'holds' if holds else 'FAILS'}: {claim}")
    if not all(claims.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
