"""Image files as they come: which files, their axes and voxel size, and their frames one by one."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tifffile

from ..errors import InputError
from ..io.atomic import PathLike, read_json
from ..io.tiff import name_axes, open_images
from ..io.tiff_pages import TiffImages
from .file_scale import read_scale

# what the stored axes of a file mean if the user does not state them; Q is an axis of unknown meaning
AXES_BY_METADATA = {
    2: {"YX": "YX", "TYX": "TYX", "QYX": "TYX"},
    3: {"ZYX": "ZYX", "QYX": "ZYX", "TZYX": "TZYX", "TQYX": "TZYX"},
}
AXES_BY_DIMENSIONS = {2: ("YX", "TYX"), 3: ("ZYX", "TZYX")}
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
    stated_scale: str = ""
    """What the file says of its scale, in its own words; empty if it says nothing."""
    inverted_range: tuple[int, int] | None = None
    """Range of the values if TIFF says that the smallest is white (WhiteIsZero); None if it is black, as usual."""
    n_smaller: int = 0
    """How many thumbnails and levels of pyramids are left out."""
    damage: str = ""
    """Why the file cannot be read; empty if it can. Its other fields then mean nothing."""

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
        TIFF, BigTIFF, OME-TIFF or ImageJ hyperstack. Several series of the same shape and type are frames in their
        order; thumbnails and levels of pyramids are left out.
    dimensions : int
        2 or 3.
    axes : str
        auto, YX, TYX, ZYX or TZYX; auto takes them from the file's metadata.

    Raises
    ------
    InputError
        If the file is unreadable, holds images of several shapes or types, or its axes are not those of 2D or 3D
        images, as `dimensions` says.
    """
    with open_images(path) as images:
        shape, resolved = _find_frames(images, dimensions, axes, path)
        scale, spatial = read_scale(images.series[0]), name_axes(dimensions)
        voxel_size = tuple(scale.sizes[axis] for axis in spatial) if scale.sizes.keys() >= set(spatial) else None
        stack = Stack(
            path=Path(path),
            shape=shape,
            axes=resolved,
            dtype=images.series[0].dtype,
            voxel_size=voxel_size,
            stated_scale=scale.stated,
            inverted_range=_find_inverted_range(images.series[0].keyframe, path),
            n_smaller=images.n_smaller,
        )
    if dimensions == 3 and stack.frame_shape[0] == 1:
        raise InputError(f"{path}: has stacks of a single slice; set dimensions: 2")
    return stack


def _find_frames(images: TiffImages, dimensions: int, axes: str, path: PathLike) -> tuple[tuple[int, ...], str]:
    """Find shape and axes of all frames of a file; if it has several series, each is one or several frames.

    Series of single planes are slices if the user says so.
    """
    shape, stored = _count_axes(images.series[0], axes)
    count = len(images.series)
    if count > 1 and dimensions == 3 and len(shape) == 2:
        shape, stored, count = (count, *shape), "T" + stored, 1
    resolved = resolve_axes(shape, stored, dimensions, axes, name=str(path))
    if count == 1:
        return shape, resolved
    spatial = resolved.lstrip("T")
    n_frames = count * prod(shape[: -len(spatial)])
    return (n_frames, *shape[-len(spatial) :]), "T" + spatial


def _find_inverted_range(page: tifffile.TiffPage, path: PathLike) -> tuple[int, int] | None:
    """Find the range of the values if the smallest is white: that of their type, or of their bits."""
    if page.photometric != tifffile.PHOTOMETRIC.MINISWHITE or page.dtype is None:
        return None
    if page.dtype.kind == "i":
        limits = np.iinfo(page.dtype)
        return int(limits.min), int(limits.max)
    if page.dtype.kind != "u":
        raise InputError(
            f"{path}: is WhiteIsZero with values of type {page.dtype}, of which nobody knows the black one; save it as"
            " BlackIsZero"
        )
    return 0, 2 ** int(page.bitspersample) - 1


def describe_labels(path: PathLike, image: Stack) -> Stack:
    """Check that a TIFF can hold the labels of `image`, frame by frame, without reading its pixels.

    Raises
    ------
    InputError
        If it is unreadable, of another shape or number of frames than the image, or not of integers.
    """
    with open_images(path) as images:
        shape, dtype = images.shape, images.series[0].dtype
    if _drop_ones(shape) != _drop_ones(image.shape):
        raise InputError(f"{path}: labels of shape {shape} for {image.path} of shape {image.shape}")
    if dtype.kind not in "iufb":
        raise InputError(f"{path}: labels of type {dtype}; one integer per cell is needed")
    return image._replace(path=Path(path), dtype=dtype, inverted_range=None)


def _drop_ones(shape: Sequence[int]) -> list[int]:
    return [size for size in shape if size > 1]


def read_frames(stack: Stack, frames: Iterable[int]) -> Iterator[np.ndarray]:
    """Yield the given frames, arrays (Z, Y, X) or (Y, X) in native byte order, as stored.

    No more of the file is in memory than needed.

    Raises
    ------
    InputError
        If the pixels cannot be read.
    """
    with open_images(stack.path) as images:
        read_planes = [_make_plane_reader(series) for series in images.series]
        per_frame = prod(stack.frame_shape[:-2])
        per_series = stack.n_frames * per_frame // len(read_planes)
        for frame in frames:
            first, missing, parts = frame * per_frame, per_frame, []
            while missing:
                number, start = divmod(first, per_series)
                taken = min(missing, per_series - start)
                parts.append(read_planes[number](start, start + taken).reshape(taken, *stack.frame_shape[-2:]))
                first, missing = first + taken, missing - taken
            image = (parts[0] if len(parts) == 1 else np.concatenate(parts)).reshape(stack.frame_shape)
            yield np.array(image, dtype=image.dtype.newbyteorder("="))


def _make_plane_reader(series: tifffile.TiffPageSeries) -> Callable[[int, int], np.ndarray]:
    """Make a function that reads a range of planes: by pages, from the mapped file, or from the whole in memory."""
    planes = prod(series.get_shape(False)) // prod(series.keyframe.shape[-2:])
    if series.dataoffset is None and len(series) == planes:
        return lambda first, end: series.asarray(key=slice(first, end))
    mappable = series.dataoffset is not None and series.keyframe.is_memmappable
    stored = series.asarray(out="memmap" if mappable else None)
    stored = stored.reshape(planes, *series.keyframe.shape[-2:])
    return lambda first, end: stored[first:end]


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
