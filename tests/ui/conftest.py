"""A real viewer with the dock, a drawn image whose nuclei are known, and a quick detector."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

# Settings persist: a test must neither see nor change those of the person who runs it.
os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp(prefix="napari-")) / "settings.yaml")

import numpy as np
import pytest

from napari_nucbudget.types.card import InputSpec, ModelCard
from napari_nucbudget.ui.catalogue import Catalogue

PINK = np.array([235, 190, 215], dtype=np.float32)
STRENGTHS = (0.2, 0.4, 0.6, 0.8, 1.0)
MPP = 0.5


@pytest.fixture(autouse=True)
def _own_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Projects of arrays and samples go into a folder of the test's own."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data-home"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    without = sys.platform.startswith("linux") and not screen
    for item in items:
        if here not in item.path.parents:
            continue
        item.add_marker(pytest.mark.gui)
        if without:
            item.add_marker(pytest.mark.skip(reason="no DISPLAY: run under xvfb-run"))


@dataclass
class Drawn:
    """Dark blobs on pink: `strength` of each nucleus is the score that it shall get."""

    rgb: np.ndarray
    yx: np.ndarray
    strength: np.ndarray

    def count(self, threshold: float, region: tuple[int, int, int, int] | None = None) -> int:
        take = self.strength >= threshold
        if region is not None:
            y, x, height, width = region
            take &= (self.yx >= (y, x)).all(1) & (self.yx < (y + height, x + width)).all(1)
        return int(take.sum())


@pytest.fixture(scope="session")
def drawn() -> Drawn:
    height, width = 240, 320
    yx = np.array([(y, x) for y in range(10, height, 20) for x in range(10, width, 20)])
    strength = np.array([STRENGTHS[i % 5] for i in range(len(yx))])
    rows, columns = np.indices((height, width))
    stain = np.zeros((height, width))
    for (y, x), s in zip(yx, strength, strict=True):
        blob = s * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * 3.0**2))
        stain = np.maximum(stain, blob)
    rgb = PINK * (1 - 0.8 * stain[..., None])
    return Drawn(np.round(rgb).astype(np.uint8), yx, strength)


CARD = ModelCard(
    name="darkness",
    task="detection",
    architecture="none",
    input=InputSpec(mpp=MPP, mean=(0, 0, 0), std=(1, 1, 1), receptive_field=1),
    threshold=0.5,
    min_distance_um=2.0,
    smoothing_px=0.0,
    summary="How dark a pixel is.",
)


@dataclass
class DarknessDetector:
    """Scores a pixel by its darkness, counts its calls, and waits at a gate when one is shut."""

    card: ModelCard = CARD
    halo: int = 0
    alignment: int = 1
    dense_tile: int = 512
    band_rows: None = None
    device: Any = field(default_factory=lambda: SimpleNamespace(type="cpu"))
    calls: int = 0
    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None

    def __post_init__(self) -> None:
        self.gate.set()

    def proximity(self, rgb: np.ndarray) -> np.ndarray:
        self.calls += 1
        self.entered.set()
        assert self.gate.wait(60)
        if self.error is not None:
            raise self.error
        return ((PINK[0] - rgb[..., 0]) / (0.8 * PINK[0])).astype(np.float32)


class FakeCatalogue(Catalogue):
    def __init__(self, detector: DarknessDetector) -> None:
        super().__init__()
        strict = CARD.model_copy(update={"name": "strict", "threshold": 0.7})
        self._cards = {card.name: card for card in (CARD, strict)}
        self._names = {name: name for name in self._cards}
        self.detector = detector

    def load(self, name: str, device: str) -> Any:
        return self.detector


@pytest.fixture
def detector() -> DarknessDetector:
    return DarknessDetector()


def send_mouse(qtbot: Any, widget: Any, kind: str, point: Any, button: Any, buttons: Any) -> None:
    """One event of the mouse, straight to the widget.

    The screen's own pointer (qtbot.mouseMove) tells the window later, of many moves only the last,
    and never again of a place where it already is: what vispy has dropped then stays lost.
    """
    from qtpy.QtCore import QEvent, QPointF, Qt
    from qtpy.QtGui import QMouseEvent
    from qtpy.QtWidgets import QApplication

    at, on_screen = QPointF(point), QPointF(widget.mapToGlobal(point))
    modifier = Qt.KeyboardModifier.NoModifier
    event = QMouseEvent(getattr(QEvent.Type, kind), at, on_screen, button, buttons, modifier)
    QApplication.sendEvent(widget, event)
    qtbot.wait(20)  # vispy drops moves that come within 10 ms


def move_mouse(qtbot: Any, widget: Any, point: Any) -> None:
    """The mouse to a point of the widget, no button down."""
    from qtpy.QtCore import Qt

    none = Qt.MouseButton.NoButton
    send_mouse(qtbot, widget, "MouseMove", point, none, none)


def drag_mouse(qtbot: Any, widget: Any, *path: Any) -> None:
    """Press at the first point, move over the others with the button down, release."""
    from qtpy.QtCore import Qt

    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
    send_mouse(qtbot, widget, "MouseButtonPress", path[0], left, left)
    for point in path[1:]:
        send_mouse(qtbot, widget, "MouseMove", point, none, left)
    send_mouse(qtbot, widget, "MouseButtonRelease", path[-1], left, none)


@pytest.fixture
def drag(qtbot: Any) -> Callable[..., None]:
    """``drag(widget, *points)``: with the left button down from the first to the last."""
    return lambda widget, *path: drag_mouse(qtbot, widget, *path)


@dataclass
class Dock:
    """The viewer, the widget in it, and what a person does with the mouse."""

    viewer: Any
    widget: Any
    qtbot: Any

    def click(self, button: Any) -> None:
        from qtpy.QtCore import Qt

        assert button.isVisible()
        assert button.isEnabled()
        self.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    def run(self, timeout: int = 60_000) -> None:
        """Click Detect and wait for the end of the run."""
        self.click(self.widget.detect)
        self.wait(lambda: not self.widget.job.running, timeout)

    def wait(self, condition: Callable[[], bool], timeout: int = 20_000) -> None:
        self.qtbot.waitUntil(condition, timeout=timeout)

    def drag(self, widget: Any, *path: Any) -> None:
        """Press at the first point, move over the others with the button down, release."""
        drag_mouse(self.qtbot, widget, *path)

    def settle(self) -> None:
        """Let delayed changes of the points happen."""
        live, distance = self.widget._live, self.widget._distance
        self.wait(
            lambda: not (live.isActive() or distance.isActive() or self.widget.distance_job.running)
        )

    @property
    def points(self) -> Any:
        from napari.layers import Points

        found = [layer for layer in self.viewer.layers if isinstance(layer, Points)]
        return found[-1] if found else None


@pytest.fixture
def dock(make_napari_viewer: Any, qtbot: Any, detector: DarknessDetector) -> Dock:
    from napari_nucbudget.ui.detect_widget import DetectWidget

    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1200, 900)
    widget = DetectWidget(viewer, FakeCatalogue(detector))
    viewer.window.add_dock_widget(widget, name="Detect nuclei")
    return Dock(viewer, widget, qtbot)


@pytest.fixture
def dock_with_image(dock: Dock, drawn: Drawn) -> Dock:
    dock.viewer.add_image(drawn.rgb, name="biopsy", scale=(MPP, MPP), units=("um", "um"))
    dock.viewer.reset_view()
    return dock


@pytest.fixture
def desk(make_napari_viewer: Any, qtbot: Any, drawn: Drawn) -> Any:
    """The annotate dock beside the drawn image, which is not in a project yet."""
    from napari_nucbudget.ui.annotate_widget import AnnotateWidget
    from tests.ui.annotating import UM, Desk

    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1300, 900)
    viewer.add_image(drawn.rgb, name="biopsy", **UM)
    dock = AnnotateWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Annotate nuclei")
    viewer.reset_view()
    desk = Desk(viewer, dock, qtbot)
    yield desk
    desk.session.close()


@pytest.fixture
def bench(
    make_napari_viewer: Any,
    qtbot: Any,
    drawn: Drawn,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Any:
    """An image with a field of 40 dots, and the dock Teach beside it."""
    from napari_nucbudget.models.library import keep_model
    from napari_nucbudget.types.image import Region
    from tests.ui.teaching import UM, Bench

    monkeypatch.setenv("NUCBUDGET_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    keep_model(tiny_model, "tiny")
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1300, 1000)
    bench = Bench(viewer, qtbot)
    viewer.add_image(drawn.rgb, name="biopsy", **UM)
    bench.image = bench.session.ensure()
    field = Region(0, 0, 100, 160)
    dots = drawn.yx[field.contains(drawn.yx)]
    assert len(dots) == 40
    bench.session.edit(lambda store: store.add(bench.image, dots))
    bench.session.edit(lambda store: store.add_field(bench.image, field))
    bench.open_dock()
    yield bench
    bench.dock.process.stop()
    bench.session.close()


__all__ = ["MPP", "DarknessDetector", "Dock", "Drawn"]
