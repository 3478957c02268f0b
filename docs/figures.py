"""Writes the figures of the shipped model cards into README.md, so that none is typed by hand.

``python docs/figures.py`` rewrites what stands between the pairs of markers;
``--check`` changes nothing and ends with 1 where the README differs from the cards.
"""

from __future__ import annotations

import sys
from pathlib import Path

from napari_nucbudget.models.library import load_card, shipped_models
from napari_nucbudget.types.card import ModelCard, ScoreRecord

README = Path(__file__).resolve().parent.parent / "README.md"
DETECTORS, CLASSIFIERS = "figures", "figures of classifiers"
"""The names of the two pairs of markers."""
BEGIN = "<!-- {}: begin, written by `make figures` from the model cards -->"
END = "<!-- {}: end -->"
HEAD = (
    "| model | data, split | images | nuclei | F1 at the model's threshold (95 % interval) "
    "| precision | recall | best F1 | AUPR |\n"
    "|---|---|---|---|---|---|---|---|---|\n"
)
CLASS_HEAD = (
    "| model | data, split | images | nuclei | weighted F1 (95 % interval) "
    "| macro F1 | accuracy | F1 by class | calibration error |\n"
    "|---|---|---|---|---|---|---|---|---|\n"
)


def interval(bounds: tuple[float, float] | None) -> str:
    """The bounds in brackets, where there are any."""
    return f" ({bounds[0]:.3f} to {bounds[1]:.3f})" if bounds else ""


def row(card: ModelCard, record: ScoreRecord) -> str:
    """One line of the detectors' table: a score on a split that the model never saw."""
    m = record.metrics
    return (
        f"| `{card.name}` | {record.data}, {record.split} | {record.images} | {record.nuclei:,} "
        f"| {m['f1']:.3f}{interval(record.f1_ci)} | {m['precision']:.3f} | {m['recall']:.3f} "
        f"| {m['best_f1']:.3f} | {m['aupr']:.3f} |\n"
    )


def class_row(card: ModelCard, record: ScoreRecord) -> str:
    """The same of the classifiers' table."""
    m = record.metrics
    classes = ", ".join(f"{name} {f1:.3f}" for name, f1 in record.class_f1.items())
    return (
        f"| `{card.name}` | {record.data}, {record.split} | {record.images} | {record.nuclei:,} "
        f"| {m['weighted_f1']:.3f}{interval(record.weighted_f1_ci)} | {m['macro_f1']:.3f} "
        f"| {m['accuracy']:.3f} | {classes} | {m['ece']:.3f} |\n"
    )


def on_tests(cards: list[ModelCard], task: str) -> list[tuple[ModelCard, ScoreRecord]]:
    """Scores of the models of a task on test splits."""
    chosen = [card for card in cards if card.task == task]
    return [(card, record) for card in chosen for record in card.scores if record.split == "test"]


def table(cards: list[ModelCard]) -> str:
    """Markdown table of the detectors' test scores, and what they depend on."""
    scores = on_tests(cards, "detection")
    if not scores:
        return "The cards of the shipped detectors hold no score on a test split yet.\n"
    radii = sorted({f"{record.radius_um:g}" for _, record in scores})
    sizes = sorted({f"{record.mpp:g}" for _, record in scores})
    return (
        HEAD
        + "".join(row(card, record) for card, record in scores)
        + f"\nMatching radius {', '.join(radii)} µm; "
        + f"the networks work at {', '.join(sizes)} µm/px.\n"
    )


def class_table(cards: list[ModelCard]) -> str:
    """Markdown table of the classifiers' test scores, and what they depend on."""
    scores = on_tests(cards, "classification")
    if not scores:
        return "No classifier is shipped whose card holds a score on a test split.\n"
    sizes = sorted({f"{record.mpp:g}" for _, record in scores})
    return (
        CLASS_HEAD
        + "".join(class_row(card, record) for card, record in scores)
        + "\nAt the annotated places of nuclei that have a class; "
        + f"the networks work at {', '.join(sizes)} µm/px.\n"
    )


def with_table(text: str, figures: str, name: str) -> str:
    """The README with other figures between the markers of that name."""
    opening, closing = BEGIN.format(name), END.format(name)
    before, begin, rest = text.partition(opening)
    _, end, after = rest.partition(closing)
    if not begin or not end:
        raise SystemExit(f"{README.name} lacks the marker {opening if not begin else closing!r}.")
    return f"{before}{begin}\n{figures}{end}{after}"


def with_tables(text: str, cards: list[ModelCard]) -> str:
    """The README with the figures of these cards."""
    text = with_table(text, table(cards), DETECTORS)
    return with_table(text, class_table(cards), CLASSIFIERS)


def main() -> None:
    """Write, or with ``--check`` compare."""
    text = README.read_text(encoding="utf-8")
    wanted = with_tables(text, [load_card(name) for name in shipped_models()])
    if "--check" in sys.argv[1:]:
        if wanted != text:
            raise SystemExit("README.md and the model cards differ; run `make figures`.")
    else:
        README.write_text(wanted, encoding="utf-8")


if __name__ == "__main__":
    main()
