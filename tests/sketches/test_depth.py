import json

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage, stats
from sketchscope.sketches import depth
from sketchscope.sketches.brightness import measure_cores
from sketchscope.sketches.draw import paint_cells

BACKGROUND, VOXEL_SIZE = -0.8, (2.0, 0.5, 0.5)


@pytest.fixture
def stack():
    """Sketches of bright cells at every depth that fade to 1/e in 12 micrometres, noise on them, and their labels."""
    rng = np.random.default_rng(0)
    labels = np.zeros((10, 60, 60), np.uint16)
    for number in range(1, 10):
        labels[number - 1 : number + 2, 6 * number - 6 : 6 * number, 20:40] = number
    image = depth.fade(paint_cells(labels, rng.uniform(0.2, 0.8, 9), BACKGROUND), BACKGROUND, 12.0, VOXEL_SIZE)
    return image + rng.normal(0, 0.05, image.shape), labels


def photograph(depths, attenuation_um, seed):
    """Measured cells of a stack of balls of 8 micrometres at these depths, out of focus along Z, with noise."""
    rng, size = np.random.default_rng(seed), 22
    side = int(np.ceil(np.sqrt(len(depths))))
    z, y, x = np.indices((40, side * size, side * size))
    labels = np.zeros(z.shape, np.uint16)
    for number, centre in enumerate(depths):
        row, column = np.multiply(divmod(number, side), size) + size // 2
        near = (2 * z - centre) ** 2 + ((y - row) / 2) ** 2 + ((x - column) / 2) ** 2 < 16
        labels[near] = number + 1
    image = paint_cells(labels, rng.uniform(-0.2, 0.8, len(depths)), BACKGROUND)
    image = ndimage.gaussian_filter(image, (2, 1, 1))  # 4 micrometres along Z: as blurred as a cell is high
    image = depth.fade(image, BACKGROUND, attenuation_um, VOXEL_SIZE) + rng.normal(0, 0.03, image.shape)
    return measure_cores(image, labels, VOXEL_SIZE).assign(image=seed, background=BACKGROUND)


@pytest.mark.parametrize("attenuation_um", [20.0, None])
def test_attenuation_is_found_where_there_is_some(attenuation_um):
    rng = np.random.default_rng(1)
    cells = pd.concat([photograph(rng.uniform(5, 70, 36), attenuation_um, seed) for seed in (1, 2, 3)])
    found = depth.fit_decay(cells)
    assert found["cells"] == 108
    if attenuation_um is None:
        assert found["decay_um"] is None or found["decay_um"] > 200
    else:
        assert found["decay_um"] == pytest.approx(attenuation_um, rel=0.25)
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("attenuation_um", [20.0, None])
def test_a_single_layer_that_goes_out_of_focus_shows_no_attenuation(attenuation_um):
    """Cells on a cover slip: what fades above them is focus, and nothing tells how much is attenuation."""
    rng = np.random.default_rng(2)
    cells = pd.concat([photograph(rng.uniform(0, 4, 36), attenuation_um, seed) for seed in (1, 2, 3)])
    found = depth.fit_decay(cells)
    assert found["decay_um"] is None
    assert found["spread_um"] < found["height_um"]


def table_of(depth_um, contrast, image=0, height_um=1.0):
    table = pd.DataFrame({"depth_um": depth_um, "grey": np.asarray(contrast) + BACKGROUND})
    return table.assign(image=image, background=BACKGROUND, height_um=height_um)


def test_decay_is_exact_without_noise_and_images_may_differ_in_brightness():
    z = np.linspace(0, 20, 9)
    cells = pd.concat([table_of(z, 0.9 * np.exp(-z / 7), 0), table_of(z + 3, 0.3 * np.exp(-z / 7), 1)])
    found = depth.fit_decay(cells)
    assert [found[key] for key in ("decay_low_um", "decay_um", "decay_high_um")] == pytest.approx([7, 7, 7])


def test_slope_and_interval_are_those_of_least_squares():
    rng = np.random.default_rng(3)
    z = rng.uniform(0, 30, 50)
    cells = table_of(z, np.exp(-z / 15 + rng.normal(0, 0.3, 50)))
    found, fit = depth.fit_decay(cells), stats.linregress(z, np.log(cells["grey"] - BACKGROUND))
    reach = stats.t.ppf(0.975, 48) * fit.stderr
    expected = [-1 / (fit.slope - reach), -1 / fit.slope, -1 / (fit.slope + reach)]
    assert [found[key] for key in ("decay_low_um", "decay_um", "decay_high_um")] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("depth_um", "contrast"),
    [
        ([0, 5, 10], [0.5, 0.6, 0.7]),  # it grows
        ([0, 5, 10], [0.5, 0.1, 0.49]),  # chance explains it
        ([0, 5], [0.5, 0.1]),  # a line goes through any two
        ([0, 5, 10], [-0.5, -0.1, 0.2]),  # a single one is brighter than the background
        ([0, 0, 0], [0.5, 0.1, 0.2]),  # 2D
        ([0, 5, 10], [np.nan] * 3),  # the cells cover the image, so the background is unknown
    ],
)
def test_no_decay_where_none_is_shown(depth_um, contrast):
    assert depth.fit_decay(table_of(depth_um, contrast))["decay_um"] is None


def test_grey_at_the_surface_undoes_the_fading(stack):
    image, labels = stack
    numbers, depths = [1, 5, 9], np.array([2.0, 10.0, 18.0])  # of their middle slices
    grey = np.array([image[number][labels[number] == number].mean() for number in numbers])
    found = depth.undo_fading(grey, depths, BACKGROUND, 12.0)
    assert found == pytest.approx(np.random.default_rng(0).uniform(0.2, 0.8, 9)[[0, 4, 8]], abs=0.1)
    np.testing.assert_array_equal(depth.undo_fading(grey, depths, BACKGROUND, None), grey)
    assert depth.undo_fading(np.array([0.9]), np.array([90.0]), BACKGROUND, 12.0) == 1, "as bright as can be"


def test_measured_grey_is_read_as_at_the_surface(tmp_path):
    cells = tmp_path / "cells.csv"
    pd.DataFrame({"grey": [0.0, 0.4], "depth_um": [0.0, 12.0], "background": [-0.9, -0.7]}).to_csv(cells)
    grey, background = depth.read_measured(cells, 48.0)
    assert background == pytest.approx(-0.8)
    assert grey == pytest.approx([0.0, -0.8 + 1.2 * np.exp(0.25)])
    assert depth.read_measured(cells, None).grey == pytest.approx([0.0, 0.4])
