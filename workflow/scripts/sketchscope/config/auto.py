"""Settings that are measured or chosen by the workflow itself: auto becomes what was found."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..io.atomic import PathLike, read_json

AUTO = "auto"  # in place of a number: to be chosen or measured


def fill_auto(settings: Mapping[str, Any], files: Sequence[PathLike]) -> dict[str, Any]:
    """Replace every setting that is auto by the value of the same key in JSON files.

    Parameters
    ----------
    settings : mapping
        Settings by key; not changed.
    files : sequence of path
        JSON files, each a mapping; they may hold other keys too.

    Returns
    -------
    dict
        The settings, none of them auto.
    """
    found = {key: value for file in files for key, value in read_json(file).items()}
    return {key: found[key] if value == AUTO else value for key, value in settings.items()}
