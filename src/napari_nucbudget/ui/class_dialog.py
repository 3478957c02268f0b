"""The questions about a class: its name, colour and key; and where its nuclei go without it."""

from __future__ import annotations

from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QColorDialog,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QWidget,
)

from napari_nucbudget.errors import ConfigError
from napari_nucbudget.project import ClassCount
from napari_nucbudget.types.classes import ClassScheme, NucleusClass
from napari_nucbudget.ui.keys import FREE_KEYS, check_key, command_keys

__all__ = ["SPARE_COLORS", "ClassDialog", "RemoveDialog", "new_class", "swatch"]

SPARE_COLORS = ("#ff9100", "#b388ff", "#ff5fa2", "#00bfa5", "#ffffff", "#c6ff00")
"""For classes beyond the paper's three: visible on haematoxylin and on eosin."""
SWATCH_PX = 14


def swatch(color: str) -> QIcon:
    """A square of a colour."""
    pixels = QPixmap(SWATCH_PX, SWATCH_PX)
    pixels.fill(QColor(color))
    return QIcon(pixels)


def new_class(classes: ClassScheme) -> NucleusClass:
    """A class that differs from those that are there, to be named."""
    colors = {c.color.lower() for c in classes.classes}
    keys = {c.key.upper() for c in classes.classes}
    color = next((c for c in SPARE_COLORS if c not in colors), SPARE_COLORS[0])
    key = next((k for k in FREE_KEYS if k not in keys | command_keys()), "")
    return NucleusClass("", color, key)


class ClassDialog(QDialog):
    """Asks until the answer fits the scheme; `answer` is the class then."""

    def __init__(
        self, start: NucleusClass, others: ClassScheme, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Class of nuclei")
        self._others = others
        self.answer: NucleusClass | None = None
        self.name = QLineEdit(start.name)
        self.key = QLineEdit(start.key)
        self.key.setToolTip("A letter, or Shift+ and a letter. Digits belong to napari.")
        self.color = QPushButton()
        self.color.setToolTip("Choose the colour of this class.")
        self.error = QLabel()
        self.error.setWordWrap(True)
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        form = QFormLayout(self)
        form.addRow("&Name", self.name)
        form.addRow("&Key", self.key)
        form.addRow("&Colour", self.color)
        form.addRow(self.error)
        form.addRow(buttons)
        self.set_color(start.color)
        self.color.clicked.connect(self._ask_color)
        buttons.accepted.connect(self._try)
        buttons.rejected.connect(self.reject)

    def set_color(self, color: str) -> None:
        self._color = color
        self.color.setIcon(swatch(color))
        self.color.setText(color)

    def _ask_color(self) -> None:
        color = QColorDialog.getColor(QColor(self._color), self)
        if color.isValid():
            self.set_color(color.name())

    def _try(self) -> None:
        try:
            key = self.key.text().strip()
            key = check_key(key) if key else ""
            same = [c.name for c in self._others.classes if key and c.key.upper() == key.upper()]
            if same:
                raise ConfigError(f"The class {same[0]!r} has the key {key} already.")
            if key.upper() in command_keys():
                raise ConfigError(
                    f"The key {key} is that of a command; choose another, or give the command "
                    "another key in the Preferences."
                )
            asked = NucleusClass(self.name.text().strip(), self._color, key)
            ClassScheme((*self._others.classes, asked))
        except ConfigError as error:
            self.error.setText(str(error))
            return
        self.answer = asked
        self.accept()


class RemoveDialog(QDialog):
    """Asks which class the nuclei of a class get that is taken away; `into` is the answer."""

    def __init__(
        self, name: str, count: ClassCount, others: ClassScheme, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"Remove the class {name}")
        about = QLabel(
            f"This project has {count.human:,} nuclei and {count.proposed:,} open proposals of the "
            f"class {name}. They stay where they are. Ctrl+Z takes the removal back."
        )
        about.setWordWrap(True)
        self.into_box = QComboBox()
        self.into_box.addItem("no class", "")
        for each in others.classes:
            self.into_box.addItem(swatch(each.color), each.name, each.name)
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        remove = buttons.button(QDialogButtonBox.StandardButton.Ok)
        assert remove is not None
        remove.setText("&Remove")
        form = QFormLayout(self)
        form.addRow(about)
        form.addRow("They &get", self.into_box)
        form.addRow(buttons)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)

    @property
    def into(self) -> str | None:
        """Name of the class that they get, empty for none; None where the class shall stay."""
        removed = self.result() == QDialog.DialogCode.Accepted
        return str(self.into_box.currentData()) if removed else None
