"""Image files as they come: which files, their axes and voxel size, and their frames one by one."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
import tifffile

from ..errors import InputError
from ..io.atomic import PathLike, read_json
from ..io.tiff import name_axes, open_series

# what the stored axes of a file mean if the user does not state them; Q is an axis of unknown meaning
AXES_BY_METADATA = {
    2: {"YX": "YX", "TYX": "TYX", "QYX": "TYX"},
    3: {"ZYX": "ZYX", "QYX": "ZYX", "TZYX": "TZYX", "TQYX": "TZYX"},
}
AXES_BY_DIMENSIONS = {2: ("YX", "TYX"), 3: ("ZYX", "TZYX")}
MICROMETRES = {
    **dict.fromkeys(("µm", "μm", "um", "micron", "microns", "micrometer", "micrometre", r"\u00B5m"), 1.0),
    **{"pm": 1e-6, "Å": 1e-4, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6, "inch": 25400.0, "in": 25400.0},
}


VOXEL_TOLERANCE = 0.01  # relative difference up to which two voxel sizes count as equal


class RawImages(NamedTuple):
    """Image files, their labels, and what is known of both."""

    images: Sequence[PathLike]
    """TIFF files of one or several frames."""
    axes: str
    """auto, YX, TYX, ZYX or TZYX; see `resolve_axes`."""
    voxel_size: Sequence[float] | None
    """Micrometres along each axis of a frame; None takes it from the files."""
    labels: Sequence[PathLike | None] | None = None
    """Label file of each image file, or None; None if no file has labels."""
    planes: Sequence[Mapping[PathLike, int]] | None = None
    """For each image file, which then holds one stack: label files of single planes and their positions along Z."""
    background_label: int = 0
    """Label that means background, beside 0."""
    groups: Sequence[str] | None = None
    """What shares a movie or specimen with each image file; None takes every file by itself."""
    labels_are: str | None = None
    """What a user's labels hold: instances or binary; None for those of a public data set, which are not checked."""


class Stack(NamedTuple):
    """A file of one or several frames, not yet read."""

    path: Path
    shape: tuple[int, ...]
    axes: str
    """YX, TYX, ZYX or TZYX: a leading T counts frames."""
    dtype: np.dtype
    voxel_size: tuple[float, ...] | None
    """Micrometres along each axis of a frame; None if the file does not say."""

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return self.shape[0] if self.axes[0] == "T" else 1

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Shape of each frame: (Z, Y, X) or (Y, X)."""
        return self.shape[-len(self.axes.lstrip("T")) :]


def read_dataset(path: PathLike) -> RawImages:
    """Read the description of a fetched data set.

    Parameters
    ----------
    path : path
        dataset.json with images, labels and planes as paths relative to it, axes, voxel_size, background_label and
        groups.

    Returns
    -------
    RawImages
        With paths that start at the folder of the data set.
    """
    folder, dataset = Path(path).parent, read_json(path)
    labels, planes = dataset.get("labels"), dataset.get("planes")
    return RawImages(
        images=[folder / image for image in dataset["images"]],
        axes=dataset.get("axes") or "auto",
        voxel_size=dataset.get("voxel_size"),
        labels=labels and [folder / label if label else None for label in labels],
        planes=planes and [{folder / label: plane for label, plane in image.items()} for image in planes],
        background_label=dataset.get("background_label") or 0,
        groups=dataset.get("groups"),
    )


def describe_stack(path: PathLike, dimensions: int, axes: str) -> Stack:
    """Find out what a TIFF holds without reading its pixels.

    Parameters
    ----------
    path : path
        TIFF, BigTIFF, OME-TIFF or ImageJ hyperstack.
    dimensions : int
        2 or 3.
    axes : str
        auto, YX, TYX, ZYX or TZYX; auto takes them from the file's metadata.

    Raises
    ------
    InputError
        If the file is unreadable or its axes are not those of 2D or 3D images, as `dimensions` says.
    """
    with open_series(path) as series:
        shape, stored = _count_axes(series, axes)
        resolved = resolve_axes(shape, stored, dimensions, axes, name=str(path))
        sizes, spatial = _read_voxel_sizes(series), name_axes(dimensions)
        voxel_size = tuple(sizes[axis] for axis in spatial) if sizes.keys() >= set(spatial) else None
        stack = Stack(Path(path), shape, resolved, series.dtype, voxel_size)
    if dimensions == 3 and stack.frame_shape[0] == 1:
        raise InputError(f"{path}: has stacks of a single slice; set dimensions: 2")
    return stack


def describe_labels(path: PathLike, image: Stack) -> Stack:
    """Check that a TIFF can hold the labels of `image`, frame by frame, without reading its pixels.

    Raises
    ------
    InputError
        If it is unreadable, of another shape than the image, or not of integers.
    """
    with open_series(path) as series:
        shape, dtype = series.shape, series.dtype
    if [size for size in shape if size > 1] != [size for size in image.shape if size > 1]:
        raise InputError(f"{path}: labels of shape {shape} for {image.path} of shape {image.shape}")
    if dtype.kind not in "iufb":
        raise InputError(f"{path}: labels of type {dtype}; one integer per cell is needed")
    return image._replace(path=Path(path), dtype=dtype)


def read_frames(stack: Stack, frames: Iterable[int]) -> Iterator[np.ndarray]:
    """Yield the given frames, arrays (Z, Y, X) or (Y, X) in native byte order.

    No more of the file is in memory than needed.

    Raises
    ------
    InputError
        If the pixels cannot be read.
    """
    with open_series(stack.path) as series:
        read_frame = _make_frame_reader(series, stack)
        for frame in frames:
            image = read_frame(frame).reshape(stack.frame_shape)
            yield np.array(image, dtype=image.dtype.newbyteorder("="))


def _make_frame_reader(series: tifffile.TiffPageSeries, stack: Stack) -> Callable[[int], np.ndarray]:
    """Make a function that reads one frame: by pages, from the mapped file, or from the whole file in memory."""
    frame_shape, planes = stack.frame_shape, prod(stack.frame_shape[:-2])
    if series.dataoffset is None and len(series) == stack.n_frames * planes:
        return lambda frame: series.asarray(key=slice(frame * planes, (frame + 1) * planes))
    mappable = series.dataoffset is not None and series.keyframe.is_memmappable
    stored = series.asarray(out="memmap" if mappable else None).reshape(stack.n_frames, *frame_shape)
    return lambda frame: stored[frame]


def resolve_axes(shape: Sequence[int], stored: str, dimensions: int, axes: str, *, name: str) -> str:
    """Find the meaning of each axis of an array: YX, TYX, ZYX or TZYX.

    Parameters
    ----------
    shape : sequence of int
        Shape of the array.
    stored : str
        Its axes in the file's metadata, as tifffile names them: Q and I are unknown, S and C colour.
    dimensions : int
        2 or 3.
    axes : str
        auto, or the axes that the user states; a file of one frame may lack the leading T.
    name : str
        The file, for the error.

    Raises
    ------
    InputError
        If the array holds no images of that many dimensions, or its axes are ambiguous.
    """
    if axes == "auto":
        resolved = AXES_BY_METADATA[dimensions].get(stored.replace("I", "Q"))
    else:
        resolved = _apply_stated_axes(stored, dimensions, axes)
    if resolved is None:
        expected = "2D image" if dimensions == 2 else "3D stack"
        stated = "" if axes == "auto" else f" with axes: {axes}"
        advice = _advise(stored, dimensions, axes)
        raise InputError(
            f"{name}: has shape {tuple(shape)} (axes {stored}) where a {expected}{stated} is expected; {advice}"
        )
    return resolved


def _count_axes(series: tifffile.TiffPageSeries, axes: str) -> tuple[tuple[int, ...], str]:
    """Find shape and axes of a series; axes of length one count only if the user's axes count them too.

    Some programs keep such axes and some drop them.
    """
    if axes != "auto" and len(series.shape) == len(axes):
        return series.shape, series.axes
    kept = [(size, axis) for size, axis in zip(series.shape, series.axes, strict=True) if size > 1 or axis in "YX"]
    return tuple(size for size, _ in kept), "".join(axis for _, axis in kept)


def _apply_stated_axes(stored: str, dimensions: int, axes: str) -> str | None:
    """Return the user's axes if an array with the stored axes can have them, else None."""
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


def _advise(stored: str, dimensions: int, axes: str) -> str:
    """Say what the user can do about axes that do not fit."""
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


def _read_voxel_sizes(series: tifffile.TiffPageSeries) -> dict[str, float]:
    """Read micrometres by axis, for the axes that the file's metadata describe."""
    tiff, page = series.parent, series.keyframe
    if tiff is None:
        return {}
    if tiff.is_ome:
        return _parse_ome_voxel_sizes(tiff.ome_metadata or "")
    if tiff.is_imagej:
        metadata = tiff.imagej_metadata or {}
        sizes = _read_pixel_sizes(page, MICROMETRES.get(metadata.get("unit", "")))
        if sizes and metadata.get("spacing"):
            sizes["Z"] = abs(metadata["spacing"]) * MICROMETRES[metadata["unit"]]
        return sizes
    # many programs write some number of dots per inch that nobody has measured
    is_metric = page.resolutionunit == tifffile.RESUNIT.CENTIMETER
    return _read_pixel_sizes(page, MICROMETRES["cm"] if is_metric else None)


def _parse_ome_voxel_sizes(xml: str) -> dict[str, float]:
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


def _read_pixel_sizes(page: tifffile.TiffPage, unit: float | None) -> dict[str, float]:
    """Read sizes along Y and X from the resolution tags: pixels per unit, which is `unit` micrometres long."""
    tags = {axis: page.tags.get(f"{axis}Resolution") for axis in "YX"}
    ratios = {axis: tag.value for axis, tag in tags.items() if tag is not None and all(tag.value)}
    if unit is None or len(ratios) < len(tags):
        return {}
    return {axis: unit * ratio[1] / ratio[0] for axis, ratio in ratios.items()}
