import numpy as np
import pytest
from sketchscope.diffusion import patches
from sketchscope.diffusion.patches import MAX_POINTS, TrainingImage, draw_patches, find_foreground, open_training_images
from sketchscope.images.intensity import normalise
from sketchscope.images.manifest import ManifestRow
from sketchscope.io.images import write_image

SHAPES = [((40, 50), (16, 16)), ((40, 50), (8, 12)), ((9, 40, 30), (4, 16, 16)), ((5, 40, 30), (5, 8, 12))]
NOWHERE = np.empty((0, 2), int)


def made(intensities, low=0.0, high=100.0, gamma=1.0, foreground=NOWHERE):
    limits = {"low": low, "high": high, "gamma": gamma}
    return TrainingImage(intensities, **limits, foreground=foreground, voxel_size=(1.0,) * intensities.ndim)


def random_image(shape, seed=0):
    intensities = np.random.default_rng(seed).integers(0, 100, shape).astype(np.uint16)
    return made(intensities, foreground=find_foreground(intensities, [seed]))


def spotted(shape):
    """A dark image with a small bright spot, and where it is."""
    intensities = np.zeros(shape, np.uint16)
    spot = tuple(slice(size // 3, size // 3 + 2) for size in shape)
    intensities[spot] = 100
    return made(intensities, foreground=find_foreground(intensities, [0]))


@pytest.mark.parametrize(("shape", "patch_shape"), SHAPES)
def test_batch(shape, patch_shape):
    images = [random_image(shape, seed) for seed in range(3)]
    batch = draw_patches(images, patch_shape, 5, 0.5, np.random.default_rng([3, 17]))
    assert batch.shape == (5, 1, *patch_shape)
    assert batch.dtype == np.float32
    assert batch.min() < -0.9
    assert batch.max() > 0.9
    again = draw_patches(images, patch_shape, 5, 0.5, np.random.default_rng([3, 17]))
    np.testing.assert_array_equal(batch, again)
    other = draw_patches(images, patch_shape, 5, 0.5, np.random.default_rng([3, 18]))
    assert not np.array_equal(batch, other)


@pytest.mark.parametrize(("shape", "patch_shape"), SHAPES)
def test_patches_are_cut_out_of_the_image(shape, patch_shape):
    """Turned back in one of the possible ways, a patch is found where it was cut."""
    intensities = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    image = made(intensities, low=0.0, high=float(intensities.size - 1))
    for patch in draw_patches([image], patch_shape, 20, 0, np.random.default_rng(0))[:, 0]:
        numbers = np.rint((patch.astype(np.float64) + 1) / 2 * (intensities.size - 1)).astype(int)
        corner = np.unravel_index(numbers.min(), shape)
        region = tuple(slice(c, c + n) for c, n in zip(corner, patch_shape, strict=True))
        np.testing.assert_array_equal(np.sort(numbers, axis=None), np.sort(intensities[region], axis=None))


@pytest.mark.parametrize(("shape", "patch_shape"), SHAPES)
def test_shares_make_the_batch(shape, patch_shape):
    images = [random_image(shape, seed) for seed in range(3)]

    def draw(share=slice(None)):
        return draw_patches(images, patch_shape, 6, 0.5, np.random.default_rng(1), share)

    whole = draw()
    for size in (1, 2, 3):
        for rank in range(size):
            share = slice(rank, None, size)
            np.testing.assert_array_equal(draw(share), whole[share])


def test_corners_lie_anywhere():
    intensities = np.arange(7 * 6, dtype=np.float32).reshape(7, 6)
    batch = draw_patches([made(intensities, high=41.0)], (4, 5), 400, 0, np.random.default_rng(0))
    firsts = np.rint((batch.min(axis=(1, 2, 3)) + 1) / 2 * 41).astype(int)
    assert set(firsts) == {6 * y + x for y in range(4) for x in range(2)}


def test_all_images_are_drawn_from():
    images = [made(np.full((8, 8), value, np.uint8)) for value in (0, 50, 100)]
    batch = draw_patches(images, (4, 4), 300, 0.5, np.random.default_rng(0))
    values, counts = np.unique(batch[:, 0, 0, 0], return_counts=True)
    assert values.tolist() == [-1, 0, 1]
    assert counts.min() > 70


def test_intensities_beyond_the_limits_are_clipped():
    image = made(np.array([[-50, 25], [75, 900]], np.int32))
    batch = draw_patches([image], (2, 2), 1, 0, np.random.default_rng(0))
    assert sorted(batch.ravel().tolist()) == [-1, -0.5, 0.5, 1]


@pytest.mark.parametrize("gamma", [1.0, 0.5])
def test_normalised_like_every_image(gamma):
    intensities = np.arange(10, 26, dtype=np.uint16).reshape(4, 4)
    image = made(intensities, low=10.0, high=25.0, gamma=gamma)
    batch = draw_patches([image], (4, 4), 1, 0, np.random.default_rng(0))
    expected = normalise(intensities, 10.0, 25.0, gamma)
    np.testing.assert_array_equal(np.sort(batch, axis=None), np.sort(expected, axis=None))


@pytest.mark.parametrize(("shape", "patch_shape"), [((200, 200), (8, 8)), ((20, 90, 90), (4, 8, 8))])
@pytest.mark.parametrize("fraction", [0.0, 0.5, 1.0])
def test_foreground_fraction(shape, patch_shape, fraction):
    batch = draw_patches([spotted(shape)], patch_shape, 200, fraction, np.random.default_rng(0))
    share = (batch.max(axis=tuple(range(1, batch.ndim))) == 1).mean()
    assert share == pytest.approx(fraction, abs=0.12 if fraction == 0.5 else 0.02)


@pytest.mark.parametrize(("shape", "patch_shape"), [((30, 30), (9, 7)), ((15, 30, 30), (3, 9, 9))])
def test_foreground_is_in_the_middle(shape, patch_shape):
    intensities = np.zeros(shape, np.uint8)
    intensities[tuple(size // 2 for size in shape)] = 100
    image = made(intensities, foreground=find_foreground(intensities, [0]))
    batch = draw_patches([image], patch_shape, 10, 1, np.random.default_rng(0))
    assert (batch[:, 0][:, *(size // 2 for size in patch_shape)] == 1).all()


@pytest.mark.parametrize("corner", [(0, 0), (0, 19), (19, 19)])
def test_foreground_at_the_border(corner):
    intensities = np.zeros((20, 20), np.uint8)
    intensities[corner] = 100
    image = made(intensities, foreground=find_foreground(intensities, [0]))
    batch = draw_patches([image], (8, 8), 20, 1, np.random.default_rng(0))
    assert (batch.reshape(20, -1).max(axis=1) == 1).all()


def test_image_without_foreground():
    flat = np.full((20, 20), 50, np.uint8)
    points = find_foreground(flat, [0])
    assert points.shape == (0, 2)
    assert (draw_patches([made(flat, foreground=points)], (8, 8), 4, 1, np.random.default_rng(0)) == 0).all()


@pytest.mark.parametrize("shape", [(30, 40), (5, 20, 30)])
def test_foreground_points(shape):
    image = np.zeros(shape)
    image[..., 4:8, 10:15] = 7
    points = find_foreground(image, [0])
    np.testing.assert_array_equal(points, np.argwhere(image))


def test_foreground_points_are_limited_in_number():
    image = np.zeros((300, 300))
    image[100:, :] = 1
    points = find_foreground(image, [0])
    assert points.shape == (MAX_POINTS, 2)
    assert len(np.unique(points, axis=0)) == MAX_POINTS
    assert image[tuple(points.T)].all()
    np.testing.assert_array_equal(points, find_foreground(image, [0]))
    assert not np.array_equal(points, find_foreground(image, [1]))


@pytest.mark.parametrize(("shape", "orientations"), [((4, 4), 8), ((4, 5), 4), ((3, 4, 4), 8), ((3, 4, 5), 4)])
def test_flips_and_rotations(shape, orientations):
    """An image exactly as large as the patch is seen in all its orientations and in no other order."""
    intensities = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    image = made(intensities, high=float(intensities.max()))
    batch = draw_patches([image], shape, 300, 0.5, np.random.default_rng(0))
    assert len({patch.tobytes() for patch in batch}) == orientations
    whole = np.sort(normalise(intensities, 0, intensities.max()), axis=None)
    steps = {tuple(np.unique(abs(np.diff(patch, axis=-1).round(5))).size for patch in batch[:, 0])}
    assert steps == {(1,) * 300}  # neighbours along X stay neighbours along an axis
    for patch in batch:
        np.testing.assert_array_equal(np.sort(patch, axis=None), whole)


@pytest.mark.parametrize(("shape", "patch_shape"), SHAPES)
def test_image_stays_on_disk(tmp_path, shape, patch_shape):
    intensities = random_image(shape).intensities
    write_image(tmp_path / "a.ome.tif", intensities, (0.5,) * len(shape), compress=False)
    row = ManifestRow(
        image="a",
        split="train",
        source="a.tif",
        frame=0,
        shape=shape,
        dtype="uint16",
        voxel_size=(0.5,) * len(shape),
        low=0.0,
        high=100.0,
        gamma=1.0,
        labelled=False,
    )
    (image,) = open_training_images([row], tmp_path, [0])
    assert isinstance(image.intensities, np.memmap)
    assert image.intensities.shape == shape
    mapped = draw_patches([image], patch_shape, 4, 0.5, np.random.default_rng(0))
    in_memory = draw_patches(
        [made(intensities, foreground=image.foreground)], patch_shape, 4, 0.5, np.random.default_rng(0)
    )
    np.testing.assert_array_equal(mapped, in_memory)


def sketched(shape, seed=0):
    """An image whose sketch is its negative, normalised."""
    image = random_image(shape, seed)
    return image._replace(sketch=-normalise(image.intensities, image.low, image.high, image.gamma))


@pytest.mark.parametrize(("shape", "patch_shape"), SHAPES)
def test_a_sketch_is_cut_and_turned_like_its_image(shape, patch_shape, monkeypatch):
    monkeypatch.setattr(patches, "MOST_BLUR", 0.0)
    batch = draw_patches([sketched(shape)], patch_shape, 8, 0.5, np.random.default_rng(0))
    assert batch.shape == (8, 2, *patch_shape)
    np.testing.assert_allclose(batch[:, 1], -batch[:, 0], atol=1e-6)


@pytest.mark.parametrize(("shape", "patch_shape"), SHAPES)
def test_sketches_are_blurred_and_images_are_not(shape, patch_shape):
    """Another blur for each patch; the shares of a batch are those of the whole."""

    def draw(images, share=slice(None)):
        return draw_patches(images, patch_shape, 6, 0.5, np.random.default_rng(1), share)

    batch = draw([sketched(shape)])
    spread = batch.std(axis=tuple(range(2, batch.ndim)))
    assert (spread[:, 1] <= spread[:, 0] + 1e-6).all()
    assert len(set((spread[:, 1] / spread[:, 0]).round(4))) > 3
    np.testing.assert_array_equal(draw([sketched(shape)], slice(1, None, 2)), batch[1::2])


def test_images_are_opened_with_their_sketches(tmp_path):
    row = ManifestRow("0", "train", "a.tif", 0, (9, 12), "uint16", (1.0, 1.0), 0.0, 9.0, 1.0, False, "a")
    intensities = (np.arange(108).reshape(9, 12) % 10).astype(np.uint16)
    write_image(tmp_path / "images/0.ome.tif", intensities, (1.0, 1.0), compress=False)
    drawn = np.linspace(-1, 1, 108, dtype=np.float32).reshape(9, 12)
    write_image(tmp_path / "sketches/0.ome.tif", drawn, (1.0, 1.0), compress=False)
    (image,) = open_training_images([row], tmp_path / "images", [0], tmp_path / "sketches")
    np.testing.assert_array_equal(image.sketch, drawn)
    assert open_training_images([row], tmp_path / "images", [0])[0].sketch is None
