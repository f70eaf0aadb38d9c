import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sketchscope import statistics
from sketchscope.errors import InputError


def test_signed_rank_of_a_shift_has_the_closed_form():
    """n equal signs without ties: W = 0 and the exact two-sided p is 2 / 2^n."""
    n = 9
    iou = np.linspace(0.2, 0.6, n)
    result = statistics.compare_ious(iou, iou + 0.01 * np.arange(1, n + 1))
    assert result["signed_rank_statistic"] == 0
    assert result["signed_rank_p"] == pytest.approx(2 / 2**n)


def test_rank_sum_of_separate_samples_has_the_closed_form():
    """All of a below all of b: U = 0 and the exact two-sided p is 2 / (2n over n)."""
    n = 6
    result = statistics.compare_ious(0.1 + 0.01 * np.arange(n), 0.7 + 0.01 * np.arange(n))
    assert result["ranksum_statistic"] == 0
    assert result["ranksum_p"] == pytest.approx(2 / math.comb(2 * n, n))


def test_tests_of_many_cells_equal_scipy():
    rng = np.random.default_rng(0)
    a = rng.beta(8, 2, 300)
    b = np.clip(a + rng.normal(0.01, 0.05, 300), 0, 1)
    result = statistics.compare_ious(a, b)
    z, p = stats.ranksums(a, b)  # the normal approximation without continuity correction
    assert result["ranksum_p"] == pytest.approx(p, rel=0.01)
    assert (result["ranksum_statistic"] < 300**2 / 2) == (z < 0)
    w, p = stats.wilcoxon(a, b)
    assert (result["signed_rank_statistic"], result["signed_rank_p"]) == pytest.approx((w, p))
    assert result["median_difference"] == pytest.approx(np.median(b - a))
    assert (result["median_a"], result["median_b"]) == pytest.approx((np.median(a), np.median(b)))
    assert result["signed_rank_p"] < result["ranksum_p"]  # pairing sees the small shift
    assert "differ" in result["note"]


def test_ties_are_corrected_for():
    """Missed cells give both models many zeros; p agrees with a permutation test."""
    rng = np.random.default_rng(1)
    a = np.concatenate([np.zeros(20), rng.choice([0.7, 0.8, 0.9], 20)])
    b = np.concatenate([np.zeros(12), rng.choice([0.7, 0.8, 0.9], 28)])
    ranks = stats.rankdata(np.concatenate([a, b]))
    sums = np.array([rng.permutation(ranks)[:40].sum() for _ in range(20_000)])
    extreme = np.abs(sums - sums.mean()) >= abs(ranks[:40].sum() - sums.mean()) - 1e-9
    assert statistics.compare_ious(a, b)["ranksum_p"] == pytest.approx(extreme.mean(), abs=0.02)


@pytest.mark.parametrize("iou", [np.full(5, 0.8), np.linspace(0, 1, 7), np.array([0.3])])
def test_equal_models_do_not_differ(iou):
    result = statistics.compare_ious(iou, iou)
    assert result["ranksum_p"] == pytest.approx(1)
    assert (result["signed_rank_statistic"], result["signed_rank_p"]) == (0, 1)
    assert result["median_difference"] == 0


def test_no_cells():
    result = statistics.compare_ious(np.zeros(0), np.zeros(0))
    assert result["n_cells"] == 0
    assert all(value is None for key, value in result.items() if key not in ("n_cells", "note"))


def test_different_lengths():
    with pytest.raises(ValueError, match="4 and 3"):
        statistics.compare_ious(np.zeros(4), np.zeros(3))


def table(ious, labels=(1, 2, 1)):
    return pd.DataFrame({"image": ["007", "007", "008"], "label": labels, "iou": ious})


def test_cells_are_paired_by_image_and_label():
    a, b = table([0.1, 0.5, 0.9]), table([0.2, 0.7, 0.95])
    names = {"organism": "hela", "model_a": "synthetic", "model_b": "classical"}
    row = statistics.compare_models(a, b.iloc[::-1], **names)
    assert len(row) == 1
    assert row.loc[0, list(names)].to_dict() == names
    assert row.loc[0, "median_difference"] == pytest.approx(0.1)
    pd.testing.assert_frame_equal(row, statistics.compare_models(a, b, **names))


def test_other_cells_are_refused():
    names = {"organism": "hela", "model_a": "synthetic", "model_b": "classical"}
    for other in (table([0, 0, 0], labels=(1, 2, 3)), table([0, 0, 0]).iloc[:2]):
        with pytest.raises(InputError, match="hela: synthetic was scored on 3 cells and classical on"):
            statistics.compare_models(table([0, 0, 0]), other, **names)
