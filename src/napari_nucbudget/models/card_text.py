"""A model card in words."""

from __future__ import annotations

from napari_nucbudget.types.card import ModelCard, ScoreRecord

__all__ = ["describe", "score_line"]


def score_line(record: ScoreRecord) -> str:
    """One score with all that it depends on."""
    m = record.metrics
    interval = ""
    if record.f1_ci:
        interval = f" (95 % interval {record.f1_ci[0]:.3f} to {record.f1_ci[1]:.3f})"
    return (
        f"{record.data} {record.split}: F1 {m['f1']:.3f}{interval}, best F1 {m['best_f1']:.3f}, "
        f"AUPR {m['aupr']:.3f}; {record.images} images, {record.nuclei:,} nuclei, radius "
        f"{record.radius_um:g} µm at {record.mpp:g} µm/px"
    )


def describe(card: ModelCard) -> str:
    """Several lines of text: what the model is, saw, scores, and may be used for."""
    lines = [
        f"{card.name}: {card.summary}" if card.summary else card.name,
        f"  task         {card.task}, network {card.architecture}",
        f"  pixel size   {card.input.mpp:g} µm/px (images are rescaled to it)",
    ]
    if card.threshold is not None:
        lines.append(f"  threshold    {card.threshold:.2f}, chosen on validation")
    if card.min_distance_um is not None:
        lines.append(f"  distance     at least {card.min_distance_um:g} µm between nuclei")
    if card.classes:
        lines.append(f"  classes      {', '.join(c['name'] for c in card.classes)}")
    for title, data in (
        ("trained on", card.training_data),
        ("validated on", card.validation_data),
    ):
        for entry in data:
            lines.append(
                f"  {title:<12} {entry.name} {entry.split}: {entry.images} images, "
                f"{entry.nuclei:,} nuclei ({entry.licence})"
            )
    lines += [f"  score        {score_line(record)}" for record in card.scores]
    lines.append(f"  licence      {card.licence}")
    if card.parent:
        lines.append(f"  parent       {card.parent}")
    return "\n".join(lines)
