"""A finished run as the rules leave it, small, and the report and the card made of it."""

import json

import numpy as np
import pandas as pd
from running import REPOSITORY, run_script
from sketchscope.config.resolve import resolve
from sketchscope.config.views import effective_settings, synthetic_settings
from sketchscope.evaluation.comparison import compare_baselines
from sketchscope.evaluation.units import Segmented
from sketchscope.images.manifest import ManifestRow, write_manifest
from sketchscope.io.atomic import write_json
from sketchscope.io.images import write_image
from sketchscope.report import charts, pictures, style, summary
from sketchscope.run import cost

GROUPS = {"n_groups": 4, "n_test_groups": 4, "shared_groups": [], "warnings": [], "notes": []}
FIDELITY = {"t_start": 300, "sigma": 0.5, "sampler": "ddim, 20 steps", "psnr": 23.77, "zncc": 0.852}
FIDELITY |= {"sketch_psnr": 25.41, "sketch_zncc": 0.913}
TEXTS = REPOSITORY / "workflow/report"
VOXEL_SIZES = {2: (0.5, 0.5), 3: (1.0, 0.5, 0.5)}
SHAPES = {2: (40, 60), 3: (4, 40, 60)}
ORGANISMS = {2: "hela", 3: "cho"}
SOURCE = {
    "name": "Fluo-X",
    "citation": "Somebody, Cells & <nuclei> (2020)",
    "terms": "Cite; see https://data.example/terms",
}


TRAINING = {"steps": 2500, "seconds": 372.4, "device": "cpu (Some CPU, fast at bf16)", "arithmetic": "bfloat16"}
AUDITED = {"cells": [752], "measured": [750], "lost": [13], "unlabelled": [4], "borders": [60], "hidden_borders": [5]}
AUDITED |= {"warnings": ["cells lie 2.0 voxels below their masks"]}
NUMBERS = ("synthetic_median", "real_median", "ks", "wasserstein", "relative")
COMPARED = pd.DataFrame([[200.0, 210.0, 0.1, 12.0, 0.06]], columns=NUMBERS, index=pd.Index(["area"], name="measure"))


def settings_of(dimensions):
    """All settings of a preset of so many dimensions, the start and the blur set."""
    name, chosen = ORGANISMS[dimensions], {"generation": {"t_start": 400}, "sketch": {"sigma": 1.0}}
    return resolve({"organisms": {name: chosen}}, REPOSITORY)["organisms"][name]


def labels_of(shape):
    labels = np.zeros(shape, np.uint16)
    labels[..., 5:20, 5:20], labels[..., 25:35, 30:50] = 1, 7
    return labels


def write_set(folder, dimensions, batches=2, suffix=".ome.tif"):
    """The manifest, and batches of two synthetic images with masks of two cells and of one."""
    shape, voxel_size = SHAPES[dimensions], VOXEL_SIZES[dimensions]
    numbers = {"voxel_size": voxel_size, "low": 0.0, "high": 1.0, "gamma": 1.0, "labelled": False}
    rows = [
        ManifestRow(f"000{i}", "train" if i < 3 else "test", "a.tif", i, shape, "uint16", **numbers) for i in range(4)
    ]
    write_manifest(folder / "manifest.csv", rows)
    for index in range(2 * batches):
        name = f"batch_{index // 2:03d}/volume_{index:04d}{suffix}"
        labels = labels_of(shape)
        if index % 2:
            labels[labels == 7] = 0
        image = np.random.default_rng(index).integers(100, 200, shape).astype(np.uint16)
        write_image(folder / "masks" / name, labels, voxel_size)
        write_image(folder / "synthetic" / name, image, voxel_size)
    for batch in (folder / "synthetic").iterdir():
        (batch / ".snakemake_timestamp").touch()


def write_card(folder, dimensions, source=SOURCE, **settings):
    """Run the rule on what `write_set` has written."""
    checkpoint = settings.get("diffusion", {}).get("checkpoint")
    write_json(folder / "choice.json", {"t_start": 300, "sigma": 0.5})
    write_json(folder / "depth.json", {"decay_um": 12.5})
    write_json(folder / "training.json", TRAINING | {"settings": {}})
    written = folder / "synthetic"
    batches = [sorted((folder / name).glob("batch_*")) for name in ("synthetic", "masks")]
    run_script(
        "write_card",
        folder,
        inputs={
            "synthetic": [str(path) for path in batches[0]],
            "masks": [str(path) for path in batches[1]],
            "manifest": str(folder / "manifest.csv"),
            "choice": str(folder / "choice.json"),
            "depth": str(folder / "depth.json"),
            **({} if checkpoint else {"training": str(folder / "training.json")}),
            "template": str(TEXTS / "card.md"),
        },
        outputs={
            "card": str(written / "README.md"),
            "table": str(written / "metadata.csv"),
            "checksums": str(written / "checksums.sha256"),
            "masks": str(written / "masks"),
        },
        params={
            "settings": synthetic_settings(settings_of(dimensions) | settings),
            "source": source,
            "scale": "demo",
            "seed": 5,
        },
    )
    return written


def scored(quality):
    """Scores of a model as `metrics.score_images` has them."""
    names = ("ap50", "ap75", "ap90", "ap_mean", "pq", "sq", "rq", "det", "seg", "iou_median")
    found = {name: round(quality - index / 100, 3) for index, name in enumerate(names)}
    found |= {"n_splits": 3, "n_merges": 1204, "size_ratio": 0.98}
    return found | {"n_images_scored": 4, "n_cells": 80, "border": 0}


def ious(quality, rng):
    images, labels = np.repeat([f"000{i}" for i in range(4)], 20), np.tile(np.arange(1, 21), 4)
    iou = np.clip(rng.normal(quality, 0.05, 80), 0, 1)
    return pd.DataFrame({"image": images, "plane": -1, "label": labels, "iou": iou})


def segmented(cells):
    """A model that finds these cells and no other."""
    counted = {"n_reference": 20, "n_predicted": 20}
    ious = {name: table["iou"] for name, table in cells.groupby("image")}
    found = {name: [int((iou > level).sum()) for level in np.arange(0.5, 1, 0.05)] for name, iou in ious.items()}
    images = [
        {"image": name, "iou_sum": iou[iou > 0.5].sum(), "found_by_iou": found[name]} | counted
        for name, iou in ious.items()
    ]
    return Segmented(cells, images)


def write_benchmarks(folder, gpus):
    """Benchmark files and logs of three rules, one with two jobs, one too short to be measured."""
    jobs = {
        "train_diffusion": (
            7200.0,
            "812.5",
            f"cuda (Some GPU){f', {gpus} GPUs' if gpus > 1 else ''}" if gpus else "cpu",
        ),
        "generate_volumes.batch_000": (30.25, "300.0", "cpu"),
        "generate_volumes.batch_001": (29.75, "310.0", "cpu"),
        "plot_loss": (0.4, "NA", "cpu"),
    }
    for name in ("benchmarks", "logs"):
        (folder / name).mkdir(exist_ok=True)
    for name, (seconds, memory, device) in jobs.items():
        (folder / f"benchmarks/{name}.tsv").write_text(f"s\th:m:s\tmax_rss\n{seconds}\t0:00:01\t{memory}\n")
        (folder / f"logs/{name}.log").write_text(f"# now\n# numpy 2\n# device {device}\nstep 1\n")


def draw_figures(folder, dimensions, comparison, tables):
    """Every figure that has a caption, drawn from little data."""
    shape, voxel_size = SHAPES[dimensions], VOXEL_SIZES[dimensions]
    labels = labels_of(shape)
    image = ((labels > 0) - 0.5 + np.random.default_rng(0).normal(0, 0.1, shape)).astype(np.float32)
    overlay = pictures.Overlay("0001", image, labels, dict.fromkeys(tables, labels))
    steps = np.arange(1, 21) * 10
    drawn = {
        "pairs": pictures.plot_pairs([pictures.Pair(image, image, image, labels)], voxel_size),
        "overlays": pictures.plot_overlays([overlay], voxel_size),
        "iou": charts.plot_iou({name: table["iou"].to_numpy() for name, table in tables.items()}),
        "verdict": charts.plot_verdicts(comparison),
        "samples": pictures.plot_samples(np.stack([image] * 4), voxel_size),
        "loss": charts.plot_loss(steps, 1 / steps, steps / 10.0),
    }
    for name, figure in drawn.items():
        style.save(figure, folder / f"figures/{name}.png", dpi=60)
    return list(drawn)


def write_report(folder, dimensions=2, gpus=0, **changes):
    """Lay out a finished run and write its report.

    Parameters
    ----------
    **changes
        Of the summary.
    """
    rng = np.random.default_rng(1)
    tables = {"sketchscope": ious(0.85, rng), "classical": ious(0.84, rng), "cyto3": ious(0.6, rng)}
    models = {name: segmented(table) for name, table in tables.items()}
    groups = {f"000{i}": f"movie {i}" for i in range(4)}
    comparison = compare_baselines(models, groups, organism="hela", margin=0.05, seed=0)
    comparison.to_csv(folder / "statistics.csv", index=False)
    write_set(folder, dimensions, batches=1)
    write_benchmarks(folder, gpus)
    names = draw_figures(folder, dimensions, comparison, tables)
    models = {"sketchscope": scored(0.9), "classical": scored(0.8), "cyto3": scored(0.7)}
    findings = summary.Findings(
        comparisons=comparison,
        fidelity=FIDELITY,
        audit=pd.DataFrame(AUDITED, index=["synthetic"]),
        shapes=COMPARED,
        costs=cost.sum_costs(folder / "benchmarks", folder / "logs"),
        held_out=True,
        training=TRAINING,
        groups=GROUPS,
    )
    missing = {"nuclei": "https://example.org/<nuclei>: the server answers 404 Not Found"}
    result = summary.summarise("hela", "demo", summary.Scored(models, [], missing), findings)
    write_json(folder / "summary.json", result | changes)
    run_script(
        "write_report",
        folder,
        inputs={
            "summary": str(folder / "summary.json"),
            "statistics": str(folder / "statistics.csv"),
            "manifest": str(folder / "manifest.csv"),
            "figures": [str(folder / f"figures/{name}.png") for name in names],
            "captions": [str(TEXTS / f"{name}.rst") for name in [*names, "summary", "statistics"]],
            "template": str(TEXTS / "report.html"),
        },
        outputs={"report": str(folder / "report.html")},
        params={
            "titles": {name: f"figure of {name}" for name in names},
            "settings": effective_settings(settings_of(dimensions)),
            "seed": 5,
            "models": [*models, *missing],
            "margin": 0.05,
        },
    )
    return json.loads((folder / "summary.json").read_text()), (folder / "report.html").read_text(encoding="utf-8")
