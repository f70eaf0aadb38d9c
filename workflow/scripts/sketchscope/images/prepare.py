"""The user's images as one OME-TIFF per frame: checked, divided into training and test part, with their labels."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from ..io.atomic import PathLike, atomic_folder
from ..io.images import write_image
from ..io.tiff import name_axes, read_tiff
from ..labels import Pieces, check_instances, count_pieces, integer_labels, separate_cells
from .groups import Groups, group_files
from .intensity import find_limits, invert
from .manifest import ManifestRow, name_plane_file, write_manifest
from .raw_files import RawImages, Stack, describe_labels, describe_stack, read_frames
from .scale_checks import choose_voxel_size
from .split import split_images

IMAGE_TYPES = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64")


class Preparation(NamedTuple):
    """How images are prepared."""

    train_images: str | None
    """Ordinals of the images to train on; see `split.split_images`."""
    test_images: str | None
    """Ordinals of the images to score on."""
    percentiles: tuple[float, float]
    """Percentiles of each image that become -1 and 1."""
    gamma: float
    """Exponent of the normalised intensities, recorded for `intensity.normalise`."""
    min_shape: Sequence[int] | None
    """Least size of a frame along each axis; None allows any size."""
    cell_diameter: float | None = None
    """Micrometres, with which a scale that files state must fit; None takes any scale."""
    groups: Groups = None
    """What shares a movie or specimen; None takes the groups of a fetched data set, or every file by itself."""


class Target(NamedTuple):
    """Where prepared images are written."""

    images: PathLike
    """Folder of one OME-TIFF per frame."""
    labels: PathLike
    """Folder of the labels of test images, under the names of the images."""
    manifest: PathLike
    """Table of all images, written last."""


class _Source(NamedTuple):
    """One of the user's files, with its labels if there are any."""

    image: Stack
    labels: Stack | None
    names: tuple[str, ...]
    """Names of its frames among all images."""
    planes: Mapping[PathLike, int]
    """Label files of single planes, and their positions along Z."""
    group: str
    """What it shares a specimen or movie with."""

    def describe_frame(self, frame: int) -> str:
        """Name file and frame for a message."""
        where = f", frame {frame}" if self.image.n_frames > 1 else ""
        return f"{self.image.path}{where}"


def prepare_images(raw: RawImages, target: Target, dimensions: int, preparation: Preparation) -> list[ManifestRow]:
    """Check images, divide them into frames and into training and test part, and write them.

    The headers of all files are checked before anything is written. If any file turns out to be bad later, nothing is
    left under the final names. If the file format allows it, only one frame at a time is in memory.

    Parameters
    ----------
    raw : RawImages
        TIFF files of one or several frames, and their labels. Frames are counted over all files, in order.
    target : Target
        Folders and table to write.
    dimensions : int
        2 or 3.
    preparation : Preparation
        Division, normalisation and least size.

    Returns
    -------
    list of ManifestRow
        The rows of the manifest.

    Raises
    ------
    InputError
        If a file or a setting is bad.
    """
    if not raw.images:
        raise InputError("images: no file was found")
    stacks = [_describe(path, dimensions, raw.axes, preparation) for path in raw.images]
    readable = [stack for stack in stacks if not stack.damage]
    for stack in readable:
        _check_stack(stack, preparation.min_shape)
    voxel_size = choose_voxel_size(readable, raw.voxel_size, dimensions, preparation.cell_diameter)
    sources = _pair_with_labels(stacks, raw, preparation.groups)
    names = [name for source in sources for name in source.names]
    groups = [source.group for source in sources for _ in source.names]
    splits = split_images(groups, preparation.train_images, preparation.test_images)
    used = {name: split for name, split in zip(names, splits, strict=True) if split}
    _check_left_out(sources, used)

    rows: list[ManifestRow] = []
    pieces: dict[str, Pieces] = {}
    with atomic_folder(target.images) as image_folder, atomic_folder(target.labels) as label_folder:
        for source in sources:
            prepared = _write_images(source, used, image_folder, voxel_size, preparation)
            pieces |= _write_labels(source, prepared, label_folder, raw)
            _write_planes(source, prepared, label_folder)
            rows += prepared
            print(_report(source, len(prepared)), flush=True)
        _check_types(rows)
        if raw.labels_are:
            _check_pieces(pieces)
    write_manifest(target.manifest, rows)
    return rows


def _describe(path: PathLike, dimensions: int, axes: str, preparation: Preparation) -> Stack:
    """Find out what a file holds; a damaged one is described as such if it may be one that is left out."""
    try:
        return describe_stack(path, dimensions, axes)
    except InputError as error:
        if preparation.train_images is None or preparation.test_images is None:
            raise
        return Stack(Path(path), (1,) * dimensions, name_axes(dimensions), np.dtype(bool), None, damage=str(error))


def _check_left_out(sources: Sequence[_Source], used: Mapping[str, str]) -> None:
    """Refuse a damaged file, unless it is left out and the positions of those that are used are certain.

    A damaged file counts as one image. That is safe if all others hold one, or if no image behind it is used.
    """
    are_single = all(source.image.n_frames == 1 for source in sources)
    for number, source in enumerate(sources):
        if not source.image.damage:
            continue
        if any(name in used for name in source.names):
            raise InputError(source.image.damage)
        behind = {name for later in sources[number + 1 :] for name in later.names}
        if not are_single and not behind.isdisjoint(used):
            raise InputError(
                f"{source.image.damage}; it is left out, but nobody knows how many frames it has and so which images"
                " train_images and test_images mean; remove it from images"
            )


def _report(source: _Source, n_used: int) -> str:
    """Say for the log what was read of a file, and what was not."""
    stack = source.image
    if stack.damage:
        return f"warning: left out, counted as one image: {stack.damage}"
    parts = [f"{stack.path}: {n_used} of {stack.n_frames} frames"]
    if stack.n_smaller:
        parts.append(f"{stack.n_smaller} thumbnails or levels of pyramids are left out")
    if stack.inverted_range is not None:
        parts.append("inverted, since it is WhiteIsZero")
    if source.labels:
        parts.append(f"labels: {source.labels.path}")
    return "; ".join(parts)


def _check_types(rows: Sequence[ManifestRow]) -> None:
    """Refuse images of integers beside images of shares from 0 to 1: nobody knows what the one is in the other."""
    integers = [row for row in rows if np.dtype(row.dtype).kind in "iu"]
    shares = [row for row in rows if np.dtype(row.dtype).kind == "f" and row.low >= 0 and row.high <= 1]
    if integers and shares:
        raise InputError(
            f"{shares[0].source}: has values of type {shares[0].dtype} from {shares[0].low:g} to {shares[0].high:g},"
            f" but {integers[0].source} of type {integers[0].dtype} from {integers[0].low:g} to"
            f" {integers[0].high:g}; give images of one scale of intensities"
        )


def _check_stack(stack: Stack, min_shape: Sequence[int] | None) -> None:
    """Refuse what can be seen without the pixels."""
    if stack.dtype.name not in IMAGE_TYPES:
        allowed = ", ".join(IMAGE_TYPES)
        raise InputError(f"{stack.path}: has values of type {stack.dtype.name}; allowed are {allowed}")
    if min_shape is None:
        return
    if len(min_shape) != len(stack.frame_shape):
        raise InputError(f"patch_shape: {list(min_shape)} for images of {len(stack.frame_shape)} dimensions")
    if any(size < least for size, least in zip(stack.frame_shape, min_shape, strict=True)):
        raise InputError(
            f"{stack.path}: has images of shape {stack.frame_shape},"
            f" smaller than the patch {tuple(min_shape)} that the network learns from"
        )


def _pair_with_labels(stacks: Sequence[Stack], raw: RawImages, groups: Groups) -> list[_Source]:
    """Pair image files with their labels and their groups, and give each frame its name."""
    labels = [None] * len(stacks) if raw.labels is None else raw.labels
    planes = raw.planes or [{}] * len(stacks)
    if len(labels) != len(stacks):
        raise InputError(
            f"labels: {len(labels)} files were found for {len(stacks)} image files, one for each is needed"
        )
    shared = group_files([stack.path for stack in stacks], raw.groups if groups is None else groups)
    total = sum(stack.n_frames for stack in stacks)
    width = max(4, len(str(total - 1)))
    sources: list[_Source] = []
    first = 0
    for stack, path, single, group in zip(stacks, labels, planes, shared, strict=True):
        names = tuple(f"{ordinal:0{width}d}" for ordinal in range(first, first + stack.n_frames))
        described = None if path is None or stack.damage else describe_labels(path, stack)
        sources.append(_Source(stack, described, names, single, group))
        first += stack.n_frames
    return sources


def _write_images(
    source: _Source, splits: Mapping[str, str], folder: Path, voxel_size: tuple[float, ...], preparation: Preparation
) -> list[ManifestRow]:
    """Write those frames of a file that are in `splits`, and describe them."""
    frames = [frame for frame, name in enumerate(source.names) if name in splits]
    rows: list[ManifestRow] = []
    if not frames:
        return rows
    for frame, image in zip(frames, read_frames(source.image, frames), strict=True):
        if source.image.inverted_range is not None:
            image = invert(image, source.image.inverted_range)
        low, high = find_limits(image, preparation.percentiles, source.describe_frame(frame))
        name = source.names[frame]
        write_image(folder / f"{name}.ome.tif", image, voxel_size, compress=False)  # so that training can map it
        rows.append(
            ManifestRow(
                image=name,
                split=splits[name],
                source=str(source.image.path),
                frame=frame,
                shape=image.shape,
                dtype=image.dtype.name,
                voxel_size=voxel_size,
                low=low,
                high=high,
                gamma=preparation.gamma,
                labelled=source.labels is not None and splits[name] != "train",
                group=source.group,
                label_file=str(source.labels.path) if source.labels else "",
            )
        )
    return rows


def _write_labels(source: _Source, rows: Iterable[ManifestRow], folder: Path, raw: RawImages) -> dict[str, Pieces]:
    """Write the labels of those frames of a file that have them; the background becomes 0.

    Returns
    -------
    dict
        The pieces in the labels of each frame, where these are to be checked.
    """
    rows = [row for row in rows if row.labelled]
    found: dict[str, Pieces] = {}
    if source.labels is None or not rows:
        return found
    wanted = [row.frame for row in rows]
    images = read_frames(source.image, wanted)  # only where labels are checked
    for row, stored in zip(rows, read_frames(source.labels, wanted), strict=True):
        name = f"{source.labels.path}, labels of {source.describe_frame(row.frame)}"
        labels = integer_labels(stored, name, raw.background_label)
        if raw.labels_are:
            if np.array_equal(stored, next(images)):
                image = source.describe_frame(row.frame)
                raise InputError(f"{source.labels.path}: holds the image {image} itself, not its labels")
            labels = separate_cells(labels, name) if raw.labels_are == "binary" else labels
            found[name] = count_pieces(labels)
        write_image(folder / f"{row.image}.ome.tif", labels, row.voxel_size)
    return found


def _check_pieces(pieces: Mapping[str, Pieces]) -> None:
    """Refuse labels without any cell, and those that do not number the cells."""
    if pieces and not any(found.labels for found in pieces.values()):
        first = next(iter(pieces))
        raise InputError(f"{first}: no cell, and none in any of {len(pieces)} label images of test images; all are 0")
    check_instances(pieces)


def _write_planes(source: _Source, rows: Iterable[ManifestRow], folder: Path) -> None:
    """Write the labels of single planes of those stacks that are test images."""
    for row in (row for row in rows if row.split != "train"):
        for path, plane in source.planes.items():
            labels = np.squeeze(read_tiff(path)[0])
            if labels.shape != row.shape[1:] or not plane < row.shape[0]:
                raise InputError(
                    f"{path}: labels of shape {labels.shape} for plane {plane}, from 0, of {source.image.path}"
                    f" of shape {row.shape}"
                )
            write_image(
                folder / name_plane_file(row.image, plane), integer_labels(labels, str(path)), row.voxel_size[1:]
            )
