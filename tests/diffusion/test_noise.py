import itertools

import numpy as np
import pytest
from scipy import stats
from sketchscope.diffusion.noise import NOISE_BLOCK, draw_voxel_noise
from sketchscope.streams import stream_key

KEY = [*stream_key(7, "hela", "images"), 3, 1, 400]
SHAPES = [(150, 200), (3, 140, 70)]


def halves(origin, shape, axis, cut):
    """Origins and shapes of the two parts that a cut through one axis leaves."""
    first, second, start = list(shape), list(shape), list(origin)
    first[axis], second[axis], start[axis] = cut, shape[axis] - cut, origin[axis] + cut
    return (origin, first), (start, second)


@pytest.mark.parametrize("shape", SHAPES)
def test_however_the_region_is_cut(shape):
    origin = (0,) * len(shape)
    whole = draw_voxel_noise(KEY, origin, shape)
    assert whole.shape == shape
    assert whole.dtype == np.float32
    for axis in range(len(shape)):
        for cut in {1, shape[axis] // 2, min(NOISE_BLOCK, shape[axis] - 1), shape[axis] - 1}:
            parts = [draw_voxel_noise(KEY, *part) for part in halves(origin, shape, axis, cut)]
            np.testing.assert_array_equal(np.concatenate(parts, axis), whole)


@pytest.mark.parametrize("shape", [(130, 130), (70, 66, 66)])
def test_any_region_agrees_with_the_whole(shape):
    whole = draw_voxel_noise(KEY, (0,) * len(shape), shape)
    rng = np.random.default_rng(0)
    for _ in range(10):
        origin = [int(rng.integers(n)) for n in shape]
        extent = [int(rng.integers(1, n - o + 1)) for n, o in zip(shape, origin, strict=True)]
        region = tuple(slice(o, o + n) for o, n in zip(origin, extent, strict=True))
        np.testing.assert_array_equal(draw_voxel_noise(KEY, origin, extent), whole[region])


@pytest.mark.parametrize("position", range(len(KEY)))
def test_every_part_of_the_key_matters(position):
    other = list(KEY)
    other[position] += 1
    first, second = draw_voxel_noise(KEY, (0, 0), (64, 128)), draw_voxel_noise(other, (0, 0), (64, 128))
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 4 / np.sqrt(first.size)
    assert not (first == second).any()


def test_blocks_differ():
    """No block repeats another one, nor its mirror image along the diagonal."""
    grid = draw_voxel_noise(KEY, (0, 0), (4 * NOISE_BLOCK, 4 * NOISE_BLOCK))
    blocks = grid.reshape(4, NOISE_BLOCK, 4, NOISE_BLOCK).swapaxes(1, 2).reshape(16, -1)
    correlation = np.corrcoef(blocks) - np.eye(16)
    assert abs(correlation).max() < 5 / NOISE_BLOCK
    assert len({block.tobytes() for block in blocks}) == 16


@pytest.mark.parametrize("shape", [(512, 512), (64, 64, 64)])
def test_standard_normal(shape):
    values = draw_voxel_noise(KEY, (0,) * len(shape), shape).ravel().astype(float)
    assert abs(values.mean()) < 4 / np.sqrt(values.size)
    assert abs(values.var() - 1) < 4 * np.sqrt(2 / values.size)
    assert stats.kstest(values, "norm").pvalue > 1e-3


@pytest.mark.parametrize(("shape", "axis"), [((256, 2048), 0), ((2048, 256), 1), ((128, 128, 128), 0)])
def test_no_correlation_between_neighbours(shape, axis):
    """Neither inside the blocks nor across their borders."""
    values = np.moveaxis(draw_voxel_noise(KEY, (0,) * len(shape), shape), axis, 0)
    for last in {NOISE_BLOCK - 2, NOISE_BLOCK - 1, NOISE_BLOCK}:
        here, there = values[last], values[last + 1]
        correlation = np.corrcoef(here.ravel(), there.ravel())[0, 1]
        assert abs(correlation) < 4 / np.sqrt(here.size)


def test_pinned_values():
    """The noise is part of every result: the same numbers on every machine and in every version."""
    expected = [
        np.random.default_rng([1, 2, 3, *block]).standard_normal((NOISE_BLOCK, NOISE_BLOCK), np.float32)[0, 0]
        for block in itertools.product(range(2), range(2))
    ]
    corners = draw_voxel_noise([1, 2, 3], (0, 0), (65, 65))[::64, ::64].ravel()
    np.testing.assert_array_equal(corners, np.float32(expected))
    assert NOISE_BLOCK == 64
