"""How far the intensities of noised sketches are from those of noised images, exactly: no noise is drawn."""

import numpy as np
from scipy.spatial.distance import jensenshannon
from scipy.special import ndtr

LEVELS, RANGE = 400, (-1.5, 1.5)  # of the histograms of clean intensities, which are normalised to -1 to 1
BINS, WIDEST = 200, 4.0  # of the noised ones, whose standard deviation is about 1


def count_levels(values: np.ndarray) -> np.ndarray:
    """Count clean intensities by level: float array (LEVELS,)."""
    return np.histogram(np.clip(values, *RANGE), LEVELS, RANGE)[0].astype(np.float64)


def add_noise(counts: np.ndarray, alpha_bar: float) -> np.ndarray:
    """Turn counts of clean intensities (..., LEVELS) into those that are expected after noising, (..., BINS).

    A value x becomes Gaussian about sqrt(alpha_bar) x with the variance 1 - alpha_bar (Ho et al. 2020, eq. 4). Without
    noise (alpha_bar of 1) each level falls into one bin.
    """
    edges = np.linspace(-WIDEST, WIDEST, BINS + 1)
    levels = np.sqrt(alpha_bar) * (np.linspace(*RANGE, LEVELS, endpoint=False) + (RANGE[1] - RANGE[0]) / LEVELS / 2)
    below = ndtr((edges - levels[:, None]) / np.sqrt(max(1 - alpha_bar, 1e-12)))
    below[:, 0], below[:, -1] = 0, 1  # what lies beyond counts at the ends
    return counts @ np.diff(below)


def diverge(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Divergence of Jensen and Shannon between counts (..., BINS), bits (Lin 1991, IEEE Trans. Inf. Theory 37).

    NaN where there is nothing to count.
    """
    with np.errstate(invalid="ignore"):
        return np.asarray(jensenshannon(first, second, 2, axis=-1)) ** 2
