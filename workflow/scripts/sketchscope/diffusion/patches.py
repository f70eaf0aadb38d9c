"""Random training patches: foreground-aware, flipped and rotated, drawn from the seed and the step number alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from skimage.filters import threshold_otsu

from ..geometry import Slices
from ..images.intensity import normalise
from ..images.manifest import ManifestRow
from ..io.atomic import PathLike
from ..io.images import map_image

MAX_POINTS = 20_000  # foreground voxels remembered of an image; more adds nothing but memory


class TrainingImage(NamedTuple):
    """One image to draw patches from.

    Attributes
    ----------
    intensities : array (Z, Y, X) or (Y, X)
        As stored, may be a memory map.
    low, high, gamma : float
        How the intensities are normalised.
    foreground : int array (P, ndim)
        Positions of some foreground voxels.
    """

    intensities: np.ndarray
    low: float
    high: float
    gamma: float
    foreground: np.ndarray


def open_training_images(rows: Sequence[ManifestRow], folder: PathLike, key: Sequence[int]) -> list[TrainingImage]:
    """Open images; their voxels stay on disk until a patch needs them."""
    return [_open_training_image(row, folder, [*key, number]) for number, row in enumerate(rows)]


def find_foreground(image: np.ndarray, key: Sequence[int]) -> np.ndarray:
    """Return positions (P, ndim) of at most `MAX_POINTS` voxels brighter than Otsu's threshold.

    The key is that of the random choice where there are more.
    """
    points = np.argwhere(image > threshold_otsu(image))
    if len(points) > MAX_POINTS:
        points = np.random.default_rng(key).choice(points, MAX_POINTS, replace=False)
    return points


def draw_patches(
    images: Sequence[TrainingImage],
    shape: Sequence[int],
    batch_size: int,
    foreground_fraction: float,
    rng: np.random.Generator,
    share: slice = slice(None),
) -> np.ndarray:
    """Draw a batch of normalised patches, or one process's share of it.

    Parameters
    ----------
    images : sequence of TrainingImage
    shape : sequence of int
        Voxels of a patch along each axis.
    batch_size : int
    foreground_fraction : float
        Share of patches that are centred on foreground; the others lie anywhere.
    rng : numpy Generator
    share : slice
        Patches of the batch that are wanted; only these are read.

    Returns
    -------
    float32 array (N, 1, [Z,] Y, X)
        The share of the batch, clipped to [-1, 1]; the whole batch by default.
    """
    chosen = [_choose(images, shape, foreground_fraction, rng) for _ in range(batch_size)][share]
    batch = np.empty((len(chosen), 1, *shape), np.float32)
    for patch, (image, region, flips, quarter_turn) in zip(batch[:, 0], chosen, strict=True):
        found = normalise(image.intensities[region], image.low, image.high, image.gamma)
        found = np.flip(found, flips)
        patch[...] = np.rot90(found, axes=(-2, -1)) if quarter_turn else found
    return np.clip(batch, -1, 1, out=batch)


def _choose(
    images: Sequence[TrainingImage], shape: Sequence[int], foreground_fraction: float, rng: np.random.Generator
) -> tuple[TrainingImage, Slices, tuple[int, ...], bool]:
    """Choose image and region of a patch, the axes of the plane to flip, and whether to rotate it by 90 degrees.

    Never along Z: light and sharpness fall off with depth, and cells lie on something.
    """
    image = images[rng.integers(len(images))]
    corner = _choose_corner(image, shape, rng.random() < foreground_fraction, rng)
    region = tuple(slice(c, c + n) for c, n in zip(corner, shape, strict=True))
    flips = tuple(axis for axis in (-2, -1) if rng.random() < 0.5)
    square = shape[-1] == shape[-2]
    return image, region, flips, bool(square and rng.random() < 0.5)


def _choose_corner(
    image: TrainingImage, shape: Sequence[int], foreground: bool, rng: np.random.Generator
) -> np.ndarray:
    """Choose the first voxel of a patch: anywhere, or centred on a foreground voxel as far as the border allows."""
    room = np.subtract(image.intensities.shape, shape)
    if not foreground or not len(image.foreground):
        return rng.integers(0, room + 1)
    centre = image.foreground[rng.integers(len(image.foreground))]
    return np.clip(centre - np.asarray(shape) // 2, 0, room)


def _open_training_image(row: ManifestRow, folder: PathLike, key: Sequence[int]) -> TrainingImage:
    intensities = map_image(Path(folder) / f"{row.image}.ome.tif").reshape(row.shape)
    points = find_foreground(np.clip(intensities, row.low, row.high), key)
    return TrainingImage(intensities, row.low, row.high, row.gamma, points)
