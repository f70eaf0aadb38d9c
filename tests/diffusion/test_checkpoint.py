import csv

import pytest
import torch
from sketchscope.diffusion.checkpoint import LOSS_COLUMNS, Checkpoint, write_losses


def test_checkpoint_is_replaced_as_a_whole(tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt", {"a": 1, "b": [2]})
    assert checkpoint.load() is None
    checkpoint.save({"step": 3})

    def disk_full(state, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", disk_full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save({"step": 4})
    assert checkpoint.load()["step"] == 3
    assert Checkpoint(tmp_path / "checkpoint.pt", {"b": [2], "a": 1}).load()["step"] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_loss_table(tmp_path):
    write_losses(tmp_path / "loss.csv", [[4, 1.5, 0.25, 1e-3], [8, 3.0, 0.125, 5e-4]])
    with open(tmp_path / "loss.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == LOSS_COLUMNS
    assert [[float(row[name]) for name in LOSS_COLUMNS] for row in rows] == [[4, 1.5, 0.25, 1e-3], [8, 3, 0.125, 5e-4]]
