"""Whether images that count as independent are so, and whether training and test images share a movie."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from ..io.atomic import PathLike
from .manifest import ManifestRow, load_image, select_held_out

LOOKED_AT = 24  # images of a series that are read to measure how far they resemble each other
BLOCKS = 32  # along each axis, to which images are averaged for that
CLEARLY = 0.3  # by which neighbours correlate more than images far apart, where they are frames of one movie
NUMBER = re.compile(r"\d+")

Load = Callable[[ManifestRow], np.ndarray]


def examine_groups(rows: Sequence[ManifestRow], folder: PathLike) -> dict[str, Any]:
    """Say how many groups of images there are, and what speaks against their independence.

    Parameters
    ----------
    rows : sequence of ManifestRow
        All prepared images.
    folder : path
        The prepared images.

    Returns
    -------
    dict
        n_groups, of all images; n_test_groups; shared_groups, those with training and with test images; train_test,
        the correlation of the two images nearest to each other of which one is a training image and one a test image
        of such a group; neighbours and apart, the correlations of `correlate_series` for numbered files that count as
        independent; copies, pairs of a test image and the training image that has the same pixels; warnings, one
        sentence for each finding; notes, such as one on numbered files that do not look
        like a movie. None where nothing was measured.
    """

    def load(row: ManifestRow) -> np.ndarray:
        return load_image(row, folder).astype(np.float64)

    shared, series = find_shared_groups(rows), find_series(rows)
    train_test = _correlate_nearest(rows, shared[0], load) if shared else None
    neighbours, apart = correlate_series(series, load)
    copies = find_copies(rows, folder)
    warnings = [_warn_copies(copies)] if copies else []
    warnings += [_warn_shared(shared, train_test)] if shared else []
    unlike = neighbours is not None and apart is not None and neighbours - apart <= CLEARLY
    told = [_describe_series(series, neighbours, apart)] if series else []
    return {
        "n_groups": len({row.unit for row in rows}),
        "n_test_groups": len({row.unit for row in select_held_out(rows)}),
        "shared_groups": shared,
        "train_test": train_test,
        "neighbours": neighbours,
        "apart": apart,
        "copies": [(test.image, train.image) for test, train in copies],
        "warnings": warnings + ([] if unlike else told),
        "notes": told if unlike else [],
    }


def find_shared_groups(rows: Sequence[ManifestRow]) -> list[str]:
    """Find the groups of which some images are learnt from and others scored."""
    learnt = {row.unit for row in rows if row.split == "train"}
    scored = {row.unit for row in rows if row.split == "test"}
    return sorted(learnt & scored)


def find_copies(rows: Sequence[ManifestRow], folder: PathLike) -> list[tuple[ManifestRow, ManifestRow]]:
    """Find the test images that have the same pixels as a training image, and that one."""
    # few images have the same limits: only these are read
    splits_of = defaultdict(set)
    for row in rows:
        splits_of[row.low, row.high].add(row.split)
    alike = [row for row in rows if splits_of[row.low, row.high] >= {"train", "test"}]

    def fingerprint(row: ManifestRow) -> bytes:
        return hashlib.sha256(load_image(row, folder).tobytes()).digest()

    learnt = {fingerprint(row): row for row in alike if row.split == "train"}
    tested = [(row, learnt.get(fingerprint(row))) for row in alike if row.split == "test"]
    return [(row, copy) for row, copy in tested if copy is not None]


def find_series(rows: Sequence[ManifestRow]) -> list[ManifestRow]:
    """Find the longest series of files that are numbered like the frames of a movie, but count as independent.

    Returns
    -------
    list of ManifestRow
        In the order of their numbers. At least three, whose paths differ in nothing but consecutive numbers; else
        none.
    """
    found: dict[tuple, dict[int, ManifestRow]] = defaultdict(dict)
    for row in rows:
        path = Path(row.source)
        for match in NUMBER.finditer(path.stem) if row.unit == row.source else ():
            around = path.stem[: match.start()], path.stem[match.end() :]
            found[path.parent, *around][int(match[0])] = row
    series = [members for members in found.values() if max(members) - min(members) == len(members) - 1 >= 2]
    longest = max(series, key=len, default={})
    return [longest[number] for number in sorted(longest)]


def correlate_series(series: Sequence[ManifestRow], load: Load) -> tuple[float | None, float | None]:
    """Correlate neighbouring images of a series, and those that are at least half its length apart.

    The images are averaged to at most 32 blocks along each axis, and their mean image is taken off, so that
    a background that all share counts for nothing.

    Returns
    -------
    neighbours, apart : float or None
        Mean Pearson correlation. None for fewer than five images or images of different shapes.
    """
    series = series[:LOOKED_AT]
    if len(series) < 5 or len({row.shape for row in series}) > 1:
        return None, None
    images = np.stack([_shrink(load(row)).ravel() for row in series])
    correlation = np.corrcoef(images - images.mean(0))
    distance = np.abs(np.subtract.outer(np.arange(len(series)), np.arange(len(series))))
    return float(correlation[distance == 1].mean()), float(correlation[2 * distance >= len(series)].mean())


def _correlate_nearest(rows: Sequence[ManifestRow], group: str, load: Load) -> float | None:
    """Correlate the training and the test image of a group that lie next to each other in the order of the images."""
    members = [(position, row) for position, row in enumerate(rows) if row.unit == group]
    learnt, scored = ([(at, row) for at, row in members if row.split == split] for split in ("train", "test"))
    (_, first), (_, second) = min(product(learnt, scored), key=lambda pair: abs(pair[0][0] - pair[1][0]))
    if first.shape != second.shape:
        return None
    return float(np.corrcoef(load(first).ravel(), load(second).ravel())[0, 1])


def _shrink(image: np.ndarray) -> np.ndarray:
    """Average an image over blocks: array of at most BLOCKS along each axis."""
    for axis, size in enumerate(image.shape):
        first = np.unique(np.linspace(0, size, min(size, BLOCKS) + 1).astype(int)[:-1])
        widths = np.diff(first, append=size).reshape([-1 if other == axis else 1 for other in range(image.ndim)])
        image = np.add.reduceat(image, first, axis) / widths
    return image


def _warn_copies(copies: Sequence[tuple[ManifestRow, ManifestRow]]) -> str:
    test, train = copies[0]
    others = f", and {len(copies) - 1} other test images are such copies" if len(copies) > 1 else ""
    return (
        f"the test image {int(test.image)} ({test.source}) is a copy of the training image {int(train.image)}"
        f" ({train.source}){others}: scores are too good; leave one out of train_images or test_images"
    )


def _warn_shared(shared: Sequence[str], train_test: float | None) -> str:
    names = ", ".join(Path(name).name for name in shared[:3]) + (" and others" if len(shared) > 3 else "")
    said = f"training and test images share a movie or specimen ({names}): scores may be too good"
    if train_test is None:
        return said
    return f"{said}; a training image and the test image next to it correlate at {train_test:.2f}"


def _describe_series(series: Sequence[ManifestRow], neighbours: float | None, apart: float | None) -> str:
    first, last = Path(series[0].source).name, Path(series[-1].source).name
    files = f"{len(series)} files ({first} to {last}) are numbered like the frames of one movie"
    counted = "each counts as independent; if they share a movie or specimen, set groups"
    if neighbours is None or apart is None:
        return f"{files}, but {counted}"
    measured = f"neighbours correlate at {neighbours:.2f} and images far apart at {apart:.2f}"
    if neighbours - apart > CLEARLY:
        return f"{files}, and look like it ({measured}), but {counted}"
    return f"{files}, though they do not look like it ({measured}); {counted}"
