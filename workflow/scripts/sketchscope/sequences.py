"""Choices from sequences."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")


def spread_out(items: Sequence[Item], count: int) -> list[Item]:
    """Take at most `count` of the items, evenly spaced, the first and last among them.

    Examples
    --------
    >>> spread_out([0, 1, 2, 3, 4, 5, 6], 3)
    [0, 3, 6]
    """
    count = min(count, len(items))
    return [items[index] for index in np.linspace(0, len(items) - 1, count).round().astype(int)]
