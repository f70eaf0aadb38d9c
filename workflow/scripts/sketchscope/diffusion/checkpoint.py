"""The state from which an interrupted training goes on, and the table of its losses."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import torch

from ..io.atomic import PathLike, atomic_path, remove_leftovers

LOSS_COLUMNS = ("step", "seconds", "loss", "learning_rate")


class Checkpoint:
    """Everything a training needs to go on, in one file that is replaced as a whole.

    The state of the random generators is the step number: every step seeds its own.

    Parameters
    ----------
    path : path
        The file.
    fingerprint : dict
        Everything that decides the result. A state saved with another fingerprint is not used.
    """

    def __init__(self, path: PathLike, fingerprint: dict) -> None:
        self.path = Path(path)
        self.fingerprint = json.dumps(fingerprint, sort_keys=True)

    def save(self, state: dict) -> None:
        """Replace the checkpoint."""
        with atomic_path(self.path) as temporary:
            torch.save(state | {"fingerprint": self.fingerprint}, temporary)

    def load(self) -> dict | None:
        """Read the last state; None if there is none with this fingerprint."""
        remove_leftovers(self.path)
        if not self.path.exists():
            return None
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            fingerprint = state["fingerprint"]
        except Exception as error:
            print(f"checkpoint {self.path} cannot be read, training starts over ({error})")
            return None
        if fingerprint != self.fingerprint:
            print(f"checkpoint {self.path} belongs to other settings, training starts over")
            return None
        return state


def write_losses(path: PathLike, losses: Sequence[Sequence[float]]) -> None:
    """Write loss.csv: one row per report, with the mean loss since the row before."""
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(LOSS_COLUMNS)
        writer.writerows(losses)
