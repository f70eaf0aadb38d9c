"""Random, isotropic deformations of round things: functions on the unit circle or sphere, of mean 0 and variance 1."""

from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.special import sph_harm_y

WAVES = 12  # random waves on the unit sphere
WAVE_NUMBER = 2.5  # their mean frequency: lobes of about a radius
HIGHEST_DEGREE = 6
TABLE = (31, 61)  # polar and azimuthal angles at which harmonics are tabulated, six degrees apart


class Waves(NamedTuple):
    """A sum of plane waves."""

    vectors: np.ndarray
    phases: np.ndarray

    def __call__(self, direction: np.ndarray) -> np.ndarray:
        """Deformation in the directions (ndim, n), unit vectors."""
        return np.cos(self.vectors @ direction + self.phases[:, None]).sum(0) * np.sqrt(2 / WAVES)


class Harmonics(NamedTuple):
    """A sum of spherical harmonics, as a table over the angles."""

    table: np.ndarray

    def __call__(self, direction: np.ndarray) -> np.ndarray:
        """Deformation in the directions (ndim, n), unit vectors; a circle is the sphere's equator."""
        polar = np.arccos(np.clip(direction[0], -1, 1)) if len(direction) == 3 else np.pi / 2
        azimuth = np.arctan2(direction[-2], direction[-1]) % (2 * np.pi)
        place = np.broadcast_arrays(polar * ((TABLE[0] - 1) / np.pi), azimuth * ((TABLE[1] - 1) / (2 * np.pi)))
        return map_coordinates(self.table, place, order=1)


def draw_waves(ndim: int, rng: np.random.Generator) -> Waves:
    """Draw waves with normally distributed wave vectors and even phases."""
    return Waves(rng.normal(0, WAVE_NUMBER, (WAVES, ndim)), rng.uniform(0, 2 * np.pi, WAVES))


def draw_harmonics(rng: np.random.Generator, decay: float = 3.0) -> Harmonics:
    """Draw normally distributed coefficients (random harmonics as in Eschweiler et al. 2021, PLOS ONE 16(12)).

    Degree 0, which is size, and degree 1, which is place, are left out.

    Parameters
    ----------
    rng : numpy Generator
    decay : float
        The variance of a coefficient falls with this power of its degree.
    """
    degrees, basis = tabulate_harmonics()
    power = degrees**-decay
    power *= 4 * np.pi / power.sum()  # an isotropic field's variance is that of its coefficients over 4 pi
    coefficients = np.sqrt(power) * rng.standard_normal(power.size)
    return Harmonics((coefficients @ basis.reshape(power.size, -1)).reshape(TABLE))


@cache
def tabulate_harmonics() -> tuple[np.ndarray, np.ndarray]:
    """Tabulate the real, orthonormal spherical harmonics from degree 2: degrees (n,), tables (n, polar, azimuth)."""
    polar = np.linspace(0, np.pi, TABLE[0])[:, None]
    azimuth = np.linspace(0, 2 * np.pi, TABLE[1])
    degrees, basis = [], []
    for degree in range(2, HIGHEST_DEGREE + 1):
        for order in range(-degree, degree + 1):
            values = sph_harm_y(degree, abs(order), polar, azimuth)
            real = values.imag if order < 0 else values.real
            degrees.append(degree)
            basis.append(real * (np.sqrt(2) if order else 1))
    return np.array(degrees, float), np.array(basis)
