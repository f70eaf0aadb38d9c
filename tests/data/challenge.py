"""Writes challenge.json: SEG and DET of random label images by py-ctcmetrics.

py-ctcmetrics is no requirement of this repository. It was run with py-ctcmetrics 1.3.3 and scikit-learn 1.9.1:
    pip install py-ctcmetrics==1.3.3 && PYTHONPATH=tests python tests/data/challenge.py
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import tifffile
from ctc_metrics.metrics import det, seg
from ctc_metrics.utils.representations import count_acyclic_graph_correction_operations, match
from labelling import SHAPES, random_pair


def matched(folder, pair):
    """What py-ctcmetrics makes of two files; it adds to the labels in place, so they are wide integers."""
    paths = [str(folder / f"{name}.tif") for name in ("reference", "predicted")]
    for path, labels in zip(paths, pair, strict=True):
        tifffile.imwrite(path, labels.astype(np.int32), photometric="minisblack")
    return match(*paths)


def det_of(matches):
    """DET of several frames; without tracks, since links between frames do not count in it."""
    references, predictions, mapped, partners, _ = map(list, zip(*matches, strict=True))
    return det(**count_acyclic_graph_correction_operations(None, None, references, predictions, mapped, partners))


def scores(shape):
    """SEG and DET of each of 50 pairs, and DET of all as frames of one sequence."""
    with tempfile.TemporaryDirectory() as folder:
        matches = [matched(Path(folder), random_pair(shape, seed)) for seed in range(50)]
    each = {"seg": [seg([match[0]], [match[4]]) for match in matches], "det": [det_of([match]) for match in matches]}
    return {"shape": shape, **each, "det_of_all": det_of(matches)}


if __name__ == "__main__":
    content = ",\n".join(json.dumps(scores(shape)) for shape in SHAPES)
    Path(__file__).with_suffix(".json").write_text(f"[{content}]\n")
