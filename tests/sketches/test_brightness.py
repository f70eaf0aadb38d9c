import numpy as np
import pytest
from sketchscope.sequences import spread_out
from sketchscope.sketches import brightness


@pytest.mark.parametrize(("shape", "voxel_size"), [((20, 30), (0.5, 0.5)), ((6, 20, 30), (2.0, 0.5, 0.5))])
def test_each_cell_has_its_own_grey_and_depth(shape, voxel_size):
    labels = np.zeros(shape, np.uint16)
    labels[..., 2:10, 2:10] = 2
    labels[..., 12:18, 15:25] = 7
    if labels.ndim == 3:
        labels[:4][labels[:4] == 7] = 0
    rng = np.random.default_rng(0)
    image = np.where(
        labels == 2, -0.5, np.where(labels == 7, rng.normal(0.5, 0.1, shape), rng.normal(-0.9, 0.1, shape))
    )
    pieces, background = brightness.measure_brightness(image, labels, voxel_size)
    assert pieces["label"].tolist() == [2, 7]
    assert pieces["grey"].tolist() == pytest.approx([-0.5, 0.5], abs=0.03)
    assert pieces["depth_um"].tolist() == pytest.approx([5.0, 9.0] if labels.ndim == 3 else [0, 0])
    assert pieces["height_um"].tolist() == ([12.0, 4.0] if labels.ndim == 3 else [0, 0])
    assert background == pytest.approx(image[labels == 0].mean())


@pytest.mark.parametrize("shape", [(8, 8), (3, 8, 8)])
def test_one_voxel_and_none(shape):
    labels, image = np.zeros(shape, np.uint16), np.full(shape, 0.25, np.float32)
    assert brightness.measure_brightness(image, labels, (1.0,) * len(shape)).pieces.empty
    labels[(1,) * len(shape)] = 1
    pieces, background = brightness.measure_brightness(image, labels, (1.0,) * len(shape))
    height = float(len(shape) == 3)
    assert pieces.to_dict("records") == [{"label": 1, "grey": 0.25, "depth_um": height, "height_um": height}]
    assert background == 0.25


def test_background_of_a_covered_image_is_unknown():
    assert np.isnan(brightness.measure_brightness(np.ones((4, 4)), np.ones((4, 4), int), (1.0, 1.0)).background)


@pytest.mark.parametrize(("count", "chosen"), [(1, [0]), (2, [0, 6]), (3, [0, 3, 6]), (99, [0, 1, 2, 3, 4, 5, 6])])
def test_spread_out(count, chosen):
    assert spread_out(list(range(7)), count) == chosen


@pytest.mark.parametrize("ndim", [2, 3])
def test_membranes_are_measured_without_cells(ndim):
    """Bright walls between boxes of ten micrometres: the grey of walls and of what lies between, noise in both."""
    shape, voxel_size = ((120, 140), (0.5, 0.5)) if ndim == 2 else ((30, 80, 90), (1.0, 0.5, 0.5))
    walls = [np.arange(size) * step % 10 < 1.0 for size, step in zip(shape, voxel_size, strict=True)]
    membrane = np.any(np.meshgrid(*walls, indexing="ij"), axis=0)
    image = np.where(membrane, 0.5, -0.8) + np.random.default_rng(0).normal(0, 0.05, shape)
    found = brightness.find_membranes(image, voxel_size, 1.0, 10.0)
    assert ((found > 0) == membrane).mean() > 0.9
    table, background = brightness.measure_brightness(image, found, voxel_size)
    assert len(table) == len(np.unique(found)) - 1 > 20
    deepest = (shape[0] - 1) * voxel_size[0] if ndim == 3 else 0
    assert table["depth_um"].between(0, deepest).all()
    assert np.ptp(table["depth_um"]) >= 0.6 * deepest
    assert table["grey"].median() == pytest.approx(0.5, abs=0.15)
    assert background == pytest.approx(-0.8, abs=0.1)


def test_each_piece_of_membrane_has_its_own_grey():
    image = np.full((100, 100), -0.8)
    image[18:22, :50], image[18:22, 50:] = 0.2, 0.8
    pieces = brightness.find_membranes(image, (0.5, 0.5), 1.0, 10.0)
    table = brightness.measure_brightness(image, pieces, (0.5, 0.5)).pieces
    # boxes of 20 pixels: five along the line, which lies in two rows of them; the brightness changes in a middle box
    grey = table["grey"].to_numpy().reshape(2, 5)
    assert grey[:, [0, 1, 3, 4]] == pytest.approx(np.array(2 * [[0.2, 0.2, 0.8, 0.8]]))
    assert ((grey[:, 2] >= 0.2) & (grey[:, 2] <= 0.8)).all()


@pytest.mark.parametrize("radius", [3, 6, 12])
@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("too_large", [0, 1])
def test_grey_of_a_cell_does_not_depend_on_a_mask_that_is_too_large(radius, ndim, too_large):
    """The mean of such a mask is far darker than the cell."""
    distance = np.linalg.norm(np.indices((2 * radius + 9,) * ndim) - (radius + 4), axis=0)
    image = np.where(distance <= radius, 0.6, -0.9)
    labels = (distance <= radius + too_large).astype(int)
    assert too_large == 0 or image[labels == 1].mean() < 0.45
    assert brightness.measure_cores(image, labels, (1.0,) * ndim)["grey"].tolist() == pytest.approx([0.6], abs=0.02)


def test_edge_of_the_image_is_no_boundary():
    """A cell that is cut in half is measured at the cut as well."""
    distance = np.linalg.norm(np.indices((30, 30)) - np.array([0, 15])[:, None, None], axis=0)
    core = brightness.find_core(distance <= 10, (1.0, 1.0))
    assert core[0, 15]
    assert not core[9, 15]
    assert brightness.find_core(np.ones((4, 4), bool), (1.0, 1.0)).all()


SHAPES = {(64, 64): (0.5, 0.5), (6, 48, 48): (1.0, 0.5, 0.5)}


@pytest.fixture(params=SHAPES)
def two_boxes(request):
    """An image of two boxes of unlike brightness, with texture, and their labels."""
    labels = np.zeros(request.param, int)
    labels[..., 8:24, 8:24], labels[..., 28:40, 28:44] = 1, 3
    image = np.array([-0.9, 0.1, np.nan, 0.6])[labels] + np.random.default_rng(0).normal(0, 0.05, request.param)
    return image.astype(np.float32), labels


def test_grey_of_each_cell(two_boxes):
    grey = brightness.grey_at_surface(*two_boxes, SHAPES[two_boxes[0].shape], -0.9, None)
    assert grey.tolist() == pytest.approx([0.1, -0.9, 0.6], abs=0.02)


def test_grey_of_each_cell_at_the_surface(two_boxes):
    """A sketch of it that fades is as bright as the cell on average."""
    shape, decay_um = two_boxes[0].shape, 16.0
    grey = brightness.grey_at_surface(*two_boxes, SHAPES[shape], -0.9, decay_um)
    middle = (shape[0] - 1) / 2 if len(shape) == 3 else 0
    assert (grey[[0, 2]] + 0.9) * np.exp(-middle / decay_um) == pytest.approx([1.0, 1.5], rel=0.03)
