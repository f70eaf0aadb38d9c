import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import KDTree
from scipy.stats import kstest
from simulating import PLAIN, counted_nuclei, nuclei
from sketchscope.errors import InputError
from sketchscope.labels import keep_labels, label_type
from sketchscope.masks.cells import NucleiSettings, draw_cell, rasterise
from sketchscope.masks.nuclei import draw_stage
from sketchscope.masks.specimen import SpecimenSettings
from skimage.measure import regionprops

# shape, voxel size in micrometres and the density that makes 30 cells
GEOMETRY = {
    "2d": ((200, 240), (0.5, 0.5), 25.0),
    "3d": ((30, 100, 120), (1.0, 0.8, 0.8), 130.0),
}
BASE = {
    "diameter": 8.0,
    "diameter_cv": 0.15,
    "elongation": 1.3,
    "elongation_sd": 0.2,
    "flatness": 0.8,
    "roughness": 0.05,
    "cluster_fraction": 0.3,
    "cluster_gap_um": 0.5,
    "layer_um": None,
}
ROUND = {"diameter_cv": 0.0, "elongation": 1.0, "elongation_sd": 0.0, "flatness": 1.0, "roughness": 0.0}


@pytest.fixture(params=GEOMETRY)
def geometry(request):
    return GEOMETRY[request.param]


def simulate(geometry, seed=0, **changes):
    shape, voxel_size, density = geometry
    settings = {"density": density} | BASE | changes
    return nuclei(shape, voxel_size, np.random.default_rng(seed), **settings)


def one_cell(**changes):
    """Settings of a round cell of 8 micrometres, but for the changes."""
    return NucleiSettings(**PLAIN | BASE | ROUND | {"density": 1.0} | changes)


def touches_border(box, shape):
    return any(part.start == 0 or part.stop == size for part, size in zip(box, shape, strict=True))


def whole_cells(labels):
    """Masks of the cells that no border cuts."""
    boxes = enumerate(ndimage.find_objects(labels), start=1)
    return [labels[box] == label for label, box in boxes if not touches_border(box, labels.shape)]


def outlines(labels, voxel_size):
    """Properties of the whole cells as seen along z."""
    masks = (mask if mask.ndim == 2 else mask.any(axis=0) for mask in whole_cells(labels))
    return [regionprops(mask.astype(np.uint8), spacing=voxel_size[-2:])[0] for mask in masks]


def gaps(labels, voxel_size):
    """Micrometres from each cell to the nearest voxel of another, less the pixel that lies between."""
    distances = []
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        around = tuple(slice(max(part.start - 30, 0), part.stop + 30) for part in box)
        others = (labels[around] != 0) & (labels[around] != label)
        away = ndimage.distance_transform_edt(~others, sampling=voxel_size)
        distances.append(away[labels[around] == label].min() - min(voxel_size) if others.any() else np.inf)
    return np.array(distances)


def test_same_generator_same_mask(geometry):
    first = simulate(geometry, seed=3)
    np.testing.assert_array_equal(first, simulate(geometry, seed=3))
    assert (first != simulate(geometry, seed=4)).any()


def test_labels_are_consecutive_and_each_is_one_piece(geometry):
    labels = simulate(geometry, cluster_fraction=0.8, density=2 * geometry[2])
    assert labels.dtype == np.uint16
    assert labels.shape == geometry[0]
    assert list(np.unique(labels)) == list(range(labels.max() + 1))
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        assert ndimage.label(labels[box] == label, np.ones((3,) * labels.ndim))[1] == 1


def test_no_cell_covers_another(geometry):
    """Equal discs and balls in a crowd: whatever another had been painted over would be too small."""
    labels = simulate(geometry, **ROUND, density=3 * geometry[2], cluster_fraction=0.8, cluster_gap_um=0.0)
    ball = np.pi / 4 * 8**2 if labels.ndim == 2 else np.pi / 6 * 8**3
    sizes = [mask.sum() * np.prod(geometry[1]) for mask in whole_cells(labels)]
    assert len(sizes) > 20
    np.testing.assert_allclose(sizes, ball, rtol=0.08)


@pytest.mark.parametrize("cluster_fraction", [0.0, 0.5, 1.0])
def test_number_of_cells(geometry, cluster_fraction):
    """A cell of which half shows has its centre inside, so that their number is density times size."""
    shape, voxel_size, density = geometry
    settings = ROUND | {"cluster_fraction": cluster_fraction, "min_fraction": 0.5, "flatness": 0.3}
    found = sum(int(simulate(geometry, seed, **settings).max()) for seed in range(12))
    expected = 12 * density * np.prod(np.multiply(shape, voxel_size)) / 10 ** (2 * len(shape))
    assert expected > 300
    assert abs(found / expected - 1) < 0.2


def test_number_of_cells_varies_like_poisson(geometry):
    counts = [int(simulate(geometry, seed, min_fraction=0.5).max()) for seed in range(12)]
    assert 0.2 < np.var(counts) / np.mean(counts) < 3


def test_size_and_elongation(geometry):
    changes = {"elongation": 1.8, "roughness": 0.0, "cluster_fraction": 0.0}
    cells = [cell for seed in range(8) for cell in outlines(simulate(geometry, seed, **changes), geometry[1])]
    diameters = [cell.equivalent_diameter_area for cell in cells]
    ratios = [cell.axis_major_length / cell.axis_minor_length for cell in cells]
    assert len(cells) > 80
    assert np.mean(diameters) == pytest.approx(8.0, rel=0.06)
    assert np.std(diameters) == pytest.approx(0.15 * 8.0, rel=0.3)
    assert np.mean(ratios) == pytest.approx(1.8, rel=0.06)
    assert np.std(ratios) == pytest.approx(0.2, rel=0.4)


def test_orientations_are_even(geometry):
    changes = {"elongation": 2.0, "roughness": 0.0, "cluster_fraction": 0.0}
    cells = [cell for seed in range(8) for cell in outlines(simulate(geometry, seed, **changes), geometry[1])]
    assert abs(np.mean([np.exp(2j * cell.orientation) for cell in cells])) < 0.25


@pytest.mark.parametrize("flatness", [0.5, 1.5])
def test_flatness(flatness):
    """Height over width from second moments; those of an ellipsoid go with its squared semi-axes."""
    ratios = []
    for seed in range(3):
        labels = simulate(GEOMETRY["3d"], seed, flatness=flatness, roughness=0.0, density=100.0)
        for mask in whole_cells(labels):
            spread = np.cov(np.argwhere(mask).T * np.array(GEOMETRY["3d"][1])[:, None])
            ratios.append(np.sqrt(spread[0, 0] / np.sqrt(np.linalg.det(spread[1:, 1:]))))
    assert len(ratios) > 15
    assert np.mean(ratios) == pytest.approx(flatness, rel=0.05)
    assert np.std(ratios) < 0.1


def test_roughness_is_the_spread_of_the_radius(geometry):
    """Along one ray from the centre of many cells, on a fine grid."""
    ndim, rng, radius = len(geometry[0]), np.random.default_rng(0), []
    shape = (1,) * (ndim - 1) + (4000,)
    for _ in range(300):
        cell = draw_cell(ndim, one_cell(roughness=0.1), rng)
        place = rasterise(cell, np.zeros(ndim), np.full(ndim, 0.004), shape)
        radius.append(place.inside.sum() * 0.004 / 4.0)
    assert np.std(np.log(radius)) == pytest.approx(0.1, rel=0.15)
    assert np.mean(np.log(radius)) == pytest.approx(0.0, abs=0.02)


def test_a_border_cuts_a_cell_and_changes_nothing_else(geometry):
    shape, voxel_size = geometry[0], np.array(geometry[1])
    cell = draw_cell(
        len(shape), one_cell(diameter=12.0, elongation=1.5, flatness=0.8, roughness=0.15), np.random.default_rng(0)
    )
    shift = np.full(len(shape), 20)
    whole = np.zeros(np.add(shape, shift), bool)
    _, region, inside = rasterise(cell, shift * voxel_size, voxel_size, whole.shape)
    whole[region] = inside
    cut = np.zeros(shape, bool)
    _, region, inside = rasterise(cell, np.zeros(len(shape)), voxel_size, shape)
    cut[region] = inside
    assert cut.any()
    np.testing.assert_array_equal(cut, whole[tuple(slice(20, None) for _ in shape)])


def test_a_cell_outside_is_empty(geometry):
    cell = draw_cell(len(geometry[0]), one_cell(), np.random.default_rng(0))
    _, region, inside = rasterise(cell, np.full(len(geometry[0]), -50.0), np.array(geometry[1]), geometry[0])
    assert inside.size == 0
    assert np.zeros(geometry[0])[region].size == 0


def test_layer():
    geometry, heights = ((60, 80, 80), (0.5, 0.8, 0.8), 300.0), []
    for seed in range(4):
        labels = simulate(geometry, seed, layer_um=(12.0, 2.0), flatness=0.5, cluster_fraction=0.0)
        heights += [z * 0.5 for z, _, _ in ndimage.center_of_mass(labels > 0, labels, range(1, labels.max() + 1))]
    assert len(heights) > 60
    assert np.mean(heights) == pytest.approx(12.0, abs=0.8)
    assert np.std(heights) == pytest.approx(2.0, rel=0.3)


def test_without_a_layer_cells_are_at_all_heights():
    labels = simulate(GEOMETRY["3d"], density=300.0)
    assert ((labels > 0).mean(axis=(1, 2)) > 0.02).all()


def test_a_layer_means_nothing_in_two_dimensions():
    np.testing.assert_array_equal(simulate(GEOMETRY["2d"], layer_um=(3.0, 1.0)), simulate(GEOMETRY["2d"]))


def test_clusters(geometry):
    shares = [
        np.mean([np.mean(gaps(simulate(geometry, seed, cluster_fraction=f), geometry[1]) < 1.2) for seed in range(2)])
        for f in (0.0, 0.4, 0.9)
    ]
    assert shares[0] + 0.15 < shares[1]
    assert shares[1] + 0.15 < shares[2]


def test_gap_in_clusters(geometry):
    def upper_quartile(gap):
        changes = {"cluster_fraction": 0.9, "cluster_gap_um": gap, "density": geometry[2] / 2}
        found = [gaps(simulate(geometry, seed, **changes), geometry[1]) for seed in range(3)]
        return np.percentile(np.concatenate(found), 75)

    assert upper_quartile(0.0) < 0.5
    assert upper_quartile(5.0) > 1.5


def test_min_fraction(geometry):
    def border_sizes(min_fraction):
        labels = simulate(geometry, **ROUND, density=2 * geometry[2], min_fraction=min_fraction)
        assert list(np.unique(labels)) == list(range(labels.max() + 1))
        return np.bincount(labels.ravel())[1:] * np.prod(geometry[1])

    ball = np.pi / 4 * 8**2 if len(geometry[0]) == 2 else np.pi / 6 * 8**3
    assert border_sizes(0.0).min() < 0.1 * ball
    assert 0.3 * ball <= border_sizes(0.3).min() < 0.7 * ball


EXTREMES = {
    "round": ROUND,
    "rough": {"roughness": 0.5},
    "long": {"elongation": 10.0, "elongation_sd": 5.0},
    "uneven": {"diameter_cv": 1.0},
    "flat": {"flatness": 0.01},
    "tall": {"flatness": 5.0},
    "all in clusters": {"cluster_fraction": 1.0, "cluster_gap_um": 0.0},
    "far apart": {"cluster_fraction": 1.0, "cluster_gap_um": 1000.0},
    "smaller than a voxel": {"diameter": 0.1, "density": 100.0},
    "larger than the volume": {"diameter": 50.0, "density": 2.0},
    "above the stack": {"layer_um": (1000.0, 1.0)},
    "no cell": {"density": 1e-9},
}


@pytest.mark.parametrize("changes", EXTREMES.values(), ids=EXTREMES)
def test_extreme_parameters(geometry, changes):
    labels = simulate(((12, 48, 48)[-len(geometry[0]) :], *geometry[1:]), **changes)
    assert list(np.unique(labels)) in ([*range(labels.max() + 1)], [*range(1, labels.max() + 1)])


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (1, 1, 1), (1, 40, 40), (20, 1, 1)])
def test_smallest_volumes(shape):
    labels = simulate((shape, (0.5,) * len(shape), 50.0))
    assert labels.shape == shape
    assert labels.max() <= labels.size


def test_one_voxel_in_a_crowd_is_covered():
    covered = [simulate(((1, 1), (0.5, 0.5), 90.0), seed, min_fraction=0.0).max() for seed in range(10)]
    assert set(covered) == {0, 1}


def test_more_cells_than_16_bits_number():
    assert label_type(3) == np.uint16
    assert label_type(65_535) == np.uint16
    assert label_type(65_536) == np.uint32
    labels = np.arange(70_001, dtype=np.uint32).reshape(1, -1)
    kept = keep_labels(labels, np.repeat([False, True], [1000, 69_000]))
    assert kept.dtype == np.uint32
    assert (kept[0, :1001] == 0).all()
    np.testing.assert_array_equal(kept[0, 1001:], np.arange(1, 69_001))
    assert keep_labels(labels, np.repeat([False, True], [60_000, 10_000])).dtype == np.uint16


def axis_ratios(geometry, **changes):
    changes = {"roughness": 0.0, "elongation": 1.1, "elongation_sd": 0.05, "cluster_fraction": 0.0} | changes
    cells = [cell for seed in range(8) for cell in outlines(simulate(geometry, seed, **changes), geometry[1])]
    return np.array([cell.axis_major_length / cell.axis_minor_length for cell in cells])


def test_dividing_cells_are_a_share_and_have_axes_of_their_own(geometry):
    """No other cell is longer than 1.1 + 6 * 0.05, no dividing one shorter than 2.5 - 6 * 0.05."""
    ratios = axis_ratios(geometry, mitotic_fraction=0.3, mitotic_elongation=2.5)
    dividing = ratios > 1.8
    assert len(ratios) > 80
    assert dividing.mean() == pytest.approx(0.3, abs=3 * np.sqrt(0.3 * 0.7 / len(ratios)))
    assert ratios[dividing].mean() == pytest.approx(2.5, rel=0.06)
    assert ratios[~dividing].mean() == pytest.approx(1.1, rel=0.06)
    assert (axis_ratios(geometry, mitotic_fraction=0.0, mitotic_elongation=2.5) < 1.8).all()
    assert (axis_ratios(geometry, mitotic_fraction=1.0, mitotic_elongation=2.5) > 1.8).all()


def test_a_specimen_keeps_cells_within_it(geometry):
    """All voxels lie in a ball of 30 micrometres, but for half a voxel; the count refers to that whole ball."""
    shape, voxel_size = {2: ((120, 120), (0.5, 0.5)), 3: ((48, 64, 64), (1.0, 0.8, 0.8))}[len(geometry[0])]
    ball = SpecimenSettings(shape="ellipsoid", size_um=[30.0] * len(shape), thickness_um=None, roughness=0.0)
    crowd, found, numbers = {2: 70.0, 3: 700.0}[len(shape)], [], []
    for seed in range(8):
        settings = BASE | ROUND | {"specimen": ball, "density": crowd, "cluster_fraction": 0.3}
        labels, census = counted_nuclei(shape, voxel_size, np.random.default_rng(seed), **settings)
        numbers.append(labels.max())
        found.append(np.linalg.norm(np.argwhere(labels) * voxel_size - np.multiply(shape, voxel_size) / 2, axis=1))
        assert census.placed == census.drawn == labels.max()
    assert np.concatenate(found).max() < 15 + np.linalg.norm(voxel_size) / 2
    volume = np.pi * 15**2 if len(shape) == 2 else 4 / 3 * np.pi * 15**3
    expected = 8 * crowd * volume / 10 ** (2 * len(shape))
    assert sum(numbers) == pytest.approx(expected, abs=2.5 * np.sqrt(expected))


def centre_distances(labels, voxel_size, border):
    """Distance of each cell to the nearest other one, of those whose centre lies far from the border."""
    centres = np.array(ndimage.center_of_mass(labels > 0, labels, range(1, labels.max() + 1))) * voxel_size
    inner = (centres > border).all(axis=1) & (centres < np.multiply(labels.shape, voxel_size) - border).all(axis=1)
    return KDTree(centres).query(centres[inner], 2)[0][:, 1]


@pytest.mark.parametrize("crowded", [False, True])
def test_spacing_is_a_hard_core(geometry, crowded):
    """Also in a crowd, in which nuclei are pushed apart; without it they are nearer."""
    shape, voxel_size = {2: ((300, 300), (0.4, 0.4)), 3: ((65, 65, 65), (0.9, 0.9, 0.9))}[len(geometry[0])]
    density = {2: (20.0, 50.0), 3: (200.0, 480.0)}[len(shape)][crowded]
    settings = BASE | ROUND | {"cluster_fraction": 0.0, "density": density}
    nearest = [
        centre_distances(nuclei(shape, voxel_size, np.random.default_rng(2), **settings, **spacing), voxel_size, 13.0)
        for spacing in ({"spacing_um": 11.0}, {})
    ]
    assert len(nearest[0]) > 5
    assert nearest[0].min() > 11.0 - 0.45, "the rounding of voxels"
    assert nearest[1].min() < 10.0


def test_a_range_of_densities_and_sizes(geometry):
    """Evenly drawn on a logarithmic scale; the diameter goes with the density to a power."""
    low, high = geometry[2] / 4, geometry[2] * 2
    settings = NucleiSettings(**PLAIN | BASE | {"density": [low, high], "size_exponent": 0.3, "spacing_um": 9.0})
    drawn = [draw_stage(settings, len(geometry[0]), np.random.default_rng(seed)) for seed in range(400)]
    logarithms = np.log([density / low for _, density in drawn]) / np.log(high / low)
    assert kstest(logarithms, "uniform").pvalue > 0.01
    for stage, density in drawn[:5]:
        relative = density / np.sqrt(low * high)
        assert stage.diameter == pytest.approx(8.0 * relative**-0.3)
        assert stage.spacing_um == pytest.approx(9.0 * relative ** (-1 / len(geometry[0])))


def test_one_density_draws_nothing(geometry):
    rng = np.random.default_rng(0)
    settings = one_cell(size_exponent=0.3)
    assert draw_stage(settings, len(geometry[0]), rng) == (settings, 1.0)
    assert rng.random() == np.random.default_rng(0).random()


def test_a_thickness_means_nothing_to_a_box(geometry):
    """It has no surface below which it could be measured."""
    found = simulate(geometry, specimen=SpecimenSettings("box", None, 20.0, 0.0))
    np.testing.assert_array_equal(found, simulate(geometry, specimen=SpecimenSettings("box", None, None, 0.0)))
    assert found.max() > 10


def test_a_specimen_too_thin_for_a_nucleus_is_refused(geometry):
    thin = SpecimenSettings("ellipsoid", [3.0] * len(geometry[0]), None, 0.0)
    with pytest.raises(InputError, match=r"simulation.density: found .*; nuclei of this size, .* packed up to 0.0"):
        simulate(geometry, specimen=thin)
