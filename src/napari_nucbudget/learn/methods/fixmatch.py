"""Learning nucleus types by agreeing with one's own sure guesses (FixMatch, Sohn et al. 2020)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from napari_nucbudget.learn.augment import augment_strongly, dihedral
from napari_nucbudget.learn.methods.supervised import SupervisedMethod
from napari_nucbudget.models.classifier import SHIFT
from napari_nucbudget.nets.ladder import GammaLadder

__all__ = ["FixMatchMethod", "pseudo_labels"]


class FixMatchMethod(SupervisedMethod):
    """Cross entropy of labelled patches, plus that of unlabelled ones in a strong
    view against the class that the network gives them in a weak view.

    The weak view is turned, mirrored and shifted; the strong one is besides
    stained and exposed anew, noisy, and has a square cut out. Only guesses
    with a probability of `TrainConfig.pseudo_threshold` or more count. With
    an `unlabelled_weight` of 0 this is `SupervisedMethod`, to the bit.

    Labelled rows, weak and strong views pass through the network one after
    another, each normalised by its own statistics. Weak views are guessed
    without dropout; strong views leave the running statistics alone, since no
    nucleus to be typed looks like them.
    """

    learns_from_windows = False

    def batch(self, rng: np.random.Generator) -> Any:
        """As the supervised batch, and (U, patch, patch, 3) weak and strong views at the end."""
        labelled = super().batch(rng)
        count = self.config.unlabelled_batch if self.config.unlabelled_weight > 0 else 0
        wide = self._pool[rng.integers(len(self._pool), size=count)]
        return *labelled, self._placed(wide, rng), self._strong(wide, rng)

    def loss(self, network: nn.Module, batch: Any, device: torch.device) -> dict[str, Tensor]:
        """Supervised and unlabelled term, and the share of guesses that count."""
        *labelled, weak, strong = batch
        terms = super().loss(network, tuple(labelled), device)
        if self.config.unlabelled_weight == 0:
            return terms
        with torch.no_grad():
            prob = F.softmax(_guess(network, self._tensor(weak, device)).float(), dim=1)
        share = np.bincount(self._label, minlength=len(self.classes)) / len(self._label)
        label, counts = pseudo_labels(
            prob,
            threshold=self.config.pseudo_threshold,
            share=torch.from_numpy(share).to(prob) if self.config.align_distribution else None,
        )
        logits = _aside(network, self._tensor(strong, device)).float()
        each = F.cross_entropy(logits, label, reduction="none")
        unlabelled = torch.where(counts, each, torch.zeros_like(each)).mean()
        return {
            "total": terms["total"] + self.config.unlabelled_weight * unlabelled,
            "supervised": terms["supervised"],
            "unlabelled": unlabelled.detach(),
            "counted": counts.float().mean(),
        }

    def _placed(self, wide: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """Turned, mirrored and shifted by up to 2 pixels, each patch for itself."""
        out = np.empty((len(wide), self._patch, self._patch, 3), np.uint8)
        for row, pixels in zip(out, wide, strict=True):
            y, x = rng.integers(2 * SHIFT + 1, size=2)
            cut = pixels[y : y + self._patch, x : x + self._patch]
            row[:] = dihedral(cut, int(rng.integers(8)))
        return out

    def _strong(self, wide: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
        placed = self._placed(wide, rng)
        out = np.empty(placed.shape, np.float32)
        for row, pixels in zip(out, placed, strict=True):
            row[:] = augment_strongly(pixels, rng, jitter=self.config.strong_jitter)
        return out


def pseudo_labels(
    prob: Tensor, *, threshold: float, share: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Class guessed for each row, and whether the guess is sure enough to count.

    Parameters
    ----------
    prob : (U, K)
    threshold : float
        Least probability of a guess that counts.
    share : (K,) tensor, optional
        Share of each class among the labels. Where given, probabilities are
        first scaled so that their mean over the batch is this (distribution
        alignment; taken over the batch alone, as in AdaMatch, so that nothing
        is carried from step to step).

    Returns
    -------
    (U,) int64, (U,) bool
    """
    if share is not None:
        prob = prob * (share / prob.mean(0).clamp(min=1e-6))
        prob = prob / prob.sum(1, keepdim=True)
    best, label = prob.max(1)
    return label, best >= threshold


def _norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]


def _guess(network: nn.Module, x: Tensor) -> Tensor:
    """Logits as in training, but without dropout."""
    if isinstance(network, GammaLadder):
        return network.encode(x, groups=(len(x),)).logits
    network.eval()
    for norm in _norms(network):
        norm.train()
    logits: Tensor = network(x)
    network.train()
    return logits


def _aside(network: nn.Module, x: Tensor) -> Tensor:
    """Logits as in training, without moving the running statistics."""
    if isinstance(network, GammaLadder):
        return network.encode(x, groups=(len(x),)).logits
    for norm in _norms(network):
        norm.track_running_stats = False
    logits: Tensor = network(x)
    for norm in _norms(network):
        norm.track_running_stats = True
    return logits
