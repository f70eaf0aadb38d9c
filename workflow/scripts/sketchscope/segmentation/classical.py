"""Segmentation without training, of either stain."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import classical_nuclei
from .classical_membranes import segment_membranes

MEANT = ("sigma", "split", "min_size")  # settings of the section classical that mean something to membranes


def segment(
    image: np.ndarray, *, stain: str, voxel_size: Sequence[float], cell_diameter: float, **settings: Any
) -> np.ndarray:
    """Label the cells of an image, see `classical_nuclei.segment` and `membranes.segment_membranes`.

    Parameters
    ----------
    image : array (Z, Y, X) or (Y, X)
        Intensities of any scale.
    stain : str
        nuclei or membranes.
    voxel_size : sequence of float
        Micrometres along each axis.
    cell_diameter : float
        Micrometres.
    **settings
        The section classical of the configuration.
    """
    sizes = {"voxel_size": voxel_size, "cell_diameter": cell_diameter}
    if stain == "membranes":
        return segment_membranes(image, **sizes, **{key: settings[key] for key in MEANT})
    return classical_nuclei.segment(image, **sizes, **settings)
