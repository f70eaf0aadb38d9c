"""Whether reference labels lie on the cells of their images."""

from collections.abc import Sequence

import numpy as np
from skimage.segmentation import find_boundaries

from ..io.atomic import PathLike
from .manifest import ManifestRow, load_image

LEAST_FIT = 0.7  # labels of another image lie near 0.5, those of dim cells in noise above 0.8


def examine_labels(rows: Sequence[ManifestRow], images: PathLike, labels: PathLike, *, touching: bool) -> list[str]:
    """Say which label images do not fit their images, and whether the labels are of any use.

    Parameters
    ----------
    rows : sequence of ManifestRow
        All prepared images.
    images, labels : path
        The prepared images, and the labels of the test images.
    touching : bool
        Whether the boundaries of cells are bright (membranes), or the cells themselves (nuclei).

    Returns
    -------
    list of str
        One sentence for each finding.
    """
    labelled = [row for row in rows if row.labelled]
    warnings = []
    for row in labelled:
        fit = measure_fit(load_image(row, images), load_image(row, labels), touching=touching)
        if fit is not None and fit < LEAST_FIT:
            what = "boundaries of cells" if touching else "cells"
            warnings.append(
                f"{row.label_file} does not seem to belong to image {int(row.image)} ({row.source}): the {what} are"
                f" brighter than only {fit:.0%} of what lies beside them, where labels of another image give 50%"
            )
    if not labelled and any(row.label_file for row in rows):
        having = ",".join(str(int(row.image)) for row in rows if row.label_file)
        warnings.append(f"no test image has labels, so nothing is scored; labels belong to the images {having}")
    return warnings


def measure_fit(image: np.ndarray, labels: np.ndarray, *, touching: bool) -> float | None:
    """Measure how far labels lie on what is bright.

    Parameters
    ----------
    image : array (Z, Y, X) or (Y, X)
        Intensities.
    labels : int array of the same shape
        0 is background.
    touching : bool
        Whether the boundaries of cells are bright, or the cells themselves.

    Returns
    -------
    float or None
        The fraction of what is to be dark (background, or the inside of cells) that is darker than the median of what
        is to be bright; ties count half. None if either is not there.
    """
    if touching:
        boundary = find_boundaries(labels, mode="thick")
        bright, dark = image[boundary], image[(labels > 0) & ~boundary]
    else:
        bright, dark = image[labels > 0], image[labels == 0]
    if not bright.size or not dark.size:
        return None
    middle = np.median(bright)
    return float(np.mean(dark < middle) + np.mean(dark == middle) / 2)
