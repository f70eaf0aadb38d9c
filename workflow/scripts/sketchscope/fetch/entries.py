"""Entries of resources/datasets.yaml: which fields they need, and which labels belong to which images."""

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from ..errors import InputError
from .archives import match_names

CTC_URL = "https://data.celltrackingchallenge.net/training-datasets/{name}.zip"
REQUIRED_FIELDS = {"package": ("package", "images"), "http": ("url",), "ctc": ("name",), "osf": ("node", "images")}
Entry = Mapping[str, Any]


class Fetched(NamedTuple):
    """Files of a data set; all paths are relative to its folder."""

    images: list[str]
    """Image files."""
    labels: list[str | None]
    """Label file of each image, or None."""
    sha256: dict[str, str]
    """sha256 by file."""
    planes: list[dict[str, int]] | None = None
    """For each image the label files of single planes and their positions along Z; None if no image has any."""
    groups: list[str] | None = None
    """The movie that each image belongs to; None if each file is one of its own."""


def check_entry(entry: Entry, name: str) -> None:
    """Check that an entry has the fields that its kind needs.

    Raises
    ------
    InputError
        If the kind is unknown or a field is missing.
    """
    kind = entry.get("kind")
    if kind not in REQUIRED_FIELDS:
        raise InputError(f"data set {name}: kind is {kind!r}; {', '.join(REQUIRED_FIELDS)} are allowed")
    for field in (*REQUIRED_FIELDS[kind], "axes", "voxel_size"):
        if not entry.get(field):
            raise InputError(f"data set {name}: {field} is missing; the kind {kind} needs it")


def describe_source(entry: Entry) -> str:
    """Name the package or the address that a data set comes from."""
    if entry["kind"] == "osf":
        return f"https://osf.io/{entry['node']}"
    return entry.get("package") or entry.get("url") or CTC_URL.format(name=entry["name"])


def pair_files(entry: Entry, source: str, files: Iterable[str]) -> tuple[list[str], list[str | None]]:
    """Select the images and labels of an entry among files, and pair them as the entry says.

    Parameters
    ----------
    entry : mapping
        `images` and, if there is truth, `labels`: lists of patterns. With `pair: prefix` they are paired by
        `pair_by_prefix`, otherwise in sorted order.
    source : str
        For errors.
    files : iterable of str
        Paths.

    Returns
    -------
    images : list of str
    labels : list of str or None
        Parallel to `images`.

    Raises
    ------
    InputError
        If the numbers of images and labels differ, or several labels fit an image.
    """
    files = list(files)
    images, labels = match_names(files, entry["images"]), match_names(files, entry.get("labels") or [])
    if entry.get("pair") == "prefix":
        return images, pair_by_prefix(images, labels)
    return images, align_labels(source, images, labels)


def align_labels(source: str, images: Iterable[str], labels: Iterable[str]) -> list[str | None]:
    """Pair label files with image files in the order given; without any labels, every image gets None.

    Raises
    ------
    InputError
        If their numbers differ; names `source`.
    """
    images, labels = list(images), list(labels)
    if labels and len(labels) != len(images):
        raise InputError(f"{source}: {len(labels)} label files for {len(images)} image files; one per image is needed")
    return [*labels] or [None] * len(images)


def pair_by_prefix(images: Iterable[str], labels: Iterable[str]) -> list[str | None]:
    """Find the labels of each image: in a folder beside the image's own, under a name that begins with the image's.

    Raises
    ------
    InputError
        If several labels fit an image.

    >>> pair_by_prefix(["p1/raw/0h.tif", "p1/raw/4h.tif"], ["p1/seg/0h_cleaned.tif", "p2/seg/4h.tif"])
    ['p1/seg/0h_cleaned.tif', None]
    """
    label_paths = [PurePosixPath(label) for label in labels]
    paired: list[str | None] = []
    for image in map(PurePosixPath, images):
        beside = [label for label in label_paths if label.parent.parent == image.parent.parent]
        fitting = [str(label) for label in beside if label.name.startswith(image.stem)]
        if len(fitting) > 1:
            raise InputError(f"{image}: {len(fitting)} labels fit it, {', '.join(fitting)}; only one may")
        paired.append(fitting[0] if fitting else None)
    return paired
