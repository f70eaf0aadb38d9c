"""Sketches: one grey value for each cell of a mask, blurred."""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter


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


def draw_sketch(labels: np.ndarray, grey_values: np.ndarray, background: float, sigma: Sequence[float]) -> np.ndarray:
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

    Returns
    -------
    float32 array like `labels`
        Clipped to [-1, 1].
    """
    lut = np.concatenate([[background], grey_values]).astype(np.float32)
    return np.clip(gaussian_filter(lut[labels], sigma), -1, 1)
