"""Contrast and noise of a cell, where noise is no less than rounding leaves."""

import numpy as np

from ...geometry import GAUSSIAN_MAD

MOST_VOXELS = 1_000_000  # of an image that are looked at to find its values


def find_levels(image: np.ndarray) -> np.ndarray:
    """Find the values that occur in an image, in rising order; those of a large one among a million of its voxels."""
    return np.unique(image.ravel()[:: 1 + image.size // MOST_VOXELS])


def step_at(levels: np.ndarray, intensity: float) -> float:
    """Distance of the two neighbouring values of an image about an intensity; 0 where there is one value only.

    An image of integers has one step everywhere, an image with a gamma larger ones where it is dark.

    >>> step_at(np.array([0.0, 0.5, 1.0, 3.0]), 0.4)
    0.5
    """
    after = int(np.searchsorted(levels, intensity, side="right"))
    around = levels[max(after - 2, 0) : after + 1]
    return float(np.diff(around).min()) if len(around) > 1 else 0.0


def measure_contrast(high: float, low: float, background: np.ndarray, levels: np.ndarray) -> dict[str, float | bool]:
    """Compare a contrast with the noise of the voxels that are the background.

    Rounding to steps adds an error of step / sqrt(12), the standard deviation of a uniform distribution as wide as a
    step. Noise is at least that; where less was measured, it was rounded away.

    Parameters
    ----------
    high, low : float
        Intensities of the cell and of the background.
    background : array (N,)
        Intensities of its voxels.
    levels : array
        Of `find_levels`.

    Returns
    -------
    dict
        contrast, noise, contrast_to_noise, and rounded, whether noise was rounded away.
    """
    noise = GAUSSIAN_MAD * float(np.median(np.abs(background - low)))
    floor = max(step_at(levels, low) / np.sqrt(12), 1e-6)
    contrast = high - low
    kept = max(noise, floor)
    return {"contrast": contrast, "noise": kept, "contrast_to_noise": contrast / kept, "rounded": noise < floor}
