"""Label images: integers (Z, Y, X) or (Y, X) in which 0 is background and every other number one cell."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from skimage.measure import label as number_pieces
from skimage.measure import regionprops
from skimage.segmentation import relabel_sequential

from .errors import InputError
from .geometry import Slices, VoxelSize


def drop_labels(labels: np.ndarray, dropped: Sequence[int]) -> np.ndarray:
    """Make some cells background; the others keep their numbers.

    >>> drop_labels(np.array([0, 1, 2, 3]), [2])
    array([0, 1, 0, 3])
    """
    return np.where(np.isin(labels, dropped), 0, labels)


def cell_boxes(labels: np.ndarray) -> Iterator[tuple[int, Slices]]:
    """Yield label and bounding box of each cell, by label; 0 is background."""
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is not None:
            yield label, box


def outline_shape(mask: np.ndarray, pixel_size: VoxelSize) -> dict[str, float]:
    """Measure the equivalent diameter (micrometres) and the elongation (long over short axis) of a mask (Y, X)."""
    region = regionprops(mask.astype(np.uint8), spacing=tuple(pixel_size))[0]
    short = max(region.axis_minor_length, min(pixel_size))
    return {
        "equivalent_diameter": region.equivalent_diameter_area,
        "elongation": max(region.axis_major_length / short, 1.0),
    }


def largest_component(mask: np.ndarray) -> np.ndarray:
    """Find the largest face-connected component of a non-empty mask, bool array of its shape."""
    parts, count = ndimage.label(mask)
    if count < 2:
        return mask
    return parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])


def fill_holes(mask: np.ndarray) -> np.ndarray:
    """Fill holes plane by plane: a nucleolus that reaches the first or last plane is a hole as well."""
    if mask.ndim == 2:
        return ndimage.binary_fill_holes(mask)
    return np.stack([ndimage.binary_fill_holes(plane) for plane in mask])


def clean_labels(labels: np.ndarray, min_fraction: float) -> np.ndarray:
    """Make labels fit to be masks.

    Of each label the largest face-connected piece is kept; pieces below `min_fraction` of the median size are
    removed; holes in a slice are filled where no other cell lies in them; what is left is numbered 1, 2, ...

    Parameters
    ----------
    labels : int array (Z, Y, X) or (Y, X)
        0 is background.
    min_fraction : float
        Smallest cell as a fraction of the median size.

    Returns
    -------
    uint16 array, uint32 if it holds more cells than that can number
    """
    labels = relabel_sequential(labels)[0]
    pieces = np.zeros(labels.shape, label_type(labels.max(initial=0)))
    sizes = np.zeros(int(labels.max(initial=0)))
    for label, box in cell_boxes(labels):
        piece = largest_component(labels[box] == label)
        pieces[box][piece] = label
        sizes[label - 1] = piece.sum()
    for label, box in cell_boxes(pieces):
        cell = pieces[box] == label
        filled = cell | (fill_holes(cell) & (pieces[box] == 0))
        pieces[box][ndimage.binary_propagation(cell, mask=filled)] = label
    smallest = min_fraction * np.median(sizes[sizes > 0]) if sizes.any() else 0
    return keep_labels(pieces, (sizes > 0) & (sizes >= smallest))


def integer_labels(labels: np.ndarray, name: str, background_label: int = 0) -> np.ndarray:
    """Convert labels to uint16, or uint32 where they do not fit, with background 0.

    Parameters
    ----------
    labels : array of any shape
        Integers, perhaps stored as floats; 0 is background.
    name : str
        The file, for the error.
    background_label : int
        What is background beside 0.

    Raises
    ------
    InputError
        If a value is negative, fractional, or beyond 32 bits.
    """
    low, high = labels.min(), labels.max()
    if not (low >= 0 and high <= np.iinfo(np.uint32).max and np.all(labels == np.floor(labels))):
        raise InputError(f"{name}: values from {low} to {high}; whole numbers from 0, one per cell, are needed")
    labels = labels.astype(np.uint16 if high <= np.iinfo(np.uint16).max else np.uint32)
    labels[labels == background_label] = 0
    return labels


class Pieces(NamedTuple):
    """Into how many separate pieces the labels of an image fall; see `count_pieces`."""

    labels: int
    pieces: int
    split: int
    """Labels of several pieces."""


def count_pieces(labels: np.ndarray) -> Pieces:
    """Count labels, their connected pieces (diagonals connect), and the labels that lie in several pieces.

    >>> count_pieces(np.array([[1, 0, 1], [0, 0, 0], [2, 2, 0]]))
    Pieces(labels=2, pieces=3, split=1)
    """
    pieces, count = number_pieces(labels, return_num=True, connectivity=labels.ndim)
    first = np.unique(pieces, return_index=True)[1][int((pieces == 0).any()) :]
    parts = np.unique(labels.ravel()[first], return_counts=True)[1]
    return Pieces(len(parts), int(count), int((parts > 1).sum()))


def check_instances(found: Mapping[str, Pieces]) -> None:
    """Check that label images hold one number for each cell, not one for a kind of pixel.

    Parameters
    ----------
    found : mapping
        The pieces in each label image, by its name.

    Raises
    ------
    InputError
        If most numbers lie in several separate pieces, as those of binary masks or of grey values do.
    """
    total = Pieces(*(sum(counts) for counts in zip(*found.values(), strict=True))) if found else Pieces(0, 0, 0)
    if total.labels and total.pieces >= 2 * total.labels and 2 * total.split >= total.labels:
        name, most = max(found.items(), key=lambda item: item[1].pieces)
        numbers = "one number" if most.labels == 1 else f"{most.labels} different numbers"
        raise InputError(
            f"{name}: holds {most.pieces} separate pieces with {numbers}; one number for each cell is"
            " needed, or labels_are: binary for masks that tell only cells from background"
        )


def separate_cells(mask: np.ndarray, name: str) -> np.ndarray:
    """Number the face-connected pieces of a binary mask 1, 2, ...

    Parameters
    ----------
    mask : int array (Z, Y, X) or (Y, X)
        0 is background; every other voxel has one and the same value.
    name : str
        The file, for the error.

    Returns
    -------
    uint16 array, uint32 if it holds more pieces than that can number

    Raises
    ------
    InputError
        If it holds other values.
    """
    values = np.unique(mask[mask > 0])
    if len(values) > 1:
        raise InputError(
            f"{name}: holds {len(values)} different numbers beside 0; with labels_are: binary one is allowed"
        )
    pieces, count = ndimage.label(mask)
    return pieces.astype(label_type(count))


def label_type(count: int) -> np.dtype:
    """Choose unsigned integers that hold `count` labels: uint16 as a rule, wider ones where they overflow."""
    return np.promote_types(np.uint16, np.min_scalar_type(count))


def keep_labels(labels: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Number those cells that are kept 1, 2, ... in their order; the rest becomes background.

    Parameters
    ----------
    labels : int array
        0 is background.
    kept : bool array (at least labels.max(),)
        Of labels 1, 2, ...
    """
    kept = np.concatenate([[False], kept])
    number = np.where(kept, np.cumsum(kept), 0).astype(label_type(kept.sum()))
    return number[labels]
