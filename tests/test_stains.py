import numpy as np
import pytest
from running import REPOSITORY
from simulating import mask_of, sketch_of
from sketchscope.config.resolve import resolve_organism
from sketchscope.evaluation.metrics import LabelPair, score_images
from sketchscope.stains import STAINS


@pytest.mark.parametrize("preset", ["nuclei-2d", "membranes-2d"])
def test_what_a_stain_draws_it_segments(preset):
    """With the settings of a preset: the keys of the configuration are those of the named tuples."""
    organism = resolve_organism("mine", {"preset": preset, "images": __file__}, "demo", REPOSITORY)
    rng, voxel_size, diameter = np.random.default_rng(2), (0.5, 0.5), organism["cell_diameter"]
    labels = mask_of(organism, (300, 300), voxel_size, rng)
    image = sketch_of(organism, labels, voxel_size, np.full(1, 0.6), rng, sigma=1.0, decay_um=None)
    image = image + rng.normal(0, 0.05, image.shape)
    stain = STAINS[organism["stain"]]
    found = stain.segment(image, voxel_size, diameter, stain.segmentation(**organism["classical"]))
    assert score_images([LabelPair("image", labels, found, None)], [0.5], border=0)[1]["ap50"] > 0.6
