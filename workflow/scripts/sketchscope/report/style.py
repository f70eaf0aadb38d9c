"""What all figures share: colours, panels, pictures, outlines, scale bars, legends."""

import itertools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import LineCollection
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from skimage.measure import find_contours

from .. import TRAINED
from ..io.atomic import PathLike, atomic_path
from ..labels import cell_boxes

# Okabe & Ito 2008, Color Universal Design: safe for colour-blind readers
SKY, YELLOW, BLUE, VERMILION, GREEN = "#56B4E9", "#F0E442", "#0072B2", "#D55E00", "#009E73"
PURPLE, ORANGE = "#CC79A7", "#E69F00"
MODEL_COLOURS = (SKY, VERMILION, GREEN, PURPLE, ORANGE)  # the trained model's first; a sixth model takes it again
GAMMA = 0.4  # lifts dim cells
PANEL = 2.9  # inches
GAP = 4  # pixels between the plane and the section of a stack
SCALE_BARS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)  # micrometres


def save(figure: Figure, path: PathLike, dpi: int = 180) -> None:
    """Write a figure as a PNG file, whole or not at all."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=dpi, facecolor="white", bbox_inches="tight")


def colour_labels(labels: np.ndarray) -> np.ndarray:
    """Turn labels into colours, float array (Y, X, 3). A label always has the same colour; the background is black."""
    hues = labels * 0.618034 % 1  # the golden section keeps the hues of consecutive labels apart
    values = np.stack([hues, np.full(labels.shape, 0.65), np.where(labels > 0, 0.95 - 0.25 * (labels % 3) / 2, 0)], -1)
    return hsv_to_rgb(values)


def name_model(model: str) -> str:
    """Name a model for people: by what it is if it was trained here, else by its name.

    >>> name_model("sketchscope"), name_model("cyto3")
    ('trained on synthetic images', 'cyto3')
    """
    return "trained on synthetic images" if model == TRAINED else model


def colour_models(models: Iterable[str]) -> dict[str, str]:
    """Choose a colour for each model, in their order."""
    return dict(zip(models, itertools.cycle(MODEL_COLOURS), strict=False))


def draw_message(text: str) -> Figure:
    """Draw a figure that says in words why there is nothing to see."""
    figure = Figure(figsize=(5, 3))
    figure.text(0.5, 0.5, text, ha="center", va="center", fontsize=13)
    return figure


def flatten(volume: np.ndarray, voxel_size: Sequence[float]) -> np.ndarray:
    """Show a stack in one picture: the middle plane above the XZ section through its middle row.

    Parameters
    ----------
    volume : array (Z, Y, X) or (Y, X)
        Intensities, or integer labels, which stay labels.
    voxel_size : sequence of float
        Micrometres along each axis. The section is stretched along Z to the pixel size of the plane.

    Returns
    -------
    array (Y', X)
        NaN (0 in labels) fills the gap between plane and section. An image (Y, X) stays as it is.
    """
    if volume.ndim == 2:
        return volume
    depth, height, width = volume.shape
    section = volume[:, height // 2]
    rows = max(1, round(depth * voxel_size[0] / voxel_size[2]))
    section = section[np.arange(rows) * depth // rows]
    is_labels = np.issubdtype(volume.dtype, np.integer)
    gap = np.full((GAP, width), 0 if is_labels else np.nan, volume.dtype)
    return np.concatenate([volume[depth // 2], gap, section])


def choose_limits(images: Sequence[np.ndarray]) -> tuple[float, float]:
    """Choose the intensities to show as black and white: percentiles 0.5 and 99.5 of all images together."""
    low, high = np.percentile(np.concatenate([image.ravel() for image in images]), (0.5, 99.5))
    return float(low), float(max(high, low + 1e-6))


def show(ax: Axes, image: np.ndarray, limits: tuple[float, float]) -> None:
    """Draw an image in grey between the limits, with gamma 0.4, NaN white, without ticks."""
    low, high = limits
    shown = np.clip((image.astype(np.float64) - low) / (high - low), 0, 1) ** GAMMA
    ax.imshow(shown, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def outline(ax: Axes, labels: np.ndarray, colour: str) -> None:
    """Draw the outline of each label of an image (Y, X) around its pixels."""
    lines = []
    for label, box in cell_boxes(labels):
        start = np.array([axis.start - 1 for axis in box])
        mask = np.pad(labels[box] == label, 1).astype(float)
        lines += [(line + start)[:, ::-1] for line in find_contours(mask, 0.5)]
    ax.add_collection(LineCollection(lines, colors=colour, linewidths=1.1))


def lay_out_tightly(width: float, height: float) -> Figure:
    """Make a figure of this size, in inches, whose panels stand close together."""
    tight = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03, wspace=0, hspace=0)
    return Figure(figsize=(width, height), layout=tight)


def make_panels(rows: int, headings: Sequence[str], shape: Sequence[int], size: float = PANEL) -> np.ndarray:
    """Make axes (rows, columns) for pictures of one shape, `size` inches wide, with headings on top."""
    height = size * shape[0] / shape[1]
    figure = lay_out_tightly(size * len(headings), height * rows)
    axes = figure.subplots(rows, len(headings), squeeze=False)
    for ax, heading in zip(axes[0], headings, strict=True):
        ax.set_title(heading, fontsize=12)
    return axes


def draw_scale_bar(ax: Axes, shape: Sequence[int], pixel_size: float) -> None:
    """Draw a bar of a round length, up to 0.3 of the width, at the lower left of the plane of an image."""
    height, width = shape[-2:]
    fitting = [length for length in SCALE_BARS if length <= 0.3 * width * pixel_size]
    length = fitting[-1] if fitting else SCALE_BARS[0]
    left, right, y = 0.05 * width, 0.05 * width + length / pixel_size, 0.95 * height
    ax.plot([left, right], [y, y], color="white", linewidth=3, solid_capstyle="butt")
    text = ax.annotate(
        f"{length} µm", ((left + right) / 2, y), (0, 5), textcoords="offset points", color="white", ha="center"
    )
    text.set_path_effects([withStroke(linewidth=3, foreground="black")])


def draw_legend(figure: Figure, colours: Mapping[str, str]) -> None:
    """Draw a legend below the panels: the colour of each line by its name."""
    drawn = [Line2D([], [], color=colour, linewidth=2, label=name) for name, colour in colours.items()]
    figure.legend(handles=drawn, loc="outside lower center", ncols=len(drawn), frameon=False, fontsize=11)


def write_plain_ticks(axis: Axis) -> None:
    """Write the numbers of a log axis as decimals, such as 0.02, instead of powers of ten."""
    for set_formatter in (axis.set_major_formatter, axis.set_minor_formatter):
        set_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "125" else "")
