"""Does one mask hold two cells of the image?"""

import numpy as np
from scipy import ndimage

LEVELS = (0.3, 0.45, 0.6, 0.75, 0.85)  # of the way from the boundary's intensity to that inside
LEAST_LOBE = 0.2  # smallest of two parts, as a fraction of all of them
LEAST_SHARE = 0.05  # the same, as a fraction of the mask
LEAST_DIP = 0.1  # how far what parts them lies beyond their insides, as a fraction of the same way


def is_split(smooth: np.ndarray, cell: np.ndarray, inside: float, edge: float) -> bool:
    """Find whether something like a boundary parts a cell in two.

    A mask of two nuclei has a valley in it, a mask of two cells with membranes a ridge. At some level between the
    intensities of boundary and inside, the voxels that look like inside then fall apart into two large parts.

    Parameters
    ----------
    smooth : array (Z, Y, X) or (Y, X)
        A window on the image, blurred slightly.
    cell : bool array, shape of `smooth`
    inside : float
        Intensity inside the cell.
    edge : float
        Intensity of what parts two cells: background or membrane.
    """
    if inside == edge:
        return False
    share = (smooth - edge) / (inside - edge)
    return any(_falls_apart(share, cell, level) for level in LEVELS)


def _falls_apart(share: np.ndarray, cell: np.ndarray, level: float) -> bool:
    lobes, count = ndimage.label(cell & (share > level))
    if count < 2:
        return False
    sizes = np.bincount(lobes.ravel())[1:]
    large = np.flatnonzero(sizes >= max(LEAST_LOBE * sizes.sum(), LEAST_SHARE * cell.sum())) + 1
    return len(large) > 1 and np.sort(ndimage.median(share, lobes, large))[-2] - level >= LEAST_DIP
