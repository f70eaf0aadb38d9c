"""Sketches: one grey value for each cell of a mask, with dark nucleoli if wanted, blurred."""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter

from .cells import cell_boxes

NUCLEOLUS_DEPTH = 0.6


def draw_grey_values(grey_values: np.ndarray, labels: int, darkest: float, rng: np.random.Generator) -> np.ndarray:
    """Draw a grey value for each label from those measured in real images.

    Parameters
    ----------
    grey_values : array (N,)
        Mean normalised intensities of rough real cells.
    labels : int
        How many to draw.
    darkest : float
        Darker values are raised to this one: cells that drown in the noise of t_start would be lost.
    rng : numpy Generator

    Returns
    -------
    float32 array (labels,)
    """
    return np.maximum(rng.choice(grey_values, labels), darkest).astype(np.float32)


def sigma_in_voxels(sigma: float, voxel_size: Sequence[float]) -> tuple[float, ...]:
    """One blur for all axes: `sigma` voxels of the finest axis, the same length in micrometres along the others."""
    finest = min(voxel_size)
    return tuple(sigma * finest / size for size in voxel_size)


def draw_nucleoli(
    labels: np.ndarray,
    probabilities: Sequence[float],
    diameters: Sequence[float],
    voxel_size: Sequence[float],
    rng: np.random.Generator,
) -> np.ndarray:
    """Place round dark spots inside nuclei, away from their boundaries.

    Parameters
    ----------
    labels : int array (Z, Y, X) or (Y, X)
        0 is background.
    probabilities : sequence of float
        Of 0, 1, 2, ... nucleoli in a nucleus; they sum to 1.
    diameters : (float, float)
        Smallest and largest diameter of a nucleolus in micrometres.
    voxel_size : sequence of float
        Micrometres along each axis.
    rng : numpy Generator

    Returns
    -------
    bool array like `labels`
        True inside nucleoli.
    """
    spots = np.zeros(labels.shape, bool)
    for label, box in cell_boxes(labels):
        nucleus = labels[box] == label
        depth = distance_transform_edt(np.pad(nucleus, 1), sampling=voxel_size)[(slice(1, -1),) * labels.ndim]
        inner = np.argwhere(depth >= depth.max() / 2) * voxel_size
        position = np.argwhere(nucleus)
        for _ in range(rng.choice(len(probabilities), p=probabilities)):
            centre, radius = inner[rng.integers(len(inner))], rng.uniform(*diameters) / 2
            near = np.linalg.norm(position * voxel_size - centre, axis=1) <= radius
            spots[box][tuple(position[near].T)] = True
    return spots


def draw_sketch(
    labels: np.ndarray,
    grey_values: np.ndarray,
    background: float,
    sigma: Sequence[float],
    nucleoli: np.ndarray | None = None,
) -> np.ndarray:
    """Paint each cell with its grey value and blur the whole volume (Eschweiler et al. 2024, section 2.2).

    Parameters
    ----------
    labels : int array (Z, Y, X) or (Y, X)
        0 is background.
    grey_values : array (labels.max(),)
        Normalised intensity of labels 1, 2, ...
    background : float
        Normalised intensity of the background.
    sigma : sequence of float
        Standard deviation of the Gaussian blur in voxels, one an axis.
    nucleoli : bool array like `labels`, optional
        Where `NUCLEOLUS_DEPTH` of a cell's contrast to the background is taken away.

    Returns
    -------
    float32 array like `labels`
        Clipped to [-1, 1].
    """
    lut = np.concatenate([[background], grey_values]).astype(np.float32)
    image = lut[labels]
    if nucleoli is not None:
        image[nucleoli] -= NUCLEOLUS_DEPTH * (image[nucleoli] - np.float32(background))
    return np.clip(gaussian_filter(image, sigma), -1, 1)
