import numpy as np
import pytest
from scipy import ndimage
from sketchscope.errors import InputError
from sketchscope.segmentation import classical, classical_nuclei

DIAMETER = 12.0
GEOMETRY = {
    "2d": ((160, 160), (0.5, 0.5)),
    "3d": ((24, 96, 96), (1.0, 0.5, 0.5)),
}


SETTINGS = {"sigma": None, "min_contrast": 5.0, "edge": 0.4, "split": 0.15, "min_height": 0.03, "min_size": 0.1}


def segment(image, *, voxel_size, cell_diameter, **changes):
    settings = classical_nuclei.ClassicalNuclei(**SETTINGS | changes)
    return classical_nuclei.segment_nuclei(image, voxel_size, cell_diameter, settings)


@pytest.fixture(params=GEOMETRY)
def geometry(request):
    return GEOMETRY[request.param]


def ball(shape, voxel_size, centre_um, radius_um=DIAMETER / 2):
    """Signed distance to a ball's surface in micrometres, positive inside: the known boundary."""
    grid = np.meshgrid(*[np.arange(n) * s for n, s in zip(shape, voxel_size, strict=True)], indexing="ij")
    return radius_um - np.sqrt(sum((g - c) ** 2 for g, c in zip(grid, centre_um, strict=True)))


def render(shape, voxel_size, cells, noise=2.0, offset=100.0, seed=0):
    """Cells (signed distance, brightness) with anti-aliased edges, optical blur and camera noise."""
    image = np.zeros(shape)
    finest = min(voxel_size)
    for distance, brightness in cells:
        image = np.maximum(image, brightness * np.clip(distance / finest + 0.5, 0, 1))
    image = ndimage.gaussian_filter(image, 0.5 / np.array(voxel_size))
    return image + offset + np.random.default_rng(seed).normal(0, noise, shape)


def centres(shape, voxel_size, in_plane):
    """Points at fractions of the plane, in the middle of the stack."""
    extent = np.multiply(shape, voxel_size)
    middle = [extent[0] / 2] if len(shape) == 3 else []
    return [np.array([*middle, y * extent[-2], x * extent[-1]]) for y, x in in_plane]


def test_finds_each_cell_with_its_boundary(geometry):
    shape, voxel_size = geometry
    in_plane = [(0.2, 0.2), (0.2, 0.75), (0.75, 0.25), (0.75, 0.75)]
    distances = [ball(shape, voxel_size, centre) for centre in centres(shape, voxel_size, in_plane)]
    brightness = (200, 120, 60, 30)
    labels = segment(
        render(shape, voxel_size, list(zip(distances, brightness, strict=True))),
        voxel_size=voxel_size,
        cell_diameter=DIAMETER,
        edge=0.5,  # these cells are flat
    )
    assert list(np.unique(labels)) == [0, 1, 2, 3, 4]
    for distance in distances:
        found = labels == labels[np.unravel_index(distance.argmax(), shape)]
        radius = (found.sum() / (distance > 0).sum()) ** (1 / len(shape)) * DIAMETER / 2
        assert abs(radius - DIAMETER / 2) < 0.5 * min(voxel_size)
        wrong = np.abs(distance[found != (distance > 0)])
        assert wrong.size == 0 or np.percentile(wrong, 90) < 0.5 * max(voxel_size)


@pytest.mark.parametrize("gap", [-1.0, 0.5])
def test_splits_touching_cells(geometry, gap):
    shape, voxel_size = geometry
    (middle,) = centres(shape, voxel_size, [(0.5, 0.5)])
    shift = np.zeros(len(shape))
    shift[-1] = (DIAMETER + gap) / 2
    distances = [ball(shape, voxel_size, middle + sign * shift) for sign in (-1, 1)]
    labels = segment(
        render(shape, voxel_size, [(distance, 100) for distance in distances]),
        voxel_size=voxel_size,
        cell_diameter=DIAMETER,
    )
    assert labels.max() == 2
    for distance in distances:
        label = labels[np.unravel_index(distance.argmax(), shape)]
        assert np.mean(labels[distance > 1] == label) > 0.97


def test_finds_a_dim_cell_beside_a_bright_one(geometry):
    shape, voxel_size = geometry
    (middle,) = centres(shape, voxel_size, [(0.5, 0.5)])
    shift = np.zeros(len(shape))
    shift[-1] = DIAMETER / 2 + 2
    dim, bright = (ball(shape, voxel_size, middle + sign * shift) for sign in (-1, 1))
    labels = segment(
        render(shape, voxel_size, [(dim, 25), (bright, 500)]), voxel_size=voxel_size, cell_diameter=DIAMETER
    )
    assert labels.max() == 2
    found = labels == labels[np.unravel_index(dim.argmax(), shape)]
    assert (found & (dim > 0)).sum() / (found | (dim > 0)).sum() > 0.8


@pytest.mark.parametrize("noise", [0.0, 3.0])
def test_no_cell_in_an_empty_image(geometry, noise):
    shape, voxel_size = geometry
    image = render(shape, voxel_size, [], noise)
    labels = segment(image, voxel_size=voxel_size, cell_diameter=DIAMETER)
    assert labels.shape == shape
    assert not labels.any()


def test_offset_and_scale_do_not_matter(geometry):
    shape, voxel_size = geometry
    cells = [(ball(shape, voxel_size, c), 100) for c in centres(shape, voxel_size, [(0.3, 0.3), (0.7, 0.7)])]
    image = render(shape, voxel_size, cells)
    labels = [
        segment(changed, voxel_size=voxel_size, cell_diameter=DIAMETER)
        for changed in (image, image + 30000, image / 100 - 1)
    ]
    assert labels[0].max() == 2
    for changed in labels[1:]:
        assert np.mean(changed != labels[0]) < 1e-4  # rounding at the threshold


def test_holes_are_filled_and_specks_removed(geometry):
    shape, voxel_size = geometry
    cell, speck = centres(shape, voxel_size, [(0.5, 0.3), (0.5, 0.8)])
    distance = ball(shape, voxel_size, cell)
    nucleolus = ball(shape, voxel_size, cell, 1.5) > 0
    hollow = np.where(nucleolus, -1, distance)
    labels = segment(
        render(shape, voxel_size, [(hollow, 100), (ball(shape, voxel_size, speck, 1.0), 100)]),
        voxel_size=voxel_size,
        cell_diameter=DIAMETER,
    )
    assert labels.max() == 1
    assert labels[nucleolus].all()


def test_background_level_ignores_the_cells():
    values = np.random.default_rng(0).normal(50, 3, 100_000)
    values[:40_000] += np.linspace(20, 400, 40_000)
    mode, sd = classical_nuclei.find_background_level(values)
    assert mode == pytest.approx(50, abs=1.5)
    assert sd == pytest.approx(3, rel=0.3)


def test_uneven_background_is_flattened():
    shape, voxel_size = GEOMETRY["2d"]
    cells = [(ball(shape, voxel_size, c), 60) for c in centres(shape, voxel_size, [(0.3, 0.3), (0.7, 0.7)])]
    slope = np.linspace(0, 15, shape[1])
    image = render(shape, voxel_size, cells) + slope
    labels = segment(image, voxel_size=voxel_size, cell_diameter=DIAMETER)
    assert labels.max() == 2


def test_clean_numbers_what_is_left():
    labels = np.zeros((6, 12), int)
    labels[1:5, 1:5] = 3
    labels[2, 2] = 0  # a hole
    labels[0, 10] = 3  # a stray voxel
    labels[3, 7] = 5  # too small
    labels[1:4, 9:12] = 9
    cleaned = classical.clean_cells(labels, 4)
    assert set(np.unique(cleaned)) == {0, 1, 2}
    assert (cleaned == 1).sum() == 16
    assert (cleaned == 2).sum() == 9


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"voxel_size": (1.0,)}, "voxel_size"),
        ({"voxel_size": (0.0, 1.0)}, "voxel_size"),
        ({"cell_diameter": 0.0}, "cell_diameter"),
        ({"edge": 1.0}, "classical.edge"),
        ({"min_contrast": 0.0}, "classical.min_contrast"),
    ],
)
def test_bad_settings_are_named(changed, key):
    settings = {"voxel_size": (1.0, 1.0), "cell_diameter": 5.0} | changed
    with pytest.raises(InputError, match=key):
        segment(np.zeros((8, 8)), **settings)


def three_cells(heights):
    """Flat cells of 6 x 6 pixels beside each other, on 0."""
    labels = np.zeros((10, 30), np.int32)
    for number in (1, 2, 3):
        labels[2:8, 10 * number - 8 : 10 * number - 2] = number
    return np.array([0, *heights], np.float32)[labels], labels


@pytest.mark.parametrize(
    ("min_height", "kept"), [(0.0, {1, 2, 3}), (0.04, {1, 2, 3}), (0.07, {1, 3}), (0.5, {1, 3}), (0.9, {1})]
)
def test_cells_dim_beside_the_bright_ones_are_dropped(min_height, kept):
    """The 90th percentile of 100, 5 and 60 is 92, of which 5 is 0.054 and 60 is 0.65."""
    contrast, labels = three_cells([100, 5, 60])
    found = classical_nuclei.cut_at_edge(contrast, labels, 0.4, min_height)
    np.testing.assert_array_equal(found, np.where(np.isin(labels, list(kept)), labels, 0))


@pytest.mark.parametrize("edge", [0.3, 0.5, 0.7])
def test_a_cell_is_cut_where_it_falls_to_a_fraction_of_its_own_height(edge):
    contrast, labels = three_cells([100, 50, 10])
    contrast[2, labels[2] > 0] *= 0.6
    contrast[7, labels[7] > 0] *= 0.4
    rim = {2: 0.6, 7: 0.4}
    found = classical_nuclei.cut_at_edge(contrast, labels, edge, 0.0)
    expected = labels.copy()
    for row, share in rim.items():
        if share <= edge:
            expected[row] = 0
    np.testing.assert_array_equal(found, expected)


def test_a_height_is_the_median_of_what_rises_above_the_edge():
    contrast, labels = three_cells([100, 50, 10])
    contrast[2:8, 2:8] = np.linspace(10, 100, 36).reshape(6, 6)
    contrast[2, 12] = 120  # a hot pixel
    heights = classical_nuclei.cell_heights(contrast, labels, 0.4)
    assert heights.shape == (4,)
    assert np.isinf(heights[0])
    assert heights[2:] == pytest.approx([50, 10])
    core = contrast[2:8, 2:8][contrast[2:8, 2:8] > 0.4 * heights[1]]
    assert heights[1] == pytest.approx(np.median(core), rel=0.05)


@pytest.mark.parametrize(("min_height", "found"), [(0.03, 2), (0.3, 1)])
def test_min_height_reaches_the_segmentation(geometry, min_height, found):
    shape, voxel_size = geometry
    bright, dim = (ball(shape, voxel_size, c) for c in centres(shape, voxel_size, [(0.5, 0.25), (0.5, 0.75)]))
    labels = segment(
        render(shape, voxel_size, [(bright, 400), (dim, 60)]),
        voxel_size=voxel_size,
        cell_diameter=DIAMETER,
        min_height=min_height,
    )
    assert labels.max() == found
    assert (labels[bright > 2] > 0).all()
    assert (labels[dim > 2] > 0).all() == (found == 2)


@pytest.mark.parametrize(("min_size", "found"), [(0.1, 2), (0.5, 1)])
def test_min_size_is_a_fraction_of_the_cell_of_the_given_diameter(geometry, min_size, found):
    """A cell of 0.6 diameters has 0.36 of the area, 0.22 of the volume."""
    shape, voxel_size = geometry
    large, small = centres(shape, voxel_size, [(0.5, 0.3), (0.5, 0.8)])
    cells = [(ball(shape, voxel_size, large), 100), (ball(shape, voxel_size, small, 0.3 * DIAMETER), 100)]
    labels = segment(render(shape, voxel_size, cells), voxel_size=voxel_size, cell_diameter=DIAMETER, min_size=min_size)
    assert labels.max() == found
