"""Label images to make masks from: the user's files, or the labels that a data set brings for its training images."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from ..errors import InputError
from ..images.manifest import ManifestRow
from ..images.raw_files import VOXEL_TOLERANCE, RawImages, Stack, describe_labels, describe_stack, read_frames
from ..io.atomic import PathLike
from ..labels import integer_labels


def read_label_files(paths: Sequence[PathLike], like: ManifestRow) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and labels of every frame of the user's label files.

    Parameters
    ----------
    paths : sequence of path
        TIFF files of one or several frames, of any size.
    like : ManifestRow
        An image, whose dimensions and voxel size are those of the labels.

    Raises
    ------
    InputError
        If a file is unreadable, of other dimensions or another voxel size, or its labels are no integers.
    """
    stacks = [describe_stack(path, len(like.shape), "auto") for path in paths]
    for stack in stacks:
        _check_labels(stack, like)
    for number, stack in enumerate(stacks):
        for frame, labels in enumerate(read_frames(stack, range(stack.n_frames))):
            yield f"{number:04d}_{frame:04d}", integer_labels(labels, str(stack.path))


def _check_labels(stack: Stack, like: ManifestRow) -> None:
    if stack.dtype.kind not in "iuf":
        raise InputError(f"{stack.path}: labels of type {stack.dtype}; one integer per cell is needed")
    stated = stack.voxel_size
    if stated is not None and not np.allclose(stated, like.voxel_size, rtol=VOXEL_TOLERANCE, atol=0):
        raise InputError(
            f"{stack.path}: labels with voxels of {stated} micrometres, but those of the images are {like.voxel_size};"
            " both must be the same"
        )


def read_training_labels(
    dataset: RawImages, rows: Iterable[ManifestRow], axes: str
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and labels of those training images for which a data set brings labels; never of a test image.

    Parameters
    ----------
    dataset : RawImages
        The data set.
    rows : iterable of ManifestRow
        All images.
    axes : str
        Axes of the image files as set; auto takes what the data set says.

    Raises
    ------
    InputError
        If a file is unreadable, not of its image's shape, or its labels are no integers.
    """
    labels_of = dict(zip(map(str, dataset.images), dataset.labels or [], strict=False))
    for row in rows:
        path = labels_of.get(row.source)
        if row.split != "train" or path is None:
            continue
        stack = describe_stack(row.source, len(row.shape), dataset.axes if axes == "auto" else axes)
        labels = next(read_frames(describe_labels(path, stack), [row.frame]))
        yield row.image, integer_labels(labels, f"{path}, labels of {row.source}", dataset.background_label)
