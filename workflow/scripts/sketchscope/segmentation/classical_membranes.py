"""Classical segmentation of cells between stained membranes: dark blobs as seeds, watershed on the intensity."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

from .classical import (
    blob_response,
    check_voxel_size,
    choose_sigma,
    clean_cells,
    expected_size,
    find_seeds,
    mark_seeds,
)

SEED_SCALE = 0.7  # diameter of the blob that is looked for in a cell over that of the cell, which is rarely round
TEXTURED = 0.35  # least local standard deviation inside the specimen, as a fraction of the 90th percentile
PARTED = 0.5  # least height of the membrane between a cell and the background, local standard deviations


class ClassicalMembranes(NamedTuple):
    """Numbers of the classical segmentation of membranes; see `ClassicalNuclei`."""

    sigma: float | None
    split: float
    min_size: float


def segment_membranes(
    image: np.ndarray, voxel_size: Sequence[float], cell_diameter: float, settings: ClassicalMembranes
) -> np.ndarray:
    """Label cells that bright membranes part from each other and from the background.

    Intensities are measured in local standard deviations, so that dim membranes count like bright ones. Where the
    local standard deviation is small there is no specimen, and cells that no membrane parts from there belong to it.

    Parameters
    ----------
    image : array (Z, Y, X) or (Y, X)
        Intensities of any scale and offset.
    voxel_size : sequence of float
        Micrometres along each axis.
    cell_diameter : float
        Micrometres.
    settings : ClassicalMembranes

    Returns
    -------
    array of int32, shape of `image`
        0 is background, cells are 1..n.

    Raises
    ------
    InputError
        If `voxel_size` does not fit the image.
    """
    spacing, reach = check_voxel_size(image, voxel_size), cell_diameter / 2
    sigma = choose_sigma(settings.sigma, cell_diameter)
    image = (image - np.median(image)).astype(np.float32)
    smooth = ndimage.gaussian_filter(image, sigma / spacing, mode="nearest")
    mean = ndimage.gaussian_filter(smooth, reach / spacing, mode="nearest")
    spread = np.sqrt(ndimage.gaussian_filter((smooth - mean) ** 2, reach / spacing, mode="nearest"))
    least = TEXTURED * np.percentile(spread, 90)
    if not least > 0:
        return np.zeros(image.shape, np.int32)
    specimen = spread > least
    darkness = np.clip((mean - smooth) / np.maximum(spread, least), -1, 1)
    response = blob_response(darkness, spacing, SEED_SCALE * cell_diameter)
    seeds = find_seeds(response, specimen, spacing, cell_diameter, settings.split)
    markers = mark_seeds(seeds, image.shape)
    markers[~specimen] = len(seeds) + 1
    labels = _without_background(watershed(smooth, markers), len(seeds) + 1, smooth, spread)
    return clean_cells(labels, settings.min_size * expected_size(cell_diameter, spacing))


def _without_background(labels: np.ndarray, background: int, smooth: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Make background what is labelled so, and the cells beside it without a membrane in between."""
    index = np.arange(1, background)
    rim = np.where(ndimage.binary_dilation(labels == background), labels, 0)
    beside = index[np.isin(index, rim)]
    height = ndimage.mean(smooth, rim, beside) - ndimage.median(smooth, labels, beside)
    open_ = beside[height < PARTED * ndimage.mean(spread, labels, beside)]
    return np.where(np.isin(labels, [*open_, background]), 0, labels)
