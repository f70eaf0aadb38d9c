"""Keys that have a meaning for some organisms only, as the schema says of each."""

from collections.abc import Mapping
from typing import Any

from .layers import Settings

# what simulates the cells of a stain if simulation.simulator is null
SIMULATORS = {"nuclei": "nuclei", "membranes": "tissue"}


def choose_simulator(settings: Settings) -> Settings:
    """Fill in the simulator that belongs to the stain, if the settings name none."""
    simulation = settings["simulation"]
    return settings | {
        "simulation": simulation | {"simulator": simulation["simulator"] or SIMULATORS[settings["stain"]]}
    }


def drop_meaningless(settings: Settings, schema: Mapping[str, Any]) -> Settings:
    """Leave out the keys that have no meaning for an organism, so that a change of one repeats no job.

    Parameters
    ----------
    settings : dict
        Complete settings of one organism.
    schema : mapping
        Schema of these settings. `stains` of a key lists the stains for which it has a meaning, and `simulators` the
        simulators; a key without them has a meaning for all.

    Returns
    -------
    dict
        The remaining settings.
    """
    own = {"stains": settings["stain"], "simulators": settings["simulation"]["simulator"]}
    return _drop(settings, schema["properties"], own)


def _drop(section: Settings, properties: Mapping[str, Any], own: Mapping[str, str]) -> Settings:
    kept = {}
    for key, value in section.items():
        described = properties.get(key, {})  # none where the settings were filled in
        if all(name in described.get(kind, [name]) for kind, name in own.items()):
            nested = "properties" in described and isinstance(value, Mapping)
            kept[key] = _drop(value, described["properties"], own) if nested else value
    return kept
