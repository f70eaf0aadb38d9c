"""Where to start and how much to blur: real images are compared with what the network makes of their own sketches."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..errors import InputError
from ..images.windows import windows_with_cells
from ..sketches.depth import Measured
from ..sketches.draw import choose_background
from ..sketches.haze import Shading, measure_haze, shade_like
from .audit import summarise_audit
from .divergence import add_noise, count_levels, diverge
from .image_similarity import compare_spectra, histogram_distance, mean_spectrum, psnr, zncc
from .start_choice import Draws, find_interval

DRAWS = 2000  # of the windows, for the intervals
# contrast to noise below which a cell of an example is lost; not audit.min_contrast, so that this repeats no sweep
LEAST_CONTRAST = 3.0
AUDITED = {
    "displacement": "displacement_abs_median",
    "iou": "iou_median",
    "iou_above_0.7": "iou_above_0.7",
    "cells": "cells",
    "lost": "lost",
}
NO_NETWORK = "none"  # stands for the sampler where the sketch itself is compared


class Example(NamedTuple):
    """A real image and its labels, arrays of one shape, (Z, Y, X) or (Y, X)."""

    image: np.ndarray
    labels: np.ndarray


class Drawing(NamedTuple):
    """How sketches of examples are drawn: as those of the masks, with the cells' own grey values."""

    draw: Callable[..., np.ndarray]
    """Of the stain, see `stains.Stain`."""
    settings: Any
    """Numbers of `draw`, a named tuple with the fields sigma and decay_um."""
    measured: Measured
    voxel_size: Sequence[float]
    """Micrometres along each axis."""
    key: Sequence[int]
    """Seeds of nucleoli and membranes."""

    cell_diameter: float
    """Micrometres."""

    def __call__(self, example: Example, sigma: float) -> np.ndarray:
        """Draw the sketch of an example with this blur, voxels of the finest axis."""
        shading = self._find_shading(example) if self.settings.field == "measured" else None
        return self._draw(example, self.settings._replace(sigma=sigma), shading)

    def _draw(self, example: Example, settings: Any, shading: Shading | None) -> np.ndarray:
        rng, options = np.random.default_rng(self.key), {"like": example.image, "shading": shading}
        return self.draw(example.labels, self.voxel_size, settings, self.measured, rng, **options)

    def _find_shading(self, example: Example) -> Shading:
        """Find the background of an example, outside what is drawn of it."""
        flat = self._draw(example, self.settings._replace(sigma=0.0), None)
        background = choose_background(self.settings, self.measured)
        haze = measure_haze(example.image, flat, background, self.voxel_size, self.cell_diameter)
        return shade_like(haze, example.image.shape, self.voxel_size)


class Grid(NamedTuple):
    """Starts and blurs to try."""

    t_starts: Sequence[int]
    sigmas: Sequence[float]
    """Voxels of the finest axis."""


class Run(NamedTuple):
    """How a run draws sketches and makes images of them."""

    draw: Callable[[Example, float], np.ndarray]
    """From an example and sigma to its sketch, such as `Drawing`."""
    make_generator: Callable[[int], Callable[..., np.ndarray]]
    """From t_start to a generator, as `generate.make_generator` makes it."""
    alpha_bar: np.ndarray
    """Of every step."""
    sampler: str
    """What to call the sampler in the table."""


class Windows(NamedTuple):
    """What is compared of each window, arrays of (windows, ...); what bootstrap draws again."""

    levels: np.ndarray
    """Counts of the expected intensities inside the cells after noising, of image and sketch: (W, 2, BINS)."""
    spectra: np.ndarray
    """Power spectra of the generated image and of the real one: (W, 2, SPECTRUM_BINS)."""
    psnr: np.ndarray
    """Inside the cells, dB; NaN where there is none: (W,)."""
    zncc: np.ndarray


class Point(NamedTuple):
    """A start and a blur, scored."""

    row: dict[str, Any]
    """Of the table of scores."""
    draws: dict[str, np.ndarray]
    """divergence and spectrum of windows drawn again, arrays (DRAWS,)."""
    image: np.ndarray
    """What was made of the first example; its sketch where there is no network."""


def cut_examples(images: Iterable[Example], shape: Sequence[int], count: int) -> list[Example]:
    """Cut windows that hold cells: one of each image, or several where there are fewer images than `count`.

    Raises
    ------
    InputError
        If no window holds a cell, so that nothing can be compared.
    """
    images = list(images)
    each = -(-count // len(images))
    windows = [(image, window) for image in images for window in windows_with_cells(*image, shape, each)]
    examples = [Example(image.image[window], image.labels[window]) for image, window in windows][:count]
    if not any(example.labels.any() for example in examples):
        raise InputError(f"sweep: none of {len(examples)} windows of training images holds a labelled cell")
    return examples


def compare_windows(
    examples: Sequence[Example], sketches: Sequence[np.ndarray], generated: Sequence[np.ndarray], alpha_bar: float
) -> Windows:
    """Compare noised sketches with noised images, and generated images with real ones, window by window.

    Intensities are compared inside the cells alone: the background, which is most of an image, would hide them. Where
    noised sketches and images are alike, the network is given what it was trained on.

    Parameters
    ----------
    examples : sequence of Example
        Real images, normalised, with labels.
    sketches, generated : sequences of arrays
        One for each example.
    alpha_bar : float
        Of the step up to which they are noised.
    """
    inside = [example.labels > 0 for example in examples]
    images = [example.image for example in examples]
    pairs = list(zip(images, sketches, inside, strict=True))
    made = list(zip(generated, images, inside, strict=True))
    return Windows(
        levels=np.array([[add_noise(count_levels(x[cells]), alpha_bar) for x in pair] for *pair, cells in pairs]),
        spectra=np.array([[mean_spectrum([x]) for x in (image, real)] for image, real, _ in made]),
        psnr=np.array([psnr(*three) if three[2].any() else np.nan for three in made]),
        zncc=np.array([zncc(*three) if three[2].any() else np.nan for three in made]),
    )


def average_windows(windows: Windows, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Compute divergence, spectrum, psnr and zncc with these weights (..., W) of the windows, arrays (...)."""
    levels, spectra = (np.tensordot(weights, values, 1) for values in (windows.levels, windows.spectra))
    return {
        "divergence": diverge(levels[..., 0, :], levels[..., 1, :]),
        "spectrum": compare_spectra(spectra[..., 0, :], spectra[..., 1, :]),
        "psnr": _average(windows.psnr, weights),
        "zncc": _average(windows.zncc, weights),
    }


def draw_windows(count: int, key: Sequence[int]) -> np.ndarray:
    """Draw windows with replacement: how often each is drawn, float array (DRAWS, count)."""
    drawn = np.random.default_rng(key).integers(count, size=(DRAWS, count))
    return np.apply_along_axis(np.bincount, 1, drawn, minlength=count).astype(np.float64)


def count_windows(windows: Windows) -> int:
    """Count the windows that hold a cell."""
    return int((windows.levels.sum((1, 2)) > 0).sum())


def score_windows(windows: Windows, weights: np.ndarray) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Score the windows together: each score with its 95 % interval (_low and _high), and those of the draws."""
    found = average_windows(windows, np.ones(len(windows.levels)))
    draws = average_windows(windows, weights)
    count = count_windows(windows)
    scores: dict[str, float] = {}
    for name, value in found.items():
        low, high = find_interval(draws[name], count)
        scores |= {name: float(value), f"{name}_low": float(low), f"{name}_high": float(high)}
    return scores, draws


def audit_examples(
    examples: Sequence[Example], generated: Sequence[np.ndarray], audit: Callable[..., pd.DataFrame]
) -> dict[str, float]:
    """Measure how far the cells of generated images keep to their masks, see `audit.summarise_audit`."""
    pairs = zip(examples, generated, strict=True)
    audited = summarise_audit(pd.concat([audit(image, example.labels) for example, image in pairs]))
    return {key: audited[name] for key, name in AUDITED.items()}


def sweep(
    examples: Sequence[Example],
    run: Run,
    grid: Grid,
    *,
    keys: tuple[Sequence[int], Sequence[int]],
    audit: Callable[..., pd.DataFrame],
) -> Iterator[Point]:
    """Score every start and blur of a grid, and for each blur the sketches without any network (t_start 0).

    Parameters
    ----------
    examples : sequence of Example
        Real images, normalised, with labels.
    run : Run
        How sketches are drawn and images made.
    grid : Grid
    keys : pair of sequences of int
        For the noise, which is the same at every point of the grid, and for drawing windows again.
    audit : callable
        From an image and its labels to the table of `audit.audit_cells`.
    """
    weights = draw_windows(len(examples), keys[1])
    for sigma in grid.sigmas:
        sketches = [run.draw(example, sigma) for example in examples]
        for t_start in (0, *grid.t_starts):
            made = sketches
            if t_start:
                generator = run.make_generator(t_start)
                made = [generator(sketch, key=[*keys[0], number]) for number, sketch in enumerate(sketches)]
            windows = compare_windows(examples, sketches, made, float(run.alpha_bar[t_start]))
            scores, draws = score_windows(windows, weights)
            row = {"t_start": t_start, "sigma": sigma, "sampler": run.sampler if t_start else NO_NETWORK} | scores
            row["histogram"] = histogram_distance(made, [example.image for example in examples])
            row |= audit_examples(examples, made, audit)
            row |= {"windows": count_windows(windows), "pixels": sum(int((e.labels > 0).sum()) for e in examples)}
            yield Point(row, draws, made[0])


def collect_points(points: Iterable[Point], example: Example) -> tuple[pd.DataFrame, Draws, dict[str, np.ndarray]]:
    """Gather the points of a sweep, and print each.

    Parameters
    ----------
    points : iterable of Point
    example : Example
        The first, whose pictures are kept.

    Returns
    -------
    scores : DataFrame
        One row per point.
    draws : Draws
    pictures : dict
        Its image, a sketch for each sigma (sketch {sigma}), and an image for each point ({sigma} {t_start}).
    """
    table, draws, pictures = [], [], {"image": example.image}
    for point in points:
        row = point.row
        table.append(row)
        draws.append((point.draws["divergence"], point.draws["spectrum"]))
        name = f"{row['sigma']:g} {row['t_start']}" if row["t_start"] else f"sketch {row['sigma']:g}"
        pictures[name] = point.image
        print({key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()})
    divergence, spectrum = map(np.array, zip(*draws, strict=True))
    return pd.DataFrame(table), Draws(divergence, spectrum, np.array([row["windows"] for row in table])), pictures


def _average(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted mean over the windows that have a value; NaN where none of them has one."""
    known = ~np.isnan(values)
    total = weights[..., known].sum(-1)
    with np.errstate(invalid="ignore"):
        return weights[..., known] @ values[known] / np.where(total > 0, total, np.nan)
