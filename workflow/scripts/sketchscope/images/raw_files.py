"""The user's image files: which axes they have, how large a voxel is, and their frames one by one."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import prod
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
import tifffile

from ..errors import InputError
from ..io.atomic import PathLike
from ..io.tiff import open_series, spatial_axes

# What the axes of a file mean where the user does not say it; Q stands for an axis of unknown meaning.
AXES_BY_METADATA = {
    2: {"YX": "YX", "TYX": "TYX", "QYX": "TYX"},
    3: {"ZYX": "ZYX", "QYX": "ZYX", "TZYX": "TZYX", "TQYX": "TZYX"},
}
AXES_BY_DIMENSIONS = {2: ("YX", "TYX"), 3: ("ZYX", "TZYX")}
MICROMETRES = {
    **dict.fromkeys(("µm", "μm", "um", "micron", "microns", "micrometer", "micrometre", r"\u00B5m"), 1.0),
    **{"pm": 1e-6, "Å": 1e-4, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6, "inch": 25400.0, "in": 25400.0},
}


class Stack(NamedTuple):
    """A file of one or several frames, not yet read."""

    path: Path
    shape: tuple[int, ...]
    axes: str
    """YX, TYX, ZYX or TZYX: a leading T counts frames."""
    dtype: np.dtype
    voxel_size: tuple[float, ...] | None
    """Micrometres along each axis of a frame; None where the file does not tell."""

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return self.shape[0] if self.axes[0] == "T" else 1

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Shape of each frame: (Z, Y, X) or (Y, X)."""
        return self.shape[-len(self.axes.lstrip("T")) :]


def describe_stack(path: PathLike, dimensions: int, axes: str = "auto") -> Stack:
    """Find out what a TIFF holds without reading its pixels.

    Parameters
    ----------
    path : path
        TIFF, BigTIFF, OME-TIFF or ImageJ hyperstack.
    dimensions : int
        2 or 3.
    axes : str
        auto, YX, TYX, ZYX or TZYX; auto goes by the file's metadata.

    Raises
    ------
    InputError
        If the file is unreadable or its axes are not those of 2D or 3D images, as `dimensions` says.
    """
    with open_series(path) as series:
        shape, stored = _counted_axes(series, axes)
        resolved = resolve_axes(shape, stored, dimensions, axes, name=str(path))
        sizes = _voxel_sizes(series)
        spatial = [sizes.get(axis) for axis in spatial_axes(dimensions)]
        voxel_size = None if None in spatial else tuple(spatial)
        stack = Stack(Path(path), shape, resolved, series.dtype, voxel_size)
    if dimensions == 3 and stack.frame_shape[0] == 1:
        raise InputError(f"{path}: has stacks of a single slice; set dimensions: 2")
    return stack


def describe_labels(path: PathLike, image: Stack) -> Stack:
    """Find out whether a TIFF can be the labels of `image`, frame by frame.

    Raises
    ------
    InputError
        If it is unreadable, of another shape than the image, or not of integers.
    """
    with open_series(path) as series:
        shape, dtype = series.shape, series.dtype
    if [size for size in shape if size > 1] != [size for size in image.shape if size > 1]:
        raise InputError(f"{path}: labels of shape {shape} for {image.path} of shape {image.shape}")
    if dtype.kind not in "iuf":
        raise InputError(f"{path}: labels of type {dtype}; one integer a cell is needed")
    return image._replace(path=Path(path), dtype=dtype)


def read_frames(stack: Stack, frames: Iterable[int]) -> Iterator[np.ndarray]:
    """Yield the given frames, arrays (Z, Y, X) or (Y, X), with no more of the file in memory than needed.

    Raises
    ------
    InputError
        If the pixels cannot be read.
    """
    with open_series(stack.path) as series:
        frame_of = _frame_reader(series, stack)
        for frame in frames:
            image = frame_of(frame).reshape(stack.frame_shape)
            yield np.array(image, dtype=image.dtype.newbyteorder("="))


def _frame_reader(series: tifffile.TiffPageSeries, stack: Stack) -> Callable[[int], np.ndarray]:
    """Function that reads one frame: from mapped memory, by pages, or out of the whole file."""
    frame_shape, planes = stack.frame_shape, prod(stack.frame_shape[:-2])
    if series.dataoffset is None and len(series) == stack.n_frames * planes:
        return lambda frame: series.asarray(key=slice(frame * planes, (frame + 1) * planes))
    mappable = series.dataoffset is not None and series.keyframe.is_memmappable
    stored = series.asarray(out="memmap" if mappable else None).reshape(stack.n_frames, *frame_shape)
    return lambda frame: stored[frame]


def resolve_axes(shape: Sequence[int], stored: str, dimensions: int, axes: str = "auto", *, name: str) -> str:
    """Say what each axis of an array is: YX, TYX, ZYX or TZYX.

    Parameters
    ----------
    shape : sequence of int
        Shape of the array.
    stored : str
        Its axes by the file's metadata, as tifffile names them: Q and I are unknown, S and C colour.
    dimensions : int
        2 or 3.
    axes : str
        auto, or the axes as the user knows them; a T in front may be missing in a file of one frame.
    name : str
        The file, for the error.

    Raises
    ------
    InputError
        If the array holds no images of that many dimensions, or it is unclear how.
    """
    if axes == "auto":
        resolved = AXES_BY_METADATA[dimensions].get(stored.replace("I", "Q"))
    else:
        resolved = _stated_axes(stored, dimensions, axes)
    if resolved is None:
        due = "2D image" if dimensions == 2 else "3D stack"
        said = "" if axes == "auto" else f" with axes: {axes}"
        advice = _advice(stored, dimensions, axes)
        raise InputError(f"{name}: has shape {tuple(shape)} (axes {stored}) where a {due}{said} is due; {advice}")
    return resolved


def _counted_axes(series: tifffile.TiffPageSeries, axes: str) -> tuple[tuple[int, ...], str]:
    """Shape and axes of a series; axes of length one count only if the user's axes count them too.

    Some programs keep such axes and some drop them.
    """
    if axes != "auto" and len(series.shape) == len(axes):
        return series.shape, series.axes
    kept = [(size, axis) for size, axis in zip(series.shape, series.axes, strict=True) if size > 1 or axis in "YX"]
    return tuple(size for size, _ in kept), "".join(axis for _, axis in kept)


def _stated_axes(stored: str, dimensions: int, axes: str) -> str | None:
    """The user's axes if an array with the stored ones can have them."""
    allowed = AXES_BY_DIMENSIONS[dimensions]
    if axes not in allowed:
        raise InputError(f"axes: {axes} with dimensions: {dimensions}; allowed are auto, {' and '.join(allowed)}")
    transposed = axes != stored and sorted(axes) == sorted(stored)
    if not stored.endswith("YX") or transposed:
        return None
    if len(stored) == len(axes):
        return axes
    is_one_frame = stored[0] != "T" and len(stored) == len(axes.lstrip("T"))
    return axes.lstrip("T") if is_one_frame else None


def _advice(stored: str, dimensions: int, axes: str) -> str:
    """What the user may do about axes that do not fit."""
    if axes != "auto":
        return "set axes to what the file holds, or save it with its axes in that order"
    if "S" in stored or "C" in stored:
        return "channels and colours are not read: save one channel alone, or set axes if this is mislabelled"
    advice = {
        (2, "ZYX"): "set axes: TYX to take its slices as images, or dimensions: 3",
        (3, "YX"): "give stacks, or set dimensions: 2",
        (3, "TYX"): "if it is one stack whose slices are labelled as times, set axes: ZYX",
    }.get((dimensions, stored))
    if advice:
        return advice
    return "set dimensions: 3 for stacks" if dimensions == 2 else "for a time lapse set axes: TZYX"


def _voxel_sizes(series: tifffile.TiffPageSeries) -> dict[str, float]:
    """Micrometres by axis, as far as the metadata of the file tell."""
    tiff, page = series.parent, series.keyframe
    if tiff.is_ome:
        return _ome_voxel_sizes(tiff.ome_metadata)
    if tiff.is_imagej:
        metadata = tiff.imagej_metadata or {}
        sizes = _pixel_sizes(page, MICROMETRES.get(metadata.get("unit", "")))
        if sizes and metadata.get("spacing"):
            sizes["Z"] = abs(metadata["spacing"]) * MICROMETRES[metadata["unit"]]
        return sizes
    # Dots an inch are a habit of image editors, not a measurement.
    is_metric = page.resolutionunit == tifffile.RESUNIT.CENTIMETER
    return _pixel_sizes(page, MICROMETRES["cm"] if is_metric else None)


def _ome_voxel_sizes(xml: str) -> dict[str, float]:
    try:
        pixels = ElementTree.fromstring(xml).find(".//{*}Pixels")
    except ElementTree.ParseError:
        return {}
    attributes = {} if pixels is None else pixels.attrib
    sizes = {}
    for axis in "ZYX":
        unit = MICROMETRES.get(attributes.get(f"PhysicalSize{axis}Unit", "µm"))
        size = float(attributes.get(f"PhysicalSize{axis}", 0))
        if unit and size > 0:
            sizes[axis] = size * unit
    return sizes


def _pixel_sizes(page: tifffile.TiffPage, unit: float | None) -> dict[str, float]:
    """Sizes along Y and X from the resolution tags, which count pixels in a `unit` of so many micrometres."""
    tags = {"Y": page.tags.get("YResolution"), "X": page.tags.get("XResolution")}
    if unit is None or not all(tag is not None and all(tag.value) for tag in tags.values()):
        return {}
    return {axis: unit * tag.value[1] / tag.value[0] for axis, tag in tags.items()}
