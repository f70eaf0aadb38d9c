import numpy as np
import pytest
from scipy import ndimage
from sketchscope.sketches.haze import (
    Haze,
    blur_inside,
    draw_shading,
    light_between,
    measure_haze,
    read_haze,
    shade_like,
    write_haze,
)

GEOMETRY = {"2d": ((160, 200), (0.5, 0.5)), "3d": ((12, 96, 120), (1.5, 0.5, 0.5))}
DIAMETER, BACKGROUND = 8.0, -0.7


@pytest.fixture(params=GEOMETRY)
def cells(request):
    """Bright balls on a flat background, where they are, and the voxel size."""
    shape, voxel_size = GEOMETRY[request.param]
    grid = np.indices(shape) * np.reshape(voxel_size, (-1, *[1] * len(shape)))
    drawn = np.zeros(shape, bool)
    for centre in [(9, 12, 12), (9, 12, 40), (9, 34, 26), (9, 36, 46), (9, 24, 12)]:
        away = np.subtract(grid, np.reshape(centre[-len(shape) :], (-1, *[1] * len(shape))))
        drawn |= (away**2).sum(0) < (DIAMETER / 2) ** 2
    return np.where(drawn, np.float32(0.8), np.float32(BACKGROUND)), drawn, voxel_size


def slope(shape):
    """A plane wave of half a period over the width."""
    return np.broadcast_to(0.1 * np.sin(np.linspace(-np.pi / 2, np.pi / 2, shape[-1])), shape)


def measure(cells, changes, glow, noise=0.05):
    """What is measured of an image with these changes and this glow."""
    sketch, drawn, voxel_size = cells
    light = ndimage.gaussian_filter(sketch - np.float32(BACKGROUND), DIAMETER / 2 / np.asarray(voxel_size))
    image = np.where(drawn, sketch, BACKGROUND + changes + glow * light)
    image = image + np.random.default_rng(0).normal(0, noise, image.shape)
    return measure_haze(image.astype(np.float32), sketch, BACKGROUND, voxel_size, DIAMETER)


def test_slow_changes_are_found_between_the_cells(cells):
    sketch, drawn, voxel_size = cells
    haze = measure(cells, slope(sketch.shape), 0.0)
    found, true = shade_like(haze, sketch.shape, voxel_size).changes, slope(sketch.shape)
    assert np.corrcoef(found[~drawn], true[~drawn])[0, 1] > 0.98
    assert np.ptp(found) == pytest.approx(0.2, rel=0.2)
    assert haze.glow < 0.05


@pytest.mark.parametrize("glow", [0.1, 0.3])
def test_glow_is_found(cells, glow):
    haze = measure(cells, 0.0, glow)
    assert haze.glow == pytest.approx(glow, rel=0.2)
    assert np.ptp(haze.changes) < 0.05


def test_flat_images_and_images_full_of_cells_are_flat(cells):
    sketch, _, voxel_size = cells
    haze = measure(cells, 0.0, 0.0)
    assert haze.glow < 0.02
    assert np.ptp(haze.changes) < 0.04
    crowded = np.full_like(sketch, 0.8)
    full = measure_haze(sketch, crowded, BACKGROUND, voxel_size, DIAMETER)
    assert full.glow == 0
    assert not full.changes.any()


def test_a_sketch_shaded_like_its_image_looks_like_it(cells):
    sketch, drawn, voxel_size = cells
    haze = measure(cells, slope(sketch.shape), 0.2, noise=0.0)
    shaded = light_between(sketch, BACKGROUND, shade_like(haze, sketch.shape, voxel_size), voxel_size)
    light = ndimage.gaussian_filter(sketch - np.float32(BACKGROUND), DIAMETER / 2 / np.asarray(voxel_size))
    true = BACKGROUND + slope(sketch.shape) + 0.2 * light
    error = (shaded - true)[~drawn]
    assert np.std(error) < 0.25 * np.std(true[~drawn])


@pytest.mark.parametrize("shape", [(60, 50), (400, 500)])
def test_shadings_are_drawn_anew_for_each_volume(shape):
    """Also for volumes that are larger than the images: what lies beyond is a mirror image."""
    changes = slope((40, 50)).astype(np.float32)
    measured = [Haze(changes, (4.0, 4.0), 0.1, 4.0), Haze(2 * changes, (4.0, 4.0), 0.3, 4.0)]
    drawn = [draw_shading(measured, shape, (0.5, 0.5), np.random.default_rng(seed)) for seed in range(40)]
    again = draw_shading(measured, shape, (0.5, 0.5), np.random.default_rng(3))
    np.testing.assert_array_equal(again.changes, drawn[3].changes)
    assert {shading.glow for shading in drawn} == {0.1, 0.3}
    assert all(shading.changes.shape == shape for shading in drawn)
    assert len({shading.changes.tobytes() for shading in drawn}) == 40
    assert 0.1 < max(np.abs(shading.changes).max() for shading in drawn) <= 0.3
    steps = max(np.abs(np.diff(shading.changes, axis=-1)).max() for shading in drawn)
    assert steps < 0.01, "no jump anywhere"


def test_stacks_keep_their_first_slice():
    changes = np.arange(4, dtype=np.float32)[:, None, None] * np.ones((1, 9, 9), np.float32)
    haze = Haze(changes, (2.0, 2.0, 2.0), 0.0, 2.0)
    drawn = draw_shading([haze], (4, 8, 8), (2.0, 0.5, 0.5), np.random.default_rng(0)).changes
    assert (np.diff(drawn[:, 0, 0]) >= 0).all()
    assert drawn[0, 0, 0] == 0


def test_written_is_read(tmp_path):
    measured = {"0": Haze(np.ones((2, 3), np.float32), (1.0, 2.0), 0.25, 3.5), "a/b": Haze(*shape_of_one())}
    write_haze(tmp_path / "haze.npz", measured)
    found = read_haze(tmp_path / "haze.npz")
    assert [haze[1:] for haze in found] == [haze[1:] for haze in measured.values()]
    for haze, other in zip(found, measured.values(), strict=True):
        np.testing.assert_array_equal(haze.changes, other.changes)


def shape_of_one():
    return np.zeros((1, 1), np.float32), (5.0, 5.0), 0.0, 2.0


def test_wide_blur_is_that_of_every_voxel(cells):
    sketch, drawn, voxel_size = cells
    widths = 6.0 / np.asarray(voxel_size)
    image = sketch + np.random.default_rng(0).normal(0, 0.1, sketch.shape)
    weights = ndimage.gaussian_filter((~drawn).astype(float), widths)
    true = ndimage.gaussian_filter(np.where(drawn, 0, image), widths) / weights
    np.testing.assert_allclose(blur_inside(image, ~drawn, widths), true, atol=0.1 * np.ptp(true) + 2e-3)
