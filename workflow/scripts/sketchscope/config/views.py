"""Parts of the checked configuration that rules and reports need."""

from collections.abc import Mapping
from pathlib import Path

from .layers import Settings

# keys of the section simulation that are fitted to the images if simulation.fit is true
FITTED = ("diameter_cv", "elongation", "elongation_sd", "density", "spacing_um")

# keys that change no result; a report of the settings leaves them out, so that a change repeats nothing
IDLE = {"diffusion": ("report_every", "checkpoint_seconds"), "generation": ("batch_size",)}

# keys of an organism that do not influence its synthetic images, or that name files of the user
UNSEEN = ("images", "labels", "baselines", "cellpose", "evaluation")


def simulation_settings(organism: Mapping) -> Settings:
    """Select the numbers that a simulator takes from the section simulation, without those that are fitted."""
    others = ["fit", "simulator", *(FITTED if organism["simulation"]["fit"] else [])]
    return {key: value for key, value in organism["simulation"].items() if key not in others}


def effective_settings(organism: Mapping) -> Settings:
    """Select the settings that have a meaning for an organism, for people to read."""
    organism = {key: value for key, value in drop_idle(organism).items() if key != "file_warnings"}
    if organism["masks"]["source"] == "simulated":
        chosen = {key: organism["simulation"][key] for key in ("fit", "simulator")}
        simulation = chosen | simulation_settings(organism)
        return {**organism, "simulation": simulation, "masks": {"source": "simulated"}}
    return {key: value for key, value in organism.items() if key != "simulation"}


def drop_idle(organism: Mapping) -> Settings:
    """Leave out the keys that change no result."""
    kept = {
        section: {key: value for key, value in organism[section].items() if key not in keys}
        for section, keys in IDLE.items()
    }
    return {**organism, **kept}


def synthetic_settings(organism: Mapping) -> Settings:
    """Select the settings that influence the synthetic images, without names of the user's files."""
    settings = {key: value for key, value in effective_settings(organism).items() if key not in UNSEEN}
    masks = {key: value for key, value in settings["masks"].items() if key != "labels"}
    if "model" in masks:
        masks["model"] = Path(masks["model"]).name
    return settings | {"masks": masks}


def share_volumes(volumes: int, volumes_per_job: int) -> dict[str, dict[str, int]]:
    """Share out volumes to jobs: by job, the names of its volumes and their positions over all volumes.

    >>> share_volumes(3, 2)
    {'batch_000': {'volume_0000': 0, 'volume_0001': 1}, 'batch_001': {'volume_0002': 2}}
    """
    return {
        f"batch_{batch:03d}": {
            f"volume_{index:04d}": index for index in range(first, min(first + volumes_per_job, volumes))
        }
        for batch, first in enumerate(range(0, volumes, volumes_per_job))
    }
