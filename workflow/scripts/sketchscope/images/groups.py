"""Which files share a specimen or movie: their images are no independent observations."""

import re
from collections.abc import Sequence

from ..errors import InputError
from ..io.atomic import PathLike

Groups = str | Sequence[str] | None


def group_files(files: Sequence[PathLike], groups: Groups, key: str = "groups") -> list[str]:
    """Name the group of each file.

    Parameters
    ----------
    files : sequence of path
        Image files of one or several frames.
    groups : str, sequence of str or None
        A regular expression with one capture group, which is searched in the path of each file and captures the name;
        or one name for each file; or None: every file is a group of its own.
    key : str
        Key of the setting, for errors.

    Returns
    -------
    list of str
        The name of the group of each file.

    Raises
    ------
    InputError
        If a pattern is none, or does not fit every file, or the names are not as many as the files.

    Examples
    --------
    >>> group_files(["day1/a_t0.tif", "day1/a_t1.tif", "day2/a_t0.tif"], "(day[0-9])/")
    ['day1', 'day1', 'day2']
    """
    paths = [str(file) for file in files]
    if groups is None:
        return paths
    if isinstance(groups, str):
        return _capture(paths, groups, key)
    if len(groups) != len(paths):
        raise InputError(f"{key}: found {len(groups)} names for {len(paths)} image files; allowed is one for each file")
    return list(groups)


def _capture(paths: Sequence[str], text: str, key: str) -> list[str]:
    """Search a pattern in every path, and return what its capture group holds."""
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise InputError(f"{key}: found '{text}', which is no regular expression ({error})") from None
    if pattern.groups != 1:
        raise InputError(
            f"{key}: found '{text}' with {pattern.groups} capture groups; allowed is one, such as (day[0-9]+)"
        )
    matches = [pattern.search(path) for path in paths]
    names = [(match and match[1]) or "" for match in matches]
    if not all(names):
        failed = paths[names.index("")]
        fitting = sum(map(bool, names))
        raise InputError(f"{key}: '{text}' fits {fitting} of {len(paths)} image files, not {failed}; it must fit all")
    return names
