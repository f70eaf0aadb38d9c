"""How the contrast of cells fades with depth: measured in real images, undone in grey values, drawn in sketches."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..io.atomic import PathLike


class Measured(NamedTuple):
    """Grey values of real cells or membranes, to draw sketches with."""

    grey: np.ndarray
    """Normalised intensities, as bright as they would be in the first slice."""
    background: float


def read_measured(cells: PathLike, decay_um: float | None) -> Measured:
    """Read the grey values from a table with the columns grey, depth_um and background; see `undo_fading`."""
    table = pd.read_csv(cells)
    background = float(table["background"].mean())
    grey = undo_fading(table["grey"].to_numpy(), table["depth_um"].to_numpy(), background, decay_um)
    return Measured(grey, background)


def slice_depths(shape: Sequence[int], voxel_size: Sequence[float]) -> np.ndarray:
    """Compute the micrometres from the first slice to each slice; broadcasts to `shape`, and is 0 in 2D."""
    if len(shape) == 2:
        return np.zeros((1, 1))
    return np.arange(shape[0])[:, None, None] * float(voxel_size[0])


def measure_profile(
    image: np.ndarray, stained: np.ndarray, background: float, voxel_size: Sequence[float]
) -> pd.DataFrame:
    """Measure the contrast of what is stained, slice by slice.

    Parameters
    ----------
    image : array (Z, Y, X) or (Y, X)
        Normalised intensities.
    stained : bool array, shape of `image`
        Cells or membranes.
    background : float
        Mean intensity of the rest.
    voxel_size : sequence of float
        Micrometres along each axis.

    Returns
    -------
    DataFrame
        One row per slice that has any: depth_um, voxels, and contrast, their mean intensity less the background.
    """
    slices = zip(slice_depths(image.shape, voxel_size).ravel(), *map(_as_slices, (image, stained)), strict=True)
    rows = [
        (depth, int(inside.sum()), float(values[inside].mean(dtype=np.float64) - background))
        for depth, values, inside in slices
        if inside.any()
    ]
    return pd.DataFrame(rows, columns=["depth_um", "voxels", "contrast"])


def _as_slices(array: np.ndarray) -> np.ndarray:
    """View an image as an array (Z, Y, X), of one slice in 2D."""
    return array if array.ndim == 3 else array[None]


def fit_decay(profiles: Sequence[pd.DataFrame]) -> dict[str, Any]:
    """Fit an exponential to the contrast by depth, as Beer and Lambert's law has it.

    Parameters
    ----------
    profiles : sequence of DataFrame
        From `measure_profile`, one per image; at least one of them has a row.

    Returns
    -------
    dict
        decay_um, micrometres in which the contrast falls to 1/e, None if it does not fall or is known at one depth
        only; depth_um, voxels and contrast, lists over the depths, of all images together.
    """
    # of an image that cells cover, the background is unknown
    table = pd.concat([profile for profile in profiles if len(profile)]).dropna()
    pooled = table.assign(total=table["voxels"] * table["contrast"]).groupby("depth_um")[["voxels", "total"]].sum()
    pooled["contrast"] = pooled["total"] / pooled["voxels"]
    seen = pooled[pooled["contrast"] > 0]
    slope = 0.0
    if len(seen) > 1:
        weights = np.sqrt(seen["voxels"].to_numpy())
        slope = np.polyfit(seen.index.to_numpy(), np.log(seen["contrast"].to_numpy()), 1, w=weights)[0]
    profile = pooled.reset_index()[["depth_um", "voxels", "contrast"]].to_dict("list")
    return {"decay_um": float(-1 / slope) if slope < 0 else None, **profile}


def undo_fading(grey: np.ndarray, depth_um: np.ndarray, background: float, decay_um: float | None) -> np.ndarray:
    """Compute the grey values that cells would have in the first slice, at most 1; the inverse of `fade`.

    Parameters
    ----------
    grey, depth_um : array (n,)
        Mean normalised intensity of each cell, and its mean distance from the first slice, micrometres.
    background : float
        Normalised intensity.
    decay_um : float or None
        Micrometres in which the contrast to the background falls to 1/e; None if it does not fall.
    """
    if decay_um is None:
        return grey
    return np.minimum(background + (grey - background) / remaining_contrast(depth_um, decay_um), 1.0)


def fade(image: np.ndarray, background: float, decay_um: float | None, voxel_size: Sequence[float]) -> np.ndarray:
    """Let the contrast of an image (Z, Y, X) to its background fall with depth; in 2D it stays as it is."""
    if decay_um is None or image.ndim == 2:
        return image
    remaining = remaining_contrast(slice_depths(image.shape, voxel_size), decay_um).astype(np.float32)
    return np.float32(background) + (image - np.float32(background)) * remaining


def remaining_contrast(depth_um: np.ndarray, decay_um: float) -> np.ndarray:
    """Compute the share of the contrast that is left at a depth, by Beer and Lambert's law."""
    return np.exp(-depth_um / decay_um)
