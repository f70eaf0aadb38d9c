import json

import numpy as np
import pandas as pd
import pytest
from sketchscope.sketches import depth
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


def test_profile_holds_the_contrast_of_each_slice(stack):
    image, labels = stack
    profile = depth.measure_profile(image, labels > 0, BACKGROUND, VOXEL_SIZE)
    assert profile["depth_um"].tolist() == [2.0 * z for z in range(10)]
    assert profile["voxels"].tolist() == [(labels[z] > 0).sum() for z in range(10)]
    inside = image[3][labels[3] > 0]
    assert profile["contrast"][3] == pytest.approx(inside.mean() - BACKGROUND)


def test_profile_of_an_image_is_one_slice(stack):
    image, labels = stack
    profile = depth.measure_profile(image[0], labels[0] > 0, BACKGROUND, VOXEL_SIZE[1:])
    assert profile["depth_um"].tolist() == [0]
    assert depth.fit_decay([profile])["decay_um"] is None
    assert depth.measure_profile(image[0], np.zeros((60, 60), bool), BACKGROUND, VOXEL_SIZE[1:]).empty


def test_decay_is_found(stack):
    image, labels = stack
    profile = depth.measure_profile(image, labels > 0, BACKGROUND, VOXEL_SIZE)
    assert depth.fit_decay([profile, profile])["decay_um"] == pytest.approx(12, rel=0.2)


def test_decay_is_exact_without_noise():
    profile = pd.DataFrame({"depth_um": [0.0, 3.0, 4.0], "voxels": [5, 80, 1]})
    profile["contrast"] = 0.9 * np.exp(-profile["depth_um"] / 7)
    assert depth.fit_decay([profile])["decay_um"] == pytest.approx(7)


def test_no_decay_where_the_contrast_grows_or_is_nowhere():
    profile = pd.DataFrame({"depth_um": [0.0, 3.0], "voxels": [5, 8], "contrast": [0.5, 0.6]})
    assert depth.fit_decay([profile])["decay_um"] is None
    assert depth.fit_decay([profile.assign(contrast=[0.5, -0.1])])["decay_um"] is None


def test_grey_at_the_surface_undoes_the_fading(stack):
    image, labels = stack
    numbers, depths = [1, 5, 9], np.array([2.0, 10.0, 18.0])  # of their middle slices
    grey = np.array([image[number][labels[number] == number].mean() for number in numbers])
    found = depth.undo_fading(grey, depths, BACKGROUND, 12.0)
    assert found == pytest.approx(np.random.default_rng(0).uniform(0.2, 0.8, 9)[[0, 4, 8]], abs=0.1)
    np.testing.assert_array_equal(depth.undo_fading(grey, depths, BACKGROUND, None), grey)
    assert depth.undo_fading(np.array([0.9]), np.array([90.0]), BACKGROUND, 12.0) == 1, "as bright as can be"


def test_profiles_of_images_are_pooled_by_voxels():
    first = pd.DataFrame({"depth_um": [0.0, 2.0], "voxels": [30, 10], "contrast": [1.0, 0.5]})
    other = pd.DataFrame({"depth_um": [0.0, 4.0], "voxels": [10, 5], "contrast": [0.6, 0.25]})
    covered = first.assign(contrast=np.nan)  # the background is unknown
    found = depth.fit_decay([first, other, first.iloc[:0], covered])
    assert found["depth_um"] == [0, 2, 4]
    assert found["voxels"] == [40, 10, 5]
    assert found["contrast"] == pytest.approx([0.9, 0.5, 0.25])
    assert json.loads(json.dumps(found)) == found


def test_measured_grey_is_read_as_at_the_surface(tmp_path):
    cells = tmp_path / "cells.csv"
    pd.DataFrame({"grey": [0.0, 0.4], "depth_um": [0.0, 12.0], "background": [-0.9, -0.7]}).to_csv(cells)
    grey, background = depth.read_measured(cells, 48.0)
    assert background == pytest.approx(-0.8)
    assert grey == pytest.approx([0.0, -0.8 + 1.2 * np.exp(0.25)])
    assert depth.read_measured(cells, None).grey == pytest.approx([0.0, 0.4])


def test_each_slice_weighs_as_many_voxels_as_it_has():
    """Least squares of the logarithm, weighted by voxels: covariance over variance about the weighted means."""
    profile = pd.DataFrame({"depth_um": [0.0, 2.0, 4.0, 8.0], "voxels": [100, 400, 25, 9]})
    profile["contrast"] = [0.9, 0.8, 0.3, 0.5]
    x, y, w = profile["depth_um"], np.log(profile["contrast"]), profile["voxels"]
    from_x, from_y = x - np.average(x, weights=w), y - np.average(y, weights=w)
    slope = (w * from_x * from_y).sum() / (w * from_x**2).sum()
    assert depth.fit_decay([profile])["decay_um"] == pytest.approx(-1 / slope)
    unweighted = np.polyfit(x, y, 1)[0]
    assert abs(slope / unweighted - 1) > 0.2, "the test tells them apart"


def test_two_slices_settle_it_whatever_they_weigh():
    profile = pd.DataFrame({"depth_um": [1.0, 4.0], "voxels": [3, 1000], "contrast": [0.8, 0.2]})
    assert depth.fit_decay([profile])["decay_um"] == pytest.approx(3 / np.log(4))
