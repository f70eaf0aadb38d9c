"""Do two models segment the same cells differently, and is the difference large enough to matter?

Cells of one image share its focus, density and brightness, so they are not independent observations. The verdict takes
the image as the unit. Tests over cells are reported beside it because the paper has them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from ..errors import InputError

ALPHA = 0.05  # level of every test; intervals hold 1 - ALPHA
DRAWS = 1000  # of the bootstrap
NOTE = (
    "a small p says that the models differ, not that they are comparable; the verdict rests on the images, "
    "which must be independent"
)
CELL_KEY = ["image", "plane", "label"]  # the columns that identify a cell
_IMAGE_NUMBERS = ("difference", "difference_low", "difference_high", "difference_p", "equivalence_p")
_SHIFT_NUMBERS = ("hodges_lehmann", "hodges_lehmann_low", "hodges_lehmann_high", "image_signed_rank_p")
_CELL_NUMBERS = (
    *("median_a", "median_b", "median_difference", "rank_biserial", "rank_biserial_low", "rank_biserial_high"),
    *("ranksum_statistic", "ranksum_p", "signed_rank_statistic", "signed_rank_p"),
)
Numbers = dict[str, float | None]


def compare_ious(
    iou_a: np.ndarray, iou_b: np.ndarray, images: Sequence[Any] | pd.Index, *, margin: float, seed: int
) -> dict[str, Any]:
    """Compare the IoU of the same cells under two models; every difference is a - b.

    Parameters
    ----------
    iou_a, iou_b : array (cells,)
        IoU of each cell under either model, in the same order.
    images : sequence (cells,)
        The image of each cell. Cells of one image may depend on each other; images must be independent.
    margin : float
        Largest difference of the mean IoU at which models still count as equivalent.
    seed : int
        Of the bootstrap.

    Returns
    -------
    comparison : dict
        verdict, of `decide`; n_images, n_cells and margin; all of `compare_images`, `estimate_shift` and
        `compare_cells`; note. None where there are too few images or cells.

    Raises
    ------
    ValueError
        If the arrays differ in length.
    """
    iou_a, iou_b = np.asarray(iou_a, float), np.asarray(iou_b, float)
    if not iou_a.size == iou_b.size == len(images):
        raise ValueError(f"paired samples differ in length: {iou_a.size}, {iou_b.size} and {len(images)}")
    clusters = [group.to_numpy() for _, group in pd.Series(iou_a - iou_b).groupby(np.asarray(images))]
    means = np.array([cluster.mean() for cluster in clusters])
    numbers = compare_images(means, margin)
    return {
        "verdict": decide(numbers["difference"], numbers["difference_p"], numbers["equivalence_p"]),
        "n_images": means.size,
        "n_cells": iou_a.size,
        "margin": margin,
        **numbers,
        **estimate_shift(means),
        **compare_cells(iou_a, iou_b),
        **_bootstrap_rank_biserial(clusters, seed),
        "note": NOTE,
    }


def compare_images(differences: np.ndarray, margin: float) -> Numbers:
    """Test by Student's t over images whether a difference is zero, and whether it is within a margin.

    The cells of an image enter as one number, their mean difference. So it does not matter how they depend on each
    other, and few images make wide intervals instead of small p-values.

    Parameters
    ----------
    differences : array (images,)
        Mean difference of the IoU of the cells of each image.
    margin : float
        The equivalence test is two one-sided tests against -margin and margin
        (Schuirmann 1987, doi:10.1007/BF01068419).

    Returns
    -------
    dict
        difference, the mean; difference_low and difference_high, its 95 % confidence interval; difference_p,
        two-sided; equivalence_p, small if the difference is within the margin. None for fewer than two images.
    """
    if differences.size < 2:
        return dict.fromkeys(_IMAGE_NUMBERS) | {"difference": _average(differences)}
    mean = float(differences.mean())
    if np.ptp(differences) == 0:  # no scatter, so no uncertainty
        return dict(zip(_IMAGE_NUMBERS, (mean, mean, mean, float(mean == 0), float(abs(mean) >= margin)), strict=True))
    sample = DescrStatsW(differences)
    low, high = sample.tconfint_mean(ALPHA)
    values = (mean, low, high, sample.ttest_mean(0)[1], sample.ttost_mean(-margin, margin)[0])
    return dict(zip(_IMAGE_NUMBERS, map(float, values), strict=True))


def estimate_shift(differences: np.ndarray) -> Numbers:
    """Estimate the shift of Hodges and Lehmann, with the interval that the exact signed-rank test does not reject.

    The test assumes only that the differences are symmetric, where `compare_images` assumes that they are about
    normal. The two should agree. The smallest p of n images is 2 / 2^n: fewer than six can never reject at 0.05, and
    then there is no interval.

    Parameters
    ----------
    differences : array (images,)
        Mean difference of the IoU of the cells of each image.

    Returns
    -------
    dict
        hodges_lehmann, the median of the means of all pairs of images, each image with itself included
        (Hodges & Lehmann 1963, doi:10.1214/aoms/1177704172); hodges_lehmann_low and hodges_lehmann_high, its 95 %
        interval, None for fewer than six images; image_signed_rank_p. All None for fewer than two images.
    """
    if differences.size < 2:
        return dict.fromkeys(_SHIFT_NUMBERS)
    pairs = np.triu_indices(differences.size)
    walsh = np.sort((differences[pairs[0]] + differences[pairs[1]]) / 2)
    left_out = _find_signed_rank_quantile(differences.size, ALPHA / 2)
    interval = (None, None) if left_out < 0 else (float(walsh[left_out]), float(walsh[-1 - left_out]))
    return dict(
        zip(_SHIFT_NUMBERS, (float(np.median(walsh)), *interval, _test_signed_rank(differences)[1]), strict=True)
    )


def compare_cells(iou_a: np.ndarray, iou_b: np.ndarray) -> Numbers:
    """Compare cells as if they were independent observations, which cells of one image are not.

    Parameters
    ----------
    iou_a, iou_b : array (cells,)
        IoU of each cell under either model, in the same order.

    Returns
    -------
    dict
        median_a and median_b; median_difference, of a - b over the cells; rank_biserial, of the function of that
        name; ranksum_statistic and ranksum_p, the two-sided Wilcoxon rank-sum test of Eschweiler et al. 2024
        (Mann and Whitney's U of a, corrected for ties), which also ignores the pairing; signed_rank_statistic and
        signed_rank_p, the two-sided Wilcoxon signed-rank test on the pairs, without equal pairs. None where there is
        no cell.
    """
    numbers: Numbers = dict.fromkeys(_CELL_NUMBERS)
    if iou_a.size:
        numbers |= {"median_a": float(np.median(iou_a)), "median_b": float(np.median(iou_b))}
        numbers["median_difference"] = float(np.median(iou_a - iou_b))
        numbers["rank_biserial"] = rank_biserial(iou_a - iou_b)
        numbers["ranksum_statistic"], numbers["ranksum_p"] = _test_rank_sum(iou_a, iou_b)
        numbers["signed_rank_statistic"], numbers["signed_rank_p"] = _test_signed_rank(iou_a - iou_b)
    return numbers


def rank_biserial(differences: np.ndarray) -> float:
    """Matched-pairs rank-biserial correlation: share of the ranks in favour minus share of those against.

    Kerby 2014, doi:10.2466/11.IT.3.1. Pairs without a difference are left out. 0 if there are no other pairs.

    Examples
    --------
    >>> round(rank_biserial(np.array([0.1, 0.2, -0.3, 0.4])), 3)
    0.4
    """
    differences = differences[differences != 0]
    if not differences.size:
        return 0.0
    ranks = stats.rankdata(np.abs(differences))
    return float((ranks * np.sign(differences)).sum() / ranks.sum())


def bootstrap_by_image(
    clusters: Sequence[np.ndarray], statistic: Callable[[np.ndarray], float], seed: int
) -> tuple[float, float]:
    """Estimate the 95 % percentile interval of a statistic over cells by drawing whole images with replacement.

    Davison & Hinkley 1997, section 3.8. With few images the interval is too narrow; see benchmarks/null.py.

    Parameters
    ----------
    clusters : sequence of array (cells,)
        The values of each image's cells.
    statistic : function
        Of an array (cells,).
    seed : int
        Of the draws.
    """
    drawn = np.random.default_rng(seed).integers(len(clusters), size=(DRAWS, len(clusters)))
    values = [statistic(np.concatenate([clusters[image] for image in images])) for images in drawn]
    low, high = np.quantile(values, [ALPHA / 2, 1 - ALPHA / 2])
    return float(low), float(high)


def decide(difference: float | None, difference_p: float | None, equivalence_p: float | None) -> str:
    """Say in a word what holds of model a beside model b.

    Returns
    -------
    str
        equivalent, if the difference is shown to be within the margin, whether it is zero or not; else better or
        worse, if there is a difference; else undecided: the images are too few to tell. No true difference is both
        zero and beyond the margin, so at most one of the two tests can err.

    Examples
    --------
    >>> decide(0.01, 0.001, 0.0001), decide(-0.2, 0.001, 0.9), decide(0.01, 0.4, 0.2)
    ('equivalent', 'worse', 'undecided')
    """
    if difference is None or difference_p is None or equivalence_p is None or np.isnan(difference_p):
        return "undecided"
    if equivalence_p < ALPHA:
        return "equivalent"
    if difference_p < ALPHA:
        return "better" if difference > 0 else "worse"
    return "undecided"


def explain(row: pd.Series) -> str:
    """Say in one sentence what a row of `compare_organisms` or `compare_baselines` means.

    Examples
    --------
    >>> numbers = {"difference": 0.0125, "difference_low": -0.001, "difference_high": 0.026, "margin": 0.05}
    >>> names = {"model_a": "sketchscope", "model_b": "classical", "verdict": "equivalent", "n_images": 8}
    >>> explain(pd.Series(names | numbers))  # doctest: +NORMALIZE_WHITESPACE
    'sketchscope is equivalent to classical: its mean IoU is 0.013 higher (95 % interval -0.001 to 0.026, 8 images),
    within the margin of 0.05'
    """
    if pd.isna(row["difference_low"]):
        return f"undecided: a comparison needs two or more labelled test images, found {row['n_images']}"
    low, high = row["difference_low"], row["difference_high"]
    middle = f"its mean IoU is {abs(row['difference']):.3f} {'higher' if row['difference'] >= 0 else 'lower'}"
    interval = f"(95 % interval {low:.3f} to {high:.3f}, {row['n_images']} images)"
    opening, closing = {
        "equivalent": ("is equivalent to", f"within the margin of {row['margin']:g}"),
        "better": ("is better than", "more than chance explains"),
        "worse": ("is worse than", "more than chance explains"),
        "undecided": ("may be as good as, better or worse than", "too few images to tell"),
    }[row["verdict"]]
    return f"{row['model_a']} {opening} {row['model_b']}: {middle} {interval}, {closing}"


def compare_baselines(cells: Mapping[str, pd.DataFrame], *, organism: str, margin: float, seed: int) -> pd.DataFrame:
    """Compare one model with each of several others on the cells of one organism.

    Parameters
    ----------
    cells : mapping of str to DataFrame
        By model, first the one that is compared with the others: columns image, plane, label and iou, one row per
        reference cell, in any order.
    organism : str
        Name of the organism.
    margin, seed
        See `compare_ious`.

    Returns
    -------
    DataFrame
        One row per other model. Columns organism, model_a (the first model) and model_b, then those of
        `compare_ious`.

    Raises
    ------
    InputError
        If the tables do not hold the same cells.
    """
    first, *others = cells
    nothing = compare_ious(np.zeros(0), np.zeros(0), [], margin=margin, seed=seed)
    rows = [
        {"organism": organism, "model_a": first, "model_b": other}
        | compare_ious(*_pair_ious(cells, organism, first, other), margin=margin, seed=seed)
        for other in others
    ]
    return pd.DataFrame(rows, columns=["organism", "model_a", "model_b", *nothing])


def compare_organisms(comparisons: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Gather the comparisons of all organisms and correct for their number.

    Parameters
    ----------
    comparisons : sequence of DataFrame
        Of `compare_baselines`, one for each organism.

    Returns
    -------
    DataFrame
        One row per organism and baseline, with difference_p_holm and equivalence_p_holm, corrected over all rows
        (Holm 1979, www.jstor.org/stable/4615733), each of the two questions by itself; the verdict by these
        p-values; and a sentence on it.
    """
    rows = [row for comparison in comparisons for row in comparison.to_dict("records")]
    table = pd.DataFrame(rows, columns=comparisons[0].columns)
    for column in ("difference_p", "equivalence_p"):
        table[f"{column}_holm"] = correct_holm(table[column].to_numpy(float))
    decided = table[["difference", "difference_p_holm", "equivalence_p_holm"]].itertuples(index=False)
    table["verdict"] = [decide(*numbers) for numbers in decided]
    table["sentence"] = [explain(row) for _, row in table.iterrows()]
    return table


def correct_holm(p: np.ndarray) -> np.ndarray:
    """Correct p-values (N,) by Holm's method. NaN stands for no test: it stays, and does not count."""
    corrected, tested = p.copy(), ~np.isnan(p)
    if tested.any():
        corrected[tested] = multipletests(p[tested], method="holm")[1]
    return corrected


def _pair_ious(
    cells: Mapping[str, pd.DataFrame], organism: str, model_a: str, model_b: str
) -> tuple[np.ndarray, np.ndarray, pd.Index]:
    """Find the IoU of each cell under either model, and the image of each cell.

    Raises
    ------
    InputError
        If the tables of the two models do not hold the same cells.
    """
    ious_a, ious_b = (cells[model].set_index(CELL_KEY)["iou"].sort_index() for model in (model_a, model_b))
    if not ious_a.index.equals(ious_b.index):
        raise InputError(
            f"{organism}: {model_a} was scored on {len(ious_a)} cells and {model_b} on {len(ious_b)}; "
            "a comparison needs the same cells of the same images"
        )
    return ious_a.to_numpy(), ious_b.to_numpy(), ious_a.index.get_level_values("image")


def _find_signed_rank_quantile(n: int, alpha: float) -> int:
    """The largest w such that a sum of positive ranks up to w has a probability up to alpha; -1 if there is none."""
    probability = np.ones(1)
    for rank in range(1, n + 1):  # every rank is positive or negative with equal probability
        negative, positive = np.pad(probability, (0, rank)), np.pad(probability, (rank, 0))
        probability = (negative + positive) / 2
    return int(np.searchsorted(np.cumsum(probability), alpha * (1 + 1e-12), side="right")) - 1


def _bootstrap_rank_biserial(clusters: Sequence[np.ndarray], seed: int) -> Numbers:
    if len(clusters) < 2:
        return {}
    low, high = bootstrap_by_image(clusters, rank_biserial, seed)
    return {"rank_biserial_low": low, "rank_biserial_high": high}


def _test_rank_sum(iou_a: np.ndarray, iou_b: np.ndarray) -> tuple[float, float]:
    if np.ptp(np.concatenate([iou_a, iou_b])) == 0:
        return iou_a.size * iou_b.size / 2, 1.0  # all values are equal, so the variance of U is 0
    result = stats.mannwhitneyu(iou_a, iou_b, alternative="two-sided")
    return float(result.statistic), float(result.pvalue)


def _test_signed_rank(differences: np.ndarray) -> tuple[float, float]:
    differences = differences[differences != 0]
    if differences.size == 0:
        return 0.0, 1.0  # where SciPy gives NaN
    result = stats.wilcoxon(differences)
    return float(result.statistic), float(result.pvalue)


def _average(values: np.ndarray) -> float | None:
    return float(values.mean()) if values.size else None
