"""The two configurations of the paper, whole, on small made-up data sets from a server: every organism, every stage."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml
from publishing import copy_of_the_workflow, draw_image, geometry, make_weights, serve_dataset
from running import REPOSITORY
from sketchscope.config.resolve import resolve_organism
from sketchscope.config.yaml_files import read_yaml

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("paper")]

FETCHED = {
    "arabidopsis": "willis-2016",
    "elegans": "Fluo-N3DH-CE",
    "gowt1": "Fluo-N2DH-GOWT1",
    "hela": "Fluo-N2DL-HeLa",
    "tribolium": "Fluo-N3DL-TRIC",
}
ZEBRAFISH = {"zebrafish-nuclei": "ch00", "zebrafish-membranes": "ch01"}
# what makes it small; all else is what the files say
TINY = {
    "volumes": 2,
    "volumes_per_job": 2,
    "diffusion": {
        **{"channels": [8, 16], "blocks": 1, "timesteps": 24, "batch_size": 2},
        **{"steps": 20, "report_every": 10, "learning_rate": 0.005},  # a network that learnt nothing would be refused
    },
    "cellpose": {"epochs": 3, "images_per_epoch": 2, "batch_size": 2, "crop": 32},
    "evaluation": {"border": 0},
}
CLIENT = REPOSITORY / "tests/preloaded.py"
RUN = "import sys; from snakemake.cli import main; sys.executable = sys.argv.pop(1); main()"


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """What runs a script in place of Python, without the seconds of its imports."""
    address = tmp_path_factory.mktemp("preloaded") / "socket"
    process = subprocess.Popen([sys.executable, CLIENT, address])
    while not address.exists():
        assert process.poll() is None
        time.sleep(0.1)
    yield f"{sys.executable} -S {CLIENT} {address}"
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return make_weights(tmp_path_factory.mktemp("weights"))


# small cells are enlarged before they are segmented, which takes long
SHAPES = {"arabidopsis": (64, 56, 56), "zebrafish-nuclei": (10, 32, 32), "zebrafish-membranes": (24, 40, 40)}


def small_shape(preset, settings):
    """A few cells along each axis, and slices as the preset needs them."""
    shape = geometry(preset, settings)[0]
    return SHAPES.get(preset, shape if len(shape) == 2 else (shape[0], *(min(size, 64) for size in shape[1:])))


def draw_zebrafish(preset, settings, frame, shape):
    """A stack that is full of cells; the embryo is too large for a stack of a few cells."""
    simulation = settings["simulation"] | {"specimen": settings["simulation"]["specimen"] | {"shape": "box"}}
    dense = {"density": 600.0} if "density" in simulation else {"layers": 0}
    return draw_image(preset, settings | {"simulation": simulation | dense}, frame, shape)[0]


def publish(server, folder, presets):
    """Serve the data sets of these presets and write the zebrafish stacks; return settings, and sha256 of archives."""
    tiny, digests = {}, {}
    for preset in presets:
        settings = resolve_organism(preset, {"preset": preset, "images": __file__}, "paper", REPOSITORY)
        shape = small_shape(preset, settings)
        patch = [min(sizes) for sizes in zip(shape, (4, 32, 32)[-len(shape) :], strict=True)]
        tiny[preset] = TINY | {"volume_shape": list(shape), "diffusion": TINY["diffusion"] | {"patch_shape": patch}}
        if preset in FETCHED:
            pairs = {"frames": range(2), "plants": ((1, 0), (1, 4), (2, 0)), "shape": shape}
            digests[FETCHED[preset]] = serve_dataset(server, folder, preset, settings, FETCHED[preset], **pairs)[1]
            continue
        (folder / "data/zebrafish").mkdir(parents=True, exist_ok=True)
        for frame in range(2):
            image = draw_zebrafish(preset, settings, frame, shape)
            path = folder / f"data/zebrafish/t{frame:03d}_{ZEBRAFISH[preset]}.tif"
            tifffile.imwrite(path, image, photometric="minisblack")
    return tiny, digests


def finish(python, folder, repository, file, tiny):
    """Run the whole of a file, merged with what makes it small."""
    (folder / "config.yaml").write_text(yaml.safe_dump({"organisms": {"hela": {}}}))
    (folder / "tiny.yaml").write_text(yaml.safe_dump(tiny))
    command = [sys.executable, "-c", RUN, python, "--snakefile", repository / "Snakefile", "--directory", folder]
    command += ["--cores", "1", "--configfile", repository / "resources" / file, folder / "tiny.yaml"]
    done = subprocess.run(
        list(map(str, command)), cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert done.returncode == 0, done.stdout[-8000:]


def run_file(server, weights, python, folder, file, changes):
    """Publish what a file needs, run it in small, and return its organisms with the summary of each."""
    organisms = read_yaml(REPOSITORY / "resources" / file)["organisms"]
    preset_of = {name: section.get("preset", name) for name, section in organisms.items() if section}
    tiny, digests = publish(server, folder, preset_of.values())
    server.files["/models/cyto3"] = weights
    repository = copy_of_the_workflow(folder / "clone", digests, diam_mean=12.0)
    small = {name: tiny[preset] | changes | CHANGES.get(preset, {}) for name, preset in preset_of.items()}
    downloads = {"folder": str(folder / "downloads"), "mirror": server.url}
    finish(python, folder, repository, file, {"device": "cpu", "downloads": downloads, "organisms": small})
    results = folder / "results"
    assert (results / "comparison.csv").exists()
    assert (results / "contact.png").stat().st_size > 5000
    return {name: json.loads((results / name / "evaluation/summary.json").read_text()) for name in preset_of}


# a network that has learnt nothing sees hardly a cell; with every voxel counted as one, its random flows make some
CHANGES = {"zebrafish-membranes": {"cellpose": TINY["cellpose"] | {"cellprob_threshold": -6}}}


def test_the_paper_from_data_to_report(server, weights, python, tmp_path):
    summaries = run_file(server, weights, python, tmp_path, "paper.yaml", {"generation": {"t_start": 10}})
    assert len(summaries) == 7
    for name, summary in summaries.items():
        results = tmp_path / "results" / name
        assert len(list((results / "synthetic").glob("batch_*/*.ome.tif"))) == 2
        assert (results / "report.html").stat().st_size > 10_000
        assert set(summary["models"]) == {"sketchscope", "classical", "cyto3"}
        assert (summary["n_cells"] > 0) == (name not in ZEBRAFISH)
    scores = json.loads((tmp_path / "results/tribolium/evaluation/classical/scores.json").read_text())
    assert 0.5 < scores["seg"] <= 1, "the classical segmentation finds round nuclei"
    assert scores["iou_median"] > 0.5
    assert scores["ap50"] is None, "not all nuclei of a plane are labelled"


def test_the_experiment_with_segmented_images_from_data_to_report(server, weights, python, tmp_path):
    grid = {"sweep": {"t_start": [10, 16], "images": 2}}
    summaries = run_file(server, weights, python, tmp_path, "paper-segmented.yaml", grid)
    assert len(summaries) == 5
    with_cells = 0
    for name in summaries:
        results = tmp_path / "results" / name
        scores = pd.read_csv(results / "sweep/scores.csv")
        assert sorted(zip(scores["sigma"], scores["t_start"], strict=True)) == [
            (sigma, t_start) for sigma in (0, 1, 2) for t_start in (0, 10, 16)
        ]
        assert (np.isfinite(scores["psnr"]) == (scores["cells"] > 0)).all(), "inside the cells of a small window"
        with_cells += bool(scores["psnr"].notna().all())
        assert len(list((results / "synthetic").glob("batch_*/*.ome.tif"))) == 2
        assert (results / "report.html").stat().st_size > 10_000
    assert with_cells >= 4
