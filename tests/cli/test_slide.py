"""``nucbudget slide``: what it writes, what it says, and what it refuses in one sentence."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tifffile

from napari_nucbudget.cli.slide_output import bytes_of, folders_of, regions_of
from napari_nucbudget.errors import ConfigError, OutputError, PointsError
from napari_nucbudget.infer import cluster
from napari_nucbudget.infer.slide import iter_slide
from napari_nucbudget.infer.slide_summary import summarize
from napari_nucbudget.models.library import load_detector
from napari_nucbudget.types.progress import result_of
from tests.infer import slide_case
from tests.typed_discs import untrained


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    slide_case.small_blocks(monkeypatch.setattr)


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    return slide_case.write(tmp_path / "a.ome.tif", slide_case.draw()[0])


def test_it_writes_table_statistics_and_report(
    run: Any, slide: Path, model: str, tmp_path: Path
) -> None:
    code, out, err = run(
        "slide", slide, "--out", tmp_path / "out", "-m", model, "--report", "--json"
    )
    assert code == 0, err
    (result,) = json.loads(out)["slides"]
    truth = len(slide_case.draw()[1])
    assert abs(result["nuclei"] - truth) < 0.1 * truth
    folder = tmp_path / "out" / "a"
    assert result["out"] == str(folder)
    with (folder / "statistics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["nuclei"]) for row in rows] == [result["nuclei"]]
    assert float(rows[0]["per_mm2"]) == pytest.approx(result["per_mm2"], rel=1e-3)
    page = (folder / "report.html").read_text()
    assert f"{result['nuclei']:,} nuclei" in page
    # The slide and its map of density, each with the border of the tissue.
    assert page.count('src="data:image/') == 4
    assert not re.search(r'(src|href)="(?!data:)', page)  # it needs nothing else
    for part in ("Histogram of scores", "SHA-256 of the weights", "per mm²", "torch", "a.ome.tif"):
        assert part in page


def test_a_second_run_says_the_same_without_computing(
    run: Any, slide: Path, model: str, tmp_path: Path
) -> None:
    first = run("slide", slide, "--out", tmp_path / "out", "-m", model)
    second = run("slide", slide, "--out", tmp_path / "out", "-m", model, "--resume")
    assert (first[0], second[0]) == (0, 0)
    assert "nuclei on" in first[1]
    assert re.sub(r"\(.*?\)", "", first[1]) == re.sub(r"\(.*?\)", "", second[1])
    assert "going on with" in second[2]


def test_a_slide_that_fails_does_not_stop_the_others(
    run: Any, slide: Path, model: str, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.svs"
    bad.write_bytes(b"II*\0")
    code, out, err = run("slide", bad, slide, "--out", tmp_path / "out", "-m", model)
    assert code == 2
    assert "bad.svs" in err
    assert "nuclei on" in out
    assert "Traceback" not in err


def test_a_tile_that_does_not_decode_is_said_in_every_place(
    run: Any, slide: Path, model: str, tmp_path: Path
) -> None:
    with tifffile.TiffFile(slide) as tif:
        page: Any = tif.pages[0]
        tile = 3 * page.chunked[1] + 3  # amid the tissue
        offset, size = page.dataoffsets[tile], page.databytecounts[tile]
    with slide.open("r+b") as file:
        file.seek(offset)
        file.write(bytes(size))
    code, _, err = run("slide", slide, "--out", tmp_path / "out", "-m", model, "--report")
    assert code == 0, err
    assert "not computed: y=" in err
    with (tmp_path / "out" / "a" / "skipped.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert rows
    assert all("row 3, column 3" in row["reason"] for row in rows)
    page_of = (tmp_path / "out" / "a" / "report.html").read_text()
    assert f"{len(rows)} places do not decode" in page_of


def test_classes_have_their_rows_and_colours(slide: Path, model: str, tmp_path: Path) -> None:
    from PIL import Image

    mask = Image.new("L", (47, 43))
    mask.paste(255, (10, 10, 18, 18))
    mask.save(tmp_path / "mask.png")
    from napari_nucbudget.infer.slide import SlideSettings

    settings = SlideSettings(mask=tmp_path / "mask.png")
    steps = iter_slide(
        slide,
        load_detector(model),
        out=tmp_path / "out",
        classifier=untrained(),
        settings=settings,
    )
    summary = summarize(result_of(steps), report=True)
    assert sum(summary.counts.values()) > 5
    assert list(summary.counts) == ["epithelial", "inflammatory", "miscellaneous"]
    with (tmp_path / "out" / "statistics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["class"]: int(row["nuclei"]) for row in rows[1:]} == summary.counts
    assert sum(float(row["fraction"]) for row in rows[1:]) == pytest.approx(1, abs=1e-4)
    assert summary.report is not None
    page = summary.report.read_text()
    assert "#00e5ff" in page
    for name, count in summary.counts.items():
        assert (f"density: {name}" in page) == (count > 0)


def square(y: float, x: float, side: float, name: str) -> dict[str, Any]:
    """A region as QuPath writes it."""
    ring = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"objectType": "annotation", "name": name},
    }


def test_drawn_regions_have_rows_of_their_own(
    run: Any, slide: Path, model: str, tmp_path: Path
) -> None:
    command = ("slide", slide, "--out", tmp_path / "out", "-m", model)
    run(*command)
    # Tissue begins at column 60: of the second region a part is glass.
    drawn = [square(100, 100, 200, "inside"), square(100, 0, 100, "border & glass")]
    file = tmp_path / "drawn.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": drawn}))
    code, out, err = run(*command, "--regions", file, "--report", "--json")
    assert code == 0, err
    assert "going on with" in err  # nothing was computed again
    inside, border = json.loads(out)["slides"][0]["regions"]
    assert inside["mm2"] == pytest.approx((200 * 0.55e-3) ** 2, rel=1e-3)
    assert 0.3 < border["mm2"] / (100 * 0.55e-3) ** 2 < 0.7
    centres = slide_case.draw()[1]
    within = ((centres > 99.5) & (centres < 299.5)).all(axis=1).sum()
    assert abs(inside["nuclei"] - within) <= 0.1 * within
    with (tmp_path / "out" / "a" / "statistics.csv").open() as table:
        rows = {row["region"]: row for row in csv.DictReader(table)}
    assert list(rows) == ["tissue", "inside", "border & glass"]
    assert int(rows["inside"]["nuclei"]) == inside["nuclei"]
    page = (tmp_path / "out" / "a" / "report.html").read_text()
    assert page.count("border &amp; glass") == 2  # on the slide and in the table


def test_bad_regions_are_refused_before_anything_is_computed(
    run: Any, slide: Path, model: str, tmp_path: Path
) -> None:
    file = tmp_path / "bad.geojson"
    file.write_text('{"type": "FeatureCollection", "features": []}')
    code, _, err = run("slide", slide, "--out", tmp_path / "out", "-m", model, "--regions", file)
    assert code == 2
    assert "bad.geojson holds no region" in err
    assert not (tmp_path / "out").exists()


def test_regions_of_several_slides_come_from_a_folder(tmp_path: Path) -> None:
    slides = [Path("x/a.ome.tif"), Path("y/b.svs")]
    (tmp_path / "a.geojson").touch()
    (tmp_path / "b.csv").touch()
    assert regions_of(slides, tmp_path) == [tmp_path / "a.geojson", tmp_path / "b.csv"]
    assert regions_of(slides, None) == [None, None]
    with pytest.raises(PointsError, match=r"no regions for c\.svs; c\.geojson was expected"):
        regions_of([Path("c.svs")], tmp_path)
    with pytest.raises(ConfigError, match="cannot be the regions of 2 slides"):
        regions_of(slides, tmp_path / "a.geojson")


def test_two_slides_of_one_name_are_refused() -> None:
    with pytest.raises(OutputError, match="would both be written"):
        folders_of([Path("x/a.svs"), Path("y/a.ome.tif")], Path("out"))


@pytest.mark.parametrize(
    ("text", "size"), [("4GiB", 4 << 30), ("1.5 GB", 1_500_000_000), ("900m", 900_000_000)]
)
def test_sizes_are_read_as_they_are_written(text: str, size: int) -> None:
    assert bytes_of(text) == size


def test_a_size_in_other_words_is_refused() -> None:
    with pytest.raises(ConfigError, match="4GiB or 900MB, got 'much'"):
        bytes_of("much")


def test_a_cluster_needs_a_place_to_compute(run: Any, slide: Path, tmp_path: Path) -> None:
    code, _, err = run("cluster", slide, "--out", tmp_path / "out")
    assert code == 2
    assert "--scheduler ADDRESS" in err


SCHEDULER = """
import asyncio, distributed
async def serve():
    async with distributed.Scheduler(host="127.0.0.1", port=0, dashboard=False) as scheduler:
        print(scheduler.address, flush=True)
        await scheduler.finished()
asyncio.run(serve())
"""


def test_a_cluster_whose_scheduler_is_killed_says_so_in_one_sentence(
    run: Any,
    slide: Path,
    model: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    said: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-c", SCHEDULER], stdout=subprocess.PIPE, text=True
    ) as scheduler:
        try:
            assert scheduler.stdout is not None
            address = scheduler.stdout.readline().strip()

            def warn(message: str, *values: Any) -> None:
                said.append(message % values)
                scheduler.kill()

            monkeypatch.setattr(cluster, "LOOK_S", 0.2)
            monkeypatch.setattr(cluster.log, "warning", warn)
            code, _, err = run(
                "cluster", slide, "--out", tmp_path / "out", "-m", model, "--scheduler", address
            )
        finally:
            scheduler.kill()
    assert f"The scheduler at {address} has no workers" in said[0]
    assert code == 2
    assert "The scheduler is gone" in err
    assert "start it and the workers" in err
    assert not [record for record in caplog.records if record.name.startswith("distributed")]


@pytest.mark.parametrize(("name", "out"), [("zz", "."), ("zz.zarr", "zz.zarr")])
def test_a_result_is_not_written_into_its_slide(
    run: Any, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, out: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    code, stdout, stderr = run("slide", name, "--out", out, "-m", model)
    assert (code, stdout) == (2, "")
    assert f"lies in the slide {name} itself" in stderr
    assert not list((tmp_path / name).iterdir())
