import numpy as np
import pytest
from sketchscope.sequences import spread_out
from sketchscope.sketches import brightness


def ellipsoid(shape, centre, axes):
    grid = np.meshgrid(*map(np.arange, shape), indexing="ij")
    return sum(((g - c) / a) ** 2 for g, c, a in zip(grid, centre, axes, strict=True)) <= 1


def test_ellipse_in_micrometres():
    mask = ellipsoid((80, 100), (40, 50), (15, 30))
    table = brightness.measure(np.full(mask.shape, 0.25), mask.astype(np.uint16), (0.5, 0.5))
    (row,) = table.to_dict("records")
    assert row["area"] == mask.sum()
    assert row["volume_um"] == pytest.approx(np.pi * 7.5 * 15, rel=0.02)
    assert row["equivalent_diameter"] == pytest.approx(2 * np.sqrt(7.5 * 15), rel=0.02)
    assert row["elongation"] == pytest.approx(2, rel=0.02)
    assert row["solidity"] > 0.95
    assert row["grey"] == pytest.approx(0.25)
    assert row["texture"] == pytest.approx(0, abs=1e-7)


def test_ellipsoid_in_anisotropic_voxels():
    mask = ellipsoid((20, 60, 90), (10, 30, 45), (6, 14, 28))
    table = brightness.measure(np.zeros(mask.shape), mask.astype(np.int32), (1.0, 0.5, 0.5))
    (row,) = table.to_dict("records")
    assert row["volume_um"] == pytest.approx(4 / 3 * np.pi * 6 * 7 * 14, rel=0.03)
    assert row["depth_um"] == pytest.approx(10)
    assert row["equivalent_diameter"] == pytest.approx(2 * np.sqrt(7 * 14), rel=0.03)
    assert row["elongation"] == pytest.approx(2, rel=0.03)


@pytest.mark.parametrize("shape", [(20, 30), (6, 20, 30)])
def test_each_cell_has_its_own_grey_and_texture(shape):
    labels = np.zeros(shape, np.uint16)
    labels[..., 2:10, 2:10] = 2
    labels[..., 12:18, 15:25] = 7
    rng = np.random.default_rng(0)
    image = np.where(labels == 2, -0.5, np.where(labels == 7, rng.normal(0.5, 0.1, shape), -0.9))
    table = brightness.measure(image, labels, (1.0,) * len(shape))
    assert list(table.columns) == list(brightness.CELL_COLUMNS)
    assert list(table["label"]) == [2, 7]
    assert list(table["area"]) == [(labels == 2).sum(), (labels == 7).sum()]
    assert table["grey"].tolist() == pytest.approx([-0.5, image[labels == 7].mean()])
    assert table["texture"].tolist() == pytest.approx([0, image[labels == 7].std()], abs=1e-9)
    assert brightness.measure_background(image, labels) == pytest.approx((-0.9, 0))


@pytest.mark.parametrize("shape", [(8, 8), (3, 8, 8)])
def test_one_voxel_and_none(shape):
    labels = np.zeros(shape, np.uint16)
    assert brightness.measure(np.zeros(shape), labels, (1.0,) * len(shape)).empty
    labels[(1,) * len(shape)] = 1
    row = brightness.measure(np.zeros(shape), labels, (1.0,) * len(shape)).iloc[0]
    assert row["area"] == 1
    assert row["elongation"] == 1


def test_background_of_a_covered_image_is_unknown():
    assert np.isnan(brightness.measure_background(np.ones((4, 4)), np.ones((4, 4), int))).all()


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
    assert (found == membrane).mean() > 0.9
    table = brightness.measure_membranes(image, found, voxel_size, 10.0)
    background = brightness.measure_background(image, found)
    assert len(table) > 20
    deepest = (shape[0] - 1) * voxel_size[0] if ndim == 3 else 0
    assert table["depth_um"].between(0, deepest).all()
    assert np.ptp(table["depth_um"]) >= 0.6 * deepest
    assert table["grey"].median() == pytest.approx(0.5, abs=0.15)
    assert background.background_mean == pytest.approx(-0.8, abs=0.1)


def test_each_membrane_has_its_own_grey():
    image = np.full((100, 100), -0.8)
    image[20, :50], image[20, 50:] = 0.2, 0.8
    table = brightness.measure_membranes(image, image > 0, (0.5, 0.5), 10.0)
    assert table["grey"].min() == pytest.approx(0.2)
    assert table["grey"].max() > table["grey"].min() + 0.3
