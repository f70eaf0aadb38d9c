import numpy as np
import pytest
from scipy import ndimage
from scipy.stats import skew
from simulating import tissue
from sketchscope.masks.power_diagram import power_diagram
from sketchscope.masks.specimen import Box, Ellipsoid, Specimen, SpecimenSettings
from sketchscope.masks.tissue import merge_loose_pieces

GEOMETRY = {"2d": ((130, 150), (0.5, 0.5)), "3d": ((20, 50, 60), (1.0, 0.5, 0.5))}
BASE = {"diameter": 6.0, "diameter_cv": 0.15}
ELLIPSOID = SpecimenSettings(shape="ellipsoid", size_um=None, thickness_um=None, roughness=0.05)


@pytest.fixture(params=GEOMETRY)
def geometry(request):
    return GEOMETRY[request.param]


def simulate(geometry, seed=0, **changes):
    return tissue(*geometry, np.random.default_rng(seed), **BASE | changes)


def ball_size(geometry, diameter=6.0):
    return (np.pi / 4 * diameter**2 if len(geometry[0]) == 2 else np.pi / 6 * diameter**3) / np.prod(geometry[1])


def inner_diameters(labels, voxel_size):
    """Of the disc or ball of each cell's size, cells at the volume's borders left out."""
    border = [labels.take(end, axis).ravel() for axis in range(labels.ndim) for end in (0, -1)]
    sizes = np.bincount(labels.ravel())
    sizes[np.unique(np.concatenate(border))] = 0
    sizes = sizes[1:][sizes[1:] > 0] * np.prod(voxel_size)
    return (4 / np.pi * sizes) ** 0.5 if labels.ndim == 2 else (6 / np.pi * sizes) ** (1 / 3)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("radius", [None, 9.0])
def test_power_diagram_against_its_definition(geometry, weighted, radius):
    shape, voxel_size = geometry
    rng, extent = np.random.default_rng(0), np.multiply(*geometry)
    centres = rng.uniform(-3, extent + 3, (40, len(shape)))
    weights = rng.uniform(0, 6, 40) * weighted
    outline = Box() if radius is None else Ellipsoid(extent / 2, np.full(len(shape), radius), 0.0, None)
    found = power_diagram(shape, np.array(voxel_size), centres, weights, Specimen(outline))
    position = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1) * voxel_size
    power = ((position[..., None, :] - centres) ** 2).sum(axis=-1) - weights
    inside = True if radius is None else np.linalg.norm(position - extent / 2, axis=-1) <= radius
    expected = np.where(inside, power.argmin(axis=-1) + 1, 0)
    assert (found != expected).mean() < 1e-4, "ties and rounding alone"
    np.testing.assert_array_equal(found > 0, expected > 0)


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_power_diagram_of_few_and_of_many_cells(geometry, count):
    centres = np.random.default_rng(1).uniform(0, np.multiply(*geometry), (count, len(geometry[0])))
    found = power_diagram(geometry[0], np.array(geometry[1]), centres, np.zeros(count), Specimen(Box()))
    voxels = np.rint(centres / geometry[1]).astype(int)
    voxels = np.minimum(voxels, np.subtract(geometry[0], 1))
    distance = np.linalg.norm((voxels * geometry[1])[:, None] - centres, axis=-1)
    np.testing.assert_array_equal(found[tuple(voxels.T)], distance.argmin(axis=1) + 1)


SPECIMENS = {
    "box": {},
    "ellipsoid": {"specimen": ELLIPSOID},
    "shell": {"specimen": ELLIPSOID._replace(thickness_um=6.0)},
    "layered dome": {"specimen": ELLIPSOID._replace(shape="dome"), "layers": 2, "size_gradient": 2.0},
    "uneven": {"diameter_cv": 0.6},
    "cells of a few voxels": {"diameter": 2.0},
}


@pytest.mark.parametrize("changes", SPECIMENS.values(), ids=SPECIMENS)
def test_labels_are_consecutive_each_is_one_piece_and_none_is_small(geometry, changes):
    labels = simulate(geometry, **changes)
    assert labels.shape == geometry[0]
    assert labels.dtype == np.uint16
    assert list(np.unique(labels[labels > 0])) == list(range(1, labels.max() + 1))
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        assert ndimage.label(labels[box] == label)[1] == 1
    smallest = 0.1 * ball_size(geometry, changes.get("diameter", 6.0))
    assert np.bincount(labels.ravel())[1:].min() >= smallest
    assert labels.max() > 5


def test_tissue_fills_its_box(geometry):
    assert (simulate(geometry) > 0).all()


def test_same_generator_same_mask(geometry):
    first = simulate(geometry, seed=3)
    np.testing.assert_array_equal(first, simulate(geometry, seed=3))
    assert (first != simulate(geometry, seed=4)).any()


@pytest.mark.parametrize("cv", [0.1, 0.2, 0.3])
@pytest.mark.parametrize("ndim", [2, 3])
def test_sizes_are_log_normal(ndim, cv):
    """Their spread is the asked one, and their logarithms are not skewed."""
    geometry = {2: ((340, 340), (0.35, 0.35)), 3: ((70, 90, 90), (0.5, 0.5, 0.5))}[ndim]
    found = [inner_diameters(simulate(geometry, seed, diameter_cv=cv), geometry[1]) for seed in range(3)]
    diameters = np.concatenate(found)
    assert len(diameters) > 250
    assert diameters.mean() == pytest.approx(6.0, rel=0.05)
    assert diameters.std() / diameters.mean() == pytest.approx(cv, abs=0.02)
    assert abs(skew(np.log(diameters))) < 0.35


def depths_of_cells(labels, voxel_size):
    """Depth of each cell's centre in the ellipsoid that fits the volume, and whether the cell is at its surface."""
    extent = np.multiply(labels.shape, voxel_size)
    outline = Ellipsoid(extent / 2, extent / 2, 0.0, None)
    index = range(1, labels.max() + 1)
    centres = np.array(ndimage.center_of_mass(labels > 0, labels, index)) * voxel_size
    surface = ndimage.minimum(outline.depth(np.argwhere(labels >= 0) * voxel_size).reshape(labels.shape), labels, index)
    return outline.depth(centres), surface < 1.5 * max(voxel_size)


def test_cells_grow_with_depth():
    labels = simulate(((80, 80, 80), (1.0, 1.0, 1.0)), size_gradient=4.0, specimen=ELLIPSOID._replace(roughness=0.0))
    sizes = np.bincount(labels.ravel())[1:]
    depth, _ = depths_of_cells(labels, (1.0, 1.0, 1.0))
    for low, high in [(0, 6), (10, 20)]:
        here = (depth > low) & (depth < high)
        expected = np.pi / 6 * 6.0**3 * np.mean((1 + 0.04 * depth[here]) ** 3)
        assert np.mean(sizes[here]) == pytest.approx(expected, rel=0.15)


def test_layers_lie_side_by_side():
    """The cells at the surface have their centres at one depth."""

    def spread(layers):
        specimen = ELLIPSOID._replace(roughness=0.0)
        labels = simulate(((50, 80, 80), (1.0,) * 3), diameter=8.0, layers=layers, specimen=specimen)
        depth, surface = depths_of_cells(labels, (1.0, 1.0, 1.0))
        return depth[surface].std()

    assert spread(2) < 0.7 * spread(0)


def test_settle_gives_away_what_is_loose_and_small():
    labels = np.ones((12, 12), np.uint16)
    labels[:, 6:] = 2
    labels[3, 9] = 1  # cut off
    labels[0, 0] = 3  # small
    labels[8:10, 6:8] = 4
    merge_loose_pieces(labels, 4, (1.0, 1.0))
    expected = np.ones((12, 12), np.uint16)
    expected[:, 6:] = 2
    expected[8:10, 6:8] = 4
    np.testing.assert_array_equal(labels, expected)


def test_settle_drops_what_has_no_neighbour():
    labels = np.zeros((3, 20, 20), np.uint16)
    labels[1, 2:9, 2:9] = 1
    labels[1, 15, 15] = 2
    merge_loose_pieces(labels, 3, (1.0, 1.0, 1.0))
    assert set(np.unique(labels)) == {0, 1}


def test_no_room_for_a_cell(geometry):
    shell = ELLIPSOID._replace(size_um=[0.01] * len(geometry[0]), roughness=0.0)
    assert simulate(geometry, specimen=shell).max() == 0
