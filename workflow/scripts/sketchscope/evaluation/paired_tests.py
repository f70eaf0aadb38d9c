"""Tests of paired differences: over units, which are independent, and over cells, which are not.

Cells of one image share its focus, density and brightness, and frames of one movie show the same cells again. So the
verdict takes the movie or specimen as the unit. Tests over cells are reported beside it because the paper has them.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

ALPHA = 0.05  # level of every test; intervals hold 1 - ALPHA
DRAWS = 1000  # of the bootstrap
_UNIT_NUMBERS = ("difference", "difference_low", "difference_high", "difference_p", "equivalence_p")
_SHIFT_NUMBERS = ("hodges_lehmann", "hodges_lehmann_low", "hodges_lehmann_high", "unit_signed_rank_p")
_CELL_NUMBERS = (
    *("median_a", "median_b", "median_difference", "rank_biserial"),
    *("ranksum_statistic", "ranksum_p", "signed_rank_statistic", "signed_rank_p"),
)
Numbers = dict[str, float | None]


def compare_units(differences: np.ndarray, margin: float) -> Numbers:
    """Test by Student's t over units whether a difference is zero, and whether it is within a margin.

    All that is seen of a unit enters as one number. So it does not matter how its images and cells depend on each
    other, and few units make wide intervals instead of small p-values.

    Parameters
    ----------
    differences : array (units,)
        Difference of the quality of each unit.
    margin : float
        The equivalence test is two one-sided tests against -margin and margin
        (Schuirmann 1987, doi:10.1007/BF01068419).

    Returns
    -------
    dict
        difference, the mean; difference_low and difference_high, its 95 % confidence interval; difference_p,
        two-sided; equivalence_p, small if the difference is within the margin. None for fewer than two units.
    """
    if differences.size < 2:
        return dict.fromkeys(_UNIT_NUMBERS) | {"difference": _average(differences)}
    mean = float(differences.mean())
    if np.ptp(differences) == 0:  # no scatter, so no uncertainty
        return dict(zip(_UNIT_NUMBERS, (mean, mean, mean, float(mean == 0), float(abs(mean) >= margin)), strict=True))
    sample = DescrStatsW(differences)
    low, high = sample.tconfint_mean(ALPHA)
    values = (mean, low, high, sample.ttest_mean(0)[1], sample.ttost_mean(-margin, margin)[0])
    return dict(zip(_UNIT_NUMBERS, map(float, values), strict=True))


def estimate_shift(differences: np.ndarray) -> Numbers:
    """Estimate the shift of Hodges and Lehmann, with the interval that the exact signed-rank test does not reject.

    The test assumes only that the differences are symmetric, where `compare_units` assumes that they are about
    normal. The two should agree. The smallest p of n units is 2 / 2^n: fewer than six can never reject at 0.05, and
    then there is no interval.

    Parameters
    ----------
    differences : array (units,)
        Difference of the quality of each unit.

    Returns
    -------
    dict
        hodges_lehmann, the median of the means of all pairs of units, each unit with itself included
        (Hodges & Lehmann 1963, doi:10.1214/aoms/1177704172); hodges_lehmann_low and hodges_lehmann_high, its 95 %
        interval, None for fewer than six images; unit_signed_rank_p. All None for fewer than two units.
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
    """Compare cells as if they were independent observations, which cells of one unit are not.

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


def bootstrap_by_unit(
    clusters: Sequence[np.ndarray], statistic: Callable[[np.ndarray], float], seed: int
) -> tuple[float, float]:
    """Estimate the 95 % percentile interval of a statistic over cells by drawing whole units with replacement.

    Davison & Hinkley 1997, section 3.8. With few units the interval is too narrow; see benchmarks/null.py.

    Parameters
    ----------
    clusters : sequence of array (cells,)
        The values of each unit's cells.
    statistic : function
        Of an array (cells,).
    seed : int
        Of the draws.
    """
    drawn = np.random.default_rng(seed).integers(len(clusters), size=(DRAWS, len(clusters)))
    values = [statistic(np.concatenate([clusters[unit] for unit in units])) for units in drawn]
    low, high = np.quantile(values, [ALPHA / 2, 1 - ALPHA / 2])
    return float(low), float(high)


def correct_holm(p: np.ndarray) -> np.ndarray:
    """Correct p-values (N,) by Holm's method. NaN stands for no test: it stays, and does not count."""
    corrected, tested = p.copy(), ~np.isnan(p)
    if tested.any():
        corrected[tested] = multipletests(p[tested], method="holm")[1]
    return corrected


def _find_signed_rank_quantile(n: int, alpha: float) -> int:
    """The largest w such that a sum of positive ranks up to w has a probability up to alpha; -1 if there is none."""
    probability = np.ones(1)
    for rank in range(1, n + 1):  # every rank is positive or negative with equal probability
        negative, positive = np.pad(probability, (0, rank)), np.pad(probability, (rank, 0))
        probability = (negative + positive) / 2
    return int(np.searchsorted(np.cumsum(probability), alpha * (1 + 1e-12), side="right")) - 1


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
