"""Writes the figures of the shipped model cards into README.md, so that none is typed by hand.

``python docs/figures.py`` rewrites what stands between the two markers;
``--check`` changes nothing and ends with 1 where the README differs from the cards.
"""

from __future__ import annotations

import sys
from pathlib import Path

from napari_nucbudget.models.library import list_models, load_card
from napari_nucbudget.types.card import ModelCard, ScoreRecord

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN = "<!-- figures: begin, written by `make figures` from the model cards -->"
END = "<!-- figures: end -->"
HEAD = (
    "| model | data, split | images | nuclei | F1 at the model's threshold (95 % interval) "
    "| precision | recall | best F1 | AUPR |\n"
    "|---|---|---|---|---|---|---|---|---|\n"
)


def row(card: ModelCard, record: ScoreRecord) -> str:
    """One line of the table: a score on a split that the model never saw."""
    m = record.metrics
    interval = f" ({record.f1_ci[0]:.3f} to {record.f1_ci[1]:.3f})" if record.f1_ci else ""
    return (
        f"| `{card.name}` | {record.data}, {record.split} | {record.images} | {record.nuclei:,} "
        f"| {m['f1']:.3f}{interval} | {m['precision']:.3f} | {m['recall']:.3f} "
        f"| {m['best_f1']:.3f} | {m['aupr']:.3f} |\n"
    )


def table(cards: list[ModelCard]) -> str:
    """Markdown table of all test scores, and the sentence that says what they depend on."""
    scores = [(card, record) for card in cards for record in card.scores if record.split == "test"]
    if not scores:
        return "The cards of the shipped models hold no score on a test split yet.\n"
    radii = sorted({f"{record.radius_um:g}" for _, record in scores})
    sizes = sorted({f"{record.mpp:g}" for _, record in scores})
    return (
        HEAD
        + "".join(row(card, record) for card, record in scores)
        + f"\nMatching radius {', '.join(radii)} µm; "
        + f"the networks work at {', '.join(sizes)} µm/px.\n"
    )


def with_table(text: str, figures: str) -> str:
    """The README with other figures between its markers."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{README.name} lacks the marker {BEGIN if not begin else END!r}.")
    return f"{before}{begin}\n{figures}{end}{after}"


def main() -> None:
    """Write, or with ``--check`` compare."""
    text = README.read_text(encoding="utf-8")
    wanted = with_table(text, table([load_card(name) for name in list_models()]))
    if "--check" in sys.argv[1:]:
        if wanted != text:
            raise SystemExit("README.md and the model cards differ; run `make figures`.")
    else:
        README.write_text(wanted, encoding="utf-8")


if __name__ == "__main__":
    main()
