"""Simulated masks with few words: what a test does not name is plain."""

from sketchscope.config.views import simulation_settings
from sketchscope.masks.cells import NucleiSettings
from sketchscope.masks.nuclei import simulate_nuclei
from sketchscope.masks.simulators import SIMULATORS, read_settings
from sketchscope.masks.specimen import SpecimenSettings
from sketchscope.masks.tissue import TissueSettings, simulate_tissue
from sketchscope.sketches.depth import Measured
from sketchscope.stains import STAINS

BOX = SpecimenSettings(shape="box", size_um=None, thickness_um=None, roughness=0.0)
PLAIN = {
    **{"layer_um": None, "surface": "waves", "mitotic_fraction": 0.0, "mitotic_elongation": 2.0, "specimen": BOX},
    **{"size_exponent": 0.0, "spacing_um": None},
}
FLAT = {"layers": 0, "size_gradient": 0.0, "specimen": BOX}


def counted_nuclei(shape, voxel_size, rng, min_fraction=0.1, **settings):
    """A mask of nuclei and their census; see `NucleiSettings`."""
    return simulate_nuclei(shape, voxel_size, NucleiSettings(**PLAIN | settings), rng, min_fraction=min_fraction)


def nuclei(*args, **settings):
    """A mask of nuclei; see `NucleiSettings`."""
    return counted_nuclei(*args, **settings).labels


def tissue(shape, voxel_size, rng, **settings):
    """A mask of tissue; see `TissueSettings`."""
    return simulate_tissue(shape, voxel_size, TissueSettings(**FLAT | settings), rng).labels


def mask_of(organism, shape, voxel_size, rng):
    """A mask as the settings of an organism have it."""
    simulator = organism["simulation"]["simulator"]
    values = {"diameter": organism["cell_diameter"], **simulation_settings(organism)}
    return SIMULATORS[simulator].simulate(shape, voxel_size, read_settings(simulator, values), rng).labels


def sketch_of(organism, labels, voxel_size, grey, rng, **changes):
    """A sketch as the settings of an organism have it, from these measured grey values."""
    stain = STAINS[organism["stain"]]
    settings = stain.sketch(**organism["sketch"] | changes)
    return stain.draw(labels, voxel_size, settings, Measured(grey, -0.8), rng)
