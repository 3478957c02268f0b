"""What every registered file format promises, without a line of test code of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_nucbudget.errors import NucbudgetError, OutputError, PointsError
from napari_nucbudget.io.formats import FORMATS, format_to_write, read_points, write_points
from napari_nucbudget.io.formats.format import EVERYTHING, Format
from napari_nucbudget.io.formats.points_file import PointsFile
from napari_nucbudget.types.classes import UNLABELLED, ClassScheme, NucleusClass
from napari_nucbudget.types.image import ArraySource, Region
from napari_nucbudget.types.nuclei import HUMAN, Nuclei

READ = [n for n in FORMATS if FORMATS[n].read]
WRITTEN = [n for n in FORMATS if FORMATS[n].write]
BOTH = [n for n in READ if n in WRITTEN]
SINGLE_FILES = [n for n in READ if not FORMATS[n].folder]
PIXELS = np.full((60, 80, 3), 200, np.uint8)

names = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=8
).filter(lambda name: name.strip() and name != UNLABELLED)


@st.composite
def points_files(draw: st.DrawFn) -> PointsFile:
    """Nuclei with odd class names, far-off ids, missing probabilities, and fields."""
    chosen = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    classes = ClassScheme(tuple(NucleusClass(n, "#00e5ff", "Q") for n in chosen))
    n = draw(st.integers(0, 6))
    unit = st.floats(0, 1, width=32)
    # Below a billionth of a pixel, half a pixel cannot be added and taken away again.
    place = st.floats(-0.5, 59, width=32).map(lambda v: v if abs(v) > 1e-9 else 0.0)
    some = arrays(np.float32, (n, len(classes)), elements=unit | st.just(float("nan")))
    prob = draw(st.none() | some) if n else None
    nuclei = Nuclei.from_points(
        # a label set drops exact duplicates
        draw(
            arrays(np.float32, (n, 2), elements=place).filter(
                lambda a: len(set(map(tuple, a.tolist()))) == n
            )
        ),
        score=draw(arrays(np.float32, n, elements=unit)),
        label=draw(arrays(np.int16, n, elements=st.integers(-1, len(classes) - 1))),
        origin=draw(st.lists(st.sampled_from([HUMAN, "nuclei-fcn", "NA"]), min_size=n, max_size=n)),
        id=draw(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=n, max_size=n, unique=True)),
        prob=prob,
        classes=classes,
    )
    fields = draw(
        st.sampled_from([(), (Region(3, 4, 5, 6),), (Region(0, 0, 9, 9), Region(9, 9, 30, 30))])
    )
    return PointsFile(nuclei, 0.2513, 'slide, "1".svs', (60, 80), fields)


def with_pixels(points: PointsFile, name: str) -> PointsFile:
    """What the format needs: a label set holds the image, and no proposal as truth."""
    if not FORMATS[name].folder:
        return points
    # Dots of two classes within 0.5 µm contradict one another and lose their classes.
    yx = points.nuclei.yx.astype(float) * points.mpp
    apart = np.hypot(*(yx[:, None] - yx[None]).transpose(2, 0, 1)) > 0.6
    lone = points.nuclei.select((apart | np.eye(len(yx), dtype=bool)).all(axis=1))
    human = replace(lone, origin=np.full(len(lone), HUMAN, dtype=object))
    source = ArraySource(PIXELS, mpp=points.mpp, name="slide")
    return replace(points, nuclei=human, source=source)


def assert_kept(back: PointsFile, points: PointsFile, keeps: frozenset[str]) -> None:
    for column in keeps & {"id", "yx", "score", "label", "prob"}:
        np.testing.assert_array_equal(
            getattr(back.nuclei, column), getattr(points.nuclei, column), err_msg=column
        )
    if "prob" in keeps:
        assert (back.nuclei.prob is None) == (points.nuclei.prob is None)
    if "origin" in keeps:
        assert list(back.nuclei.origin) == list(points.nuclei.origin)
    if "classes" in keeps:
        assert back.nuclei.classes == points.nuclei.classes
    for fact in keeps & {"mpp", "image", "shape", "fields"}:
        assert getattr(back, fact) == getattr(points, fact)


def test_the_names_are_those_of_the_formats() -> None:
    assert {name: FORMATS[name].name for name in FORMATS} == {name: name for name in FORMATS}


@pytest.mark.parametrize("name", list(FORMATS))
def test_a_format_says_what_it_can_do(name: str) -> None:
    chosen: Format = FORMATS[name]
    assert chosen.title
    assert chosen.read or chosen.write
    assert chosen.suffixes
    assert all(s == s.lower() for s in chosen.suffixes)
    assert chosen.keeps <= EVERYTHING


def test_no_two_formats_share_a_suffix() -> None:
    suffixes = [s for name in FORMATS for s in FORMATS[name].suffixes]
    assert len(set(suffixes)) == len(suffixes)


@pytest.mark.parametrize("name", [n for n in WRITTEN if not FORMATS[n].folder])
def test_its_suffix_chooses_it(name: str) -> None:
    for suffix in FORMATS[name].suffixes:
        assert format_to_write(f"a.b{suffix.upper()}").name == name


@pytest.mark.parametrize("name", BOTH)
@settings(max_examples=25)
@given(points=points_files())
def test_what_it_keeps_comes_back_equal(
    name: str, points: PointsFile, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("format") / f"a{FORMATS[name].suffixes[0]}"
    points = with_pixels(points, name)
    if FORMATS[name].folder and points.fields and len(points.nuclei) == 0:
        points = replace(points, fields=())
    write_points(path, points, format=name)
    (back,) = read_points(path, format=name)
    assert_kept(back, points, FORMATS[name].keeps)
    assert back.remarks == ()


@pytest.mark.parametrize("name", BOTH)
def test_no_nuclei_make_a_file_that_is_read_as_none(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{FORMATS[name].suffixes[0]}"
    points = with_pixels(PointsFile(Nuclei.empty(), 0.5, "a.png", (60, 80)), name)
    write_points(path, points, format=name)
    (back,) = read_points(path, format=name)
    assert len(back.nuclei) == 0


@pytest.mark.parametrize("name", SINGLE_FILES)
@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe\x00\x80garbage", b"not a table", b'{"type": "FeatureColl', b"[1, 2", b"null"],
    ids=["empty", "binary", "prose", "cut short", "cut list", "null"],
)
def test_a_damaged_file_is_an_error_that_names_it(
    name: str, content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / f"img1_detection{FORMATS[name].suffixes[0]}"
    path.write_bytes(content)
    with pytest.raises(PointsError, match="img1_detection"):
        read_points(path, format=name)


@pytest.mark.parametrize("name", [n for n in SINGLE_FILES if n in WRITTEN])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_a_file_that_was_cut_short_never_passes_for_whole(
    name: str, part: float, tmp_path: Path
) -> None:
    path = tmp_path / f"a{FORMATS[name].suffixes[0]}"
    write_points(path, PointsFile(Nuclei.from_points(np.eye(2).repeat(20, 0))), format=name)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    said = ""
    try:
        (back,) = read_points(path, format=name)
        said = " ".join(back.remarks)
    except NucbudgetError as error:
        said = str(error)
    assert said


@pytest.mark.parametrize("name", READ)
def test_a_file_that_is_absent_is_an_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(PointsError, match="no such file"):
        read_points(tmp_path / f"a{FORMATS[name].suffixes[0]}", format=name)


@pytest.mark.parametrize("name", WRITTEN)
def test_a_place_that_cannot_be_written_is_an_error(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    points = with_pixels(PointsFile(Nuclei.from_points([[1, 2]]), 0.5, "a", (60, 80)), name)
    with pytest.raises(OutputError, match="cannot be written"):
        write_points(tmp_path / "file" / "a", points, format=name)


@pytest.mark.parametrize("name", WRITTEN)
def test_what_it_cannot_hold_is_said(name: str) -> None:
    nuclei = Nuclei.from_points(
        [[1, 2]], score=0.5, origin="fcn", id=[7], label=0, prob=[[0.2, 0.3, 0.5]]
    )
    points = PointsFile(nuclei, 0.5, "a.png", (9, 9), (Region(0, 0, 9, 9),))
    said = FORMATS[name].loses(points)
    assert len(said) == 9 - len(FORMATS[name].keeps - {"shape", "classes"})


@pytest.mark.parametrize("name", [n for n in BOTH if {"prob", "classes"} <= FORMATS[n].keeps])
def test_probabilities_follow_their_classes_where_those_are_given_in_another_order(
    name: str, tmp_path: Path
) -> None:
    path = tmp_path / f"a{FORMATS[name].suffixes[0]}"
    prob = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]], np.float32)
    nuclei = Nuclei.from_points([[1, 2], [3, 4]], label=[0, 2], origin="m", prob=prob)
    write_points(path, PointsFile(nuclei, 0.5, "a.png", (60, 80)), format=name)
    order = (2, 1, 0)
    other = ClassScheme(tuple(nuclei.classes.classes[i] for i in order))
    (back,) = read_points(path, format=name, classes=other)
    assert [back.nuclei.classes.names[i] for i in back.nuclei.label] == [
        nuclei.classes.names[i] for i in nuclei.label
    ]
    assert back.nuclei.prob is not None
    np.testing.assert_array_equal(back.nuclei.prob, prob[:, order])
