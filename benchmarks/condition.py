"""Do cells keep to their masks if the network sees the sketch, and if it predicts v? From several starts.

    python benchmarks/condition.py results/hela benchmarks/condition-hela.json

Needs the images, the rough segmentation, the training sketches and the masks of an organism:

    snakemake results/hela/diffusion/sketches results/hela/sketches/batch_000

For every seed three networks are trained with the same steps, batches and noise: without the sketch as its second
channel, with it, and with it and predicting v in place of the noise. All make images of the same sketches from every
start, and the audit says how the cells lie on their masks.
The spectrum is compared with that of the training images. A picture shows one field from every start.

Results that the output file already has are kept: delete it to start again.
"""

import argparse
import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from matplotlib import pyplot as plt

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow/scripts"))
from sketchscope.config.resolve import resolve
from sketchscope.diffusion import patches, training
from sketchscope.diffusion.checkpoint import Checkpoint
from sketchscope.diffusion.generate import make_generator
from sketchscope.diffusion.samplers import Sampler
from sketchscope.diffusion.schedule import cosine_alpha_bar
from sketchscope.diffusion.tiling import Tiling
from sketchscope.diffusion.unet import UNet
from sketchscope.evaluation.audit import audit_pair, summarise_audit
from sketchscope.evaluation.image_similarity import spectrum_distance
from sketchscope.images import manifest
from sketchscope.io.atomic import write_json
from sketchscope.io.images import list_image_files, read_image
from sketchscope.run.devices import choose_precision, describe_device
from sketchscope.sketches.depth import read_measured
from sketchscope.sketches.haze import draw_shading, read_haze
from sketchscope.stains import STAINS
from sketchscope.streams import stream_key, stream_seed

REPOSITORY = Path(__file__).parents[1]
CPU = torch.device("cpu")
STARTS = (300, 550, 700, 999)
STEPS = 10


class Arm(NamedTuple):
    """How a network is trained."""

    sees_sketch: bool
    prediction: str


ARMS = {"without": Arm(False, "eps"), "with": Arm(True, "eps"), "with, v": Arm(True, "v")}
TITLES = {"without": "without the sketch", "with": "with it", "with, v": "with it, predicting v"}


class Setting(NamedTuple):
    """An organism whose files are there, and how it is set."""

    folder: Path
    organism: dict[str, Any]
    rows: list[manifest.ManifestRow]
    steps: int
    """Of the training of each network."""


class Pair(NamedTuple):
    """A mask and its sketch."""

    labels: np.ndarray
    sketch: np.ndarray


def read_setting(folder: Path, steps: int) -> Setting:
    """Take an organism as its preset sets it at the demo scale."""
    config = {"scale": "demo", "organisms": {folder.name: {}}}
    rows = manifest.select_training(manifest.read_manifest(folder / "manifest.csv"))
    return Setting(folder, resolve(config, REPOSITORY)["organisms"][folder.name], rows, steps)


def train_network(setting: Setting, seed: int, arm: Arm) -> UNet:
    """Train one network as the workflow does."""
    settings, name = setting.organism["diffusion"], setting.folder.name
    torch.manual_seed(stream_seed(stream_key(seed, name, "weights")))
    sketches = setting.folder / "diffusion/sketches" if arm.sees_sketch else None
    key = stream_key(seed, name, "foreground")
    images = patches.open_training_images(setting.rows, setting.folder / "images", key, sketches)
    shape, size, share = settings["patch_shape"], settings["batch_size"], settings["foreground_fraction"]
    sizes = (settings["channels"], settings["blocks"], shape, setting.rows[0].voxel_size, settings["timesteps"])
    network, average, _ = training.build_networks(*sizes, **arm._asdict())
    dtype = choose_precision(settings["precision"], CPU)
    numbers = {key: settings[key] for key in ("learning_rate", "ema_decay", "gradient_clip")}
    with tempfile.TemporaryDirectory() as folder:
        training.train(
            training.make_trainer(network, average, settings["learning_rate"], CPU, dtype),
            partial(patches.draw_patches, images, shape, size, share),
            cosine_alpha_bar(settings["timesteps"]),
            training.TrainingSettings(steps=setting.steps, seed=seed, organism=name, dtype=dtype, **numbers),
            intervals=training.Intervals(100, 1e9),
            checkpoint=Checkpoint(Path(folder) / "checkpoint.pt", {}),
            report=lambda losses: None,
        )
    return average.eval()


def draw_pairs(setting: Setting, seed: int, count: int, sigma: float) -> list[Pair]:
    """Draw sketches of the first masks."""
    stain, name = STAINS[setting.organism["stain"]], setting.folder.name
    numbers = setting.organism["sketch"] | {"sigma": sigma}
    if numbers["decay_um"] == "auto":
        numbers["decay_um"] = json.loads((setting.folder / "rough/depth.json").read_text())["decay_um"]
    settings = stain.sketch(**numbers)
    measured = read_measured(setting.folder / "rough/cells.csv", settings.decay_um)
    hazes = read_haze(setting.folder / "rough/haze.npz")
    files = [f for b in sorted(setting.folder.glob("masks/batch_*/")) for f in list_image_files(b).values()]
    pairs = []
    for number, file in enumerate(files[:count]):
        labels, voxel_size = read_image(file), setting.rows[0].voxel_size
        rng, own_rng = (np.random.default_rng([*stream_key(seed, name, use), number]) for use in ("sketches", "haze"))
        shading = draw_shading(hazes, labels.shape, voxel_size, own_rng)
        pairs.append(Pair(labels, stain.draw(labels, voxel_size, settings, measured, rng, shading=shading)))
    return pairs


def make_images(setting: Setting, network: UNet, pairs: list[Pair], t_start: int, seed: int) -> list[np.ndarray]:
    """Make an image of each sketch."""
    generation = setting.organism["generation"]
    tiling = Tiling(generation["tile_shape"], generation["overlap"], None)
    alpha_bar = cosine_alpha_bar(setting.organism["diffusion"]["timesteps"])
    sampler = Sampler("dpm-solver++", t_start, STEPS, 0.0, clip=True)
    generator = make_generator(network, alpha_bar, CPU, sampler, tiling)
    key = stream_key(seed, setting.folder.name, "images")
    return [generator(pair.sketch, key=[*key, number]) for number, pair in enumerate(pairs)]


def judge(setting: Setting, images: list[np.ndarray], pairs: list[Pair]) -> dict[str, Any]:
    """Audit the images, and compare their spectrum with that of the training images."""
    organism, shape = setting.organism, images[0].shape
    options = {"touching": STAINS[organism["stain"]].touching, "min_contrast": organism["audit"]["min_contrast"]}
    voxel_size = setting.rows[0].voxel_size
    audits = [audit_pair(image, pair.labels, voxel_size, **options) for image, pair in zip(images, pairs, strict=True)]
    found = summarise_audit(pd.concat([a.cells for a in audits]), pd.DataFrame([a.image for a in audits]))
    real = [manifest.load_normalised(row, setting.folder / "images").clip(-1, 1) for row in setting.rows]
    spectrum = spectrum_distance(images, [image[tuple(map(slice, shape))] for image in real])
    names = ("cells", "lost", "iou_median", "iou_above_0.7", "iou_above_0.9", "displacement_median", "unlabelled")
    kept = {name: found[name] for name in (*names, "borders", "hidden_borders")}
    return kept | {"spectrum": round(spectrum, 3)}


def draw_picture(path: Path, sketch: np.ndarray, images: dict[str, dict[int, np.ndarray]]) -> None:
    """Draw a sketch, and what becomes of it from each start by the network of each arm."""
    figure, axes = plt.subplots(len(ARMS), 1 + len(STARTS), figsize=(3 * (1 + len(STARTS)), 3.2 * len(ARMS)))
    low, high = np.percentile(images["with"][STARTS[0]], [0.1, 99.8])
    for line, (arm, made) in zip(axes, images.items(), strict=True):
        shown = {"sketch": sketch} | {f"{TITLES[arm]}, t = {t}": image for t, image in made.items()}
        for axis, (title, image) in zip(line, shown.items(), strict=True):
            plane = image if image.ndim == 2 else image[len(image) // 2]
            axis.imshow(plane, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
            axis.set_title(title, fontsize=9)
            axis.axis("off")
    figure.savefig(path, dpi=90, bbox_inches="tight")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=600, help="of each training")
    parser.add_argument("--fields", type=int, default=10, help="images from each start")
    parser.add_argument("--sigma", type=float, default=1.0, help="of the sketches")
    options = parser.parse_args()
    setting = read_setting(options.results, options.steps)
    results = json.loads(options.output.read_text()) if options.output.exists() else {"runs": []}
    known = {(run["seed"], run["arm"]) for run in results["runs"]}
    results |= {"device": describe_device(CPU), "steps": options.steps, "sampler_steps": STEPS, "sigma": options.sigma}
    for seed in range(1, options.seeds + 1):
        pairs, images = draw_pairs(setting, seed, options.fields, options.sigma), {}
        for name, arm in ARMS.items():
            if (seed, name) in known:
                continue
            before = time.monotonic()
            network, images[name] = train_network(setting, seed, arm), {}
            seconds = round((time.monotonic() - before) / setting.steps, 4)
            for t_start in STARTS:
                made = make_images(setting, network, pairs, t_start, seed)
                images[name][t_start] = made[0]
                row = {"seed": seed, "arm": name, "t_start": t_start, "seconds_per_step": seconds}
                results["runs"].append(row | judge(setting, made, pairs))
                print(results["runs"][-1], flush=True)
            write_json(options.output, results)
        if seed == 1 and len(images) == len(ARMS):
            draw_picture(options.output.with_suffix(".png"), pairs[0].sketch, images)


if __name__ == "__main__":
    main()
