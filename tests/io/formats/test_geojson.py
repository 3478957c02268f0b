"""GeoJSON against QuPath's contract, and what other programs put into such files."""

from __future__ import annotations

import json
import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_nucbudget.errors import PointsError
from napari_nucbudget.io.formats.geojson import read_geojson, write_geojson
from napari_nucbudget.io.formats.geojson_ids import nucleus_id, nucleus_uuid
from napari_nucbudget.io.formats.points_file import PointsFile
from napari_nucbudget.types.classes import DEFAULT_CLASSES, ClassScheme, NucleusClass
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.nuclei import Nuclei

NUCLEI = Nuclei.from_points(
    [[0, 0], [3, 7], [9, 2]],
    score=[1, 0.25, 0.5],
    label=[0, -1, 2],
    origin=["human", "fcn", "fcn"],
    id=[10, 3, 7],
    prob=[[0.5, 0.25, 0.25], [0.125, 0.5, 0.375], [0, 0, 1]],
)
POINTS = PointsFile(NUCLEI, 0.5, "a.svs", (20, 30), (Region(1, 2, 5, 6),))
RING = [[10, 10], [14, 10], [14, 12], [10, 12], [10, 10]]


def feature(geometry, properties=None, **members):
    return {"type": "Feature", "geometry": geometry, "properties": properties or {}, **members}


def point(x, y, **properties):
    return feature({"type": "Point", "coordinates": [x, y]}, properties)


@pytest.fixture
def read(tmp_path):
    def call(body, classes=None):
        path = tmp_path / "q.geojson"
        if not isinstance(body, str | bytes):
            body = json.dumps(body)
        path.write_bytes(body if isinstance(body, bytes) else body.encode())
        return read_geojson(path, classes)

    return call


def collection(*features):
    return {"type": "FeatureCollection", "features": list(features)}


def written(tmp_path, form):
    return json.loads(write_geojson(tmp_path / "q.geojson", POINTS, form=form).read_text())


@pytest.mark.parametrize("kind", ["detection", "annotation"])
def test_a_nucleus_is_an_object_as_qupath_reads_it(tmp_path, kind):
    body = written(tmp_path, kind)
    assert body["type"] == "FeatureCollection"
    _, first, second, _ = body["features"]
    assert first["type"] == "Feature"
    assert uuid.UUID(first["id"])
    # The centre of the top left pixel lies half a pixel from the corner, QuPath's origin.
    assert first["geometry"] == {"type": "Point", "coordinates": [0.5, 0.5]}
    assert first["properties"] == {
        "objectType": kind,
        "classification": {"name": "epithelial", "color": [0, 229, 255]},
        "measurements": {
            "score": 1.0,
            "p_epithelial": 0.5,
            "p_inflammatory": 0.25,
            "p_miscellaneous": 0.25,
        },
        "metadata": {"origin": "human"},
    }
    assert second["geometry"]["coordinates"] == [7.5, 3.5]
    assert "classification" not in second["properties"]


def test_one_annotation_of_points_a_class_is_what_the_counting_tool_shows(tmp_path):
    _, unlabelled, epithelial, miscellaneous = written(tmp_path, "points")["features"]
    assert epithelial["geometry"] == {"type": "MultiPoint", "coordinates": [[0.5, 0.5]]}
    assert epithelial["properties"]["objectType"] == "annotation"
    assert epithelial["properties"]["name"] == "epithelial"
    assert miscellaneous["properties"]["classification"]["name"] == "miscellaneous"
    assert "classification" not in unlabelled["properties"]


def test_a_field_is_a_locked_rectangle_of_pixel_corners(tmp_path):
    field = written(tmp_path, "detection")["features"][0]
    assert field["geometry"]["coordinates"] == [[[2, 1], [8, 1], [8, 6], [2, 6], [2, 1]]]
    assert field["properties"] == {"objectType": "annotation", "name": "field", "isLocked": True}


def requalified(body, form):
    """The file as QuPath writes it again: without members that it does not know."""
    body.pop("nucbudget")
    for each in body["features"]:
        each["properties"].pop("nucbudget", None)
    return body


@pytest.mark.parametrize("form", ["detection", "annotation"])
def test_ids_scores_classes_origins_and_probabilities_survive_a_visit_to_qupath(
    tmp_path, read, form
):
    back = read(requalified(written(tmp_path, form), form))
    for column in ("yx", "score", "label", "id", "prob"):
        np.testing.assert_array_equal(getattr(back.nuclei, column), getattr(NUCLEI, column))
    assert list(back.nuclei.origin) == list(NUCLEI.origin)
    assert back.nuclei.classes == DEFAULT_CLASSES
    assert back.fields == POINTS.fields


def test_points_a_class_keep_position_and_class_when_qupath_writes_them_again(tmp_path, read):
    back = read(requalified(written(tmp_path, "points"), "points")).nuclei
    as_rows = {(*yx, label) for yx, label in zip(back.yx.tolist(), back.label, strict=True)}
    assert as_rows == {(0, 0, 0), (3, 7, -1), (9, 2, 2)}


def test_columns_that_no_longer_fit_an_edited_feature_are_left(tmp_path, read):
    body = written(tmp_path, "points")
    body["features"][2]["geometry"]["coordinates"].append([5.5, 6.5])
    back = read(body).nuclei
    assert len(back) == 4
    assert [6, 5] in back.yx.tolist()


@given(st.integers(-(2**63), 2**63 - 1), st.binary(min_size=6, max_size=6))
def test_an_id_lives_in_a_uuid_of_version_8(number, prefix):
    text = nucleus_uuid(number, prefix)
    assert uuid.UUID(text).version == 8
    assert str(uuid.UUID(text)) == text
    assert nucleus_id(text) == number


def test_another_uuid_holds_no_id():
    assert nucleus_id(str(uuid.uuid4())) is None
    assert nucleus_id("PathAnnotationObject") is None
    assert nucleus_id(None) is None


def test_polygons_become_their_centroids_and_that_is_said(read):
    back = read(
        collection(
            feature({"type": "Polygon", "coordinates": [RING]}),
            feature({"type": "MultiPolygon", "coordinates": [[RING], [RING]]}),
            point(1, 1),
        )
    )
    np.testing.assert_array_equal(back.nuclei.yx, [[10.5, 11.5], [10.5, 11.5], [0.5, 0.5]])
    assert back.remarks == (
        "2 outlines were taken as their centroids; their shapes were not kept.",
    )


def test_a_cell_counts_by_its_nucleus(read):
    wide = [[0, 0], [100, 0], [100, 100], [0, 0]]
    cell = feature(
        {"type": "Polygon", "coordinates": [wide]},
        {"objectType": "cell"},
        nucleusGeometry={"type": "Polygon", "coordinates": [RING]},
    )
    np.testing.assert_array_equal(read(collection(cell)).nuclei.yx, [[10.5, 11.5]])


def test_an_outline_without_area_is_the_mean_of_its_corners(read):
    flat = feature({"type": "Polygon", "coordinates": [[[0, 0], [4, 0], [0, 0], [4, 0]]]})
    np.testing.assert_array_equal(read(collection(flat)).nuclei.yx, [[-0.5, 1.5]])


def test_objects_inside_objects_are_found(read):
    parent = point(1, 1, childObjects=[point(2, 2), point(3, 3, children=[point(4, 4)])])
    assert len(read(collection(parent)).nuclei) == 4


@pytest.mark.parametrize("body", [[point(1, 2)], point(1, 2)], ids=["list", "one feature"])
def test_a_list_of_features_and_a_single_one_are_read_too(read, body):
    np.testing.assert_array_equal(read(body).nuclei.yx, [[1.5, 0.5]])


def test_classes_and_colours_come_from_the_features_where_the_default_ones_do_not_suffice(read):
    back = read(
        collection(
            point(1, 1, classification={"name": "Tumor", "color": [200, 0, 0]}),
            point(2, 2, classification={"name": "Immune cells", "colorRGB": -3140401}),
            point(3, 3, classification={"names": ["Tumor", "Positive"]}),
            point(4, 4, classification={"name": "Tumor"}),
        )
    ).nuclei
    assert back.classes.names == ("Tumor", "Immune cells", "Tumor: Positive")
    assert [c.color for c in back.classes.classes[:2]] == ["#c80000", "#d014cf"]
    assert list(back.label) == [0, 1, 2, 0]


def test_a_class_that_is_not_among_the_given_ones_is_refused(read):
    body = collection(point(1, 1, classification={"name": "epithelia"}))
    with pytest.raises(PointsError, match="feature 1: There is no class named 'epithelia'"):
        read(body, DEFAULT_CLASSES)


def test_names_with_commas_quotes_and_newlines_survive(tmp_path):
    classes = ClassScheme(tuple(NucleusClass(n, "#fff") for n in ('a, "b"', "c\nd", "e\u2028")))
    nuclei = Nuclei.from_points(np.eye(3)[:, :2], label=[0, 1, 2], classes=classes)
    for form in ("detection", "points"):
        path = write_geojson(tmp_path / "q.geojson", PointsFile(nuclei), form=form)
        back = read_geojson(path).nuclei
        assert back.classes == classes
        assert list(back.label) == [0, 1, 2]


def test_measurements_of_older_qupath_are_a_list(read):
    body = collection(point(1, 1, measurements=[{"name": "score", "value": 0.5}]))
    assert read(body).nuclei.score[0] == 0.5


def test_another_programs_p_value_is_no_probability(read):
    assert read(collection(point(1, 1, measurements={"p_value": 0.01}))).nuclei.prob is None


def test_points_outside_the_image_are_kept_and_said(read):
    back = read(collection(point(-3, 1), point(4, 4)))
    assert len(back.nuclei) == 2
    assert "1 of 2 nuclei lie outside the image, the first at x=-3.5" in back.remarks[0]


def test_objects_without_an_id_get_the_next_free_ones(read):
    ours = {**point(2, 2), "id": nucleus_uuid(41, b"\0" * 6)}
    back = read(collection(point(1, 1), ours, {**point(3, 3), "id": str(uuid.uuid4())}))
    assert list(back.nuclei.id) == [42, 41, 43]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"type": "FeatureCollection", "features": [{"type": "Fea', "cut short: .* character"),
        ('{"type": "FeatureCollection", "features": [', "cut short: it ends too early"),
        ('{"features": [] "a": 1}', "',' was expected"),
        ('{"features": []} more', "there is more after its end"),
        ("[" * 100_000, "nested too deeply|cut short"),
        ('"text"', "an object was expected"),
        ('{"a": 1}', "no list of features"),
        (b"\xff\xfe{\x00", "not a text file in UTF-8"),
        (collection("a"), "feature 1, is no GeoJSON feature"),
        (collection({"type": "Feature"}), "feature 1, is no GeoJSON feature"),
        (collection(feature({"type": "Point", "coordinates": ["a", 1]})), "feature 1, is no"),
        (collection(feature({"type": "LineString", "coordinates": []})), "LineString cannot be"),
        (collection(point(float("nan"), 1)), "1 of 1 nuclei have coordinates that are not numb"),
        (collection(*[{**point(1, 1), "id": 5}] * 2), "two nuclei have the same id"),
        (collection({**point(1, 1), "id": 2**70}), "does not fit into 64 bits"),
        (collection(point(1, 1, measurements={"score": 7})), "Scores must lie in 0 .. 1"),
        ({"nucbudget": {"version": 9}, "features": []}, "version 9 of the points format"),
        ({"nucbudget": {"classes": [{"name": ""}]}, "features": []}, "header cannot be under"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(read, body, words):
    with pytest.raises(PointsError, match=words):
        read(body)


def test_features_longer_than_a_piece_of_the_file_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_nucbudget.io.formats.json_stream.CHUNK", 7)
    for form in ("detection", "points"):
        back = read_geojson(write_geojson(tmp_path / "q.geojson", POINTS, form=form))
        np.testing.assert_array_equal(back.nuclei.id, NUCLEI.id)


def test_a_bare_geometry_is_refused_rather_than_empty(read):
    with pytest.raises(PointsError, match="no list of features"):
        read({"type": "Point", "coordinates": [1, 2]})


def test_an_object_without_a_place_is_left_out_and_that_is_said(read):
    point = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [3, 4]}}
    found = read([point, {"type": "Feature", "geometry": None, "properties": {}}])
    assert len(found.nuclei) == 1
    assert "1 objects without a place" in found.remarks[0]


@pytest.mark.parametrize(
    ("rings", "words"),
    [
        ([[[0, 0], [100, 0], [0, 100], [0, 0]]], "no.*rectangle"),
        ([[[50, 0], [100, 50], [50, 100], [0, 50], [50, 0]]], "no.*rectangle"),
        ([[[0, 0], [9, 0], [9, 9], [0, 9], [0, 0]], RING], "no.*rectangle"),
        ([[[0, 0], [0.4, 0], [0.4, 9], [0, 9], [0, 0]]], "smaller than a pixel"),
    ],
)
def test_a_field_that_is_no_rectangle_of_pixels_is_refused(read, rings, words):
    with pytest.raises(PointsError, match=words):
        read(collection(feature({"type": "Polygon", "coordinates": rings}, {"name": "field"})))


SQUARE = [[0, 0], [9, 0], [9, 9], [0, 9], [0, 0]]


def test_a_field_of_several_parts_is_refused_and_one_of_a_single_part_read(read):
    def field(*parts):
        return collection(
            feature({"type": "MultiPolygon", "coordinates": [*parts]}, {"name": "field"})
        )

    with pytest.raises(PointsError, match=r"no.*rectangle"):
        read(field([SQUARE], [RING]))
    back = read(field([SQUARE]))
    assert (back.fields, len(back.nuclei)) == ((Region(0, 0, 9, 9),), 0)


def test_an_id_that_was_written_as_a_float_is_kept(read):
    back = read(collection({**point(1, 1), "id": 7.0}, point(2, 2), {**point(3, 3), "id": 5}))
    assert list(back.nuclei.id) == [7, 8, 5]


def test_a_class_of_blanks_is_refused_with_the_files_name(read):
    with pytest.raises(PointsError, match=r"q\.geojson: ' ' cannot be a class name"):
        read(collection(point(1, 1, classification={"name": " "})))


def test_a_number_cut_by_the_end_of_a_piece_is_read_whole(tmp_path, monkeypatch):
    from napari_nucbudget.io.formats.json_stream import json_members

    body = "[1.25, -3e-2, 4E+1, 5e2, 60, true, null]"
    (tmp_path / "a.json").write_text(body)
    for size in range(1, 12):
        monkeypatch.setattr("napari_nucbudget.io.formats.json_stream.CHUNK", size)
        found = [value for _, value in json_members(tmp_path / "a.json", "a")]
        assert found == json.loads(body)


@pytest.mark.parametrize(
    "ring",
    [
        [[0, 0], [9, 0], [9, 7], [0, 7], [0, 0], [0, 0]],
        [[9, 7], [0, 7], [0, 0], [9, 0], [9, 7]],
        [[0, 0], [4, 0], [9, 0], [9, 7], [0, 7], [0, 0]],
        [[0, 0], [0, 7], [9, 7], [9, 0], [0, 0]],
    ],
)
def test_a_rectangle_is_a_field_however_its_corners_are_listed(read, ring):
    found = read(collection(feature({"type": "Polygon", "coordinates": [ring]}, {"name": "field"})))
    assert found.fields == (Region(0, 0, 7, 9),)
