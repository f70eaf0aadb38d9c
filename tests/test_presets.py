"""Every preset from its data set, served with its true layout, to its report, in a few minutes of small numbers."""

import json

import pandas as pd
import pytest
import tifffile
import yaml
from publishing import SOURCES, copy_of_the_workflow, draw_image, geometry, make_weights, serve_dataset, wanted_frames
from running import REPOSITORY, snakemake
from sketchscope.config.resolve import resolve_organism

pytestmark = pytest.mark.workflow

PRESETS = sorted(path.stem for path in (REPOSITORY / "resources/organisms").glob("*.yaml"))

# what is fetched; the others are the user's own files
PUBLISHED = {
    "arabidopsis": "willis-2016",
    "cho": "Fluo-N3DH-CHO",
    "elegans": "Fluo-N3DH-CE-frames",
    "gowt1": "Fluo-N2DH-GOWT1",
    "hela": "Fluo-N2DL-HeLa",
    "tribolium": "Fluo-N3DL-TRIC",
}

TINY = {
    **{"volumes": 2, "volumes_per_job": 2, "train_images": None, "test_images": None},
    "diffusion": {"channels": [8, 16], "steps": 20, "report_every": 10, "batch_size": 2},
    "generation": {"steps": 4},
    "sweep": {"images": 2},
    "cellpose": {"epochs": 3, "images_per_epoch": 2, "batch_size": 2, "crop": 32},
    "evaluation": {"border": 0},
}

# figures and report of these are those of other presets: hela, cho, arabidopsis
LIKE_OTHERS = ("nuclei-2d", "nuclei-3d", "membranes-3d", "zebrafish-nuclei", "zebrafish-membranes")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return make_weights(tmp_path_factory.mktemp("weights"))


@pytest.mark.parametrize("preset", PRESETS)
def test_preset_from_data_to_report(server, weights, tmp_path, preset):
    settings = resolve_organism(preset, {"preset": preset, "images": __file__}, "demo", REPOSITORY)
    shape, voxel_size = geometry(preset, settings)
    tiny = TINY | {"volume_shape": list(shape)}
    patch = [min(sizes) for sizes in zip(shape, (4, 32, 32)[-len(shape) :], strict=True)]
    tiny["diffusion"] = TINY["diffusion"] | {"patch_shape": patch}
    repository, address = REPOSITORY, None
    if preset in PUBLISHED:
        address, digest = serve_dataset(server, tmp_path, preset, settings, PUBLISHED[preset])
        repository = copy_of_the_workflow(tmp_path / "clone", {PUBLISHED[preset]: digest})
        tiny["dataset"] = PUBLISHED[preset]
    else:
        (tmp_path / "data").mkdir()
        for frame in range(5):
            image = draw_image(preset, settings, frame)[0]
            tifffile.imwrite(tmp_path / f"data/t{frame:03d}_ch00.tif", image, photometric="minisblack")
        tiny |= {"images": "data/*_ch00.tif", "voxel_size": list(voxel_size)}
    server.files["/models/cyto3"] = weights
    downloads = {"folder": str(tmp_path / "downloads"), "mirror": server.url}
    config = {"seed": 3, "device": "cpu", "downloads": downloads, "organisms": {preset: tiny}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    results = tmp_path / "results" / preset
    if preset in LIKE_OTHERS:
        wanted = [results / name for name in ("evaluation/statistics.csv", "audit/summary.csv", "synthetic/README.md")]
        done = snakemake(
            tmp_path, "--cores", 1, *(path.relative_to(tmp_path) for path in wanted), repository=repository
        )
        assert done.returncode == 0, done.stdout[-8000:]
        assert pd.read_csv(wanted[1], index_col="labels").loc["synthetic", "cells"] > 0
        assert len(list((results / "synthetic").glob("batch_*/*.ome.tif"))) == 2
        return
    done = snakemake(tmp_path, "--cores", 1, repository=repository)
    assert done.returncode == 0, done.stdout[-8000:]
    summary = json.loads((results / "evaluation/summary.json").read_text())
    truth = SOURCES[PUBLISHED[preset]]["truth"] if preset in PUBLISHED else "none"
    assert (summary["n_cells"] > 0) == (truth != "none")
    assert summary["audit"]["synthetic"]["cells"] > 0
    assert len(list((results / "synthetic").glob("batch_*/*.ome.tif"))) == 2
    assert (results / "report.html").stat().st_size > 10_000
    assert (tmp_path / "results/contact.png").stat().st_size > 5000
    if preset in PUBLISHED:
        record = json.loads((tmp_path / "downloads" / PUBLISHED[preset] / "dataset.json").read_text())
        frames = wanted_frames(SOURCES[PUBLISHED[preset]])
        assert len(record["images"]) == (5 if preset == "arabidopsis" else 2 * len(frames))
        cut = [asked for path, asked, _ in server.requests if path == address]
        assert len(cut) > len(set(cut)) or any(asked and not asked.startswith("bytes=0-") for asked in cut), "resumed"
    if preset == "tribolium":
        assert len(server.files[address]) > 1 << 32, "a ZIP64 archive"
        assert server.sent < 0.02 * len(server.files[address])
