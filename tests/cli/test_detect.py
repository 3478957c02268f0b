from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_nucbudget.io.formats import read_points
from napari_nucbudget.io.formats.csv import read_points_csv
from tests.cli.conftest import DOTS, draw


def test_the_discs_are_found_and_written(run, model, image, tmp_path):
    out = tmp_path / "found.csv"
    code, stdout, _ = run("detect", image, "--model", model, "--mpp", "0.55", "--out", out)
    assert code == 0
    assert "5 nuclei" in stdout
    written = read_points_csv(out)
    assert (written.mpp, written.image) == (0.55, "discs.png")
    order = np.lexsort((DOTS[:, 1], DOTS[:, 0]))
    found = written.nuclei.yx[
        np.lexsort((written.nuclei.yx[:, 1], written.nuclei.yx[:, 0].round()))
    ]
    np.testing.assert_allclose(found, DOTS[order], atol=0.6)


def test_json_is_all_that_stdout_holds(run, model, image):
    code, stdout, _ = run("detect", image, "--model", model, "--mpp", "0.55", "--json")
    assert code == 0
    answer = json.loads(stdout)
    assert answer["model"] == "darkness"
    (one,) = answer["images"]
    assert one["nuclei"] == 5
    assert one["mm2"] == pytest.approx((110 * 0.55e-3) ** 2, abs=1e-6)


def test_an_overlay_is_drawn_where_the_nuclei_are(run, model, image, tmp_path):
    png = tmp_path / "o.png"
    code, _, _ = run("detect", image, "--model", model, "--mpp", "0.55", "--overlay", png)
    assert code == 0
    drawn = np.asarray(Image.open(png)).astype(int)
    changed = np.argwhere(np.abs(drawn - draw().astype(int)).sum(-1) > 30)
    nearest = np.linalg.norm(changed[:, None] - DOTS[None], axis=-1).min(axis=1)
    assert len(changed) > 50
    assert nearest.max() < 8


def test_a_place_that_ends_in_a_slash_is_a_folder(run, model, image, tmp_path):
    given = ("detect", image, "--model", model, "--mpp", "0.55", "--out", f"{tmp_path}/new/")
    assert run(*given)[0] == 0
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["discs.nuclei.csv"]


def test_the_home_folder_may_be_written_short(run, model, image, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    code, _, stderr = run("detect", "~/discs.png", f"--model={model}", "--out=~/found.csv")
    assert code == 2
    assert "pixel" in stderr  # the image was found, and does not say its size
    given = ("detect", "~/discs.png", "-m", model, "--mpp", "0.55", "--out=~/found.csv")
    assert run(*given)[0] == 0
    assert (tmp_path / "found.csv").is_file()


@pytest.mark.parametrize("to", ["xyz", "csv"])
def test_a_format_without_a_table_is_refused(run, model, image, tmp_path, to):
    png = tmp_path / "o.png"
    given = ("detect", image, "-m", model, "--mpp", "0.55", "--to", to, "--overlay", png)
    code, stdout, stderr = run(*given)
    assert (code, stdout, png.exists()) == (2, "", False)
    assert stderr == "nucbudget: --to is the format of --out; give that too.\n"


def test_several_images_go_into_a_folder(run, model, image, tmp_path):
    second = tmp_path / "other.png"
    Image.fromarray(draw(DOTS[:2])).save(second)
    out = tmp_path / "results"
    code, _, _ = run("detect", image, second, "--model", model, "--mpp", "0.55", "--out", out)
    assert code == 0
    counts = {p.name: len(read_points_csv(p).nuclei) for p in out.iterdir()}
    assert counts == {"discs.nuclei.csv": 5, "other.nuclei.csv": 2}


def test_one_bad_image_does_not_lose_the_others(run, model, image, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(Path(image).read_bytes()[:200])
    out = tmp_path / "results"
    code, stdout, stderr = run(
        "detect", bad, image, "--model", model, "--mpp", "0.55", "--out", out, "--json"
    )
    assert code == 2
    assert "damaged or truncated" in stderr
    first, second = json.loads(stdout)["images"]
    assert "error" in first
    assert second["nuclei"] == 5
    assert (out / "discs.nuclei.csv").exists()


def test_an_absent_pixel_size_is_asked_for(run, model, image):
    code, stdout, stderr = run("detect", image, "--model", model)
    assert (code, stdout) == (2, "")
    assert "--mpp" in stderr
    assert "Traceback" not in stderr


def test_an_all_white_image_has_no_nuclei_and_no_error(run, model, tmp_path):
    white = tmp_path / "white.png"
    Image.new("RGB", (90, 90), "white").save(white)
    code, stdout, _ = run("detect", white, "--model", model, "--mpp", "0.55")
    assert code == 0
    assert "0 nuclei" in stdout


def test_an_unknown_model_is_answered_with_near_misses(run, image):
    code, _, stderr = run("detect", image, "--model", "nuclei-fnc", "--mpp", "0.5")
    assert code == 2
    assert "Did you mean 'nuclei-fcn'" in stderr


def test_an_unknown_device_names_the_usable_ones(run, model, image):
    code, _, stderr = run("detect", image, "--model", model, "--mpp", "0.5", "--device", "tpu")
    assert code == 2
    assert "usable: auto, cpu" in stderr


def test_a_place_that_cannot_be_written_is_refused_before_any_work(run, model, image, tmp_path):
    (tmp_path / "file").write_text("")
    target = tmp_path / "file" / "a.csv"
    code, _, stderr = run("detect", image, "--model", model, "--mpp", "0.5", "--out", target)
    assert code == 2
    assert "cannot be written" in stderr


def test_a_full_disk_keeps_the_old_table(run, model, image, tmp_path, monkeypatch):
    out = tmp_path / "found.csv"
    out.write_text("old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    code, _, stderr = run("detect", image, "--model", model, "--mpp", "0.55", "--out", out)
    assert code == 2
    assert "No space left on device" in stderr
    assert out.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir() if "found" in p.name] == ["found.csv"]


def test_a_threshold_outside_its_range_is_refused(run, model, image):
    code, _, stderr = run("detect", image, "--model", model, "--mpp", "0.5", "--threshold", "7")
    assert code == 2
    assert "--threshold" in stderr
    assert stderr.count("\n") == 1


def test_two_images_of_one_name_are_refused_before_one_replaces_the_other(
    run, model, image, tmp_path
):
    (tmp_path / "b").mkdir()
    second = tmp_path / "b" / "discs.png"
    Image.fromarray(draw(DOTS[:2])).save(second)
    for option in ("--out", "--overlay"):
        target = tmp_path / "results"
        code, _, stderr = run(
            "detect", image, second, "--model", model, "--mpp", "0.55", option, target
        )
        assert code == 2
        assert f"{image} and {second} would both be written to {target}" in stderr
        assert not [path for path in target.iterdir() if path.is_file()]


@pytest.mark.parametrize("option", [["--to", "csv", "--out"], ["--overlay"]])
def test_a_result_never_replaces_its_image(run, model, image, option):
    before = Path(image).read_bytes()
    code, _, stderr = run("detect", image, "--model", model, "--mpp", "0.55", *option, image)
    assert code == 2
    assert "is the image itself" in stderr
    assert Path(image).read_bytes() == before


def test_a_folder_may_have_a_dot_in_its_name(run, model, image, tmp_path):
    second, out = tmp_path / "other.png", tmp_path / "run.2026"
    Image.fromarray(draw(DOTS[:2])).save(second)
    out.mkdir()
    code, _, _ = run("detect", image, second, "--model", model, "--mpp", "0.55", "--out", out)
    assert code == 0
    assert len(list(out.iterdir())) == 2


def test_an_overlay_that_is_no_png_is_refused_before_any_work(run, model, image, tmp_path):
    out = tmp_path / "a.csv"
    code, _, stderr = run(
        "detect", image, "--model", model, "--mpp", "0.55", "--out", out, "--overlay", "o.jpg"
    )
    assert code == 2
    assert "does not end in .png" in stderr
    assert not out.exists()


def test_a_file_name_in_an_old_encoding_is_no_obstacle(model, image, tmp_path):
    old = Path(os.fsdecode(os.fsencode(tmp_path) + b"/lat\xe9in.png"))
    try:
        Path(image).rename(old)
    except OSError:
        pytest.skip("this file system takes names in UTF-8 alone")
    out = tmp_path / "found.csv"
    given = ["detect", old, "--model", model, "--mpp", "0.55", "--out", out]
    done = subprocess.run(
        [sys.executable, "-m", "napari_nucbudget", *given],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
    )
    assert done.returncode == 0, done.stderr
    assert b"lat\xe9in.png: 5 nuclei" in done.stdout
    (points,) = read_points(out)
    assert (points.image, len(points.nuclei)) == ("lat\ufffdin.png", 5)


def test_a_table_whose_name_becomes_too_long_is_refused_before_any_work(
    run, model, image, tmp_path
):
    long = tmp_path / ("a" * 247 + ".png")
    long.write_bytes(Path(image).read_bytes())
    code, stdout, stderr = run(
        "detect", image, long, "--model", model, "--mpp", "0.55", "--out", tmp_path / "o"
    )
    assert (code, stdout) == (2, "")
    assert "cannot be written: File name too long. Choose another place" in stderr


def test_a_table_may_have_the_longest_name_that_there_is(run, model, image, tmp_path):
    out = tmp_path / ("a" * 251 + ".csv")
    code, _, stderr = run("detect", image, "--model", model, "--mpp", "0.55", "--out", out)
    assert code == 0, stderr
    assert len(read_points_csv(out).nuclei) == 5
