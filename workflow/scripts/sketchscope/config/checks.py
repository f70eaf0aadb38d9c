"""Checks of the settings of one organism that no schema can make, because they concern several keys."""

import math
import re
from collections.abc import Mapping
from typing import Any

from ..diffusion.levels import check_halved, choose_strides, multiply_strides
from ..errors import InputError
from ..masks.crowding import check_density
from .layers import Settings
from .schema import join_words

FEWEST_ACROSS, MOST_ACROSS = 3, 2000  # voxels across a cell, in the plane
MOST_CELLS = 1_000_000  # in a volume
UNITS = {"nanometres": 1e-3, "metres": 1e6, "millimetres": 1e3}  # micrometres of what may be meant

KEYS_PER_AXIS = (
    "voxel_size",
    "volume_shape",
    "simulation.specimen.size_um",
    "diffusion.patch_shape",
    "generation.tile_shape",
    "generation.overlap",
    "generation.slab_shape",
)


def check_shapes(settings: Settings, key: str) -> None:
    """Check that every list with one entry per axis has as many entries as there are axes."""
    dimensions = settings["dimensions"]
    for name in KEYS_PER_AXIS:
        value = _look_up(settings, name)
        if value is not None and len(value) != dimensions:
            raise InputError(
                f"{key}.{name}: found {value}; with dimensions: {dimensions} it needs {dimensions} entries,"
                f" {', '.join('zyx'[-dimensions:])}"
            )
    axes = settings["axes"]
    if axes != "auto" and len(axes.replace("T", "")) != dimensions:
        fitting = ["auto", "YX", "TYX"] if dimensions == 2 else ["auto", "ZYX", "TZYX"]
        raise InputError(f"{key}.axes: found {axes}; with dimensions: {dimensions} allowed is {join_words(fitting)}")


def check_selections(settings: Settings, key: str) -> None:
    """Check percentiles, probabilities and ranges of images."""
    low, high = settings["percentiles"]
    if low >= high:
        raise InputError(f"{key}.percentiles: found [{low}, {high}]; the first must be below the second")
    if high <= 1:
        raise InputError(
            f"{key}.percentiles: found [{low:g}, {high:g}]; they are percentages, from 0 to 100:"
            f" write [{100 * low:g}, {100 * high:g}] for these shares"
        )
    total = sum(settings["sketch"]["nucleoli"])
    if abs(total - 1) > 1e-6:
        raise InputError(f"{key}.sketch.nucleoli: found probabilities that sum to {total:g}; they must sum to 1")
    smallest, largest = settings["sketch"]["nucleolus_um"]
    if smallest > largest:
        raise InputError(f"{key}.sketch.nucleolus_um: found [{smallest}, {largest}]; the first must not be larger")
    for name in ("train_images", "test_images"):
        for first, last in re.findall(r"(\d+)-(\d+)", settings[name] or ""):
            if int(first) > int(last):
                raise InputError(f"{key}.{name}: found {first}-{last}; a range must not run backwards")


def check_generation(settings: Settings, key: str) -> None:
    """Check the start of the generation, its number of steps and its tiles.

    A start must lie within the schedule, a sampler cannot take more steps than its start, and the overlap must be
    smaller than the tile along every axis.
    """
    generation, sweep, last = settings["generation"], settings["sweep"], settings["diffusion"]["timesteps"]
    name, starts = "generation.t_start", [generation["t_start"]]
    if starts == ["auto"]:
        name, starts = "sweep.t_start", sweep["t_start"]
    if max(starts) > last:
        raise InputError(f"{key}.{name}: found {max(starts)}; allowed is 1 to diffusion.timesteps, which is {last}")
    first, steps = min(starts), generation["steps"]
    if steps is not None and steps > first:
        raise InputError(f"{key}.generation.steps: found {steps}; allowed is 1 to {name}, which is {first}, or null")
    tile, overlap = generation["tile_shape"], generation["overlap"]
    if any(shared >= size for shared, size in zip(overlap, tile, strict=True)):
        raise InputError(
            f"{key}.generation.overlap: found {overlap}; along every axis it must be smaller than the tile,"
            f" which is {tile}"
        )


def check_redrawing(settings: Settings, key: str) -> None:
    """Check that lost cells can be drawn again if the settings ask for it."""
    for name, hindered in (
        ("stain: membranes", settings["stain"] == "membranes"),
        ("generation.slab_shape", settings["generation"]["slab_shape"] is not None),
    ):
        if hindered and settings["audit"]["lost"] == "redraw":
            raise InputError(f"{key}.audit.lost: found redraw; with {name} allowed is keep or drop")


def check_scale(settings: Settings, key: str) -> None:
    """Check that a cell has enough voxels across, and fits into a volume: lengths may be in another unit."""
    voxel_size, shape, diameter = settings["voxel_size"], settings["volume_shape"], settings["cell_diameter"]
    if voxel_size is None:
        return
    across = diameter / max(voxel_size[-2:])
    most = max(shape[-2:]) if shape else MOST_ACROSS
    if FEWEST_ACROSS <= across <= most:
        return
    allowed = f"at least {FEWEST_ACROSS}" if across < FEWEST_ACROSS else f"at most {most}"
    units = [unit for unit, factor in UNITS.items() if FEWEST_ACROSS <= across / factor <= most]
    meant = f"these look like {units[0]}, write {_convert(voxel_size, UNITS[units[0]])}" if units else ""
    raise InputError(
        f"{key}.voxel_size: found {voxel_size}; a cell of cell_diameter: {diameter:g} micrometres would be"
        f" {across:.3g} voxels wide, allowed is {allowed}; {meant or 'lengths are in micrometres'}"
    )


def _convert(voxel_size: list[float], factor: float) -> str:
    """Write a voxel size in micrometres."""
    return f"[{', '.join(f'{size * factor:g}' for size in voxel_size)}]"


def check_halving(settings: Settings, key: str) -> None:
    """Check that the network can halve its patches and tiles, where the size of the voxels is set."""
    diffusion, voxel_size = settings["diffusion"], settings["voxel_size"]
    if voxel_size is None or diffusion["checkpoint"] is not None:
        return
    patch = diffusion["patch_shape"]
    total = multiply_strides(choose_strides(voxel_size, patch, len(diffusion["channels"]) - 1), len(patch))
    check_halved(patch, total, f"{key}.diffusion.patch_shape")
    check_halved(settings["generation"]["tile_shape"], total, f"{key}.generation.tile_shape")


def check_fit(settings: Settings, key: str) -> None:
    """Check that a density can be fitted if the settings ask for it: cells must be everywhere in the images."""
    simulation = settings["simulation"]
    shape = simulation["specimen"]["shape"]
    if simulation["fit"] and simulation["simulator"] == "nuclei" and shape != "box":
        raise InputError(f"{key}.simulation.fit: found true; with specimen.shape: {shape} allowed is false")


def check_crowd(settings: Settings, key: str) -> None:
    """Check that simulated nuclei can lie as densely, and as far apart, as the settings ask for.

    Stacks of unknown height are checked when their masks are simulated.
    """
    simulation, diameter = settings["simulation"], settings["cell_diameter"]
    if settings["masks"]["source"] != "simulated" or simulation["simulator"] != "nuclei" or simulation["fit"]:
        return
    density, spacing = simulation["density"], simulation["spacing_um"]
    if isinstance(density, list) and density[0] > density[1]:
        raise InputError(f"{key}.simulation.density: found {density}; the first must not be larger")
    beside = diameter + simulation["cluster_gap_um"]
    if spacing is not None and spacing > beside and simulation["cluster_fraction"] > 0:
        raise InputError(
            f"{key}.simulation.spacing_um: found {spacing:g}; with cluster_fraction: {simulation['cluster_fraction']:g}"
            f" allowed is at most cell_diameter plus cluster_gap_um, which is {beside:g}; else set cluster_fraction: 0"
        )
    shape, voxel_size = settings["volume_shape"], settings["voxel_size"]
    if shape and voxel_size:
        _check_cells(settings, math.prod(n * size for n, size in zip(shape, voxel_size, strict=True)), key)
    if settings["dimensions"] == 2 or (shape and voxel_size):
        height = shape[0] * voxel_size[0] if settings["dimensions"] == 3 else None
        check_density({"diameter": diameter, **simulation}, height, f"{key}.simulation")


def _check_cells(settings: Settings, size: float, key: str) -> None:
    """Check that volumes of this size, um^2 or um^3, hold neither next to no cell nor more than can be simulated."""
    density = settings["simulation"]["density"]
    highest = density[1] if isinstance(density, list) else density
    cells, volumes = highest * size / 10 ** (2 * settings["dimensions"]), settings["volumes"]
    if cells * volumes < 1 or cells > MOST_CELLS:
        amount = f"{cells:.3g} cells each" if cells > MOST_CELLS else "less than one cell in all"
        raise InputError(
            f"{key}.simulation.density: found {density}; {volumes} volumes of volume_shape {settings['volume_shape']}"
            f" would hold {amount}; allowed is one cell in all to {MOST_CELLS:,} in each"
        )


def _look_up(settings: Mapping, name: str) -> Any:
    for part in name.split("."):
        settings = settings[part]
    return settings
