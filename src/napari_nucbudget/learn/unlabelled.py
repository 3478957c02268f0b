"""Nuclei without a class to learn from: those of more images, and detected ones."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from napari_nucbudget.errors import ImageError, PixelSizeError, TrainingError
from napari_nucbudget.infer.detect import detect
from napari_nucbudget.infer.evaluate import PAPER_RADIUS_UM
from napari_nucbudget.io.images import TIFF_SUFFIXES, open_image
from napari_nucbudget.io.label_sets import read_label_set
from napari_nucbudget.learn.leaks import refuse_leak
from napari_nucbudget.models.bundle import Detector
from napari_nucbudget.types.image import ImageSource
from napari_nucbudget.types.labels import AnnotatedImage, LabelSet, Provenance
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.types.progress import Progress

__all__ = ["MOST_NUCLEI", "UnlabelledImages", "read_unlabelled", "with_detected", "with_unlabelled"]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", *TIFF_SUFFIXES)
"""What is taken for an image in a plain folder."""
MOST_PIXELS = 100_000_000
"""Largest image whose nuclei are learnt from; it is read whole."""
MOST_NUCLEI = 20_000
"""Nuclei that are taken of one image; the seed draws them."""


@dataclass(frozen=True, eq=False)
class UnlabelledImages:
    """More images to learn from, before any nucleus is detected.

    Attributes
    ----------
    dotted : tuple of AnnotatedImage
        Training images of label sets; their classes are not looked at.
    plain : tuple of ImageSource
        Images without dots, each with its pixel size.
    held : tuple of AnnotatedImage
        Validation and test images of those label sets, which nothing is learnt from.
    provenance : tuple of Provenance
    """

    dotted: tuple[AnnotatedImage, ...] = ()
    plain: tuple[ImageSource, ...] = ()
    held: tuple[AnnotatedImage, ...] = ()
    provenance: tuple[Provenance, ...] = ()


def read_unlabelled(paths: Iterable[Path], *, mpp: float | None = None) -> UnlabelledImages:
    """Label set folders, plain folders of images, and single images.

    Parameters
    ----------
    paths : iterable of paths
    mpp : float, optional
        µm per pixel of the plain images that do not say it themselves.

    Raises
    ------
    ImageError
        Where a folder holds no image, or an image cannot be read or is too large.
    PixelSizeError
        Where an image does not say its pixel size, and none is given.
    LabelSetError
        As `read_label_set`.
    """
    dotted: list[AnnotatedImage] = []
    held: list[AnnotatedImage] = []
    plain: list[ImageSource] = []
    provenance: list[Provenance] = []
    for path in map(Path, paths):
        if (path / "dataset.json").is_file():
            labels = read_label_set(path)
            provenance += labels.provenance
            for image in labels:
                (dotted if image.split == "train" else held).append(image)
        else:
            plain += [_open(file, mpp) for file in _images(path)]
    return UnlabelledImages(tuple(dotted), tuple(plain), tuple(held), tuple(provenance))


def _images(path: Path) -> list[Path]:
    if not path.is_dir() or path.suffix.lower() == ".zarr":
        return [path]
    found = sorted(f for f in path.iterdir() if f.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise ImageError(
            f"{path} holds neither a label set (dataset.json) nor an image "
            f"({', '.join(IMAGE_SUFFIXES)})."
        )
    return found


def _open(path: Path, mpp: float | None) -> ImageSource:
    source = open_image(path)
    if source.mpp is None:
        if mpp is None:
            raise PixelSizeError(
                f"{path} does not say how large its pixels are, so that no nucleus can be detected "
                "in it. Give the pixel size in µm (--unlabelled-mpp 0.5); it is never guessed."
            )
        source = open_image(path, mpp=mpp)
    height, width = source.shape
    if height * width > MOST_PIXELS:
        raise ImageError(
            f"{path} has {height * width / 1e6:,.0f} million pixels; images to learn from are read "
            f"whole, up to {MOST_PIXELS / 1e6:.0f} million. Save regions of it as images."
        )
    return source


def with_unlabelled(
    train: LabelSet,
    more: UnlabelledImages,
    detector: Detector | None,
    *,
    held: Sequence[AnnotatedImage] = (),
    dots: bool = True,
    seed: int = 0,
) -> Generator[Progress, None, LabelSet]:
    """The label set with the nuclei of more images, none of them with a class.

    Parameters
    ----------
    train : LabelSet
    more : UnlabelledImages
        Those of its label set images that `train` has already are left out.
    detector : Detector or None
        Finds the nuclei where no dots are, at its card's threshold.
    held : sequence of AnnotatedImage
        Validation and test images, none of which may be among `more`.
    dots : bool
        Whether label set images give their dots, or are detected in too.
    seed : int
        Draws `MOST_NUCLEI` where an image has more.

    Raises
    ------
    TrainingError
        Where an image of `held`, or of a test or validation split of the label
        sets, is among them; or no nucleus is found in any.
    """
    there = {image.identity for image in train}
    dotted = [image for image in more.dotted if image.identity not in there]
    nothing = Nuclei.empty(train.classes)
    plain = [AnnotatedImage(source, nothing, (), dataset="unlabelled") for source in more.plain]
    extra = [*dotted, *plain]
    both = [*held, *more.held]
    refuse_leak(extra, both, seen_in="the unlabelled images", held_in="validation or test")
    taken, found = [], 0
    for done, image in enumerate(extra, start=1):
        if dots and done <= len(dotted):
            nuclei = _unclassed(image.nuclei, train)
        else:
            nuclei = _detected(image, detector, train)
        if len(nuclei) > MOST_NUCLEI:
            drawn = np.random.default_rng([seed, done]).permutation(len(nuclei))[:MOST_NUCLEI]
            nuclei = nuclei.select(np.sort(drawn))
        found += len(nuclei)
        taken.append(replace(image, nuclei=nuclei))
        yield Progress(done, len(extra), found, image.name)
    if extra and not found:
        raise TrainingError(
            f"No nucleus was found in the {len(extra)} unlabelled images; check their pixel size."
        )
    return replace(
        train,
        images=(*train.images, *taken),
        provenance=(*train.provenance, *more.provenance),
    )


def with_detected(train: LabelSet, detector: Detector) -> Generator[Progress, None, LabelSet]:
    """The label set with detected nuclei in place of the dots that have no class.

    That is what someone has who labelled a few nuclei and dotted no others.
    A detected nucleus within `PAPER_RADIUS_UM` of a labelled one is the same.
    """
    images, found = [], 0
    for done, image in enumerate(train, start=1):
        labelled = image.nuclei.select(image.nuclei.label >= 0)
        others = _detected(image, detector, train)
        if len(labelled) and len(others):
            distance = np.asarray(cKDTree(labelled.yx).query(others.yx)[0])
            others = others.select(distance * image.mpp > PAPER_RADIUS_UM)
        images.append(replace(image, nuclei=Nuclei.concat([labelled, others])))
        found += len(others)
        yield Progress(done, len(train), found, image.name)
    return replace(train, images=tuple(images))


def _detected(image: AnnotatedImage, detector: Detector | None, train: LabelSet) -> Nuclei:
    if detector is None:
        raise TrainingError(f"{image.name} has no dots; a detector is needed to find its nuclei.")
    return _unclassed(detect(image.source, detector, mpp=image.mpp), train)


def _unclassed(nuclei: Nuclei, train: LabelSet) -> Nuclei:
    label = np.full(len(nuclei), -1, dtype=np.int16)
    return replace(nuclei, label=label, prob=None, classes=train.classes)
