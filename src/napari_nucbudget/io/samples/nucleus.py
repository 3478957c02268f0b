"""How one cell looks: outline, membrane, chromatin, nucleoli, focus."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.io.samples.cells import (
    DEBRIS,
    EPITHELIAL,
    INFLAMMATORY,
    MISCELLANEOUS,
    RED_CELL,
    Cells,
)
from napari_nucbudget.io.samples.noise import smooth_noise, uniform

__all__ = ["stain_cell"]


def stain_cell(
    amounts: NDArray[np.float32],
    y: NDArray[np.float64],
    x: NDArray[np.float64],
    cells: Cells,
    i: int,
    *,
    mpp: float,
    seed: int,
) -> None:
    """Add cell `i` to a window of stain amounts, in place.

    Parameters
    ----------
    amounts : (h, w, 3) float32
        Haematoxylin, eosin and haemoglobin, optical density along each stain's vector.
    y, x : (h, w) float64
        Places of the window's pixels, µm.
    """
    key, kind = int(cells.key[i]), int(cells.kind[i])

    def draw(channel: int, low: float = 0.0, high: float = 1.0) -> float:
        return float(uniform(seed + 61, key, channel, low=low, high=high)[0])

    dy, dx = y - cells.y[i], x - cells.x[i]
    cos, sin = np.cos(cells.angle[i]), np.sin(cells.angle[i])
    a, b = float(cells.a[i]), float(cells.b[i])
    u, v = (dx * cos + dy * sin) / a, (dy * cos - dx * sin) / b
    if kind == MISCELLANEOUS:
        v = v + draw(25, -0.6, 0.6) * (u * u - 0.3)  # bent
    theta = np.arctan2(v, u)
    # No outline is smooth: noise that belongs to the place dents it.
    dents = 0.09 * smooth_noise(seed + 64, y / 3.0, x / 3.0)
    bumps = dents + draw(1, 0.0, 0.13) * np.cos(2 * theta + draw(2, 0, 6.3))
    bumps = bumps + draw(3, 0.0, 0.1) * np.cos(3 * theta + draw(4, 0, 6.3))
    radius = np.hypot(u, v) * (1 + bumps)  # 1 on the outline
    if kind == MISCELLANEOUS:
        # Spindle: pointed at both ends.
        radius = (u * u + np.abs(v) ** draw(27, 1.3, 2.0)) ** 0.6 * (1 + dents)
    focus = 0.35 + (1.1 if draw(5) < 0.15 else draw(6, 0.0, 0.3))  # width of the edge, µm
    from_edge = (1 - radius) * b  # roughly µm inside the outline
    mask = np.clip(from_edge / max(focus, mpp) + 0.5, 0, 1).astype(np.float32)

    if kind == RED_CELL:
        dip = 1 - 0.25 * np.exp(-((radius / 0.5) ** 2))
        _blend(amounts, 0.95 * mask, 0.02, 0.1)
        amounts[..., 2] += mask * draw(7, 0.6, 0.95) * dip
        return

    if kind == DEBRIS:
        _blend(amounts, mask, draw(10, 0.7, 1.6), 0.3)
        return

    if kind == MISCELLANEOUS:
        # A wisp of cytoplasm, so that no spindle cell floats in a gap.
        wisp = np.clip(1.6 - radius, 0, 0.8) * 1.1
        wisp = np.minimum(wisp, 1).astype(np.float32)
        for layer, least in ((0, 0.12), (1, draw(26, 0.22, 0.4))):
            amounts[..., layer] = np.maximum(amounts[..., layer], least * wisp)
    elif draw(8) < (0.45 if kind == INFLAMMATORY else 0.2):
        # Shrinkage in processing leaves a bright ring around many nuclei.
        halo = np.clip(1.3 - np.abs(from_edge + 0.9), 0, 1) * draw(9, 0.3, 0.8)
        amounts *= (1 - halo)[..., None].astype(np.float32)

    grain = smooth_noise(seed + 62, y / 0.9, x / 0.9)
    clump = smooth_noise(seed + 63 + key % 7, y / 1.5, x / 1.5)
    membrane = np.exp(-(((from_edge - 0.35) / 0.55) ** 2))
    if kind == EPITHELIAL:
        gland = int(cells.gland[i])
        dark = float(uniform(seed, gland, 61, low=0.52, high=0.98)[0]) + draw(10, -0.12, 0.14)
        if draw(11) < 0.12:
            dark += 0.35  # hyperchromatic
        haem = dark * (0.92 + 0.2 * grain + 0.42 * clump) + 0.45 * membrane
        for n in range(int(draw(12, 0, 2.6))):
            at, far = draw(13 + n, 0, 6.3), draw(16 + n, 0.0, 0.5)
            spot = np.hypot((u - far * np.cos(at)) * a, (v - far * np.sin(at)) * b)
            haem = haem + 0.75 * np.exp(-((spot / draw(19 + n, 0.6, 1.0)) ** 2))
    elif kind == INFLAMMATORY:
        haem = draw(10, 1.05, 1.7) + 0.16 * grain + 0.3 * clump + 0.12 * membrane
    else:
        haem = draw(10, 0.6, 1.35) + 0.16 * grain + 0.2 * clump + 0.3 * membrane
    faint = draw(22, 0.4, 0.8) if draw(23) < 0.14 else 1.0
    _blend(amounts, 0.96 * faint * mask, np.maximum(haem, 0.25), 0.16 + draw(24, 0.0, 0.14))


def _blend(amounts: NDArray[np.float32], mask: NDArray[Any], haem: Any, eosin: Any) -> None:
    """Put a stained body over what is there; where nuclei overlap, the darker one shows."""
    over = np.maximum(haem, amounts[..., 0] * 0.9)
    amounts[..., 0] += mask * (over - amounts[..., 0])
    amounts[..., 1] += mask * (eosin - amounts[..., 1])
    amounts[..., 2] *= 1 - mask
