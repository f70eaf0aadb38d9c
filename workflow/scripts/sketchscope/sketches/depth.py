"""How the contrast of cells fades with depth: measured in real images, undone in grey values, drawn in sketches."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

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


def fit_decay(cells: pd.DataFrame) -> dict[str, Any]:
    """Fit an exponential to the contrast of cells by their depth, as Beer and Lambert's law has it.

    A cell counts with its core, where it is in focus. Above and below its middle it also fades because it goes out of
    focus, which is no attenuation. The depths of cells in one thin layer differ too little to tell the two apart: then
    no decay is found.

    Parameters
    ----------
    cells : DataFrame
        Of all images: columns image, background, and those of `brightness.measure_cores`.

    Returns
    -------
    dict
        decay_um, micrometres in which the contrast falls to 1/e, None if none is found; decay_low_um and
        decay_high_um, limits of its 95 % interval; cells, their number; spread_um, between the 10th and the 90th
        percentile of the depths; height_um, the median height of a cell.
    """
    known = cells.assign(contrast=cells["grey"] - cells["background"])  # unknown in an image that cells cover
    known = known[known["contrast"] > 0]
    spread = float(np.subtract(*np.percentile(known["depth_um"], [90, 10]))) if len(known) else 0.0
    height = float(known["height_um"].median()) if len(known) else 0.0
    slopes = _fit_slope(known) if spread > height else None
    decays = (None, None, None) if slopes is None or slopes[2] >= 0 else tuple(-1 / slope for slope in slopes)
    return {
        **dict(zip(("decay_low_um", "decay_um", "decay_high_um"), decays, strict=True)),
        **{"cells": len(known), "spread_um": spread, "height_um": height},
    }


def _fit_slope(cells: pd.DataFrame) -> tuple[float, float, float] | None:
    """Slope of the logarithm of the contrast by depth, between its 95 % limits; images may differ in brightness."""
    free = len(cells) - cells["image"].nunique() - 1  # of the least-squares fit
    if free < 1:
        return None
    values = pd.DataFrame({"depth": cells["depth_um"], "log": np.log(cells["contrast"])})
    centred = values - values.groupby(cells["image"]).transform("mean")
    variance = (centred["depth"] ** 2).sum()
    if variance == 0:
        return None
    slope = (centred["depth"] * centred["log"]).sum() / variance
    residual = ((centred["log"] - slope * centred["depth"]) ** 2).sum() / free
    reach = stats.t.ppf(0.975, free) * np.sqrt(residual / variance)
    return float(slope - reach), float(slope), float(slope + reach)


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
