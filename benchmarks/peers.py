"""Times other programs' networks against ours, each in an environment of its own, in turn.

``python benchmarks/peers.py stardist=ENV/bin/python cellpose=ENV/bin/python`` names the
interpreter of the environment in which each peer is installed. Weights are untrained:
they change what is found, not how long it takes. Network only, the same image for all,
one thread, seconds of processor time; writes ``runs/bench/peers.json``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from pairs import Row, row, seeded, times_in_turn, write

from napari_nucbudget.models.library import DEFAULT_DETECTOR, load_detector

PEERS = Path(__file__).parent / "peers"


class Peer:
    """A program that runs its network once for every line it is sent."""

    def __init__(self, name: str, interpreter: str, image: Path) -> None:
        self._process = subprocess.Popen(
            [interpreter, str(PEERS / f"{name}_peer.py"), str(image)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        )
        self.label = self._answer("READY")

    def __call__(self) -> float:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._answer("TIME"))

    def _answer(self, word: str) -> str:
        """The rest of the next line that begins with a word; peers print lines of their own too."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(word):
                return line.removeprefix(word).strip()
        command = " ".join(map(str, self._process.args))  # type: ignore[arg-type]
        raise SystemExit(f"{command} ended without an answer; run it by hand to see why.")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def compare(chosen: dict[str, str], *, side: int, rounds: int) -> list[Row]:
    """Rows of each peer: our share of its time."""
    rgb = seeded().integers(0, 256, (side, side, 3), dtype=np.uint8)
    detector = load_detector(DEFAULT_DETECTOR, device="cpu")
    detector = detector.with_runtime(detector.choose("auto").name)
    pixels = rgb.astype(np.float32)
    ours = f"{detector.card.name}, {detector.runtime_name}"
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "image.npy"
        np.save(image, rgb)
        for name, interpreter in chosen.items():
            peer = Peer(name, interpreter, image)
            times = {ours: [], peer.label: []}  # type: ignore[var-annotated]
            detector.proximity(pixels)
            for _ in range(rounds):
                works: dict[str, Callable[[], object]] = {ours: lambda: detector.proximity(pixels)}
                times[ours] += times_in_turn(works, rounds=1, warm=False)[ours]
                times[peer.label].append(peer())
            peer.close()
            rate = side**2 / 1e6 / median(times[peer.label])
            unit = f"MPix per processor second ({peer.label.split(',')[0]}: {rate:.3g})"
            rows.append(row(times, ours, peer.label, value=lambda s: side**2 / 1e6 / s, unit=unit))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "peer", nargs="+", help="NAME=INTERPRETER; names: those in benchmarks/peers"
    )
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    chosen = dict(each.partition("=")[::2] for each in given.peer)
    write("peers", compare(chosen, side=given.side, rounds=given.rounds))


if __name__ == "__main__":
    main()
