"""The workbench: all docks in one place, and a line that says what to do next."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QDockWidget,
    QHBoxLayout,
    QMainWindow,
    QPushButton,
    QSizePolicy,
    QWidget,
)

from napari_nucbudget.ui.next_step import Step, facts_of, next_step
from napari_nucbudget.ui.session import Session
from napari_nucbudget.ui.theme import colors_of
from napari_nucbudget.ui.words import Words

if TYPE_CHECKING:
    from napari.viewer import Viewer

__all__ = ["ORDER", "WorkbenchWidget", "dock_titles", "open_workbench"]

PLUGIN, DISPLAY = "napari-nucbudget", "Nuclei on a budget"
TITLE = "Open nucbudget workbench"
ORDER = ("Detect", "Annotate", "Teach", "Check", "Export")
"""First words of the docks, in the order in which they are used; F5 shows the first."""
FIRST_KEY = 5
DOCK_WIDTH = 400
SOON_MS = 150
WATCH_MS = 2000
"""Training runs and typed pixel sizes tell nobody; they are looked at so often."""


def dock_titles() -> dict[str, str]:
    """First word to title of every dock that the plugin has, in the order of `ORDER`."""
    from npe2 import PluginManager

    manifest = PluginManager.instance().get_manifest(PLUGIN)
    titles = [widget.display_name for widget in manifest.contributions.widgets or ()]
    words = {title.split()[0]: title for title in titles if title != TITLE}
    return {word: words[word] for word in sorted(words, key=_place)}


def _place(word: str) -> tuple[int, str]:
    return (ORDER.index(word) if word in ORDER else len(ORDER), word)


def open_workbench(viewer: Viewer) -> WorkbenchWidget:
    """Open the workbench in the window of a viewer, or bring it back."""
    widget = _inner(viewer, TITLE)
    if widget is None:
        widget = WorkbenchWidget(viewer)
        viewer.window.add_dock_widget(widget, name=f"{TITLE} ({DISPLAY})", area="top")
    widget.lay_out()
    return widget


class WorkbenchWidget(QWidget):
    """A line above the canvas; opening it opens the docks as tabs at the right.

    Parameters
    ----------
    napari_viewer : napari.Viewer
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self.session = session = Session.of(napari_viewer)
        self._viewer = session.viewer
        self._titles = dock_titles()
        self._step = Step("")
        self.line = Words()
        self.line.setWordWrap(True)
        self.line.setAccessibleName("What do I do next?")
        self.line.setToolTip("What do I do next? Read from the state of the project.")
        self.go = QPushButton()
        self.go.setToolTip(
            "Show the dock in which this is done. "
            + ", ".join(f"{_key(i)} {word}" for i, word in enumerate(self._titles))
            + "."
        )
        self.line.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        row = QHBoxLayout(self)
        row.setContentsMargins(6, 2, 6, 2)
        row.addWidget(self.line, 1)
        row.addWidget(self.go)
        self._laid_out = False
        self._shortcuts: list[QShortcut] = []
        self._later = self._timer(0, self.lay_out, once=True)
        self._soon = self._timer(SOON_MS, self.refresh, once=True)
        self._watch = self._timer(WATCH_MS, self.refresh)
        self.go.clicked.connect(self._go)
        for signal in (
            session.project_changed,
            session.image_changed,
            session.nuclei_changed,
            session.annotator_changed,
        ):
            signal.connect(self._start_soon)
        self._viewer.events.theme.connect(self._apply_theme)
        session.join(self)
        self._apply_theme()
        self.refresh()

    def _timer(self, milliseconds: int, slot: Any, *, once: bool = False) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(once)
        timer.setInterval(milliseconds)
        timer.timeout.connect(slot)
        return timer

    def event(self, event: QEvent) -> bool:
        """Lay the docks out once the line has a place in a window; watch while it is seen."""
        if event.type() == QEvent.Type.Show:
            if not self._laid_out:
                self._later.start()
            self._watch.start()
        elif event.type() == QEvent.Type.Hide:
            self._watch.stop()
        return super().event(event)

    def _start_soon(self, *_: Any) -> None:
        self._soon.start()

    # -- the line

    def refresh(self) -> None:
        """Say what comes next, by the state as it is now."""
        docks = frozenset(self._titles)
        step = next_step(facts_of(self.session, docks, trains=self._trains()))
        if step != self._step:
            self._step = step
            self.line.setText(f"<b>Next:</b> {step.sentence}")
            self.go.setText(f"Go to {step.dock}")
            self.go.setVisible(step.dock in self._titles)

    def _trains(self) -> bool:
        """Whether the dock Teach trains at this moment; what it noted may have been cut off."""
        teach: Any = _inner(self._viewer, self._titles.get("Teach", ""))
        return teach is not None and teach.process.running

    def _go(self) -> None:
        self.show_dock(self._step.dock)

    # -- the docks

    def lay_out(self) -> None:
        """This line above the canvas, the docks as tabs at the right, the next one in front."""
        self._laid_out = True
        self._later.stop()
        own = _dock_of(self)
        window = self.window()
        if own is None or not isinstance(window, QMainWindow):
            return
        if window.dockWidgetArea(own) != Qt.DockWidgetArea.TopDockWidgetArea:
            window.addDockWidget(Qt.DockWidgetArea.TopDockWidgetArea, own)
        own.setWindowTitle("Next step")
        docks = [self._dock(word) for word in self._titles]
        right = Qt.DockWidgetArea.RightDockWidgetArea
        placed = [d for d in docks if not d.isFloating() and window.dockWidgetArea(d) == right]
        for before, after in pairwise(placed):
            window.tabifyDockWidget(before, after)
        if placed:
            window.resizeDocks([placed[0]], [DOCK_WIDTH], Qt.Orientation.Horizontal)
        self._bind(window)
        self.show_dock(self._step.dock or next(iter(self._titles)))

    def show_dock(self, word: str) -> QWidget:
        """Bring a dock to the front, opening it where it is not open; its first control is ready.

        Parameters
        ----------
        word : str
            First word of its title.
        """
        dock = self._dock(word)
        dock.show()
        dock.raise_()
        inner = _inner(self._viewer, self._titles[word])
        assert inner is not None
        for control in inner.findChildren(QWidget):
            tabbed = control.focusPolicy() & Qt.FocusPolicy.TabFocus
            if tabbed and control.isEnabled() and control.isVisible():
                control.setFocus(Qt.FocusReason.ShortcutFocusReason)
                break
        return inner

    def _dock(self, word: str) -> QDockWidget:
        title = self._titles[word]
        inner = _inner(self._viewer, title)
        if inner is None:
            inner = _make(title, self._viewer)
            # The name that napari's menu gives it, so that the menu shows and hides this one.
            name = f"{title} ({DISPLAY})"
            self._viewer.window.add_dock_widget(inner, name=name, area="right", tabify=True)
        dock = _dock_of(inner)
        assert dock is not None
        dock.setWindowTitle(word)  # short enough for a tab
        return dock

    def _bind(self, window: QMainWindow) -> None:
        """F5 and on show the docks from wherever the focus is."""
        if not self._shortcuts:
            for i, word in enumerate(self._titles):
                shortcut = QShortcut(QKeySequence(_key(i)), self)
                shortcut.setContext(Qt.ShortcutContext.WindowShortcut)
                shortcut.activated.connect(partial(self.show_dock, word))
                self._shortcuts.append(shortcut)

    def _apply_theme(self, event: Any = None) -> None:
        self.line.setStyleSheet(f"color: {colors_of(self._viewer).text};")


def _key(place: int) -> str:
    return f"F{FIRST_KEY + place}"


def _inner(viewer: Viewer, title: str) -> QWidget | None:
    """The widget of a dock that is open, whether a menu or a script opened it."""
    docks = viewer.window.dock_widgets
    for name in (DISPLAY, PLUGIN):
        if f"{title} ({name})" in docks:
            return docks[f"{title} ({name})"]
    return None


def _dock_of(widget: QWidget) -> QDockWidget | None:
    """The dock that a widget lies in."""
    parent = widget.parentWidget()
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parentWidget()
    return parent


def _make(title: str, viewer: Viewer) -> QWidget:
    from npe2 import PluginManager

    manifest = PluginManager.instance().get_manifest(PLUGIN)
    for widget in manifest.contributions.widgets or ():
        if widget.display_name == title:
            made: QWidget = widget.get_callable()(viewer)
            return made
    raise KeyError(title)
