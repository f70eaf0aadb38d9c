"""The whole workflow on small images that the test writes, as a user with images of their own runs it."""

import json
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml
from running import snakemake
from scipy import ndimage
from sketchscope.io.images import read_image

pytestmark = pytest.mark.workflow

# what makes it small; everything else is what the preset says
TINY = {
    "volumes": 8,
    "volumes_per_job": 4,
    "diffusion": {"channels": [16, 32], "steps": 300, "report_every": 100, "batch_size": 8},
    "generation": {"steps": 10},
    "cellpose": {"epochs": 20, "images_per_epoch": 16, "batch_size": 4, "crop": 48},
}
FLAT = TINY | {
    "preset": "nuclei-2d",
    "voxel_size": [0.5, 0.5],
    "cell_diameter": 10.0,
    "volume_shape": [128, 128],
    "simulation": {"density": 40.0},
}
DEEP = TINY | {
    "preset": "nuclei-3d",
    "voxel_size": [1.0, 0.5, 0.5],
    "cell_diameter": 10.0,
    "volume_shape": [12, 96, 96],
    "simulation": {"density": 600.0},
    "diffusion": TINY["diffusion"] | {"patch_shape": [8, 32, 32], "steps": 150},
    # of a grid of starts and blurs that is scored first, one is taken
    "sweep": {"t_start": [200, 400], "sigma": [0.5, 1.5], "images": 2},
    "sketch": {"sigma": "auto"},
    "generation": {"t_start": "auto", "steps": 10},
}


def draw_cells(shape, voxel_size, diameter, rng):
    """An image of blurred, unevenly bright balls on a dark, noisy background, and its labels."""
    labels = np.zeros(shape, np.uint16)
    image = np.zeros(shape)
    position = np.stack(np.meshgrid(*[np.arange(n) * s for n, s in zip(shape, voxel_size, strict=True)], indexing="ij"))
    extent = np.multiply(shape, voxel_size)
    for _ in range(300):
        distance = np.sqrt(((position.T - rng.uniform(0, extent)).T ** 2).sum(0))
        if not labels[distance < 0.6 * diameter].any():
            inside = distance < rng.uniform(0.42, 0.5) * diameter
            if inside.any():
                labels[inside] = labels.max() + 1
                image[inside] = rng.uniform(0.5, 1.0)
    image = ndimage.gaussian_filter(image, [0.5 / size for size in voxel_size])
    return 200 + 2000 * image + rng.normal(0, 40, shape), labels


def write_frames(folder, count, shape, settings):
    """Write image and label files; the images hold 16-bit integers as a microscope gives them."""
    rng = np.random.default_rng(1)
    for name in ("images", "truth"):
        (folder / name).mkdir()
    for frame in range(count):
        image, labels = draw_cells(shape, settings["voxel_size"], settings["cell_diameter"], rng)
        tifffile.imwrite(folder / f"images/t{frame}.tif", np.clip(image, 0, 65535).astype(np.uint16))
        tifffile.imwrite(folder / f"truth/t{frame}.tif", labels)


def write_config(folder, organisms, **top):
    top = {"seed": 3, "device": "cpu"} | top
    (folder / "config.yaml").write_text(yaml.safe_dump(top | {"organisms": organisms}))


def finish(folder, *options):
    # one core: the tests run side by side, and threads that outnumber the cores slow each other down
    done = snakemake(folder, "--cores", 1, *options)
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def summary_of(results):
    return json.loads((results / "evaluation/summary.json").read_text())


def scores(results):
    return summary_of(results)["models"]["sketchscope"]


def assert_whole(results, shape, volumes):
    """Every volume has its mask, of one shape and with cells, and every figure is there."""
    for index in range(volumes):
        name = f"batch_{index // 4:03d}/volume_{index:04d}.ome.tif"
        synthetic, mask = read_image(results / "synthetic" / name), read_image(results / "masks" / name)
        assert synthetic.shape == mask.shape == shape
        assert synthetic.dtype == np.uint16
        assert mask.max() > 0
    assert_checksums(results / "synthetic", 2 * volumes)
    assert (results / "report.html").read_text().count("<img ") == 9
    for figure in ("pairs", "loss", "overlays", "iou", "verdict", "audit", "sweep", "shapes"):
        assert (results / f"figures/{figure}.png").stat().st_size > 5000
    assert not list(results.rglob("*.tmp"))


def assert_checksums(folder, files):
    """The data set is whole, as its reader would check it."""
    done = subprocess.run(["sha256sum", "--check", "checksums.sha256"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": OK\n") == files


def assert_cells_show(results):
    """The synthetic images are brighter inside their masks than outside."""
    for path in (results / "synthetic").glob("batch_*/*.ome.tif"):
        synthetic, mask = read_image(path), read_image(results / "masks" / path.parent.name / path.name)
        assert synthetic[mask > 0].mean() > synthetic[mask == 0].mean() + 200


def test_images_of_ones_own_2d(tmp_path):
    write_frames(tmp_path, 6, (160, 160), FLAT)
    organism = FLAT | {"images": "images/*.tif", "labels": "truth/*.tif", "test_images": "4-5"}
    organism |= {"cellpose": FLAT["cellpose"] | {"replicates": 2}, "simulation": {"fit": True}}
    write_config(tmp_path, {"my-cells": organism})
    finish(tmp_path)
    results = tmp_path / "results/my-cells"
    assert_whole(results, (128, 128), 8)
    assert_cells_show(results)
    found = scores(results)
    assert found["ap50"] > 0.7, "a network that learnt nothing finds no cell"
    assert found["iou_median"] > 0.7
    shapes = summary_of(results)["shapes"]
    assert max(shapes[name]["relative"] for name in ("density", "area", "neighbour")) < 0.25
    trainings = summary_of(results)["trainings"]
    assert trainings["count"] == 2
    assert trainings["mean"]["ap50"] > 0.6
    assert trainings["sd"]["iou_median"] > 0, "each training has its own random numbers"
    audit = pd.read_csv(results / "audit/summary.csv", index_col="labels")
    assert (audit["iou_above_0.7"] > 0.8).all()
    assert (audit["displacement_abs_median"] < 1).all()
    assert json.loads((results / "evaluation/summary.json").read_text())["audit"]["synthetic"]["lost"] < 10
    cells = pd.read_csv(results / "evaluation/sketchscope/iou.csv", dtype={"image": str})
    assert set(cells["image"]) == {"0004", "0005"}

    untouched = {path: path.stat().st_mtime_ns for path in results.rglob("*") if path.is_file()}
    assert "Nothing to be done" in finish(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in results.rglob("*") if path.is_file()} == untouched

    # the same configuration gives the same result
    before = {path: path.read_bytes() for path in (results / "synthetic").glob("batch_*/*.tif")}
    shutil.rmtree(results / "synthetic")
    finish(tmp_path, *{str(path.parent.relative_to(tmp_path)) for path in before})
    assert {path: path.read_bytes() for path in before} == before

    # the model segments images for the masks of another organism
    masks = {"source": "cellpose", "model": "results/my-cells/cellpose/sketchscope/model"}
    write_config(tmp_path, {"my-cells": organism, "again": organism | {"masks": masks}})
    finish(tmp_path, "results/again/masks/batch_000")
    segmented = [read_image(path) for path in sorted((tmp_path / "results/again/segmented").glob("*.tif"))]
    assert len(segmented) == 4, "the training images"
    truth = [tifffile.imread(path).max() for path in sorted((tmp_path / "truth").glob("*.tif"))][:4]
    assert sum(labels.max() for labels in segmented) == pytest.approx(sum(map(int, truth)), rel=0.25)
    assert read_image(tmp_path / "results/again/masks/batch_000/volume_0000.ome.tif").max() > 5


def test_images_without_truth_get_everything_but_a_score(tmp_path):
    write_frames(tmp_path, 2, (96, 96), FLAT)
    hasty = {
        "images": "images/*.tif",
        "volumes": 4,
        "diffusion": TINY["diffusion"] | {"steps": 20},
        "cellpose": TINY["cellpose"] | {"epochs": 3},
        # of a network that learnt little some cells are lost
        "audit": {"lost": "redraw", "min_contrast": 12.0},
    }
    write_config(tmp_path, {"my-cells": FLAT | hasty})
    finish(tmp_path)
    results = tmp_path / "results/my-cells"
    assert_whole(results, (128, 128), 4)
    summary = json.loads((results / "evaluation/summary.json").read_text())
    assert (summary["n_images_scored"], summary["models"]["sketchscope"]["ap50"]) == (0, None)
    assert (results / "predictions/sketchscope/0001.ome.tif").exists()

    # cells that were lost in the drafts are brighter in the sketches that count; drafts are temporary
    drafts = pd.read_csv(results / "audit/drafts/batch_000.csv")
    assert drafts["lost"].any()
    assert not (results / "drafts/synthetic/batch_000").exists()
    usual = np.median(pd.read_csv(results / "rough/cells.csv")["grey"])
    for volume, cells in drafts[drafts["lost"]].groupby("volume"):
        sketch, mask = (read_image(results / f"{kind}/batch_000/{volume}.ome.tif") for kind in ("sketches", "masks"))
        brightest = ndimage.maximum(sketch, mask, cells["label"])
        assert (brightest > usual - 0.1)[cells["size"] > 40].all(), "blurred, the brightest voxel is a little dimmer"


def test_a_stack_of_ones_own_3d(tmp_path):
    write_frames(tmp_path, 3, (12, 96, 96), DEEP)
    write_config(tmp_path, {"my-stack": DEEP | {"images": "images/*.tif", "labels": "truth/*.tif"}})
    finish(tmp_path)
    results = tmp_path / "results/my-stack"
    tried = pd.read_csv(results / "sweep/scores.csv")
    tried_points = list(zip(tried["t_start"], tried["sigma"], strict=True))
    assert tried_points == [(t_start, sigma) for sigma in (0.5, 1.5) for t_start in (0, 200, 400)]
    assert tried["psnr"].between(5, 40).all()
    choice = json.loads((results / "sweep/choice.json").read_text())
    assert json.loads((results / "evaluation/summary.json").read_text())["fidelity"] == choice
    log = (results / "logs/generate_volumes.batch_000.log").read_text()
    assert f"from t = {choice['t_start']}" in log
    assert_whole(results, (12, 96, 96), 8)
    assert_cells_show(results)
    assert scores(results)["ap50"] > 0.5

    whole = read_image(results / "synthetic/batch_001/volume_0004.ome.tif").astype(float)

    # as a volume that does not fit into memory: in slabs, which any number of jobs may share out
    joined = [in_slabs(tmp_path, jobs) for jobs in (1, 7)]
    np.testing.assert_array_equal(*joined)
    assert joined[0].shape == whole.shape
    assert abs(joined[0] - whole).mean() < 0.1 * whole.std()


def in_slabs(folder, jobs):
    """The first volume of the second batch, made from slabs."""
    settings = {"generation": DEEP["generation"] | {"slab_shape": [12, 64, 64], "slab_jobs": jobs}}
    write_config(folder, {"my-stack": DEEP | settings | {"images": "images/*.tif", "volume_format": "zarr"}})
    target = folder / "results/my-stack/synthetic/batch_001"
    finish(folder, target.relative_to(folder), "--forcerun", "join_slabs", "generate_slabs")
    logs = folder / "results/my-stack/logs"
    made = [(logs / f"generate_slabs.batch_001.{part}.log").read_text() for part in range(jobs)]
    assert [text.count(" slab ") > 0 for text in made] == [True] * jobs
    assert not (folder / "results/my-stack/slabs/batch_001/part_0").exists(), "slabs are temporary"
    return read_image(target / "volume_0004.ome.zarr")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:9000]), "truncated"),
        (lambda path: tifffile.imwrite(path, np.zeros((64, 64, 3), np.uint8), photometric="rgb"), "colour"),
        (lambda path: tifffile.imwrite(path, np.full((160, 160), np.nan, np.float32)), "finite"),
        (lambda path: tifffile.imwrite(path, np.full((160, 160), 7, np.uint16)), "constant"),
        (lambda path: tifffile.imwrite(path, np.eye(40, dtype=np.uint16)), "smaller than the patch"),
    ],
)
def test_a_bad_image_stops_the_run_with_a_sentence(tmp_path, spoil, message):
    write_frames(tmp_path, 3, (160, 160), FLAT)
    spoil(tmp_path / "images/t1.tif")
    write_config(tmp_path, {"my-cells": FLAT | {"images": "images/*.tif"}})
    done = snakemake(tmp_path, "--cores", 1)
    assert done.returncode != 0
    sentences = [line for line in done.stdout.splitlines() if line.startswith("Error: ")]
    assert len(sentences) == 1, done.stdout
    assert "images/t1.tif" in sentences[0]
    assert message in sentences[0]
    assert "Traceback" not in done.stdout
    left = [path.name for path in (tmp_path / "results/my-cells").iterdir()]
    assert set(left) <= {"logs", "benchmarks"}, "nothing half-written"
