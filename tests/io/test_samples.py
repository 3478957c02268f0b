"""The drawn tissue: its truth, its endlessness, its files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

from napari_nucbudget import detect, load_detector, open_image, read_label_set
from napari_nucbudget.core.metrics import ImageDetections, detection_scores
from napari_nucbudget.core.stain import HE_MATRIX, to_optical_density
from napari_nucbudget.errors import ImageError, OutputError, PixelSizeError, RegionError
from napari_nucbudget.io.formats.csv import read_points_csv
from napari_nucbudget.io.samples import draw_tissue, sample_path, tissue, write
from napari_nucbudget.io.samples.cells import CLOSEST, MISCELLANEOUS, RED_CELL, grow_cells
from napari_nucbudget.io.samples.noise import hashed, normal, smooth_noise, uniform
from napari_nucbudget.io.samples.tissue import DrawnTissue
from napari_nucbudget.types.image import Region


@pytest.fixture(scope="module")
def drawn() -> DrawnTissue:
    return draw_tissue((300, 320), seed=4)


# Noise


def test_the_hash_is_the_same_on_every_machine() -> None:
    assert hashed(1, 2, 3)[0] == 4041882327
    assert hashed(1, -2, 3)[0] != hashed(1, 2, 3)[0]


def test_uniform_numbers_fill_their_range_evenly() -> None:
    numbers = uniform(5, np.arange(20_000), low=2.0, high=4.0)
    counts, _ = np.histogram(numbers, bins=10, range=(2, 4))
    assert counts.sum() == 20_000
    assert counts.min() > 1_800


def test_normal_numbers_are_standardised() -> None:
    numbers = normal(5, np.arange(50_000))
    assert abs(numbers.mean()) < 0.02
    assert numbers.std() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_noise_has_the_stated_spread(dimensions: int) -> None:
    places = np.random.default_rng(0).uniform(-2_000, 2_000, (dimensions, 60_000))
    noise = smooth_noise(3, *places)
    assert abs(noise.mean()) < 0.02
    assert noise.std() == pytest.approx(0.42, abs=0.02)


def test_noise_has_no_jumps_where_lattice_cells_meet() -> None:
    along = np.linspace(-3, 3, 6_001)
    noise = smooth_noise(3, along, along, along)
    assert np.abs(np.diff(noise)).max() < 0.02


# Tissue


def test_two_windows_agree_where_they_overlap(drawn: DrawnTissue) -> None:
    window = draw_tissue((100, 90), seed=4, origin=(150, 170))
    np.testing.assert_array_equal(window.rgb, drawn.rgb[150:250, 170:260])


def test_two_windows_agree_on_the_nuclei_in_their_overlap(drawn: DrawnTissue) -> None:
    window = draw_tissue((100, 90), seed=4, origin=(150, 170))
    inside = drawn.nuclei.select(Region(150, 170, 100, 90).contains(drawn.nuclei.yx))
    np.testing.assert_allclose(np.add(window.nuclei.yx, (150, 170)), inside.yx, atol=1e-3)
    np.testing.assert_array_equal(window.nuclei.label, inside.label)


def test_drawing_in_small_pieces_changes_nothing(
    drawn: DrawnTissue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tissue, "PIECE", 64)
    again = draw_tissue((130, 100), seed=4)
    np.testing.assert_array_equal(again.rgb, drawn.rgb[:130, :100])


def test_the_tissue_goes_on_left_of_and_above_its_origin() -> None:
    window = draw_tissue((40, 50), seed=4, origin=(-20, -25))
    corner = draw_tissue((20, 25), seed=4)
    np.testing.assert_array_equal(window.rgb[20:, 25:], corner.rgb)


def test_nuclei_have_the_same_place_in_micrometres_at_every_pixel_size(drawn: DrawnTissue) -> None:
    coarse = draw_tissue((150, 160), mpp=1.0, seed=4)
    np.testing.assert_allclose(coarse.nuclei.yx + 0.5, (drawn.nuclei.yx + 0.5) / 2, atol=1e-3)


def test_another_seed_is_another_tissue(drawn: DrawnTissue) -> None:
    other = draw_tissue((300, 320), seed=5)
    assert (other.rgb != drawn.rgb).mean() > 0.9


def test_nuclei_lie_in_the_image(drawn: DrawnTissue) -> None:
    assert Region(0, 0, 300, 320).contains(drawn.nuclei.yx).all()


def test_nuclei_keep_their_distance(drawn: DrawnTissue) -> None:
    points = drawn.nuclei.yx * drawn.mpp
    nearest = cKDTree(points).query(points, k=2)[0][:, 1]
    assert nearest.min() >= CLOSEST - 1e-3


def test_all_three_classes_occur(drawn: DrawnTissue) -> None:
    assert min(drawn.nuclei.counts().values()) >= 5


def test_density_is_that_of_tissue(drawn: DrawnTissue) -> None:
    area_mm2 = 300 * 320 * (drawn.mpp / 1000) ** 2
    assert 1_500 < len(drawn.nuclei) / area_mm2 < 8_000


def test_nuclei_are_where_the_haematoxylin_is(drawn: DrawnTissue) -> None:
    stains = to_optical_density(drawn.rgb) @ np.linalg.inv(HE_MATRIX)
    blue = gaussian_filter(stains[..., 0], 2)
    at_nuclei = map_coordinates(blue, drawn.nuclei.yx.T, order=1, mode="nearest")
    assert (at_nuclei > np.percentile(blue, 60)).mean() > 0.9


def test_red_cells_are_drawn_but_are_no_nuclei(drawn: DrawnTissue) -> None:
    cells = grow_cells((0.0, 0.0, 150.0, 160.0), seed=4)
    assert (cells.kind == RED_CELL).any()
    assert (cells.kind <= MISCELLANEOUS).sum() == len(drawn.nuclei)


def test_an_empty_window_is_refused() -> None:
    with pytest.raises(RegionError, match="0 x 5"):
        draw_tissue((0, 5))


def test_an_absurd_pixel_size_is_refused() -> None:
    with pytest.raises(PixelSizeError, match="50"):
        draw_tissue((5, 5), mpp=50)


# Files


@pytest.fixture(scope="module")
def biopsy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write.write_biopsy(tmp_path_factory.mktemp("biopsy"), shape=(600, 520), seed=4)


def test_a_written_biopsy_opens_with_its_pixel_size_and_levels(biopsy: tuple[Path, Path]) -> None:
    source = open_image(biopsy[0])
    assert source.mpp == pytest.approx(0.5)
    assert [level.shape for level in source.levels] == [(600, 520), (300, 260)]


def test_a_written_biopsy_shows_what_was_drawn(
    biopsy: tuple[Path, Path], drawn: DrawnTissue
) -> None:
    pixels = open_image(biopsy[0]).read(Region(0, 0, 300, 320))
    difference = pixels.astype(int) - drawn.rgb
    assert np.abs(difference.mean(axis=(0, 1))).max() < 1
    assert difference.std() < 8  # JPEG


def test_lower_levels_show_the_same_place(biopsy: tuple[Path, Path]) -> None:
    source = open_image(biopsy[0])
    full = source.read(Region(0, 0, 600, 520)).astype(float)
    half = source.read(Region(0, 0, 300, 260), 1).astype(float)
    mean = full.reshape(300, 2, 260, 2, 3).mean(axis=(1, 3))
    gap = np.abs(half - mean).mean()
    assert gap < 6  # JPEG, twice
    assert gap < np.abs(half[1:] - mean[:-1]).mean() / 2
    assert gap < np.abs(half[:, 1:] - mean[:, :-1]).mean() / 2


def test_a_written_truth_says_what_it_belongs_to(biopsy: tuple[Path, Path]) -> None:
    truth = read_points_csv(biopsy[1])
    assert (truth.image, truth.mpp) == ("drawn_biopsy.ome.tif", 0.5)
    assert Region(0, 0, 600, 520).contains(truth.nuclei.yx).all()


def test_the_same_pixels_give_the_same_file(drawn: DrawnTissue) -> None:
    files = [write.pyramid(drawn.rgb, mpp=0.5, name="a") for _ in range(2)]
    assert files[0] == files[1]


def test_existing_sample_data_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "drawn_biopsy.truth.csv").touch()
    with pytest.raises(OutputError, match="exists already"):
        write.write_sample_data(tmp_path)


# What is shipped


def test_the_shipped_biopsy_is_what_the_generator_draws() -> None:
    source = open_image(sample_path("drawn_biopsy.ome.tif"))
    place = Region(1024, 768, 128, 128)
    fresh = draw_tissue((128, 128), seed=write.BIOPSY_SEED, origin=(place.y, place.x))
    assert np.abs(source.read(place).astype(int) - fresh.rgb).mean() < 6  # JPEG


def test_the_shipped_truth_is_what_the_generator_knows() -> None:
    truth = read_points_csv(sample_path("drawn_biopsy.truth.csv")).nuclei
    place = Region(1024, 768, 128, 128)
    fresh = draw_tissue((128, 128), seed=write.BIOPSY_SEED, origin=(place.y, place.x)).nuclei
    shipped = truth.select(place.contains(truth.yx))
    assert len(shipped) == len(fresh)
    gap = cKDTree(shipped.yx).query(np.add(fresh.yx, (place.y, place.x)))[0]
    assert gap.max() < 0.02


def test_the_shipped_biopsy_is_a_pyramid_with_a_pixel_size() -> None:
    source = open_image(sample_path("drawn_biopsy.ome.tif"))
    assert source.mpp == pytest.approx(0.5)
    assert [level.downsample for level in source.levels] == [1, 2, 4]


def test_the_shipped_label_set_has_all_splits_and_classes() -> None:
    labels = read_label_set(sample_path("labels"))
    assert {image.split for image in labels} == {"train", "validation", "test"}
    assert all(min(image.nuclei.counts().values()) > 0 for image in labels)


def test_the_sample_data_stay_small() -> None:
    folder = sample_path("drawn_biopsy.ome.tif").parent
    assert sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) < 5_000_000


def test_an_unknown_sample_is_answered_with_those_that_exist() -> None:
    with pytest.raises(ImageError, match=r"drawn_biopsy\.ome\.tif"):
        sample_path("biopsy.tif")


def test_a_detector_of_real_tissue_finds_the_drawn_nuclei() -> None:
    detector = load_detector("colon-fcn", device="cpu")
    images = []
    for image in read_label_set(sample_path("labels"), splits=("validation", "test")):
        found = detect(image.source, detector, threshold=0.05)
        images.append(
            ImageDetections(found.yx * image.mpp, found.score, image.nuclei.yx * image.mpp)
        )
    threshold = detector.card.threshold
    assert threshold is not None
    scores = detection_scores(
        images, threshold=threshold, radius_um=3.3, mpp=detector.card.input.mpp, bootstrap=2
    )
    assert scores.f1 >= 0.80
