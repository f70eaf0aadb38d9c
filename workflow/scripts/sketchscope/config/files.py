"""Files that a glob of the configuration means: which they are, or why there are none."""

import glob
import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from ..errors import InputError

BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")  # alternatives without others in them
TIFF_ENDINGS = (".tif", ".tiff")


def match_files(patterns: str | list[str] | None, key: str) -> list[str] | None:
    """List the files that globs match, relative to the working directory unless absolute.

    Numbers in names are compared as numbers: t9 comes before t10. Files of an earlier pattern come first. A file that
    is reached twice, perhaps by a link, is listed once.

    Raises
    ------
    InputError
        If a pattern matches no file, or a file with an unusable name, or a link that leads nowhere.
    """
    if patterns is None:
        return None
    return drop_doubles(file for pattern in list_patterns(patterns) for file in match_pattern(pattern, key))[0]


def list_patterns(patterns: str | list[str]) -> list[str]:
    """List the patterns of a key that may hold one or several."""
    return [patterns] if isinstance(patterns, str) else patterns


def match_pattern(pattern: str, key: str) -> list[str]:
    """List the files that one glob matches, sorted; see `match_files`."""
    matches = _glob(pattern)
    for match in matches:
        _check_name(match, key)
        if not os.path.exists(match):
            raise InputError(f"{key}: {match} is a link to {os.readlink(match)}, which does not exist")
    files = [match for match in matches if os.path.isfile(match)]
    if not files:
        filled = _fill_in(pattern)
        meant = "" if filled == pattern else f" ({filled})"
        reason = _explain(pattern, matches)
        raise InputError(f"{key}: found no file that matches '{pattern}'{meant} in {os.getcwd()}; {reason}")
    return sorted(files, key=_split_numbers)


def find_file(name: str, key: str, allowed: str = "a file") -> str:
    """Find the one file of that name, which is no glob.

    Returns
    -------
    str
        The name with ~ and variables of the environment filled in.

    Raises
    ------
    InputError
        If it does not exist, or if Snakemake cannot take a file of that name.
    """
    path = _fill_in(name)
    if not os.path.isfile(path):
        raise InputError(f"{key}: found '{name}', no file in {os.getcwd()}; allowed is {allowed}")
    _check_name(path, key)
    if "{" in path:
        raise InputError(f"{key}: found '{name}', whose name holds {{, which Snakemake takes for a wildcard; rename it")
    return path


def drop_doubles(files: Iterable[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Keep the first name of each file.

    Returns
    -------
    files : list of str
        Each file once.
    doubles : list of (str, str)
        Every other name of a file, such as that of a link, and the name that is kept.
    """
    names: dict[tuple[int, int], str] = {}
    doubles = []
    for file in dict.fromkeys(files):
        kept = names.setdefault(identify(file), file)
        if kept != file:
            doubles.append((file, kept))
    return list(names.values()), doubles


def identify(file: str) -> tuple[int, int]:
    """Identify a file whatever its name: by its device and its number there."""
    state = os.stat(file)
    return state.st_dev, state.st_ino


def count_fixed_folders(pattern: str) -> int:
    """Count the leading folders of a pattern that stand for themselves.

    >>> count_fixed_folders("/data/day*/images/*.tif")
    2
    """
    folders = Path(_fill_in(pattern)).parts[:-1]
    magic = [index for index, folder in enumerate(folders) if glob.has_magic(folder) or "{" in folder]
    return magic[0] if magic else len(folders)


def _glob(pattern: str) -> list[str]:
    """List what a pattern matches: as it is written if that is there, else with its alternatives and variables."""
    if os.path.lexists(pattern):
        return [str(Path(pattern))]
    found = glob.glob(pattern, recursive=True)
    for spelling in [] if found else _expand_braces(_fill_in(pattern)):
        found += [spelling] if os.path.lexists(spelling) else glob.glob(spelling, recursive=True)
    return list(dict.fromkeys(str(Path(match)) for match in found))


def _fill_in(pattern: str) -> str:
    """Fill in ~ and variables of the environment."""
    return os.path.expandvars(os.path.expanduser(pattern))


def _expand_braces(pattern: str) -> list[str]:
    """Write out the alternatives in braces.

    >>> _expand_braces("{a,b{1,2}}.tif")
    ['a.tif', 'b1.tif', 'a.tif', 'b2.tif']
    """
    match = BRACES.search(pattern)
    if match is None:
        return [pattern]
    before, after = pattern[: match.start()], pattern[match.end() :]
    return [written for choice in match[1].split(",") for written in _expand_braces(f"{before}{choice}{after}")]


def _check_name(file: str, key: str) -> None:
    """Refuse names that are no UTF-8, or hold line breaks and the like: no table or log can hold them."""
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in file):
        shown = os.fsencode(file).decode("utf-8", "backslashreplace")
        shown = re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda control: rf"\x{ord(control[0]):02x}", shown)
        raise InputError(f"{key}: the name of {shown} holds what is no UTF-8 or no printable letter; rename the file")


def _explain(pattern: str, matches: list[str]) -> str:
    """Say why no file was found: what nearly matched, or what is there instead."""
    if matches:
        return _explain_folder(pattern, matches[0])
    filled = _fill_in(pattern)
    unset = re.search(r"\$\{?(\w+)", filled)
    if unset and unset[1] not in os.environ:
        return f"the variable ${unset[1]} is not set"
    if filled.startswith("~"):
        return f"there is no home folder {filled.partition('/')[0]}"
    return _find_near_match(filled) or _describe_folder(filled)


def _explain_folder(pattern: str, folder: str) -> str:
    """Say what to write where a pattern matches folders only."""
    if folder.endswith(".zarr"):
        return f"{folder} is an OME-Zarr, which is not read; save its images as TIFF"
    if glob.has_magic(pattern):
        return f"it matches folders only, such as {folder}"
    endings = [Path(name).suffix for name in os.listdir(folder) if name.lower().endswith(TIFF_ENDINGS)]
    ending = max(endings, key=endings.count, default=".tif")
    return f"it is a folder, add a pattern: {pattern.rstrip('/')}/*{ending}"


def _find_near_match(pattern: str) -> str | None:
    """Find a slightly different pattern that matches, and say in what it differs."""
    either_case = re.sub(r"\[[^]]*\]|[^\W\d_]", lambda part: _allow_either_case(part[0]), pattern)
    escaped = pattern.replace("[", "[[]")
    for changed, advice in (
        (pattern.strip(), f"'{pattern.strip()}' without blanks around it would match {{}}"),
        (pattern.replace("\\", "/"), "write / in place of \\: {} is there"),
        (escaped, f"[ ] in a pattern stand for one letter; write [[] for [: '{escaped}' would match {{}}"),
        (either_case, "upper and lower case are not the same: {} is there"),
    ):
        found = sorted(match for match in _glob(changed) if os.path.isfile(match)) if changed != pattern else []
        if found:
            return advice.replace("{}", found[0])
    return None


def _allow_either_case(part: str) -> str:
    """Let a letter match in upper and in lower case; anything longer is left as it is."""
    return f"[{part.lower()}{part.upper()}]" if len(part) == 1 and part.lower() != part.upper() else part


def _describe_folder(pattern: str) -> str:
    """Say what the folder of a pattern holds, or which of its folders is not there."""
    folders = Path(pattern).parts[: count_fixed_folders(pattern)]
    for depth in range(1, len(folders) + 1):
        folder = Path(*folders[:depth])
        if not folder.is_dir():
            return f"there is no folder {folder}"
    folder = Path(*folders)
    if not os.access(folder, os.R_OK | os.X_OK):
        return f"permission to read the folder {folder} is denied"
    names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    where = "this folder" if folder == Path() else f"the folder {folder}"
    others = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{where} holds {names[0] if names else 'no visible file'}{others}"


def _split_numbers(name: str) -> tuple[list[tuple[int, str]], str]:
    """Split a name into texts and numbers, to sort by; the name itself decides between t1 and t01."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], name
