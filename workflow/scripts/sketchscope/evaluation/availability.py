"""Models whose weights could not be fetched: the reason stands in place of their predictions and scores."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..io.atomic import PathLike, atomic_folder

REASON_FILE = "not-available.txt"  # in a folder of predictions that holds nothing else
REASON_KEY = "not_available"  # in the scores of a model that predicts nothing


def write_reason(folder: PathLike, reason: str) -> None:
    """Write a folder of predictions that holds nothing but the reason why."""
    with atomic_folder(folder) as temporary:
        (temporary / REASON_FILE).write_text(reason + "\n", encoding="utf-8")


def read_reason(folder: PathLike) -> str | None:
    """Read why a folder holds no predictions; None if it holds some."""
    path = Path(folder) / REASON_FILE
    return path.read_text(encoding="utf-8").strip() if path.exists() else None


def split_available(scores: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Separate the models that were scored from those that are not available.

    Parameters
    ----------
    scores : mapping of str to mapping
        By model: its scores, or the reason why there are none.

    Returns
    -------
    available : dict
        Scores by model, in the same order.
    reasons : dict
        The reason by model.

    Examples
    --------
    >>> split_available({"a": {"pq": 0.9}, "b": {"not_available": "no answer"}})
    ({'a': {'pq': 0.9}}, {'b': 'no answer'})
    """
    available = {name: dict(found) for name, found in scores.items() if REASON_KEY not in found}
    return available, {name: found[REASON_KEY] for name, found in scores.items() if REASON_KEY in found}
