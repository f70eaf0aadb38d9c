"""How close generated images come to real ones, and whether the tiles they were made from show."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from scipy.stats import wasserstein_distance

from ..geometry import Slices

SPECTRUM_BINS = 32  # rings of the power spectrum between frequency 0 and Nyquist
LEVELS = 512  # quantiles that stand for a distribution of intensities


def psnr(image: np.ndarray, reference: np.ndarray, inside: np.ndarray, data_range: float = 2.0) -> float:
    """Compute the peak signal-to-noise ratio of an image to a reference, in dB, over the voxels `inside`.

    Parameters
    ----------
    image, reference : float arrays of one shape
    inside : bool array of that shape
    data_range : float
        Difference between the largest and the smallest possible intensity.
    """
    error = np.mean((image[inside].astype(np.float64) - reference[inside]) ** 2)
    return float(10 * np.log10(data_range**2 / error)) if error > 0 else float("inf")


def zncc(image: np.ndarray, reference: np.ndarray, inside: np.ndarray) -> float:
    """Compute the zero-normalised cross-correlation, -1 to 1, over the voxels `inside`; NaN if one is constant."""
    a, b = image[inside].astype(np.float64), reference[inside].astype(np.float64)
    a, b = a - a.mean(), b - b.mean()
    norm = np.sqrt((a**2).sum() * (b**2).sum())
    return float((a * b).sum() / norm) if norm > 0 else float("nan")


def histogram_distance(images: Sequence[np.ndarray], references: Sequence[np.ndarray]) -> float:
    """Compute the Wasserstein distance between the intensities of two sets of images, in units of intensity."""
    levels = (np.arange(LEVELS) + 0.5) / LEVELS
    first, second = (
        np.quantile(np.concatenate([image.ravel() for image in group]), levels) for group in (images, references)
    )
    return float(wasserstein_distance(first, second))


def power_spectrum(image: np.ndarray) -> np.ndarray:
    """Compute the power of a plane by spatial frequency.

    Parameters
    ----------
    image : array (Y, X)

    Returns
    -------
    float64 array (SPECTRUM_BINS,)
        Mean power in rings of equal width from frequency 0 to Nyquist, after the mean of the plane is subtracted. NaN
        in rings that hold no frequency of a small plane.
    """
    # without the window the borders would draw a cross into the spectrum
    window = np.outer(*(np.hanning(size) for size in image.shape))
    power = np.abs(np.fft.fft2((image - image.mean()) * window)) ** 2 / (window**2).sum()
    radius = np.hypot(*np.meshgrid(*(np.fft.fftfreq(size) for size in image.shape), indexing="ij"))
    ring = np.minimum((radius / 0.5 * SPECTRUM_BINS).astype(int), SPECTRUM_BINS)  # the last ring: the corners
    total = np.bincount(ring.ravel(), power.ravel(), SPECTRUM_BINS + 1)
    count = np.bincount(ring.ravel(), minlength=SPECTRUM_BINS + 1)
    return np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)[:SPECTRUM_BINS]


def mean_spectrum(images: Sequence[np.ndarray]) -> np.ndarray:
    """Compute the mean of `power_spectrum` over every plane of every image: float64 array (SPECTRUM_BINS,)."""
    planes = [plane for image in images for plane in image.reshape(-1, *image.shape[-2:])]
    return np.mean([power_spectrum(plane) for plane in planes], axis=0)


def compare_spectra(spectra: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Compute the mean absolute difference of power spectra (..., SPECTRUM_BINS), in dB, over the last axis."""
    return np.nanmean(np.abs(10 * np.log10(spectra / references)), axis=-1)


def spectrum_distance(images: Sequence[np.ndarray], references: Sequence[np.ndarray]) -> float:
    """Compute the mean absolute difference between the radial power spectra of two sets of images, in dB.

    Every plane of a volume counts as one image.
    """
    return float(compare_spectra(mean_spectrum(images), mean_spectrum(references)))


def border_index(image: np.ndarray, regions: Sequence[Slices]) -> float:
    """Compute the mean absolute difference of neighbours across tile borders, over that of neighbours elsewhere.

    Parameters
    ----------
    image : array (Z, Y, X) or (Y, X)
    regions : sequence of slices
        The tiles.
    """
    across, elsewhere = [], []
    for axis, size in enumerate(image.shape):
        borders = {edge for region in regions for edge in (region[axis].start, region[axis].stop)} - {0, size}
        if not borders:
            continue
        other = tuple(a for a in range(image.ndim) if a != axis)
        differences = np.abs(np.diff(image.astype(np.float64), axis=axis)).mean(axis=other)
        at_border = np.isin(np.arange(1, size), list(borders))
        across.append(differences[at_border])
        elsewhere.append(differences[~at_border])
    return float(np.concatenate(across).mean() / np.concatenate(elsewhere).mean())


def texture_index(image: np.ndarray, cells: np.ndarray, regions: Sequence[Slices]) -> float:
    """Compute the mean absolute Laplacian inside cells where tiles overlap, over that where they do not.

    Parameters
    ----------
    image : array (Z, Y, X) or (Y, X)
    cells : bool array, shape of `image`
        True inside cells.
    regions : sequence of slices
        The tiles.
    """
    laplacian = np.abs(ndimage.laplace(image.astype(np.float64)))
    covered = np.zeros(image.shape, np.uint16)
    for region in regions:
        covered[region] += 1
    return float(laplacian[cells & (covered > 1)].mean() / laplacian[cells & (covered == 1)].mean())
