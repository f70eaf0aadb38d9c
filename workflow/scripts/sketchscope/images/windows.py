"""Windows that show what is typical of an image."""

from collections.abc import Sequence

import numpy as np

from ..geometry import Slices
from ..sequences import spread_out


def crop_typical(image: np.ndarray, size: Sequence[int]) -> Slices:
    """Choose the window whose mean intensity is the median over a grid of windows: neither the best nor the worst.

    Parameters
    ----------
    image : array (Z, Y, X) or (Y, X)
        To crop.
    size : sequence of int
        Voxels of the window along each axis; cut to the image.

    Returns
    -------
    tuple of slice
        One per axis.
    """
    parts = np.minimum(size, image.shape)
    windows = _rank_windows(image, parts, np.maximum(1, parts // 2))
    return windows[len(windows) // 2]


def typical_windows(image: np.ndarray, size: Sequence[int], count: int) -> list[Slices]:
    """Choose windows that do not overlap, at most `count`, the typical one of `crop_typical` if it is one alone.

    Several are spread over the range of mean intensities.
    """
    if count == 1:
        return [crop_typical(image, size)]
    parts = np.minimum(size, image.shape)
    return spread_out(_rank_windows(image, parts, parts), count)


def _rank_windows(image: np.ndarray, parts: np.ndarray, step: np.ndarray) -> list[Slices]:
    """Windows of a grid in the order of their mean intensity."""
    starts = [range(0, whole - part + 1, by) for whole, part, by in zip(image.shape, parts, step, strict=True)]
    corners = np.stack(np.meshgrid(*starts, indexing="ij"), -1).reshape(-1, image.ndim)
    windows = [tuple(map(slice, corner, corner + parts)) for corner in corners]
    order = np.argsort([image[window].mean() for window in windows], kind="stable")
    return [windows[index] for index in order]
