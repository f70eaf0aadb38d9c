import numpy as np
import pytest
from simulating import BOX
from simulating import tissue as simulate
from sketchscope.evaluation.metrics import LabelPair, score_images
from sketchscope.segmentation.classical_membranes import ClassicalMembranes, segment_membranes
from sketchscope.sketches.depth import Measured
from sketchscope.sketches.draw import MembraneSketch, draw_membranes

GEOMETRIES = {"2d": ((240, 240), (0.4, 0.4)), "3d": ((48, 110, 110), (0.5, 0.3, 0.3))}
SETTINGS = ClassicalMembranes(sigma=None, split=0.15, min_size=0.1)
DRAWN = MembraneSketch(
    field="flat", sigma=1.0, background=None, min_contrast=0.1, membrane_um=1.0, decay_um=None, sigma_unit="finest"
)
MEASURED = Measured(np.linspace(0, 0.8, 50), -0.9)


def tissue(geometry, **changes):
    """Labels of a simulated tissue, and an image of its membranes with noise."""
    shape, voxel_size = GEOMETRIES[geometry]
    rng = np.random.default_rng(4)
    labels = simulate(np.array(shape), np.array(voxel_size), rng, diameter=10.0, diameter_cv=0.15, **changes)
    image = draw_membranes(labels, voxel_size, DRAWN, MEASURED, rng)
    return labels, image + rng.normal(0, 0.1, shape), voxel_size


def scores(labels, found):
    return score_images([LabelPair("image", labels, found, None)], [0.5, 0.75], border=0)[1]


@pytest.mark.parametrize(("geometry", "least"), [("2d", 0.85), ("3d", 0.85)])
def test_cells_of_a_tissue_are_found(geometry, least):
    labels, image, voxel_size = tissue(geometry)
    found = segment_membranes(image, voxel_size, 10.0, SETTINGS)
    assert (found.shape, found.dtype) == (image.shape, np.int32)
    assert scores(labels, found)["ap50"] > least
    # neither offset nor gain matters
    again = segment_membranes(1000 + 50 * image, voxel_size, 10.0, SETTINGS)
    assert (again != found).mean() < 0.01


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_background_stays_background(geometry):
    labels, image, voxel_size = tissue(geometry, specimen=BOX._replace(shape="ellipsoid"))
    found = segment_membranes(image, voxel_size, 10.0, SETTINGS)
    corner = (slice(0, 3),) * labels.ndim
    assert (labels[corner] == 0).all()
    assert (found[corner] == 0).all()
    assert ((found > 0) == (labels > 0)).mean() > 0.85
    assert scores(labels, found)["ap50"] > 0.6


def test_nothing_is_no_cell():
    assert segment_membranes(np.ones((40, 40)), (1, 1), 10, SETTINGS).max() == 0
