"""Windows that show what is typical of an image."""

from collections.abc import Sequence

import numpy as np

from ..geometry import Slices


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
    steps = [range(0, whole - part + 1, max(1, part // 2)) for whole, part in zip(image.shape, parts, strict=True)]
    corners = np.stack(np.meshgrid(*steps, indexing="ij"), -1).reshape(-1, image.ndim)
    windows = [tuple(map(slice, corner, corner + parts)) for corner in corners]
    order = np.argsort([image[window].mean() for window in windows], kind="stable")
    return windows[order[len(order) // 2]]
