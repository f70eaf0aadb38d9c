"""The manifest, which is the table of prepared images, and loading of the images and labels that it lists."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from ..io.atomic import PathLike, atomic_path
from ..io.images import read_image
from ..sequences import spread_out
from .intensity import denormalise, normalise

MOST_TYPICAL = 12  # training images that represent all


class ManifestRow(NamedTuple):
    """One prepared image."""

    image: str
    """Name: the file is {image}.ome.tif."""
    split: str
    """train, test, or both (if there is a single image)."""
    source: str
    """The user's file that it comes from."""
    frame: int
    """Its position in that file, from 0."""
    shape: tuple[int, ...]
    """Voxels along (Z, Y, X) or (Y, X)."""
    dtype: str
    """Type of the original intensities."""
    voxel_size: tuple[float, ...]
    """Micrometres along each axis."""
    low: float
    """Intensity that becomes -1."""
    high: float
    """Intensity that becomes 1."""
    gamma: float
    """Exponent of the intensities between them."""
    labelled: bool
    """Whether there is a label image of the same name."""
    group: str = ""
    """What it shares a specimen or movie with; empty if that is its file."""
    label_file: str = ""
    """The user's file with its labels; empty if there is none."""

    @property
    def unit(self) -> str:
        """Name of the group: images of one group are no independent observations."""
        return self.group or self.source


def write_manifest(path: PathLike, rows: Iterable[ManifestRow]) -> None:
    """Write the rows as CSV, whole or not at all."""
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(ManifestRow._fields)
        for row in rows:
            joined = {"shape": _join(row.shape), "voxel_size": _join(row.voxel_size)}
            writer.writerow((row._asdict() | joined).values())


def read_manifest(path: PathLike) -> list[ManifestRow]:
    """Read the rows that `write_manifest` wrote.

    Raises
    ------
    InputError
        If the file is missing or is no manifest.
    """
    try:
        with open(path, newline="", encoding="utf-8") as handle:
            return [_parse_row(row) for row in csv.DictReader(handle)]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (KeyError, TypeError, ValueError) as error:
        columns = ", ".join(ManifestRow._fields)
        raise InputError(f"{path}: is no manifest with the columns {columns} ({error!r})") from error


def select_training(rows: Iterable[ManifestRow]) -> list[ManifestRow]:
    """Select the rows of the images to train on."""
    return [row for row in rows if row.split in ("train", "both")]


def select_typical(rows: Iterable[ManifestRow]) -> list[ManifestRow]:
    """Select up to 12 evenly spaced training images, which are enough for the statistics of their cells."""
    return spread_out(select_training(rows), MOST_TYPICAL)


def select_held_out(rows: Iterable[ManifestRow]) -> list[ManifestRow]:
    """Select the rows of the images to segment and score."""
    return [row for row in rows if row.split in ("test", "both")]


def load_image(row: ManifestRow, folder: PathLike) -> np.ndarray:
    """Load the image or the labels of a row, whichever `folder` holds: array (Z, Y, X) or (Y, X) as stored."""
    return read_image(Path(folder) / f"{row.image}.ome.tif").reshape(row.shape)


def load_normalised(row: ManifestRow, folder: PathLike) -> np.ndarray:
    """Load the image of a row as float32, normalised to -1 to 1: array (Z, Y, X) or (Y, X)."""
    return normalise(load_image(row, folder), row.low, row.high, row.gamma)


def load_references(row: ManifestRow, folder: PathLike) -> Iterator[tuple[np.ndarray, int | None]]:
    """Yield the reference labels of an image, and the plane that they belong to.

    Yields
    ------
    labels : integer array (Z, Y, X) or (Y, X)
        Labels of the whole image if there are any; otherwise those of each annotated plane; nothing if there are none.
    plane : int or None
        Position of the plane along Z; None for the whole image.
    """
    whole = Path(folder) / f"{row.image}.ome.tif"
    if whole.exists():
        yield read_image(whole), None
        return
    for path in sorted(Path(folder).glob(f"{row.image}_plane*.ome.tif")):
        yield read_image(path), int(path.name.removesuffix(".ome.tif").rpartition("_plane")[2])


def name_plane_file(image: str, plane: int) -> str:
    """Name the file with the labels of a single plane of an image.

    >>> name_plane_file("0003", 12)
    '0003_plane0012.ome.tif'
    """
    return f"{image}_plane{plane:04d}.ome.tif"


def find_typical_limits(rows: Sequence[ManifestRow]) -> tuple[float, float]:
    """Find the median low and the median high of images, which are the limits of synthetic images."""
    low, high = np.median([[row.low, row.high] for row in rows], axis=0)
    return float(low), float(high)


def normalise_like(image: np.ndarray, rows: Sequence[ManifestRow]) -> np.ndarray:
    """Normalise an image with the typical limits of real images; undoes `denormalise_like` except for its rounding."""
    return normalise(image, *find_typical_limits(rows), rows[0].gamma)


def common_dtype(rows: Sequence[ManifestRow]) -> np.dtype:
    """Find the type of synthetic images: the smallest that holds every value of the types of all real images."""
    return np.result_type(*(np.dtype(row.dtype) for row in rows))


def denormalise_like(normalised: np.ndarray, rows: Sequence[ManifestRow]) -> np.ndarray:
    """Give a synthetic image the typical intensities of real images, and a type that holds those of all."""
    return denormalise(normalised, *find_typical_limits(rows), common_dtype(rows), rows[0].gamma)


def _join(values: Sequence[float]) -> str:
    return "x".join(str(value) for value in values)


def _parse_row(row: dict[str, str]) -> ManifestRow:
    return ManifestRow(
        image=row["image"],
        split=row["split"],
        source=row["source"],
        frame=int(row["frame"]),
        shape=tuple(int(size) for size in row["shape"].split("x")),
        dtype=row["dtype"],
        voxel_size=tuple(float(size) for size in row["voxel_size"].split("x")),
        low=float(row["low"]),
        high=float(row["high"]),
        gamma=float(row["gamma"]),
        labelled=row["labelled"] == "True",
        group=row["group"],
        label_file=row["label_file"],
    )
