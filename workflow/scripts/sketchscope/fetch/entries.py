"""What an entry of resources/datasets.yaml must say, and which labels belong to which images."""

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib import parse

from ..errors import InputError
from ..io.atomic import compute_sha256
from .archives import matching

CTC_URL = "https://data.celltrackingchallenge.net/training-datasets/{name}.zip"
Entry = Mapping[str, Any]
REQUIRED_FIELDS = {"package": ("package", "images"), "http": ("url",), "ctc": ("name",), "osf": ("node", "images")}


class Fetched(NamedTuple):
    """Files of a data set: paths relative to its folder, labels and planes parallel to images, sha256 by file."""

    images: list[str]
    labels: list[str | None]
    sha256: dict[str, str]
    planes: list[dict[str, int]] | None = None
    """Of each image, labels of single planes and where along Z these lie; None if no image has any."""


def _check_entry(entry: Entry, name: str) -> None:
    kind = entry.get("kind")
    if kind not in REQUIRED_FIELDS:
        raise InputError(f"data set {name}: kind is {kind!r}; {', '.join(REQUIRED_FIELDS)} are allowed")
    for field in (*REQUIRED_FIELDS[kind], "axes", "voxel_size"):
        if not entry.get(field):
            raise InputError(f"data set {name}: {field} is missing; the kind {kind} needs it")


def _source(entry: Entry) -> str:
    if entry["kind"] == "osf":
        return f"https://osf.io/{entry['node']}"
    return entry.get("package") or entry.get("url") or CTC_URL.format(name=entry["name"])


def _count(labels: Iterable[str | None]) -> int:
    return sum(label is not None for label in labels)


def _all_there(folder: Path, sha256: Mapping[str, str]) -> bool:
    return all((folder / name).is_file() and compute_sha256(folder / name) == digest for name, digest in sha256.items())


def _parallel_labels(source: str, images: Iterable[str], labels: Iterable[str]) -> list[str | None]:
    """One label file an image file, in the same order, or none at all."""
    images, labels = list(images), list(labels)
    if labels and len(labels) != len(images):
        raise InputError(f"{source}: {len(labels)} label files for {len(images)} image files; one each is due")
    return [*labels] or [None] * len(images)


def _paired(entry: Entry, source: str, files: Iterable[str]) -> tuple[list[str], list[str | None]]:
    """Images and their labels among files, as the patterns of an entry have them."""
    files = list(files)
    images, labels = matching(files, entry["images"]), matching(files, entry.get("labels") or [])
    if entry.get("pair") == "prefix":
        return images, pair_by_prefix(images, labels)
    return images, _parallel_labels(source, images, labels)


def pair_by_prefix(images: Iterable[str], labels: Iterable[str]) -> list[str | None]:
    """Labels of each image: in a folder beside the image's own, with a file name that begins with the image's.

    Raises
    ------
    InputError
        If several labels fit an image.

    >>> pair_by_prefix(["p1/raw/0h.tif", "p1/raw/4h.tif"], ["p1/seg/0h_cleaned.tif", "p2/seg/4h.tif"])
    ['p1/seg/0h_cleaned.tif', None]
    """
    labels, paired = [PurePosixPath(label) for label in labels], []
    for image in map(PurePosixPath, images):
        fitting = [label for label in labels if label.parent.parent == image.parent.parent]
        fitting = [str(label) for label in fitting if label.name.startswith(image.stem)]
        if len(fitting) > 1:
            raise InputError(f"{image}: {len(fitting)} labels fit it, {', '.join(fitting)}; one is due")
        paired.append(fitting[0] if fitting else None)
    return paired


def _file_name(url: str) -> str:
    name = PurePosixPath(parse.unquote(parse.urlsplit(url).path)).name
    if name in ("", "..", "dataset.json"):
        raise InputError(f"{url}: the address must end in the name of a file")
    return name
