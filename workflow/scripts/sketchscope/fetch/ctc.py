"""Data sets of the Cell Tracking Challenge: names of their files, images paired with labels."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..errors import InputError
from ..io.atomic import PathLike
from .archives import extract
from .download import download
from .entries import CTC_URL, Entry, Fetched
from .http_ranges import RangeFile

CTC_TRUTH = {"gold": "GT", "silver": "ST"}


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
