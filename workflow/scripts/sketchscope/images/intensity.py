"""Intensities in units of the microscope and in the range -1 to 1 of the network."""

import numpy as np
from numpy.typing import DTypeLike

from ..errors import InputError


def normalise(image: np.ndarray, low: float, high: float, gamma: float = 1.0) -> np.ndarray:
    """Map the intensities low..high to -1..1, without clipping so that `denormalise` can undo it.

    Parameters
    ----------
    image : array of any shape and real dtype
        Intensities.
    low, high : float
        Limits of the image, low < high.
    gamma : float
        Exponent of (intensity - low) / (high - low); intensities below `low` are mirrored. 1 is linear.

    Returns
    -------
    array of float32
        In the shape of `image`.
    """
    share = (image.astype(np.float64) - low) / (high - low)
    return (2.0 * _signed_power(share, gamma) - 1.0).astype(np.float32)


def denormalise(normalised: np.ndarray, low: float, high: float, dtype: DTypeLike, gamma: float = 1.0) -> np.ndarray:
    """Undo `normalise`; integers are rounded and clipped to the range of `dtype`.

    The round trip is exact for integers of 8 and 16 bits.

    Parameters
    ----------
    normalised : array of any shape
        Normalised intensities.
    low, high : float
        Limits of the image, low < high.
    dtype : dtype
        Type of the result.
    gamma : float
        Exponent that `normalise` was given.

    Returns
    -------
    array of `dtype`
        In the shape of `normalised`.
    """
    dtype = np.dtype(dtype)
    share = _signed_power((normalised.astype(np.float64) + 1.0) / 2.0, 1.0 / gamma)
    image = share * (high - low) + low
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        image = np.clip(np.rint(image), limits.min, limits.max)
    return image.astype(dtype)


def invert(image: np.ndarray, value_range: tuple[int, int]) -> np.ndarray:
    """Make the smallest value of a range the largest and the reverse.

    Parameters
    ----------
    image : integer array of any shape
        Intensities.
    value_range : (int, int)
        Smallest and largest value that they can have.

    Examples
    --------
    >>> invert(np.array([0, 1, 255], np.uint8), (0, 255))
    array([255, 254,   0], dtype=uint8)
    """
    low, high = value_range
    return (low + high - image.astype(np.int64)).astype(image.dtype)


def find_limits(image: np.ndarray, percentiles: tuple[float, float], name: str) -> tuple[float, float]:
    """Find the intensities that become -1 and 1.

    Parameters
    ----------
    image : array (Z, Y, X) or (Y, X)
        Intensities.
    percentiles : (float, float)
        Percentiles of the intensities, the first below the second.
    name : str
        File and frame, for the error.

    Returns
    -------
    low, high : float
        The intensities at these percentiles.

    Raises
    ------
    InputError
        If a value is not finite, the image is constant, or both percentiles are the same intensity.
    """
    invalid = image.size - np.count_nonzero(np.isfinite(image))
    if invalid:
        raise InputError(f"{name}: {invalid} of {image.size} values are NaN or infinite")
    if image.min() == image.max():
        raise InputError(f"{name}: is constant, every value is {image.min()}")
    low, high = (float(limit) for limit in np.percentile(image, percentiles))
    if not low < high:
        raise InputError(
            f"{name}: its percentiles {percentiles[0]} and {percentiles[1]} are {low} and {high},"
            " the first must be less; set wider percentiles"
        )
    return low, high


def _signed_power(values: np.ndarray, exponent: float) -> np.ndarray:
    return values if exponent == 1.0 else np.sign(values) * np.abs(values) ** exponent
