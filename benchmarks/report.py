"""Compares what ``make bench`` measured with what is recorded, and records it.

Ratios are compared, not seconds: machines differ. Without ``--record`` nothing is written;
the program ends with 1 where something takes over `TOLERANCE` times its recorded share.
With it, the figures become the recorded ones, and the tables of docs/performance.md
are written from them.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from pairs import MEASURED

RECORDED = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- figures: begin, written by `make bench RECORD=1` -->", "<!-- figures: end -->"
TOLERANCE = 1.6
TITLES = {
    "detectors": "Detectors, a pixel",
    "classifiers": "Classifiers, a nucleus",
    "peers": "Beside other programs: the networks alone, a pixel",
    "steps": "The steps around the networks",
    "training": "A training step",
    "memory": "Memory that detection takes beside the image",
    "startup": "Start-up",
}
WHAT_IS_NOT_COMPARED = ("startup", "gpu")
"""Wall time of other processes: too noisy to warn by. Rates of a GPU: no shares in turn."""


def load(folder: Path) -> dict[str, dict[str, Any]]:
    """Files of a folder by their names."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def worse(before: dict[str, dict[str, Any]], now: dict[str, dict[str, Any]]) -> list[str]:
    """Rows that take over `TOLERANCE` times their recorded share of the baseline's time."""
    found = []
    for name in sorted(set(before) & set(now) - set(WHAT_IS_NOT_COMPARED)):
        old = {(r["what"], r["baseline"]): r["ratio"] for r in before[name]["rows"]}
        for row in now[name]["rows"]:
            recorded = old.get((row["what"], row["baseline"]))
            if recorded is not None and row["ratio"] > TOLERANCE * recorded:
                found.append(
                    f"{row['what']}: {row['ratio']:.3f} of {row['baseline']}, "
                    f"recorded were {recorded:.3f}"
                )
    return found


def table(name: str, record: dict[str, Any]) -> str:
    """The rows of a file as Markdown."""
    if "memory" in record:
        return _memory(name, record["memory"])
    lines = [
        f"### {TITLES.get(name, name)}\n",
        "| what | share of the time of | median (least to greatest) | rate |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {r['what']} | {r['baseline']} | {_figure(r['ratio'])} ({_figure(r['low'])} to "
        f"{_figure(r['high'])}) | {r['unit_value']:.3g} {r['unit']} |"
        for r in record["rows"]
    ]
    share = record.get("share_of_peak")
    if share:
        lines += ["", "| | share of the measured peak |", "|---|---|"]
        lines += [
            f"| {k} | {v:,.0f} |" if "GFLOP" in k else f"| {k} | {v:.0%} |"
            for k, v in share.items()
        ]
    return "\n".join(lines) + "\n"


def _memory(name: str, rows: list[dict[str, Any]]) -> str:
    lines = [
        f"### {TITLES[name]}\n",
        "| what | the image, MiB | beside it at most, MiB | bytes a pixel |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {r['what']} | {r['image_mib']:.0f} | {r['beside_mib']:.0f} | "
        f"{r['beside_bytes_per_pixel']:.1f} |"
        for r in rows
    ]
    return "\n".join(lines) + "\n"


def _figure(ratio: float) -> str:
    return f"{ratio:.3f}" if ratio < 10 else f"{ratio:.0f}"


def page(records: dict[str, dict[str, Any]]) -> str:
    """What stands between the markers."""
    facts = next(iter(records.values()))["machine"]
    named = ", ".join(f"{key} {value}" for key, value in facts.items())
    tables = [table(name, records[name]) for name in TITLES if name in records]
    return "\n".join([f"Machine: {named}.\n", *tables])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    now, before = load(MEASURED), load(RECORDED)
    slower = worse(before, now)
    for line in slower:
        print(f"slower than recorded: {line}")
    if given.record:
        RECORDED.mkdir(exist_ok=True)
        for path in MEASURED.glob("*.json"):
            shutil.copy(path, RECORDED / path.name)
        text = PAGE.read_text(encoding="utf-8")
        head, _, rest = text.partition(BEGIN)
        PAGE.write_text(
            f"{head}{BEGIN}\n{page(load(RECORDED))}{END}{rest.partition(END)[2]}", encoding="utf-8"
        )
    elif slower:
        sys.exit(1)
    else:
        print(f"{len(now)} tables; nothing is much slower than recorded.")


if __name__ == "__main__":
    main()
