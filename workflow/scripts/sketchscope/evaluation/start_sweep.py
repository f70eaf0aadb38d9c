"""Where to start and how much to blur: real images are compared with what the network makes of their own sketches."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import ndimage
from scipy.spatial.distance import jensenshannon

from ..images.windows import crop_typical
from ..sketches.depth import Measured, slice_depths, undo_fading
from .audit import audit_cells, summarise_audit
from .image_similarity import histogram_distance, psnr, spectrum_distance, zncc

BINS, WIDEST = 200, 4.0  # of the histograms of noised intensities, whose standard deviation is about 1
# contrast to noise below which a cell of an example is lost; not audit.min_contrast, so that this repeats no sweep
LEAST_CONTRAST = 3.0
AUDITED = {
    "displacement": "displacement_abs_median",
    "iou": "iou_median",
    "iou_above_0.7": "iou_above_0.7",
    "cells": "cells",
    "lost": "lost",
}


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

    def __call__(self, example: Example, sigma: float) -> np.ndarray:
        """Draw the sketch of an example with this blur, voxels of the finest axis."""
        decay_um, background = self.settings.decay_um, self.measured.background
        return self.draw(
            example.labels,
            self.voxel_size,
            self.settings._replace(sigma=sigma),
            self.measured,
            np.random.default_rng(self.key),
            grey_values=grey_at_surface(example, self.voxel_size, background, decay_um),
        )


class Grid(NamedTuple):
    """Starts and blurs to try."""

    t_starts: Sequence[int]
    sigmas: Sequence[float]
    """Voxels of the finest axis."""


def choose_start(
    scores: pd.DataFrame,
    max_divergence: float,
    max_spectrum: float,
    *,
    t_start: int | None = None,
    sigma: float | None = None,
) -> dict[str, Any]:
    """Choose the earliest t_start, and for it the smallest sigma, of those that are good enough.

    A point is good enough if noised sketches look like noised images (a divergence of at most `max_divergence`, or the
    least there is), and if, among these points, the generated images have nearly the best spectrum (at most
    `max_spectrum` farther from the real one than the best). The earliest such start keeps cells closest to their masks.

    Parameters
    ----------
    scores : DataFrame
        Rows of `sweep`.
    max_divergence : float
        Bits.
    max_spectrum : float
        dB.
    t_start, sigma : number, optional
        Where one is set already; it must be in the grid.

    Returns
    -------
    dict
        t_start, sigma, and all other columns of the row chosen.
    """
    for name, value in (("t_start", t_start), ("sigma", sigma)):
        if value is not None:
            scores = scores[np.isclose(scores[name], value)]
    alike = scores[scores["divergence"] <= max(max_divergence, scores["divergence"].min())]
    good = alike[alike["spectrum"] <= alike["spectrum"].min() + max_spectrum]
    chosen = good.sort_values(["t_start", "sigma"]).iloc[0]
    return {name: chosen[name].item() for name in scores.columns} | {"t_start": int(chosen["t_start"])}


def cut_example(image: np.ndarray, labels: np.ndarray, shape: Sequence[int]) -> Example:
    """Cut a window of typical brightness, of at most the given shape."""
    window = crop_typical(image, shape)
    return Example(image[window], labels[window])


def grey_at_surface(
    example: Example, voxel_size: Sequence[float], background: float, decay_um: float | None
) -> np.ndarray:
    """Compute the mean intensity of each cell, as it would be in the first slice (`depth.undo_fading`).

    Returns
    -------
    float32 array (labels,)
        Where no cell has a number, its entry means nothing.
    """
    numbers = np.arange(1, example.labels.max() + 1)
    depth = np.broadcast_to(slice_depths(example.labels.shape, voxel_size), example.labels.shape)
    count = np.maximum(np.bincount(example.labels.ravel(), minlength=len(numbers) + 1)[1:], 1)
    grey, depth_um = (ndimage.sum_labels(values, example.labels, numbers) / count for values in (example.image, depth))
    return undo_fading(grey, depth_um, background, decay_um).astype(np.float32)


def compare_noised(
    images: Sequence[np.ndarray], sketches: Sequence[np.ndarray], alpha_bar: float, rng: np.random.Generator
) -> dict[str, float]:
    """Measure how far the intensities of noised sketches are from those of noised images.

    Where the two are alike, the network is given what it was trained on.

    Parameters
    ----------
    images, sketches : sequences of arrays
        Normalised intensities.
    alpha_bar : float
        Of the step up to which they are noised.
    rng : numpy Generator

    Returns
    -------
    dict
        divergence, of Jensen and Shannon (Lin 1991, IEEE Trans. Inf. Theory 37), in bits, less that of the images
        from themselves under other noise; wasserstein, in units of intensity.
    """

    def add_noise(group: Sequence[np.ndarray]) -> np.ndarray:
        clean = np.concatenate([image.ravel() for image in group]).astype(np.float64)
        return np.sqrt(alpha_bar) * clean + np.sqrt(1 - alpha_bar) * rng.standard_normal(clean.size)

    first, again, other = add_noise(images), add_noise(images), add_noise(sketches)
    counts = [
        np.histogram(np.clip(values, -WIDEST, WIDEST), BINS, (-WIDEST, WIDEST))[0] for values in (first, again, other)
    ]
    of_chance, between = (jensenshannon(counts[0], count, 2) ** 2 for count in counts[1:])
    return {
        "divergence": float(max(between - of_chance, 0)),
        "wasserstein": histogram_distance([first], [other]),
    }


def score_examples(
    examples: Sequence[Example], generated: Sequence[np.ndarray], voxel_size: Sequence[float], *, touching: bool
) -> dict[str, float]:
    """Compare real images with those generated from their sketches.

    Parameters
    ----------
    examples : sequence of Example
        Real images, normalised, with labels.
    generated : sequence of arrays
        One for each example.
    voxel_size : sequence of float
        Micrometres along each axis.
    touching : bool
        Whether membranes are stained, see `audit.audit_cells`.

    Returns
    -------
    dict
        psnr (dB) and zncc inside the labelled regions, means over the images; histogram (intensity) and spectrum (dB),
        distances of all generated images from all real ones; displacement (voxels, median of the absolute value), iou,
        iou_above_0.7, cells and lost of `audit.summarise_audit`.
    """
    pairs = list(zip(examples, generated, strict=True))
    images = [example.image for example in examples]
    inside = [(image, example.image, example.labels > 0) for example, image in pairs if example.labels.any()]
    cells = [
        audit_cells(image, example.labels, voxel_size, touching=touching, min_contrast=LEAST_CONTRAST)
        for example, image in pairs
    ]
    audited = summarise_audit(pd.concat(cells))
    return {
        "psnr": float(np.mean([psnr(*three) for three in inside])) if inside else np.nan,
        "zncc": float(np.mean([zncc(*three) for three in inside])) if inside else np.nan,
        "histogram": histogram_distance(generated, images),
        "spectrum": spectrum_distance(generated, images),
        **{key: audited[name] for key, name in AUDITED.items()},
    }


def collect_points(
    points: Iterable[tuple[dict[str, float], np.ndarray, np.ndarray]], example: Example
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Gather the points of a sweep, and print each.

    Parameters
    ----------
    points : iterable
        From `sweep`.
    example : Example
        The first, whose pictures are kept.

    Returns
    -------
    scores : DataFrame
        One row per point.
    pictures : dict
        Its image, a sketch for each sigma (sketch {sigma}), and an image for each point ({sigma} {t_start}).
    """
    table, pictures = [], {"image": example.image}
    for scores, sketch, image in points:
        table.append(scores)
        pictures |= {f"sketch {scores['sigma']:g}": sketch, f"{scores['sigma']:g} {scores['t_start']}": image}
        print({name: round(value, 4) for name, value in scores.items() if value is not None})
    return pd.DataFrame(table), pictures


def sweep(
    examples: Sequence[Example],
    draw: Callable[[Example, float], np.ndarray],
    make_generator: Callable[[int], Callable[..., np.ndarray]],
    alpha_bar: np.ndarray,
    voxel_size: Sequence[float],
    grid: Grid,
    *,
    key: Sequence[int],
    touching: bool,
) -> Iterator[tuple[dict[str, float], np.ndarray, np.ndarray]]:
    """Score every start and blur of a grid.

    Parameters
    ----------
    examples : sequence of Example
        Real images, normalised, with labels.
    draw : callable
        From an example and sigma to its sketch.
    make_generator : callable
        From t_start to a generator, as `generate.make_generator` makes it.
    alpha_bar : array
        Of every step.
    voxel_size : sequence of float
        Micrometres along each axis.
    grid : Grid
    key : sequence of int
        Seed and organism, for all noise; it is the same at every point of the grid.
    touching : bool
        Whether membranes are stained, see `audit.audit_cells`.

    Yields
    ------
    dict
        One row: t_start, sigma, and what `compare_noised` and `score_examples` give.
    sketch, image : arrays
        Of the first example.
    """
    images = [example.image for example in examples]
    for sigma in grid.sigmas:
        sketches = [draw(example, sigma) for example in examples]
        for t_start in grid.t_starts:
            generator = make_generator(t_start)
            made = [generator(sketch, key=[*key, number]) for number, sketch in enumerate(sketches)]
            distances = compare_noised(images, sketches, float(alpha_bar[t_start]), np.random.default_rng(key))
            scores = score_examples(examples, made, voxel_size, touching=touching)
            yield {"t_start": t_start, "sigma": sigma} | distances | scores, sketches[0], made[0]
