"""Random edits, undo, redo, full disks and restarts against a model in plain Python.

The model keeps a list of whole states and a place in it: an edit cuts the list and
appends, undo and redo walk. ``NUCBUDGET_EDITS`` sets the number of steps (600).
"""

from __future__ import annotations

import copy
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from napari_nucbudget.errors import OutputError, ProjectError
from napari_nucbudget.project import ProjectStore, open_project
from napari_nucbudget.types.classes import UNLABELLED, NucleusClass
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.nuclei import HUMAN, Nuclei

STEPS = 40
SIDE = 1200
EDITS = int(os.environ.get("NUCBUDGET_EDITS", "600"))

place = st.integers(0, SIDE - 1).map(float)
places = st.lists(st.tuples(place, place), min_size=1, max_size=5)
eighths = st.integers(0, 8).map(lambda k: k / 8)
regions = st.builds(Region, *[st.integers(0, SIDE - 1)] * 2, *[st.integers(1, SIDE)] * 2).map(
    lambda region: region.clipped((SIDE, SIDE))
)
some = st.sets(st.integers(0, 1000), min_size=1, max_size=6)
names = st.sampled_from(["a,b", 'say "c"', "two\nlines", "ø", "stroma", "; DROP TABLE nuclei"])


class Edits(RuleBasedStateMachine):
    """The store and the model side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.store: ProjectStore = self.open()

    @initialize()
    def two_images(self) -> None:
        for name in ("first", "second"):
            self.store.add_image((SIDE, SIDE), name=name)
        state = {"nuclei": {}, "fields": {}, "classes": list(self.store.classes.names)}
        self.states: list[tuple[str, dict[str, Any]]] = [("", state)]
        self.at = 0

    def open(self) -> ProjectStore:
        return open_project(Path(self.folder) / "p.nucbudget", annotator="Ann")

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)

    @property
    def now(self) -> dict[str, Any]:
        return self.states[self.at][1]

    def edited(self, label: str, state: dict[str, Any]) -> None:
        """Record an edit, unless it changed nothing."""
        if state != self.now:
            del self.states[self.at + 1 :]
            self.states.append((label, state))
            self.at += 1

    def draft(self) -> dict[str, Any]:
        return copy.deepcopy(self.now)

    def pick(self, which: set[int], status: tuple[str, ...] = ("proposed", "human")) -> list[int]:
        """Ids of some nuclei that are there."""
        ids = sorted(id for id, n in self.now["nuclei"].items() if n["status"] in status)
        return sorted({ids[k % len(ids)] for k in which}) if ids else []

    def class_name(self, k: int) -> str:
        choices = [*self.now["classes"], ""]
        return choices[k % len(choices)]

    def new(
        self,
        state: dict[str, Any],
        ids: Any,
        image: int,
        yx: Any,
        *,
        name: str,
        origin: str,
        score: float,
        prob: dict[str, float] | None = None,
    ) -> None:
        for id, at in zip(ids.tolist(), yx, strict=True):
            assert id not in state["nuclei"]
            state["nuclei"][id] = {
                "image": image,
                "yx": tuple(at),
                "class": name or UNLABELLED,
                "status": "human" if origin == HUMAN else "proposed",
                "origin": origin,
                "score": score,
                "prob": prob,
            }

    def chances(self, n: int, seed: int) -> tuple[dict[str, float], Any]:
        """Of each class, and the same as a table of `n` rows."""
        given = np.random.default_rng(seed).integers(0, 9, len(self.now["classes"])) / 8
        return dict(zip(self.now["classes"], given.tolist(), strict=True)), np.tile(given, (n, 1))

    # -- edits of nuclei

    @rule(image=st.integers(1, 2), yx=places, k=st.integers(0, 9))
    def add(self, image: int, yx: list[tuple[float, float]], k: int) -> None:
        state, name = self.draft(), self.class_name(k)
        ids = self.store.add(image, yx, name)
        self.new(state, ids, image, yx, name=name, origin=HUMAN, score=1.0)
        self.edited("add", state)

    @rule(image=st.integers(1, 2), yx=places, score=eighths)
    def paste(self, image: int, yx: list[tuple[float, float]], score: float) -> None:
        state = self.draft()
        table = Nuclei.from_points(yx, score=score, origin="other", classes=self.store.classes)
        ids = self.store.paste(image, table)
        self.new(state, ids, image, yx, name="", origin=HUMAN, score=score)
        self.edited("paste", state)

    @rule(
        image=st.integers(1, 2),
        region=regions,
        yx=places,
        score=eighths,
        k=st.integers(0, 9),
        typed=st.none() | st.integers(0, 99),
    )
    def propose(
        self,
        image: int,
        region: Region,
        yx: list[tuple[float, float]],
        score: float,
        k: int,
        typed: int | None,
    ) -> None:
        state, name = self.draft(), self.class_name(k)
        yx = [p for p in yx if region.contains(np.array([p]))[0]]
        for id, n in list(state["nuclei"].items()):
            inside = region.contains(np.array([n["yx"]]))[0]
            if n["image"] == image and n["status"] == "proposed" and inside:
                del state["nuclei"][id]
        label = self.store.classes.index(name)
        known, prob = (None, None) if typed is None else self.chances(len(yx), typed)
        table = Nuclei.from_points(
            yx, score=score, label=label, origin="fcn", prob=prob, classes=self.store.classes
        )
        ids = self.store.add_proposals(image, table, region=region)
        self.new(state, ids, image, yx, name=name, origin="fcn", score=score, prob=known)
        self.edited("propose", state)

    @rule(image=st.integers(1, 2), k=st.integers(0, 8), seed=st.integers(0, 99))
    def retype(self, image: int, k: int, seed: int) -> None:
        state, name = self.draft(), self.now["classes"][k % len(self.now["classes"])]
        open_ = {
            id: n
            for id, n in state["nuclei"].items()
            if n["image"] == image and n["status"] == "proposed"
        }
        known, prob = self.chances(len(open_), seed)
        for n in open_.values():
            n.update({"class": name, "prob": known})
        table = Nuclei.from_points(
            np.zeros((len(open_), 2)),
            label=self.store.classes.index(name),
            id=sorted(open_),
            prob=prob,
            classes=self.store.classes,
        )
        self.store.retype(image, table)
        if open_:  # the same again is a step too
            self.edited("type", {**state, "moved": self.now.get("moved", 0) + 1})

    @rule(which=some, at=st.tuples(place, place))
    def move(self, which: set[int], at: tuple[float, float]) -> None:
        state, ids = self.draft(), self.pick(which)
        for step, id in enumerate(ids):
            goal = ((at[0] + step) % SIDE, at[1])
            state["nuclei"][id].update(yx=goal, status="human")
        self.store.move(ids, [state["nuclei"][id]["yx"] for id in ids] or np.zeros((0, 2)))
        if ids:  # a move to the same place is a step too
            self.edited("move", {**state, "moved": self.now.get("moved", 0) + 1})

    @rule(which=some)
    def delete(self, which: set[int]) -> None:
        state, ids = self.draft(), self.pick(which)
        for id in ids:
            if state["nuclei"][id]["origin"] == HUMAN:
                del state["nuclei"][id]
            else:
                state["nuclei"][id]["status"] = "rejected"
        assert self.store.delete(ids) == len(ids)
        self.edited("delete", state)

    @rule(which=some, k=st.integers(0, 9))
    def relabel(self, which: set[int], k: int) -> None:
        state, ids, name = self.draft(), self.pick(which), self.class_name(k)
        for id in ids:
            state["nuclei"][id].update({"class": name or UNLABELLED, "status": "human"})
        self.store.relabel(ids, name)
        self.edited("relabel", state)

    @rule(which=some, accept=st.booleans())
    def answer(self, which: set[int], accept: bool) -> None:
        state = self.draft()
        ids = self.pick(which, ("proposed", "rejected") if accept else ("proposed",))
        for id in ids:
            state["nuclei"][id]["status"] = "human" if accept else "rejected"
        assert (self.store.accept if accept else self.store.reject)(ids) == len(ids)
        self.edited("accept" if accept else "reject", state)

    @rule(image=st.integers(1, 2), region=regions, score=eighths, accept=st.booleans())
    def answer_all(self, image: int, region: Region, score: float, accept: bool) -> None:
        state = self.draft()
        for n in state["nuclei"].values():
            inside = n["image"] == image and region.contains(np.array([n["yx"]]))[0]
            if n["status"] == "proposed" and inside and n["score"] >= score:
                n["status"] = "human" if accept else "rejected"
        answer = self.store.accept_all if accept else self.store.reject_all
        answer(image, region, min_score=score)
        self.edited("accept" if accept else "reject", state)

    @rule(which=some, yx=places)
    def group(self, which: set[int], yx: list[tuple[float, float]]) -> None:
        state, ids = self.draft(), self.pick(which)
        with self.store.group("two things"):
            new = self.store.add(2, yx)
            self.store.delete(ids)
        self.new(state, new, 2, yx, name="", origin=HUMAN, score=1.0)
        for id in ids:
            if state["nuclei"][id]["origin"] == HUMAN:
                del state["nuclei"][id]
            else:
                state["nuclei"][id]["status"] = "rejected"
        self.edited("two things", state)

    # -- fields and classes

    @rule(image=st.integers(1, 2), region=regions)
    def draw_field(self, image: int, region: Region) -> None:
        state = self.draft()
        field = self.store.add_field(image, region, allow_unanswered=True)
        state["fields"][field.id] = (image, region)
        self.edited("add a field", state)

    @precondition(lambda self: self.now["fields"])
    @rule(k=st.integers(0, 99))
    def remove_field(self, k: int) -> None:
        state = self.draft()
        ids = sorted(state["fields"])
        id = ids[k % len(ids)]
        del state["fields"][id]
        self.store.remove_field(id)
        self.edited("remove a field", state)

    @rule(name=names)
    def add_class(self, name: str) -> None:
        state = self.draft()
        if name not in state["classes"]:
            state["classes"].append(name)
            self.store.add_class(NucleusClass(name, "#abcdef", "Z"))
            self.edited("add class", state)

    @precondition(lambda self: self.now["classes"])
    @rule(k=st.integers(0, 9), name=names)
    def rename_class(self, k: int, name: str) -> None:
        state = self.draft()
        old = state["classes"][k % len(state["classes"])]
        if name not in state["classes"]:
            state["classes"][state["classes"].index(old)] = name
            for n in state["nuclei"].values():
                n["class"] = name if n["class"] == old else n["class"]
                if n["prob"] and old in n["prob"]:
                    n["prob"] = {name if c == old else c: p for c, p in n["prob"].items()}
            self.store.edit_class(old, new_name=name)
            self.edited("rename class", state)

    @precondition(lambda self: len(self.now["classes"]) > 1)
    @rule(k=st.integers(0, 9), j=st.integers(0, 9))
    def remove_class(self, k: int, j: int) -> None:
        state = self.draft()
        old = state["classes"].pop(k % len(state["classes"]))
        into = [*state["classes"], ""][j % (len(state["classes"]) + 1)]
        used = [n for n in state["nuclei"].values() if n["class"] == old]
        if used:
            with pytest.raises(ProjectError, match=f"has {len(used):,} nuclei"):
                self.store.remove_class(old)
        for n in used:
            n["class"] = into or UNLABELLED
        for n in state["nuclei"].values():
            if n["prob"]:
                n["prob"] = {c: p for c, p in n["prob"].items() if c != old}
        self.store.remove_class(old, into=into)
        self.edited("remove class", state)

    @rule(order=st.randoms(use_true_random=False))
    def order_classes(self, order: Any) -> None:
        state = self.draft()
        order.shuffle(state["classes"])
        if state["classes"] != self.now["classes"]:
            self.store.order_classes(state["classes"])
            self.edited("order the classes", state)

    # -- history

    @rule()
    def undo(self) -> None:
        label = self.store.undo()
        assert (label is None) == (self.at == 0)
        if label is not None:
            assert label.startswith(self.states[self.at][0])
            self.at -= 1

    @rule()
    def redo(self) -> None:
        label = self.store.redo()
        assert (label is None) == (self.at == len(self.states) - 1)
        if label is not None:
            self.at += 1
            assert label.startswith(self.states[self.at][0])

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = self.open()

    @rule(which=some)
    def full_disk(self, which: set[int]) -> None:
        """An edit of many nuclei when no page can be added to the file."""
        ((pages,),) = self.store.select("PRAGMA page_count")
        self.store.select(f"PRAGMA max_page_count = {pages}")
        yx = np.random.default_rng(len(which)).uniform(0, SIDE - 1, (20_000, 2))
        try:
            with pytest.raises(OutputError, match="the disk is full"):
                self.store.add(1, yx)
        finally:
            self.store.select("PRAGMA max_page_count = 1073741823")

    @invariant()
    def equal(self) -> None:
        if not hasattr(self, "states"):
            return
        state = self.now
        assert list(self.store.classes.names) == state["classes"]
        fields = {field.id: (field.image, field.region) for field in self.store.fields()}
        assert fields == state["fields"]
        for image in (1, 2):
            for status in ("proposed", "human", "rejected"):
                found = self.store.nuclei(image, which=status)
                told = {
                    id: n
                    for id, n in state["nuclei"].items()
                    if n["image"] == image and n["status"] == status
                }
                assert sorted(found.id.tolist()) == sorted(told)
                classes = found.classes.to_names(found.label)
                for row, id in enumerate(found.id.tolist()):
                    n = told[id]
                    origin = HUMAN if status == "human" else n["origin"]
                    assert tuple(found.yx[row].tolist()) == n["yx"]
                    assert (classes[row], found.origin[row]) == (n["class"], origin)
                    assert found.score[row] == np.float32(n["score"])
                    chance = None if found.prob is None else found.prob[row]
                    if n["prob"] is None:
                        assert chance is None or np.isnan(chance).all()
                    else:
                        assert chance is not None
                        expected = [n["prob"].get(name, 0.0) for name in state["classes"]]
                        assert chance.tolist() == expected
                for name, count in self.store.counts(image).items():
                    expected = sum(n["class"] == name for n in told.values())
                    if status != "rejected":
                        assert getattr(count, status) == expected
                region = Region(300, 200, 700, 600)
                inside = self.store.nuclei(image, region, which=status).id.tolist()
                assert inside == found.id[region.contains(found.yx)].tolist()


TestEdits = Edits.TestCase
TestEdits.settings = settings(max_examples=max(1, EDITS // STEPS), stateful_step_count=STEPS)
