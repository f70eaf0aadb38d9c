import numpy as np
import pytest
from scipy import ndimage
from scipy.stats import wasserstein_distance
from sketchscope.diffusion.tiling import cut_tiles
from sketchscope.evaluation.image_similarity import (
    border_index,
    histogram_distance,
    power_spectrum,
    psnr,
    spectrum_distance,
    texture_index,
    zncc,
)
from skimage.metrics import peak_signal_noise_ratio

SHAPES = [(60, 80), (8, 40, 48)]


def images(shape, seed=0):
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.standard_normal(shape), 2)
    return np.clip(smooth / np.abs(smooth).max(), -1, 1).astype(np.float32), rng


@pytest.mark.parametrize("shape", SHAPES)
def test_psnr_is_that_of_scikit_image(shape):
    reference, rng = images(shape)
    image = (reference + rng.normal(0, 0.1, shape)).astype(np.float32)
    everywhere = np.ones(shape, bool)
    expected = peak_signal_noise_ratio(reference.astype(float), image.astype(float), data_range=2)
    assert psnr(image, reference, everywhere) == pytest.approx(expected)
    half = everywhere.copy()
    half[..., : shape[-1] // 2] = False
    spoilt = np.where(half, image, 9)
    assert psnr(spoilt, reference, half) == pytest.approx(psnr(image, reference, half))
    assert psnr(reference, reference, half) == np.inf


@pytest.mark.parametrize("shape", SHAPES)
def test_zncc_is_pearson_and_blind_to_contrast(shape):
    reference, rng = images(shape)
    image = (reference + rng.normal(0, 0.2, shape)).astype(np.float32)
    inside = rng.random(shape) < 0.5
    expected = np.corrcoef(image[inside], reference[inside])[0, 1]
    assert zncc(image, reference, inside) == pytest.approx(expected, rel=1e-5)
    assert zncc(3 * image + 7, reference, inside) == pytest.approx(expected, rel=1e-4)
    assert zncc(-reference, reference, inside) == pytest.approx(-1)
    assert np.isnan(zncc(np.zeros(shape), reference, inside))


def test_histogram_distance():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 1, (2, 5000)), rng.normal(0.7, 1.5, (2, 4000))
    exact = wasserstein_distance(first.ravel(), second.ravel())
    assert histogram_distance(list(first), list(second)) == pytest.approx(exact, rel=0.02)
    assert histogram_distance([first], [first + 0.25]) == pytest.approx(0.25)
    assert histogram_distance([first], [first]) == 0


def test_spectrum_of_white_noise_is_flat_and_its_power_the_variance():
    noise = np.random.default_rng(0).normal(3, 2, (256, 256))
    np.testing.assert_allclose(power_spectrum(noise)[4:], 4, rtol=0.25)


def test_spectrum_of_a_wave_is_a_ring():
    wave = np.sin(2 * np.pi * 0.25 * np.arange(128))[None].repeat(128, 0)
    assert power_spectrum(wave).argmax() == 16


@pytest.mark.parametrize("shape", [(64, 64), (3, 64, 64)])
def test_spectrum_distance(shape):
    image, rng = images(shape)
    assert spectrum_distance([image], [image]) == 0
    assert spectrum_distance([10 * image], [image]) == pytest.approx(20, rel=1e-4)
    noisy = image + rng.normal(0, 0.3, shape)
    assert spectrum_distance([noisy], [image]) > 5


@pytest.mark.parametrize(
    ("shape", "tile", "overlap"), [((96, 96), (32, 32), (8, 8)), ((8, 96, 96), (8, 32, 32), (0, 8, 8))]
)
def test_indices_of_what_tiles_leave(shape, tile, overlap):
    regions, rng = cut_tiles(shape, tile, overlap), np.random.default_rng(0)
    image, cells = rng.standard_normal(shape), np.ones(shape, bool)
    assert border_index(image, regions) == pytest.approx(1, abs=0.05)
    assert texture_index(image, cells, regions) == pytest.approx(1, abs=0.05)

    stepped, covered = image.copy(), np.zeros(shape)
    for number, region in enumerate(regions):
        stepped[region] = image[region] + 3 * (number % 2)
        covered[region] += 1
    assert border_index(stepped, regions) > 1.2
    faint = np.where(covered > 1, 0.5 * image, image)
    assert texture_index(faint, cells, regions) < 0.8
    assert texture_index(np.where(cells, faint, 99), cells, regions) == texture_index(faint, cells, regions)
