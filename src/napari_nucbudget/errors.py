"""Every error that a user can meet, and nothing else.

::

    NucbudgetError
    ├── ImageError            an image that cannot be read or used
    │   ├── PixelSizeError    its pixel size is absent or makes no sense
    │   ├── TileError         one tile of it does not decode; the others may
    │   └── SlideGoneError    the file disappeared or shrank while it was read
    ├── PointsError           a table of points that cannot be read or used
    ├── LabelSetError         a label set folder that cannot be read or used
    ├── ProjectError          a project file that cannot be opened, or an edit that does not fit
    │   └── ProjectLockedError    another process writes to it, or it was opened to read only
    ├── RegionError           a region outside the image, or empty
    ├── ModelError            a model that cannot be found, read or trusted
    ├── UnknownNameError      a name that no registry knows (near misses are listed)
    ├── ConfigError           a setting that does not exist or has a wrong value
    ├── TrainingError         training cannot start or go on
    ├── OutputError           a result that cannot be written
    ├── DeviceError           the device is absent or too small
    └── DownloadError         a sample that could not be fetched

A message says what was wrong, with the value, and then what to do. None of
these derives from ``RuntimeError``: Qt workers swallow those in generators.
"""

from __future__ import annotations

__all__ = [
    "ConfigError",
    "DeviceError",
    "DownloadError",
    "ImageError",
    "LabelSetError",
    "ModelError",
    "NucbudgetError",
    "OutputError",
    "PixelSizeError",
    "PointsError",
    "ProjectError",
    "ProjectLockedError",
    "RegionError",
    "SlideGoneError",
    "TileError",
    "TrainingError",
    "UnknownNameError",
]


class NucbudgetError(Exception):
    """Base of all errors that are meant for a user's eyes."""


class ImageError(NucbudgetError):
    """An image cannot be read or is not an H&E image."""


class PixelSizeError(ImageError):
    """The pixel size is absent, contradictory or out of range."""


class TileError(ImageError):
    """A tile does not decode; what it names can be skipped and listed.

    Attributes
    ----------
    path : str
    level : int
    yxhw : (int, int, int, int)
        First row, first column, height and width of the tile in pixels of `level`.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str = "",
        level: int = 0,
        yxhw: tuple[int, int, int, int] = (0, 0, 0, 0),
    ) -> None:
        super().__init__(message)
        self.path, self.level, self.yxhw = path, level, yxhw


class SlideGoneError(ImageError):
    """The file or folder of an image disappeared, or became shorter, while it was read."""


class PointsError(NucbudgetError):
    """A table of points cannot be read or does not fit."""


class LabelSetError(NucbudgetError):
    """A label set folder cannot be read or does not fit."""


class ProjectError(NucbudgetError):
    """A project file cannot be opened, or what is asked does not fit what it holds."""


class ProjectLockedError(ProjectError):
    """Another process writes to the project, or it was opened to read only."""


class RegionError(NucbudgetError):
    """A region is empty or lies outside the image."""


class ModelError(NucbudgetError):
    """A model cannot be found, read or trusted."""


class UnknownNameError(NucbudgetError, KeyError):
    """A name that a registry does not hold; the message lists near misses."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class ConfigError(NucbudgetError):
    """A setting does not exist or has a wrong value."""


class TrainingError(NucbudgetError):
    """Training cannot start or cannot go on."""


class OutputError(NucbudgetError):
    """A result cannot be written."""


class DeviceError(NucbudgetError):
    """A device is absent or its memory does not suffice."""


class DownloadError(NucbudgetError):
    """A file could not be fetched."""
