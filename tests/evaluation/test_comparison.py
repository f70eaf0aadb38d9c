import json
import math
import sys

import numpy as np
import pandas as pd
import pytest
from running import REPOSITORY, run_script
from scipy import stats
from sketchscope.errors import InputError
from sketchscope.evaluation.comparison import (
    bootstrap_by_image,
    compare_baselines,
    compare_images,
    compare_ious,
    compare_organisms,
    estimate_shift,
    rank_biserial,
)
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

sys.path.insert(0, str(REPOSITORY / "benchmarks"))
import null

NAMES = {"organism": "hela", "model_a": "sketchscope", "model_b": "classical"}


def compare(iou_a, iou_b, images=None, **keywords):
    """Compare cells, each in an image of its own unless it is said which."""
    return compare_ious(
        iou_a, iou_b, range(len(iou_b)) if images is None else images, **{"margin": 0.05, "seed": 0} | keywords
    )


def test_signed_rank_of_a_shift_has_the_closed_form():
    """n equal signs without ties: W = 0 and the exact two-sided p is 2 / 2^n."""
    n = 9
    iou = np.linspace(0.2, 0.6, n)
    result = compare(iou, iou + 0.01 * np.arange(1, n + 1))
    assert result["signed_rank_statistic"] == 0
    assert result["signed_rank_p"] == result["image_signed_rank_p"] == pytest.approx(2 / 2**n)
    assert result["rank_biserial"] == -1


def test_rank_sum_of_separate_samples_has_the_closed_form():
    """All of a below all of b: U = 0 and the exact two-sided p is 2 / (2n over n)."""
    n = 6
    result = compare(0.1 + 0.01 * np.arange(n), 0.7 + 0.01 * np.arange(n))
    assert result["ranksum_statistic"] == 0
    assert result["ranksum_p"] == pytest.approx(2 / math.comb(2 * n, n))


def test_tests_of_many_cells_equal_scipy():
    rng = np.random.default_rng(0)
    a = rng.beta(8, 2, 300)
    b = np.clip(a + rng.normal(0.01, 0.05, 300), 0, 1)
    result = compare(a, b)
    z, p = stats.ranksums(a, b)  # the normal approximation without continuity correction
    assert result["ranksum_p"] == pytest.approx(p, rel=0.01)
    assert (result["ranksum_statistic"] < 300**2 / 2) == (z < 0)
    w, p = stats.wilcoxon(a, b)
    assert (result["signed_rank_statistic"], result["signed_rank_p"]) == pytest.approx((w, p))
    assert result["median_difference"] == pytest.approx(np.median(a - b))
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
    assert compare(a, b)["ranksum_p"] == pytest.approx(extreme.mean(), abs=0.02)


@pytest.mark.parametrize("iou", [np.full(5, 0.8), np.linspace(0, 1, 7), np.array([0.3])])
def test_equal_models_do_not_differ(iou):
    result = compare(iou, iou)
    assert result["ranksum_p"] == pytest.approx(1)
    assert (result["signed_rank_statistic"], result["signed_rank_p"]) == (0, 1)
    assert result["median_difference"] == 0


def test_no_cells():
    result = compare(np.zeros(0), np.zeros(0))
    assert (result["n_cells"], result["n_images"], result["verdict"]) == (0, 0, "undecided")
    said = ("verdict", "n_images", "n_cells", "margin", "note")
    assert all(value is None for key, value in result.items() if key not in said)


def test_different_lengths():
    with pytest.raises(ValueError, match="4, 3 and 3"):
        compare(np.zeros(4), np.zeros(3))


def cells(ious, labels=(1, 2, 1)):
    return pd.DataFrame({"image": ["007", "007", "008"], "plane": -1, "label": labels, "iou": ious})


def compared(trained, *baselines):
    """Compare a model with baselines named classical, cyto3 and nuclei."""
    tables = zip(("sketchscope", "classical", "cyto3", "nuclei"), (trained, *baselines), strict=False)
    return compare_baselines(dict(tables), organism="hela", margin=0.05, seed=0)


def test_every_baseline_has_a_row_that_the_others_do_not_change():
    a, others = cells([0.1, 0.5, 0.9]), [cells([0.2, 0.7, 0.95]), cells([0.0, 0.1, 0.3]), cells([0.1, 0.5, 0.9])]
    table = compared(a, *others)
    assert table["model_a"].tolist() == ["sketchscope"] * 3
    assert table["model_b"].tolist() == ["classical", "cyto3", "nuclei"]
    for (_, row), other in zip(table.iterrows(), others, strict=True):
        alone = compared(a, other).loc[0].drop("model_b")
        assert alone.equals(row.drop("model_b"))
    assert compared(a).columns.tolist() == table.columns.tolist()
    assert len(compared(a)) == 0


def test_cells_are_paired_by_image_and_label():
    a, b = cells([0.1, 0.5, 0.9]), cells([0.2, 0.7, 0.95])
    row = compared(a, b.iloc[::-1])
    assert len(row) == 1
    assert row.loc[0, list(NAMES)].to_dict() == NAMES
    assert row.loc[0, "median_difference"] == pytest.approx(-0.1)
    assert row.loc[0, "difference"] == pytest.approx(np.mean([-0.15, -0.05]))
    pd.testing.assert_frame_equal(row, compared(a, b))


def test_other_cells_are_refused():
    for other in (cells([0, 0, 0], labels=(1, 2, 3)), cells([0, 0, 0]).iloc[:2]):
        with pytest.raises(InputError, match="hela: sketchscope was scored on 3 cells and classical on"):
            compared(cells([0, 0, 0]), other)


def test_planes_of_an_image_are_one_observation():
    found = pd.concat([cells([0.1, 0.5, 0.9]), cells([0.3, 0.4, 0.8]).assign(plane=3)])
    row = compared(found, found.assign(iou=0.5)).loc[0]
    assert (row["n_images"], row["n_cells"]) == (2, 6)
    assert row["difference"] == pytest.approx(np.mean([np.mean([-0.4, 0, -0.2, -0.1]), np.mean([0.4, 0.3])]))


@pytest.mark.parametrize("n", [2, 5, 8, 40])
@pytest.mark.parametrize("shift", [0.0, 0.03, -0.2])
def test_tests_over_images_equal_scipy_and_statsmodels(n, shift):
    differences = np.random.default_rng(n).normal(shift, 0.03, n)
    result = compare_images(differences, 0.05)
    expected = stats.ttest_1samp(differences, 0)
    assert result["difference_p"] == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert (result["difference_low"], result["difference_high"]) == pytest.approx((interval.low, interval.high))
    one_sided = [
        stats.ttest_1samp(differences, limit, alternative=side).pvalue
        for limit, side in ((-0.05, "greater"), (0.05, "less"))
    ]
    assert result["equivalence_p"] == pytest.approx(max(one_sided))
    assert result["equivalence_p"] == pytest.approx(ttost_paired(differences, np.zeros(n), -0.05, 0.05)[0])


def test_equivalence_is_the_interval_within_the_margin():
    """Two one-sided tests at 5 % reject where the 90 % interval is within the margin."""
    rng = np.random.default_rng(3)
    samples = [rng.normal(rng.uniform(-0.06, 0.06), 0.03, 8) for _ in range(200)]
    within = [abs(np.array(stats.ttest_1samp(d, 0).confidence_interval(0.9))).max() < 0.05 for d in samples]
    assert [compare_images(d, 0.05)["equivalence_p"] < 0.05 for d in samples] == within
    assert 20 < sum(within) < 180


@pytest.mark.parametrize(
    ("differences", "p", "equivalence"), [([0.0] * 3, 1, 0), ([0.01] * 3, 0, 0), ([-0.2] * 3, 0, 1)]
)
def test_images_without_scatter(differences, p, equivalence):
    result = compare_images(np.array(differences), 0.05)
    assert (result["difference_p"], result["equivalence_p"]) == (p, equivalence)
    assert result["difference_low"] == result["difference"] == result["difference_high"]


@pytest.mark.parametrize("n", [2, 6, 8, 13, 40])
def test_shift_and_its_interval_by_definition(n):
    """The interval holds the shifts that the exact signed-rank test does not reject."""
    differences = np.random.default_rng(n).normal(0.02, 0.05, n)
    result = estimate_shift(differences)
    walsh = [(a + b) / 2 for i, a in enumerate(differences) for b in differences[i:]]
    assert result["hodges_lehmann"] == pytest.approx(np.median(walsh))
    low, high = result["hodges_lehmann_low"], result["hodges_lehmann_high"]
    if n < 6:
        assert (low, high) == (None, None)
        return
    kept = [stats.wilcoxon(differences - shift, method="exact").pvalue > 0.05 for shift in (low + 1e-9, high - 1e-9)]
    left = [stats.wilcoxon(differences - shift, method="exact").pvalue > 0.05 for shift in (low - 1e-9, high + 1e-9)]
    assert (kept, left) == ([True, True], [False, False])
    assert result["image_signed_rank_p"] == pytest.approx(stats.wilcoxon(differences).pvalue)


def test_rank_biserial_is_that_of_wilcoxon():
    differences = np.append(np.random.default_rng(0).normal(0.1, 0.3, 60).round(1), 0)
    w = stats.wilcoxon(differences[differences != 0], alternative="greater").statistic
    n = np.count_nonzero(differences)
    assert rank_biserial(differences) == pytest.approx(2 * w / (n * (n + 1) / 2) - 1)
    assert rank_biserial(np.zeros(3)) == 0


def test_bootstrap_draws_images_and_not_cells():
    rng = np.random.default_rng(0)
    means = rng.normal(0, 1, 10)
    clusters = [np.full(500, mean) for mean in means]
    low, high = bootstrap_by_image(clusters, np.mean, seed=0)
    expected = stats.bootstrap((means,), np.mean, method="percentile", rng=1).confidence_interval
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.08)
    assert bootstrap_by_image(clusters, np.mean, seed=0) == (low, high)
    assert bootstrap_by_image(clusters, np.mean, seed=1) != (low, high)


def test_verdicts():
    rng = np.random.default_rng(0)
    iou, images = rng.uniform(0.5, 0.9, 800), np.repeat(np.arange(8), 100)
    noise = rng.normal(0, 0.01, 800)
    assert compare(iou + noise, iou, images)["verdict"] == "equivalent"
    assert compare(iou + noise + 0.02, iou, images)["verdict"] == "equivalent"  # though not the same
    assert compare(iou + noise + 0.02, iou, images, margin=0.01)["verdict"] == "better"
    assert compare(iou + noise - 0.1, iou, images)["verdict"] == "worse"
    assert compare(iou + rng.normal(0, 0.2, 8)[images], iou, images)["verdict"] == "undecided"
    assert compare(iou - 0.1, iou, np.zeros(800))["verdict"] == "undecided"  # one image tells nothing


def comparisons(shifts):
    rng = np.random.default_rng(0)
    images = np.repeat(np.arange(8), 20)
    rows = []
    for number, shift in enumerate(shifts):
        iou = rng.uniform(0.5, 0.9, 160)
        fares = shift + rng.normal(0, 0.05, 8)[images]
        numbers = compare(iou + fares, iou, images)
        rows.append(pd.DataFrame([NAMES | {"organism": f"organism-{number}"} | numbers]))
    return rows


def test_organisms_are_corrected_for_by_holm():
    rows = comparisons([0.0, 0.0, 0.05, 0.06, -0.2])
    unlabelled = pd.DataFrame([NAMES | compare(np.zeros(0), np.zeros(0))])
    table = compare_organisms([*rows, unlabelled])
    for column in ("difference_p", "equivalence_p"):
        expected = multipletests(table[column].dropna().to_numpy(float), method="holm")[1]
        np.testing.assert_allclose(table[f"{column}_holm"].dropna(), expected)
        assert (table[f"{column}_holm"].dropna() >= table[column].dropna()).all()
    assert table["verdict"].tolist()[-2:] == ["worse", "undecided"]
    alone = [row.loc[0, "verdict"] for row in rows]
    assert alone != table["verdict"].tolist()[:-1], "the correction takes one verdict back"
    assert table["sentence"].iloc[-1] == ("undecided: a comparison needs two or more labelled test images, found 0")
    assert table["sentence"].iloc[-2].startswith("sketchscope is worse than classical: its mean IoU is 0.")


def test_baselines_are_corrected_for_like_organisms():
    first, second, third = comparisons([0.0, 0.06, -0.2])
    several = pd.concat([first, second.assign(organism="organism-0", model_b="cyto3")], ignore_index=True)
    table = compare_organisms([several, third])
    assert table[["organism", "model_b"]].to_numpy().tolist() == [
        ["organism-0", "classical"],
        ["organism-0", "cyto3"],
        ["organism-2", "classical"],
    ]
    same = compare_organisms([first, second, third])
    assert table["difference_p_holm"].tolist() == same["difference_p_holm"].tolist()
    assert (table["difference_p_holm"] > table["difference_p"]).sum() >= 2


def test_organisms_without_a_baseline_leave_an_empty_table():
    nothing = compared(cells([0.1, 0.5, 0.9]))
    table = compare_organisms([nothing, nothing])
    assert len(table) == 0
    assert {"verdict", "difference_p_holm", "sentence"} <= set(table.columns)
    assert compare_organisms([nothing, comparisons([0.3])[0]])["verdict"].tolist() == ["better"]


@pytest.mark.parametrize(("scatter", "images"), [(0.0, 8), (0.3, 4), (0.3, 8)])
def test_verdict_keeps_its_level_where_tests_over_cells_do_not(scatter, images):
    rates = null.run_setting(null.Setting("test", images, scatter, 0.0), 200, seed=[7])
    assert 0.015 < rates["images_t"] < 0.095  # 2.5 standard errors
    if scatter:
        assert rates["cells_ranksum"] > 0.4
        assert rates["cells_signed_rank"] > 0.4
    else:
        assert rates["cells_ranksum"] < 0.03


def test_recorded_simulation():
    record = json.loads((REPOSITORY / "benchmarks/null.json").read_text())
    page = (REPOSITORY / "docs/statistics.md").read_text()
    assert null.table(record["rows"]) in page
    assert record["repetitions"] == 1000
    level = {row["images_t"] for row in record["rows"] if row["shift"] == 0}
    assert len(level) > 2
    assert all(0.03 <= rate <= 0.07 for rate in level)
    assert any(row["cells_ranksum"] > 0.2 for row in record["rows"] if row["shift"] == 0)


def test_scripts_gather_organisms(tmp_path, capsys):
    rows = comparisons([0.0, 0.3])
    paths = {}
    for number, row in enumerate(rows):
        paths[str(number)] = tmp_path / f"{number}.csv"
        row.to_csv(paths[str(number)], index=False)
    run_script("compare_organisms", tmp_path, inputs=paths, outputs={"table": tmp_path / "comparison.csv"})
    table = pd.read_csv(tmp_path / "comparison.csv")
    assert table["organism"].tolist() == ["organism-0", "organism-1"]
    assert table["verdict"].iloc[1] == "better"
    assert "organism-1: sketchscope is better than classical" in capsys.readouterr().out
    inputs = {"table": tmp_path / "comparison.csv"}
    run_script("plot_verdict", tmp_path, inputs=inputs, outputs={"figure": tmp_path / "comparison.png"})
    assert (tmp_path / "comparison.png").stat().st_size > 5000
