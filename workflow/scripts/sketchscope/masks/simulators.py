"""All simulators of masks, by the name that the configuration gives them."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .cells import NucleiSettings
from .census import Simulated
from .nuclei import simulate_nuclei
from .shapes import Population, fit_nuclei, fit_tissue
from .specimen import SpecimenSettings
from .tissue import TissueSettings, simulate_tissue


class Simulator(NamedTuple):
    """One way to make masks of cells that never were."""

    settings: Callable[..., Any]
    """Named tuple of its numbers; the section simulation of the configuration has keys of the same names."""
    simulate: Callable[..., Simulated]
    """From shape (voxels), voxel_size (micrometres), settings and a numpy Generator to an instance mask."""
    fit: Callable[[list[Population]], Mapping[str, float | None]]
    """Some of the numbers, from the cells of segmented images."""


SIMULATORS = {
    "nuclei": Simulator(NucleiSettings, simulate_nuclei, fit_nuclei),
    "tissue": Simulator(TissueSettings, simulate_tissue, fit_tissue),
}


def read_settings(simulator: str, values: Mapping[str, Any]) -> Any:
    """Make the settings of a simulator from plain values: the section simulation, and the diameter of a cell."""
    specimen = SpecimenSettings(**values["specimen"])
    return SIMULATORS[simulator].settings(**{**values, "specimen": specimen})
