"""Label images to make masks from: the user's files, or the labels that a data set brings for its training images."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from ..errors import InputError
from ..images.manifest import ManifestRow
from ..images.raw_files import VOXEL_TOLERANCE, RawImages, Stack, describe_labels, describe_stack, read_frames
from ..io.atomic import PathLike
from ..labels import Pieces, check_instances, count_pieces, integer_labels, separate_cells


def read_label_files(paths: Sequence[PathLike], like: ManifestRow, labels_are: str) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and labels of every frame of the user's label files.

    Parameters
    ----------
    paths : sequence of path
        TIFF files of one or several frames, of any size.
    like : ManifestRow
        An image, whose dimensions and voxel size are those of the labels.
    labels_are : str
        What the files hold: instances or binary.

    Raises
    ------
    InputError
        If a file is unreadable, of other dimensions or another voxel size, or its labels are no integers. After the
        last file, if they do not number the cells.
    """
    stacks = [describe_stack(path, len(like.shape), "auto") for path in paths]
    for stack in stacks:
        _check_labels(stack, like)
    pieces: dict[str, Pieces] = {}
    for number, stack in enumerate(stacks):
        for frame, stored in enumerate(read_frames(stack, range(stack.n_frames))):
            name = f"{stack.path}, frame {frame}" if stack.n_frames > 1 else str(stack.path)
            labels = _read_instances(stored, name, labels_are)
            pieces[name] = count_pieces(labels)
            yield f"{number:04d}_{frame:04d}", labels
    check_instances(pieces)


def _read_instances(stored: np.ndarray, name: str, labels_are: str | None, background_label: int = 0) -> np.ndarray:
    """Number the cells of stored labels, which may be binary."""
    labels = integer_labels(stored, name, background_label)
    return separate_cells(labels, name) if labels_are == "binary" else labels


def _check_labels(stack: Stack, like: ManifestRow) -> None:
    if stack.dtype.kind not in "iufb":
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
        The data set, or the user's images with their labels.
    rows : iterable of ManifestRow
        All images.
    axes : str
        Axes of the image files as set; auto takes what the data set says.

    Raises
    ------
    InputError
        If a file is unreadable, not of its image's shape, or its labels are no integers.
    """
    pieces: dict[str, Pieces] = {}
    labels_of = dict(zip(map(str, dataset.images), dataset.labels or [], strict=False))
    for row in rows:
        path = labels_of.get(row.source)
        if row.split != "train" or path is None:
            continue
        stack = describe_stack(row.source, len(row.shape), dataset.axes if axes == "auto" else axes)
        stored = next(read_frames(describe_labels(path, stack), [row.frame]))
        name = f"{path}, labels of {row.source}" + (f", frame {row.frame}" if stack.n_frames > 1 else "")
        labels = _read_instances(stored, name, dataset.labels_are, dataset.background_label)
        if dataset.labels_are:
            pieces[name] = count_pieces(labels)
        yield row.image, labels
    check_instances(pieces)
