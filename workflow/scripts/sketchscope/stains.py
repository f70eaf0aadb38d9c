"""What the two stains differ in, nuclei and membranes: all that asks for the stain asks here."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .segmentation.classical_membranes import ClassicalMembranes, segment_membranes
from .segmentation.classical_nuclei import ClassicalNuclei, segment_nuclei
from .sketches.draw import PLAIN_MEMBRANES, PLAIN_NUCLEI, MembraneSketch, NucleusSketch, draw_membranes, draw_nuclei


class Stain(NamedTuple):
    """How images of one stain are segmented without training, and how their masks are drawn."""

    segmentation: Callable[..., Any]
    """Named tuple of the numbers of `segment`; the section classical of the configuration has keys of these names."""
    segment: Callable[..., np.ndarray]
    """From image, voxel_size, cell_diameter and the numbers to labels."""
    sketch: Callable[..., Any]
    """Named tuple of the numbers of `draw`; the section sketch of the configuration has keys of these names."""
    plain: dict[str, Any]
    """Numbers of `draw` with which a sketch follows a real image: nothing that is drawn at random, no blur."""
    draw: Callable[..., np.ndarray]
    """From labels, voxel_size, the numbers, `Measured` and a numpy Generator to a sketch."""
    touching: bool
    """Whether cells share their boundaries, as in tissue."""


STAINS = {
    "nuclei": Stain(ClassicalNuclei, segment_nuclei, NucleusSketch, PLAIN_NUCLEI, draw_nuclei, touching=False),
    "membranes": Stain(
        ClassicalMembranes, segment_membranes, MembraneSketch, PLAIN_MEMBRANES, draw_membranes, touching=True
    ),
}
