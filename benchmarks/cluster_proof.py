"""Slides on three local workers, one of them killed: the tables of ``nucbudget slide``?

::

    python benchmarks/cluster_proof.py runs/cluster_proof [SLIDE...]

Without slides three are drawn. While ``nucbudget cluster --local 3`` computes them, one of its
worker processes gets a kill -9. Then ``nucbudget slide`` computes the same, and the tables are
compared byte by byte. Both use one thread a network, since the number of threads may change the
last bit of a score. Ends with 1 where a table differs.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
from pathlib import Path

import psutil
from watched import RESULTS, nucbudget, watch

from napari_nucbudget.io.samples.slide import iter_write_slide
from napari_nucbudget.types.progress import result_of


class Killer:
    """Kills one worker once a block of the first slide is done and others are computed."""

    def __init__(self, out: Path, seed: int) -> None:
        self._out = out
        self._chance = random.Random(seed)
        self.killed: int | None = None

    def __call__(self) -> bool:
        if self.killed is None and any(self._out.glob("*/parts/*.parquet")):
            children = psutil.Process().children(recursive=True)
            workers = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
            chosen = self._chance.choice(workers)
            chosen.kill()
            self.killed = chosen.pid
            print(f"killed worker {chosen.pid}, one of {len(workers)}")
        return False  # the command itself lives on


def drawn(folder: Path, size: int, tissue: float) -> list[Path]:
    """Three slides, drawn where they are absent."""
    paths = [folder / f"drawn{seed}.ome.tif" for seed in range(3)]
    for seed, path in enumerate(paths):
        if not path.exists():
            steps = iter_write_slide(
                path, (size, size), seed=seed, tissue=tissue, distinct=2, side=512
            )
            result_of(steps)
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description="A cluster that loses a worker, against one run.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("slides", type=Path, nargs="*")
    parser.add_argument("--size", type=int, default=6000)
    parser.add_argument("--tissue", type=float, default=0.1)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    slides = options.slides or drawn(options.folder, options.size, options.tissue)
    many, one = options.folder / "many", options.folder / "one"
    for out in (many, one):
        shutil.rmtree(out, ignore_errors=True)
    killer = Killer(many, options.seed)
    local = ("--local", options.workers)
    cluster = watch(
        nucbudget("cluster", *slides, "--out", many, *local, "--device", "cpu"), kill=killer
    )
    print(f"{cluster.output.strip()}\n{options.workers} workers: {cluster.seconds:.1f} s")
    single = watch(nucbudget("slide", *slides, "--out", one, "--device", "cpu"))
    print(f"one process: {single.seconds:.1f} s")
    if killer.killed is None:
        raise SystemExit("FAILS: no worker was killed, everything was done before.")
    tables = sorted(path.relative_to(one) for name in RESULTS for path in one.glob(f"*/{name}"))
    unequal = [path for path in tables if (one / path).read_bytes() != (many / path).read_bytes()]
    if unequal:
        raise SystemExit(f"FAILS: {', '.join(map(str, unequal))} differ.")
    print(f"holds: {len(tables)} files of {len(slides)} slides are equal byte by byte")


if __name__ == "__main__":
    main()
