"""The classes: a button each with swatch and key, and how many nuclei there are."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_nucbudget.types.classes import (
    DEFAULT_CLASSES,
    UNLABELLED,
    ClassScheme,
    NucleusClass,
)
from napari_nucbudget.ui import actions, keys
from napari_nucbudget.ui.class_dialog import ClassDialog, RemoveDialog, new_class, swatch
from napari_nucbudget.ui.dot_style import UNLABELLED_COLOR
from napari_nucbudget.ui.lasso import Lasso
from napari_nucbudget.ui.words import plain, shortened

if TYPE_CHECKING:
    from napari_nucbudget.ui.session import Session

__all__ = ["ClassPanel"]

ARROW_PX = 24


class ClassPanel(QGroupBox):
    """Chooses the active class, relabels the selection, and edits the scheme."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__("Classes", parent)
        self._session = session
        self._scheme: ClassScheme | None = None
        self.buttons: dict[str, QPushButton] = {}
        self.counts: dict[str, QLabel] = {}
        self._grid = QGridLayout()
        self._grid.setColumnStretch(0, 1)
        self._grid.setVerticalSpacing(2)
        self.add = QPushButton("&Add…")
        self.add.setToolTip("Add a class to this project.")
        self.edit = QPushButton("&Edit…")
        self.edit.setToolTip("Name, colour and key of the active class.")
        self.remove = QPushButton("Remo&ve…")
        self.remove.setToolTip("Take the active class out of this project; its nuclei stay.")
        self.up, self.down = QPushButton("↑"), QPushButton("↓")
        self.up.setToolTip("Move the active class up in the list.")
        self.down.setToolTip("Move the active class down in the list.")
        self.up.setAccessibleName("Move up")
        self.down.setAccessibleName("Move down")
        self.loop = Lasso(session)
        self.lasso = QPushButton("&Lasso")
        self.lasso.setCheckable(True)
        self.selected = QLabel()
        self.selected.setToolTip("A class key relabels them all; Delete takes them all away.")
        row, below = QHBoxLayout(), QHBoxLayout()
        for button in (self.add, self.edit, self.remove):
            row.addWidget(button, 2)
        for button in (self.up, self.down):
            button.setMinimumWidth(ARROW_PX)
            row.addWidget(button, 1)
        below.addWidget(self.lasso)
        below.addWidget(self.selected, 1)
        layout = QVBoxLayout(self)
        layout.addLayout(self._grid)
        layout.addLayout(row)
        layout.addLayout(below)
        self.add.clicked.connect(self._ask_new)
        self.edit.clicked.connect(self._ask_change)
        self.remove.clicked.connect(self._ask_remove)
        self.up.clicked.connect(lambda: self._move(-1))
        self.down.clicked.connect(lambda: self._move(1))
        self.lasso.clicked.connect(self._lasso)
        self.loop.changed.connect(self._show_lasso)
        session.views.selection_changed.connect(self._show_selected)
        session.class_changed.connect(self._mark)
        self.refresh()

    def refresh(self) -> None:
        """Show the scheme and the counts of the current image."""
        store = self._session.store
        scheme = DEFAULT_CLASSES if store is None else store.classes
        if scheme != self._scheme:
            self._scheme = scheme
            self._build(scheme)
        image = self._session.image
        counts = {} if store is None or image is None else store.counts(image)
        for name, label in self.counts.items():
            count = counts.get(name)
            proposed, human = (count.proposed, count.human) if count else (0, 0)
            label.setText(f"{proposed:,} / {human:,}")
        writable = store is not None and not self._session.read_only
        self.add.setEnabled(writable)
        key = keys.settings()["lasso"]
        self.lasso.setToolTip(f"Draw a loop with the mouse: all nuclei inside. Key {key}.")
        self.lasso.setEnabled(image is not None)
        self._show_selected()
        self._mark(self._session.active_class)

    def _build(self, scheme: ClassScheme) -> None:
        while (item := self._grid.takeAt(0)) is not None:
            if widget := item.widget():
                widget.deleteLater()
        self.buttons, self.counts = {}, {}
        head = QLabel("proposed / human")
        head.setAlignment(Qt.AlignmentFlag.AlignRight)
        self._grid.addWidget(head, 0, 0, 1, 3)
        none, usable = NucleusClass("", UNLABELLED_COLOR), keys.class_keys(scheme)
        for row, each in enumerate((*scheme.classes, none), start=1):
            name = each.name or UNLABELLED
            own = usable.get(each.name, "")
            key = f"    {own}" if own else ""
            button = QPushButton(
                swatch(each.color), plain(f"{shortened(each.name) or 'no class'}{key}")
            )
            button.setCheckable(True)
            button.setStyleSheet("text-align: left; padding: 4px;")
            button.setToolTip(
                f"New dots are {name}; selected nuclei become {name}."
                + (f" Key {own}." if own else "")
                + (f" Its key {each.key} is that of a command." if each.key and not own else "")
            )
            button.clicked.connect(partial(self._choose, each.name))
            count = QLabel()
            count.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            count.setToolTip("Proposals that nobody has answered, and nuclei of people.")
            every = QPushButton("all")
            every.setToolTip(f"Select all nuclei of the image that are {name}.")
            every.clicked.connect(partial(self._select_all, each.name))
            self._grid.addWidget(button, row, 0)
            self._grid.addWidget(count, row, 1)
            self._grid.addWidget(every, row, 2)
            self.buttons[each.name], self.counts[name] = button, count

    def _choose(self, name: str, checked: bool = False) -> None:
        actions.relabel_selected(self._session, name)
        self._mark(name)

    def _select_all(self, name: str, checked: bool = False) -> None:
        actions.select_class(self._session, name)

    def _lasso(self, on: bool) -> None:
        (self.loop.start if on else self.loop.stop)()
        self._show_lasso()

    def _show_lasso(self) -> None:
        self.lasso.setChecked(self.loop.waiting)

    def _show_selected(self) -> None:
        view = self._session.views.of()
        count = 0 if view is None else len(view.selected)
        self.selected.setText(f"{count:,} selected" if count else "")

    def _mark(self, active: str) -> None:
        for name, button in self.buttons.items():
            button.setChecked(name == active)
        writable = self._session.store is not None and not self._session.read_only
        for button in (self.edit, self.remove):
            button.setEnabled(writable and bool(active))
        names = () if self._scheme is None else self._scheme.names
        self.up.setEnabled(writable and active in names[1:])
        self.down.setEnabled(writable and active in names[:-1])

    def _ask_new(self) -> None:
        store = self._session.store
        if store is None:
            return
        dialog = ClassDialog(new_class(store.classes), store.classes, self)
        dialog.exec()
        self.take_new(dialog.answer)

    def take_new(self, asked: NucleusClass | None) -> None:
        """Add a class and make it the active one."""
        if asked is not None:
            self._session.edit(lambda store: store.add_class(asked))
            self._session.set_active_class(asked.name)

    def _ask_change(self) -> None:
        store, name = self._session.store, self._session.active_class
        if store is None or not name:
            return
        start = store.classes.classes[store.classes.index(name)]
        others = ClassScheme(tuple(c for c in store.classes.classes if c != start))
        dialog = ClassDialog(start, others, self)
        dialog.exec()
        self.take_change(name, dialog.answer)

    def take_change(self, name: str, asked: NucleusClass | None) -> None:
        """Give a class another name, colour or key."""
        if asked is None:
            return
        self._session.edit(
            lambda store: store.edit_class(
                name, new_name=asked.name, color=asked.color, key=asked.key
            )
        )
        self._session.set_active_class(asked.name)

    def _ask_remove(self) -> None:
        store, name = self._session.store, self._session.active_class
        if store is None or not name:
            return
        others = ClassScheme(tuple(c for c in store.classes.classes if c.name != name))
        count = store.counts()[name]
        if not (count.human or count.proposed):
            self.take_remove(name, "")
            return
        dialog = RemoveDialog(name, count, others, self)
        dialog.exec()
        self.take_remove(name, dialog.into)

    def take_remove(self, name: str, into: str | None) -> None:
        """Take a class away, its nuclei to the class `into`; None leaves it."""
        if into is not None:
            self._session.edit(lambda store: store.remove_class(name, into=into))

    def _move(self, by: int) -> None:
        store, name = self._session.store, self._session.active_class
        if store is None or not name:
            return
        names = list(store.classes.names)
        at = names.index(name)
        names.insert(at + by, names.pop(at))
        self._session.edit(lambda store: store.order_classes(names))
