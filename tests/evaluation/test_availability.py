"""A baseline whose weights a server refuses: from the fetch to the report, which names it and has all the rest."""

import json

import numpy as np
import pandas as pd
import pytest
from reporting import AUDITED, FIDELITY, GROUPS, TEXTS, settings_of
from running import run_script
from sketchscope import TRAINED
from sketchscope.config.views import effective_settings
from sketchscope.evaluation.availability import read_reason, split_available, write_reason
from sketchscope.images.manifest import ManifestRow, write_manifest
from sketchscope.io.atomic import write_json
from sketchscope.io.images import write_image

MODELS = [TRAINED, "classical", "cyto3"]


def test_reason_takes_the_place_of_predictions(tmp_path):
    write_image(tmp_path / "predictions/0000.ome.tif", np.ones((4, 4), np.uint16), (1.0, 1.0))
    assert read_reason(tmp_path / "predictions") is None
    write_reason(tmp_path / "predictions", "no answer")
    assert read_reason(tmp_path / "predictions") == "no answer"
    assert len(list((tmp_path / "predictions").iterdir())) == 1


def test_models_are_separated_in_their_order():
    scores = {"b": {"pq": 0.1}, "c": {"not_available": "gone"}, "a": {"pq": None}}
    assert split_available(scores) == ({"b": {"pq": 0.1}, "a": {"pq": None}}, {"c": "gone"})
    assert list(split_available(scores)[0]) == ["b", "a"]


def write_run(folder):
    """Two labelled test images, predicted well by one model and badly by another."""
    rows = []
    for name in ("0000", "0001", "0002"):
        numbers = {"voxel_size": (0.5, 0.5), "low": 0.0, "high": 200.0, "gamma": 1.0, "labelled": True}
        split = "train" if name == "0000" else "test"
        rows.append(ManifestRow(name, split, f"{name}.tif", 0, (48, 48), "uint16", **numbers))
        labels = np.zeros((48, 48), np.uint16)
        labels[5:20, 5:20], labels[25:40, 25:45] = 1, 2
        poor = np.where(labels == 2, 0, labels)
        image = np.random.default_rng(0).integers(0, 200, labels.shape).astype(np.uint16)
        targets = {"images": image, "labels": labels, f"predictions/{TRAINED}": labels, "predictions/classical": poor}
        for target, array in targets.items():
            write_image(folder / target / f"{name}.ome.tif", array, (0.5, 0.5))
    write_manifest(folder / "manifest.csv", rows)


def fetch_and_segment(folder, server, *, split, required):
    """Run fetch_weights against a server that has no such file, then segment_images."""
    entry = {"kind": "http", "url": f"{server.url}/models/cyto3"}
    params = {"weights": entry, "required": required, "mirror": None}
    run_script("fetch_weights", folder, outputs={"record": folder / "models/cyto3.json"}, params=params)
    segment(folder, split)


def segment(folder, split):
    params = {"settings": {}, "cell_diameter": 10.0, "diam_mean": 30.0, "split": split, "seed": 1}
    inputs = {"images": folder / "images", "weights": folder / "models/cyto3.json"}
    run_script(
        "segment_images",
        folder,
        inputs=inputs | {"manifest": folder / "manifest.csv"},
        outputs={"predictions": folder / "predictions/cyto3"},
        params=params,
        resources={"device": "cpu"},
    )


def score_and_compare(folder, models):
    inputs = {"labels": folder / "labels", "manifest": folder / "manifest.csv"}
    for model in models:
        outputs = {name: folder / "evaluation" / model / file for name, file in FILES.items()}
        predictions = {"predictions": folder / "predictions" / model}
        params = {"thresholds": [0.5, 0.9], "border": 0}
        run_script("score_segmentation", folder, inputs=inputs | predictions, outputs=outputs, params=params)
    scored = {name: [folder / "evaluation" / model / file for model in models] for name, file in PLURALS.items()}
    run_script(
        "compare_models",
        folder,
        inputs=scored | {"manifest": folder / "manifest.csv"},
        outputs={"table": folder / "statistics.csv"},
        params={"models": models, "margin": 0.05, "seed": 1},
    )
    params = {"models": models}
    run_script("plot_iou", folder, inputs=scored, outputs={"figure": folder / "figures/iou.png"}, params=params)
    predictions = {"images": folder / "images", "predictions": [folder / "predictions" / model for model in models]}
    outputs = {"figure": folder / "figures/overlays.png"}
    run_script("plot_overlays", folder, inputs=inputs | predictions, outputs=outputs, params=params)
    outputs = {"figure": folder / "figures/verdict.png"}
    run_script("plot_verdict", folder, inputs={"table": folder / "statistics.csv"}, outputs=outputs)


FILES = {"iou": "iou.csv", "scores": "scores.json"}
PLURALS = {"ious": "iou.csv", "scores": "scores.json"}


def summarise_and_report(folder, models):
    write_json(folder / "choice.json", FIDELITY)
    write_json(folder / "groups.json", GROUPS)
    audit = pd.DataFrame(AUDITED, index=["synthetic"])
    audit.to_csv(folder / "audit.csv", index_label="labels")
    shapes = ("synthetic_median", "real_median", "ks", "wasserstein", "relative")
    pd.DataFrame(dict.fromkeys(shapes, 0.5), index=["area"]).to_csv(folder / "shapes.csv", index_label="measure")
    named = {name: folder / f"{name}.csv" for name in ("statistics", "audit", "shapes", "manifest")}
    scores = [folder / "evaluation" / model / "scores.json" for model in models]
    run_script(
        "summarise_organism",
        folder,
        inputs=named
        | {"scores": scores, "groups": folder / "groups.json", "choice": folder / "choice.json", "replicates": []}
        | {"census": []},
        outputs={"summary": folder / "summary.json"},
        params={
            **{"models": models, "scale": "demo", "checkpoint": "models/epoch=9.ckpt"},
            **{"benchmarks": folder / "none", "logs": folder / "none"},
        },
    )
    figures = [folder / f"figures/{name}.png" for name in ("overlays", "iou", "verdict")]
    run_script(
        "write_report",
        folder,
        inputs=named
        | {"summary": folder / "summary.json", "figures": figures, "template": TEXTS / "report.html"}
        | {
            "captions": [TEXTS / f"{path.stem}.rst" for path in figures]
            + [TEXTS / "summary.rst", TEXTS / "statistics.rst"]
        },
        outputs={"report": folder / "report.html"},
        params={
            **{"titles": {path.stem: path.stem for path in figures}, "models": models, "margin": 0.05, "seed": 1},
            "settings": effective_settings(settings_of(2)),
        },
    )


@pytest.mark.parametrize("models", [MODELS, [TRAINED, "cyto3"]], ids=["beside another", "alone"])
def test_a_baseline_that_a_server_refuses_is_named_and_the_rest_is_made(server, tmp_path, capsys, models):
    write_run(tmp_path)
    fetch_and_segment(tmp_path, server, split="test", required=False)
    score_and_compare(tmp_path, models)
    summarise_and_report(tmp_path, models)
    reason = f"{server.url}/models/cyto3: the server answers 404 Not Found"
    statistics = pd.read_csv(tmp_path / "statistics.csv")
    summary = json.loads((tmp_path / "summary.json").read_text())
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert statistics["model_b"].tolist() == models[1:-1]
    assert summary["not_available"] == {"cyto3": reason}
    assert set(summary["models"]) == set(models[:-1])
    assert [comparison["model_b"] for comparison in summary["comparisons"]] == models[1:-1]
    assert summary["models"][TRAINED]["ap50"] == 1
    assert "Cyto3: not fetched" in page
    assert reason in page
    assert ("Verdict against classical: " in page) == ("classical" in models)
    assert page.count("<img ") == 3
    assert f"cyto3: not fetched ({reason})" in capsys.readouterr().out


def test_masks_cannot_do_without_their_model(server, tmp_path, capsys):
    write_run(tmp_path)
    with pytest.raises(SystemExit) as caught:
        fetch_and_segment(tmp_path, server, split="train", required=True)
    assert caught.value.code == 1
    assert capsys.readouterr().err == f"Error: {server.url}/models/cyto3: the server answers 404 Not Found\n"
    assert not (tmp_path / "models/cyto3.json").exists(), "the next run tries again"


def test_masks_cannot_be_made_with_what_was_only_a_baseline(server, tmp_path, capsys):
    """The record of an earlier run, which did without, is there."""
    write_run(tmp_path)
    with pytest.raises(SystemExit):
        fetch_and_segment(tmp_path, server, split="train", required=False)
    message = capsys.readouterr().err
    assert message.startswith(
        f"Error: {tmp_path}/models/cyto3.json: not fetched: {server.url}/models/cyto3: the server"
    )
    assert "run snakemake --forcerun fetch_weights" in message
    assert "Traceback" not in message
    assert not (tmp_path / "predictions/cyto3").exists()
