"""Sketches: one grey value for each nucleus or membrane of a mask, blurred."""

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter, mean, median

from ..geometry import Slices, sigma_in_voxels
from ..labels import cell_boxes
from .brightness import grey_at_surface
from .depth import Measured, fade, slice_depths, undo_fading
from .haze import Shading, light_between

UNIFORM_GREY = (-0.7, 1.0)  # grey values of nuclei in the code of Eschweiler et al. 2024; the first is left out
PLAIN_MEMBRANES: dict[str, Any] = {"sigma": 0.0, "sigma_unit": "finest", "min_contrast": 0.0}
PLAIN_NUCLEI: dict[str, Any] = {
    **PLAIN_MEMBRANES,
    **{"grey": "measured", "nucleoli": [1.0], "nucleolus_um": (1.0, 1.0), "boundary_offset_um": 0.0},
}
NUCLEOLUS_DEPTH = 0.6  # of a nucleus' contrast to the background that a nucleolus takes away


class NucleusSketch(NamedTuple):
    """How nuclei are drawn; intensities are normalised."""

    sigma: float
    """Standard deviation of the Gaussian blur, in `sigma_unit`."""
    background: float | None
    """Grey value outside the nuclei; None takes that of the real images."""
    min_contrast: float
    """Least difference of a nucleus to the background."""
    nucleoli: Sequence[float]
    """Probabilities of 0, 1, 2, ... nucleoli in a nucleus."""
    nucleolus_um: tuple[float, float]
    """Smallest and largest diameter of a nucleolus, micrometres."""
    decay_um: float | None
    """Depth along z at which the contrast has fallen to 1/e, micrometres; None if it does not fall."""
    sigma_unit: str
    """finest: voxels of the finest axis, one length along all axes; voxel: voxels of each axis."""
    grey: str
    """measured: values are drawn from those of real nuclei; uniform: from `UNIFORM_GREY`."""
    field: str
    """What lies between the nuclei. flat: one grey value; measured: a shading like that of real images."""
    boundary_offset_um: float
    """How much smaller than its mask a nucleus is drawn, all around, micrometres."""


class MembraneSketch(NamedTuple):
    """How membranes are drawn; see `NucleusSketch` for what both have."""

    sigma: float
    background: float | None
    min_contrast: float
    membrane_um: float
    """Thickness of a membrane, micrometres."""
    decay_um: float | None
    sigma_unit: str
    field: str


class Membranes(NamedTuple):
    """The voxels of the membranes of a tissue; a pair of neighbours is one membrane."""

    where: tuple[np.ndarray, ...]
    """Positions of the voxels, an int array (V,) for each axis."""
    membrane: np.ndarray
    """Which membrane each belongs to, int array (V,) of 0, 1, ..."""
    total: int
    """How many membranes there are."""


def draw_nuclei(
    labels: np.ndarray,
    voxel_size: Sequence[float],
    settings: NucleusSketch,
    measured: Measured,
    rng: np.random.Generator,
    *,
    lost: Sequence[int] = (),
    like: np.ndarray | None = None,
    shading: Shading | None = None,
) -> np.ndarray:
    """Draw the sketch of one mask of nuclei.

    Parameters
    ----------
    labels : int array (Z, Y, X) or (Y, X)
        0 is background.
    voxel_size : sequence of float
        Micrometres along each axis.
    settings : NucleusSketch
    measured : Measured
        Grey values of real nuclei, to draw from, and of their background.
    rng : numpy Generator
    lost : sequence of int
        Nuclei that are drawn at least as bright as the median of those measured.
    like : float32 array like `labels`, optional
        A real image of these nuclei, normalised: each gets its own grey value, in place of one that is drawn.
    shading : Shading, optional
        What lies between them; one grey value without.

    Returns
    -------
    float32 array like `labels`
        Clipped to [-1, 1].
    """
    background = choose_background(settings, measured)
    darkest = background + settings.min_contrast
    if like is not None:
        grey_values = grey_at_surface(like, labels, voxel_size, background, settings.decay_um)
    elif settings.grey == "uniform":
        grey_values = draw_uniform_grey(labels.max(), rng)
    else:
        grey_values = draw_grey_values(measured.grey, labels.max(), darkest, rng)
    grey_values = np.maximum(grey_values, darkest).astype(np.float32)
    faint = np.asarray(lost, int) - 1
    grey_values[faint] = np.maximum(grey_values[faint], np.median(measured.grey))
    spots = draw_nucleoli(labels, settings.nucleoli, settings.nucleolus_um, voxel_size, rng)
    cover = cover_cores(labels, settings.boundary_offset_um, voxel_size) if settings.boundary_offset_um else labels > 0

    def paint(grey_values: np.ndarray) -> np.ndarray:
        image = paint_cells(labels, grey_values, background, spots)
        if settings.boundary_offset_um:
            image = np.float32(background) + cover * (image - np.float32(background))
        return fade(image, background, settings.decay_um, voxel_size)

    image = paint(grey_values)
    if shading is not None:
        between, inside = light_between(image, background, shading, voxel_size), np.nonzero(labels)
        lifted = lift_above(grey_values, between, inside, labels[inside] - 1, voxel_size, background, settings)
        image = np.where(cover > 0, paint(lifted), between)
    return finish_sketch(image, blur_widths(settings, voxel_size))


def draw_membranes(
    labels: np.ndarray,
    voxel_size: Sequence[float],
    settings: MembraneSketch,
    measured: Measured,
    rng: np.random.Generator,
    *,
    lost: Sequence[int] = (),
    like: np.ndarray | None = None,
    shading: Shading | None = None,
) -> np.ndarray:
    """Draw the sketch of one mask of tissue; see `draw_nuclei`.

    `lost` belongs to cells and changes nothing here: a membrane belongs to two cells.
    """
    background = choose_background(settings, measured)
    darkest = background + settings.min_contrast
    membranes = find_membranes_between(labels, settings.membrane_um, voxel_size)
    if like is None:
        grey_values = draw_grey_values(measured.grey, membranes.total, darkest, rng)
    else:
        grey_values = measure_membranes(like, membranes, voxel_size, background, settings.decay_um)
    drawn = np.zeros(labels.shape, bool)
    drawn[membranes.where] = True

    def paint(grey_values: np.ndarray) -> np.ndarray:
        image = np.full(labels.shape, background, np.float32)
        image[membranes.where] = grey_values[membranes.membrane]
        return fade(image, background, settings.decay_um, voxel_size)

    grey_values = np.maximum(grey_values, darkest)
    image = paint(grey_values)
    if shading is not None:
        between = light_between(image, background, shading, voxel_size)
        lifted = lift_above(grey_values, between, membranes.where, membranes.membrane, voxel_size, background, settings)
        image = np.where(drawn, paint(lifted), between)
    return finish_sketch(image, blur_widths(settings, voxel_size))


def choose_background(settings: NucleusSketch | MembraneSketch, measured: Measured) -> float:
    """Choose the grey value between cells or membranes: that of the settings, or that of the real images."""
    return measured.background if settings.background is None else settings.background


def lift_above(
    grey_values: np.ndarray,
    between: np.ndarray,
    where: tuple[np.ndarray, ...],
    number: np.ndarray,
    voxel_size: Sequence[float],
    background: float,
    settings: NucleusSketch | MembraneSketch,
) -> np.ndarray:
    """Raise cells or membranes that would hardly show before the light around them.

    Parameters
    ----------
    grey_values : array (n,)
        In the first slice.
    between : float32 array (Z, Y, X) or (Y, X)
        Of `haze.light_between`.
    where, number : tuple of int arrays (V,), int array (V,)
        Voxels of the cells or membranes, and to which each belongs.
    voxel_size : sequence of float
        Micrometres along each axis.
    background : float
        Without that light.
    settings : NucleusSketch or MembraneSketch

    Returns
    -------
    array (n,)
        At least `min_contrast` brighter than the mean of that light over the cell or membrane.
    """
    if not number.size:
        return grey_values
    found = np.unique(number)
    depths = np.broadcast_to(slice_depths(between.shape, voxel_size), between.shape)
    level, depth_um = (np.asarray(mean(values[where], number, found)) for values in (between, depths))
    least = undo_fading(level, depth_um, background, settings.decay_um) + settings.min_contrast
    lifted = grey_values.copy()
    lifted[found] = np.maximum(grey_values[found], least)
    return lifted


def draw_grey_values(grey_values: np.ndarray, labels: int, darkest: float, rng: np.random.Generator) -> np.ndarray:
    """Draw a grey value for each label from those measured in real images.

    Parameters
    ----------
    grey_values : array (N,)
        Mean normalised intensities of rough real cells.
    labels : int
        How many to draw.
    darkest : float
        Darker values are raised to this one: cells that drown in the noise of t_start would be lost.
    rng : numpy Generator

    Returns
    -------
    float32 array (labels,)
    """
    return np.maximum(rng.choice(grey_values, labels), darkest).astype(np.float32)


def draw_uniform_grey(labels: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a grey value for each label, uniform in `UNIFORM_GREY` without its lower end.

    Returns
    -------
    float64 array (labels,)
    """
    low, high = UNIFORM_GREY
    return high - (high - low) * rng.random(labels)


def draw_nucleoli(
    labels: np.ndarray,
    probabilities: Sequence[float],
    diameters: tuple[float, float],
    voxel_size: Sequence[float],
    rng: np.random.Generator,
) -> np.ndarray:
    """Place round dark spots inside nuclei, away from their boundaries.

    Parameters
    ----------
    labels : int array (Z, Y, X) or (Y, X)
        0 is background.
    probabilities : sequence of float
        Of 0, 1, 2, ... nucleoli in a nucleus; they sum to 1.
    diameters : (float, float)
        Smallest and largest diameter of a nucleolus in micrometres.
    voxel_size : sequence of float
        Micrometres along each axis.
    rng : numpy Generator

    Returns
    -------
    bool array like `labels`
        True inside nucleoli.
    """
    spots = np.zeros(labels.shape, bool)
    for label, box in cell_boxes(labels):
        nucleus = labels[box] == label
        depth = distance_transform_edt(np.pad(nucleus, 1), sampling=voxel_size)[(slice(1, -1),) * labels.ndim]
        inner = np.argwhere(depth >= depth.max() / 2) * voxel_size
        position = np.argwhere(nucleus)
        for _ in range(rng.choice(len(probabilities), p=probabilities)):
            centre, radius = inner[rng.integers(len(inner))], rng.uniform(*diameters) / 2
            near = np.linalg.norm(position * voxel_size - centre, axis=1) <= radius
            spots[box][tuple(position[near].T)] = True
    return spots


def paint_cells(
    labels: np.ndarray, grey_values: np.ndarray, background: float, nucleoli: np.ndarray | None = None
) -> np.ndarray:
    """Paint each cell with its grey value (Eschweiler et al. 2024, section 2.2).

    Parameters
    ----------
    labels : int array (Z, Y, X) or (Y, X)
        0 is background.
    grey_values : array (labels.max(),)
        Normalised intensity of labels 1, 2, ...
    background : float
        Normalised intensity of the background.
    nucleoli : bool array like `labels`, optional
        Where `NUCLEOLUS_DEPTH` of a cell's contrast to the background is taken away.

    Returns
    -------
    float32 array like `labels`
    """
    lut = np.concatenate([[background], grey_values]).astype(np.float32)
    image = lut[labels]
    if nucleoli is not None:
        image[nucleoli] -= NUCLEOLUS_DEPTH * (image[nucleoli] - np.float32(background))
    return image


def cover_cores(labels: np.ndarray, margin_um: float, voxel_size: Sequence[float]) -> np.ndarray:
    """Compute how much of each voxel lies in a cell and not in its rim, whose width is met to a fifth of a voxel.

    Parameters
    ----------
    labels : int array (Z, Y, X) or (Y, X)
        0 is background. A cell goes on beyond the edge of the image.
    margin_um : float
        Width of the rim, micrometres.
    voxel_size : sequence of float
        Micrometres along each axis.

    Returns
    -------
    float32 array like `labels`
        From 0 to 1, the latter from one voxel of the finest axis inside the rim on.
    """
    cover = np.zeros(labels.shape, np.float32)
    padded = np.pad(labels, 1, "edge")
    inner = (slice(1, -1),) * labels.ndim
    for label, box in cell_boxes(labels):
        cell = padded[tuple(slice(part.start, part.stop + 2) for part in box)] == label
        depth = distance_transform_edt(cell, sampling=voxel_size)[inner] if not cell.all() else np.inf
        share = np.clip((depth - margin_um) / min(voxel_size), 0, 1)
        cover[box] = np.where(cell[inner], share, cover[box])
    return cover


def find_membranes_between(labels: np.ndarray, width_um: float, voxel_size: Sequence[float]) -> Membranes:
    """Find the membrane between each two cells, and around the tissue.

    Parameters
    ----------
    labels : int array (Z, Y, X) or (Y, X)
        Cells that touch; 0 is outside the tissue.
    width_um : float
        Thickness of a membrane, micrometres; one voxel on either side of a boundary at least.
    voxel_size : sequence of float
        Micrometres along each axis.
    """
    beyond = find_nearest_other(labels, width_um / 2, voxel_size)
    membrane = np.nonzero(beyond != labels)
    sides = np.sort([labels[membrane], beyond[membrane]], axis=0).astype(np.int64)
    pairs, number = np.unique(sides[0] * (int(labels.max()) + 1) + sides[1], return_inverse=True)
    return Membranes(membrane, number, len(pairs))


def measure_membranes(
    image: np.ndarray, membranes: Membranes, voxel_size: Sequence[float], background: float, decay_um: float | None
) -> np.ndarray:
    """Compute how bright each membrane of a real image would be in the first slice, from its median.

    Returns
    -------
    float32 array (membranes.total,)
    """
    if not membranes.total:
        return np.zeros(0, np.float32)
    depths = np.broadcast_to(slice_depths(image.shape, voxel_size), image.shape)[membranes.where]
    numbers = np.arange(membranes.total)
    grey = np.asarray(median(image[membranes.where], membranes.membrane, numbers))
    depth_um = np.asarray(mean(depths, membranes.membrane, numbers))
    return undo_fading(grey, depth_um, background, decay_um).astype(np.float32)


def blur_widths(settings: NucleusSketch | MembraneSketch, voxel_size: Sequence[float]) -> tuple[float, ...]:
    """Standard deviations of the blur along each axis, voxels of that axis.

    >>> nuclei = NucleusSketch(2.0, None, 0.1, [1.0], (1.0, 2.0), None, "finest", "measured", "flat", 0.0)
    >>> blur_widths(nuclei, (1.0, 0.25, 0.5))
    (0.5, 2.0, 1.0)
    >>> blur_widths(nuclei._replace(sigma_unit="voxel"), (1.0, 0.25, 0.5))
    (2.0, 2.0, 2.0)
    """
    if settings.sigma_unit == "voxel":
        return (settings.sigma,) * len(voxel_size)
    return sigma_in_voxels(settings.sigma, voxel_size)


def finish_sketch(image: np.ndarray, widths: Sequence[float]) -> np.ndarray:
    """Blur the whole volume by these standard deviations, voxels of each axis, and clip it to [-1, 1]."""
    return np.clip(gaussian_filter(image, widths), -1, 1)


def find_nearest_other(labels: np.ndarray, distance_um: float, voxel_size: Sequence[float]) -> np.ndarray:
    """Find for each voxel the label beyond the nearest boundary, or its own if none is so near.

    Parameters
    ----------
    labels : int array (Z, Y, X) or (Y, X)
        0 counts as a label.
    distance_um : float
        From a voxel's centre to the boundary, micrometres; neighbours along an axis always count.
    voxel_size : sequence of float
        Micrometres along each axis.
    """
    beyond = labels.copy()
    for offset in _offsets_outside_in(distance_um + min(voxel_size) / 2, voxel_size):
        here, there = zip(*(_overlap(step, size) for step, size in zip(offset, labels.shape, strict=True)), strict=True)
        np.copyto(beyond[here], labels[there], where=labels[there] != labels[here])
    return beyond


def _offsets_outside_in(reach: float, voxel_size: Sequence[float]) -> list[tuple[int, ...]]:
    """Offsets to voxels within reach and to the neighbours along the axes, the farthest first."""
    steps = [range(-int(max(reach / size, 1)), int(max(reach / size, 1)) + 1) for size in voxel_size]
    length = {offset: float(np.linalg.norm(np.multiply(offset, voxel_size))) for offset in product(*steps)}
    near = [offset for offset in length if length[offset] <= reach or np.abs(offset).sum() == 1]
    return sorted((offset for offset in near if any(offset)), key=lambda offset: -length[offset])


def _overlap(step: int, size: int) -> Slices:
    """Find where an axis overlaps with itself shifted by a step: here, and there."""
    return slice(max(-step, 0), max(size - step, 0)), slice(max(step, 0), max(size + step, 0))
