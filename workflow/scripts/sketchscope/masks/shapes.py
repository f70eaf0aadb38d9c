"""Shapes and places of labelled cells: distributions, distances to those of real cells, numbers for a simulation."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.spatial import KDTree
from scipy.stats import binom, ks_2samp, wasserstein_distance

from ..errors import InputError
from ..geometry import ball_volume
from ..labels import cell_boxes, outline_shape

QUARTILE_SIGMAS = 1.3489795  # standard deviations between the quartiles of a normal distribution
FEWEST = 10  # cells of which a distribution is fitted
NEAREST = 0.05  # share of the cells that have another one nearest, by which a spacing is found
APART = 1.15  # diameters from which on a spacing is more than what sizes force
CHANCE = 0.01  # probability of so few near neighbours, below which a spacing is believed


class Population(NamedTuple):
    """Cells of one image."""

    cells: pd.DataFrame
    density: float
    """Cells per 10,000 square micrometres in 2D, per 1,000,000 cubic ones in 3D."""


def list_measures(ndim: int) -> dict[str, str]:
    """List what is compared of cells in 2D or 3D, each with its unit.

    >>> list_measures(2)["area"]
    'µm²'
    """
    density = {"density": "cells per 10⁴ µm²" if ndim == 2 else "cells per 10⁶ µm³"}
    volume = {} if ndim == 2 else {"volume": "µm³", "height": "µm"}
    return density | volume | {"area": "µm²", "eccentricity": "none", "neighbour": "µm"}


def measure_population(labels: np.ndarray, voxel_size: Sequence[float], margin: float) -> Population:
    """Measure the cells of one image whose centres lie away from its border.

    Cells near the border are left out, since it cuts them and since reference labels may lack them; they count as
    neighbours.

    Parameters
    ----------
    labels : int array (Z, Y, X) or (Y, X)
        0 is background.
    voxel_size : sequence of float
        Micrometres along each axis.
    margin : float
        Least distance of a centre from the border in the plane, micrometres.

    Returns
    -------
    Population
        One row per cell: label; area (square micrometres), diameter (of the disc of that area, micrometres), elongation
        (long over short axis) and eccentricity of its outline as seen along z; in 3D volume (cubic micrometres) and
        height (micrometres, first to last slice); neighbour, distance of its centre to the nearest other one
        (micrometres, NaN for a single cell).
        The density is NaN where the margins leave no room.
    """
    spacing = np.asarray(voxel_size, float)
    rows, centres = [], []
    for label, box in cell_boxes(labels):
        mask = labels[box] == label
        start = [part.start for part in box]
        centres.append((np.mean(mask.nonzero(), axis=1) + start + 0.5) * spacing)
        rows.append({"label": label, **_measure_shape(mask, spacing)})
    columns = ["label", *_measure_shape(np.ones((1,) * labels.ndim, bool), spacing), "neighbour"]
    table, places = pd.DataFrame(rows, columns=columns), np.reshape(centres, (-1, labels.ndim))
    table["neighbour"] = KDTree(places).query(places, 2)[0][:, 1] if len(places) > 1 else np.nan
    extent = np.multiply(labels.shape, spacing)
    inner = (places[:, -2:] >= margin) & (places[:, -2:] <= extent[-2:] - margin)
    room = np.prod(extent[:-2]) * np.prod(np.maximum(extent[-2:] - 2 * margin, 0))
    cells = table[inner.all(axis=1)].reset_index(drop=True)
    return Population(cells, len(cells) / room * 10 ** (2 * labels.ndim) if room else np.nan)


def _measure_shape(mask: np.ndarray, voxel_size: np.ndarray) -> dict[str, float]:
    flat = mask if mask.ndim == 2 else mask.any(axis=0)
    shape = outline_shape(flat, voxel_size[-2:])
    seen = {
        "area": flat.sum() * voxel_size[-2:].prod(),
        "diameter": shape["equivalent_diameter"],
        "elongation": shape["elongation"],
        "eccentricity": np.sqrt(1 - shape["elongation"] ** -2),
    }
    if mask.ndim == 2:
        return seen
    return seen | {"volume": mask.sum() * voxel_size.prod(), "height": len(mask) * voxel_size[0]}


def tabulate_populations(populations: Mapping[str, Mapping[str, Population]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Gather the cells of synthetic and real images.

    Parameters
    ----------
    populations : mapping
        By source, synthetic or real, and image.

    Returns
    -------
    cells : DataFrame
        One row per cell: source, image, and what `measure_population` measures.
    images : DataFrame
        One row per image: source, image, cells (their number away from the border) and density.
    """
    named = [(source, image, found) for source, part in populations.items() for image, found in part.items()]
    cells = [found.cells.assign(source=source, image=image) for source, image, found in named]
    cells = pd.concat([table for table in cells if len(table)] or cells[:1])
    images = [(source, image, len(found.cells), found.density) for source, image, found in named]
    order = ["source", "image", *cells.columns.drop(["source", "image"])]
    return cells[order], pd.DataFrame(images, columns=["source", "image", "cells", "density"])


def compare_shapes(cells: pd.DataFrame, images: pd.DataFrame, ndim: int) -> pd.DataFrame:
    """Measure how far synthetic cells are from real ones.

    Parameters
    ----------
    cells, images : DataFrame
        Of `tabulate_populations`; there may be no real ones.
    ndim : int
        Dimensions of the images.

    Returns
    -------
    DataFrame
        One row per measure: measure, unit; of each side the number of values, their median, mean and standard
        deviation; ks, the largest difference of the two distribution functions (0 to 1: the statistic of Kolmogorov
        and Smirnov); wasserstein, how far the values have to be moved on average, in the unit; relative, that over
        the mean of the real ones. NaN where there is nothing to compare. There are no p-values: cells of an image
        are not independent.
    """
    rows = []
    for measure, unit in list_measures(ndim).items():
        table = images if measure == "density" else cells
        ours, real = (table.loc[table["source"] == side, measure].dropna().to_numpy() for side in ("synthetic", "real"))
        distances = {"ks": np.nan, "wasserstein": np.nan, "relative": np.nan}
        if len(ours) and len(real):
            moved = wasserstein_distance(ours, real)
            distances = {"ks": ks_2samp(ours, real).statistic, "wasserstein": moved, "relative": moved / real.mean()}
        sides = _moments("synthetic", ours) | _moments("real", real)
        rows.append({"measure": measure, "unit": unit, **sides, **distances})
    return pd.DataFrame(rows)


def _moments(side: str, values: np.ndarray) -> dict[str, float]:
    count, median = f"{side}_n", f"{side}_median"
    mean, sd = f"{side}_mean", f"{side}_sd"
    if not len(values):
        return {count: 0, median: np.nan, mean: np.nan, sd: np.nan}
    spread = values.std(ddof=1) if len(values) > 1 else np.nan
    return {count: len(values), median: np.median(values), mean: values.mean(), sd: spread}


def fit_nuclei(populations: Iterable[Population]) -> dict[str, float | None]:
    """Find the numbers to simulate nuclei with, from segmented ones.

    Medians and quartiles, so that a few fragments and clumps of a rough segmentation do not count.

    Parameters
    ----------
    populations : iterable of Population
        Of the segmented images.

    Returns
    -------
    dict
        diameter (mean, micrometres) and diameter_cv of a log-normal distribution; elongation and elongation_sd;
        density, the mean over the images; spacing_um as `fit_spacing` finds it, and if it finds one cluster_fraction 0.

    Raises
    ------
    InputError
        If there are fewer than ten cells.
    """
    populations = list(populations)
    cells = _pool_cells(populations)
    size = _fit_diameter(cells["diameter"])
    density = float(np.nanmean([population.density for population in populations]))
    ndim = 3 if "volume" in cells else 2
    spacing = fit_spacing(cells["neighbour"].dropna(), size["diameter"], density / 10 ** (2 * ndim), ndim)
    return {
        **size,
        "elongation": float(cells["elongation"].median()),
        "elongation_sd": _robust_sd(cells["elongation"]),
        "density": density,
        "spacing_um": spacing,
        **({} if spacing is None else {"cluster_fraction": 0.0}),
    }


def fit_spacing(neighbours: pd.Series, diameter: float, density: float, ndim: int) -> float | None:
    """Find the smallest distance that cells keep from each other beyond what their sizes force.

    If cells lay at random but never nearer than a distance s, one in twenty would have another within
    (s^ndim + d)^(1 / ndim), where d is the size of the ball that holds a twentieth of a cell. That is solved for s, and
    taken only if it is well above the diameter, and if cells that keep a diameter apart would hardly ever have so few
    neighbours within s by chance: two neighbours count as one case.

    Parameters
    ----------
    neighbours : Series
        Distance of each cell to the nearest other one, micrometres.
    diameter : float
        Mean, micrometres.
    density : float
        Cells per square or cubic micrometre.
    ndim : int

    Returns
    -------
    float or None
        Micrometres.
    """
    if len(neighbours) < FEWEST:
        return None
    by_chance = -np.log(1 - NEAREST) / (density * ball_volume(1.0, ndim))
    spacing = float(max(neighbours.quantile(NEAREST) ** ndim - by_chance, 0) ** (1 / ndim))
    if spacing <= APART * diameter:
        return None
    expected = -np.expm1(-density * ball_volume(1.0, ndim) * (spacing**ndim - diameter**ndim))
    few = binom.cdf((neighbours < spacing).sum() // 2, len(neighbours) // 2, expected)
    return spacing if few < CHANCE else None


def fit_tissue(populations: Iterable[Population]) -> dict[str, float]:
    """Find the numbers to simulate tissue with, as `fit_nuclei` does for nuclei.

    Returns
    -------
    dict
        diameter (in 3D that of the ball of a cell's size) and diameter_cv.
    """
    cells = _pool_cells(list(populations))
    return _fit_diameter(np.cbrt(cells["volume"] * 6 / np.pi) if "volume" in cells else cells["diameter"])


def _pool_cells(populations: Sequence[Population]) -> pd.DataFrame:
    """Pool the cells of all images, or raise an InputError if they are too few for a fit."""
    cells = pd.concat([population.cells for population in populations])
    if len(cells) < FEWEST:
        raise InputError(
            f"simulation.fit: the rough segmentation found {len(cells)} cells away from the borders of"
            f" {len(populations)} images; {FEWEST} are needed, so set the numbers of simulation instead"
        )
    return cells


def _fit_diameter(diameters: pd.Series) -> dict[str, float]:
    logarithm = np.log(diameters)
    spread = _robust_sd(logarithm)
    return {
        "diameter": float(np.exp(logarithm.median() + spread**2 / 2)),
        "diameter_cv": float(np.sqrt(np.expm1(spread**2))),
    }


def _robust_sd(values: pd.Series) -> float:
    """Compute the standard deviation of the normal distribution that has the quartiles of these values."""
    return float(np.subtract(*np.percentile(values, [75, 25])) / QUARTILE_SIGMAS)
