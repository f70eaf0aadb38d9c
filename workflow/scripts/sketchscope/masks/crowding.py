"""How many nuclei can be packed: known before any is placed, from their sizes and shapes."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import InputError

# Share of the space that nuclei of elongation 1 fill at most, and what each further unit of the mean elongation takes
# from it, by dimension: where nine in ten nuclei still find a place (benchmarks/packing.py).
FULLEST = {2: (0.75, 0.09), 3: (0.57, 0.045)}
LEAST = 0.2  # share for the longest nuclei
LAYER_WIDTH = 3.0  # standard deviations of their height within which the centres of a layer lie
BEYOND = 0.7  # share of their height by which nuclei reach out of a stack in which they lie evenly
WALL = 0.37  # diameters below the surface of a specimen that stay empty


class Crowd(NamedTuple):
    """What decides how many nuclei can be packed."""

    ndim: int
    size: float
    """Mean area (um^2) or volume (um^3) of a nucleus, or of the disc or ball that its spacing keeps free if larger."""
    elongation: float
    """Mean ratio of the long to the short axis."""
    room: float
    """Space that they can fill over the space in which they are counted."""


def describe_crowd(values: Mapping[str, Any], height: float | None) -> Crowd:
    """Find what decides it in the numbers of a simulation.

    Parameters
    ----------
    values : mapping
        As `NucleiSettings`, the specimen a mapping.
    height : float or None
        Of the volume, micrometres; None in 2D.
    """
    ndim, spacing = (2 if height is None else 3), values["spacing_um"] or 0.0
    flatness = values["flatness"] if ndim == 3 else 1.0
    # raw moment of a log-normal distribution
    moment = values["diameter"] ** ndim * (1 + values["diameter_cv"] ** 2) ** (ndim * (ndim - 1) / 2)
    longer = values["mitotic_fraction"] * (values["mitotic_elongation"] - values["elongation"])
    return Crowd(
        ndim,
        math.pi / (2 * ndim) * max(moment * flatness, spacing**ndim),
        values["elongation"] + longer,
        _find_share(values, height, max(values["diameter"] * flatness, spacing)),
    )


def _find_share(values: Mapping[str, Any], height: float | None, thickness: float) -> float:
    """Space that nuclei can fill over that in which they are counted.

    The first and last slice cut some, a layer is thin, and no nucleus passes the surface of a specimen.
    """
    specimen, layer = values["specimen"], values["layer_um"]
    if specimen["shape"] in ("ellipsoid", "dome"):
        empty = 2 * WALL * values["diameter"]
        axes = [specimen["thickness_um"]] if specimen["thickness_um"] else specimen["size_um"] or []
        return math.prod(max(1 - empty / axis, 0.01) for axis in axes)
    if height is None:
        return 1.0
    centres = height if layer is None else min(LAYER_WIDTH * layer[1], height)
    return (centres + BEYOND * thickness) / height


def largest_density(crowd: Crowd) -> float:
    """Estimate the largest density at which at least nine in ten nuclei find a place.

    Returns
    -------
    float
        Nuclei per 10,000 um^2 in 2D, per 1,000,000 um^3 in 3D.
    """
    fullest, slope = FULLEST[crowd.ndim]
    share = max(fullest - slope * (crowd.elongation - 1), LEAST)
    return share * crowd.room / crowd.size * 10 ** (2 * crowd.ndim)


def scale_length(density: float, limits: Sequence[float], exponent: float) -> float:
    """Compute a length that goes with a density to a negative power, over that at the middle of a range.

    The middle is the geometric mean.

    >>> scale_length(4.0, [1.0, 4.0], 1.0)
    0.5
    """
    return (density / math.sqrt(limits[0] * limits[-1])) ** -exponent


def check_density(values: Mapping[str, Any], height: float | None, key: str) -> None:
    """Check that nuclei of each density in a range, or of one density, can be packed.

    Parameters
    ----------
    values, height
        As for `describe_crowd`.
    key : str
        Where the section simulation stands, for the message.

    Raises
    ------
    InputError
        The largest density that can.
    """
    densities = values["density"] if isinstance(values["density"], Sequence) else [values["density"]]
    for density in densities:
        diameter = values["diameter"] * scale_length(density, densities, values["size_exponent"])
        apart = scale_length(density, densities, 1 / (2 if height is None else 3))
        scaled = {**values, "diameter": diameter, "spacing_um": values["spacing_um"] and apart * values["spacing_um"]}
        largest = largest_density(describe_crowd(scaled, height))
        if density > largest:
            unit = "10,000 um^2" if height is None else "1,000,000 um^3"
            raise InputError(
                f"{key}.density: found {density:g}; nuclei of this size, shape and spacing can be packed up to"
                f" {_round_down(largest)} per {unit}"
            )


def _round_down(value: float) -> str:
    """Write a positive number with three digits, not rounded up."""
    step = 10 ** (math.floor(math.log10(value)) - 2)
    return f"{math.floor(value / step) * step:.6g}"
