"""Data sets of the Cell Tracking Challenge: the names of their files, and which labels belong to which images."""

import re
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path, PurePosixPath

from ..errors import InputError
from ..io.atomic import PathLike
from ..sequences import spread_out
from .archives import extract, list_members
from .download import download
from .entries import CTC_URL, Entry, Fetched
from .http_ranges import RangeFile

CTC_TRUTH = {"gold": "GT", "silver": "ST"}


def fetch_ctc(entry: Entry, folder: PathLike, mirror: str | None = None) -> Fetched:
    """Fetch a training data set of the Cell Tracking Challenge: its frames and, if there is any, their truth.

    Parameters
    ----------
    entry : mapping
        `name` in the challenge; `sha256` of the archive if it is known; `truth` (silver, gold or none);
        `sequences`, ["01", "02"] unless given; `frames`, numbers of the wanted frames of each sequence, or gold for
        those with gold labels; `most`, how many of these at most, spread evenly over a sequence. With `frames`, these
        alone are fetched by HTTP ranges and the archive is not stored.
    folder : path
        Where the archive and its members are put.
    mirror : str, optional
        Base URL that replaces scheme and host.

    Raises
    ------
    InputError
        If the archive cannot be fetched or holds none of the frames, or no frame of a sequence has gold labels where
        these are asked for.
    """
    name, truth = entry["name"], entry.get("truth", "none")
    sequences = entry.get("sequences") or ["01", "02"]
    in_parts = entry.get("frames") is not None
    url, file = CTC_URL.format(name=name), Path(folder) / f"{name}.zip"
    archive: Path | RangeFile = RangeFile(url, mirror) if in_parts else file
    whole = {} if in_parts else {file.name: download(url, file, sha256=entry.get("sha256"), mirror=mirror)}
    wanted = find_frames(archive, entry, sequences)
    patterns = [list_patterns(name, sequence, truth, wanted[sequence]) for sequence in sequences]
    digests = extract(archive, folder, list(chain(*patterns)), all_patterns=False)
    images, labels = pair_frames(digests, sequences, truth)
    if not images:
        first = (wanted[sequences[0]] or [0])[0]
        raise InputError(f"{archive}: holds no frame named like {name}/{sequences[0]}/t{first:03d}.tif")
    planes = pair_planes(digests, sequences)
    movies = [PurePosixPath(image).parent.name for image in images]
    return Fetched(images, labels, {**whole, **digests}, planes if any(planes) else None, movies)


def find_frames(
    archive: PathLike | RangeFile, entry: Entry, sequences: Sequence[str]
) -> dict[str, Sequence[int] | None]:
    """Find out which frames of each sequence an entry wants: numbers, or None for all.

    Raises
    ------
    InputError
        If frames with gold labels are wanted and a sequence has none; or if it is something else that is wanted.
    """
    name, frames = entry["name"], entry.get("frames")
    if not isinstance(frames, str):
        return dict.fromkeys(sequences, frames)
    if frames != "gold":
        raise InputError(f"data set {name}: frames is {frames!r}; allowed is gold or a list of numbers")
    members = list_members(archive)
    found = {sequence: find_annotated(members, name, sequence) for sequence in sequences}
    for sequence, annotated in found.items():
        if not annotated:
            raise InputError(f"{archive}: holds no gold labels in {name}/{sequence}_{CTC_TRUTH['gold']}/SEG")
        print(f"{name}, sequence {sequence}: {len(annotated)} frames have gold labels")
    return {sequence: spread_out(numbers, entry.get("most") or len(numbers)) for sequence, numbers in found.items()}


def find_annotated(members: Iterable[str], name: str, sequence: str) -> list[int]:
    """Find the frames of a sequence that have gold labels, of all cells or of some in single planes.

    >>> find_annotated(["X/01_GT/SEG/man_seg_012_007.tif", "X/01_GT/SEG/man_seg003.tif"], "X", "01")
    [3, 12]
    """
    folder = re.escape(f"{name}/{sequence}_{CTC_TRUTH['gold']}/SEG")
    pattern = re.compile(rf"{folder}/man_seg(?:(\d+)|_(\d+)_\d+)\.tif")
    matches = [match for member in members if (match := pattern.fullmatch(member))]
    return sorted({int(match[1] or match[2]) for match in matches})


def list_patterns(name: str, sequence: str, truth: str, frames: Sequence[int] | None = None) -> list[str]:
    """List patterns of the file names of frames and their truth; the number of digits in a name is free.

    >>> list_patterns("X", "01", "none", [7])
    ['X/01/t7.tif', 'X/01/t07.tif', 'X/01/t007.tif', 'X/01/t0007.tif']
    """
    numbers = ["[0-9]*"] if frames is None else [f"{frame:0{digits}d}" for frame in frames for digits in (1, 2, 3, 4)]
    patterns = [f"{name}/{sequence}/t{number}.tif" for number in numbers]
    if truth in CTC_TRUTH:
        mask = f"{name}/{sequence}_{CTC_TRUTH[truth]}/SEG/man_seg"
        patterns += [f"{mask}{number}.tif" for number in numbers]
        if truth == "gold":  # labels of single planes, numbered by frame and plane
            patterns += [f"{mask}_{number}_[0-9]*.tif" for number in numbers]
    return list(dict.fromkeys(patterns))


def pair_frames(files: Iterable[str], sequences: Sequence[str], truth: str) -> tuple[list[str], list[str | None]]:
    """Pair the frames of the Cell Tracking Challenge with their segmentation truth by frame number.

    Parameters
    ----------
    files : iterable of str
        Paths such as X/01/t003.tif and X/01_ST/SEG/man_seg003.tif; the number of digits is free.
    sequences : sequence of str
        Sequences in the wanted order, such as ["01", "02"].
    truth : str
        silver (ST), gold (GT) or none; for sparse 3D gold truth see `pair_planes`.

    Returns
    -------
    images : list of str
        Frames, sorted by sequence and number.
    labels : list of str or None
        The truth of each frame, or None.
    """
    files = list(files)
    images: list[str] = []
    labels: list[str | None] = []
    for sequence in sequences:
        frames = _number_files(files, sequence, "t")
        masks = _number_files(files, f"{sequence}_{CTC_TRUTH.get(truth)}/SEG", "man_seg")
        images += [frames[number] for number in sorted(frames)]
        labels += [masks.get(number) for number in sorted(frames)]
    return images, labels


def pair_planes(files: Iterable[str], sequences: Sequence[str]) -> list[dict[str, int]]:
    """Find the sparse gold truth of 3D frames: labels of single planes, in which not all cells are annotated.

    Parameters
    ----------
    files : iterable of str
        Paths; X/01_GT/SEG/man_seg_003_012.tif is plane 12, counted from 0, of X/01/t003.tif.
    sequences : sequence of str
        Sequences in the wanted order.

    Returns
    -------
    list of dict
        For each frame, in the order of `pair_frames`, the position along Z by label file.
    """
    files = list(files)
    found: list[dict[str, int]] = []
    for sequence in sequences:
        pattern = re.compile(rf"(?:.*/)?{re.escape(sequence)}_{CTC_TRUTH['gold']}/SEG/man_seg_(\d+)_(\d+)\.tif")
        planes = [(int(match[1]), int(match[2]), file) for file in files if (match := pattern.fullmatch(file))]
        for number in sorted(_number_files(files, sequence, "t")):
            found.append({file: plane for frame, plane, file in sorted(planes) if frame == number})
    return found


def _number_files(files: Iterable[str], folder: str, prefix: str) -> dict[int, str]:
    """Find the files named {folder}/{prefix}{digits}.tif, by number."""
    pattern = re.compile(rf"(?:.*/)?{re.escape(folder)}/{re.escape(prefix)}(\d+)\.tif")
    return {int(match[1]): file for file in files if (match := pattern.fullmatch(file))}
