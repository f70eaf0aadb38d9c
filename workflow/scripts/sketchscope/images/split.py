"""Which images are trained on and which are kept for the score."""

from collections.abc import Sequence

from ..errors import InputError


def split_images(groups: Sequence[str], train_images: str | None, test_images: str | None) -> list[str | None]:
    """Divide images into a training part and a test part, between groups unless positions are given.

    Parameters
    ----------
    groups : sequence of str
        The group of each image: what it shares a specimen or movie with.
    train_images : str or None
        Ordinals as `parse_ordinals` reads them; None means all that are no test images.
    test_images : str or None
        None means the last fifth of the groups, at least one; where there is one group, the last fifth of its images.

    Returns
    -------
    list of str or None
        For each image: train, test, both (only if there is a single image), or None if it is not used.

    Raises
    ------
    InputError
        If an image would be in both parts, or none is left to train on.
    """
    count = len(groups)
    if test_images is None:
        test = _choose_test_images(groups)
    else:
        test = set(parse_ordinals(test_images, count, "test_images"))
    if train_images is not None:
        train = set(parse_ordinals(train_images, count, "train_images"))
    else:
        train = set(range(count)) - test if count > 1 else {0}
    _check_split(train, test, count)
    kinds = {(True, False): "train", (False, True): "test", (True, True): "both"}
    return [kinds.get((ordinal in train, ordinal in test)) for ordinal in range(count)]


def parse_ordinals(text: str, count: int, key: str) -> list[int]:
    """Read ordinals and ranges of them.

    Parameters
    ----------
    text : str
        Such as "0-11,15"; both ends of a range belong to it.
    count : int
        Number of images.
    key : str
        Key of the setting, for the error.

    Returns
    -------
    list of int
        Sorted, without duplicates.

    Raises
    ------
    InputError
        If the text is not of this form or names an image that does not exist.

    Examples
    --------
    >>> parse_ordinals("0-2,5", 6, "train_images")
    [0, 1, 2, 5]
    """
    ordinals: set[int] = set()
    for part in str(text).split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise InputError(f'{key}: found "{text}", allowed are ordinals from 0 such as 0-11 or 0-11,15')
        chosen = range(int(first), int(last or first) + 1)
        if not chosen:
            raise InputError(f'{key}: found "{text}", but a range goes from its lower to its upper end')
        if chosen[-1] >= count:
            raise InputError(f'{key}: found "{text}", but there are {count} images, 0 to {count - 1}')
        ordinals.update(chosen)
    return sorted(ordinals)


def _choose_test_images(groups: Sequence[str]) -> set[int]:
    """Positions of the images of the last fifth of the groups; where there is one group, of the last fifth of all."""
    names = list(dict.fromkeys(groups))
    if len(names) == 1:
        names = groups = [str(position) for position in range(len(groups))]
    last = set(names[-max(1, len(names) // 5) :])
    return {position for position, name in enumerate(groups) if name in last}


def _check_split(train: set[int], test: set[int], count: int) -> None:
    if not train:
        raise InputError(f"test_images: takes all {count} images, none is left to train on")
    if train & test and count > 1:
        shared = ", ".join(str(ordinal) for ordinal in sorted(train & test))
        raise InputError(
            f"train_images and test_images: share {shared} of {count} images;"
            " an image is in one of them (test_images: null means the last fifth)"
        )
