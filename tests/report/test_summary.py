import json

import numpy as np
import pandas as pd
import pytest
from running import run_script
from sketchscope import TRAINED
from sketchscope.errors import InputError
from sketchscope.images.manifest import ManifestRow, name_plane_file, write_manifest
from sketchscope.io.atomic import write_json
from sketchscope.io.images import write_image
from sketchscope.report import summary
from sketchscope.run.cost import Cost

FIGURES = {"ap50", "ap75", "ap90", "ap_mean", *summary.SCORES}
COMPARED = {
    **{"model_a": "sketchscope", "model_b": "classical", "verdict": "equivalent", "n_images": 4, "margin": 0.05},
    **{"quantity": "PQ", "unit": "image", "n_units": 4, "quality_a": 0.71, "quality_b": 0.7},
    **{"difference": 0.01, "difference_low": -0.01, "difference_high": 0.03, "interval": "95 %"},
    **{"difference_p": 0.3, "equivalence_p": 0.004, "difference_p_holm": 0.3, "equivalence_p_holm": 0.008},
    **{"ap_a": 0.66, "ap_b": 0.6, "ap_difference": 0.06, "iou_a": 0.8, "iou_b": 0.82, "iou_difference": -0.02},
    **{"ranksum_p": 0.2},
}
SHARED = "training and test images share a movie or specimen (a.tif): scores may be too good"
GROUPS = {
    "n_groups": 1,
    "n_test_groups": 1,
    "shared_groups": ["a.tif"],
    "train_test": 0.8,
    "warnings": [SHARED],
    "notes": [],
}


AUDIT = pd.DataFrame({"cells": [90, 200], "lost": [1, 4], "iou_median": [0.9, 0.8]}, index=["synthetic", "references"])


SHAPES = pd.DataFrame(
    {
        "synthetic_median": 200.0,
        "real_median": [210.0],
        "ks": 0.1,
        "wasserstein": 12.0,
        "relative": 0.06,
        "unit": "µm²",
    },
    index=pd.Index(["area"], name="measure"),
)


def scores(**changes):
    figures = {"ap50": 0.8, "ap75": 0.7, "ap90": 0.2, "ap_mean": 0.65, "average_precision": {}, "per_image": []}
    figures |= {"seg": 0.75, "iou_median": 0.85, "pq": 0.7, "sq": 0.8, "rq": 0.875, "det": 0.95}
    figures |= {"n_splits": 3, "n_merges": 2, "size_ratio": 0.98}
    return {"n_images_scored": 4, "n_cells": 200, "border": 25} | figures | changes


FINDINGS = summary.Findings(
    comparisons=pd.DataFrame([COMPARED, COMPARED | {"model_b": "cyto3", "verdict": "better", "difference": 0.2}]),
    fidelity={"t_start": 400, "sigma": 1.0, "psnr": 22.5, "zncc": 0.8},
    audit=AUDIT,
    shapes=SHAPES,
    costs={
        "train_diffusion": Cost(1, 240.0, 812.5, 0.0),
        "draw_sketches": Cost(2, 1.5, None, 0.0),
    },
    held_out=True,
    training={"steps": 1200, "seconds": 61.0, "device": "cpu (Some CPU)", "arithmetic": "float32"},
    groups=GROUPS,
)


def summarised(trained=None, baseline=None, replicates=(), **changes):
    models = {TRAINED: trained or scores(), "classical": baseline or scores(ap50=0.6), "cyto3": scores(ap50=0.5)}
    if trained and baseline:
        models["cyto3"] = baseline
    scored = summary.Scored(models, replicates, {"nuclei": "no answer"})
    return summary.summarise("hela", "demo", scored, FINDINGS._replace(**changes))


def test_nuclei_that_found_no_place_are_a_warning():
    masks = {"asked": 900.0, "reached": 700.0, "share": 0.78, "enough": False, "unit": "nuclei per 10⁶ µm³"}
    assert "warning: only 78% of the simulated nuclei found a place" in summary.format_summary(summarised(masks=masks))
    assert "found a place" not in summary.format_summary(summarised(masks=masks | {"enough": True}))
    assert summarised(masks=masks)["masks"] == masks


def test_summary_has_the_agreed_keys():
    result = summarised()
    assert set(result) == {
        *("organism", "scale", "n_images_scored", "n_cells", "border", "held_out", "groups"),
        *("models", "not_available", "trainings", "comparisons", "fidelity", "audit", "shapes", "versions"),
        *("masks", "training", "jobs", "seconds", "peak_memory_mb", "gpu_hours"),
    }
    assert list(result["models"]) == [TRAINED, "classical", "cyto3"]
    assert all(set(figures) == FIGURES for figures in result["models"].values())
    assert result["not_available"] == {"nuclei": "no answer"}
    assert result["border"] == 25
    assert result["audit"]["synthetic"] == {"cells": 90, "lost": 1, "iou_median": 0.9}
    assert result["shapes"]["area"]["relative"] == 0.06
    assert all(set(comparison) == {*summary.COMPARISON, "sentence"} for comparison in result["comparisons"])
    found = [(comparison["model_b"], comparison["verdict"]) for comparison in result["comparisons"]]
    assert found == [("classical", "equivalent"), ("cyto3", "better")]
    assert result["comparisons"][0]["n_images"] == 4
    assert [figures["ap50"] for figures in result["models"].values()] == [0.8, 0.6, 0.5]
    assert result["seconds"] == {"train_diffusion": 240.0, "draw_sketches": 1.5}
    assert result["peak_memory_mb"] == {"train_diffusion": 812.5, "draw_sketches": None}
    assert {"python", "numpy", "cellpose", "sketchscope", "snakemake"} <= set(result["versions"])


def test_summary_says_how_the_diffusion_model_was_trained(tmp_path):
    sentence = "1,200 steps in 1 min 1 s on cpu (Some CPU), float32"
    assert summarised()["training"] == FINDINGS.training | {"sentence": sentence}
    assert f"diffusion model: {sentence}" in summary.format_summary(summarised())
    published = summary.read_training(None, "models/epoch=9.ckpt")
    told = summarised(training=published)["training"]["sentence"]
    assert told == "not trained in this run: a published network, epoch=9.ckpt"


@pytest.mark.parametrize(("change", "message"), [({"n_cells": 180}, "200.*180"), ({"border": 0}, "25.*0")])
def test_summary_of_different_cells_is_refused(change, message):
    one, other = message.split(".*")
    with pytest.raises(InputError, match=rf"hela: .*{one}.*classical.*{other}"):
        summarised(baseline=scores(**change))


def test_formatted_summary_can_be_read():
    text = summary.format_summary(summarised())
    lines = text.splitlines()
    assert lines[0] == "hela, scale demo: 200 cells in 4 images"
    precisions = ["AP@0.5", "AP@0.75", "AP@0.9", "AP"]
    assert lines[1].split() == ["model", *precisions, "PQ", "DET", "SEG", "median", "IoU"]
    assert lines[2].split() == ["sketchscope", "0.800", "0.700", "0.200", "0.650", "0.700", "0.950", "0.750", "0.850"]
    assert lines[3].split()[:2] == ["classical", "0.600"]
    assert lines[4].split()[:2] == ["cyto3", "0.500"]
    assert len({len(line) for line in lines[1:5]}) == 1
    assert lines[5] == "nuclei: not fetched (no answer)"
    assert lines[6].startswith("sketchscope is equivalent to classical: its panoptic quality is 0.010 higher")
    assert lines[7].startswith("sketchscope is better than cyto3: its panoptic quality is 0.200 higher")
    assert lines[8] == f"warning: {SHARED}"
    assert "train_diffusion  240.0 s" in text
    assert lines[-1] == "all rules 241.5 s, on CPU"
    used = {"train_diffusion": Cost(1, 240.0, 812.5, 480.0)}
    assert summary.format_summary(summarised(costs=used)).endswith("all rules 240.0 s, 0.13 GPU hours")


def test_spread_over_trainings():
    result = summarised(replicates=[scores(ap50=0.9), scores(ap50=0.7, seg=None)])["trainings"]
    assert result["count"] == 3
    assert set(result["mean"]) == set(result["sd"]) == FIGURES
    assert (result["mean"]["ap50"], result["sd"]["ap50"]) == pytest.approx((0.8, 0.1))
    assert (result["mean"]["seg"], result["sd"]["seg"]) == pytest.approx((0.75, 0))
    single = summarised()["trainings"]
    assert single["count"] == 1
    assert single["mean"] == summarised()["models"][TRAINED]
    assert set(single["sd"].values()) == {None}
    lines = summary.format_summary(summarised(replicates=[scores(ap50=0.7)])).splitlines()
    assert lines[5].split()[:6] == ["mean", "of", "2", "trainings", "0.750", "0.700"]
    assert lines[6].split()[:6] == ["SD", "of", "2", "trainings", "0.071", "0.000"]


def test_formatted_summary_without_truth():
    nothing = scores(n_images_scored=0, n_cells=0) | dict.fromkeys(FIGURES)
    text = summary.format_summary(summarised(nothing, nothing, held_out=False, costs={}))
    assert "0 cells in 0 images (not held out" in text
    assert text.splitlines()[2].split() == ["sketchscope", *"--------"]


def lay_out(folder, shape, *, labelled):
    """Two test images (predicted well and badly) and a training image, as the other rules leave them."""
    (folder / "labels").mkdir()
    rows = []
    for name, split in (("000", "train"), ("001", "test"), ("002", "test")):
        numbers = {"voxel_size": (1.0,) * len(shape), "low": 0.0, "high": 1.0, "gamma": 1.0}
        labels = labelled and split == "test"
        rows.append(ManifestRow(name, split, f"{name}.tif", 0, shape, "uint16", labelled=labels, **numbers))
        if split == "train":
            continue
        truth = np.zeros(shape, np.uint16)
        truth[..., 2:8, 2:8], truth[..., 10:16, 10:16] = 1, 2
        good, bad = truth.copy(), truth.copy()
        good[..., 7, 2:8] = 0
        bad[bad == 2] = 0
        if labelled:
            write_image(folder / "labels" / f"{name}.ome.tif", truth, numbers["voxel_size"])
        for model, prediction in ((TRAINED, good), ("classical", bad)):
            write_image(folder / "predictions" / model / f"{name}.ome.tif", prediction, numbers["voxel_size"])
    write_manifest(folder / "manifest.csv", rows)


def score(folder, model, out, border=0):
    """Run score_segmentation on the predictions of a model; iou.csv and scores.json go into `out`."""
    run_script(
        "score_segmentation",
        folder,
        inputs={
            "predictions": folder / "predictions" / model,
            "labels": folder / "labels",
            "manifest": folder / "manifest.csv",
        },
        outputs={"iou": out / "iou.csv", "scores": out / "scores.json"},
        params={"thresholds": [0.5, 0.75, 0.9], "border": border},
    )


@pytest.mark.parametrize("shape", [(20, 20), (3, 20, 20), (1, 20, 20)])
@pytest.mark.parametrize("labelled", [True, False])
def test_scripts_from_predictions_to_summary(tmp_path, capsys, shape, labelled):
    lay_out(tmp_path, shape, labelled=labelled)
    for model in (TRAINED, "classical"):
        score(tmp_path, model, tmp_path / model, border=2 if labelled else 0)
    run_script(
        "compare_models",
        tmp_path,
        inputs={
            "manifest": tmp_path / "manifest.csv",
            "ious": [tmp_path / TRAINED / "iou.csv", tmp_path / "classical/iou.csv"],
            "scores": [tmp_path / TRAINED / "scores.json", tmp_path / "classical/scores.json"],
        },
        outputs={"statistics": tmp_path / "statistics.csv"},
        params={"models": [TRAINED, "classical"], "margin": 0.05, "seed": 1},
    )
    write_json(tmp_path / "groups.json", GROUPS)
    (tmp_path / "choice.json").write_text('{"t_start": 300, "psnr": 21.5}')
    SHAPES.to_csv(tmp_path / "shapes.csv")
    (tmp_path / "training.json").write_text(json.dumps(FINDINGS.training | {"settings": {"steps": 1200}}))
    AUDIT.to_csv(tmp_path / "audit.csv", index_label="labels")
    run_script(
        "summarise_organism",
        tmp_path,
        inputs={
            "scores": [tmp_path / TRAINED / "scores.json", tmp_path / "classical/scores.json"],
            "statistics": tmp_path / "statistics.csv",
            "audit": tmp_path / "audit.csv",
            "choice": tmp_path / "choice.json",
            "shapes": tmp_path / "shapes.csv",
            "training": tmp_path / "training.json",
            "census": [],
            "manifest": tmp_path / "manifest.csv",
            "groups": tmp_path / "groups.json",
            "replicates": [str(tmp_path / "classical/scores.json")],
        },
        outputs={"summary": tmp_path / "summary.json"},
        params={
            **{"scale": "demo", "models": [TRAINED, "classical"], "checkpoint": None},
            **{"benchmarks": tmp_path / "benchmarks", "logs": tmp_path / "logs"},
        },
    )
    result = json.loads((tmp_path / "summary.json").read_text())
    trained, classical = (result["models"][model] for model in (TRAINED, "classical"))
    (comparison,) = result["comparisons"]
    cells = pd.read_csv(tmp_path / TRAINED / "iou.csv", dtype={"image": str})
    statistics = pd.read_csv(tmp_path / "statistics.csv")
    assert statistics.shape[0] == 1
    assert result["held_out"] is True
    assert result["border"] == (2 if labelled else 0)
    assert result["fidelity"] == {"t_start": 300, "psnr": 21.5}
    assert result["training"] == FINDINGS.training | {"sentence": "1,200 steps in 1 min 1 s on cpu (Some CPU), float32"}
    if labelled:
        assert cells["image"].tolist() == ["001", "001", "002", "002"]
        assert (result["n_images_scored"], result["n_cells"]) == (2, 4)
        assert (trained["ap75"], trained["ap90"]) == pytest.approx((1, 1 / 3))
        assert classical["ap50"] == pytest.approx(0.5)
        assert statistics.loc[0, "n_cells"] == 4
        assert comparison["verdict"] == statistics.loc[0, "verdict"] == "better"
        assert (comparison["n_images"], comparison["n_units"], comparison["unit"]) == (2, 2, "image")
        assert comparison["difference"] == pytest.approx(trained["pq"] - classical["pq"])
        assert (trained["n_splits"], trained["det"], classical["det"]) == (0, 1, 0.5)
    else:
        assert len(cells) == 0
        assert cells.columns.tolist()[:4] == ["image", "plane", "label", "area"]
        assert (result["n_images_scored"], result["n_cells"]) == (0, 0)
        assert set(trained.values()) == {None}
        assert np.isnan(statistics.loc[0, "ranksum_p"])
        assert comparison["verdict"] == "no verdict"
        assert comparison["difference"] is None
    assert "hela, scale demo" in capsys.readouterr().out


def test_scripts_score_sparse_gold_truth(tmp_path):
    """Planes of a stack with some of their cells, as prepare_images writes them, down to the table of cells."""
    lay_out(tmp_path, (3, 20, 20), labelled=False)
    truth = np.zeros((20, 20), np.uint16)
    truth[2:8, 2:8] = 9  # the other cell of the plane is not annotated
    write_image(tmp_path / "labels" / name_plane_file("002", 1), truth, (1.0, 1.0))
    score(tmp_path, TRAINED, tmp_path)
    cells = pd.read_csv(tmp_path / "iou.csv", dtype={"image": str})
    assert cells[["image", "plane", "label"]].to_numpy().tolist() == [["002", 1, 9]]
    assert cells["seg"].tolist() == pytest.approx([30 / 36])
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert (scores["n_images_scored"], scores["n_planes_scored"]) == (1, 1)
    assert scores["seg"] == pytest.approx(30 / 36)
    assert [scores[key] for key in ("ap50", "pq", "det")] == [None] * 3


def test_script_reports_bad_labels_in_one_sentence(tmp_path, capsys):
    lay_out(tmp_path, (20, 20), labelled=True)
    write_image(tmp_path / f"predictions/{TRAINED}/001.ome.tif", np.ones((20, 19), np.uint16), [1, 1])
    with pytest.raises(SystemExit) as caught:
        score(tmp_path, TRAINED, tmp_path / "out")
    assert caught.value.code == 1
    assert capsys.readouterr().err == ("Error: 001: predicted labels have shape (20, 19), the reference (20, 20)\n")
    assert not (tmp_path / "out").exists()


def test_the_slowest_rule_comes_first():
    costs = {name: Cost(1, seconds, None, 0.0) for name, seconds in (("a", 2.0), ("b", 30.0), ("c", 4.0))}
    lines = summary.format_summary(summarised(costs=costs)).splitlines()
    assert [line.split() for line in lines[-4:-1]] == [["b", "30.0", "s"], ["c", "4.0", "s"], ["a", "2.0", "s"]]
