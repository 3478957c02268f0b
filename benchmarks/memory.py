"""Memory that detection takes beside the image, by image size. Writes ``runs/bench/memory.json``.

Each size is a process of its own: its highest resident size minus that before detection began, with
image, network and libraries in memory. What the allocator keeps free counts too.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
from pathlib import Path

from pairs import write

CHANNELS = 3


def resident() -> int:
    """Bytes that this process holds now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def take(model: str, side: int) -> None:
    """Detect in one image and print bytes before, and at most."""
    import torch
    from detectors import MPP, fastest, tissue_like

    from napari_nucbudget.infer.detect import detect
    from napari_nucbudget.types.image import ArraySource

    torch.set_num_threads(1)
    detector = fastest(model)
    source = ArraySource(tissue_like(side), mpp=MPP)
    # the drawing of the image may have been the highest so far: from here on it counts anew
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = resident()
    nuclei = len(detect(source, detector))
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    highest = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    print(detector.runtime_name, before, highest, nuclei)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides", type=int, nargs="+", default=[1000, 4000, 10000])
    parser.add_argument("--take", nargs=2, metavar=("MODEL", "SIDE"), help="one measurement")
    given = parser.parse_args()
    if given.take:
        take(given.take[0], int(given.take[1]))
        return
    memory = []
    for model in ("nuclei-fcn", "nuclei-fast"):
        for side in given.sides:
            if model == "nuclei-fcn" and side > 4000:
                continue  # minutes, and its tiles are the same
            command = [sys.executable, __file__, "--take", model, str(side)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            runtime, before, highest, nuclei = done.stdout.split()
            pixels = side**2
            memory.append(
                {
                    "what": f"{model}, {runtime}, {pixels / 1e6:.0f} MPix",
                    "image_mib": CHANNELS * pixels / 2**20,
                    "beside_mib": (int(highest) - int(before)) / 2**20,
                    "beside_bytes_per_pixel": (int(highest) - int(before)) / pixels,
                    "nuclei": int(nuclei),
                }
            )
            print(memory[-1])
    write("memory", [], extra={"memory": memory})


if __name__ == "__main__":
    main()
