"""Settings that are left to measurement: auto becomes what was found."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..io.atomic import PathLike, read_json

AUTO = "auto"  # in place of a number: to be chosen or measured


def settle(settings: Mapping[str, Any], files: Sequence[PathLike]) -> dict[str, Any]:
    """Settings in which what is auto has become what was found, read from JSON files with these keys."""
    chosen = {key: value for file in files for key, value in read_json(file).items()}
    return {key: chosen[key] if value == AUTO else value for key, value in settings.items()}
