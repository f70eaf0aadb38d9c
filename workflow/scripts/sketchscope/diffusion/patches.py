"""Random training patches: foreground-aware, flipped and rotated, drawn from the seed and the step number alone.

A network that sees sketches gets each patch with its sketch, which is blurred at random, as much as those that images
are made of may be.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter
from skimage.filters import threshold_otsu

from ..geometry import Slices, sigma_in_voxels
from ..images.intensity import normalise
from ..images.manifest import ManifestRow
from ..io.atomic import PathLike
from ..io.images import map_image

MAX_POINTS = 20_000  # foreground voxels remembered of an image; more adds nothing but memory
MOST_BLUR = 2.0  # of a sketch, voxels of the finest axis; the sweep tries as much


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
    voxel_size : sequence of float
        Micrometres along each axis.
    sketch : float32 array like `intensities`, optional
        The sketch of the image, not blurred, normalised. May be a memory map.
    """

    intensities: np.ndarray
    low: float
    high: float
    gamma: float
    foreground: np.ndarray
    voxel_size: Sequence[float]
    sketch: np.ndarray | None = None


class _Cut(NamedTuple):
    """Where a patch is cut, and what is done to it."""

    image: TrainingImage
    region: Slices
    flips: tuple[int, ...]
    """Axes of the plane that are flipped."""
    quarter_turn: bool
    blur: float
    """Of the sketch, voxels of the finest axis."""


def open_training_images(
    rows: Sequence[ManifestRow], folder: PathLike, key: Sequence[int], sketches: PathLike | None = None
) -> list[TrainingImage]:
    """Open images, and their sketches if there is a folder of them; voxels stay on disk until a patch needs them."""
    return [_open_training_image(row, folder, [*key, number], sketches) for number, row in enumerate(rows)]


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
    float32 array (N, channels, [Z,] Y, X)
        The share of the batch, clipped to [-1, 1]; the whole batch by default. Channel 0 holds images; channel 1 their
        sketches, if they have any.
    """
    chosen = [_choose(images, shape, foreground_fraction, rng) for _ in range(batch_size)][share]
    channels = 1 if images[0].sketch is None else 2
    batch = np.empty((len(chosen), channels, *shape), np.float32)
    for patch, cut in zip(batch, chosen, strict=True):
        image = cut.image
        patch[0] = _turn(normalise(image.intensities[cut.region], image.low, image.high, image.gamma), cut)
        if image.sketch is not None:
            widths = sigma_in_voxels(cut.blur, image.voxel_size)
            patch[1] = _turn(gaussian_filter(image.sketch[cut.region], widths), cut)
    return np.clip(batch, -1, 1, out=batch)


def _turn(patch: np.ndarray, cut: _Cut) -> np.ndarray:
    """Flip a patch and rotate it by 90 degrees."""
    flipped = np.flip(patch, cut.flips)
    return np.rot90(flipped, axes=(-2, -1)) if cut.quarter_turn else flipped


def _choose(
    images: Sequence[TrainingImage], shape: Sequence[int], foreground_fraction: float, rng: np.random.Generator
) -> _Cut:
    """Choose image and region of a patch, and how it is turned.

    Never along Z: light and sharpness fall off with depth, and cells lie on something.
    """
    image = images[rng.integers(len(images))]
    corner = _choose_corner(image, shape, rng.random() < foreground_fraction, rng)
    region = tuple(slice(c, c + n) for c, n in zip(corner, shape, strict=True))
    flips = tuple(axis for axis in (-2, -1) if rng.random() < 0.5)
    square = shape[-1] == shape[-2]
    turned = bool(square and rng.random() < 0.5)
    return _Cut(image, region, flips, turned, 0.0 if image.sketch is None else rng.uniform(0, MOST_BLUR))


def _choose_corner(
    image: TrainingImage, shape: Sequence[int], foreground: bool, rng: np.random.Generator
) -> np.ndarray:
    """Choose the first voxel of a patch: anywhere, or centred on a foreground voxel as far as the border allows."""
    room = np.subtract(image.intensities.shape, shape)
    if not foreground or not len(image.foreground):
        return rng.integers(0, room + 1)
    centre = image.foreground[rng.integers(len(image.foreground))]
    return np.clip(centre - np.asarray(shape) // 2, 0, room)


def _open_training_image(
    row: ManifestRow, folder: PathLike, key: Sequence[int], sketches: PathLike | None
) -> TrainingImage:
    intensities = map_image(Path(folder) / f"{row.image}.ome.tif").reshape(row.shape)
    points = find_foreground(np.clip(intensities, row.low, row.high), key)
    sketch = None if sketches is None else map_image(Path(sketches) / f"{row.image}.ome.tif").reshape(row.shape)
    return TrainingImage(intensities, row.low, row.high, row.gamma, points, row.voxel_size, sketch)
