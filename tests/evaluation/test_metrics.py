import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from cellpose.metrics import average_precision, mask_ious
from labelling import SHAPES, blobs, random_pair, spoilt
from scipy.optimize import linear_sum_assignment
from sketchscope.errors import InputError
from sketchscope.evaluation import metrics

ROOT = Path(__file__).parents[1]
THRESHOLDS = [0.5, 0.75, 0.9]


def score_images(images, border=0):
    return metrics.score_images(images, THRESHOLDS, border)


def score_image(reference, predicted, thresholds=THRESHOLDS):
    """The cells and the scores of a single image."""
    cells, scores = metrics.score_images([("0000", reference, predicted)], thresholds, 0)
    return cells, scores["per_image"][0]


@pytest.fixture(params=list(itertools.product(SHAPES, range(5))), ids=str)
def pair(request):
    return random_pair(*request.param)


def dense_iou(reference, predicted):
    """IoU of all pairs, straight from the definition."""
    refs, preds = (np.unique(labels[labels > 0]) for labels in (reference, predicted))
    iou = np.zeros((refs.size, preds.size))
    for (i, a), (j, b) in itertools.product(enumerate(refs), enumerate(preds)):
        intersection = np.sum((reference == a) & (predicted == b))
        iou[i, j] = intersection / np.sum((reference == a) | (predicted == b))
    return iou


def slow_seg(reference, predicted):
    """SEG of each reference cell, straight from the definition."""
    values = []
    for a in np.unique(reference[reference > 0]):
        cell, value = reference == a, 0.0
        for b in np.unique(predicted[cell & (predicted > 0)]):
            other = predicted == b
            if np.sum(cell & other) > 0.5 * np.sum(cell):
                value = np.sum(cell & other) / np.sum(cell | other)
        values.append(value)
    return np.array(values)


@pytest.mark.parametrize("thresholds", [[0.5, 0.75, 0.9], [0.1, 0.2, 0.35]])
def test_average_precision_equals_cellpose(pair, thresholds):
    expected = np.array(average_precision(*pair, threshold=thresholds))
    overlaps = metrics.count_overlaps(*pair)
    for threshold, (ap, tp, fp, fn) in zip(thresholds, expected.T, strict=True):
        counts = metrics.count_matches(overlaps, threshold)
        assert counts == (tp, fp, fn)
        assert counts.average_precision == pytest.approx(ap, rel=1e-6)


def test_best_iou_is_the_largest_of_all_pairs(pair):
    best = metrics.best_iou(metrics.count_overlaps(*pair))
    np.testing.assert_allclose(best, dense_iou(*pair).max(1))
    assert 0 < best.mean() < 1


def test_matching_maximises_the_sum_of_iou(pair):
    iou, matched = metrics.match_cells(metrics.count_overlaps(*pair))
    dense = dense_iou(*pair)
    assert iou.sum() == pytest.approx(dense[linear_sum_assignment(-dense)].sum())
    taken = matched[matched > 0]
    assert np.unique(taken).size == taken.size
    preds = np.unique(pair[1][pair[1] > 0])
    rows = np.flatnonzero(matched)
    np.testing.assert_allclose(iou[rows], dense[rows, np.searchsorted(preds, taken)])
    assert (iou[matched == 0] == 0).all()


def test_good_matches_equal_those_of_cellpose(pair):
    """Above an IoU of one half, no cell has a second candidate."""
    expected, _ = mask_ious(*pair)
    iou, _ = metrics.match_cells(metrics.count_overlaps(*pair))
    np.testing.assert_allclose(iou[expected > 0.5], expected[expected > 0.5])


def test_seg_equals_the_definition(pair):
    seg = metrics.seg_scores(metrics.count_overlaps(*pair))
    np.testing.assert_allclose(seg, slow_seg(*pair))


@pytest.mark.parametrize("shape", SHAPES)
def test_labels_may_be_anything(shape):
    rng = np.random.default_rng(1)
    reference = blobs(rng, shape, 12)
    predicted = spoilt(rng, reference)
    plain = metrics.tabulate_cells(metrics.count_overlaps(reference, predicted))
    strange = np.concatenate([[0], 7 + 1000 * np.sort(rng.choice(4_000_000, reference.max(), False))])
    moved = metrics.tabulate_cells(metrics.count_overlaps(strange[reference], predicted.astype(np.uint8)))
    np.testing.assert_array_equal(moved["label"], strange[1:])
    np.testing.assert_array_equal(moved["area"], np.bincount(reference.ravel())[1:])
    assert moved.drop(columns="label").equals(plain.drop(columns="label"))


def test_a_line_by_hand():
    reference = np.array([[1, 1, 1, 1, 0, 2, 2, 0, 3, 3]])
    predicted = np.array([[9, 9, 9, 0, 0, 5, 5, 5, 5, 0]])
    cells, scores = score_image(reference, predicted, [0.5, 0.75])
    assert cells["label"].tolist() == [1, 2, 3]
    assert cells["area"].tolist() == [4, 2, 2]
    assert cells["iou"].tolist() == [0.75, 0.5, 0]  # 2 and 3 both touch 5, which goes to 2
    assert cells["matched"].tolist() == [9, 5, 0]
    assert cells["best_iou"].tolist() == [0.75, 0.5, 0.2]
    assert cells["seg"].tolist() == [0.75, 0.5, 0]  # 5 covers exactly half of 3: not more
    assert (scores["tp50"], scores["fp50"], scores["fn50"]) == (2, 0, 1)
    assert (scores["tp75"], scores["fp75"], scores["fn75"]) == (1, 1, 2)
    assert scores["ap50"] == pytest.approx(2 / 3)
    assert scores["ap75"] == pytest.approx(1 / 4)
    assert scores["seg"] == pytest.approx(1.25 / 3)


def test_matching_is_optimal_and_not_greedy():
    # Greedy would take the best pair (1, 8) with 4/7 and leave 2 nothing but 9's 0.
    reference = np.repeat([1, 2, 0], [6, 3, 1])
    predicted = np.repeat([9, 8, 0], [2, 7, 1])
    iou, matched = metrics.match_cells(metrics.count_overlaps(reference, predicted))
    assert matched.tolist() == [9, 8]
    np.testing.assert_allclose(iou, [2 / 6, 3 / 7])


@pytest.mark.parametrize("shape", SHAPES)
def test_perfect_segmentation(shape):
    labels = blobs(np.random.default_rng(0), shape, 9)
    cells, scores = score_image(labels, labels)
    assert (cells[["iou", "best_iou", "seg"]] == 1).all(axis=None)
    assert cells["matched"].tolist() == cells["label"].tolist()
    assert [scores[key] for key in ("ap50", "ap75", "ap90", "seg")] == [1, 1, 1, 1]


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_predicted(shape):
    labels = blobs(np.random.default_rng(0), shape, 9)
    cells, scores = score_image(labels, np.zeros_like(labels))
    assert len(cells) == labels.max() == scores["fn50"]
    assert not cells[["iou", "matched", "best_iou", "seg"]].any(axis=None)
    assert (scores["ap50"], scores["seg"], scores["fp50"]) == (0, 0, 0)


@pytest.mark.parametrize("shape", SHAPES)
def test_no_reference_cell(shape):
    labels, empty = blobs(np.random.default_rng(0), shape, 9), np.zeros(shape, int)
    cells, scores = score_image(empty, labels)
    assert len(cells) == 0
    assert scores["seg"] is None
    assert scores["fp50"] == labels.max()
    assert scores["ap50"] == 0  # as in Cellpose: invented cells count
    _, scores = score_image(empty, empty)
    assert scores["ap50"] is None
    assert scores["seg"] is None


def test_several_images():
    rng = np.random.default_rng(3)
    images = []
    for name in ("000", "001", "002"):
        reference = blobs(rng, (40, 50), 12)
        images.append((name, reference, spoilt(rng, reference)))
    images.append(("003", np.zeros((40, 50), int), np.zeros((40, 50), int)))
    cells, scores = score_images(iter(images))
    tables = [score_image(reference, predicted)[0] for _, reference, predicted in images[:3]]
    ap = np.mean([average_precision(a.astype(int), b)[0] for _, a, b in images[:3]], axis=0)
    assert tuple(cells.columns) == metrics.IOU_COLUMNS
    assert cells["image"].tolist() == [n for (n, *_), t in zip(images, tables, strict=False) for _ in range(len(t))]
    assert [scores["ap50"], scores["ap75"], scores["ap90"]] == pytest.approx(ap.tolist())
    pooled = np.concatenate([slow_seg(a, b) for _, a, b in images])
    assert scores["seg"] == pytest.approx(pooled.mean())
    assert scores["iou_median"] == pytest.approx(np.median(np.concatenate([t["iou"] for t in tables])))
    assert (scores["n_images_scored"], scores["n_cells"]) == (4, len(pooled))
    assert [image["image"] for image in scores["per_image"]] == ["000", "001", "002", "003"]
    assert cells["label"].dtype.kind == "i"


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("border", [0, 1, 4, 9])
def test_cells_outside_the_field_are_left_out(shape, border):
    labels = np.uint32(7) * blobs(np.random.default_rng(0), shape, 15)
    kept = metrics.keep_inside_field(labels, border)
    y, x = np.indices(shape)[-2:]
    rim = np.minimum(np.minimum(y, shape[-2] - 1 - y), np.minimum(x, shape[-1] - 1 - x)) < border
    for label in np.unique(labels[labels > 0]):
        outside = rim[labels == label].all()
        assert (kept[labels == label] == (0 if outside else label)).all()
    assert kept.dtype == labels.dtype
    if border == 9:
        assert 1 < np.unique(kept).size < np.unique(labels).size


@pytest.mark.parametrize("depth", [(), (4,)])
def test_field_is_exact_to_the_voxel(depth):
    labels = np.zeros((*depth, 30, 40), np.uint16)
    labels[..., :5, :5] = 1  # the last row of the rim
    labels[..., :6, 10:15] = 2  # one row beyond it, though wholly within the rim of 6
    labels[..., 20:24, 35:] = 3
    labels[..., 10:20, 10:20] = 4
    assert np.unique(metrics.keep_inside_field(labels, 5)).tolist() == [0, 2, 4]
    assert np.unique(metrics.keep_inside_field(labels, 6)).tolist() == [0, 4]
    assert (metrics.keep_inside_field(labels, 5)[labels == 2] == 2).all()
    if depth:
        assert np.unique(labels[:1]).size == 5, "the first slice is no border"
        labels[1:][labels[1:] == 4] = 0
        assert 4 in metrics.keep_inside_field(labels, 5)


@pytest.mark.parametrize("depth", [(), (4,)])
def test_border_counts_on_both_sides(depth):
    reference, predicted = np.zeros((2, *depth, 30, 40), np.uint16)
    reference[..., 10:20, 10:20] = predicted[..., 10:20, 10:20] = 1
    reference[..., :4, 30:36] = 2  # lost, and within the rim
    predicted[..., 25:30, 30:36] = 3  # invented, and within the rim
    predicted[..., 10:13, 30:36] = 4  # invented, well inside
    cells, scores = score_images([("a", reference, predicted)], border=5)
    assert cells["label"].tolist() == [1]
    assert (scores["border"], scores["n_cells"], scores["ap50"], scores["seg"]) == (5, 1, 0.5, 1)
    _, scores = score_images([("a", reference, predicted)])
    assert (scores["border"], scores["n_cells"], scores["ap50"], scores["seg"]) == (0, 2, 0.25, 0.5)


@pytest.mark.parametrize(("border", "shape"), [(20, (40, 50)), (10, (40, 8, 30)), (-1, (40, 50))])
def test_border_that_leaves_no_field(border, shape):
    labels = np.ones(shape, int)
    with pytest.raises(InputError, match=rf"^frame7: evaluation.border: found {border}, .* of an image \({shape[0]}, "):
        score_images([("frame7", labels, labels)], border=border)


def test_no_images():
    cells, scores = score_images([])
    assert len(cells) == 0
    assert tuple(cells.columns) == metrics.IOU_COLUMNS
    counts = {"n_images_scored": 0, "n_planes_scored": 0, "n_cells": 0, "border": 0, "per_image": []}
    assert {key: scores.pop(key) for key in counts} == counts
    assert set(scores.pop("average_precision").values()) == {None}
    assert {"ap50", "ap_mean", "pq", "det", "n_splits", "seg", "iou_median"} <= set(scores)
    assert set(scores.values()) == {None}


@pytest.mark.parametrize(
    ("predicted", "message"),
    [
        (np.zeros((4, 6), int), r"frame7: .*\(4, 6\).*\(5, 6\)"),
        (np.zeros((1, 5, 6), int), r"frame7: .*\(1, 5, 6\).*\(5, 6\)"),
        (np.zeros((5, 6)), "frame7: predicted labels are float64; integers"),
        (np.full((5, 6), -1), "frame7: predicted labels run from -1"),
        (np.full((5, 6), 2**40), "frame7: predicted labels run from"),
    ],
)
def test_labels_that_do_not_fit(predicted, message):
    with pytest.raises(InputError, match=message):
        score_images([("frame7", np.ones((5, 6), int), predicted)])


def test_memory_grows_with_voxels_not_with_label_pairs():
    # 40,000 cells a side, all in one chain of overlaps: a dense matrix would need 12.8 GB.
    line = np.arange(160_000)
    overlaps = metrics.count_overlaps(1 + line // 4, 1 + (line + 1) // 4)
    cells = metrics.tabulate_cells(overlaps)
    assert overlaps.row.size == 80_000
    np.testing.assert_allclose(cells["iou"].iloc[1:-1], 3 / 5)
    assert metrics.count_matches(overlaps, 0.5).tp == 40_000


@pytest.mark.parametrize("shape", SHAPES)
def test_average_precision_equals_cellpose_on_many_pairs(shape):
    pairs = [random_pair(shape, seed) for seed in range(50)]
    expected = np.array([average_precision(*pair, threshold=list(metrics.AP_THRESHOLDS))[0] for pair in pairs])
    overlaps = [metrics.count_overlaps(*pair) for pair in pairs]
    for image, values in zip(overlaps, expected, strict=True):
        scores = metrics.score_overlaps([image], THRESHOLDS)
        assert list(scores["average_precision"].values()) == pytest.approx(values.tolist(), rel=1e-6)
        assert scores["ap_mean"] == pytest.approx(values.mean(), rel=1e-6)
    scores = metrics.score_overlaps(overlaps, [0.5, 0.95])
    assert scores["ap_mean"] == pytest.approx(expected.mean())
    assert (scores["ap50"], scores["ap95"]) == pytest.approx((expected[:, 0].mean(), expected[:, -1].mean()))


def test_names_of_thresholds():
    assert metrics.AP_THRESHOLDS == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
    labels = np.repeat([0, 1], 5)
    assert list(score_image(labels, labels)[1]["average_precision"])[:2] == ["0.5", "0.55"]


CHALLENGE = json.loads((ROOT / "data/challenge.json").read_text())


@pytest.mark.parametrize("case", CHALLENGE, ids=lambda case: "x".join(map(str, case["shape"])))
def test_seg_and_det_equal_those_of_py_ctcmetrics(case):
    overlaps = [metrics.count_overlaps(*random_pair(tuple(case["shape"]), seed)) for seed in range(50)]
    assert [metrics.seg_scores(image).mean() for image in overlaps] == pytest.approx(case["seg"])
    assert [metrics.detection_accuracy([image]) for image in overlaps] == pytest.approx(case["det"])
    assert metrics.detection_accuracy(overlaps) == pytest.approx(case["det_of_all"])
    assert 0.2 < case["det_of_all"] < 0.9
    assert len(set(case["det"])) > 10


def test_cost_of_detections_by_hand():
    # 1 and 2 are merged in 7, 3 is missed (half is not enough), 8 is false, 4 is found
    reference = np.array([1, 1, 2, 2, 3, 3, 0, 0, 4, 4])
    predicted = np.array([7, 7, 7, 7, 8, 0, 0, 0, 9, 9])
    overlaps = metrics.count_overlaps(reference, predicted)
    assert metrics.detection_accuracy([overlaps]) == pytest.approx(1 - (5 + 10 + 1) / 40)
    assert metrics.detection_accuracy([overlaps] * 3) == pytest.approx(1 - 16 / 40)
    many = np.arange(200)  # false cells cost more than the empty result
    assert metrics.detection_accuracy([metrics.count_overlaps(np.repeat([1, 0], 100), many)]) == 0
    assert metrics.detection_accuracy([metrics.count_overlaps(reference * 0, predicted)]) is None


def test_panoptic_quality_by_hand():
    reference = np.array([1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 0, 0])
    predicted = np.array([5, 5, 5, 0, 6, 6, 0, 0, 0, 0, 7, 7])
    first = metrics.count_overlaps(reference, predicted)  # IoU 0.75 matches, 0.5 does not
    quality = metrics.panoptic_quality([first])
    assert quality == pytest.approx({"pq": 0.75 / 3, "sq": 0.75, "rq": 1 / 3})
    second = metrics.count_overlaps(reference[:4], reference[:4])
    quality = metrics.panoptic_quality([first, second])
    assert quality == pytest.approx({"pq": 1.75 / 4, "sq": 0.875, "rq": 0.5})
    nothing = metrics.count_overlaps(reference * 0, predicted * 0)
    assert metrics.panoptic_quality([nothing]) == dict.fromkeys(["pq", "sq", "rq"])


def test_panoptic_quality_equals_the_definition(pair):
    dense = dense_iou(*pair)
    matched = dense[dense > 0.5]
    false = dense.shape[1] - matched.size
    missed = dense.shape[0] - matched.size
    quality = metrics.panoptic_quality([metrics.count_overlaps(*pair)])
    assert quality["pq"] == pytest.approx(matched.sum() / (matched.size + false / 2 + missed / 2))
    assert quality["pq"] == pytest.approx(quality["sq"] * quality["rq"] if matched.size else 0)


def test_splits_merges_and_sizes_by_hand():
    #                     merged in 9       split in 4, 5      too large      in two halves, of which none covers it
    reference = np.array([1, 1, 1, 2, 2, 0, 3, 3, 3, 3, 3, 0, 4, 4, 4, 0, 0, 6, 6])
    predicted = np.array([9, 9, 9, 9, 9, 0, 4, 4, 4, 5, 5, 0, 6, 6, 6, 6, 0, 7, 8])
    cells, scores = score_image(reference, predicted)
    cells = cells.set_index("label")
    assert cells["pieces"].to_dict() == {1: 1, 2: 0, 3: 2, 4: 1, 6: 2}
    assert cells["sharing"].to_dict() == {1: 2, 2: 2, 3: 1, 4: 1, 6: 0}
    assert cells["matched_area"].to_dict() == {1: 5, 2: 0, 3: 3, 4: 4, 6: 1}
    assert (scores["n_splits"], scores["n_merges"]) == (2, 1)
    assert scores["size_ratio"] == np.median([5 / 3, 3 / 5, 4 / 3])


def planes_of(reference, predicted, chosen):
    return [metrics.LabelPair("0000", reference[plane], predicted, plane) for plane in chosen]


def test_sparse_truth_is_scored_in_its_planes_alone():
    reference, predicted = random_pair((8, 20, 24), 0)
    some = np.where(reference % 2 == 1, reference, 0)  # not all cells are annotated
    cells, scores = score_images(planes_of(some, predicted, [2, 5]))
    expected = np.concatenate([slow_seg(some[plane], predicted[plane]) for plane in (2, 5)])
    np.testing.assert_allclose(cells["seg"], expected)
    assert scores["seg"] == pytest.approx(expected.mean())
    assert cells["plane"].unique().tolist() == [2, 5]
    assert (scores["n_images_scored"], scores["n_planes_scored"], scores["n_cells"]) == (1, 2, expected.size)
    assert scores["iou_median"] == pytest.approx(cells["iou"].median())
    unknown = ("ap50", "ap_mean", "pq", "rq", "det", "n_splits", "n_merges", "size_ratio")
    assert [scores[key] for key in unknown] == [None] * len(unknown)
    assert set(scores["per_image"][0]) == {"image", "plane", "n_reference", "seg"}
    # what lies in other planes makes no difference
    elsewhere = np.where(np.isin(np.arange(8), [2, 5])[:, None, None], predicted, 7)
    assert score_images(planes_of(some, elsewhere, [2, 5]))[1]["seg"] == scores["seg"]


def test_sparse_truth_beside_whole_images():
    whole, sparse = random_pair((8, 20, 24), 1), random_pair((8, 20, 24), 2)
    images = [("0001", *whole), *planes_of(*sparse, [4])]
    cells, scores = score_images(images)
    alone = score_images(images[:1])[1]
    assert {key: scores[key] for key in ("ap50", "pq", "det")} == {key: alone[key] for key in ("ap50", "pq", "det")}
    assert scores["seg"] == pytest.approx(cells["seg"].mean())
    assert scores["n_cells"] > alone["n_cells"]
    assert set(cells["plane"]) == {metrics.WHOLE_IMAGE, 4}


def test_sparse_truth_of_another_shape():
    labels = np.ones((3, 5, 6), int)
    with pytest.raises(InputError, match=r"^0000, plane 2: predicted .* \(5, 6\), the reference \(5, 7\)"):
        score_images([metrics.LabelPair("0000", np.ones((5, 7), int), labels, 2)])


def test_exactly_half_is_not_most_of_a_cell():
    """A predicted cell is then no piece of any, a reference cell is covered by none."""
    overlaps = metrics.count_overlaps(np.repeat([0, 1, 0], [2, 4, 2]), np.repeat([5, 6], [4, 4]))
    assert overlaps.pieces.tolist() == [0]
    assert overlaps.covered.tolist() == [0, 0]
    assert metrics.score_overlaps([overlaps], THRESHOLDS)["n_splits"] == 0
    overlaps = metrics.count_overlaps(np.repeat([1, 2], [4, 4]), np.repeat([0, 5, 0], [2, 4, 2]))
    assert overlaps.pieces.tolist() == [0, 0]
    assert overlaps.covered.tolist() == [0]
    assert metrics.score_overlaps([overlaps], THRESHOLDS)["n_merges"] == 0


def test_median_iou_is_of_the_matching_and_not_of_the_best_overlaps():
    pair = metrics.LabelPair("a", np.repeat([[1, 2]], [4, 2], axis=1), np.full((1, 6), 5))
    cells, scores = score_images([pair])
    assert cells["iou"].tolist() == pytest.approx([4 / 6, 0])
    assert cells["best_iou"].tolist() == pytest.approx([4 / 6, 2 / 6])
    assert scores["iou_median"] == pytest.approx(2 / 6)
