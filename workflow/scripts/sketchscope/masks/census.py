"""How many nuclei a simulated mask was to have, and has."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError

ENOUGH = 0.9  # share of the nuclei asked for; a report warns of less


class Census(NamedTuple):
    """The nuclei of one volume and of a margin of one diameter around it."""

    density: float
    """Asked: nuclei per 10,000 um^2 of the specimen in 2D, per 1,000,000 um^3 in 3D."""
    size: float
    """Of the specimen, um^2 or um^3."""
    drawn: int
    """Nuclei that were drawn: Poisson distributed around density times size."""
    placed: int
    """Nuclei of these that found a place."""


class Simulated(NamedTuple):
    """A simulated mask."""

    labels: np.ndarray
    """uint16 array (Z, Y, X) or (Y, X), uint32 if it holds more cells than that can number. Labels 1, 2, ... without
    gaps; 0 is background."""
    census: Census | None = None
    """None where no density is asked for."""


def describe(census: Census | None) -> str:
    """Say in a few words whether the nuclei found a place.

    >>> describe(Census(8.0, 50_000.0, 41, 40))
    'density 8 asked; 40 of 41 nuclei placed'
    """
    if census is None:
        return "no density asked"
    return f"density {census.density:.4g} asked; {census.placed} of {census.drawn} nuclei placed"


def check_census(volumes: Iterable[Mapping[str, Any]], ndim: int) -> None:
    """Refuse volumes that would hold no cell at all, before a network is trained for them.

    Parameters
    ----------
    volumes : iterable of mapping
        A `Census` of each, as a mapping.
    ndim : int
        Dimensions of the volumes.

    Raises
    ------
    InputError
        If less than one nucleus is expected in all of them together, and there is none.
    """
    table = [Census(**volume) for volume in volumes]
    expected = sum(census.density * census.size for census in table) / 10 ** (2 * ndim)
    if table and expected < 1 and not any(census.placed for census in table):
        raise InputError(
            f"simulation.density: at {table[0].density:.4g} {expected:.2g} cells are expected in {len(table)} volumes"
            " together, and none is there; raise simulation.density or volume_shape"
        )


def summarise_census(volumes: Iterable[Mapping[str, Any]], ndim: int) -> dict[str, Any] | None:
    """Compare the density of many volumes with what was asked for.

    Parameters
    ----------
    volumes : iterable of mapping
        A `Census` of each, as a mapping.
    ndim : int
        Dimensions of the volumes.

    Returns
    -------
    dict or None
        asked and reached, means over the volumes by their size, in nuclei per 10,000 um^2 or 1,000,000 um^3; share,
        the nuclei that found a place over those that were drawn (1 if none was); enough, whether that is nearly all;
        unit. None without volumes.
    """
    table = [Census(**volume) for volume in volumes]
    size = sum(census.size for census in table)
    if not size:
        return None
    drawn, placed = sum(census.drawn for census in table), sum(census.placed for census in table)
    share = placed / drawn if drawn else 1.0
    return {
        "asked": sum(census.density * census.size for census in table) / size,
        "reached": placed / size * 10 ** (2 * ndim),
        "share": share,
        "enough": share >= ENOUGH,
        "unit": "nuclei per 10⁴ µm²" if ndim == 2 else "nuclei per 10⁶ µm³",
    }
