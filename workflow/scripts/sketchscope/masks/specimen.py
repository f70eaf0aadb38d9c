"""Where in a volume cells can be: a specimen's outline, how deep a point lies in it, and points drawn from it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .surfaces import Harmonics, draw_harmonics


class SpecimenSettings(NamedTuple):
    """How the specimen of a volume is drawn."""

    shape: str
    """box fills the volume. ellipsoid lies in its middle. dome is an ellipsoid whose apex lies one cell below the first
    slice (the first row in 2D). map is the surface of an ellipsoid, unrolled around its long axis, which is y; its
    girth is kept: an ellipse in y and x."""
    size_um: Sequence[float] | None
    """Axes, micrometres; None fits them into the volume, or into the upper half of a dome."""
    thickness_um: float | None
    """Depth down to which there are cells, micrometres, for a shell or a cap; None fills the specimen."""
    roughness: float
    """Deformation of an ellipsoid: standard deviation as a fraction of the radius."""


class Box(NamedTuple):
    """Tissue or medium that fills the volume and goes on beyond it."""

    def depth(self, points: np.ndarray) -> np.ndarray:
        """Micrometres below the surface, of points (n, ndim)."""
        return np.full(len(points), np.inf)


class Ellipsoid(NamedTuple):
    """An embryo or, with its centre below the last slice, the top of one; an infinite axis makes a cylinder."""

    centre: np.ndarray
    semi_axes: np.ndarray
    roughness: float
    surface: Harmonics

    def depth(self, points: np.ndarray) -> np.ndarray:
        """Micrometres below the surface, of points (n, ndim); to first order in the distance, exact for a ball."""
        away = points - self.centre
        position = away / self.semi_axes
        radius = np.maximum(np.linalg.norm(position, axis=1), 1e-9)
        slope = np.maximum(np.linalg.norm(position / self.semi_axes, axis=1), 1e-12) / radius
        limit = np.exp(self.roughness * self.surface((position / radius[:, None]).T)) if self.roughness else 1.0
        return np.minimum((limit - radius) / slope, self.semi_axes.min())


class Specimen(NamedTuple):
    """An outline, and how deep below it there are cells (None: to the centre)."""

    outline: Box | Ellipsoid
    thickness: float | None = None

    def depth(self, points: np.ndarray) -> np.ndarray:
        """Micrometres below the surface, of points (n, ndim); negative outside."""
        return self.outline.depth(points)

    def contains(self, points: np.ndarray, margin: float = 0.0) -> np.ndarray:
        """Whether points (n, ndim) lie in the specimen, at least `margin` micrometres from its surfaces."""
        return self.clearance(points) >= margin

    def clearance(self, points: np.ndarray) -> np.ndarray:
        """Micrometres to the nearest surface, the inner one of a shell too, of points (n, ndim)."""
        depth = self.depth(points)
        return depth if self.thickness is None else np.minimum(depth, self.thickness - depth)

    def bring_within(self, points: np.ndarray, margin: np.ndarray) -> np.ndarray:
        """Move points (n, ndim) so that they lie at least `margin` (n,) micrometres from the surfaces, if they can."""
        if isinstance(self.outline, Box):
            return points
        depth = self.depth(points)
        deepest = np.inf if self.thickness is None else self.thickness - margin
        return self.move_down(points, np.clip(depth, margin, deepest) - depth, margin.mean() / 50)

    def move_down(self, points: np.ndarray, distance: np.ndarray, step: float) -> np.ndarray:
        """Move points (n, ndim) down by a distance (n,), along the gradient of the depth over `step` micrometres."""
        moving = distance != 0
        shifts = np.eye(points.shape[1]) * step
        slope = np.stack([self.depth(points[moving] + s) - self.depth(points[moving] - s) for s in shifts], axis=1)
        slope /= np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-12)
        moved = points.copy()
        moved[moving] += slope * distance[moving, None]
        return moved


class Region(NamedTuple):
    """Boxes on a regular grid from which points are drawn evenly; micrometres."""

    corners: np.ndarray
    step: np.ndarray

    @property
    def volume(self) -> float:
        """Square or cubic micrometres."""
        return len(self.corners) * float(np.prod(self.step))

    @property
    def centres(self) -> np.ndarray:
        """Centres (n, ndim) of the boxes."""
        return self.corners + self.step / 2

    def keep_within(self, specimen: "Specimen", margin: float) -> "Region":
        """Keep the boxes whose centres lie at least `margin` micrometres from the surfaces of a specimen."""
        return self._replace(corners=self.corners[specimen.contains(self.centres, margin)])

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Draw points (count, ndim)."""
        if len(self.corners) == 1:
            return rng.uniform(self.corners[0], self.corners[0] + self.step, (count, len(self.step)))
        chosen = self.corners[rng.integers(len(self.corners), size=count)]
        return chosen + rng.random(chosen.shape) * self.step


def draw_specimen(
    lower: np.ndarray, upper: np.ndarray, settings: SpecimenSettings, cell_diameter: float, rng: np.random.Generator
) -> Specimen:
    """Draw the specimen of one volume.

    Parameters
    ----------
    lower, upper : array (ndim,)
        Corners of the volume, micrometres.
    settings : SpecimenSettings
    cell_diameter : float
        Micrometres.
    rng : numpy Generator
        A box draws nothing from it.
    """
    extent = upper - lower
    fitting = extent * (np.array([2.0] + [1.0] * (len(extent) - 1)) if settings.shape == "dome" else 1.0)
    size = fitting if settings.size_um is None else np.asarray(settings.size_um, float)
    centre = (lower + upper) / 2
    if settings.shape == "dome":
        centre[0] = lower[0] + cell_diameter + size[0] / 2
    if settings.shape == "map" and len(size) == 3:
        size[0] = np.inf
    if settings.shape == "box":
        return Specimen(Box())  # without a surface, below which a thickness would be measured
    return Specimen(Ellipsoid(centre, size / 2, settings.roughness, draw_harmonics(rng)), settings.thickness_um)


def find_region(specimen: Specimen, lower: np.ndarray, upper: np.ndarray, step: float, margin: float) -> Region:
    """Find where in a box the specimen is: the box itself, or parts of it as by `find_boxes`."""
    if isinstance(specimen.outline, Box):
        return Region(np.atleast_2d(lower), upper - lower)
    return find_boxes(specimen, lower, upper, step, margin)


def find_boxes(specimen: Specimen, lower: np.ndarray, upper: np.ndarray, step: float, margin: float) -> Region:
    """Find where in a box the specimen is, on a grid of about `step` micrometres.

    Parameters
    ----------
    specimen : Specimen
    lower, upper : array (ndim,)
        Corners of the box, micrometres.
    step : float
        Micrometres; each side of the box is divided evenly into parts of about this length.
    margin : float
        Distance from the specimen's surfaces that is kept, micrometres.
    """
    parts = np.maximum(np.rint((upper - lower) / step), 1).astype(int)
    size = (upper - lower) / parts
    corners = lower + np.stack(np.unravel_index(np.arange(parts.prod()), parts), axis=1) * size
    return Region(corners[specimen.contains(corners + size / 2, margin)], size)
