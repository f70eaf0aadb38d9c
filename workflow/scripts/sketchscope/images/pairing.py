"""Which label file belongs to which image file, by what their names share."""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError

# words that say what a file is, not which
KINDS = frozenset(
    (
        *("mask", "masks", "label", "labels", "labelled", "labeled", "seg", "segs", "segmentation", "segmented"),
        *("man", "gt", "st", "truth", "cp", "annotation", "annotations", "instance", "instances", "outlines"),
        *("image", "images", "img", "imgs", "raw"),
    )
)
WORDS = re.compile(r"[^\W\d_]+|\d+")
ENDING = re.compile(r"(\.ome)?\.[^.]*$", re.IGNORECASE)
MASK_NAME = re.compile(
    r"(^|[\W\d_])(masks?|labels?|seg|segmentation|outlines|flows)$"
    r"|^(masks?|labels|seg|man_seg|man_track)[\W\d_]|^label[\W_]*\d",
    re.IGNORECASE,
)
MASK_FOLDER = re.compile(r"masks?|labels?|seg|tra|.*_(gt|st)|ground_?truth|annotations?", re.IGNORECASE)

Items = frozenset[tuple[str, tuple[int, ...]]]


class _Name(NamedTuple):
    """What the name of a file says."""

    path: str
    items: Items
    """Its words, without those that say what the file is, each with the numbers that follow it."""
    numbers: tuple[int, ...]
    """All its numbers in order."""
    folders: frozenset[Items]
    """What the names of its folders say."""

    @property
    def words(self) -> dict[str, tuple[int, ...]]:
        """The numbers that follow each word."""
        return {word: numbers for word, numbers in self.items if word}


class _Match(NamedTuple):
    """Image files and their label files, and what does not match."""

    pairs: dict[str, str]
    faults: list[str]
    strangers: int
    """How many of the faults are label files that fit no image."""


def pair_labels(images: Sequence[str], labels: Sequence[str], key: str) -> tuple[dict[str, str], bool]:
    """Pair label files with image files by what their names share.

    A label file belongs to the one image with the same words and numbers in its name, or else with the same numbers, or
    else with the same words and numbers of those that occur in names of both kinds, or else with the same last number.
    Words such as mask, label or image do not count. Where several images fit, folders of the same name decide.
    One rule must give an image to every label file. Some images may have no labels.

    Parameters
    ----------
    images, labels : sequence of str
        Image files and label files.
    key : str
        Key of the label files, for errors.

    Returns
    -------
    pairs : dict
        The label file of each image file that has one, in the order of the images.
    by_order : bool
        Whether the names share nothing, so that the order alone made the pairs.

    Raises
    ------
    InputError
        If names contradict each other, or share nothing and are not equally many.

    Examples
    --------
    >>> pair_labels(["t08.tif", "t09.tif"], ["man_seg009.tif"], "labels")
    ({'t09.tif': 'man_seg009.tif'}, False)
    """
    image_names, label_names = [_read_name(path) for path in images], [_read_name(path) for path in labels]
    shared = _collect_items(image_names) & _collect_items(label_names)
    if len(images) > 1:  # what all images share tells none from another
        shared -= frozenset.intersection(*(name.items for name in image_names))
    rules: tuple[Callable[[_Name], Hashable], ...] = (
        lambda name: name.items,
        lambda name: name.numbers,
        lambda name: name.items & shared,
        lambda name: name.numbers[-1:],
    )
    matches = []
    for rule in rules:
        match = _match(image_names, label_names, rule)
        if not match.faults:
            return {image: match.pairs[image] for image in images if image in match.pairs}, False
        matches.append(match)
    best = min(matches, key=lambda match: (len(match.faults), match.strangers))
    numbered = all(len({name.numbers for name in names}) > 1 for names in (image_names, label_names))
    if not any(match.pairs for match in matches) and not numbered and len(images) == len(labels):
        return dict(zip(images, labels, strict=True)), True
    example = f"{_drop_ending(images[0])}_labels.tif for {os.path.basename(images[0])}"
    raise InputError(
        f"{key}: found {len(labels)} files for {len(images)} image files, but {best.faults[0]};"
        f" name label files after their images, such as {example}"
    )


def is_named_like_mask(path: str, fixed_folders: int | None = None) -> bool:
    """Tell whether a file is named as programs name masks beside images.

    Parameters
    ----------
    path : str
        The file.
    fixed_folders : int, optional
        How many of its leading folders somebody has named on purpose; any other that is called masks, labels and so on
        counts, too. None: no folder counts.

    Examples
    --------
    >>> is_named_like_mask("t0_cp_masks.png"), is_named_like_mask("man_seg000.tif"), is_named_like_mask("t0.tif")
    (True, True, False)
    """
    found = [] if fixed_folders is None else Path(path).parts[fixed_folders:-1]
    return any(MASK_FOLDER.fullmatch(folder) for folder in found) or bool(MASK_NAME.search(_drop_ending(path)))


def _match(images: Sequence[_Name], labels: Sequence[_Name], rule: Callable[[_Name], Hashable]) -> _Match:
    """Give each label file the one image for which a rule finds the same, and say which fits none or not one alone."""
    found: dict[Hashable, list[_Name]] = defaultdict(list)
    for image in images:
        found[rule(image)].append(image)
    known = _collect_words(images), _collect_words(labels)
    pairs: dict[str, str] = {}
    faults = []
    strangers = 0
    for label in labels:
        fitting = found[rule(label)] if rule(label) else []
        fitting = _prefer_folders([image for image in fitting if _agree(image, label, *known)], label)
        if not fitting:
            strangers += 1
            faults.append(f"{label.path} fits none of them by its name or number")
        elif len(fitting) > 1:
            faults.append(f"{label.path} fits both {fitting[0].path} and {fitting[1].path}")
        elif fitting[0].path in pairs:
            faults.append(f"both {pairs[fitting[0].path]} and {label.path} fit {fitting[0].path}")
        else:
            pairs[fitting[0].path] = label.path
    return _Match(pairs, faults, strangers)


def _agree(image: _Name, label: _Name, words_of_images: set[str], words_of_labels: set[str]) -> bool:
    """Check that nothing in the name of an image contradicts that of a label file.

    A word with another number does, and so does a word that another image or another label file has.
    """
    one, other = image.words, label.words
    for word in one.keys() & other.keys():
        if any(first != second for first, second in zip(one[word], other[word], strict=False)):
            return False
    if (other.keys() & words_of_images) - one.keys() or (one.keys() & words_of_labels) - other.keys():
        return False
    count = min(len(image.numbers), len(label.numbers))
    return bool(image.items & label.items) or image.numbers[-count:] == label.numbers[-count:]


def _prefer_folders(images: Sequence[_Name], label: _Name) -> list[_Name]:
    """Keep those of several images whose folders have most in common with those of a label file."""
    most = max((len(image.folders & label.folders) for image in images), default=0)
    return [image for image in images if len(image.folders & label.folders) == most]


def _read_name(path: str) -> _Name:
    items = _read_items(_drop_ending(path))
    folders = frozenset(_read_items(folder) for folder in Path(path).parts[:-1])
    numbers = tuple(int(part) for part in WORDS.findall(_drop_ending(path)) if part.isdecimal())
    return _Name(path, items, numbers, folders - {frozenset()})


def _read_items(text: str) -> Items:
    """Read the words of a name, each with the numbers that follow it; a number without a word follows ''.

    >>> sorted(_read_items("day1_t005_masks"))
    [('day', (1,)), ('t', (5,))]
    """
    items: dict[str, tuple[int, ...]] = {}
    word = ""
    for part in WORDS.findall(text.casefold()):
        if part.isdecimal():
            items[word] = (*items.get(word, ()), int(part))
        elif part not in KINDS:
            word = part
            items.setdefault(word, ())
    return frozenset(items.items())


def _drop_ending(path: str) -> str:
    return ENDING.sub("", os.path.basename(path))


def _collect_items(names: Sequence[_Name]) -> Items:
    return frozenset(item for name in names for item in name.items)


def _collect_words(names: Sequence[_Name]) -> set[str]:
    return {word for name in names for word in name.words}
