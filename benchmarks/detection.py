"""Scores every shipped detector on every test split: ``make paper``.

Section 3.2 of the paper on public data. Needs the label sets in the folder
that ``NUCBUDGET_DATA`` or ``--data`` names; writes docs/results/detection.md
and detection.csv, and with ``--record`` the model cards too.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import pandas as pd

from napari_nucbudget.infer.evaluate import evaluate_detector, score_record
from napari_nucbudget.io.label_sets import read_label_set
from napari_nucbudget.models.library import (
    load_card,
    load_detector,
    model_folder,
    record_scores,
    shipped_models,
)
from napari_nucbudget.types.progress import result_of

RESULTS = Path(__file__).parents[1] / "docs" / "results"


def label_sets_with_tests(data: Path) -> list[Path]:
    """Folders below `data` that hold images of a test split."""
    tables = {path: pd.read_csv(path) for path in sorted(data.glob("*/images.csv"))}
    return [p.parent for p, t in tables.items() if "split" in t and t["split"].eq("test").any()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("NUCBUDGET_DATA"))
    parser.add_argument("--record", action="store_true", help="write the cards too")
    arguments = parser.parse_args()
    if arguments.data is None:
        sys.exit("Set NUCBUDGET_DATA to the folder of the label sets, or give --data.")
    rows = []
    for name in shipped_models():
        if load_card(name).task != "detection":
            continue
        detector = load_detector(name, precision="float32")
        trained = {d.name for d in detector.card.training_data}
        for folder in label_sets_with_tests(Path(arguments.data)):
            steps = evaluate_detector(read_label_set(folder, splits=("test",)), detector)
            scores = result_of(steps)
            if arguments.record:
                record = score_record(scores, data=folder.name, split="test")
                record_scores(model_folder(name), record)
            rows.append(
                {
                    "model": name,
                    "test images of": folder.name,
                    "organ seen in training": "yes" if folder.name in trained else "no",
                    "images": scores.images,
                    "nuclei": scores.nuclei,
                    "F1": f"{scores.f1:.3f}",
                    "95 % interval": f"{scores.f1_ci[0]:.3f} to {scores.f1_ci[1]:.3f}",
                    "precision": f"{scores.precision:.3f}",
                    "recall": f"{scores.recall:.3f}",
                    "best F1": f"{scores.best.f1:.3f}",
                    "AUPR": f"{scores.aupr:.3f}",
                }
            )
            print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    RESULTS.mkdir(parents=True, exist_ok=True)
    table.to_csv(RESULTS / "detection.csv", index=False)
    head = (
        "# Detection on unseen tissue\n\n"
        "Test splits only, matching radius 3.3 µm (the paper's 6 px), images rescaled to "
        "0.55 µm/px, F1 at the card's threshold (chosen on validation), interval: bootstrap "
        "over images. Conventions: [accuracy](../accuracy.md). Made by `make paper`.\n\n"
    )
    lines = ["| " + " | ".join(table.columns) + " |", "|" + "---|" * len(table.columns)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in table.itertuples(index=False)]
    (RESULTS / "detection.md").write_text(head + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
