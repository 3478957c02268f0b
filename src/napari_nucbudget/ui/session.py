"""What the docks of one viewer share: the open project, its images, and who annotates.

How to use::

    session = Session.of(napari_viewer)            # the same one for every dock of a viewer
    session.join(self)                             # a dock widget; the project ends with the window

    session.project_changed.connect(...)           # opened, closed, or another one
    session.nuclei_changed.connect(...)            # tuple of project.Note, or None: everything
    session.image_changed.connect(...)             # another current image, or its link

    image = session.ensure()                       # id of the current image; opens or starts
    session.edit(lambda store: store.accept(ids))  # errors go to `failed`, changes to the signals
    session.undo(), session.redo()
    session.views.of().selected                    # ids that are selected on the current image

What is not there is None: `store`, `current`, and `image` before it is in the project. Edits
that go past `edit` are told to everybody by `sync`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QApplication, QWidget

from napari_nucbudget.bridge.layers import known_pixel_size
from napari_nucbudget.errors import NucbudgetError, ProjectError, ProjectLockedError
from napari_nucbudget.project import ProjectImage, ProjectStore, open_project, own_copy
from napari_nucbudget.types.image import ImageSource
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.types.score_map import ScoreMap
from napari_nucbudget.ui import image_link
from napari_nucbudget.ui.keys import Keys
from napari_nucbudget.ui.removals import Removals
from napari_nucbudget.ui.slides import is_slide
from napari_nucbudget.ui.views import Views
from napari_nucbudget.ui.window_end import WindowEnd
from napari_nucbudget.ui.work_clock import WorkClock

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer

__all__ = ["Session"]

Answer = TypeVar("Answer")

_SESSIONS: weakref.WeakKeyDictionary[Any, Session] = weakref.WeakKeyDictionary()


class Session(QObject):
    """One open project beside one viewer; made by `Session.of`.

    Attributes
    ----------
    store : ProjectStore or None
    current : napari.layers.Image or None
        The image layer that is worked on.
    reading : int
        0, or the number of the second reading that is being annotated.
    active_class : str
        Class of dots that are added; empty for none.
    score_maps : dict of image id to ScoreMap
        Maps of detector runs, to which clicks snap within `snap_px` where `snap` is on.
    views, keys, removals
        The points layers, and what the keys do in the canvas.
    """

    project_changed = Signal()
    image_changed = Signal()
    nuclei_changed = Signal(object)
    models_changed = Signal()  # another model was used on the project
    annotator_changed = Signal()  # another annotator, or another reading
    class_changed = Signal(str)  # another active class
    keys_changed = Signal()  # another key was chosen in the Preferences
    told = Signal(str)  # a sentence that a user should see, such as where a project is kept
    failed = Signal(object)  # an exception to show in words; nothing was changed

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self._viewer = weakref.ref(viewer)
        self.store: ProjectStore | None = None
        self.current: Image | None = None
        self.reading, self._annotator = 0, ""
        self._first = ""  # who annotated before a second reading began
        self._links: list[tuple[Image, int]] = []
        self._mpp: weakref.WeakKeyDictionary[Any, float] = weakref.WeakKeyDictionary()
        self._seen = 0
        self._end = WindowEnd(self, self.close)
        self.clock = WorkClock()
        self.active_class = ""
        self.score_maps: dict[int, ScoreMap] = {}
        self.snap, self.snap_px = True, 10.0
        self.clipboard: Nuclei | None = None
        self.views = Views(self)
        self.keys = Keys(self)
        self.project_changed.connect(self.keys.rebind)
        self.removals = Removals(viewer, self)
        events = viewer.layers.events
        for event in (events.inserted, events.removed, viewer.layers.selection.events.active):
            event.connect(self._follow_layers)
        if (application := QApplication.instance()) is not None:
            application.aboutToQuit.connect(self.close)
        self._follow_layers()

    @classmethod
    def of(cls, viewer: Any) -> Session:
        """The session of a viewer, or of the proxy of one that napari hands to docks."""
        viewer = getattr(viewer, "__wrapped__", viewer)
        if viewer not in _SESSIONS:
            _SESSIONS[viewer] = cls(viewer)
        return _SESSIONS[viewer]

    @property
    def viewer(self) -> Viewer:
        """The viewer itself, no proxy; layers that come from it compare as expected."""
        viewer = self._viewer()
        if viewer is None:
            raise ProjectError("The viewer of this session was closed. Open another one.")
        return viewer

    def join(self, dock: QWidget) -> None:
        """Close the project when the window in which `dock` comes to lie is closed."""
        self._end.watch(dock)

    # -- the project

    @property
    def read_only(self) -> bool:
        return self.store is not None and self.store.read_only

    def suggested(self, layer: Image | None = None) -> Path | None:
        """Where the project of an image, default the current one, is or would be started."""
        layer = layer or self.current
        return None if layer is None else image_link.project_for(layer)

    def open(self, path: Path | str, *, read_only: bool = False, create: bool = True) -> bool:
        """Open a project in place of the one that is open; whether that worked.

        One that another process writes to is opened to read only, and that is told.
        """
        try:
            store, locked = self._opened(Path(path), read_only, create)
        except NucbudgetError as error:
            self.failed.emit(error)
            return False
        self._leave_project()
        self.store = store
        self._annotator = store.annotator
        self._forget_class(store)
        self._link_all()
        self.project_changed.emit()
        self.image_changed.emit()
        if notices := (*locked, *store.notices):
            self.told.emit(" ".join(notices))
        return True

    def _opened(
        self, path: Path, read_only: bool, create: bool
    ) -> tuple[ProjectStore, tuple[str, ...]]:
        who = self.first_annotator or None
        if self.store is not None and path.absolute() == self.store.path:
            self._leave_project()  # to open it anew, its own lock has to go first
            self.project_changed.emit()
        try:
            store = open_project(path, annotator=who, read_only=read_only, create=create)
        except ProjectLockedError as error:
            return open_project(path, annotator=who, read_only=True), (str(error),)
        return store, ()

    def open_existing(self) -> bool:
        """Open the project of the current image where none is open and it has one."""
        path = self.suggested()
        if self.store is not None or path is None:
            return False
        return (path.exists() or own_copy(path).exists()) and self.open(path)

    def ensure(self, layer: Image | None = None) -> int | None:
        """Id of an image, default the current one, in the project; starts what is missing.

        None where that failed; `failed` has said why.
        """
        layer = layer or self.current
        if layer is None:
            self.failed.emit(ProjectError("No image is open: drop an H&E image here first."))
            return None
        if self.store is None:
            path = self.suggested(layer)
            assert path is not None
            path.parent.mkdir(parents=True, exist_ok=True)
            if not self.open(path):
                return None
        return self._link(layer, add=True)

    def close_project(self) -> None:
        """Close the project; nothing is pending."""
        if self.store is not None:
            self._leave_project()
            self.project_changed.emit()
            self.image_changed.emit()

    def close(self) -> None:
        """End the session with its window; layers are left as they are."""
        self.keys.leave()
        self.views.clear(layers=False)
        self._leave_project()
        self.current = None

    def _leave_project(self) -> None:
        store, self.store = self.store, None
        self._links, self.score_maps, self.clipboard = [], {}, None
        self._seen = 0
        self._annotator, self.reading = self.first_annotator, 0
        if store is not None:
            self.clock.flush(store)
            store.close()

    # -- images

    @property
    def image(self) -> int | None:
        """Id of the current image in the project; None where it has none."""
        return None if self.current is None else self.image_of(self.current)

    @property
    def links(self) -> tuple[tuple[Image, int], ...]:
        """Image layers with the id of the project image that they show."""
        return tuple(self._links)

    def image_of(self, layer: Image) -> int | None:
        """Id of the project image that a layer shows; None where it was never entered."""
        return next((id for known, id in self._links if known is layer), None)

    def layer_of(self, image: int) -> Image | None:
        """The layer that shows a project image; None where it is not open."""
        return next((layer for layer, id in self._links if id == image), None)

    def choose(self, layer: Image) -> None:
        """Make an image layer the current one."""
        if layer is not self.current and is_slide(layer):
            self.current = layer
            if self.store is not None:
                self._link(layer, add=False)
            self.image_changed.emit()

    def set_mpp(self, layer: Image, mpp: float) -> None:
        """Take the µm per pixel that a person typed, in place of what the project had."""
        self._mpp[layer] = mpp
        if (image := self.image_of(layer)) is None or self.read_only:
            return
        if told := self.edit(lambda store: image_link.take_pixel_size(store, image, mpp)):
            self.told.emit(told)

    def mpp_of(self, layer: Image | None = None) -> float | None:
        """µm per level-0 pixel of a layer: what it says, was typed, or the project knows."""
        if (layer := layer or self.current) is None:
            return None
        image = self.image_of(layer)
        stored = None if self.store is None or image is None else self.store.image(image).mpp
        return known_pixel_size(layer) or self._mpp.get(layer) or stored

    def open_source(self, image: ProjectImage) -> ImageSource:
        """Pixels of a project image: of its layer, else of its file; for `store.label_set`.

        Raises
        ------
        ImageError, ProjectError
        """
        return image_link.open_pixels(self.store, image, self.layer_of(image.id))

    @property
    def changed_image(self) -> int | None:
        """The project image whose file the current layer was, before that file was changed."""
        if self.store is None or self.current is None or self.image is not None:
            return None
        former = image_link.former_image(self.store, self.current)
        return None if former is None else former.id

    def relink(self, layer: Image, image: int, *, accept_changed: bool = False) -> bool:
        """Say that a layer shows an image of the project whose file moved or changed."""
        path, change = layer.source.path, accept_changed
        if path and not self.edit(lambda store: store.relink(image, path, accept_changed=change)):
            return False
        self._links = [(known, id) for known, id in self._links if known is not layer]
        self._links.append((layer, image))
        self.image_changed.emit()
        return True

    def _link(self, layer: Image, *, add: bool) -> int | None:
        known = self.image_of(layer)
        if known is not None or self.store is None:
            return known
        try:
            image, notice = image_link.link(self.store, layer, add=add, mpp=self._mpp.get(layer))
        except NucbudgetError as error:
            self.failed.emit(error)
            return None
        if notice:
            self.told.emit(notice)
        if image is not None:
            self._links.append((layer, image))
            self.sync()
            self.image_changed.emit()
        return image

    def _link_all(self) -> None:
        for layer in self.viewer.layers:
            if is_slide(layer):
                self._link(layer, add=False)

    def _follow_layers(self, event: Any = None) -> None:
        slides = [layer for layer in self.viewer.layers if is_slide(layer)]
        gone = any(layer not in slides for layer, _ in self._links)
        self._links = [(layer, id) for layer, id in self._links if layer in slides]
        active = self.viewer.layers.selection.active
        wanted = self.current if self.current in slides else None
        if active in slides:
            wanted = active
        wanted = next((v.layer for v in self.views if v.points is active), wanted)
        wanted = wanted or next(reversed(slides), None)
        if wanted is not None and wanted is not self.current:
            self.choose(wanted)
        elif gone or wanted is not self.current:
            self.current = wanted
            self.image_changed.emit()

    # -- who annotates

    @property
    def annotator(self) -> str:
        """Whose edits these are; empty before that is known."""
        return self._annotator

    @property
    def first_annotator(self) -> str:
        """Whose edits they are outside a second reading."""
        return self._first if self.reading else self._annotator

    def set_annotator(self, name: str, *, reading: int = 0) -> None:
        """Let another person annotate, or the `reading`-th independent reading begin."""
        self._first = self.first_annotator
        self._annotator, self.reading = name.strip(), reading
        if self.store is not None:
            self.clock.flush(self.store)
            if self._annotator:
                self.store.annotator = self._annotator
        self.annotator_changed.emit()
        self.nuclei_changed.emit(None)

    def set_active_class(self, name: str) -> None:
        """Class of the dots to come."""
        if name != self.active_class:
            self.active_class = name
            self.class_changed.emit(name)

    def _forget_class(self, store: ProjectStore) -> None:
        if self.active_class not in store.classes.names:
            self.set_active_class("")

    # -- edits

    def edit(self, call: Callable[[ProjectStore], Answer]) -> Answer | None:
        """What `call` returns for the open project; None where there is none or it failed."""
        if self.store is None:
            self.failed.emit(ProjectError("No project is open: open or start one first."))
            return None
        self.clock.touch()
        try:
            return call(self.store)
        except NucbudgetError as error:
            self.failed.emit(error)
            return None
        finally:
            self.sync()
            if self.store is not None and self.clock.due:
                self.clock.flush(self.store)

    def undo(self) -> str | None:
        """Take the last step back; gives its label."""
        return self.edit(lambda store: store.undo())

    def redo(self) -> str | None:
        """Do again what was undone last; gives its label."""
        return self.edit(lambda store: store.redo())

    def sync(self) -> None:
        """Tell what happened in the project since the last time."""
        if self.store is None or self.store.revision == self._seen:
            return
        notes = self.store.changes_since(self._seen)
        self._seen = self.store.revision
        if notes is None or any(note.classes for note in notes):
            self._forget_class(self.store)
            self.keys.rebind()
        self.nuclei_changed.emit(None if notes is None else tuple(notes))
