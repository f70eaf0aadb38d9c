"""From which value on a figure of the audit says that labels and images do not fit, and what it says."""

from collections.abc import Mapping
from typing import Any, NamedTuple

WAYS = {"z": ("behind", "in front of"), "y": ("below", "above"), "x": ("to the right of", "to the left of")}
"""Where a cell lies whose offset along an axis is positive, and negative."""


class Alarm(NamedTuple):
    """What is said when the absolute value of a figure of `summary.summarise_audit` exceeds a limit."""

    limit: float
    sentence: str
    """With the figures in braces."""
    counted: str | None = None
    """Of a share: the figure that must be FEWEST at least, since one cell of a few is a large share."""


FEWEST = 3  # cells or borders that are wrong, below which a share says nothing
ALARMS = {
    "lost_share": Alarm(0.05, "{lost_share:.0%} of the cells are too dim to be seen", "lost"),
    "shift": Alarm(0.5, "cells lie {way} their masks"),
    "displacement_median": Alarm(1.0, "cells are {larger} than their masks, by {displacement:.1f} voxels all around"),
    "unlabelled_share": Alarm(0.01, "{unlabelled} cells that show have no mask"),
    "hidden_share": Alarm(
        0.02, "nothing shows on {hidden_share:.0%} of the borders of touching cells", "hidden_borders"
    ),
    "split_share": Alarm(0.01, "{split_share:.0%} of the masks hold two cells", "split"),
    "rounded_share": Alarm(0.5, "the noise of the images was rounded away"),
}
"""By figure; benchmarks/audit.py measures which faults they find, and how often they are wrong."""


def name_faults(figures: Mapping[str, Any], references: Mapping[str, Any] | None = None) -> list[str]:
    """Name in plain words what is wrong with labels and images.

    Parameters
    ----------
    figures : mapping
        Of `summary.summarise_audit`; those that are missing or None raise no alarm.
    references : mapping, optional
        The same of real images with their reference labels: of what is over its limit there as well, both are said.

    Returns
    -------
    list of str
        One clause for each figure over its limit; empty where all is well.
    """
    usual = _tell(references or {})
    return [
        f"{clause} (real images with reference labels: {usual[name]})" if name in usual else clause
        for name, clause in _tell(figures).items()
    ]


def _tell(figures: Mapping[str, Any]) -> dict[str, str]:
    """Say what each figure over its limit means."""
    displacement = figures.get("displacement_median") or 0
    words = {
        "way": _describe_shift(figures),
        "larger": "larger" if displacement > 0 else "smaller",
        "displacement": abs(displacement),
    }
    return {name: ALARMS[name].sentence.format_map({**figures, **words}) for name in list_alarms(figures)}


def list_alarms(figures: Mapping[str, Any]) -> list[str]:
    """List the figures of `summary.summarise_audit` that are over their limits."""

    def is_over(name: str, alarm: Alarm) -> bool:
        enough = alarm.counted is None or (figures.get(alarm.counted) or 0) >= FEWEST
        return enough and abs(figures.get(name) or 0) > alarm.limit

    return [name for name, alarm in ALARMS.items() if is_over(name, alarm)]


def _describe_shift(figures: Mapping[str, Any]) -> str:
    """Say how far and where cells lie, along the axes on which it is more than half the limit."""
    parts = []
    for axis, ways in WAYS.items():
        shift = figures.get(f"shift_{axis}") or 0
        if abs(shift) > ALARMS["shift"].limit / 2:
            parts.append(f"{abs(shift):.1f} voxels {ways[shift < 0]}")
    return " and ".join(parts)
