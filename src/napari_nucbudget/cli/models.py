"""``nucbudget models``: what ships, what you kept, and what is known of it."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from napari_nucbudget.cli.console import AsJson

__all__ = ["models_list", "models_show"]


def models_list(as_json: AsJson = False) -> None:
    """Models that ship and those that you kept: what they are for, and scores on test images."""
    from napari_nucbudget.models.card_text import score_line
    from napari_nucbudget.models.library import list_models, load_card

    cards = {name: load_card(folder) for name, folder in list_models().items()}
    if as_json:
        entries = [
            {
                "name": name,
                "task": card.task,
                "summary": card.summary,
                "scores": [r.model_dump(mode="json") for r in card.scores if r.split == "test"],
            }
            for name, card in cards.items()
        ]
        typer.echo(json.dumps(entries))
        return
    for name, card in cards.items():
        typer.echo(f"{name}  ({card.task}, {card.input.mpp:g} µm/px)  {card.summary}")
        for record in card.scores:
            if record.split == "test":
                typer.echo(f"  {score_line(record)}")


def models_show(
    name: Annotated[str, typer.Argument(help="Name of a model, or a model folder.")],
    as_json: AsJson = False,
) -> None:
    """A model's card: data, split, scores with intervals, licence."""
    from napari_nucbudget.models.card_text import describe
    from napari_nucbudget.models.library import load_card

    card = load_card(name)
    typer.echo(json.dumps(card.model_dump(mode="json")) if as_json else describe(card))
