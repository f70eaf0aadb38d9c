import math

import numpy as np
import pytest
from sketchscope.diffusion.tiling import cut_tiles, make_window, place_tiles
from sketchscope.errors import InputError

CASES = [
    ((100, 130), (32, 48), (8, 12)),
    ((33, 32), (32, 32), (31, 0)),
    ((20, 130), (32, 32), (8, 8)),  # smaller than a tile
    ((5, 50, 70), (5, 32, 24), (1, 8, 6)),
    ((3, 17, 40), (8, 16, 16), (4, 4, 4)),
    ((1, 40, 40), (1, 16, 16), (0, 5, 4)),
]


@pytest.mark.parametrize("size", range(1, 40))
@pytest.mark.parametrize(("tile", "overlap"), [(1, 0), (4, 0), (4, 3), (10, 3), (16, 4)])
def test_starts(size, tile, overlap):
    starts = place_tiles(size, tile, overlap)
    assert starts[0] == 0
    assert starts == sorted(set(starts))
    assert starts[-1] == max(size - tile, 0)
    gaps = np.diff(starts)
    assert (gaps <= tile - overlap).all()
    assert (gaps[:-1] == tile - overlap).all()
    assert len(starts) == (1 if size <= tile else math.ceil((size - tile) / (tile - overlap)) + 1)


@pytest.mark.parametrize(("shape", "tile_shape", "overlap"), CASES)
def test_every_voxel_is_covered(shape, tile_shape, overlap):
    covered = np.zeros(shape, int)
    regions = cut_tiles(shape, tile_shape, overlap)
    for region in regions:
        assert covered[region].shape == tuple(map(min, shape, tile_shape))
        covered[region] += 1
    assert covered.min() >= 1
    assert covered[(0,) * len(shape)] == covered[(-1,) * len(shape)] == 1
    assert len(set(map(str, regions))) == len(regions)


@pytest.mark.parametrize("overlap", [-1, 8, 9])
def test_overlap_out_of_range(overlap):
    with pytest.raises(InputError, match=rf"overlap is {overlap}; .* smaller than the tile \(8\)"):
        cut_tiles((20, 20), (8, 8), (0, overlap))


@pytest.mark.parametrize(
    ("tile_shape", "overlap"),
    [((32, 48), (8, 12)), ((8, 9), (7, 0)), ((16, 17), (8, 8)), ((5, 16, 16), (1, 4, 15)), ((1, 4, 4), (0, 1, 2))],
)
def test_window(tile_shape, overlap):
    window = make_window(tile_shape, overlap)
    assert window.shape == tile_shape
    assert window.dtype == np.float32
    assert window.min() > 0
    assert window.max() <= 1
    np.testing.assert_allclose(window, np.flip(window), atol=1e-7)
    for axis, (size, width) in enumerate(zip(tile_shape, overlap, strict=True)):
        if 2 * width < size:  # flat inside
            middle = window.take(range(width, size - width), axis)
            np.testing.assert_array_equal(middle, middle.take([0] * middle.shape[axis], axis))


@pytest.mark.parametrize(
    ("shape", "tile_shape", "overlap"),
    [((80, 96), (32, 32), (8, 16)), ((9, 56, 24), (5, 32, 24), (1, 8, 0)), ((24, 24), (8, 8), (0, 4))],
)
def test_weights_sum_to_one_where_the_overlap_is_exact(shape, tile_shape, overlap):
    total, window = np.zeros(shape), make_window(tile_shape, overlap)
    for region in cut_tiles(shape, tile_shape, overlap):
        total[region] += window
    inside = tuple(slice(width, size - width) for size, width in zip(shape, overlap, strict=True))
    np.testing.assert_allclose(total[inside], 1, atol=1e-6)
    assert total.min() > 0


def test_window_falls_towards_the_border():
    (profile,) = make_window((1, 40), (0, 10))
    assert (np.diff(profile[:10]) > 0).all()
    assert (profile[10:30] == 1).all()
    assert profile[0] < 0.01
    np.testing.assert_allclose(profile[:10] + profile[30:], 1, atol=1e-6)


@pytest.mark.parametrize(("shape", "tile_shape", "overlap"), CASES)
def test_blending_of_copies_is_the_array(shape, tile_shape, overlap):
    array = np.random.default_rng(0).normal(size=shape)
    tile_shape = tuple(map(min, shape, tile_shape))
    overlap = tuple(min(width, size - 1) for width, size in zip(overlap, tile_shape, strict=True))
    total, weight = np.zeros(shape), np.zeros(shape)
    window = make_window(tile_shape, overlap)
    for region in cut_tiles(shape, tile_shape, overlap):
        total[region] += array[region] * window
        weight[region] += window
    np.testing.assert_allclose(total / weight, array, atol=1e-6)
