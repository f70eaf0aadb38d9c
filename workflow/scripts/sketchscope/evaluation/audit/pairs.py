"""The audit of one image and its labels."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from .borders import audit_borders
from .cells import audit_cells
from .unlabelled import count_unlabelled

IMAGE_COLUMNS = ("cells", "unlabelled", "borders", "hidden_borders")


class Audit(NamedTuple):
    """What the audit of one image finds."""

    cells: pd.DataFrame
    """Of `cells.audit_cells`; and for each cell the number of borders that were measured, and of hidden ones."""
    borders: pd.DataFrame
    """Of `borders.audit_borders`."""
    image: dict[str, Any]
    """IMAGE_COLUMNS: cells with a label, cells that show without one, measured borders, and those hidden."""


def audit_pair(
    image: np.ndarray,
    labels: np.ndarray,
    voxel_size: Sequence[float],
    *,
    touching: bool,
    min_contrast: float,
    border: int = 0,
) -> Audit:
    """Audit an image and its labels both ways: do the labels show, and is what shows labelled.

    Parameters
    ----------
    image, labels, voxel_size, touching, min_contrast
        See `cells.audit_cells`.
    border : int
        Width of the rim in y and x, voxels, in which cells may lack a label.
    """
    cells = audit_cells(image, labels, voxel_size, touching=touching, min_contrast=min_contrast)
    borders = audit_borders(image, labels, voxel_size, cells, touching=touching)
    unlabelled = count_unlabelled(image, labels, voxel_size, cells, touching=touching, border=border)
    hidden = borders[borders["hidden"]]
    counted = cells.assign(borders=_count_of(borders, cells), hidden_borders=_count_of(hidden, cells))
    row = (len(cells), unlabelled, len(borders), len(hidden))
    return Audit(counted, borders, dict(zip(IMAGE_COLUMNS, row, strict=True)))


def _count_of(borders: pd.DataFrame, cells: pd.DataFrame) -> np.ndarray:
    """How many of the borders each cell has."""
    ends = pd.concat([borders["first"], borders["second"]]).value_counts()
    return cells["label"].map(ends).fillna(0).astype(int).to_numpy()
