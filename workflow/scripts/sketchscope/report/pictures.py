"""Figures that show images."""

#

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from .style import (
    PANEL,
    VERMILION,
    YELLOW,
    choose_limits,
    colour_labels,
    colour_models,
    draw_legend,
    draw_scale_bar,
    flatten,
    lay_out_tightly,
    make_panels,
    name_model,
    outline,
    show,
)


class Pair(NamedTuple):
    """A real image beside a generated one with its sketch and its mask, all of one shape, (Z, Y, X) or (Y, X)."""

    real: np.ndarray
    sketch: np.ndarray
    synthetic: np.ndarray
    mask: np.ndarray


class Overlay(NamedTuple):
    """A test image and its labels, all of one shape, (Z, Y, X) or (Y, X)."""

    name: str
    image: np.ndarray
    reference: np.ndarray | None
    """None where there are no reference labels."""
    predictions: Mapping[str, np.ndarray]
    """Predicted labels by model, the trained one first."""


class Panels(NamedTuple):
    """A mask, its sketch and the image made from it, all of one shape, (Z, Y, X) or (Y, X)."""

    mask: np.ndarray
    sketch: np.ndarray
    synthetic: np.ndarray
    voxel_size: Sequence[float]
    """Micrometres along each axis."""


def plot_pairs(pairs: Sequence[Pair], voxel_size: Sequence[float]) -> Figure:
    """Draw real crops beside sketch, synthetic image, and synthetic image with the outline of its mask.

    A stack shows its middle plane above a section along z through its middle row.

    Parameters
    ----------
    pairs : sequence of Pair
        Real and synthetic intensities are normalised with the same limits, so that they share one grey scale.
    voxel_size : sequence of float
        Micrometres along each axis.
    """
    headings = ("real", "sketch", "synthetic", "synthetic and mask")
    axes = make_panels(len(pairs), headings, flatten(pairs[0].real, voxel_size).shape)
    limits = choose_limits([pair.real for pair in pairs])
    for row, pair in zip(axes, pairs, strict=True):
        sketch = flatten(pair.sketch, voxel_size)
        synthetic = flatten(pair.synthetic, voxel_size)
        show(row[0], flatten(pair.real, voxel_size), limits)
        show(row[1], sketch, (-1, 1))
        show(row[2], synthetic, limits)
        show(row[3], synthetic, limits)
        outline(row[3], flatten(pair.mask, voxel_size), VERMILION)
    draw_scale_bar(axes[0, 0], pairs[0].real.shape, voxel_size[-1])
    return axes[0, 0].figure


def plot_samples(samples: np.ndarray, voxel_size: Sequence[float], columns: int = 4) -> Figure:
    """Draw samples (N, Y, X) or (N, Z, Y, X) in [-1, 1], one per panel, in rows of `columns`."""
    pictures = [flatten(sample, voxel_size) for sample in samples]
    rows = -(-len(pictures) // columns)
    axes = make_panels(rows, [""] * columns, pictures[0].shape, size=1.6)
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, picture in zip(axes.flat, pictures, strict=False):
        show(ax, picture, (-1, 1))
    return axes[0, 0].figure


def plot_overlays(overlays: Sequence[Overlay], voxel_size: Sequence[float]) -> Figure:
    """Draw test images with the outlines of the reference and of every model, one model per column.

    A stack takes two rows: its brightest plane, and the one halfway from there to the farther end.

    Parameters
    ----------
    overlays : sequence of Overlay
        Intensities of any scale; all have predictions of the same models.
    voxel_size : sequence of float
        Micrometres along each axis.
    """
    planes = [plane for overlay in overlays for plane in _choose_planes(overlay)]
    colours = colour_models(overlays[0].predictions)
    headings = ["test image", *map(name_model, colours)]
    axes = make_panels(len(planes), headings, planes[0].image.shape, size=3.8)
    for row, plane in zip(axes, planes, strict=True):
        limits = choose_limits([plane.image])
        for ax in row:
            show(ax, plane.image, limits)
            if plane.reference is not None:
                outline(ax, plane.reference, YELLOW)
        for ax, (model, colour) in zip(row[1:], colours.items(), strict=True):
            outline(ax, plane.predictions[model], colour)
        row[0].set_ylabel(plane.name, fontsize=10)
    draw_scale_bar(axes[0, 0], planes[0].image.shape, voxel_size[-1])
    reference = {"reference": YELLOW} if any(overlay.reference is not None for overlay in overlays) else {}
    draw_legend(axes[0, 0].figure, reference | {name_model(model): colour for model, colour in colours.items()})
    return axes[0, 0].figure


def plot_contact(organisms: Mapping[str, Panels]) -> Figure:
    """Draw mask, sketch and synthetic image of every organism, one organism per row; of stacks the middle plane.

    Parameters
    ----------
    organisms : mapping of str to Panels
        Sketch and synthetic image of an organism share one scale of intensities.
    """
    figure = lay_out_tightly(3 * PANEL, PANEL * len(organisms))
    axes = figure.subplots(len(organisms), 3, squeeze=False)
    for row, (name, panels) in zip(axes, organisms.items(), strict=True):
        mask, sketch, synthetic = (array if array.ndim == 2 else array[len(array) // 2] for array in panels[:3])
        row[0].imshow(colour_labels(mask), interpolation="nearest")
        row[0].set(xticks=[], yticks=[], ylabel=name)
        limits = choose_limits([synthetic])
        show(row[1], sketch, limits)
        show(row[2], synthetic, limits)
        draw_scale_bar(row[2], synthetic.shape, panels.voxel_size[-1])
    for ax, heading in zip(axes[0], ("mask", "sketch", "synthetic"), strict=True):
        ax.set_title(heading, fontsize=12)
    return figure


def _choose_planes(overlay: Overlay) -> list[Overlay]:
    """Choose the planes to show of an image, as Overlays (Y, X)."""
    if overlay.image.ndim == 2:
        return [overlay]
    depth = len(overlay.image)
    brightest = int(np.argmax(overlay.image.mean(axis=(1, 2))))
    farther_end = 0 if brightest > (depth - 1) / 2 else depth - 1
    chosen = dict.fromkeys((brightest, round((brightest + farther_end) / 2)))
    return [
        Overlay(
            f"{overlay.name}, plane {plane + 1} of {depth}",
            overlay.image[plane],
            None if overlay.reference is None else overlay.reference[plane],
            {model: labels[plane] for model, labels in overlay.predictions.items()},
        )
        for plane in chosen
    ]
