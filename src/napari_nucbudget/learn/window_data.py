"""Windows of the training images, drawn anew in every step, with the nuclei in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_nucbudget.core.mirroring import mirrored
from napari_nucbudget.core.stain import HE_MATRIX
from napari_nucbudget.infer.model_grid import ModelGrid
from napari_nucbudget.types.card import StainReference
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.labels import LabelSet

__all__ = ["WINDOW", "WindowBatch", "WindowData"]

WINDOW = 256
"""Side of a window in training, model pixels (141 µm at 0.55 µm/px)."""
EDGE = 2
"""Pixels at a window's edge whose nuclei do not count."""
INSIDE = 8
"""Pixels that lie at least between a window's edge and the nucleus that it was drawn for."""


@dataclass(frozen=True, eq=False)
class WindowBatch:
    """What is drawn for a step; the pixels are taken from it on the device.

    Attributes
    ----------
    image : (W,) int64, index of the image
    corner : (W, 2) int64, model pixels
    turned : (W, 3) bool
        Rows and columns exchanged; then mirrored up and down; left and right.
    scale, shift : (W, 2) float32
        Amounts of haematoxylin and eosin.
    exposure : (W,) float32
    window, yx, label : (R,) int64, (R, 2) float32, (R,) int64
        The nuclei: in which window, where in it, and their class, -1 where it is not known.
    row : (R,) int64
        Which of `WindowData.label` each is.
    """

    image: NDArray[np.int64]
    corner: NDArray[np.int64]
    turned: NDArray[np.bool_]
    scale: NDArray[np.float32]
    shift: NDArray[np.float32]
    exposure: NDArray[np.float32]
    window: NDArray[np.int64]
    yx: NDArray[np.float32]
    label: NDArray[np.int64]
    row: NDArray[np.int64]


class WindowData:
    """Images at the model's pixel size, in memory, and their nuclei.

    Parameters
    ----------
    labels : LabelSet
    mpp : float
        µm per model pixel.
    stain : StainReference, optional
        Every image is stained like it.
    stain_jitter, brightness_jitter : float
        As `core.stain.jitter_stain` has them, one draw for a window.
    balance : bool
        Draw from every data set equally often, and not from every nucleus.
    """

    def __init__(
        self,
        labels: LabelSet,
        *,
        mpp: float,
        stain: StainReference | None,
        stain_jitter: float,
        brightness_jitter: float,
        balance: bool = False,
    ) -> None:
        self._jitter = stain_jitter, brightness_jitter
        pixels, shapes = [np.zeros((0, 3), np.uint8)], []
        self._yx: list[NDArray[np.float32]] = []
        label, names = [np.zeros(0, np.int64)], []
        for image in labels:
            if not len(image.nuclei):
                continue
            grid = ModelGrid.of(image.source, mpp=image.mpp, model_mpp=mpp)
            grid = grid.aligned(stain, image.stain)
            whole = np.clip(grid.read(Region.whole(grid.shape)) + 0.5, 0, 255).astype(np.uint8)
            pixels.append(whole.reshape(-1, 3))
            shapes.append(grid.shape)
            place = image.nuclei.mapped(1 / grid.step).yx
            self._yx.append(np.clip(place, 0, np.array(grid.shape) - 1).astype(np.float32))
            label.append(image.nuclei.label.astype(np.int64))
            names.append(image.dataset)
        self._pixels = torch.from_numpy(np.concatenate(pixels))
        self._shape = np.array(shapes, np.int64).reshape(-1, 2)
        self._first = np.concatenate([[0], np.cumsum(self._shape.prod(axis=1))])[:-1]
        counts = [len(place) for place in self._yx]
        self._begin = np.cumsum(counts) - counts
        self.image = np.repeat(np.arange(len(counts)), counts)
        """(N,) index of every nucleus' image, among those that have nuclei."""
        self.label = np.concatenate(label)
        """(N,) class of every nucleus, -1 where it is not known."""
        self._every = np.concatenate([np.zeros((0, 2), np.float32), *self._yx])
        self.known = np.flatnonzero(self.label >= 0)
        """Rows of the nuclei that have a class."""
        share = np.ones(len(self.known))
        if balance:
            names_of = np.array(names)[self.image[self.known]]
            for name in set(names):
                share[names_of == name] /= max(1, (names_of == name).sum())
        self._cumulative = np.cumsum(share) / max(share.sum(), 1)
        self._on: dict[torch.device, Tensor] = {}

    def draw(
        self, rng: np.random.Generator, count: int, *, side: int = WINDOW, anywhere: bool = False
    ) -> WindowBatch:
        """So many windows, each turned and stained in its own way, around nuclei with a class.

        With `anywhere` they may lie in all images, those without a class too.
        """
        if anywhere:
            image = rng.integers(len(self._shape), size=count)
            centre = (rng.random((count, 2)) * self._shape[image]).astype(np.int64)
            return self._batch(image, centre - side // 2, rng, side)
        which = np.searchsorted(self._cumulative, rng.random(count), side="right")
        return self._around(self.known[np.minimum(which, len(self.known) - 1)], rng, side)

    def draw_around(
        self, wanted: NDArray[np.integer[Any]], rng: np.random.Generator, count: int
    ) -> WindowBatch:
        """At most so many windows around the first and some more of the nuclei `wanted`, by row."""
        more = rng.choice(wanted, min(count, len(wanted)) - 1)
        return self._around(np.concatenate([wanted[:1], more]), rng, WINDOW)

    def _around(
        self, rows: NDArray[np.integer[Any]], rng: np.random.Generator, side: int
    ) -> WindowBatch:
        off = rng.uniform(-1, 1, (len(rows), 2)) * (side / 2 - INSIDE)
        centre = np.floor(self._every[rows] + off + 0.5).astype(np.int64)
        return self._batch(self.image[rows], centre - side // 2, rng, side)

    def _batch(
        self,
        image: NDArray[np.int64],
        corner: NDArray[np.int64],
        rng: np.random.Generator,
        side: int,
    ) -> WindowBatch:
        count = len(image)
        turned = rng.random((count, 3)) < 0.5
        stain, brightness = self._jitter
        window, place, row = [], [], []
        for number, (index, start, turn) in enumerate(zip(image, corner, turned, strict=True)):
            yx = self._yx[index] - start.astype(np.float32)
            inside = ((yx >= EDGE) & (yx <= side - 1 - EDGE)).all(axis=1)
            yx = yx[inside]
            if turn[0]:
                yx = yx[:, ::-1]
            place.append(np.where(turn[1:], side - 1 - yx, yx))
            row.append(self._begin[index] + np.flatnonzero(inside))
            window.append(np.full(len(yx), number))
        rows = np.concatenate(row).astype(np.int64)
        return WindowBatch(
            image,
            corner,
            turned,
            (1 + rng.uniform(-stain, stain, (count, 2))).astype(np.float32),
            (rng.uniform(-stain, stain, (count, 2)) / 4).astype(np.float32),
            (1 + rng.uniform(-brightness, brightness, count)).astype(np.float32),
            np.concatenate(window).astype(np.int64),
            np.concatenate(place).astype(np.float32),
            self.label[rows],
            rows,
        )

    def pixels(self, batch: WindowBatch, device: torch.device, side: int = WINDOW) -> Tensor:
        """(W, side, side, 3) float32 in 0 .. 255 of a batch, beyond the edge mirrored."""
        if device not in self._on:
            self._on[device] = self._pixels.to(device)
        along = np.arange(side)
        down = np.where(batch.turned[:, 1:2], side - 1 - along, along)
        right = np.where(batch.turned[:, 2:3], side - 1 - along, along)
        exchanged = batch.turned[:, :1]  # what runs down the window runs along the image's columns
        height, width = self._shape[batch.image].T[:, :, None]
        y = mirrored(np.where(exchanged, right, down) + batch.corner[:, :1], height) * width
        x = mirrored(np.where(exchanged, down, right) + batch.corner[:, 1:], width)
        y += self._first[batch.image][:, None]
        rows, columns, scale, shift, exposure = (
            torch.from_numpy(values).to(device)
            for values in (
                np.where(exchanged, x, y),
                np.where(exchanged, y, x),
                batch.scale,
                batch.shift,
                batch.exposure,
            )
        )
        rgb = self._on[device][rows[:, :, None] + columns[:, None, :]].float()
        stained = _stained(rgb, scale, shift) * exposure[:, None, None, None]
        return stained.clamp(0, 255)


def _stained(rgb: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """(W, h, w, 3) in 0 .. 255 with other amounts of stain, as `core.stain.jitter_stain`."""
    matrix = torch.from_numpy(HE_MATRIX).to(rgb.device)
    inverse = torch.from_numpy(np.linalg.inv(HE_MATRIX)).to(rgb.device)
    one = torch.ones_like(scale[:, :1])
    factor = torch.cat([scale, one], dim=1)
    change = inverse @ (factor[:, :, None] * matrix)
    more = torch.cat([shift, 0 * one], dim=1) @ matrix
    density = -torch.log((rgb + 1) / 256)
    mixed = density.flatten(1, 2) @ change + more[:, None]
    return (256 * torch.exp(-mixed) - 1).clamp(0, 255).view_as(rgb)
