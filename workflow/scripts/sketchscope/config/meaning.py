"""Keys that mean something to some organisms only, as the schema says of each."""

from collections.abc import Mapping
from typing import Any

from .layers import Settings

# what simulates the cells of a stain where simulation.simulator does not say
SIMULATORS = {"nuclei": "nuclei", "membranes": "tissue"}


def choose_simulator(settings: Settings) -> Settings:
    """Fill in the simulator that belongs to the stain where none is named."""
    simulation = settings["simulation"]
    return settings | {
        "simulation": simulation | {"simulator": simulation["simulator"] or SIMULATORS[settings["stain"]]}
    }


def drop_meaningless(settings: Settings, schema: Mapping[str, Any]) -> Settings:
    """Leave out the keys that mean nothing to an organism, so that changing one repeats no job.

    Parameters
    ----------
    settings : dict
        Complete settings of one organism.
    schema : mapping
        Schema of these settings. `stains` beside a key lists the stains that it means something to, and `simulators`
        the simulators; a key without either means something to all.
    """
    own = {"stains": settings["stain"], "simulators": settings["simulation"]["simulator"]}
    return _drop(settings, schema["properties"], own)


def _drop(section: Settings, properties: Mapping[str, Any], own: Mapping[str, str]) -> Settings:
    kept = {}
    for key, value in section.items():
        described = properties[key]
        if all(name in described.get(kind, [name]) for kind, name in own.items()):
            nested = "properties" in described and isinstance(value, Mapping)
            kept[key] = _drop(value, described["properties"], own) if nested else value
    return kept
