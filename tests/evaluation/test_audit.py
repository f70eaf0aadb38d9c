import numpy as np
import pandas as pd
import pytest
from scipy import ndimage
from sketchscope.evaluation import audit
from sketchscope.evaluation.audit.cells import Window, audit_nucleus
from sketchscope.evaluation.audit.noise import find_levels, measure_contrast, step_at
from sketchscope.evaluation.audit.surroundings import measure_surroundings
from sketchscope.labels import drop_labels

# shape and voxel size: a plane, a stack of cubes, a stack of coarse planes
GEOMETRIES = [((80, 80), (0.5, 0.5)), ((44, 44, 44), (0.3, 0.3, 0.3)), ((22, 60, 60), (1.0, 0.25, 0.25))]


def distance_to(centre, shape, voxel_size):
    """Distance of every voxel's centre to a point, in voxels of the finest axis; the point too is in voxels."""
    scale = np.array(voxel_size) / min(voxel_size)
    offsets = [(np.arange(n) - c) * s for n, c, s in zip(shape, centre, scale, strict=True)]
    return np.sqrt(sum(part**2 for part in np.meshgrid(*offsets, indexing="ij")))


def ball(shape, voxel_size, radius, bigger=0.0, contrast=1.0):
    """Labels of one ball, and an image of a bigger or smaller one with a soft edge on a background of -0.5."""
    distance = distance_to(np.array(shape) / 2 - 0.5, shape, voxel_size)
    image = -0.5 + contrast / (1 + np.exp((distance - radius - bigger) / 0.3))
    return (distance <= radius).astype(np.uint16), image


def one(image, labels, voxel_size, touching=False, min_contrast=3.0):
    return audit.audit_cells(image, labels, voxel_size, touching=touching, min_contrast=min_contrast).iloc[0]


@pytest.mark.parametrize(("shape", "voxel_size"), GEOMETRIES)
@pytest.mark.parametrize("bigger", [-2.0, -1.0, 0.0, 0.5, 1.5])
def test_displacement_is_how_much_bigger_the_nucleus_is(shape, voxel_size, bigger):
    labels, image = ball(shape, voxel_size, 12, bigger)
    cell = one(image, labels, voxel_size)
    # the steps of a voxelised boundary and layers one voxel thick cost a tenth of the distance; coarse planes more
    tolerance = 0.05 if voxel_size[0] == voxel_size[-1] else 0.2
    assert cell["displacement"] == pytest.approx(bigger, abs=tolerance + 0.1 * abs(bigger))
    assert cell["contrast"] == pytest.approx(1, abs=0.05)
    expected = ((12 + min(bigger, 0)) / (12 + max(bigger, 0))) ** len(shape)  # of concentric balls
    assert cell["iou"] == pytest.approx(expected, abs=0.06)
    assert cell["size"] == labels.sum()


@pytest.mark.parametrize(("shape", "voxel_size"), GEOMETRIES)
def test_noise_is_that_of_the_background(shape, voxel_size):
    labels, image = ball(shape, voxel_size, 12, contrast=0.6)
    image += np.random.default_rng(1).normal(0, 0.1, shape)
    cell = one(image, labels, voxel_size)
    assert cell["noise"] == pytest.approx(0.1, rel=0.15)
    assert cell["contrast_to_noise"] == pytest.approx(6, rel=0.2)
    assert not cell["lost"]
    assert one(image, labels, voxel_size, min_contrast=8)["lost"]


@pytest.mark.parametrize(("shape", "voxel_size"), GEOMETRIES)
def test_a_cell_that_is_not_there_is_lost(shape, voxel_size):
    labels, _ = ball(shape, voxel_size, 12)
    cell = one(np.random.default_rng(1).normal(0, 0.1, shape), labels, voxel_size)
    assert cell["lost"]
    assert cell["iou"] < 0.7


def test_a_cell_that_shows_elsewhere_is_not_found():
    """Dark inside, bright to one side: the threshold finds nothing of the cell."""
    labels, _ = ball((60, 60), (1.0, 1.0), 8)
    image = np.where(labels > 0, 0.1, 0.0) + np.where(distance_to((29.5, 42), (60, 60), (1.0, 1.0)) < 3, 1.0, 0.0)
    about = measure_surroundings(labels, 1, (1.0, 1.0))
    window = Window(image, np.where(labels > 0, -1.0, image), about, np.unique(image))
    assert audit_nucleus(window)[0]["iou"] == 0


def test_distance_is_to_the_surface_of_voxels():
    labels = np.zeros((9, 9), int)
    labels[3:6, 2:7] = 1
    about = measure_surroundings(labels, 1, (2.0, 1.0))
    assert about.distance[4].tolist() == pytest.approx([1.5, 0.5, -0.5, -1.5, -2.5, -1.5, -0.5, 0.5, 1.5])
    assert about.distance[:, 4].tolist() == pytest.approx([5.0, 3.0, 1.0, -1.0, -2.5, -1.0, 1.0, 3.0, 5.0])
    # one step along both axes, of which half is taken off in voxels that are scaled to circles
    assert about.distance[2, 1] == pytest.approx(np.hypot(2, 1) * (1 - 0.5 / np.sqrt(2)))


def test_neighbours_are_left_out():
    """A bright neighbour changes nothing, and where two touch there is no boundary to find."""
    shape, voxel_size = (60, 100), (1.0, 1.0)
    first, second = (distance_to((29.5, x), shape, voxel_size) for x in (36, 60))
    labels = np.where(first <= 12, 1, np.where(second <= 12, 2, 0))
    image = 0.5 * (first <= 12) + 2.0 * (second <= 12)
    image = ndimage.gaussian_filter(image, 0.7)
    table = audit.audit_cells(image, labels, voxel_size, touching=False, min_contrast=3)
    assert table["contrast"].tolist() == pytest.approx([0.5, 2.0], abs=0.03)
    assert table["displacement"].abs().max() < 0.3
    assert table["iou"].min() > 0.9


def test_nucleoli_do_not_count_against_a_nucleus():
    labels, image = ball((80, 80), (1.0, 1.0), 14)
    whole = one(image, labels, (1.0, 1.0))
    image[distance_to((38, 44), (80, 80), (1.0, 1.0)) < 4] = -0.5
    cell = one(image, labels, (1.0, 1.0))
    assert cell["iou"] == pytest.approx(whole["iou"], abs=1e-9)


def test_what_cannot_be_seen_is_not_lost():
    """A cell that fills the image, and one that others enclose, have no background to be compared with."""
    image = np.random.default_rng(1).normal(0, 1, (30, 30))
    full = one(image, np.ones((30, 30), int), (1.0, 1.0))
    assert np.isnan(full["contrast"])
    assert not full["lost"]
    labels = np.full((30, 30), 2)
    labels[10:20, 10:20] = 1
    assert audit.audit_cells(image, labels, (1.0, 1.0), touching=False, min_contrast=3)["contrast"].isna().all()


def test_cells_at_the_border_have_no_boundary_there():
    labels, image = ball((80, 80), (1.0, 1.0), 14, bigger=1.0)
    cell = one(image[40:], labels[40:], (1.0, 1.0))
    assert cell["displacement"] == pytest.approx(1.0, abs=0.15)


def honeycomb(shape, voxel_size):
    """Cubic cells of 16 voxels a side, and ridges where they touch."""
    scale = np.array(voxel_size) / min(voxel_size)
    places = np.meshgrid(*[(np.arange(n) + 0.5) * s for n, s in zip(shape, scale, strict=True)], indexing="ij")
    labels = np.zeros(shape, int)
    for place, size in zip(places, shape, strict=True):
        labels = labels * size + (place // 16).astype(int)
    _, labels = np.unique(labels, return_inverse=True)
    nearest = [16 * np.clip(np.rint(place / 16), 1, place.max() // 16) for place in places]
    distance = np.min([np.abs(place - ridge) for place, ridge in zip(places, nearest, strict=True)], axis=0)
    return labels.reshape(shape) + 1, np.exp(-((distance / 1.0) ** 2) / 2)


@pytest.mark.parametrize(("shape", "voxel_size"), [((64, 64), (0.5, 0.5)), ((48, 48, 48), (0.3, 0.3, 0.3))])
def test_membranes(shape, voxel_size):
    labels, image = honeycomb(shape, voxel_size)
    image += np.random.default_rng(1).normal(0, 0.02, shape)
    table = audit.audit_cells(image, labels, voxel_size, touching=True, min_contrast=3)
    assert len(table) == (shape[0] // 16) ** len(shape)
    assert table["displacement"].abs().max() < 0.25
    assert table["iou"].min() > 0.85
    assert not table["lost"].any()
    flat = np.random.default_rng(1).normal(0, 0.02, shape)
    assert audit.audit_cells(flat, labels, voxel_size, touching=True, min_contrast=3)["lost"].all()


def test_membranes_that_lie_elsewhere():
    """A ridge 3 voxels inside each cell's boundary."""
    labels = np.zeros((60, 60), int)
    labels[10:50, 10:50] = 1
    rim = ndimage.distance_transform_cdt(labels, metric="chessboard")
    image = np.exp(-((rim - 3.5) ** 2) / 2)
    cell = one(image, labels, (1.0, 1.0), touching=True)
    assert cell["displacement"] == pytest.approx(-3, abs=0.3)


def cells(**columns):
    plain = {"contrast": 1.0, "contrast_to_noise": 9.0, "lost": False, "rounded": False, "split": False, "offset": 0.0}
    plain |= {"displacement": 0.0, "iou": 1.0, "offset_z": np.nan, "offset_y": 0.0, "offset_x": 0.0}
    return pd.DataFrame({"label": range(1, 5)} | plain | columns)


def test_summary():
    table = cells(
        displacement=[-1.0, 0.5, 0.25, np.nan],
        iou=[0.6, 0.8, 0.95, 0.1],
        lost=[False] * 3 + [True],
        offset_y=[0.0, 3.0, 6.0, 90.0],
        offset_x=[-4.0, -4.0, np.nan, 90.0],
        offset=[4.0, 5.0, 6.0, 127.3],
        split=[True, True, False, True],
    )
    images = pd.DataFrame({"cells": [3, 1], "unlabelled": [1, 0], "borders": [8, 4], "hidden_borders": [3, 0]})
    found = audit.summarise_audit(table, images)
    assert found == {
        **{"cells": 4, "measured": 4, "lost": 1, "lost_share": 0.25, "rounded_share": 0.0},
        **{"contrast_to_noise_median": 9.0, "displacement_median": 0.25, "displacement_abs_median": 0.5},
        **{"iou_median": 0.8, "iou_above_0.7": 0.6667, "iou_above_0.9": 0.3333},
        **{"offset_median": 5.0, "shift_z": None, "shift_y": 3.0, "shift_x": -4.0, "shift": 5.0},
        **{"split": 2, "split_share": 0.6667},
        **{"unlabelled": 1, "unlabelled_per_image": 0.5, "unlabelled_share": 0.2},
        **{"borders": 12, "hidden_borders": 3, "hidden_share": 0.25},
        "warnings": [
            "cells lie 3.0 voxels below and 4.0 voxels to the left of their masks",
            "1 cells that show have no mask",
            "nothing shows on 25% of the borders of touching cells",
        ],
    }
    nothing = audit.summarise_audit(table[:0], images[:0])
    assert (nothing["cells"], nothing["iou_median"], nothing["iou_above_0.7"]) == (0, None, None)
    assert (nothing["shift"], nothing["unlabelled"], nothing["hidden_share"], nothing["warnings"]) == (
        None,
        0,
        None,
        [],
    )


def test_two_cells_of_a_few_raise_no_alarm_but_three_do():
    figures = {"lost_share": 0.25, "lost": 2}
    assert audit.name_faults(figures) == []
    assert audit.name_faults(figures | {"lost": 3}) == ["25% of the cells are too dim to be seen"]
    assert audit.name_faults({"displacement_median": -1.3}) == [
        "cells are smaller than their masks, by 1.3 voxels all around"
    ]


def test_what_is_over_its_limit_in_real_images_too_is_said_with_it():
    figures, references = {"displacement_median": -1.3, "shift": 0.1}, {"displacement_median": -1.16, "shift": 0.9}
    assert audit.name_faults(figures, references) == [
        "cells are smaller than their masks, by 1.3 voxels all around"
        " (real images with reference labels: cells are smaller than their masks, by 1.2 voxels all around)"
    ]
    assert audit.name_faults(figures, {"displacement_median": 0.4}) == audit.name_faults(figures)


@pytest.mark.parametrize("levels", [1, 4, 256])
def test_rounding_leaves_noise_of_a_uniform_distribution(levels):
    """The error of rounding a smooth ramp has the standard deviation that the floor of the noise has."""
    ramp = np.linspace(0, 1, 100_001)
    rounded = np.rint(ramp * levels) / levels
    floor = measure_contrast(1.0, 0.0, np.zeros(20), find_levels(rounded))
    assert floor["noise"] == pytest.approx((rounded - ramp).std(), rel=1e-3)
    assert floor["contrast_to_noise"] == pytest.approx(levels * np.sqrt(12))
    assert floor["rounded"]


def test_the_step_is_that_where_the_background_is():
    levels = np.sqrt(np.arange(256) / 255)  # of 8 bits with a gamma: coarse where it is dark
    assert step_at(levels, 0.0) == pytest.approx(levels[1])
    assert step_at(levels, levels[200]) == pytest.approx(levels[201] - levels[200], rel=0.01)
    assert step_at(np.array([3.0]), 3.0) == 0


def test_noise_below_a_step_is_counted_as_that_of_rounding():
    labels, image = ball((80, 80), (1.0, 1.0), 12)
    image += np.random.default_rng(1).normal(0, 0.001, image.shape)
    fine, coarse = one(image, labels, (1.0, 1.0)), one(np.rint(image * 10) / 10, labels, (1.0, 1.0))
    assert (fine["contrast_to_noise"] > 500, fine["rounded"]) == (True, False)
    assert coarse["contrast_to_noise"] == pytest.approx(10 * np.sqrt(12), rel=0.01)
    assert coarse["rounded"]


@pytest.mark.parametrize(("shape", "voxel_size"), GEOMETRIES)
@pytest.mark.parametrize("axis", [0, -1])
def test_the_offset_is_how_far_a_nucleus_was_moved(shape, voxel_size, axis):
    labels, image = ball(shape, voxel_size, 10)
    steps = 1 if axis == 0 and len(shape) == 3 else -2
    cell = one(np.roll(image, steps, axis), labels, voxel_size)
    moved = steps * voxel_size[axis] / min(voxel_size)
    expected = dict.fromkeys(("offset_z", "offset_y", "offset_x")[-len(shape) :], 0.0)
    expected[list(expected)[axis]] = moved
    assert {name: cell[name] for name in expected} == pytest.approx(expected, abs=0.15)
    assert cell["offset"] == pytest.approx(abs(moved), abs=0.15)
    assert np.isnan(cell["offset_z"]) == (len(shape) == 2)


def test_a_cell_that_the_image_cuts_has_no_offset_along_that_axis():
    labels, image = ball((80, 80), (1.0, 1.0), 14)
    cell = one(np.roll(image, 2, 1)[40:], labels[40:], (1.0, 1.0))
    assert np.isnan(cell["offset_y"])
    assert cell["offset_x"] == pytest.approx(2, abs=0.1)
    assert cell["offset"] == abs(cell["offset_x"])
    assert np.isnan(one(np.ones((30, 30)), np.ones((30, 30), int), (1.0, 1.0))["offset"])


def test_lost_cells_by_volume(tmp_path):
    for name, lost in (("a", [False, True]), ("b", [False, False])):
        table = pd.DataFrame({"volume": f"volume_{name}", "label": [1, 2], "lost": lost})
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    assert audit.read_lost([tmp_path / "a.csv", tmp_path / "b.csv"]) == {"volume_a": [2]}
    assert audit.read_lost([]) == {}
    labels = np.array([[0, 1], [2, 2]], np.uint16)
    assert drop_labels(labels, [2]).tolist() == [[0, 1], [0, 0]]
    assert drop_labels(labels, [2]).dtype == np.uint16
    assert drop_labels(labels, ()).tolist() == labels.tolist()


def test_a_cell_of_just_the_least_contrast_is_not_lost():
    labels, image = ball((80, 80), (1.0, 1.0), 12)
    image += np.random.default_rng(1).normal(0, 0.1, image.shape)
    ratio = one(image, labels, (1.0, 1.0))["contrast_to_noise"]
    assert not one(image, labels, (1.0, 1.0), min_contrast=ratio)["lost"]
    assert one(image, labels, (1.0, 1.0), min_contrast=ratio * (1 + 1e-9))["lost"]


def test_the_boundary_is_the_fall_nearest_to_that_of_the_mask():
    """Not the inner one, where a dark ring runs around in the nucleus."""
    labels, image = ball((80, 80), (1.0, 1.0), 20, bigger=0.5)
    distance = distance_to((39.5, 39.5), (80, 80), (1.0, 1.0)) - 20
    image[(distance > -4.5) & (distance < -2.5)] = -0.5
    assert one(image, labels, (1.0, 1.0))["displacement"] == pytest.approx(0.5, abs=0.2)


def test_what_lies_nearer_to_another_cell_is_not_free():
    labels = np.zeros((5, 12), int)
    labels[1:4, 1:4], labels[1:4, 8:11] = 1, 2
    first, second = (measure_surroundings(labels, label, (1.0, 1.0)).free for label in (1, 2))
    assert first[2].tolist() == [True] * 6 + [False] * 6
    assert second[2].tolist() == [False] * 6 + [True] * 6


def test_where_two_cells_touch_their_insides_are_not_free():
    labels = np.zeros((9, 16), int)
    labels[1:8, 1:8], labels[1:8, 8:15] = 1, 2
    free = measure_surroundings(labels, 1, (1.0, 1.0)).free
    assert free[4, 1:8].tolist() == [True] * 4 + [False] * 3


def test_a_second_lower_ridge_does_not_move_a_membrane():
    labels = np.zeros((60, 60), int)
    labels[10:50, 10:50] = 1
    depth = ndimage.distance_transform_cdt(labels, metric="chessboard") - 0.5
    image = np.exp(-(depth**2) * 2) + 0.8 * np.exp(-((depth - 4) ** 2) * 2)
    image[labels == 0] = 0
    image[9, 9:51] = image[50, 9:51] = image[9:51, 9] = image[9:51, 50] = np.exp(-0.5)
    assert abs(one(image, labels, (1.0, 1.0), touching=True)["displacement"]) < 0.3
