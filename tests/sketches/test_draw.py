import numpy as np
import pytest
from scipy import ndimage, stats
from sketchscope.evaluation.audit import audit_cells
from sketchscope.geometry import sigma_in_voxels
from sketchscope.sketches.depth import Measured, fade
from sketchscope.sketches.draw import (
    NUCLEOLUS_DEPTH,
    MembraneSketch,
    NucleusSketch,
    draw_grey_values,
    draw_membranes,
    draw_nuclei,
    draw_nucleoli,
    find_membranes_between,
    find_nearest_other,
    finish_sketch,
    paint_cells,
)
from sketchscope.sketches.haze import Shading

GEOMETRY = {"2d": ((40, 50), (0.5, 0.5)), "3d": ((16, 40, 50), (1.0, 0.25, 0.5))}


@pytest.fixture(params=GEOMETRY)
def geometry(request):
    return GEOMETRY[request.param]


@pytest.fixture
def labels(geometry):
    """Three boxes, one at the border, two that touch."""
    labels = np.zeros(geometry[0], np.uint16)
    labels[..., 5:15, :8] = 1
    labels[..., 20:30, 20:30] = 2
    labels[..., 20:30, 30:40] = 3
    if labels.ndim == 3:
        labels[:4] = 0
    return labels


GREY = np.array([-0.5, 0.0, 0.75], np.float32)


def sketch_cells(labels, grey_values, background, voxel_size, sigma):
    """Painted, blurred and clipped, without fading."""
    widths = sigma_in_voxels(sigma, voxel_size)
    return finish_sketch(paint_cells(labels, grey_values, background), widths)


def test_unblurred_each_cell_has_its_value(labels):
    sketch = paint_cells(labels, GREY, -1.0)
    assert sketch.dtype == np.float32
    assert sketch.shape == labels.shape
    for label, value in enumerate([-1.0, *GREY]):
        assert (sketch[labels == label] == value).all()


@pytest.mark.parametrize("sigma", [0.7, 2.0])
def test_blur_is_one_of_each_axis(labels, geometry, sigma):
    expected = np.select([labels == label for label in (1, 2, 3)], GREY, default=-0.9)
    for axis, width in enumerate(sigma_in_voxels(sigma, geometry[1])):
        expected = ndimage.gaussian_filter1d(expected, width, axis)
    sketch = sketch_cells(labels, GREY, -0.9, geometry[1], sigma)
    np.testing.assert_allclose(sketch, expected, atol=1e-5)


def test_blur_is_as_wide_in_micrometres_along_all_axes(geometry):
    """The variance of a blurred point is the square of sigma."""
    shape, voxel_size = geometry
    labels = np.zeros(tuple(4 * n for n in shape), np.uint8)
    middle = tuple(n // 2 for n in labels.shape)
    labels[middle] = 1
    weight = sketch_cells(labels, [1.0], -1.0, voxel_size, 4.0).astype(float) + 1
    for axis, size in enumerate(voxel_size):
        others = tuple(other for other in range(labels.ndim) if other != axis)
        profile = weight.sum(axis=others)
        position = (np.arange(profile.size) - middle[axis]) * size
        assert np.sqrt((profile * position**2).sum() / profile.sum()) == pytest.approx(4 * min(voxel_size), rel=0.02)


def test_sigma_in_voxels():
    assert sigma_in_voxels(2.0, (0.5, 0.5)) == (2.0, 2.0)
    assert sigma_in_voxels(2.0, (1.0, 0.25, 0.5)) == (0.5, 2.0, 1.0)
    assert sigma_in_voxels(0.0, (1.0, 0.25)) == (0.0, 0.0)


def test_clipped(labels, geometry):
    sketch = sketch_cells(labels, [-3.0, 0.0, 3.0], -2.0, geometry[1], 0.0)
    assert sketch.min() == -1.0
    assert sketch.max() == 1.0
    assert (sketch[labels == 2] == 0).all()


@pytest.mark.parametrize("background", [-1.0, -0.8])
def test_empty_mask(geometry, background):
    labels = np.zeros(geometry[0], np.uint16)
    grey_values = draw_grey_values(GREY, labels.max(), background, np.random.default_rng(0))
    assert grey_values.shape == (0,)
    sketch = sketch_cells(labels, grey_values, background, geometry[1], 1.5)
    np.testing.assert_allclose(sketch, background, atol=1e-6)


def test_wide_labels(geometry):
    labels = np.zeros(geometry[0], np.uint32)
    labels[..., 5, 5] = 70_000
    sketch = paint_cells(labels, np.linspace(-1, 1, 70_000), -1.0)
    assert (sketch[..., 5, 5] == 1).all()
    assert np.count_nonzero(sketch != -1) == sketch[..., 5, 5].size


def test_grey_values_are_drawn_from_the_real_ones():
    real = np.array([-0.9, -0.2, 0.1, 0.4, 1.3])
    drawn = draw_grey_values(real, 5000, -1.0, np.random.default_rng(0))
    assert drawn.dtype == np.float32
    values, counts = np.unique(drawn, return_counts=True)
    np.testing.assert_allclose(values, real, rtol=1e-6)
    np.testing.assert_allclose(counts, 1000, rtol=0.15)


def test_darker_values_are_raised():
    drawn = draw_grey_values(np.array([-0.9, -0.7, 0.4]), 300, -0.6, np.random.default_rng(0))
    np.testing.assert_allclose(np.unique(drawn), [-0.6, 0.4], rtol=1e-6)
    assert 60 < np.count_nonzero(drawn > 0) < 140


def test_same_generator_same_grey_values():
    first, again, other = (
        draw_grey_values(np.linspace(-1, 1, 99), 50, -1, np.random.default_rng(s)) for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_nucleoli_lie_inside_and_are_as_many_as_their_probabilities_say(geometry):
    shape, voxel_size = geometry
    labels = np.zeros(shape, np.uint16)
    labels[tuple(slice(n // 8, -n // 8) for n in shape)] = 1
    rng = np.random.default_rng(2)
    assert not draw_nucleoli(labels, [1.0], (1.0, 2.0), voxel_size, rng).any()
    counts = []
    for _ in range(20):
        spots = draw_nucleoli(labels, [0, 1.0], (1.0, 2.0), voxel_size, rng)
        assert not spots[labels == 0].any()
        counts.append(ndimage.label(spots)[1])
        extent = np.ptp(np.argwhere(spots) * voxel_size, axis=0)
        assert (extent <= 2.0).all()
    assert counts == [1] * 20


def test_nucleoli_are_darker_than_their_nucleus_and_brighter_than_the_background(labels):
    spots = np.zeros(labels.shape, bool)
    spots[tuple(np.argwhere(labels == 1)[0])] = True
    sketch = paint_cells(labels, np.full(labels.max(), 0.5), -0.5, spots)
    np.testing.assert_allclose(sketch[spots], 0.5 - NUCLEOLUS_DEPTH, atol=1e-6)
    np.testing.assert_allclose(sketch[(labels == 1) & ~spots], 0.5)


def test_contrast_decays_along_z():
    image = np.full((9, 4, 4), 0.5, np.float32)
    sketch = fade(image, -0.5, 8.0, (2.0, 0.5, 0.5))
    np.testing.assert_allclose(sketch[:, 0, 0], -0.5 + np.exp(-np.arange(9) / 4), rtol=1e-5)
    np.testing.assert_array_equal(fade(image[0], -0.5, 8.0, (0.5, 0.5)), image[0])


@pytest.fixture
def tissue(geometry):
    """Cells that touch, and background in a corner."""
    shape, voxel_size = geometry
    sites = np.random.default_rng(0).uniform(0, np.multiply(shape, voxel_size), (12, len(shape)))
    position = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1) * voxel_size
    labels = np.linalg.norm(position[..., None, :] - sites, axis=-1).argmin(axis=-1).astype(np.uint16)
    assert labels.max() == 11
    return labels


@pytest.mark.parametrize("distance", [0.1, 0.5, 1.2])
def test_nearest_other_against_its_definition(tissue, geometry, distance):
    voxel_size = np.array(geometry[1])
    beyond = find_nearest_other(tissue, distance, voxel_size)
    away = np.array([ndimage.distance_transform_edt(tissue != label, voxel_size) for label in range(12)])
    away[tissue, *np.indices(tissue.shape)] = np.inf
    shifted = (np.roll(np.pad(tissue, 1, "edge"), step, axis) for axis in range(tissue.ndim) for step in (1, -1))
    faces = np.any([other[(slice(1, -1),) * tissue.ndim] != tissue for other in shifted], axis=0)
    near = away.min(axis=0) <= distance + voxel_size.min() / 2 + 1e-9
    membrane = beyond != tissue
    assert membrane[near].all()
    assert (near | faces)[membrane].all()
    chosen = np.take_along_axis(away, beyond[None].astype(int), axis=0)[0]
    np.testing.assert_allclose(chosen[near], away.min(axis=0)[near])


def test_a_membrane_is_as_wide_as_it_should_be():
    labels = np.ones((5, 100), np.uint16)
    labels[:, 50:] = 2
    for width in (1.0, 2.0, 3.0):
        assert ((find_nearest_other(labels, width / 2, (0.25, 0.25)) != labels).sum(axis=1) * 0.25 == width).all()


def test_each_pair_of_neighbours_is_one_membrane(tissue, geometry):
    membranes = find_membranes_between(tissue, 0.5, geometry[1])
    sketch = np.full(tissue.shape, -0.75)
    sketch[membranes.where] = np.linspace(0, 1, membranes.total)[membranes.membrane]
    beyond = find_nearest_other(tissue, 0.25, geometry[1])
    membrane = beyond != tissue
    np.testing.assert_array_equal(sketch >= 0, membrane)
    assert (sketch[~membrane] == -0.75).all()
    pairs = np.sort([tissue[membrane], beyond[membrane]], axis=0)
    values = {(a, b): set() for a, b in pairs.T.tolist()}
    for (a, b), value in zip(pairs.T.tolist(), sketch[membrane].tolist(), strict=True):
        values[a, b].add(value)
    assert all(len(found) == 1 for found in values.values())
    assert len(set.union(*values.values())) == len(values)


def test_one_cell_that_fills_the_image_has_no_membrane(geometry):
    membranes = find_membranes_between(np.ones(geometry[0], np.uint16), 5.0, geometry[1])
    assert membranes.total == len(membranes.membrane) == 0
    sharp = MEMBRANES._replace(sigma=0.0)
    for like in (None, np.zeros(geometry[0], np.float32)):
        sketch = draw_membranes(
            np.ones(geometry[0], np.uint16), geometry[1], sharp, MEASURED, np.random.default_rng(0), like=like
        )
        np.testing.assert_allclose(sketch, MEASURED.background)


MEASURED = Measured(np.array([0.0, 0.5]), -0.8)
COMMON = {"decay_um": 8.0, "sigma_unit": "finest", "field": "flat"}
NUCLEI = NucleusSketch(
    *(1.0, None, 0.2), nucleoli=[0.5, 0.5], nucleolus_um=(1.0, 2.0), grey="measured", boundary_offset_um=0.0, **COMMON
)
MEMBRANES = MembraneSketch(1.0, None, 0.2, membrane_um=1.0, **COMMON)
AS_PUBLISHED = NUCLEI._replace(background=-1.0, nucleoli=[1.0], decay_um=None, sigma_unit="voxel", grey="uniform")


@pytest.mark.parametrize(("draw", "settings"), [(draw_nuclei, NUCLEI), (draw_membranes, MEMBRANES)])
def test_draw(tissue, geometry, draw, settings):
    first, again, other = (
        draw(tissue, geometry[1], settings, MEASURED, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert first.dtype == np.float32
    assert -0.81 < first.min() < first.max() <= 1


@pytest.mark.parametrize("voxel_size", [(0.5, 0.5), (4.0, 0.25, 0.5)])
@pytest.mark.parametrize(("draw", "settings"), [(draw_nuclei, NUCLEI), (draw_membranes, MEMBRANES)])
def test_blur_of_the_paper_is_one_voxel_along_every_axis(draw, settings, voxel_size):
    """Also where voxels are long: scipy's filter with one sigma for all axes makes the same of the sharp sketch."""
    labels = np.zeros((24, 30, 30)[-len(voxel_size) :], np.uint16)
    labels[(slice(8, 16),) * labels.ndim] = 1
    plain = settings._replace(decay_um=None, background=-1.0)
    sharp, finest, voxel = (
        draw(labels, voxel_size, plain._replace(**changes), MEASURED, np.random.default_rng(1))
        for changes in ({"sigma": 0.0}, {"sigma": 1.5}, {"sigma": 1.5, "sigma_unit": "voxel"})
    )
    np.testing.assert_allclose(voxel, ndimage.gaussian_filter(sharp, 1.5), atol=1e-6)
    assert np.allclose(finest, voxel) == (len(set(voxel_size)) == 1)


def test_grey_values_of_the_paper_are_uniform():
    """From -0.7, which is left out, to 1, whatever was measured."""
    labels = np.arange(4001, dtype=np.int32).reshape(1, -1)
    sharp = AS_PUBLISHED._replace(sigma=0.0)
    grey = draw_nuclei(labels, (1.0, 1.0), sharp, MEASURED, np.random.default_rng(1))[0]
    assert grey[0] == -1
    assert -0.7 < grey[1:].min() < -0.69
    assert 0.99 < grey[1:].max() <= 1
    assert stats.kstest(grey[1:], stats.uniform(-0.7, 1.7).cdf).pvalue > 0.01


@pytest.mark.parametrize("decay_um", [None, 16.0])
def test_nuclei_are_as_bright_as_those_of_an_image(labels, geometry, decay_um):
    """Also where the contrast fades with depth: on average over the core of a nucleus."""
    image = np.array([-0.8, -0.7, -0.65, -0.5], np.float32)[labels]
    settings = NUCLEI._replace(sigma=0.0, min_contrast=0.0, nucleoli=[1.0], decay_um=decay_um)
    sketch = draw_nuclei(labels, geometry[1], settings, MEASURED, np.random.default_rng(1), like=image)
    for label in (0, 1, 2, 3):
        assert sketch[labels == label].mean() == pytest.approx(image[labels == label].mean(), abs=0.05)


def test_membranes_are_as_bright_as_those_of_an_image(tissue, geometry):
    membranes = find_membranes_between(tissue, 1.0, geometry[1])
    image = np.full(tissue.shape, -0.8, np.float32)
    image[membranes.where] = np.linspace(-0.5, 0.9, membranes.total)[membranes.membrane]
    settings = MEMBRANES._replace(sigma=0.0, min_contrast=0.0, decay_um=None)
    sketch = draw_membranes(tissue, geometry[1], settings, MEASURED, np.random.default_rng(0), like=image)
    np.testing.assert_allclose(sketch, image, atol=1e-6)


def test_lost_nuclei_are_drawn_as_bright_as_usual(labels, geometry):
    settings = NUCLEI._replace(sigma=0.0, min_contrast=0.1, nucleoli=[1.0], decay_um=None)
    measured = Measured(np.array([-0.6, 0.2, 0.9]), -0.8)

    def drawn(lost):
        return draw_nuclei(labels, geometry[1], settings, measured, np.random.default_rng(2), lost=lost)

    before, after = drawn([]), drawn([1, 3])
    for label in (1, 3):
        assert after[labels == label][0] == np.float32(max(before[labels == label][0], 0.2))
    np.testing.assert_array_equal(after[np.isin(labels, (0, 2))], before[np.isin(labels, (0, 2))])
    assert (after != before).any()


def test_membranes_are_drawn_where_cells_meet(tissue, geometry):
    sharp = MEMBRANES._replace(sigma=0.0)
    sketch = draw_membranes(tissue, geometry[1], sharp, MEASURED, np.random.default_rng(0))
    membrane = find_nearest_other(tissue, 0.5, geometry[1]) != tissue
    assert sketch[membrane].min() > -0.8
    np.testing.assert_allclose(sketch[~membrane], -0.8, rtol=1e-6)


@pytest.mark.parametrize("offset", [0.3, 0.75, 1.2])
def test_half_maximum_lies_inside_the_outline_by_the_offset(offset):
    """To a fifth of a voxel: the area over the half is that of a smaller disc, and the audit says the same."""
    y, x = np.indices((101, 101)) - 50
    labels = np.broadcast_to(np.hypot(y, x) < 30, (5, 101, 101)).astype(np.uint16)  # goes on above and below
    sharp = NUCLEI._replace(sigma=2.0, nucleoli=[1.0], decay_um=None, background=-1.0)
    bright = Measured(np.array([1.0]), -1.0)
    image, plain = (
        draw_nuclei(labels, (2.0, 0.5, 0.5), settings, bright, np.random.default_rng(0))
        for settings in (sharp._replace(boundary_offset_um=offset), sharp)
    )
    radius, whole = (np.sqrt((drawn[2] > 0).sum() / np.pi) * 0.5 for drawn in (image, plain))
    assert whole - radius == pytest.approx(offset, abs=0.1)
    found = audit_cells(image, labels, (2.0, 0.5, 0.5), touching=False, min_contrast=3.0)
    assert found["displacement"][0] * 0.5 == pytest.approx(-offset, abs=0.15)


def test_rims_belong_to_the_background_and_touching_nuclei_leave_a_gap():
    labels = np.repeat([[0, 1, 2]], 8, axis=1).repeat(24, axis=0)
    settings = NUCLEI._replace(sigma=0.0, nucleoli=[1.0], decay_um=None, boundary_offset_um=1.0)
    shading = Shading(np.full(labels.shape, 0.1, np.float32), 0.0, 1.0)
    image = draw_nuclei(
        labels, (0.5, 0.5), settings, Measured(np.array([0.5]), -0.8), np.random.default_rng(0), shading=shading
    )
    row = np.r_[[-0.7] * 10, [0.5] * 4, [-0.7] * 4, [0.5] * 6].astype(np.float32)  # no rim at the edge of the image
    np.testing.assert_allclose(image, np.broadcast_to(row, image.shape), atol=1e-6)


@pytest.mark.parametrize("decay_um", [None, 16.0])
@pytest.mark.parametrize("draw", [draw_nuclei, draw_membranes])
def test_dim_cells_stand_out_from_the_light_around_them(tissue, geometry, draw, decay_um):
    """By the least contrast, which fades with depth like everything else; others stay as they are."""
    settings = NUCLEI._replace(nucleoli=[1.0]) if draw is draw_nuclei else MEMBRANES
    settings = settings._replace(sigma=0.0, min_contrast=0.2, decay_um=decay_um)
    labels = np.where(tissue == tissue.max(), 0, tissue) if draw is draw_nuclei else tissue
    light = Shading(np.full(labels.shape, 0.3, np.float32), 0.0, 1.0)
    dim, bright = (
        draw(labels, geometry[1], settings, Measured(np.array([grey]), -0.8), np.random.default_rng(0), shading=light)
        for grey in (-0.8, 0.6)
    )
    drawn = bright != np.float32(-0.5)
    assert drawn.any()
    assert (bright[~drawn] == dim[~drawn]).all()
    if decay_um is None:
        np.testing.assert_allclose(dim[drawn], -0.3, atol=1e-6)
        np.testing.assert_allclose(bright[drawn], 0.6, atol=1e-6)
    else:
        assert (dim[drawn] < bright[drawn]).all()
        first = (0, *[slice(None)] * 2) if labels.ndim == 3 else ...
        assert dim[first][drawn[first]].min() > -0.5


@pytest.mark.parametrize(("draw", "settings"), [(draw_nuclei, NUCLEI), (draw_membranes, MEMBRANES)])
def test_a_field_without_cells_is_the_light_between_them(geometry, draw, settings):
    light = Shading(np.full(geometry[0], 0.3, np.float32), 0.5, 1.0)
    empty = np.zeros(geometry[0], np.uint16)
    for offset in (0.0, 1.0) if draw is draw_nuclei else (None,):
        chosen = settings if offset is None else settings._replace(boundary_offset_um=offset)
        sketch = draw(empty, geometry[1], chosen, MEASURED, np.random.default_rng(0), shading=light)
        np.testing.assert_allclose(sketch, -0.5, atol=1e-6)
