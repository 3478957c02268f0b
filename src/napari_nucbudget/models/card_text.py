"""A model card in words."""

from __future__ import annotations

from napari_nucbudget.types.card import ModelCard, ScoreRecord

__all__ = ["describe", "score_line"]


def score_line(record: ScoreRecord) -> str:
    """One score with all that it depends on."""
    m = record.metrics
    where = f"{record.data} {record.split}"
    size = f"{record.images} images, {record.nuclei:,} nuclei"
    if "weighted_f1" in m:
        classes = ", ".join(f"{name} {f1:.3f}" for name, f1 in record.class_f1.items())
        return (
            f"{where}: weighted F1 {m['weighted_f1']:.3f}{_interval(record)}, "
            f"macro F1 {m['macro_f1']:.3f}, accuracy {m['accuracy']:.3f}"
            + (f" ({classes})" if classes else "")
            + f", calibration error {m['ece']:.3f}; {size} at {record.mpp:g} µm/px"
        )
    return (
        f"{where}: F1 {m['f1']:.3f}{_interval(record)}, best F1 {m['best_f1']:.3f}, "
        f"AUPR {m['aupr']:.3f}; {size}, radius {record.radius_um:g} µm at {record.mpp:g} µm/px"
    )


def _interval(record: ScoreRecord) -> str:
    if record.images == 1:
        return " (no interval: all nuclei are in one image)"
    bounds = record.weighted_f1_ci or record.f1_ci
    return f" (95 % interval {bounds[0]:.3f} to {bounds[1]:.3f})" if bounds else ""


def describe(card: ModelCard) -> str:
    """Several lines of text: what the model is, saw, scores, and may be used for."""
    lines = [
        f"{card.name}: {card.summary}" if card.summary else card.name,
        f"  task         {card.task}, network {card.architecture}",
        f"  pixel size   {card.input.mpp:g} µm/px (images are rescaled to it)",
    ]
    if card.input.stain is not None:
        lines.append("  stain        every image is first given that of the training images")
    if card.threshold is not None:
        lines.append(f"  threshold    {card.threshold:.2f}, chosen on validation")
    if card.min_distance_um is not None:
        lines.append(f"  distance     at least {card.min_distance_um:g} µm between nuclei")
    if card.classes:
        lines.append(f"  classes      {', '.join(c['name'] for c in card.classes)}")
        lines.append(f"  calibration  {_calibration(card)}")
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


def _calibration(card: ModelCard) -> str:
    if card.temperature is None:
        return "none: its probabilities are the network's own (temperature 1)"
    return f"temperature {card.temperature:g}, fitted on validation"
