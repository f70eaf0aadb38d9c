import numpy as np
import pytest
from scipy import ndimage
from simulating import nuclei
from sketchscope.labels import clean_labels
from sketchscope.masks.rearrange import Cutting, Rearrangement, cut_cells, place_cuttings, rearrange, turn_cell

# shape, voxel size in micrometres, and the density that makes about 40 nuclei of 8 micrometres
GEOMETRY = {
    "2d": ((200, 240), (0.5, 0.5), 35.0),
    "2d anisotropic": ((100, 240), (1.0, 0.5), 35.0),
    "3d": ((20, 120, 140), (1.0, 0.6, 0.6), 400.0),
}
DIAMETER = 8.0


@pytest.fixture(params=GEOMETRY, scope="module")
def geometry(request):
    return GEOMETRY[request.param]


@pytest.fixture(scope="module")
def frame(geometry):
    shape, voxel_size, density = geometry
    return nuclei(
        shape,
        voxel_size,
        diameter=DIAMETER,
        diameter_cv=0.1,
        elongation=1.4,
        elongation_sd=0.1,
        flatness=0.8,
        roughness=0.03,
        density=density,
        cluster_fraction=0.3,
        cluster_gap_um=0.5,
        rng=np.random.default_rng(0),
    )


def layout(frame, geometry, seed=0, shape=None, **changes):
    plain = {"touching": False, "shuffle": 0.3, "elastic": 0.1, "min_size": 0.1, "cell_diameter": DIAMETER}
    settings = Rearrangement(**plain | changes)
    return rearrange(frame, shape or geometry[0], geometry[1], settings, np.random.default_rng(seed))


def assert_clean(labels):
    """Labels 1, 2, ... without gaps, each of them in one piece."""
    assert set(np.unique(labels)) | {0} == set(range(labels.max() + 1))
    for label in range(1, labels.max() + 1):
        assert ndimage.label(labels == label)[1] == 1


def median_size(labels):
    return np.median([cutting.mask.sum() for cutting in cut_cells(labels)])


@pytest.mark.parametrize("seed", range(4))
def test_cells_are_whole_of_the_same_size_and_as_many(frame, geometry, seed):
    labels = layout(frame, geometry, seed)
    assert labels.shape == frame.shape
    assert_clean(labels)
    assert median_size(labels) == pytest.approx(median_size(frame), rel=0.2)  # of few cells, drawn again
    assert int(labels.max()) == pytest.approx(int(frame.max()), rel=0.35)
    assert (labels > 0).mean() == pytest.approx((frame > 0).mean(), rel=0.35)


def test_a_single_frame_makes_any_number_of_volumes(frame, geometry):
    made = [layout(frame, geometry, seed).tobytes() for seed in range(8)]
    assert len({frame.tobytes(), *made}) == 9


def test_the_same_seed_makes_the_same_volume(frame, geometry):
    np.testing.assert_array_equal(layout(frame, geometry, 5), layout(frame, geometry, 5))


def test_a_volume_larger_than_its_frame_is_as_dense(frame, geometry):
    shape = (*geometry[0][:-2], *(2 * size for size in geometry[0][-2:]))
    labels = layout(frame, geometry, shape=shape)
    assert_clean(labels)
    assert (labels > 0).mean() == pytest.approx((frame > 0).mean(), rel=0.35)
    quarters = [part for half in np.array_split(labels, 2, axis=-2) for part in np.array_split(half, 2, axis=-1)]
    assert all(np.any(quarter) for quarter in quarters)


def test_a_deeper_volume_is_filled_in_every_slice():
    geometry = GEOMETRY["3d"]
    frame = np.zeros((6, 60, 60), np.uint16)
    for number, (y, x) in enumerate([(8, 8), (8, 40), (40, 8), (40, 40)], start=1):
        frame[1:5, y : y + 10, x : x + 10] = number
    labels = layout(frame, geometry, shape=(24, 60, 60), shuffle=0.0)
    assert_clean(labels)
    assert labels.max() > 8
    assert labels[:12].any()
    assert labels[12:].any()


@pytest.mark.parametrize("shuffle", [0.0, 1.0])
def test_shuffled_cells_leave_their_places(shuffle):
    """Without turns, which a tissue of one half turn and mirror images has, a cell stays or it does not."""
    geometry = GEOMETRY["2d"]
    frame = np.zeros((100, 100), np.uint16)
    frame[20:30, 20:30] = 1
    frame[60:70, 60:70] = 2
    seeds = range(6)
    distances = []
    for seed in seeds:
        labels = layout(frame, geometry, seed, shape=(100, 100), shuffle=shuffle, elastic=0.0)
        centres = np.array(ndimage.center_of_mass(labels > 0, labels, range(1, labels.max() + 1)))
        if len(centres) == 2:
            distances.append(np.linalg.norm(centres[0] - centres[1]))
    assert len(distances) > 1
    kept = np.abs(np.array(distances) - np.hypot(40, 40)) < 1
    assert kept.all() if shuffle == 0 else not kept.any()


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("seed", range(6))
def test_tissue_is_only_turned_and_mirrored(ndim, seed):
    shape = (4, 30, 30)[-ndim:]
    frame = 1 + (np.indices(shape)[-1] // 10 + 3 * (np.indices(shape)[-2] // 8)).astype(np.uint16)
    settings = Rearrangement(touching=True, shuffle=1.0, elastic=0.0, min_size=0.0, cell_diameter=5.0)
    labels = rearrange(frame, shape, (1.0, 0.5, 0.5)[-ndim:], settings, np.random.default_rng(seed))
    views = [np.rot90(flip, turns, axes=(-2, -1)) for flip in (frame, frame[..., ::-1]) for turns in range(4)]
    assert any(np.array_equal(labels, view) for view in views)


def test_tissue_of_an_oblong_frame_is_never_turned_out_of_it():
    frame = np.ones((20, 60), np.uint16)
    frame[:, 30:] = 2
    for seed in range(6):
        assert layout(frame, ((20, 60), (0.5, 0.5)), seed, touching=True, elastic=0.0).all()


def test_clean_keeps_one_piece_fills_holes_and_renumbers():
    labels = np.zeros((30, 40), int)
    labels[2:12, 2:12] = 3
    labels[6, 6] = 0  # a hole
    labels[20, 38] = 3  # a stray voxel
    labels[2:12, 12:22] = 7  # touches the first
    labels[25, 5] = 9  # too small
    cleaned = clean_labels(labels, 0.1)
    expected = np.zeros((30, 40))
    expected[2:12, 2:12] = 1
    expected[2:12, 12:22] = 2
    np.testing.assert_array_equal(cleaned, expected)


def test_clean_keeps_a_cell_inside_another_one_and_both_in_one_piece():
    labels = np.zeros((21, 21), int)
    for label, margin in ((1, 0), (2, 3), (0, 6)):
        labels[margin : 21 - margin, margin : 21 - margin] = label
    for order in ([0, 1, 2], [0, 2, 1]):
        cleaned = clean_labels(np.array(order)[labels], 0.0)
        assert cleaned.max() == 2
        assert_clean(cleaned)
        assert cleaned.all()


def test_clean_of_nothing_is_nothing():
    assert not clean_labels(np.zeros((5, 6, 7), int), 0.1).any()


def test_cells_at_the_border_are_not_cut_cells():
    frame = np.zeros((5, 20, 20), int)
    frame[1:3, 5:8, 5:8] = 1
    frame[0:3, 10:13, 10:13] = 2
    frame[1:3, 0:3, 10:13] = 3
    assert [cutting.height for cutting in cut_cells(frame)] == [1, 0]
    assert [cutting.height for cutting in cut_cells(frame, whole_slices=False)] == [1]


@pytest.mark.parametrize("angle", [0.0, 0.7, np.pi / 2])
@pytest.mark.parametrize("pixel", [(0.5, 0.5), (1.0, 0.5)])
def test_a_turned_ellipse_is_the_ellipse_turned(angle, pixel):
    """Area, and the direction of the long axis in micrometres, against the closed form."""
    y, x = np.meshgrid(np.arange(-40, 41) * pixel[0], np.arange(-40, 41) * pixel[1], indexing="ij")
    turned = turn_cell(np.hypot(x / 12, y / 6) <= 1, pixel, angle, False)
    assert turned.sum() * np.prod(pixel) == pytest.approx(np.pi * 12 * 6, rel=0.05)
    places = np.argwhere(turned) * pixel
    values, vectors = np.linalg.eigh(np.cov(places.T))
    assert np.sqrt(values) * 2 == pytest.approx([6, 12], rel=0.04)
    # places of the frame are found by a turn of +angle, so that the cell turns by -angle
    assert abs(vectors[:, 1] @ [np.sin(angle), np.cos(angle)]) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("shape", [(30, 30), (6, 30, 30)])
def test_placed_cells_touch_nothing_that_is_there(shape):
    labels = np.zeros(shape, np.uint16)
    labels[..., :, :15] = 1
    cell = Cutting(np.ones((4, 6, 6)[-len(shape) :], bool), 1)
    placed = place_cuttings(labels, [cell], 50, (1.0, 0.5, 0.5)[-len(shape) :], 0, 0.5, np.random.default_rng(0))
    assert np.array_equal(placed == 1, labels == 1)
    assert placed.max() > 2
    assert_clean(placed)
    if len(shape) == 3:
        assert not (placed[[0, 5]] > 1).any(), "they keep their height"


def letter_l(shape=(13, 9)):
    """A letter L, of which the mirror image is no turn."""
    mask = np.zeros(shape, bool)
    mask[:, :3] = True
    mask[-3:] = True
    return mask


def is_mirrored(mask):
    """Whether a turned letter L is the mirror image of one."""
    filled = np.pad(mask, 20).astype(float)
    overlaps = [
        max(
            ndimage.correlate(
                filled, ndimage.rotate(np.pad(letter.astype(float), 3), angle, order=1), mode="constant"
            ).max()
            for angle in range(0, 360, 30)
        )
        for letter in (letter_l(), letter_l()[:, ::-1])
    ]
    return overlaps[1] > overlaps[0]


@pytest.mark.parametrize("angle", [0.0, 0.7, 2.0])
@pytest.mark.parametrize("depth", [0, 3])
def test_a_cell_is_mirrored_where_it_is_to_be(angle, depth):
    letter = np.stack([letter_l()] * depth) if depth else letter_l()
    plain, mirrored = (turn_cell(letter, (0.5, 0.5), angle, flip) for flip in (False, True))
    np.testing.assert_array_equal(mirrored, plain[..., ::-1])
    first_slices = [stack[0] if depth else stack for stack in (plain, mirrored)]
    assert [is_mirrored(mask) for mask in first_slices] == [False, True]
    if not angle:
        np.testing.assert_array_equal(plain, letter)


def test_half_of_the_placed_cells_are_mirrored():
    labels = np.zeros((300, 300), np.uint16)
    placed = place_cuttings(labels, [Cutting(letter_l(), 0)], 60, (1.0, 1.0), 0, 1.0, np.random.default_rng(0))
    mirrored = [is_mirrored(cutting.mask) for cutting in cut_cells(placed)]
    assert len(mirrored) > 40
    assert np.mean(mirrored) == pytest.approx(0.5, abs=0.2)


@pytest.mark.parametrize("touching", [False, True])
def test_half_of_the_layouts_are_mirror_images(touching):
    """The letter stays where it is, but for the turn and the mirror of the whole frame."""
    frame = np.zeros((60, 60), np.uint16)
    frame[24:37, 26:35] = letter_l()
    found = []
    for seed in range(16):
        labels = layout(
            frame, ((60, 60), (1.0, 1.0)), seed, shape=(60, 60), touching=touching, shuffle=0.0, elastic=0.0
        )
        box = ndimage.find_objects(labels)[0]
        found.append(is_mirrored(labels[box] == 1))
    assert 4 <= sum(found) <= 12
