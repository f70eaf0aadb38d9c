import json
import math
import sys

import numpy as np
import pandas as pd
import pytest
from labelling import blobs
from running import REPOSITORY, run_script
from scipy import stats
from sketchscope.errors import InputError
from sketchscope.evaluation import metrics
from sketchscope.evaluation.comparison import compare_baselines, compare_organisms, compare_pair
from sketchscope.evaluation.decision import WITHIN_MOVIE
from sketchscope.evaluation.paired_tests import (
    bootstrap_by_unit,
    compare_units,
    estimate_shift,
    rank_biserial,
)
from sketchscope.evaluation.units import Segmented, compare_halves, linearise, pair_terms, pool_precision, pool_units
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

sys.path.insert(0, str(REPOSITORY / "benchmarks"))
import null

NAMES = {"organism": "hela", "model_a": "sketchscope", "model_b": "classical"}


def segmented(ious, images, false=0):
    """A model that reaches these IoU of the cells of these images, and makes so many false cells in each image."""
    ious, images = np.asarray(ious, float), np.asarray(images).astype(str)
    labels = pd.Series(images).groupby(images).cumcount() + 1
    cells = pd.DataFrame({"image": images, "plane": metrics.WHOLE_IMAGE, "label": labels, "iou": ious})
    counts = []
    for name, iou in cells.groupby("image", sort=True)["iou"]:
        found = [int((iou >= level).sum()) for level in metrics.AP_THRESHOLDS]
        numbers = {"n_reference": len(iou), "n_predicted": int((iou > 0).sum()) + false}
        counts.append({"image": name, "iou_sum": float(iou[iou > 0.5].sum()), "found_by_iou": found} | numbers)
    return Segmented(cells, counts)


def compare(iou_a, iou_b, images=None, groups=None, **keywords):
    """Compare cells, each in an image of its own unless it is said which; images are units unless grouped."""
    images = np.asarray(range(len(iou_b)) if images is None else images).astype(str)
    models = segmented(iou_a, images[: len(iou_a)]), segmented(iou_b, images)
    named = {image: image for image in images} if groups is None else groups
    return compare_pair(models, named, list(NAMES.values()), **{"margin": 0.05, "seed": 0} | keywords)


def test_signed_rank_of_a_shift_has_the_closed_form():
    """n equal signs without ties: W = 0 and the exact two-sided p is 2 / 2^n."""
    n = 9
    iou = np.linspace(0.6, 0.8, n)
    result = compare(iou, iou + 0.01 * np.arange(1, n + 1))
    assert result["signed_rank_statistic"] == 0
    assert result["signed_rank_p"] == result["unit_signed_rank_p"] == pytest.approx(2 / 2**n)
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
    assert (result["n_cells"], result["n_images"], result["n_units"], result["verdict"]) == (0, 0, 0, "no verdict")
    said = ("verdict", "quantity", "unit", "n_units", "n_images", "n_cells", "margin", "note")
    assert all(value is None for key, value in result.items() if key not in said)


def cells(ious, labels=(1, 2, 1)):
    return pd.DataFrame({"image": ["007", "007", "008"], "plane": -1, "label": labels, "iou": ious})


def model(ious, **keywords):
    """Two cells in one image and one in another."""
    return segmented(ious, ["007", "007", "008"], **keywords)


def compared(trained, *baselines, groups=None):
    """Compare a model with baselines named classical, cyto3 and nuclei."""
    models = dict(zip(("sketchscope", "classical", "cyto3", "nuclei"), (trained, *baselines), strict=False))
    named = groups or {"007": "007", "008": "008"}
    return compare_baselines(models, named, organism="hela", margin=0.05, seed=0)


CORRECTED = ["verdict", "difference_p_holm", "equivalence_p_holm"]


def test_every_baseline_has_a_row_that_the_others_change_in_nothing_but_the_correction():
    a, others = model([0.6, 0.7, 0.9]), [model([0.8, 0.7, 0.95]), model([0.0, 0.6, 0.7]), model([0.6, 0.7, 0.9])]
    table = compared(a, *others)
    assert table["model_a"].tolist() == ["sketchscope"] * 3
    assert table["model_b"].tolist() == ["classical", "cyto3", "nuclei"]
    for (_, row), other in zip(table.iterrows(), others, strict=True):
        alone = compared(a, other).loc[0].drop(["model_b", *CORRECTED])
        assert alone.equals(row.drop(["model_b", *CORRECTED]))
    assert compared(a).columns.tolist() == table.columns.tolist()
    assert len(compared(a)) == 0


def test_cells_are_paired_by_image_and_label():
    a, b = model([0.6, 0.7, 0.9]), model([0.7, 0.9, 0.95])
    row = compared(a, b._replace(cells=b.cells.iloc[::-1], images=b.images[::-1]))
    assert len(row) == 1
    assert row.loc[0, list(NAMES)].to_dict() == NAMES
    assert row.loc[0, "median_difference"] == pytest.approx(-0.1)
    assert row.loc[0, "difference"] == row.loc[0, "iou_difference"] == pytest.approx(np.mean([-0.15, -0.05]))
    pd.testing.assert_frame_equal(row, compared(a, b))


def test_other_cells_and_other_images_are_refused():
    a = model([0, 0, 0])
    for other in (cells([0, 0, 0], labels=(1, 2, 3)), cells([0, 0, 0]).iloc[:2]):
        with pytest.raises(InputError, match="hela: sketchscope was scored on 3 cells and classical on"):
            compared(a, a._replace(cells=other))
    with pytest.raises(
        InputError, match=r"hela: sketchscope was scored on 2 images and classical on 1; .* same images"
    ):
        compared(a, a._replace(images=a.images[:1]))


def score(pairs):
    """Segmentations as they are scored: (name, reference, predicted[, plane])."""
    found, scores = metrics.score_images(pairs, [0.5, 0.75], 0)
    return Segmented(found, scores["per_image"])


def with_false_cells(labels, shift):
    """Every cell outlined perfectly, and each once more beside it, where there is none."""
    wide = np.concatenate([labels, np.zeros_like(labels)], -1)
    return wide, np.concatenate([labels, np.roll(np.where(labels, labels + 1000, 0), shift, 0)], -1)


def test_as_many_false_cells_as_true_ones_are_worse_than_none():
    """The IoU of the reference cells of both models is 1, so no test of it sees a difference."""
    rng = np.random.default_rng(0)
    pairs = [with_false_cells(blobs(rng, (40, 50), 12), shift) for shift in range(8)]
    names = [f"{number:04d}" for number in range(8)]
    false = score([(name, *pair) for name, pair in zip(names, pairs, strict=True)])
    perfect = score([(name, reference, reference) for name, (reference, _) in zip(names, pairs, strict=True)])
    groups = {name: f"movie {name}" for name in names}
    result = compare_pair((false, perfect), groups, list(NAMES.values()), margin=0.05, seed=0)
    assert result["iou_difference"] == result["median_difference"] == 0
    assert (result["iou_a"], result["signed_rank_p"], result["ranksum_p"]) == (1, 1, 1)
    assert result["ap_a"] < 0.55
    # n matched cells of IoU 1, n false cells, none missed: n / (n + n / 2); rolled cells may fall into two
    assert result["quality_a"] == pytest.approx(2 / 3, abs=0.03)
    assert result["difference"] == pytest.approx(result["quality_a"] - 1)
    assert result["verdict"] == "worse"
    row = pd.Series(dict(zip(NAMES, NAMES.values(), strict=True)) | result)
    assert "sketchscope is worse than classical: its panoptic quality is 0.3" in explain_row(row)


def explain_row(row):
    return compare_organisms([pd.DataFrame([row])])["sentence"].iloc[0]


def test_fewer_missed_cells_can_outweigh_a_lower_mean_iou():
    """As on frames of mouse stem cells: the mean IoU says worse where average precision and panoptic quality do not."""
    images = np.repeat(np.arange(8), 20)
    rng = np.random.default_rng(0)
    ours = np.tile([0.78] * 16 + [0.55] * 4, 8) + rng.normal(0, 0.005, 160)
    theirs = np.tile([0.95] * 14 + [0.45] * 4 + [0.0] * 2, 8)
    models = segmented(ours, images), segmented(theirs, images, false=30)
    result = compare_pair(models, {str(i): str(i) for i in range(8)}, list(NAMES.values()), margin=0.05, seed=0)
    assert result["iou_difference"] < -0.01
    assert result["ap_difference"] > 0
    assert result["difference"] > 0.05
    assert result["verdict"] == "better"


@pytest.mark.parametrize("shape", [(40, 50), (8, 20, 24)])
def test_pooled_quality_is_that_of_all_images_together(shape):
    rng = np.random.default_rng(0)
    labels = [blobs(rng, shape, n) for n in (5, 9, 15)]
    moved = [np.roll(image, 1, -1) for image in labels]
    pairs = [(f"{n}", reference, predicted) for n, (reference, predicted) in enumerate(zip(labels, moved, strict=True))]
    a, b = score(pairs), score([(name, reference, reference) for name, reference, _ in pairs])
    overlaps = [metrics.count_overlaps(reference, predicted) for _, reference, predicted in pairs]
    groups = {"0": "x", "1": "y", "2": "x"}
    units = pool_units(pair_terms(a, b, groups, list(NAMES.values())))
    expected = {"x": [overlaps[0], overlaps[2]], "y": [overlaps[1]]}
    assert list(units.index) == ["x", "y"]
    for name, members in expected.items():
        assert units.loc[name, "quality_a"] == pytest.approx(metrics.panoptic_quality(members)["pq"])
        counts = [[metrics.count_matches(image, level) for image in members] for level in metrics.AP_THRESHOLDS]
        precisions = [sum(c.tp for c in level) / sum(sum(c) for c in level) for level in counts]
        assert pool_precision(a.images, groups)[name] == pytest.approx(np.mean(precisions))
    assert (units["quality_b"] == 1).all()


def test_units_without_a_cell_are_left_out():
    a, b = model([0.6, 0.7, 0.9]), model([0.8, 0.7, 0.95])
    empty = {"image": "009", "iou_sum": 0.0, "n_reference": 0, "n_predicted": 0, "found_by_iou": [0] * 10}
    a, b = (found._replace(images=[*found.images, empty]) for found in (a, b))
    row = compared(a, b, groups={"007": "x", "008": "y", "009": "z"}).loc[0]
    assert (row["n_units"], row["n_images"]) == (2, 2)
    row = compared(a, b, groups={"007": "x", "008": "y", "009": "y"}).loc[0]
    assert (row["n_units"], row["n_images"], row["unit"]) == (2, 3, "movie or specimen")


def test_sparse_truth_is_compared_by_seg_and_the_sentence_says_what_it_does_not_see():
    rng = np.random.default_rng(0)
    stacks = [blobs(rng, (8, 20, 24), 15) for _ in range(6)]
    names = [f"{number:04d}" for number in range(6)]
    pairs = [
        metrics.LabelPair(name, np.where(stack[plane] % 2, stack[plane], 0), stack, plane)
        for name, stack in zip(names, stacks, strict=True)
        for plane in (2, 5)
    ]
    worse = [pair._replace(predicted=np.roll(pair.predicted, 2, -1)) for pair in pairs]
    a, b, groups = score(worse), score(pairs), {name: name for name in names}
    result = compare_pair((a, b), groups, list(NAMES.values()), margin=0.05, seed=0)
    assert (result["quantity"], result["n_units"], result["n_images"]) == ("SEG", 6, 6)
    assert (result["quality_b"], result["verdict"]) == (1, "worse")
    by_image = a.cells.groupby("image")["seg"].mean()
    assert result["quality_a"] == pytest.approx(by_image.mean())
    assert result["ap_a"] is None
    sentence = explain_row(pd.Series(NAMES | result))
    assert "its SEG of the annotated cells is 0." in sentence
    assert sentence.endswith("; only some cells are annotated, so false cells are not seen")


def test_frames_of_one_movie_give_no_verdict_but_a_description():
    rng = np.random.default_rng(0)
    iou, images = rng.uniform(0.6, 0.9, 800), np.repeat(np.arange(8), 100)
    frames = {str(image): "movie" for image in range(8)}
    result = compare(iou - 0.1, iou, images, frames)
    assert (result["verdict"], result["n_units"], result["n_images"]) == ("no verdict", 1, 8)
    assert (result["difference_p"], result["equivalence_p"]) == (None, None)
    low, high = result["difference_low"], result["difference_high"]
    assert low < result["difference"] < high
    assert result["interval"] == "the two halves of one movie or specimen"
    assert compare(iou - 0.1, iou, images)["verdict"] == "worse", "as if the frames were independent"
    sentence = explain_row(pd.Series(NAMES | result))
    assert sentence.startswith(
        "no verdict: all test images are of one movie or specimen; there the panoptic quality of sketchscope is 0."
    )
    assert f"interval from the two halves of its 8 images: {low:.3f} to {high:.3f}" in sentence
    assert f"held it in {WITHIN_MOVIE[0]} to {WITHIN_MOVIE[1]} % of simulated movies" in sentence
    assert "says nothing about other movies" in sentence
    single = compare(iou - 0.1, iou, np.zeros(800, int))
    assert (single["verdict"], single["difference_low"], single["interval"]) == ("no verdict", None, None)
    assert explain_row(pd.Series(NAMES | single)).startswith("no verdict: there is one test image; there the panoptic")


def test_interval_of_two_halves_is_students_with_one_degree_of_freedom():
    values = np.random.default_rng(0).normal(0.1, 0.3, 20)
    halves = [values[:10].mean(), values[10:].mean()]
    expected = stats.ttest_1samp(halves, 0).confidence_interval(0.95)
    assert compare_halves(values) == pytest.approx((expected.low, expected.high))
    assert compare_halves(values[:3]) == (None, None)


def test_influence_of_the_images_adds_up_to_the_pooled_difference():
    rng = np.random.default_rng(0)
    terms = pd.DataFrame(
        rng.uniform(1, 2, (9, 4)), columns=["numerator_a", "denominator_a", "numerator_b", "denominator_b"]
    )
    values = linearise(terms.assign(group="movie"))
    assert values.mean() == pytest.approx(pool_units(terms.assign(group="movie"))["difference"].iloc[0])
    # the jackknife leaves out one image after the other; its influence is the linear term of that
    left_out = [pool_units(terms.drop(i).assign(group="movie"))["difference"].iloc[0] for i in range(9)]
    assert np.corrcoef(values, left_out)[0, 1] < -0.99


@pytest.mark.parametrize("n", [2, 5, 8, 40])
@pytest.mark.parametrize("shift", [0.0, 0.03, -0.2])
def test_tests_over_units_equal_scipy_and_statsmodels(n, shift):
    differences = np.random.default_rng(n).normal(shift, 0.03, n)
    result = compare_units(differences, 0.05)
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
    assert [compare_units(d, 0.05)["equivalence_p"] < 0.05 for d in samples] == within
    assert 20 < sum(within) < 180


@pytest.mark.parametrize(
    ("differences", "p", "equivalence"), [([0.0] * 3, 1, 0), ([0.01] * 3, 0, 0), ([-0.2] * 3, 0, 1)]
)
def test_units_without_scatter(differences, p, equivalence):
    result = compare_units(np.array(differences), 0.05)
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
    assert result["unit_signed_rank_p"] == pytest.approx(stats.wilcoxon(differences).pvalue)


def test_rank_biserial_is_that_of_wilcoxon():
    differences = np.append(np.random.default_rng(0).normal(0.1, 0.3, 60).round(1), 0)
    w = stats.wilcoxon(differences[differences != 0], alternative="greater").statistic
    n = np.count_nonzero(differences)
    assert rank_biserial(differences) == pytest.approx(2 * w / (n * (n + 1) / 2) - 1)
    assert rank_biserial(np.zeros(3)) == 0


def test_bootstrap_draws_units_and_not_cells():
    rng = np.random.default_rng(0)
    means = rng.normal(0, 1, 10)
    clusters = [np.full(500, mean) for mean in means]
    low, high = bootstrap_by_unit(clusters, np.mean, seed=0)
    expected = stats.bootstrap((means,), np.mean, method="percentile", rng=1).confidence_interval
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.08)
    assert bootstrap_by_unit(clusters, np.mean, seed=0) == (low, high)
    assert bootstrap_by_unit(clusters, np.mean, seed=1) != (low, high)


def test_verdicts():
    rng = np.random.default_rng(0)
    iou, images = rng.uniform(0.65, 0.85, 800), np.repeat(np.arange(8), 100)
    noise = rng.normal(0, 0.01, 800)
    assert compare(iou + noise, iou, images)["verdict"] == "equivalent"
    assert compare(iou + noise + 0.02, iou, images)["verdict"] == "equivalent"  # though not the same
    assert compare(iou + noise + 0.02, iou, images, margin=0.01)["verdict"] == "better"
    assert compare(iou + noise - 0.1, iou, images)["verdict"] == "worse"
    spread = rng.uniform(-0.12, 0.12, 8)
    assert compare(iou + (spread - spread.mean())[images], iou, images)["verdict"] == "undecided"


def comparisons(shifts):
    rng = np.random.default_rng(0)
    images = np.repeat(np.arange(8), 20)
    groups = {str(image): str(image) for image in range(8)}
    rows = []
    for number, shift in enumerate(shifts):
        iou = rng.uniform(0.7, 0.9, 160)
        fares = shift + rng.normal(0, 0.03, 8)[images]
        models = {"sketchscope": segmented(iou + fares, images), "classical": segmented(iou, images)}
        rows.append(compare_baselines(models, groups, organism=f"organism-{number}", margin=0.05, seed=0))
    return rows


P = ["difference_p", "equivalence_p"]


def assert_corrected(table):
    """Both questions of all rows are one family."""
    p = table[P].to_numpy(float).ravel()
    expected = np.full(p.size, np.nan)
    expected[~np.isnan(p)] = multipletests(p[~np.isnan(p)], method="holm")[1]
    np.testing.assert_allclose(table[[f"{name}_holm" for name in P]].to_numpy(float).ravel(), expected)


def test_organisms_are_corrected_for_by_holm():
    rows = comparisons([0.0, 0.0, 0.035, 0.06, -0.12])
    empty = segmented([], [])
    unlabelled = compare_baselines({"sketchscope": empty, "classical": empty}, {}, organism="none", margin=0.05, seed=0)
    table = compare_organisms([*rows, unlabelled])
    assert_corrected(table)
    assert table["verdict"].tolist()[-2:] == ["worse", "no verdict"]
    raw = [compare_units_of(row)["difference_p"] for row in rows]
    np.testing.assert_allclose(table["difference_p"].dropna(), raw)
    alone = [row.loc[0, "verdict"] for row in rows]
    assert alone != table["verdict"].tolist()[:-1], "the correction takes one verdict back"
    assert table["sentence"].iloc[-1] == "no verdict: no test image has a cell to compare"
    assert table["sentence"].iloc[-2].startswith("sketchscope is worse than classical: its panoptic quality is 0.")
    assert table["sentence"].iloc[-2].endswith("8 images), more than chance explains")


def compare_units_of(row):
    return {name: row.loc[0, name] for name in P}


def test_baselines_are_corrected_for_like_organisms():
    first, second, third = comparisons([0.0, 0.06, -0.12])
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


def test_baselines_of_one_organism_are_corrected_for_and_decided_by_that():
    images, groups = np.repeat(np.arange(6), 20), {str(image): str(image) for image in range(6)}
    rng = np.random.default_rng(4)
    iou = rng.uniform(0.7, 0.8, 120)
    others = {f"baseline {n}": iou + shift for n, shift in enumerate(np.linspace(-0.08, 0.08, 9))}
    fares = rng.normal(0, 0.03, 6)[images]
    models = {"ours": segmented(iou + fares, images)} | {n: segmented(other, images) for n, other in others.items()}
    table = compare_baselines(models, groups, organism="hela", margin=0.05, seed=0)
    assert_corrected(table)
    corrected = table[["difference_p_holm", "equivalence_p_holm"]].to_numpy(float) < 0.05
    expected = np.select(
        [corrected[:, 1], corrected[:, 0] & (table["difference"] > 0), corrected[:, 0]], WORDS, "undecided"
    )
    assert table["verdict"].tolist() == expected.tolist()
    raw = [compared_alone(models, groups, name) for name in others]
    assert raw != table["verdict"].tolist()
    assert compare_organisms([table])["verdict"].tolist() == table["verdict"].tolist()


WORDS = ["equivalent", "better", "worse"]


def compared_alone(models, groups, name):
    pair = models["ours"], models[name]
    return compare_pair(pair, groups, ["hela", "ours", name], margin=0.05, seed=0)["verdict"]


def test_organisms_without_a_baseline_leave_an_empty_table():
    nothing = compared(model([0.1, 0.5, 0.9]))
    table = compare_organisms([nothing, nothing])
    assert len(table) == 0
    assert {"verdict", "difference_p_holm", "sentence"} <= set(table.columns)
    assert compare_organisms([nothing, comparisons([-0.12])[0]])["verdict"].tolist() == ["worse"]


@pytest.mark.parametrize(("scatter", "images"), [(0.0, 8), (0.3, 4), (0.3, 8)])
def test_verdict_keeps_its_level_where_tests_over_cells_do_not(scatter, images):
    rates = null.run_setting(null.Setting("test", images, scatter, 0.0), 200, seed=[7])
    assert 0.015 < rates["units_t"] < 0.095  # 2.5 standard errors
    if scatter:
        assert rates["cells_ranksum"] > 0.4
        assert rates["cells_signed_rank"] > 0.4
    else:
        assert rates["cells_ranksum"] < 0.03


def test_verdict_keeps_its_level_where_a_test_over_frames_does_not():
    """Two models that are equal in truth, on four movies of twenty frames each that resemble their neighbours."""
    rates = null.run_setting(null.Movies("test", 4, 20, 0.8, 0.0), 300, seed=[7])
    assert 0.02 < rates["units_t"] < 0.085
    assert rates["frames_t"] > 0.35


def test_recorded_simulation():
    record = json.loads((REPOSITORY / "benchmarks/null.json").read_text())
    page = (REPOSITORY / "docs/statistics.md").read_text()
    assert null.table(record["rows"]) in page
    assert null.table_of_movies(record["movies"]) in page
    assert record["repetitions"] == 1000
    level = [row["units_t"] for row in [*record["rows"], *record["movies"]] if row["shift"] == 0 and "units_t" in row]
    assert len(level) > 12
    assert all(0.03 <= rate <= 0.07 for rate in level)
    assert any(row["cells_ranksum"] > 0.2 for row in record["rows"] if row["shift"] == 0)
    assert all(row["frames_t"] > 0.35 for row in record["movies"])
    at_margin = [row["equivalence"] for row in [*record["rows"], *record["movies"]] if row["shift"] == record["margin"]]
    assert max(at_margin) < 0.07


def test_the_interval_within_a_movie_is_the_best_of_three_and_its_coverage_is_what_is_said():
    record = json.loads((REPOSITORY / "benchmarks/null.json").read_text())
    movies = [row for row in record["movies"] if row["movies"] == 1]
    assert {(row["frames"], row["correlation"]) for row in movies} == {(8, 0.8), (8, 0.95), (92, 0.8), (92, 0.95)}
    assert all(row["covered_halves"] > max(row["covered_ar1"], row["covered_blocks"]) for row in movies)
    found = [100 * row["covered_halves"] for row in movies]
    assert (round(min(found)), round(max(found))) == WITHIN_MOVIE


def test_scripts_gather_organisms(tmp_path, capsys):
    rows = comparisons([0.0, -0.12])
    paths = {}
    for number, row in enumerate(rows):
        paths[str(number)] = tmp_path / f"{number}.csv"
        row.to_csv(paths[str(number)], index=False)
    run_script("compare_organisms", tmp_path, inputs=paths, outputs={"table": tmp_path / "comparison.csv"})
    table = pd.read_csv(tmp_path / "comparison.csv")
    assert table["organism"].tolist() == ["organism-0", "organism-1"]
    assert table["verdict"].iloc[1] == "worse"
    assert "organism-1: sketchscope is worse than classical" in capsys.readouterr().out
    inputs = {"table": tmp_path / "comparison.csv"}
    run_script("plot_verdict", tmp_path, inputs=inputs, outputs={"figure": tmp_path / "comparison.png"})
    assert (tmp_path / "comparison.png").stat().st_size > 5000
