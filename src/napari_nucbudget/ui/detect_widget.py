"""The dock "Detect nuclei": from the image on screen to a points layer that can be tuned."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QWidget

from napari_nucbudget.errors import ImageError, NucbudgetError, PixelSizeError
from napari_nucbudget.infer.propose import Proposals
from napari_nucbudget.infer.typed import typed_as, untyped
from napari_nucbudget.project import ProjectStore
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.types.progress import Progress, time_in_words
from napari_nucbudget.ui.catalogue import Catalogue
from napari_nucbudget.ui.column import Column
from napari_nucbudget.ui.detect_form import DetectForm, DetectRequest
from napari_nucbudget.ui.detect_work import at_distance, detection, outdated, typing
from napari_nucbudget.ui.jobs import Job, in_words
from napari_nucbudget.ui.keep_panel import KeepPanel
from napari_nucbudget.ui.nuclei_view import NucleiView
from napari_nucbudget.ui.result_panel import ResultPanel, default_values
from napari_nucbudget.ui.session import Session
from napari_nucbudget.ui.theme import colors_of
from napari_nucbudget.ui.words import Words, shortened

if TYPE_CHECKING:
    from napari.viewer import Viewer

__all__ = ["DetectWidget"]

LIVE_MS = 20
"""Pause in which several moves of the threshold become one change of the points."""
DISTANCE_MS = 150


class DetectWidget(QWidget):
    """Dock widget; napari makes it with the viewer.

    Parameters
    ----------
    napari_viewer : napari.Viewer
    catalogue : Catalogue, optional
        The models on offer, default the shipped ones.
    """

    def __init__(self, napari_viewer: Viewer, catalogue: Catalogue | None = None) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._catalogue = catalogue or Catalogue()
        self.session = Session.of(napari_viewer)
        self._views: list[NucleiView] = []
        self._view: NucleiView | None = None
        self._request: DetectRequest | None = None  # what `_proposals` answers
        self._asked: DetectRequest | None = None  # what the run of now will answer
        self._asked_for: ProjectStore | None = None  # the project at its start
        self.tuned_for = ""  # the model whose threshold and distance the sliders show
        self._started = 0.0
        self._proposals: Proposals | None = None
        self._typed_from: Proposals | None = None
        colors = colors_of(napari_viewer)
        self.form = DetectForm(napari_viewer, self._catalogue)
        self.result = ResultPanel(colors)
        self.kept = KeepPanel(self.session)
        self._build()
        self.job = Job(self)
        self.distance_job = Job(self)
        self.typing_job = Job(self)
        self._live = self._timer(LIVE_MS, self._show_nuclei)
        self._distance = self._timer(DISTANCE_MS, self._find_at_distance)
        self._connect()
        self._model_chosen()
        self._apply_theme()
        self._update()

    @property
    def proposals(self) -> Proposals | None:
        """What the last run found."""
        return self._proposals

    def _timer(self, milliseconds: int, slot: Any) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(milliseconds)
        timer.timeout.connect(slot)
        return timer

    def _build(self) -> None:
        self.detect = QPushButton("&Detect")
        self.detect.setToolTip("Detect nuclei in the region. The window stays usable meanwhile.")
        self.cancel = QPushButton("&Cancel")
        self.cancel.setToolTip("Give the run up; the nuclei shown stay as they are.")
        self.bar = QProgressBar()
        self.bar.setToolTip("How much of the region is done.")
        self.bar.setVisible(False)
        policy = self.bar.sizePolicy()
        policy.setRetainSizeWhenHidden(True)  # what is below stays in its place
        self.bar.setSizePolicy(policy)
        self.status = Words()
        self.status.setWordWrap(True)
        self.status.setText("\N{NO-BREAK SPACE}")  # what is below stays in its place
        self.error = Words()
        self.error.setWordWrap(True)
        self.error.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.error.setAccessibleName("Error")
        self.error.setVisible(False)

        buttons = QHBoxLayout()
        buttons.addWidget(self.detect, 1)
        buttons.addWidget(self.cancel)
        above = (self.form, buttons, self.bar, self.status, self.error)
        Column.fill(self, (*above, self.result, self.kept))

    def _connect(self) -> None:
        self.detect.clicked.connect(self._start)
        self.cancel.clicked.connect(self.job.cancel)
        self.form.changed.connect(self._update)
        self.form.changed.connect(self._recount)
        self.form.model_changed.connect(self._model_chosen)
        self.form.failed.connect(self._show_error)
        self.job.progressed.connect(self._show_progress)
        self.job.finished.connect(self._finish)
        self.job.failed.connect(self._fail)
        self.job.cancelled.connect(self._cancelled)
        self.distance_job.finished.connect(self._use_distance)
        self.distance_job.failed.connect(self._show_error)
        self.typing_job.finished.connect(self._keep_typed)
        self.typing_job.failed.connect(self._fail)
        self.kept.asked.connect(self._keep)
        self.form.project_mpp = self._project_mpp
        self.form.size_set.connect(self.session.set_mpp)
        self.session.image_changed.connect(self._follow_session)
        self.session.nuclei_changed.connect(lambda notes: self.form.refresh())
        self.session.models_changed.connect(self.form.offer_models)
        self._follow_session()
        self.session.failed.connect(self._show_error)
        self.session.join(self)
        self.result.threshold_changed.connect(self._live.start)
        self.result.distance_changed.connect(self._distance.start)
        self._viewer.events.theme.connect(self._apply_theme)

    def event(self, event: QEvent) -> bool:
        """A dock that was closed gives its widget up: stop what runs, follow no layers."""
        if event.type() == QEvent.Type.ParentChange and hasattr(self, "job"):
            if self.parent() is None:
                self.job.close()
                self.distance_job.close()
                self.typing_job.close()
                self.form.image.leave()
            else:
                self.form.image.join()
        return super().event(event)

    def _follow_session(self) -> None:
        """The image that the other docks work on."""
        self.form.image.choose(self.session.current)
        self.form.refresh()

    def _project_mpp(self) -> float | None:
        store, layer = self.session.store, self.form.image.current
        image = None if layer is None else self.session.image_of(layer)
        return None if store is None or image is None else store.image(image).mpp

    # -- a run

    def _start(self) -> None:
        self._show_error(None)
        try:
            request = self.form.request()
        except NucbudgetError as error:
            self._show_error(error)
            return
        self._asked, self._asked_for = request, self.session.store
        self._started = time.monotonic()
        self.status.setText("")
        if request.model == self.tuned_for:
            threshold, distance = self.result.threshold.value(), self.result.distance.value()
        else:
            threshold, distance = default_values(self._catalogue.card(request.model))
        self.job.start(
            partial(
                detection,
                request,
                self._catalogue,
                threshold=threshold,
                min_distance_um=distance,
            )
        )
        self._show_progress(Progress(0, 0, message=f"Loading {request.model}…"))
        self._update()

    def _show_progress(self, progress: Progress) -> None:
        if not progress.total:
            self.bar.setRange(0, 0)
            self.bar.setFormat("")
            self.status.setText(progress.message)
            return
        now = time.monotonic()
        self.bar.setRange(0, 1000)
        self.bar.setValue(round(progress.fraction * 1000))
        self.bar.setFormat(f"{progress.fraction:.0%}")
        if not progress.done:
            self._started = now
            self.status.setText(progress.message)
            return
        left = (now - self._started) * (1 / progress.fraction - 1)
        self.status.setText(f"{progress.found:,} nuclei so far, {time_in_words(left)} left")

    def _finish(self, proposals: Proposals) -> None:
        assert self._asked is not None
        self._request, self._proposals = self._asked, proposals
        self._view = self._view_of(self._request.image)
        self._tune_for(self._request.model)
        self.result.setTitle(f"Result in {shortened(self._request.image.name)}")
        device = proposals.detector.device
        seconds = time.monotonic() - self._started
        text = f"Done in {time_in_words(seconds)} on {device}."
        if proposals.score_map is None:
            text += " The region is too large to keep its map: the minimum distance is fixed."
        self.status.setText(text)
        self.result.show_proposals(proposals)
        if self.kept.at_once.isChecked() and self.session.store is self._asked_for:
            self.result.show_count(len(self._shown()), proposals)
            self._keep()
        else:
            self._show_nuclei()
        self._update()
        if self.result.distance.value() != proposals.min_distance_um:
            self._distance.start()

    def _view_of(self, image: Any) -> NucleiView:
        """The one view of an image: a new run replaces the nuclei that it shows."""
        for view in self._views:
            if view.image is image:
                return view
        self._views.append(NucleiView(self._viewer, image))
        return self._views[-1]

    def _fail(self, error: BaseException) -> None:
        self.status.setText("")
        self._show_error(error)
        self._update()

    def _cancelled(self) -> None:
        self.status.setText("Cancelled.")
        self._update()

    # -- live changes

    def _show_nuclei(self) -> None:
        proposals, view = self._proposals, self._view
        if proposals is None or view is None:
            return
        nuclei = self._shown()
        active = self._viewer.layers.selection.active
        view.show(nuclei)
        if any(kept.points is active for kept in self.session.views):
            self._viewer.layers.selection.active = active  # a click there is an edit of the project
        self.result.show_count(len(nuclei), proposals, outdated=self._outdated())

    def take_threshold(self, value: float) -> None:
        """Follow the threshold of another dock; what is not on screen is not drawn for it."""
        self.result.threshold.setValue(value)
        points = None if self._view is None else self._view.points
        if points is None or points not in self._viewer.layers:
            self._live.stop()
            self._recount()

    def _outdated(self) -> str:
        if self._proposals is None or self._request is None:
            return ""
        return outdated(self._proposals, self._request.image)

    def _recount(self) -> None:
        """After a change of the image: its pixel size may be another one."""
        if self._proposals is not None and not self.job.running:
            count = len(self._shown())
            self.result.show_count(count, self._proposals, outdated=self._outdated())

    def _shown(self) -> Nuclei:
        """Nuclei above the threshold of today."""
        assert self._proposals is not None
        return self._proposals.above(self.result.threshold.value())

    # -- into the project

    def _keep(self) -> None:
        """Put what is shown into the project; what has no class yet is typed first."""
        proposals, request = self._proposals, self._request
        if proposals is None or request is None:
            return
        if not self._still_there(request.image):
            return
        if why := self._outdated():
            self._show_error(PixelSizeError(f"{why} They were not kept."))
            return
        self._show_error(None)
        if request.classifier and untyped(self._shown()).any():
            self.status.setText(f"Typing nuclei with {request.classifier}…")
            threshold = self.result.threshold.value()
            self._typed_from = proposals
            self.typing_job.start(
                partial(typing, request, self._catalogue, proposals, threshold=threshold)
            )
        else:
            self._put()

    def _keep_typed(self, proposals: Proposals) -> None:
        if self._proposals is not self._typed_from:
            return  # another run has finished meanwhile
        self._proposals = proposals
        self.status.setText("")
        if self._request is not None and self._still_there(self._request.image):
            self._put()

    def _still_there(self, image: Any) -> bool:
        """Whether an image is open; where it is not, its points stay and a sentence says it."""
        if image in self._viewer.layers:
            return True
        self._show_nuclei()
        self._show_error(
            ImageError(
                f"{image.name} was closed, so its nuclei cannot be kept. Open it again and detect "
                "once more."
            )
        )
        return False

    def _put(self) -> None:
        proposals, request = self._proposals, self._request
        assert proposals is not None
        assert request is not None
        models = [(request.model, "detection")]
        if request.classifier:
            models.append((request.classifier, "classification"))
        active = self._viewer.layers.selection.active
        free = active in (None, request.image) or not active.visible
        view = self._view_of(request.image)
        free = free or active is view.points
        self._views.remove(view)
        view.remove()  # first: the project's layer gets its name
        self._view = self._view_of(request.image)
        if not self.kept.put(self._shown(), proposals, request.image, models):
            self._show_nuclei()
            return
        kept = self.session.views.of(request.image)
        if free and kept is not None and kept.points is not None:
            # so that a click chooses a nucleus, and a key its class
            self._viewer.layers.selection.active = kept.points

    def _find_at_distance(self) -> None:
        proposals, distance = self._proposals, self.result.distance.value()
        if proposals is None or proposals.score_map is None:
            return
        if distance != proposals.min_distance_um:
            self.distance_job.start(partial(at_distance, proposals, distance))

    def _use_distance(self, proposals: Proposals) -> None:
        now = self._proposals
        if now is None or now.score_map is not proposals.score_map:
            return  # another run has finished meanwhile
        self._proposals = replace(proposals, peaks=typed_as(proposals.peaks, now.peaks))
        self.result.show_proposals(proposals)
        self._show_nuclei()
        if self.typing_job.running:
            self._keep()  # what is typed there is no longer what is shown

    # -- looks

    def _model_chosen(self) -> None:
        """Another model brings its threshold and distance, but not to what is on screen."""
        name = self.form.model.currentText()
        if name and self._proposals is None:
            self._tune_for(name)

    def _tune_for(self, model: str) -> None:
        if model != self.tuned_for:
            self.tuned_for = model
            self.result.use_card(self._catalogue.card(model))

    def _show_error(self, error: BaseException | None) -> None:
        self.error.setText("" if error is None else in_words(error))
        self.error.setVisible(error is not None)

    def _update(self) -> None:
        running = self.job.running
        self.detect.setEnabled(not running and not self.form.problem())
        self.cancel.setEnabled(running)
        self.bar.setVisible(running)
        self.kept.keep.setEnabled(not running and self._proposals is not None)

    def _apply_theme(self, event: Any = None) -> None:
        colors = colors_of(self._viewer)
        self.error.setStyleSheet(f"color: {colors.error};")
        self.result.histogram.set_colors(colors)
        self.form.set_colors(colors)
