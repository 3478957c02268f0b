"""From the result of a run to proposals in the project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_nucbudget.bridge.layers import known_pixel_size
from napari_nucbudget.errors import PixelSizeError
from napari_nucbudget.infer.propose import Proposals
from napari_nucbudget.project import ProjectStore, Records
from napari_nucbudget.types.classes import ClassScheme, NucleusClass
from napari_nucbudget.types.image import mpp_differ
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.ui.keys import class_keys, command_keys
from napari_nucbudget.ui.words import Words

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_nucbudget.ui.session import Session

__all__ = ["KeepPanel"]


class KeepPanel(QWidget):
    """A button that keeps what is shown, and a box that does it after every run."""

    asked = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.keep = QPushButton("Keep as &proposals")
        self.keep.setToolTip(
            "Put the nuclei that are shown into the project, to be accepted or corrected. "
            "Unanswered proposals in the region are replaced; answers stay."
        )
        self.keep.setEnabled(False)
        self.at_once = QCheckBox("at once")
        self.at_once.setToolTip("Keep the nuclei of every run as soon as it has finished.")
        self.told = Words()
        self.told.setWordWrap(True)
        row = QHBoxLayout()
        row.addWidget(self.keep, 1)
        row.addWidget(self.at_once)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.told)
        self.keep.clicked.connect(self.asked)
        session.project_changed.connect(self._project_changed)
        self._project_changed()

    def _project_changed(self) -> None:
        """Who has a project open wants results in it, unless the box says no."""
        self.at_once.setChecked(self._session.store is not None and not self._session.read_only)
        self.told.setText("")

    def put(
        self, nuclei: Nuclei, proposals: Proposals, layer: Image, models: list[tuple[str, str]]
    ) -> bool:
        """Put nuclei of a run into the project as proposals; whether that worked.

        `models` are the names and tasks of those that made them.
        """
        session = self._session
        image = session.ensure(layer)
        if image is None or session.store is None:
            return False
        stated = known_pixel_size(layer)
        if stated is None or mpp_differ(stated, proposals.mpp):  # a person typed it
            session.set_mpp(layer, proposals.mpp)
        stored = session.store.image(image).mpp
        if mpp_differ(stored, proposals.mpp):
            session.failed.emit(
                PixelSizeError(
                    f"The layer says {proposals.mpp:.4g} µm/px, the project {stored:.4g}. Type the "
                    "right one under Pixel size, and press Set on layer. Nothing was kept."
                )
            )
            return False
        apart = proposals.min_distance_um / proposals.mpp

        def add(store: ProjectStore) -> int:
            with store.group(f"propose {len(nuclei):,} nuclei"):
                for each in _missing(store.classes, nuclei):
                    store.add_class(each)
                ids = store.add_proposals(image, nuclei, region=proposals.region, apart_px=apart)
            records = Records(store)
            for name, task in models:
                records.use_model(name, task)
            return len(ids)

        kept = session.edit(add)
        if kept is None:
            return False
        session.models_changed.emit()
        if proposals.score_map is not None:
            session.score_maps[image] = proposals.score_map
        session.snap_px = apart
        left_out = len(nuclei) - kept
        known = f"; {left_out:,} were answered before" if left_out else ""
        self.told.setText(f"{kept:,} proposals are in the project{known}.{_what_to_press(session)}")
        return True


def _what_to_press(session: Session) -> str:
    """How a class is given with this dock alone; the dock Annotate says it beside each class."""
    assert session.store is not None
    keys = class_keys(session.store.classes)
    if not keys or session.read_only:
        return ""
    told = ", ".join(f"{key} for {name}" for name, key in keys.items())
    return f" To give one a class, click it (S) and press {told}. The dock Annotate has more."


def _missing(classes: ClassScheme, nuclei: Nuclei) -> list[NucleusClass]:
    """Classes of the nuclei that the project does not have, with keys that are free there."""
    if nuclei.prob is None:
        return []
    taken = {each.key.upper() for each in classes.classes} | command_keys()
    new = []
    for each in nuclei.classes.classes:
        if each.name not in classes.names:
            key = "" if each.key.upper() in taken else each.key
            taken.add(key.upper())
            new.append(NucleusClass(each.name, each.color, key))
    return new
