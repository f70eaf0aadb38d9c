"""The user's images as one OME-TIFF a frame, checked, in a training and a test part, with their labels."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from ..io.atomic import PathLike, atomic_folder
from ..io.images import write_image
from ..io.tiff import read_tiff, spatial_axes
from ..labels import integer_labels
from .intensity import intensity_limits
from .manifest import ManifestRow, plane_name, write_manifest
from .raw_files import Stack, describe_labels, describe_stack, read_frames

IMAGE_TYPES = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64")
VOXEL_TOLERANCE = 0.01


class Source(NamedTuple):
    """A file of the user's, with its labels if there are any."""

    image: Stack
    labels: Stack | None
    names: tuple[str, ...]
    """Names of its frames among all images."""
    planes: Mapping[PathLike, int]
    """Labels of single planes, and where along Z these lie."""

    def place(self, frame: int) -> str:
        """Where a frame is, for a message."""
        where = f", frame {frame}" if self.image.n_frames > 1 else ""
        return f"{self.image.path}{where}"


def prepare(
    images: Sequence[PathLike],
    images_folder: PathLike,
    labels_folder: PathLike,
    manifest_path: PathLike,
    *,
    dimensions: int,
    labels: Sequence[PathLike | None] | None = None,
    planes: Sequence[Mapping[PathLike, int]] | None = None,
    background_label: int = 0,
    axes: str = "auto",
    voxel_size: Sequence[float] | None = None,
    train_images: str | None = None,
    test_images: str | None = None,
    percentiles: tuple[float, float] = (0.1, 99.9),
    gamma: float = 1.0,
    min_shape: Sequence[int] | None = None,
) -> list[ManifestRow]:
    """Check images, split them in frames and in training and test part, and write them.

    All files are looked at before the first is written; nothing is left under the final names if one of
    them turns out to be bad. One frame at a time is in memory, where the file allows it.

    Parameters
    ----------
    images : sequence of path
        TIFF files of one or several frames; the frames of all files count in this order.
    images_folder, labels_folder : path
        Folders to write, of one OME-TIFF a frame: the images, and the labels of test images.
    manifest_path : path
        Table to write, last of all.
    dimensions : int
        2 or 3.
    labels : sequence of path or None, optional
        Labels of each image file; None for a file without.
    planes : sequence of mapping, optional
        Of each image file, which holds one stack, files with the labels of single planes and their position along Z.
    background_label : int
        What in the labels is no cell, beside 0.
    axes : str
        auto, YX, TYX, ZYX or TZYX; see `stacks.resolve_axes`.
    voxel_size : sequence of float, optional
        Micrometres along each axis of a frame; by default what the files say.
    train_images, test_images : str, optional
        Ordinals; see `split_images`.
    gamma : float
        Exponent of the normalised intensities, recorded for `normalise`.
    percentiles : (float, float)
        Percentiles of each image that become -1 and 1.
    min_shape : sequence of int, optional
        Least size of a frame along each axis.

    Returns
    -------
    list of ManifestRow
        What the manifest holds.

    Raises
    ------
    InputError
        If a file or a setting is bad.
    """
    stacks = [describe_stack(path, dimensions, axes) for path in images]
    for stack in stacks:
        _check_stack(stack, min_shape)
    voxel_size = _common_voxel_size(stacks, voxel_size, dimensions)
    sources = _sources(stacks, labels, planes)
    names = [name for source in sources for name in source.names]
    splits = dict(zip(names, split_images(len(names), train_images, test_images), strict=True))

    rows: list[ManifestRow] = []
    with atomic_folder(images_folder) as image_folder, atomic_folder(labels_folder) as label_folder:
        for source in sources:
            prepared = _write_images(source, splits, image_folder, voxel_size, percentiles, gamma)
            _write_labels(source, prepared, label_folder, background_label)
            _write_planes(source, prepared, label_folder)
            rows += prepared
            print(f"{source.image.path}: {len(prepared)} of {source.image.n_frames} frames", flush=True)
    write_manifest(manifest_path, rows)
    return rows


def read_dataset(path: PathLike) -> dict:
    """Read the description of a fetched data set.

    Parameters
    ----------
    path : path
        dataset.json with images, labels and planes as paths relative to it, axes, and voxel_size.

    Returns
    -------
    dict
        images (list of Path), labels (list of Path or None, or None), planes (list of dict of Path, or None), axes,
        voxel_size, background_label.
    """
    folder = Path(path).parent
    with open(path, encoding="utf-8") as handle:
        dataset = json.load(handle)
    labels, planes = dataset.get("labels"), dataset.get("planes")
    return {
        "images": [folder / image for image in dataset["images"]],
        "labels": labels and [folder / label if label else None for label in labels],
        "planes": planes and [{folder / path: plane for path, plane in image.items()} for image in planes],
        "axes": dataset.get("axes") or "auto",
        "voxel_size": dataset.get("voxel_size"),
        "background_label": dataset.get("background_label") or 0,
    }


def parse_ordinals(text: str, count: int, key: str) -> list[int]:
    """Read ordinals and ranges of them.

    Parameters
    ----------
    text : str
        Such as "0-11,15"; both ends of a range belong to it.
    count : int
        Number of images.
    key : str
        Key of the setting, for the error.

    Returns
    -------
    list of int
        Sorted, each once.

    Raises
    ------
    InputError
        If it is no such text or names an image that does not exist.

    Examples
    --------
    >>> parse_ordinals("0-2,5", 6, "train_images")
    [0, 1, 2, 5]
    """
    ordinals: set[int] = set()
    for part in str(text).split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise InputError(f'{key}: found "{text}", allowed are ordinals from 0 such as 0-11 or 0-11,15')
        chosen = range(int(first), int(last or first) + 1)
        if not chosen:
            raise InputError(f'{key}: found "{text}", but a range goes from its lower to its upper end')
        if chosen[-1] >= count:
            raise InputError(f'{key}: found "{text}", but there are {count} images, 0 to {count - 1}')
        ordinals.update(chosen)
    return sorted(ordinals)


def split_images(count: int, train_images: str | None, test_images: str | None) -> list[str | None]:
    """Decide which images to learn from and which to keep for the score.

    Parameters
    ----------
    count : int
        Number of images.
    train_images : str or None
        Ordinals as `parse_ordinals` reads them; None means all that are no test images.
    test_images : str or None
        None means the last fifth, at least one.

    Returns
    -------
    list of str or None
        For each image: train, test, both (where there is but one), or None if it is not used.

    Raises
    ------
    InputError
        If an image would be both, or none is left to learn from.
    """
    if test_images is None:
        test = set(range(count - max(1, count // 5), count))
    else:
        test = set(parse_ordinals(test_images, count, "test_images"))
    if train_images is not None:
        train = set(parse_ordinals(train_images, count, "train_images"))
    else:
        train = set(range(count)) - test if count > 1 else {0}
    _check_split(train, test, count)
    kinds = {(True, False): "train", (False, True): "test", (True, True): "both"}
    return [kinds.get((ordinal in train, ordinal in test)) for ordinal in range(count)]


def _check_split(train: set[int], test: set[int], count: int) -> None:
    if not train:
        raise InputError(f"test_images: takes all {count} images, none is left to train on")
    if train & test and count > 1:
        shared = ", ".join(str(ordinal) for ordinal in sorted(train & test))
        raise InputError(
            f"train_images and test_images: share {shared} of {count} images;"
            " an image is in one of them (test_images: null means the last fifth)"
        )


def _sources(
    stacks: Sequence[Stack],
    labels: Sequence[PathLike | None] | None,
    planes: Sequence[Mapping[PathLike, int]] | None,
) -> list[Source]:
    """Pair images with their labels and give each frame its name."""
    total = sum(stack.n_frames for stack in stacks)
    if not total:
        raise InputError("images: no file was found")
    labels = [None] * len(stacks) if labels is None else labels
    if len(labels) != len(stacks):
        raise InputError(
            f"labels: {len(labels)} files were found for {len(stacks)} image files, one for each is needed"
        )
    width = max(4, len(str(total - 1)))
    sources, first = [], 0
    for stack, path, single in zip(stacks, labels, planes or [{}] * len(stacks), strict=True):
        names = tuple(f"{ordinal:0{width}d}" for ordinal in range(first, first + stack.n_frames))
        sources.append(Source(stack, None if path is None else describe_labels(path, stack), names, single))
        first += stack.n_frames
    return sources


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


def _common_voxel_size(stacks: Sequence[Stack], stated: Sequence[float] | None, dimensions: int) -> tuple[float, ...]:
    """The voxel size as stated, else the one that all files agree on."""
    axes = ", ".join(spatial_axes(dimensions).lower())
    if stated is not None:
        if len(stated) != dimensions or min(stated) <= 0:
            raise InputError(
                f"voxel_size: found {list(stated)}, allowed are {dimensions} positive numbers ({axes} in micrometres)"
            )
        return tuple(float(size) for size in stated)
    for stack in stacks:
        if stack.voxel_size is None:
            raise InputError(f"voxel_size: is not set and {stack.path} does not tell it; set [{axes}] in micrometres")
        if not np.allclose(stack.voxel_size, stacks[0].voxel_size, rtol=VOXEL_TOLERANCE, atol=0):
            raise InputError(
                f"{stack.path}: has voxels of {stack.voxel_size} micrometres but {stacks[0].path} of"
                f" {stacks[0].voxel_size}; give images of one scale, or set voxel_size if the files are wrong"
            )
    return stacks[0].voxel_size if stacks else ()


def _write_images(
    source: Source,
    splits: dict[str, str | None],
    folder: Path,
    voxel_size: tuple[float, ...],
    percentiles: tuple[float, float],
    gamma: float,
) -> list[ManifestRow]:
    """Write the used frames of a file and say what they are."""
    frames = [frame for frame, name in enumerate(source.names) if splits[name]]
    rows = []
    for frame, image in zip(frames, read_frames(source.image, frames), strict=True):
        low, high = intensity_limits(image, percentiles, source.place(frame))
        name = source.names[frame]
        write_image(folder / f"{name}.ome.tif", image, voxel_size, compress=False)  # training maps it
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
                gamma=gamma,
                labelled=source.labels is not None and splits[name] != "train",
            )
        )
    return rows


def _write_labels(source: Source, rows: Iterable[ManifestRow], folder: Path, background_label: int) -> None:
    """Write the labels of those frames of a file that have them; the background becomes 0."""
    rows = [row for row in rows if row.labelled]
    if not rows:
        return
    frames = read_frames(source.labels, [row.frame for row in rows])
    for row, labels in zip(rows, frames, strict=True):
        labels = integer_labels(labels, f"{source.labels.path}, labels of {source.place(row.frame)}", background_label)
        write_image(folder / f"{row.image}.ome.tif", labels, row.voxel_size)


def _write_planes(source: Source, rows: Iterable[ManifestRow], folder: Path) -> None:
    """Write the labels of single planes of a stack to be tested on."""
    for row in (row for row in rows if row.split != "train"):
        for path, plane in source.planes.items():
            labels = np.squeeze(read_tiff(path)[0])
            if labels.shape != row.shape[1:] or not plane < row.shape[0]:
                raise InputError(
                    f"{path}: labels of shape {labels.shape} for plane {plane}, from 0, of {source.image.path}"
                    f" of shape {row.shape}"
                )
            write_image(folder / plane_name(row.image, plane), integer_labels(labels, str(path)), row.voxel_size[1:])
