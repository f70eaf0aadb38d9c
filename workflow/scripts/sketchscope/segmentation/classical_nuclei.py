"""Classical segmentation of blob-like cells: Laplacian-of-Gaussian seeds, watershed, half-maximum boundary.

Needs no training. It gives the rough cells that the sketches take their grey values from, and serves as
the baseline. Seeds and watershed follow Stegmaier et al. 2014 (PLoS ONE 9, e90036).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

from ..errors import InputError
from ..geometry import GAUSSIAN_MAD
from .classical import (
    blob_response,
    check_voxel_size,
    choose_sigma,
    clean_cells,
    expected_size,
    find_seeds,
    mark_seeds,
)

HOLE = 0.1  # largest nucleolus, as a fraction of a cell's area


class ClassicalNuclei(NamedTuple):
    """Numbers of the classical segmentation of nuclei."""

    sigma: float | None
    """Smoothing before any threshold, micrometres along every axis; None is 1/20 of the cell's diameter."""
    min_contrast: float
    """Height above the background that makes a cell, in standard deviations of the smoothed background."""
    edge: float
    """Fraction of a cell's own height at which its boundary lies, above 0 and below 1. Half the height of the edge is
    0.5 for a flat cell; nuclei thin out towards their rim, which puts it at 0.4."""
    split: float
    """Relative depth of the notch between two seeds that makes them two cells."""
    min_height: float
    """Dimmest cell as a fraction of a bright one (90th percentile); larger where haze is taken for cells."""
    min_size: float
    """Smallest cell as a fraction of the area or volume that the cell's diameter gives."""


def segment_nuclei(
    image: np.ndarray, voxel_size: Sequence[float], cell_diameter: float, settings: ClassicalNuclei
) -> np.ndarray:
    """Label bright, roughly round cells on a darker background.

    Each cell ends where its brightness has fallen to `edge` of its own height above the local background,
    so that dim and bright cells are measured alike.

    Parameters
    ----------
    image : array (Z, Y, X) or (Y, X)
        Intensities of any scale and offset.
    voxel_size : sequence of float
        Micrometres along each axis.
    cell_diameter : float
        Mean diameter of a cell in the plane, micrometres; a factor of two off is too far.
    settings : ClassicalNuclei

    Returns
    -------
    array of int32, shape of `image`
        0 is background, cells are 1..n.

    Raises
    ------
    InputError
        If `voxel_size` does not fit the image, or a number is out of its range.
    """
    spacing, edge, min_contrast = check_voxel_size(image, voxel_size), settings.edge, settings.min_contrast
    _check_ranges(cell_diameter, edge, min_contrast)
    sigma = choose_sigma(settings.sigma, cell_diameter)
    contrast, noise = flatten_background(image, spacing, cell_diameter, sigma)
    foreground = contrast > min_contrast * noise
    if not foreground.any():
        return np.zeros(image.shape, np.int32)
    compressed = np.arcsinh(contrast / max(min_contrast * noise, 1e-3 * contrast.max()))
    regions = split_cells(compressed, foreground, spacing, cell_diameter, settings.split)
    heights = cell_heights(contrast, regions, edge)
    relative = np.clip(contrast / heights[regions], 0, 1)
    labels = split_cells(relative, foreground & (relative > edge), spacing, cell_diameter, settings.split)
    labels = cut_at_edge(contrast, labels, edge, settings.min_height)
    return clean_cells(labels, settings.min_size * expected_size(cell_diameter, spacing))


def _check_ranges(cell_diameter: float, edge: float, min_contrast: float) -> None:
    if not cell_diameter > 0:
        raise InputError(f"cell_diameter: found {cell_diameter}, it must be above 0 (micrometres)")
    if not 0 < edge < 1:
        raise InputError(f"classical.edge: found {edge}, it must be above 0 and below 1")
    if not min_contrast > 0:
        raise InputError(f"classical.min_contrast: found {min_contrast}, it must be above 0")


def find_background_level(values: np.ndarray) -> tuple[float, float]:
    """Mode of the values and the spread of the background around it.

    The mode is the half-sample mode, found by bisection to the densest half; the spread is the normal-scaled
    median deviation of what lies below it, where no cell can add to it.

    Parameters
    ----------
    values : array
        Intensities, any shape.

    Returns
    -------
    mode, sd : float
        In the units of `values`.
    """
    ordered = np.sort(values, axis=None)
    ordered = ordered[:: max(1, ordered.size // 200_000)]
    dense = ordered
    while dense.size > 3:
        half = (dense.size + 1) // 2
        start = int(np.argmin(dense[half - 1 :] - dense[: dense.size - half + 1]))
        dense = dense[start : start + half]
    mode = float(dense.mean())
    below = ordered[ordered < mode]
    sd = GAUSSIAN_MAD * float(np.median(mode - below)) if below.size else 0.0
    return mode, sd


def flatten_background(
    image: np.ndarray, voxel_size: np.ndarray, cell_diameter: float, sigma: float
) -> tuple[np.ndarray, float]:
    """Smooth an image and subtract its local background.

    Parameters
    ----------
    image : array (Z, Y, X) or (Y, X)
        Intensities.
    voxel_size, cell_diameter, sigma
        Micrometres; the background is averaged over about four cells, cells left out.

    Returns
    -------
    contrast : float32 array, shape of `image`
        Height above the local background.
    noise : float
        Standard deviation of the smoothed background.
    """
    image = (image - np.median(image)).astype(np.float32)  # large offsets cost float32 its precision
    smooth = ndimage.gaussian_filter(image, sigma / voxel_size, mode="nearest")
    mode, sd = find_background_level(smooth)
    far = np.round(4 * cell_diameter / voxel_size).astype(int)
    background = _masked_mean(smooth, np.abs(smooth - mode) <= 3 * sd, far, fallback=mode)
    contrast = smooth - background
    offset, noise = find_background_level(contrast)
    return contrast - np.float32(offset), noise


def _masked_mean(image: np.ndarray, mask: np.ndarray, size: np.ndarray, fallback: float) -> np.ndarray:
    """Mean of the masked voxels in a soft window; leans to `fallback` where the window holds hardly any."""
    size = np.minimum(size, 2 * np.asarray(image.shape) - 1)
    weight = mask.astype(np.float32)
    total = (image - np.float32(fallback)) * weight
    for _ in range(2):  # two box filters make a tent, without the streaks of one
        total = ndimage.uniform_filter(total, size, mode="nearest")
        weight = ndimage.uniform_filter(weight, size, mode="nearest")
    return total / (weight + np.float32(0.02)) + np.float32(fallback)


def split_cells(
    height: np.ndarray, mask: np.ndarray, voxel_size: np.ndarray, cell_diameter: float, split: float
) -> np.ndarray:
    """Split a mask into cells: seeds where the Laplacian of Gaussian responds most, then a watershed on it.

    Parameters
    ----------
    height : array (Z, Y, X) or (Y, X)
        About equally high in every cell, 0 in the background.
    mask : bool array
        What to label; small holes are labelled as well, since a dark nucleolus may hold the seed.
    voxel_size, cell_diameter
        Micrometres.
    split : float
        Relative depth of the notch between two seeds that keeps them apart.

    Returns
    -------
    int32 array
        Labels; components of the mask without a maximum of the response are left out.
    """
    response = blob_response(height, voxel_size, cell_diameter)
    mask = fill_small_holes(mask, HOLE * expected_size(cell_diameter, voxel_size[-2:]))
    seeds = find_seeds(response, mask, voxel_size, cell_diameter, split)
    return watershed(-response, mark_seeds(seeds, height.shape), mask=mask).astype(np.int32)


def cell_heights(contrast: np.ndarray, labels: np.ndarray, edge: float, rounds: int = 3) -> np.ndarray:
    """Plateau of each cell: the median over the voxels above `edge` times itself, found by iteration.

    Parameters
    ----------
    contrast : array
        Height above the background.
    labels : int array
        0 is background.

    Returns
    -------
    float32 array (labels.max() + 1,)
        Indexed by label; infinite for the background.
    """
    index = np.arange(1, labels.max() + 1)
    heights = np.full(index.size + 1, np.inf, np.float32)
    if not index.size:
        return heights
    heights[1:] = ndimage.maximum(contrast, labels, index)
    for _ in range(rounds):
        core = np.where(contrast > edge * heights[labels], labels, 0)
        heights[1:] = ndimage.median(contrast, core, index)
    return heights


def cut_at_edge(contrast: np.ndarray, labels: np.ndarray, edge: float, min_height: float) -> np.ndarray:
    """Keep of each cell what rises above `edge` times its own height; drop cells dim beside the bright ones."""
    heights = cell_heights(contrast, labels, edge)
    if heights.size == 1:
        return labels
    dim = heights < min_height * np.percentile(heights[1:], 90)
    thresholds = np.where(dim, np.float32(np.inf), edge * heights)
    return np.where(contrast > thresholds[labels], labels, 0)


def fill_small_holes(mask: np.ndarray, max_size: float) -> np.ndarray:
    """Fill holes of at most `max_size` pixels plane by plane, bool array of the mask's shape."""
    planes = mask.reshape(-1, *mask.shape[-2:]).copy()
    for plane in planes:
        holes, _ = ndimage.label(~plane)
        plane |= np.bincount(holes.ravel())[holes] <= max_size
    return planes.reshape(mask.shape)
