import numpy as np
import pytest
from sketchscope.evaluation.metrics import LabelPair, score_images
from sketchscope.masks.tissue import simulate_tissue
from sketchscope.segmentation import classical
from sketchscope.segmentation.classical_membranes import segment_membranes
from sketchscope.sketches.draw import draw

GEOMETRIES = {"2d": ((240, 240), (0.4, 0.4)), "3d": ((48, 110, 110), (0.5, 0.3, 0.3))}
SETTINGS = {"sigma": None, "split": 0.15, "min_size": 0.1}
DRAWN = {"sigma": 1.0, "background": None, "min_contrast": 0.1, "nucleoli": [1.0], "nucleolus_um": (1, 2)}


def tissue(geometry, **changes):
    """Labels of a simulated tissue, and an image of its membranes with noise."""
    shape, voxel_size = GEOMETRIES[geometry]
    rng = np.random.default_rng(4)
    settings = {"diameter_cv": 0.15, "layers": 0, "size_gradient": 0.0}
    settings["specimen"] = {"shape": "box", "size_um": None, "thickness_um": None, "roughness": 0.0}
    labels = simulate_tissue(np.array(shape), np.array(voxel_size), diameter=10.0, rng=rng, **settings | changes)
    measured = {"measured": np.linspace(0, 0.8, 50), "measured_background": -0.9}
    image = draw(labels, voxel_size, stain="membranes", membrane_um=1.0, decay_um=None, rng=rng, **measured, **DRAWN)
    return labels, image + rng.normal(0, 0.1, shape), voxel_size


def scores(labels, found):
    return score_images([LabelPair("image", labels, found, None)], [0.5, 0.75])[1]


@pytest.mark.parametrize(("geometry", "least"), [("2d", 0.85), ("3d", 0.85)])
def test_cells_of_a_tissue_are_found(geometry, least):
    labels, image, voxel_size = tissue(geometry)
    found = segment_membranes(image, voxel_size=voxel_size, cell_diameter=10.0, **SETTINGS)
    assert (found.shape, found.dtype) == (image.shape, np.int32)
    assert scores(labels, found)["ap50"] > least
    # neither offset nor gain matters
    again = segment_membranes(1000 + 50 * image, voxel_size=voxel_size, cell_diameter=10.0, **SETTINGS)
    assert (again != found).mean() < 0.01


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_background_stays_background(geometry):
    specimen = {"shape": "ellipsoid", "size_um": None, "thickness_um": None, "roughness": 0.0}
    labels, image, voxel_size = tissue(geometry, specimen=specimen)
    found = segment_membranes(image, voxel_size=voxel_size, cell_diameter=10.0, **SETTINGS)
    corner = (slice(0, 3),) * labels.ndim
    assert (labels[corner] == 0).all()
    assert (found[corner] == 0).all()
    assert ((found > 0) == (labels > 0)).mean() > 0.85
    assert scores(labels, found)["ap50"] > 0.6


def test_nothing_is_no_cell():
    assert segment_membranes(np.ones((40, 40)), voxel_size=(1, 1), cell_diameter=10, **SETTINGS).max() == 0


def test_rough_segmentation_of_either_stain():
    _, image, voxel_size = tissue("2d")
    settings = {"voxel_size": voxel_size, "cell_diameter": 10.0, "min_contrast": 5.0, "edge": 0.4, "min_height": 0.03}
    found = classical.segment(image, stain="membranes", **settings, **SETTINGS)
    assert (found == segment_membranes(image, voxel_size=voxel_size, cell_diameter=10.0, **SETTINGS)).all()
    nuclei = np.hypot(*(np.mgrid[:240, :240] % 60 - 30)) < 12
    image = nuclei + np.random.default_rng(1).normal(0, 0.05, nuclei.shape)
    assert classical.segment(image, stain="nuclei", **settings, **SETTINGS).max() == 16
