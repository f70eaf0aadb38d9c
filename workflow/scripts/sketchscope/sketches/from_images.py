"""Sketches of real images, from a rough segmentation: what a network that sees sketches learns from.

Every cell is as bright as it is in the image. Cells that the segmentation missed are added: a network that met cells
without a sketch would learn to invent them.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

from ..geometry import GAUSSIAN_MAD, ball_volume
from .depth import Measured
from .draw import choose_background
from .haze import MARGIN, blur_inside, light_between, measure_haze, shade_like

SMOOTH = 1 / 6  # of a cell's diameter: the blur that takes the noise away and leaves dim cells
SURROUNDINGS = 1.0  # cell diameters: the blur that leaves the slow background alone
UNLIKELY = 4.0  # standard deviations of the smoothed background: what is brighter is no noise


class FlatSketch(NamedTuple):
    """A real image drawn on a flat background."""

    image: np.ndarray
    """Not blurred, in [-1, 1]: float32 array (Z, Y, X) or (Y, X)."""
    background: float
    """Between cells or membranes."""


def sketch_flat(
    image: np.ndarray, labels: np.ndarray, voxel_size: Sequence[float], draw: Callable[..., np.ndarray], settings: Any
) -> FlatSketch:
    """Draw a real image on a flat background; see `sketch_image`."""
    outside = image[labels == 0]
    level = float(outside.mean(dtype=np.float64)) if outside.size else float(image.min())
    measured = Measured(np.full(1, level), level)
    flat = draw(labels, voxel_size, settings, measured, np.random.default_rng(0), like=image)
    return FlatSketch(flat, choose_background(settings, measured))


def sketch_image(
    image: np.ndarray,
    labels: np.ndarray,
    voxel_size: Sequence[float],
    cell_diameter: float,
    draw: Callable[..., np.ndarray],
    settings: Any,
) -> np.ndarray:
    """Draw the sketch of a real image.

    Parameters
    ----------
    image : float32 array (Z, Y, X) or (Y, X)
        Normalised intensities.
    labels : int array like `image`
        Its cells, roughly; 0 is background.
    voxel_size : sequence of float
        Micrometres along each axis.
    cell_diameter : float
        Micrometres.
    draw : callable
        Of the stain, see `stains.Stain`.
    settings : named tuple
        Numbers of `draw`, with which nothing is drawn at random. A background of None takes that of the image; a field
        that is measured, also its changes and its glow.

    Returns
    -------
    float32 array like `image`
        Not blurred, in [-1, 1].
    """
    flat = sketch_flat(image, labels, voxel_size, draw, settings)
    if settings.field == "flat":
        return flat.image
    shading = shade_like(measure_haze(image, *flat, voxel_size, cell_diameter), image.shape, voxel_size)
    between = light_between(*flat, shading, voxel_size)
    return np.clip(np.where(flat.image != np.float32(flat.background), flat.image, between), -1, 1)


def add_missed(labels: np.ndarray, image: np.ndarray, voxel_size: Sequence[float], cell_diameter: float) -> np.ndarray:
    """Add labels for what stands out from the background and has none, such as dim cells that were not segmented.

    What touches the light around a labelled cell is taken for a part of that light, and what is much smaller than a
    cell for noise.

    Parameters
    ----------
    labels : int array (Z, Y, X) or (Y, X)
        Of the cells that were segmented; 0 is background.
    image : float32 array like `labels`
        Normalised intensities.
    voxel_size : sequence of float
        Micrometres along each axis.
    cell_diameter : float
        Micrometres.

    Returns
    -------
    int array like `labels`
        With more labels after the largest.
    """
    spacing = np.asarray(voxel_size, float)
    distance = ndimage.distance_transform_edt(labels == 0, sampling=spacing)
    empty = distance > MARGIN * cell_diameter
    if not empty.any():
        return labels
    smooth = blur_inside(image, empty, SMOOTH * cell_diameter / spacing)
    above = smooth - blur_inside(image, empty, SURROUNDINGS * cell_diameter / spacing)
    middle = np.median(above[empty])
    spread = GAUSSIAN_MAD * np.median(np.abs(above[empty] - middle))
    pieces, count = ndimage.label(empty & (above > middle + UNLIKELY * spread))
    beside = distance < MARGIN * cell_diameter + 1.5 * spacing.max()
    least = ball_volume(SMOOTH * cell_diameter, labels.ndim) / spacing.prod()
    large = np.flatnonzero(np.bincount(pieces.ravel(), minlength=count + 1) >= least)
    missed = np.setdiff1d(large, [0, *np.unique(pieces[beside])])
    number = np.zeros(count + 1, np.int64)
    number[missed] = int(labels.max()) + 1 + np.arange(len(missed))
    height = np.append(0, ndimage.maximum(above, pieces, np.arange(1, count + 1))) if count else np.zeros(1)
    upper_half = above > (middle + height[pieces]) / 2  # its boundary lies where it has half its height
    return np.where(upper_half & (number[pieces] > 0), number[pieces], labels)
