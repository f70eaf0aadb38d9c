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


def windows_with_cells(image: np.ndarray, labels: np.ndarray, size: Sequence[int], count: int) -> list[Slices]:
    """Choose windows in which cells are, at most `count`.

    Only windows count whose share of cells is at least that of the image. Of these, a single one is typical like that
    of `crop_typical`; several do not overlap, and are spread over the range of mean intensities.
    """
    parts = np.minimum(size, image.shape)
    step = parts if count > 1 else np.maximum(1, parts // 2)
    share = (labels > 0).mean()
    windows = [window for window in _rank_windows(image, parts, step) if (labels[window] > 0).mean() >= share]
    windows = windows or [crop_typical(image, size)]  # a grid may miss what lies at the far border
    return spread_out(windows, count) if count > 1 else [windows[len(windows) // 2]]


def _rank_windows(image: np.ndarray, parts: np.ndarray, step: np.ndarray) -> list[Slices]:
    """Windows of a grid in the order of their mean intensity."""
    starts = [range(0, whole - part + 1, by) for whole, part, by in zip(image.shape, parts, step, strict=True)]
    corners = np.stack(np.meshgrid(*starts, indexing="ij"), -1).reshape(-1, image.ndim)
    windows = [tuple(map(slice, corner, corner + parts)) for corner in corners]
    order = np.argsort([image[window].mean() for window in windows], kind="stable")
    return [windows[index] for index in order]
