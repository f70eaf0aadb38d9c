"""What all images of one movie or specimen add up to, for the verdict."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from ..errors import InputError
from .paired_tests import ALPHA

PANOPTIC, SEG = "PQ", "SEG"  # the quantities of a verdict
ONE_IMAGE, SEVERAL_IMAGES = "image", "movie or specimen"  # what a unit is
TERMS = ("numerator_a", "denominator_a", "numerator_b", "denominator_b")


class Segmented(NamedTuple):
    """How well a model does on all images of one organism, of `metrics.score_images`."""

    cells: pd.DataFrame
    """One row per reference cell."""
    images: Sequence[Mapping[str, Any]]
    """Counts of each image, or of each plane of it where only some cells are annotated: its per_image."""


def choose_quantity(images: Sequence[Mapping[str, Any]]) -> str:
    """Choose what the verdict is about.

    Returns
    -------
    str
        PQ, the panoptic quality, which counts false cells; or SEG where in no image all cells are annotated, so that
        nobody knows which predicted cells are false.
    """
    return SEG if images and all("plane" in image for image in images) else PANOPTIC


def pair_terms(a: Segmented, b: Segmented, groups: Mapping[str, str], names: Sequence[str]) -> pd.DataFrame:
    """Tabulate what each image adds to the numerator and the denominator of the quality of its unit.

    The panoptic quality is the sum of the IoU of the matched cells over TP + FP / 2 + FN / 2 (Kirillov et al. 2019,
    arXiv:1801.00868); SEG is the sum of the SEG of the annotated cells over their number.

    Parameters
    ----------
    a, b : Segmented
        Two models on the same images.
    groups : mapping of str to str
        The unit of each image.
    names : sequence of str
        Organism and models, for the error.

    Returns
    -------
    DataFrame
        By image, in order: columns group and TERMS. Without images that have no part in the quantity, such as those
        with sparse truth where others have all their cells annotated.

    Raises
    ------
    InputError
        If the models were not scored on the same images.
    """
    quantity = choose_quantity(a.images)
    sums = [_sum_terms(model.images, quantity) for model in (a, b)]
    if not sums[0].index.equals(sums[1].index):
        organism, model_a, model_b = names
        raise InputError(
            f"{organism}: {model_a} was scored on {len(sums[0])} images and {model_b} on {len(sums[1])}; "
            "a comparison needs the same images"
        )
    table = pd.concat(sums, axis=1)
    table.columns = pd.Index(TERMS)
    return table.assign(group=[groups[image] for image in table.index])


def pool_units(terms: pd.DataFrame) -> pd.DataFrame:
    """Pool the images of each unit: columns quality_a, quality_b and difference, a - b, by group.

    Units without any cell in one of the models have no quality and are left out.
    """
    sums = terms.groupby("group", sort=False)[list(TERMS)].sum()
    quality_a, quality_b = (sums[f"numerator_{model}"] / sums[f"denominator_{model}"] for model in "ab")
    table = pd.DataFrame({"quality_a": quality_a, "quality_b": quality_b, "difference": quality_a - quality_b})
    return table.dropna()


def linearise(terms: pd.DataFrame) -> np.ndarray:
    """Spread the difference of a pooled quality over the images of one unit.

    Returns
    -------
    array (images,)
        The difference of the pooled qualities plus the influence of each image on it; the mean is that difference.
    """
    values = np.zeros(len(terms))
    for model, sign in (("a", 1), ("b", -1)):
        top, bottom = (terms[f"{part}_{model}"].to_numpy(float) for part in ("numerator", "denominator"))
        quality = top.sum() / bottom.sum()
        values += sign * (quality + (top - quality * bottom) / bottom.mean())
    return values


def compare_halves(values: np.ndarray) -> tuple[float | None, float | None]:
    """Estimate the 95 % interval of the mean over the frames of one movie, from its two halves.

    Neighbouring frames resemble each other, so their scatter says little of the mean's. The means of long stretches
    are nearly independent (the method of batch means, Law & Carson 1979, doi:10.1287/opre.27.5.1011). Two stretches
    are the longest there are; Student's t with one degree of freedom holds the mean of two normal values. See
    benchmarks/null.py for how often the interval contains the true value, and for other intervals.

    Parameters
    ----------
    values : array (frames,)
        In the order of the movie.

    Returns
    -------
    low, high : float or None
        None for fewer than four frames.
    """
    if values.size < 4:
        return None, None
    first, second = (half.mean() for half in np.array_split(values, 2))
    reach = stats.t.ppf(1 - ALPHA / 2, 1) * abs(first - second) / 2
    return float(values.mean() - reach), float(values.mean() + reach)


def pool_precision(images: Sequence[Mapping[str, Any]], groups: Mapping[str, str]) -> pd.Series:
    """Compute the average precision of each unit, the mean over IoU thresholds from 0.5 to 0.95, by group."""
    complete = [image for image in images if "plane" not in image]
    table = pd.DataFrame([image["found_by_iou"] for image in complete], dtype=float)
    cells = pd.Series([image["n_reference"] + image["n_predicted"] for image in complete], dtype=float)
    units = [groups[image["image"]] for image in complete]
    found, total = table.groupby(units).sum(), cells.groupby(units).sum()
    return found.div(found.rsub(total, axis=0)).mean(axis=1)


def pool_ious(cells: pd.DataFrame, groups: Mapping[str, str]) -> pd.Series:
    """Compute the mean IoU of the reference cells of each unit, by group."""
    return cells["iou"].astype(float).groupby(cells["image"].map(groups).to_numpy()).mean()


def name_unit(groups: Sequence[str]) -> str:
    """Say what a unit is: an image, or a movie or specimen of which there are several images."""
    return ONE_IMAGE if len(set(groups)) == len(groups) else SEVERAL_IMAGES


def _sum_terms(images: Sequence[Mapping[str, Any]], quantity: str) -> pd.DataFrame:
    """Sum numerator and denominator of the quality over the planes of each image, by image in order."""
    if quantity == PANOPTIC:
        rows = [
            (image["image"], image["iou_sum"], (image["n_reference"] + image["n_predicted"]) / 2)
            for image in images
            if "plane" not in image
        ]
    else:
        rows = [(image["image"], image["n_reference"] * (image["seg"] or 0), image["n_reference"]) for image in images]
    table = pd.DataFrame(rows, columns=["image", "numerator", "denominator"])
    return table.astype({"numerator": float, "denominator": float}).groupby("image").sum()
